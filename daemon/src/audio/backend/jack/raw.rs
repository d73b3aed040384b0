//! Functions of JACK that the `jack` crate does not have: the latency callback, and a port's UUID for metadata.

use crate::audio::backend::BackendError;
use jack::{Client, LatencyType, Port, Unowned};
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The latency callback's data.
pub(super) struct Latency {
    pub(super) inputs: Vec<Port<Unowned>>,
    pub(super) outputs: Vec<Port<Unowned>>,
    /// The latency between them, in frames.
    pub(super) frames: AtomicU32,
    /// Whether to answer later, from another thread: PipeWire calls while it holds a lock that a change of its quantum
    /// also takes. An answer inside the call may deadlock its loop (seen in 0.3.65).
    pub(super) is_deferred: bool,
    /// Whether an answer is still due.
    pub(super) is_due: AtomicBool,
}

impl Latency {
    /// Gives the answer that is due, if one is.
    pub(super) fn answer_deferred(&self) {
        if self.is_due.swap(false, Ordering::Relaxed) {
            [LatencyType::Capture, LatencyType::Playback].into_iter().for_each(|mode| self.set_ranges(mode));
        }
    }

    /// Sets our ports' latency ranges: those of the other side's ports, plus our latency.
    fn set_ranges(&self, mode: LatencyType) {
        let (from, to) = match mode {
            LatencyType::Capture => (&self.inputs, &self.outputs),
            LatencyType::Playback => (&self.outputs, &self.inputs),
        };
        let ranges = from.iter().map(|port| port.get_latency_range(mode));
        let range = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0));
        let frames = self.frames.load(Ordering::Relaxed);
        to.iter().for_each(|port| port.set_latency_range(mode, (range.0 + frames, range.1 + frames)));
    }
}

extern "C" fn on_latency(mode: jack::jack_sys::jack_latency_callback_mode_t, latency: *mut c_void) {
    let mode =
        if mode == jack::jack_sys::JackCaptureLatency { LatencyType::Capture } else { LatencyType::Playback };
    // SAFETY: the pointer is the one that `register` passed, from an `Arc` whose count is never released, so it is
    // valid for every call; it is only shared, never mutated.
    let latency = unsafe { &*latency.cast::<Latency>() };
    if latency.is_deferred {
        latency.is_due.store(true, Ordering::Relaxed);
    } else {
        latency.set_ranges(mode);
    }
}

/// Registers the latency callback. Call it before activation.
pub(super) fn register(client: &Client, latency: &Arc<Latency>) -> Result<(), BackendError> {
    let pointer = Arc::into_raw(Arc::clone(latency)).cast_mut().cast();
    // SAFETY: the client is open and not active, and the pointer stays valid for ever: its count is leaked, some
    // hundred bytes for each session.
    let refused =
        unsafe { jack::jack_sys::jack_set_latency_callback(client.raw(), Some(on_latency), pointer) };
    if refused == 0 {
        Ok(())
    } else {
        Err(BackendError::Jack { doing: "setting the latency callback".to_owned(), why: refused.to_string() })
    }
}

/// Asks the server to compute all latencies again.
pub(super) fn recompute(client: &Client) {
    // SAFETY: the client is open: it is borrowed from an `AsyncClient`, which closes it only when dropped.
    unsafe { jack::jack_sys::jack_recompute_total_latencies(client.raw()) };
}

/// A port's UUID, by which metadata refers to it.
pub(super) fn uuid(port: &Port<Unowned>) -> jack::jack_sys::jack_uuid_t {
    // SAFETY: the port was just found by a client that is open; reading its UUID changes nothing.
    unsafe { jack::jack_sys::jack_port_uuid(port.raw()) }
}
