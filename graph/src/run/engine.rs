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
    /// The output of a node was NaN, infinite or above 1e150; the node is bypassed (dry signal).
    Fault {
        /// Of which chain.
        generation: u64,
        /// Which of its nodes.
        node: usize,
    },
    /// The input contained NaN or infinity; such samples were replaced by 0. Sent at most once per report period.
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
    /// The output has faded out after [`Engine::mute`], or was silent already.
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
    /// Whether a mute is requested, and whether its [`Event::Muted`] is still to be sent.
    is_muted: bool,
    owes_muted: bool,
    /// Frames of silence before the fade-in.
    settling: usize,
    /// Whether a chain is audible from its first frame on, without a fade-in.
    starts_at_once: bool,
    bypass: Fade,
    report_every: usize,
    until_report: usize,
    /// Frames until a faulty input may be reported again.
    until_input_fault: usize,
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
            is_muted: false,
            owes_muted: false,
            settling: 0,
            starts_at_once: false,
            bypass: Fade::new(frames(BYPASS_MS), false),
            report_every,
            until_report: report_every,
            until_input_fault: 0,
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
    /// dropped, which returns it to its collector. During a mute it stays silent.
    pub fn start(&mut self, mut chain: Owned<Chain>) {
        chain.set_trace(&self.trace);
        self.swap = None;
        self.level = Fade::new(self.level.frames(), self.starts_at_once && !self.is_muted);
        self.level.set_target(!self.is_muted);
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

    /// `[audio]` Fades the output out (`on`), or in again. [`Event::Muted`] follows once it is silent.
    pub fn mute(&mut self, on: bool) {
        (self.is_muted, self.owes_muted) = (on, on);
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

    /// `[audio]` Plays 1 to 64 frames from [`Self::inputs`] to [`Self::outputs`]. `emit` returns whether an event was
    /// accepted: a reading that was not is sent later.
    pub fn process(&mut self, frames: usize, mut emit: impl FnMut(Event) -> bool) {
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
                Progress::FadeBegins => _ = emit(Event::Fading { generation }),
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

    fn limit_input(&mut self, frames: usize, emit: &mut impl FnMut(Event) -> bool) {
        self.until_input_fault = self.until_input_fault.saturating_sub(frames);
        if are_within(&self.inputs, frames, LOUDEST) {
            return;
        }
        let mut is_faulty = false;
        for sample in self.inputs.iter_mut().flat_map(|plane| &mut plane[..frames]) {
            is_faulty |= !sample.is_finite();
            *sample = if sample.is_finite() { sample.clamp(-LOUDEST, LOUDEST) } else { 0.0 };
        }
        if is_faulty && self.until_input_fault == 0 {
            self.until_input_fault = self.report_every;
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

    fn apply_level(&mut self, frames: usize, emit: &mut impl FnMut(Event) -> bool) {
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
            }
        }
        if self.owes_muted && self.level.steady() == Some(0.0) {
            self.owes_muted = false;
            emit(Event::Muted);
        }
    }

    fn report(&mut self, frames: usize, emit: &mut impl FnMut(Event) -> bool) {
        self.until_report = self.until_report.saturating_sub(frames);
        if self.until_report == 0 {
            self.until_report = self.report_every;
            if let Some(chain) = &mut self.on_air {
                let generation = chain.generation();
                chain.report(|node, report| match report {
                    Report::Reading(reading, value) => {
                        emit(Event::Meter { generation, node, reading, value })
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
    emit: &mut impl FnMut(Event) -> bool,
) {
    let generation = chain.generation();
    chain.process(inputs, outputs, frames, bypass, |node| _ = emit(Event::Fault { generation, node }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plan, Spec};
    use basedrop::Collector;

    const RATE: f64 = 48_000.0;

    /// The events of `subblocks` sub-blocks.
    fn play(engine: &mut Engine, subblocks: usize) -> Vec<Event> {
        let mut events = Vec::new();
        let mut emit = |event| {
            events.push(event);
            true
        };
        (0..subblocks).for_each(|_| engine.process(SUBBLOCK, &mut emit));
        events
    }

    fn muted(events: &[Event]) -> usize {
        events.iter().filter(|event| **event == Event::Muted).count()
    }

    fn limiter(collector: &Collector) -> Owned<Chain> {
        let (spec, mistakes) = Spec::parse(b"nodes: [limiter: {lookahead: 10 ms}]");
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let plan = Plan::new(&spec, &Io::stereo(), RATE).unwrap();
        Owned::new(&collector.handle(), Chain::new(&plan, 1))
    }

    #[test]
    fn a_mute_is_confirmed_once_also_where_nothing_sounds() {
        let collector = Collector::new();
        let mut without_chain = Engine::new(&Io::stereo(), RATE);
        let mut settling = Engine::new(&Io::stereo(), RATE);
        settling.start(limiter(&collector));
        assert_eq!(muted(&play(&mut settling, 2)), 0, "silent at the start, but nobody asked");
        for engine in [&mut without_chain, &mut settling] {
            engine.mute(true);
            assert_eq!(muted(&play(engine, 100)), 1);
        }
        without_chain.mute(true);
        assert_eq!(muted(&play(&mut without_chain, 100)), 1, "asked again, confirmed again");
    }

    #[test]
    fn a_chain_that_starts_during_a_mute_stays_silent() {
        let collector = Collector::new();
        for mut engine in [Engine::new(&Io::stereo(), RATE), Engine::for_files(&Io::stereo(), RATE)] {
            engine.mute(true);
            engine.start(limiter(&collector));
            let plays = |engine: &mut Engine| {
                let mut confirmed = 0;
                for _ in 0..400 {
                    engine.inputs().iter_mut().for_each(|plane| plane.fill(0.5));
                    confirmed += muted(&play(engine, 1));
                    if confirmed == 1 {
                        assert!(engine.outputs().iter().flatten().all(|sample| *sample == 0.0));
                    }
                }
                confirmed
            };
            assert_eq!(plays(&mut engine), 1);
            engine.mute(false);
            assert_eq!(plays(&mut engine), 0);
            assert!(
                engine.outputs().iter().flatten().all(|sample| *sample > 0.4),
                "it is heard after the mute"
            );
        }
    }

    #[test]
    fn a_faulty_input_is_reported_at_once_and_then_once_per_report_period() {
        let mut engine = Engine::new(&Io::stereo(), RATE);
        let mut faults = 0;
        let seconds = 2;
        for subblock in 0..seconds * 750 {
            engine.inputs().iter_mut().for_each(|plane| plane.fill(f64::NAN));
            let events = play(&mut engine, 1);
            faults += events.iter().filter(|event| **event == Event::InputFault).count();
            assert!(subblock > 0 || faults == 1, "the first is reported at once");
        }
        let most = seconds * REPORTS as usize + 1;
        assert!((most / 2..=most).contains(&faults), "{faults} reports in {seconds} s");
    }

    #[test]
    fn all_readings_have_their_turn_where_the_queue_is_too_small() {
        let collector = Collector::new();
        let nodes: String = (0..10).map(|at| format!("  - limiter: {{id: n{at}}}\n")).collect();
        let (spec, _) = Spec::parse(format!("nodes:\n{nodes}").as_bytes());
        let plan = Plan::new(&spec, &Io::stereo(), RATE).unwrap();
        let mut engine = Engine::for_files(&Io::stereo(), RATE);
        engine.start(Owned::new(&collector.handle(), Chain::new(&plan, 1)));
        let mut reported = [0; 10];
        let reports = 8;
        for _ in 0..reports {
            let mut room = 7;
            (0..RATE as usize / REPORTS as usize / SUBBLOCK).for_each(|_| {
                engine.process(SUBBLOCK, |event| {
                    let Event::Meter { node, .. } = event else { return true };
                    let has_room = room > 0;
                    if has_room {
                        (room, reported[node]) = (room - 1, reported[node] + 1);
                    }
                    has_room
                });
            });
        }
        assert!(reported.iter().all(|count| *count > 0), "{reported:?}");
    }
}
