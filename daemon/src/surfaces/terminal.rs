//! What `run` shows: live meters on a terminal, plain lines in a pipe. A surface that only listens.

use crate::audio::taps::meters::FLOOR;
use crate::process::supervise::{self, Pulse};
use crate::station::load::Loaded;
use crate::surfaces::osc::NOTICES;
use crossbeam_channel::{Receiver, Sender, bounded};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lacquer_control::subscribe::SurfaceMessage;
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::info;

/// How often the meters are drawn a second.
const FRAMES: u8 = 20;
/// Width of a meter in characters.
const WIDTH: usize = 40;

/// The screen, or the plain lines that take its place.
pub struct Screen {
    /// Where the log writes around the meters.
    pub bars: MultiProgress,
    notices: Option<Sender<SurfaceMessage>>,
    told: Receiver<SurfaceMessage>,
    is_live: bool,
    every: Option<Duration>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Live on a terminal; else a plain line every `report_seconds`, or nothing for 0.
    pub fn new(report_seconds: u32) -> Self {
        let is_live = io::stderr().is_terminal() && io::stdout().is_terminal();
        let target =
            if is_live { ProgressDrawTarget::stderr_with_hz(FRAMES) } else { ProgressDrawTarget::hidden() };
        let every = (report_seconds > 0).then(|| Duration::from_secs(u64::from(report_seconds)));
        let (notices, told) = bounded(NOTICES);
        let notices = (is_live || every.is_some()).then_some(notices);
        Self { bars: MultiProgress::with_draw_target(target), notices, told, is_live, every, thread: None }
    }

    /// Where the conductor tells what is to be shown.
    pub fn notices(&self) -> Option<Sender<SurfaceMessage>> {
        self.notices.clone()
    }

    /// Begins to show.
    pub fn start(&mut self, loaded: &Loaded, osc: Option<SocketAddr>, path: &Path) {
        if self.notices.is_none() {
            return;
        }
        let names: Vec<_> = loaded.chains.iter().map(|chain| chain.name.as_str()).collect();
        let head = format!("Lacquer  {}  ({})", loaded.station.name, path.display());
        let help = match osc {
            Some(address) => format!(
                "control   lacquer ctl --to {address} swap {}\n          lacquer ctl --to {address} set /node/ID/PARAMETER VALUE   (or any OSC client)\n          kill -HUP reloads the files; Ctrl-C fades out and ends",
                names.join("|")
            ),
            None => "control   no \"osc:\" in the station file; kill -HUP reloads the files; Ctrl-C fades out and ends".to_owned(),
        };
        let (told, every) = (self.told.clone(), self.every);
        let bar = self.is_live.then(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        });
        let chain = loaded.start().to_owned();
        let show = move |pulse: &Pulse| {
            let seen = Seen { chain: chain.clone(), ..Seen::default() };
            show(&told, seen, bar.as_ref(), every, [&head, &help], pulse);
            Ok(())
        };
        // Without the thread there are no meters; the station plays all the same.
        self.thread = supervise::keep_running("screen", show).ok();
    }

    /// Takes the meters away.
    pub fn end(self) {
        if let Some(notices) = self.notices {
            notices.send(SurfaceMessage::End).ok();
        }
        if let Some(thread) = self.thread {
            thread.join().ok();
        }
    }
}

/// What was told last.
#[derive(Default)]
struct Seen {
    chain: String,
    phase: String,
    bypass: bool,
    xruns: f64,
    meters: BTreeMap<String, f64>,
}

fn show(
    told: &Receiver<SurfaceMessage>,
    mut seen: Seen,
    bar: Option<&ProgressBar>,
    every: Option<Duration>,
    [head, help]: [&str; 2],
    pulse: &Pulse,
) {
    let mut drawn = Instant::now();
    loop {
        pulse.waits();
        let Ok(notice) = told.recv() else { break };
        pulse.beat();
        match notice {
            SurfaceMessage::Updates { updates: lines, .. } => lines.iter().for_each(|line| seen.take(line)),
            SurfaceMessage::End => break,
            _ => {}
        }
        if let Some(bar) = bar {
            if drawn.elapsed() >= Duration::from_millis(1000 / u64::from(FRAMES)) {
                drawn = Instant::now();
                bar.set_message(format!("\n{head}\n{}\n{help}", seen.picture()));
            }
        } else if every.is_some_and(|every| drawn.elapsed() >= every) {
            drawn = Instant::now();
            info!("{}", seen.line());
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

impl Seen {
    fn take(&mut self, line: &Update) {
        match (line.address.as_str(), line.values.as_slice()) {
            ("/event/swap", [Value::Text(phase), Value::Text(name), ..]) => {
                if phase == "done" {
                    self.chain.clone_from(name);
                    self.meters.retain(|path, _| !path.starts_with("/meter/node/"));
                }
                self.phase = if phase == "done" { String::new() } else { format!("{phase} {name}") };
            }
            ("/bypass", [Value::Switch(on)]) => self.bypass = *on,
            ("/event/xrun", [Value::Number(count), ..]) => self.xruns = *count,
            (path, [Value::Number(value)]) if path.starts_with("/meter/") => {
                self.meters.insert(path.to_owned(), *value);
            }
            _ => {}
        }
    }

    fn meter(&self, path: &str) -> f64 {
        self.meters.get(&format!("/meter/{path}")).map_or(FLOOR, |value| tenths(*value))
    }

    /// What nodes do to the level: id, what it is, and how much of it in dB.
    fn changes(&self) -> impl Iterator<Item = (&str, &str, f64)> {
        self.meters.iter().filter_map(|(path, value)| {
            let (id, reading) = path.strip_prefix("/meter/node/")?.split_once('/')?;
            matches!(reading, "reduction" | "gain").then_some((id, reading, tenths(*value)))
        })
    }

    /// The meters as a block of lines.
    fn picture(&self) -> String {
        let mut text = format!("on air    {}", self.chain);
        if self.bypass {
            text += "  BYPASS";
        }
        if !self.phase.is_empty() {
            text += &format!("  ({})", self.phase);
        }
        for (name, tap) in [("input", "input"), ("output", "output")] {
            let peak = self.meter(&format!("{tap}/peak"));
            let shortterm = self.meter(&format!("{tap}/shortterm"));
            text += &format!(
                "\n{name:<9} {} {} dBFS  {} LUFS short-term",
                level(peak),
                number(peak),
                number(shortterm)
            );
        }
        text += &format!(
            "\nloudness  {} momentary  {} integrated LUFS  {:>5.1} LU range  {} dBTP highest",
            number(self.meter("output/momentary")),
            number(self.meter("output/integrated")),
            self.meter("output/range").max(0.0),
            number(self.meter("output/truepeak")),
        );
        for (id, reading, change) in self.changes() {
            text += &format!("\n{id:<9} {} {} dB {reading}", reduction_bar(change), number(change));
        }
        text + &format!(
            "\nload      {:>5.1} % mean  {:>5.1} % peak  {} xruns\n",
            self.meter("load/mean").max(0.0),
            self.meter("load/peak").max(0.0),
            self.xruns
        )
    }

    /// The meters as one plain line.
    fn line(&self) -> String {
        let mut text = format!(
            "{}: in {:.1} dBFS, out {:.1} dBFS, {:.1} LUFS short-term, {:.1} LUFS integrated, {:.1} dBTP highest",
            self.chain,
            self.meter("input/peak"),
            self.meter("output/peak"),
            self.meter("output/shortterm"),
            self.meter("output/integrated"),
            self.meter("output/truepeak"),
        );
        for (id, reading, change) in self.changes() {
            let sign = if reading == "gain" && change > 0.0 { "+" } else { "" };
            text += &format!(", {id} {sign}{change:.1} dB");
        }
        text + &format!(
            ", load {:.1} %, peak {:.1} %, {} xruns",
            self.meter("load/mean").max(0.0),
            self.meter("load/peak").max(0.0),
            self.xruns
        )
    }
}

/// Rounded to what is shown, so that nothing reads -0.0.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0 + 0.0
}

/// A level from -60 to 0 dB as a bar.
fn level(db: f64) -> String {
    let filled = (((db + 60.0) / 60.0).clamp(0.0, 1.0) * WIDTH as f64).round() as usize;
    format!("{}{}", "█".repeat(filled), "·".repeat(WIDTH - filled))
}

/// A reduction of 0 to -20 dB as a bar that grows from the right.
fn reduction_bar(db: f64) -> String {
    let filled = ((-db / 20.0).clamp(0.0, 1.0) * WIDTH as f64).round() as usize;
    format!("{}{}", "·".repeat(WIDTH - filled), "▒".repeat(filled))
}

/// A value with one decimal, as meters have it; nothing is a dash.
fn number(value: f64) -> String {
    if value <= FLOOR { "    —".to_owned() } else { format!("{value:>5.1}") }
}
