//! Approved sound: every node type, every ready chain and ten swaps sound as they did, to the last bit.
//!
//! `make golden-audio` renews the approved files in `tests/golden/audio`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_graph::plan::Io;
use lacquer_tests::catalogue::variants;
use lacquer_tests::daemon::root;
use lacquer_tests::golden::Golden;
use lacquer_tests::material::approved_music;
use lacquer_tests::rig::{Rig, groups, ready};
use lacquer_tests::signal::{Channels, noise};

/// Plays the first of it, does something, and plays on.
fn play_on(rig: &mut Rig, out: &mut Channels, rest: &mut Channels, frames: usize) {
    let now: Channels = rest.iter_mut().map(|samples| samples.drain(..frames).collect()).collect();
    out.iter_mut().zip(rig.play(&now)).for_each(|(all, more)| all.extend(more));
}

#[test]
fn every_node_type_sounds_as_approved() {
    let mut golden =
        Golden::new("nodes", "Every node type in the laws' settings and programmes; half-way all moves.");
    for variant in variants() {
        let name = format!("{}/{}", variant.node_type.name, variant.name);
        let mut rig = Rig::of(&variant);
        rig.block = 480;
        let (mut rest, mut out) = (variant.programme(), vec![Vec::new(); 2]);
        let half = rest[0].len() / 2;
        play_on(&mut rig, &mut out, &mut rest, half);
        rig.move_all();
        play_on(&mut rig, &mut out, &mut rest, half);
        golden.add(&name, &out);
    }
    golden.check();
}

/// The ready chains, and for each what it is fed by and feeds.
fn chains() -> Vec<(String, Io)> {
    let files = std::fs::read_dir(root().join("configs/chains")).unwrap();
    let stem = |path: std::path::PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<String> = files.map(|file| stem(file.unwrap().path())).collect();
    names.sort();
    let io = |name: String| match name.as_str() {
        "voice-over" => (name, voice_over()),
        _ => (name, Io::stereo()),
    };
    names.into_iter().map(io).collect()
}

fn voice_over() -> Io {
    Io {
        inputs: groups(&[("programme", 2), ("voice", 1)]),
        outputs: groups(&[("master", 2), ("monitor", 1)]),
    }
}

/// Music on the left, a softer and later copy and some noise on the right, and a third channel that comes and goes.
fn made(channels: usize, seconds: usize) -> Channels {
    let left = approved_music(seconds, 51);
    let hiss = noise(-50.0, 52, 1, left.len()).remove(0);
    let later = |n: usize| if n < 60 { 0.0 } else { left[n - 60] };
    let right = hiss.iter().enumerate().map(|(n, hiss)| 0.7 * later(n) + hiss).collect();
    let third = left.iter().enumerate().map(|(n, x)| if n / 24_000 % 3 == 1 { *x } else { 0.0 }).collect();
    vec![left, right, third].into_iter().take(channels).collect()
}

#[test]
fn every_ready_chain_sounds_as_approved() {
    let mut golden = Golden::new("chains", "Every ready chain, on four seconds of made music.");
    let input = made(3, 4);
    for (name, io) in chains() {
        let mut rig = Rig::of_files(vec![ready(&name)], &io);
        rig.block = 480;
        golden.add(&name, &rig.play(&input[..io.input_channels()].to_vec()));
    }
    golden.check();
}

/// A swap: from which chain, to which (those asked for while another runs wait, and the last of them wins), and
/// whether values move before, during the warm-up, during the fade, and behind it.
struct Swap {
    from: &'static str,
    to: &'static [&'static str],
    moves: bool,
}

const SWAPS: [Swap; 10] = [
    Swap { from: "streaming", to: &["streaming"], moves: false },
    Swap { from: "vinyl", to: &["vinyl"], moves: true },
    Swap { from: "transparent", to: &["loud"], moves: false },
    Swap { from: "streaming", to: &["podcast"], moves: true },
    Swap { from: "broadcast-r128", to: &["night"], moves: true },
    Swap { from: "vinyl-transfer", to: &["warm"], moves: true },
    Swap { from: "room-correction", to: &["parallel"], moves: true },
    Swap { from: "tape-hiss", to: &["remote-interview"], moves: false },
    Swap { from: "apple", to: &["club", "night", "warm"], moves: false },
    Swap { from: "voice-over", to: &["voice-over"], moves: true },
];

#[test]
fn ten_swaps_sound_as_approved() {
    let mut golden = Golden::new("swaps", "Ten swaps between ready chains, on made music.");
    let input = made(3, 2);
    for Swap { from, to, moves } in SWAPS {
        let (io, mut names) = (if from == "voice-over" { voice_over() } else { Io::stereo() }, vec![from]);
        names.extend(to.iter().filter(|name| **name != from));
        let mut rig = Rig::of_files(names.iter().map(|name| ready(name)).collect(), &io);
        rig.block = 480;
        let mut rest = input[..io.input_channels()].to_vec();
        let mut out = vec![Vec::new(); io.output_channels()];
        let move_all = |rig: &mut Rig| {
            if moves {
                rig.move_all()
            }
        };
        play_on(&mut rig, &mut out, &mut rest, 24_000);
        move_all(&mut rig);
        to.iter().for_each(|name| rig.swap(name));
        // A warm-up takes 50 ms, a fade 80 ms.
        play_on(&mut rig, &mut out, &mut rest, 960);
        move_all(&mut rig);
        play_on(&mut rig, &mut out, &mut rest, 2_400);
        move_all(&mut rig);
        play_on(&mut rig, &mut out, &mut rest, 24_000);
        assert!(!rig.is_swapping() && rig.active() == *to.last().unwrap());
        move_all(&mut rig);
        let frames = rest[0].len();
        play_on(&mut rig, &mut out, &mut rest, frames);
        let moving = if moves { "/moving" } else { "" };
        golden.add(&format!("{from}->{}{moving}", to.join(",")), &out);
    }
    golden.check();
}
