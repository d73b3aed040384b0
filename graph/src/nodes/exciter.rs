//! Exciter: adds the harmonics of a tube, a transistor or a tape to a band of the signal.
//!
//! The band passes a nonlinearity at 2, 4 or 8 times the sample rate, and the difference is added to the signal; at a
//! mix of 0 % the output is the delayed input, bit for bit. Latency: 111 frames (8x), 107 (4x) or 95 (2x).
//!
//! With v the driven band: `tube` adds (sqrt(1 + v²) - 1) / 2 and a small part of tanh: mostly even harmonics, like a
//! single triode; `transistor` is tanh v: odd harmonics, like a push-pull pair; `tape` is v / sqrt(1 + v²), with a
//! softer knee, and 4 dB more drive below 150 Hz, like a machine with record equalisation. DC is removed. All are
//! smooth functions whose aliases decrease fast with the oversampling.
//!
//! Source of the alias figures' method: J. Parker, V. Zavalishin, E. Le Bivic, *Reducing the Aliasing of Nonlinear Waveshaping
//! Using Continuous-Time Convolution*, DAFx-16.

use crate::block::{Block, SUBBLOCK};
use crate::dsp::delay::line::Delay;
use crate::dsp::filter::svf::{Coeffs, State};
use crate::dsp::fir::oversampler::Oversampler;
use crate::node::{Node, NodeType, Params, Setup, same};
use crate::param::{Param, Unit};
use crate::reading::Readings;
use std::f64::consts::FRAC_1_SQRT_2;

const DRIVE: Param = Param::new(0, "drive", Unit::Gain)
    .range(0.0, 24.0)
    .default(6.0)
    .help("Drive into the nonlinear stage. Higher: more harmonics.");
const MIX: Param =
    Param::new(1, "mix", Unit::Percent).range(0.0, 100.0).default(30.0).help("Level of the added harmonics.");
const LOW: Param = Param::new(2, "low", Unit::Hz)
    .range(20.0, 10_000.0)
    .default(20.0)
    .log()
    .help("Lower limit of the excited band, 12 dB/oct.");
const HIGH: Param = Param::new(3, "high", Unit::Hz)
    .range(200.0, 20_000.0)
    .default(20_000.0)
    .log()
    .help("Upper limit of the excited band, 12 dB/oct.");
const CHARACTER: Param = Param::new(4, "character", Unit::Choice(&["tube", "transistor", "tape"]))
    .setting()
    .help("Harmonics. tube: mostly even; transistor: odd; tape: odd, with a softer knee and more drive below 150 Hz.");
const OVERSAMPLING: Param = Param::new(5, "oversampling", Unit::Choice(&["2x", "4x", "8x"]))
    .default(2.0)
    .setting()
    .help("Oversampling factor. Higher: less aliasing, more latency.");

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "exciter",
    "Harmonic exciter: tube, transistor or tape.",
    &[DRIVE, MIX, LOW, HIGH, CHARACTER, OVERSAMPLING],
    build,
)
.latency(|setup| oversampler(setup).delay())
// Its high-pass lies at 10 Hz.
.settles_in(|_| 1.5);

/// Cutoff of the DC filter, in Hz.
const DC: f64 = 10.0;
/// Low shelf before the tape curve: frequency in Hz, gain in dB.
const TAPE: [f64; 2] = [150.0, 4.0];

fn oversampler(setup: &Setup<'_>) -> Oversampler {
    Oversampler::new(2 << setup.value(&OVERSAMPLING) as usize, false)
}

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let (rate, oversampler) = (setup.sample_rate, oversampler(setup));
    let character =
        [Character::Tube, Character::Transistor, Character::Tape][setup.value(&CHARACTER) as usize];
    let [freq, gain] = TAPE;
    let shelf = |gain| match character {
        Character::Tape => Coeffs::lowshelf(rate, freq, gain, FRAC_1_SQRT_2),
        _ => Coeffs::IDENTITY,
    };
    let channel = || Channel {
        delay: Delay::new(oversampler.delay()),
        oversampler: oversampler.clone(),
        states: [State::default(); 5],
    };
    Box::new(Exciter {
        rate,
        character,
        designed_for: [f64::NAN; 2],
        band: [Coeffs::IDENTITY; 2],
        shelves: [shelf(gain), shelf(-gain)],
        block_dc: Coeffs::highpass6(rate, DC),
        channels: (0..setup.channels).map(|_| channel()).collect(),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Character {
    Tube,
    Transistor,
    Tape,
}

impl Character {
    /// The difference between the nonlinearity and `v`.
    #[inline]
    fn difference(self, v: f64) -> f64 {
        match self {
            Self::Tube => 0.5 * even(v) + 0.15 * (v.tanh() - v),
            Self::Transistor => v.tanh() - v,
            Self::Tape => v / (1.0 + v * v).sqrt() - v,
        }
    }
}

/// sqrt(1 + v²) - 1, without cancellation.
fn even(v: f64) -> f64 {
    v * v / ((1.0 + v * v).sqrt() + 1.0)
}

struct Exciter {
    rate: f64,
    character: Character,
    /// Low and high limit for which `band` is designed.
    designed_for: [f64; 2],
    band: [Coeffs; 2],
    /// Before the nonlinearity, and after it.
    shelves: [Coeffs; 2],
    block_dc: Coeffs,
    channels: Box<[Channel]>,
}

struct Channel {
    delay: Delay,
    oversampler: Oversampler,
    /// High-pass, low-pass, both shelves, and the DC filter.
    states: [State; 5],
}

impl Exciter {
    fn update_band(&mut self, values: [f64; 2]) {
        if self.designed_for != values {
            self.designed_for = values;
            let [low, high] = values;
            self.band = [
                Coeffs::highpass(self.rate, low, FRAC_1_SQRT_2),
                Coeffs::lowpass(self.rate, high, FRAC_1_SQRT_2),
            ];
        }
    }
}

impl Node for Exciter {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Readings) {
        let [mut drive, mut mix, mut low, mut high] = [DRIVE, MIX, LOW, HIGH].map(|row| params.ramp(&row));
        let frames = block.frames();
        let (mut drives, mut mixes) = ([0.0; SUBBLOCK], [0.0; SUBBLOCK]);
        let mut bands = [[Coeffs::IDENTITY; 2]; SUBBLOCK];
        for frame in 0..frames {
            self.update_band([low.tick(), high.tick()]);
            (drives[frame], mixes[frame], bands[frame]) = (drive.tick(), mix.tick(), self.band);
        }
        let (character, [before, after]) = (self.character, self.shelves);
        for (samples, channel) in block.channels().zip(&mut self.channels) {
            let Channel { delay, oversampler, states: [high, low, rise, fall, dc] } = channel;
            let mut band = [0.0; SUBBLOCK];
            for (frame, sample) in samples.iter().enumerate() {
                let [highpass, lowpass] = bands[frame];
                let x = lowpass.tick(low, highpass.tick(high, *sample));
                band[frame] = before.tick(rise, x) * drives[frame];
            }
            oversampler.process(&mut band[..frames], |samples| {
                samples.iter_mut().for_each(|v| *v = character.difference(*v));
            });
            for (frame, sample) in samples.iter_mut().enumerate() {
                let harmonics = self.block_dc.tick(dc, after.tick(fall, band[frame]));
                *sample = delay.tick(*sample) + mixes[frame] / drives[frame] * harmonics;
            }
        }
    }

    fn reset(&mut self) {
        for channel in &mut self.channels {
            channel.delay.reset();
            channel.oversampler.reset();
            channel.states = [State::default(); 5];
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        for (channel, before) in self.channels.iter_mut().zip(&old.channels) {
            channel.delay.adopt(&before.delay);
            if self.character == old.character {
                channel.oversampler.adopt(&before.oversampler);
                channel.states = before.states;
            }
        }
    }
}
