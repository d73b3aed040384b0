//! How the station is: load, xruns, faults.

use crate::audio::xruns::Xruns;
use lacquer_control::message::{LOAD_BARS, Load};
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_graph::param::Unit;
use lacquer_graph::reading::{Combine, Reading};
use std::time::{Duration, Instant};

/// At least so long between two log lines about the same trouble.
const QUIET: Duration = Duration::from_secs(1);

/// So long a callback may take where the server waits for its clients: one of them may write to a slow disk.
const FREEWHEEL: Duration = Duration::from_secs(60);

/// The readings under `/meter/load`.
pub static LOAD: [Reading; 2] = [
    Reading::new("mean", Unit::Percent, "Mean share of its deadline that the audio callback took."),
    Reading::new("peak", Unit::Percent, "Highest share of its deadline that the audio callback took.")
        .combine(Combine::Highest),
];
/// The readings under `/meter/join`.
pub static JOIN: [Reading; 4] = [
    Reading::new("fill_ms", Unit::Ms, "Audio that waits between the input and the output device.")
        .decimals(3),
    Reading::new("drift_ppm", Unit::Ppm, "Drift of the input device's clock against the output device's."),
    Reading::new("ratio", Unit::Plain, "Ratio of the two sample rates, as it is resampled.").decimals(7),
    Reading::new("nonfinite", Unit::Count, "Samples of the input device that were a NaN or an infinity."),
];

/// Load, xruns and faults since the start.
pub struct Health {
    since: Instant,
    load: Load,
    /// Callbacks by share of their deadline.
    histogram: [u64; LOAD_BARS],
    is_fresh: bool,
    has_played: bool,
    /// When the callback told something last.
    heard: Option<Instant>,
    /// Whether the server runs as fast as it can.
    freewheels: bool,
    /// Deadlines missed.
    pub xruns: Xruns,
    /// Nodes that failed.
    pub faults: u64,
    spoke_of_xruns: Option<Instant>,
    spoke_of_input: Option<Instant>,
}

impl Health {
    /// Nothing has happened yet.
    pub fn new(since: Instant) -> Self {
        Self {
            since,
            load: Load::default(),
            histogram: [0; LOAD_BARS],
            is_fresh: false,
            has_played: false,
            heard: None,
            freewheels: false,
            xruns: Xruns::default(),
            faults: 0,
            spoke_of_xruns: None,
            spoke_of_input: None,
        }
    }

    /// Takes a load reading; true for the very first.
    pub fn note(&mut self, load: Load) -> bool {
        for (sum, count) in self.histogram.iter_mut().zip(load.histogram) {
            *sum += u64::from(count);
        }
        (self.load, self.is_fresh, self.heard) = (load, true, Some(Instant::now()));
        !std::mem::replace(&mut self.has_played, true)
    }

    /// Whether the callback has ever run.
    pub fn has_played(&self) -> bool {
        self.has_played
    }

    /// Whether the callback has run within this time; there is more of it while the server freewheels.
    pub fn has_progress(&self, within: Duration) -> bool {
        let within = if self.freewheels { within.max(FREEWHEEL) } else { within };
        self.heard.is_some_and(|heard| heard.elapsed() < within)
    }

    /// Whether it is time to speak of xruns.
    pub fn speaks_of_xruns(&mut self, now: Instant) -> bool {
        due(&mut self.spoke_of_xruns, now)
    }

    /// A new link counts from 0, and is given time to begin. A free one has no deadlines.
    pub fn new_link(&mut self, is_free: bool) {
        self.freewheels = false;
        self.xruns.start_session(is_free);
        self.give_time();
    }

    /// The server runs as fast as it can, or no longer.
    pub fn freewheel(&mut self, is_on: bool) {
        (self.freewheels, self.xruns.is_free) = (is_on, is_on);
        self.give_time();
    }

    /// The callback is given time from now on.
    pub fn give_time(&mut self) {
        self.heard = Some(Instant::now());
    }

    /// Counts a fault of the input; true where it is time to speak of it.
    pub fn input_fault(&mut self, now: Instant) -> bool {
        self.faults += 1;
        due(&mut self.spoke_of_input, now)
    }

    /// The load as in [`LOAD`], if it was measured since this was last asked.
    pub fn fresh(&mut self) -> Option<[f64; 2]> {
        std::mem::take(&mut self.is_fresh).then(|| [self.load.mean, self.load.peak].map(percent))
    }

    /// Everything, as lines under `/status`.
    pub fn lines(&self) -> Vec<Update> {
        let number = |key: &str, value: f64| Update::number(format!("/status/{key}"), value);
        let histogram = self.histogram.iter().map(|count| Value::Number(*count as f64)).collect();
        let mut lines = vec![
            number("load_percent", percent(self.load.mean)),
            number("load_peak_percent", percent(self.load.peak)),
            Update::new("/status/load_histogram", histogram),
            number("xruns", self.xruns.sum() as f64),
            number("faults", self.faults as f64),
            number("tap_frames_lost", self.load.tap_lost as f64),
            number("readings_lost", self.load.readings_lost as f64),
            number("uptime_s", self.since.elapsed().as_secs() as f64),
        ];
        let by_reason = self.xruns.by_reason();
        lines.extend(by_reason.map(|(why, count)| number(&format!("xruns_{why}"), count as f64)));
        lines
    }
}

fn percent(share: f32) -> f64 {
    (f64::from(share) * 10_000.0).round() / 100.0
}

fn due(spoke: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = spoke.is_none_or(|before| now.duration_since(before) >= QUIET);
    if is_due {
        *spoke = Some(now);
    }
    is_due
}
