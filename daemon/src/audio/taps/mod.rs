//! Taps: audio copied off the audio thread at one point of the station, for meters and everything that must not delay
//! it.

pub mod meters;
pub(crate) mod thread;

use lacquer_graph::Plane;
use lacquer_graph::block::to_f32;
use rtrb::{Consumer, Producer, RingBuffer};

/// The taps' names in addresses: before the chain, and after it.
pub const TAPS: [&str; 2] = ["input", "output"];

/// How much audio a tap can hold back, in seconds.
const SECONDS: f64 = 1.0;

/// `[audio]` The audio thread's end of a tap: copies the first channels of its point.
pub struct Probe {
    ring: Producer<f32>,
    channels: usize,
    lost: u64,
}

/// The reading end: interleaved samples, whole frames.
pub struct Tap {
    /// Its name in addresses.
    pub name: &'static str,
    /// Channels.
    pub channels: usize,
    /// Hz.
    pub rate: f64,
    ring: Consumer<f32>,
}

/// A tap of `channels` channels at `rate` Hz, and its probe.
pub fn tap(name: &'static str, channels: usize, rate: f64) -> (Probe, Tap) {
    let (producer, ring) = RingBuffer::new((rate * SECONDS) as usize * channels);
    (Probe { ring: producer, channels, lost: 0 }, Tap { name, channels, rate, ring })
}

impl Probe {
    /// `[audio]` Copies a sub-block. If the ring is full, the tap loses it; the programme is unaffected.
    pub fn copy(&mut self, planes: &[Plane], frames: usize) {
        let planes = &planes[..self.channels];
        match self.ring.write_chunk_uninit(frames * self.channels) {
            Ok(chunk) => {
                let samples =
                    (0..frames).flat_map(|frame| planes.iter().map(move |plane| to_f32(plane[frame])));
                chunk.fill_from_iter(samples);
            }
            Err(_) => self.lost += frames as u64,
        }
    }

    /// `[audio]` Frames lost so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl Tap {
    /// Calls `process` with all whole frames in the ring.
    pub fn drain(&mut self, mut process: impl FnMut(&[f32])) {
        let count = self.ring.slots() / self.channels * self.channels;
        if let Ok(chunk) = self.ring.read_chunk(count) {
            let (first, second) = chunk.as_slices();
            // A frame may wrap around the ring's end.
            let whole = first.len() / self.channels * self.channels;
            process(&first[..whole]);
            let mut bridge: Vec<f32> = first[whole..].to_vec();
            if bridge.is_empty() {
                process(second);
            } else {
                let missing = self.channels - bridge.len();
                bridge.extend(&second[..missing]);
                process(&bridge);
                process(&second[missing..]);
            }
            chunk.commit_all();
        }
    }
}
