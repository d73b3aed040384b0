//! The taps' thread: looks at the meters and tells the conductor.

use crate::audio::taps::Tap;
use crate::audio::taps::meters::Meters;
use crate::process::supervise;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use lacquer_control::update::Update;
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two looks: EBU Tech 3341 wants at least ten a second.
const EVERY: Duration = Duration::from_millis(50);

/// Starts the thread. It ends when `end` is closed.
pub fn spawn(
    mut taps: Vec<Tap>,
    told: Sender<Vec<Update>>,
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
                // A conductor that is busy gets the next ones.
                told.try_send(lines).ok();
            }
        }
        Ok(())
    })
}
