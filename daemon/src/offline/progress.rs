//! The progress of long work on files: a bar on a terminal, nothing in a pipe.

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of rendering, with its speed: a bar on a terminal, nothing in a pipe.
pub fn rendering(frames: Option<u64>, rate: f64) -> ProgressBar {
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

/// The progress of measuring.
pub fn measuring(frames: Option<u64>) -> ProgressBar {
    let bar = frames.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {eta} left") {
        bar.set_style(style);
    }
    bar
}
