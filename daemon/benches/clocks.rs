//! What it costs to join two devices: one quantum of 64 stereo frames, 1333 µs of sound at 48 kHz.

use divan::{Bencher, black_box};
use lacquer::audio::backend::clocks::{Join, join};
use lacquer_graph::SUBBLOCK;

fn main() {
    divan::main();
}

#[divan::bench(args = [true, false])]
fn quantum(bencher: Bencher, is_one_clock: bool) {
    let wanted = Join { channels: 2, input_rate: 48_000.0, output_rate: 48_000.0, is_one_clock };
    let Ok((mut feed, mut draw, gauge)) = join(wanted) else { return };
    gauge.set_blocks(SUBBLOCK, SUBBLOCK);
    let mut planes = [[0.0; SUBBLOCK]; 2];
    let mut now = 0.0;
    bencher.bench_local(move || {
        now += SUBBLOCK as f64 / 48_000.0;
        feed.push(SUBBLOCK, now, |frame, channel| (frame + channel) as f64 * 0.001);
        draw.begin(SUBBLOCK, now);
        draw.fill(&mut planes, SUBBLOCK);
        black_box(&mut planes);
    });
}
