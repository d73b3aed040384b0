//! Gain: level, polarity and balance.
//!
//! Latency 0 frames. At 0 dB, not inverted and centred, the output is bit-identical to the input.

use crate::block::Block;
use crate::node::{Node, NodeType, Params, Workload};
use crate::param::{Param, Unit};
use crate::reading::Readings;

const GAIN: Param = Param::new(0, "gain", Unit::Gain)
    .range(-90.0, 24.0)
    .bottom("-inf")
    .help("Gain, the same on all channels.");
const POLARITY: Param = Param::new(1, "invert", Unit::Switch)
    .help("Inverts the polarity of all channels. Switching is a short fade.");
const BALANCE: Param = Param::new(2, "balance", Unit::Percent)
    .range(-100.0, 100.0)
    .help("Balance of two channels. Negative: attenuates the right; positive: attenuates the left. Linear: 50 % is -6 dB.");

/// See the module.
pub(super) const NODE_TYPE: NodeType =
    NodeType::new("gain", "Gain, polarity and balance.", &[GAIN, POLARITY, BALANCE], |_| Box::new(Gain))
        .transparent_at(&[])
        .workloads(&[Workload::new("", "gain: -3 dB")]);

struct Gain;

impl Node for Gain {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Readings) {
        let (mut gain, mut invert, mut balance) =
            (params.ramp(&GAIN), params.ramp(&POLARITY), params.ramp(&BALANCE));
        let is_pair = block.width() == 2;
        for frame in 0..block.frames() {
            // From +1 to -1 through silence.
            let factor = gain.tick() * (1.0 - 2.0 * invert.tick());
            let balance = balance.tick();
            let sides = [1.0 - balance.max(0.0), 1.0 + balance.min(0.0)];
            for channel in 0..block.width() {
                let side = if is_pair { sides[channel % 2] } else { 1.0 };
                *block.at(channel, frame) *= factor * side;
            }
        }
    }

    fn reset(&mut self) {}

    fn adopt(&mut self, _old: &dyn Node) {}
}
