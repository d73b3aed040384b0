//! The sample formats of devices, in native byte order.

use crate::station::cpal::Format;
use cpal::SampleFormat;
use lacquer_graph::block::to_f32;
use lacquer_graph::dsp::dither::{FLAT, Noise, Quantiser};

/// From this depth on, in bits, nothing is dithered: triangular dither would be below -180 dBFS.
const NO_DITHER: u32 = 32;

impl Format {
    /// cpal's name for it.
    pub fn of_device(self) -> SampleFormat {
        match self {
            Format::Int16 => SampleFormat::I16,
            Format::Int24 => SampleFormat::I24,
            Format::Int32 => SampleFormat::I32,
            Format::Float => SampleFormat::F32,
            Format::Float64 => SampleFormat::F64,
        }
    }

    /// Bits of an integer that it holds exactly.
    pub fn bits(self) -> u32 {
        match self {
            Format::Int16 => 16,
            Format::Int24 | Format::Float => 24,
            Format::Int32 | Format::Float64 => 32,
        }
    }

    /// `[audio]` Reads sample `at` of `bytes`; silence beyond the end.
    #[inline]
    pub fn read(self, bytes: &[u8], at: usize) -> f64 {
        fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
            bytes.get(at * N..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
        }
        match self {
            Format::Int16 => f64::from(i16::from_ne_bytes(bytes_at(bytes, at))) / 32_768.0,
            // The highest byte is undefined: it is shifted out.
            Format::Int24 => f64::from(i32::from_ne_bytes(bytes_at(bytes, at)) << 8) / 2_147_483_648.0,
            Format::Int32 => f64::from(i32::from_ne_bytes(bytes_at(bytes, at))) / 2_147_483_648.0,
            Format::Float => f64::from(f32::from_ne_bytes(bytes_at(bytes, at))),
            Format::Float64 => f64::from_ne_bytes(bytes_at(bytes, at)),
        }
    }

    /// `[audio]` Writes sample `at` of `bytes`, nothing beyond the end; integers are clipped to full scale.
    #[inline]
    pub fn write(self, bytes: &mut [u8], at: usize, sample: f64) {
        let integer = |scale: f64| (sample * scale).round().clamp(-scale, scale - 1.0) as i32;
        fn write_at<const N: usize>(bytes: &mut [u8], at: usize, sample: [u8; N]) {
            if let Some(place) = bytes.get_mut(at * N..(at + 1) * N) {
                place.copy_from_slice(&sample);
            }
        }
        match self {
            Format::Int16 => write_at(bytes, at, (integer(32_768.0) as i16).to_ne_bytes()),
            Format::Int24 => write_at(bytes, at, integer(8_388_608.0).to_ne_bytes()),
            Format::Int32 => write_at(bytes, at, integer(2_147_483_648.0).to_ne_bytes()),
            Format::Float => write_at(bytes, at, to_f32(sample).to_ne_bytes()),
            Format::Float64 => write_at(bytes, at, sample.to_ne_bytes()),
        }
    }
}

/// `[control]` The dither for a channel of a device of this format and depth in bits; `None` where none is needed.
pub(super) fn dither(format: Format, depth: u32, channel: usize) -> Option<Quantiser> {
    let is_float = matches!(format, Format::Float | Format::Float64);
    let bits = if is_float { depth } else { depth.min(format.bits()) };
    (bits < NO_DITHER).then(|| Quantiser::new(bits, Noise::Triangular, FLAT, channel))
}

/// `[audio]` Dithers a sample for the device. A sample that fits its depth passes unchanged: silence, and what the
/// chain has dithered.
#[inline]
pub(super) fn dithered(quantiser: &mut Option<Quantiser>, sample: f64) -> f64 {
    match quantiser {
        Some(quantiser) if !quantiser.fits(sample) => quantiser.tick(sample),
        _ => sample,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::station::cpal::ALL_FORMATS;

    #[test]
    fn every_format_gives_back_what_it_was_given_within_its_depth() {
        for format in ALL_FORMATS {
            let mut bytes = vec![0; 8 * format.of_device().sample_size()];
            for (at, sample) in [0.0, 0.5, -1.0, 1.0, -0.123_456_789, 1.5].into_iter().enumerate() {
                format.write(&mut bytes, at, sample);
                let is_float = matches!(format, Format::Float | Format::Float64);
                let wanted = if is_float { sample } else { sample.min(1.0) };
                let step = 0.5_f64.powi(format.bits() as i32 - 1);
                assert!((format.read(&bytes, at) - wanted).abs() <= step, "{format:?} {sample}");
            }
            // Beyond the end there is silence.
            format.write(&mut bytes, 100, 1.0);
            assert_eq!(format.read(&bytes, 100), 0.0);
        }
    }

    #[test]
    fn a_device_is_dithered_to_the_bits_that_it_has_and_what_fits_passes() {
        for (format, depth, bits) in
            [(Format::Int16, 32, 16), (Format::Int24, 32, 24), (Format::Int32, 24, 24)]
        {
            let step = 0.5_f64.powi(bits - 1);
            let mut quantiser = dither(format, depth, 0);
            assert!(quantiser.is_some());
            for value in [0.0, 5.0 * step, -1.0] {
                assert_eq!(dithered(&mut quantiser, value), value, "{format:?}");
            }
            let small = 0.3 * step;
            let count = 100_000;
            let sum: f64 = (0..count).map(|_| dithered(&mut quantiser, small)).sum();
            let mean = sum / f64::from(count);
            assert!((mean - small).abs() < 0.02 * step, "{format:?}: {}", mean / step);
        }
        assert!(dither(Format::Int32, 32, 0).is_none() && dither(Format::Float, 32, 0).is_none());
        assert!(dither(Format::Float, 24, 0).is_some());
    }
}
