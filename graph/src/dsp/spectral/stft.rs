//! Short-time Fourier transform: frames with a Hann window and a hop of a fifth are transformed, processed,
//! transformed back, windowed again and added. Without processing, the output equals the input to rounding, six hops
//! late: one hop is for the processing of a frame, so that it can be spread over time.
//!
//! Source: J. B. Allen, L. R. Rabiner, *A unified approach to short-time Fourier analysis and synthesis*, Proc. IEEE 65(11),
//! 1977. The Hann window for both analysis and synthesis, rather than its square root, keeps loud tones out of quiet
//! bins.

use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Hops in a frame; and in the ring buffers: a frame and the hop during which it is processed.
const OVERLAP: usize = 5;
const HELD: usize = OVERLAP + 1;

/// Latency in frames, for a hop of `hop` frames.
pub(crate) fn latency(hop: usize) -> usize {
    (OVERLAP + 1) * hop
}

/// The transforms of all channels.
pub(crate) struct Stft {
    hop: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    window: Box<[f64]>,
    /// Compensates the gain of both windows, the overlap and the transforms.
    scale: f64,
    channels: Box<[Channel]>,
    /// Position in the rings: index of the hop, and frames in it.
    block: usize,
    at: usize,
    frame: Box<[f64]>,
    scratch: Box<[Complex64]>,
}

/// State of one channel: two ring buffers, and the spectrum of the frame in progress.
struct Channel {
    input: Box<[f64]>,
    sum: Box<[f64]>,
    lines: Box<[Complex64]>,
}

impl Stft {
    /// `[control]` Transforms with a hop of `hop` frames, for `channels` channels.
    pub(crate) fn new(hop: usize, channels: usize) -> Self {
        let size = OVERLAP * hop;
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
        let window: Box<[f64]> =
            (0..size).map(|n| 0.5 - 0.5 * (TAU * n as f64 / size as f64).cos()).collect();
        // The sum of the squared windows is the same at every sample.
        let gain: f64 = window.iter().map(|w| w * w).sum::<f64>() / hop as f64;
        let ring = || vec![0.0; HELD * hop].into_boxed_slice();
        let lines = || vec![Complex64::default(); size / 2 + 1].into_boxed_slice();
        let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            hop,
            scale: 1.0 / (gain * size as f64),
            channels: (0..channels).map(|_| Channel { input: ring(), sum: ring(), lines: lines() }).collect(),
            block: 0,
            at: 0,
            frame: vec![0.0; size].into_boxed_slice(),
            scratch: vec![Complex64::default(); scratch].into_boxed_slice(),
            forward,
            inverse,
            window,
        }
    }

    /// Frames from one spectrum to the next.
    pub(crate) fn hop(&self) -> usize {
        self.hop
    }

    /// Number of bins, from 0 Hz to half the sample rate.
    pub(crate) fn lines(&self) -> usize {
        self.window.len() / 2 + 1
    }

    /// Mean squared magnitude of a bin for white noise with a mean square of 1.
    pub(crate) fn noise_gain(&self) -> f64 {
        self.window.iter().map(|w| w * w).sum()
    }

    /// Frames so far in the current hop: 0 if a frame has just become complete.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// `[audio]` Replaces samples of a channel by output samples, and writes the input of the same time to `dry`. Not
    /// beyond the end of the hop. To be called for every channel, then [`Self::advance`].
    pub(crate) fn exchange(&mut self, channel: usize, samples: &mut [f64], dry: &mut [f64]) {
        let start = self.block * self.hop + self.at;
        let Channel { input, sum, .. } = &mut self.channels[channel];
        let places = input[start..].iter_mut().zip(&mut sum[start..]);
        for ((sample, dry), (input, sum)) in samples.iter_mut().zip(dry).zip(places) {
            *dry = std::mem::replace(input, *sample);
            *sample = std::mem::take(sum);
        }
    }

    /// `[audio]` Advances by `frames`.
    pub(crate) fn advance(&mut self, frames: usize) {
        self.at += frames;
        if self.at >= self.hop {
            self.at = 0;
            self.block = (self.block + 1) % HELD;
        }
    }

    /// `[audio]` Transforms the newest complete frame of a channel.
    pub(crate) fn analyse(&mut self, channel: usize) {
        let Channel { input, lines, .. } = &mut self.channels[channel];
        for (i, part) in self.frame.chunks_exact_mut(self.hop).enumerate() {
            let from = (self.block + 1 + i) % HELD * self.hop;
            part.copy_from_slice(&input[from..from + self.hop]);
        }
        self.frame.iter_mut().zip(&self.window).for_each(|(sample, window)| *sample *= window);
        // It fails only for buffers of another length.
        let done = self.forward.process_with_scratch(&mut self.frame, lines, &mut self.scratch);
        debug_assert!(done.is_ok());
    }

    /// `[audio]` Mean squared magnitude over the channels, for bins `from` and up.
    pub(crate) fn power(&self, from: usize, power: &mut [f64]) {
        power.fill(0.0);
        let share = 1.0 / self.channels.len() as f64;
        for channel_state in &self.channels {
            let lines = &channel_state.lines[from..];
            power.iter_mut().zip(lines).for_each(|(power, line)| *power += share * line.norm_sqr());
        }
    }

    /// `[audio]` Multiplies the bins of a channel by `gains`, and adds the frame to the output.
    pub(crate) fn synthesise(&mut self, channel: usize, gains: &[f64]) {
        let Channel { sum, lines, .. } = &mut self.channels[channel];
        lines.iter_mut().zip(gains).for_each(|(line, gain)| *line *= gain * self.scale);
        let done = self.inverse.process_with_scratch(lines, &mut self.frame, &mut self.scratch);
        debug_assert!(done.is_ok());
        let parts = self.frame.chunks_exact(self.hop).zip(self.window.chunks_exact(self.hop));
        for (i, (part, window)) in parts.enumerate() {
            let from = (self.block + 1 + i) % HELD * self.hop;
            let sums = &mut sum[from..from + self.hop];
            for ((sum, sample), window) in sums.iter_mut().zip(part).zip(window) {
                *sum += sample * window;
            }
        }
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        (self.block, self.at) = (0, 0);
        for channel_state in &mut self.channels {
            channel_state.input.fill(0.0);
            channel_state.sum.fill(0.0);
            channel_state.lines.fill(Complex64::default());
        }
    }

    /// `[audio]` Adopts the state of another one of the same size.
    pub(crate) fn adopt(&mut self, old: &Self) {
        (self.block, self.at) = (old.block, old.at);
        for (channel_state, old) in self.channels.iter_mut().zip(&old.channels) {
            channel_state.input.copy_from_slice(&old.input);
            channel_state.sum.copy_from_slice(&old.sum);
            channel_state.lines.copy_from_slice(&old.lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_comes_back_as_it_was() {
        let mut stft = Stft::new(64, 1);
        let gains = vec![1.0; stft.lines()];
        let input: Vec<f64> = (0..4_096).map(|n| (n as f64 * 0.37).sin() + (n as f64 * 1.9).cos()).collect();
        let (mut out, mut dry) = (input.clone(), vec![0.0; input.len()]);
        for (samples, dry) in out.chunks_mut(32).zip(dry.chunks_mut(32)) {
            stft.exchange(0, samples, dry);
            stft.advance(samples.len());
            if stft.at() == 0 {
                stft.analyse(0);
            } else if stft.at() == 32 {
                stft.synthesise(0, &gains);
            }
        }
        let latency = latency(64);
        assert_eq!(dry[latency..], input[..4_096 - latency]);
        let off = out[latency..].iter().zip(&input).map(|(y, x)| (y - x).abs()).fold(0.0, f64::max);
        assert!(off < 1e-14, "{off:e}");
    }
}
