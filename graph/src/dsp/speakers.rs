//! Loudspeaker positions, and the loudness weight of a channel by its position.
//!
//! A layout is a mask as in `dwChannelMask` of WAVEFORMATEXTENSIBLE; channels are in the order of its bits.
//!
//! Source of the weights: ITU-R BS.1770-5, tables 3 and 4: 1.41 for an azimuth from 60 to 120 degrees with an elevation
//! below 30, else 1; 0 for the LFE. The mask does not contain angles. In a layout with side loudspeakers, these are at 90
//! degrees and the back ones at 135 (ITU-R BS.2051, system I, 7.1). In a layout without them, the back pair is the surround
//! pair of ITU-R BS.775 at 110 degrees (quad, 5.0, 5.1, whose surround channels are called back in most files).

/// Low-frequency effects.
const LFE: u32 = 1 << 3;
/// Back left and right.
const BACK: u32 = 1 << 4 | 1 << 5;
/// Side left and right.
const SIDE: u32 = 1 << 9 | 1 << 10;
/// All defined positions.
const NAMED: u32 = (1 << 18) - 1;
/// Weight of a surround channel.
const SURROUND: f64 = 1.41;

/// The usual layout of 1 to 8 channels, which FLAC and the Xiph formats define too: C; L R; L R C; L R Lb Rb; L R C Lb Rb;
/// L R C LFE Lb Rb; L R C LFE Cb Ls Rs; L R C LFE Lb Rb Ls Rs.
const USUAL: [u32; 8] = [0x4, 0x3, 0x7, 0x33, 0x37, 0x3f, 0x70f, 0x63f];

/// The mask of the usual layout of `channels` channels; 0 (no positions) for 0 or more than 8.
pub const fn usual(channels: usize) -> u32 {
    if channels >= 1 && channels <= USUAL.len() { USUAL[channels - 1] } else { 0 }
}

/// Loudness weight of channel `channel` of the layout `mask`; 1 for a channel without a position.
pub(crate) fn weight(channel: usize, mask: u32) -> f64 {
    let bits = (0..u32::BITS).map(|bit| 1 << bit);
    let mut positions = bits.filter(|bit| mask & NAMED & bit != 0);
    match positions.nth(channel) {
        Some(position) if position & LFE != 0 => 0.0,
        Some(position) if position & SIDE != 0 => SURROUND,
        Some(position) if position & BACK != 0 && mask & SIDE == 0 => SURROUND,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The azimuths and elevations that the layouts of BS.775 and BS.2051 give, through the standard's rule.
    #[test]
    fn weights_are_those_of_the_standards_angles() {
        let by_angle = |azimuth: u32, elevation: u32| {
            if elevation < 30 && (60..=120).contains(&azimuth) { 1.41 } else { 1.0 }
        };
        let angles = |with_sides: bool| {
            let back = if with_sides { 135 } else { 110 };
            let floor = [(30, 0), (30, 0), (0, 0), (0, 0), (back, 0), (back, 0), (15, 0), (15, 0), (180, 0)];
            let top = [(0, 90), (45, 45), (0, 45), (45, 45), (135, 45), (180, 45), (135, 45)];
            [&floor[..], &[(90, 0), (90, 0)], &top].concat()
        };
        for mask in 1..1_u32 << 18 {
            let angles = angles(mask & SIDE != 0);
            let positions = (0..18).filter(|bit| mask >> bit & 1 == 1);
            for (channel, bit) in positions.enumerate().take(8) {
                let (azimuth, elevation) = angles[bit];
                let wanted = if bit == 3 { 0.0 } else { by_angle(azimuth, elevation) };
                assert_eq!(weight(channel, mask), wanted, "channel {channel} of {mask:#x}");
            }
        }
    }

    #[test]
    fn a_channel_without_a_position_has_weight_1() {
        assert_eq!([0, 1, 2, 7].map(|channel| weight(channel, 0x3)), [1.0; 4]);
        assert_eq!([0, 5, 9].map(|channel| weight(channel, 0)), [1.0; 3]);
        assert_eq!(weight(0, 0x8000_0000), 1.0);
        assert_eq!((usual(0), usual(9)), (0, 0));
        assert!((1..=8).all(|channels| usual(channels).count_ones() as usize == channels));
    }
}
