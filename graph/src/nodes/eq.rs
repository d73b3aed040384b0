//! Equaliser: up to 24 bands, minimum phase.
//!
//! Latency 0 frames. A bell or shelf at 0 dB leaves the signal as it is to within rounding. While a band
//! moves its coefficients are made anew for every frame, so no move is heard as steps.

use crate::block::Block;
use crate::dsp::cascade::Cascade;
use crate::dsp::svf::{Coeffs, butterworth_q};
use crate::meter::Meter;
use crate::node::{Kind, Node, Params, Parts, Setup, same};
use crate::param::{Param, Unit};

const SHAPES: [&str; 9] =
    ["bell", "lowshelf", "highshelf", "tilt", "highpass", "lowpass", "bandpass", "notch", "allpass"];
const SLOPES: [&str; 8] =
    ["6 dB/oct", "12 dB/oct", "18 dB/oct", "24 dB/oct", "36 dB/oct", "48 dB/oct", "72 dB/oct", "96 dB/oct"];
/// Order of the filter for each slope.
const ORDERS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

const SHAPE: Param = Param::new(0, "shape", Unit::Choice(&SHAPES)).setting().help("What the band does.");
const FREQ: Param = Param::new(1, "freq", Unit::Hz)
    .range(10.0, 20_000.0)
    .default(1000.0)
    .log()
    .help("Centre of a bell, band or notch, middle of a shelf or tilt, -3 dB point of a pass filter.");
const GAIN: Param = Param::new(2, "gain", Unit::Db).range(-24.0, 24.0).help(
    "Boost or cut of a bell or shelf; a tilt raises the highs by half of it and lowers the lows by as much.",
);
const Q: Param = Param::new(3, "q", Unit::Plain)
    .range(0.1, 24.0)
    .default(std::f64::consts::FRAC_1_SQRT_2)
    .log()
    .help("Narrowness of a bell, band, notch or allpass, steepness of a shelf, resonance of a 12 dB/oct pass filter.");
const SLOPE: Param = Param::new(4, "slope", Unit::Choice(&SLOPES))
    .default(1.0)
    .setting()
    .help("Steepness of a pass filter; all but 12 dB/oct are Butterworth.");
const ON: Param = Param::new(5, "on", Unit::Switch)
    .default(1.0)
    .help("Whether the band is heard; the change is a short fade.");

const BANDS: Parts =
    Parts { name: "band", list: "bands", rows: &[SHAPE, FREQ, GAIN, Q, SLOPE, ON], most: 24 };

/// See the module.
pub const KIND: Kind = Kind::new("eq", "Parametric equaliser of up to 24 bands.", &[], build).parts(&BANDS);

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let mut sections = 0;
    let band = |index| {
        let shape = setup.part_value(index, &SHAPE) as usize;
        let order = match SHAPES[shape] {
            "highpass" | "lowpass" => ORDERS[setup.part_value(index, &SLOPE) as usize],
            _ => 2,
        };
        let first = sections;
        sections += order.div_ceil(2);
        Band { shape, order, rate: setup.sample_rate, first, made_for: [f64::NAN; 3], is_on: false }
    };
    let bands = (0..setup.parts).map(band).collect();
    Box::new(Eq { bands, cascade: Cascade::new(sections, setup.channels) })
}

struct Eq {
    bands: Box<[Band]>,
    /// The sections of all bands in a row. Those of a band that is off are wires.
    cascade: Cascade,
}

struct Band {
    shape: usize,
    order: usize,
    rate: f64,
    /// Its first section.
    first: usize,
    /// Frequency, gain and q that its sections stand for, and whether they do.
    made_for: [f64; 3],
    is_on: bool,
}

impl Band {
    fn sections(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.order.div_ceil(2)
    }

    fn make(&mut self, cascade: &mut Cascade, values: [f64; 3], is_on: bool) {
        if self.made_for == values && self.is_on == is_on {
            return;
        }
        (self.made_for, self.is_on) = (values, is_on);
        for (index, section) in self.sections().enumerate() {
            let coeffs = if is_on { self.coeffs(index, values) } else { Coeffs::WIRE };
            cascade.set(section, &coeffs);
        }
    }

    fn coeffs(&self, index: usize, [freq, gain, q]: [f64; 3]) -> Coeffs {
        let (rate, order) = (self.rate, self.order);
        let is_real_pole = order % 2 == 1 && index == order / 2;
        let q = if order == 2 { q } else { butterworth_q(order, index) };
        match (SHAPES[self.shape], is_real_pole) {
            ("bell", _) => Coeffs::bell(rate, freq, gain, q),
            ("lowshelf", _) => Coeffs::lowshelf(rate, freq, gain, q),
            ("highshelf", _) => Coeffs::highshelf(rate, freq, gain, q),
            ("tilt", _) => Coeffs::tilt(rate, freq, gain, q),
            ("bandpass", _) => Coeffs::bandpass(rate, freq, q),
            ("notch", _) => Coeffs::notch(rate, freq, q),
            ("allpass", _) => Coeffs::allpass(rate, freq, q),
            ("highpass", true) => Coeffs::highpass6(rate, freq),
            ("highpass", false) => Coeffs::highpass(rate, freq, q),
            (_, true) => Coeffs::lowpass6(rate, freq),
            (_, false) => Coeffs::lowpass(rate, freq, q),
        }
    }

    /// Frame by frame, with coefficients of its own for each.
    fn process_moving(&mut self, cascade: &mut Cascade, block: &mut Block<'_>, params: &Params<'_>) {
        let (mut freq, mut gain, mut q) = (params.ramp(&FREQ), params.ramp(&GAIN), params.ramp(&Q));
        let mut on = params.ramp(&ON);
        for frame in 0..block.frames() {
            let (values, on) = ([freq.tick(), gain.tick(), q.tick()], on.tick());
            self.make(cascade, values, on > 0.0);
            for channel in 0..block.width() {
                let sample = block.at(channel, frame);
                let wet = cascade.tick(channel, self.sections(), *sample);
                *sample = if on == 1.0 { wet } else { *sample + on * (wet - *sample) };
            }
        }
    }
}

impl Node for Eq {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Meter) {
        let Self { bands, cascade } = self;
        if params.are_moving() {
            for (index, band) in bands.iter_mut().enumerate() {
                band.process_moving(cascade, block, &params.part(index));
            }
            return;
        }
        for (index, band) in bands.iter_mut().enumerate() {
            let params = params.part(index);
            let values = [FREQ, GAIN, Q].map(|row| params.value(&row));
            band.make(cascade, values, params.value(&ON) > 0.0);
        }
        let mut channels = block.channels().enumerate();
        while let Some((channel, first)) = channels.next() {
            let second = channels.next().map(|(_, second)| second);
            cascade.process(channel, first, second);
        }
    }

    fn reset(&mut self) {
        self.cascade.reset();
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        for (band, before) in self.bands.iter().zip(&old.bands) {
            if (band.shape, band.order) == (before.shape, before.order) {
                for (section, before) in band.sections().zip(before.sections()) {
                    self.cascade.adopt(section, &old.cascade, before);
                }
            }
        }
    }
}
