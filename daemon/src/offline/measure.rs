//! Measuring: what `lacquer meter` reports of a file.

use crate::media::{FileError, Source};
use crate::offline::plot::Measured;
use crate::offline::progress::measuring;
use lacquer_graph::metering::spectrum::Spectrum;
use lacquer_graph::metering::{FLOOR, Meters};
use std::path::Path;

/// Points per second of the loudness curve.
const POINTS_A_SECOND: f64 = 10.0;
/// Most points of the curve, one week. For longer files the number of points per second is halved, repeatedly.
const MOST_POINTS: usize = 6_048_000;

/// Measures a file from where `source` is to its end, with progress on a terminal.
///
/// # Errors
/// What the file refuses.
pub fn measure(file: &Path, source: &mut Source, slope: f64) -> Result<Measured, FileError> {
    let (rate, channels) = (f64::from(source.rate()), source.channels());
    let mut meters = Meters::placed(rate, channels, source.speakers());
    let mut spectrum = Spectrum::new(rate, channels);
    let bar = measuring(source.frames());
    let (mut over_time, mut points_a_second) = (Vec::new(), POINTS_A_SECOND);
    let mut frames = 0;
    while let Some(planes) = source.next()? {
        let count = planes.first().map_or(0, Vec::len);
        let mut from = 0;
        while from < count {
            // Up to the next point of the loudness curve.
            let next = ((over_time.len() + 1) as f64 * rate / points_a_second).round() as usize;
            let to = count.min(from + next - frames);
            let piece: Vec<Vec<f64>> = planes.iter().map(|plane| plane[from..to].to_vec()).collect();
            meters.add(&piece);
            spectrum.add(&piece);
            (frames, from) = (frames + to - from, to);
            if frames == next {
                over_time.push(
                    [meters.loudness().momentary(), meters.loudness().shortterm()].map(|x| x.max(FLOOR)),
                );
                if over_time.len() == MOST_POINTS {
                    (over_time, points_a_second) = (halved(&over_time), points_a_second / 2.0);
                }
            }
        }
        bar.inc(count as u64);
    }
    bar.finish_and_clear();
    meters.finish();
    spectrum.finish();
    let mut reading = meters.measure();
    // For a file the maxima are reported; PSR is the true peak relative to the maximum short-term loudness.
    (reading.momentary, reading.shortterm) = (reading.maxmomentary, reading.maxshortterm);
    reading.psr = if reading.shortterm > FLOOR { reading.truepeak - reading.shortterm } else { 0.0 };
    Ok(Measured {
        file: file.display().to_string(),
        rate,
        channels,
        seconds: frames as f64 / rate,
        reading,
        range_is_stable: meters.loudness().range_is_stable(),
        over_time,
        points_a_second,
        intake: *meters.intake(),
        histogram: meters.loudness().histogram(),
        thirds: spectrum.thirds(),
        slope,
        curve: spectrum.curve(slope),
    })
}

/// Halves the number of points: the louder of each pair.
fn halved(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let louder =
        |pair: &[[f64; 2]]| [0, 1].map(|which| pair.iter().map(|at| at[which]).fold(FLOOR, f64::max));
    points.chunks(2).map(louder).collect()
}
