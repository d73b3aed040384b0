//! Dither: reduces the word length; the last node of a chain.
//!
//! Latency 0 frames. Triangular dither of two steps peak to peak, independent on each channel: the noise is -96.3 dBFS
//! for 16 bits (RMS, relative to a full-scale square wave) and does not depend on the signal. Noise shaping moves it
//! to frequencies where hearing is least sensitive; the filters are designed for 44.1 and 48 kHz. The output is within
//! full scale, and on a step.
//!
//! With `auto_blank` it is muted after half a second of samples that need no dither (digital silence, or programme
//! that already fits the word length), and at the start: these samples pass bit for bit.

use crate::block::{Block, MAX_CHANNELS};
use crate::dsp::dither::{self, Curve, Noise, Quantiser};
use crate::node::{Node, NodeType, Params, Setup, Workload, same};
use crate::param::{Param, Unit};
use crate::reading::Readings;

const BITS: Param = Param::new(0, "bits", Unit::Count)
    .range(8.0, 24.0)
    .default(24.0)
    .setting()
    .help("Output word length in bits.");
const NOISE: Param = Param::new(1, "noise", Unit::Choice(&["triangular", "rectangular", "none"]))
    .setting()
    .help("Dither distribution. triangular: constant noise floor; rectangular: noise modulated by the signal; none: distortion.");
const SHAPING: Param = Param::new(
    2,
    "shaping",
    Unit::Choice(&["flat", "lipshitz", "f-weighted-3", "f-weighted-9", "modified-e", "improved-e"]),
)
.setting()
.help("Noise shaping. flat: white; all others: less noise around 4 kHz, more towards 20 kHz.");
const AUTO_BLANK: Param = Param::new(3, "auto_blank", Unit::Switch)
    .default(1.0)
    .help("Auto-blank: dither is muted after 0.5 s of digital silence, or of programme that already fits the word length.");

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "dither",
    "Word length reduction with dither and noise shaping. Place it last in a chain.",
    &[BITS, NOISE, SHAPING, AUTO_BLANK],
    build,
)
.settles_in(|_| MUTE_MS / 1000.0 + 0.1)
// The noise is another on each channel.
.per_channel(None)
.workloads(&[Workload::new("", "bits: 16, shaping: lipshitz")]);

/// The noise-shaping filters, in the order of their names.
const CURVES: [Curve; 6] = [
    dither::FLAT,
    dither::LIPSHITZ,
    dither::F_WEIGHTED_3,
    dither::F_WEIGHTED_9,
    dither::MODIFIED_E,
    dither::IMPROVED_E,
];
/// Time after which dither is muted.
const MUTE_MS: f64 = 500.0;

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let noise = [Noise::Triangular, Noise::Rectangular, Noise::None][setup.value(&NOISE) as usize];
    let curve = CURVES[setup.value(&SHAPING) as usize];
    let bits = setup.value(&BITS) as u32;
    let mute_after = setup.frames(MUTE_MS);
    Box::new(Dither {
        quantisers: std::array::from_fn(|channel| Quantiser::new(bits, noise, curve, channel)),
        mute_after,
        fitting: mute_after,
    })
}

struct Dither {
    quantisers: [Quantiser; MAX_CHANNELS],
    mute_after: usize,
    /// Consecutive frames that needed no dither, up to `mute_after`.
    fitting: usize,
}

impl Node for Dither {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Readings) {
        let auto_blank = params.ramp(&AUTO_BLANK).target() > 0.0;
        let width = block.width();
        for frame in 0..block.frames() {
            let fits = self.quantisers[..width]
                .iter()
                .enumerate()
                .all(|(channel, quantiser)| quantiser.fits(*block.at(channel, frame)));
            self.fitting = if fits { (self.fitting + 1).min(self.mute_after) } else { 0 };
            let is_muted = auto_blank && self.fitting == self.mute_after;
            for (channel, quantiser) in self.quantisers[..width].iter_mut().enumerate() {
                let sample = block.at(channel, frame);
                if is_muted {
                    quantiser.clear_errors();
                } else {
                    *sample = quantiser.tick(*sample);
                }
            }
        }
    }

    fn reset(&mut self) {
        self.fitting = self.mute_after;
        self.quantisers.iter_mut().enumerate().for_each(|(channel, quantiser)| quantiser.reset(channel));
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        self.fitting = old.fitting;
        for (quantiser, old) in self.quantisers.iter_mut().zip(&old.quantisers) {
            quantiser.adopt(old);
        }
    }
}
