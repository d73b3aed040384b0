//! The display of `lacquer run`: live meters on a terminal, plain lines in a pipe. A surface that only receives.

use crate::process::named::shown;
use crate::process::supervise::{self, Pulse, join_within};
use crate::station::load::Loaded;
use crate::surfaces::osc::MESSAGES;
use crossbeam_channel::{Receiver, Sender, bounded};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lacquer_control::subscribe::SurfaceMessage;
use lacquer_control::update::{Measured, Update};
use lacquer_control::value::Value;
use lacquer_graph::param::Unit;
use lacquer_graph::reading::{FLOOR, REDUCTION, Reading};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::info;

/// Frames of the meters a second.
const FRAMES: u8 = 20;
/// Time limit for the last frame.
const END_LIMIT: Duration = Duration::from_millis(500);
/// Width of a meter in characters.
const WIDTH: usize = 40;

/// The live meters, or plain lines instead.
pub(crate) struct Screen {
    /// The log hides these while it writes.
    pub bars: MultiProgress,
    surface_sender: Option<Sender<SurfaceMessage>>,
    messages: Receiver<SurfaceMessage>,
    is_live: bool,
    every: Option<Duration>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Live meters on a terminal; else a plain line every `report_seconds`, or none for 0.
    pub(crate) fn new(report_seconds: u32) -> Self {
        let is_live = io::stderr().is_terminal() && io::stdout().is_terminal();
        let target =
            if is_live { ProgressDrawTarget::stderr_with_hz(FRAMES) } else { ProgressDrawTarget::hidden() };
        let every = (report_seconds > 0).then(|| Duration::from_secs(u64::from(report_seconds)));
        let (surface_sender, messages) = bounded(MESSAGES);
        let surface_sender = (is_live || every.is_some()).then_some(surface_sender);
        Self {
            bars: MultiProgress::with_draw_target(target),
            surface_sender,
            messages,
            is_live,
            every,
            thread: None,
        }
    }

    /// The conductor's channel to it, if it shows anything.
    pub(crate) fn surface_sender(&self) -> Option<Sender<SurfaceMessage>> {
        self.surface_sender.clone()
    }

    /// Starts the display.
    pub(crate) fn start(&mut self, loaded: &Loaded, osc: Option<SocketAddr>, path: &Path) {
        if self.surface_sender.is_none() {
            return;
        }
        let names: Vec<_> = loaded.chains.iter().map(|(chain, _)| chain.name.as_str()).collect();
        let head = format!("Lacquer  {}  ({})", loaded.station.name, shown(path));
        let help = match osc {
            Some(address) => format!(
                "control   lacquer ctl --to {address} swap {}\n          lacquer ctl --to {address} set /node/ID/PARAMETER VALUE   (or any OSC client)\n          kill -HUP reloads the files; Ctrl-C fades out and ends",
                names.join("|")
            ),
            None => "control   no \"osc:\" in the station file; kill -HUP reloads the files; Ctrl-C fades out and ends".to_owned(),
        };
        let (messages, every) = (self.messages.clone(), self.every);
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
            show(&messages, seen, bar.as_ref(), every, [&head, &help], pulse);
            Ok(())
        };
        // Without the thread there are no meters; the station is unaffected.
        self.thread = supervise::keep_running("screen", show).ok();
    }

    /// Ends the display. A terminal that is stopped, as by Ctrl-S, is not waited for.
    pub(crate) fn end(self) {
        if let Some(surface_sender) = self.surface_sender {
            surface_sender.send_timeout(SurfaceMessage::End, END_LIMIT).ok();
        }
        self.thread.map(|thread| join_within(thread, END_LIMIT));
    }
}

/// The values that were received last.
#[derive(Default)]
struct Seen {
    chain: String,
    phase: String,
    bypass: bool,
    xruns: f64,
    meters: BTreeMap<String, (&'static Reading, f64)>,
}

fn show(
    messages: &Receiver<SurfaceMessage>,
    mut seen: Seen,
    bar: Option<&ProgressBar>,
    every: Option<Duration>,
    [head, help]: [&str; 2],
    pulse: &Pulse,
) {
    let mut drawn = Instant::now();
    loop {
        pulse.set_waiting();
        let Ok(message) = messages.recv() else { break };
        pulse.beat();
        match message {
            SurfaceMessage::Updates { updates, .. } => updates.iter().for_each(|line| seen.update(line)),
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
    fn update(&mut self, line: &Update) {
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
            (path, _) if path.starts_with("/meter/") => match line.measured {
                Some(Measured { row, value: Some(value) }) => {
                    self.meters.insert(path.to_owned(), (row, value));
                }
                _ => _ = self.meters.remove(path),
            },
            _ => {}
        }
    }

    fn meter(&self, path: &str) -> f64 {
        self.meters.get(&format!("/meter/{path}")).map_or(FLOOR, |(_, value)| tenths(*value))
    }

    /// What nodes measure: id, row, value. Of a node with bands only its whole gain reduction.
    fn readings(&self) -> impl Iterator<Item = (&str, &'static Reading, f64)> {
        let whole = |id: &str| self.meters.contains_key(&format!("/meter/node/{id}/{}", REDUCTION.name));
        self.meters.iter().filter_map(move |(path, (row, value))| {
            let (id, _) = path.strip_prefix("/meter/node/")?.split_once('/')?;
            let is_band = row.unit == Unit::Gain && row.name != REDUCTION.name && whole(id);
            (!is_band).then_some((id, *row, *value))
        })
    }

    /// The live meters, several lines.
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
        for (id, row, value) in self.readings() {
            let bar = if row.unit == Unit::Gain { reduction_bar(value) } else { " ".repeat(WIDTH) };
            text += &format!("\n{id:<9} {bar} {:>8} {}", row.text(Some(value)), row.name);
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
        for (id, _, value) in self.readings().filter(|(_, row, _)| row.unit == Unit::Gain) {
            let change = tenths(value);
            let sign = if change > 0.0 { "+" } else { "" };
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

/// Rounds to one decimal, as displayed; never -0.0.
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

/// A value with one decimal; a dash at the floor.
fn number(value: f64) -> String {
    if value <= FLOOR { "    —".to_owned() } else { format!("{value:>5.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacquer_graph::nodes::node_type;

    #[test]
    fn a_reading_is_shown_in_its_own_unit_and_none_is_not_shown() {
        let mut seen = Seen::default();
        let mut report = |id: &str, name: &str, value: Option<f64>| {
            let rows = node_type(id).map_or(&[][..], |node_type| node_type.readings);
            for row in rows.iter().filter(|row| row.name == name) {
                let lines = Update::reading(&format!("node/{id}/{name}"), row, value);
                lines.iter().for_each(|line| seen.update(line));
            }
            seen.picture()
        };
        let picture = report("declick", "clicks", Some(2.0));
        assert!(picture.contains("2 /s clicks"), "{picture}");
        let picture = report("dehum", "frequency", Some(50.04));
        assert!(picture.contains("50.04 Hz frequency"), "{picture}");
        report("multiband", "reduction", Some(-3.25));
        let picture = report("multiband", "reduction2", Some(-3.0));
        assert!(picture.contains("-3.2 dB reduction\n") && !picture.contains("reduction2"), "{picture}");
        let picture = report("declick", "clicks", None);
        assert!(!picture.contains("declick"), "{picture}");
    }
}
