//! `lacquer render`: runs the same engine on a file, faster than real time.

use super::{Outcome, Quality, complain, replaced_samples};
use crate::media::{Accept, Depth, Place, Sink, Source};
use crate::offline::render::{Failure, Renderer, render};
use crate::process::named::shown;
use crate::station::load;
use lacquer_graph::block::LOUDEST;
use lacquer_graph::metering::intake::Intake;
use lacquer_graph::plan::{Group, Io};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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
    let (mut file, mut plan) = match load::chain(chain, Some(&io), rate) {
        Ok(read) => read,
        Err(report) => return complain(&report, Outcome::Wrong),
    };
    if how.quality == Quality::Best {
        for change in file.spec.at_best() {
            complain(&format!("best quality: {change}"), Outcome::Done);
        }
        plan = match load::plan(&file, &io, rate) {
            Ok(plan) => Arc::new(plan),
            // A file that the chain reads may have changed since.
            Err(mistakes) => {
                return mistakes.iter().fold(Outcome::Wrong, |outcome, mistake| {
                    complain(&format!("{}: {}", shown(chain), mistake.problem), outcome)
                });
            }
        };
    }
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
        Err(Failure::Panicked(what)) => {
            complain(&format!("{}: {what}; no output written", shown(chain)), Outcome::Refused)
        }
        Err(Failure::Interrupted) => complain(&"interrupted; no output written", Outcome::Interrupted),
    }
}
