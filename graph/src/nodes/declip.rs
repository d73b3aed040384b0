//! Declip: restores clipped peaks.
//!
//! It detects the clipping level for each polarity, even after a later change of gain; or the level is given. Clipped
//! samples are interpolated by a model of the sound (autoregression), beyond the level: samples that the model would
//! put below it stay at it. Peaks grow by some dB: `gain` makes headroom. Where nothing is clipped, the output at 0 dB
//! is the delayed input, bit for bit. Latency: 32 ms at 48 kHz (1536 frames up to 50 kHz, twice that up to 100 kHz,
//! four times up to 200 kHz). The work is spread over the callbacks: the longest takes about one and a half times the
//! mean if everything is clipped, three to five times the mean in a passage with some clipping. Without clipping the
//! CPU load is very low.
//!
//! Clipped tops that were rounded afterwards, by a lossy codec or a filter, are not detected.
//!
//! Sources: see `dsp/restore/autoregression.rs`; that restored samples lie beyond the level, as in all consistent
//! methods of P. Záviška, P. Rajmic, A. Ozerov, L. Rencker, *A Survey and an Extensive Evaluation of Popular Audio
//! Declipping Methods*, IEEE JSTSP 15 (2021).

use crate::dsp::restore::autoregression::{Filler, Levinson};
use crate::dsp::restore::clip_level::{Flats, MARGIN};
use crate::dsp::restore::repair_line::{Line, Schedule, Turn};
use crate::node::{Damage, Node, NodeType, Params, Setup};
use crate::nodes::common::repair::{Channel, Lines, Method, Repairer};
use crate::param::ramp::Ramp;
use crate::param::{Param, Unit, db_to_gain, gain_to_db};
use crate::reading::{Reading, Readings};

const CEILING: Param = Param::new(0, "ceiling", Unit::Dbfs)
    .range(-40.0, 12.0)
    .default(12.0)
    .top("auto")
    .help("Clipping level of the recording. auto: detected for each channel and polarity.");
const GAIN: Param = Param::new(1, "gain", Unit::Gain)
    .range(-24.0, 12.0)
    .help("Output gain. Lower it to make headroom for the restored peaks.");
const ORDER: Param =
    Param::new(2, "order", Unit::Count).range(32.0, 448.0).default(384.0).setting().best(448.0).help(
        "Order of the autoregressive model, in samples. Higher models low and dense programme better, at more CPU load.",
    );
const PASSES: Param =
    Param::new(3, "passes", Unit::Count).range(1.0, 4.0).default(2.0).setting().best(4.0).help(
        "Repair passes. Each pass models the signal repaired by the previous one; CPU load grows in proportion.",
    );

const REPAIRED: Reading =
    Reading::new("repaired", Unit::PerSecond, "Samples repaired in the last second.").scale(0.0, 1_000.0);
const PEAKS: Reading = Reading::new("peaks", Unit::PerSecond, "Peaks repaired in the last second.");
const FOUND: Reading =
    Reading::new("found", Unit::Dbfs, "Detected clipping level, the highest of all channels and polarities.");

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType =
    NodeType::new("declip", "Restores clipped peaks.", &[CEILING, GAIN, ORDER, PASSES], build)
        .latency(|setup| schedule(setup).latency())
        .readings(&[PEAKS, REPAIRED, FOUND])
        .repairs(Damage::Clipping);

/// Half hops before the output that the model includes, and after the hop in work: low tones need a long window, the
/// highest order needs half of it after a peak.
const PAST: usize = 4;
const AHEAD: usize = 2;
/// Eighths of a pass for the sums of the model, the model itself, and the repair, which is half of the work.
const SHARES: [usize; 3] = [3, 1, 4];
/// Largest number of samples that are interpolated at once.
const MOST: usize = 128;
/// Number of times that samples below the level are set to it and the others interpolated again.
const ROUNDS: usize = 2;
/// Largest growth of a peak, as a factor.
const MOST_GROWTH: f64 = 8.0;

fn schedule(setup: &Setup<'_>) -> Schedule {
    Schedule::new(setup.sample_rate, setup.value(&PASSES) as usize, SHARES, [PAST, AHEAD])
}

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let schedule = schedule(setup);
    let order = setup.value(&ORDER) as usize;
    let own = || Own { model: Levinson::new(order, schedule.window()), flats: Flats::default() };
    let method = Declip { filler: Filler::new(order, MOST), places: Vec::with_capacity(MOST) };
    Box::new(Repairer::new(setup, schedule, schedule.hop() / 2, method, own))
}

/// Scratch memory for the repair of one group of peaks.
struct Declip {
    filler: Filler,
    places: Vec<usize>,
}

/// What a channel has beside its line.
struct Own {
    model: Levinson,
    flats: Flats,
}

#[derive(Clone, Copy)]
struct Ramps {
    ceiling: Ramp,
    gain: Ramp,
}

impl Declip {
    /// Interpolates the samples in `faults`, to values beyond the clipping level.
    fn fill(&mut self, samples: &mut [f64], faults: &[(usize, f64)]) {
        self.places.clear();
        self.places.extend(faults.iter().map(|fault| fault.0));
        // In the next round, samples that the model put too low are known to be at the level.
        for _ in 0..ROUNDS {
            self.filler.fill(samples, &self.places);
            for (place, was) in faults {
                if samples[*place] * was.signum() < was.abs() {
                    samples[*place] = *was;
                }
            }
            let before = self.places.len();
            let is_at_level = |place: &usize| {
                faults
                    .binary_search_by_key(place, |fault| fault.0)
                    .is_ok_and(|at| samples[*place] == faults[at].1)
            };
            self.places.retain(|place| !is_at_level(place));
            if self.places.len() == before {
                break;
            }
        }
        for (place, was) in faults {
            let most = MOST_GROWTH * was.abs();
            samples[*place] = samples[*place].clamp(-most, most);
        }
    }
}

/// Adds the clipped samples of the hop in work, and the rest of a top that ends after it, as far as the model reaches.
fn blame(line: &mut Line, flats: &Flats, given: Option<f64>, schedule: &Schedule, order: usize) {
    let (from, to) = (schedule.work(), schedule.work() + schedule.hop());
    for place in from..line.window().len() - order {
        let is_clipped = flats.is_clipped(line.window()[place], given);
        if is_clipped {
            line.blame(place);
        } else if place >= to {
            break;
        }
    }
}

impl Method for Declip {
    type Channel = Own;
    type Ramps = Ramps;

    fn order(own: &Own) -> usize {
        own.model.order()
    }

    fn ramps(params: &Params<'_>) -> Ramps {
        Ramps { ceiling: params.ramp(&CEILING), gain: params.ramp(&GAIN) }
    }

    fn work(&mut self, lines: &mut Lines<Own>, pass: usize, turn: Turn, ramps: &Ramps) {
        let schedule = lines.schedule;
        let ceiling = ramps.ceiling.value();
        let given = (ceiling < CEILING.max).then(|| db_to_gain(ceiling));
        for Channel { line, own: Own { model, flats } } in &mut lines.channels {
            let order = model.order();
            if turn.is_first() && pass == 0 {
                // The samples since the last call.
                let end = line.window().len() - MARGIN;
                flats.listen(line.window(), end - schedule.hop(), end);
                blame(line, flats, given, &schedule, order);
            }
            // Without clipping no model is needed.
            if line.faults().is_empty() {
                continue;
            }
            match turn {
                Turn::Model(part, parts) => {
                    if turn.is_first() {
                        line.again();
                        model.start(line.window());
                    }
                    model.correlate((part, parts));
                }
                Turn::Detect(part, parts) => model.advance(order * (part + 1) / parts),
                Turn::Repair(part, parts) => {
                    if !line.has_to_repair((part, parts)) {
                        continue;
                    }
                    self.filler.model(model.coeffs());
                    line.repair((part, parts), order, MOST, |samples, faults| self.fill(samples, faults));
                }
            }
        }
        if turn.is_first() && pass == 0 {
            lines.count();
        }
    }

    fn exchange(channel: &mut Channel<Own>, at: usize, samples: &mut [f64], ramps: &mut Ramps) {
        channel.line.exchange(at, samples);
        samples.iter_mut().for_each(|sample| *sample *= ramps.gain.tick());
    }

    fn advance(ramps: &mut Ramps, frames: usize) {
        ramps.ceiling.advance(frames);
    }

    fn read(lines: &Lines<Own>, meter: &mut Readings) {
        let found = lines.channels.iter().filter_map(|channel| channel.own.flats.highest()).reduce(f64::max);
        if let Some(level) = found {
            meter.now(2, gain_to_db(level));
        }
    }

    fn reset(own: &mut Own) {
        own.flats = Flats::default();
    }

    fn adopt(own: &mut Own, old: &Own, is_same: bool) {
        own.flats = old.flats;
        if is_same {
            own.model.adopt(&old.model);
        }
    }
}
