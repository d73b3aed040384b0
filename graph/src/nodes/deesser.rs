//! De-esser: reduces the level of the sibilance band while that band is loud.
//!
//! The band filter has linear phase, so that split-band mode has no phase errors: out = in − (1 − gain) · band.
//! Without reduction the output is the delayed input, bit for bit; inside the band the attenuation is exactly the
//! gain, outside it there is none. High-pass: −6 dB at `freq`, 0 dB from 730 Hz above it, −66 dB or less from 730 Hz
//! below it; an octave outside the band the level changes by less than 0.1 dB.
//!
//! The level is the highest peak of the band in the last 2 ms; the static curve is that of the compressor. Attack and
//! release are the times in which the reduction covers 63.2 % of a step in dB, critically damped. Latency: 1.5 ms (72
//! frames at 48 kHz) + `lookahead`.
//!
//! Source of the static curve: D. Giannoulis, M. Massberg, J. D. Reiss, *Digital Dynamic Range Compressor
//! Design*, JAES 60(6), 2012, eq. 4.

use crate::block::{Block, MAX_CHANNELS};
use crate::dsp::delay::line::Delay;
use crate::dsp::dynamics::curve::reduction;
use crate::dsp::dynamics::envelope::{self, PeakHold, SmoothedGain, SmoothingTime};
use crate::dsp::fir::band_split::{self, Band, History};
use crate::node::{Node, NodeType, Params, Setup, Workload, same};
use crate::param::{Param, Unit, db_to_gain};
use crate::reading::{REDUCTION, Readings};

const MODE: Param = Param::new(0, "mode", Unit::Choice(&["split-band", "wide-band"]))
    .setting()
    .help("split-band: only the sibilance band is reduced; wide-band: the whole signal.");
const SHAPE: Param = Param::new(1, "shape", Unit::Choice(&["highpass", "bandpass"]))
    .setting()
    .help("Shape of the sibilance band. highpass: all above freq; bandpass: a band around freq.");
const FREQ: Param = Param::new(2, "freq", Unit::Hz)
    .range(2000.0, 16_000.0)
    .default(6000.0)
    .log()
    .help("Cutoff frequency (-6 dB) of the high-pass, centre frequency of the band-pass.");
const Q: Param = Param::new(3, "q", Unit::Plain)
    .range(1.0, 3.0)
    .default(1.0)
    .log()
    .help("Q of the band-pass: its bandwidth is freq/q.");
const THRESHOLD: Param = Param::new(4, "threshold", Unit::Dbfs)
    .range(-60.0, 0.0)
    .default(-30.0)
    .help("Peak level of the sibilance band above which gain is reduced.");
const RATIO: Param = Param::new(5, "ratio", Unit::Ratio)
    .range(1.0, 50.0)
    .default(4.0)
    .log()
    .top("inf")
    .help("Compression ratio above the threshold: input change to output change, in dB. inf: limiting.");
const KNEE: Param = Param::new(6, "knee", Unit::Db)
    .range(0.0, 24.0)
    .default(6.0)
    .help("Width of the soft knee, centred on the threshold.");
const RANGE: Param =
    Param::new(7, "range", Unit::Db).range(0.0, 24.0).default(10.0).help("Maximum gain reduction.");
const ATTACK: Param = Param::new(8, "attack", Unit::Ms)
    .range(0.05, 50.0)
    .default(0.7)
    .log()
    .help("Attack time: 63 % of a step in gain reduction (dB).");
const RELEASE: Param = Param::new(9, "release", Unit::Ms)
    .range(5.0, 1000.0)
    .default(60.0)
    .log()
    .help("Release time: 63 % of a step in gain reduction (dB).");
const LOOKAHEAD: Param = Param::new(10, "lookahead", Unit::Ms)
    .range(0.0, 10.0)
    .setting()
    .help("Look-ahead: gain reduction starts this long before a sibilant. Adds latency.");
const LISTEN: Param =
    Param::new(11, "listen", Unit::Switch).help("Outputs only the sibilance band, the detector's signal.");
const LINK: Param = Param::new(12, "link", Unit::Percent)
    .range(0.0, 100.0)
    .default(100.0)
    .help("Channel link. 100 %: the same gain on all channels, which keeps the stereo image; 0 %: independent channels.");

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "deesser",
    "De-esser: reduces sibilance, in its band or in the whole signal.",
    &[MODE, SHAPE, FREQ, Q, THRESHOLD, RATIO, KNEE, RANGE, ATTACK, RELEASE, LOOKAHEAD, LISTEN, LINK],
    build,
)
.latency(|setup| band_split::delay(setup.sample_rate) + lookahead(setup))
.readings(&[REDUCTION])
.workloads(&[Workload::new("", "threshold: -20 dB")]);

/// Peak hold of the detector.
const DETECTOR_MS: f64 = 2.0;

fn lookahead(setup: &Setup<'_>) -> usize {
    setup.frames(setup.value(&LOOKAHEAD))
}

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let band = Band::new(setup.sample_rate);
    let lookahead = lookahead(setup);
    let channel = || Channel {
        history: band.history(),
        peak: PeakHold::new(setup.frames(DETECTOR_MS)),
        reduction: SmoothedGain::default(),
        dry: Delay::new(band_split::delay(setup.sample_rate) + lookahead),
        band: Delay::new(lookahead),
    };
    let channels = (0..setup.channels).map(|_| channel()).collect();
    Box::new(Deesser {
        rate: setup.sample_rate,
        is_split: setup.value(&MODE) == 0.0,
        is_highpass: setup.value(&SHAPE) == 0.0,
        designed_for: [f64::NAN; 2],
        band,
        times_of: [f64::NAN; 2],
        attack: SmoothingTime::default(),
        release: SmoothingTime::default(),
        channels,
    })
}

struct Deesser {
    rate: f64,
    is_split: bool,
    is_highpass: bool,
    /// Frequency and Q for which `band` is designed.
    designed_for: [f64; 2],
    band: Band,
    /// Attack and release of the two smoothing times.
    times_of: [f64; 2],
    attack: SmoothingTime,
    release: SmoothingTime,
    channels: Box<[Channel]>,
}

struct Channel {
    history: History,
    peak: PeakHold,
    reduction: SmoothedGain,
    /// The input, delayed like the band.
    dry: Delay,
    band: Delay,
}

/// Reduction of the static curve at `level` dBFS, in dB.
fn target_reduction(level: f64, threshold: f64, ratio: f64, knee: f64, range: f64) -> f64 {
    let slope = if ratio >= RATIO.max { 1.0 } else { 1.0 - 1.0 / ratio };
    reduction(level - threshold, slope, knee).min(range)
}

impl Deesser {
    fn update(&mut self, band_values: [f64; 2], times: [f64; 2]) {
        if self.designed_for != band_values {
            self.designed_for = band_values;
            let [frequency, q] = band_values;
            if self.is_highpass {
                self.band.highpass(frequency);
            } else {
                self.band.bandpass(frequency, q);
            }
        }
        if self.times_of != times {
            self.times_of = times;
            [self.attack, self.release] = times.map(|ms| SmoothingTime::new(ms, self.rate));
        }
    }
}

impl Node for Deesser {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let ramp = |row| params.ramp(row);
        let (mut frequency, mut q) = (ramp(&FREQ), ramp(&Q));
        let (mut threshold, mut ratio, mut knee, mut range) =
            (ramp(&THRESHOLD), ramp(&RATIO), ramp(&KNEE), ramp(&RANGE));
        let (mut attack, mut release) = (ramp(&ATTACK), ramp(&RELEASE));
        let (mut listen, mut link) = (ramp(&LISTEN), ramp(&LINK));
        let mut lowest = 1.0_f64;
        for frame in 0..block.frames() {
            self.update([frequency.tick(), q.tick()], [attack.tick(), release.tick()]);
            let (mut bands, mut levels) = ([0.0; MAX_CHANNELS], [f64::NEG_INFINITY; MAX_CHANNELS]);
            let detectors = bands.iter_mut().zip(&mut levels).zip(&mut self.channels);
            for (channel, ((band, level), past)) in detectors.enumerate() {
                *band = self.band.tick(&mut past.history, *block.at(channel, frame));
                *level = past.peak.tick(*band);
            }
            envelope::link(&mut levels, link.tick());
            let (threshold, ratio, knee, range) = (threshold.tick(), ratio.tick(), knee.tick(), range.tick());
            let listen = listen.tick();
            // Linked channels have the same reduction: its gain is computed once.
            let (mut reduction, mut gain) = (0.0, 1.0);
            for (channel, past) in self.channels.iter_mut().enumerate() {
                let target = target_reduction(levels[channel], threshold, ratio, knee, range);
                let now = past.reduction.tick(target, &self.attack, &self.release).max(0.0);
                if now != reduction {
                    (reduction, gain) = (now, db_to_gain(-now));
                    lowest = lowest.min(gain);
                }
                let sample = block.at(channel, frame);
                let dry = past.dry.tick(*sample);
                let band = past.band.tick(bands[channel]);
                let out = match gain {
                    1.0 => dry,
                    _ if self.is_split => dry + (gain - 1.0) * band,
                    _ => dry * gain,
                };
                *sample = if listen == 0.0 { out } else { out + listen * (band - out) };
            }
        }
        meter.low(0, lowest);
    }

    fn reset(&mut self) {
        for past in &mut self.channels {
            past.history.reset();
            past.peak.reset();
            past.reduction = SmoothedGain::default();
            past.dry.reset();
            past.band.reset();
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        for (past, old) in self.channels.iter_mut().zip(&old.channels) {
            past.history.adopt(&old.history);
            past.peak.adopt(&old.peak);
            past.reduction = old.reduction;
            past.dry.adopt(&old.dry);
            past.band.adopt(&old.band);
        }
    }
}
