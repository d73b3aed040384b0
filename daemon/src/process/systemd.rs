//! What systemd is told. Without systemd every call does nothing.

use sd_notify::NotifyState;
use std::time::Duration;

/// The station plays.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// What `systemctl status` shows: the first line of `text`.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(line(text))]);
}

/// The files are about to be read again; [`reloaded`] must follow.
pub fn reloading() {
    // The time tells systemd which of its questions this is the answer to.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("systemd is not told of the reload: no monotonic clock: {error}"),
    }
}

/// The files were read again; the first line of `text` says what came of it.
pub fn reloaded(text: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(line(text))]);
}

/// A second line would be another word to systemd.
fn line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// How often the watchdog wants to hear that all is well, if there is one: half of its time.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|every| every / 2)
}

/// All is well: the callback makes progress.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The station ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd does not listen: {error}");
    }
}
