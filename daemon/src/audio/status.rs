//! What the link says of itself: lines of the status, readings, and that there are none.

use crate::audio::health::{JOIN, LOAD};
use crate::audio::link::Link;
use crate::audio::session::Session;
use crate::audio::taps::TAPS;
use lacquer_control::update::Update;
use lacquer_graph::metering::{HISTOGRAM, READINGS, SPECTRUM};
use lacquer_graph::reading::Reading;

impl Link {
    /// The lines of the status, in the order in which they are documented: those of the audio server, `block_frames`, and
    /// those of the devices with the health. Others stand between them.
    pub(crate) fn status_lines(&self, backend: &str) -> [Vec<Update>; 3] {
        let words = |key: &str, text: &str| Update::words(format!("/status/{key}"), &[text]);
        let number = |key: &str, value: f64| Update::number(format!("/status/{key}"), value);
        let session = self.session.as_ref();
        let server = vec![
            words("backend", backend),
            words("audio", if session.is_some() { "running" } else { "waiting for the server" }),
            words("realtime", &session.map_or_else(String::new, Session::realtime_status)),
        ];
        let block = vec![number("block_frames", session.map_or(0, |session| session.block) as f64)];
        let mut rest: Vec<Update> =
            session.and_then(Session::devices).map(|devices| words("devices", devices)).into_iter().collect();
        if let Some(join) = session.and_then(Session::join_state) {
            let state = if join.is_running { "running" } else { "waiting for the input" };
            rest.extend([words("join", state), number("join_slips", join.slips as f64)]);
        }
        rest.extend(self.join().map(|(row, value)| number(&format!("join_{}", row.name), value)));
        rest.extend(self.health.lines());
        [server, block, rest]
    }

    /// Readings of the join between the input and the output device (resampler, clock drift).
    fn join(&self) -> impl Iterator<Item = (&'static Reading, f64)> {
        let join = self.session.as_ref().and_then(Session::join_state);
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
    pub(crate) fn no_readings(&self) -> Vec<Update> {
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

    /// The readings of load and join, if the load was measured since the last call.
    pub(crate) fn take_readings(&mut self) -> Vec<Update> {
        let Some(load) = self.health.take_load() else { return Vec::new() };
        let join = self.join().map(|(row, value)| (format!("join/{}", row.name), row, value));
        let load = LOAD.iter().zip(load).map(|(row, percent)| (format!("load/{}", row.name), row, percent));
        join.chain(load).flat_map(|(path, row, value)| Update::reading(&path, row, Some(value))).collect()
    }
}
