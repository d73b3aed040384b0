//! The cpal backend: the system's own sound devices, on Linux by ALSA.
//!
//! The output's callback is the station's; what comes in by the other device, or the same one, crosses from its thread by
//! [`clocks`](crate::audio::backend::clocks).

pub mod devices;
mod samples;

use crate::audio::backend::BackendError;
use crate::audio::backend::clocks::{Draw, Feed, Gauge, Join, State, join};
use crate::audio::callback::Callback;
use crate::audio::ports::Ports;
use crate::audio::realtime::{Mark, guarded};
use crate::station::cpal::{Cpal, Format};
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{Data, ErrorKind, Stream};
use devices::{Chosen, Way, choose, failed, host};
use lacquer_graph::dsp::dither::Quantiser;
use lacquer_graph::{Plane, SUBBLOCK};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a device is asked whether it is still there, while it says nothing.
const ASKED: Duration = Duration::from_millis(500);
/// A device that fails so often without a block between is gone.
const FAILURES: u64 = 100;

/// The devices of a station, not yet running.
pub struct Opened {
    input: Option<Chosen>,
    output: Chosen,
    cpal: Cpal,
}

/// Running devices.
pub struct Running {
    streams: Vec<Stream>,
    signs: Vec<Arc<Signs>>,
    gauge: Option<Arc<Gauge>>,
    /// What is to be told of the devices.
    pub told: String,
    /// Frames in the output's blocks.
    pub block: usize,
}

/// What a device's thread leaves for the conductor.
struct Signs {
    name: String,
    is_gone: AtomicBool,
    missed: AtomicU64,
    /// Failures since the last block.
    failures: AtomicU64,
}

impl Signs {
    fn of(chosen: &Chosen) -> Arc<Self> {
        let name = chosen.name.clone();
        Arc::new(Self {
            name,
            is_gone: AtomicBool::new(false),
            missed: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// `[audio]` What cpal complains of.
    fn note(&self, error: &cpal::Error) {
        match error.kind() {
            ErrorKind::Xrun => {
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
            ErrorKind::DeviceNotAvailable | ErrorKind::StreamInvalidated => {
                self.is_gone.store(true, Ordering::Relaxed);
            }
            _ if self.failures.fetch_add(1, Ordering::Relaxed) >= FAILURES => {
                self.is_gone.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// Looks for the devices that a station means.
///
/// # Errors
/// A device is not there, or cannot what is wanted.
pub fn open(cpal: &Cpal) -> Result<Opened, BackendError> {
    let host = host(cpal.host.as_deref())?;
    let output = choose(&host, cpal, &cpal.output, Way::Output)?;
    let input = cpal.input.as_ref().map(|pattern| choose(&host, cpal, pattern, Way::Input)).transpose()?;
    Ok(Opened { input, output, cpal: cpal.clone() })
}

impl Opened {
    /// Hz.
    pub fn rate(&self) -> f64 {
        f64::from(self.cpal.rate)
    }

    /// Whether sound goes straight to cards: behind ALSA's other devices there may be a server.
    pub fn are_cards(&self) -> bool {
        let is_card = |chosen: &Chosen| devices::DIRECT.iter().any(|prefix| chosen.name.starts_with(prefix));
        is_card(&self.output) && self.input.as_ref().is_none_or(is_card)
    }

    /// The devices, in words.
    pub fn names(&self) -> String {
        let input = self.input.as_ref().map_or(String::new(), |input| format!("from {} ", input.name));
        format!("{input}to {}", self.output.name)
    }

    /// Begins to play by `callback`; the input's thread leaves its id at `mark`.
    ///
    /// # Errors
    /// A device refuses.
    pub fn start(self, callback: Callback, mark: Mark) -> Result<Running, BackendError> {
        let Self { input, output, cpal } = self;
        let (epoch, rate) = (Instant::now(), f64::from(cpal.rate));
        let is_one_clock =
            cpal.is_one_clock.unwrap_or(input.as_ref().is_some_and(|input| input.name == output.name));
        let (mut streams, mut signs) = (Vec::new(), Vec::new());
        let mut told = String::new();
        let (mut draw, mut gauge) = (None, None);
        let mut input_block = 0;
        if let Some(input) = input {
            let channels = cpal.inputs.len();
            let wanted = Join { channels, input_rate: rate, output_rate: rate, is_one_clock };
            let (feed, end, shown) = join(wanted).map_err(|why| BackendError::Device {
                device: input.name.clone(),
                why: why.to_string(),
                passes: false,
            })?;
            let stream = capture(&input, &cpal, feed, mark, epoch, &mut signs)?;
            input_block = stream.buffer_size().unwrap_or(cpal.block) as usize;
            let clocks = if is_one_clock { "one clock" } else { "two clocks" };
            told = format!("from {}, {}; ", described(&input, input_block), clocks);
            streams.push(stream);
            (draw, gauge) = (Some(end), Some(shown));
        }
        let stream = play(&output, &cpal, draw, callback, epoch, &mut signs)?;
        let block = stream.buffer_size().unwrap_or(cpal.block) as usize;
        if let Some(gauge) = &gauge {
            gauge.set_blocks(input_block, block);
        }
        told += &format!("to {}", described(&output, block));
        streams.push(stream);
        let running = Running { streams, signs, gauge, told, block };
        for (stream, signs) in running.streams.iter().zip(&running.signs) {
            stream.play().map_err(|error| failed(&signs.name, "starting it", &error))?;
        }
        Ok(running)
    }
}

fn described(chosen: &Chosen, block: usize) -> String {
    let (channels, word) = (chosen.config.channels, devices::word(chosen.format));
    format!("{} ({channels} channels, {word}, blocks of {block})", chosen.name)
}

/// The stream of the input device.
fn capture(
    chosen: &Chosen,
    cpal: &Cpal,
    mut feed: Feed,
    mark: Mark,
    epoch: Instant,
    all: &mut Vec<Arc<Signs>>,
) -> Result<Stream, BackendError> {
    let signs = Signs::of(chosen);
    all.push(Arc::clone(&signs));
    let (format, width, map) = (chosen.format, usize::from(chosen.config.channels), cpal.inputs.clone());
    let complaints = Arc::clone(&signs);
    let take = move |data: &Data, _: &cpal::InputCallbackInfo| {
        mark.here();
        guarded(|| {
            signs.failures.store(0, Ordering::Relaxed);
            let now = epoch.elapsed().as_secs_f64();
            let sample =
                |frame: usize, channel: usize| format.read(data.bytes(), frame * width + map[channel]);
            feed.push(data.len() / width, now, sample);
        });
    };
    let complain = move |error| complaints.note(&error);
    let format = chosen.format.of_device();
    let stream = chosen.device.build_input_stream_raw(chosen.config, format, take, complain, Some(ASKED));
    stream.map_err(|error| failed(&chosen.name, "opening it as input", &error))
}

/// The stream of the output device, with the callback.
fn play(
    chosen: &Chosen,
    cpal: &Cpal,
    draw: Option<Draw>,
    callback: Callback,
    epoch: Instant,
    all: &mut Vec<Arc<Signs>>,
) -> Result<Stream, BackendError> {
    let signs = Signs::of(chosen);
    all.push(Arc::clone(&signs));
    let dither = |channel| samples::dither(chosen.format, cpal.depth, channel);
    let mut player = Player {
        callback,
        draw,
        planes: vec![[0.0; SUBBLOCK]; cpal.inputs.len()].into_boxed_slice(),
        format: chosen.format,
        width: usize::from(chosen.config.channels),
        map: cpal.outputs.clone().into_boxed_slice(),
        dither: (0..cpal.outputs.len()).map(dither).collect(),
    };
    let complaints = Arc::clone(&signs);
    let give = move |data: &mut Data, _: &cpal::OutputCallbackInfo| {
        signs.failures.store(0, Ordering::Relaxed);
        player.block(data, epoch.elapsed().as_secs_f64());
    };
    let complain = move |error| complaints.note(&error);
    let format = chosen.format.of_device();
    let stream = chosen.device.build_output_stream_raw(chosen.config, format, give, complain, Some(ASKED));
    stream.map_err(|error| failed(&chosen.name, "opening it as output", &error))
}

/// `[audio]` What the output's thread owns.
struct Player {
    callback: Callback,
    draw: Option<Draw>,
    planes: Box<[Plane]>,
    format: Format,
    /// The device's channels.
    width: usize,
    /// The device's channel of each of ours.
    map: Box<[usize]>,
    dither: Box<[Option<Quantiser>]>,
}

impl Player {
    fn block(&mut self, data: &mut Data, now: f64) {
        let frames = data.len() / self.width;
        if let Some(draw) = &mut self.draw {
            guarded(|| draw.begin(frames, now));
        }
        let Self { callback, draw, planes, format, width, map, dither } = self;
        let mut cycle =
            Cycle { draw, planes, format: *format, width: *width, map, dither, bytes: data.bytes_mut() };
        callback.block(frames, &mut cycle);
    }
}

/// `[audio]` One block of the output device.
struct Cycle<'a> {
    draw: &'a mut Option<Draw>,
    planes: &'a mut [Plane],
    format: Format,
    width: usize,
    map: &'a [usize],
    dither: &'a mut [Option<Quantiser>],
    bytes: &'a mut [u8],
}

impl Ports for Cycle<'_> {
    fn read(&mut self, channel: usize, _from: usize, into: &mut [f64]) {
        // Channels come in order, and the first brings the rest.
        if let (0, Some(draw)) = (channel, &mut self.draw) {
            draw.fill(self.planes, into.len());
        }
        into.copy_from_slice(&self.planes[channel][..into.len()]);
    }

    fn write(&mut self, channel: usize, from: usize, samples: &[f64]) {
        let (place, dither) = (self.map[channel], &mut self.dither[channel]);
        for (frame, sample) in samples.iter().enumerate() {
            let sample = samples::dithered(dither, *sample);
            self.format.write(self.bytes, (from + frame) * self.width + place, sample);
        }
    }
}

impl Running {
    /// Deadlines missed, on either device, and input that did not come or found no room.
    pub fn missed(&self) -> u64 {
        let slips = self.gauge.as_ref().map_or(0, |gauge| gauge.state().slips);
        slips + self.signs.iter().map(|signs| signs.missed.load(Ordering::Relaxed)).sum::<u64>()
    }

    /// The device that is gone, if one is.
    pub fn gone(&self) -> Option<&str> {
        let gone = self.signs.iter().find(|signs| signs.is_gone.load(Ordering::Relaxed));
        gone.map(|signs| signs.name.as_str())
    }

    /// How the two devices are joined, where there are two ways.
    pub fn joined(&self) -> Option<State> {
        self.gauge.as_ref().map(|gauge| gauge.state())
    }

    /// Ends the streams.
    pub fn stop(self) {
        drop(self.streams);
    }
}
