//! What systemd is told. Without systemd every call does nothing.

use sd_notify::NotifyState;
use std::time::Duration;

/// The station plays.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// What `systemctl status` shows.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
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
