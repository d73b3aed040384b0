//! Random numbers for noise and dither.

/// A generator with the period 2^64 - 1.
///
/// Source: G. Marsaglia, *Xorshift RNGs*, Journal of Statistical Software 8(14), 2003.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Xorshift(u64);

impl Xorshift {
    /// The generator number `stream` of several; each number gives others.
    pub(crate) const fn new(stream: u64) -> Self {
        // The seed must not be 0; that of stream -1 would be.
        Self(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(stream + 1))
    }

    /// The next number, from 0 to below 1.
    #[inline]
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}
