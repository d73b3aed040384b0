//! The cpal backend: the system's own sound devices, on Linux by ALSA.
//!
//! The output device drives the station's callback. Audio from the input device crosses from its own thread by
//! [`clocks`](crate::audio::backend::clocks).

pub(crate) mod devices;
mod samples;

use crate::audio::backend::BackendError;
use crate::audio::backend::clocks::{Draw, Feed, Gauge, Join, State, join};
use crate::audio::callback::Callback;
use crate::audio::ports::Ports;
use crate::audio::realtime::{ThreadId, guarded};
use crate::station::cpal::{Cpal, Format};
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{Data, ErrorKind, Stream};
use devices::{Chosen, Way, choose, failed, host};
use lacquer_graph::dsp::dither::Quantiser;
use lacquer_graph::{Plane, SUBBLOCK};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time after which cpal polls a silent device again.
const POLL: Duration = Duration::from_millis(500);
/// A device that fails this often without a block between counts as removed.
const FAILURES: u64 = 100;

/// The devices of a station, not yet running.
pub(crate) struct Opened {
    input: Option<Chosen>,
    output: Chosen,
    cpal: Cpal,
}

/// Running devices.
pub(crate) struct Running {
    streams: Vec<Stream>,
    states: Vec<Arc<DeviceState>>,
    gauge: Option<Arc<Gauge>>,
    /// The devices in words.
    pub devices: String,
    /// Frames in the output's blocks.
    pub block: usize,
}

/// What a device's thread reports to the conductor.
struct DeviceState {
    name: String,
    is_lost: AtomicBool,
    missed: AtomicU64,
    /// Failures since the last block.
    failures: AtomicU64,
}

impl DeviceState {
    fn of(chosen: &Chosen) -> Arc<Self> {
        let name = chosen.name.clone();
        Arc::new(Self {
            name,
            is_lost: AtomicBool::new(false),
            missed: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// `[audio]` Records an error of cpal.
    fn record(&self, error: &cpal::Error) {
        match error.kind() {
            ErrorKind::Xrun => {
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
            ErrorKind::DeviceNotAvailable | ErrorKind::StreamInvalidated => {
                self.is_lost.store(true, Ordering::Relaxed);
            }
            _ if self.failures.fetch_add(1, Ordering::Relaxed) >= FAILURES => {
                self.is_lost.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// Finds the devices that a station names.
///
/// # Errors
/// A device does not exist, or does not support what the station asks for.
pub(crate) fn open(cpal: &Cpal) -> Result<Opened, BackendError> {
    let host = host(cpal.host.as_deref())?;
    let output = choose(&host, cpal, &cpal.output, Way::Output)?;
    let input = cpal.input.as_ref().map(|pattern| choose(&host, cpal, pattern, Way::Input)).transpose()?;
    Ok(Opened { input, output, cpal: cpal.clone() })
}

impl Opened {
    /// Hz.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.cpal.rate)
    }

    /// Whether both devices are sound cards: behind ALSA's other devices there may be a server.
    pub(crate) fn are_cards(&self) -> bool {
        let is_card = |chosen: &Chosen| devices::DIRECT.iter().any(|prefix| chosen.name.starts_with(prefix));
        is_card(&self.output) && self.input.as_ref().is_none_or(is_card)
    }

    /// The devices, in words.
    pub(crate) fn names(&self) -> String {
        let input = self.input.as_ref().map_or(String::new(), |input| format!("from {} ", input.name));
        format!("{input}to {}", self.output.name)
    }

    /// Starts both devices; the output calls `callback`, the input's thread records its id in `thread`.
    ///
    /// # Errors
    /// A device refuses.
    pub(crate) fn start(self, callback: Callback, thread: ThreadId) -> Result<Running, BackendError> {
        let Self { input, output, cpal } = self;
        let (epoch, rate) = (Instant::now(), f64::from(cpal.rate));
        let is_one_clock =
            cpal.is_one_clock.unwrap_or(input.as_ref().is_some_and(|input| input.name == output.name));
        let (mut streams, mut states) = (Vec::new(), Vec::new());
        let mut devices = String::new();
        let (mut draw, mut gauge) = (None, None);
        let mut input_block = 0;
        if let Some(input) = input {
            let channels = cpal.inputs.len();
            let wanted = Join { channels, input_rate: rate, output_rate: rate, is_one_clock };
            let (feed, end, input_gauge) = join(wanted).map_err(|why| BackendError::Device {
                device: input.name.clone(),
                why: why.to_string(),
                is_transient: false,
            })?;
            let stream = capture(&input, &cpal, feed, thread, epoch, &mut states)?;
            input_block = stream.buffer_size().unwrap_or(cpal.block) as usize;
            let clocks = if is_one_clock { "one clock" } else { "two clocks" };
            devices = format!("from {}, {}; ", described(&input, input_block), clocks);
            streams.push(stream);
            (draw, gauge) = (Some(end), Some(input_gauge));
        }
        let stream = play(&output, &cpal, draw, callback, epoch, &mut states)?;
        let block = stream.buffer_size().unwrap_or(cpal.block) as usize;
        if let Some(gauge) = &gauge {
            gauge.set_blocks(input_block, block);
        }
        devices += &format!("to {}", described(&output, block));
        streams.push(stream);
        let running = Running { streams, states, gauge, devices, block };
        for (stream, state) in running.streams.iter().zip(&running.states) {
            stream.play().map_err(|error| failed(&state.name, "starting it", &error))?;
        }
        Ok(running)
    }
}

fn described(chosen: &Chosen, block: usize) -> String {
    let (channels, format) = (chosen.config.channels, devices::format_name(chosen.format));
    format!("{} ({channels} channels, {format}, blocks of {block})", chosen.name)
}

/// Opens the stream of the input device.
fn capture(
    chosen: &Chosen,
    cpal: &Cpal,
    mut feed: Feed,
    thread: ThreadId,
    epoch: Instant,
    states: &mut Vec<Arc<DeviceState>>,
) -> Result<Stream, BackendError> {
    let state = DeviceState::of(chosen);
    states.push(Arc::clone(&state));
    let (format, width, map) = (chosen.format, usize::from(chosen.config.channels), cpal.inputs.clone());
    let errors = Arc::clone(&state);
    let on_block = move |data: &Data, _: &cpal::InputCallbackInfo| {
        thread.record();
        guarded(|| {
            state.failures.store(0, Ordering::Relaxed);
            let now = epoch.elapsed().as_secs_f64();
            let sample =
                |frame: usize, channel: usize| format.read(data.bytes(), frame * width + map[channel]);
            feed.push(data.len() / width, now, sample);
        });
    };
    let on_error = move |error| errors.record(&error);
    let format = chosen.format.of_device();
    let stream = chosen.device.build_input_stream_raw(chosen.config, format, on_block, on_error, Some(POLL));
    stream.map_err(|error| failed(&chosen.name, "opening it as input", &error))
}

/// Opens the stream of the output device, which calls the callback.
fn play(
    chosen: &Chosen,
    cpal: &Cpal,
    draw: Option<Draw>,
    callback: Callback,
    epoch: Instant,
    states: &mut Vec<Arc<DeviceState>>,
) -> Result<Stream, BackendError> {
    let state = DeviceState::of(chosen);
    states.push(Arc::clone(&state));
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
    let errors = Arc::clone(&state);
    let on_block = move |data: &mut Data, _: &cpal::OutputCallbackInfo| {
        state.failures.store(0, Ordering::Relaxed);
        player.block(data, epoch.elapsed().as_secs_f64());
    };
    let on_error = move |error| errors.record(&error);
    let format = chosen.format.of_device();
    let stream = chosen.device.build_output_stream_raw(chosen.config, format, on_block, on_error, Some(POLL));
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
    /// For each of our channels, the device's channel.
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
        // Channels are read in order: the first call fills all of them.
        if let (0, Some(draw)) = (channel, &mut self.draw) {
            draw.fill(self.planes, into.len());
        }
        into.copy_from_slice(&self.planes[channel][..into.len()]);
    }

    fn write(&mut self, channel: usize, from: usize, samples: &[f64]) {
        let (to, dither) = (self.map[channel], &mut self.dither[channel]);
        for (frame, sample) in samples.iter().enumerate() {
            let sample = samples::dithered(dither, *sample);
            self.format.write(self.bytes, (from + frame) * self.width + to, sample);
        }
    }
}

impl Running {
    /// Deadlines missed on either device, and input that came too late or found the ring full.
    pub(crate) fn missed(&self) -> u64 {
        let slips = self.gauge.as_ref().map_or(0, |gauge| gauge.state().slips);
        slips + self.states.iter().map(|state| state.missed.load(Ordering::Relaxed)).sum::<u64>()
    }

    /// The device that was removed, if one was.
    pub(crate) fn lost_device(&self) -> Option<&str> {
        let lost = self.states.iter().find(|state| state.is_lost.load(Ordering::Relaxed));
        lost.map(|state| state.name.as_str())
    }

    /// The state of the join between input and output device, if there is an input.
    pub(crate) fn join_state(&self) -> Option<State> {
        self.gauge.as_ref().map(|gauge| gauge.state())
    }

    /// Ends the streams.
    pub(crate) fn stop(self) {
        drop(self.streams);
    }
}
