//! Loudness by ITU-R BS.1770-5, Annex 1: the power that a stretch of programme has, its loudness, blocks and gates.
//!
//! The weighting of a channel by frequency is in [`k_weighting`](crate::dsp::filter::k_weighting), by its loudspeaker in
//! [`speakers`](crate::dsp::speakers).

use crate::dsp::filter::k_weighting::{State, Weighting};

/// What a power's level is above its loudness, in dB: a sine of 997 Hz at 0 dBFS in one channel has −3.01 LUFS (eq. 2).
const OFFSET: f64 = 0.691;
/// The absolute gate of the standard, in LUFS.
pub(crate) const ABSOLUTE_GATE: f64 = -70.0;
/// The relative gate, as a factor of the mean power of the blocks above the absolute one: −10 LU.
pub(crate) const RELATIVE_GATE: f64 = 0.1;
/// The relative gate of the loudness range (EBU Tech 3342), likewise: −20 LU.
pub(crate) const RANGE_GATE: f64 = 0.01;
/// Blocks begun in a second.
pub(crate) const BLOCKS_PER_SECOND: usize = 10;
/// Sections of 100 ms in a block of 400 ms: blocks overlap by three quarters.
pub(crate) const SECTIONS_PER_BLOCK: usize = 4;

/// Loudness in LUFS of a mean square, weighted and summed over the channels (eq. 2).
#[inline]
pub(crate) fn lufs(power: f64) -> f64 {
    -OFFSET + 10.0 * power.log10()
}

/// The mean square that has the loudness `lufs`.
pub(crate) fn power(lufs: f64) -> f64 {
    10.0_f64.powf((lufs + OFFSET) / 10.0)
}

/// One channel: its weighting filter, and what passed it in the stretch under way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Channel {
    state: State,
    energy: f64,
}

impl Channel {
    /// `[audio]` Weights one sample and adds its square.
    #[inline]
    pub(crate) fn add(&mut self, weighting: &Weighting, sample: f64) {
        let weighted = weighting.tick(&mut self.state, sample);
        self.energy += weighted * weighted;
    }
}

/// `[audio]` The energy of all channels in the stretch that ends here, each as much as its loudspeaker counts; the next
/// stretch begins. Divided by its frames it is a power.
pub(crate) fn take_energy(channels: &mut [Channel], weights: &[f64]) -> f64 {
    channels
        .iter_mut()
        .zip(weights)
        .map(|(channel, weight)| weight * std::mem::take(&mut channel.energy))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loudness_of_the_standards_anchor() {
        // A sine of full scale in one channel: mean square 1/2, weighted by +0.691 dB.
        assert!((lufs(0.5 * 10.0_f64.powf(0.0691)) + 3.01).abs() < 0.001);
        assert!((lufs(power(-23.0)) + 23.0).abs() < 1e-12);
    }

    #[test]
    fn a_stretch_of_two_channels_has_the_loudness_that_the_standard_gives_it() {
        const RATE: f64 = 48_000.0;
        let weighting = Weighting::new(RATE);
        let mut channels = [Channel::default(); 3];
        let mut loudness = f64::NAN;
        // The second stretch: the filters have settled.
        for _ in 0..2 {
            for n in 0..RATE as u32 {
                let sample = (std::f64::consts::TAU * 997.0 * f64::from(n) / RATE).sin();
                channels.iter_mut().for_each(|channel| channel.add(&weighting, sample));
            }
            // Left, right, and an LFE, which counts nothing.
            loudness = lufs(take_energy(&mut channels, &[1.0, 1.0, 0.0]) / RATE);
        }
        assert!(loudness.abs() < 0.01, "{loudness} LUFS");
        assert_eq!(take_energy(&mut channels, &[1.0; 3]), 0.0, "a new stretch has begun");
    }
}
