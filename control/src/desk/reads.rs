//! Queries: the current value at an address, or at all addresses that a pattern matches. Nothing here changes anything.

use crate::address::commands;
use crate::address::commands::NotSet;
use crate::address::pattern::{Pattern, is_pattern, trimmed};
use crate::desk::Desk;
use crate::desk::turn::{Effect, Turn};
use crate::peer::Peer;
use crate::request::MOST_SCENES;
use crate::subscribe::{Recipients, SurfaceMessage};
use crate::update::Update;
use lacquer_graph::reading::Reading;
use std::sync::Arc;

impl Desk {
    pub(super) fn get(&self, turn: &mut Turn<'_>, by: Peer, address: &str) {
        let lines = match is_pattern(address) {
            true => self.read_matching(address),
            false => self.read(trimmed(address)),
        };
        match lines {
            Ok((before, true)) => {
                turn.add(Effect::Status { by, address: address.to_owned(), before });
            }
            Ok((lines, false)) => turn.update(Recipients::One(by), lines),
            Err(why) => turn.error(by, address, &why),
        }
    }

    /// The answer to a question for the status: what the desk has read `before`, and of `all` lines of the status those
    /// whose address matches; an error where there is nothing.
    pub fn status_answer(&self, address: &str, before: Vec<Update>, all: Vec<Update>) -> Vec<Update> {
        let mut lines = before;
        let asked = trimmed(address);
        match Pattern::new(address).ok().filter(|_| is_pattern(address)) {
            Some(pattern) => {
                let is_all = pattern.matches("/status");
                lines.extend(all.into_iter().filter(|line| is_all || pattern.matches(&line.address)));
            }
            None => {
                lines.extend(all.into_iter().filter(|line| asked == "/status" || line.address == asked));
            }
        }
        if lines.is_empty() {
            let why = match is_pattern(address) {
                true => self.why_unread(address),
                false => "there is no value".to_owned(),
            };
            lines.push(Update::words("/error", &[address, &why]));
        }
        lines
    }

    /// The current value at an address: one update, or all that belong to it; and whether the status belongs to it.
    fn read(&self, address: &str) -> Result<(Vec<Update>, bool), String> {
        let Some((command, part)) = commands::find(address) else {
            return Ok((self.read_values(address)?, false));
        };
        let lines = match command.address {
            "/status" | "/status/KEY" => return Ok((Vec::new(), true)),
            "/scene" | "/scenes" => self.scene_list(),
            "/scene/N" | "/scene/N/name" => match part.parse() {
                Ok(slot) if (1..=MOST_SCENES).contains(&slot) => {
                    let [is_on, name] = self.slot_lines(slot);
                    vec![if command.address == "/scene/N" { is_on } else { name }]
                }
                _ => return Err(format!("scenes are numbered from 1 to {MOST_SCENES}")),
            },
            "/cue" | "/cues" => self.cue_list(),
            "/ab" => self.compare_lines(),
            "/chain/NAME" => {
                self.chains.check_name(part).map_err(|error| error.to_string())?;
                vec![self.chain_line(part)]
            }
            "/swap" if self.on_air.newest().is_none() => return Err("no chain is on air".to_owned()),
            _ => self.station_lines().into_iter().filter(|line| line.address == address).collect(),
        };
        if lines.is_empty() { Err("there is no value".to_owned()) } else { Ok((lines, false)) }
    }

    fn read_values(&self, address: &str) -> Result<Vec<Update>, String> {
        let newest = self.on_air.newest().ok_or("no chain is on air")?;
        let found = newest.addresses.find(address).map_err(|error| error.to_string())?;
        let line = |(place, tree): (&Arc<crate::address::Place>, _)| {
            Some(place.line(tree, &self.on_air.value(&self.chains, place)?))
        };
        Ok(found.into_iter().filter_map(line).collect())
    }

    fn read_matching(&self, address: &str) -> Result<(Vec<Update>, bool), String> {
        let pattern =
            Pattern::new(address).map_err(|error| format!("not a valid address pattern: {error}"))?;
        let mut lines = self.station_lines();
        lines.retain(|line| pattern.matches(&line.address));
        if let Some(newest) = self.on_air.newest() {
            let found = newest.addresses.matching(&pattern).into_iter();
            lines.extend(found.filter_map(|(place, tree)| {
                Some(place.line(tree, &self.on_air.value(&self.chains, place)?))
            }));
        }
        if pattern.within("/status").is_possible() {
            return Ok((lines, true));
        }
        if lines.is_empty() { Err(self.why_unread(address)) } else { Ok((lines, false)) }
    }

    /// Why nothing was read at a pattern.
    pub fn why_unread(&self, address: &str) -> String {
        match self.not_set(address) {
            Some(NotSet::Acts) => {
                "the pattern matches only commands that act; without a value it reads, so nothing was done"
            }
            _ => "no address that can be read matches",
        }
        .to_owned()
    }

    /// What a pattern matches and does not set.
    pub(super) fn not_set(&self, address: &str) -> Option<NotSet> {
        let pattern = Pattern::new(address).ok()?;
        let lines = self.station_lines();
        let status = self.session.status_addresses.iter().map(String::as_str);
        commands::not_set(&pattern, lines.iter().map(|line| line.address.as_str()).chain(status))
    }

    /// The current state of the station, without the values of nodes and the status.
    fn station_lines(&self) -> Vec<Update> {
        let chains: Vec<&str> = self.chains.names().collect();
        let running = self.on_air.newest().map(|running| running.name.as_str());
        let number = chains.iter().position(|name| Some(*name) == running).map_or(0, |at| at + 1);
        let scene = self.scenes.all().iter().find(|scene| self.scene.as_ref() == Some(&scene.name));
        let mut lines = self.running_lines();
        lines.extend([
            Update::words("/chains", &chains),
            Update::number("/program/chain", number as f64),
            Update::number("/program/scene", scene.map_or(0, |scene| scene.slot) as f64),
        ]);
        lines.extend(self.bypass_lines());
        lines.extend(self.compare_lines());
        lines.extend(self.scene_list());
        lines.extend(self.cue_list());
        lines
    }

    /// The full state, for a new subscriber.
    pub(crate) fn full_state(&self) -> Vec<Update> {
        let mut lines = self.running_lines();
        lines.extend(self.bypass_lines());
        lines.extend(self.compare_lines());
        lines.extend(self.scene_lines());
        lines.extend(self.cue_lines());
        let places = self.on_air.newest().map_or(&[][..], |running| running.addresses.all());
        for place in places {
            if let Some(value) = self.on_air.value(&self.chains, place) {
                lines.extend(place.lines(&value));
            }
        }
        lines.extend(
            self.node_rows().flat_map(|(path, row)| Update::reading(&path, row, self.readings.latest(&path))),
        );
        lines
    }

    /// The current addresses and the full state, for surfaces.
    pub fn full_state_messages(&self) -> [SurfaceMessage; 3] {
        let addresses = self.on_air.newest().map(|running| Arc::clone(&running.addresses));
        [
            SurfaceMessage::Status(self.session.status_addresses.clone().into()),
            SurfaceMessage::Places(addresses.unwrap_or_default()),
            SurfaceMessage::Updates { to: Recipients::All, updates: self.full_state().into() },
        ]
    }

    /// Sends all surfaces the current addresses and the full state.
    pub(super) fn send_full_state(&self, turn: &mut Turn<'_>) {
        self.full_state_messages().into_iter().for_each(|message| turn.add(Effect::Surfaces(message)));
    }

    /// The readings of the nodes of the newest chain.
    pub(super) fn node_rows(&self) -> impl Iterator<Item = (String, &'static Reading)> {
        let nodes = self.on_air.newest().map_or(&[][..], |running| &running.plan.nodes);
        let path = |id: &str, row: &Reading| format!("node/{id}/{}", row.name);
        nodes
            .iter()
            .flat_map(move |node| node.node_type.readings.iter().map(move |row| (path(&node.id, row), row)))
    }

    /// The updates of the status that the desk knows.
    pub fn status_lines(&self) -> Vec<Update> {
        let words = |key: &str, text: &str| Update::words(format!("/status/{key}"), &[text]);
        let name = |running: Option<&crate::desk::on_air::RunningChain>| {
            running.map_or("", |running| running.name.as_str()).to_owned()
        };
        let number = |key: &str, value: f64| Update::number(format!("/status/{key}"), value);
        let latency = self.chains.latency() as f64;
        vec![
            words("station", &self.settings.station),
            words("chain", &name(self.on_air.active())),
            words("swapping_to", &name(self.on_air.newest().filter(|_| self.on_air.is_swapping()))),
            number("rate_hz", self.chains.rate()),
            number("latency_frames", latency),
            number("latency_ms", latency * 1000.0 / self.chains.rate()),
            Update::new("/status/bypass", vec![crate::value::Value::Switch(self.bypass)]),
            Update::words(
                "/status/out",
                &self.auto_bypassed.iter().map(|node| node.id.as_str()).collect::<Vec<_>>(),
            ),
            Update::words("/status/overload", &self.overload.names()),
        ]
    }
}
