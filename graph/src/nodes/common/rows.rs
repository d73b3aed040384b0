//! Table rows that several node types share: the same parameter has the same name and range everywhere.

use crate::dsp::dynamics::side_chain::{Detector, KeyValues, Shape, Values};
use crate::param::{Param, Unit};

/// Names of the detectors, in the order of [`Detector`].
const DETECTORS: [&str; 3] = ["peak", "rms", "program"];

/// Half length of linear-phase filters.
pub(crate) const fn reach(slot: usize) -> Param {
    Param::new(slot, "reach", Unit::Ms).range(20.0, 400.0).default(170.0).log().setting().help(
        "Half the length of the linear-phase filter; sets its latency. Longer: more accurate at low frequencies and in narrow bands.",
    )
}

/// Threshold of a compressor.
pub(crate) const fn threshold(slot: usize) -> Param {
    Param::new(slot, "threshold", Unit::Dbfs)
        .range(-60.0, 0.0)
        .default(-18.0)
        .help("Level above which gain is reduced (downward), or below which it is raised (upward).")
}

/// Ratio of a compressor.
pub(crate) const fn ratio(slot: usize) -> Param {
    Param::new(slot, "ratio", Unit::Ratio)
        .range(1.0, 50.0)
        .default(2.0)
        .log()
        .top("inf")
        .help("Compression ratio beyond the threshold: input change to output change, in dB. inf: limiting.")
}

/// Knee of a compressor.
pub(crate) const fn knee(slot: usize) -> Param {
    Param::new(slot, "knee", Unit::Db)
        .range(0.0, 24.0)
        .default(6.0)
        .help("Width of the soft knee, centred on the threshold.")
}

/// Attack of a compressor.
pub(crate) const fn attack(slot: usize) -> Param {
    Param::new(slot, "attack", Unit::Ms)
        .range(0.05, 250.0)
        .default(10.0)
        .log()
        .help("Attack time: 63 % of a step in gain reduction (dB).")
}

/// Release of a compressor.
pub(crate) const fn release(slot: usize) -> Param {
    Param::new(slot, "release", Unit::Ms)
        .range(5.0, 5000.0)
        .default(150.0)
        .log()
        .top("auto")
        .help("Release time constant (63 %). auto: program-dependent, two stages.")
}

/// Make-up gain of a compressor.
pub(crate) const fn makeup(slot: usize) -> Param {
    Param::new(slot, "makeup", Unit::Gain).range(-12.0, 24.0).help("Make-up gain, after the gain reduction.")
}

/// Range of a compressor.
pub(crate) const fn range(slot: usize) -> Param {
    Param::new(slot, "range", Unit::Db).range(0.0, 60.0).default(60.0).top("off").help(
        "Largest gain change. Mode downward: maximum gain reduction; mode upward: maximum gain increase.",
    )
}

/// Hold of a compressor.
pub(crate) const fn hold(slot: usize) -> Param {
    Param::new(slot, "hold", Unit::Ms)
        .range(0.0, 500.0)
        .help("Hold time of the gain reduction, before the release.")
}

/// Detector of a compressor.
pub(crate) const fn detector(slot: usize) -> Param {
    Param::new(slot, "detector", Unit::Choice(&DETECTORS)).setting().help(
        "Level detection. peak; rms (a sine reads 3 dB lower); program: peak, with attack and release times that shorten as the crest factor grows.",
    )
}

/// Time constant of the RMS detector.
pub(crate) const fn rms_window(slot: usize) -> Param {
    Param::new(slot, "rms_window", Unit::Ms)
        .range(1.0, 500.0)
        .default(30.0)
        .log()
        .help("Time constant of the RMS detector.")
}

/// Channel link of a compressor.
pub(crate) const fn link(slot: usize) -> Param {
    Param::new(slot, "link", Unit::Percent)
        .range(0.0, 100.0)
        .default(100.0)
        .help("Channel link. 100 %: the same gain on all channels, which keeps the stereo image; 0 %: independent channels.")
}

/// Direction of a compressor.
pub(crate) const fn mode(slot: usize) -> Param {
    Param::new(slot, "mode", Unit::Choice(&["downward", "upward"])).setting().help(
        "downward: reduces levels above the threshold; upward: raises levels below it by up to 24 dB, less from -60 dBFS down, nothing below -80 dBFS.",
    )
}

/// The structure of a gain computer, from the values of the settings.
pub(crate) fn shape(detector: f64, mode: f64, feedback: bool) -> Shape {
    let detector = [Detector::Peak, Detector::Rms, Detector::Program][(detector as usize).min(2)];
    Shape { detector, upward: mode > 0.0, feedback }
}

/// The parameters of a gain computer from row values, in the order threshold, ratio, knee, range, attack, release,
/// hold, rms_window, link.
pub(crate) fn values(
    [threshold, ratio, knee, range, attack, release, hold, rms_window, link]: [f64; 9],
) -> Values {
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
