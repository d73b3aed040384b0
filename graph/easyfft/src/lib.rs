//! Replaces the crate easyfft, which nnnoiseless uses for its transforms: that crate plans and allocates at the first
//! transform on every thread, this one when a spectrum is built. It has only what nnnoiseless calls.

pub use realfft::num_complex;

/// The traits.
pub mod prelude {
    pub use crate::dyn_size::realfft::{DynRealFft, DynRealIfft};
}

/// Transforms of slices.
pub mod dyn_size {
    /// Transforms of real numbers.
    pub mod realfft {
        use realfft::num_complex::Complex;
        use realfft::num_traits::Zero;
        use realfft::{ComplexToReal, FftNum, RealFftPlanner, RealToComplex};
        use std::ops::{Deref, MulAssign};
        use std::sync::Arc;

        /// Size of the scratch memory on the stack, in numbers.
        const ROOM: usize = 1024;

        /// A spectrum, with the plans of its transform and of the inverse.
        #[derive(Clone)]
        pub struct DynRealDft<T> {
            lines: Box<[Complex<T>]>,
            forward: Arc<dyn RealToComplex<T>>,
            inverse: Arc<dyn ComplexToReal<T>>,
        }

        impl<T: FftNum> DynRealDft<T> {
            /// A spectrum of `size` samples: the bin of 0 Hz and the others.
            ///
            /// # Panics
            ///
            /// If `size` does not match the number of bins, or is too large for a transform without allocation.
            pub fn new(offset: T, lines: &[Complex<T>], size: usize) -> Self {
                let mut planner = RealFftPlanner::new();
                let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
                let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
                assert!(lines.len() == size / 2 && size <= ROOM && scratch <= ROOM, "{size} is no size here");
                let lines = std::iter::once(Complex::new(offset, T::zero())).chain(lines.iter().copied());
                Self { lines: lines.collect(), forward, inverse }
            }

            /// The bin of 0 Hz.
            pub fn get_offset(&self) -> &T {
                &self.lines[0].re
            }

            /// The same, mutable.
            pub fn get_offset_mut(&mut self) -> &mut T {
                &mut self.lines[0].re
            }

            /// The other bins.
            pub fn get_frequency_bins(&self) -> &[Complex<T>] {
                &self.lines[1..]
            }

            /// The same, mutable.
            pub fn get_frequency_bins_mut(&mut self) -> &mut [Complex<T>] {
                &mut self.lines[1..]
            }
        }

        impl<T> Deref for DynRealDft<T> {
            type Target = [Complex<T>];

            fn deref(&self) -> &[Complex<T>] {
                &self.lines
            }
        }

        impl<T: FftNum> MulAssign<T> for DynRealDft<T> {
            fn mul_assign(&mut self, factor: T) {
                self.lines.iter_mut().for_each(|line| *line = *line * factor);
            }
        }

        impl<T: FftNum> MulAssign<&[T]> for DynRealDft<T> {
            fn mul_assign(&mut self, factors: &[T]) {
                self.lines.iter_mut().zip(factors).for_each(|(line, factor)| *line = *line * *factor);
            }
        }

        /// The transform from samples to a spectrum.
        pub trait DynRealFft<T> {
            /// Transforms the samples into a spectrum that was built for the same number of samples.
            fn real_fft_using(&self, spectrum: &mut DynRealDft<T>);
        }

        impl<T: FftNum> DynRealFft<T> for [T] {
            fn real_fft_using(&self, spectrum: &mut DynRealDft<T>) {
                let (mut samples, mut scratch) = ([T::zero(); ROOM], [Complex::zero(); ROOM]);
                let samples = &mut samples[..self.len()];
                samples.copy_from_slice(self);
                let DynRealDft { lines, forward, .. } = spectrum;
                let done = forward.process_with_scratch(samples, lines, &mut scratch);
                debug_assert!(done.is_ok());
            }
        }

        /// The transform from a spectrum to samples, times their number.
        pub trait DynRealIfft<T> {
            /// Transforms the spectrum into as many samples as it was built for.
            fn real_ifft_using(&self, samples: &mut [T]);
        }

        impl<T: FftNum> DynRealIfft<T> for DynRealDft<T> {
            fn real_ifft_using(&self, samples: &mut [T]) {
                let (mut lines, mut scratch) = ([Complex::zero(); ROOM], [Complex::zero(); ROOM]);
                let lines = &mut lines[..self.lines.len()];
                lines.copy_from_slice(&self.lines);
                let done = self.inverse.process_with_scratch(lines, samples, &mut scratch);
                debug_assert!(done.is_ok());
            }
        }
    }
}
