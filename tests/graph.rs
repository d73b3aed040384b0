//! Plans and chains: order, alignment, buffers, guards.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::audio::realtime::guarded;
use lacquer_graph::node::{Node, NodeType, Params};
use lacquer_graph::plan::{Io, Plan};
use lacquer_graph::reading::Readings;
use lacquer_graph::{Block, Chain, Plane, SUBBLOCK};
use lacquer_tests::rig::{RATE, Rig, groups, spec};
use lacquer_tests::signal::{Channels, bursts, db, distance, noise, peak, silence};
use std::process::Command;

fn plan(nodes: &str, io: &Io) -> Plan {
    Plan::new(&spec(&format!("name: test\nnodes:\n{nodes}")), io, RATE).unwrap()
}

/// ```text
///  input ─┬─ late (4 ms) ──┬─ sum ── out
///         ├─ later (9 ms) ─┤
///         └────────────────┘
/// ```
#[test]
fn parallel_branches_with_different_latencies_null_against_their_aligned_sum() {
    // Limiters that have nothing to do are delays; their sum must be three times the input, as late.
    let mut rig = Rig::of(
        "
  - limiter: {id: late, in: input, lookahead: 4 ms}
  - limiter: {id: later, in: input, lookahead: 9 ms}
  - mix: {id: sum, in: [late, later, input]}
",
    );
    let input = noise(-30.0, 1, 2, 48_000);
    let out = rig.play(&input);
    let latency = rig.latency();
    assert_eq!(latency, 432 + 132);
    let late: Channels = out.iter().map(|samples| samples[latency..].to_vec()).collect();
    let sum: Channels =
        input.iter().map(|samples| samples[..48_000 - latency].iter().map(|x| x + x + x).collect()).collect();
    let left = db(distance(&late, &sum).max(1e-30) / peak(&sum[0]));
    println!("parallel branches null to {left:.0} dB");
    assert!(left < -280.0, "{left:.1} dB is left");
}

#[test]
fn a_side_chain_is_aligned_with_what_it_steers() {
    // The key is 9 ms late; so must the signal be.
    let plan = plan(
        "
  - limiter: {id: late, in: input, lookahead: 9 ms}
  - compressor: {id: duck, in: input, key: late}
",
        &Io::stereo(),
    );
    let duck = &plan.nodes[plan.find("duck").unwrap()];
    assert_eq!((duck.feeds[0].delay, duck.key[0].delay, duck.arrival), (564, 0, 564));
    assert_eq!(plan.latency, 564);
}

#[test]
fn a_plan_prints_as_the_approved_text() {
    let io = Io {
        inputs: groups(&[("programme", 2), ("voice", 1)]),
        outputs: groups(&[("master", 2), ("phones", 1)]),
    };
    let mut plan = Plan::new(
        &spec(
            "
name: everything
nodes:
  - eq: {id: tone, bands: [{shape: bell}]}
  - limiter: {id: late, lookahead: 4 ms}
  - compressor: {id: duck, in: tone, key: [input.voice]}
  - mix: {id: wide, in: input.voice, channels: 2}
  - tone: {id: line, level: -40 dB}
  - mix: {id: sum, in: [duck, {from: late, gain: -6 dB}, wide, line]}
  - stereo: {id: image, enabled: false}
  - limiter: {id: ceiling}
outputs:
  phones: {from: input.voice, gain: -3 dB}
",
        ),
        &io,
        RATE,
    )
    .unwrap();
    plan.pad(960);
    let approved = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/everything.plan");
    if std::env::var_os("LACQUER_APPROVE").is_some() {
        std::fs::write(approved, plan.to_string()).unwrap();
    }
    assert_eq!(plan.to_string(), std::fs::read_to_string(approved).unwrap());
}

#[test]
fn series_chains_work_in_one_buffer() {
    let nodes: String = (0..20).map(|i| format!("  - gain: {{id: g{i}}}\n")).collect();
    let plan = plan(&nodes, &Io::stereo());
    assert_eq!(plan.slots, 1);
    assert!(plan.nodes[1..].iter().all(|node| node.in_place));
}

#[test]
fn no_buffer_is_written_while_it_is_still_to_be_read() {
    // Every node's output is checked against a chain in which it has a chain of its own.
    let nodes = "
  - gain: {id: a, gain: -1 dB}
  - gain: {id: b, gain: -2 dB}
  - gain: {id: c, in: a, gain: -3 dB}
  - gain: {id: d, in: [a, b], gain: -4 dB}
  - compressor: {id: e, in: c, key: d, threshold: -40 dB}
  - gain: {id: f, in: [b, d, e], gain: -5 dB}
  - gain: {id: g, in: [f, c, a], gain: -6 dB}
";
    let input = bursts(2, 2, 4_800);
    let all = Rig::of(nodes).play(&input);
    // The same sums, with every buffer kept apart by feeding every node to a second output.
    let io = Io { inputs: groups(&[("in", 2)]), outputs: groups(&[("out", 2), ("spare", 2)]) };
    let kept = format!("{nodes}outputs:\n  spare: [a, b, c, d, e, f, g]\n");
    let mut apart = Rig::with(&[("main", &kept)], &io, true);
    assert!(plan(nodes, &Io::stereo()).slots < 7);
    assert_eq!(distance(&all, &apart.play(&input)[..2].to_vec()), 0.0);
}

#[test]
fn branches_sound_the_same_in_blocks_of_any_size() {
    let nodes = "
  - eq: {id: a, bands: [{shape: bell, freq: 2 kHz, gain: 6 dB}]}
  - limiter: {id: late, in: a, lookahead: 4 ms, ceiling: -9 dB}
  - compressor: {id: n, in: input, key: late, threshold: -30 dB, ratio: 4}
  - mix: {id: sum, in: [late, {from: n, gain: -3 dB}, a]}
";
    let play = |block| {
        let mut rig = Rig::of(nodes);
        rig.block = block;
        let first = rig.play(&bursts(1, 2, 9_000));
        rig.move_all();
        (first, rig.play(&bursts(2, 2, 9_000)))
    };
    let reference = play(64);
    for block in [1, 63, 480, 1024] {
        assert!(play(block) == reference, "blocks of {block} differ from blocks of 64");
    }
}

#[test]
fn several_inputs_and_outputs_keep_their_channels() {
    let io = Io { inputs: groups(&[("a", 2), ("b", 3)]), outputs: groups(&[("x", 3), ("y", 2), ("z", 1)]) };
    let nodes = "  - gain: {id: one, in: input.a}\n  - gain: {id: two, in: input.b}\noutputs:\n  y: one\n";
    let mut rig = Rig::with(&[("main", nodes)], &io, true);
    let input = noise(-6.0, 3, 5, 640);
    let out = rig.play(&input);
    assert_eq!(out[..3], input[2..5], "the last node feeds the first output");
    assert_eq!(out[3..5], input[..2]);
    assert_eq!(peak(&out[5]), 0.0, "an output that nothing feeds is silent");
}

// Nodes that fail, made for these tests -----------------------------------------------------------------

struct Bomb {
    /// Frames until it makes what is no number.
    left: usize,
    poison: f64,
}

impl Node for Bomb {
    fn process(&mut self, block: &mut Block<'_>, _: &Params<'_>, _: &mut Readings) {
        for frame in 0..block.frames() {
            if self.left == 0 {
                *block.at(0, frame) = self.poison;
            }
            self.left = self.left.saturating_sub(1);
        }
    }

    fn reset(&mut self) {
        self.left = 100_000_000;
    }

    fn adopt(&mut self, _: &dyn Node) {}
}

static BOMB: NodeType = NodeType::new("bomb", "Fails once, after 1000 frames.", &[], |_| {
    Box::new(Bomb { left: 1_000, poison: f64::NAN })
});
static STUCK: NodeType = NodeType::new("stuck", "Fails always.", &[], |_| Box::new(Stuck));

struct Stuck;

impl Node for Stuck {
    fn process(&mut self, block: &mut Block<'_>, _: &Params<'_>, _: &mut Readings) {
        *block.at(1, 0) = f64::INFINITY;
    }

    fn reset(&mut self) {}

    fn adopt(&mut self, _: &dyn Node) {}
}

/// Plays a chain whose node `n` is `kind`; gives the output and how often the node failed.
fn play_failing(node_type: &'static NodeType, nodes: &str, input: &Channels) -> (Channels, usize, usize) {
    let mut plan = plan(nodes, &Io::stereo());
    let at = plan.find("n").unwrap();
    plan.nodes[at].node_type = node_type;
    plan.nodes[at].values.clear();
    let mut chain = Chain::new(&plan, 1);
    let (mut out, mut faults): (Channels, usize) = (silence(2, 0), 0);
    for from in (0..input[0].len()).step_by(SUBBLOCK) {
        let frames = SUBBLOCK.min(input[0].len() - from);
        let mut planes: [Plane; 2] = [[0.0; SUBBLOCK]; 2];
        let mut outputs: [Plane; 2] = [[0.0; SUBBLOCK]; 2];
        for (plane, samples) in planes.iter_mut().zip(input) {
            plane[..frames].copy_from_slice(&samples[from..from + frames]);
        }
        guarded(|| {
            chain.process(&planes, &mut outputs, frames, None, |node| {
                assert_eq!(node, at);
                faults += 1;
            })
        });
        out.iter_mut().zip(outputs).for_each(|(all, plane)| all.extend(&plane[..frames]));
    }
    (out, faults, plan.total)
}

#[test]
fn a_node_that_makes_a_nan_is_replaced_by_its_input_within_its_quantum() {
    let nodes = "  - limiter: {id: before}\n  - gain: {id: n}\n  - limiter: {id: after}\n";
    let input = noise(-20.0, 4, 2, 48_000);
    let (out, faults, latency) = play_failing(&BOMB, nodes, &input);
    assert_eq!(faults, 1);
    assert!(out.iter().flatten().all(|x| x.is_finite()));
    // The bomb passes its input on, so nothing else may be heard of it at all.
    let late: Channels = out.iter().map(|samples| samples[latency..].to_vec()).collect();
    let early: Channels = input.iter().map(|samples| samples[..48_000 - latency].to_vec()).collect();
    assert!(
        distance(&late, &early) < 0.35,
        "the step to the dry signal is smoothed, not louder than the signal"
    );
    let calm = |channels: &Channels| channels.iter().map(|samples| samples[3_000..].to_vec()).collect();
    assert_eq!(distance(&calm(&late), &calm(&early)), 0.0);
}

#[test]
fn a_node_that_always_fails_is_tried_ever_more_rarely() {
    let input = noise(-20.0, 5, 2, 960_000);
    let (out, faults, _) = play_failing(&STUCK, "  - gain: {id: n}\n", &input);
    assert!(out.iter().flatten().all(|x| x.is_finite()));
    // 20 s: after 0.25, 0.5, 1, 2, 4, 8 s.
    assert!((5..=8).contains(&faults), "{faults} attempts");
}

#[test]
fn the_allocation_guard_fires() {
    // The guard ends the process: so it is another one that must die.
    if std::env::var_os("LACQUER_TEST_ALLOCATES").is_some() {
        guarded(|| drop(std::hint::black_box(vec![1_u8; 64])));
        return;
    }
    let me = std::env::current_exe().unwrap();
    let run = |value: Option<&str>| {
        let mut command = Command::new(&me);
        command.args(["--exact", "the_allocation_guard_fires", "--nocapture"]);
        if let Some(value) = value {
            command.env("LACQUER_TEST_ALLOCATES", value);
        }
        command.env("LACQUER_TEST_CHILD", "1").output().unwrap()
    };
    if std::env::var_os("LACQUER_TEST_CHILD").is_some() {
        return;
    }
    assert!(run(None).status.success());
    let allocating = run(Some("1"));
    assert!(!allocating.status.success(), "an allocation in the callback went unnoticed");
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(allocating.status.signal(), Some(6), "it ends by SIGABRT");
}

#[test]
fn denormals_are_flushed_in_the_callback() {
    let tiny = std::hint::black_box(1e-300_f64);
    assert!(tiny * 1e-10 > 0.0, "outside they are not");
    assert_eq!(guarded(|| std::hint::black_box(std::hint::black_box(tiny) * 1e-10)), 0.0);
}
