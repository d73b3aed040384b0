//! The command line. Exit codes: 0 done, 1 an input was wrong, 2 the command line was wrong, 3 the system
//! refused, 78 the station file of `run` has errors, 130 `render` was interrupted. After a signal `run` ends with 0; all
//! other commands are ended by the signal itself.

mod check;
mod ctl;
mod devices;
mod doctor;
mod generate;
mod graph;
mod meter;
mod nodes;
mod plan;
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
    /// The station file has errors: systemd must not start it again.
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
    /// Run a station in the foreground
    Run {
        /// The station file
        station: PathBuf,
        /// Log the meters every SECONDS (0: never); a terminal shows them live
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        report: u32,
    },
    /// Validate stations, chains, MIDI maps and cue lists without running them; prints every error
    Check {
        /// Stations, chains, MIDI maps or cue lists
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Render a file through a chain, faster than real time; the output is time-aligned with the input
    Render {
        /// The chain file
        #[arg(long)]
        chain: PathBuf,
        /// Sample format of the output: 16, 24, 32, f32 or f64 (FLAC: 16 or 24); dither is not added
        #[arg(long, value_name = "FORMAT", default_value = "24")]
        bits: crate::media::Depth,
        /// best: settings not given in the chain use their slower, better values (see `lacquer nodes`)
        #[arg(long, value_enum, default_value_t = Quality::Live)]
        quality: Quality,
        /// Refuse an input that is truncated or has no length in its header; without it, such an input is read to its end
        #[arg(long)]
        strict: bool,
        /// Replace an existing output (never the input)
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
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Refuse a file that is truncated or has no length in its header; without it, such a file is measured to its end
        #[arg(long)]
        strict: bool,
        /// Write a plot: loudness over time, spectrum, histogram
        #[arg(long, value_name = "FILE.svg")]
        plot: Option<PathBuf>,
        /// Replace an existing plot
        #[arg(long, requires = "plot")]
        force: bool,
        /// Tilt of the plotted spectrum, in dB per octave
        #[arg(long, value_name = "DB", default_value_t = 4.5, allow_negative_numbers = true)]
        slope: f64,
    },
    /// List the node types, or the parameters of one
    Nodes {
        /// The node type
        node: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the plan of a chain: order, latencies, buffers
    Graph {
        /// The chain file
        chain: PathBuf,
        /// Print a Graphviz graph
        #[arg(long)]
        dot: bool,
        /// Sample rate, in Hz
        #[arg(long, default_value_t = 48_000)]
        rate: u32,
    },
    /// Show what a swap does: nodes added, removed, kept with their state, changed, moved; latency before and after
    Plan {
        /// The station file
        station: PathBuf,
        /// The chain to swap to; without it, each chain
        chain: Option<String>,
        /// The chain to swap from; without it, the one that the station starts with
        #[arg(long, value_name = "CHAIN")]
        from: Option<String>,
    },
    /// Talk to a running daemon over OSC
    #[command(after_long_help = ctl::addresses())]
    Ctl {
        /// Address and port of the daemon's OSC server
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9000")]
        to: SocketAddr,
        #[command(subcommand)]
        what: Ask,
    },
    /// Write a TouchOSC layout for a station: one page for each chain
    Touchosc {
        /// The station file
        station: PathBuf,
        /// The layout file
        #[arg(short, long, value_name = "FILE.tosc")]
        output: PathBuf,
        /// Replace an existing layout
        #[arg(long)]
        force: bool,
        /// The port that the tablet receives on, if it differs from the one it sends from (TouchOSC over UDP)
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        reply_port: Option<u16>,
    },
    /// List the sound devices of this machine with their channels, sample rates and formats
    Devices {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check this machine for real-time audio; prints how to fix each problem. Exit code 1 if there is a problem
    Doctor {
        /// A station whose ports, processors and devices are checked too
        station: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write manual pages and shell completions into a folder, for packages
    #[command(hide = true)]
    Generate {
        /// The folder
        folder: PathBuf,
    },
    /// Print the JSON Schema of a file type; editors use it to complete and check the file
    Schema {
        /// The file type
        file: SchemaOf,
    },
}

/// Quality of a render.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Quality {
    /// The same sound as live
    Live,
    /// Slower settings of higher quality
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

/// The commands of `ctl`.
#[derive(Subcommand)]
enum Ask {
    /// Print the value at an address, or at all that a pattern matches, e.g. /node/ceiling/ceiling or '/node/*/enabled'
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
    /// Swap to a chain and wait until it is on air; without a name, print the chain on air
    Swap {
        /// The chain
        chain: Option<String>,
    },
    #[command(about = about("/chains"))]
    Chains,
    #[command(about = about("/bypass"))]
    Bypass {
        /// true or false; without it, print the current value
        on: Option<bool>,
    },
    #[command(about = about("/plan"))]
    Plan {
        /// The chain
        chain: String,
    },
    #[command(about = about("/who"))]
    Who {
        /// The address
        address: String,
    },
    /// Undo the last change on the chain on air, whoever made it (each lacquer ctl is a client of its own), or the last swap
    Undo {
        /// all (as without it), or swap: swap back to the chain that was on air before
        #[arg(value_parser = ["all", "swap"], default_value = "all")]
        which: String,
    },
    /// Redo what was undone last, by whomever, or the swap that was undone last
    Redo {
        /// all (as without it), or swap
        #[arg(value_parser = ["all", "swap"], default_value = "all")]
        which: String,
    },
    /// Save, recall, delete or list scenes
    Scene {
        #[command(subcommand)]
        what: SceneCommand,
    },
    /// Run a cue or move in the cue list; without an argument, print the list
    Cue {
        /// go, next, previous, or the name of a cue
        what: Option<String>,
    },
    /// Switch between A and B; without an argument, print which is active
    Ab {
        /// a, b, copy (the active state to the other), match or nomatch (loudness matching), or chain NAME
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
        /// Reset all values to those of the files
        #[arg(long)]
        reset: bool,
    },
    /// Print every change, event and meter until interrupted
    Watch {
        /// Leave out the meters
        #[arg(long)]
        no_meters: bool,
    },
}

/// The commands of `ctl scene`.
#[derive(Subcommand)]
enum SceneCommand {
    #[command(about = about("/scenes"))]
    List,
    #[command(about = about("/scene/save"))]
    Save {
        /// The name, or the number of a slot
        name: String,
        /// Ids of the nodes to save; without any, all nodes are saved
        nodes: Vec<String>,
    },
    #[command(about = about("/scene/recall"))]
    Recall {
        /// The name, or the number of a slot
        name: String,
        /// Duration of the morph to the scene, in seconds
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
        Command::Plan { station, chain, from } => plan::run(&station, chain.as_deref(), from.as_deref()),
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

/// Which files are accepted: `strict` refuses truncated ones.
fn accept(strict: bool) -> Accept {
    if strict { Accept::Whole } else { Accept::Cut }
}

/// Prints to stdout; a closed pipe is not an error.
fn print(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", lines(text.trim_end())).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => complain(&error, Outcome::Refused),
        _ => Outcome::Done,
    }
}

/// A warning about samples of `file` that were replaced or clipped; `None` if there are none.
fn replaced_samples(file: &Path, intake: &Intake, rate: f64) -> Option<String> {
    let samples =
        |count: u64| if count == 1 { "1 sample is".to_owned() } else { format!("{count} samples are") };
    let mut all = Vec::new();
    if let Some((frame, channel)) = intake.first {
        let (what, seconds) = (samples(intake.nonfinite), frame as f64 / rate);
        all.push(format!(
            "{what} NaN or infinite, the first at {seconds:.3} s in channel {}; each is replaced by silence",
            channel + 1
        ));
    }
    if intake.beyond > 0 {
        let (what, most) = (samples(intake.beyond), gain_to_db(intake.most()));
        all.push(format!("{what} above {most:+.0} dBFS and clipped to {most:+.0} dBFS"));
    }
    (!all.is_empty()).then(|| format!("{}: {}", shown(file), all.join("; ")))
}

/// Prints an error or a warning to stderr.
fn complain(what: &impl std::fmt::Display, outcome: Outcome) -> Outcome {
    eprintln!("{}", lines(&what.to_string()));
    outcome
}
