//! The command line. Exit codes: 0 done, 1 an input was wrong, 2 the command line was wrong, 3 the system
//! refused, 78 `run` was given a bad station, 130 `render` was interrupted. After a signal `run` ends with 0; all other commands
//! are ended by the signal itself.

mod check;
mod ctl;
mod devices;
mod doctor;
mod generate;
mod graph;
mod meter;
mod nodes;
mod render;
mod run;
mod touchosc;

use crate::media::{Accept, FileError};
use crate::process::named::{lines, shown};
use crate::process::panics;
use crate::station::schema;
use clap::{Parser, Subcommand, ValueEnum};
use lacquer_control::address::commands::about;
use lacquer_graph::metering::intake::Intake;
use lacquer_graph::param::gain_to_db;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// An input was wrong.
    Wrong,
    /// The command line was wrong.
    Misused,
    /// The system refused: device, port, permission.
    Refused,
    /// The station is bad: systemd must not start it again.
    BadStation,
    /// A signal ended `render`.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        ExitCode::from(match outcome {
            Outcome::Done => 0,
            Outcome::Wrong => 1,
            Outcome::Misused => 2,
            Outcome::Refused => 3,
            Outcome::BadStation => 78,
            Outcome::Interrupted => 130,
        })
    }
}

impl From<&FileError> for Outcome {
    fn from(error: &FileError) -> Self {
        match error {
            FileError::Io { doing: "opened", source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Outcome::Wrong
            }
            FileError::Io { .. } => Outcome::Refused,
            FileError::Exists { .. } | FileError::IsInput { .. } | FileError::Output { .. } => {
                Outcome::Misused
            }
            _ => Outcome::Wrong,
        }
    }
}

#[derive(Parser)]
#[command(name = "lacquer", version, about = "Headless live mastering daemon", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play a station, in the foreground
    Run {
        /// The station file
        station: PathBuf,
        /// Write the meters to the log every so many seconds (0: never); a terminal shows them live
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        report: u32,
    },
    /// Validate stations, chains, MIDI maps and cue lists without playing; prints every error
    Check {
        /// Stations, chains, MIDI maps or cue lists
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Render a file through a chain, as fast as it goes; the output lines up with the input
    Render {
        /// The chain file
        #[arg(long)]
        chain: PathBuf,
        /// Sample format of the output: 16, 24, 32, f32 or f64 (FLAC: 16 or 24); no dither is added
        #[arg(long, value_name = "FORMAT", default_value = "24")]
        bits: crate::media::Depth,
        /// best: settings that the chain does not give take their better, slower values, as `lacquer nodes` lists them
        #[arg(long, value_enum, default_value_t = Quality::Live)]
        quality: Quality,
        /// Refuse an input that is cut off or whose length was never written, which else is read as far as it goes
        #[arg(long)]
        strict: bool,
        /// Replace the output where it exists (never the input)
        #[arg(long)]
        force: bool,
        /// WAV, FLAC, MP3, Ogg Vorbis or AAC
        input: PathBuf,
        /// WAV or FLAC; must not exist without --force
        output: PathBuf,
    },
    /// Measure a file: loudness, true peak, levels, spectrum
    Meter {
        /// WAV, FLAC, MP3, Ogg Vorbis or AAC
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Refuse a file that is cut off or whose length was never written, which else is measured as far as it goes
        #[arg(long)]
        strict: bool,
        /// Draw a report: loudness over time, spectrum, histogram
        #[arg(long, value_name = "FILE.svg")]
        plot: Option<PathBuf>,
        /// Replace the report where it exists
        #[arg(long, requires = "plot")]
        force: bool,
        /// Tilt of the drawn spectrum, in dB an octave
        #[arg(long, value_name = "DB", default_value_t = 4.5, allow_negative_numbers = true)]
        slope: f64,
    },
    /// List the node types, or the parameters of one
    Nodes {
        /// The node type
        node: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the plan of a chain: order, latencies, buffers
    Graph {
        /// The chain file
        chain: PathBuf,
        /// As a Graphviz graph
        #[arg(long)]
        dot: bool,
        /// Sample rate, in Hz
        #[arg(long, default_value_t = 48_000)]
        rate: u32,
    },
    /// Talk to a running daemon over OSC
    #[command(after_long_help = ctl::addresses())]
    Ctl {
        /// Where the daemon listens for OSC
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9000")]
        to: SocketAddr,
        #[command(subcommand)]
        what: Ask,
    },
    /// Write a TouchOSC layout for a station: a page a chain
    Touchosc {
        /// The station file
        station: PathBuf,
        /// The layout
        #[arg(short, long, value_name = "FILE.tosc")]
        output: PathBuf,
        /// Replace the layout where it exists
        #[arg(long)]
        force: bool,
        /// The port at which the tablet listens, where that is not the one it sends from (TouchOSC over UDP)
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        reply_port: Option<u16>,
    },
    /// List the sound devices of this machine, with what each can
    Devices {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check this machine for real-time audio; prints what to do. Exit code 1 where there is something to do
    Doctor {
        /// A station, whose ports, processors and devices are looked at as well
        station: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write manual pages and shell completions into a folder, for packages
    #[command(hide = true)]
    Generate {
        /// The folder
        folder: PathBuf,
    },
    /// Print the JSON Schema of a kind of file, by which editors complete and check it
    Schema {
        /// Which file
        file: SchemaOf,
    },
}

/// What a file is rendered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Quality {
    /// What would be heard live
    Live,
    /// Better and slower
    Best,
}

#[derive(Clone, Copy, ValueEnum)]
enum SchemaOf {
    Station,
    Chain,
    /// A MIDI map
    Map,
    /// A cue list
    Cues,
}

/// What `ctl` can ask.
#[derive(Subcommand)]
enum Ask {
    /// Print the value behind an address or pattern, e.g. /node/ceiling/ceiling or '/node/*/enabled'
    Get {
        /// The address
        address: String,
    },
    /// Set a value: a number in the parameter's unit, a text with its unit, true or false
    Set {
        /// The address
        address: String,
        /// The value
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Swap to a chain and wait until it is on air; without a name, print the one on air
    Swap {
        /// The chain
        chain: Option<String>,
    },
    #[command(about = about("/chains"))]
    Chains,
    #[command(about = about("/bypass"))]
    Bypass {
        /// true or false; without it, print which
        on: Option<bool>,
    },
    #[command(about = about("/who"))]
    Who {
        /// The address
        address: String,
    },
    #[command(about = about("/undo"))]
    Undo,
    #[command(about = about("/redo"))]
    Redo,
    /// Save, recall, delete or list scenes
    Scene {
        #[command(subcommand)]
        what: SceneCommand,
    },
    /// Run cues; without an argument, print the cue list
    Cue {
        /// go, next, previous, or a cue's name
        what: Option<String>,
    },
    /// Make state A or B active; without an argument, print which is
    Ab {
        /// a, b, copy (make the other the same), match or nomatch (equally loud), or chain NAME
        #[arg(num_args = 0..=2)]
        what: Vec<String>,
    },
    #[command(about = about("/learn"))]
    Learn {
        /// The address
        address: String,
    },
    #[command(about = about("/status"))]
    Status,
    #[command(about = about("/reload"))]
    Reload {
        /// Take all values from the files
        #[arg(long)]
        reset: bool,
    },
    /// Print every change, event and meter until interrupted
    Watch {
        /// Without the meters
        #[arg(long)]
        no_meters: bool,
    },
}

/// What `ctl scene` can do.
#[derive(Subcommand)]
enum SceneCommand {
    #[command(about = about("/scenes"))]
    List,
    #[command(about = about("/scene/save"))]
    Save {
        /// The name, or the number of a slot
        name: String,
        /// The ids of the nodes to save; all where none are given
        nodes: Vec<String>,
    },
    #[command(about = about("/scene/recall"))]
    Recall {
        /// The name, or the number of a slot
        name: String,
        /// Seconds in which the values glide there
        #[arg(long, default_value_t = 0.0)]
        morph: f64,
    },
    #[command(about = about("/scene/delete"))]
    Delete {
        /// The name, or the number of a slot
        name: String,
    },
}

/// Runs the command line of the process.
pub fn main() -> ExitCode {
    panics::install();
    let outcome = match Cli::parse().command {
        Command::Run { station, report } => run::run(&station, report),
        Command::Check { files } => check::run(&files),
        Command::Render { chain, bits, quality, strict, force, input, output } => {
            let how = render::How { depth: bits, quality, accept: accept(strict), force };
            render::run(&chain, how, &input, &output)
        }
        Command::Meter { file, json, strict, plot, force, slope } => {
            meter::run(&file, json, accept(strict), plot.as_deref(), force, slope)
        }
        Command::Nodes { node, json } => nodes::run(node.as_deref(), json),
        Command::Graph { chain, dot, rate } => graph::run(&chain, dot, f64::from(rate)),
        Command::Ctl { to, what } => ctl::run(to, what),
        Command::Touchosc { station, output, force, reply_port } => {
            touchosc::run(&station, &output, force, reply_port)
        }
        Command::Devices { json } => devices::run(json),
        Command::Doctor { station, json } => doctor::run(station.as_deref(), json),
        Command::Generate { folder } => generate::run(&folder),
        Command::Schema { file } => {
            let schema = match file {
                SchemaOf::Station => schema::station(),
                SchemaOf::Chain => schema::chain(),
                SchemaOf::Map => schema::map(),
                SchemaOf::Cues => schema::cues(),
            };
            print(&format!("{schema:#}"))
        }
    };
    outcome.into()
}

/// Which files are read.
fn accept(strict: bool) -> Accept {
    if strict { Accept::Whole } else { Accept::Cut }
}

/// Prints to stdout; a reader that has left is no error.
fn print(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", lines(text.trim_end())).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => complain(&error, Outcome::Refused),
        _ => Outcome::Done,
    }
}

/// What is said of samples of `file` that could not be taken as they came; `None` where all could.
fn untaken(file: &Path, intake: &Intake, rate: f64) -> Option<String> {
    let samples =
        |count: u64| if count == 1 { "1 sample is".to_owned() } else { format!("{count} samples are") };
    let mut all = Vec::new();
    if let Some((frame, channel)) = intake.first {
        let (what, seconds) = (samples(intake.nonfinite), frame as f64 / rate);
        all.push(format!(
            "{what} NaN or infinite, the first at {seconds:.3} s in channel {}; each is taken as silence",
            channel + 1
        ));
    }
    if intake.beyond > 0 {
        let (what, most) = (samples(intake.beyond), gain_to_db(intake.most()));
        all.push(format!("{what} above {most:+.0} dBFS and taken as {most:+.0} dBFS"));
    }
    (!all.is_empty()).then(|| format!("{}: {}", shown(file), all.join("; ")))
}

/// Says on stderr what is wrong.
fn complain(what: &impl std::fmt::Display, outcome: Outcome) -> Outcome {
    eprintln!("{}", lines(&what.to_string()));
    outcome
}
