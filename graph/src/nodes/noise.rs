//! Noise: white or pink, for line-up and tests; the same one each time it starts, another on each channel.
//!
//! Makes its own signal; latency 0 frames.

use crate::block::{Block, MAX_CHANNELS};
use crate::meter::Meter;
use crate::node::{Kind, Node, Params, Ports, Setup, same};
use crate::param::{Param, Unit};

const CHANNELS: Param = Param::new(0, "channels", Unit::Count)
    .range(1.0, 8.0)
    .default(2.0)
    .setting()
    .help("Channels out, each with a noise of its own.");
const COLOUR: Param = Param::new(1, "colour", Unit::Choice(&["white", "pink"]))
    .setting()
    .help("White has the same power in every Hz, pink in every octave.");
const LEVEL: Param = Param::new(2, "level", Unit::Gain)
    .range(-140.0, 0.0)
    .default(-18.0)
    .bottom("-inf")
    .help("RMS level, re a full-scale square wave.");

/// See the module.
pub const KIND: Kind =
    Kind::new("noise", "White or pink noise for line-up and tests.", &[CHANNELS, COLOUR, LEVEL], build)
        .ports(Ports::Source(CHANNELS.slot));

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let mut noise = Noise { pink: setup.value(&COLOUR) > 0.0, voices: [Voice::default(); MAX_CHANNELS] };
    noise.reset();
    Box::new(noise)
}

struct Noise {
    pink: bool,
    voices: [Voice; MAX_CHANNELS],
}

#[derive(Clone, Copy, Default)]
struct Voice {
    seed: u64,
    rows: [f64; 7],
}

impl Voice {
    /// Uniform white noise with an RMS of 1.
    ///
    /// Source: G. Marsaglia, *Xorshift RNGs*, Journal of Statistical Software 8(14), 2003.
    #[inline]
    fn white(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let unit = (self.seed >> 11) as f64 / (1_u64 << 53) as f64;
        (2.0 * unit - 1.0) * 3.0_f64.sqrt()
    }

    /// Pink noise with an RMS of about 1: white noise through first-order sections an octave and a half
    /// apart, within 0.1 dB of −3 dB/oct from 10 Hz to 20 kHz at 44.1 kHz.
    ///
    /// Source: P. Kellet's refined filter, in R. Bristow-Johnson, *DSP Generation of Pink Noise*, 1999.
    #[inline]
    fn pink(&mut self) -> f64 {
        const POLES: [(f64, f64); 6] = [
            (0.99886, 0.0555179),
            (0.99332, 0.0750759),
            (0.96900, 0.1538520),
            (0.86650, 0.3104856),
            (0.55000, 0.5329522),
            (-0.7616, -0.0168980),
        ];
        /// RMS of the sum for an input of RMS 1.
        const RMS: f64 = 3.0;
        let white = self.white();
        let mut sum = self.rows[6] + white * 0.5362;
        for (row, (pole, gain)) in self.rows.iter_mut().zip(POLES) {
            *row = pole * *row + gain * white;
            sum += *row;
        }
        self.rows[6] = white * 0.115926;
        sum / RMS
    }
}

impl Node for Noise {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Meter) {
        let level = params.ramp(&LEVEL);
        for (channel, voice) in block.channels().zip(&mut self.voices) {
            let mut level = level;
            for sample in channel {
                *sample = level.tick() * if self.pink { voice.pink() } else { voice.white() };
            }
        }
    }

    fn reset(&mut self) {
        for (i, voice) in self.voices.iter_mut().enumerate() {
            *voice = Voice { seed: 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(i as u64 + 1), rows: [0.0; 7] };
            // The first numbers of neighbouring seeds resemble each other.
            (0..16).for_each(|_| _ = voice.white());
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        if let Some(old) = same::<Self>(old) {
            self.voices = old.voices;
        }
    }
}
