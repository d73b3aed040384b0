//! Notifications to systemd (sd_notify). Without systemd every call does nothing.

use crate::process::os_error::plain;
use sd_notify::NotifyState;
use std::time::Duration;

/// The station plays.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Sets what `systemctl status` shows: the first line of `text`.
pub(crate) fn set_status(text: &str) {
    notify(&[NotifyState::Status(line(text))]);
}

/// The files are about to be read again; [`reloaded`] must follow.
pub(crate) fn reloading() {
    // By the time systemd knows which of its requests this answers.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => {
            tracing::warn!(
                "cannot notify systemd of the reload: {}; the files are reloaded all the same",
                plain(&error)
            )
        }
    }
}

/// The files were read again; the first line of `text` says with which result.
pub(crate) fn reloaded(text: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(line(text))]);
}

/// Only the first line: systemd would read a second one as another assignment.
fn line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// How often systemd's watchdog is to be notified, if there is one: twice in its time limit.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|every| every / 2)
}

/// Notifies the watchdog: the callback makes progress.
pub(crate) fn notify_watchdog() {
    notify(&[NotifyState::Watchdog]);
}

/// The station ends.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("cannot notify systemd: {}", plain(&error));
    }
}
