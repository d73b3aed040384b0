//! Equaliser: up to 24 bands, minimum phase.
//!
//! Latency 0 frames. A bell or shelf at 0 dB leaves the signal as it is to within rounding. While a band
//! moves its coefficients are made anew for every frame, so no move is heard as steps.

use crate::block::Block;
use crate::dsp::svf::{Coeffs, State, butterworth_q};
use crate::meter::Meter;
use crate::node::{Kind, Node, Params, Parts, Setup, same};
use crate::param::{Param, Unit};

const SHAPES: [&str; 5] = ["bell", "lowshelf", "highshelf", "highpass", "lowpass"];
const SLOPES: [&str; 8] =
    ["6 dB/oct", "12 dB/oct", "18 dB/oct", "24 dB/oct", "36 dB/oct", "48 dB/oct", "72 dB/oct", "96 dB/oct"];
/// Order of the filter for each slope.
const ORDERS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

const SHAPE: Param = Param::new(0, "shape", Unit::Choice(&SHAPES)).setting().help("What the band does.");
const FREQ: Param = Param::new(1, "freq", Unit::Hz)
    .range(10.0, 20_000.0)
    .default(1000.0)
    .log()
    .help("Centre of a bell, middle of a shelf, -3 dB point of a pass filter.");
const GAIN: Param = Param::new(2, "gain", Unit::Db)
    .range(-24.0, 24.0)
    .help("Boost or cut of a bell or shelf; a pass filter has none.");
const Q: Param = Param::new(3, "q", Unit::Plain)
    .range(0.1, 24.0)
    .default(std::f64::consts::FRAC_1_SQRT_2)
    .log()
    .help("Narrowness of a bell, steepness of a shelf, resonance of a 12 dB/oct pass filter.");
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
    let band = |index| {
        let shape = setup.part_value(index, &SHAPE) as usize;
        let order = if shape >= 3 { ORDERS[setup.part_value(index, &SLOPE) as usize] } else { 2 };
        let sections = order.div_ceil(2);
        Band {
            shape,
            order,
            rate: setup.sample_rate,
            made_for: [f64::NAN; 3],
            coeffs: vec![Coeffs::WIRE; sections].into_boxed_slice(),
            states: vec![State::default(); sections * setup.channels].into_boxed_slice(),
        }
    };
    Box::new(Eq { bands: (0..setup.parts).map(band).collect() })
}

struct Eq {
    bands: Box<[Band]>,
}

struct Band {
    shape: usize,
    order: usize,
    rate: f64,
    /// Frequency, gain and q that `coeffs` stand for.
    made_for: [f64; 3],
    coeffs: Box<[Coeffs]>,
    /// Channel after channel.
    states: Box<[State]>,
}

impl Band {
    fn make(&mut self, values: [f64; 3]) {
        if self.made_for == values {
            return;
        }
        self.made_for = values;
        let [freq, gain, q] = values;
        let (rate, order) = (self.rate, self.order);
        for (index, coeffs) in self.coeffs.iter_mut().enumerate() {
            let is_real_pole = order % 2 == 1 && index == order / 2;
            let q = if order == 2 { q } else { butterworth_q(order, index) };
            *coeffs = match (SHAPES[self.shape], is_real_pole) {
                ("bell", _) => Coeffs::bell(rate, freq, gain, q),
                ("lowshelf", _) => Coeffs::lowshelf(rate, freq, gain, q),
                ("highshelf", _) => Coeffs::highshelf(rate, freq, gain, q),
                ("highpass", true) => Coeffs::highpass6(rate, freq),
                ("highpass", false) => Coeffs::highpass(rate, freq, q),
                (_, true) => Coeffs::lowpass6(rate, freq),
                (_, false) => Coeffs::lowpass(rate, freq, q),
            };
        }
    }

    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>) {
        let (mut freq, mut gain, mut q) = (params.ramp(&FREQ), params.ramp(&GAIN), params.ramp(&Q));
        let mut on = params.ramp(&ON);
        let sections = self.coeffs.len();
        if !params.are_moving() {
            if on.value() == 0.0 {
                return;
            }
            self.make([freq.value(), gain.value(), q.value()]);
            for (channel, states) in block.channels().zip(self.states.chunks_exact_mut(sections)) {
                for (coeffs, state) in self.coeffs.iter().zip(states) {
                    channel.iter_mut().for_each(|sample| *sample = coeffs.tick(state, *sample));
                }
            }
            return;
        }
        for frame in 0..block.frames() {
            self.make([freq.tick(), gain.tick(), q.tick()]);
            let on = on.tick();
            for (channel, states) in self.states.chunks_exact_mut(sections).enumerate() {
                let sample = block.at(channel, frame);
                let mut wet = *sample;
                for (coeffs, state) in self.coeffs.iter().zip(states) {
                    wet = coeffs.tick(state, wet);
                }
                *sample = if on == 1.0 { wet } else { *sample + on * (wet - *sample) };
            }
        }
    }
}

impl Node for Eq {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Meter) {
        for (index, band) in self.bands.iter_mut().enumerate() {
            band.process(block, &params.part(index));
        }
    }

    fn reset(&mut self) {
        self.bands.iter_mut().for_each(|band| band.states.fill(State::default()));
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        for (band, old) in self.bands.iter_mut().zip(&old.bands) {
            if (band.shape, band.order, band.states.len()) == (old.shape, old.order, old.states.len()) {
                band.states.copy_from_slice(&old.states);
            }
        }
    }
}
