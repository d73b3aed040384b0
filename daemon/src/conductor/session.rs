//! The session with the backend: start, loss, retry, end.

use super::{Conductor, End};
use crate::audio::link::Found;
use crate::process::systemd;
use crate::station::Backend;
use lacquer_control::desk::turn::Input;
use lacquer_control::message::ToAudio;
use lacquer_control::subscribe::Recipients;
use std::time::Instant;
use tracing::{error, info, warn};

impl Conductor {
    /// The session is open: the chain starts.
    pub(super) fn start(&mut self) {
        let is_free = matches!(self.work.station.audio.backend, Backend::Null(null) if null.free);
        self.link.start(is_free);
        let Some(rate) = self.link.session.as_ref().map(|session| session.rate) else { return };
        // A session has addresses of its own.
        let addresses = self.status().into_iter().map(|line| line.address).collect();
        self.desk.set_status_addresses(addresses);
        self.handle(Input::Opened { rate, is_free });
    }

    /// Logs where a chain starts.
    pub(super) fn log_start(&mut self) {
        let (name, latency) = (self.desk.running().newest_name(), self.desk.chains().latency());
        self.link.session.iter_mut().for_each(|session| session.log_start(&name, latency));
    }

    /// The active chain, for `systemctl status`.
    pub(super) fn status_line(&self) -> String {
        match (&self.link.session, self.desk.running().active()) {
            (Some(_), Some(running)) => format!("on air: {}", running.name),
            _ => "no audio session; retrying".to_owned(),
        }
    }

    /// Notifies systemd's watchdog while the callback makes progress; without a session, while this thread retries.
    pub(super) fn feed_watchdog(&mut self, now: Instant) {
        let Some((every, next)) = &mut self.watch.dog else { return };
        if now >= *next && self.link.has_progress(*every) {
            *next = now + *every / 2;
            systemd::notify_watchdog();
        }
    }

    fn close_session(&mut self) {
        let no_readings = self.link.no_readings();
        if self.link.close_in_background() {
            self.handle(Input::Closed);
            self.send_updates(Recipients::All, no_readings);
        }
    }

    pub(super) fn session_lost(&mut self, why: &str) {
        let backend = self.work.station.audio.backend.name();
        error!(backend, xruns = self.link.health.xruns.sum(), "{backend}: {why}; session closed, retrying");
        self.send_event("connection", &["lost", why]);
        self.close_session();
        self.wait_for_audio();
        if self.end != End::No {
            self.end = End::Now;
        }
    }

    /// Looks for a session without callbacks, and for one that cannot be closed.
    pub(super) fn check_link(&mut self) {
        match self.link.check() {
            Some(Found::Standstill) => self.session_lost("no callback for 3 s"),
            Some(Found::HeldOpen) => self.restart_for_libjack(),
            None => {}
        }
    }

    /// The input device has stopped or resumed sending samples.
    pub(super) fn report_input_silence(&mut self, silent: Option<bool>) {
        let Some(silent) = silent else { return };
        let words = if silent {
            "input device sends no samples: input is silent"
        } else {
            "input device sends samples again"
        };
        warn!(backend = self.work.station.audio.backend.name(), "{words}");
        self.send_event("connection", &["input", words]);
    }

    pub(super) fn wait_for_audio(&mut self) {
        systemd::set_status(&self.status_line());
        self.link.retry();
    }

    /// Tries to open a session.
    pub(super) fn reopen(&mut self, now: Instant) {
        if self.link.reopen(&self.work.station.audio, now) {
            let backend = self.work.station.audio.backend.name();
            info!(backend, "{backend}: session open");
            self.send_event("connection", &["back"]);
            self.start();
        }
    }

    /// The server has changed its sample rate: the chain is rebuilt for the new one, with all values. The client stays
    /// open if possible, because closing it while the server changes may never return.
    pub(super) fn rate_changed(&mut self, rate: f64) {
        info!("server changed its sample rate to {rate} Hz");
        self.send_event("connection", &["sample rate", &rate.to_string()]);
        let audio = &self.work.station.audio;
        if self.link.session.as_mut().is_some_and(|session| session.change_rate(audio, rate)) {
            self.start();
        } else {
            self.close_session();
        }
    }

    pub(super) fn quit(&mut self) {
        info!("ending: fading out");
        systemd::stopping();
        self.end = if self.link.session.is_some() { End::Fading(Instant::now()) } else { End::Now };
        self.send_command(ToAudio::Mute(true));
    }
}
