//! One channel of a block, in the subframe type that needs the fewest bits.

use std::io;
use std::num::NonZero;

use bitstream_io::SignedBitCount;
use flac_codec::stream::Subframe;

use super::linear::{Finder, Prediction};
use super::{other, rice};

/// The highest order of the fixed predictions (repeated differences).
const FIXED: usize = 4;

/// A channel, ready to be stored.
pub(super) struct Coded {
    pub subframe: Subframe<i32>,
    /// Its size in bits.
    pub bits: u64,
}

/// Searches for the smallest subframe.
pub(super) struct Search {
    /// Bits of the file's samples.
    depth: u32,
    finder: Finder,
}

/// A prediction with its residuals.
struct Candidate {
    /// None for a fixed prediction, which the order defines.
    linear: Option<Prediction>,
    order: usize,
    residuals: Vec<i32>,
    partitions: rice::Partitions,
    bits: u64,
}

impl Candidate {
    fn new(linear: Option<Prediction>, order: usize, residuals: Vec<i32>, width: u32) -> Candidate {
        let partitions = rice::best(&residuals, order);
        // A prediction has 4 bits of precision, 5 of shift, and its coefficients.
        let said = linear.as_ref().map_or(0, |linear| 9 + order as u64 * u64::from(linear.precision));
        let bits = order as u64 * u64::from(width) + said + partitions.bits;
        Candidate { linear, order, residuals, partitions, bits }
    }

    fn store(self, samples: &[i32], wasted_bps: u32) -> io::Result<Subframe<i32>> {
        let warm_up = samples[..self.order].to_vec();
        let residuals = self.partitions.store(&self.residuals, self.order)?;
        let order = self.order as u8;
        Ok(match self.linear {
            None => Subframe::Fixed { order, warm_up, residuals, wasted_bps },
            Some(linear) => Subframe::Lpc {
                order: NonZero::new(order).ok_or_else(|| other("a prediction from nothing"))?,
                warm_up,
                precision: SignedBitCount::try_from(linear.precision).map_err(other)?,
                shift: linear.shift,
                coefficients: linear.coefficients,
                residuals,
                wasted_bps,
            },
        })
    }
}

impl Search {
    /// For a file whose samples have `depth` bits.
    pub(super) fn new(depth: u32) -> Search {
        Search { depth, finder: Finder::default() }
    }

    /// The smallest subframe for `samples` (at least one) of `width` bits.
    pub(super) fn best(&mut self, samples: &[i32], width: u32) -> io::Result<Coded> {
        // The type, and the flag for wasted bits.
        let head = 8;
        let first = samples.first().copied().unwrap_or(0);
        if samples.iter().all(|sample| *sample == first) {
            let block_size = u16::try_from(samples.len()).map_err(other)?;
            let subframe = Subframe::Constant { block_size, sample: first, wasted_bps: 0 };
            return Ok(Coded { subframe, bits: head + u64::from(width) });
        }
        // Wasted bits: low bits that are 0 in all samples are not stored.
        let wasted = samples.iter().fold(0, |all, sample| all | sample).trailing_zeros();
        let shifted: Vec<i32> = samples.iter().map(|sample| sample >> wasted).collect();
        let (samples, width, head) = (shifted.as_slice(), width - wasted, head + u64::from(wasted));
        let linear = self.finder.find(samples, width, self.depth).into_iter().filter_map(|linear| {
            let residuals = linear.residuals(samples)?;
            let order = linear.coefficients.len();
            Some(Candidate::new(Some(linear), order, residuals, width))
        });
        let best = fixed(samples, width).into_iter().chain(linear).min_by_key(|candidate| candidate.bits);
        let plain = samples.len() as u64 * u64::from(width);
        Ok(match best {
            Some(best) if best.bits < plain => {
                Coded { bits: head + best.bits, subframe: best.store(samples, wasted)? }
            }
            _ => {
                let subframe = Subframe::Verbatim { samples: shifted, wasted_bps: wasted };
                Coded { subframe, bits: head + plain }
            }
        })
    }
}

/// The fixed prediction with the smallest residuals.
fn fixed(samples: &[i32], width: u32) -> Option<Candidate> {
    let top = FIXED.min(samples.len() - 1);
    let mut left = vec![samples.to_vec()];
    for order in 1..=top {
        // At most 16 times a code: 29 bits.
        left.push(left[order - 1].windows(2).map(|pair| pair[1] - pair[0]).collect());
    }
    let sum = |order: usize| -> u64 {
        left[order][top - order..].iter().map(|residual| u64::from(residual.unsigned_abs())).sum()
    };
    let order = (0..=top).min_by_key(|order| sum(*order))?;
    Some(Candidate::new(None, order, left.swap_remove(order), width))
}

#[cfg(test)]
mod tests {
    use bitstream_io::{BitWrite, BitsWritten};

    use super::*;

    /// Test signals of `width` bits: constant, random walk, oscillation, jumps, by `kind`.
    fn signal(kind: usize, length: usize, width: u32) -> Vec<i32> {
        let full = f64::from(1 << (width - 1));
        let mut seed = kind as u64 * 977 + length as u64;
        let mut noise = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
        };
        let mut wander = 0.0;
        let samples = (0..length).map(|t| match kind {
            0 => 0.25,
            1 => noise(),
            2 => {
                wander = 0.99 * wander + 0.01 * noise();
                wander
            }
            3 => (t as f64 * 0.11).sin(),
            4 => {
                if t < length / 2 {
                    0.0
                } else {
                    noise()
                }
            }
            5 => {
                if t % 2 == 0 {
                    1.0
                } else {
                    -1.0
                }
            }
            6 => (noise() * 16.0).round() / 16.0,
            7 => {
                if t % 997 == 5 {
                    -1.0
                } else {
                    0.0
                }
            }
            _ => 3e-5 * noise(),
        });
        samples.map(|sample| (sample * full).round().clamp(-full, full - 1.0) as i32).collect()
    }

    #[test]
    fn a_subframe_says_its_size_and_holds_the_samples() {
        for depth in [16, 24] {
            let mut search = Search::new(depth);
            for width in [depth, depth + 1] {
                for length in [1, 2, 5, 12, 13, 16, 100, 192, 1000, 4095, 4096] {
                    for kind in 0..=8 {
                        let samples = signal(kind, length, width);
                        let coded = search.best(&samples, width).unwrap();
                        let about = format!("kind {kind}, {length} samples of {width} bits");
                        let mut counter: BitsWritten<u64> = BitsWritten::new();
                        let bits = SignedBitCount::try_from(width).unwrap();
                        counter.build_using(&coded.subframe, bits).unwrap();
                        assert_eq!(counter.written(), coded.bits, "{about}");
                        assert!(coded.bits <= 40 + length as u64 * u64::from(width), "{about}");
                        assert!(coded.subframe.decode().eq(samples), "{about}");
                    }
                }
            }
        }
    }
}
