//! Stereo: width, and the levels of middle and side.
//!
//! M = (L+R)/2, S = (L−R)/2, L = M+S, R = M−S. The width acts on S alone, so the mono sum never changes
//! with it. Latency 0 frames. In its neutral place the output is bit-identical to the input.

use crate::block::Block;
use crate::meter::Meter;
use crate::node::{Kind, Node, Params, Ports};
use crate::param::{Param, Unit};

const WIDTH: Param = Param::new(0, "width", Unit::Percent)
    .range(0.0, 200.0)
    .default(100.0)
    .help("Level of the side: 0 % is mono, 100 % leaves it, 200 % doubles it.");
const MID: Param =
    Param::new(1, "mid", Unit::Gain).range(-90.0, 12.0).bottom("-inf").help("Level of the middle.");
const SIDE: Param = Param::new(2, "side", Unit::Gain)
    .range(-90.0, 12.0)
    .bottom("-inf")
    .help("Level of the side, on top of the width.");

/// See the module.
pub const KIND: Kind =
    Kind::new("stereo", "Width, and the levels of middle and side.", &[WIDTH, MID, SIDE], |_| {
        Box::new(Stereo)
    })
    .ports(Ports::Stereo);

struct Stereo;

impl Node for Stereo {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Meter) {
        let (mut width, mut mid, mut side) = (params.ramp(&WIDTH), params.ramp(&MID), params.ramp(&SIDE));
        let Some((left, right)) = block.pair() else { return };
        for (left, right) in left.iter_mut().zip(right) {
            let (mid, side) = (mid.tick(), side.tick() * width.tick());
            if mid != 1.0 || side != 1.0 {
                let m = 0.5 * (*left + *right) * mid;
                let s = 0.5 * (*left - *right) * side;
                (*left, *right) = (m + s, m - s);
            }
        }
    }

    fn reset(&mut self) {}

    fn adopt(&mut self, _old: &dyn Node) {}
}
