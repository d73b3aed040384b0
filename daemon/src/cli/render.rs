//! `lacquer render`: runs the same engine on a file, faster than real time.

use super::{Outcome, Quality, complain, replaced_samples};
use crate::audio::backend::file::Memory;
use crate::audio::callback::Callback;
use crate::media::{Accept, Depth, FileError, Place, Sink, Source, Written};
use crate::process::named::shown;
use crate::station::load;
use basedrop::{Collector, Owned};
use indicatif::{ProgressBar, ProgressStyle};
use lacquer_control::message::{FromAudio, ToAudio};
use lacquer_control::queues::{ControlEnd, queues};
use lacquer_graph::block::LOUDEST;
use lacquer_graph::metering::intake::Intake;
use lacquer_graph::plan::{Group, Io};
use lacquer_graph::run::engine::Event;
use lacquer_graph::{Chain, Engine, Plan};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most frames rendered between two checks for a signal.
const CHUNK: usize = 4096;

enum Failure {
    File(FileError),
    Interrupted,
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Failure::File(error)
    }
}

/// How a file is rendered.
pub(super) struct How {
    pub depth: Depth,
    pub quality: Quality,
    pub accept: Accept,
    /// Whether an existing output is replaced.
    pub force: bool,
}

pub(super) fn run(chain: &Path, how: How, input: &Path, output: &Path) -> Outcome {
    let mut source = match Source::open_as(input, how.accept) {
        Ok(source) => source,
        Err(error) => return complain(&error, (&error).into()),
    };
    let rate = f64::from(source.rate());
    let group = |name: &str| vec![Group { name: name.to_owned(), channels: source.channels() }];
    let io = Io { inputs: group("programme"), outputs: group("master") };
    let mut file = match load::chain(chain, Some(&io), rate) {
        Ok(file) => file,
        Err(report) => return complain(&report, Outcome::Wrong),
    };
    if how.quality == Quality::Best {
        for change in file.spec.at_best() {
            complain(&format!("best quality: {change}"), Outcome::Done);
        }
    }
    let plan = match file.plan(&io, rate) {
        Ok(plan) => plan,
        // Cannot fail: `load::chain` has planned it already.
        Err(_) => return Outcome::Wrong,
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&interrupted)) {
            return complain(&error, Outcome::Refused);
        }
    }
    // Files that the chain reads are inputs too.
    let texts =
        file.spec.nodes.iter().flat_map(|node| &node.texts).map(|text| file.folder().join(&text.text));
    let read: Vec<PathBuf> = [input.to_owned(), chain.to_owned()].into_iter().chain(texts).collect();
    let read: Vec<&Path> = read.iter().map(PathBuf::as_path).collect();
    let sink = Place::new(output, &read, how.force)
        .and_then(|place| Sink::create_at(&place, source.rate(), source.channels(), how.depth));
    let mut sink = match sink {
        Ok(sink) => sink,
        Err(error) => return complain(&error, (&error).into()),
    };
    if !sink.set_speakers(source.speakers()) {
        let warning = "loudspeaker positions cannot be stored in FLAC; readers assume the default layout";
        complain(&format!("{}: {warning}", shown(output)), Outcome::Done);
    }
    let mut engine = Renderer::new(&plan);
    let mut intake = Intake::up_to(LOUDEST);
    let result = render(&mut engine, &mut intake, &plan, &mut source, sink, &interrupted);
    if result.is_ok() {
        let warnings = source.warnings().into_iter().chain(replaced_samples(input, &intake, rate));
        warnings.chain(engine.faults(&plan)).for_each(|what| _ = complain(&what, Outcome::Done));
    }
    match result {
        Ok(written) if written.clipped > 0 => complain(
            &format!("{}: {} samples above full scale were clipped", shown(output), written.clipped),
            Outcome::Done,
        ),
        Ok(_) => Outcome::Done,
        Err(Failure::File(error)) => complain(&error, (&error).into()),
        Err(Failure::Interrupted) => complain(&"interrupted; no output written", Outcome::Interrupted),
    }
}

/// The engine with one chain, audible from the first frame.
struct Renderer {
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
    fn new(plan: &Plan) -> Self {
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
    fn faults<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = String> + 'a {
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
    ) -> Result<(), FileError> {
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
        let skipped = self.skip.min(frames);
        self.skip -= skipped;
        let planes: Vec<&[f64]> = self.memory.outputs.iter().map(|samples| &samples[skipped..]).collect();
        sink.write(&planes)
    }
}

fn render(
    engine: &mut Renderer,
    intake: &mut Intake,
    plan: &Plan,
    source: &mut Source,
    mut sink: Sink,
    interrupted: &AtomicBool,
) -> Result<Written, Failure> {
    let progress = progress(source.frames(), plan.sample_rate);
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
            engine.play(count, fill, &mut sink)?;
            progress.inc(count as u64);
        }
    }
    // The last frames of the programme are still in the chain.
    let mut left = plan.total;
    while left > 0 {
        let count = left.min(CHUNK);
        engine.play(count, |_, samples| samples.resize(count, 0.0), &mut sink)?;
        left -= count;
    }
    progress.finish_and_clear();
    Ok(sink.finish()?)
}

/// A progress bar on a terminal; nothing in a pipe.
fn progress(frames: Option<u64>, rate: f64) -> ProgressBar {
    let bar = frames.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = "{wide_bar} {percent:>3} %  {speed}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        let speed = move |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            write!(out, "{:.0} x real time", state.per_sec() / rate).ok();
        };
        bar.set_style(style.with_key("speed", speed));
    }
    bar
}
