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

use crate::block::Block;
use crate::dsp::dynamics::count_per_second::CountPerSecond;
use crate::dsp::restore::autoregression::{Filler, Levinson};
use crate::dsp::restore::clip_level::{Flats, MARGIN};
use crate::dsp::restore::repair_line::{Line, Schedule, Turn};
use crate::node::{Node, NodeType, Params, Setup, same};
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
    Reading { name: "repaired", unit: Unit::Plain, help: "Samples repaired in the last second." };
const PEAKS: Reading =
    Reading { name: "peaks", unit: Unit::Plain, help: "Peaks repaired in the last second." };
const FOUND: Reading = Reading {
    name: "found",
    unit: Unit::Dbfs,
    help: "Detected clipping level, the highest of all channels and polarities.",
};

/// The node type; see the module.
pub const NODE_TYPE: NodeType =
    NodeType::new("declip", "Restores clipped peaks.", &[CEILING, GAIN, ORDER, PASSES], build)
        .latency(|setup| schedule(setup).latency())
        .readings(&[PEAKS, REPAIRED, FOUND]);

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
    let channel = || Channel {
        line: Line::new(&schedule, schedule.hop() / 2),
        model: Levinson::new(order, schedule.window()),
        flats: Flats::default(),
    };
    Box::new(Declip {
        rate: setup.sample_rate,
        schedule,
        channels: (0..setup.channels).map(|_| channel()).collect(),
        tallies: [CountPerSecond::default(); 2],
        repair: Repair { filler: Filler::new(order, MOST), places: Vec::with_capacity(MOST) },
    })
}

struct Declip {
    rate: f64,
    schedule: Schedule,
    channels: Box<[Channel]>,
    /// Counts of peaks and of samples.
    tallies: [CountPerSecond; 2],
    repair: Repair,
}

struct Channel {
    line: Line,
    model: Levinson,
    flats: Flats,
}

/// Scratch memory for the repair of one group of peaks.
struct Repair {
    filler: Filler,
    places: Vec<usize>,
}

impl Repair {
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

impl Declip {
    fn order(&self) -> usize {
        self.channels.first().map_or(0, |channel| channel.model.order())
    }

    fn work(&mut self, pass: usize, turn: Turn, given: Option<f64>) {
        let (order, schedule) = (self.order(), self.schedule);
        for Channel { line, model, flats } in &mut self.channels {
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
                Turn::Look(part, parts) => model.advance(order * (part + 1) / parts),
                Turn::Mend(part, parts) => {
                    if !line.has_to_mend((part, parts)) {
                        continue;
                    }
                    self.repair.filler.model(model.coeffs());
                    line.mend((part, parts), order, MOST, |samples, faults| {
                        self.repair.fill(samples, faults)
                    });
                }
            }
        }
        if turn.is_first() && pass == 0 {
            self.count();
        }
    }

    fn count(&mut self) {
        for channel in &self.channels {
            self.tallies[0].add(channel.line.runs());
            self.tallies[1].add(channel.line.faults().len());
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

impl Node for Declip {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let [mut ceiling, mut gain] = [CEILING, GAIN].map(|row| params.ramp(&row));
        let (frames, mut done) = (block.frames(), 0);
        while done < frames {
            let given = (ceiling.value() < CEILING.max).then(|| db_to_gain(ceiling.value()));
            while let Some((pass, turn)) = self.schedule.due() {
                self.work(pass, turn, given);
            }
            let count = self.schedule.until_turn().min(frames - done);
            let (at, before) = (self.schedule.at(), gain);
            for (samples, Channel { line, .. }) in block.channels().zip(&mut self.channels) {
                let samples = &mut samples[done..done + count];
                line.exchange(at, samples);
                gain = before;
                samples.iter_mut().for_each(|sample| *sample *= gain.tick());
            }
            ceiling.advance(count);
            self.tallies.iter_mut().for_each(|tally| tally.advance(count, self.rate));
            if self.schedule.advance(count) {
                self.channels.iter_mut().for_each(|channel| channel.line.advance());
            }
            done += count;
        }
        self.tallies.iter().enumerate().for_each(|(slot, tally)| meter.now(slot, tally.sum()));
        let found = self.channels.iter().filter_map(|channel| channel.flats.highest()).reduce(f64::max);
        if let Some(level) = found {
            meter.now(2, gain_to_db(level));
        }
    }

    fn reset(&mut self) {
        self.schedule.reset();
        self.tallies = [CountPerSecond::default(); 2];
        for Channel { line, flats, .. } in &mut self.channels {
            line.reset();
            *flats = Flats::default();
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        let is_same = self.order() == old.order() && self.schedule.passes() == old.schedule.passes();
        self.schedule.adopt(&old.schedule, is_same);
        self.tallies = old.tallies;
        for (channel, old) in self.channels.iter_mut().zip(&old.channels) {
            channel.line.adopt(&old.line);
            channel.flats = old.flats;
            if is_same {
                channel.model.adopt(&old.model);
            }
        }
    }
}
