//! The link to the audio server or the devices: the session that is open, or the retries to open one.

use crate::audio::hang::HangWatch;
use crate::audio::health::Health;
use crate::audio::session::{Opening, PortSetup, Session, open_in_background};
use crate::process::os_error::plain;
use crate::process::supervise;
use crate::station::Audio;
use crossbeam_channel::TryRecvError;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::warn;

/// Time without a callback after which the session is lost.
const STALLED: Duration = Duration::from_secs(3);

/// Largest part of [`STALLED`] that one tick of this thread counts.
const MAX_STEP: Duration = Duration::from_millis(500);
/// A session that is not closed after this time never closes.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Time limit for closing at the end of the process.
const END_LIMIT: Duration = Duration::from_secs(2);

/// Time between the first two attempts to open a session; it doubles up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_millis(125);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The retries to open a session.
struct Reconnect {
    /// When to try next, and the wait after that.
    next: Instant,
    wait: Duration,
    /// Why the last attempt failed.
    last_error: String,
    /// The session that is being opened.
    opening: Option<Opening>,
    /// How long no callback has been seen.
    stalled: Duration,
    /// The sessions that are being closed, and since when.
    closing: Vec<(JoinHandle<()>, Instant)>,
}

impl Reconnect {
    fn new(next: Instant, opening: Option<Opening>) -> Self {
        Self {
            next,
            wait: RETRY,
            last_error: String::new(),
            opening,
            stalled: Duration::ZERO,
            closing: Vec::new(),
        }
    }

    /// Whether a session cannot be closed.
    fn is_close_overdue(&mut self, now: Instant) -> bool {
        self.closing.retain(|(thread, _)| !thread.is_finished());
        self.closing.iter().any(|(_, since)| now.saturating_duration_since(*since) > CLOSE_LIMIT)
    }

    /// Restarts the timeout of the sessions that are being closed.
    fn restart_timeout(&mut self, now: Instant) {
        self.closing.iter_mut().for_each(|(_, since)| *since = now);
    }
}

/// The session and its health.
pub(crate) struct Link {
    /// The open session.
    pub session: Option<Session>,
    /// Load, xruns and faults.
    pub health: Health,
    /// Notices a callback that hangs.
    pub hang_watch: HangWatch,
    /// The ports and connections to make.
    pub setup: PortSetup,
    reconnect: Reconnect,
    /// Time of the last check.
    last_check: Instant,
}

/// What a check has found.
pub(crate) enum Found {
    /// No callback has come for a while, so the session is lost.
    Standstill,
    /// A session cannot be closed.
    HeldOpen,
}

impl Link {
    /// A link with an open session, or one that is still being opened, or neither.
    pub(crate) fn new(
        session: Option<Session>,
        opening: Option<Opening>,
        setup: PortSetup,
        now: Instant,
    ) -> Self {
        Self {
            session,
            health: Health::new(now),
            hang_watch: HangWatch::new(now),
            setup,
            reconnect: Reconnect::new(now, opening),
            last_check: now,
        }
    }

    /// Whether nothing keeps the watchdog from being notified: the callback makes progress, or there is no session.
    pub(crate) fn has_progress(&self, within: Duration) -> bool {
        self.session.is_none() || self.health.has_progress(within)
    }

    /// A session is open, or its chain starts anew: its health counts from now.
    pub(crate) fn start(&mut self, is_free: bool) {
        self.health.new_session(is_free);
        self.hang_watch = HangWatch::new(Instant::now());
    }

    /// Closes the session at the end; a server that does not answer is not waited for.
    pub(crate) fn close(&mut self) {
        self.close_in_background();
        for (thread, _) in self.reconnect.closing.drain(..) {
            supervise::join_within(thread, END_LIMIT);
        }
    }

    /// Closes the session on a thread of its own: closing a client of a server that does not answer, that changes its
    /// rate or that is gone may never return. False if there was none.
    pub(crate) fn close_in_background(&mut self) -> bool {
        let Some(session) = self.session.take() else { return false };
        session.store_ports(&mut self.setup);
        match supervise::run_once("closing", move || session.close()) {
            Ok(thread) => self.reconnect.closing.push((thread, Instant::now())),
            Err(error) => warn!("threads: {}", plain(&error)),
        }
        true
    }

    /// Begins the retries anew.
    pub(crate) fn retry(&mut self) {
        (self.reconnect.next, self.reconnect.wait) = (Instant::now() + RETRY, RETRY);
    }

    /// A server may end without notice, as PipeWire does: without callbacks for a while, the session is lost.
    pub(crate) fn check(&mut self) -> Option<Found> {
        let now = Instant::now();
        // If this thread was not scheduled either (suspend, overload), the time does not count as a server hang.
        let passed = now.duration_since(std::mem::replace(&mut self.last_check, now));
        if passed > STALLED / 3 {
            self.health.restart_timeout();
            self.reconnect.restart_timeout(now);
        }
        let stalled = self.session.is_some() && !self.health.has_progress(MAX_STEP);
        self.reconnect.stalled =
            if stalled { self.reconnect.stalled + passed.min(MAX_STEP) } else { Duration::ZERO };
        if self.reconnect.is_close_overdue(now) {
            self.reconnect.restart_timeout(now);
            return Some(Found::HeldOpen);
        }
        if self.reconnect.stalled < STALLED - MAX_STEP || self.health.has_progress(STALLED) {
            return None;
        }
        self.reconnect.stalled = Duration::ZERO;
        Some(Found::Standstill)
    }

    /// Tries to open a session, on a thread of its own: a server that hangs may never answer. True when one is open.
    pub(crate) fn reopen(&mut self, audio: &Audio, now: Instant) -> bool {
        let reconnect = &mut self.reconnect;
        let Some(opening) = &reconnect.opening else {
            // The old session is closed before the next is opened: the libraries hold a server's state per process.
            let is_closing = reconnect.closing.iter().any(|(thread, _)| !thread.is_finished());
            if now >= reconnect.next && !is_closing {
                reconnect.wait = (reconnect.wait * 2).min(RETRY_MAX);
                reconnect.next = now + reconnect.wait;
                match open_in_background(audio, &self.setup, false) {
                    Ok(opening) => reconnect.opening = Some(opening),
                    Err(error) => warn!("threads: {}", plain(&error)),
                }
            }
            return false;
        };
        let opened = match opening.try_recv() {
            Err(TryRecvError::Empty) => return false,
            opened => opened,
        };
        reconnect.opening = None;
        match opened {
            Ok(Ok(session)) => {
                reconnect.last_error.clear();
                self.session = Some(session);
                return true;
            }
            Ok(Err(error)) => {
                // The same reason is logged once.
                let why = error.to_string();
                if reconnect.last_error != why {
                    warn!(backend = audio.backend.name(), "{why}; retrying");
                    reconnect.last_error = why;
                }
            }
            Err(_) => {}
        }
        false
    }
}
