//! What the whole station takes in real time, on this machine, now: how soon a control message is heard, how long another
//! client waits beside a flood, how fast a free clock runs, what a thousand swaps cost. Figures to read, never a test:
//! whatever else the machine does is in them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a figure that cannot be had has failed")]

use lacquer::media::{Depth, Sink};
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, Folder, Listener, text};
use lacquer_tests::ear::{Ear, daemon, daemon_with};
use lacquer_tests::flood::Flood;
use lacquer_tests::jackd::{Server, alone};
use lacquer_tests::signal::noise;
use lacquer_tests::studio::Studio;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn main() {
    if !alone("live") {
        return;
    }
    flood();
    crowd();
    free_clock();
    control_to_sound();
    swaps();
}

/// The middle, the 99th percentile and the greatest of some figures.
fn spread(mut figures: Vec<f64>) -> [f64; 3] {
    figures.sort_by(f64::total_cmp);
    [0.5, 0.99, 1.0].map(|share| figures[(share * (figures.len() - 1) as f64) as usize])
}

/// Numbers of the status, added.
fn status(client: &Listener, key: &str) -> f64 {
    let line = client.ask_for("/status", &format!("/status/{key}"));
    line.values.iter().map(|value| if let Value::Number(number) = value { *number } else { 0.0 }).sum()
}

fn flood() {
    let studio = Studio::new("live-flood");
    let daemon = studio.start();
    let client = daemon.client();
    let xruns = status(&client, "xruns");
    let (flood, start) = (Flood::start(daemon.address), Instant::now());
    let mut waits = Vec::new();
    while start.elapsed() < Duration::from_secs(4) {
        let asked = Instant::now();
        client.ask("/node/glue/ratio", vec![]);
        waits.push(asked.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(10));
    }
    let (sent, ..) = flood.stop();
    let rate = sent as f64 / start.elapsed().as_secs_f64();
    let [half, most, all] = spread(waits);
    println!(
        "beside {rate:.0} messages a second another client waits {half:.2} ms, 99 %: {most:.2} ms, at most {all:.2} ms; \
         {:.0} xruns",
        status(&client, "xruns") - xruns
    );
}

/// Fifty clients that ask for the whole tree without waiting for answers, a thousand connections that do nothing, and a
/// swap to ten seconds of impulse in true stereo.
fn crowd() {
    let (studio, web) = Studio::with_web("live-crowd", "");
    let mut sink = Sink::create(&studio.folder.at("hall.wav"), 48_000, 4, Depth::Float32).unwrap();
    let hall: Vec<Vec<f64>> = noise(-30.0, 5, 4, 480_000);
    sink.write(&hall.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    sink.finish().unwrap();
    studio.folder.write("c.yaml", "nodes: [convolver: {impulse: hall.wav}]\n");
    let yaml = std::fs::read_to_string(&studio.station).unwrap().replace("b.yaml]", "b.yaml, c.yaml]");
    std::fs::write(&studio.station, yaml).unwrap();
    let daemon = studio.start();
    let client = daemon.client();
    let idle: Vec<_> = (0..1_000).filter_map(|_| TcpStream::connect(("127.0.0.1", web)).ok()).collect();
    let request = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{web}\r\n\r\n").repeat(20);
    let busy: Vec<_> = (0..50)
        .filter_map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", web)).ok()?;
            stream.write_all(request.as_bytes()).ok()?;
            Some(stream)
        })
        .collect();
    client.say("/swap", vec![text("c")]);
    let (start, mut waits) = (Instant::now(), Vec::new());
    while start.elapsed() < Duration::from_secs(4) {
        let asked = Instant::now();
        client.ask_for("/ping", "/pong");
        waits.push(asked.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(5));
    }
    let [half, most, all] = spread(waits);
    let chain = client.ask_for("/status", "/status/chain");
    println!(
        "beside {} clients that pipeline, {} idle connections and a swap to 10 s of true-stereo impulse ({:?} is on air) \
         an answer takes {half:.2} ms, 99 %: {most:.2} ms, at most {all:.2} ms",
        busy.len(),
        idle.len(),
        chain.values
    );
}

fn free_clock() {
    let studio = Studio::new("live-free");
    let yaml = std::fs::read_to_string(&studio.station).unwrap();
    std::fs::write(&studio.station, yaml.replace("block: 64", "block: 64, clock: free")).unwrap();
    let daemon = studio.start();
    let client = daemon.client();
    let (before, start) = (status(&client, "load_histogram"), Instant::now());
    std::thread::sleep(Duration::from_secs(4));
    let played = (status(&client, "load_histogram") - before) * 64.0 / 48_000.0;
    println!("a free clock: {:.0} times real time", played / start.elapsed().as_secs_f64());
}

fn control_to_sound() {
    let _server = Server::start(64);
    let folder = Folder::new("live-control");
    // A station without latency: what is measured is the way of the message alone.
    let daemon = daemon_with(&folder, "line.yaml", "line", "");
    let ear = Ear::open();
    ear.connect("under-test:master_1", "ear:in");
    let client = daemon.client();
    // Until the start ramp is over.
    client.say("/node/line/level", vec![Value::Number(-20.0)]);
    ear.heard();
    let blocks = (0..300).map(|_| {
        client.say("/node/line/level", vec![text("-inf")]);
        ear.silent();
        let asked = ear.client().frame_time();
        client.say("/node/line/level", vec![Value::Number(-20.0)]);
        f64::from(ear.heard().wrapping_sub(asked) as i32) / 64.0
    });
    let [half, most, all] = spread(blocks.collect());
    println!("control to sound: {half:.2} blocks of 64 frames, 99 %: {most:.2}, at most {all:.2}");
}

fn swaps() {
    let _server = Server::start(64);
    let folder = Folder::new("live-swaps");
    let ear = Ear::open();
    let station: Daemon = daemon(&folder, "a", "");
    let client = station.client();
    client.say("/subscribe", vec![Value::Number(600.0)]);
    client.hear("the state", |line| line.address == "/swap");
    let (xruns, start) = (ear.xruns.load(Ordering::Relaxed), Instant::now());
    for i in 0..1_000 {
        let to = ["b", "a"][i % 2];
        client.say("/swap", vec![text(to)]);
        client.swap_phase("done", to);
    }
    let (during, took) = (ear.xruns.load(Ordering::Relaxed) - xruns, start.elapsed().as_secs_f64());
    drop(station);
    // The server's own are not the daemon's.
    let xruns = ear.xruns.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(10));
    let idle = (ear.xruns.load(Ordering::Relaxed) - xruns) as f64 / 10.0;
    println!(
        "a thousand swaps in {took:.1} s: {:.2} xruns a second, {idle:.2} with the server idle",
        during as f64 / took
    );
}
