//! Lines of the log that clients cause: each client may cause so many, and what is left out is counted
//! ([`lacquer_control::subscribe::quota`]).

use lacquer_control::desk::turn::{About, Level};
use lacquer_control::peer::Peer;
use lacquer_control::subscribe::quota::Quota;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::warn;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static QUOTA: LazyLock<Mutex<Quota<()>>> = LazyLock::new(Mutex::default);

fn quota() -> (MutexGuard<'static, Quota<()>>, Duration) {
    let now = START.elapsed();
    // A panic while the lock was held may have miscounted a line.
    (QUOTA.lock().unwrap_or_else(PoisonError::into_inner), now)
}

/// Whether a client may cause a line now; if not, the line is counted.
pub(crate) fn admits(by: Peer) -> bool {
    let (mut quota, now) = quota();
    quota.admit(by, (), now).is_some()
}

/// Logs how many lines were left out, where that is due, or at once.
pub(crate) fn report_left_out(at_once: bool) {
    let (mut quota, now) = quota();
    let left_out = if at_once { quota.drain_all(now) } else { quota.drain_due(now) };
    drop(quota);
    for left in left_out {
        warn!("{}: {}", left.of, left.text(left.count()));
    }
}

/// Logs a line that a client has caused, as `tracing`'s macros do: `log_of!(peer, WARN, "{name}: refused")`.
macro_rules! log_of {
    ($by:expr, $level:ident, $($line:tt)+) => {
        // A line that is not wanted is not counted.
        if tracing::enabled!(tracing::Level::$level) && $crate::process::client_log::admits($by) {
            tracing::event!(tracing::Level::$level, $($line)+);
        }
    };
}
pub(crate) use log_of;

/// Logs a line of the desk, which `by` has caused.
pub(crate) fn log(by: Peer, level: Level, about: &About, text: &str) {
    match (level, about) {
        (Level::Error, About::Station) => log_of!(by, ERROR, "{text}"),
        (Level::Error, About::Chain(chain)) => log_of!(by, ERROR, chain, "{text}"),
        (Level::Error, About::Node(node)) => log_of!(by, ERROR, node, "{text}"),
        (Level::Warn, About::Station) => log_of!(by, WARN, "{text}"),
        (Level::Warn, About::Chain(chain)) => log_of!(by, WARN, chain, "{text}"),
        (Level::Warn, About::Node(node)) => log_of!(by, WARN, node, "{text}"),
        (Level::Info, About::Station) => log_of!(by, INFO, "{text}"),
        (Level::Info, About::Chain(chain)) => log_of!(by, INFO, chain, "{text}"),
        (Level::Info, About::Node(node)) => log_of!(by, INFO, node, "{text}"),
    }
}
