//! Meters: levels, loudness and correlation of a tap.
//!
//! Loudness and true peak by the `ebur128` crate: ITU-R BS.1770-5 and EBU Tech 3341/3342.

use crate::taps::Tap;
use ebur128::{EbuR128, Mode};
use lacquer_control::notice::Line;

/// Below this a level is told as this, in dB.
pub const FLOOR: f64 = -120.0;

/// The meters of one tap.
pub struct Meters {
    tap: Tap,
    loudness: Option<EbuR128>,
    peak: f32,
    squares: f64,
    /// Sums for the correlation: left times right, left and right squared.
    products: [f64; 3],
    frames: usize,
}

/// What the meters show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// Highest sample since the last look, dBFS.
    pub peak: f64,
    /// RMS of all channels since the last look, dB re a full-scale square wave.
    pub rms: f64,
    /// Momentary loudness, LUFS.
    pub momentary: f64,
    /// Short-term loudness, LUFS.
    pub shortterm: f64,
    /// Integrated loudness, LUFS.
    pub integrated: f64,
    /// Loudness range, LU.
    pub range: f64,
    /// Highest true peak since the start, dBTP.
    pub truepeak: f64,
    /// Correlation of the first two channels since the last look, -1 to 1; 0 in silence.
    pub correlation: f64,
}

impl Meters {
    /// The meters of `tap`.
    pub fn new(tap: Tap) -> Self {
        // Without the histogram the meter would keep every block of months.
        let mode = Mode::M | Mode::S | Mode::I | Mode::LRA | Mode::TRUE_PEAK | Mode::HISTOGRAM;
        let loudness = EbuR128::new(tap.channels as u32, tap.rate as u32, mode).ok();
        Self { tap, loudness, peak: 0.0, squares: 0.0, products: [0.0; 3], frames: 0 }
    }

    /// Takes what has come since the last look, and tells what it shows.
    pub fn look(&mut self) -> Levels {
        let Self { tap, loudness, peak, squares, products, frames } = self;
        let channels = tap.channels;
        tap.drain(|samples| {
            if let Some(meter) = loudness {
                // It refuses only what is not whole frames.
                meter.add_frames_f32(samples).ok();
            }
            for frame in samples.chunks_exact(channels) {
                for sample in frame {
                    *peak = peak.max(sample.abs());
                    *squares += f64::from(*sample) * f64::from(*sample);
                }
                if let [left, right, ..] = frame {
                    let (left, right) = (f64::from(*left), f64::from(*right));
                    for (sum, term) in products.iter_mut().zip([left * right, left * left, right * right]) {
                        *sum += term;
                    }
                }
                *frames += 1;
            }
        });
        let levels = self.levels();
        (self.peak, self.squares, self.products, self.frames) = (0.0, 0.0, [0.0; 3], 0);
        levels
    }

    fn levels(&self) -> Levels {
        let read = |value: Option<f64>| value.filter(|value| value.is_finite()).unwrap_or(FLOOR).max(FLOOR);
        let db = |gain: f64| read(Some(20.0 * gain.log10()));
        let meter = self.loudness.as_ref();
        let samples = (self.frames * self.tap.channels).max(1) as f64;
        let [both, left, right] = self.products;
        let norm = (left * right).sqrt();
        let truepeak = |meter: &EbuR128| {
            let peaks = (0..self.tap.channels as u32).filter_map(|channel| meter.true_peak(channel).ok());
            peaks.fold(0.0, f64::max)
        };
        Levels {
            peak: db(f64::from(self.peak)),
            rms: db((self.squares / samples).sqrt()),
            momentary: read(meter.and_then(|meter| meter.loudness_momentary().ok())),
            shortterm: read(meter.and_then(|meter| meter.loudness_shortterm().ok())),
            integrated: read(meter.and_then(|meter| meter.loudness_global().ok())),
            range: meter.and_then(|meter| meter.loudness_range().ok()).unwrap_or(0.0),
            truepeak: db(meter.map_or(0.0, truepeak)),
            correlation: if norm > 0.0 { both / norm } else { 0.0 },
        }
    }

    /// What they show, as lines under `/meter/TAP`.
    pub fn lines(&self, levels: &Levels) -> Vec<Line> {
        [
            ("peak", levels.peak),
            ("rms", levels.rms),
            ("momentary", levels.momentary),
            ("shortterm", levels.shortterm),
            ("integrated", levels.integrated),
            ("range", levels.range),
            ("truepeak", levels.truepeak),
            ("correlation", levels.correlation),
        ]
        .map(|(name, value)| Line::number(format!("/meter/{}/{name}", self.tap.name), value))
        .into()
    }
}
