//! Multiband compressor: 2 to 6 bands, each with its own compressor.
//!
//! Linkwitz-Riley crossovers of 24 or 48 dB/oct, phase-compensated: without reduction the bands sum to an all-pass,
//! flat within 0.01 dB for any splits. With linear phase they have the same magnitudes and sum to the delayed input.
//! The dry signal of `mix` passes the same splits, so its phase matches. Latency: the look-ahead, and `reach` with
//! linear phase. Thresholds and times are as in the compressor.

use crate::block::{Block, MAX_CHANNELS};
use crate::dsp::delay::line::Delay;
use crate::dsp::dynamics::side_chain::{GainComputer, GainRange};
use crate::dsp::filter::crossover::{BANDS, Crossover};
use crate::dsp::fir::linear::crossover::LinearCrossover;
use crate::dsp::fir::linear::design::Reach;
use crate::node::{Node, NodeType, Params, Parts, Setup, Workload, same};
use crate::nodes::common::rows;
use crate::param::ramp::Ramp;
use crate::param::{Param, Unit};
use crate::reading::{GAIN_CHANGE, Reading, Readings};
use std::array::from_fn;

const SLOPE: Param = Param::new(0, "slope", Unit::Choice(&["24 dB/oct", "48 dB/oct"]))
    .setting()
    .help("Slope of the crossover filters.");
const LOOKAHEAD: Param = Param::new(1, "lookahead", Unit::Ms)
    .range(0.0, 20.0)
    .setting()
    .help("Look-ahead of all bands: gain reduction starts this long before a peak. Adds latency.");
const MIX: Param = Param::new(2, "mix", Unit::Percent)
    .range(0.0, 100.0)
    .default(100.0)
    .help("Dry/wet mix (parallel compression). 0 %: dry; 100 %: compressed.");
const PHASE: Param = Param::new(3, "phase", Unit::Choice(&["minimum", "linear"])).setting().help(
    "Phase response of the crossover. minimum: no latency; linear: constant delay, and a moved split is crossfaded.",
);
const REACH: Param = rows::reach(4);

const TO: Param = Param::new(0, "to", Unit::Hz).range(20.0, 20_000.0).default(1_000.0).log().help(
    "Upper crossover frequency of the band; the last band has none. A frequency below the previous band's is raised to it.",
);
const THRESHOLD: Param = rows::threshold(1);
const RATIO: Param = rows::ratio(2);
const KNEE: Param = rows::knee(3);
const ATTACK: Param = rows::attack(4);
const RELEASE: Param = rows::release(5);
const MAKEUP: Param = rows::makeup(6);
const RANGE: Param = rows::range(7);
const HOLD: Param = rows::hold(8);
const RMS_WINDOW: Param = rows::rms_window(9);
const LINK: Param = rows::link(10);
const DETECTOR: Param = rows::detector(11);
const MODE: Param = rows::mode(12);
const ON: Param = Param::new(13, "on", Unit::Switch)
    .default(1.0)
    .help("Compression of the band. Off: the band passes unchanged.");
const SOLO: Param = Param::new(14, "solo", Unit::Switch).help("Solo: only soloed bands are audible.");
const MUTE: Param = Param::new(15, "mute", Unit::Switch).help("Mutes the band.");

const PARTS: Parts = Parts {
    name: "band",
    list: "bands",
    rows: &[
        TO, THRESHOLD, RATIO, KNEE, ATTACK, RELEASE, MAKEUP, RANGE, HOLD, RMS_WINDOW, LINK, DETECTOR, MODE,
        ON, SOLO, MUTE,
    ],
    least: 2,
    most: BANDS,
    last_lacks: Some(TO.name),
    picked_by: None,
};

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "multiband",
    "Multiband compressor of 2 to 6 bands.",
    &[SLOPE, LOOKAHEAD, MIX, PHASE, REACH],
    build,
)
.parts(&PARTS)
.key()
.latency(|setup| setup.frames(setup.value(&LOOKAHEAD)) + reach(setup).map_or(0, |reach| reach.latency))
.readings(&[
    GAIN_CHANGE,
    band_reading("reduction1"),
    band_reading("reduction2"),
    band_reading("reduction3"),
    band_reading("reduction4"),
    band_reading("reduction5"),
    band_reading("reduction6"),
])
.settles_in(|setup| {
    let edges = (1..setup.parts).map(|part| setup.part_value(part - 1, &TO));
    let filters = reach(setup).map_or(0, |reach| 2 * reach.taps) as f64 / setup.sample_rate;
    0.2 + filters + 40.0 / edges.fold(TO.max, f64::min)
})
.workloads(&[Workload::new(
    "",
    "bands: [{to: 200 Hz, threshold: -30 dB}, {to: 2 kHz, threshold: -30 dB}, {threshold: -30 dB}]",
)]);

const fn band_reading(name: &'static str) -> Reading {
    Reading { name, help: "Largest gain change of that band since the last report.", ..GAIN_CHANGE }
}

const ROWS: usize = PARTS.rows.len();

/// Length of the linear-phase filters; `None` for minimum phase.
fn reach(setup: &Setup<'_>) -> Option<Reach> {
    let frames = setup.frames(setup.value(&REACH));
    (setup.value(&PHASE) > 0.0).then(|| Reach::linear(setup.sample_rate, frames))
}

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let rate = setup.sample_rate;
    let steep = setup.value(&SLOPE) > 0.0;
    let band = |index| {
        let shape = rows::shape(setup.part_value(index, &DETECTOR), setup.part_value(index, &MODE), false);
        Band { computer: GainComputer::new(rate, shape), values: BandValues::default() }
    };
    let delay = Delay::new(setup.frames(setup.value(&LOOKAHEAD)));
    let split = |channels| match reach(setup) {
        None => Split::Minimum(Box::new(Crossover::new(rate, setup.parts, steep, channels))),
        Some(reach) => {
            let freqs = (0..setup.parts).map(|index| setup.part_value(index, &TO));
            Split::Linear(Box::new(LinearCrossover::new(rate, reach, setup.parts, steep, channels, freqs)))
        }
    };
    Box::new(Multiband {
        bands: (0..setup.parts).map(band).collect(),
        split: split(setup.channels),
        key_split: split(setup.key_channels),
        delays: vec![delay; setup.channels * setup.parts].into_boxed_slice(),
    })
}

struct Multiband {
    bands: Box<[Band]>,
    split: Split,
    key_split: Split,
    /// One per channel and band: channel by channel.
    delays: Box<[Delay]>,
}

enum Split {
    Minimum(Box<Crossover>),
    Linear(Box<LinearCrossover>),
}

impl Split {
    #[inline]
    fn tick(&mut self, channel: usize, sample: f64) -> [f64; BANDS] {
        match self {
            Self::Minimum(split) => split.tick(channel, sample),
            Self::Linear(split) => split.tick(channel, sample),
        }
    }

    /// Ends the frame.
    #[inline]
    fn advance(&mut self) {
        if let Self::Linear(split) = self {
            split.advance();
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Minimum(split) => split.reset(),
            Self::Linear(split) => split.reset(),
        }
    }

    fn adopt(&mut self, old: &Self) {
        match (self, old) {
            (Self::Minimum(split), Self::Minimum(old)) => split.adopt(old),
            (Self::Linear(split), Self::Linear(old)) => split.adopt(old),
            _ => {}
        }
    }

    fn adopt_more(&mut self, old: &Self) -> usize {
        match (self, old) {
            (Self::Linear(split), Self::Linear(old)) => split.adopt_more(old),
            _ => 0,
        }
    }
}

struct Band {
    computer: GainComputer,
    values: BandValues,
}

/// Values of a band besides those of its gain computer.
#[derive(Clone, Copy, Default)]
struct BandValues {
    to: f64,
    makeup: f64,
    on: f64,
    solo: f64,
    mute: f64,
}

impl Band {
    fn read_values(&mut self, value: impl Fn(&Param) -> f64) {
        let own = [THRESHOLD, RATIO, KNEE, RANGE, ATTACK, RELEASE, HOLD, RMS_WINDOW, LINK];
        self.computer.set(&rows::values(own.map(|row| value(&row))));
        let [to, makeup, on, solo, mute] = [TO, MAKEUP, ON, SOLO, MUTE].map(|row| value(&row));
        self.values = BandValues { to, makeup, on, solo, mute };
    }
}

impl Multiband {
    fn set_minimum_splits(&mut self) {
        for split in [&mut self.split, &mut self.key_split] {
            if let Split::Minimum(split) = split {
                split.tune(self.bands.iter().map(|band| band.values.to));
            }
        }
    }

    /// Sets the target frequencies of linear-phase splits, which are crossfaded.
    fn set_linear_splits(&mut self, params: &Params<'_>) {
        for split in [&mut self.split, &mut self.key_split] {
            if let Split::Linear(split) = split {
                split.tune((0..self.bands.len()).map(|index| params.part(index).ramp(&TO).target()));
            }
        }
    }

    /// Level of each band, 0..1, by solo and mute.
    fn levels(&self) -> [f64; BANDS] {
        let any_solo = self.bands.iter().fold(0.0, |any: f64, band| any.max(band.values.solo));
        let levels = |values: &BandValues| (1.0 - values.mute) * (1.0 - any_solo * (1.0 - values.solo));
        from_fn(|at| self.bands.get(at).map_or(0.0, |band| levels(&band.values)))
    }

    fn process_frame(
        &mut self,
        block: &mut Block<'_>,
        frame: usize,
        mix: f64,
        levels: &[f64; BANDS],
        ranges: &mut [GainRange; BANDS],
    ) {
        let (width, count) = (block.width(), self.bands.len());
        let mut keys = [[0.0; MAX_CHANNELS]; BANDS];
        let mut parts = [[0.0; MAX_CHANNELS]; BANDS];
        for channel in 0..width {
            let split = self.split.tick(channel, *block.at(channel, frame));
            parts.iter_mut().zip(split).for_each(|(part, sample)| part[channel] = sample);
        }
        let mut key_width = width;
        if block.has_key() {
            key_width = block.key_width();
            for channel in 0..key_width {
                let split = self.key_split.tick(channel, block.key(channel, frame));
                keys.iter_mut().zip(split).for_each(|(key, sample)| key[channel] = sample);
            }
            self.key_split.advance();
        } else {
            keys = parts;
        }
        self.split.advance();
        let mut out = [0.0; MAX_CHANNELS];
        for (at, band) in self.bands.iter_mut().enumerate() {
            let gains = band.computer.tick(&keys[at][..key_width], width);
            let wet = mix * band.values.on;
            for channel in 0..width {
                let sample = self.delays[channel * count + at].tick(parts[at][channel]);
                out[channel] +=
                    levels[at] * sample * (1.0 + wet * (gains[channel] * band.values.makeup - 1.0));
            }
            ranges[at].add(&gains[..width]);
        }
        (0..width).for_each(|channel| *block.at(channel, frame) = out[channel]);
    }
}

impl Node for Multiband {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        self.set_linear_splits(params);
        let mut ranges = [GainRange::NONE; BANDS];
        let mut mix = params.ramp(&MIX);
        if params.are_moving() {
            let mut ramps: [[Ramp; ROWS]; BANDS] = from_fn(|band| {
                let params = params.part(band.min(self.bands.len() - 1));
                from_fn(|slot| params.ramp(&PARTS.rows[slot]))
            });
            for frame in 0..block.frames() {
                for (band, ramps) in self.bands.iter_mut().zip(&mut ramps) {
                    ramps.iter_mut().for_each(|ramp| _ = ramp.tick());
                    band.read_values(|row| ramps[row.slot].value());
                }
                self.set_minimum_splits();
                let levels = self.levels();
                self.process_frame(block, frame, mix.tick(), &levels, &mut ranges);
            }
        } else {
            for (at, band) in self.bands.iter_mut().enumerate() {
                let params = params.part(at);
                band.read_values(|row| params.value(row));
            }
            self.set_minimum_splits();
            let levels = self.levels();
            for frame in 0..block.frames() {
                self.process_frame(block, frame, mix.value(), &levels, &mut ranges);
            }
        }
        for (at, (band, range)) in self.bands.iter().zip(ranges).enumerate() {
            let [lowest, highest] = range.heard(mix.value() * band.values.on);
            meter.gain_change(0, lowest, highest);
            meter.gain_change(1 + at, lowest, highest);
        }
    }

    fn reset(&mut self) {
        self.bands.iter_mut().for_each(|band| band.computer.reset());
        self.split.reset();
        self.key_split.reset();
        self.delays.iter_mut().for_each(Delay::reset);
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        if self.bands.len() != old.bands.len() {
            return;
        }
        self.bands.iter_mut().zip(&old.bands).for_each(|(band, old)| band.computer.adopt(&old.computer));
        self.split.adopt(&old.split);
        self.key_split.adopt(&old.key_split);
        self.delays.iter_mut().zip(&old.delays).for_each(|(delay, old)| delay.adopt(old));
    }

    fn adopt_more(&mut self, old: &dyn Node, _frames: usize) -> usize {
        let Some(old) = same::<Self>(old) else { return 0 };
        let splits = [(&mut self.split, &old.split), (&mut self.key_split, &old.key_split)];
        splits.map(|(split, old)| split.adopt_more(old)).into_iter().max().unwrap_or(0)
    }
}
