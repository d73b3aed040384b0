//! Every address that is no value of a node, and what a message to it means: the one table of them.

use crate::address::pattern::{Pattern, trimmed};
use Nature::{Action, Question, Reading, State, Switch, ToAudio};

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// A state. A pattern with a value sets it too.
    Switch,
    /// A state. To set it is so much that only its plain address does.
    State,
    /// Told, never set.
    Reading,
    /// Answered, where a value says what is asked.
    Question,
    /// Does something, with a value or without.
    Action,
    /// Does something, with a value only.
    ToAudio,
}

/// What a message without values does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// It is answered with what holds, and changes nothing.
    Reads,
    /// It does what the address says.
    Acts,
    /// It is refused.
    Refused,
}

impl Nature {
    /// What a message without values does.
    pub fn bare(self) -> Bare {
        match self {
            Nature::Switch | Nature::State | Nature::Reading => Bare::Reads,
            Nature::Action => Bare::Acts,
            Nature::Question | Nature::ToAudio => Bare::Refused,
        }
    }

    /// Whether a message with a value changes anything.
    pub fn is_set(self) -> bool {
        !matches!(self, Nature::Reading | Nature::Question)
    }
}

/// An address.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Itself. `N` stands for the number of a slot, `NAME` for a chain, `KEY` for a word.
    pub address: &'static str,
    /// What it is.
    pub nature: Nature,
    /// The OSC type of its value where OSCQuery shows it, else nothing.
    pub tags: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// All of them.
#[rustfmt::skip]
pub const COMMANDS: [Command; 39] = [
    row("/swap", State, "s", "The chain on air; a name swaps to it."),
    row("/chain/NAME", State, "", "Whether the chain is on air; 1 swaps to it."),
    row("/chains", Reading, "", "The names of the chains."),
    row("/program/chain", State, "", "The number of the chain on air; a number swaps to it."),
    row("/program/scene", State, "", "The number of the scene that is on; a number recalls it."),
    row("/bypass", Switch, "T", "The whole chain in bypass, latency kept."),
    row("/bypass/match", Switch, "T", "Bypass is as loud as the chain."),
    row("/bypass/trim", Reading, "f", "What the dry signal is turned down or up by, in dB."),
    row("/norm/bypass", Switch, "f", "The whole chain in bypass: 0 or 1."),
    row("/ab", State, "s", "Which of the two states is heard: a or b."),
    row("/norm/ab", State, "f", "Which of the two states is heard: 0 or 1."),
    row("/ab/match", Switch, "T", "The louder of A and B is turned down to the other."),
    row("/ab/trim", Reading, "f", "What the chain is turned down by, in dB."),
    row("/ab/copy", Action, "N", "Makes the one that is not heard the same."),
    row("/ab/chain", State, "s", "The chain of the one that is not heard; a name makes it this chain."),
    row("/undo", Action, "N", "Takes the last move back."),
    row("/redo", Action, "N", "Does again what was taken back."),
    row("/who", Question, "", "Who moved the value at an address last."),
    row("/scene", Reading, "", "The scene that is on, and all scenes."),
    row("/scenes", Reading, "", "The same."),
    row("/scene/save", ToAudio, "s", "Keeps the values under a name."),
    row("/scene/recall", ToAudio, "sf", "Brings the values of a scene back, within so many seconds."),
    row("/scene/delete", ToAudio, "s", "Takes a scene away."),
    row("/scene/N", State, "", "Whether the scene is on; 1 recalls it."),
    row("/scene/N/name", Reading, "", "The name of the scene."),
    row("/scene/N/save", ToAudio, "", "1 keeps the values in this slot."),
    row("/cue", State, "", "The cue list; a name does that cue."),
    row("/cues", Reading, "", "The cue list."),
    row("/cue/go", Action, "N", "Does the next cue."),
    row("/cue/next", Action, "N", "Goes on by one cue without doing it."),
    row("/cue/previous", Action, "N", "Goes back by one cue without doing it."),
    row("/cue/name", Reading, "s", "The cue that comes next."),
    row("/learn", Action, "s", "Binds the MIDI control that is moved next to this address."),
    row("/reload", Action, "T", "Reads station and chains again; true takes all values from the files."),
    row("/subscribe", Action, "i", "Sends every change and the meters to the sender for so many seconds."),
    row("/unsubscribe", Action, "N", "Stops doing so."),
    row("/status", Reading, "", "How the station is."),
    row("/status/KEY", Reading, "", "One line of it."),
    row("/ping", Reading, "", "Answered with /pong."),
];

const fn row(address: &'static str, nature: Nature, tags: &'static str, help: &'static str) -> Command {
    Command { address, nature, tags, help }
}

/// The command behind a plain address, and the part that stands where its row has `N`, `NAME` or `KEY`.
pub fn of(address: &str) -> Option<(&'static Command, &str)> {
    let address = trimmed(address);
    COMMANDS.iter().find_map(|command| Some((command, fitted(command.address, address)?)))
}

/// The part of an address that stands for the row's word in capitals; `None` where the address is another one.
fn fitted<'a>(row: &str, address: &'a str) -> Option<&'a str> {
    let (mut rows, mut parts) = (row.split('/'), address.split('/'));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut fitted = "";
    loop {
        match (rows.next(), parts.next()) {
            (None, None) => return Some(fitted),
            (Some("N"), Some(part)) if is_number(part) => fitted = part,
            (Some("NAME" | "KEY"), Some(part)) if !part.is_empty() => fitted = part,
            (Some("N" | "NAME" | "KEY"), _) => return None,
            (Some(word), Some(part)) if word == part => {}
            _ => return None,
        }
    }
}

/// The switches that a pattern means.
pub fn switches(pattern: &Pattern) -> impl Iterator<Item = &'static str> {
    let switches = COMMANDS.iter().filter(|command| command.nature == Switch);
    switches.map(|command| command.address).filter(|address| pattern.matches(address))
}

/// What a pattern means, and does not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// Something that acts, or is so much that only its plain address sets it.
    Acts,
    /// Only what is told, and never set.
    Told,
}

/// What a pattern means beside what it sets, of the table and of the `told` addresses of a station.
pub fn beyond<'a>(pattern: &Pattern, told: impl IntoIterator<Item = &'a str>) -> Option<Beyond> {
    let rows = COMMANDS.iter().map(|command| (command.address, command.nature));
    let told = told.into_iter().filter_map(|address| Some((address, of(address)?.0.nature)));
    let meant = rows.chain(told).filter(|(address, _)| pattern.matches(address));
    let mut beyond = None;
    for (_, nature) in meant {
        match nature {
            Action | ToAudio | State | Question => return Some(Beyond::Acts),
            Reading => beyond = Some(Beyond::Told),
            Switch => {}
        }
    }
    beyond
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use crate::address::router::request_for;
    use crate::request::Request;
    use crate::value::Value;

    /// Each address with something in place of its word in capitals, and with what nothing looks at.
    fn all() -> impl Iterator<Item = (&'static Command, String)> {
        COMMANDS.iter().flat_map(|command| {
            let address = command.address.replace("NAME", "loud").replace("/N", "/3").replace("KEY", "chain");
            // `/NAME` holds an `/N` as well.
            let address = address.replace("/3AME", "/loud");
            [address.clone(), format!("{address}/")].map(|address| (command, address))
        })
    }

    #[test]
    fn a_message_without_values_does_what_the_table_says() {
        for (command, address) in all() {
            let (found, _) = of(&address).unwrap();
            assert_eq!(found.address, command.address, "{address}");
            let request = request_for(&address, vec![]);
            match command.nature.bare() {
                Bare::Reads if address.starts_with("/ping") => assert_eq!(request, Request::Ping),
                Bare::Reads => assert_eq!(request, Request::Get { address }),
                Bare::Refused => assert!(matches!(request, Request::Wrong { .. }), "{address}: {request:?}"),
                Bare::Acts => {
                    let is_own = matches!(request, Request::Subscribe(_) | Request::Unsubscribe);
                    assert!(is_own || !request.is_read(), "{address}: {request:?}");
                    assert!(!matches!(request, Request::Wrong { .. } | Request::Get { .. }), "{address}");
                }
            }
        }
    }

    #[test]
    fn what_is_only_told_takes_no_value_and_who_may_only_look_reaches_nothing() {
        let values = [Value::Number(1.0), Value::Text("a".to_owned()), Value::Switch(true)];
        for (command, address) in all().filter(|(command, _)| !command.nature.is_set()) {
            for value in &values {
                let request = request_for(&address, vec![value.clone()]);
                assert!(request.is_read(), "{}: {request:?}", command.address);
            }
        }
        // Whatever else there is does something with one of them.
        for (command, address) in all().filter(|(command, _)| command.nature.is_set()) {
            let is_act = |value: &Value| !request_for(&address, vec![value.clone()]).is_read();
            let is_own = command.address.ends_with("subscribe");
            let takes_two = command.address == "/unsubscribe";
            assert!(is_own || takes_two || values.iter().any(is_act), "{}", command.address);
        }
    }

    #[test]
    fn a_pattern_without_values_reads_whatever_it_means() {
        for pattern in ["/undo*", "/und?", "/{undo,redo}", "/scene/[1-3]/save", "/cue/*", "//*", "/c*/go/"] {
            let request = request_for(pattern, vec![]);
            assert!(matches!(request, Request::Get { .. }), "{pattern}: {request:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_as_it_was_written() {
        for address in ["/", "//", "///", "/node//", "/chain/", "/nonsense//", "/scene//", "/cue/o/"] {
            for values in [vec![], vec![Value::Number(1.0)]] {
                match request_for(address, values) {
                    Request::Wrong { address: named, .. } => assert_eq!(named, address),
                    Request::Get { address: named } | Request::Set { address: named, .. } => {
                        assert_eq!(named, address);
                    }
                    other => panic!("{address}: {other:?}"),
                }
            }
        }
        for (address, values) in [
            ("/swap//", vec![Value::Number(1.0)]),
            ("/scene/save/", vec![]),
            ("/status/chain/", vec![Value::Number(1.0)]),
        ] {
            let request = request_for(address, values);
            assert!(
                matches!(&request, Request::Wrong { address: named, .. } if named == address),
                "{request:?}"
            );
        }
    }

    #[test]
    fn who_reads_what_is_not_there_is_advised_of_nothing_that_acts() {
        let mut wrong = vec!["/".to_owned(), "//".to_owned(), "/u".to_owned(), "/cue/g".to_owned()];
        for command in &COMMANDS {
            let address = command.address;
            wrong.extend([&address[..address.len() - 1], &format!("{address}x")].map(str::to_owned));
        }
        for address in wrong {
            let Request::Wrong { why, .. } = request_for(&address, vec![]) else { continue };
            for word in why.split(|sign: char| " ,;?\"".contains(sign)).filter(|word| word.starts_with('/')) {
                let command = COMMANDS.iter().find(|command| command.address == word);
                let command = command.or_else(|| of(word).map(|(command, _)| command));
                let reads = command.is_none_or(|command| command.nature.bare() == Bare::Reads);
                assert!(reads, "{address}: {word} acts: {why}");
            }
        }
        for address in ["/", "//"] {
            let Request::Wrong { why, .. } = request_for(address, vec![]) else {
                panic!("{address} is read")
            };
            assert!(!why.contains("did you mean"), "{address}: {why}");
        }
        // With a value an action is meant.
        let Request::Wrong { why, .. } = request_for("/und", vec![Value::Number(1.0)]) else {
            panic!("is one")
        };
        assert!(why.contains("did you mean \"/undo\"?"), "{why}");
    }

    #[test]
    fn what_a_pattern_means_and_does_not_set_acts_or_is_told() {
        let told = ["/status/chain", "/scene/1", "/scene/1/name", "/chain/a", "/ab/trim"];
        for (pattern, what) in [
            ("/status/c*", Some(Beyond::Told)),
            ("/scene/*/name", Some(Beyond::Told)),
            ("/*/trim", Some(Beyond::Told)),
            ("/scene/[1-8]", Some(Beyond::Acts)),
            ("/chain/*", Some(Beyond::Acts)),
            ("/und*", Some(Beyond::Acts)),
            ("/s*", Some(Beyond::Acts)),
            ("/bypas?", None),
            ("/x*", None),
        ] {
            assert_eq!(beyond(&Pattern::new(pattern).unwrap(), told), what, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_number_switches_nothing() {
        for address in ["/bypass", "/norm/bypass", "/bypass/match", "/ab", "/ab/match", "/undo", "/reload"] {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let request = request_for(address, vec![Value::Number(value)]);
                assert!(matches!(request, Request::Wrong { .. }), "{address} {value}: {request:?}");
            }
        }
    }

    #[test]
    fn only_an_address_is_one() {
        for address in
            ["undo", "xchain/loud", "?chain/loud/x", "", "/", "//", "/chain", "/chain/", "/chain/a/b", "/N"]
        {
            assert!(of(address).is_none(), "{address}");
        }
        for address in
            ["xchain/loud", "xscene/1", "undo", "/scenes/1", "/scenes/1/save", "/cues/go", "/scene/+1"]
        {
            for values in [vec![], vec![Value::Number(1.0)]] {
                let request = request_for(address, values);
                assert!(matches!(request, Request::Wrong { .. }), "{address}: {request:?}");
            }
        }
    }
}
