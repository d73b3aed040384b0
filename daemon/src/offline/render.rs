//! Rendering: the same engine as on air, on a file, as fast as it goes. Latency is removed, so the output lines up with the
//! input.

use crate::audio::backend::file::Memory;
use crate::audio::callback::Callback;
use crate::media::{FileError, Sink, Source, Written};
use crate::offline::progress::rendering;
use basedrop::{Collector, Owned};
use lacquer_control::message::{FromAudio, ToAudio};
use lacquer_control::queues::{ControlEnd, queues};
use lacquer_graph::metering::intake::Intake;
use lacquer_graph::run::engine::Event;
use lacquer_graph::{Chain, Engine, Plan};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most frames rendered between two checks for a signal.
const CHUNK: usize = 4096;

/// Why nothing was rendered.
pub enum Failure {
    /// A file cannot be read or written.
    File(FileError),
    /// A signal asked for the end.
    Interrupted,
    /// A node panicked, or the chain itself: what, and with which message.
    Panicked(String),
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Failure::File(error)
    }
}

/// The engine with one chain, audible from the first frame.
pub struct Renderer {
    callback: Callback,
    memory: Memory,
    /// Frames of latency that still have to be skipped.
    skip: usize,
    /// How often the output of each node was NaN or infinite.
    faults: BTreeMap<usize, u64>,
    queues: ControlEnd,
    _collector: Collector,
}

impl Renderer {
    /// A renderer of one chain.
    pub fn new(plan: &Plan) -> Self {
        let collector = Collector::new();
        let (mut control, audio) = queues();
        let chain = Owned::new(&collector.handle(), Chain::new(plan, 1));
        control.enqueue(ToAudio::Start(chain));
        control.flush();
        Self {
            callback: Callback::new(
                audio,
                Engine::for_files(&plan.io, plan.sample_rate),
                plan.sample_rate,
                None,
            ),
            memory: Memory::new(plan.io.input_channels(), plan.io.output_channels()),
            skip: plan.total,
            faults: BTreeMap::new(),
            queues: control,
            _collector: collector,
        }
    }

    /// Warnings about nodes whose output was NaN or infinite.
    pub fn faults<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = String> + 'a {
        self.faults.iter().filter_map(|(at, times)| {
            let id = &plan.nodes.get(*at)?.id;
            let times = if *times == 1 { "once".to_owned() } else { format!("{times} times") };
            Some(format!("node \"{id}\" output NaN or infinite {times}: bypassed for these times"))
        })
    }

    /// Processes `frames` that `fill` puts into each input channel, and writes the output without latency.
    fn play(
        &mut self,
        frames: usize,
        mut fill: impl FnMut(usize, &mut Vec<f64>),
        sink: &mut Sink,
        plan: &Plan,
    ) -> Result<(), Failure> {
        for (channel, samples) in self.memory.inputs.iter_mut().enumerate() {
            samples.clear();
            fill(channel, samples);
        }
        self.memory.run(&mut self.callback);
        while let Some(event) = self.queues.next_event() {
            if let FromAudio::Engine(Event::Fault { node, .. }) = event {
                *self.faults.entry(node).or_default() += 1;
            }
        }
        if let Some(panicked) = self.queues.next_panic() {
            let node = panicked.node.and_then(|node| plan.nodes.get(node));
            let what = node.map_or_else(|| "the chain".to_owned(), |node| format!("node \"{}\"", node.id));
            return Err(Failure::Panicked(format!("{what} panicked: {}", panicked.message())));
        }
        let skipped = self.skip.min(frames);
        self.skip -= skipped;
        let planes: Vec<&[f64]> = self.memory.outputs.iter().map(|samples| &samples[skipped..]).collect();
        Ok(sink.write(&planes)?)
    }
}

/// Renders `source` to `sink`, with progress on a terminal. `intake` counts the samples that were replaced.
///
/// # Errors
/// What a file refused, or the interruption; then nothing is written.
pub fn render(
    engine: &mut Renderer,
    intake: &mut Intake,
    plan: &Plan,
    source: &mut Source,
    mut sink: Sink,
    interrupted: &AtomicBool,
) -> Result<Written, Failure> {
    let progress = rendering(source.frames(), plan.sample_rate);
    while let Some(planes) = source.next()? {
        let frames = planes.first().map_or(0, Vec::len);
        // Invalid samples are replaced here in the same way as in the engine.
        let planes = &*intake.accept(planes);
        for from in (0..frames).step_by(CHUNK) {
            if interrupted.load(Ordering::Relaxed) {
                return Err(Failure::Interrupted);
            }
            let count = CHUNK.min(frames - from);
            let fill =
                |channel: usize, samples: &mut Vec<f64>| samples.extend(&planes[channel][from..from + count]);
            engine.play(count, fill, &mut sink, plan)?;
            progress.inc(count as u64);
        }
    }
    // The last frames of the programme are still in the chain.
    let mut left = plan.total;
    while left > 0 {
        let count = left.min(CHUNK);
        engine.play(count, |_, samples| samples.resize(count, 0.0), &mut sink, plan)?;
        left -= count;
    }
    progress.finish_and_clear();
    Ok(sink.finish()?)
}
