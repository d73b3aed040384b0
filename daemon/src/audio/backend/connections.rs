//! Which ports are to be connected: what the station says, and what was connected by hand, kept by name.
//!
//! Only a port that has just come is connected: what somebody has taken apart stays apart.

use lacquer_control::surface::midi::map::fits;
use std::collections::BTreeSet;

/// A connection: the short name of a port of ours, the full name of the other one.
pub type Cable = (String, String);

/// A port of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its name without the client's.
    pub name: String,
    /// What people call it.
    pub pretty: String,
    /// Whether it carries MIDI, else audio.
    pub is_midi: bool,
    /// Whether sound or messages come in by it.
    pub is_input: bool,
    /// The names, or patterns of names, of the ports that it is to be connected with.
    pub patterns: Vec<String>,
}

/// A port of another client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its full name.
    pub name: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// Whether it carries MIDI, else audio.
    pub is_midi: bool,
    /// Whether sound or messages go into it.
    pub is_input: bool,
}

impl Other {
    /// All its names.
    fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.name).chain(&self.aliases)
    }
}

/// What is known of the connections.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    kept: BTreeSet<Cable>,
    /// The ports that are there, each with every name that it has.
    there: BTreeSet<(String, String)>,
    /// What was seen apart the last time, though its ports were there.
    apart: BTreeSet<Cable>,
}

impl Patch {
    /// Knows of these connections, none of which is there yet.
    pub fn new(kept: BTreeSet<Cable>) -> Self {
        Self { kept, ..Self::default() }
    }

    /// The connections that are there, or will be when their ports come back.
    pub fn kept(&self) -> &BTreeSet<Cable> {
        &self.kept
    }

    /// Looks at all other ports and at what is connected. Gives what is to be connected now.
    pub fn look(&mut self, own: &[Own], others: &[Other], connected: &BTreeSet<Cable>) -> BTreeSet<Cable> {
        let named =
            |other: &Other| other.names().map(|name| (other.name.clone(), name.clone())).collect::<Vec<_>>();
        let there: BTreeSet<(String, String)> = others.iter().flat_map(named).collect();
        let is_there = |port: &String| there.contains(&(port.clone(), port.clone()));
        // A port that is given one more name is new under it.
        let is_new_as = |port: &String, name: &String| !self.there.contains(&(port.clone(), name.clone()));
        let is_new = |port: &String| is_there(port) && is_new_as(port, port);
        // What stays apart though both ports are there has been taken apart by hand. Once is not enough: a client that
        // goes is disconnected before its ports are gone.
        let is_apart = |cable: &&Cable| !connected.contains(cable) && is_there(&cable.1) && !is_new(&cable.1);
        let apart: BTreeSet<Cable> = self.kept.iter().filter(is_apart).cloned().collect();
        let taken: BTreeSet<Cable> = apart.intersection(&self.apart).cloned().collect();
        let mut kept: BTreeSet<Cable> = self.kept.difference(&taken).cloned().collect();
        kept.extend(connected.iter().cloned());
        let mut wanted: BTreeSet<Cable> = kept.iter().filter(|(_, other)| is_new(other)).cloned().collect();
        for own in own {
            let fits = |other: &&Other| {
                let is_meant = |name: &String| {
                    is_new_as(&other.name, name) && own.patterns.iter().any(|pattern| fits(pattern, name))
                };
                (own.is_midi, own.is_input) == (other.is_midi, !other.is_input) && other.names().any(is_meant)
            };
            wanted.extend(others.iter().filter(fits).map(|other| (own.name.clone(), other.name.clone())));
        }
        (self.kept, self.there, self.apart) = (kept, there, apart);
        wanted.difference(connected).cloned().collect()
    }

    /// This port has come: it counts as new at the next look.
    pub fn come(&mut self, other: &str) {
        self.there.retain(|(port, _)| port != other);
    }

    /// A connection could not be made: its port counts as new at the next look.
    pub fn again(&mut self, (_, other): &Cable) {
        self.come(other);
    }

    /// The patterns of ours that fit no port that is there.
    pub fn missing<'a>(&self, own: &'a [Own]) -> Vec<(&'a str, &'a str)> {
        let of = |own: &'a Own| own.patterns.iter().map(move |pattern| (own.name.as_str(), pattern.as_str()));
        let is_missing =
            |(_, pattern): &(&str, &str)| !self.there.iter().any(|(_, name)| fits(pattern, name));
        own.iter().filter(|own| !own.is_midi).flat_map(of).filter(is_missing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<Own> {
        let own = |name: &str, is_input, pattern: &str| Own {
            name: name.to_owned(),
            pretty: name.to_owned(),
            is_midi: false,
            is_input,
            patterns: vec![pattern.to_owned()],
        };
        vec![own("in_1", true, "card:capture_1"), own("out_1", false, "card:playback_*")]
    }

    fn other(name: &str) -> Other {
        let is_input = name.contains("playback") || name.contains("rec");
        Other { name: name.to_owned(), aliases: Vec::new(), is_midi: false, is_input }
    }

    fn cables(list: &[(&str, &str)]) -> BTreeSet<Cable> {
        list.iter().map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned())).collect()
    }

    #[test]
    fn what_the_station_says_is_connected_when_it_comes_and_not_against_a_hand() {
        let mut patch = Patch::default();
        let card = ["card:capture_1", "card:playback_1", "card:playback_2"].map(other);
        assert_eq!(patch.look(&own(), &[], &cables(&[])), cables(&[]));
        assert_eq!(patch.missing(&own()).len(), 2);
        let all =
            cables(&[("in_1", "card:capture_1"), ("out_1", "card:playback_1"), ("out_1", "card:playback_2")]);
        assert_eq!(patch.look(&own(), &card, &cables(&[])), all);
        assert!(patch.missing(&own()).is_empty());
        assert_eq!(patch.look(&own(), &card, &all), cables(&[]));
        // Taken apart by hand.
        let less = cables(&[("in_1", "card:capture_1"), ("out_1", "card:playback_1")]);
        assert_eq!(patch.look(&own(), &card, &less), cables(&[]));
        assert_eq!(patch.look(&own(), &card, &less), cables(&[]));
        assert_eq!(patch.kept(), &less);
    }

    #[test]
    fn a_port_is_found_by_an_alias_that_it_is_given_later_and_not_against_a_hand() {
        let mut patch = Patch::default();
        let mut speaker = other("x:playback");
        assert_eq!(patch.look(&own(), &[speaker.clone()], &cables(&[])), cables(&[]));
        assert_eq!(patch.missing(&own()).len(), 2);
        speaker.aliases.push("card:playback_7".to_owned());
        let connected = cables(&[("out_1", "x:playback")]);
        assert_eq!(patch.look(&own(), &[speaker.clone()], &cables(&[])), connected);
        assert_eq!(patch.missing(&own()), [("in_1", "card:capture_1")]);
        // Taken apart by hand.
        assert_eq!(patch.look(&own(), &[speaker.clone()], &connected), cables(&[]));
        assert_eq!(patch.look(&own(), &[speaker], &cables(&[])), cables(&[]));
    }

    #[test]
    fn what_was_connected_by_hand_comes_back_with_its_port_and_with_the_server() {
        let mut patch = Patch::default();
        let ports = [other("card:capture_1"), other("tape:rec")];
        let by_hand = cables(&[("in_1", "card:capture_1"), ("out_1", "tape:rec")]);
        patch.look(&own(), &ports, &by_hand);
        // The recorder goes, and comes back.
        let less = cables(&[("in_1", "card:capture_1")]);
        assert_eq!(patch.look(&own(), &ports[..1], &less), cables(&[]));
        let again = patch.look(&own(), &ports, &less);
        assert_eq!(again, cables(&[("out_1", "tape:rec")]));
        // It was not ready.
        patch.again(&("out_1".to_owned(), "tape:rec".to_owned()));
        assert_eq!(patch.look(&own(), &ports, &less), again);
        // It went and came between two looks.
        patch.look(&own(), &ports, &by_hand);
        patch.come("tape:rec");
        assert_eq!(patch.look(&own(), &ports, &less), again);
        // Another server.
        let mut patch = Patch::new(patch.kept().clone());
        assert_eq!(patch.look(&own(), &ports, &cables(&[])), by_hand);
    }
}
