//! Rice codes: the number of partitions of the residuals, and the parameter of each.

use std::io;

use bitstream_io::BitCount;
use flac_codec::stream::{ResidualPartition, Residuals};

/// Largest partition order: at most 2 to this power partitions.
const MAX_ORDER: u32 = 6;
/// Number of parameters: 0 to 30; code 31 has another meaning.
const PARAMETERS: usize = 31;
/// The largest parameter with 4 bits.
const SMALL: usize = 14;

/// The partitions with the fewest bits.
pub(super) struct Partitions {
    /// One parameter per partition; their number is a power of two.
    parameters: Vec<usize>,
    /// Total size in bits.
    pub bits: u64,
}

/// A residual folded to an unsigned number: 0, -1, 1, -2, 2 become 0 to 4.
fn unsigned(residual: i32) -> u32 {
    (residual << 1 ^ residual >> 31) as u32
}

/// Size of a partition in bits with each parameter.
type Costs = [u64; PARAMETERS];

/// The smallest partitions of the residuals after `warm` samples stored verbatim.
pub(super) fn best(residuals: &[i32], warm: usize) -> Partitions {
    let length = warm + residuals.len();
    // The first partition is shorter by the warm-up samples, and must not be empty.
    let fits = |order: &u32| length.is_multiple_of(1 << order) && length >> order > warm;
    let order = (0..=MAX_ORDER).rev().find(fits).unwrap_or(0);
    let codes: Vec<u32> = residuals.iter().copied().map(unsigned).collect();
    let widest = codes.iter().fold(0, |all, code| all | code);
    let useful = PARAMETERS.min((u32::BITS - widest.leading_zeros()) as usize + 1);
    let mut costs: Vec<Costs> = Vec::with_capacity(1 << order);
    let (mut rest, size) = (codes.as_slice(), length >> order);
    for partition in 0..1 << order {
        let (codes, after) = rest.split_at(if partition == 0 { size - warm } else { size });
        rest = after;
        let mut cost = [u64::MAX; PARAMETERS];
        for (parameter, cost) in cost[..useful].iter_mut().enumerate() {
            let ones: u64 = codes.iter().map(|code| u64::from(code >> parameter)).sum();
            *cost = ones + codes.len() as u64 * (parameter as u64 + 1);
        }
        costs.push(cost);
    }
    let mut cheapest = total(&costs);
    while costs.len() > 1 {
        costs = costs
            .chunks(2)
            .map(|pair| std::array::from_fn(|p| pair[0][p].saturating_add(pair[1][p])))
            .collect();
        let found = total(&costs);
        // At equal size, fewer partitions decode faster.
        if found.bits <= cheapest.bits {
            cheapest = found;
        }
    }
    cheapest
}

/// The best parameter of each partition, and the total size with the headers.
fn total(costs: &[Costs]) -> Partitions {
    let cheapest = |cost: &Costs| cost.iter().copied().enumerate().min_by_key(|(_, bits)| *bits);
    let (parameters, bits): (Vec<usize>, Vec<u64>) = costs.iter().filter_map(cheapest).unzip();
    let width = if parameters.iter().all(|parameter| *parameter <= SMALL) { 4 } else { 5 };
    // Two bits for the parameter width, four for the partition order.
    let bits = 6 + width * parameters.len() as u64 + bits.iter().sum::<u64>();
    Partitions { parameters, bits }
}

impl Partitions {
    /// In the form that the library stores; `residuals` are those given to [`best`].
    pub(super) fn store(&self, residuals: &[i32], warm: usize) -> io::Result<Residuals<i32>> {
        Ok(if self.parameters.iter().all(|parameter| *parameter <= SMALL) {
            Residuals::Method0 { partitions: self.cut(residuals, warm)? }
        } else {
            Residuals::Method1 { partitions: self.cut(residuals, warm)? }
        })
    }

    fn cut<const MAX: u32>(
        &self,
        mut rest: &[i32],
        warm: usize,
    ) -> io::Result<Vec<ResidualPartition<MAX, i32>>> {
        let size = (warm + rest.len()) / self.parameters.len();
        let cut = self.parameters.iter().enumerate().map(|(partition, parameter)| {
            let (residuals, after) = rest.split_at(if partition == 0 { size - warm } else { size });
            rest = after;
            let rice = BitCount::try_from(*parameter as u32).map_err(super::other)?;
            Ok(ResidualPartition::Standard { rice, residuals: residuals.to_vec() })
        });
        cut.collect()
    }
}
