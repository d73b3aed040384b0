//! Vectors of eight doubles, for the wavefront of filters. They are written explicitly, because the compiler does not
//! always vectorise such code.

use crate::dsp::simd::mul_add;

/// Number of lanes.
pub(crate) const LANES: usize = 8;

/// A vector of eight doubles, in the registers of the processor.
pub(crate) trait Eight: Copy {
    /// Loads it from memory.
    fn of(values: &[f64; LANES]) -> Self;
    /// Stores it to memory.
    fn values(self) -> [f64; LANES];
    /// self * b + c; with a single rounding if the processor can.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// self * b.
    fn times(self, b: Self) -> Self;
    /// self - b.
    fn minus(self, b: Self) -> Self;
    /// Shifts each lane to the next one; the first lane becomes `first`.
    fn shift(self, first: f64) -> Self;
    /// The lanes of `self` whose bit is set in `lanes`, and those of `other` else.
    fn or(self, other: Self, lanes: u8) -> Self;
}

/// For every processor.
#[derive(Clone, Copy)]
pub(super) struct Plain([f64; LANES]);

impl Eight for Plain {
    #[inline(always)]
    fn of(values: &[f64; LANES]) -> Self {
        Self(*values)
    }

    #[inline(always)]
    fn values(self) -> [f64; LANES] {
        self.0
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self(std::array::from_fn(|i| mul_add::<false>(self.0[i], b.0[i], c.0[i])))
    }

    #[inline(always)]
    fn times(self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * b.0[i]))
    }

    #[inline(always)]
    fn minus(self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] - b.0[i]))
    }

    #[inline(always)]
    fn shift(self, first: f64) -> Self {
        Self(std::array::from_fn(|i| if i == 0 { first } else { self.0[i - 1] }))
    }

    #[inline(always)]
    fn or(self, other: Self, lanes: u8) -> Self {
        Self(std::array::from_fn(|i| if lanes >> i & 1 == 1 { self.0[i] } else { other.0[i] }))
    }
}

/// AVX2 with FMA, and AVX-512. Only [`super::Vectors`] can name these types, and it selects them only if the processor has
/// them.
#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::{Eight, LANES};
    use std::arch::x86_64::*;
    use std::mem::transmute;

    /// Two vectors of four doubles.
    #[derive(Clone, Copy)]
    pub(in crate::dsp::simd) struct Avx2([__m256d; 2]);

    /// One vector of eight doubles.
    #[derive(Clone, Copy)]
    pub(in crate::dsp::simd) struct Avx512(__m512d);

    // SAFETY, of every block below: these types are used only inside functions that have the target features of their
    // instructions, which `Vectors` calls only where the processor has them; and a vector and an array of as many
    // doubles are the same bytes.

    impl Eight for Avx2 {
        #[inline(always)]
        fn of(values: &[f64; LANES]) -> Self {
            // SAFETY: see above.
            Self(unsafe { transmute::<[f64; LANES], [__m256d; 2]>(*values) })
        }

        #[inline(always)]
        fn values(self) -> [f64; LANES] {
            // SAFETY: see above.
            unsafe { transmute(self.0) }
        }

        #[inline(always)]
        fn mul_add(self, b: Self, c: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { [0, 1].map(|i| _mm256_fmadd_pd(self.0[i], b.0[i], c.0[i])) })
        }

        #[inline(always)]
        fn times(self, b: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { [0, 1].map(|i| _mm256_mul_pd(self.0[i], b.0[i])) })
        }

        #[inline(always)]
        fn minus(self, b: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { [0, 1].map(|i| _mm256_sub_pd(self.0[i], b.0[i])) })
        }

        #[inline(always)]
        fn shift(self, first: f64) -> Self {
            let [low, high] = self.0;
            // SAFETY: see above.
            unsafe {
                // Lanes 0, 0, 1, 2 of each half; then the first lane is replaced.
                let (down, up) = (_mm256_permute4x64_pd::<0x90>(low), _mm256_permute4x64_pd::<0x90>(high));
                let carried = _mm256_permute4x64_pd::<0x03>(low);
                Self([_mm256_blend_pd::<1>(down, _mm256_set1_pd(first)), _mm256_blend_pd::<1>(up, carried)])
            }
        }

        #[inline(always)]
        fn or(self, other: Self, lanes: u8) -> Self {
            let mask: [f64; LANES] =
                std::array::from_fn(|i| f64::from_bits(if lanes >> i & 1 == 1 { u64::MAX } else { 0 }));
            let mask = Self::of(&mask);
            // SAFETY: see above.
            Self(unsafe { [0, 1].map(|i| _mm256_blendv_pd(other.0[i], self.0[i], mask.0[i])) })
        }
    }

    impl Eight for Avx512 {
        #[inline(always)]
        fn of(values: &[f64; LANES]) -> Self {
            // SAFETY: see above.
            Self(unsafe { transmute::<[f64; LANES], __m512d>(*values) })
        }

        #[inline(always)]
        fn values(self) -> [f64; LANES] {
            // SAFETY: see above.
            unsafe { transmute(self.0) }
        }

        #[inline(always)]
        fn mul_add(self, b: Self, c: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_fmadd_pd(self.0, b.0, c.0) })
        }

        #[inline(always)]
        fn times(self, b: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_mul_pd(self.0, b.0) })
        }

        #[inline(always)]
        fn minus(self, b: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_sub_pd(self.0, b.0) })
        }

        #[inline(always)]
        fn shift(self, first: f64) -> Self {
            // SAFETY: see above.
            Self(unsafe {
                let (held, first) = (_mm512_castpd_si512(self.0), _mm512_castpd_si512(_mm512_set1_pd(first)));
                _mm512_castsi512_pd(_mm512_alignr_epi64::<7>(held, first))
            })
        }

        #[inline(always)]
        fn or(self, other: Self, lanes: u8) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_mask_blend_pd(lanes, other.0, self.0) })
        }
    }
}
