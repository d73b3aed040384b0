//! The plot of `lacquer meter --plot`: loudness over time, spectrum, histogram and readings, in one SVG.

use lacquer_graph::file::error::printable;
use lacquer_graph::metering::intake::Intake;
use lacquer_graph::metering::{FLOOR, Measurement};
use lacquer_graph::reading::SILENCE;
use std::fmt::Write;

/// The measurements to draw.
pub struct Measured {
    /// The file's name.
    pub file: String,
    /// Hz.
    pub rate: f64,
    /// Number of channels.
    pub channels: usize,
    /// Duration.
    pub seconds: f64,
    /// The readings of the whole file.
    pub reading: Measurement,
    /// Samples that could not be measured as they are.
    pub intake: Intake,
    /// Whether the file is long enough for the loudness range: a minute.
    pub range_is_stable: bool,
    /// Momentary and short-term loudness, LUFS.
    pub over_time: Vec<[f64; 2]>,
    /// Points a second in `over_time`.
    pub points_a_second: f64,
    /// Share of the gating blocks in each LU from -70 LUFS up.
    pub histogram: Vec<f64>,
    /// Centre in Hz and level in dB of each third-octave band.
    pub thirds: Vec<(f64, f64)>,
    /// Tilt of `curve`, dB an octave.
    pub slope: f64,
    /// Frequency in Hz and level in dB.
    pub curve: Vec<(f64, f64)>,
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 760.0;
/// Most points of a line: more would not be visible.
const MOST_POINTS: usize = 1_600;
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#334}.title{font-size:20px;font-weight:600;fill:#112}\
.big{font-size:22px;font-weight:600;fill:#112}.grid{stroke:#d9dee6;stroke-width:1}.frame{fill:#fff;stroke:#b6bfcc}\
.m{fill:none;stroke:#9db7d8;stroke-width:1}.s{fill:none;stroke:#1f5fa8;stroke-width:2}.i{stroke:#c2410c;stroke-dasharray:6 4}\
.bar{fill:#1f5fa8}.third{fill:#cfdcec}.end{text-anchor:end}.middle{text-anchor:middle}";

/// A panel: its position, and the values at its edges.
struct Panel {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    x: [f64; 2],
    y: [f64; 2],
}

impl Panel {
    fn position(&self, x: f64, y: f64) -> (f64, f64) {
        let share = |value: f64, [from, to]: [f64; 2]| ((value - from) / (to - from)).clamp(0.0, 1.0);
        (self.left + self.width * share(x, self.x), self.top + self.height * (1.0 - share(y, self.y)))
    }

    /// Draws frame, title and grid; a tick is a value and its label.
    fn draw(&self, svg: &mut String, title: &str, x_ticks: &[(f64, String)], y_ticks: &[(f64, String)]) {
        let Self { left, top, width, height, .. } = self;
        let (right, bottom) = (left + width, top + height);
        add(
            svg,
            format_args!(
                "<rect class=\"frame\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>"
            ),
        );
        add(svg, format_args!("<text x=\"{left}\" y=\"{:.1}\">{title}</text>", top - 8.0));
        for (value, text) in x_ticks {
            let x = self.position(*value, self.y[0]).0;
            add(
                svg,
                format_args!(
                    "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"
                ),
            );
            add(
                svg,
                format_args!("<text class=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>", bottom + 16.0),
            );
        }
        for (value, text) in y_ticks {
            let y = self.position(self.x[0], *value).1;
            add(
                svg,
                format_args!(
                    "<line class=\"grid\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>"
                ),
            );
            add(
                svg,
                format_args!(
                    "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                    left - 6.0,
                    y + 4.0
                ),
            );
        }
    }

    fn line(&self, svg: &mut String, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let points: Vec<_> = points
            .map(|(x, y)| {
                let (x, y) = self.position(x, y);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        add(svg, format_args!("<polyline class=\"{class}\" points=\"{}\"/>", points.join(" ")));
    }
}

fn add(svg: &mut String, piece: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(svg, "{piece}").ok();
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn ticks(step: f64, [from, to]: [f64; 2], unit: &str) -> Vec<(f64, String)> {
    let first = (from / step).ceil() as i64;
    let last = (to / step).floor() as i64;
    (first..=last).map(|at| (at as f64 * step, format!("{}{unit}", at as f64 * step))).collect()
}

/// Draws the measurements.
pub fn svg(measured: &Measured) -> String {
    let mut svg = String::new();
    add(
        &mut svg,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\">\n\
             <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#f5f7fa\"/>"
        ),
    );
    add(
        &mut svg,
        format_args!("<text class=\"title\" x=\"56\" y=\"38\">{}</text>", escape(&printable(&measured.file))),
    );
    numbers(&mut svg, measured);
    over_time(&mut svg, measured);
    spectrum(&mut svg, measured);
    histogram(&mut svg, measured);
    svg + "</svg>\n"
}

fn numbers(svg: &mut String, measured: &Measured) {
    let titles = [
        ("integrated", "integrated"),
        ("range", "range"),
        ("true peak", "truepeak"),
        ("max short-term", "maxshortterm"),
        ("max momentary", "maxmomentary"),
        ("PLR", "plr"),
        ("correlation", "correlation"),
    ];
    for (at, (title, name)) in titles.into_iter().enumerate() {
        let Some((row, value)) = measured.reading.of(name) else { continue };
        let x = 56.0 + 125.0 * at as f64;
        let digits = usize::from(row.decimals);
        let number = if value <= FLOOR { SILENCE.to_owned() } else { format!("{value:.digits$}") };
        add(svg, format_args!("<text class=\"big\" x=\"{x}\" y=\"82\">{number}</text>"));
        add(svg, format_args!("<text x=\"{x}\" y=\"100\">{title} {}</text>", row.unit.symbol()));
    }
}

fn over_time(svg: &mut String, measured: &Measured) {
    let points = &measured.over_time;
    let loudest = points.iter().flatten().copied().fold(-20.0, f64::max);
    let top = (loudest / 6.0).ceil() * 6.0;
    let end = measured.seconds.max(1.0);
    let panel =
        Panel { left: 56.0, top: 142.0, width: 880.0, height: 240.0, x: [0.0, end], y: [top - 42.0, top] };
    // About eight ticks, at round times.
    let steps = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
    let step = steps.into_iter().find(|step| end / step <= 10.0);
    // For longer files, whole hours.
    let step = step.unwrap_or_else(|| (end / 36_000.0).ceil() * 3_600.0);
    let x_ticks: Vec<_> = ticks(step, panel.x, "")
        .into_iter()
        .map(|(at, _)| (at, format!("{}:{:02}", (at / 60.0) as u64, at as u64 % 60)))
        .collect();
    let title = "Loudness over time, LUFS: momentary (light), short-term (dark), integrated (dashed)";
    panel.draw(svg, title, &x_ticks, &ticks(6.0, panel.y, ""));
    let skip = points.len().div_ceil(MOST_POINTS).max(1);
    for (class, which) in [("m", 0), ("s", 1)] {
        // Of several points the loudest is drawn, so that no peak is missing.
        let line = points.chunks(skip).enumerate().map(|(at, chunk)| {
            let time = ((at * skip) as f64 + chunk.len() as f64) / measured.points_a_second;
            (time, chunk.iter().map(|point| point[which]).fold(FLOOR, f64::max))
        });
        panel.line(svg, class, line);
    }
    let (left, y) = panel.position(0.0, measured.reading.integrated);
    let right = left + panel.width;
    add(
        svg,
        format_args!("<line class=\"i\" x1=\"{left:.1}\" y1=\"{y:.1}\" x2=\"{right:.1}\" y2=\"{y:.1}\"/>"),
    );
}

fn spectrum(svg: &mut String, measured: &Measured) {
    let loudest = measured.curve.iter().chain(&measured.thirds).map(|point| point.1).fold(-60.0, f64::max);
    let top = (loudest / 6.0).ceil() * 6.0;
    let log = f64::log10;
    let panel = Panel {
        left: 56.0,
        top: 444.0,
        width: 540.0,
        height: 260.0,
        x: [log(20.0), log(20_000.0)],
        y: [top - 60.0, top],
    };
    let marks = [20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000];
    let text = |freq: u32| if freq < 1_000 { freq.to_string() } else { format!("{}k", freq / 1_000) };
    let x_ticks: Vec<_> = marks.iter().map(|freq| (log(f64::from(*freq)), text(*freq))).collect();
    let title = format!(
        "Spectrum, dBFS: thirds of an octave (light), twelfths tilted by {} dB/oct (line)",
        measured.slope
    );
    panel.draw(svg, &title, &x_ticks, &ticks(12.0, panel.y, ""));
    let edge = 10.0_f64.powf(0.045);
    for (freq, level) in &measured.thirds {
        let (left, y) = panel.position(log(freq / edge), *level);
        let right = panel.position(log(freq * edge), *level).0;
        let (width, height) = (right - left, panel.top + panel.height - y);
        add(
            svg,
            format_args!(
                "<rect class=\"third\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            ),
        );
    }
    panel.line(svg, "s", measured.curve.iter().map(|(freq, level)| (log(*freq), *level)));
}

fn histogram(svg: &mut String, measured: &Measured) {
    let most = measured.histogram.iter().copied().fold(0.01, f64::max);
    let loud =
        measured.histogram.iter().rposition(|share| *share > 0.0).map_or(-10.0, |bar| bar as f64 - 69.0);
    let top = (loud / 6.0).ceil() * 6.0;
    let panel =
        Panel { left: 660.0, top: 444.0, width: 276.0, height: 260.0, x: [top - 42.0, top], y: [0.0, most] };
    panel.draw(svg, "Loudness histogram: share of the time at each LUFS", &ticks(6.0, panel.x, ""), &[]);
    for (bar, share) in measured.histogram.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        let loudness = bar as f64 - 70.0;
        if loudness < panel.x[0] {
            continue;
        }
        let (left, y) = panel.position(loudness + 0.1, *share);
        let right = panel.position(loudness + 0.9, *share).0;
        let (width, height) = (right - left, panel.top + panel.height - y);
        add(
            svg,
            format_args!(
                "<rect class=\"bar\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            ),
        );
    }
}
