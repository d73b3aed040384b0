//! Declick: detects clicks and crackle, and replaces them by an interpolation of the sound around them.
//!
//! The sound is modelled every 10 ms (autoregression, Burg's recursion). Samples that the model predicts neither from
//! before nor from after are a click; they are replaced so that the model's residual is smallest. The rest is the
//! delayed input, bit for bit. Latency: 26.7 ms at 48 kHz (1280 frames up to 50 kHz, twice that up to 100 kHz, four
//! times up to 200 kHz), for all settings. The work is spread over the callbacks: the longest takes about twice the
//! mean, three times above 50 kHz.
//!
//! In digital silence clicks cannot be detected. Also unchanged are clicks longer than `longest`, and passages with
//! more than a quarter of their samples in clicks.
//!
//! Sources: see `dsp/restore/autoregression.rs` and `dsp/restore/clicks.rs`.

use crate::block::Block;
use crate::dsp::delay::line::Delay;
use crate::dsp::dynamics::count_per_second::CountPerSecond;
use crate::dsp::restore::autoregression::{Burg, Filler};
use crate::dsp::restore::clicks::Clicks;
use crate::dsp::restore::repair_line::{Line, Schedule, Turn};
use crate::node::{Node, NodeType, Params, Setup, same};
use crate::param::{Param, Unit};
use crate::reading::{Reading, Readings};

const SENSITIVITY: Param = Param::new(0, "sensitivity", Unit::Percent)
    .range(0.0, 100.0)
    .default(50.0)
    .help("Detection sensitivity. Higher finds fainter crackle; too high damages programme.");
const LONGEST: Param = Param::new(1, "longest", Unit::Ms)
    .range(0.05, 2.0)
    .default(1.0)
    .log()
    .help("Longest click that is repaired. Longer ones are left unchanged.");
const LINKED: Param = Param::new(2, "linked", Unit::Switch)
    .help("Channel link. On: a click found in one channel is repaired in all; off: each channel separately.");
const LISTEN: Param = Param::new(3, "listen", Unit::Switch).help("Outputs only the removed signal.");
const ORDER: Param = Param::new(4, "order", Unit::Count)
    .range(8.0, 64.0)
    .default(32.0)
    .setting()
    .best(48.0)
    .help("Order of the autoregressive model, in samples. Higher models dense programme better, at more CPU load.");
const PASSES: Param = Param::new(5, "passes", Unit::Count)
    .range(1.0, 4.0)
    .default(1.0)
    .setting()
    .best(2.0)
    .help("Detection and repair passes. Each pass models the signal repaired by the previous one; CPU load grows in proportion.");

const CLICKS: Reading =
    Reading { name: "clicks", unit: Unit::Plain, help: "Clicks repaired in the last second." };
const REPAIRED: Reading =
    Reading { name: "repaired", unit: Unit::Plain, help: "Samples repaired in the last second." };

/// The node type; see the module.
pub const NODE_TYPE: NodeType = NodeType::new(
    "declick",
    "Detects and repairs clicks and crackle.",
    &[SENSITIVITY, LONGEST, LINKED, LISTEN, ORDER, PASSES],
    build,
)
.latency(|setup| schedule(setup).latency())
.readings(&[CLICKS, REPAIRED]);

/// Threshold relative to the scale of the residual at 0 % sensitivity, and the factor by which it is lower at 100 %.
const THRESHOLD: [f64; 2] = [16.0, 8.0];
/// Eighths of a pass for the model, the detection and the repair.
const SHARES: [usize; 3] = [4, 2, 2];

fn schedule(setup: &Setup<'_>) -> Schedule {
    Schedule::new(setup.sample_rate, setup.value(&PASSES) as usize, SHARES, [0, 1])
}

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let schedule = schedule(setup);
    let order = setup.value(&ORDER) as usize;
    let most = 2 * setup.frames(LONGEST.max);
    let channel = || Channel {
        line: Line::new(&schedule, schedule.hop() / 4),
        raw: Delay::new(schedule.latency()),
        model: Burg::new(order, schedule.window()),
        clicks: Clicks::new(schedule.hop()),
    };
    Box::new(Declick {
        rate: setup.sample_rate,
        schedule,
        channels: (0..setup.channels).map(|_| channel()).collect(),
        tallies: [CountPerSecond::default(); 2],
        filler: Filler::new(order, most),
        places: Vec::with_capacity(most),
    })
}

struct Declick {
    rate: f64,
    schedule: Schedule,
    channels: Box<[Channel]>,
    /// Counts of clicks and of samples.
    tallies: [CountPerSecond; 2],
    /// Scratch memory for the repair of one group of clicks.
    filler: Filler,
    places: Vec<usize>,
}

struct Channel {
    line: Line,
    /// The input, delayed by the latency.
    raw: Delay,
    model: Burg,
    clicks: Clicks,
}

/// The parameters at a turn.
struct TurnParams {
    threshold: f64,
    longest: usize,
    is_linked: bool,
}

impl Declick {
    fn order(&self) -> usize {
        self.channels.first().map_or(0, |channel| channel.model.order())
    }

    fn work(&mut self, pass: usize, turn: Turn, turn_params: &TurnParams) {
        let order = self.order();
        for Channel { line, model, clicks, .. } in &mut self.channels {
            match turn {
                Turn::Model(part, parts) => {
                    if part == 0 {
                        model.start(line.window());
                    }
                    model.advance(order * (part + 1) / parts);
                }
                Turn::Look(part, parts) => {
                    // Samples that the previous pass repaired are detected again, with their original values.
                    if part == 0 && pass > 0 {
                        line.restore();
                    }
                    clicks.listen((part, parts), model.coeffs(), line.window());
                    if part + 1 == parts {
                        clicks.find(line.window(), turn_params.threshold, turn_params.longest, order / 2);
                    }
                }
                Turn::Mend(part, parts) => {
                    if !line.has_to_mend((part, parts)) {
                        continue;
                    }
                    self.filler.model(model.coeffs());
                    line.mend((part, parts), order, self.filler.most(), |samples, faults| {
                        self.places.clear();
                        self.places.extend(faults.iter().map(|fault| fault.0));
                        self.filler.fill(samples, &self.places);
                    });
                }
            }
        }
        match turn {
            Turn::Look(part, parts) if part + 1 == parts => self.blame(turn_params.is_linked),
            Turn::Mend(part, parts) if part + 1 == parts && pass + 1 == self.schedule.passes() => {
                self.count()
            }
            _ => {}
        }
    }

    /// Adds the marked samples to the faulty ones.
    fn blame(&mut self, is_linked: bool) {
        if is_linked && let Some((first, others)) = self.channels.split_first_mut() {
            for other in &mut *others {
                let marks = first.clicks.marks().iter_mut().zip(other.clicks.marks());
                marks.for_each(|(mark, other)| *mark |= *other);
            }
            others.iter_mut().for_each(|other| other.clicks.marks().copy_from_slice(first.clicks.marks()));
        }
        for Channel { line, clicks, .. } in &mut self.channels {
            clicks.places().for_each(|place| line.blame(place));
        }
    }

    fn count(&mut self) {
        for channel in &self.channels {
            self.tallies[0].add(channel.line.runs());
            self.tallies[1].add(channel.line.faults().len());
        }
    }
}

impl Node for Declick {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let [mut sensitivity, mut longest, mut linked, mut listen] =
            [SENSITIVITY, LONGEST, LINKED, LISTEN].map(|row| params.ramp(&row));
        let (frames, mut done) = (block.frames(), 0);
        while done < frames {
            let [most, range] = THRESHOLD;
            let turn_params = TurnParams {
                threshold: most * range.powf(-sensitivity.value()),
                longest: (longest.value() * self.rate / 1000.0).round() as usize,
                is_linked: linked.value() >= 0.5,
            };
            while let Some((pass, turn)) = self.schedule.due() {
                self.work(pass, turn, &turn_params);
            }
            let count = self.schedule.until_turn().min(frames - done);
            let at = self.schedule.at();
            let before = listen;
            for (samples, Channel { line, raw, .. }) in block.channels().zip(&mut self.channels) {
                let samples = &mut samples[done..done + count];
                let mut was = [0.0; crate::SUBBLOCK];
                was[..count].copy_from_slice(samples);
                raw.process(&mut was[..count]);
                line.exchange(at, samples);
                listen = before;
                for (sample, was) in samples.iter_mut().zip(was) {
                    let listen = listen.tick();
                    if listen > 0.0 {
                        *sample += listen * (was - 2.0 * *sample);
                    }
                }
            }
            [&mut sensitivity, &mut longest, &mut linked].into_iter().for_each(|ramp| ramp.advance(count));
            self.tallies.iter_mut().for_each(|tally| tally.advance(count, self.rate));
            if self.schedule.advance(count) {
                self.channels.iter_mut().for_each(|channel| channel.line.advance());
            }
            done += count;
        }
        self.tallies.iter().enumerate().for_each(|(slot, tally)| meter.now(slot, tally.sum()));
    }

    fn reset(&mut self) {
        self.schedule.reset();
        self.tallies = [CountPerSecond::default(); 2];
        for Channel { line, raw, model, clicks } in &mut self.channels {
            line.reset();
            raw.reset();
            model.reset();
            clicks.reset();
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        let is_same = self.order() == old.order() && self.schedule.passes() == old.schedule.passes();
        self.schedule.adopt(&old.schedule, is_same);
        self.tallies = old.tallies;
        for (channel, old) in self.channels.iter_mut().zip(&old.channels) {
            channel.line.adopt(&old.line);
            channel.raw.adopt(&old.raw);
            if is_same {
                channel.model.adopt(&old.model);
                channel.clicks.adopt(&old.clicks);
            }
        }
    }
}
