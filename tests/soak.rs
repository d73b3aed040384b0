//! A long programme in simulated time through the ready chains, with random moves and swaps. Two minutes in CI; hours
//! with `LACQUER_LONG=1 LACQUER_HOURS=24`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::audio::backend::demo_signal::Programme;
use lacquer_control::message::ToAudio;
use lacquer_graph::run::engine::Event;
use lacquer_tests::daemon::root;
use lacquer_tests::random::Random;
use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{Channels, db, gain, peak};
use std::fs;

/// Chains that end in a limiter, in the order in which they are loaded; the highest of their ceilings is that of `club`.
const CHAINS: [&str; 11] = [
    "transparent",
    "streaming",
    "apple",
    "podcast",
    "broadcast-r128",
    "broadcast-a85",
    "club",
    "loud",
    "night",
    "warm",
    "parallel",
];
/// What no sample may exceed: the highest ceiling, and what a true-peak limiter may be off on hostile signals.
const CEILING_DB: f64 = -0.5 + 0.1;

/// Seconds of programme.
fn length() -> u64 {
    let hours = std::env::var("LACQUER_HOURS").ok().and_then(|hours| hours.parse::<f64>().ok());
    let is_long = std::env::var_os("LACQUER_LONG").is_some_and(|long| long == "1");
    hours.filter(|_| is_long).map_or(120, |hours| (hours * 3_600.0) as u64)
}

/// The nodes of a ready chain.
fn nodes(name: &str) -> String {
    let text = fs::read_to_string(root().join(format!("configs/chains/{name}.yaml"))).unwrap();
    text[text.find("\nnodes:\n").unwrap() + "\nnodes:\n".len()..].to_owned()
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The programme and what has been played of it.
struct Play {
    rig: Rig,
    programme: Programme,
    /// The last second of input and of output.
    last: [Channels; 2],
    faults: usize,
}

impl Play {
    /// Plays one second, and looks at every sample. Gives the highest.
    fn second(&mut self) -> f64 {
        let frames: Vec<[f64; 2]> = (0..RATE as usize).map(|_| self.programme.frame()).collect();
        let input: Channels =
            (0..2).map(|channel| frames.iter().map(|frame| frame[channel]).collect()).collect();
        let output = self.rig.play(&input);
        assert!(output.iter().flatten().all(|sample| sample.is_finite()));
        let highest = output.iter().map(|channel| peak(channel)).fold(0.0, f64::max);
        self.last = [input, output];
        let is_fault = |event: &Event| matches!(event, Event::Fault { .. } | Event::InputFault);
        self.faults += self.rig.count(is_fault);
        self.rig.events.clear();
        self.rig.collector.collect();
        assert!(self.rig.control.next_panic().is_none());
        highest
    }

    /// Moves something at random: never a limiter's ceiling, and nothing out that holds it.
    fn disturb(&mut self, random: &mut Random) {
        if random.below(4) == 0 {
            let name = *random.pick(&CHAINS);
            self.rig.swap(name);
        }
        for _ in 0..random.below(6) {
            let places = self.rig.newest().addresses.all().to_vec();
            let place = random.pick(&places);
            let path = &place.path;
            let is_ceiling = path.starts_with("/ceiling/");
            // Levels would only make silence or clipping of all of it; settings may not fit the latency.
            if !is_ceiling && !place.row.is_setting && !path.ends_with("/listen") && !path.ends_with("/solo")
            {
                self.rig.set(&format!("/norm{path}"), random.unit());
            }
        }
    }

    /// The dry signal, which has no ceiling, must come exactly as late as the station says.
    fn check_latency(&mut self, latency: usize) {
        self.rig.order(ToAudio::Bypass(true));
        self.second();
        self.second();
        let [input, output] = &self.last;
        for (input, output) in input.iter().zip(output) {
            assert!(
                output[latency..].iter().zip(input).all(|(out, sample)| out == sample),
                "the latency drifts"
            );
        }
        self.rig.order(ToAudio::Bypass(false));
        self.second();
    }
}

#[test]
fn a_long_programme_with_moves_and_swaps_stays_below_the_ceiling_in_time_and_in_memory() {
    let nodes: Vec<String> = CHAINS.iter().map(|name| nodes(name)).collect();
    let chains: Vec<(&str, &str)> = CHAINS.iter().copied().zip(nodes.iter().map(String::as_str)).collect();
    let mut rig = Rig::new(&chains);
    rig.block = 1_024;
    let latency = rig.latency();
    let programme = Programme::new(RATE);
    let mut play = Play { rig, programme, last: [Vec::new(), Vec::new()], faults: 0 };
    let mut random = Random::new(24);
    let (seconds, mut early, mut highest) = (length(), 0, 0.0_f64);
    for second in 0..seconds {
        play.disturb(&mut random);
        highest = highest.max(play.second());
        assert!(db(highest) <= CEILING_DB, "{} dBFS at second {second}", db(highest));
        if second % 30 == 29 {
            play.check_latency(latency);
        }
        if second == seconds / 4 {
            early = resident();
        }
    }
    let late = resident();
    println!(
        "{seconds} s: highest sample {:.2} dBFS, {} faults, latency {latency} frames, memory {early} KiB, then {late} KiB",
        db(highest),
        play.faults
    );
    assert_eq!(play.faults, 0);
    assert_eq!(play.rig.latency(), latency);
    assert!(late <= early + 4_096, "memory has grown from {early} to {late} KiB");
    assert!(highest > gain(-30.0), "something was heard");
}
