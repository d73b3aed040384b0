//! The engine on the audio thread: it plays the active chain, and a second one during a swap.

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

/// Time of the fade-in at the start and of the fade-out at the end.
const START_MS: f64 = 250.0;
/// Time of the crossfade to bypass of the whole chain, and back.
const BYPASS_MS: f64 = 20.0;
/// Reports of nodes per second.
const REPORTS: f64 = 50.0;

/// An event of the engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// The crossfade to the chain has begun.
    Fading {
        /// Which.
        generation: u64,
    },
    /// The chain is on air; the swap is done.
    OnAir {
        /// Which.
        generation: u64,
    },
    /// The output of a node was NaN or infinite; the node is bypassed (dry signal).
    Fault {
        /// Of which chain.
        generation: u64,
        /// Which of its nodes.
        node: usize,
    },
    /// The input contained NaN or infinity; such samples were replaced by 0.
    InputFault,
    /// A reading of a node.
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
    /// A node has learned the level of one band of its profile.
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

/// A panic of a node or a chain; it plays the dry signal from then on.
pub struct Panicked {
    /// Of which chain.
    pub generation: u64,
    /// Which of its nodes; `None` for the chain itself.
    pub node: Option<usize>,
    /// The panic's payload. It must be freed off the audio thread.
    pub(crate) payload: Box<dyn Any + Send>,
}

impl Panicked {
    /// The panic's message.
    pub fn message(&self) -> &str {
        let text = self.payload.downcast_ref::<&str>().copied();
        text.or_else(|| self.payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
    }
}

/// `[audio]` Plays the active chain, and a second one during a swap.
pub struct Engine {
    on_air: Option<Owned<Chain>>,
    swap: Option<Swap>,
    trace: Arc<Trace>,
    inputs: Box<[Plane]>,
    outputs: Box<[Plane]>,
    incoming: Box<[Plane]>,
    /// Gain of the output: fade-in, fade-out and mute.
    level: Fade,
    /// Frames of silence before the fade-in.
    settling: usize,
    /// Whether a chain is audible from its first frame on, without a fade-in.
    starts_at_once: bool,
    bypass: Fade,
    report_every: usize,
    until_report: usize,
}

impl Engine {
    /// `[control]` An engine without a chain, silent, for a station with `io` at `sample_rate` Hz.
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

    /// `[control]` An engine for files: the output is audible from the first frame on, without a fade-in.
    pub fn for_files(io: &Io, sample_rate: f64) -> Self {
        Self { starts_at_once: true, ..Self::new(io, sample_rate) }
    }

    /// Where the callback and the chains record what is running.
    pub fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    /// `[audio]` Puts a chain on air from silence: it is muted for its latency, then faded in. The previous chain is
    /// dropped, which returns it to its collector.
    pub fn start(&mut self, mut chain: Owned<Chain>) {
        chain.set_trace(&self.trace);
        self.swap = None;
        self.level = Fade::new(self.level.frames(), self.starts_at_once);
        self.level.set_target(true);
        self.settling = chain.latency();
        self.on_air = Some(chain);
    }

    /// `[audio]` Begins a swap to `next`, with a warm-up of `warmup` frames and a crossfade of `fade` frames. During
    /// another swap, `next` is dropped, which returns it to its collector.
    pub fn swap(&mut self, mut next: Owned<Chain>, warmup: u32, fade: u32) {
        next.set_trace(&self.trace);
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

    /// `[audio]` Sets a row to an audio value; its ramp moves there.
    pub fn set(&mut self, generation: u64, node: usize, row: usize, value: f64) {
        if let Some(chain) = self.chain(generation) {
            chain.set(node, row, value);
        }
    }

    /// `[audio]` Takes a node out of bypass (`on`), or bypasses it.
    pub fn enable(&mut self, generation: u64, node: usize, on: bool) {
        if let Some(chain) = self.chain(generation) {
            chain.enable(node, on);
        }
    }

    /// `[audio]` Sets the gain factors of a chain's output and of its dry signal.
    pub fn trim(&mut self, generation: u64, chain: f64, dry: f64) {
        if let Some(trimmed) = self.chain(generation) {
            trimmed.trim(chain, dry);
        }
    }

    /// `[audio]` Bypasses the whole chain (`on`), or takes it out of bypass.
    pub fn bypass(&mut self, on: bool) {
        self.bypass.set_target(on);
    }

    /// `[audio]` Fades the output out (`on`), or in again.
    pub fn mute(&mut self, on: bool) {
        self.level.set_target(!on);
    }

    /// `[audio]` Input buffer of the next sub-block: the channels of all groups, in order.
    pub fn inputs(&mut self) -> &mut [Plane] {
        &mut self.inputs
    }

    /// `[audio]` Output of the last sub-block: the channels of all groups, in order.
    pub fn outputs(&self) -> &[Plane] {
        &self.outputs
    }

    /// `[audio]` Plays 1 to 64 frames from [`Self::inputs`] to [`Self::outputs`].
    pub fn process(&mut self, frames: usize, mut emit: impl FnMut(Event)) {
        self.limit_input(frames, &mut emit);
        let bypass = self.bypass_gains(frames);
        match &mut self.on_air {
            Some(chain) => play(chain, &self.inputs, &mut self.outputs, frames, bypass.as_ref(), &mut emit),
            None => self.outputs.iter_mut().for_each(|plane| plane[..frames].fill(0.0)),
        }
        if let Some(swap) = &mut self.swap {
            play(&mut swap.next, &self.inputs, &mut self.incoming, frames, bypass.as_ref(), &mut emit);
            let generation = swap.next.generation();
            let progress = swap.blend(&mut self.outputs, &self.incoming, frames);
            if let Some(chain) = &self.on_air {
                swap.adopt_more(chain, frames);
            }
            match progress {
                Progress::Unchanged => {}
                Progress::FadeBegins => emit(Event::Fading { generation }),
                Progress::Done => {
                    // The old chain is an `Owned`: dropped here, freed by its collector.
                    self.on_air = self.swap.take().map(|swap| swap.next);
                    emit(Event::OnAir { generation });
                }
            }
        }
        self.apply_level(frames, &mut emit);
        self.report(frames, &mut emit);
    }

    /// `[audio]` The panic since the last call, if any.
    pub fn panicked(&mut self) -> Option<Panicked> {
        let next = self.swap.as_mut().map(|swap| &mut swap.next);
        [self.on_air.as_mut(), next].into_iter().flatten().find_map(|chain| {
            let (node, payload) = chain.next_panic()?;
            Some(Panicked { generation: chain.generation(), node, payload })
        })
    }

    fn limit_input(&mut self, frames: usize, emit: &mut impl FnMut(Event)) {
        if are_within(&self.inputs, frames, LOUDEST) {
            return;
        }
        let mut is_faulty = false;
        for sample in self.inputs.iter_mut().flat_map(|plane| &mut plane[..frames]) {
            is_faulty |= !sample.is_finite();
            *sample = if sample.is_finite() { sample.clamp(-LOUDEST, LOUDEST) } else { 0.0 };
        }
        if is_faulty {
            emit(Event::InputFault);
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

    fn apply_level(&mut self, frames: usize, emit: &mut impl FnMut(Event)) {
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
                    emit(Event::Muted);
                }
            }
        }
    }

    fn report(&mut self, frames: usize, emit: &mut impl FnMut(Event)) {
        self.until_report = self.until_report.saturating_sub(frames);
        if self.until_report == 0 {
            self.until_report = self.report_every;
            if let Some(chain) = &mut self.on_air {
                let generation = chain.generation();
                chain.report(|node, report| match report {
                    Report::Reading(reading, value) => {
                        emit(Event::Meter { generation, node, reading, value });
                    }
                    Report::Learned(band, level) => emit(Event::Learned { generation, node, band, level }),
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
    emit: &mut impl FnMut(Event),
) {
    let generation = chain.generation();
    chain.process(inputs, outputs, frames, bypass, |node| emit(Event::Fault { generation, node }));
}
