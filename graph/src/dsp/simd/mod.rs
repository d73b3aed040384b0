//! Which vectors the processor has. What runs on them is written once and compiled for each.

mod lanes;

use lanes::Plain;
#[cfg(target_arch = "x86_64")]
use lanes::x86;
pub use lanes::{Eight, LANES};

/// Vectors that this processor has: only [`Vectors::all`] makes those that not every processor has, after it has asked.
///
/// ```compile_fail
/// let widest = lacquer_graph::dsp::simd::Vectors::PORTABLE.0;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vectors(Set);

/// Private, so that no code can ask for instructions that the processor lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// Those that every processor of its kind has.
    Portable,
    /// Four doubles, and multiplications fused with additions.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Eight doubles, likewise.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Work that is written for eight doubles at once.
pub trait InLanes {
    /// What comes of it.
    type Result;
    /// Does it. To be inlined always: only so is it compiled for the vectors.
    fn run<E: Eight>(self) -> Self::Result;
}

impl Vectors {
    /// Those that every processor has.
    pub const PORTABLE: Self = Self(Set::Portable);

    /// `[control]` The widest that the processor has.
    pub fn detect() -> Self {
        Self::all().pop().unwrap_or(Self::PORTABLE)
    }

    /// `[control]` All that it has, the widest last.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self(Set::Avx2));
            }
            let has_avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
            if has_avx512 && is_x86_feature_detected!("fma") {
                all.push(Self(Set::Avx512));
            }
        }
        all
    }

    /// Whether a multiplication and an addition may be asked for as one, with one rounding. Without hardware for it
    /// that is exact, too, and a hundred times slower.
    pub fn fuse(self) -> bool {
        self != Self::PORTABLE
    }

    /// `[audio]` Runs `work`, compiled for these vectors where it is inlined. Neither its result nor its
    /// rounding depends on them: nothing is fused that is not written so.
    #[inline]
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        match self.0 {
            Set::Portable => work(),
            // SAFETY: only `all` makes this value, after it has seen that the processor has AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { with_avx2(work) },
            // SAFETY: only `all` makes this value, after it has seen AVX-512 F and VL, and FMA.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { with_avx512(work) },
        }
    }

    /// `[audio]` Runs `work` with the eight doubles that these vectors hold, as [`run`](Self::run) does.
    #[inline]
    pub fn run_in_lanes<W: InLanes>(self, work: W) -> W::Result {
        match self.0 {
            Set::Portable => work.run::<Plain>(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => self.run(
                #[inline(always)]
                || work.run::<x86::Avx2>(),
            ),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => self.run(
                #[inline(always)]
                || work.run::<x86::Avx512>(),
            ),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,fma")]
fn with_avx512<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// a b + c, with one rounding where `FUSED`.
#[inline(always)]
pub(in crate::dsp) fn mul_add<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
