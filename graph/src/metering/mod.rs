//! Metering: the measurements of a programme. Off the audio thread: samples come from a tap or a file.
//!
//! ```text
//!  frames ── intake ─┬─ loudness  (M, S, I, LRA: BS.1770-5, EBU Tech 3341/3342)
//!                    ├─ true peak (8-fold)
//!                    ├─ levels    (peak, RMS, DC, clips, correlation, balance)
//!                    └─ spectrum  (files only)
//! ```

pub mod intake;
pub(crate) mod levels;
pub(crate) mod loudness;
pub mod spectrum;

use crate::dsp::fir::true_peak::{Detection, History, Interpolator};
use crate::dsp::speakers::usual;
use crate::param::{Unit, gain_to_db};
pub use crate::reading::FLOOR;
use crate::reading::{Combine, Reading};
use intake::Intake;
use levels::Levels;
use loudness::Loudness;

/// Frames that are worked on at once.
const CHUNK: usize = 64;
/// Number of 10 ms true-peak values in the last three seconds.
const RECENT: usize = 300;

/// All meters of one measuring point, except the spectrum.
pub struct Meters {
    rate: f64,
    intake: Intake,
    loudness: Loudness,
    interpolator: Interpolator,
    histories: Box<[History]>,
    /// Maximum true peak since the start, linear.
    true_peak: f64,
    /// Maximum of each 10 ms of the last three seconds, and the index of the current one.
    recent: Box<[f64]>,
    at: usize,
    in_hop: usize,
    levels: Levels,
}

/// A measurement: the values of all meters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Highest sample since the last measurement, dBFS.
    pub peak: f64,
    /// RMS of all channels since the last measurement, dB relative to a full-scale square wave.
    pub rms: f64,
    /// Crest factor (peak above RMS) since the last measurement, dB.
    pub crest: f64,
    /// Momentary loudness, LUFS.
    pub momentary: f64,
    /// Short-term loudness, LUFS.
    pub shortterm: f64,
    /// Integrated loudness since the start, LUFS.
    pub integrated: f64,
    /// Loudness range since the start, LU.
    pub range: f64,
    /// Maximum momentary loudness since the start, LUFS.
    pub maxmomentary: f64,
    /// Maximum short-term loudness since the start, LUFS.
    pub maxshortterm: f64,
    /// Maximum true peak since the start, dBTP.
    pub truepeak: f64,
    /// Peak-to-loudness ratio: true peak above integrated loudness, LU.
    pub plr: f64,
    /// Peak-to-short-term-loudness ratio: maximum true peak of the last three seconds above short-term loudness, LU.
    pub psr: f64,
    /// Correlation of the first two channels since the last measurement, -1 to 1; 0 in silence.
    pub correlation: f64,
    /// Level of the second channel relative to the first since the last measurement, dB; positive if the right is louder.
    pub balance: f64,
    /// Largest DC offset of a channel since the last measurement, dBFS.
    pub dc: f64,
    /// Clips since the start: runs of three or more samples at full scale.
    pub clips: f64,
    /// Number of NaN and infinite samples since the start, in all channels; they are measured as 0.
    pub nonfinite: f64,
}

/// What is read of a [`Measurement`]: a row, and the value behind it.
pub type Row = (Reading, fn(&Measurement) -> f64);

/// The readings of a tap and of a file, in the order in which they are shown.
pub static READINGS: [Row; 17] = [
    (
        Reading::new("peak", Unit::Dbfs, "Highest sample since the last report.").combine(Combine::Highest),
        |all| all.peak,
    ),
    (
        Reading::new(
            "rms",
            Unit::Dbfs,
            "RMS of all channels since the last report, re a full-scale square wave.",
        ),
        |all| all.rms,
    ),
    (Reading::new("crest", Unit::Db, "Peak above RMS since the last report.").scale(0.0, 24.0), |all| {
        all.crest
    }),
    (Reading::new("momentary", Unit::Lufs, "Momentary loudness: the last 400 ms."), |all| all.momentary),
    (Reading::new("shortterm", Unit::Lufs, "Short-term loudness: the last 3 s."), |all| all.shortterm),
    (Reading::new("integrated", Unit::Lufs, "Integrated loudness since the start, gated."), |all| {
        all.integrated
    }),
    (Reading::new("range", Unit::Lu, "Loudness range since the start."), |all| all.range),
    (Reading::new("maxmomentary", Unit::Lufs, "Highest momentary loudness since the start."), |all| {
        all.maxmomentary
    }),
    (Reading::new("maxshortterm", Unit::Lufs, "Highest short-term loudness since the start."), |all| {
        all.maxshortterm
    }),
    (Reading::new("truepeak", Unit::Dbtp, "Highest true peak since the start.").scale(-24.0, 0.0), |all| {
        all.truepeak
    }),
    (Reading::new("plr", Unit::Lu, "True peak above integrated loudness."), |all| all.plr),
    (Reading::new("psr", Unit::Lu, "Highest true peak of the last 3 s above short-term loudness."), |all| {
        all.psr
    }),
    (
        Reading::new(
            "correlation",
            Unit::Plain,
            "Correlation of the first two channels since the last report; 0 in silence.",
        )
        .scale(-1.0, 1.0),
        |all| all.correlation,
    ),
    (
        Reading::new(
            "balance",
            Unit::Db,
            "Level of the second channel against the first since the last report; above 0 the right is louder.",
        ),
        |all| all.balance,
    ),
    (Reading::new("dc", Unit::Dbfs, "Largest mean of a channel since the last report."), |all| all.dc),
    (
        Reading::new("clips", Unit::Count, "Runs of three or more samples at full scale since the start."),
        |all| all.clips,
    ),
    (
        Reading::new(
            "nonfinite",
            Unit::Count,
            "Samples since the start that were a NaN or an infinity; each counts as silence.",
        ),
        |all| all.nonfinite,
    ),
];

/// The spectrum of a tap: an array that is measured live, as many values as [`Spectrum::thirds`] gives.
///
/// [`Spectrum::thirds`]: spectrum::Spectrum::thirds
pub static SPECTRUM: Reading = Reading::new(
    "spectrum",
    Unit::Dbfs,
    "Level in thirds of an octave, from 20 Hz up to 20 kHz or as far as the rate goes, RMS since the last report.",
)
.array(spectrum::THIRDS);
/// How the loudness was spread: an array.
pub static HISTOGRAM: Reading = Reading::new(
    "histogram",
    Unit::Percent,
    "Share of the 400 ms blocks since the start in each LU, from -70 LUFS up to +20 LUFS.",
)
.array(loudness::BARS);

impl Measurement {
    /// Each reading's row and its value.
    pub fn all(&self) -> impl Iterator<Item = (&'static Reading, f64)> {
        READINGS.iter().map(|(row, value)| (row, value(self)))
    }

    /// The row and the value of the reading of this name.
    pub fn of(&self, name: &str) -> Option<(&'static Reading, f64)> {
        self.all().find(|(row, _)| row.name == name)
    }
}

impl Meters {
    /// Meters for `channels` channels (1 to 8) at `rate` Hz, in the usual layout of that number; six are L R C LFE Ls Rs.
    pub fn new(rate: f64, channels: usize) -> Self {
        Self::placed(rate, channels, usual(channels))
    }

    /// The same with the loudspeaker layout `speakers`: see [`crate::dsp::speakers`].
    pub fn placed(rate: f64, channels: usize, speakers: u32) -> Self {
        Self {
            rate,
            intake: Intake::default(),
            loudness: Loudness::placed(rate, channels, speakers),
            interpolator: Interpolator::new(Detection::Eight),
            histories: vec![History::default(); channels].into_boxed_slice(),
            true_peak: 0.0,
            recent: vec![0.0; RECENT].into_boxed_slice(),
            at: 0,
            in_hop: 0,
            levels: Levels::new(channels),
        }
    }

    /// Measures frames, one plane per channel, all of the same length.
    pub fn add(&mut self, planes: &[Vec<f64>]) {
        let planes = &*self.intake.accept(planes);
        let frames = planes.first().map_or(0, Vec::len);
        self.loudness.add(planes);
        self.levels.add(planes);
        let hop = (self.rate / 100.0).round().max(1.0) as usize;
        let mut from = 0;
        while from < frames {
            let count = CHUNK.min(frames - from).min(hop - self.in_hop);
            let mut peaks = [0.0; CHUNK];
            for (plane, history) in planes.iter().zip(&mut self.histories) {
                self.interpolator.detect(history, &plane[from..from + count], &mut peaks);
            }
            let peak = peaks[..count].iter().copied().fold(0.0, f64::max);
            self.true_peak = self.true_peak.max(peak);
            self.recent[self.at] = self.recent[self.at].max(peak);
            self.in_hop += count;
            if self.in_hop == hop {
                self.in_hop = 0;
                self.at = (self.at + 1) % RECENT;
                self.recent[self.at] = 0.0;
            }
            from += count;
        }
    }

    /// Ends the programme: the last true peaks are read from the delayed detector.
    pub fn finish(&mut self) {
        let mut peaks = vec![0.0; Detection::Eight.delay()];
        for history in &mut self.histories {
            self.interpolator.detect(history, &vec![0.0; peaks.len()], &mut peaks);
        }
        self.true_peak = peaks.into_iter().fold(self.true_peak, f64::max);
    }

    /// Returns all values, and restarts those that are counted since the last measurement.
    pub fn measure(&mut self) -> Measurement {
        let levels = self.levels.measure();
        let limited = |level: f64| level.max(FLOOR);
        let [integrated, shortterm] = [self.loudness.integrated(), self.loudness.shortterm()].map(limited);
        let truepeak = limited(gain_to_db(self.true_peak));
        let recent = limited(gain_to_db(self.recent.iter().copied().fold(0.0, f64::max)));
        let above = |peak: f64, loudness: f64| if loudness > FLOOR { peak - loudness } else { 0.0 };
        let (peak, rms) = (limited(gain_to_db(levels.peak)), limited(gain_to_db(levels.rms)));
        Measurement {
            peak,
            rms,
            crest: above(peak, rms),
            momentary: limited(self.loudness.momentary()),
            shortterm,
            integrated,
            range: self.loudness.range(),
            maxmomentary: limited(self.loudness.max_momentary()),
            maxshortterm: limited(self.loudness.max_shortterm()),
            truepeak,
            plr: above(truepeak, integrated),
            psr: above(recent, shortterm),
            correlation: levels.correlation,
            balance: levels.balance,
            dc: limited(gain_to_db(levels.dc)),
            clips: levels.clips as f64,
            nonfinite: self.intake.nonfinite as f64,
        }
    }

    /// The counts of samples that could not be measured unchanged.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// The loudness meter.
    pub fn loudness(&self) -> &Loudness {
        &self.loudness
    }
}
