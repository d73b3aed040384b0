//! The taps' thread: looks at the meters and tells the conductor.

use crate::taps::Tap;
use crate::taps::meters::Meters;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use lacquer_control::notice::Line;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Time between two looks: EBU Tech 3341 wants at least ten a second.
const EVERY: Duration = Duration::from_millis(50);

/// Starts the thread. It ends when `end` is closed.
pub fn spawn(taps: Vec<Tap>, told: Sender<Vec<Line>>, end: Receiver<()>) -> std::io::Result<JoinHandle<()>> {
    Builder::new().name("taps".to_owned()).spawn(move || {
        let mut meters: Vec<_> = taps.into_iter().map(Meters::new).collect();
        while end.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            for meters in &mut meters {
                let levels = meters.look();
                // A conductor that is busy gets the next ones.
                told.try_send(meters.lines(&levels)).ok();
            }
        }
    })
}
