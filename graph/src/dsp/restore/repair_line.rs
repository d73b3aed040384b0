//! Common parts of restoration in frames: the delay line of the samples, and the schedule of the work.
//!
//! ```text
//!   line   | past | output  | in work | ahead |  input  |
//!                 one hop   one hop           one hop
//! ```
//!
//! While one hop of samples comes in, the hop in work is analysed together with its surroundings, and repaired in
//! place; then all samples move on. The work is divided into turns at fixed positions in the hop, so that all
//! callbacks have about the same amount of it. Latency: from output to input.

/// Frames between two turns of a single pass.
const TURN: usize = 64;
/// Turns per pass for a hop of this many frames; longer hops have proportionally more.
const TURNS: usize = 8;

/// The work of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Part `.0` of `.1` of computing a model of the window.
    Model(usize, usize),
    /// Part of the detection of faulty samples.
    Detect(usize, usize),
    /// Part of their repair.
    Repair(usize, usize),
}

impl Turn {
    /// Whether a pass begins with it.
    pub(crate) fn is_first(self) -> bool {
        matches!(self, Turn::Model(0, _))
    }
}

/// Position in a hop, and its division into turns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Schedule {
    hop: usize,
    /// Frames that are kept before the output, and after the hop in work.
    past: usize,
    ahead: usize,
    passes: usize,
    shares: [usize; 3],
    at: usize,
    next: usize,
}

impl Schedule {
    /// `[control]` Hops of about 10 ms at `rate` Hz, with `passes` passes: `shares` are the eighths of a pass for the
    /// model, the detection and the repair. `past` and `ahead` are in half hops.
    pub(crate) fn new(rate: f64, passes: usize, shares: [usize; 3], [past, ahead]: [usize; 2]) -> Self {
        let times = (rate / 50_000.0).max(1.0).log2().ceil() as u32;
        let hop = (TURN * TURNS) << times;
        Self { hop, past: past * hop / 2, ahead: ahead * hop / 2, passes, shares, at: 0, next: 0 }
    }

    /// Frames of a hop.
    pub(crate) fn hop(&self) -> usize {
        self.hop
    }

    /// Frames of the window: all samples except the input.
    pub(crate) fn window(&self) -> usize {
        self.past + 2 * self.hop + self.ahead
    }

    /// Index in the window at which the hop in work begins.
    pub(crate) fn work(&self) -> usize {
        self.past + self.hop
    }

    /// Latency in frames.
    pub(crate) fn latency(&self) -> usize {
        self.window() - self.past
    }

    /// Frames until the next turn or the end of the hop.
    pub(crate) fn until_turn(&self) -> usize {
        let next = if self.next < self.turns() { self.place(self.next) } else { self.hop };
        next - self.at
    }

    /// Number of passes in a hop.
    pub(crate) fn passes(&self) -> usize {
        self.passes
    }

    fn turns(&self) -> usize {
        self.hop / TURN * self.passes
    }

    fn place(&self, turn: usize) -> usize {
        turn * TURN / self.passes
    }

    /// `[audio]` The next turn that is due, and its pass. To be called until it returns `None`.
    pub(crate) fn due(&mut self) -> Option<(usize, Turn)> {
        if self.next == self.turns() || self.place(self.next) > self.at {
            return None;
        }
        let (a_pass, eighth) = (self.hop / TURN, self.hop / TURN / TURNS);
        let (pass, turn) = (self.next / a_pass, self.next % a_pass);
        self.next += 1;
        let [model, detect, repair] = self.shares.map(|share| share * eighth);
        let turn = match turn {
            turn if turn < model => Turn::Model(turn, model),
            turn if turn < model + detect => Turn::Detect(turn - model, detect),
            turn => Turn::Repair(turn - model - detect, repair),
        };
        Some((pass, turn))
    }

    /// Position in the hop of the next sample.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// `[audio]` Advances by `frames`. Returns true at the end of a hop, when the lines must advance.
    pub(crate) fn advance(&mut self, frames: usize) -> bool {
        self.at += frames;
        if self.at < self.hop {
            return false;
        }
        (self.at, self.next) = (0, 0);
        true
    }

    /// `[audio]` Restarts the schedule.
    pub(crate) fn reset(&mut self) {
        (self.at, self.next) = (0, 0);
    }

    /// `[audio]` Adopts the position of another one with the same hop. If its work differs (`is_same` is false), the
    /// remaining work of this hop is skipped.
    pub(crate) fn adopt(&mut self, old: &Self, is_same: bool) {
        self.at = old.at;
        self.next = if is_same { old.next } else { self.turns() };
    }
}

/// Highest valid amplitude: 120 dBFS. Samples are limited to it; NaN counts as 0.
const ABSURD: f64 = 1e6;

/// The delay line of one channel.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    samples: Box<[f64]>,
    hop: usize,
    past: usize,
    /// The faulty samples by rising index, with their original values.
    faults: Vec<(usize, f64)>,
    /// Number of repaired ones among them.
    repaired: usize,
}

impl Line {
    /// `[control]` A line for a schedule, filled with silence, with up to `most` faulty samples per hop.
    pub(crate) fn new(schedule: &Schedule, most: usize) -> Self {
        let hop = schedule.hop();
        Self {
            samples: vec![0.0; schedule.window() + hop].into_boxed_slice(),
            hop,
            past: schedule.past,
            faults: Vec::with_capacity(most),
            repaired: 0,
        }
    }

    /// The window: all samples except the input.
    pub(crate) fn window(&self) -> &[f64] {
        &self.samples[..self.samples.len() - self.hop]
    }

    /// `[audio]` Writes `samples` at position `at` of the hop, and replaces them by the output.
    pub(crate) fn exchange(&mut self, at: usize, samples: &mut [f64]) {
        let (window, first) = (self.window().len(), self.past + at);
        let (due, coming) = self.samples.split_at_mut(window);
        for (sample, (due, place)) in samples.iter_mut().zip(due[first..].iter().zip(&mut coming[at..])) {
            *place = if sample.is_nan() { 0.0 } else { sample.clamp(-ABSURD, ABSURD) };
            *sample = *due;
        }
    }

    /// `[audio]` Advances by a hop.
    pub(crate) fn advance(&mut self) {
        self.samples.copy_within(self.hop.., 0);
        self.faults.clear();
        self.repaired = 0;
    }

    /// `[audio]` Restores the original values of the faulty samples of the previous pass, and clears the list.
    pub(crate) fn restore(&mut self) {
        for (place, was) in self.faults.drain(..) {
            self.samples[place] = was;
        }
        self.repaired = 0;
    }

    /// `[audio]` Marks all faulty samples as not yet repaired.
    pub(crate) fn again(&mut self) {
        self.repaired = 0;
    }

    /// `[audio]` Adds the sample at `place` to the faulty ones. To be called by rising index; a full list does not
    /// grow.
    pub(crate) fn blame(&mut self, place: usize) {
        if self.faults.len() < self.faults.capacity() {
            self.faults.push((place, self.samples[place]));
        }
    }

    /// The faulty samples.
    pub(crate) fn faults(&self) -> &[(usize, f64)] {
        &self.faults
    }

    /// Number of contiguous runs of faulty samples.
    pub(crate) fn runs(&self) -> usize {
        let gaps = self.faults.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1).count();
        gaps + usize::from(!self.faults.is_empty())
    }

    /// Whether part `part` of `parts` of the repair has anything to do.
    pub(crate) fn has_to_repair(&self, (part, parts): (usize, usize)) -> bool {
        self.repaired < self.faults.len() * (part + 1) / parts
    }

    /// `[audio]` Does part `part` of `parts` of the repair: passes groups of up to `most` faults to `repair`. Two groups
    /// are more than `apart` frames apart, unless a group would be too long.
    pub(crate) fn repair(
        &mut self,
        (part, parts): (usize, usize),
        apart: usize,
        most: usize,
        mut repair: impl FnMut(&mut [f64], &[(usize, f64)]),
    ) {
        while self.has_to_repair((part, parts)) {
            let group = &self.faults[self.repaired..];
            let near = group.windows(2).take_while(|pair| pair[1].0 - pair[0].0 <= apart).count() + 1;
            let count = near.min(most);
            repair(&mut self.samples, &group[..count]);
            self.repaired += count;
        }
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        self.samples.fill(0.0);
        self.faults.clear();
        self.repaired = 0;
    }

    /// `[audio]` Adopts the samples of another one of the same size; its faults as far as there is room.
    pub(crate) fn adopt(&mut self, old: &Self) {
        self.samples.copy_from_slice(&old.samples);
        self.faults.clear();
        self.faults.extend_from_slice(&old.faults[..old.faults.len().min(self.faults.capacity())]);
        self.repaired = old.repaired;
    }
}
