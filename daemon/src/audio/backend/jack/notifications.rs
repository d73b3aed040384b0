//! Notifications of the JACK server, on a thread of its library.

use crate::audio::backend::BackendEvent;
use crate::audio::backend::jack::calls::Calls;
use crossbeam_channel::Sender;
use jack::{Client, ClientStatus, Control, Frames, NotificationHandler, PortId};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Passes notifications on to the conductor and the session.
pub(super) struct Notifications {
    pub(super) calls: Arc<Calls>,
    pub(super) events: Sender<BackendEvent>,
    pub(super) is_shut_down: Arc<AtomicBool>,
    pub(super) missed: Arc<AtomicU64>,
    pub(super) rate: Frames,
    /// Whether the server is in freewheel: then there are no deadlines.
    pub(super) is_free: bool,
    /// How often ports were added or removed.
    pub(super) port_changes: Arc<AtomicU64>,
    /// The ports that were added.
    pub(super) added: Arc<Mutex<Vec<String>>>,
    /// How often one of our MIDI ports was connected.
    pub(super) connections: Arc<AtomicU64>,
    /// The full names of the MIDI ports.
    pub(super) midi: Vec<String>,
}

impl NotificationHandler for Notifications {
    unsafe fn shutdown(&mut self, _status: ClientStatus, _reason: &str) {
        // It may run in a signal handler: only an atomic is safe.
        self.is_shut_down.store(true, Ordering::Relaxed);
    }

    fn sample_rate(&mut self, _: &Client, rate: Frames) -> Control {
        let _call = self.calls.begin();
        if std::mem::replace(&mut self.rate, rate) != rate {
            self.events.try_send(BackendEvent::SampleRate(f64::from(rate))).ok();
        }
        Control::Continue
    }

    fn port_registration(&mut self, client: &Client, port: PortId, is_there: bool) {
        let _call = self.calls.begin();
        let name = client.port_by_id(port).filter(|_| is_there).and_then(|port| port.name().ok());
        self.added.lock().unwrap_or_else(PoisonError::into_inner).extend(name);
        self.port_changes.fetch_add(1, Ordering::Relaxed);
    }

    fn ports_connected(&mut self, client: &Client, a: PortId, b: PortId, are_connected: bool) {
        let _call = self.calls.begin();
        let name = |port| client.port_by_id(port).and_then(|port| port.name().ok());
        let is_midi = [a, b].into_iter().filter_map(name).any(|name| self.midi.contains(&name));
        self.connections.fetch_add(u64::from(are_connected && is_midi), Ordering::Relaxed);
    }

    fn freewheel(&mut self, _: &Client, is_on: bool) {
        let _call = self.calls.begin();
        self.is_free = is_on;
        self.events.try_send(BackendEvent::Freewheel(is_on)).ok();
    }

    fn xrun(&mut self, _: &Client) -> Control {
        let _call = self.calls.begin();
        self.missed.fetch_add(u64::from(!self.is_free), Ordering::Relaxed);
        Control::Continue
    }
}
