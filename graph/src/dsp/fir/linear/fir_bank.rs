//! FIR filters that can be replaced while they run: uniformly partitioned convolution by overlap-save, with shared spectra
//! of the inputs.
//!
//! The output is two blocks late. A block is processed while the next one comes in, a part every [`TICK`] frames, so that
//! all calls take about the same time. Each filter has a second set of coefficients, which is written while the first is
//! active; then the output is crossfaded from one to the other.
//!
//! Sources: T. G. Stockham, *High-speed Convolution and Correlation*, AFIPS 28, 1966; F. Wefers, *Partitioned Convolution
//! Algorithms for Real-time Auralization*, RWTH Aachen, 2015, chapter 5 (uniform partitions, one transform an input).

use crate::dsp::simd::{Vectors, mul_add};
use num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::f64::consts::PI;
use std::ops::Range;
use std::sync::Arc;

/// Frames from one part of the work to the next.
pub(crate) const TICK: usize = 64;
/// Bins that are computed in parallel.
const LANES: usize = 8;
/// Shortest time of a crossfade, in ms.
const FADE_MS: f64 = 30.0;

/// Frames of a block at `rate` Hz, a power of two: 5.3 ms at 48 kHz and its multiples.
pub(crate) fn block_frames(rate: f64) -> usize {
    (1 << (rate * 256.0 / 48_000.0).log2().round().max(0.0) as u32).max(TICK)
}

/// The sources of an output, which are summed: an input and its filter each.
pub(crate) type Sources = Box<[(usize, usize)]>;

/// Some FIR filters between inputs and outputs, and a second set to crossfade to.
pub(crate) struct FirBank {
    block: usize,
    parts: usize,
    /// Floats of one spectrum: real parts, then imaginary ones, each filled up to whole lanes.
    width: usize,
    transforms: Transforms,
    inputs: Box<[Input]>,
    /// Spectra of both sets, filter after filter, part after part.
    sets: [Box<[f64]>; 2],
    /// The active set.
    live: usize,
    /// Number of blocks of the crossfade to the other set that have begun.
    fade: Option<usize>,
    /// Share of the other set in each frame of a crossfade.
    curve: Box<[f64]>,
    outputs: Box<[Output]>,
    /// Index of the newest spectrum of each input.
    newest: usize,
    /// Number of blocks with a spectrum.
    filled: usize,
    /// Frames so far of the incoming block.
    at: usize,
    handover: Option<Handover>,
    vectors: Vectors,
}

/// Progress of adopting another bank's input history.
#[derive(Clone, Copy)]
struct Handover {
    /// The tick for which the spectra are complete, and the newest spectrum before it.
    ready: Option<(usize, usize)>,
    /// Ticks that still need more.
    left: usize,
}

struct Transforms {
    forward: Arc<dyn RealToComplex<f64>>,
    back: Arc<dyn ComplexToReal<f64>>,
    samples: Box<[f64]>,
    bins: Box<[Complex64]>,
    scratch: Box<[Complex64]>,
}

#[derive(Clone)]
struct Input {
    /// The previous block, and the incoming one.
    samples: Box<[f64]>,
    /// Spectra of the last blocks, a ring.
    spectra: Box<[f64]>,
}

struct Output {
    sources: Sources,
    /// Sums so far of the block in progress: of the active set, and of the other.
    sums: [Box<[f64]>; 2],
    /// The block that is played, and the next one.
    blocks: [Box<[f64]>; 2],
}

fn zeros(count: usize) -> Box<[f64]> {
    vec![0.0; count].into_boxed_slice()
}

impl FirBank {
    /// `[control]` `filters` filters of at most `taps` coefficients, all 0, at `rate` Hz.
    pub(crate) fn new(rate: f64, taps: usize, inputs: usize, filters: usize, outputs: Vec<Sources>) -> Self {
        let block = block_frames(rate);
        let parts = taps.div_ceil(block).max(1);
        let width = 2 * (block + 1).next_multiple_of(LANES);
        let input = Input { samples: zeros(2 * block), spectra: zeros(parts * width) };
        let output = |sources| Output {
            sources,
            sums: [zeros(width), zeros(width)],
            blocks: [zeros(block), zeros(block)],
        };
        let fade = (FADE_MS * rate / 1000.0) as usize / block * block + block;
        Self {
            block,
            parts,
            width,
            transforms: Transforms::new(2 * block),
            inputs: vec![input; inputs].into_boxed_slice(),
            sets: [(); 2].map(|()| zeros(filters * parts * width)),
            live: 0,
            fade: None,
            curve: (1..=fade).map(|n| 0.5 - 0.5 * (PI * n as f64 / fade as f64).cos()).collect(),
            outputs: outputs.into_iter().map(output).collect(),
            newest: 0,
            filled: 0,
            at: 0,
            handover: None,
            vectors: Vectors::detect(),
        }
    }

    /// Number of partitions of a filter.
    pub(crate) fn parts(&self) -> usize {
        self.parts
    }

    /// Number of coefficients of a partition.
    pub(crate) fn part_taps(&self) -> usize {
        self.block
    }

    /// `[audio]` Writes a partition of a filter of the inactive set.
    pub(crate) fn load(&mut self, filter: usize, part: usize, tap: impl Fn(usize) -> f64) {
        let Self { block, parts, width, transforms, sets, live, .. } = self;
        let (taps, padding) = transforms.samples.split_at_mut(*block);
        // The transform and its inverse together multiply by the number of points.
        let scale = 0.5 / *block as f64;
        let first = part * *block;
        taps.iter_mut().enumerate().for_each(|(n, place)| *place = scale * tap(first + n));
        padding.fill(0.0);
        transforms.forward(spectrum(&mut sets[1 - *live], *width, filter * *parts + part));
    }

    /// `[audio]` Crossfades to the set that was loaded, from the next block on.
    pub(crate) fn begin_fade(&mut self) {
        self.fade = Some(0);
    }

    /// `[audio]` Ends a crossfade at once: the set that was loaded becomes active.
    pub(crate) fn switch(&mut self) {
        if self.fade.take().is_some() {
            self.live = 1 - self.live;
        }
    }

    /// Whether a crossfade is running or about to begin.
    pub(crate) fn is_fading(&self) -> bool {
        self.fade.is_some()
    }

    /// `[audio]` Sets the current sample of an input.
    #[inline]
    pub(crate) fn set_input(&mut self, input: usize, sample: f64) {
        self.inputs[input].samples[self.block + self.at] = sample;
    }

    /// The current sample of an output.
    #[inline]
    pub(crate) fn output(&self, output: usize) -> f64 {
        self.outputs[output].blocks[0][self.at]
    }

    /// `[audio]` Ends the frame, and does the work of a tick. Returns whether there was one.
    #[inline]
    pub(crate) fn advance(&mut self) -> bool {
        self.at += 1;
        let is_due = self.at.is_multiple_of(TICK);
        if is_due {
            self.work();
        }
        is_due
    }

    fn work(&mut self) {
        let ticks = self.block / TICK;
        // The tick that ends a block is the first of the work on it.
        let tick = self.at / TICK % ticks;
        if tick == 0 {
            self.begin_block();
        }
        self.sum(tick * self.parts / ticks..(tick + 1) * self.parts / ticks);
        if tick + 1 == ticks {
            self.finish();
        }
    }

    /// Starts the work on a complete block.
    fn begin_block(&mut self) {
        let Self { block, parts, width, transforms, inputs, outputs, newest, filled, .. } = self;
        self.at = 0;
        *newest = (*newest + *parts - 1) % *parts;
        *filled = (*filled + 1).min(*parts);
        for Input { samples, spectra } in inputs {
            transforms.samples.copy_from_slice(samples);
            transforms.forward(spectrum(spectra, *width, *newest));
            samples.copy_within(*block.., 0);
        }
        for Output { sums, blocks: [current, next], .. } in outputs {
            sums.iter_mut().for_each(|sum| sum.fill(0.0));
            std::mem::swap(current, next);
        }
        self.fade = match self.fade {
            Some(begun) if begun * *block == self.curve.len() => {
                self.live = 1 - self.live;
                None
            }
            fade => fade.map(|begun| begun + 1),
        };
    }

    /// Whether the block in progress is filtered with both sets.
    fn is_double(&self) -> bool {
        self.fade.is_some_and(|begun| begun > 0)
    }

    /// Adds the output of some partitions.
    fn sum(&mut self, part_range: Range<usize>) {
        let is_double = self.is_double();
        let Self { parts, width, inputs, sets, live, outputs, newest, filled, vectors, .. } = self;
        let fuse = vectors.fuse();
        for Output { sources, sums, .. } in outputs {
            for (sum, set) in
                sums.iter_mut().zip([&sets[*live], &sets[1 - *live]]).take(1 + usize::from(is_double))
            {
                for (input, filter) in sources.iter() {
                    // Blocks before the first are silence.
                    for part in part_range.start..part_range.end.min(*filled) {
                        let taps = &set[(filter * *parts + part) * *width..][..*width];
                        let input_spectrum =
                            &inputs[*input].spectra[(*newest + part) % *parts * *width..][..*width];
                        vectors.run(
                            #[inline(always)]
                            || match fuse {
                                true => multiply_add::<true>(sum, taps, input_spectrum),
                                false => multiply_add::<false>(sum, taps, input_spectrum),
                            },
                        );
                    }
                }
            }
        }
    }

    /// Transforms the sums of the block back to samples.
    fn finish(&mut self) {
        let is_double = self.is_double();
        let Self { block, transforms, outputs, fade, curve, .. } = self;
        for Output { sums, blocks: [_, next], .. } in outputs {
            transforms.back(&sums[0]);
            next.copy_from_slice(&transforms.samples[*block..]);
            if is_double {
                transforms.back(&sums[1]);
                let curve = &curve[(fade.unwrap_or(1) - 1) * *block..];
                let new = transforms.samples[*block..].iter();
                for ((sample, new), share) in next.iter_mut().zip(new).zip(curve) {
                    *sample += share * (new - *sample);
                }
            }
        }
    }

    /// `[audio]` Clears the input history. The filters stay; a crossfade is ended.
    pub(crate) fn reset(&mut self) {
        self.switch();
        (self.filled, self.newest, self.at, self.handover) = (0, 0, 0, None);
        self.inputs.iter_mut().for_each(|input| input.samples.fill(0.0));
        for Output { sums, blocks, .. } in &mut self.outputs {
            sums.iter_mut().chain(blocks).for_each(|samples| samples.fill(0.0));
        }
    }

    /// `[audio]` Adopts the input history of another bank of the same structure; the filters stay. The history is effective
    /// at once if [`Self::adopt_more`] is called immediately and after each tick.
    pub(crate) fn adopt(&mut self, old: &Self) {
        let shape = |bank: &Self| (bank.block, bank.parts, bank.inputs.len(), bank.outputs.len());
        if shape(self) != shape(old) {
            return;
        }
        (self.newest, self.filled, self.at) = (old.newest, old.filled, old.at);
        for (input, old) in self.inputs.iter_mut().zip(&old.inputs) {
            input.samples.copy_from_slice(&old.samples);
        }
        for (output, old) in self.outputs.iter_mut().zip(&old.outputs) {
            output.sums[0].copy_from_slice(&old.sums[0]);
            output.blocks.iter_mut().zip(&old.blocks).for_each(|(block, old)| block.copy_from_slice(old));
        }
        // One more than a block has, because all spectra move by one index from block to block.
        self.handover = (self.filled > 0).then_some(Handover { ready: None, left: self.block / TICK + 1 });
    }

    /// `[audio]` Adopts the spectra that the next tick needs. Returns the frames until the next call; 0 when all is adopted.
    ///
    /// Meanwhile both receive the same input and write their spectra at the same index, so an adopted spectrum stays valid.
    pub(crate) fn adopt_more(&mut self, old: &Self) -> usize {
        let place = |bank: &Self| (bank.newest, bank.filled, bank.at);
        let Some(Handover { ready, left }) = self.handover.filter(|_| place(self) == place(old)) else {
            // The two are no longer synchronous.
            self.handover = None;
            return 0;
        };
        let ticks = self.block / TICK;
        let next = (self.at / TICK + 1) % ticks;
        if ready == Some((next, self.newest)) {
            return TICK;
        }
        // The first tick of a block computes a newer spectrum itself.
        let shift = usize::from(next == 0);
        for part in (next * self.parts / ticks).max(shift)..(next + 1) * self.parts / ticks {
            let at = (self.newest + part - shift) % self.parts * self.width;
            for (input, old) in self.inputs.iter_mut().zip(&old.inputs) {
                input.spectra[at..at + self.width].copy_from_slice(&old.spectra[at..at + self.width]);
            }
        }
        self.handover = (left > 0).then(|| Handover { ready: Some((next, self.newest)), left: left - 1 });
        if left > 0 { TICK } else { 0 }
    }
}

impl Transforms {
    fn new(points: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, back) = (planner.plan_fft_forward(points), planner.plan_fft_inverse(points));
        let scratch = forward.get_scratch_len().max(back.get_scratch_len());
        Self {
            samples: zeros(points),
            bins: forward.make_output_vec().into_boxed_slice(),
            scratch: vec![Complex64::ZERO; scratch].into_boxed_slice(),
            forward,
            back,
        }
    }

    /// The spectrum of the samples.
    fn forward(&mut self, spectrum: &mut [f64]) {
        let Self { forward, samples, bins, scratch, .. } = self;
        let done = forward.process_with_scratch(samples, bins, scratch);
        debug_assert!(done.is_ok(), "all lengths are those of the transform");
        let (re, im) = spectrum.split_at_mut(spectrum.len() / 2);
        for ((bin, re), im) in bins.iter().zip(re).zip(im) {
            (*re, *im) = (bin.re, bin.im);
        }
    }

    /// The samples of the spectrum.
    fn back(&mut self, spectrum: &[f64]) {
        let Self { back, samples, bins, scratch, .. } = self;
        let (re, im) = spectrum.split_at(spectrum.len() / 2);
        for ((bin, re), im) in bins.iter_mut().zip(re).zip(im) {
            *bin = Complex64::new(*re, *im);
        }
        // These two are real.
        let last = bins.len() - 1;
        (bins[0].im, bins[last].im) = (0.0, 0.0);
        let done = back.process_with_scratch(bins, samples, scratch);
        debug_assert!(done.is_ok(), "all lengths are those of the transform");
    }
}

/// Spectrum `index` of a row of them.
fn spectrum(row: &mut [f64], width: usize, index: usize) -> &mut [f64] {
    &mut row[index * width..(index + 1) * width]
}

/// Adds the product of two spectra to a third.
#[inline(always)]
fn multiply_add<const FUSED: bool>(sum: &mut [f64], a: &[f64], b: &[f64]) {
    let half = sum.len() / 2;
    let (sum_re, sum_im) = sum.split_at_mut(half);
    let ((a_re, a_im), (b_re, b_im)) = (a.split_at(half), b.split_at(half));
    let lanes = |x| <[f64]>::chunks_exact(x, LANES);
    let sums = sum_re.chunks_exact_mut(LANES).zip(sum_im.chunks_exact_mut(LANES));
    let factors = lanes(a_re).zip(lanes(a_im)).zip(lanes(b_re).zip(lanes(b_im)));
    for ((sum_re, sum_im), ((a_re, a_im), (b_re, b_im))) in sums.zip(factors) {
        for i in 0..LANES {
            sum_re[i] = mul_add::<FUSED>(a_re[i], b_re[i], mul_add::<FUSED>(-a_im[i], b_im[i], sum_re[i]));
            sum_im[i] = mul_add::<FUSED>(a_re[i], b_im[i], mul_add::<FUSED>(a_im[i], b_re[i], sum_im[i]));
        }
    }
}

#[cfg(test)]
mod tests;
