//! Denoise: removes steady noise (hiss, broadband hum, air conditioning) from a programme.
//!
//! `broadband` works on spectra of about 53 ms with an overlap of five: each bin is attenuated according to its share
//! of noise, by at most `reduction`, with the same gain for all channels, which keeps the stereo image. The noise is
//! learned while `learn` is on (the signal passes unchanged), or else estimated: the level in each band that the
//! programme does not fall below for two seconds, if it has the statistics of noise. Noise that ends far below 20 kHz
//! must be learned. Latency: a frame and a fifth (3072 frames at 44.1 and 48 kHz); the work on a spectrum is spread
//! over that fifth. Without noise, the output is the delayed input, to -120 dB.
//!
//! `voice` keeps speech and little else (RNNoise), for each channel separately; `reduction` is the attenuation of the
//! rest. Latency: 960 frames at 48 kHz, and 64 more for each channel after the first, because the network processes
//! them one after another; about the same time at other rates. The state of the network cannot be copied without
//! allocating: a swap starts with a new one, which settles during the warm-up.

use crate::block::{Block, SUBBLOCK};
use crate::dsp::delay::line::Delay;
use crate::dsp::spectral::noise_floor::NoiseFloor;
use crate::dsp::spectral::noise_profile::{BANDS, Bands};
use crate::dsp::spectral::noise_suppression::{FrameSettings, Suppressor};
use crate::dsp::spectral::stft::{self, Stft};
use crate::dsp::spectral::voice::{self, Voice};
use crate::node::{Node, NodeType, Params, Setup, Workload, same};
use crate::param::ramp::Ramp;
use crate::param::text::{Form, PROFILE_BANDS, Text};
use crate::param::{Param, Unit, db_to_gain, gain_to_db};
use crate::reading::{REDUCTION as REDUCED, Reading, Readings};

const REDUCTION: Param = Param::new(0, "reduction", Unit::Db)
    .range(0.0, 30.0)
    .default(12.0)
    .help("Noise reduction. The residual noise keeps its spectrum.");
const FLOOR: Param = Param::new(1, "floor", Unit::Dbfs)
    .range(-140.0, -40.0)
    .default(-140.0)
    .bottom("-inf")
    .help("Lowest level to which noise is reduced, whatever the reduction.");
const SMOOTHING: Param = Param::new(2, "smoothing", Unit::Percent)
    .range(0.0, 100.0)
    .default(50.0)
    .help("Smoothing of the gain over time and frequency. High: no musical noise. Low: more detail.");
const SENSITIVITY: Param = Param::new(3, "sensitivity", Unit::Db)
    .range(-12.0, 12.0)
    .help("Offset added to the noise estimate. Higher removes more noise, and more of the programme.");
const LISTEN: Param = Param::new(4, "listen", Unit::Switch).help("Outputs only the removed signal.");
const LEARN: Param = Param::new(5, "learn", Unit::Switch)
    .momentary()
    .help("On: learns the noise and passes the signal unchanged. Switched off: the learned noise becomes the profile.");
const MODE: Param = Param::new(6, "mode", Unit::Choice(&["broadband", "voice"]))
    .setting()
    .help("broadband: removes steady noise from any programme; voice: removes all but speech (RNNoise).");

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "denoise",
    "Noise reduction by a learned or an estimated noise profile, or voice isolation.",
    &[REDUCTION, FLOOR, SMOOTHING, SENSITIVITY, LISTEN, LEARN, MODE],
    build,
)
.latency(latency)
.texts(&[Text {
    name: "profile",
    form: Form::Profile,
    help: "Learned noise profile: the noise level in each band. Empty: the noise is estimated from the programme.",
}])
.readings(&[
    REDUCED,
    Reading::new("noise", Unit::Dbfs, "RMS level of the noise, learned or estimated.").scale(-100.0, -20.0),
])
// A network that has heard a voice cannot be copied or made new without allocating: it goes on from what it knows.
.has_memory(is_voice)
// The network lets go of a voice slowly.
.settles_in(|setup| if is_voice(setup) { 2.0 } else { 0.1 })
.workloads(&[Workload::new("", ""), Workload::new(" of a voice", "mode: voice")]);

/// Time between two spectra. Longer frames separate the partials of strings better, shorter ones follow speech better.
const HOP_MS: f64 = 10.67;
/// Reduction in dB above which the SNR is smoothed more, in proportion: fluctuations of the noise are more audible the
/// lower the residual noise is.
const ENOUGH: f64 = 12.0;
/// Smallest number of spectra for a profile.
const FEWEST: usize = 8;
const _: () = assert!(BANDS == PROFILE_BANDS, "a profile has as many bands as its text");
/// Level of the noise in dBFS up to which there is none.
const LOWEST: f64 = -140.0;

/// The output, or the removed signal with `share` 1.
#[inline]
fn output(left: f64, dry: f64, share: f64) -> f64 {
    if share == 0.0 { left } else { (1.0 - share) * left + share * (dry - left) }
}

/// Frames between two spectra: the power of two nearest to that time.
fn hop(sample_rate: f64) -> usize {
    1 << (HOP_MS / 1000.0 * sample_rate).log2().round() as u32
}

fn latency(setup: &Setup<'_>) -> usize {
    if is_voice(setup) {
        voice::latency(setup.sample_rate, setup.channels)
    } else {
        stft::latency(hop(setup.sample_rate))
    }
}

fn is_voice(setup: &Setup<'_>) -> bool {
    setup.value(&MODE) > 0.0
}

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    if is_voice(setup) {
        let dry = (0..setup.channels).map(|_| Delay::new(latency(setup))).collect();
        return Box::new(Speech { voices: Voice::all(setup.sample_rate, setup.channels), dry });
    }
    let stft = Stft::new(hop(setup.sample_rate), setup.channels);
    let bands = Bands::new(stft.lines(), setup.sample_rate);
    let levels = setup.profile(0).and_then(|profile| profile.bands.as_slice().try_into().ok());
    let zeros = || vec![0.0; stft.lines()].into_boxed_slice();
    Box::new(Broadband {
        channels: setup.channels,
        suppressor: Suppressor::new(stft.lines()),
        power: zeros(),
        noise: zeros(),
        learned: zeros(),
        profile: levels.map(|levels| bands.by_levels(&levels, stft.noise_gain())),
        state: State::default(),
        bands,
        stft,
    })
}

struct Broadband {
    channels: usize,
    stft: Stft,
    bands: Bands,
    suppressor: Suppressor,
    /// Power of each bin: of the frame, of the noise, and the sum while learning.
    power: Box<[f64]>,
    noise: Box<[f64]>,
    learned: Box<[f64]>,
    /// Noise power of a bin in each band, from the profile setting or learned.
    profile: Option<[f64; BANDS]>,
    state: State,
}

/// State besides the spectra.
#[derive(Clone, Copy)]
struct State {
    /// The next piece of the work on a frame.
    job: usize,
    floor: NoiseFloor,
    settings: FrameSettings,
    /// Lowest level of the noise, as an amplitude.
    least: f64,
    /// Whether it is learning, and the number of spectra summed.
    learning: bool,
    count: usize,
    /// Level of the noise, as an amplitude, and its current attenuation.
    level: f64,
    reduced: f64,
}

impl Default for State {
    fn default() -> Self {
        let settings = FrameSettings { factor: 1.0, floor: 1.0, memory: 0.0, width: (0.0, 0.0) };
        Self {
            job: usize::MAX,
            floor: NoiseFloor::default(),
            settings,
            least: 0.0,
            learning: false,
            count: 0,
            level: f64::NAN,
            reduced: f64::NAN,
        }
    }
}

/// The parameters that are read at the beginning of a frame.
const FRAME_ROWS: [Param; 4] = [REDUCTION, FLOOR, SMOOTHING, SENSITIVITY];

impl Broadband {
    fn jobs(&self) -> usize {
        2 * self.channels + 4
    }

    /// Frames of the hop after which a piece of the work is done.
    fn job_start(&self, job: usize) -> usize {
        job * self.stft.hop() / self.jobs()
    }

    /// The noise learned so far, if there are enough spectra.
    fn learned_profile(&self) -> Option<[f64; BANDS]> {
        let count = self.state.count;
        (count >= FEWEST).then(|| self.bands.densities(&self.learned).map(|sum| sum / count as f64))
    }

    /// Starts the work on a complete frame, with the current parameters.
    fn begin_frame(&mut self, ramps: &[Ramp; 4], learn: bool, meter: &mut Readings) {
        let [reduction, floor, smoothing, sensitivity] = ramps.each_ref().map(Ramp::value);
        let steadier = ENOUGH / reduction.max(ENOUGH);
        let state = &mut self.state;
        state.settings = FrameSettings {
            factor: 10.0_f64.powf(sensitivity / 10.0),
            floor: db_to_gain(-reduction),
            // Smoothing from 0.2 to 0.9 s, and from 0 to 1/12 octave on each side.
            memory: 1.0 - 0.05 * 0.25_f64.powf(smoothing) * steadier,
            width: (6.0 * smoothing, smoothing / 16.0),
        };
        state.least = if floor > FLOOR.min { db_to_gain(floor) } else { 0.0 };
        if learn && !state.learning {
            self.learned.fill(0.0);
            state.count = 0;
        }
        if state.learning
            && !learn
            && let Some(densities) = self.learned_profile()
        {
            let gain = self.stft.noise_gain();
            let mut levels = self.bands.levels(&densities, gain);
            for (band, level) in levels.iter_mut().enumerate() {
                *level = meter.learned(band, *level);
            }
            self.profile = Some(self.bands.by_levels(&levels, gain));
        }
        let state = &mut self.state;
        state.learning = learn;
        state.job = 0;
    }

    /// Does the next piece of the work on a frame.
    fn do_job(&mut self) {
        let mut job = self.state.job;
        self.state.job += 1;
        if job < self.channels {
            return self.stft.analyse(job);
        }
        job -= self.channels;
        match job {
            0 => {
                self.stft.power(0, &mut self.power);
                if self.state.learning {
                    self.learned.iter_mut().zip(&self.power).for_each(|(sum, power)| *sum += power);
                    self.state.count += 1;
                }
                self.state.floor.add_spectrum(&self.power, &self.bands);
            }
            1 => {
                let learned = if self.state.learning { self.learned_profile() } else { None };
                let densities = learned.or(self.profile);
                let densities = densities.unwrap_or_else(|| self.state.floor.densities(&self.bands));
                self.bands.spread(&densities, &mut self.noise);
                let lines = (self.stft.lines() - 1) as f64;
                let power = self.noise.iter().sum::<f64>() / (lines * self.stft.noise_gain());
                let state = &mut self.state;
                state.level = power.sqrt();
                state.settings.floor = state.settings.floor.max(state.least / state.level).min(1.0);
            }
            2 => self.suppressor.compute_gains(&self.power, &self.noise, &self.state.settings),
            3 => {
                if self.state.learning {
                    self.suppressor.set_unity();
                } else {
                    self.suppressor.smooth_gains(&self.state.settings);
                }
                let gains = self.suppressor.gains().iter().zip(&self.noise);
                let left: f64 = gains.map(|(gain, noise)| gain * gain * noise).sum();
                self.state.reduced = (left / self.noise.iter().sum::<f64>()).sqrt();
            }
            job => self.stft.synthesise(job - 4, self.suppressor.gains()),
        }
    }
}

impl Node for Broadband {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let mut ramps = FRAME_ROWS.map(|row| params.ramp(&row));
        let learn = params.ramp(&LEARN).target() > 0.0;
        let mut listen = params.ramp(&LISTEN);
        let (mut from, mut dry) = (0, [0.0; SUBBLOCK]);
        while from < block.frames() {
            while self.state.job < self.jobs() && self.job_start(self.state.job) <= self.stft.at() {
                self.do_job();
            }
            let next =
                if self.state.job < self.jobs() { self.job_start(self.state.job) } else { self.stft.hop() };
            let to = block.frames().min(from + next - self.stft.at());
            let mut end = listen;
            for (channel, samples) in block.channels().enumerate() {
                let samples = &mut samples[from..to];
                self.stft.exchange(channel, samples, &mut dry);
                end = listen;
                for (sample, dry) in samples.iter_mut().zip(&dry) {
                    *sample = output(*sample, *dry, end.tick());
                }
            }
            listen = end;
            self.stft.advance(to - from);
            ramps.iter_mut().for_each(|ramp| ramp.advance(to - from));
            if self.stft.at() == 0 {
                self.begin_frame(&ramps, learn, meter);
            }
            from = to;
        }
        meter.low(0, self.state.reduced);
        // Where no noise is found there is none.
        let level = gain_to_db(self.state.level);
        if level > LOWEST {
            meter.now(1, level);
        }
    }

    fn reset(&mut self) {
        self.stft.reset();
        self.suppressor.reset();
        self.state = State::default();
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        if (old.channels, old.stft.lines()) != (self.channels, self.stft.lines()) {
            return;
        }
        self.stft.adopt(&old.stft);
        self.suppressor.adopt(&old.suppressor);
        self.power.copy_from_slice(&old.power);
        self.noise.copy_from_slice(&old.noise);
        self.learned.copy_from_slice(&old.learned);
        self.state = old.state;
    }
}

struct Speech {
    voices: Box<[Voice]>,
    dry: Box<[Delay]>,
}

impl Node for Speech {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let (reduction, listen) = (params.ramp(&REDUCTION), params.ramp(&LISTEN));
        let rest = reduction.steady().map(|reduction| db_to_gain(-reduction));
        let mut powers = [0.0; 2];
        for (samples, (voice, dry)) in block.channels().zip(self.voices.iter_mut().zip(&mut self.dry)) {
            let (mut reduction, mut listen) = (reduction, listen);
            for sample in samples {
                let rest = rest.unwrap_or_else(|| db_to_gain(-reduction.tick()));
                let (voice, dry) = (voice.tick(*sample), dry.tick(*sample));
                let left = voice + rest * (dry - voice);
                powers = [powers[0] + left * left, powers[1] + dry * dry];
                *sample = output(left, dry, listen.tick());
            }
        }
        if powers[1] > 0.0 {
            meter.low(0, (powers[0] / powers[1]).sqrt().min(1.0));
        }
    }

    fn reset(&mut self) {
        self.voices.iter_mut().for_each(Voice::reset);
        self.dry.iter_mut().for_each(Delay::reset);
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        self.dry.iter_mut().zip(&old.dry).for_each(|(dry, old)| dry.adopt(old));
    }
}
