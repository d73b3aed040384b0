//! Spectrum: mean power over a whole programme, in thirds of an octave and fine enough to draw.
//!
//! Sources: IEC 61260-1:2014 (base-ten thirds of an octave); P. D. Welch, IEEE Trans. Audio Electroacoust. 15(2), 1967
//! (averaged pieces under a window).

use super::intake::measurable;
use crate::reading::FLOOR;
use realfft::num_complex::Complex64;
use realfft::{RealFftPlanner, RealToComplex};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Samples of a piece: 1.5 Hz between two lines at 48 kHz.
const SIZE: usize = 32_768;
/// Thirds of an octave from 20 Hz (band 13) to 20 kHz (band 43).
const BANDS: std::ops::RangeInclusive<i32> = 13..=43;
/// Most thirds of an octave.
pub(crate) const THIRDS: usize = 31;
/// Points to draw in each octave.
const POINTS: f64 = 12.0;

/// See the module.
pub struct Spectrum {
    rate: f64,
    transform: Arc<dyn RealToComplex<f64>>,
    window: Vec<f64>,
    /// What each channel has of the next piece.
    waiting: Vec<Vec<f64>>,
    powers: Vec<f64>,
    pieces: f64,
    lines: Vec<Complex64>,
    scratch: Vec<Complex64>,
}

impl Spectrum {
    /// For `channels` channels at `rate` Hz; their powers are averaged.
    pub fn new(rate: f64, channels: usize) -> Self {
        let transform = RealFftPlanner::new().plan_fft_forward(SIZE);
        let window = (0..SIZE).map(|n| 0.5 - 0.5 * (TAU * n as f64 / SIZE as f64).cos()).collect();
        let (lines, scratch) = (transform.make_output_vec(), transform.make_scratch_vec());
        Self {
            rate,
            window,
            waiting: vec![Vec::with_capacity(SIZE); channels],
            powers: vec![0.0; lines.len()],
            pieces: 0.0,
            transform,
            lines,
            scratch,
        }
    }

    /// Takes frames, one plane a channel.
    pub fn add(&mut self, planes: &[Vec<f64>]) {
        for (channel, plane) in planes.iter().enumerate() {
            let mut rest = plane.as_slice();
            while !rest.is_empty() {
                let waiting = &mut self.waiting[channel];
                let (now, later) = rest.split_at(rest.len().min(SIZE - waiting.len()));
                waiting.extend(now.iter().copied().map(measurable));
                rest = later;
                if waiting.len() == SIZE {
                    self.piece(channel);
                    // Pieces lie half over each other.
                    self.waiting[channel].drain(..SIZE / 2);
                }
            }
        }
    }

    fn piece(&mut self, channel: usize) {
        let mut samples: Vec<f64> = self.waiting[channel].clone();
        samples.resize(SIZE, 0.0);
        samples.iter_mut().zip(&self.window).for_each(|(sample, window)| *sample *= window);
        // It refuses only buffers of another length.
        if self.transform.process_with_scratch(&mut samples, &mut self.lines, &mut self.scratch).is_ok() {
            self.powers.iter_mut().zip(&self.lines).for_each(|(power, line)| *power += line.norm_sqr());
            self.pieces += 1.0;
        }
    }

    /// Ends the programme: what is left of one that is shorter than a piece counts as one.
    pub fn finish(&mut self) {
        if self.pieces == 0.0 {
            (0..self.waiting.len()).for_each(|channel| self.piece(channel));
        }
    }

    /// Mean power between two frequencies in dB re a full-scale square wave; minus infinity where there is none.
    pub fn between(&self, from_hz: f64, to_hz: f64) -> f64 {
        let step = self.rate / SIZE as f64;
        let sum: f64 = self
            .powers
            .iter()
            .enumerate()
            .map(|(line, power)| {
                let middle = line as f64 * step;
                let share = (to_hz.min(middle + step / 2.0) - from_hz.max(middle - step / 2.0)) / step;
                power * share.clamp(0.0, 1.0)
            })
            .sum();
        let window: f64 = self.window.iter().map(|w| w * w).sum();
        // A line stands for itself and its mirror.
        10.0 * (2.0 * sum / (self.pieces.max(1.0) * SIZE as f64 * window)).log10()
    }

    /// Centre in Hz and level in dB of each third of an octave from 20 Hz to 20 kHz, as far as the rate goes.
    pub fn thirds(&self) -> Vec<(f64, f64)> {
        let edge = |band: f64| 10.0_f64.powf(band / 10.0);
        let bands = BANDS.map(f64::from).filter(|band| edge(band + 0.5) < self.rate / 2.0);
        bands.map(|band| (edge(band), self.between(edge(band - 0.5), edge(band + 0.5)))).collect()
    }

    /// Level in dB of each third of an octave, as in [`Self::thirds`], since this was last asked; `None` until there
    /// was a whole piece of sound.
    pub fn take_thirds(&mut self) -> Option<Vec<f64>> {
        if self.pieces == 0.0 {
            return None;
        }
        let levels = self.thirds().into_iter().map(|(_, level)| level.max(FLOOR)).collect();
        self.powers.fill(0.0);
        self.pieces = 0.0;
        Some(levels)
    }

    /// Points to draw from 20 Hz to 20 kHz: frequency in Hz and level in dB, tilted up by `slope` dB an octave around
    /// 1 kHz, so that programme lies level.
    pub fn curve(&self, slope: f64) -> Vec<(f64, f64)> {
        let freqs = (0..).map(|point| 20.0 * 2.0_f64.powf(f64::from(point) / POINTS));
        let freqs = freqs.take_while(|freq| *freq <= 20_000.0 && *freq < 0.49 * self.rate);
        freqs
            .map(|freq| {
                let half = 2.0_f64.powf(0.5 / POINTS);
                (freq, self.between(freq / half, freq * half) + slope * (freq / 1_000.0).log2())
            })
            .collect()
    }
}
