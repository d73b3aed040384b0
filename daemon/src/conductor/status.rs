//! What the conductor sends about the station: status, meters.

use super::Conductor;
use lacquer_control::peer::Peer;
use lacquer_control::subscribe::Recipients;
use lacquer_control::update::Update;

impl Conductor {
    /// All lines of the status, in the order in which they are documented.
    pub(super) fn status(&self) -> Vec<Update> {
        let [server, block, rest] = self.link.status_lines(self.work.station.audio.backend.name());
        let threads = match self.watch.threads.late() {
            late if late.is_empty() => "running".to_owned(),
            late => format!("without progress: {}", late.join(", ")),
        };
        let restarts = self.watch.threads.restarts() as f64;
        let mut own = self.desk.status_lines().into_iter();
        let mut lines: Vec<Update> = own.by_ref().take(3).chain(server).collect();
        lines.extend(own.by_ref().take(1).chain(block));
        lines.extend(own.by_ref().take(3).chain(rest));
        lines.push(Update::words("/status/threads", &[&threads]));
        lines.push(Update::number("/status/thread_restarts", restarts));
        lines.extend(own);
        lines
    }

    /// Answers with the status where the addresses match, after what the desk has read.
    pub(super) fn send_status(&self, by: Peer, address: &str, before: Vec<Update>) {
        let lines = self.desk.status_answer(address, before, self.status());
        self.send_updates(Recipients::One(by), lines);
    }

    pub(super) fn send_meters(&mut self) {
        let changed = self.desk.readings_mut().take_changed();
        let mut lines: Vec<Update> =
            changed.flat_map(|(path, (row, value))| Update::reading(&path, row, value)).collect();
        lines.extend(self.link.take_readings());
        self.send_updates(Recipients::All, lines);
    }
}
