//! What declick and declip share: lines on which the sound waits while it is repaired, and the loop that works on them.
//!
//! A node says what it does at a turn, how samples go on and off the line, and what it reads. See [`repair_line`].
//!
//! [`repair_line`]: crate::dsp::restore::repair_line

use crate::block::Block;
use crate::dsp::dynamics::count_per_second::CountPerSecond;
use crate::dsp::restore::repair_line::{Line, Schedule, Turn};
use crate::node::{Node, Params, Setup, same};
use crate::reading::Readings;

/// A way to repair. Its own fields are room for one group of faults.
pub(crate) trait Method: Send + Sized + 'static {
    /// What a channel has beside its line.
    type Channel: Send;
    /// The ramps of the parameters on their way through a block.
    type Ramps: Copy;

    /// How many samples the model of a channel looks back.
    fn order(channel: &Self::Channel) -> usize;

    /// The ramps at the start of a block.
    fn ramps(params: &Params<'_>) -> Self::Ramps;

    /// `[audio]` Does the work of a turn, in all channels.
    fn work(&mut self, lines: &mut Lines<Self::Channel>, pass: usize, turn: Turn, ramps: &Self::Ramps);

    /// `[audio]` Puts a channel's samples on the line at place `at` of the hop and takes what is due, with every ramp that moves
    /// frame by frame.
    fn exchange(
        channel: &mut Channel<Self::Channel>,
        at: usize,
        samples: &mut [f64],
        ramps: &mut Self::Ramps,
    );

    /// `[audio]` Moves the other ramps on.
    fn advance(ramps: &mut Self::Ramps, frames: usize);

    /// `[audio]` Reads more than the tallies, which are the first two readings.
    fn read(_lines: &Lines<Self::Channel>, _meter: &mut Readings) {}

    /// `[audio]` Forgets the past of a channel.
    fn reset(channel: &mut Self::Channel);

    /// `[audio]` Takes over the state of a channel whose schedule is the same; the models are alike where `is_same`.
    fn adopt(channel: &mut Self::Channel, old: &Self::Channel, is_same: bool);
}

/// A channel: its line, and what the method keeps beside it.
pub(crate) struct Channel<C> {
    pub line: Line,
    pub own: C,
}

/// All channels, and where in the hop they are.
pub(crate) struct Lines<C> {
    pub rate: f64,
    pub schedule: Schedule,
    pub channels: Box<[Channel<C>]>,
    /// Faults and samples in the last second.
    tallies: [CountPerSecond; 2],
}

impl<C> Lines<C> {
    /// `[audio]` Counts what is repaired in the hop in work.
    pub(crate) fn count(&mut self) {
        for Channel { line, .. } in &self.channels {
            self.tallies[0].add(line.runs());
            self.tallies[1].add(line.faults().len());
        }
    }
}

/// A node that repairs by a method.
pub(crate) struct Repairer<M: Method> {
    method: M,
    lines: Lines<M::Channel>,
}

impl<M: Method> Repairer<M> {
    /// `[control]` A node of `setup`; up to `most` samples of a hop may be wrong.
    pub(crate) fn new(
        setup: &Setup<'_>,
        schedule: Schedule,
        most: usize,
        method: M,
        own: impl Fn() -> M::Channel,
    ) -> Self {
        let channel = |_| Channel { line: Line::new(&schedule, most), own: own() };
        let channels = (0..setup.channels).map(channel).collect();
        let tallies = [CountPerSecond::default(); 2];
        Self { method, lines: Lines { rate: setup.sample_rate, schedule, channels, tallies } }
    }

    fn order(&self) -> usize {
        self.lines.channels.first().map_or(0, |channel| M::order(&channel.own))
    }
}

impl<M: Method> Node for Repairer<M> {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let Self { method, lines } = self;
        let mut ramps = M::ramps(params);
        let (frames, mut done) = (block.frames(), 0);
        while done < frames {
            while let Some((pass, turn)) = lines.schedule.due() {
                method.work(lines, pass, turn, &ramps);
            }
            let count = lines.schedule.until_turn().min(frames - done);
            let (at, before) = (lines.schedule.at(), ramps);
            for (samples, channel) in block.channels().zip(&mut lines.channels) {
                // Every channel has the same values.
                ramps = before;
                M::exchange(channel, at, &mut samples[done..done + count], &mut ramps);
            }
            M::advance(&mut ramps, count);
            lines.tallies.iter_mut().for_each(|tally| tally.advance(count, lines.rate));
            if lines.schedule.advance(count) {
                lines.channels.iter_mut().for_each(|channel| channel.line.advance());
            }
            done += count;
        }
        lines.tallies.iter().enumerate().for_each(|(slot, tally)| meter.now(slot, tally.sum()));
        M::read(lines, meter);
    }

    fn reset(&mut self) {
        self.lines.schedule.reset();
        self.lines.tallies = [CountPerSecond::default(); 2];
        for Channel { line, own } in &mut self.lines.channels {
            line.reset();
            M::reset(own);
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        let is_same =
            self.order() == old.order() && self.lines.schedule.passes() == old.lines.schedule.passes();
        self.lines.schedule.adopt(&old.lines.schedule, is_same);
        self.lines.tallies = old.lines.tallies;
        for (channel, old) in self.lines.channels.iter_mut().zip(&old.lines.channels) {
            channel.line.adopt(&old.line);
            M::adopt(&mut channel.own, &old.own, is_same);
        }
    }
}
