//! The cue list: go, next, previous, and cues at a time of day.

use super::Conductor;
use crate::station::cues::{Cue, CueClock};
use lacquer_control::peer::Peer;
use lacquer_control::request::CueRequest;
use lacquer_control::subscribe::Recipients;
use lacquer_control::update::Update;
use tracing::{info, warn};

/// The cue list and its position.
#[derive(Default)]
pub struct Cues {
    /// The cues.
    pub list: Vec<Cue>,
    /// Index of the next cue.
    next: usize,
    clock: CueClock,
}

impl Cues {
    /// A list at its first cue.
    pub fn new(list: Vec<Cue>) -> Self {
        Self { list, ..Self::default() }
    }

    /// Replaces the list after a reload; the next cue stays the one of the same name.
    pub fn reread(&mut self, list: Vec<Cue>) {
        let name = self.list.get(self.next).map(|cue| cue.name.clone());
        self.next = list.iter().position(|cue| Some(&cue.name) == name.as_ref()).unwrap_or(0);
        self.list = list;
    }
}

impl Conductor {
    pub(super) fn cue(&mut self, by: Peer, request: CueRequest) {
        let count = self.cues.list.len();
        if count == 0 {
            return self.send_error(
                by,
                "/cue",
                "the station has no cue list (cues: FILE in the station file)",
            );
        }
        match request {
            CueRequest::Go => {
                let at = self.cues.next;
                self.cues.next = (at + 1) % count;
                self.run_cue(by, at);
            }
            CueRequest::Next => self.cues.next = (self.cues.next + 1) % count,
            CueRequest::Previous => self.cues.next = (self.cues.next + count - 1) % count,
            CueRequest::Do(name) => match self.cues.list.iter().position(|cue| cue.name == name) {
                Some(at) => {
                    self.cues.next = (at + 1) % count;
                    self.run_cue(by, at);
                }
                None => {
                    let names: Vec<_> = self.cues.list.iter().map(|cue| cue.name.as_str()).collect();
                    let why = format!("no cue \"{name}\"; there are {}", names.join(", "));
                    return self.send_error(by, "/cue", &why);
                }
            },
        }
        self.send_updates(Recipients::All, self.cue_lines());
    }

    /// The names of all cues, and the next cue.
    pub(super) fn cue_list(&self) -> Vec<Update> {
        let names: Vec<_> = self.cues.list.iter().map(|cue| cue.name.as_str()).collect();
        let mut lines = vec![Update::words("/cues", &names)];
        lines.extend(self.cue_lines());
        lines
    }

    /// The next cue.
    pub(super) fn cue_lines(&self) -> Vec<Update> {
        let next = self.cues.list.get(self.cues.next);
        vec![Update::words("/cue/name", &[next.map_or("", |cue| &cue.name)])]
    }

    fn run_cue(&mut self, by: Peer, at: usize) {
        let Some(cue) = self.cues.list.get(at).cloned() else { return };
        info!("cue \"{}\": running", cue.name);
        self.send_event("cue", &[&cue.name]);
        let is_elsewhere = |chain: &str| {
            let scene = cue.scene.as_deref().and_then(|name| self.scenes.find(name));
            self.on_air.last_requested() != chain && scene.is_none_or(|scene| scene.chain != chain)
        };
        if let Some(chain) = cue.chain.as_deref().filter(|chain| is_elsewhere(chain)) {
            self.request_swap(by, chain);
        }
        if let Some(scene) = &cue.scene
            && let Err(why) = self.recall(by, scene, cue.morph_ms / 1_000.0)
        {
            self.send_error(by, "/cue", &format!("cue \"{}\": {why}", cue.name));
        }
    }

    /// Runs the cues whose time of day has come.
    pub(super) fn tick_cues(&mut self) {
        if self.cues.list.iter().all(|cue| cue.at.is_none()) {
            return;
        }
        let now = jiff::Zoned::now();
        // Local time of day, not elapsed time.
        let now = now.timestamp().as_second() + i64::from(now.offset().seconds());
        let Cues { list, clock, .. } = &mut self.cues;
        let due: Vec<String> = clock.take_due(list, now).iter().map(|cue| cue.name.clone()).collect();
        for name in due {
            warn_if_late(&name, now, &self.cues.list);
            self.cue(Peer::Cues, CueRequest::Do(name));
        }
    }
}

fn warn_if_late(name: &str, now: i64, list: &[Cue]) {
    let at = list.iter().find(|cue| cue.name == name).and_then(|cue| cue.at);
    if let Some(late) = at.map(|at| (now - i64::from(at)).rem_euclid(86_400)).filter(|late| *late > 1) {
        warn!("cue \"{name}\": {late} s late because the clock was set or the machine was suspended");
    }
}
