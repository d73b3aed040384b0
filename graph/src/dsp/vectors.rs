//! Which vectors the processor has. What runs on them is written once and compiled for each.

/// The widest vectors that the processor has and that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vectors {
    /// Those that every processor of its kind has.
    Portable,
    /// Four doubles, and multiplications fused with additions.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Eight doubles, likewise.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Vectors {
    /// `[control]` Asks the processor.
    pub fn detect() -> Self {
        Self::all().pop().unwrap_or(Self::Portable)
    }

    /// `[control]` All that it has, the widest last.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self::Avx2);
            }
            let has_avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
            if has_avx512 && is_x86_feature_detected!("fma") {
                all.push(Self::Avx512);
            }
        }
        all
    }

    /// Whether a multiplication and an addition may be asked for as one, with one rounding. Without hardware for it
    /// that is exact, too, and a hundred times slower.
    pub fn fuse(self) -> bool {
        self != Self::Portable
    }

    /// `[audio]` Runs `work`, compiled for these vectors where it is inlined. Neither its result nor its
    /// rounding depends on them: nothing is fused that is not written so.
    #[inline]
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        match self {
            Self::Portable => work(),
            // SAFETY: only `all` makes this value, after it has seen that the processor has AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { with_avx2(work) },
            // SAFETY: only `all` makes this value, after it has seen AVX-512 F and VL, and FMA.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { with_avx512(work) },
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
