//! The files of the station: reload, and watching for changes on disk.

use super::Conductor;
use crate::process::named::shown;
use crate::process::systemd;
use crate::station::{Station, load};
use crate::surfaces::watcher;
use lacquer_control::peer::Peer;
use lacquer_control::subscribe::Recipients;
use lacquer_control::update::Update;
use std::path::Path;
use tracing::{error, info, warn};

impl Conductor {
    pub(super) fn watch(&mut self) {
        self.watched = None;
        self.watch_all();
    }

    /// Watches the folders of all files in use, if they have changed.
    pub(super) fn watch_all(&mut self) {
        let folders = watcher::folders(self.on_air.chains.paths());
        if !self.station.watch || self.watched.as_ref().is_some_and(|watched| watched.folders == folders) {
            return;
        }
        match watcher::watch(folders, self.request_sender.clone()) {
            Ok(watched) => self.watched = Some(watched),
            Err(error) => warn!("cannot watch files: {error}; changes on disk are not noticed"),
        }
    }

    pub(super) fn reload(&mut self, by: Peer, reset: bool) {
        // systemd waits for the end of a reload by signal; before the first callback it waits for READY.
        let is_awaited = by == Peer::Signal && self.health.has_played();
        if is_awaited {
            systemd::reloading();
        }
        let outcome = self.reload_files(by, reset);
        if is_awaited {
            systemd::reloaded(&format!("{}; {outcome}", self.status_line()));
        }
    }

    /// Reads station and chains again; returns the outcome in a few words.
    fn reload_files(&mut self, by: Peer, reset: bool) -> String {
        match load::station(&self.path, Some(self.on_air.chains.rate())) {
            Ok(loaded) => {
                let fixed = self.needs_restart(&loaded.station);
                for what in &fixed {
                    warn!("{what}");
                }
                let start = loaded.start().to_owned();
                let (audio, control) = (self.station.audio.clone(), self.station.control.clone());
                let latency_ms = loaded.station.audio.latency_ms;
                self.cues.reread(loaded.cues);
                self.station = Station { audio, control, ..loaded.station };
                self.on_air.set_swap_ms((self.station.warmup_ms, self.station.fade_ms));
                self.apply_chains(by, &loaded.chains, latency_ms, reset, &start);
                self.watch();
                let mut words = vec!["done"];
                words.extend(fixed.iter().map(String::as_str));
                self.send_event("reload", &words);
                self.send_updates(Recipients::One(by), vec![Update::words("/reload", &words)]);
                std::iter::once("files read again".to_owned()).chain(fixed).collect::<Vec<_>>().join("; ")
            }
            Err(reports) => {
                let text = reports.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                self.reload_failed(by, &text);
                format!("reload failed, running chain unchanged: {text}")
            }
        }
    }

    /// The changes that need a restart.
    pub(super) fn needs_restart(&self, new: &Station) -> Vec<String> {
        let (old, audio) = (&self.station.audio, &new.audio);
        let mut fixed = Vec::new();
        if audio.backend != old.backend {
            let (was, is) = (old.backend.name(), audio.backend.name());
            let what = if was == is { format!("the settings of {was}") } else { format!("{was} to {is}") };
            fixed
                .push(format!("the backend cannot change while the station runs ({what}): restart to apply"));
        }
        if audio.io != old.io {
            fixed.push(
                "input and output groups cannot change while the station runs: restart to apply".to_owned(),
            );
        }
        if new.control != self.station.control {
            fixed.push(
                "the control section cannot change while the station runs: restart to apply".to_owned(),
            );
        }
        fixed
    }

    pub(super) fn reload_chain(&mut self, path: &Path) {
        let io = self.on_air.chains.io().clone();
        match load::chain(path, Some(&io), self.on_air.chains.rate()) {
            Ok(file) => {
                info!("{} changed on disk", shown(path));
                let start = self.on_air.newest().map_or_else(String::new, |running| running.name.clone());
                let (files, latency) = (self.on_air.chains.files_with(file), self.on_air.chains.latency_ms());
                self.apply_chains(Peer::Files, &files, latency, false, &start);
                self.send_event("reload", &["done"]);
            }
            Err(report) => self.reload_failed(Peer::Files, &report.to_string()),
        }
    }

    pub(super) fn apply_chains(
        &mut self,
        by: Peer,
        chains: &[load::ChainFile],
        latency_ms: Option<f64>,
        reset: bool,
        start: &str,
    ) {
        let before = self.on_air.chains.latency();
        let swap = self.on_air.reread(chains, latency_ms, reset, start);
        let latency = self.on_air.chains.latency();
        if latency != before {
            warn!("latency changes from {before} to {latency} frames: this swap is not time-aligned");
            if let Some(session) = &self.session {
                session.set_latency(latency);
            }
        }
        info!("files read again");
        if let Some(name) = swap {
            self.swap(by, &name);
        }
    }

    pub(super) fn reload_failed(&self, by: Peer, text: &str) {
        error!("reload failed: running chain unchanged:\n{text}");
        self.send_event("reload", &["failed", text]);
        if !matches!(by, Peer::Signal | Peer::Files | Peer::Station | Peer::Cues) {
            self.send_error(by, "/reload", text);
        }
    }
}
