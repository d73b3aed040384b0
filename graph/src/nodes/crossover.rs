//! Crossover: one band of a signal, with Linkwitz-Riley filters.
//!
//! Several crossovers with the same splits and the same input sum to a flat response in a `mix`: each band passes the
//! all-passes of the other splits. Latency 0 frames.

use crate::block::Block;
use crate::dsp::filter::crossover::{Crossover, SPLITS};
use crate::node::{Node, NodeType, Params, Parts, Setup, Workload, same};
use crate::param::{Param, Unit};
use crate::reading::Readings;
use std::array::from_fn;

const BAND: Param = Param::new(0, "band", Unit::Count).range(1.0, 6.0).default(1.0).setting().help(
    "Band to output, counted from the lowest. There is one band more than splits; a higher number outputs silence.",
);
const SLOPE: Param = Param::new(1, "slope", Unit::Choice(&["24 dB/oct", "48 dB/oct"]))
    .setting()
    .help("Slope of the crossover filters.");

const FREQ: Param = Param::new(0, "freq", Unit::Hz).range(20.0, 20_000.0).default(1_000.0).log().help(
    "Crossover frequency (-6 dB point of both bands). A frequency below the previous split is raised to it.",
);

const PARTS: Parts = Parts {
    name: "split",
    list: "splits",
    rows: &[FREQ],
    least: 1,
    most: SPLITS,
    last_lacks: None,
    picked_by: Some(BAND.name),
};

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "crossover",
    "One band of a Linkwitz-Riley crossover. All bands of the same splits sum to a flat response.",
    &[BAND, SLOPE],
    build,
)
.parts(&PARTS)
.settles_in(|setup| {
    let lowest = (0..setup.parts).map(|part| setup.part_value(part, &FREQ)).fold(FREQ.max, f64::min);
    0.2 + 40.0 / lowest
})
.workloads(&[Workload::new("", "band: 2, splits: [{freq: 200 Hz}, {freq: 2 kHz}]")]);

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let crossover =
        Crossover::new(setup.sample_rate, setup.parts + 1, setup.value(&SLOPE) > 0.0, setup.channels);
    let band = setup.value(&BAND) as usize - 1;
    Box::new(Band { crossover, band })
}

struct Band {
    crossover: Crossover,
    band: usize,
}

impl Node for Band {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Readings) {
        let splits = self.crossover.bands() - 1;
        let mut freqs: [_; SPLITS] = from_fn(|at| params.part(at.min(splits - 1)).ramp(&FREQ));
        let moving = params.are_moving();
        self.crossover.tune(freqs[..splits].iter().map(|freq| freq.value()));
        for frame in 0..block.frames() {
            if moving {
                self.crossover.tune(freqs[..splits].iter_mut().map(|freq| freq.tick()));
            }
            for channel in 0..block.width() {
                let sample = block.at(channel, frame);
                *sample = self.crossover.tick(channel, *sample)[self.band];
            }
        }
    }

    fn reset(&mut self) {
        self.crossover.reset();
    }

    fn adopt(&mut self, old: &dyn Node) {
        if let Some(old) = same::<Self>(old) {
            self.crossover.adopt(&old.crossover);
        }
    }
}
