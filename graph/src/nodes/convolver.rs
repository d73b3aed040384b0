//! Convolver: reverb or room correction, with an impulse response of up to 10 s.
//!
//! An impulse response with one channel applies to every channel; with two, to the left channels and the right ones;
//! four are true stereo (left to left, left to right, right to left, right to right). Without one the signal passes
//! unchanged. The convolution adds no latency; `latency: peak` declares the delay in the impulse response itself, up
//! to its highest sample, so that parallel branches are aligned with a linear-phase correction. In a swap, a convolver
//! adopts the input history of its predecessor, even with another impulse response: the tail is complete from the
//! first frame of the crossfade on. The crossfade waits for it, about a second for 10 s.

use crate::block::{Block, MAX_CHANNELS, SUBBLOCK};
use crate::dsp::delay::line::Delay;
use crate::dsp::delay::tap::Tap;
use crate::dsp::fir::convolution::{Convolution, Path, TICK};
use crate::node::{Node, NodeType, Params, Setup, Workload, same};
use crate::param::text::{Form, Text};
use crate::param::{Param, Unit};
use crate::reading::Readings;
use std::borrow::Cow;
use std::f64::consts::PI;

const WET: Param = Param::new(0, "wet", Unit::Gain)
    .range(-90.0, 24.0)
    .bottom("-inf")
    .help("Level of the convolved (wet) signal.");
const DRY: Param = Param::new(1, "dry", Unit::Gain)
    .range(-90.0, 24.0)
    .default(-90.0)
    .bottom("-inf")
    .help("Level of the dry signal.");
const GAIN: Param =
    Param::new(2, "gain", Unit::Gain).range(-60.0, 24.0).help("Output level, wet and dry together.");
const PREDELAY: Param = Param::new(3, "predelay", Unit::Ms)
    .range(0.0, 500.0)
    .help("Delay before the impulse response. Changes are crossfaded.");
const START: Param = Param::new(4, "start", Unit::Percent)
    .range(0.0, 100.0)
    .setting()
    .help("Share cut from the start of the impulse response.");
const LENGTH: Param = Param::new(5, "length", Unit::Percent)
    .range(0.0, 100.0)
    .default(100.0)
    .setting()
    .help("Share of the remaining impulse response that is used.");
const FADE: Param = Param::new(6, "fade", Unit::Percent)
    .range(0.0, 100.0)
    .default(10.0)
    .setting()
    .help("Length of the fade-out where length cuts the end, as a share of the part that is used.");
const NORMALISE: Param = Param::new(7, "normalise", Unit::Choice(&["off", "energy", "peak"]))
    .setting()
    .help("Level normalisation of the impulse response. energy: unity gain for white noise; peak: highest sample at 0 dBFS.");
const LATENCY: Param = Param::new(8, "latency", Unit::Choice(&["none", "peak"])).setting().help(
    "Reported latency of the impulse response. none: 0 (reverb); peak: time to its highest sample (linear-phase correction).",
);

const IMPULSE: Text = Text {
    name: "impulse",
    form: Form::Impulse,
    help: "Impulse response file: 1 channel for all, 2 for left and right, or 4 for true stereo (LL LR RL RR).",
};

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "convolver",
    "Convolution with an impulse response: reverb or room correction.",
    &[WET, DRY, GAIN, PREDELAY, START, LENGTH, FADE, NORMALISE, LATENCY],
    build,
)
.texts(&[IMPULSE])
.latency(|setup| latency(setup, &impulse(setup)))
.settles_in(|setup| {
    let frames = impulse(setup).first().map_or(0, Vec::len);
    frames as f64 / setup.sample_rate + (PREDELAY.max + FADE_MS) / 1000.0
})
.transparent_at(&[])
.workloads(&[Workload::new(" of 0.5 s", "impulse: hall.wav")]);

/// Time of the crossfade to a new pre-delay.
const FADE_MS: f64 = 20.0;
/// Largest number of samples of the pre-delay that are adopted at once.
const ADOPTED_SAMPLES: usize = 16_384;

/// The impulse response as it is played.
fn impulse<'a>(setup: &Setup<'a>) -> Cow<'a, [Vec<f64>]> {
    let Some(whole) = setup.impulse(0) else { return vec![vec![1.0]].into() };
    let share = |row: &Param, of: usize| (setup.value(row) / 100.0 * of as f64).round() as usize;
    let start = share(&START, whole.frames()).min(whole.frames() - 1);
    let end = start + share(&LENGTH, whole.frames() - start).max(1);
    let is_cut = end < whole.frames();
    let normalise = setup.value(&NORMALISE) as usize;
    if start == 0 && !is_cut && normalise == 0 {
        return Cow::Borrowed(&whole.channels);
    }
    let mut channels: Vec<Vec<f64>> = whole.channels.iter().map(|taps| taps[start..end].to_vec()).collect();
    let fade = if is_cut { share(&FADE, end - start) } else { 0 };
    for taps in &mut channels {
        let taps = taps.iter_mut().rev().take(fade).enumerate();
        taps.for_each(|(at, tap)| *tap *= 0.5 - 0.5 * (PI * (at + 1) as f64 / (fade + 1) as f64).cos());
    }
    // The level is that of the uncut impulse response, so that a cut does not make it louder.
    let taps = whole.channels.iter().flatten();
    let level = match normalise {
        // A mono impulse response has one path per output, true stereo two.
        1 => (taps.map(|tap| tap * tap).sum::<f64>() / whole.channels.len().min(2) as f64).sqrt(),
        2 => taps.fold(0.0, |peak, tap| tap.abs().max(peak)),
        _ => 1.0,
    };
    if level > 0.0 {
        channels.iter_mut().flatten().for_each(|tap| *tap /= level);
    }
    channels.into()
}

fn latency(setup: &Setup<'_>, impulse: &[Vec<f64>]) -> usize {
    if setup.value(&LATENCY) == 0.0 { 0 } else { peak(impulse) }
}

/// Time to the highest sample, in frames.
fn peak(impulse: &[Vec<f64>]) -> usize {
    let (mut highest, mut peak) = (0.0, 0);
    for (at, tap) in impulse.iter().flat_map(|taps| taps.iter().enumerate()) {
        if tap.abs() > highest {
            (highest, peak) = (tap.abs(), at);
        }
    }
    peak
}

/// The paths between channels.
fn paths(impulses: usize, channels: usize) -> Vec<Path> {
    let all = (0..channels).flat_map(|input| (0..channels).map(move |output| (input, output)));
    let path = |(input, output): (usize, usize)| {
        let impulse = match impulses {
            4 if input / 2 == output / 2 => input % 2 * 2 + output % 2,
            4 => return None,
            _ if input != output => return None,
            impulses => input % impulses,
        };
        Some(Path { input, impulse, output })
    };
    all.filter_map(path).collect()
}

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let impulse = impulse(setup);
    let taps: Vec<&[f64]> = impulse.iter().map(Vec::as_slice).collect();
    let channels = setup.channels;
    let predelay = Tap::new(setup.frames(PREDELAY.max), setup.frames(FADE_MS) as u32);
    let mut node = Convolver {
        frames_per_ms: setup.sample_rate / 1000.0,
        start: setup.frames(setup.value(&PREDELAY)),
        predelays: vec![predelay; channels].into_boxed_slice(),
        convolution: Convolution::new(&taps, &paths(taps.len(), channels), channels, channels),
        is_waiting: false,
        late: peak(&impulse) - latency(setup, &impulse),
        dry: vec![Delay::new(latency(setup, &impulse)); channels].into_boxed_slice(),
    };
    node.reset();
    Box::new(node)
}

struct Convolver {
    frames_per_ms: f64,
    /// The initial pre-delay in frames.
    start: usize,
    predelays: Box<[Tap]>,
    convolution: Convolution,
    /// Whether the convolution has yet to adopt its predecessor's state, because its input differs: that of the pre-delay
    /// is not complete.
    is_waiting: bool,
    /// Frames from the latency to the highest sample of the impulse response.
    late: usize,
    dry: Box<[Delay]>,
}

impl Convolver {
    /// The pre-delay in frames.
    fn predelay(&self, params: &Params<'_>) -> usize {
        (params.ramp(&PREDELAY).target() * self.frames_per_ms).round() as usize
    }
}

impl Node for Convolver {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Readings) {
        let predelay = self.predelay(params);
        let (frames, width) = (block.frames(), block.width());
        let mut input = [[0.0; SUBBLOCK]; MAX_CHANNELS];
        let mut wet_signal = [[0.0; SUBBLOCK]; MAX_CHANNELS];
        for ((samples, input), tap) in block.channels().zip(&mut input).zip(&mut self.predelays) {
            input.iter_mut().zip(samples).for_each(|(input, sample)| *input = tap.tick(*sample, predelay));
        }
        self.convolution.process(&input[..width], &mut wet_signal[..width], frames);
        let ramps = [WET, DRY, GAIN].map(|row| params.ramp(&row));
        for ((samples, wet_signal), delay) in block.channels().zip(&wet_signal).zip(&mut self.dry) {
            let [mut wet, mut dry, mut gain] = ramps;
            for (sample, wet_signal) in samples.iter_mut().zip(wet_signal) {
                *sample = (wet_signal * wet.tick() + delay.tick(*sample) * dry.tick()) * gain.tick();
            }
        }
    }

    fn reset(&mut self) {
        for tap in &mut self.predelays {
            tap.reset();
            tap.set(self.start);
        }
        self.convolution.reset();
        self.is_waiting = false;
        self.dry.iter_mut().for_each(Delay::reset);
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        let most = ADOPTED_SAMPLES / self.predelays.len().max(1);
        for (tap, old) in self.predelays.iter_mut().zip(&old.predelays) {
            tap.adopt(old, most);
        }
        self.is_waiting = true;
        self.dry.iter_mut().zip(&old.dry).for_each(|(delay, old)| delay.adopt(old));
    }

    fn adopt_more(&mut self, old: &dyn Node, frames: usize) -> usize {
        let Some(old) = same::<Self>(old) else { return 0 };
        if !self.is_waiting {
            return self.convolution.adopt_more(&old.convolution, frames);
        }
        let missing = Tap::adopt_more_of(&mut self.predelays, &old.predelays, frames);
        if missing > 0 {
            // The convolution comes after it.
            return missing + TICK;
        }
        self.is_waiting = false;
        self.convolution.reset();
        self.convolution.adopt(&old.convolution);
        self.convolution.adopt_more(&old.convolution, 0)
    }

    fn own_delay(&self, params: &Params<'_>) -> usize {
        self.predelay(params) + self.late
    }
}
