//! Work for the benches that takes more than a line to write.

use crate::node::Workload;

/// Eight bands, behind other settings.
macro_rules! eight_bands {
    ($settings:literal) => {
        concat!(
            $settings,
            "bands: [{freq: 30 Hz, shape: highpass}, {freq: 80 Hz, gain: 2 dB}, {freq: 200 Hz, gain: -2 dB}, ",
            "{freq: 500 Hz, gain: 1 dB}, {freq: 1 kHz, gain: -1 dB}, {freq: 3 kHz, gain: 2 dB}, ",
            "{freq: 8 kHz, gain: 1 dB}, {freq: 12 kHz, shape: highshelf, gain: 2 dB}]"
        )
    };
}

const DYNAMIC_BANDS: &str = "bands: [{freq: 60 Hz, range: -6 dB}, {freq: 250 Hz, range: -6 dB}, \
     {freq: 1 kHz, range: -6 dB}, {freq: 4 kHz, range: -6 dB}]";

/// An equaliser's.
pub(crate) const EQUALISER: [Workload; 4] = [
    Workload::new("", eight_bands!("")),
    Workload::new(" with dynamic bands", DYNAMIC_BANDS),
    Workload::moving(" that moves", eight_bands!(""), "gain"),
    Workload::moving(" in linear phase that moves", eight_bands!("phase: linear, "), "gain"),
];
