//! Clipper: hard or soft clipping at 2, 4 or 8 times the sample rate.
//!
//! The difference that clipping makes is computed oversampled, with antiderivative anti-aliasing, and added to the
//! delayed signal, so below the knee the output is bit-identical to the delayed input. Latency: 111 frames (8x), 107
//! (4x) or 96 (2x). After downsampling, overshoot can exceed the ceiling by a few tenths of a dB: for a guaranteed
//! ceiling, put a limiter after it.

use crate::block::{Block, SUBBLOCK};
use crate::dsp::delay::line::Delay;
use crate::dsp::dynamics::clip::mean_correction;
use crate::dsp::fir::oversampler::Oversampler;
use crate::node::{Node, NodeType, Params, Setup, Workload, same};
use crate::param::{Param, Unit};
use crate::reading::{REDUCTION, Readings};

const DRIVE: Param =
    Param::new(0, "drive", Unit::Gain).range(-12.0, 24.0).help("Input gain, before the clipper.");
const CEILING: Param = Param::new(1, "ceiling", Unit::Dbtp)
    .range(-24.0, 0.0)
    .default(-1.0)
    .help("Clipping level. Overshoot of the oversampling filters can exceed it by a few tenths of a dB.");
const SOFTNESS: Param = Param::new(2, "softness", Unit::Percent)
    .range(0.0, 100.0)
    .help("Softness of the knee. 0 %: hard clipping; 100 %: a tanh curve over the whole amplitude range.");
const OVERSAMPLING: Param = Param::new(3, "oversampling", Unit::Choice(&["2x", "4x", "8x"]))
    .default(2.0)
    .setting()
    .help("Oversampling factor. Higher: less aliasing, more latency.");

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "clipper",
    "Hard or soft clipper, oversampled.",
    &[DRIVE, CEILING, SOFTNESS, OVERSAMPLING],
    build,
)
.latency(|setup| oversampler(setup).delay())
.readings(&[REDUCTION])
.adds_highs()
.workloads(&[Workload::new("", "drive: 6 dB")]);

fn oversampler(setup: &Setup<'_>) -> Oversampler {
    Oversampler::new(2 << setup.value(&OVERSAMPLING) as usize, true)
}

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let oversampler = oversampler(setup);
    let channel =
        || Channel { delay: Delay::new(oversampler.delay()), oversampler: oversampler.clone(), last: 0.0 };
    Box::new(Clipper { channels: (0..setup.channels).map(|_| channel()).collect() })
}

struct Clipper {
    channels: Box<[Channel]>,
}

struct Channel {
    delay: Delay,
    oversampler: Oversampler,
    /// The last sample at the higher rate, relative to the ceiling.
    last: f64,
}

impl Node for Clipper {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let [mut drive, mut ceiling, mut softness] = [DRIVE, CEILING, SOFTNESS].map(|row| params.ramp(&row));
        let frames = block.frames();
        let mut drives = [1.0; SUBBLOCK];
        let mut ceilings = [1.0; SUBBLOCK];
        let mut knees = [1.0; SUBBLOCK];
        for frame in 0..frames {
            (drives[frame], ceilings[frame], knees[frame]) =
                (drive.tick(), ceiling.tick(), 1.0 - softness.tick());
        }
        let mut lowest = 1.0_f64;
        for (samples, channel) in block.channels().zip(&mut self.channels) {
            let Channel { delay, oversampler, last } = channel;
            let factor = oversampler.factor();
            let mut driven = [0.0; SUBBLOCK];
            for (frame, sample) in samples.iter_mut().enumerate() {
                *sample *= drives[frame];
                driven[frame] = *sample / ceilings[frame];
            }
            oversampler.process(&mut driven[..frames], |samples| {
                for (samples, knee) in samples.chunks_exact_mut(factor).zip(&knees) {
                    for sample in samples {
                        let x = *sample;
                        *sample = mean_correction(*last, x, *knee);
                        *last = x;
                    }
                }
            });
            for (frame, sample) in samples.iter_mut().enumerate() {
                let dry = delay.tick(*sample);
                *sample = dry + ceilings[frame] * driven[frame];
                if sample.abs() < dry.abs() && dry.abs() > 0.5 * ceilings[frame] {
                    lowest = lowest.min(*sample / dry);
                }
            }
        }
        meter.low(0, lowest.max(0.0));
    }

    fn reset(&mut self) {
        for channel in &mut self.channels {
            channel.delay.reset();
            channel.oversampler.reset();
            channel.last = 0.0;
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        for (channel, old) in self.channels.iter_mut().zip(&old.channels) {
            channel.delay.adopt(&old.delay);
            channel.oversampler.adopt(&old.oversampler);
            channel.last = old.last;
        }
    }
}
