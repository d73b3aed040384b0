//! Carries out what the desk decides.

use super::Conductor;
use crate::process::client_log::log;
use crate::process::systemd;
use lacquer_control::desk::Desk;
use lacquer_control::desk::turn::{Command, Effect, Input, Now, Turn};
use lacquer_control::message::ToAudio;
use lacquer_control::peer::Peer;
use std::time::{Instant, SystemTime};

impl Conductor {
    /// The time, as the desk is given it.
    fn now(&self) -> Now {
        Now {
            monotonic: Instant::now().duration_since(self.since),
            wall: SystemTime::now(),
            utc_offset: jiff::Zoned::now().offset().seconds(),
        }
    }

    /// Passes an input to the desk, and carries out what it decides.
    pub(super) fn handle(&mut self, input: Input) {
        let (now, mut effects) = (self.now(), Vec::new());
        self.desk.handle(input, now, &mut effects);
        effects.into_iter().for_each(|effect| self.carry_out(effect));
    }

    /// Asks the desk for something that is no input, and carries out what it decides.
    pub(super) fn turn(&mut self, ask: impl FnOnce(&mut Desk, &mut Turn<'_>)) {
        let (now, mut effects) = (self.now(), Vec::new());
        ask(&mut self.desk, &mut Turn::new(now, &mut effects));
        effects.into_iter().for_each(|effect| self.carry_out(effect));
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(command) => self.send(command),
            Effect::Surfaces(message) => self.send_to_surfaces(&message),
            Effect::Status { by, address, before } => self.send_status(by, &address, before),
            Effect::Audit(line) => self.saver.audit(line),
            Effect::Log { by, level, about, text } => log(by, level, &about, &text),
            Effect::Save => self.saver.touch(),
            Effect::Plan { ticket, chains, io, rate, is_cache_allowed } => {
                self.files.begin_reading();
                self.work.plan(ticket, chains, io, rate, is_cache_allowed);
            }
            Effect::Build { ticket, generation, plan, diff } => {
                self.work.build(ticket, generation, plan, diff);
            }
            Effect::Discard { generation } => self.work.discard(generation),
            Effect::Load { ticket, what, io, rate } => {
                self.files.begin_reading();
                self.work.load(ticket, what, io, rate);
            }
            Effect::Reload { by, outcome } => {
                if outcome.is_some() {
                    self.watch_again();
                }
                self.notify_reload(by, outcome);
            }
            Effect::Watch => self.watch_files(),
            Effect::Latency(frames) => {
                if let Some(session) = &self.link.session {
                    session.set_latency(frames);
                }
            }
            Effect::OnAir => systemd::set_status(&self.status_line()),
        }
    }

    /// Sends a command to the audio thread; without a session it is dropped.
    fn send(&mut self, command: Command) {
        let command = match command {
            Command::Start { generation } => {
                let Some(chain) = self.work.take(generation) else { return };
                self.log_start();
                ToAudio::Start(chain)
            }
            Command::Swap { generation, warmup, fade } => {
                let Some(chain) = self.work.take(generation) else { return };
                ToAudio::Swap { chain, warmup, fade }
            }
            Command::Set { target, value } => ToAudio::Set { target, value },
            Command::Enable { generation, node, on } => ToAudio::Enable { generation, node, on },
            Command::Trim { generation, chain, dry } => ToAudio::Trim { generation, chain, dry },
            Command::Bypass(on) => ToAudio::Bypass(on),
        };
        self.send_command(command);
    }

    /// Notifies systemd of a reload: it waits for the end of one by signal. Before the first callback it waits for READY.
    fn notify_reload(&self, by: Peer, outcome: Option<String>) {
        if by != Peer::Signal || !self.link.health.has_played() {
            return;
        }
        match outcome {
            None => systemd::reloading(),
            Some(outcome) => systemd::reloaded(&format!("{}; {outcome}", self.status_line())),
        }
    }
}
