//! Taps: copies of the audio at one point of the station, for what must not hold up the audio thread.

pub mod meters;
pub(crate) mod thread;

use lacquer_graph::Plane;
use lacquer_graph::block::to_f32;
use rtrb::{Consumer, Producer, RingBuffer};

/// The taps' names in addresses: before the chain, and after it.
pub const TAPS: [&str; 2] = ["input", "output"];

/// How much audio a tap can hold back, in seconds.
const SECONDS: f64 = 1.0;

/// `[audio]` Where a tap takes its copy: the first channels of a point.
pub struct Probe {
    ring: Producer<f32>,
    channels: usize,
    lost: u64,
}

/// The other end: interleaved samples, whole frames.
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
    /// `[audio]` Copies a quantum; without room the tap loses it, never the programme.
    pub fn take(&mut self, planes: &[Plane], frames: usize) {
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
    /// Hands on all whole frames that have come.
    pub fn drain(&mut self, mut take: impl FnMut(&[f32])) {
        let count = self.ring.slots() / self.channels * self.channels;
        if let Ok(chunk) = self.ring.read_chunk(count) {
            let (first, second) = chunk.as_slices();
            // A frame may lie across the ring's end.
            let whole = first.len() / self.channels * self.channels;
            take(&first[..whole]);
            let mut bridge: Vec<f32> = first[whole..].to_vec();
            if bridge.is_empty() {
                take(second);
            } else {
                let rest = self.channels - bridge.len();
                bridge.extend(&second[..rest]);
                take(&bridge);
                take(&second[rest..]);
            }
            chunk.commit_all();
        }
    }
}
