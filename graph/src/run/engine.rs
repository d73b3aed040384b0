//! The place on the audio thread where the chain on air sits; during a swap it holds two.

use crate::block::{LOUDEST, Plane, SUBBLOCK};
use crate::dsp::fade::Fade;
use crate::plan::Io;
use crate::reading::Report;
use crate::run::chain::Chain;
use crate::run::node_slot::are_within;
use crate::run::swap::{Progress, Swap};
use crate::run::trace::Trace;
use basedrop::Owned;
use std::any::Any;
use std::sync::Arc;

/// Time in which the sound comes up at the start, and goes at the end.
const START_MS: f64 = 250.0;
/// Time in which the whole chain goes into bypass and comes back.
const BYPASS_MS: f64 = 20.0;
/// How often nodes report, a second.
const REPORTS: f64 = 50.0;

/// What the seat has to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// The chain has begun to fade in.
    Fading {
        /// Which.
        generation: u64,
    },
    /// The chain is on air, and alone.
    OnAir {
        /// Which.
        generation: u64,
    },
    /// A node made a NaN or an infinity; the dry signal has taken its place.
    Fault {
        /// Of which chain.
        generation: u64,
        /// Which of its nodes.
        node: usize,
    },
    /// What came in held a NaN or an infinity; silence has taken its place.
    InputFault,
    /// What a node reports.
    Meter {
        /// Of which chain.
        generation: u64,
        /// Which of its nodes.
        node: usize,
        /// Which of its readings.
        reading: usize,
        /// Its value; `None` where there is no longer one.
        value: Option<f64>,
    },
    /// What a node has learned of one band of its profile.
    Learned {
        /// Of which chain.
        generation: u64,
        /// Which of its nodes.
        node: usize,
        /// The band, counted from 0.
        band: usize,
        /// Its level in dBFS.
        level: f64,
    },
    /// The output has faded out.
    Muted,
}

/// What has panicked; the dry signal has taken its place.
pub struct Panicked {
    /// Of which chain.
    pub generation: u64,
    /// Which of its nodes; `None` for the chain itself.
    pub node: Option<usize>,
    /// What was thrown. To be freed off the audio thread.
    pub(crate) payload: Box<dyn Any + Send>,
}

impl Panicked {
    /// What the panic said.
    pub fn message(&self) -> &str {
        let text = self.payload.downcast_ref::<&str>().copied();
        text.or_else(|| self.payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
    }
}

/// `[audio]` Who is on air.
pub struct Engine {
    on_air: Option<Owned<Chain>>,
    swap: Option<Swap>,
    trace: Arc<Trace>,
    inputs: Box<[Plane]>,
    outputs: Box<[Plane]>,
    incoming: Box<[Plane]>,
    /// How much of the output is heard.
    level: Fade,
    /// Frames to stay silent before the sound comes up.
    settling: usize,
    /// Whether a chain is heard from its first frame on.
    starts_at_once: bool,
    bypass: Fade,
    report_every: usize,
    until_report: usize,
}

impl Engine {
    /// `[control]` An empty seat, silent, for a station with `io` at `sample_rate` Hz.
    pub fn new(io: &Io, sample_rate: f64) -> Self {
        let planes = |count: usize| vec![[0.0; SUBBLOCK]; count].into_boxed_slice();
        let frames = |ms: f64| (ms * sample_rate / 1000.0) as u32;
        let report_every = (sample_rate / REPORTS) as usize;
        Self {
            on_air: None,
            swap: None,
            trace: Arc::default(),
            inputs: planes(io.input_channels()),
            outputs: planes(io.output_channels()),
            incoming: planes(io.output_channels()),
            level: Fade::new(frames(START_MS), false),
            settling: 0,
            starts_at_once: false,
            bypass: Fade::new(frames(BYPASS_MS), false),
            report_every,
            until_report: report_every,
        }
    }

    /// `[control]` A seat for files: what it plays is heard from the first frame on.
    pub fn for_files(io: &Io, sample_rate: f64) -> Self {
        Self { starts_at_once: true, ..Self::new(io, sample_rate) }
    }

    /// Where the callback and the chains say what they are at.
    pub fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    /// `[audio]` Puts a chain on air from silence: once its delays are full it comes up, slowly enough for it to settle.
    /// What was on air goes home.
    pub fn start(&mut self, mut chain: Owned<Chain>) {
        chain.be_traced(&self.trace);
        self.swap = None;
        self.level = Fade::new(self.level.frames(), self.starts_at_once);
        self.level.aim(true);
        self.settling = chain.latency();
        self.on_air = Some(chain);
    }

    /// `[audio]` Begins to swap `next` in. While a swap runs there is no place for another: it goes home
    /// unheard.
    pub fn swap(&mut self, mut next: Owned<Chain>, warmup: u32, fade: u32) {
        next.be_traced(&self.trace);
        if let (Some(on_air), None) = (&self.on_air, &self.swap) {
            self.swap = Some(Swap::begin(next, on_air, warmup, fade));
        }
    }

    fn chain(&mut self, generation: u64) -> Option<&mut Chain> {
        let next = self.swap.as_mut().map(|swap| &mut swap.next);
        [self.on_air.as_mut(), next]
            .into_iter()
            .flatten()
            .map(|chain| &mut **chain)
            .find(|c| c.generation() == generation)
    }

    /// `[audio]` Moves a row to an audio value.
    pub fn set(&mut self, generation: u64, node: usize, row: usize, value: f64) {
        if let Some(chain) = self.chain(generation) {
            chain.set(node, row, value);
        }
    }

    /// `[audio]` Takes a node out of bypass, or into it.
    pub fn enable(&mut self, generation: u64, node: usize, on: bool) {
        if let Some(chain) = self.chain(generation) {
            chain.enable(node, on);
        }
    }

    /// `[audio]` Turns what a chain gives, and the dry signal beside it, up or down by a factor.
    pub fn trim(&mut self, generation: u64, chain: f64, dry: f64) {
        if let Some(trimmed) = self.chain(generation) {
            trimmed.trim(chain, dry);
        }
    }

    /// `[audio]` Takes the whole chain into bypass, or out of it.
    pub fn bypass(&mut self, on: bool) {
        self.bypass.aim(on);
    }

    /// `[audio]` Fades the output out, or in again.
    pub fn mute(&mut self, on: bool) {
        self.level.aim(!on);
    }

    /// `[audio]` Where the next quantum's input goes: all groups' channels in a row.
    pub fn inputs(&mut self) -> &mut [Plane] {
        &mut self.inputs
    }

    /// `[audio]` The last quantum's output: all groups' channels in a row.
    pub fn outputs(&self) -> &[Plane] {
        &self.outputs
    }

    /// `[audio]` Plays 1 to 64 frames from [`Self::inputs`] to [`Self::outputs`].
    pub fn process(&mut self, frames: usize, mut tell: impl FnMut(Event)) {
        self.guard_input(frames, &mut tell);
        let bypass = self.bypass_gains(frames);
        match &mut self.on_air {
            Some(chain) => play(chain, &self.inputs, &mut self.outputs, frames, bypass.as_ref(), &mut tell),
            None => self.outputs.iter_mut().for_each(|plane| plane[..frames].fill(0.0)),
        }
        if let Some(swap) = &mut self.swap {
            play(&mut swap.next, &self.inputs, &mut self.incoming, frames, bypass.as_ref(), &mut tell);
            let generation = swap.next.generation();
            let progress = swap.blend(&mut self.outputs, &self.incoming, frames);
            if let Some(chain) = &self.on_air {
                swap.hand_over(chain, frames);
            }
            match progress {
                Progress::Same => {}
                Progress::FadeBegins => tell(Event::Fading { generation }),
                Progress::Done => {
                    // The old chain is an `Owned`: dropped here, freed by its collector.
                    self.on_air = self.swap.take().map(|swap| swap.next);
                    tell(Event::OnAir { generation });
                }
            }
        }
        self.apply_level(frames, &mut tell);
        self.report(frames, &mut tell);
    }

    /// `[audio]` What has panicked, if anything has since the last time.
    pub fn panicked(&mut self) -> Option<Panicked> {
        let next = self.swap.as_mut().map(|swap| &mut swap.next);
        [self.on_air.as_mut(), next].into_iter().flatten().find_map(|chain| {
            let (node, payload) = chain.thrown()?;
            Some(Panicked { generation: chain.generation(), node, payload })
        })
    }

    fn guard_input(&mut self, frames: usize, tell: &mut impl FnMut(Event)) {
        if are_within(&self.inputs, frames, LOUDEST) {
            return;
        }
        let mut is_faulty = false;
        for sample in self.inputs.iter_mut().flat_map(|plane| &mut plane[..frames]) {
            is_faulty |= !sample.is_finite();
            *sample = if sample.is_finite() { sample.clamp(-LOUDEST, LOUDEST) } else { 0.0 };
        }
        if is_faulty {
            tell(Event::InputFault);
        }
    }

    fn bypass_gains(&mut self, frames: usize) -> Option<Plane> {
        if self.bypass.steady() == Some(0.0) {
            return None;
        }
        let mut gains = [0.0; SUBBLOCK];
        gains[..frames].iter_mut().for_each(|gain| *gain = self.bypass.tick());
        Some(gains)
    }

    fn apply_level(&mut self, frames: usize, tell: &mut impl FnMut(Event)) {
        match self.level.steady() {
            Some(1.0) => {}
            Some(_) => self.outputs.iter_mut().for_each(|plane| plane[..frames].fill(0.0)),
            None => {
                for frame in 0..frames {
                    let gain = if self.settling > 0 {
                        self.settling -= 1;
                        0.0
                    } else {
                        self.level.tick()
                    };
                    self.outputs.iter_mut().for_each(|plane| plane[frame] *= gain);
                }
                if self.level.steady() == Some(0.0) {
                    tell(Event::Muted);
                }
            }
        }
    }

    fn report(&mut self, frames: usize, tell: &mut impl FnMut(Event)) {
        self.until_report = self.until_report.saturating_sub(frames);
        if self.until_report == 0 {
            self.until_report = self.report_every;
            if let Some(chain) = &mut self.on_air {
                let generation = chain.generation();
                chain.report(|node, report| match report {
                    Report::Reading(reading, value) => {
                        tell(Event::Meter { generation, node, reading, value });
                    }
                    Report::Learned(band, level) => tell(Event::Learned { generation, node, band, level }),
                });
            }
        }
    }
}

fn play(
    chain: &mut Chain,
    inputs: &[Plane],
    outputs: &mut [Plane],
    frames: usize,
    bypass: Option<&Plane>,
    tell: &mut impl FnMut(Event),
) {
    let generation = chain.generation();
    chain.process(inputs, outputs, frames, bypass, |node| tell(Event::Fault { generation, node }));
}
