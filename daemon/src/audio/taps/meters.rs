//! Meters of a tap: the readings of `graph/src/metering`, as updates for the surfaces.

use crate::audio::taps::Tap;
use lacquer_control::update::Update;
use lacquer_graph::metering::spectrum::Spectrum;
use lacquer_graph::metering::{self, HISTOGRAM, Measurement, SPECTRUM};
use lacquer_graph::reading::Reading;

/// Looks from one spectrum to the next, and from one histogram: 250 ms and 1 s. At 48 kHz a spectrum is whole three
/// times a second.
const SPECTRUM_EVERY: u32 = 5;
const HISTOGRAM_EVERY: u32 = 20;

/// The meters of one tap.
pub struct Meters<'a> {
    tap: &'a mut Tap,
    meters: metering::Meters,
    spectrum: Spectrum,
    planes: Vec<Vec<f64>>,
    looks: u32,
}

impl<'a> Meters<'a> {
    /// The meters of `tap`.
    pub fn new(tap: &'a mut Tap) -> Self {
        let meters = metering::Meters::new(tap.rate, tap.channels);
        let spectrum = Spectrum::new(tap.rate, tap.channels);
        Self { meters, spectrum, planes: vec![Vec::new(); tap.channels], looks: 0, tap }
    }

    /// Measures the audio since the last call, and returns the readings.
    pub fn measure(&mut self) -> Measurement {
        let Self { tap, meters, spectrum, planes, looks } = self;
        *looks = looks.wrapping_add(1);
        let channels = tap.channels;
        tap.drain(|samples| {
            for (channel, plane) in planes.iter_mut().enumerate() {
                plane.clear();
                plane.extend(samples.iter().skip(channel).step_by(channels).map(|sample| f64::from(*sample)));
            }
            meters.add(planes);
            spectrum.add(planes);
        });
        meters.measure()
    }

    /// What they show, as lines under `/meter/TAP`.
    pub fn lines(&self, measurement: &Measurement) -> Vec<Update> {
        let tap = self.tap.name;
        let lines = measurement
            .all()
            .flat_map(|(row, value)| Update::reading(&format!("{tap}/{}", row.name), row, Some(value)));
        lines.collect()
    }

    /// The arrays that are due after this look.
    pub fn arrays(&mut self) -> Vec<Update> {
        let tap = self.tap.name;
        let path = |row: &Reading| format!("{tap}/{}", row.name);
        let is_due = |every: u32| self.looks.is_multiple_of(every);
        let thirds = if is_due(SPECTRUM_EVERY) { self.spectrum.take_thirds() } else { None };
        let bars = if is_due(HISTOGRAM_EVERY) { self.meters.loudness().bars() } else { None };
        let thirds = thirds.map(|levels| Update::array(&path(&SPECTRUM), &SPECTRUM, levels));
        let bars = bars.map(|bars| Update::array(&path(&HISTOGRAM), &HISTOGRAM, bars));
        thirds.into_iter().chain(bars).collect()
    }
}
