//! Limiter: look-ahead, true peak, all channels together.
//!
//! The gain that each true peak needs is held at its lowest over the look-ahead, released exponentially, and
//! smoothed by two moving averages as long as the look-ahead, so it arrives at the peak in time and
//! without a corner. Latency: look-ahead + 132 frames (the detector's). Where no peak was above the ceiling
//! within the look-ahead and 26 times the release, the output is the input, delayed, bit for bit.

use crate::block::{Block, QUANTUM};
use crate::dsp::boxes::Boxes;
use crate::dsp::delay::Delay;
use crate::dsp::follower::one_pole;
use crate::dsp::lowest::Lowest;
use crate::dsp::oversample::{self, History, Interpolator};
use crate::meter::{Meter, REDUCTION};
use crate::node::{Kind, Node, Params, Setup, same};
use crate::param::{Param, Unit};

const CEILING: Param = Param::new(0, "ceiling", Unit::Dbtp)
    .range(-24.0, 0.0)
    .default(-1.0)
    .help("Highest true peak that leaves the limiter.");
const RELEASE: Param = Param::new(1, "release", Unit::Ms)
    .range(5.0, 2000.0)
    .default(120.0)
    .log()
    .help("Time to let go by 63 %.");
const LOOKAHEAD: Param = Param::new(2, "lookahead", Unit::Ms)
    .range(0.5, 10.0)
    .default(1.5)
    .setting()
    .help("How long before a peak the reduction begins; longer is gentler, and adds latency.");

/// See the module.
pub const KIND: Kind = Kind::new(
    "limiter",
    "Look-ahead limiter with a true-peak ceiling.",
    &[CEILING, RELEASE, LOOKAHEAD],
    build,
)
.latency(|setup| lookahead(setup) + oversample::DELAY)
.readings(&[REDUCTION]);

fn lookahead(setup: &Setup<'_>) -> usize {
    setup.frames(setup.value(&LOOKAHEAD)).max(1)
}

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let lookahead = lookahead(setup);
    let channel =
        || Channel { history: History::default(), delay: Delay::new(lookahead + oversample::DELAY) };
    Box::new(Limiter {
        rate: setup.sample_rate,
        interpolator: Interpolator::new(),
        // A peak between two samples needs the gain at both: one frame more than the look-ahead spans.
        lowest: Lowest::new(lookahead + 2),
        boxes: Boxes::new(lookahead + 1),
        envelope: 1.0,
        channels: (0..setup.channels).map(|_| channel()).collect(),
    })
}

struct Limiter {
    rate: f64,
    interpolator: Interpolator,
    lowest: Lowest,
    boxes: Boxes,
    envelope: f64,
    channels: Box<[Channel]>,
}

struct Channel {
    history: History,
    delay: Delay,
}

impl Node for Limiter {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Meter) {
        let (mut ceiling, mut release) = (params.ramp(&CEILING), params.ramp(&RELEASE));
        let mut pole = one_pole(release.value(), self.rate);
        let mut reached = 1.0_f64;
        let mut peaks = [0.0; QUANTUM];
        for (samples, past) in block.channels().zip(&mut self.channels) {
            self.interpolator.listen(&mut past.history, samples, &mut peaks);
        }
        for (frame, peak) in peaks.iter().take(block.frames()).enumerate() {
            if release.is_moving() {
                pole = one_pole(release.tick(), self.rate);
            }
            let ceiling = ceiling.tick();
            let needed = self.lowest.tick(if *peak > ceiling { ceiling / peak } else { 1.0 });
            self.envelope = needed.min(1.0 - pole * (1.0 - self.envelope));
            let gain = self.boxes.tick(self.envelope);
            reached = reached.min(gain);
            for (channel, past) in self.channels.iter_mut().enumerate() {
                let sample = block.at(channel, frame);
                *sample = past.delay.tick(*sample) * gain;
            }
        }
        meter.low(0, reached);
    }

    fn reset(&mut self) {
        self.lowest.reset();
        self.boxes.reset();
        self.envelope = 1.0;
        for channel in &mut self.channels {
            channel.history = History::default();
            channel.delay.reset();
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        self.lowest.adopt(&old.lowest);
        self.boxes.adopt(&old.boxes);
        self.envelope = old.envelope;
        for (channel, old) in self.channels.iter_mut().zip(&old.channels) {
            channel.history = old.history.clone();
            channel.delay.adopt(&old.delay);
        }
    }
}
