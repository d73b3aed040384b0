//! Noise: white or pink, for line-up and tests; the same sequence at each start, independent on each channel.
//!
//! A signal source; latency 0 frames.

use crate::block::{Block, MAX_CHANNELS};
use crate::dsp::random::Xorshift;
use crate::node::{Node, NodeType, Params, Ports, Setup, Workload, same};
use crate::param::{Param, Unit};
use crate::reading::Readings;

const CHANNELS: Param = Param::new(0, "channels", Unit::Count)
    .range(1.0, 8.0)
    .default(2.0)
    .setting()
    .help("Output channels, each with independent noise.");
const COLOUR: Param = Param::new(1, "colour", Unit::Choice(&["white", "pink"]))
    .setting()
    .help("Spectrum. white: equal power per Hz; pink: equal power per octave (-3 dB/oct).");
const LEVEL: Param = Param::new(2, "level", Unit::Gain)
    .range(-140.0, 0.0)
    .default(-18.0)
    .bottom("-inf")
    .help("RMS level, relative to a full-scale square wave.");

/// See the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "noise",
    "White or pink noise generator for line-up and tests.",
    &[CHANNELS, COLOUR, LEVEL],
    build,
)
.ports(Ports::Source(CHANNELS.slot))
.adds_highs()
.workloads(&[Workload::new("", "colour: pink")]);

/// Number of sections of the pink filter, and cutoff of the first in Hz.
const SECTIONS: usize = 10;
const LOWEST: f64 = 4.0;
/// Ratio of the cutoffs of neighbouring sections; the zeros lie half way between the poles.
const RATIO: f64 = 3.0;
/// Coefficient that attenuates the highest frequencies slightly, where the sections are too close to each other.
const TOP: f64 = 0.08;

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let pink = (setup.value(&COLOUR) > 0.0).then(|| Pink::new(setup.sample_rate));
    let mut noise = Noise { pink, voices: [Voice::default(); MAX_CHANNELS] };
    noise.reset();
    Box::new(noise)
}

struct Noise {
    pink: Option<Pink>,
    voices: [Voice; MAX_CHANNELS],
}

/// A filter of -3 dB/oct with alternating poles and zeros, evenly spaced in octaves; within 0.2 dB from 20 Hz to 20
/// kHz at every rate.
///
/// Source: the principle is from S. J. Orfanidis, *Introduction to Signal Processing*, 1996, appendix B; the cutoffs
/// by the matched z-transform.
#[derive(Clone, Copy)]
struct Pink {
    /// Zero and pole of each section.
    sections: [[f64; 2]; SECTIONS],
    /// Gain for an RMS level of 1.
    gain: f64,
}

impl Pink {
    fn new(sample_rate: f64) -> Self {
        let place = |freq: f64| (-2.0 * std::f64::consts::PI * freq / sample_rate).exp();
        let sections = std::array::from_fn(|k| {
            let pole = LOWEST * RATIO.powi(k as i32);
            [place(pole * RATIO.sqrt()), place(pole)]
        });
        let pink = Self { sections, gain: 1.0 };
        // The power of filtered white noise is the energy of the impulse response; half a second contains all of it.
        let mut voice = Voice::default();
        let response =
            (0..(sample_rate / 2.0) as usize).map(|n| pink.tick(&mut voice, if n == 0 { 1.0 } else { 0.0 }));
        let power: f64 = response.map(|x| x * x).sum();
        Self { gain: power.sqrt().recip(), ..pink }
    }

    #[inline]
    fn tick(&self, voice: &mut Voice, white: f64) -> f64 {
        let mut x = white + TOP * std::mem::replace(&mut voice.last, white);
        for ([zero, pole], held) in self.sections.iter().zip(&mut voice.held) {
            // y[n] = x[n] - zero x[n-1] + pole y[n-1], with one state variable.
            let y = x + *held;
            *held = pole * y - zero * x;
            x = y;
        }
        self.gain * x
    }
}

#[derive(Clone, Copy, Default)]
struct Voice {
    random: Xorshift,
    last: f64,
    held: [f64; SECTIONS],
}

impl Voice {
    /// Uniform white noise with an RMS of 1.
    #[inline]
    fn white(&mut self) -> f64 {
        (2.0 * self.random.unit() - 1.0) * 3.0_f64.sqrt()
    }
}

impl Node for Noise {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Readings) {
        let level = params.ramp(&LEVEL);
        for (channel, voice) in block.channels().zip(&mut self.voices) {
            let mut level = level;
            for sample in channel {
                let white = voice.white();
                let colour = self.pink.as_ref().map_or(white, |pink| pink.tick(voice, white));
                *sample = level.tick() * colour;
            }
        }
    }

    fn reset(&mut self) {
        for (i, voice) in self.voices.iter_mut().enumerate() {
            *voice = Voice { random: Xorshift::new(i as u64), ..Voice::default() };
            // The first numbers of neighbouring seeds are correlated.
            (0..16).for_each(|_| _ = voice.white());
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        if let Some(old) = same::<Self>(old) {
            self.voices = old.voices;
        }
    }
}
