//! Mix: sums branches, and converts between numbers of channels.
//!
//! The chain sums its sources, each with its own gain. Latency 0 frames.

use crate::block::Block;
use crate::node::{Node, NodeType, Params, Ports, Workload};
use crate::param::{Param, Unit};
use crate::reading::Readings;

const CHANNELS: Param = Param::new(0, "channels", Unit::Count)
    .range(0.0, 8.0)
    .bottom("same")
    .setting()
    .help("Output channels. One input channel is copied to all; several are averaged to one. same: as many as the input.");
const GAIN: Param =
    Param::new(1, "gain", Unit::Gain).range(-90.0, 24.0).bottom("-inf").help("Gain of the sum.");

/// See the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "mix",
    "Sums its inputs; converts mono to several channels, or several to mono.",
    &[CHANNELS, GAIN],
    |_| Box::new(Mix),
)
.ports(Ports::Remix(CHANNELS.slot))
.transparent_at(&[])
.workloads(&[Workload::new("", "gain: -3 dB")]);

struct Mix;

impl Node for Mix {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Readings) {
        let gain = params.ramp(&GAIN);
        for channel in block.channels() {
            let mut gain = gain; // every channel has the same ramp
            channel.iter_mut().for_each(|sample| *sample *= gain.tick());
        }
    }

    fn reset(&mut self) {}

    fn adopt(&mut self, _old: &dyn Node) {}
}
