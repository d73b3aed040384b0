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

use crate::dsp::delay::line::Delay;
use crate::dsp::restore::autoregression::{Burg, Filler};
use crate::dsp::restore::clicks::Clicks;
use crate::dsp::restore::repair_line::{Schedule, Turn};
use crate::node::{Damage, Node, NodeType, Params, Setup};
use crate::nodes::common::repair::{Channel, Lines, Method, Repairer};
use crate::param::ramp::Ramp;
use crate::param::{Param, Unit};
use crate::reading::Reading;

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

const CLICKS: Reading = Reading::new("clicks", Unit::PerSecond, "Clicks repaired in the last second.");
const REPAIRED: Reading =
    Reading::new("repaired", Unit::PerSecond, "Samples repaired in the last second.").scale(0.0, 1_000.0);

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "declick",
    "Detects and repairs clicks and crackle.",
    &[SENSITIVITY, LONGEST, LINKED, LISTEN, ORDER, PASSES],
    build,
)
.latency(|setup| schedule(setup).latency())
.readings(&[CLICKS, REPAIRED])
.repairs(Damage::Clicks);

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
    let own = || Own {
        raw: Delay::new(schedule.latency()),
        model: Burg::new(order, schedule.window()),
        clicks: Clicks::new(schedule.hop()),
    };
    let method = Declick { filler: Filler::new(order, most), places: Vec::with_capacity(most) };
    Box::new(Repairer::new(setup, schedule, schedule.hop() / 4, method, own))
}

/// Scratch memory for the repair of one group of clicks.
struct Declick {
    filler: Filler,
    places: Vec<usize>,
}

/// What a channel has beside its line.
struct Own {
    /// The input, delayed by the latency.
    raw: Delay,
    model: Burg,
    clicks: Clicks,
}

#[derive(Clone, Copy)]
struct Ramps {
    sensitivity: Ramp,
    longest: Ramp,
    linked: Ramp,
    listen: Ramp,
}

impl Method for Declick {
    type Channel = Own;
    type Ramps = Ramps;

    fn order(own: &Own) -> usize {
        own.model.order()
    }

    fn ramps(params: &Params<'_>) -> Ramps {
        let [sensitivity, longest, linked, listen] =
            [SENSITIVITY, LONGEST, LINKED, LISTEN].map(|row| params.ramp(&row));
        Ramps { sensitivity, longest, linked, listen }
    }

    fn work(&mut self, lines: &mut Lines<Own>, pass: usize, turn: Turn, ramps: &Ramps) {
        for Channel { line, own: Own { model, clicks, .. } } in &mut lines.channels {
            let order = model.order();
            match turn {
                Turn::Model(part, parts) => {
                    if part == 0 {
                        model.start(line.window());
                    }
                    model.advance(order * (part + 1) / parts);
                }
                Turn::Detect(part, parts) => {
                    // Samples that the previous pass repaired are detected again, with their original values.
                    if part == 0 && pass > 0 {
                        line.restore();
                    }
                    clicks.listen((part, parts), model.coeffs(), line.window());
                    if part + 1 == parts {
                        let [most, range] = THRESHOLD;
                        let threshold = most * range.powf(-ramps.sensitivity.value());
                        let longest = (ramps.longest.value() * lines.rate / 1000.0).round() as usize;
                        clicks.find(line.window(), threshold, longest, order / 2);
                    }
                }
                Turn::Repair(part, parts) => {
                    if !line.has_to_repair((part, parts)) {
                        continue;
                    }
                    self.filler.model(model.coeffs());
                    line.repair((part, parts), order, self.filler.most(), |samples, faults| {
                        self.places.clear();
                        self.places.extend(faults.iter().map(|fault| fault.0));
                        self.filler.fill(samples, &self.places);
                    });
                }
            }
        }
        match turn {
            Turn::Detect(part, parts) if part + 1 == parts => {
                blame(&mut lines.channels, ramps.linked.value() >= 0.5)
            }
            Turn::Repair(part, parts) if part + 1 == parts && pass + 1 == lines.schedule.passes() => {
                lines.count()
            }
            _ => {}
        }
    }

    fn exchange(channel: &mut Channel<Own>, at: usize, samples: &mut [f64], ramps: &mut Ramps) {
        let mut was = [0.0; crate::SUBBLOCK];
        let was = &mut was[..samples.len()];
        was.copy_from_slice(samples);
        channel.own.raw.process(was);
        channel.line.exchange(at, samples);
        for (sample, was) in samples.iter_mut().zip(was) {
            let listen = ramps.listen.tick();
            if listen > 0.0 {
                *sample += listen * (*was - 2.0 * *sample);
            }
        }
    }

    fn advance(ramps: &mut Ramps, frames: usize) {
        let Ramps { sensitivity, longest, linked, .. } = ramps;
        [sensitivity, longest, linked].into_iter().for_each(|ramp| ramp.advance(frames));
    }

    fn reset(Own { raw, model, clicks }: &mut Own) {
        raw.reset();
        model.reset();
        clicks.reset();
    }

    fn adopt(own: &mut Own, old: &Own, is_same: bool) {
        own.raw.adopt(&old.raw);
        if is_same {
            own.model.adopt(&old.model);
            own.clicks.adopt(&old.clicks);
        }
    }
}

/// What was marked is to be repaired; where linked, in every channel.
fn blame(channels: &mut [Channel<Own>], is_linked: bool) {
    if is_linked && let Some((first, others)) = channels.split_first_mut() {
        let first = &mut first.own.clicks;
        for other in &mut *others {
            let marks = first.marks().iter_mut().zip(other.own.clicks.marks());
            marks.for_each(|(mark, other)| *mark |= *other);
        }
        others.iter_mut().for_each(|other| other.own.clicks.marks().copy_from_slice(first.marks()));
    }
    for Channel { line, own } in channels {
        own.clicks.places().for_each(|place| line.blame(place));
    }
}
