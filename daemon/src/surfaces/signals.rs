//! The signals' thread: SIGHUP reloads, SIGTERM and SIGINT end, SIGUSR1 writes the status to the log.

use crate::process::supervise;
use crossbeam_channel::Sender;
use lacquer_control::peer::Peer;
use lacquer_control::request::{Request, RequestBundle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::thread::JoinHandle;

/// Starts the thread. It lives as long as the process.
pub fn spawn(asked: Sender<RequestBundle>) -> std::io::Result<JoinHandle<()>> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1])?;
    let mut is_ending = false;
    supervise::keep_running("signals", move |pulse| {
        pulse.waits();
        for signal in signals.forever() {
            pulse.beat();
            let request = match signal {
                SIGHUP => Request::Reload { reset: false },
                SIGUSR1 => Request::Dump,
                // Whoever asks twice does not want to wait for the fade.
                _ if is_ending => {
                    emulate_default_handler(signal).ok();
                    continue;
                }
                _ => {
                    is_ending = true;
                    Request::Quit
                }
            };
            if asked.send(RequestBundle { by: Peer::Signal, requests: vec![request], due: None }).is_err() {
                break;
            }
            pulse.waits();
        }
        Ok(())
    })
}
