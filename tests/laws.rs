//! The laws: what every kind in the catalogue obeys. A kind is tested by existing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::audio::realtime::guarded;
use lacquer_control::value::Value;
use lacquer_graph::metering::{FLOOR, HISTOGRAM, READINGS, SPECTRUM};
use lacquer_graph::node::{Node, Params, Ports, Setup};
use lacquer_graph::nodes::CATALOGUE;
use lacquer_graph::param::Unit;
use lacquer_graph::plan::Io;
use lacquer_graph::reading::{Reading, Readings};
use lacquer_graph::run::engine::Event;
use lacquer_graph::{Block, Plane, SUBBLOCK};
use lacquer_tests::catalogue::{Variant, of, programme, variants};
use lacquer_tests::rig::{RATE, Rig, groups, read_data, spec};
use lacquer_tests::signal::{
    Channels, above_16_khz, bursts, db, distance, gain, noise, peak, same_bits, silence, sine,
};
use std::collections::BTreeMap;

/// Plays `first`, moves every live row a little, plays `second`, in blocks of `block`.
fn play_and_move(nodes: &str, block: usize, first: &Channels, second: &Channels) -> Channels {
    let mut rig = Rig::of(nodes);
    rig.block = block;
    let mut out = rig.play(first);
    rig.move_all();
    for (channel, more) in out.iter_mut().zip(rig.play(second)) {
        channel.extend(more);
    }
    out
}

#[test]
fn output_does_not_depend_on_the_hosts_block_size() {
    let (first, second) = (bursts(1, 2, 9_000), bursts(2, 2, 9_000));
    let parallel = "
  - eq: {id: a, bands: [{shape: bell, freq: 2 kHz, gain: 6 dB}]}
  - limiter: {id: late, in: a, lookahead: 4 ms, ceiling: -9 dB}
  - compressor: {id: n, in: input, key: late, threshold: -30 dB, ratio: 4}
  - mix: {id: sum, in: [late, {from: n, gain: -3 dB}, a]}
";
    let chains = variants().into_iter().map(|variant| variant.yaml).chain([parallel.to_owned()]);
    for nodes in chains {
        let reference = play_and_move(&nodes, 64, &first, &second);
        for block in [1, 63, 480, 1024] {
            let out = play_and_move(&nodes, block, &first, &second);
            assert!(same_bits(&reference, &out), "blocks of {block} differ from blocks of 64:\n{nodes}");
        }
    }
}

#[test]
fn output_does_not_depend_on_the_block_size_while_values_move_and_nodes_are_bypassed() {
    let input = bursts(3, 2, 4_800);
    for variant in variants() {
        let play = |block| {
            let mut rig = Rig::of(&variant.yaml);
            rig.block = block;
            let mut out = silence(2, 0);
            for on in [0.0, 1.0, 0.0, 1.0] {
                rig.set("/node/n/enabled", on);
                out.iter_mut().zip(rig.play(&input)).for_each(|(all, more)| all.extend(more));
            }
            out
        };
        assert!(same_bits(&play(64), &play(1)), "{}", variant.yaml);
    }
}

#[test]
fn the_declared_latency_is_the_measured_one() {
    // A delay's time is what it is for: nothing waits for it. Mixed phase is late by it above the lows, of which a low
    // low-pass leaves nothing (see tests/linear.rs).
    let is_low =
        |variant: &Variant| ["\"mixed\"", "\"lowpass\""].iter().all(|word| variant.yaml.contains(word));
    let has_latency =
        |variant: &&Variant| !variant.is_source() && variant.node_type.name != "delay" && !is_low(variant);
    for variant in variants().iter().filter(has_latency) {
        let mut rig = Rig::of(&variant.yaml);
        let mut impulse = silence(2, rig.latency() + 4_096);
        (impulse[0][0], impulse[1][0]) = (0.25, 0.2);
        let out = rig.play(&impulse);
        // A filter without look-ahead begins to answer there; a linear-phase one has its middle there.
        let first = |samples: &Vec<f64>| samples.iter().position(|x| *x != 0.0);
        let begins = out.iter().filter_map(first).min();
        let highest = |samples: &Vec<f64>| {
            (0..samples.len()).max_by(|a, b| samples[*a].abs().total_cmp(&samples[*b].abs()))
        };
        let measured = [begins, highest(&out[0]), highest(&out[1])];
        assert!(
            measured.contains(&Some(rig.latency())),
            "{measured:?}, not {}: {}",
            rig.latency(),
            variant.yaml
        );
    }
}

#[test]
fn a_bypassed_node_is_a_delay_of_its_latency_bit_for_bit() {
    for variant in variants().iter().filter(|variant| !variant.is_source()) {
        let mut rig = Rig::of(&variant.yaml.replace("id: n", "id: n, enabled: false"));
        let latency = rig.latency();
        let input = noise(0.0, 4, 2, latency + 5_000);
        let out = rig.play(&input);
        for (out, input) in out.iter().zip(&input) {
            assert_eq!(out[latency..], input[..5_000], "{}", variant.yaml);
        }
    }
}

/// A node alone, as the audio thread would run it.
struct Alone {
    node: Box<dyn Node>,
    ramps: Vec<lacquer_graph::param::ramp::Ramp>,
    shape: (usize, usize),
}

impl Alone {
    fn new(variant: &Variant) -> Self {
        let spec = spec(&format!("nodes:\n{}", variant.yaml));
        let values = &spec.nodes[0].values;
        let node_type = variant.node_type;
        let data = read_data(&spec);
        let setup = Setup::new(node_type, RATE, 2, 2, values, &data);
        let ramps = values
            .iter()
            .enumerate()
            .map(|(i, value)| node_type.row(i).unwrap().at_rest(*value, RATE))
            .collect();
        Self {
            node: (node_type.build)(&setup),
            ramps,
            shape: (node_type.rows.len(), node_type.part_rows().len()),
        }
    }

    fn play(&mut self, input: &Channels) -> Channels {
        let mut out = silence(2, 0);
        for from in (0..input[0].len()).step_by(SUBBLOCK) {
            let frames = SUBBLOCK.min(input[0].len() - from);
            let mut planes: [Plane; 2] = [[0.0; SUBBLOCK]; 2];
            for (plane, samples) in planes.iter_mut().zip(input) {
                plane[..frames].copy_from_slice(&samples[from..from + frames]);
            }
            guarded(|| {
                let params = Params::new(&self.ramps, self.shape.0, self.shape.1, false);
                let mut block = Block::new(&mut planes, None, frames);
                self.node.process(&mut block, &params, &mut Readings::default());
            });
            out.iter_mut().zip(planes).for_each(|(all, plane)| all.extend(&plane[..frames]));
        }
        out
    }
}

#[test]
fn a_node_that_was_reset_sounds_as_if_it_were_new() {
    let input = bursts(5, 2, 20_000);
    for variant in variants().iter().filter(|variant| !variant.remembers()) {
        let mut used = Alone::new(variant);
        used.play(&noise(6.0, 6, 2, 20_000));
        guarded(|| used.node.reset());
        let mut new = Alone::new(variant);
        assert!(same_bits(&used.play(&input), &new.play(&input)), "{}", variant.yaml);
    }
}

#[test]
fn a_node_that_adopted_another_goes_on_where_it_was() {
    let (past, future) = (bursts(7, 2, 20_000), bursts(8, 2, 20_000));
    for variant in variants().iter().filter(|variant| !variant.remembers()) {
        let mut old = Alone::new(variant);
        old.play(&past);
        let mut new = Alone::new(variant);
        guarded(|| new.node.adopt(old.node.as_ref()));
        // What is too much for one quantum goes over while both play.
        let mut frames = 0;
        while guarded(|| new.node.adopt_more(old.node.as_ref(), frames)) > 0 {
            frames = SUBBLOCK;
            let more = noise(0.0, 8, 2, frames);
            old.play(&more);
            new.play(&more);
        }
        assert!(same_bits(&new.play(&future), &old.play(&future)), "{}", variant.yaml);
    }
}

#[test]
fn what_is_no_number_does_not_stay() {
    for variant in variants() {
        let programme = noise(-12.0, 9, 2, 48_000);
        let clean = Rig::of(&variant.yaml).play(&programme);
        for poison in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 1e-310] {
            let mut input = programme.clone();
            input[0][1_000] = poison;
            input[1][2_500] = poison;
            let out = Rig::of(&variant.yaml).play(&input);
            assert!(out.iter().flatten().all(|x| x.is_finite()), "{poison} gets through:\n{}", variant.yaml);
            // A huge number is a number: filters may ring with it, and nothing else may come of it.
            if !poison.is_finite() {
                let late = |out: &Channels| out.iter().map(|samples| samples[24_000..].to_vec()).collect();
                let left = distance(&late(&out), &late(&clean)) / peak(&clean[0]).max(1e-9);
                assert!(left < 0.05, "{poison} leaves {left}:\n{}", variant.yaml);
            }
        }
    }
}

#[test]
fn silence_stays_silence_and_tails_never_become_denormal() {
    for variant in variants().iter().filter(|variant| !variant.is_source()) {
        let mut rig = Rig::of(&variant.yaml);
        assert_eq!(peak(&rig.play(&silence(2, 4_800))[0]), 0.0, "{}", variant.yaml);
        rig.play(&noise(0.0, 10, 2, 9_600));
        rig.block = 1024;
        let tail = rig.play(&silence(2, 480_000));
        assert!(tail.iter().flatten().all(|x| !x.is_subnormal()), "{}", variant.yaml);
        let last = peak(&tail[0][470_000..]);
        assert!(last < 1e-12, "{last:e} after ten seconds:\n{}", variant.yaml);
    }
}

#[test]
fn one_to_eight_channels_are_played_each_by_itself() {
    // A dither's noise is another on each channel.
    let node_types = CATALOGUE.iter().filter(|node_type| node_type.name != "dither");
    for node_type in
        node_types.filter(|node_type| matches!(node_type.ports, Ports::Through | Ports::Remix(_)))
    {
        for variant in of(node_type) {
            // Dynamics hear all channels together; unlinked they are each by itself. Nor is the middle a channel.
            let yaml = variant.yaml.replace("link: \"25 %\"", "link: 0").replace("link: \"75 %\"", "link: 0");
            let yaml = yaml.replace("split: \"midside\"", "split: stereo");
            // An impulse of two channels is another on each.
            let yaml = yaml.replace("impulse.txt", "impulse-mono.txt");
            let places = ["left", "right", "mid", "side"].map(|place| format!("place: \"{place}\""));
            let yaml = places.iter().fold(yaml, |yaml, place| yaml.replace(place, "place: stereo"));
            for channels in [1, 3, 8] {
                let io = Io { inputs: groups(&[("in", channels)]), outputs: groups(&[("out", channels)]) };
                let mut rig = Rig::with(&[("main", &yaml)], &io, true);
                let one = noise(-18.0, 11, 1, 4_800).remove(0);
                let out = rig.play(&vec![one; channels]);
                let again = out.iter().all(|samples| *samples == out[0]);
                assert!(again, "equal channels come out unequal at {channels} channels:\n{yaml}");
            }
        }
    }
}

/// Output of `nodes` over their programme.
fn listen(nodes: &str, change: impl FnOnce(&mut Rig)) -> Channels {
    let mut rig = Rig::roomy(nodes);
    change(&mut rig);
    let mut input = programme(nodes);
    let late = input[0].len() + rig.latency();
    input.iter_mut().for_each(|samples| samples.resize(late, 0.0));
    rig.play(&input)
}

#[test]
fn every_parameter_and_setting_has_an_effect() {
    for node_type in CATALOGUE {
        let probes = of(node_type);
        let places: Vec<_> = {
            let rig = Rig::of(&probes[0].yaml);
            let all = rig.air.newest().unwrap().addresses.all();
            all.iter().map(|place| (place.address(), place.row)).collect()
        };
        for (address, row) in places {
            // See the tests of mix and of the sources, and those of texts.
            if row.name == "channels" || matches!(row.unit, Unit::Text(_)) {
                continue;
            }
            let has_effect = probes.iter().any(|variant| {
                let norms: [f64; 2] = [0.3, 0.9];
                let hear = |norm| {
                    listen(&variant.yaml, |rig| {
                        match row.unit {
                            // As the file has it, and without.
                            Unit::Text(_) if norm > 0.5 => {}
                            Unit::Text(_) => rig.set_value(&address, &Value::Text(String::new())),
                            _ => rig.set(&address, row.from_norm(norm).unwrap()),
                        }
                        // A setting comes by a swap.
                        rig.play(&silence(2, 24_000));
                    })
                };
                // -140 dBFS: a longer filter in linear phase changes little, and roundings far less.
                distance(&hear(norms[0]), &hear(norms[1])) > 1e-7
            });
            assert!(has_effect, "{}: {address} does nothing", node_type.name);
        }
    }
}

#[test]
fn no_move_of_a_parameter_is_heard_as_a_click() {
    // A whole number of periods: played again and again it goes on without a seam.
    let input = sine(1000.0, -6.0, RATE, 2, 12_000);
    // A noise is no sine, and a clipper makes highs of its own at every place on the way.
    let is_heard = |variant: &&Variant| !["noise", "clipper"].contains(&variant.node_type.name);
    for variant in variants().iter().filter(is_heard) {
        let places: Vec<_> = {
            let rig = Rig::of(&variant.yaml);
            let all = rig.air.newest().unwrap().addresses.all();
            all.iter()
                .filter(|place| !place.row.is_setting)
                .map(|place| (place.address(), place.row))
                .collect()
        };
        for (address, row) in places {
            let mut rig = Rig::of(&variant.yaml);
            let place = rig.air.newest().unwrap().addresses.find(&address).unwrap()[0].0.clone();
            let now = row.to_norm(rig.air.value(&place).and_then(|value| value.number()).unwrap());
            rig.play(&input);
            // What a node makes of a sine by itself, before or after, is not the move's doing.
            let mut out = rig.play(&input).remove(0);
            let before = above_16_khz(&out, RATE);
            rig.set(&address, row.from_norm(if now < 0.5 { 1.0 } else { 0.0 }).unwrap());
            out.extend(rig.play(&input).remove(0));
            let after = above_16_khz(&rig.play(&input)[0], RATE);
            let floor = f64::max(before, after);
            let heard = above_16_khz(&out[6_000..], RATE);
            // Of a node that makes the sine louder, as much below its peak.
            let limit = f64::max(floor + 6.0, db(peak(&out).max(0.5)) - 84.0);
            assert!(
                heard <= limit,
                "{address}: {heard:.1} dBFS above 16 kHz (at rest {floor:.1}):\n{}",
                variant.yaml
            );
        }
    }
}

#[test]
fn every_reading_has_a_unit_and_a_help_text() {
    let is_sentence = |row: &Reading| row.help.ends_with('.') && row.help.len() > 10;
    for node_type in CATALOGUE {
        for (at, row) in node_type.readings.iter().enumerate() {
            let what = format!("{}: {}", node_type.name, row.name);
            assert!(!row.unit.symbol().is_empty(), "{what} has no unit");
            assert!(is_sentence(row), "{what}: {:?}", row.help);
            assert!(row.scale[0] != row.scale[1], "{what}: a bar would show nothing");
            assert!(node_type.readings[..at].iter().all(|other| other.name != row.name), "{what} twice");
        }
    }
    // What a tap counts and its correlation are bare numbers.
    for row in READINGS.iter().map(|(row, _)| row).chain([&SPECTRUM, &HISTOGRAM]) {
        let is_bare = matches!(row.unit, Unit::Plain | Unit::Count);
        assert!(is_bare || !row.unit.symbol().is_empty(), "{} has no unit", row.name);
        assert!(is_sentence(row), "{}: {:?}", row.name, row.help);
    }
}

/// What was reported last of each reading of a rig's node, since its events were cleared.
fn last_reports(rig: &Rig) -> BTreeMap<&'static str, Option<f64>> {
    let rows = rig.air.newest().unwrap().plan.nodes[0].node_type.readings;
    let report = |event: &Event| match event {
        Event::Meter { reading, value, .. } => Some((rows[*reading].name, *value)),
        _ => None,
    };
    rig.events.iter().filter_map(report).collect()
}

#[test]
fn no_bypassed_or_new_node_shows_a_number_that_was_not_measured() {
    let loud = noise(-6.0, 21, 2, 24_000);
    let has_readings = |variant: &&Variant| !variant.node_type.readings.is_empty();
    for variant in variants().iter().filter(has_readings) {
        let mut rig = Rig::of(&variant.yaml);
        rig.block = 1024;
        // Nothing comes in: no level but silence, no loudness, no frequency can have been measured. A profile was
        // learned before.
        if !variant.yaml.contains("profile") {
            rig.play(&silence(2, 24_000));
            let is_of_sound =
                |row: &Reading| matches!(row.unit, Unit::Dbfs | Unit::Dbtp | Unit::Lufs | Unit::Hz);
            for row in variant.node_type.readings.iter().filter(|row| is_of_sound(row)) {
                let report = last_reports(&rig).get(row.name).copied().flatten();
                let is_silence = row.unit != Unit::Hz && report.is_some_and(|level| level <= FLOOR);
                assert!(report.is_none() || is_silence, "{}: {report:?}: {}", row.name, variant.yaml);
            }
        }
        // Into bypass while it plays: whatever it has shown is gone.
        rig.play(&loud);
        rig.set("/node/n/enabled", 0.0);
        rig.play(&loud);
        let reports = last_reports(&rig);
        assert!(reports.values().all(Option::is_none), "{reports:?}: {}", variant.yaml);
        rig.events.clear();
        rig.play(&loud);
        let values = rig.count(|event| matches!(event, Event::Meter { value: Some(_), .. }));
        assert_eq!(values, 0, "in bypass: {}", variant.yaml);
        // In bypass from the start.
        let mut rig = Rig::of(&variant.yaml.replace("id: n", "id: n, enabled: false"));
        rig.block = 1024;
        rig.play(&loud);
        assert_eq!(rig.count(|event| matches!(event, Event::Meter { .. })), 0, "{}", variant.yaml);
    }
}

#[test]
fn an_unmoved_ceiling_leaves_a_quiet_programme_as_it_is() {
    let input = noise(-30.0, 13, 2, 9_600);
    for nodes in [
        "  - limiter: {ceiling: -1 dBTP}\n",
        "  - gain\n",
        "  - stereo\n",
        "  - mix\n",
        "  - eq\n",
        "  - compressor: {threshold: 0 dB}\n",
    ] {
        let mut rig = Rig::of(nodes);
        let out = rig.play(&input);
        let latency = rig.latency();
        for (out, input) in out.iter().zip(&input) {
            assert_eq!(out[latency..], input[..9_600 - latency], "{nodes}");
        }
    }
}

#[test]
fn a_mix_makes_one_channel_many_and_many_one() {
    let io = Io { inputs: groups(&[("in", 1)]), outputs: groups(&[("out", 3)]) };
    let mut rig = Rig::with(&[("main", "  - mix: {channels: 3}\n")], &io, true);
    let input = noise(-6.0, 14, 1, 640);
    assert!(rig.play(&input).iter().all(|out| *out == input[0]));
    let io = Io { inputs: groups(&[("in", 4)]), outputs: groups(&[("out", 1)]) };
    let mut rig = Rig::with(&[("main", "  - mix: {channels: 1}\n")], &io, true);
    let input = noise(-6.0, 15, 4, 640);
    let out = rig.play(&input);
    for n in 0..640 {
        let mean: f64 = input.iter().map(|samples| samples[n]).sum::<f64>() / 4.0;
        assert!((out[0][n] - mean).abs() < 1e-15);
    }
}

#[test]
fn sources_have_the_channels_and_the_level_that_are_asked_for() {
    for (nodes, channels, level) in [
        ("  - tone: {freq: 997 Hz, level: -20 dB, channels: 5}\n", 5, -23.01),
        ("  - noise: {colour: white, level: -20 dB, channels: 3}\n", 3, -20.0),
        ("  - noise: {colour: pink, level: -20 dB, channels: 2}\n", 2, -20.0),
    ] {
        let io = Io { inputs: groups(&[("in", 1)]), outputs: groups(&[("out", channels)]) };
        let mut rig = Rig::with(&[("main", nodes)], &io, true);
        rig.block = 1024;
        for samples in rig.play(&silence(1, 480_000)) {
            let rms = db(lacquer_tests::signal::rms(&samples));
            let tolerance = if nodes.contains("pink") { 0.5 } else { 0.05 };
            assert!((rms - level).abs() < tolerance, "{rms:.2} dB, not {level} dB: {nodes}");
        }
    }
}

#[test]
fn the_limiter_holds_its_ceiling() {
    for (level, seed) in [(6.0, 16), (0.0, 17), (12.0, 18)] {
        let mut rig = Rig::of("  - limiter: {id: n, ceiling: -1 dBTP}\n");
        let out = rig.play(
            &bursts(seed, 2, 96_000)
                .into_iter()
                .map(|s| s.into_iter().map(|x| x * gain(level)).collect())
                .collect(),
        );
        let over = db(peak(&out[0]).max(peak(&out[1]))) + 1.0;
        assert!(over <= 1e-9, "{over:.3} dB over the ceiling, sample peak, at {level} dB");
    }
}
