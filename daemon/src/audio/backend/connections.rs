//! Which JACK ports are to be connected: those that the station names, and those that users connected, stored by name.
//!
//! Only a port that is new is connected: connections that a user has removed stay removed.

use lacquer_control::surface::midi::map::fits;
use std::collections::BTreeSet;

/// A connection: the short name of our port, the full name of the other port.
pub(crate) type Connection = (String, String);

/// One of our ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnPort {
    /// Its name without the client's.
    pub name: String,
    /// Its name for people.
    pub pretty: String,
    /// Whether it is a MIDI port, else audio.
    pub is_midi: bool,
    /// Whether it is an input of ours.
    pub is_input: bool,
    /// Names, or patterns of names, of the ports that it is to be connected with.
    pub patterns: Vec<String>,
}

/// A port of another client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OtherPort {
    /// Its full name.
    pub name: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// Whether it is a MIDI port, else audio.
    pub is_midi: bool,
    /// Whether it is an input.
    pub is_input: bool,
}

impl OtherPort {
    /// All its names.
    fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.name).chain(&self.aliases)
    }
}

/// The known connections and ports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    kept: BTreeSet<Connection>,
    /// The ports that exist, each with every name that it has.
    ports: BTreeSet<(String, String)>,
    /// Connections that were missing at the last update although both ports existed.
    missing: BTreeSet<Connection>,
}

impl Connections {
    /// Stored connections, none of which is made yet.
    pub(crate) fn new(kept: BTreeSet<Connection>) -> Self {
        Self { kept, ..Self::default() }
    }

    /// The connections that are made, or will be when their ports return.
    pub(crate) fn kept(&self) -> &BTreeSet<Connection> {
        &self.kept
    }

    /// Compares with all other ports and with what is connected now. Returns the connections to make.
    pub(crate) fn update(
        &mut self,
        own: &[OwnPort],
        others: &[OtherPort],
        connected: &BTreeSet<Connection>,
    ) -> BTreeSet<Connection> {
        let named = |other: &OtherPort| {
            other.names().map(|name| (other.name.clone(), name.clone())).collect::<Vec<_>>()
        };
        let ports: BTreeSet<(String, String)> = others.iter().flat_map(named).collect();
        let exists = |port: &String| ports.contains(&(port.clone(), port.clone()));
        // A port that receives another alias is new under that name.
        let is_new_as = |port: &String, name: &String| !self.ports.contains(&(port.clone(), name.clone()));
        let is_new = |port: &String| exists(port) && is_new_as(port, port);
        // A connection that is missing twice although both ports exist was removed by a user. Once is not enough: a
        // client that ends is disconnected before its ports are removed.
        let is_missing =
            |pair: &&Connection| !connected.contains(pair) && exists(&pair.1) && !is_new(&pair.1);
        let missing: BTreeSet<Connection> = self.kept.iter().filter(is_missing).cloned().collect();
        let removed: BTreeSet<Connection> = missing.intersection(&self.missing).cloned().collect();
        let mut kept: BTreeSet<Connection> = self.kept.difference(&removed).cloned().collect();
        kept.extend(connected.iter().cloned());
        let mut wanted: BTreeSet<Connection> =
            kept.iter().filter(|(_, other)| is_new(other)).cloned().collect();
        for own in own {
            let fits = |other: &&OtherPort| {
                let is_wanted = |name: &String| {
                    is_new_as(&other.name, name) && own.patterns.iter().any(|pattern| fits(pattern, name))
                };
                (own.is_midi, own.is_input) == (other.is_midi, !other.is_input)
                    && other.names().any(is_wanted)
            };
            wanted.extend(others.iter().filter(fits).map(|other| (own.name.clone(), other.name.clone())));
        }
        (self.kept, self.ports, self.missing) = (kept, ports, missing);
        wanted.difference(connected).cloned().collect()
    }

    /// A port has appeared: it counts as new at the next update.
    pub(crate) fn add_port(&mut self, other: &str) {
        self.ports.retain(|(port, _)| port != other);
    }

    /// A connection could not be made: its port counts as new at the next update.
    pub(crate) fn retry(&mut self, (_, other): &Connection) {
        self.add_port(other);
    }

    /// The patterns of our audio ports that no port matches.
    pub(crate) fn unmatched<'a>(&self, own: &'a [OwnPort]) -> Vec<(&'a str, &'a str)> {
        let of =
            |own: &'a OwnPort| own.patterns.iter().map(move |pattern| (own.name.as_str(), pattern.as_str()));
        let is_missing =
            |(_, pattern): &(&str, &str)| !self.ports.iter().any(|(_, name)| fits(pattern, name));
        own.iter().filter(|own| !own.is_midi).flat_map(of).filter(is_missing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<OwnPort> {
        let own = |name: &str, is_input, pattern: &str| OwnPort {
            name: name.to_owned(),
            pretty: name.to_owned(),
            is_midi: false,
            is_input,
            patterns: vec![pattern.to_owned()],
        };
        vec![own("in_1", true, "card:capture_1"), own("out_1", false, "card:playback_*")]
    }

    fn other(name: &str) -> OtherPort {
        let is_input = name.contains("playback") || name.contains("rec");
        OtherPort { name: name.to_owned(), aliases: Vec::new(), is_midi: false, is_input }
    }

    fn pairs(list: &[(&str, &str)]) -> BTreeSet<Connection> {
        list.iter().map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned())).collect()
    }

    #[test]
    fn what_the_station_names_is_connected_when_it_appears_and_not_after_a_user_removed_it() {
        let mut connections = Connections::default();
        let card = ["card:capture_1", "card:playback_1", "card:playback_2"].map(other);
        assert_eq!(connections.update(&own(), &[], &pairs(&[])), pairs(&[]));
        assert_eq!(connections.unmatched(&own()).len(), 2);
        let all =
            pairs(&[("in_1", "card:capture_1"), ("out_1", "card:playback_1"), ("out_1", "card:playback_2")]);
        assert_eq!(connections.update(&own(), &card, &pairs(&[])), all);
        assert!(connections.unmatched(&own()).is_empty());
        assert_eq!(connections.update(&own(), &card, &all), pairs(&[]));
        // A user removes the connection.
        let less = pairs(&[("in_1", "card:capture_1"), ("out_1", "card:playback_1")]);
        assert_eq!(connections.update(&own(), &card, &less), pairs(&[]));
        assert_eq!(connections.update(&own(), &card, &less), pairs(&[]));
        assert_eq!(connections.kept(), &less);
    }

    #[test]
    fn a_port_is_found_by_a_later_alias_and_not_after_a_user_removed_it() {
        let mut connections = Connections::default();
        let mut speaker = other("x:playback");
        assert_eq!(connections.update(&own(), &[speaker.clone()], &pairs(&[])), pairs(&[]));
        assert_eq!(connections.unmatched(&own()).len(), 2);
        speaker.aliases.push("card:playback_7".to_owned());
        let connected = pairs(&[("out_1", "x:playback")]);
        assert_eq!(connections.update(&own(), &[speaker.clone()], &pairs(&[])), connected);
        assert_eq!(connections.unmatched(&own()), [("in_1", "card:capture_1")]);
        // A user removes the connection.
        assert_eq!(connections.update(&own(), &[speaker.clone()], &connected), pairs(&[]));
        assert_eq!(connections.update(&own(), &[speaker], &pairs(&[])), pairs(&[]));
    }

    #[test]
    fn a_users_connection_is_restored_with_its_port_and_with_the_server() {
        let mut connections = Connections::default();
        let ports = [other("card:capture_1"), other("tape:rec")];
        let by_hand = pairs(&[("in_1", "card:capture_1"), ("out_1", "tape:rec")]);
        connections.update(&own(), &ports, &by_hand);
        // The recorder ends, and starts again.
        let less = pairs(&[("in_1", "card:capture_1")]);
        assert_eq!(connections.update(&own(), &ports[..1], &less), pairs(&[]));
        let again = connections.update(&own(), &ports, &less);
        assert_eq!(again, pairs(&[("out_1", "tape:rec")]));
        // It was not ready yet.
        connections.retry(&("out_1".to_owned(), "tape:rec".to_owned()));
        assert_eq!(connections.update(&own(), &ports, &less), again);
        // It ended and started between two updates.
        connections.update(&own(), &ports, &by_hand);
        connections.add_port("tape:rec");
        assert_eq!(connections.update(&own(), &ports, &less), again);
        // Another server.
        let mut connections = Connections::new(connections.kept().clone());
        assert_eq!(connections.update(&own(), &ports, &pairs(&[])), by_hand);
    }
}
