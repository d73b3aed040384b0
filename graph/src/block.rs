//! The samples of one quantum: planar f64, 1 to 8 channels.

/// Most frames that are processed at once.
pub const SUBBLOCK: usize = 64;
/// Most channels an edge carries.
pub const MAX_CHANNELS: usize = 8;

/// Highest sample that meters take as it comes: +2000 dBFS. Its square, and sums of such squares, are far from the end of f64.
pub(crate) const HIGHEST: f64 = 1e100;
/// Highest sample that a chain is given as it comes: +200 dBFS, above the codes of 32-bit integers taken for samples. What is
/// higher is no sound, and filters would ring from it for a second.
pub const LOUDEST: f64 = 1e10;

/// One channel of one quantum.
pub type Plane = [f64; SUBBLOCK];

/// `[audio]` What a node works on: its channels, in place, and its side-chain where it has one.
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

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// How many channels there are.
    pub fn width(&self) -> usize {
        self.planes.len()
    }

    /// Every channel, to be changed in place.
    pub fn channels(&mut self) -> impl Iterator<Item = &mut [f64]> {
        self.planes.iter_mut().map(|plane| &mut plane[..self.frames])
    }

    /// One sample.
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

    /// Whether there is a side-chain.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// How many channels the detector hears: those of the side-chain, or else the block's own.
    pub(crate) fn key_width(&self) -> usize {
        self.key.map_or(self.planes.len(), <[Plane]>::len)
    }

    /// One sample of what the detector hears.
    #[inline]
    pub fn key(&self, channel: usize, frame: usize) -> f64 {
        match self.key {
            Some(key) => key[channel][frame],
            None => self.planes[channel][frame],
        }
    }
}

/// `[audio]` A sample for who takes 32-bit floats: the nearest of them, never an infinity for a number.
#[inline]
pub fn to_f32(sample: f64) -> f32 {
    const MOST: f64 = f32::MAX as f64;
    // A NaN and an infinity stay what they are: they have been caught where they came from, or are to be counted.
    if sample.is_finite() { sample.clamp(-MOST, MOST) as f32 } else { sample as f32 }
}
