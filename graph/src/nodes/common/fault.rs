//! A node that causes faults, for tests in development builds only. It is in no catalogue, schema or list; a chain
//! file can name it.

use crate::block::Block;
use crate::node::{Node, NodeType, Params, Setup};
use crate::param::{Param, Unit};
use crate::reading::Readings;
use std::time::{Duration, Instant};

const WHAT: Param = Param::new(0, "what", Unit::Choice(&["none", "panic", "loop", "nan", "slow"]))
    .ramp_ms(0.0)
    .help("Fault to cause.");
const SHARE: Param = Param::new(1, "share", Unit::Percent)
    .range(0.0, 1000.0)
    .default(300.0)
    .help("CPU load of `slow`, as a share of real time.");

/// The node type; see the module.
pub(crate) const NODE_TYPE: NodeType =
    NodeType::new("fault", "Causes faults on purpose, for tests.", &[WHAT, SHARE], |setup: &Setup<'_>| {
        Box::new(Fault { rate: setup.sample_rate })
    });

struct Fault {
    rate: f64,
}

impl Node for Fault {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Readings) {
        match params.ramp(&WHAT).target() as usize {
            1 => panic!("asked to panic, {} frames at once", block.frames()),
            2 => loop {
                std::hint::spin_loop();
            },
            3 => *block.at(0, 0) = f64::NAN,
            4 => {
                let seconds = block.frames() as f64 / self.rate * params.value(&SHARE);
                let end = now() + Duration::from_secs_f64(seconds);
                while now() < end {
                    std::hint::spin_loop();
                }
            }
            _ => {}
        }
    }

    fn reset(&mut self) {}

    fn adopt(&mut self, _old: &dyn Node) {}
}

#[expect(clippy::disallowed_methods, reason = "a slow fault needs a clock; no other node has one")]
fn now() -> Instant {
    Instant::now()
}
