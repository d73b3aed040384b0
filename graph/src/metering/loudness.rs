//! Loudness: momentary, short-term and integrated loudness, loudness range, and maxima.
//!
//! Sources: ITU-R BS.1770-5, Annex 1 (weighting, gates, channel weights); EBU Tech 3341, version 4 (meter); EBU Tech 3342,
//! version 4 (range). Windows move in steps of 10 ms, so that the error of a maximum is at most 0.1 LU. Blocks and
//! short-term values are stored in a histogram with bins of 0.01 LU, so memory does not grow with time: the loudest value
//! determines the number of bins, some 9,000 for programme and 208,000 at the upper limit of measurement, +2000 dBFS.

use crate::dsp::bs1770::{
    ABSOLUTE_GATE, BLOCKS_PER_SECOND, Channel, RANGE_GATE, RELATIVE_GATE, SECTIONS_PER_BLOCK, lufs,
    take_energy,
};
use crate::dsp::filter::k_weighting::{LOWEST_RATE, Weighting};
use crate::dsp::speakers::weight;
use std::collections::VecDeque;

/// Hops of 10 ms in a second, and from one gating block to the next.
const HOPS_PER_SECOND: usize = 100;
const BLOCK: usize = HOPS_PER_SECOND / BLOCKS_PER_SECOND;
/// Hops in a momentary window, which is a block, and in a short-term one: 400 ms and 3 s.
const MOMENTARY: usize = SECTIONS_PER_BLOCK * BLOCK;
const SHORTTERM: usize = 3 * HOPS_PER_SECOND;
/// Bins above the absolute gate, 0.01 LU each: their number at the start, and the largest number, up to 2030 LUFS.
const BINS: usize = 9_000;
const MOST_BINS: usize = 210_000;
const BINS_PER_LU: f64 = 100.0;
/// Bars of a histogram that is sent: 1 LU each.
pub(crate) const BARS: usize = 90;
/// Seconds of programme that a stable loudness range needs: EBU Tech 3342.
const STABLE_AFTER: f64 = 60.0;

/// A histogram of loudness values.
#[derive(Clone, Debug)]
struct Bins {
    counts: Vec<u64>,
    powers: Vec<f64>,
}

impl Bins {
    fn new() -> Self {
        Self { counts: vec![0; BINS], powers: vec![0.0; BINS] }
    }

    fn add(&mut self, power: f64) {
        let loudness = lufs(power);
        if loudness >= ABSOLUTE_GATE {
            let bin = (((loudness - ABSOLUTE_GATE) * BINS_PER_LU) as usize).min(MOST_BINS - 1);
            if bin >= self.counts.len() {
                self.counts.resize(bin + 1, 0);
                self.powers.resize(bin + 1, 0.0);
            }
            self.counts[bin] += 1;
            self.powers[bin] += power;
        }
    }

    /// The counts of each LU.
    fn per_lu(&self) -> impl Iterator<Item = u64> {
        self.counts.chunks(BINS_PER_LU as usize).map(|bins| bins.iter().sum())
    }

    /// The first bin above the relative gate; `None` if the histogram is empty.
    fn first(&self, relative: f64) -> Option<usize> {
        let gate = lufs(relative * self.mean(0)?);
        Some((((gate - ABSOLUTE_GATE) * BINS_PER_LU).max(0.0)) as usize)
    }

    fn mean(&self, first: usize) -> Option<f64> {
        let count: u64 = self.counts.iter().skip(first).sum();
        (count > 0).then(|| self.powers.iter().skip(first).sum::<f64>() / count as f64)
    }

    /// The loudness below which a share `share` of the values lies, from bin `first` up.
    fn percentile(&self, first: usize, share: f64) -> f64 {
        let count: u64 = self.counts.iter().skip(first).sum();
        let mut rank = ((count.saturating_sub(1)) as f64 * share).round() as u64;
        for (bin, count) in self.counts.iter().enumerate().skip(first) {
            if *count > rank {
                return ABSOLUTE_GATE + (bin as f64 + 0.5) / BINS_PER_LU;
            }
            rank -= count;
        }
        ABSOLUTE_GATE
    }
}

/// A loudness meter.
#[derive(Clone, Debug)]
pub struct Loudness {
    rate: f64,
    weighting: Weighting,
    channels: Box<[Channel]>,
    /// What each channel counts.
    weights: Box<[f64]>,
    /// Energy and frames of each hop, the newest last.
    hops: VecDeque<(f64, usize)>,
    /// Frames in the hop that is being filled.
    open: usize,
    /// Hops done since the start, and frames.
    done: u64,
    frames: u64,
    sums: [(f64, usize); 2],
    highest: [f64; 2],
    blocks: Bins,
    shortterms: Bins,
}

impl Loudness {
    /// A meter for `channels` channels at `rate` Hz, with the loudspeaker layout `mask`: see [`crate::dsp::speakers`].
    pub fn placed(rate: f64, channels: usize, mask: u32) -> Self {
        Self {
            rate,
            weighting: Weighting::new(rate),
            channels: vec![Channel::default(); channels].into(),
            weights: (0..channels).map(|channel| weight(channel, mask)).collect(),
            hops: VecDeque::with_capacity(SHORTTERM + 1),
            open: 0,
            done: 0,
            frames: 0,
            sums: [(0.0, 0); 2],
            highest: [0.0; 2],
            blocks: Bins::new(),
            shortterms: Bins::new(),
        }
    }

    /// Measures frames, one plane per channel.
    pub fn add(&mut self, planes: &[Vec<f64>]) {
        let frames = planes.first().map_or(0, Vec::len);
        if self.rate < LOWEST_RATE {
            // No loudness is defined, and a hop could be shorter than a frame.
            self.frames += frames as u64;
            return;
        }
        let mut from = 0;
        while from < frames {
            // Hops of 10 ms, without a cumulative rounding error.
            let end = ((self.done + 1) as f64 * self.rate / HOPS_PER_SECOND as f64).round() as u64;
            let count = ((end - self.frames) as usize).min(frames - from);
            for (plane, channel) in planes.iter().zip(&mut self.channels) {
                plane[from..from + count].iter().for_each(|sample| channel.add(&self.weighting, *sample));
            }
            self.open += count;
            self.frames += count as u64;
            from += count;
            if self.frames == end {
                self.close();
            }
        }
    }

    /// Ends a hop.
    fn close(&mut self) {
        let hop = (take_energy(&mut self.channels, &self.weights), std::mem::take(&mut self.open));
        self.hops.push_back(hop);
        self.done += 1;
        if self.hops.len() > SHORTTERM {
            self.hops.pop_front();
        }
        // Summed again for each hop: a running sum would keep rounding errors, which after loud sound are above silence.
        for (sum, window) in self.sums.iter_mut().zip([MOMENTARY, SHORTTERM]) {
            let newest = self.hops.iter().rev().take(window);
            *sum = newest.fold((0.0, 0), |sum, hop| (sum.0 + hop.0, sum.1 + hop.1));
        }
        let powers = [self.power(0), self.power(1)];
        self.highest = [self.highest[0].max(powers[0]), self.highest[1].max(powers[1])];
        if self.done.is_multiple_of(BLOCK as u64) {
            if self.done >= MOMENTARY as u64 {
                self.blocks.add(powers[0]);
            }
            if self.done >= SHORTTERM as u64 {
                self.shortterms.add(powers[1]);
            }
        }
    }

    /// Mean power of a window; before the start there is silence.
    fn power(&self, window: usize) -> f64 {
        let hops = [MOMENTARY, SHORTTERM][window] as f64;
        self.sums[window].0 / (hops * self.rate / HOPS_PER_SECOND as f64).max(self.sums[window].1 as f64)
    }

    /// Momentary loudness (the last 400 ms) in LUFS; minus infinity in silence.
    pub fn momentary(&self) -> f64 {
        lufs(self.power(0))
    }

    /// Short-term loudness (the last 3 s) in LUFS; minus infinity in silence.
    pub fn shortterm(&self) -> f64 {
        lufs(self.power(1))
    }

    /// Maximum momentary loudness since the start, LUFS.
    pub(crate) fn max_momentary(&self) -> f64 {
        lufs(self.highest[0])
    }

    /// Maximum short-term loudness since the start, LUFS.
    pub(crate) fn max_shortterm(&self) -> f64 {
        lufs(self.highest[1])
    }

    /// Integrated (gated) loudness since the start in LUFS; minus infinity in silence.
    pub fn integrated(&self) -> f64 {
        let first = self.blocks.first(RELATIVE_GATE);
        first.and_then(|first| self.blocks.mean(first)).map_or(f64::NEG_INFINITY, lufs)
    }

    /// Loudness range since the start, LU.
    pub fn range(&self) -> f64 {
        let bins = &self.shortterms;
        bins.first(RANGE_GATE).map_or(0.0, |first| bins.percentile(first, 0.95) - bins.percentile(first, 0.1))
    }

    /// Whether the programme is long enough for a stable loudness range: 60 s.
    pub fn range_is_stable(&self) -> bool {
        self.frames as f64 >= STABLE_AFTER * self.rate
    }

    /// Share of the gating blocks since the start in each LU from -70 to +20 LUFS, in per cent; the last bar takes what
    /// is louder. `None` until there was a block above the absolute gate.
    pub fn bars(&self) -> Option<[f64; BARS]> {
        let mut bars = [0; BARS];
        self.blocks.per_lu().enumerate().for_each(|(at, count)| bars[at.min(BARS - 1)] += count);
        let all: u64 = bars.iter().sum();
        (all > 0).then(|| bars.map(|count| 100.0 * count as f64 / all as f64))
    }

    /// Share of the gating blocks in each interval of 1 LU, from -70 LUFS up.
    pub fn histogram(&self) -> Vec<f64> {
        let all = self.blocks.per_lu().sum::<u64>().max(1);
        self.blocks.per_lu().map(|count| count as f64 / all as f64).collect()
    }
}
