//! Rows that several kinds have in their tables: one knob, one name, one range everywhere.

use crate::dsp::dynamics::side_chain::{Detector, KeyValues, Shape, Values};
use crate::param::{Param, Unit};

/// What each detector is called, in the order of [`detector_of`].
const DETECTORS: [&str; 3] = ["peak", "rms", "program"];

/// How far filters of linear phase reach.
pub const fn reach(slot: usize) -> Param {
    Param::new(slot, "reach", Unit::Ms).range(20.0, 400.0).default(170.0).log().setting().help(
        "How far linear phase reaches to both sides, and so its latency; the longer, the lower and narrower it is exact.",
    )
}

/// Threshold of a compressor.
pub const fn threshold(slot: usize) -> Param {
    Param::new(slot, "threshold", Unit::Dbfs)
        .range(-60.0, 0.0)
        .default(-18.0)
        .help("Level above which the level is reduced, or below which it is raised.")
}

/// Ratio of a compressor.
pub const fn ratio(slot: usize) -> Param {
    Param::new(slot, "ratio", Unit::Ratio)
        .range(1.0, 50.0)
        .default(2.0)
        .log()
        .top("inf")
        .help("How many dB in make one dB out beyond the threshold.")
}

/// Knee of a compressor.
pub const fn knee(slot: usize) -> Param {
    Param::new(slot, "knee", Unit::Db)
        .range(0.0, 24.0)
        .default(6.0)
        .help("Width of the bend around the threshold.")
}

/// Attack of a compressor.
pub const fn attack(slot: usize) -> Param {
    Param::new(slot, "attack", Unit::Ms)
        .range(0.05, 250.0)
        .default(10.0)
        .log()
        .help("Time to reduce by 63 % of what is wanted.")
}

/// Release of a compressor.
pub const fn release(slot: usize) -> Param {
    Param::new(slot, "release", Unit::Ms)
        .range(5.0, 5000.0)
        .default(150.0)
        .log()
        .top("auto")
        .help("Time to let go by 63 %; auto lets peaks go fast and dense passages slowly.")
}

/// Make-up gain of a compressor.
pub const fn makeup(slot: usize) -> Param {
    Param::new(slot, "makeup", Unit::Gain).range(-12.0, 24.0).help("Gain after the reduction.")
}

/// Range of a compressor.
pub const fn range(slot: usize) -> Param {
    Param::new(slot, "range", Unit::Db)
        .range(0.0, 60.0)
        .default(60.0)
        .top("off")
        .help("Most that the level is reduced, or raised.")
}

/// Hold of a compressor.
pub const fn hold(slot: usize) -> Param {
    Param::new(slot, "hold", Unit::Ms)
        .range(0.0, 500.0)
        .help("Time that a reduction is held before it is let go.")
}

/// Detector of a compressor.
pub const fn detector(slot: usize) -> Param {
    Param::new(slot, "detector", Unit::Choice(&DETECTORS)).setting().help(
        "What counts: each peak, the root mean square (a sine reads 3 dB less), or peaks with times that shorten as the crest factor grows.",
    )
}

/// Averaging time of an RMS detector.
pub const fn rms_window(slot: usize) -> Param {
    Param::new(slot, "rms_window", Unit::Ms)
        .range(1.0, 500.0)
        .default(30.0)
        .log()
        .help("Time over which the rms detector averages.")
}

/// Link of channels.
pub const fn link(slot: usize) -> Param {
    Param::new(slot, "link", Unit::Percent)
        .range(0.0, 100.0)
        .default(100.0)
        .help("How far the channels are reduced together: 100 % keeps the stereo image.")
}

/// Direction of a compressor.
pub const fn mode(slot: usize) -> Param {
    Param::new(slot, "mode", Unit::Choice(&["downward", "upward"])).setting().help(
        "Downward lowers what is above the threshold; upward raises what is below it, by 24 dB at most, ever less below -60 dBFS and nothing below -80.",
    )
}

/// The shape that a compressor's settings give.
pub fn shape(detector: f64, mode: f64, feedback: bool) -> Shape {
    let detector = [Detector::Peak, Detector::Rms, Detector::Program][(detector as usize).min(2)];
    Shape { detector, upward: mode > 0.0, feedback }
}

/// What a compressor's rows give, in the order threshold, ratio, knee, range, attack, release, hold, rms_window, link.
pub fn values([threshold, ratio, knee, range, attack, release, hold, rms_window, link]: [f64; 9]) -> Values {
    Values {
        threshold,
        slope: if ratio >= self::ratio(0).max { 1.0 } else { 1.0 - 1.0 / ratio },
        knee,
        range: if range >= self::range(0).max { f64::INFINITY } else { range },
        attack,
        release: (release < self::release(0).max).then_some(release),
        hold,
        rms_window,
        link,
        key: KeyValues::default(),
    }
}
