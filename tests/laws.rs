//! The laws: what every type in the catalogue obeys. A type is tested by existing; what is special about it, it says itself
//! (see `NodeType`), so that no law names one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::audio::realtime::guarded;
use lacquer_graph::file::spec::TextSpec;
use lacquer_graph::metering::{FLOOR, HISTOGRAM, READINGS, SPECTRUM};
use lacquer_graph::node::{Node, Params, Ports, Setup};
use lacquer_graph::nodes::CATALOGUE;
use lacquer_graph::param::Unit;
use lacquer_graph::plan::Io;
use lacquer_graph::reading::{Reading, Readings};
use lacquer_graph::run::engine::Event;
use lacquer_graph::{Block, Plane, SUBBLOCK};
use lacquer_tests::catalogue::{Variant, of, variants};
use lacquer_tests::rig::{Nodes, RATE, Rig, groups, read_data, spec};
use lacquer_tests::signal::{
    Channels, above_16_khz, bursts, db, distance, noise, peak, same_bits, silence, sine,
};
use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Frames in which [`bursts`] has had each of its levels.
const BURSTS: usize = 5 * 997;

/// Frames for which a node that failed once is bypassed, fades included; its latency comes on top.
const BYPASSED: usize = 16_000;

/// Whether no variant breaks a law; those that do, with what they did.
fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Tries a law on these variants, on all cores; none may break it.
fn law(variants: &[Variant], breaks: impl Fn(&Variant) -> Option<String> + Sync) {
    let (next, broken) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(variant) = variants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let how = breaks(variant);
                    broken.lock().unwrap().extend(how.map(|how| format!("{how}:\n{variant}")));
                }
            });
        }
    });
    assert_none(&broken.into_inner().unwrap());
}

#[test]
fn settings_read_back_as_they_are_written() {
    for variant in variants() {
        let read = &spec(&format!("nodes:\n{variant}\n")).nodes[0];
        let texts = |texts: &[TextSpec]| texts.iter().map(|text| text.text.clone()).collect::<Vec<_>>();
        assert_eq!(read.values, variant.node.values, "{variant}");
        assert_eq!(texts(&read.texts), texts(&variant.node.texts), "{variant}");
    }
}

/// Plays `first`, moves every live row a little, plays `second`, in blocks of `block`.
fn play_and_move(variant: &Variant, block: usize, first: &Channels, second: &Channels) -> Channels {
    let mut rig = Rig::of(variant);
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
    for variant in variants() {
        // All levels come out before the values move, and after.
        let late = Rig::of(&variant).latency();
        let (first, second) = (bursts(1, 2, late + BURSTS), bursts(2, 2, BURSTS));
        let reference = play_and_move(&variant, 64, &first, &second);
        for block in [1, 63, 480, 1024] {
            let out = play_and_move(&variant, block, &first, &second);
            assert!(same_bits(&reference, &out), "blocks of {block} differ from blocks of 64:\n{variant}");
        }
    }
}

#[test]
fn output_does_not_depend_on_the_block_size_while_values_move_and_nodes_are_bypassed() {
    let input = bursts(3, 2, 4_800);
    for variant in variants() {
        let play = |block| {
            let mut rig = Rig::of(&variant);
            rig.block = block;
            let mut out = silence(2, 0);
            for on in [0.0, 1.0, 0.0, 1.0] {
                rig.set("/node/n/enabled", on);
                out.iter_mut().zip(rig.play(&input)).for_each(|(all, more)| all.extend(more));
            }
            out
        };
        assert!(same_bits(&play(64), &play(1)), "{variant}");
    }
}

#[test]
fn the_declared_latency_is_the_measured_one() {
    let mut broken = Vec::new();
    for variant in variants().iter().filter(|variant| !variant.is_source()) {
        let Some(onset) = variant.fact(variant.node_type.onset) else { continue };
        let mut rig = Rig::of(variant);
        let wanted = rig.latency() + onset;
        let mut impulse = silence(2, wanted + 4_096);
        (impulse[0][0], impulse[1][0]) = (0.25, 0.2);
        let out = rig.play(&impulse);
        // A filter without look-ahead begins to answer there; a linear-phase one has its middle there.
        let first = |samples: &Vec<f64>| samples.iter().position(|x| *x != 0.0);
        let begins = out.iter().filter_map(first).min();
        let highest = |samples: &Vec<f64>| {
            (0..samples.len()).max_by(|a, b| samples[*a].abs().total_cmp(&samples[*b].abs()))
        };
        let measured = [begins, highest(&out[0]), highest(&out[1])];
        if !measured.contains(&Some(wanted)) {
            broken.push(format!("{measured:?}, not {wanted}: {variant}"));
        }
    }
    assert_none(&broken);
}

#[test]
fn a_bypassed_node_is_a_delay_of_its_latency_bit_for_bit() {
    for variant in variants().iter().filter(|variant| !variant.is_source()) {
        let mut rig = Rig::of(&variant.bypassed());
        let latency = rig.latency();
        let input = noise(0.0, 4, 2, latency + 5_000);
        let out = rig.play(&input);
        for (out, input) in out.iter().zip(&input) {
            assert_eq!(out[latency..], input[..5_000], "{variant}");
        }
    }
}

/// A node alone, as the audio thread would run it.
struct Alone {
    node: Box<dyn Node>,
    ramps: Vec<lacquer_graph::param::ramp::Ramp>,
    shape: (usize, usize),
    /// The channels of its side-chain; 0 without one.
    key: usize,
}

/// The numbers of channels that the side-chain of a type may have beside two channels; 0 is none.
fn keys(variant: &Variant) -> &'static [usize] {
    if variant.node_type.has_key { &[0, 1, 2] } else { &[0] }
}

impl Alone {
    fn new(variant: &Variant, key: usize) -> Self {
        let spec = variant.spec();
        let values = &variant.node.values;
        let node_type = variant.node_type;
        let data = read_data(&spec);
        let setup = Setup::new(node_type, RATE, 2, if key > 0 { key } else { 2 }, values, &data);
        let ramps = values
            .iter()
            .enumerate()
            .map(|(i, value)| node_type.row(i).unwrap().at_rest(*value, RATE))
            .collect();
        Self {
            node: (node_type.build)(&setup),
            ramps,
            shape: (node_type.rows.len(), node_type.part_rows().len()),
            key,
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
            // The side-chain is not the programme: the channels of that, swapped and louder.
            let mut key = planes;
            key.swap(0, 1);
            key.iter_mut().flatten().for_each(|sample| *sample *= 1.5);
            guarded(|| {
                let params = Params::new(&self.ramps, self.shape.0, self.shape.1, false);
                let key = (self.key > 0).then_some(&key[..self.key]);
                let mut block = Block::new(&mut planes, key, frames);
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
    let loud = noise(6.0, 6, 2, 20_000);
    law(&forgetful(), |variant| {
        let mut keys = keys(variant).iter();
        let key = keys.find(|key| {
            let mut used = Alone::new(variant, **key);
            used.play(&loud);
            guarded(|| used.node.reset());
            let mut new = Alone::new(variant, **key);
            !same_bits(&used.play(&input), &new.play(&input))
        })?;
        Some(format!("a side-chain of {key} channels"))
    });
}

/// The variants that have nothing which outlives a reset.
fn forgetful() -> Vec<Variant> {
    variants().into_iter().filter(|variant| !variant.has_memory()).collect()
}

#[test]
fn a_node_that_adopted_another_goes_on_where_it_was() {
    let (past, future) = (bursts(7, 2, 20_000), bursts(8, 2, 20_000));
    law(&forgetful(), |variant| {
        let mut keys = keys(variant).iter();
        let key = keys.find(|key| {
            let mut old = Alone::new(variant, **key);
            old.play(&past);
            let mut new = Alone::new(variant, **key);
            guarded(|| new.node.adopt(old.node.as_ref()));
            // What is too much for one quantum goes over while both play.
            let mut frames = 0;
            while guarded(|| new.node.adopt_more(old.node.as_ref(), frames)) > 0 {
                frames = SUBBLOCK;
                let more = noise(0.0, 8, 2, frames);
                old.play(&more);
                new.play(&more);
            }
            !same_bits(&new.play(&future), &old.play(&future))
        })?;
        Some(format!("a side-chain of {key} channels"))
    });
}

#[test]
fn nan_and_infinity_do_not_stay() {
    law(&variants(), |variant| {
        let latency = Rig::of(variant).latency();
        // A node that failed is bypassed for a while; then it settles. What is listened to is 0.1 s.
        let late = 2_500 + BYPASSED + 2 * latency + variant.settles_in();
        let programme = noise(-12.0, 9, 2, late + 4_800);
        let play = |poison: f64, frames: usize| {
            let mut input: Channels = programme.iter().map(|samples| samples[..frames].to_vec()).collect();
            input[0][1_000] = poison;
            input[1][2_500] = poison;
            Rig::of(variant).play(&input)
        };
        let clean = Rig::of(variant).play(&programme);
        let poisoned = play(f64::NAN, late + 4_800);
        let last = |out: &Channels| out.iter().map(|samples| samples[late..].to_vec()).collect();
        let left = distance(&last(&poisoned), &last(&clean)) / peak(&clean[0]).max(1e-9);
        let is_finite = |out: &Channels| out.iter().flatten().all(|x| x.is_finite());
        if !is_finite(&poisoned) || left >= 0.05 {
            return Some(format!("NaN leaves {left}"));
        }
        // What is infinite is as what is no number: so it is from there on.
        let soon = 2_500 + latency + 4_800;
        let until = |out: &Channels| out.iter().map(|samples| samples[..soon].to_vec()).collect::<Channels>();
        for infinite in [f64::INFINITY, f64::NEG_INFINITY] {
            if !same_bits(&play(infinite, soon), &until(&poisoned)) {
                return Some(format!("{infinite} is not as NaN"));
            }
        }
        // A huge number is a number: filters may ring with it, and nothing else may come of it.
        let finite = [f64::MAX, 1e-310].into_iter().find(|poison| !is_finite(&play(*poison, soon)))?;
        Some(format!("{finite} gets through"))
    });
}

#[test]
fn silence_stays_silence_and_tails_end_and_never_become_denormal() {
    let mut broken = Vec::new();
    for variant in variants().iter().filter(|variant| !variant.is_source()) {
        let mut rig = Rig::of(variant);
        assert_eq!(peak(&rig.play(&silence(2, 4_800))[0]), 0.0, "{variant}");
        let frames = rig.latency() + variant.settles_in();
        rig.block = 1024;
        // The second tail begins where the smallest numbers are near: it falls through all of them.
        for level in [0.0, -6_000.0] {
            rig.play(&noise(level, 10, 2, 9_600));
            let tail = rig.play(&silence(2, frames + 4_800));
            assert!(tail.iter().flatten().all(|x| !x.is_subnormal()), "{variant}");
            let last = tail.iter().map(|samples| peak(&samples[frames..])).fold(0.0, f64::max);
            if last >= 1e-12 {
                broken.push(format!("{last:e} after {frames} frames: {variant}"));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn one_to_eight_channels_are_played_alike() {
    let mut broken = Vec::new();
    let is_free = |variant: &Variant| matches!(variant.node_type.ports, Ports::Through | Ports::Remix(_));
    for variant in variants().iter().filter(|variant| is_free(variant)).filter_map(Variant::per_channel) {
        for channels in [1, 3, 8] {
            let io = Io { inputs: groups(&[("in", channels)]), outputs: groups(&[("out", channels)]) };
            let mut rig = Rig::of_files(vec![variant.chain("main")], &io);
            let one = noise(-18.0, 11, 1, 4_800).remove(0);
            let out = rig.play(&vec![one; channels]);
            if !out.iter().all(|samples| *samples == out[0]) {
                broken.push(format!("equal channels come out unequal, {channels} of them: {variant}"));
            }
        }
    }
    assert_none(&broken);
}

/// Whether something of the programme comes out differently where the row at `address` has the one or the other value.
fn differ(variant: &Variant, address: &str, values: [f64; 2]) -> bool {
    let mut rigs = values.map(|value| {
        let mut rig = Rig::roomy(variant);
        rig.set(address, value);
        // A setting comes by a swap.
        rig.play(&silence(2, 4_800));
        while rig.is_swapping() {
            rig.play(&silence(2, 960));
        }
        rig
    });
    let mut input = variant.programme();
    let late = input[0].len() + rigs[0].latency();
    input.iter_mut().for_each(|samples| samples.resize(late, 0.0));
    // -140 dBFS: a longer filter in linear phase changes little, and roundings far less.
    (0..late).step_by(4_800).any(|from| {
        let to = late.min(from + 4_800);
        let some: Channels = input.iter().map(|samples| samples[from..to].to_vec()).collect();
        let [one, other] = rigs.each_mut().map(|rig| rig.play(&some));
        distance(&one, &other) > 1e-7
    })
}

#[test]
fn every_parameter_and_setting_has_an_effect() {
    for node_type in CATALOGUE {
        let probes = of(node_type);
        let places: Vec<_> = {
            let rig = Rig::of(&probes[0]);
            let all = rig.newest().addresses.all();
            all.iter().map(|place| (place.address(), place.row)).collect()
        };
        for (address, row) in places {
            // See the tests of mix and of the sources, and those of texts.
            if node_type.channels_row() == Some(&row) || matches!(row.unit, Unit::Text(_)) {
                continue;
            }
            let values = [0.3, 0.9].map(|norm| row.from_norm(norm).unwrap());
            let has_effect = probes.iter().any(|variant| differ(variant, &address, values));
            assert!(has_effect, "{}: {address} does nothing", node_type.name);
        }
    }
}

#[test]
fn no_move_of_a_parameter_is_heard_as_a_click() {
    // A whole number of periods: played again and again it goes on without a seam.
    let tone = sine(1000.0, -6.0, RATE, 2, 48_000);
    let part = |frames: usize| tone.iter().map(|samples| samples[..frames].to_vec()).collect::<Channels>();
    let play = |rig: &mut Rig, frames: usize| rig.play(&part(frames)).remove(0);
    const PERIOD: usize = 48;
    // What a node makes of a sine by itself, before or after, is not the move's doing.
    let floor = |out: &[f64]| above_16_khz(&out[out.len() - 3_000..], RATE);
    let all = variants().into_iter().filter(|variant| !variant.node_type.adds_highs).collect::<Vec<_>>();
    law(&all, |variant| {
        let places: Vec<_> = {
            let rig = Rig::of(variant);
            let all = rig.newest().addresses.all();
            all.iter()
                .filter(|place| !place.row.is_setting)
                .map(|place| (place.address(), place.row))
                .collect()
        };
        for (address, row) in places {
            let mut rig = Rig::of(variant);
            let place = rig.newest().addresses.find(&address).unwrap()[0].0.clone();
            let now = row.to_norm(rig.value(&place).and_then(|value| value.number()).unwrap());
            // The beginning is soft: a delay that reaches back to it makes no click of it.
            let mut beginning = part((rig.latency() + 4_800).next_multiple_of(PERIOD));
            for (n, x) in beginning.iter_mut().flat_map(|samples| samples[..2_400].iter_mut().enumerate()) {
                *x *= 0.5 - 0.5 * (PI * n as f64 / 2_400.0).cos();
            }
            rig.play(&beginning);
            let mut out = play(&mut rig, 3_600);
            let before = floor(&out);
            rig.set(&address, row.from_norm(if now < 0.5 { 1.0 } else { 0.0 }).unwrap());
            out.extend(play(&mut rig, 12_000));
            let after = floor(&play(&mut rig, 6_000));
            let floor = f64::max(before, after);
            let heard = above_16_khz(&out[2_600..], RATE);
            // Of a node that makes the sine louder, as much below its peak.
            let limit = f64::max(floor + 6.0, db(peak(&out).max(0.5)) - 84.0);
            if heard > limit {
                return Some(format!("{address}: {heard:.1} dBFS above 16 kHz (at rest {floor:.1})"));
            }
        }
        None
    });
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
    let rows = rig.newest().plan.nodes[0].node_type.readings;
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
        let mut rig = Rig::of(variant);
        rig.block = 1024;
        // Nothing comes in: no level but silence, no loudness, no frequency can have been measured. A profile was
        // learned before.
        if variant.node.texts.iter().all(|text| text.text.is_empty()) {
            rig.play(&silence(2, 24_000));
            let is_of_sound =
                |row: &Reading| matches!(row.unit, Unit::Dbfs | Unit::Dbtp | Unit::Lufs | Unit::Hz);
            for row in variant.node_type.readings.iter().filter(|row| is_of_sound(row)) {
                let report = last_reports(&rig).get(row.name).copied().flatten();
                let is_silence = row.unit != Unit::Hz && report.is_some_and(|level| level <= FLOOR);
                assert!(report.is_none() || is_silence, "{}: {report:?}: {}", row.name, variant);
            }
        }
        // Into bypass while it plays: whatever it has shown is gone.
        rig.play(&loud);
        rig.set("/node/n/enabled", 0.0);
        rig.play(&loud);
        let reports = last_reports(&rig);
        assert!(reports.values().all(Option::is_none), "{reports:?}: {}", variant);
        rig.events.clear();
        rig.play(&loud);
        let values = rig.count(|event| matches!(event, Event::Meter { value: Some(_), .. }));
        assert_eq!(values, 0, "in bypass: {}", variant);
        // In bypass from the start.
        let mut disabled = variant.clone();
        disabled.node.enabled = false;
        let mut rig = Rig::of(&disabled);
        rig.block = 1024;
        rig.play(&loud);
        assert_eq!(rig.count(|event| matches!(event, Event::Meter { .. })), 0, "{}", variant);
    }
}

#[test]
fn what_leaves_a_quiet_programme_as_it_is_leaves_every_bit() {
    let input = noise(-30.0, 13, 2, 9_600);
    let mut broken = Vec::new();
    for node_type in CATALOGUE {
        let Some(values) = node_type.transparent_at else { continue };
        let variant = Variant::plain(node_type).with(values);
        let mut rig = Rig::of(&variant);
        let out = rig.play(&input);
        let latency = rig.latency();
        if out.iter().zip(&input).any(|(out, input)| out[latency..] != input[..9_600 - latency]) {
            broken.push(variant.to_string());
        }
    }
    assert_none(&broken);
}
