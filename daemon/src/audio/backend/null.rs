//! The null backend: a timer drives the blocks in real time, or as fast as possible. No sound card, no server.

use crate::audio::backend::demo_signal::Programme;
use crate::audio::callback::Callback;
use crate::audio::ports::Ports;
use crate::audio::realtime::minimise_timer_slack;
use crate::process::supervise;
use crate::station::Null;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running null backend.
pub(crate) struct Running {
    is_ending: Arc<AtomicBool>,
    missed: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

struct Buffers {
    inputs: Vec<Vec<f64>>,
    programme: Option<Programme>,
}

impl Buffers {
    /// Fills the next block's inputs: the demo programme on the first two channels, silence on the others.
    fn fill_inputs(&mut self, frames: usize) {
        let Some(programme) = &mut self.programme else { return };
        for frame in 0..frames {
            for (channel, sample) in self.inputs.iter_mut().zip(programme.frame()) {
                channel[frame] = sample;
            }
        }
    }
}

impl Ports for Buffers {
    fn read(&mut self, channel: usize, from: usize, into: &mut [f64]) {
        into.copy_from_slice(&self.inputs[channel][from..from + into.len()]);
    }

    fn write(&mut self, _channel: usize, _from: usize, _samples: &[f64]) {}
}

/// Starts the thread that calls `callback`.
pub(crate) fn start(config: Null, inputs: usize, mut callback: Callback) -> io::Result<Running> {
    let is_ending = Arc::new(AtomicBool::new(false));
    let missed = Arc::new(AtomicU64::new(0));
    let (must_end, count) = (Arc::clone(&is_ending), Arc::clone(&missed));
    let mut buffers = Buffers {
        inputs: vec![vec![0.0; config.block]; inputs],
        programme: config.programme.then(|| Programme::new(config.rate)),
    };
    let thread = supervise::run_once("audio", move || {
        minimise_timer_slack();
        let period = Duration::from_secs_f64(config.block as f64 / config.rate);
        let mut due = Instant::now();
        while !must_end.load(Ordering::Relaxed) {
            buffers.fill_inputs(config.block);
            callback.block(config.block, &mut buffers);
            if config.free {
                continue;
            }
            due += period;
            match due.checked_duration_since(Instant::now()) {
                Some(early) => std::thread::sleep(early),
                // A sound card's buffer hides a delay of one block, but not of two.
                None if due.elapsed() > 2 * period => {
                    count.fetch_add(1, Ordering::Relaxed);
                    // A card does not continue at once either; and without a pause a real-time thread would keep all
                    // others from running.
                    std::thread::sleep(period);
                    due = Instant::now();
                }
                None => {}
            }
        }
    })?;
    Ok(Running { is_ending, missed, thread })
}

impl Running {
    /// Deadlines missed so far.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Ends the thread.
    pub(crate) fn stop(self) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.thread.join().ok();
    }
}
