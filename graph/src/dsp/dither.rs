//! Word-length reduction: dither and noise shaping.
//!
//! The error of the quantiser, including the dither, is fed back through a filter c: y = Q(x - sum of c_k e[n-k]), so the
//! added noise has the spectrum of 1 - sum of c_k z^-k.
//!
//! Sources: S. P. Lipshitz, R. A. Wannamaker, J. Vanderkooy, *Quantization and Dither: A Theoretical Survey*, JAES 40(5),
//! 1992; R. A. Wannamaker, *Psychoacoustically Optimal Noise Shaping*, JAES 40(7/8), 1992 (F-weighted, E-weighted);
//! S. P. Lipshitz, J. Vanderkooy, R. A. Wannamaker, *Minimally Audible Noise Shaping*, JAES 39(11), 1991 (5 taps).

use crate::dsp::random::Xorshift;

/// Taps of the longest noise-shaping filter.
const TAPS: usize = 9;

/// A noise-shaping filter: the coefficients c_k. All are designed for 44.1 and 48 kHz.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve(pub [f64; TAPS]);

/// No shaping: white noise.
pub const FLAT: Curve = Curve([0.0; TAPS]);
/// Lipshitz, Vanderkooy and Wannamaker, 5 taps.
pub(crate) const LIPSHITZ: Curve = Curve([2.033, -2.165, 1.959, -1.590, 0.6149, 0.0, 0.0, 0.0, 0.0]);
/// F-weighted, 3 taps.
pub(crate) const F_WEIGHTED_3: Curve = Curve([1.623, -0.982, 0.109, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
/// F-weighted, 9 taps.
pub(crate) const F_WEIGHTED_9: Curve =
    Curve([2.412, -3.370, 3.937, -4.174, 3.353, -2.205, 1.281, -0.569, 0.0847]);
/// Modified E-weighted, 9 taps.
pub(crate) const MODIFIED_E: Curve =
    Curve([1.662, -1.263, 0.4827, -0.2913, 0.1268, -0.1124, 0.03252, -0.01265, -0.03524]);
/// Improved E-weighted, 9 taps.
pub(crate) const IMPROVED_E: Curve =
    Curve([2.847, -4.685, 6.214, -7.184, 6.639, -5.032, 3.263, -1.632, 0.4191]);

/// The dither noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// Triangular distribution (TPDF): mean and power of the error do not depend on the signal.
    Triangular,
    /// Rectangular distribution (RPDF): only the mean does not.
    Rectangular,
    /// No dither: the error is distortion.
    None,
}

/// The quantiser of one channel.
#[derive(Clone, Copy, Debug)]
pub struct Quantiser {
    /// Quantisation steps from 0 to full scale.
    scale: f64,
    noise: Noise,
    curve: Curve,
    random: Xorshift,
    errors: [f64; TAPS],
}

impl Quantiser {
    /// `[control]` A quantiser to `bits` bits; `channel` seeds its noise.
    pub fn new(bits: u32, noise: Noise, curve: Curve, channel: usize) -> Self {
        let scale = 2.0_f64.powi(bits as i32 - 1);
        let mut quantiser = Self { scale, noise, curve, random: Xorshift::default(), errors: [0.0; TAPS] };
        quantiser.reset(channel);
        quantiser
    }

    /// Whether a sample needs no quantisation: it is on a step and within full scale.
    #[inline]
    pub fn fits(&self, sample: f64) -> bool {
        let steps = sample * self.scale;
        steps == steps.round() && (-self.scale..self.scale).contains(&steps)
    }

    /// `[audio]` Quantises a sample; the output is within full scale.
    #[inline]
    pub fn tick(&mut self, sample: f64) -> f64 {
        let fed_back: f64 = self.curve.0.iter().zip(self.errors).map(|(c, e)| c * e).sum();
        let wanted = sample * self.scale - fed_back;
        let noise = match self.noise {
            Noise::Triangular => self.uniform() + self.uniform(),
            Noise::Rectangular => self.uniform(),
            Noise::None => 0.0,
        };
        let steps = (wanted + noise).round().clamp(-self.scale, self.scale - 1.0);
        self.errors.copy_within(..TAPS - 1, 1);
        // At full scale the error includes clipping, which must not be compensated later.
        self.errors[0] = (steps - wanted).clamp(-1.5, 1.5);
        steps / self.scale
    }

    /// Uniform between -1/2 and 1/2.
    #[inline]
    fn uniform(&mut self) -> f64 {
        self.random.unit() - 0.5
    }

    /// `[audio]` Clears the error feedback.
    pub(crate) fn clear_errors(&mut self) {
        self.errors = [0.0; TAPS];
    }

    /// `[audio]` Adopts the state of another one with the same word length and shaping.
    pub(crate) fn adopt(&mut self, old: &Self) {
        if (self.scale, self.curve) == (old.scale, old.curve) {
            (self.random, self.errors) = (old.random, old.errors);
        }
    }

    /// `[audio]` Restores the initial state; `channel` seeds the noise.
    pub fn reset(&mut self, channel: usize) {
        self.random = Xorshift::new(2 * channel as u64);
        self.clear_errors();
    }
}
