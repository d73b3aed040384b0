//! The one table of commands: every address that is not a value of a node.

use crate::address::arguments::{Argument, Count, Given, Kind};
use crate::address::pattern::{Pattern, trimmed};
use crate::request::{CompareRequest, CueRequest, MOST_SCENES, Request, SceneRequest};
use crate::value::Value;
use Nature::{Action, ActionWithValue, Question, Reading, State, Switch};
use std::collections::BTreeSet;

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// A state. A pattern with a value sets it too.
    Switch,
    /// A state with such an effect that only its plain address sets it.
    State,
    /// Read-only.
    Reading,
    /// Answered; an argument says what is asked.
    Question,
    /// Acts, with a value or without.
    Action,
    /// Acts, with a value only.
    ActionWithValue,
}

/// What a message without values does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// It is answered with the current state, and changes nothing.
    Reads,
    /// It acts.
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
            Nature::Question | Nature::ActionWithValue => Bare::Refused,
        }
    }

    /// Whether a message with a value changes anything.
    pub fn is_set(self) -> bool {
        !matches!(self, Nature::Reading | Nature::Question)
    }
}

/// A command: one row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its address. `N` stands for the number of a scene, `NAME` for a chain, `KEY` for a word.
    pub address: &'static str,
    /// What it is.
    pub nature: Nature,
    /// What it takes.
    pub arguments: &'static [Argument],
    /// The OSC types of what is read, where that is not what it takes.
    pub reads: &'static str,
    /// What it does.
    pub help: &'static str,
    /// A message that it understands.
    pub example: &'static str,
    /// The words behind `lacquer ctl` that do the same; where there are none, `set` does.
    pub ctl: &'static str,
    /// How checked arguments become a request.
    request: Option<fn(&Given<'_>) -> Request>,
}

const CHAIN: Argument = Argument::new("CHAIN", "the name of a chain", Kind::Text);
const ON: Argument = Argument::new("ON", "true or false", Kind::Switch);
const SIDE: Argument = Argument::new("STATE", "a or b", Kind::Side);
const PRESS: Argument = Argument::new("1", "1, as a button sends it when it is pressed", Kind::Press);
const MAYBE_PRESS: Argument = PRESS.count(Count::Optional);
const SCOPE: Argument =
    Argument::new("1, all, swap", "1, as a button sends it when it is pressed, all or swap", Kind::Scope)
        .count(Count::Optional);
const SCENE: Argument = Argument::new("SCENE", "the name or number of a scene", Kind::Name);
const SCENES: f64 = MOST_SCENES as f64;

/// All of them.
#[rustfmt::skip]
pub const COMMANDS: [Command; 42] = [
    row("/swap", State, "The chain on air; a name swaps to it.")
        .takes(&[CHAIN]).example("/swap streaming").ctl("swap CHAIN")
        .request(|given| Request::Swap(given.text(0))),
    row("/chain/NAME", State, "1 for the chain on air, 0 for the others; 1 swaps to it. For a button and its light.")
        .takes(&[PRESS]).example("/chain/streaming 1")
        .request(|given| Request::Swap(given.part.to_owned())),
    row("/chains", Reading, "The names of the chains.")
        .reads("s").example("/chains").ctl("chains"),
    row("/program/chain", State, "The number of the chain on air, 0 for none; a number swaps to that chain.")
        .takes(&[Argument::new("NUMBER", "the number of a chain", Kind::Counted { min: 1.0, max: f64::INFINITY })])
        .example("/program/chain 2")
        .request(|given| Request::ChainNumber(given.number(0) as usize)),
    row("/program/scene", State, "The number of the active scene, 0 for none; a number recalls that scene.")
        .takes(&[Argument::new("NUMBER", "the number of a scene", Kind::Counted { min: 1.0, max: SCENES })])
        .example("/program/scene 3")
        .request(|given| recall((given.number(0) as usize).to_string(), 0.0)),
    row("/bypass", Switch, "Bypass of the whole chain, click-free; its latency stays.")
        .takes(&[ON]).example("/bypass true").ctl("bypass true")
        .request(|given| Request::Bypass(given.is_on(0))),
    row("/bypass/match", Switch, "Matched bypass: the dry signal is as loud as the chain, as far as its peaks leave room.")
        .takes(&[ON]).example("/bypass/match true")
        .request(|given| Request::BypassMatched(given.is_on(0))),
    row("/bypass/trim", Reading, "The level change of the dry signal by /bypass/match, in dB.")
        .reads("f").example("/bypass/trim"),
    row("/norm/bypass", Switch, "Bypass of the whole chain as a number, 0 or 1.")
        .takes(&[ON]).reads("f").example("/norm/bypass 1")
        .request(|given| Request::Bypass(given.is_on(0))),
    row("/ab", State, "Which of the two full states A and B is active.")
        .takes(&[SIDE]).example("/ab b").ctl("ab b")
        .request(|given| Request::Compare(CompareRequest::Select(given.is_on(0)))),
    row("/norm/ab", State, "Which of the states A and B is active, as a number, 0 or 1.")
        .takes(&[SIDE]).reads("f").example("/norm/ab 1")
        .request(|given| Request::Compare(CompareRequest::Select(given.is_on(0)))),
    row("/ab/match", Switch, "Matched comparison: the louder of A and B is turned down to the other, by short-term loudness.")
        .takes(&[ON]).example("/ab/match true").ctl("ab match")
        .request(|given| Request::Compare(CompareRequest::Match(given.is_on(0)))),
    row("/ab/trim", Reading, "The level change of the chain by /ab/match, in dB.")
        .reads("f").example("/ab/trim"),
    row("/ab/copy", Action, "Copies the active state to the other one.")
        .takes(&[MAYBE_PRESS]).example("/ab/copy").ctl("ab copy")
        .request(|_| Request::Compare(CompareRequest::Copy)),
    row("/ab/chain", State, "The chain of the state that is not active; a name sets it.")
        .takes(&[CHAIN]).example("/ab/chain broadcast").ctl("ab chain CHAIN")
        .request(|given| Request::Compare(CompareRequest::Chain(given.text(0)))),
    row("/undo", Action, "Undoes the last change of the sender on the chain on air; all: that of anybody; swap: swaps back to the chain before.")
        .takes(&[SCOPE]).example("/undo").ctl("undo")
        .request(|given| Request::Undo(given.scope())),
    row("/redo", Action, "Redoes the change that the sender undid last; all: that anybody undid last; swap: the swap that was undone last.")
        .takes(&[SCOPE]).example("/redo").ctl("redo")
        .request(|given| Request::Redo(given.scope())),
    row("/who", Question, "Answers who changed a value last, and how many seconds ago.")
        .takes(&[Argument::new("ADDRESS", "the address of a value", Kind::Text)])
        .example("/who /node/ceiling/ceiling").ctl("who ADDRESS")
        .request(|given| Request::Who { address: given.text(0) }),
    row("/plan", Question, "Answers what a swap to a chain would do: nodes added, removed, kept with their state, changed, moved; latencies.")
        .takes(&[CHAIN]).example("/plan broadcast").ctl("plan CHAIN")
        .request(|given| Request::Plan(given.text(0))),
    row("/scene", Reading, "The active scene, and all scenes.")
        .reads("s").example("/scene"),
    row("/scenes", Reading, "The active scene, and all scenes.")
        .reads("s").example("/scenes").ctl("scene list"),
    row("/scene/save", ActionWithValue, "Saves the values of the chain on air, or of some of its nodes, as a scene.")
        .takes(&[SCENE, Argument::new("NODE", "the ids of the nodes to save", Kind::Name).count(Count::Any)])
        .example("/scene/save night tone glue").ctl("scene save NAME")
        .request(|given| Request::Scene(SceneRequest::Save { name: given.text(0), nodes: given.texts_from(1) })),
    row("/scene/recall", ActionWithValue, "Restores the values of a scene, gliding along their tapers; touching a control removes its parameter from the glide.")
        .takes(&[SCENE, Argument::new("SECONDS", "the seconds to glide", Kind::Number { min: 0.0, max: 3_600.0 }).count(Count::Optional)])
        .example("/scene/recall night 2.5").ctl("scene recall NAME")
        .request(|given| recall(given.text(0), given.number(1))),
    row("/scene/delete", ActionWithValue, "Deletes a scene.")
        .takes(&[SCENE]).example("/scene/delete night").ctl("scene delete NAME")
        .request(|given| Request::Scene(SceneRequest::Delete(given.text(0)))),
    row("/scene/N", State, "1 while the scene of this number is active, else 0; 1 recalls it. For a button and its light.")
        .takes(&[PRESS]).example("/scene/3 1")
        .request(|given| recall(given.part.to_owned(), 0.0)),
    row("/scene/N/name", Reading, "The name of the scene of this number.")
        .reads("s").example("/scene/3/name"),
    row("/scene/N/save", ActionWithValue, "Saves the values of the chain on air as the scene of this number.")
        .takes(&[PRESS]).example("/scene/3/save 1")
        .request(|given| Request::Scene(SceneRequest::Save { name: given.part.to_owned(), nodes: Vec::new() })),
    row("/cue", State, "The cue list; a name runs that cue.")
        .takes(&[Argument::new("CUE", "the name of a cue", Kind::Name)]).example("/cue news").ctl("cue CUE")
        .request(|given| Request::Cue(CueRequest::Do(given.text(0)))),
    row("/cues", Reading, "The cue list.")
        .reads("s").example("/cues").ctl("cue"),
    row("/cue/go", Action, "Runs the next cue and advances to the one after it.")
        .takes(&[MAYBE_PRESS]).example("/cue/go").ctl("cue go")
        .request(|_| Request::Cue(CueRequest::Go)),
    row("/cue/next", Action, "Advances by one cue without running it.")
        .takes(&[MAYBE_PRESS]).example("/cue/next").ctl("cue next")
        .request(|_| Request::Cue(CueRequest::Next)),
    row("/cue/previous", Action, "Goes back by one cue without running it.")
        .takes(&[MAYBE_PRESS]).example("/cue/previous").ctl("cue previous")
        .request(|_| Request::Cue(CueRequest::Previous)),
    row("/cue/name", Reading, "The name of the next cue.")
        .reads("s").example("/cue/name"),
    row("/learn", Action, "Binds the MIDI control that is moved next to an address; without an address it cancels.")
        .takes(&[Argument::new("ADDRESS", "the address to bind", Kind::Text).count(Count::Optional)])
        .example("/learn /node/tone/band/1/gain").ctl("learn ADDRESS")
        .request(|given| Request::Learn { address: given.text(0) }),
    row("/reload", Action, "Reads the station and its chains again; true resets all values to those of the files.")
        .takes(&[Argument::new("RESET", "true to reset all values", Kind::Switch).count(Count::Optional)])
        .example("/reload").ctl("reload")
        .request(|given| Request::Reload { reset: given.is_on(0) }),
    row("/subscribe", Action, "Sends the sender the full state, then changes of others, events and meters, for 10 s or so many.")
        .takes(&[Argument::new("OPTION", "a number of seconds, or words", Kind::SubscribeOption).count(Count::Any)])
        .example("/subscribe 60 text").ctl("watch")
        .request(|given| match given.subscription() {
            Ok(subscription) => Request::Subscribe(subscription),
            Err(error) => Request::wrong(given.address, error.to_string()),
        }),
    row("/unsubscribe", Action, "Ends the subscription of the sender.")
        .example("/unsubscribe")
        .request(|_| Request::Unsubscribe),
    row("/token", Action, "Returns the token that the station has sent, as proof that the client is at its address; alone, it asks for one.")
        .takes(&[Argument::new("TOKEN", "the token that was sent", Kind::Text).count(Count::Optional)])
        .example("/token 9001-0123456789abcdef")
        .request(|given| Request::Token(given.text(0))),
    row("/status", Reading, "The state of the station: chain, audio, latency, load, xruns, faults.")
        .example("/status").ctl("status"),
    row("/status/KEY", Reading, "One line of the state of the station.")
        .example("/status/chain"),
    row("/ping", Reading, "Answers /pong.")
        .takes(&[Argument::new("ANY", "anything", Kind::Ignored).count(Count::Any)]).example("/ping")
        .request(|_| Request::Ping),
    row("/sync", Reading, "Answers /synced when all that the client asked for before is done.")
        .example("/sync").request(|_| Request::Sync),
];

const fn row(address: &'static str, nature: Nature, help: &'static str) -> Command {
    Command { address, nature, arguments: &[], reads: "", help, example: "", ctl: "", request: None }
}

fn recall(name: String, morph: f64) -> Request {
    Request::Scene(SceneRequest::Recall { name, morph })
}

impl Command {
    const fn takes(self, arguments: &'static [Argument]) -> Self {
        Self { arguments, ..self }
    }

    const fn reads(self, reads: &'static str) -> Self {
        Self { reads, ..self }
    }

    const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    const fn ctl(self, ctl: &'static str) -> Self {
        Self { ctl, ..self }
    }

    const fn request(self, request: fn(&Given<'_>) -> Request) -> Self {
        Self { request: Some(request), ..self }
    }

    /// Its address with `part` in place of the word in capitals.
    pub fn address_with(&self, part: &str) -> String {
        let words = self.address.split('/').map(|word| if is_variable(word) { part } else { word });
        words.collect::<Vec<_>>().join("/")
    }

    /// How a message to it is written: `/scene/recall SCENE [SECONDS]`.
    pub fn usage(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| match argument.count {
            Count::One if self.nature.bare() == Bare::Reads => format!(" [{}]", argument.name),
            Count::One => format!(" {}", argument.name),
            Count::Optional => format!(" [{}]", argument.name),
            Count::Any => format!(" [{}...]", argument.name),
        });
        self.address.to_owned() + &arguments.collect::<String>()
    }

    /// What it takes, as an error says it.
    pub(crate) fn describe_arguments(&self) -> String {
        let (required, optional): (Vec<_>, Vec<_>) =
            self.arguments.iter().partition(|argument| argument.count == Count::One);
        let all = |arguments: &[&Argument]| {
            arguments.iter().map(|argument| argument.describe()).collect::<Vec<_>>().join(", ")
        };
        match (required.as_slice(), optional.as_slice()) {
            ([], []) if self.nature == Reading => "is read-only: takes no arguments".to_owned(),
            ([], []) => "takes no arguments".to_owned(),
            ([], optional) => format!("takes {}, or nothing", all(optional)),
            (required, []) if self.nature.bare() == Bare::Reads => {
                format!("takes {}, or nothing to read it", all(required))
            }
            (required, []) => format!("takes {}", all(required)),
            (required, optional) => format!("takes {}, and optionally {}", all(required), all(optional)),
        }
    }

    /// What a message to it asks for; `part` is the part of the address where the row has a word in capitals.
    pub(crate) fn request_for(&self, address: &str, part: &str, values: &[Value]) -> Request {
        let is_read = values.is_empty() && self.nature.bare() == Bare::Reads;
        match (self.request, Given::check(address, part, self.arguments, values)) {
            (Some(_), Some(given)) if self.is_release(&given) => Request::Released,
            (Some(request), Some(given)) => request(&given),
            _ if is_read => Request::Get { address: address.to_owned() },
            _ => Request::wrong(address, self.describe_arguments()),
        }
    }

    /// Whether a button was released.
    fn is_release(&self, given: &Given<'_>) -> bool {
        let is_press =
            self.arguments.first().is_some_and(|argument| matches!(argument.kind, Kind::Press | Kind::Scope));
        is_press && given.values.first() == Some(&Value::Switch(false))
    }
}

/// Whether a word of a row's address stands for others.
fn is_variable(word: &str) -> bool {
    matches!(word, "N" | "NAME" | "KEY")
}

/// The command behind a plain address, and the part that stands where its row has `N`, `NAME` or `KEY`.
pub fn find(address: &str) -> Option<(&'static Command, &str)> {
    let address = trimmed(address);
    COMMANDS.iter().find_map(|command| Some((command, variable_part(command.address, address)?)))
}

/// The part of an address that stands for the row's word in capitals, empty where it has none; `None` where the
/// address is another one.
fn variable_part<'a>(row: &str, address: &'a str) -> Option<&'a str> {
    let (mut rows, mut parts) = (row.split('/'), address.split('/'));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut found = "";
    loop {
        match (rows.next(), parts.next()) {
            (None, None) => return Some(found),
            (Some("N"), Some(part)) if is_number(part) => found = part,
            (Some("NAME" | "KEY"), Some(part)) if !part.is_empty() => found = part,
            (Some(word), _) if is_variable(word) => return None,
            (Some(word), Some(part)) if word == part => {}
            _ => return None,
        }
    }
}

/// The address of a row, given back as it is; that there is such a row is checked when it is compiled: write
/// `const UNDO: &str = known("/undo");`.
///
/// # Panics
/// Where there is no such row.
pub const fn known(address: &'static str) -> &'static str {
    let mut at = 0;
    while at < COMMANDS.len() {
        if is_same(COMMANDS[at].address.as_bytes(), address.as_bytes()) {
            return address;
        }
        at += 1;
    }
    panic!("no row of COMMANDS has this address")
}

/// What the command of a row does, without the last stop, as a line of `--help` is; empty where there is no such row.
pub fn about(address: &str) -> &'static str {
    let command = COMMANDS.iter().find(|command| command.address == address);
    command.map_or("", |command| command.help.trim_end_matches('.'))
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// The addresses of the rows that are `wanted`, shortened: `/scene, /scene/...`.
pub fn overview(wanted: impl Fn(&Command) -> bool) -> String {
    let mut shown: Vec<String> = Vec::new();
    for command in COMMANDS.iter().filter(|command| wanted(command)) {
        let below = command.address.match_indices('/').nth(1).map(|(at, _)| &command.address[..at]);
        let address = match below {
            Some("/norm") => continue,
            Some(group) => format!("{group}/..."),
            None => command.address.to_owned(),
        };
        if !shown.contains(&address) {
            shown.push(address);
        }
    }
    shown.join(", ")
}

/// The switches that a pattern matches.
pub(crate) fn switches(pattern: &Pattern) -> impl Iterator<Item = &'static str> {
    let switches = COMMANDS.iter().filter(|command| command.nature == Switch);
    switches.map(|command| command.address).filter(|address| pattern.matches(address))
}

/// What a pattern matches and does not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSet {
    /// A command that acts, or a state that only its plain address sets.
    Acts,
    /// Only what is read-only.
    ReadOnly,
}

/// What a pattern matches beside what it sets, of the table and of the addresses that a station `has`.
pub(crate) fn not_set<'a>(pattern: &Pattern, has: impl IntoIterator<Item = &'a str>) -> Option<NotSet> {
    // A row with a word in capitals is no address itself: it has one for each part that stands in such a place.
    let base = |row: &'static str| {
        let at = row.split('/').position(is_variable)?;
        Some(row.split('/').take(at + 1).collect::<Vec<_>>())
    };
    let placed = |(command, part): (&Command, _)| Some((base(command.address)?, part));
    let parts: BTreeSet<_> = has.into_iter().filter_map(find).filter_map(placed).collect();
    let is = |command: &Command, part: &str| pattern.matches(&command.address_with(part));
    let mut found = None;
    for command in &COMMANDS {
        let is_matched = match base(command.address) {
            None => pattern.matches(command.address),
            Some(base) => parts.iter().filter(|(other, _)| *other == base).any(|(_, part)| is(command, part)),
        };
        match command.nature {
            Action | ActionWithValue | State | Question if is_matched => return Some(NotSet::Acts),
            Reading if is_matched => found = Some(NotSet::ReadOnly),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn what_a_pattern_matches_and_does_not_set_acts_or_is_read_only() {
        let has = ["/status/chain", "/scene/1", "/scene/1/name", "/chain/a", "/ab/trim"];
        for (pattern, what) in [
            ("/status/c*", Some(NotSet::ReadOnly)),
            ("/scene/*/name", Some(NotSet::ReadOnly)),
            ("/*/trim", Some(NotSet::ReadOnly)),
            ("/scene/[1-8]", Some(NotSet::Acts)),
            ("/scene/*/save", Some(NotSet::Acts)),
            ("/chain/*", Some(NotSet::Acts)),
            ("/und*", Some(NotSet::Acts)),
            ("/s*", Some(NotSet::Acts)),
            ("/bypas?", None),
            ("/chain/N*", None),
            ("/status/K?Y", None),
            ("/x*", None),
        ] {
            assert_eq!(not_set(&Pattern::new(pattern).unwrap(), has), what, "{pattern}");
        }
    }

    #[test]
    fn every_row_has_help_that_is_a_sentence_and_an_example_that_it_understands() {
        for command in &COMMANDS {
            assert!(command.help.ends_with('.') && !command.help.contains('|'), "{}", command.address);
            let mut words = command.example.split(' ');
            let address = words.next().unwrap();
            let (found, part) = find(address).unwrap();
            assert_eq!(found.address, command.address);
            let values: Vec<Value> = words
                .map(|word| match word.parse() {
                    Ok(number) => Value::Number(number),
                    Err(_) => Value::Text(word.to_owned()),
                })
                .collect();
            let request = command.request_for(address, part, &values);
            assert!(!matches!(request, Request::Wrong { .. } | Request::Released), "{}", command.example);
            let is_read = matches!(request, Request::Get { .. } | Request::Ping | Request::Sync);
            assert_eq!(is_read, command.nature == Reading, "{}", command.example);
        }
    }

    #[test]
    fn usage_and_errors_are_made_of_the_row() {
        for (address, usage, takes) in [
            ("/swap", "/swap [CHAIN]", "takes the name of a chain, or nothing to read it"),
            (
                "/undo",
                "/undo [1, all, swap]",
                "takes 1, as a button sends it when it is pressed, all or swap, or nothing",
            ),
            (
                "/scene/recall",
                "/scene/recall SCENE [SECONDS]",
                "takes the name or number of a scene, and optionally the seconds to glide (0 to 3600)",
            ),
            ("/who", "/who ADDRESS", "takes the address of a value"),
            ("/chains", "/chains", "is read-only: takes no arguments"),
            ("/unsubscribe", "/unsubscribe", "takes no arguments"),
            (
                "/scene/save",
                "/scene/save SCENE [NODE...]",
                "takes the name or number of a scene, and optionally the ids of the nodes to save",
            ),
        ] {
            let (command, _) = find(address).unwrap();
            assert_eq!((command.usage().as_str(), command.describe_arguments().as_str()), (usage, takes));
        }
    }

    #[test]
    fn a_known_address_is_given_back() {
        assert_eq!(known("/undo"), "/undo");
    }
}
