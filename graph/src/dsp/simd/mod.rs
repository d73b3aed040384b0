//! Selection of the processor's vector instructions. Code that uses them is written once and compiled for each.

mod lanes;

use lanes::Plain;
#[cfg(target_arch = "x86_64")]
use lanes::x86;
pub(crate) use lanes::{Eight, LANES};

/// Vector instructions of this processor. Only [`Vectors::all`] creates values for optional instructions, after a check.
///
/// ```compile_fail
/// let widest = lacquer_graph::dsp::simd::Vectors::PORTABLE.0;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vectors(Set);

/// Private, so that no other code can select instructions that the processor lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// Those of every processor of the architecture.
    Portable,
    /// Vectors of four doubles, and fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Vectors of eight doubles, and fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Work that uses vectors of eight doubles.
pub(crate) trait InLanes {
    /// Its result.
    type Result;
    /// Does the work. It must be inlined always, to be compiled for the selected instructions.
    fn run<E: Eight>(self) -> Self::Result;
}

impl Vectors {
    /// Instructions of every processor.
    pub(crate) const PORTABLE: Self = Self(Set::Portable);

    /// `[control]` The widest vectors of the processor.
    pub(crate) fn detect() -> Self {
        Self::all().pop().unwrap_or(Self::PORTABLE)
    }

    /// `[control]` All vectors of the processor, the widest last.
    pub(crate) fn all() -> Vec<Self> {
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

    /// Whether fused multiply-add (with a single rounding) is available. Without hardware support it would be exact too, but
    /// a hundred times slower.
    pub(crate) fn fuse(self) -> bool {
        self != Self::PORTABLE
    }

    /// `[audio]` Runs `work`, compiled for these vectors if it is inlined. Its result does not depend on them, bit for bit,
    /// because the compiler does not fuse operations by itself.
    #[inline]
    pub(crate) fn run<T>(self, work: impl FnOnce() -> T) -> T {
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

    /// `[audio]` Runs `work` with the vectors of eight doubles, as [`run`](Self::run) does.
    #[inline]
    pub(crate) fn run_in_lanes<W: InLanes>(self, work: W) -> W::Result {
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

/// a b + c; with a single rounding if `FUSED`.
#[inline(always)]
pub(in crate::dsp) fn mul_add<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
