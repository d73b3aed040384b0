//! The session with the backend: start, loss, retry, end.

use super::Conductor;
use super::hang::HangWatch;
use crate::audio::session::{Opening, Session, open_in_background};
use crate::process::{supervise, systemd};
use crate::station::Backend;
use crossbeam_channel::{Receiver, TryRecvError};
use lacquer_control::desk::turn::Input;
use lacquer_control::message::ToAudio;
use lacquer_control::subscribe::Recipients;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// Without a callback for this time the session is lost.
const STALLED: Duration = Duration::from_secs(3);

/// Largest part of [`STALLED`] that one tick of this thread counts.
const MAX_STEP: Duration = Duration::from_millis(500);
/// A session that is not closed after this time never closes.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Time between the first two attempts to open a session; it doubles up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_millis(125);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The retries to open a session.
pub(super) struct Reconnect {
    /// When to try next, and the wait after that.
    next: Instant,
    wait: Duration,
    /// Why the last attempt failed.
    last_error: String,
    /// The session that is being opened.
    opening: Option<Opening>,
    /// How long no callback has been seen.
    stalled: Duration,
    /// The sessions that are being closed, and since when.
    closing: Vec<(JoinHandle<()>, Instant)>,
}

impl Reconnect {
    pub(super) fn new(next: Instant, opening: Option<Opening>) -> Self {
        Self {
            next,
            wait: RETRY,
            last_error: String::new(),
            opening,
            stalled: Duration::ZERO,
            closing: Vec::new(),
        }
    }

    /// Whether a session cannot be closed.
    fn is_close_overdue(&mut self, now: Instant) -> bool {
        self.closing.retain(|(thread, _)| !thread.is_finished());
        self.closing.iter().any(|(_, since)| now.saturating_duration_since(*since) > CLOSE_LIMIT)
    }

    /// Restarts the timeout of the sessions that are being closed.
    fn restart_timeout(&mut self, now: Instant) {
        self.closing.iter_mut().for_each(|(_, since)| *since = now);
    }
}

impl Conductor {
    /// The session is open: the chain starts.
    pub(super) fn start(&mut self) {
        let is_free = matches!(self.station.audio.backend, Backend::Null(null) if null.free);
        self.health.new_session(is_free);
        self.hang_watch = HangWatch::new(Instant::now());
        let Some(session) = &self.session else { return };
        self.handle(Input::Opened { rate: session.rate, is_free });
    }

    /// Logs where a chain starts.
    pub(super) fn log_start(&mut self) {
        let latency = self.desk.chains().latency();
        let Some(session) = &mut self.session else { return };
        std::mem::take(&mut session.failures).iter().for_each(|failure| warn!("not connected: {failure}"));
        session.devices().iter().for_each(|devices| info!("{devices}"));
        let (rate, block) = (session.rate, session.block);
        let ms = latency as f64 * 1000.0 / rate;
        let name = self.desk.running().newest_name();
        info!(
            chain = name,
            latency, "{name} is on air: {rate} Hz, blocks of {block}, latency {latency} frames = {ms:.2} ms"
        );
    }

    /// The active chain, for `systemctl status`.
    pub(super) fn status_line(&self) -> String {
        match (&self.session, self.desk.running().active()) {
            (Some(_), Some(running)) => format!("on air: {}", running.name),
            _ => "no audio session; retrying".to_owned(),
        }
    }

    /// Notifies systemd's watchdog while the callback makes progress; without a session, while this thread retries.
    pub(super) fn feed_watchdog(&mut self, now: Instant) {
        let Some((every, next)) = &mut self.watchdog else { return };
        if now >= *next && (self.session.is_none() || self.health.has_progress(*every)) {
            *next = now + *every / 2;
            systemd::notify_watchdog();
        }
    }

    pub(super) fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.store_ports(&mut self.port_setup);
            session.close();
        }
    }

    /// Closes the session on a thread of its own: closing a client of a server that does not answer, that changes its
    /// rate or that is gone may never return.
    pub(super) fn close_session(&mut self) {
        let no_readings = self.no_readings();
        let Some(session) = self.session.take() else { return };
        self.handle(Input::Closed);
        self.send_updates(Recipients::All, no_readings);
        session.store_ports(&mut self.port_setup);
        let thread = supervise::run_once("closing", move || session.close());
        match thread {
            Ok(thread) => self.reconnect.closing.push((thread, Instant::now())),
            Err(error) => warn!("threads: {error}"),
        }
    }

    pub(super) fn session_lost(&mut self, why: &str) {
        let backend = self.station.audio.backend.name();
        error!(backend, xruns = self.health.xruns.sum(), "{backend}: {why}; session closed, retrying");
        self.send_event("connection", &["lost", why]);
        self.close_session();
        self.wait_for_audio();
        self.ended |= self.ending.is_some();
    }

    /// A server may end without notice, as PipeWire does: without callbacks for a while, the session is lost.
    pub(super) fn check_for_standstill(&mut self) {
        let now = Instant::now();
        // If this thread was not scheduled either (suspend, overload), the time does not count as a server hang.
        let passed = now.duration_since(std::mem::replace(&mut self.last_tick, now));
        if passed > STALLED / 3 {
            self.health.restart_timeout();
            self.reconnect.restart_timeout(now);
        }
        let stalled = self.session.is_some() && !self.health.has_progress(MAX_STEP);
        self.reconnect.stalled =
            if stalled { self.reconnect.stalled + passed.min(MAX_STEP) } else { Duration::ZERO };
        if self.reconnect.is_close_overdue(now) {
            self.reconnect.restart_timeout(now);
            self.restart_for_libjack();
        }
        if self.reconnect.stalled < STALLED - MAX_STEP || self.health.has_progress(STALLED) {
            return;
        }
        self.reconnect.stalled = Duration::ZERO;
        self.session_lost(&format!("no callback for {} s", STALLED.as_secs()));
    }

    /// The input device has stopped or resumed sending samples.
    pub(super) fn report_input_silence(&mut self, silent: Option<bool>) {
        let words = match silent {
            Some(true) => "input device sends no samples: input is silent",
            Some(false) => "input device sends samples again",
            None => return,
        };
        warn!(backend = self.station.audio.backend.name(), "{words}");
        self.send_event("connection", &["input", words]);
    }

    pub(super) fn wait_for_audio(&mut self) {
        systemd::set_status(&self.status_line());
        (self.reconnect.next, self.reconnect.wait) = (Instant::now() + RETRY, RETRY);
    }

    /// Tries to open a session, on a thread of its own: a server that hangs may never answer.
    pub(super) fn reopen(&mut self, now: Instant) {
        let reconnect = &mut self.reconnect;
        match reconnect.opening.as_ref().map(Receiver::try_recv) {
            // The old session is closed before the next is opened: the libraries hold a server's state per process.
            None if now < reconnect.next
                || reconnect.closing.iter().any(|(thread, _)| !thread.is_finished()) => {}
            None => {
                reconnect.wait = (reconnect.wait * 2).min(RETRY_MAX);
                reconnect.next = now + reconnect.wait;
                match open_in_background(&self.station.audio, &self.port_setup, false) {
                    Ok(opening) => reconnect.opening = Some(opening),
                    Err(error) => warn!("threads: {error}"),
                }
            }
            Some(Err(TryRecvError::Empty)) => {}
            Some(Ok(Ok(session))) => {
                reconnect.opening = None;
                self.session_opened(session);
            }
            Some(Ok(Err(error))) => {
                reconnect.opening = None;
                // The same reason is logged once.
                let why = error.to_string();
                if reconnect.last_error != why {
                    warn!(backend = self.station.audio.backend.name(), "{why}; retrying");
                    reconnect.last_error = why;
                }
            }
            Some(Err(TryRecvError::Disconnected)) => reconnect.opening = None,
        }
    }

    fn session_opened(&mut self, session: Session) {
        self.reconnect.last_error.clear();
        self.session = Some(session);
        let backend = self.station.audio.backend.name();
        info!(backend, "{backend}: session open");
        self.send_event("connection", &["back"]);
        self.start();
    }

    /// The server has changed its sample rate: the chain is rebuilt for the new one, with all values. The client stays
    /// open if possible, because closing it while the server changes may never return.
    pub(super) fn rate_changed(&mut self, rate: f64) {
        info!("server changed its sample rate to {rate} Hz");
        self.send_event("connection", &["sample rate", &rate.to_string()]);
        let audio = &self.station.audio;
        if self.session.as_mut().is_some_and(|session| session.change_rate(audio, rate)) {
            self.start();
        } else {
            self.close_session();
        }
    }

    pub(super) fn quit(&mut self) {
        info!("ending: fading out");
        systemd::stopping();
        self.ending = Some(Instant::now());
        self.send_command(ToAudio::Mute(true));
        self.ended = self.session.is_none();
    }
}
