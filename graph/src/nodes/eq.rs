//! Equaliser: up to 24 bands, each on all channels, left, right, mid or side; dynamic if `range` is given.
//!
//! Minimum phase: latency 0 frames. The magnitude is that of the analogue prototype up to 20 kHz, within 0.1 dB: see
//! `dsp/filter/matched.rs`. A bell or shelf at 0 dB leaves the signal bit-identical. While a band moves, its
//! coefficients are updated every 16 frames and interpolated between, so no steps are audible.
//!
//! Linear and mixed phase: an FIR filter with the same magnitude, see `dsp/fir/linear`. Latency: `reach`; with mixed
//! phase about 31 ms at most. A change is a crossfade of about 30 ms to a newly designed filter; changes during a
//! design are combined in the next one. All-passes, and the dynamic part of a band, are minimum-phase filters after
//! it.
//!
//! A dynamic band changes its gain by up to `range` as the level in its part of the spectrum (peak, before the
//! equaliser or of the side-chain) rises above `threshold`: by (1 - 1/ratio) dB for each dB. Attack and release are
//! the times in which the change covers 63.2 % of a step in dB.

use crate::block::{Block, MAX_CHANNELS, Plane, SUBBLOCK};
use crate::dsp::delay::line::Delay;
use crate::dsp::dynamics::detector::{BandDetector, Curve};
use crate::dsp::dynamics::eq_band::Band;
use crate::dsp::filter::band_shape::{BandFilter, BandValues, Place, Shape, UNSET};
use crate::dsp::filter::cascade::{Cascade, SIDES, SPAN};
use crate::dsp::filter::k_weighting::{PROBES, pink_power};
use crate::dsp::filter::matched::Matcher;
use crate::dsp::filter::wavefront_section::StateSpace;
use crate::dsp::fir::linear::design::Reach;
use crate::dsp::fir::linear::equaliser::Equaliser;
use crate::node::{Node, NodeType, Params, Parts, Setup, same};
use crate::nodes::common::{rows, workloads};
use crate::param::ramp::Ramp;
use crate::param::{Param, Unit, db_to_gain};
use crate::reading::{GAIN_CHANGE, Readings};
use std::array::from_fn;
use std::ops::Range;

const SLOPES: [&str; 8] =
    ["6 dB/oct", "12 dB/oct", "18 dB/oct", "24 dB/oct", "36 dB/oct", "48 dB/oct", "72 dB/oct", "96 dB/oct"];
/// Order of the filter for each slope.
const ORDERS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];
const PHASES: [&str; 3] = ["minimum", "linear", "mixed"];

const AUTO_GAIN: Param = Param::new(0, "auto_gain", Unit::Switch)
    .help("Automatic gain: compensates the loudness change of the bands, for K-weighted pink noise.");
const PHASE: Param = Param::new(1, "phase", Unit::Choice(&PHASES)).setting().help(
    "Phase response. minimum: no latency; linear: constant delay; mixed: minimum phase below 100 Hz, linear above 400 Hz.",
);
const REACH: Param = rows::reach(2);

const SHAPE: Param =
    Param::new(0, "shape", Unit::Choice(&Shape::NAMES)).setting().help("Filter shape of the band.");
const FREQ: Param = Param::new(1, "freq", Unit::Hz)
    .range(10.0, 20_000.0)
    .default(1000.0)
    .log()
    .help("Centre frequency of a bell, band-pass, notch or all-pass; midpoint of a shelf or tilt; -3 dB point of a high-pass or low-pass.");
const GAIN: Param = Param::new(2, "gain", Unit::Db)
    .range(-24.0, 24.0)
    .help("Boost or cut of a bell or shelf. tilt: half of it as boost above freq, half as cut below.");
const Q: Param = Param::new(3, "q", Unit::Plain)
    .range(0.1, 24.0)
    .default(std::f64::consts::FRAC_1_SQRT_2)
    .log()
    .help("Q: bandwidth of a bell, band-pass, notch or all-pass; steepness of a shelf or tilt; resonance of a 12 dB/oct high-pass or low-pass.");
const SLOPE: Param = Param::new(4, "slope", Unit::Choice(&SLOPES))
    .default(1.0)
    .setting()
    .help("Slope of a high-pass or low-pass. All but 12 dB/oct are Butterworth.");
const ON: Param =
    Param::new(5, "on", Unit::Switch).default(1.0).help("Band on or off. Switching is a short fade.");
const PLACE: Param = Param::new(6, "place", Unit::Choice(&Place::NAMES)).setting().help(
    "Channels that the band processes. stereo: all; left, right, mid or side: of the first two channels.",
);
const RANGE: Param = Param::new(7, "range", Unit::Db).range(-24.0, 24.0).help(
    "Dynamic range of a bell, shelf or tilt: largest gain change; negative compresses, positive expands; 0 = static.",
);
const THRESHOLD: Param = Param::new(8, "threshold", Unit::Dbfs)
    .range(-80.0, 0.0)
    .default(-30.0)
    .help("Peak level in the band above which the dynamic gain changes.");
const RATIO: Param =
    Param::new(9, "ratio", Unit::Ratio).range(1.0, 50.0).default(2.0).log().top("inf").help(
        "Ratio of the dynamic band: the gain changes by (1 - 1/ratio) dB for each dB above the threshold.",
    );
const ATTACK: Param = Param::new(10, "attack", Unit::Ms)
    .range(1.0, 500.0)
    .default(10.0)
    .log()
    .help("Attack time of the dynamic band: 63 % of a step in gain (dB).");
const RELEASE: Param = Param::new(11, "release", Unit::Ms)
    .range(5.0, 5000.0)
    .default(150.0)
    .log()
    .help("Release time of the dynamic band: 63 % of a step in gain (dB).");

const BANDS: Parts = Parts {
    name: "band",
    list: "bands",
    rows: &[SHAPE, FREQ, GAIN, Q, SLOPE, ON, PLACE, RANGE, THRESHOLD, RATIO, ATTACK, RELEASE],
    least: 0,
    most: 24,
    last_lacks: None,
    picked_by: None,
};

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "eq",
    "Parametric equaliser of up to 24 bands, each static or dynamic.",
    &[AUTO_GAIN, PHASE, REACH],
    build,
)
.parts(&BANDS)
.key()
.latency(|setup| reach(setup).map_or(0, |reach| reach.latency))
.readings(&[GAIN_CHANGE])
.settles_in(settles_in)
// One channel, the middle and the side are treated otherwise than the rest.
.per_channel(Some(&[(PLACE, 0.0)]))
.onset(onset)
.transparent_at(&[])
.workloads(&workloads::EQUALISER);

/// Where mixed phase begins to be linear, in Hz.
const MIXED_ABOVE: f64 = 400.0;
/// Largest automatic gain, in dB.
const AUTO_RANGE: f64 = 24.0;

/// Length of the FIR filters; `None` for minimum phase.
fn reach(setup: &Setup<'_>) -> Option<Reach> {
    let frames = setup.frames(setup.value(&REACH));
    match PHASES[setup.value(&PHASE) as usize] {
        "linear" => Some(Reach::linear(setup.sample_rate, frames)),
        "mixed" => Some(Reach::mixed(setup.sample_rate, frames)),
        _ => None,
    }
}

fn form(setup: &Setup<'_>, band: usize) -> BandFilter {
    let shape = Shape::ALL[setup.part_value(band, &SHAPE) as usize];
    let order = match shape {
        Shape::HighPass | Shape::LowPass => ORDERS[setup.part_value(band, &SLOPE) as usize],
        _ => 2,
    };
    BandFilter { shape, order }
}

fn settles_in(setup: &Setup<'_>) -> f64 {
    let filters = reach(setup).map_or(0, |reach| 2 * reach.taps) as f64 / setup.sample_rate;
    let ringing = |band| {
        let [freq, gain, range, q] = [FREQ, GAIN, RANGE, Q].map(|row| setup.part_value(band, &row));
        form(setup, band).ringing_s(freq, gain.abs() + range.abs(), q)
    };
    0.2 + filters + (0..setup.parts).map(ringing).fold(0.0, f64::max)
}

/// Mixed phase is late by its latency above the lows only, of which a low-pass in the lows leaves nothing.
fn onset(setup: &Setup<'_>) -> Option<usize> {
    let is_low =
        |band| form(setup, band).shape == Shape::LowPass && setup.part_value(band, &FREQ) < MIXED_ABOVE;
    let is_mixed = reach(setup).is_some_and(|reach| reach.is_mixed);
    (!is_mixed || !(0..setup.parts).any(is_low)).then_some(0)
}

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let mut sections = 0;
    let reach = reach(setup);
    let band = |index| {
        let form = form(setup, index);
        let first = sections;
        sections += form.sections();
        Band {
            filter: form,
            place: Place::ALL[setup.part_value(index, &PLACE) as usize],
            is_minimum: reach.is_none() || form.shape == Shape::AllPass,
            sections: first..sections,
            designed_for: UNSET,
            measured_for: UNSET,
            is_dynamic: false,
            detector: BandDetector::new(setup.sample_rate, SPAN),
            powers: [1.0; PROBES.len()],
        }
    };
    let bands: Box<[Band]> = (0..setup.parts).map(band).collect();
    let linear = reach.map(|reach| {
        let bands: Vec<_> = bands.iter().map(|band| (band.filter, band.place)).collect();
        let value = |index: usize, row: &Param| row.audio(setup.part_value(index, row));
        let wanted = |index| wanted(|row| value(index, row));
        Linear {
            filters: Equaliser::new(setup.sample_rate, reach, setup.channels, &bands, &wanted),
            detector_signal: vec![Delay::new(reach.latency); setup.key_channels].into_boxed_slice(),
        }
    });
    let mid_side = bands.iter().flat_map(|band| band.sections.clone().map(|_| band.place.is_mid_side()));
    // The last section is the automatic gain.
    let cascade = Cascade::new(mid_side.chain([false]).collect(), setup.channels);
    Box::new(Eq {
        rate: setup.sample_rate,
        matcher: Matcher::new(setup.sample_rate),
        linear,
        bands,
        cascade,
        targets: vec![[StateSpace::IDENTITY; SIDES]; sections + 1].into_boxed_slice(),
        is_gliding: false,
        is_settled: false,
        clock: 0,
        detector_signal: Box::new([[0.0; SUBBLOCK]; MAX_CHANNELS]),
        auto_gain: f64::NAN,
    })
}

/// The values of the linear-phase part of a band.
fn wanted(value: impl Fn(&Param) -> f64) -> BandValues {
    // A band that is off need not follow its parameters.
    if value(&ON) > 0.0 { ([FREQ, GAIN, Q].map(|row| value(&row)), true) } else { ([0.0; 3], false) }
}

struct Eq {
    rate: f64,
    matcher: Matcher,
    /// FIR filters of linear or mixed phase.
    linear: Option<Linear>,
    bands: Box<[Band]>,
    /// The sections of all bands in series.
    cascade: Cascade,
    /// Targets of the coefficients.
    targets: Box<[[StateSpace; SIDES]]>,
    is_gliding: bool,
    /// Whether everything was at rest in the last block; it still is unless a value moves.
    is_settled: bool,
    /// Frames since the last update of the coefficients.
    clock: usize,
    /// The detector signal.
    detector_signal: Box<[Plane; MAX_CHANNELS]>,
    /// The value of `auto_gain` at the last update; NaN before the first.
    auto_gain: f64,
}

/// The part with linear or mixed phase, before the cascade.
struct Linear {
    filters: Equaliser,
    /// Delays of the detector signal, which align it with the output of the filters.
    detector_signal: Box<[Delay]>,
}

/// The factor that compensates the loudness change of the bands for pink noise.
fn loudness_gain(bands: &[Band], rate: f64) -> f64 {
    let power = pink_power(rate, bands.iter().map(|band| &band.powers));
    db_to_gain((-10.0 * power.max(1e-12).log10()).clamp(-AUTO_RANGE, AUTO_RANGE))
}

/// The ramp of a row, `frames` frames after the start of the block.
fn at(params: &Params<'_>, row: &Param, frames: usize) -> Ramp {
    let mut ramp = params.ramp(row);
    ramp.advance(frames + 1);
    ramp
}

/// Whether a value is not 0, or is moving.
fn is_something(ramp: &Ramp) -> bool {
    ramp.value() != 0.0 || ramp.is_moving()
}

impl Eq {
    /// Whether the coefficients match the values, and the values are at rest.
    fn is_at_rest(&self, params: &Params<'_>) -> bool {
        let stands = |(index, band): (usize, &Band)| {
            let params = params.part(index);
            let values = [FREQ, GAIN, Q].map(|row| params.value(&row));
            let made = band.cascaded(values, 0.0, params.value(&ON) > 0.0);
            band.designed_for == made && !is_something(&params.ramp(&RANGE))
        };
        !self.is_gliding
            && self.auto_gain == params.value(&AUTO_GAIN)
            && self.bands.iter().enumerate().all(stands)
    }

    /// Updates the targets of all coefficients to the values `frames` frames after the start of the block.
    fn aim(&mut self, params: &Params<'_>, frames: usize, meter: &mut Readings) {
        let Self { rate, matcher, bands, cascade, targets, auto_gain, .. } = self;
        let is_new = auto_gain.is_nan();
        let auto = at(params, &AUTO_GAIN, frames).value();
        let mut farthest: f64 = 0.0;
        for (index, band) in bands.iter_mut().enumerate() {
            let params = params.part(index);
            let is_on = is_something(&at(&params, &ON, frames));
            band.is_dynamic = is_something(&at(&params, &RANGE, frames));
            let at = |row| at(&params, row, frames).value();
            let (freq, gain, q) = (at(&FREQ), at(&GAIN), at(&Q));
            let mut amount = 0.0;
            if band.is_dynamic {
                let ratio = at(&RATIO);
                let slope = if ratio >= RATIO.max { 1.0 } else { 1.0 - 1.0 / ratio };
                let [threshold, range, attack, release] = [&THRESHOLD, &RANGE, &ATTACK, &RELEASE].map(at);
                band.detector.tune(band.detector_region(), freq, q);
                amount = band.detector.gain_change(&Curve { threshold, slope, range, attack, release });
                if is_on && amount.abs() > farthest.abs() {
                    farthest = amount;
                }
            }
            if auto > 0.0 {
                band.measure(([freq.min(matcher.highest_hz()), gain, q], is_on));
            }
            let made = band.cascaded([freq, gain, q], amount, is_on);
            if band.designed_for == made {
                continue;
            }
            let is_first = band.designed_for.0[0].is_nan();
            band.design(*rate, matcher, made, targets);
            for section in band.sections.clone().filter(|_| is_first) {
                cascade.set(section, targets[section]);
            }
        }
        *auto_gain = auto;
        let loudness = if auto > 0.0 { loudness_gain(bands, *rate) } else { 1.0 };
        if let Some(level) = targets.last_mut() {
            *level = [StateSpace::level(1.0 + auto * (loudness - 1.0)); SIDES];
            if is_new {
                cascade.set(cascade.sections() - 1, *level);
            }
        }
        let arrived = targets.iter().enumerate().map(|(section, target)| cascade.set_target(section, target));
        self.is_gliding = arrived.fold(false, |gliding, arrived| gliding | !arrived);
        if bands.iter().any(|band| band.is_dynamic) {
            let gain = db_to_gain(farthest);
            meter.gain_change(0, gain, gain);
        }
    }

    /// Reads the detector signal, and applies the linear-phase filters.
    fn read_detector_signal(&mut self, block: &mut Block<'_>, params: &Params<'_>) {
        let frames = block.frames();
        for channel in 0..block.key_width() {
            (0..frames).for_each(|frame| self.detector_signal[channel][frame] = block.key(channel, frame));
        }
        let Some(Linear { filters, detector_signal }) = &mut self.linear else { return };
        for (plane, delay) in self.detector_signal.iter_mut().zip(detector_signal) {
            delay.process(&mut plane[..frames]);
        }
        let width = block.width();
        let mut channels = block.channels();
        let mut channels: [&mut [f64]; MAX_CHANNELS] = from_fn(|_| channels.next().unwrap_or_default());
        filters.process(&mut channels[..width], |index| {
            let params = params.part(index);
            wanted(|row| params.ramp(row).target())
        });
    }

    /// Processes `frames` of the block, up to the next update of the coefficients.
    fn piece(&mut self, block: &mut Block<'_>, params: &Params<'_>, frames: Range<usize>) {
        let Self { bands, cascade, detector_signal, .. } = self;
        let detector_signal = &detector_signal[..block.key_width()];
        let last = cascade.sections() - 1;
        let mut fades = [[1.0; SPAN]; BANDS.most];
        let mut is_fading = [false; BANDS.most];
        for (index, band) in bands.iter_mut().enumerate() {
            let params = params.part(index);
            if band.is_dynamic {
                band.update_detector(detector_signal, frames.clone());
            }
            let mut on = params.ramp(&ON);
            is_fading[index] = on.is_moving() || on.value() < 1.0;
            if is_fading[index] {
                on.advance(frames.start);
                fades[index][..frames.len()].fill_with(|| on.tick());
            }
        }
        let mut channels = block.channels().enumerate();
        while let Some((channel, first)) = channels.next() {
            let second = channels.next().map(|(_, second)| &mut second[frames.clone()]);
            let fading = |index: usize| is_fading[index].then_some(&fades[index]);
            let parts = bands.iter().enumerate().map(|(index, band)| (band.sections.clone(), fading(index)));
            let parts = parts.chain([(last..last + 1, None)]);
            cascade.glide(channel, &mut first[frames.clone()], second, parts);
        }
        drop(channels);
        cascade.advance(frames.len());
    }
}

impl Node for Eq {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let frames = block.frames();
        self.is_settled = !params.are_moving() && (self.is_settled || self.is_at_rest(params));
        if !self.is_settled || self.linear.is_some() {
            self.read_detector_signal(block, params);
        }
        if !self.is_settled {
            let mut from = 0;
            while from < frames {
                if self.clock == 0 {
                    self.aim(params, from, meter);
                }
                let count = (SPAN - self.clock).min(frames - from);
                self.piece(block, params, from..from + count);
                self.clock = (self.clock + count) % SPAN;
                from += count;
            }
            return;
        }
        self.clock = (self.clock + frames) % SPAN;
        let mut channels = block.channels().enumerate();
        while let Some((channel, first)) = channels.next() {
            let second = channels.next().map(|(_, second)| second);
            self.cascade.process(channel, first, second);
        }
    }

    fn reset(&mut self) {
        self.cascade.reset();
        (self.is_gliding, self.is_settled) = (false, false);
        (self.clock, self.auto_gain) = (0, f64::NAN);
        for band in &mut self.bands {
            (band.designed_for, band.is_dynamic) = (UNSET, false);
            band.detector.reset();
        }
        if let Some(Linear { filters, detector_signal }) = &mut self.linear {
            filters.reset();
            detector_signal.iter_mut().for_each(Delay::reset);
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        if let (Some(level), Some(before)) = (self.targets.last_mut(), old.targets.last()) {
            *level = *before;
            self.cascade.adopt(self.cascade.sections() - 1, &old.cascade, old.cascade.sections() - 1);
        }
        (self.is_gliding, self.is_settled) = (old.is_gliding, false);
        (self.clock, self.auto_gain) = (old.clock, old.auto_gain);
        for (band, before) in self.bands.iter_mut().zip(&old.bands) {
            let is_same = band.is_minimum == before.is_minimum;
            if is_same && (band.filter, band.place) == (before.filter, before.place) {
                band.designed_for = before.designed_for;
                (band.measured_for, band.powers) = (before.measured_for, before.powers);
                band.is_dynamic = before.is_dynamic;
                band.detector = before.detector.clone();
                for (section, before) in band.sections.clone().zip(before.sections.clone()) {
                    self.cascade.adopt(section, &old.cascade, before);
                    self.targets[section] = old.targets[before];
                }
            }
        }
        if let (Some(linear), Some(old)) = (&mut self.linear, &old.linear) {
            linear.filters.adopt(&old.filters);
            linear
                .detector_signal
                .iter_mut()
                .zip(&old.detector_signal)
                .for_each(|(delay, old)| delay.adopt(old));
        }
    }

    fn adopt_more(&mut self, old: &dyn Node, _frames: usize) -> usize {
        let old = same::<Self>(old).and_then(|old| old.linear.as_ref());
        self.linear.as_mut().zip(old).map_or(0, |(linear, old)| linear.filters.adopt_more(&old.filters))
    }
}
