//! Swaps, heard from outside: what comes out while chains change places.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::message::ToAudio;
use lacquer_control::request::Request;
use lacquer_graph::plan::Io;
use lacquer_graph::run::engine::Event;
use lacquer_tests::catalogue::variants;
use lacquer_tests::daemon::root;
use lacquer_tests::random::Random;
use lacquer_tests::rig::{Nodes, RATE, Rig, chain_file, groups};
use lacquer_tests::signal::{
    Channels, bursts, click, db, distance, noise, peak, rms, same_bits, silence, sine,
};
use std::collections::BTreeMap;

const LOUD: &str = "  - gain: {id: g, gain: 0 dB}\n";
const QUIET: &str = "  - gain: {id: g, gain: -20 dB}\n";

const MASTER_A: &str = "
  - eq: {id: tone, bands: [{shape: bell, freq: 120 Hz, gain: 6 dB, q: 1}, {shape: highpass, freq: 30 Hz, slope: 24 dB/oct}]}
  - compressor: {id: glue, threshold: -12 dB, ratio: 2}
  - limiter: {id: ceiling, ceiling: -1 dBTP, lookahead: 2 ms}
";
const MASTER_B: &str = "
  - limiter: {id: ceiling, ceiling: -3 dBTP, lookahead: 6 ms}
  - eq: {id: tone, bands: [{shape: lowshelf, freq: 200 Hz, gain: -4 dB}]}
  - stereo: {id: width, width: 120 %}
";

fn swaps_done(rig: &Rig) -> usize {
    rig.count(|event| matches!(event, Event::OnAir { .. }))
}

#[test]
fn swap_to_an_identical_chain_changes_not_one_bit() {
    let (before, after) = (bursts(1, 2, 12_000), bursts(2, 2, 24_000));
    for variant in variants().iter().filter(|variant| !variant.has_memory()) {
        let rig = || Rig::of_files(vec![variant.chain("a"), variant.chain("b")], &Io::stereo());
        let (mut rig, mut still) = (rig(), rig());
        rig.play(&before);
        still.play(&before);
        rig.swap("b");
        assert!(same_bits(&rig.play(&after), &still.play(&after)), "{variant}");
        assert_eq!(swaps_done(&rig), 1);
    }
}

#[test]
fn swap_to_an_identical_chain_changes_not_one_bit_with_branches_keys_and_bypassed_nodes() {
    let nodes = "
  - limiter: {id: late, ceiling: -9 dBTP, lookahead: 4 ms}
  - compressor: {id: glue, in: input, key: late, threshold: -30 dB, ratio: 4}
  - limiter: {id: off, enabled: false, lookahead: 3 ms}
  - noise: {id: hiss, level: -70 dB}
  - mix: {id: sum, in: [off, {from: late, gain: -3 dB}, input, hiss]}
";
    let (before, after) = (bursts(3, 2, 12_000), bursts(4, 2, 24_000));
    // The second chain needs more latency: the first is padded to it.
    let chains = [("a", nodes), ("b", nodes), ("c", "  - limiter: {lookahead: 10 ms}\n")];
    for block in [1, 63, 64, 1024] {
        let (mut rig, mut still) = (Rig::new(&chains), Rig::new(&chains));
        rig.block = block;
        rig.play(&before);
        still.play(&before);
        rig.swap("b");
        assert!(same_bits(&rig.play(&after), &still.play(&after)), "blocks of {block}");
    }
}

#[test]
fn a_swap_while_a_value_moves_is_bit_transparent_too() {
    let chains = [("a", LOUD), ("b", LOUD)];
    let input = noise(-6.0, 5, 2, 24_000);
    let (mut rig, mut still) = (Rig::new(&chains), Rig::new(&chains));
    for rig in [&mut rig, &mut still] {
        let values = BTreeMap::from([("/g/gain".to_owned(), (-10.0).into())]);
        rig.desk.store_values("b", &values);
        rig.set("/node/g/gain", -10.0);
    }
    rig.swap("b");
    assert!(same_bits(&rig.play(&input), &still.play(&input)));
}

#[test]
fn a_long_delay_of_many_channels_is_adopted_whole_before_the_fade() {
    let hall = root().join("tests/golden/impulse-mono.txt").display().to_string();
    let io = Io { inputs: groups(&[("in", 8)]), outputs: groups(&[("out", 8)]) };
    for nodes in [
        "  - delay: {id: late, time: 500 ms}\n".to_owned(),
        format!("  - convolver: {{id: hall, impulse: \"{hall}\", predelay: 500 ms}}\n"),
    ] {
        let chains = [("a", nodes.as_str()), ("b", nodes.as_str())];
        let (mut rig, mut still) = (Rig::with(&chains, &io, true), Rig::with(&chains, &io, true));
        rig.desk.set_swap_ms(5.0, 5.0);
        for block in [1_024, 7] {
            let (before, after) = (noise(-6.0, 1, 8, 30_000), noise(-6.0, 2, 8, 30_000));
            (rig.block, still.block) = (block, block);
            rig.play(&before);
            still.play(&before);
            let done = swaps_done(&rig);
            rig.swap(if block == 7 { "a" } else { "b" });
            assert!(same_bits(&rig.play(&after), &still.play(&after)), "blocks of {block}: {nodes}");
            assert_eq!(swaps_done(&rig), done + 1);
        }
    }
}

/// Whether some 10 ms of `out` are far softer than the programme, which is noise.
fn has_gap(out: &[f64]) -> bool {
    out.chunks_exact(480).any(|some| db(rms(some)) < -26.0)
}

#[test]
fn a_delay_that_begins_empty_is_not_heard_before_it_is_full() {
    let hall = root().join("tests/golden/impulse-mono.txt").display().to_string();
    let both = "  - delay: {id: n, time: 200 ms}\n  - delay: {id: more, time: 300 ms}\n".to_owned();
    let hall =
        format!("  - convolver: {{id: n, impulse: \"{hall}\", normalise: energy, predelay: 400 ms}}\n");
    for nodes in ["  - delay: {id: n, time: 500 ms}\n".to_owned(), both, hall] {
        // By a swap.
        let mut rig = Rig::new(&[("a", LOUD), ("b", &nodes)]);
        let input = noise(-12.0, 3, 2, 72_000);
        rig.play(&input);
        rig.swap("b");
        assert!(!has_gap(&rig.play(&input)[0]), "{nodes}");
        assert_eq!(rig.active(), "b");
        // Out of bypass, also where the time was moved in the meantime.
        rig.set("/node/n/enabled", 0.0);
        rig.play(&input);
        if nodes.contains("time: 200 ms") {
            rig.set("/node/n/time", 450.0);
        }
        rig.set("/node/n/enabled", 1.0);
        assert!(!has_gap(&rig.play(&input)[0]), "out of bypass: {nodes}");
    }
}

#[test]
fn swap_between_different_chains_is_click_free() {
    // 100 Hz at -6 dBFS: a steady sine leaves nothing of x[n] - 2cos(w)x[n-1] + x[n-2].
    let input = sine(100.0, -6.0, RATE, 2, 96_000);
    for (from, to) in [(MASTER_A, MASTER_B), (MASTER_B, MASTER_A), (LOUD, QUIET)] {
        let mut rig = Rig::new(&[("a", from), ("b", to)]);
        rig.play(&input);
        rig.swap("b");
        let out = rig.play(&input);
        assert_eq!(swaps_done(&rig), 1);
        for samples in &out {
            let left = db(click(samples, 100.0, RATE) / peak(samples));
            println!("swap residual {left:.1} dB of the peak");
            assert!(left < -90.0, "{left:.1} dB of the peak is left");
        }
    }
}

#[test]
fn a_swap_is_a_fade_of_the_asked_length_after_the_warmup() {
    let mut rig = Rig::new(&[("a", LOUD), ("b", QUIET)]);
    let ones: Channels = vec![vec![1.0; 9_600]; 2];
    rig.swap("b");
    let out = rig.play(&ones).remove(0);
    // Warm-up 50 ms, fade 80 ms at 48 kHz; one sample each for the ends.
    assert!(out[..2_400].iter().all(|x| *x == 1.0));
    assert!((out[2_400 + 1_919] - 0.55).abs() < 0.001, "half way at half time: {}", out[2_400 + 1_919]);
    let quiet = lacquer_tests::signal::gain(-20.0);
    assert!(out[2_400 + 3_839..].iter().all(|x| *x == quiet));
}

#[test]
fn bypass_and_nodes_in_bypass_are_click_free() {
    let input = sine(100.0, -12.0, RATE, 2, 24_000);
    let mut rig = Rig::new(&[("a", MASTER_A)]);
    rig.play(&input);
    for on in [true, false] {
        rig.order(ToAudio::Bypass(on));
        let left = db(click(&rig.play(&input)[0], 100.0, RATE) / peak(&input[0]));
        assert!(left < -80.0, "bypass {on}: {left:.1} dB");
        rig.set("/node/tone/enabled", if on { 0.0 } else { 1.0 });
        let left = db(click(&rig.play(&input)[0], 100.0, RATE) / peak(&input[0]));
        assert!(left < -80.0, "node {on}: {left:.1} dB");
    }
}

#[test]
fn whole_bypass_is_the_input_bit_for_bit_with_the_latency_kept() {
    let input = noise(-6.0, 6, 2, 24_000);
    let mut rig = Rig::new(&[("a", MASTER_A), ("b", MASTER_B)]);
    rig.order(ToAudio::Bypass(true));
    rig.play(&input);
    let out = rig.play(&input);
    let latency = rig.latency();
    assert_eq!(out[0][latency..], input[0][..24_000 - latency]);
}

#[test]
fn a_trim_is_click_free_and_at_one_it_is_not_there() {
    let input = sine(100.0, -6.0, RATE, 2, 48_000);
    let trim = |rig: &mut Rig, chain: f64, dry: f64| {
        let generation = rig.newest().generation;
        rig.order(ToAudio::Trim { generation, chain, dry });
    };
    let mut still = Rig::new(&[("a", LOUD)]);
    let mut rig = Rig::new(&[("a", LOUD)]);
    trim(&mut rig, 1.0, 1.0);
    assert!(same_bits(&rig.play(&input), &still.play(&input)));
    trim(&mut rig, 0.5, 0.25);
    let out = rig.play(&input);
    assert!(
        db(click(&out[0][2_400..], 100.0, RATE)) < -80.0,
        "{:.1} dB",
        db(click(&out[0][2_400..], 100.0, RATE))
    );
    assert!((db(peak(&out[0][24_000..])) + 12.02).abs() < 0.01);
    rig.order(ToAudio::Bypass(true));
    let out = rig.play(&input);
    assert!((db(peak(&out[0][24_000..])) + 18.04).abs() < 0.01, "the dry signal has its own");
    trim(&mut rig, 1.0, 1.0);
    rig.play(&input);
    assert!(same_bits(&rig.play(&input), &input), "back at one nothing is left of it");
}

#[test]
fn a_second_swap_waits_for_the_first_and_the_last_asked_wins() {
    let mut rig =
        Rig::new(&[("a", LOUD), ("b", QUIET), ("c", LOUD), ("d", "  - gain: {id: g, gain: -6 dB}\n")]);
    for name in ["b", "c", "d"] {
        rig.swap(name);
    }
    rig.play(&silence(2, 48_000));
    assert_eq!(rig.active(), "d");
    assert_eq!(swaps_done(&rig), 2, "c was never built");
}

#[test]
fn a_chain_that_cannot_be_built_changes_nothing() {
    let (mut rig, mut still) = (Rig::new(&[("a", MASTER_A)]), Rig::new(&[("a", MASTER_A)]));
    assert!(rig.request(Request::Swap("nonsense".to_owned())).is_err());
    let input = noise(-6.0, 7, 2, 9_600);
    assert!(same_bits(&rig.play(&input), &still.play(&input)));
    assert_eq!(rig.active(), "a");
}

#[test]
fn each_chain_keeps_its_own_values_and_a_reload_takes_what_the_file_changed() {
    let mut rig = Rig::new(&[("a", MASTER_A), ("b", MASTER_B)]);
    let value = |rig: &Rig, address: &str| {
        let places = rig.newest().addresses.find(address).unwrap();
        rig.value(places[0].0).and_then(|value| value.number()).unwrap()
    };
    rig.set("/node/ceiling/ceiling", -2.0);
    rig.set("/node/glue/threshold", -30.0);
    rig.swap("b");
    rig.play(&silence(2, 24_000));
    assert_eq!(value(&rig, "/node/ceiling/ceiling"), -3.0, "b has its own");
    rig.swap("a");
    rig.play(&silence(2, 24_000));
    assert_eq!(value(&rig, "/node/ceiling/ceiling"), -2.0, "a has it as it was left");
    // The file now says another ceiling; the threshold was not touched there.
    let changed = MASTER_A.replace("ceiling: -1 dBTP", "ceiling: -1.5 dBTP");
    let files = vec![chain_file("a", &changed), chain_file("b", MASTER_B)];
    rig.reload(files.clone(), false);
    assert!(!rig.is_swapping(), "a value needs no new chain");
    assert_eq!(value(&rig, "/node/ceiling/ceiling"), -1.5);
    assert_eq!(value(&rig, "/node/glue/threshold"), -30.0);
    rig.reload(files, true);
    assert_eq!(value(&rig, "/node/glue/threshold"), -12.0, "a reset takes all from the file");
}

#[test]
fn values_that_arrive_during_a_swap_reach_both_chains() {
    let mut rig = Rig::new(&[("a", LOUD), ("b", LOUD)]);
    rig.swap("b");
    rig.play(&silence(2, 640));
    rig.set("/node/g/gain", -20.0);
    let ones: Channels = vec![vec![1.0; 24_000]; 2];
    let out = rig.play(&ones).remove(0);
    let quiet = lacquer_tests::signal::gain(-20.0);
    // Arrived in both long before the fade begins.
    assert!(out[1_700..].iter().all(|x| *x == quiet));
    let values = rig.desk.chains().values("a").unwrap();
    let place = values.addresses().at("/g/gain").unwrap();
    assert_eq!(values.get(place.at).and_then(|value| value.number()), Some(-20.0));
}

#[test]
fn a_thousand_swaps_while_values_move_leave_nothing_behind() {
    let mut rig = Rig::new(&[("a", MASTER_A), ("b", MASTER_B), ("c", LOUD)]);
    rig.desk.set_swap_ms(5.0, 5.0);
    let mut random = Random::new(8);
    let input = bursts(9, 2, 64);
    let mut out_peak = 0.0_f64;
    while swaps_done(&rig) < 1_000 {
        if !rig.is_swapping() {
            let name = *random.pick(&["a", "b", "c"]);
            rig.swap(name);
        }
        let places = rig.newest().addresses.all();
        let place = random.pick(places);
        if !place.row.is_setting {
            let (address, value) = (place.address(), place.row.from_norm(random.unit()).unwrap());
            rig.set(&address, value);
        }
        // Under the allocation guard: an allocation or a free in the callback ends the test.
        let out = rig.play(&input);
        out_peak = out_peak.max(peak(&out[0]));
        rig.collector.collect();
    }
    assert!(out_peak.is_finite() && out_peak < 100.0);
    assert_eq!(rig.collector.alloc_count(), 1, "every chain that was replaced came home and was freed");
}

#[test]
fn sound_starts_muted_and_comes_up_without_a_step() {
    let mut rig = Rig::with(&[("a", LOUD)], &Io::stereo(), false);
    let ones: Channels = vec![vec![1.0; 48_000]; 2];
    let out = rig.play(&ones).remove(0);
    assert!(out[0].abs() < 1e-6, "the first sample is {:e}", out[0]);
    let step = out.windows(2).map(|x| x[1] - x[0]).fold(0.0, f64::max);
    assert!(step < 2e-4, "largest step {step:e}");
    assert!(out[24_000..].iter().all(|x| *x == 1.0));
    rig.order(ToAudio::Mute(true));
    let out = rig.play(&ones).remove(0);
    assert_eq!(out[47_999], 0.0);
    assert_eq!(rig.count(|event| *event == Event::Muted), 1);
}

#[test]
fn a_setting_changed_live_comes_by_a_swap_and_needs_room() {
    let mut rig = Rig::new(&[
        ("a", "  - limiter: {id: n, lookahead: 1 ms}\n"),
        ("b", "  - limiter: {id: n, lookahead: 5 ms}\n"),
    ]);
    rig.set("/node/n/lookahead", 4.0);
    let input = noise(-30.0, 10, 2, 24_000);
    rig.play(&input);
    assert_eq!(swaps_done(&rig), 1);
    let out = rig.play(&input);
    let latency = rig.latency();
    let late: Channels = out.iter().map(|samples| samples[latency..].to_vec()).collect();
    let early: Channels = input.iter().map(|samples| samples[..24_000 - latency].to_vec()).collect();
    assert_eq!(distance(&late, &early), 0.0, "padded to the station's latency still");
    assert!(rig.try_set("/node/n/lookahead", &lacquer_control::value::Value::Number(9.0)).is_err());
    let places = rig.newest().addresses.find("/node/n/lookahead").unwrap();
    assert_eq!(rig.value(places[0].0), Some(4.0.into()), "what is refused changes nothing");
}
