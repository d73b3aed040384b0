//! Joins an input device to an output device.
//!
//! ```text
//!   input device ──► Feed ═══ samples, times ═══► Draw ──► output device's callback
//!                                                  │
//!                                                Gauge ──► conductor
//! ```
//!
//! If both run by one clock, samples pass unchanged. If each has its own, they are resampled (rubato) at a ratio that
//! follows the drift, so that the latency stays. If the input is late there is silence until the ring is filled again;
//! every discontinuity fades within some milliseconds, without a click.

mod follow;
mod steer;

use follow::Clock;
use lacquer_graph::Plane;
use lacquer_graph::dsp::fade::Fade;
use rtrb::{Consumer, Producer, RingBuffer};
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{
    Adjustable, Async, FixedAsync, Resampler, ResamplerConstructionError, SincInterpolationParameters,
    WindowFunction,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use steer::Steer;

/// Frames that are resampled at once.
const CHUNK: usize = 64;
/// Taps of the resampling filter: flat to 20 kHz at 44.1 kHz.
const TAPS: usize = 256;
/// How far the ratio may leave its nominal value, as a factor.
const MOST_RATIO: f64 = 1.01;
/// Block times of the input that the queue has room for.
const TIMES: usize = 256;
/// At a discontinuity: the old signal's last value decays by 60 dB in this time, and the new signal fades in in this
/// time, in seconds.
const DECAY: f64 = 0.005;
const FADE_IN: f64 = 0.010;
/// Input that exceeds the target latency by more than this, in seconds, is skipped instead of read faster.
const EXCESS: f64 = 0.05;
/// Blocks of the devices may be this late, in seconds.
const LATE: f64 = 0.001;

/// The two devices to join.
#[derive(Clone, Copy, Debug)]
pub struct Join {
    /// Channels.
    pub channels: usize,
    /// The input's rate, in Hz.
    pub input_rate: f64,
    /// The output's rate, in Hz.
    pub output_rate: f64,
    /// Whether both run by one clock, and so at one rate.
    pub is_one_clock: bool,
}

/// A time in seconds, and how many frames the input had delivered by then.
type Time = (f64, u64);

/// The input device's end: writes the ring.
pub struct Feed {
    samples: Producer<f64>,
    times: Producer<Time>,
    channels: usize,
    frames: u64,
    gauge: Arc<Gauge>,
}

/// The output device's end: reads the ring.
pub struct Draw {
    samples: Consumer<f64>,
    times: Consumer<Time>,
    join: Join,
    input: Clock,
    output: Clock,
    steer: Steer,
    resampler: Option<Resampled>,
    /// Frames read from the ring, and frames delivered to the output.
    read: u64,
    delivered: u64,
    is_running: bool,
    /// After a discontinuity: frames until the resampler's filter holds only new input; then it fades in.
    settling: usize,
    fade_in: Fade,
    /// The last frame; the decaying last frame before a discontinuity, and its decay a frame.
    last: Box<[f64]>,
    remainder: Box<[f64]>,
    decay: f64,
    gauge: Arc<Gauge>,
}

/// The resampler and its buffers.
struct Resampled {
    rubato: Async<f64>,
    gathered: Vec<Vec<f64>>,
    chunk: Vec<Vec<f64>>,
    /// Position of the next frame in the chunk.
    next: usize,
    /// How far the resampler's position is ahead of the input that it has read, in frames.
    lead: f64,
    /// Input frames an output frame, at the end of the last chunk and from then on.
    step: f64,
    wanted: f64,
}

/// The join's state, which the conductor may read.
#[derive(Debug, Default)]
pub struct Gauge {
    /// Seconds, parts in 1, parts in 1: floating-point numbers, as bits.
    waiting: AtomicU64,
    drift: AtomicU64,
    ratio: AtomicU64,
    /// Frames of the input's and the output's blocks.
    blocks: [AtomicU64; 2],
    slips: AtomicU64,
    nonfinite: AtomicU64,
    is_running: AtomicBool,
}

/// The state of a join.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Whether audio passes.
    pub is_running: bool,
    /// Audio between the devices, in ms.
    pub fill_ms: f64,
    /// How much faster the input's clock is than the output's, in parts per million.
    pub drift_ppm: f64,
    /// Output frames an input frame.
    pub ratio: f64,
    /// How often input was missing, or was skipped.
    pub slips: u64,
    /// Samples that were NaN or infinite, and were replaced by silence.
    pub nonfinite: u64,
}

impl Gauge {
    /// `[control]` Sets the devices' blocks, in frames, which decide the target fill.
    pub fn set_blocks(&self, input: usize, output: usize) {
        self.blocks[0].store(input as u64, Ordering::Relaxed);
        self.blocks[1].store(output as u64, Ordering::Relaxed);
    }

    fn read(of: &AtomicU64) -> f64 {
        f64::from_bits(of.load(Ordering::Relaxed))
    }

    fn write(to: &AtomicU64, value: f64) {
        to.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The current state.
    pub fn state(&self) -> State {
        State {
            is_running: self.is_running.load(Ordering::Relaxed),
            fill_ms: 1000.0 * Self::read(&self.waiting),
            drift_ppm: 1e6 * Self::read(&self.drift),
            ratio: Self::read(&self.ratio),
            slips: self.slips.load(Ordering::Relaxed),
            nonfinite: self.nonfinite.load(Ordering::Relaxed),
        }
    }
}

/// `[control]` Both ends of a join, and its gauge.
///
/// # Errors
/// What rubato says of the ratio of the two rates.
pub fn join(join: Join) -> Result<(Feed, Draw, Arc<Gauge>), ResamplerConstructionError> {
    // A second: more than any device's buffer.
    let (samples, samples_end) = RingBuffer::new(join.input_rate as usize * join.channels);
    let (times, times_end) = RingBuffer::new(TIMES);
    let gauge = Arc::new(Gauge::default());
    let resampler = if join.is_one_clock { None } else { Some(Resampled::new(&join)?) };
    let feed = Feed { samples, times, channels: join.channels, frames: 0, gauge: Arc::clone(&gauge) };
    let zeros = || vec![0.0; join.channels].into_boxed_slice();
    let draw = Draw {
        samples: samples_end,
        times: times_end,
        join,
        input: Clock::new(join.input_rate),
        output: Clock::new(join.output_rate),
        steer: Steer::new(join.input_rate),
        resampler,
        read: 0,
        delivered: 0,
        is_running: false,
        settling: 0,
        fade_in: Fade::new((FADE_IN * join.output_rate) as u32, false),
        last: zeros(),
        remainder: zeros(),
        decay: 0.001_f64.powf(1.0 / (DECAY * join.output_rate)),
        gauge: Arc::clone(&gauge),
    };
    Ok((feed, draw, gauge))
}

impl Feed {
    /// `[audio]` Writes a block of the input at `now` seconds; `sample(frame, channel)` returns each sample. If the
    /// ring is full, the block is lost and counted.
    pub fn push(&mut self, frames: usize, now: f64, sample: impl Fn(usize, usize) -> f64) {
        let channels = self.channels;
        match self.samples.write_chunk_uninit(frames * channels) {
            Ok(chunk) => {
                let all = (0..frames).flat_map(|frame| (0..channels).map(move |channel| (frame, channel)));
                // A NaN would stay in the resampler's filter, and in the decaying remainder.
                let mut nonfinite = 0;
                chunk.fill_from_iter(all.map(|(frame, channel)| {
                    let sample = sample(frame, channel);
                    nonfinite += u64::from(!sample.is_finite());
                    if sample.is_finite() { sample } else { 0.0 }
                }));
                self.gauge.nonfinite.fetch_add(nonfinite, Ordering::Relaxed);
                self.frames += frames as u64;
            }
            Err(_) => {
                self.gauge.slips.fetch_add(1, Ordering::Relaxed);
            }
        }
        // If the queue is full, the output has stopped: a later time is enough.
        self.times.push((now, self.frames)).ok();
    }
}

impl Draw {
    /// `[audio]` Begins a block of the output, at `now` seconds.
    pub fn begin(&mut self, frames: usize, now: f64) {
        while let Ok((at, frames)) = self.times.pop() {
            self.input.record(at, frames);
        }
        self.output.record(now, self.delivered);
        self.delivered += frames as u64;
        let target = self.target();
        let waiting = self.waiting();
        let rate = self.join.input_rate;
        if self.is_running && waiting > target + EXCESS * rate {
            self.gauge.slips.fetch_add(1, Ordering::Relaxed);
            self.skip(waiting - target);
        } else if !self.is_running && waiting >= target && self.has_buffered(target) {
            self.skip(waiting - target);
            self.is_running = true;
        }
        let mut speed = 1.0;
        if self.is_running
            && let Some(resampled) = &mut self.resampler
        {
            let spent = frames as f64 / self.join.output_rate;
            speed = self.steer.update(waiting - target, spent);
            resampled.wanted = speed * rate / self.join.output_rate;
        }
        let gauge = &self.gauge;
        Gauge::write(&gauge.waiting, if self.is_running { waiting / rate } else { 0.0 });
        let drift = self.input.rate() / rate * self.join.output_rate / self.output.rate() - 1.0;
        Gauge::write(&gauge.drift, drift);
        Gauge::write(&gauge.ratio, self.join.output_rate / (rate * speed));
        gauge.is_running.store(self.is_running, Ordering::Relaxed);
    }

    /// `[audio]` Fills `planes` with the block's next frames.
    pub fn fill(&mut self, planes: &mut [Plane], frames: usize) {
        for frame in 0..frames {
            self.frame(planes, frame);
        }
    }

    fn frame(&mut self, planes: &mut [Plane], frame: usize) {
        if self.is_running && !self.prepare_next() {
            self.is_running = false;
            self.gauge.slips.fetch_add(1, Ordering::Relaxed);
            self.begin_fade();
        }
        let gain = match self.settling {
            _ if !self.is_running => 0.0,
            0 => self.fade_in.tick(),
            frames => {
                self.settling = frames - 1;
                0.0
            }
        };
        for (channel, plane) in planes.iter_mut().enumerate() {
            let sample = match &self.resampler {
                _ if !self.is_running => 0.0,
                Some(resampled) => resampled.chunk[channel][resampled.next],
                None => self.samples.pop().unwrap_or(0.0),
            };
            let remainder = &mut self.remainder[channel];
            // With a gain of 1 and no remainder the output is bit-identical.
            let out = gain * sample + *remainder;
            *remainder = if remainder.abs() < 1e-9 { 0.0 } else { *remainder * self.decay };
            (plane[frame], self.last[channel]) = (out, out);
        }
        if self.is_running {
            match &mut self.resampler {
                Some(resampled) => resampled.next += 1,
                None => self.read += 1,
            }
        }
    }

    /// A discontinuity follows: the last frame decays, and what comes next fades in.
    fn begin_fade(&mut self) {
        self.remainder.copy_from_slice(&self.last);
        self.fade_in = Fade::new(self.fade_in.frames(), false);
        self.fade_in.set_target(true);
        self.settling = if self.resampler.is_some() { TAPS } else { 0 };
    }

    /// Resamples the next chunk if the last one is used up. False if there is too little input.
    fn prepare_next(&mut self) -> bool {
        match &mut self.resampler {
            None => self.samples.slots() >= self.join.channels,
            Some(resampled) if resampled.next < CHUNK => true,
            Some(resampled) => match resampled.process(&mut self.samples) {
                Some(read) => {
                    self.read += read as u64;
                    true
                }
                None => false,
            },
        }
    }

    /// The target fill between the devices, in input frames: a block of each, and a reserve for late blocks.
    fn target(&self) -> f64 {
        let [input, output] = [0, 1].map(|at| self.gauge.blocks[at].load(Ordering::Relaxed) as f64);
        let (rate, output) = (self.join.input_rate, output * self.join.input_rate / self.join.output_rate);
        input + output + 0.5 * input.max(output) + LATE * rate + CHUNK as f64
    }

    /// Whether the ring holds so many frames, less one block of the input.
    fn has_buffered(&self, frames: f64) -> bool {
        let block = self.gauge.blocks[0].load(Ordering::Relaxed) as f64;
        self.input.is_known() && (self.samples.slots() / self.join.channels) as f64 >= frames - block
    }

    /// Input frames between the devices at the time of this block, by their clocks.
    fn waiting(&self) -> f64 {
        let inside = self.resampler.as_ref().map_or(0.0, Resampled::ahead);
        self.input.since(self.read, self.output.at()) + inside
    }

    /// Skips so many frames and starts again behind them.
    fn skip(&mut self, frames: f64) {
        let available = self.samples.slots() / self.join.channels;
        let skipped = (frames.max(0.0) as usize).min(available);
        if let Ok(chunk) = self.samples.read_chunk(skipped * self.join.channels) {
            chunk.commit_all();
            self.read += skipped as u64;
        }
        if let Some(resampled) = &mut self.resampler {
            resampled.reset();
        }
        self.steer.reset();
        self.begin_fade();
    }
}

impl Resampled {
    fn new(join: &Join) -> Result<Self, ResamplerConstructionError> {
        let ratio = join.output_rate / join.input_rate;
        let parameters =
            SincInterpolationParameters::new(TAPS, WindowFunction::BlackmanHarris2).oversampling_factor(256);
        let rubato =
            Async::new_sinc(ratio, MOST_RATIO, &parameters, CHUNK, join.channels, FixedAsync::Output)?;
        let most = rubato.input_frames_max();
        Ok(Self {
            rubato,
            gathered: vec![vec![0.0; most]; join.channels],
            chunk: vec![vec![0.0; CHUNK]; join.channels],
            next: CHUNK,
            lead: 0.0,
            step: 1.0 / ratio,
            wanted: 1.0 / ratio,
        })
    }

    /// `[audio]` Resamples the next chunk. Returns how many input frames it used; `None` if there are too few.
    fn process(&mut self, samples: &mut Consumer<f64>) -> Option<usize> {
        let channels = self.gathered.len();
        // The controller keeps the ratio within the bounds.
        self.rubato.set_resample_ratio(1.0 / self.wanted, true).ok();
        let need = self.rubato.input_frames_next();
        let chunk = samples.read_chunk(need * channels).ok()?;
        for (at, sample) in chunk.into_iter().enumerate() {
            self.gathered[at % channels][at / channels] = sample;
        }
        let input = SequentialSliceOfVecs::new(&self.gathered, channels, need).ok()?;
        let mut output = SequentialSliceOfVecs::new_mut(&mut self.chunk, channels, CHUNK).ok()?;
        self.rubato.process_into_buffer(&input, &mut output, None).ok()?;
        // rubato moves from the old step to the new one in equal parts, beginning with the first frame.
        let (frames, change) = (CHUNK as f64, self.wanted - self.step);
        self.lead += frames * self.step + 0.5 * change * (frames + 1.0) - need as f64;
        (self.step, self.next) = (self.wanted, 0);
        Some(need)
    }

    /// Input frames that it has read and not yet delivered.
    fn ahead(&self) -> f64 {
        (CHUNK - self.next) as f64 * self.step - self.lead
    }

    fn reset(&mut self) {
        self.rubato.reset();
        (self.next, self.lead) = (CHUNK, 0.0);
        self.rubato.set_resample_ratio(1.0 / self.step, false).ok();
    }
}
