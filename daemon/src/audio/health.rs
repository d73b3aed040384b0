//! Health of the station: load, xruns, faults.

use crate::audio::xruns::{REASONS, Xruns};
use lacquer_control::message::{LOAD_BARS, Load};
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_graph::param::Unit;
use lacquer_graph::reading::{Combine, Reading};
use std::time::{Duration, Instant};
use tracing::warn;

/// Shortest time between two log lines about the same kind of fault.
const LOG_PERIOD: Duration = Duration::from_secs(1);

/// Time limit of a callback while the server freewheels: it waits for its clients, and one may write to a slow disk.
const FREEWHEEL_LIMIT: Duration = Duration::from_secs(60);

/// The readings under `/meter/load`.
pub(crate) static LOAD: [Reading; 2] = [
    Reading::new("mean", Unit::Percent, "Mean share of its deadline that the audio callback took."),
    Reading::new("peak", Unit::Percent, "Highest share of its deadline that the audio callback took.")
        .combine(Combine::Highest),
];
/// The readings under `/meter/join`.
pub(crate) static JOIN: [Reading; 4] = [
    Reading::new("fill_ms", Unit::Ms, "Audio that waits between the input and the output device.")
        .decimals(3),
    Reading::new("drift_ppm", Unit::Ppm, "Drift of the input device's clock against the output device's."),
    Reading::new("ratio", Unit::Plain, "Ratio of the two sample rates, as it is resampled.").decimals(7),
    Reading::new("nonfinite", Unit::Count, "Samples of the input device that were a NaN or an infinity."),
];

/// Load, xruns and faults since the start.
pub(crate) struct Health {
    since: Instant,
    load: Load,
    /// Callbacks by share of their deadline.
    histogram: [u64; LOAD_BARS],
    has_new_load: bool,
    has_played: bool,
    is_ready: bool,
    /// When the callback last reported its load.
    last_callback: Option<Instant>,
    /// Whether the server freewheels (runs faster than real time).
    is_freewheeling: bool,
    /// Deadlines missed.
    pub xruns: Xruns,
    /// Number of faults.
    pub faults: u64,
    last_logged_xruns: Option<Instant>,
    last_logged_input: Option<Instant>,
}

impl Health {
    /// Starts with all counts at 0.
    pub(crate) fn new(since: Instant) -> Self {
        Self {
            since,
            load: Load::default(),
            histogram: [0; LOAD_BARS],
            has_new_load: false,
            has_played: false,
            is_ready: false,
            last_callback: None,
            is_freewheeling: false,
            xruns: Xruns::default(),
            faults: 0,
            last_logged_xruns: None,
            last_logged_input: None,
        }
    }

    /// Records a load report.
    pub(crate) fn record_load(&mut self, load: Load) {
        for (sum, count) in self.histogram.iter_mut().zip(load.histogram) {
            *sum += u64::from(count);
        }
        (self.load, self.has_new_load, self.last_callback) = (load, true, Some(Instant::now()));
        self.has_played = true;
    }

    /// True, once, when the callback runs and nothing is being started any longer: the station is ready.
    pub(crate) fn becomes_ready(&mut self, is_starting: bool) -> bool {
        self.has_played && !is_starting && !std::mem::replace(&mut self.is_ready, true)
    }

    /// Whether the callback has ever run.
    pub(crate) fn has_played(&self) -> bool {
        self.has_played
    }

    /// Whether the callback has run within this time. The limit is longer while the server freewheels.
    pub(crate) fn has_progress(&self, within: Duration) -> bool {
        let within = if self.is_freewheeling { within.max(FREEWHEEL_LIMIT) } else { within };
        self.last_callback.is_some_and(|last_callback| last_callback.elapsed() < within)
    }

    /// Counts the deadlines missed since the session was opened: an event, once their reason is known.
    pub(crate) fn count_missed(&mut self, missed: u64, now: Instant) -> Option<Update> {
        self.xruns.record_count(missed, now);
        let why = self.xruns.take_reason(now)?;
        let xruns = self.xruns.sum();
        if may_log(&mut self.last_logged_xruns, now) {
            warn!(xruns, "{xruns} xruns since the start: {}", self.xruns.summary());
        }
        let values = vec![Value::Number(xruns as f64), Value::Text(REASONS[why].to_owned())];
        Some(Update::new("/event/xrun", values))
    }

    /// A new session counts xruns from 0, and its timeout starts now. A free-running one has no deadlines.
    pub(crate) fn new_session(&mut self, is_free: bool) {
        self.is_freewheeling = false;
        self.xruns.start_session(is_free);
        self.restart_timeout();
    }

    /// The server begins or ends freewheeling.
    pub(crate) fn freewheel(&mut self, is_on: bool) {
        (self.is_freewheeling, self.xruns.is_free) = (is_on, is_on);
        self.restart_timeout();
    }

    /// Restarts the timeout of the callback.
    pub(crate) fn restart_timeout(&mut self) {
        self.last_callback = Some(Instant::now());
    }

    /// Counts a fault of the input; true if it may be logged now.
    pub(crate) fn input_fault(&mut self, now: Instant) -> bool {
        self.faults += 1;
        may_log(&mut self.last_logged_input, now)
    }

    /// The load as in [`LOAD`], if it was measured since the last call.
    pub(crate) fn take_load(&mut self) -> Option<[f64; 2]> {
        std::mem::take(&mut self.has_new_load).then(|| [self.load.mean, self.load.peak].map(percent))
    }

    /// All values, as updates under `/status`.
    pub(crate) fn lines(&self) -> Vec<Update> {
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

fn may_log(last: &mut Option<Instant>, now: Instant) -> bool {
    let is_allowed = last.is_none_or(|before| now.duration_since(before) >= LOG_PERIOD);
    if is_allowed {
        *last = Some(now);
    }
    is_allowed
}
