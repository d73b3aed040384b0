//! The thread for signals: SIGHUP reloads the files, SIGTERM and SIGINT end the daemon, SIGUSR1 writes the status to
//! the log.

use crate::process::supervise;
use crossbeam_channel::Sender;
use lacquer_control::peer::Peer;
use lacquer_control::request::{Request, RequestBundle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::thread::JoinHandle;

/// Starts the thread. It runs until the process ends.
pub(crate) fn spawn(requests: Sender<RequestBundle>) -> std::io::Result<JoinHandle<()>> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1])?;
    let mut is_ending = false;
    supervise::keep_running("signals", move |pulse| {
        pulse.set_waiting();
        for signal in signals.forever() {
            pulse.beat();
            let request = match signal {
                SIGHUP => Request::Reload { reset: false },
                SIGUSR1 => Request::Dump,
                // A second signal ends the process at once, without the fade.
                _ if is_ending => {
                    emulate_default_handler(signal).ok();
                    continue;
                }
                _ => {
                    is_ending = true;
                    Request::Quit
                }
            };
            if requests.send(RequestBundle { by: Peer::Signal, requests: vec![request], due: None }).is_err()
            {
                break;
            }
            pulse.set_waiting();
        }
        Ok(())
    })
}
