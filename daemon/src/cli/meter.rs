//! `lacquer meter`: measures a file; prints a table or JSON, writes a plot.

use super::{Outcome, complain, print, replaced_samples};
use crate::media::{Accept, FileError, Place, Source};
use crate::offline::measure::measure;
use crate::offline::plot::{self, Measured};
use lacquer_graph::dsp::filter::k_weighting::LOWEST_RATE;
use lacquer_graph::file::error::printable;
use lacquer_graph::metering::FLOOR;
use lacquer_graph::reading::SILENCE;
use serde_json::json;
use std::path::Path;

pub(super) fn run(
    file: &Path,
    as_json: bool,
    accept: Accept,
    picture: Option<&Path>,
    force: bool,
    slope: f64,
) -> Outcome {
    match report(file, as_json, accept, picture, force, slope) {
        Ok(outcome) => outcome,
        Err(error) => complain(&error, (&error).into()),
    }
}

fn report(
    file: &Path,
    as_json: bool,
    accept: Accept,
    picture: Option<&Path>,
    force: bool,
    slope: f64,
) -> Result<Outcome, FileError> {
    let mut source = Source::open_as(file, accept)?;
    let place = picture.map(|path| Place::new(path, &[file], force)).transpose()?;
    let measured = measure(file, &mut source, slope)?;
    let mut warnings = source.warnings();
    warnings.extend(replaced_samples(file, &measured.intake, measured.rate));
    warnings.iter().for_each(|warning| _ = complain(warning, Outcome::Done));
    if let Some(place) = place {
        place.write(plot::svg(&measured).as_bytes())?;
    }
    Ok(print(&if as_json { format!("{:#}", to_json(&measured, &warnings)) } else { table(&measured) }))
}

fn table(measured: &Measured) -> String {
    let Measured { file, rate, channels, seconds, reading, .. } = measured;
    let file = printable(file);
    let minutes = (seconds / 60.0).floor();
    let mut text =
        format!("{file}\n{channels} channels, {rate} Hz, {minutes}:{:04.1}\n\n", seconds - 60.0 * minutes);
    let titles = [
        ("integrated loudness", "integrated"),
        ("loudness range", "range"),
        ("highest momentary", "maxmomentary"),
        ("highest short-term", "maxshortterm"),
        ("true peak", "truepeak"),
        ("sample peak", "peak"),
        ("RMS", "rms"),
        ("crest", "crest"),
        ("PLR", "plr"),
        ("PSR", "psr"),
        ("correlation", "correlation"),
        ("balance", "balance"),
        ("DC", "dc"),
        ("clips", "clips"),
        ("NaN or infinite", "nonfinite"),
    ];
    for (title, name) in titles {
        let Some((row, value)) = reading.of(name) else { continue };
        let digits = usize::from(row.decimals);
        let number = if value <= FLOOR { SILENCE.to_owned() } else { format!("{value:.digits$}") };
        text += format!("{title:<22}{number:>8} {}", row.unit.symbol()).trim_end();
        text += "\n";
    }
    if measured.rate < LOWEST_RATE {
        text += &format!("\nloudness is not measured below a sample rate of {LOWEST_RATE} Hz\n");
    }
    if !measured.range_is_stable {
        text += "\nshorter than a minute: the loudness range means little\n";
    }
    text
}

fn to_json(measured: &Measured, warnings: &[String]) -> serde_json::Value {
    // JSON has no infinities.
    let level =
        |value: f64| if value > FLOOR { json!((value * 1000.0).round() / 1000.0) } else { json!(null) };
    let readings = measured.reading.all().map(|(row, value)| (row.name.to_owned(), level(value)));
    let mut all: serde_json::Map<_, _> = readings.collect();
    let first = measured
        .intake
        .first
        .map(|(frame, channel)| json!({"seconds": frame as f64 / measured.rate, "channel": channel + 1}));
    all.insert("firstnonfinite".to_owned(), json!(first));
    all.insert("beyond".to_owned(), json!(measured.intake.beyond));
    all.insert("file".to_owned(), json!(measured.file));
    all.insert("rate".to_owned(), json!(measured.rate));
    all.insert("channels".to_owned(), json!(measured.channels));
    all.insert("seconds".to_owned(), json!(measured.seconds));
    all.insert("warnings".to_owned(), json!(warnings));
    all.insert("rangestable".to_owned(), json!(measured.range_is_stable));
    let thirds = measured.thirds.iter().map(|(freq, db)| json!({"freq": freq.round(), "level": level(*db)}));
    all.insert("thirds".to_owned(), thirds.collect());
    let bars = measured.histogram.iter().enumerate().filter(|(_, share)| **share > 0.0);
    let bars = bars.map(|(bar, share)| json!({"loudness": bar as f64 - 70.0, "share": share}));
    all.insert("histogram".to_owned(), bars.collect());
    let points = measured.over_time.iter().map(|point| json!(point.map(level)));
    all.insert(
        "overtime".to_owned(),
        json!({"every": 1.0 / measured.points_a_second, "momentary_shortterm": points.collect::<Vec<_>>()}),
    );
    all.into()
}
