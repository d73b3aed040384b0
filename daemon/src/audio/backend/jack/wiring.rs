//! The ports of a running client: their connections and latency. Calls about them wait for the server, so they are made
//! on a thread of their own.

use crate::audio::backend::connections::{Connection, Connections, OtherPort, OwnPort};
use crate::audio::backend::jack::notifications::Notifications;
use crate::audio::backend::jack::process::Process;
use crate::audio::backend::jack::raw::{Latency, recompute};
use crate::audio::backend::jack::reason::reason;
use crate::process::supervise;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use jack::{AsyncClient, Client, PortFlags};
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two checks of the server's ports: after ports were added or removed, and otherwise.
const RETRY_PORTS: Duration = Duration::from_millis(100);
const CHECK_PORTS: Duration = Duration::from_secs(1);
/// How soon a latency request of the server is answered.
const ANSWER: Duration = Duration::from_millis(20);

/// The client and its ports.
pub(super) struct Ports {
    pub client: Arc<AsyncClient<Notifications, Process>>,
    pub own: Vec<OwnPort>,
    /// How often ports were added or removed.
    pub changes: Arc<AtomicU64>,
    /// The ports that were added since the last update.
    pub added: Arc<Mutex<Vec<String>>>,
    pub latency: Arc<Latency>,
}

/// The full name of one of our ports.
pub(super) fn full(client: &Client, name: &str) -> String {
    format!("{}:{name}", client.name())
}

impl Ports {
    /// Reads the server's ports and makes the connections that `stored` asks for. Returns those that failed, and why.
    pub(super) fn connect(&self, stored: &mut Connections) -> Vec<String> {
        let client = self.client.as_client();
        let mine = format!("{}:", client.name());
        let mut others = Vec::new();
        for (kind, is_midi) in [("audio", false), ("midi", true)] {
            for (flag, is_input) in [(PortFlags::IS_INPUT, true), (PortFlags::IS_OUTPUT, false)] {
                let names =
                    client.ports(None, Some(kind), flag).into_iter().filter(|name| !name.starts_with(&mine));
                others.extend(names.map(|name| {
                    let port = client.port_by_name(&name);
                    let aliases = port.and_then(|port| port.aliases().ok()).unwrap_or_default();
                    OtherPort { name, aliases, is_midi, is_input }
                }));
            }
        }
        let connections = |own: &OwnPort| {
            let port = client.port_by_name(&full(client, &own.name));
            let theirs = port.map(|port| port.get_connections()).unwrap_or_default();
            theirs.into_iter().map(|theirs| (own.name.clone(), theirs)).collect::<Vec<Connection>>()
        };
        let connected = self.own.iter().flat_map(connections).collect();
        // A port that was removed and added between two updates counts as added.
        let added = std::mem::take(&mut *lock(&self.added));
        added.iter().for_each(|port| stored.add_port(port));
        let mut failures = Vec::new();
        for pair in stored.update(&self.own, &others, &connected) {
            let Some(own) = self.own.iter().find(|own| own.name == pair.0) else { continue };
            let ours = full(client, &own.name);
            let (from, to) = if own.is_input { (&pair.1, &ours) } else { (&ours, &pair.1) };
            match client.connect_ports_by_name(from, to) {
                Ok(()) | Err(jack::Error::PortAlreadyConnected(..)) => {}
                Err(error) => {
                    // A new client may not be active yet.
                    stored.retry(&pair);
                    failures.push(format!("{ours} with {}: {}", pair.1, reason(&error)));
                }
            }
        }
        failures
    }

    /// The station's connections whose other port does not exist yet, in words.
    pub(super) fn missing(&self, stored: &Connections) -> Vec<String> {
        let client = self.client.as_client();
        let text = |(own, pattern): (&str, &str)| {
            format!("{} with {pattern}: no such port; will be connected when it appears", full(client, own))
        };
        stored.unmatched(&self.own).into_iter().map(text).collect()
    }
}

/// What the thread shares with the session.
#[derive(Default)]
struct Shared {
    /// The connections, also those whose other port is not there at the moment.
    kept: Mutex<BTreeSet<Connection>>,
    /// Whether they have changed since the last call of [`Wiring::has_changed`].
    has_changed: AtomicBool,
    /// Whether the server is to be notified of a new latency.
    is_latency_due: AtomicBool,
}

/// The thread that makes the calls.
pub(super) struct Wiring {
    /// Wakes the thread; closing it ends the thread.
    wake: Sender<()>,
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
    latency: Arc<Latency>,
}

impl Wiring {
    /// Starts the thread, which keeps the connections `stored`.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(super) fn start(ports: Ports, mut stored: Connections) -> io::Result<Self> {
        let (wake, woken) = bounded(1);
        let shared = Arc::new(Shared { kept: Mutex::new(stored.kept().clone()), ..Shared::default() });
        let (theirs, latency) = (Arc::clone(&shared), Arc::clone(&ports.latency));
        let (mut seen, mut last_look) = (0, Instant::now());
        let thread = supervise::keep_running("ports", move |pulse| {
            loop {
                pulse.set_waiting();
                if woken.recv_timeout(ANSWER) == Err(RecvTimeoutError::Disconnected) {
                    return Ok(());
                }
                pulse.beat();
                if theirs.is_latency_due.swap(false, Ordering::Relaxed) {
                    recompute(ports.client.as_client());
                }
                ports.latency.answer_deferred();
                let changed = ports.changes.load(Ordering::Relaxed);
                let wait = if changed == seen { CHECK_PORTS } else { RETRY_PORTS };
                if last_look.elapsed() < wait {
                    continue;
                }
                last_look = Instant::now();
                if ports.connect(&mut stored).is_empty() {
                    seen = changed;
                }
                let mut kept = lock(&theirs.kept);
                if *kept != *stored.kept() {
                    kept.clone_from(stored.kept());
                    theirs.has_changed.store(true, Ordering::Relaxed);
                }
            }
        })?;
        Ok(Self { wake, thread, shared, latency })
    }

    /// The connections, also those whose other port is not there at the moment.
    pub(super) fn kept(&self) -> BTreeSet<Connection> {
        lock(&self.shared.kept).clone()
    }

    /// Whether the connections have changed since the last call.
    pub(super) fn has_changed(&self) -> bool {
        self.shared.has_changed.swap(false, Ordering::Relaxed)
    }

    /// Reports the latency between inputs and outputs to the server, in frames.
    pub(super) fn set_latency(&self, frames: u32) {
        self.latency.frames.store(frames, Ordering::Relaxed);
        let due = if self.latency.is_deferred { &self.latency.is_due } else { &self.shared.is_latency_due };
        due.store(true, Ordering::Relaxed);
        // Where the thread is woken already, it will find this too.
        self.wake.try_send(()).ok();
    }

    /// Ends the thread, and waits for it: a server that does not answer may hold it for ever.
    pub(super) fn stop(self) {
        drop(self.wake);
        self.thread.join().ok();
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
