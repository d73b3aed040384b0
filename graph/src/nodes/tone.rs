//! Tone: a sine, for line-up and tests.
//!
//! A signal source; latency 0 frames. The phase is continuous through every change and every swap.

use crate::block::Block;
use crate::node::{Node, NodeType, Params, Ports, Setup, same};
use crate::param::{Param, Unit};
use crate::reading::Readings;
use std::f64::consts::TAU;

const CHANNELS: Param = Param::new(0, "channels", Unit::Count)
    .range(1.0, 8.0)
    .default(2.0)
    .setting()
    .help("Output channels, all identical.");
const FREQ: Param = Param::new(1, "freq", Unit::Hz)
    .range(10.0, 20_000.0)
    .default(1000.0)
    .log()
    .help("Frequency of the sine.");
const LEVEL: Param = Param::new(2, "level", Unit::Gain)
    .range(-140.0, 0.0)
    .default(-18.0)
    .bottom("-inf")
    .help("Peak level, relative to full scale.");

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType =
    NodeType::new("tone", "Sine generator for line-up and tests.", &[CHANNELS, FREQ, LEVEL], build)
        .ports(Ports::Source(CHANNELS.slot));

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    Box::new(Tone { phase: 0.0, rate: setup.sample_rate })
}

struct Tone {
    /// In turns, 0..1.
    phase: f64,
    rate: f64,
}

impl Node for Tone {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Readings) {
        let (mut freq, mut level) = (params.ramp(&FREQ), params.ramp(&LEVEL));
        for frame in 0..block.frames() {
            let sample = level.tick() * (TAU * self.phase).sin();
            self.phase += freq.tick() / self.rate;
            self.phase -= self.phase.floor();
            (0..block.width()).for_each(|channel| *block.at(channel, frame) = sample);
        }
    }

    fn reset(&mut self) {
        self.phase = 0.0;
    }

    fn adopt(&mut self, old: &dyn Node) {
        if let Some(old) = same::<Self>(old) {
            self.phase = old.phase;
        }
    }
}
