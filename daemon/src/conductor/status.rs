//! What the conductor sends about the station: state, status, meters.

use super::Conductor;
use crate::audio::health::{JOIN, LOAD};
use crate::audio::session::Session;
use crate::audio::taps::TAPS;
use lacquer_control::address::pattern::{Pattern, is_pattern, trimmed};
use lacquer_control::peer::Peer;
use lacquer_control::subscribe::Recipients;
use lacquer_control::update::Update;
use lacquer_graph::metering::{HISTOGRAM, READINGS, SPECTRUM};
use lacquer_graph::reading::Reading;

impl Conductor {
    pub(super) fn status(&self) -> Vec<Update> {
        let words = |key: &str, text: &str| Update::words(format!("/status/{key}"), &[text]);
        let number = |key: &str, value: f64| Update::number(format!("/status/{key}"), value);
        let audio = if self.link.session.is_some() { "running" } else { "waiting for the server" };
        // In the order in which they are documented.
        let mut known = self.desk.status_lines().into_iter();
        let mut lines: Vec<Update> = known.by_ref().take(3).collect();
        lines.extend([
            words("backend", self.station.audio.backend.name()),
            words("audio", audio),
            words("realtime", &self.link.session.as_ref().map_or_else(String::new, Session::realtime_status)),
        ]);
        lines.extend(known.next());
        lines.push(number(
            "block_frames",
            self.link.session.as_ref().map_or(0, |session| session.block) as f64,
        ));
        lines.extend(known.by_ref().take(3));
        if let Some(devices) = self.link.session.as_ref().and_then(Session::devices) {
            lines.push(words("devices", devices));
        }
        if let Some(join) = self.link.session.as_ref().and_then(Session::join_state) {
            let state = if join.is_running { "running" } else { "waiting for the input" };
            lines.extend([words("join", state), number("join_slips", join.slips as f64)]);
        }
        lines.extend(self.join().map(|(row, value)| number(&format!("join_{}", row.name), value)));
        lines.extend(self.link.health.lines());
        let threads = match self.watch.threads.late() {
            late if late.is_empty() => "running".to_owned(),
            late => format!("without progress: {}", late.join(", ")),
        };
        lines.push(words("threads", &threads));
        lines.push(number("thread_restarts", self.watch.threads.restarts() as f64));
        lines.extend(known);
        lines
    }

    /// Answers with the status where the addresses match, after what the desk has read.
    pub(super) fn send_status(&self, by: Peer, address: &str, before: Vec<Update>) {
        let mut lines = before;
        let all = self.status().into_iter();
        let asked = trimmed(address);
        match Pattern::new(address).ok().filter(|_| is_pattern(address)) {
            Some(pattern) => {
                let is_all = pattern.matches("/status");
                lines.extend(all.filter(|line| is_all || pattern.matches(&line.address)));
            }
            None => lines.extend(all.filter(|line| asked == "/status" || line.address == asked)),
        }
        if lines.is_empty() {
            let why = match is_pattern(address) {
                true => self.desk.why_unread(address),
                false => "there is no value".to_owned(),
            };
            return self.send_updates(Recipients::One(by), vec![Update::words("/error", &[address, &why])]);
        }
        self.send_updates(Recipients::One(by), lines);
    }

    /// Readings of the join between the input and the output device (resampler, clock drift).
    fn join(&self) -> impl Iterator<Item = (&'static Reading, f64)> {
        let join = self.link.session.as_ref().and_then(Session::join_state);
        let values =
            join.map(|join| [join.fill_ms, join.drift_ppm, join.ratio, join.nonfinite as f64]).into_iter();
        values.flat_map(|values| {
            JOIN.iter().zip(values).map(|(row, value)| {
                let digits = 10.0_f64.powi(i32::from(row.decimals));
                (row, (value * digits).round() / digits)
            })
        })
    }

    /// The updates that say that there are no readings of the session.
    pub(super) fn no_readings(&self) -> Vec<Update> {
        let taps = TAPS.iter().flat_map(|tap| READINGS.iter().map(move |(row, _)| (*tap, row)));
        let rows = taps.chain(LOAD.iter().map(|row| ("load", row)));
        let rows = rows.chain(self.join().map(|(row, _)| ("join", row)));
        let numbers =
            rows.flat_map(|(place, row)| Update::reading(&format!("{place}/{}", row.name), row, None));
        let arrays = TAPS.iter().flat_map(|tap| {
            [&SPECTRUM, &HISTOGRAM].map(|row| Update::array(&format!("{tap}/{}", row.name), row, []))
        });
        numbers.chain(arrays).collect()
    }

    pub(super) fn send_meters(&mut self) {
        let changed = self.desk.readings_mut().take_changed();
        let mut lines: Vec<Update> =
            changed.flat_map(|(path, (row, value))| Update::reading(&path, row, value)).collect();
        if let Some(load) = self.link.health.take_load() {
            let join = |(row, value): (&'static Reading, f64)| {
                Update::reading(&format!("join/{}", row.name), row, Some(value))
            };
            lines.extend(self.join().flat_map(join));
            for (row, percent) in LOAD.iter().zip(load) {
                lines.extend(Update::reading(&format!("load/{}", row.name), row, Some(percent)));
            }
        }
        self.send_updates(Recipients::All, lines);
    }
}
