//! Two devices with two clocks, joined: what is heard, and how long it takes, over simulated time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use assert_no_alloc::assert_no_alloc;
use lacquer::audio::backend::clocks::{Draw, Feed, Gauge, Join, State, join};
use lacquer_graph::{Plane, SUBBLOCK};
use lacquer_tests::random::Random;
use lacquer_tests::signal::{db, kaiser};
use realfft::RealFftPlanner;
use std::f64::consts::TAU;
use std::sync::Arc;

/// Two devices.
#[derive(Clone, Copy)]
struct Devices {
    /// Rates by name, in Hz: input, output.
    rates: [f64; 2],
    /// Frames of their blocks.
    blocks: [usize; 2],
    /// How much later than it should a block may come, in seconds.
    jitter: f64,
    is_one_clock: bool,
}

const PLAIN: Devices =
    Devices { rates: [48_000.0, 48_000.0], blocks: [256, 256], jitter: 0.0005, is_one_clock: false };

/// Runs two devices against each other, by the time of the output.
struct Run {
    devices: Devices,
    feed: Feed,
    draw: Draw,
    gauge: Arc<Gauge>,
    random: Random,
    /// How much faster than by name the input's clock is.
    speed: f64,
    /// The time of the input's next block, and the frames that both have done.
    input_at: f64,
    done: [u64; 2],
    planes: [Plane; 1],
    is_input_dead: bool,
}

impl Run {
    fn new(devices: Devices, ppm: f64) -> Self {
        let [input_rate, output_rate] = devices.rates;
        let config = Join { channels: 1, input_rate, output_rate, is_one_clock: devices.is_one_clock };
        let (feed, draw, gauge) = join(config).unwrap();
        gauge.set_blocks(devices.blocks[0], devices.blocks[1]);
        Self {
            devices,
            feed,
            draw,
            gauge,
            random: Random::new(7),
            speed: 1.0 + 1e-6 * ppm,
            input_at: 0.0,
            done: [0, 0],
            planes: [[0.0; SUBBLOCK]],
            is_input_dead: false,
        }
    }

    fn late(&mut self) -> f64 {
        self.devices.jitter * self.random.unit()
    }

    /// Plays `seconds`; the input gives `sample(n)` for its frame n. What comes out goes to `heard`.
    fn play(&mut self, seconds: f64, sample: impl Fn(u64) -> f64, mut heard: impl FnMut(&[f64])) {
        let [input_block, output_block] = self.devices.blocks;
        let [input_rate, output_rate] = self.devices.rates;
        let end = self.done[1] as f64 / output_rate + seconds;
        loop {
            let output_at = self.done[1] as f64 / output_rate;
            if output_at >= end {
                break;
            }
            if self.input_at <= output_at {
                let now = self.input_at + self.late();
                let from = self.done[0];
                if !self.is_input_dead {
                    assert_no_alloc(|| {
                        self.feed.push(input_block, now, |frame, _| sample(from + frame as u64))
                    });
                }
                self.done[0] += input_block as u64;
                self.input_at += input_block as f64 / (input_rate * self.speed);
            } else {
                let now = output_at + self.late();
                assert_no_alloc(|| self.draw.begin(output_block, now));
                for from in (0..output_block).step_by(SUBBLOCK) {
                    let frames = SUBBLOCK.min(output_block - from);
                    assert_no_alloc(|| self.draw.fill(&mut self.planes, frames));
                    heard(&self.planes[0][..frames]);
                }
                self.done[1] += output_block as u64;
            }
        }
    }

    /// Plays a sine of the input's own time, and gives what was heard.
    fn sine(&mut self, seconds: f64, freq: f64) -> Vec<f64> {
        let w = TAU * freq / self.devices.rates[0];
        let mut all = Vec::new();
        self.play(seconds, |n| (w * n as f64).sin(), |samples| all.extend_from_slice(samples));
        all
    }

    fn state(&self) -> State {
        self.gauge.state()
    }

    /// How old what is heard now is, in ms, by a slow ramp in the input: its value is its time.
    fn age_ms(&mut self) -> f64 {
        let rate = self.devices.rates[0];
        let (mut last, mut fed) = (0.0, 0.0);
        let ramp = |n: u64| n as f64 / rate;
        self.play(0.5, ramp, |samples| last = *samples.last().unwrap());
        // The frame of the input at the time of the last frame that was heard.
        let at = self.done[1] as f64 / self.devices.rates[1];
        fed += self.done[0] as f64 / rate - (self.input_at - at) * self.speed;
        1000.0 * (fed - last)
    }
}

/// Longer in a long run.
fn seconds(short: f64, long: f64) -> f64 {
    if std::env::var_os("LACQUER_LONG").is_some() { long } else { short }
}

/// What lies farther than 20 Hz from the strongest tone and below 20 kHz, against all, in dB. (The notch of AES17 is far wider.)
fn rest(samples: &[f64], rate: f64) -> f64 {
    let count = samples.len();
    let half: Vec<f64> =
        (0..count / 2).map(|n| kaiser(2.0 * n as f64 / (count - 1) as f64 - 1.0, 30.0)).collect();
    let mut windowed: Vec<f64> =
        samples.iter().zip(half.iter().chain(half.iter().rev())).map(|(x, window)| x * window).collect();
    let fft = RealFftPlanner::<f64>::new().plan_fft_forward(count);
    let mut spectrum = fft.make_output_vec();
    fft.process(&mut windowed, &mut spectrum).unwrap();
    let powers: Vec<f64> = spectrum.iter().map(|bin| bin.norm_sqr()).collect();
    let hz = |bin: usize| bin as f64 * rate / count as f64;
    let strongest = (0..powers.len()).max_by(|a, b| powers[*a].total_cmp(&powers[*b])).unwrap();
    let audible = (0..powers.len()).filter(|bin| hz(*bin) <= 20_000.0);
    let is_rest = |bin: &usize| (hz(*bin) - hz(strongest)).abs() > 20.0;
    let rest: f64 = audible.filter(is_rest).map(|bin| powers[bin]).sum();
    db((rest / powers.iter().sum::<f64>()).sqrt())
}

#[test]
fn an_hour_of_two_clocks_200_ppm_apart_is_clean_and_never_older_or_younger_by_a_millisecond() {
    let mut run = Run::new(PLAIN, 200.0);
    run.sine(10.0, 997.0);
    let first = run.age_ms();
    let (mut most, mut worst) = (0.0_f64, f64::NEG_INFINITY);
    let end = run.done[1] as f64 / 48_000.0 + seconds(60.0, 3_600.0);
    while (run.done[1] as f64) < end * 48_000.0 {
        run.sine(25.0, 997.0);
        // The ramp of the measurement before has left the filters.
        worst = worst.max(rest(&run.sine(4.0, 997.0)[..1 << 17], 48_000.0));
        let age = run.age_ms();
        most = most.max((age - first).abs());
    }
    let state = run.state();
    println!("latency {first:.3} ms, moved by {most:.4} ms at most; THD+N {worst:.1} dB at worst; {state:?}");
    assert_eq!(state.slips, 0);
    assert!(most < 1.0 && worst < -110.0);
    assert!((state.drift_ppm - 200.0).abs() < 20.0 && (state.ratio - 0.9998).abs() < 1e-5, "{state:?}");
}

#[test]
fn a_clock_that_warms_up_is_followed_at_any_sizes_of_blocks() {
    for (blocks, ppm) in [([64, 1024], -150.0), ([1024, 64], 150.0), ([480, 441], 20.0), ([16, 16], -20.0)] {
        let mut run = Run::new(Devices { blocks, ..PLAIN }, ppm);
        run.sine(10.0, 997.0);
        let first = run.age_ms();
        for minute in 0..4 {
            run.speed = 1.0 + 1e-6 * (ppm + 25.0 * f64::from(minute));
            run.sine(seconds(10.0, 60.0), 997.0);
            let age = run.age_ms();
            assert!((age - first).abs() < 1.0, "{blocks:?}, minute {minute}: {first} ms, then {age} ms");
        }
        assert_eq!(run.state().slips, 0, "{blocks:?}");
    }
}

#[test]
fn two_rates_are_joined_as_well() {
    for rates in [[44_100.0, 48_000.0], [96_000.0, 48_000.0], [48_000.0, 192_000.0]] {
        let mut run = Run::new(Devices { rates, ..PLAIN }, 50.0);
        run.sine(8.0, 997.0);
        let rest = rest(&run.sine(1.5 + 131_072.0 / rates[1], 997.0)[..1 << 17], rates[1]);
        println!("{rates:?}: {rest:.1} dB, {:?}", run.state());
        assert!(rest < -110.0 && run.state().slips == 0, "{rates:?}: {rest} dB");
    }
}

#[test]
fn by_one_clock_the_bits_are_the_same() {
    let mut run = Run::new(Devices { is_one_clock: true, ..PLAIN }, 0.0);
    let mut all = Vec::new();
    run.play(60.0, |n| 1.0 + n as f64, |samples| all.extend_from_slice(samples));
    // What comes in the first milliseconds is what is left of the silence before.
    let from = all.iter().position(|sample| *sample > 2_000.0).unwrap();
    let settled = &all[from + 2_000..];
    assert!(settled.windows(2).all(|pair| pair[1] - pair[0] == 1.0 && pair[0].fract() == 0.0));
    assert_eq!(run.state().slips, 0);
}

#[test]
fn an_input_that_stands_still_is_silence_without_a_click_and_comes_back_as_late_as_it_was() {
    let mut run = Run::new(PLAIN, 100.0);
    let mut all = run.sine(20.0, 300.0);
    let first = run.state().fill_ms;
    run.is_input_dead = true;
    all.extend(run.sine(3.0, 300.0));
    assert_eq!(all.last(), Some(&0.0));
    assert!(!run.state().is_running);
    run.is_input_dead = false;
    all.extend(run.sine(20.0, 300.0));
    let state = run.state();
    assert!(state.is_running && state.slips == 1, "{state:?}");
    assert!((state.fill_ms - first).abs() < 1.0, "{first} ms, then {} ms", state.fill_ms);
    // The steepest that a sine of 300 Hz is, and what dies away of 1 within 5 ms.
    let steepest = all.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f64::max);
    assert!(steepest < TAU * 300.0 / 48_000.0 + 0.03, "{steepest}");
}

#[test]
fn an_output_that_stands_still_leaves_out_what_has_piled_up() {
    let mut run = Run::new(PLAIN, 0.0);
    run.sine(10.0, 997.0);
    let first = run.state().fill_ms;
    // It misses 20 blocks: 107 ms.
    run.done[1] += 20 * 256;
    run.sine(10.0, 997.0);
    let state = run.state();
    assert!(state.slips >= 1 && (state.fill_ms - first).abs() < 1.0, "{first} ms, then {state:?}");
}

#[test]
fn a_nan_from_the_input_is_silence_and_does_not_stay() {
    for is_one_clock in [true, false] {
        let (rate, frames) = (48_000.0, 256);
        let (mut feed, mut draw, gauge) =
            join(Join { channels: 1, input_rate: rate, output_rate: rate, is_one_clock }).unwrap();
        gauge.set_blocks(frames, frames);
        let (mut planes, mut heard) = ([[0.0; SUBBLOCK]; 1], Vec::new());
        for block in 0..400 {
            let now = (block * frames) as f64 / rate;
            // It is the last that comes before the input stops for a while.
            let is_dead = (101..200).contains(&block);
            if !is_dead {
                let sample = |frame, _| if block == 100 && frame >= 200 { f64::NAN } else { 0.25 };
                feed.push(frames, now, sample);
            }
            draw.begin(frames, now);
            for _ in 0..frames / SUBBLOCK {
                draw.fill(&mut planes, SUBBLOCK);
                heard.extend(planes[0]);
            }
        }
        assert!(heard.iter().all(|sample| sample.is_finite()), "one clock: {is_one_clock}");
        assert!(heard[380 * frames..].iter().all(|x| (x - 0.25).abs() < 0.01), "it comes back");
        assert_eq!(gauge.state().nonfinite, 56);
    }
}
