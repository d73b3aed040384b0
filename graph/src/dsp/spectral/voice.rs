//! Voice isolation by a recurrent neural network: one channel, at any sample rate.
//!
//! Source: J.-M. Valin, *A Hybrid DSP/Deep Learning Approach to Real-Time Full-Band Speech Enhancement*, MMSP 2018;
//! the network is RNNoise, run by nnnoiseless. It processes frames of 10 ms at 48 kHz; the frames of several channels
//! are processed at different times. Other rates are converted; nothing above 20 kHz passes.

use crate::dsp::window::lowpass;
use nnnoiseless::DenoiseState;
use std::sync::Arc;

/// Sample rate of the network in Hz, its frame length, and its full scale.
const RATE: u64 = 48_000;
const FRAME: usize = DenoiseState::FRAME_SIZE;
const FULL: f64 = 32_768.0;
/// Highest input amplitude.
const LOUDEST: f64 = 8.0;
/// Frames between the processing of one channel and of the next.
const APART: usize = 64;
/// Zeros of the conversion filters on each side, tabulated positions between two samples, and shape of the window.
const ZEROS: usize = 32;
const PLACES: usize = 256;
const BETA: f64 = 8.0;
/// Cutoff of the filters, as a share of half the lower rate.
const CORNER: f64 = 0.94;

/// Voice isolation of one channel.
pub(crate) struct Voice {
    /// Sample rate converters to and from the network, if needed.
    converters: Option<[Converter; 2]>,
    network: Network,
}

impl Voice {
    /// `[control]` One for each of `channels` channels, at `sample_rate` Hz.
    pub(crate) fn all(sample_rate: f64, channels: usize) -> Box<[Self]> {
        let rate = sample_rate.round() as u64;
        let late = 2 * FRAME + APART * (channels - 1);
        // Output sample n corresponds to input sample n - `latency`; the network outputs it `late` samples after its
        // input.
        let start = (late as u64 * rate) as i64 - (latency(sample_rate, channels) as u64 * RATE) as i64;
        let converters =
            (rate != RATE).then(|| [Converter::new(rate, RATE, 0), Converter::new(RATE, rate, start)]);
        let voice = |channel| Self {
            converters: converters.clone(),
            network: Network::new(APART * channel, APART * (channels - 1)),
        };
        (0..channels).map(voice).collect()
    }

    /// `[audio]` Processes a sample; returns the delayed output.
    pub(crate) fn tick(&mut self, sample: f64) -> f64 {
        // NaN and infinity would stay in the network.
        let sample = if sample.is_finite() { sample.clamp(-LOUDEST, LOUDEST) } else { 0.0 };
        let Self { converters, network, .. } = self;
        let Some([to_network, from_network]) = converters else { return network.tick(sample) };
        to_network.push(sample);
        while to_network.has_next() {
            from_network.push(network.tick(to_network.pull()));
        }
        debug_assert!(from_network.has_next());
        from_network.pull()
    }

    /// `[audio]` Clears the buffers. The state of the network is kept: it cannot be reset without allocating, and it
    /// decays.
    pub(crate) fn reset(&mut self) {
        self.network.reset();
        self.converters.iter_mut().flatten().for_each(Converter::reset);
    }
}

/// Latency in frames for each of `channels` channels at `sample_rate` Hz.
pub(crate) fn latency(sample_rate: f64, channels: usize) -> usize {
    let rate = sample_rate.round() as u64;
    let own = 2 * FRAME + APART * (channels - 1);
    if rate == RATE {
        return own;
    }
    // Both filters look ahead, and the network receives its samples one by one.
    side(rate, RATE) + ((own + side(RATE, rate) + 1) as u64 * rate).div_ceil(RATE) as usize
}

/// The network and its frames: two for input, two for output.
struct Network {
    state: Box<DenoiseState<'static>>,
    input: [f32; 2 * FRAME],
    output: [f32; 2 * FRAME],
    /// Sample index in the two frames; index in a frame at which the network runs; delay that aligns all channels.
    at: usize,
    due: usize,
    wait: usize,
}

impl Network {
    fn new(due: usize, wait: usize) -> Self {
        // nnnoiseless initialises tables at its first frame, which must not happen on the audio thread.
        DenoiseState::new().process_frame(&mut [0.0; FRAME], &[0.0; FRAME]);
        let frames = [0.0; 2 * FRAME];
        Self { state: DenoiseState::new(), input: frames, output: frames, at: 0, due, wait }
    }

    fn tick(&mut self, sample: f64) -> f64 {
        if self.at % FRAME == self.due {
            // The previous frame; the output belongs to the one before it.
            let half = (1 - self.at / FRAME) * FRAME;
            let other = FRAME - half;
            self.state.process_frame(&mut self.output[other..other + FRAME], &self.input[half..half + FRAME]);
        }
        self.input[self.at] = (sample * FULL) as f32;
        let output = self.output[(self.at + 2 * FRAME - self.wait) % (2 * FRAME)];
        self.at = (self.at + 1) % (2 * FRAME);
        f64::from(output) / FULL
    }

    fn reset(&mut self) {
        self.at = 0;
        self.input.fill(0.0);
        self.output.fill(0.0);
    }
}

/// Samples on each side that the filter from one rate to another needs.
fn side(from: u64, to: u64) -> usize {
    (ZEROS as u64 * from).div_ceil(from.min(to)) as usize
}

/// Sample rate conversion by windowed-sinc interpolation.
#[derive(Clone)]
struct Converter {
    from: i64,
    to: i64,
    side: usize,
    /// The filters for all tabulated positions, and one more, so that each has a next one.
    rows: Arc<[f64]>,
    /// The newest samples, stored twice, so that they are always contiguous.
    past: Box<[f64]>,
    next: usize,
    /// Position of the next output sample, in 1/`to` samples after the newest sample with a complete side after it.
    ahead: i64,
    start: i64,
}

impl Converter {
    /// The first output sample lies `start` / `to` samples after the first input sample.
    fn new(from: u64, to: u64, start: i64) -> Self {
        let side = side(from, to);
        let corner = CORNER * (to as f64 / from as f64).min(1.0);
        let row = |place: usize| {
            let shift = place as f64 / PLACES as f64;
            let tap = |i: usize| lowpass(i as f64 - (side as f64 - 1.0) - shift, corner, side as f64, BETA);
            let taps: Vec<f64> = (0..2 * side).map(tap).collect();
            let sum: f64 = taps.iter().sum();
            taps.into_iter().map(move |tap| tap / sum)
        };
        // Input samples can come in groups, so more are stored than a filter needs.
        let held = 2 * side + 2 * from.div_ceil(to) as usize + 4;
        let start = start + (side as i64 + 1) * to as i64;
        Self {
            from: from as i64,
            to: to as i64,
            side,
            rows: (0..=PLACES).flat_map(row).collect(),
            past: vec![0.0; 2 * held].into_boxed_slice(),
            next: 0,
            ahead: start,
            start,
        }
    }

    fn push(&mut self, sample: f64) {
        let held = self.past.len() / 2;
        (self.past[self.next], self.past[self.next + held]) = (sample, sample);
        self.next = (self.next + 1) % held;
        self.ahead -= self.to;
    }

    /// Whether all input samples for the next output sample are there.
    fn has_next(&self) -> bool {
        self.ahead < self.to
    }

    fn pull(&mut self) -> f64 {
        let taps = 2 * self.side;
        let (back, share) = (-self.ahead.div_euclid(self.to), self.ahead.rem_euclid(self.to));
        self.ahead += self.from;
        let oldest = self.past.len() / 2 - taps;
        // Before the first sample there is silence.
        let Some(from) = usize::try_from(back).ok().and_then(|back| oldest.checked_sub(back)) else {
            return 0.0;
        };
        let known = &self.past[self.next + from..][..taps];
        let place = share as f64 / self.to as f64 * PLACES as f64;
        let row = place as usize;
        let rest = place - row as f64;
        let (low, high) = (&self.rows[row * taps..][..taps], &self.rows[(row + 1) * taps..][..taps]);
        known.iter().zip(low.iter().zip(high)).map(|(x, (low, high))| x * (low + rest * (high - low))).sum()
    }

    fn reset(&mut self) {
        self.past.fill(0.0);
        (self.next, self.ahead) = (0, self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    #[test]
    fn there_and_back_is_a_delay_at_every_rate() {
        for rate in [8_000, 22_050, 44_100, 88_200, 96_000, 192_000] {
            let start = -(latency(rate as f64, 1) as i64 * RATE as i64) + 960 * rate as i64;
            let (mut there, mut back) = (Converter::new(rate, RATE, 0), Converter::new(RATE, rate, start));
            // The delay of the network.
            let mut network = std::collections::VecDeque::from(vec![0.0; 2 * FRAME]);
            let latency = latency(rate as f64, 1);
            let turns = 0.37 * rate.min(RATE) as f64 / rate as f64;
            let wave = |n: usize| (TAU * turns * n as f64).sin();
            let mut worst = 0.0_f64;
            for n in 0..20_000 {
                there.push(wave(n));
                while there.has_next() {
                    network.push_back(there.pull());
                    back.push(network.pop_front().unwrap_or(0.0));
                }
                assert!(back.has_next(), "{rate} Hz: frame {n} is not there");
                let output = back.pull();
                if n > latency + 1_000 {
                    worst = worst.max((output - wave(n - latency)).abs());
                }
            }
            println!("{rate} Hz: latency {latency}, off by {:.1} dB", 20.0 * worst.log10());
            assert!(worst < 1e-4, "{rate} Hz: {worst:e}");
        }
    }
}
