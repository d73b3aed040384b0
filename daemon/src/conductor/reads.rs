//! Queries: the current value at an address, or at all addresses that a pattern matches. Nothing here changes anything.

use super::Conductor;
use lacquer_control::address::commands;
use lacquer_control::address::commands::NotSet;
use lacquer_control::address::pattern::{Pattern, is_pattern, trimmed};
use lacquer_control::peer::Peer;
use lacquer_control::request::MOST_SCENES;
use lacquer_control::subscribe::Recipients;
use lacquer_control::update::Update;

impl Conductor {
    pub(super) fn get(&self, by: Peer, address: &str) {
        let lines = match is_pattern(address) {
            true => self.read_matching(address),
            false => self.read(trimmed(address)),
        };
        match lines {
            Ok(lines) => self.send_updates(Recipients::One(by), lines),
            Err(why) => self.send_error(by, address, &why),
        }
    }

    /// The current value at an address: one update, or all that belong to it.
    fn read(&self, address: &str) -> Result<Vec<Update>, String> {
        let Some((command, part)) = commands::find(address) else { return self.read_values(address) };
        let lines = match command.address {
            "/status" => self.status(),
            "/status/KEY" => self.status().into_iter().filter(|line| line.address == address).collect(),
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
                self.on_air.chains.check_name(part).map_err(|error| error.to_string())?;
                vec![self.chain_line(part)]
            }
            "/swap" if self.on_air.newest().is_none() => return Err("no chain is on air".to_owned()),
            _ => self.station_lines().into_iter().filter(|line| line.address == address).collect(),
        };
        if lines.is_empty() { Err("there is no value".to_owned()) } else { Ok(lines) }
    }

    fn read_values(&self, address: &str) -> Result<Vec<Update>, String> {
        let newest = self.on_air.newest().ok_or("no chain is on air")?;
        let found = newest.addresses.find(address).map_err(|error| error.to_string())?;
        let lines =
            found.into_iter().filter_map(|(place, tree)| Some(place.line(tree, &self.on_air.value(place)?)));
        Ok(lines.collect())
    }

    fn read_matching(&self, address: &str) -> Result<Vec<Update>, String> {
        let pattern =
            Pattern::new(address).map_err(|error| format!("not a valid address pattern: {error}"))?;
        let mut lines = self.station_lines();
        let is_all_status = pattern.matches("/status");
        if pattern.within("/status").is_possible() {
            lines.extend(self.status());
        }
        lines.retain(|line| {
            pattern.matches(&line.address) || (is_all_status && line.address.starts_with("/status/"))
        });
        if let Some(newest) = self.on_air.newest() {
            let found = newest.addresses.matching(&pattern).into_iter();
            lines
                .extend(found.filter_map(|(place, tree)| Some(place.line(tree, &self.on_air.value(place)?))));
        }
        match lines.is_empty() {
            false => Ok(lines),
            true if self.not_set(address) == Some(NotSet::Acts) => Err(
                "the pattern matches only commands that act; without a value it reads, so nothing was done"
                    .to_owned(),
            ),
            true => Err("no address that can be read matches".to_owned()),
        }
    }

    /// What a pattern matches and does not set.
    pub(super) fn not_set(&self, address: &str) -> Option<NotSet> {
        let pattern = Pattern::new(address).ok()?;
        let lines = [self.station_lines(), self.status()].concat();
        commands::not_set(&pattern, lines.iter().map(|line| line.address.as_str()))
    }

    /// The current state of the station, without the values of nodes and the status.
    fn station_lines(&self) -> Vec<Update> {
        let chains: Vec<&str> = self.on_air.chains.names().collect();
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
}
