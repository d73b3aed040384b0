//! The samples of one sub-block: planar f64, 1 to 8 channels.

/// Largest number of frames that are processed at once.
pub const SUBBLOCK: usize = 64;
/// Largest number of channels of one connection.
pub const MAX_CHANNELS: usize = 8;

/// Highest sample that meters take as it comes: +2000 dBFS. Its square, and sums of such squares, are far from the end of f64.
pub(crate) const HIGHEST: f64 = 1e100;
/// Highest sample that a chain is given as it comes: +200 dBFS, above the codes of 32-bit integers taken for samples. What is
/// higher is no sound, and filters would ring from it for a second.
pub const LOUDEST: f64 = 1e10;

/// One channel of one sub-block.
pub type Plane = [f64; SUBBLOCK];

/// `[audio]` The buffers of a node: its channels, processed in place, and its side-chain input, if it has one.
pub struct Block<'a> {
    planes: &'a mut [Plane],
    key: Option<&'a [Plane]>,
    frames: usize,
}

impl<'a> Block<'a> {
    /// The first `frames` (1 to [`SUBBLOCK`]) of each of `planes`.
    pub fn new(planes: &'a mut [Plane], key: Option<&'a [Plane]>, frames: usize) -> Self {
        debug_assert!((1..=SUBBLOCK).contains(&frames));
        Self { planes, key, frames }
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Number of channels.
    pub fn width(&self) -> usize {
        self.planes.len()
    }

    /// The samples of every channel, to be processed in place.
    pub fn channels(&mut self) -> impl Iterator<Item = &mut [f64]> {
        self.planes.iter_mut().map(|plane| &mut plane[..self.frames])
    }

    /// One sample, to be processed in place.
    #[inline]
    pub fn at(&mut self, channel: usize, frame: usize) -> &mut f64 {
        &mut self.planes[channel][frame]
    }

    /// The first two channels; `None` unless there are exactly two.
    pub fn pair(&mut self) -> Option<(&mut [f64], &mut [f64])> {
        match self.planes {
            [left, right] => Some((&mut left[..self.frames], &mut right[..self.frames])),
            _ => None,
        }
    }

    /// Whether a side-chain input is connected.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Number of channels of the detector signal: the side-chain input, or else the block itself.
    pub(crate) fn key_width(&self) -> usize {
        self.key.map_or(self.planes.len(), <[Plane]>::len)
    }

    /// One sample of the detector signal.
    #[inline]
    pub fn key(&self, channel: usize, frame: usize) -> f64 {
        match self.key {
            Some(key) => key[channel][frame],
            None => self.planes[channel][frame],
        }
    }
}

/// `[audio]` Converts a sample to the nearest 32-bit float. A finite sample never becomes infinite.
#[inline]
pub fn to_f32(sample: f64) -> f32 {
    const MOST: f64 = f32::MAX as f64;
    // NaN and infinity pass unchanged: the caller has removed them already, or counts them.
    if sample.is_finite() { sample.clamp(-MOST, MOST) as f32 } else { sample as f32 }
}
