//! The taps' thread: measures what the taps deliver, and sends the readings to the conductor.

use crate::audio::taps::Tap;
use crate::audio::taps::meters::Meters;
use crate::process::supervise;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use lacquer_control::update::Update;
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two updates: EBU Tech 3341 requires at least ten a second.
const EVERY: Duration = Duration::from_millis(50);

/// Starts the thread. It ends when `end` is closed.
pub(crate) fn spawn(
    mut taps: Vec<Tap>,
    updates: Sender<Vec<Update>>,
    end: Receiver<()>,
) -> std::io::Result<JoinHandle<()>> {
    supervise::keep_running("taps", move |pulse| {
        let mut meters: Vec<_> = taps.iter_mut().map(Meters::new).collect();
        while end.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            pulse.beat();
            for meters in &mut meters {
                let levels = meters.measure();
                let mut lines = meters.lines(&levels);
                lines.extend(meters.arrays());
                // If the conductor's channel is full, it receives the next ones.
                updates.try_send(lines).ok();
            }
        }
        Ok(())
    })
}
