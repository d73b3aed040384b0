//! Levels: peak, RMS, DC, clips, correlation and balance.

/// Number of consecutive samples at full scale that count as a clip.
const CLIP: u32 = 3;
/// Full scale less one step of 16 bits.
const FULL: f64 = 1.0 - 1.0 / 32_768.0;

/// Sums since the last measurement.
pub(crate) struct Levels {
    peak: f64,
    squares: f64,
    /// Sum of each channel.
    means: Box<[f64]>,
    /// Consecutive samples at full scale, of each channel.
    runs: Box<[u32]>,
    /// Sums of left times right, left squared, and right squared.
    products: [f64; 3],
    frames: usize,
    clips: u64,
}

/// The levels since the last measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sums {
    /// Highest sample, linear.
    pub peak: f64,
    /// RMS of all channels, linear.
    pub rms: f64,
    /// Largest mean of a channel, linear.
    pub dc: f64,
    /// Correlation of the first two channels, -1 to 1; 0 in silence.
    pub correlation: f64,
    /// Level of the second channel relative to the first, dB, -99 to 99; 0 in silence, ±99 if one is silent.
    pub balance: f64,
    /// Runs of three or more samples at full scale, since the start.
    pub clips: u64,
}

impl Levels {
    /// Meters for `channels` channels.
    pub(crate) fn new(channels: usize) -> Self {
        Self {
            peak: 0.0,
            squares: 0.0,
            means: vec![0.0; channels].into_boxed_slice(),
            runs: vec![0; channels].into_boxed_slice(),
            products: [0.0; 3],
            frames: 0,
            clips: 0,
        }
    }

    /// Measures frames, one plane per channel.
    pub(crate) fn add(&mut self, planes: &[Vec<f64>]) {
        for ((plane, mean), run) in planes.iter().zip(&mut self.means).zip(&mut self.runs) {
            for sample in plane {
                self.peak = self.peak.max(sample.abs());
                self.squares += sample * sample;
                *mean += sample;
                *run = if sample.abs() >= FULL { *run + 1 } else { 0 };
                self.clips += u64::from(*run == CLIP);
            }
        }
        if let [left, right, ..] = planes {
            for (left, right) in left.iter().zip(right) {
                for (sum, term) in self.products.iter_mut().zip([left * right, left * left, right * right]) {
                    *sum += term;
                }
            }
        }
        self.frames += planes.first().map_or(0, Vec::len);
    }

    /// Returns the levels since the last call, and restarts all sums but the clips.
    pub(crate) fn measure(&mut self) -> Sums {
        let frames = self.frames.max(1) as f64;
        let [both, left, right] = self.products;
        // The roots come first: a product of two sums can overflow or underflow f64.
        let norm = left.sqrt() * right.sqrt();
        let balance = match (left > 0.0, right > 0.0) {
            (true, true) => (10.0 * (right.log10() - left.log10())).clamp(-99.0, 99.0),
            (false, false) => 0.0,
            (is_left, _) => {
                if is_left {
                    -99.0
                } else {
                    99.0
                }
            }
        };
        let sums = Sums {
            peak: self.peak,
            rms: (self.squares / (frames * self.means.len() as f64)).sqrt(),
            dc: self.means.iter().fold(0.0, |dc: f64, mean| dc.max((mean / frames).abs())),
            correlation: if norm > 0.0 { (both / norm).clamp(-1.0, 1.0) } else { 0.0 },
            balance,
            clips: self.clips,
        };
        (self.peak, self.squares, self.products, self.frames) = (0.0, 0.0, [0.0; 3], 0);
        self.means.fill(0.0);
        sums
    }
}
