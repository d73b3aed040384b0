//! Joins what one device takes in to what another one plays.
//!
//! ```text
//!   input device ──► Feed ═══ samples, times ═══► Draw ──► output device's callback
//!                                                  │
//!                                                Gauge ──► conductor
//! ```
//!
//! Where both run by one clock the samples pass as they are. Where each has its own, they are resampled (rubato) at a
//! ratio that follows the drift between the two, so that the latency stays. If the input fails to come in time there is
//! silence until enough lies waiting again; every jump dies away within some milliseconds instead of clicking.

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
/// Times of the input that may be under way.
const TIMES: usize = 256;
/// What was before a jump dies away by 60 dB in this time, and what comes after it comes up in this one, in seconds.
const DIES: f64 = 0.005;
const RISES: f64 = 0.010;
/// More than the wanted latency and this, in seconds, is not drawn in by speed but left out.
const EXCESS: f64 = 0.05;
/// The devices' blocks may come this much late, in seconds.
const LATE: f64 = 0.001;

/// What is to be joined.
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

/// A time at which the input had come so far.
type Time = (f64, u64);

/// The input device's end.
pub struct Feed {
    samples: Producer<f64>,
    times: Producer<Time>,
    channels: usize,
    frames: u64,
    gauge: Arc<Gauge>,
}

/// The output device's end.
pub struct Draw {
    samples: Consumer<f64>,
    times: Consumer<Time>,
    join: Join,
    input: Clock,
    output: Clock,
    steer: Steer,
    resampler: Option<Resampled>,
    /// Frames taken from the ring, and frames given.
    read: u64,
    given: u64,
    is_running: bool,
    /// After a jump: frames until the resampler has forgotten what was before, then it comes up.
    settling: usize,
    level: Fade,
    /// The last frame; what is left of the one before a jump, and how fast that dies away.
    last: Box<[f64]>,
    left: Box<[f64]>,
    dies: f64,
    gauge: Arc<Gauge>,
}

/// The resampler and what lies between it and the ring.
struct Resampled {
    rubato: Async<f64>,
    gathered: Vec<Vec<f64>>,
    chunk: Vec<Vec<f64>>,
    /// Where in the chunk the next frame lies.
    next: usize,
    /// How much further the resampler is in the input than what it has taken.
    lead: f64,
    /// Input frames an output frame, at the end of the last chunk and from then on.
    step: f64,
    wanted: f64,
}

/// What the conductor may look at.
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

/// How a join is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Whether sound passes.
    pub is_running: bool,
    /// How much lies between the devices, in ms.
    pub fill_ms: f64,
    /// How much faster the input's clock is than the output's, in parts per million.
    pub drift_ppm: f64,
    /// Output frames an input frame.
    pub ratio: f64,
    /// How often sound was missing, or was left out.
    pub slips: u64,
    /// Samples that were a NaN or an infinity; silence has taken their place.
    pub nonfinite: u64,
}

impl Gauge {
    /// `[control]` The devices' blocks, in frames, which say how much must lie waiting.
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

    /// How it is.
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

/// `[control]` Both ends of a join, and what shows how it is.
///
/// # Errors
/// What rubato says of the ratio of the two rates.
pub fn join(join: Join) -> Result<(Feed, Draw, Arc<Gauge>), ResamplerConstructionError> {
    // A second: more than any device's buffer.
    let (samples, drawn) = RingBuffer::new(join.input_rate as usize * join.channels);
    let (times, told) = RingBuffer::new(TIMES);
    let gauge = Arc::new(Gauge::default());
    let resampler = if join.is_one_clock { None } else { Some(Resampled::new(&join)?) };
    let feed = Feed { samples, times, channels: join.channels, frames: 0, gauge: Arc::clone(&gauge) };
    let zeros = || vec![0.0; join.channels].into_boxed_slice();
    let draw = Draw {
        samples: drawn,
        times: told,
        join,
        input: Clock::new(join.input_rate),
        output: Clock::new(join.output_rate),
        steer: Steer::new(join.input_rate),
        resampler,
        read: 0,
        given: 0,
        is_running: false,
        settling: 0,
        level: Fade::new((RISES * join.output_rate) as u32, false),
        last: zeros(),
        left: zeros(),
        dies: 0.001_f64.powf(1.0 / (DIES * join.output_rate)),
        gauge: Arc::clone(&gauge),
    };
    Ok((feed, draw, gauge))
}

impl Feed {
    /// `[audio]` The input's thread has so many frames at `now` seconds: `sample(frame, channel)` gives each. Without room
    /// they are lost, and counted.
    pub fn push(&mut self, frames: usize, now: f64, sample: impl Fn(usize, usize) -> f64) {
        let channels = self.channels;
        match self.samples.write_chunk_uninit(frames * channels) {
            Ok(chunk) => {
                let all = (0..frames).flat_map(|frame| (0..channels).map(move |channel| (frame, channel)));
                // A NaN would stay: in the resampler's filter, and in what dies away after a jump.
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
        // Without room the output stands still: a later time will do.
        self.times.push((now, self.frames)).ok();
    }
}

impl Draw {
    /// `[audio]` The output's thread begins a block of so many frames, at `now` seconds.
    pub fn begin(&mut self, frames: usize, now: f64) {
        while let Ok((at, frames)) = self.times.pop() {
            self.input.note(at, frames);
        }
        self.output.note(now, self.given);
        self.given += frames as u64;
        let wanted = self.wanted();
        let waiting = self.waiting();
        let rate = self.join.input_rate;
        if self.is_running && waiting > wanted + EXCESS * rate {
            self.gauge.slips.fetch_add(1, Ordering::Relaxed);
            self.leave_out(waiting - wanted);
        } else if !self.is_running && waiting >= wanted && self.has_come(wanted) {
            self.leave_out(waiting - wanted);
            self.is_running = true;
        }
        let mut speed = 1.0;
        if self.is_running
            && let Some(resampled) = &mut self.resampler
        {
            let spent = frames as f64 / self.join.output_rate;
            speed = self.steer.turn(waiting - wanted, spent);
            resampled.wanted = speed * rate / self.join.output_rate;
        }
        let gauge = &self.gauge;
        Gauge::write(&gauge.waiting, if self.is_running { waiting / rate } else { 0.0 });
        let drift = self.input.rate() / rate * self.join.output_rate / self.output.rate() - 1.0;
        Gauge::write(&gauge.drift, drift);
        Gauge::write(&gauge.ratio, self.join.output_rate / (rate * speed));
        gauge.is_running.store(self.is_running, Ordering::Relaxed);
    }

    /// `[audio]` The block's next frames, on each of `planes`.
    pub fn fill(&mut self, planes: &mut [Plane], frames: usize) {
        for frame in 0..frames {
            self.frame(planes, frame);
        }
    }

    fn frame(&mut self, planes: &mut [Plane], frame: usize) {
        if self.is_running && !self.is_there() {
            self.is_running = false;
            self.gauge.slips.fetch_add(1, Ordering::Relaxed);
            self.jump();
        }
        let gain = match self.settling {
            _ if !self.is_running => 0.0,
            0 => self.level.tick(),
            more => {
                self.settling = more - 1;
                0.0
            }
        };
        for (channel, plane) in planes.iter_mut().enumerate() {
            let sample = match &self.resampler {
                _ if !self.is_running => 0.0,
                Some(resampled) => resampled.chunk[channel][resampled.next],
                None => self.samples.pop().unwrap_or(0.0),
            };
            let left = &mut self.left[channel];
            // At full level, and with nothing left, not a bit changes.
            let out = gain * sample + *left;
            *left = if left.abs() < 1e-9 { 0.0 } else { *left * self.dies };
            (plane[frame], self.last[channel]) = (out, out);
        }
        if self.is_running {
            match &mut self.resampler {
                Some(resampled) => resampled.next += 1,
                None => self.read += 1,
            }
        }
    }

    /// What comes next does not follow what was heard last, which dies away.
    fn jump(&mut self) {
        self.left.copy_from_slice(&self.last);
        self.level = Fade::new(self.level.frames(), false);
        self.level.set_target(true);
        self.settling = if self.resampler.is_some() { TAPS } else { 0 };
    }

    /// Whether there is another frame; makes it where it is not made yet.
    fn is_there(&mut self) -> bool {
        match &mut self.resampler {
            None => self.samples.slots() >= self.join.channels,
            Some(resampled) if resampled.next < CHUNK => true,
            Some(resampled) => match resampled.make(&mut self.samples) {
                Some(taken) => {
                    self.read += taken as u64;
                    true
                }
                None => false,
            },
        }
    }

    /// Input frames that should lie between the two: a block of each, and room for what comes late.
    fn wanted(&self) -> f64 {
        let [input, output] = [0, 1].map(|at| self.gauge.blocks[at].load(Ordering::Relaxed) as f64);
        let (rate, output) = (self.join.input_rate, output * self.join.input_rate / self.join.output_rate);
        input + output + 0.5 * input.max(output) + LATE * rate + CHUNK as f64
    }

    /// Whether so many frames have really come, but for the block that is under way.
    fn has_come(&self, frames: f64) -> bool {
        let block = self.gauge.blocks[0].load(Ordering::Relaxed) as f64;
        self.input.is_known() && (self.samples.slots() / self.join.channels) as f64 >= frames - block
    }

    /// Input frames that lie between the two at the time of this block, by their clocks.
    fn waiting(&self) -> f64 {
        let inside = self.resampler.as_ref().map_or(0.0, Resampled::ahead);
        self.input.since(self.read, self.output.at()) + inside
    }

    /// Leaves out so many frames, and begins anew behind them.
    fn leave_out(&mut self, frames: f64) {
        let there = self.samples.slots() / self.join.channels;
        let left_out = (frames.max(0.0) as usize).min(there);
        if let Ok(chunk) = self.samples.read_chunk(left_out * self.join.channels) {
            chunk.commit_all();
            self.read += left_out as u64;
        }
        if let Some(resampled) = &mut self.resampler {
            resampled.begin_again();
        }
        self.steer.begin_again();
        self.jump();
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

    /// `[audio]` Makes the next chunk. Gives how many frames it took; `None` where there are too few.
    fn make(&mut self, samples: &mut Consumer<f64>) -> Option<usize> {
        let channels = self.gathered.len();
        // The ratio lies within bounds that the steering keeps.
        self.rubato.set_resample_ratio(1.0 / self.wanted, true).ok();
        let need = self.rubato.input_frames_next();
        let chunk = samples.read_chunk(need * channels).ok()?;
        for (at, sample) in chunk.into_iter().enumerate() {
            self.gathered[at % channels][at / channels] = sample;
        }
        let input = SequentialSliceOfVecs::new(&self.gathered, channels, need).ok()?;
        let mut output = SequentialSliceOfVecs::new_mut(&mut self.chunk, channels, CHUNK).ok()?;
        self.rubato.process_into_buffer(&input, &mut output, None).ok()?;
        // It goes from one step to the other in equal parts, the first of which comes at once.
        let (frames, change) = (CHUNK as f64, self.wanted - self.step);
        self.lead += frames * self.step + 0.5 * change * (frames + 1.0) - need as f64;
        (self.step, self.next) = (self.wanted, 0);
        Some(need)
    }

    /// Input frames that it has taken and not yet given.
    fn ahead(&self) -> f64 {
        (CHUNK - self.next) as f64 * self.step - self.lead
    }

    fn begin_again(&mut self) {
        self.rubato.reset();
        (self.next, self.lead) = (CHUNK, 0.0);
        self.rubato.set_resample_ratio(1.0 / self.step, false).ok();
    }
}
