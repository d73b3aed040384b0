//! What repairs a sound in frames has in common: the line that the sound waits on, and when which work is done.
//!
//! ```text
//!   line   | gone by | going out | in work | ahead | coming in |
//!                      one hop     one hop           one hop
//! ```
//!
//! While one hop of samples comes in, what is in work is looked at together with what is around it, and mended in place; then
//! all moves on. The work is cut into turns at fixed places of the hop, so that no callback has much more of it than
//! another. Latency: from what goes out to what comes in.

/// Frames between two turns of a single pass.
const TURN: usize = 64;
/// Turns of a pass for a hop of this many frames; longer hops have more in proportion.
const TURNS: usize = 8;

/// What a turn is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Part `.0` of `.1` of making a model of the window.
    Model(usize, usize),
    /// Part of looking for what is wrong.
    Look(usize, usize),
    /// Part of mending it.
    Mend(usize, usize),
}

impl Turn {
    /// Whether a pass begins with it.
    pub fn is_first(self) -> bool {
        matches!(self, Turn::Model(0, _))
    }
}

/// Where a hop is, and what it is cut into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    hop: usize,
    /// Frames that are kept behind what goes out, and that are ahead of what is in work.
    past: usize,
    ahead: usize,
    passes: usize,
    shares: [usize; 3],
    at: usize,
    next: usize,
}

impl Schedule {
    /// `[control]` Hops of about 10 ms at `rate` Hz, in which the work is done `passes` times: `shares` are the eighths of a
    /// pass for the model, for looking and for mending. `past` and `ahead` are in half hops.
    pub fn new(rate: f64, passes: usize, shares: [usize; 3], [past, ahead]: [usize; 2]) -> Self {
        let times = (rate / 50_000.0).max(1.0).log2().ceil() as u32;
        let hop = (TURN * TURNS) << times;
        Self { hop, past: past * hop / 2, ahead: ahead * hop / 2, passes, shares, at: 0, next: 0 }
    }

    /// Frames of a hop.
    pub fn hop(&self) -> usize {
        self.hop
    }

    /// Frames of the window: all but what comes in.
    pub fn window(&self) -> usize {
        self.past + 2 * self.hop + self.ahead
    }

    /// Where in the window the hop in work begins.
    pub fn work(&self) -> usize {
        self.past + self.hop
    }

    /// Frames that a sample waits.
    pub fn latency(&self) -> usize {
        self.window() - self.past
    }

    /// Frames that the work may take at once, up to the next turn or the end of the hop.
    pub fn until_turn(&self) -> usize {
        let next = if self.next < self.turns() { self.place(self.next) } else { self.hop };
        next - self.at
    }

    /// How often the work is done in a hop.
    pub fn passes(&self) -> usize {
        self.passes
    }

    fn turns(&self) -> usize {
        self.hop / TURN * self.passes
    }

    fn place(&self, turn: usize) -> usize {
        turn * TURN / self.passes
    }

    /// `[audio]` The work that is due now, with its pass; to be asked until there is none.
    pub fn due(&mut self) -> Option<(usize, Turn)> {
        if self.next == self.turns() || self.place(self.next) > self.at {
            return None;
        }
        let (a_pass, eighth) = (self.hop / TURN, self.hop / TURN / TURNS);
        let (pass, turn) = (self.next / a_pass, self.next % a_pass);
        self.next += 1;
        let [model, look, mend] = self.shares.map(|share| share * eighth);
        let turn = match turn {
            turn if turn < model => Turn::Model(turn, model),
            turn if turn < model + look => Turn::Look(turn - model, look),
            turn => Turn::Mend(turn - model - look, mend),
        };
        Some((pass, turn))
    }

    /// Where in the hop the next sample is.
    pub fn at(&self) -> usize {
        self.at
    }

    /// `[audio]` Goes on by `frames`; true at the end of a hop, when the lines move on.
    pub fn advance(&mut self, frames: usize) -> bool {
        self.at += frames;
        if self.at < self.hop {
            return false;
        }
        (self.at, self.next) = (0, 0);
        true
    }

    /// `[audio]` Begins anew.
    pub fn reset(&mut self) {
        (self.at, self.next) = (0, 0);
    }

    /// `[audio]` Goes on where another of the same hop is. Where its work is not the same, what is left of it in this hop is
    /// left out.
    pub fn adopt(&mut self, old: &Self, is_same: bool) {
        self.at = old.at;
        self.next = if is_same { old.next } else { self.turns() };
    }
}

/// Beyond this nothing is sound, and it counts as this: 120 dBFS. As 0 it would be a hole.
const ABSURD: f64 = 1e6;

/// The samples of one channel on their way.
#[derive(Clone, Debug)]
pub struct Line {
    samples: Box<[f64]>,
    hop: usize,
    past: usize,
    /// What was wrong, by rising place, and what stood there.
    faults: Vec<(usize, f64)>,
    /// How many of them are mended.
    mended: usize,
}

impl Line {
    /// `[control]` A line for a schedule, silent at first, on which up to `most` samples of a hop may be wrong.
    pub fn new(schedule: &Schedule, most: usize) -> Self {
        let hop = schedule.hop();
        Self {
            samples: vec![0.0; schedule.window() + hop].into_boxed_slice(),
            hop,
            past: schedule.past,
            faults: Vec::with_capacity(most),
            mended: 0,
        }
    }

    /// The window: all but what comes in.
    pub fn window(&self) -> &[f64] {
        &self.samples[..self.samples.len() - self.hop]
    }

    /// `[audio]` Puts `samples` in at place `at` of the hop, and takes those that are due.
    pub fn exchange(&mut self, at: usize, samples: &mut [f64]) {
        let (window, first) = (self.window().len(), self.past + at);
        let (due, coming) = self.samples.split_at_mut(window);
        for (sample, (due, place)) in samples.iter_mut().zip(due[first..].iter().zip(&mut coming[at..])) {
            *place = if sample.is_nan() { 0.0 } else { sample.clamp(-ABSURD, ABSURD) };
            *sample = *due;
        }
    }

    /// `[audio]` Moves on by a hop.
    pub fn advance(&mut self) {
        self.samples.copy_within(self.hop.., 0);
        self.faults.clear();
        self.mended = 0;
    }

    /// `[audio]` What was found wrong in the pass before is wrong again, as it came in.
    pub fn restore(&mut self) {
        for (place, was) in self.faults.drain(..) {
            self.samples[place] = was;
        }
        self.mended = 0;
    }

    /// `[audio]` What was found wrong is to be mended once more.
    pub fn again(&mut self) {
        self.mended = 0;
    }

    /// `[audio]` Notes that the sample at `place` is wrong. To be called by rising place; a full list takes no more.
    pub fn blame(&mut self, place: usize) {
        if self.faults.len() < self.faults.capacity() {
            self.faults.push((place, self.samples[place]));
        }
    }

    /// What is wrong.
    pub fn faults(&self) -> &[(usize, f64)] {
        &self.faults
    }

    /// How many stretches of samples are wrong.
    pub fn runs(&self) -> usize {
        let gaps = self.faults.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1).count();
        gaps + usize::from(!self.faults.is_empty())
    }

    /// Whether part `part` of `parts` of the mending has anything to do.
    pub fn has_to_mend(&self, (part, parts): (usize, usize)) -> bool {
        self.mended < self.faults.len() * (part + 1) / parts
    }

    /// `[audio]` Does part `part` of `parts` of the mending: hands groups of up to `most` faults to `mend`, each more than `apart`
    /// frames from the next unless it would be longer.
    pub fn mend(
        &mut self,
        (part, parts): (usize, usize),
        apart: usize,
        most: usize,
        mut mend: impl FnMut(&mut [f64], &[(usize, f64)]),
    ) {
        while self.has_to_mend((part, parts)) {
            let group = &self.faults[self.mended..];
            let near = group.windows(2).take_while(|pair| pair[1].0 - pair[0].0 <= apart).count() + 1;
            let count = near.min(most);
            mend(&mut self.samples, &group[..count]);
            self.mended += count;
        }
    }

    /// `[audio]` Forgets all.
    pub fn reset(&mut self) {
        self.samples.fill(0.0);
        self.faults.clear();
        self.mended = 0;
    }

    /// `[audio]` Takes over another's samples, of the same size and with no more faults.
    pub fn adopt(&mut self, old: &Self) {
        self.samples.copy_from_slice(&old.samples);
        self.faults.clear();
        self.faults.extend_from_slice(&old.faults[..old.faults.len().min(self.faults.capacity())]);
        self.mended = old.mended;
    }
}
