//! From an address and its values, whatever surface they come from, to a request.

use crate::address::commands::{self, Bare, COMMANDS, Command, Nature};
use crate::address::pattern::{is_pattern, trimmed};
use crate::request::Request;
use crate::value::Value;
use lacquer_graph::param::hint::Hint;

/// What `address` with these values asks for. Without values a state is read, and so is all that a pattern matches.
/// An answer names the address as it was written.
pub(crate) fn request_for(written: &str, values: Vec<Value>) -> Request {
    let address = trimmed(written);
    // Of these trees only `/norm` has commands too.
    if is_pattern(address) || ["/node/", "/text/"].iter().any(|tree| address.starts_with(tree)) {
        return value_request(written, values);
    }
    match commands::find(address) {
        Some((command, part)) => command.request_for(written, part, &values),
        None if address.starts_with("/norm/") => value_request(written, values),
        None => Request::wrong(written, unknown_address(address, values.is_empty())),
    }
}

/// Why there is nothing at an address. Without values, no command is named that would then act.
fn unknown_address(address: &str, is_read: bool) -> String {
    let is_meant = |command: &Command| match is_read {
        true => command.nature.bare() == Bare::Reads,
        false => command.nature != Nature::Reading,
    };
    let rows = COMMANDS.iter().filter(|command| is_meant(command)).map(|command| command.address);
    // Slashes alone are like every address.
    let hint = if address.is_empty() { Hint::default() } else { Hint::nearest(address, rows) };
    let begin = if is_read { "what can be read is" } else { "there are" };
    let trees = "/node/ID/PARAMETER, /norm/..., /text/...";
    format!("no such address{hint}; {begin} {trees}, {}", commands::overview(is_meant))
}

/// What is asked of a value of a node, or of all that a pattern matches.
fn value_request(address: &str, mut values: Vec<Value>) -> Request {
    let address = address.to_owned();
    match values.len() {
        0 => Request::Get { address },
        1 => Request::Set { address, value: values.remove(0) },
        _ => Request::wrong(&address, "takes one value, or nothing to read it"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

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
            let (found, _) = commands::find(&address).unwrap();
            assert_eq!(found.address, command.address, "{address}");
            let request = request_for(&address, vec![]);
            match command.nature.bare() {
                Bare::Reads if address.starts_with("/ping") => assert_eq!(request, Request::Ping),
                Bare::Reads if address.starts_with("/sync") => assert_eq!(request, Request::Sync),
                Bare::Reads => assert_eq!(request, Request::Get { address }),
                Bare::Refused => assert!(matches!(request, Request::Wrong { .. }), "{address}: {request:?}"),
                Bare::Acts => {
                    let is_own =
                        matches!(request, Request::Subscribe(_) | Request::Unsubscribe | Request::Token(_));
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
            let is_own = ["/subscribe", "/unsubscribe", "/token"].contains(&command.address);
            assert!(is_own || values.iter().any(is_act), "{}", command.address);
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
                let command = command.or_else(|| commands::find(word).map(|(command, _)| command));
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
            assert!(commands::find(address).is_none(), "{address}");
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
