//! `lacquer ctl`: talks to a running daemon over OSC.

use super::{Ask, Outcome, SceneCommand, complain, print};
use crate::process::os_error::plain;
use lacquer_control::address::commands::{Bare, COMMANDS, Command, Nature, known};
use lacquer_control::address::pattern::{is_pattern, trimmed};
use lacquer_control::address::{Tree, arguments, commands};
use lacquer_control::subscribe::access::Rules;
use lacquer_control::surface::client::{Client, format_update, parse_value};
use lacquer_control::update::Update;
use lacquer_control::value::{Value, is_as_requested};
use lacquer_graph::param::hint::Hint;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

// The commands that have words of their own here; each is a row of the table.
const AB: &str = known("/ab");
const AB_CHAIN: &str = known("/ab/chain");
const AB_COPY: &str = known("/ab/copy");
const AB_MATCH: &str = known("/ab/match");
const BYPASS: &str = known("/bypass");
const CHAINS: &str = known("/chains");
const CUE: &str = known("/cue");
const CUES: &str = known("/cues");
const CUE_GO: &str = known("/cue/go");
const CUE_NEXT: &str = known("/cue/next");
const CUE_PREVIOUS: &str = known("/cue/previous");
const LEARN: &str = known("/learn");
const PLAN: &str = known("/plan");
const REDO: &str = known("/redo");
const RELOAD: &str = known("/reload");
const SCENES: &str = known("/scenes");
const SCENE_DELETE: &str = known("/scene/delete");
const SCENE_RECALL: &str = known("/scene/recall");
const SCENE_SAVE: &str = known("/scene/save");
const STATUS: &str = known("/status");
const SUBSCRIBE: &str = known("/subscribe");
const SYNC: &str = known("/sync");
const SWAP: &str = known("/swap");
const UNDO: &str = known("/undo");
const UNSUBSCRIBE: &str = known("/unsubscribe");
const WHO: &str = known("/who");

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time limit for a swap.
const SWAP_PATIENCE: Duration = Duration::from_secs(60);
/// How long a user may take to move a control.
const CONTROL_PATIENCE: Duration = Duration::from_secs(30);
/// How long the rest of an answer may take, once it has begun.
const MORE: Duration = Duration::from_secs(5);
/// Requested size of the kernel's receive buffer, in bytes; the kernel may grant less.
const QUEUE: usize = 4 << 20;

pub(super) fn run(to: SocketAddr, what: Ask) -> Outcome {
    let connect = || {
        let client = Client::connect(to)?;
        set_socket_recv_buffer_size(&client, QUEUE).ok();
        // A station that is far sends little until it knows that this client is where it says it is.
        if !Rules::default().trusts(to.ip()) {
            client.prove(Instant::now() + PATIENCE)?;
        }
        Ok(client)
    };
    match connect().and_then(|client| ask(&client, what)) {
        Ok(outcome) => outcome,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => complain(
            &format!(
                "no answer from {to} within {} s; is the daemon running, and is that its \"osc: {{listen}}\"?",
                PATIENCE.as_secs()
            ),
            Outcome::Refused,
        ),
        Err(error) => complain(&format!("{to}: {}", plain(&error)), Outcome::Refused),
    }
}

fn ask(client: &Client, what: Ask) -> io::Result<Outcome> {
    let question = |address: &str| vec![Update::new(address, Vec::new())];
    match what {
        Ask::Get { address } => match no_address(&address, true).or_else(|| refusal(&address)) {
            Some(why) => Ok(complain(&why, Outcome::Wrong)),
            None => answer(client, &question(&address)),
        },
        Ask::Set { address, .. } | Ask::Who { address } | Ask::Learn { address }
            if !address.starts_with('/') =>
        {
            Ok(complain(&no_address(&address, false).unwrap_or_default(), Outcome::Wrong))
        }
        Ask::Set { address, value } => {
            let set = Update::new(&address, vec![parse_value(&value)]);
            match commands::find(&address) {
                _ if is_pattern(&address) => set_matching(client, set),
                // Reading it back would run the action again.
                Some((command, _)) if command.nature.bare() != Bare::Reads => done(client, set),
                // Read-only: the answer is an error.
                Some((command, _)) if !command.nature.is_set() => answer(client, &[set]),
                // Read back in the same datagram, so the answer shows the resulting value.
                _ => answer(client, &[set, Update::new(&address, Vec::new())]),
            }
        }
        Ask::Swap { chain: None } => answer(client, &question(SWAP)),
        Ask::Swap { chain: Some(chain) } => swap(client, &chain),
        Ask::Chains => answer(client, &question(CHAINS)),
        Ask::Bypass { on: None } => answer(client, &question(BYPASS)),
        Ask::Bypass { on: Some(on) } => {
            let set = Update::new(BYPASS, vec![Value::Switch(on)]);
            answer(client, &[set, Update::new(BYPASS, Vec::new())])
        }
        Ask::Who { address } => answer(client, &[Update::words(WHO, &[&address])]),
        // Each call is a client of its own, which has made no change yet.
        Ask::Undo { which } => done(client, Update::words(UNDO, &[&which])),
        Ask::Redo { which } => done(client, Update::words(REDO, &[&which])),
        Ask::Scene { what } => match what {
            SceneCommand::List => answer(client, &question(SCENES)),
            SceneCommand::Save { name, nodes } => {
                let mut values = vec![Value::Text(name)];
                values.extend(nodes.into_iter().map(Value::Text));
                done(client, Update::new(SCENE_SAVE, values))
            }
            SceneCommand::Recall { name, morph } => {
                let values = vec![Value::Text(name), Value::Number(morph)];
                done(client, Update::new(SCENE_RECALL, values))
            }
            SceneCommand::Delete { name } => done(client, Update::words(SCENE_DELETE, &[&name])),
        },
        Ask::Cue { what } => match what.as_deref() {
            None => answer(client, &question(CUES)),
            Some("go") => done(client, Update::new(CUE_GO, Vec::new())),
            Some("next") => done(client, Update::new(CUE_NEXT, Vec::new())),
            Some("previous") => done(client, Update::new(CUE_PREVIOUS, Vec::new())),
            Some(name) => done(client, Update::words(CUE, &[name])),
        },
        Ask::Ab { what } => compare(client, &what),
        Ask::Plan { chain } => answer(client, &[Update::words(PLAN, &[&chain])]),
        Ask::Learn { address } => learn(client, &address),
        Ask::Status => answer(client, &question(STATUS)),
        Ask::Reload { reset } => answer(client, &[Update::new(RELOAD, vec![Value::Switch(reset)])]),
        Ask::Watch { no_meters } => watch(client, no_meters),
    }
}

/// The answer to a question.
struct Answer {
    lines: Vec<Update>,
    /// Whether its end was received.
    is_whole: bool,
}

/// Sends messages, and receives the whole answer. A station answers in order: all that comes before the answer to the
/// `/sync` behind the messages belongs to them.
fn exchange(client: &Client, question: &[Update]) -> io::Result<Answer> {
    client.send(question)?;
    // In a datagram of its own: it is answered even where something is wrong with the question.
    client.send(&[Update::new(SYNC, Vec::new())])?;
    let mut answers_before = question.iter().filter(|line| trimmed(&line.address) == SYNC).count();
    let mut lines = Vec::new();
    let mut deadline = Instant::now() + PATIENCE;
    while let Some(more) = client.receive(deadline)? {
        for line in more {
            if line.address == "/synced" {
                if answers_before == 0 {
                    return Ok(Answer { lines, is_whole: true });
                }
                answers_before -= 1;
            }
            if !line.address.starts_with("/event/") {
                lines.push(line);
            }
        }
        deadline = Instant::now() + MORE;
    }
    match lines.is_empty() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(Answer { lines, is_whole: false }),
    }
}

/// Sends a question and prints the answer; an `/error` makes the outcome wrong.
fn answer(client: &Client, question: &[Update]) -> io::Result<Outcome> {
    exchange(client, question).map(show)
}

/// Prints an answer; an `/error` makes the outcome wrong.
fn show(answer: Answer) -> Outcome {
    let mut seen: Vec<&Update> = Vec::new();
    let mut outcome = Outcome::Done;
    for line in &answer.lines {
        // A value that is set and read in one datagram may be answered twice; its error comes first.
        let is_same = |before: &&Update| {
            let is_error = line.address == "/error" && before.address == line.address;
            *before == line || (is_error && before.values.first() == line.values.first())
        };
        if seen.iter().any(is_same) {
            continue;
        }
        seen.push(line);
        if line.address == "/error" {
            outcome = complain(&why(line), Outcome::Wrong);
        } else {
            print(&format_update(line));
        }
    }
    if answer.is_whole {
        return outcome;
    }
    let why = format!("answer incomplete: its end did not arrive within {} s", MORE.as_secs());
    complain(&why, Outcome::Refused)
}

/// Sets all values that a pattern matches, and prints them. A pattern may also match values that it does not set, so a
/// value is printed only if it changed or equals the requested one.
fn set_matching(client: &Client, set: Update) -> io::Result<Outcome> {
    let question = [Update::new(&set.address, Vec::new())];
    let before = exchange(client, &question)?;
    let mut answer = exchange(client, std::slice::from_ref(&set))?;
    if answer.lines.iter().any(|line| line.address == "/error") {
        return Ok(show(answer));
    }
    let after = exchange(client, &question)?;
    let is_set = |line: &Update| {
        let is_value = Tree::split(&line.address).is_some();
        let is_switch =
            || commands::find(&line.address).is_some_and(|(command, _)| command.nature == Nature::Switch);
        let is_moved = || before.is_whole && !before.lines.contains(line);
        (is_value || is_switch()) && (holds(line, &set.values) || is_moved())
    };
    answer.lines.extend(after.lines.into_iter().filter(is_set));
    answer.is_whole &= after.is_whole;
    Ok(show(answer))
}

/// Whether an address has the requested value.
fn holds(line: &Update, asked: &[Value]) -> bool {
    match (&line.values[..], asked) {
        ([Value::Switch(on)], [asked]) => arguments::switch(asked) == Some(*on),
        ([Value::Number(is)], [Value::Number(asked)]) => is_as_requested(*is, *asked),
        ([Value::Number(is)], [Value::Switch(on)]) => *is == f64::from(u8::from(*on)),
        (is, asked) => is == asked,
    }
}

/// Why a text is not an address, with the likely address; `None` if it is one.
fn no_address(text: &str, is_read: bool) -> Option<String> {
    if text.starts_with('/') {
        return None;
    }
    let why = format!("\"{text}\": an address begins with \"/\"");
    let meant = format!("/{text}");
    if let Some(acts) = refusal(&meant).filter(|_| is_read) {
        return Some(format!("{why}; {acts}"));
    }
    let is_one = commands::find(&meant).is_some() || Tree::split(&meant).is_some();
    Some(format!("{why}{}", Hint(is_one.then_some(meant))))
}

/// Why an address cannot be read: it is an action, or needs a value.
fn refusal(address: &str) -> Option<String> {
    let (command, part) = commands::find(address)?;
    let what = match command.nature {
        _ if command.nature.bare() == Bare::Reads => return None,
        Nature::Question => "needs a value",
        _ => "is an action, not a value to read; nothing was done",
    };
    let way = match ctl_words(command, part) {
        None => "only a subscribed client can send it".to_owned(),
        Some(words) => format!("use \"lacquer ctl {words}\""),
    };
    Some(format!("{address} {what}; {way}"))
}

/// The words behind `lacquer ctl` that do what a row of the table says; `part` stands for its word in capitals.
fn ctl_words(command: &Command, part: &str) -> Option<String> {
    if !command.ctl.is_empty() {
        return Some(command.ctl.to_owned());
    }
    let value = command.example.split_once(' ').map(|(_, value)| value)?;
    Some(format!("set {} {value}", command.address_with(part)))
}

/// The addresses and what they do, as `lacquer ctl --help` lists them.
pub(super) fn addresses() -> String {
    let usages: Vec<String> = COMMANDS.iter().map(Command::usage).collect();
    let width = usages.iter().map(String::len).max().unwrap_or(0);
    let rows = COMMANDS.iter().zip(&usages).map(|(row, usage)| format!("  {usage:width$}  {}", row.help));
    let trees = "Addresses for get and set: the values of nodes are /node/ID/PARAMETER, along their tapers /norm/..., \
                 as text /text/...; beside them there are";
    format!("{trees}\n{}", rows.collect::<Vec<_>>().join("\n"))
}

/// Sends a command that is answered only if it fails.
fn done(client: &Client, line: Update) -> io::Result<Outcome> {
    answer(client, &[line])
}

fn compare(client: &Client, what: &[String]) -> io::Result<Outcome> {
    let words: Vec<&str> = what.iter().map(String::as_str).collect();
    match words[..] {
        [] => answer(client, &[Update::new(AB, Vec::new())]),
        ["match"] => done(client, Update::new(AB_MATCH, vec![Value::Switch(true)])),
        ["nomatch"] => done(client, Update::new(AB_MATCH, vec![Value::Switch(false)])),
        ["copy"] => done(client, Update::new(AB_COPY, Vec::new())),
        ["chain", chain] => done(client, Update::words(AB_CHAIN, &[chain])),
        [which, ..] => done(client, Update::words(AB, &[which])),
    }
}

fn learn(client: &Client, address: &str) -> io::Result<Outcome> {
    client.send(&[Update::words(LEARN, &[address])])?;
    eprintln!("move the control to bind to {address} (within {} s)", CONTROL_PATIENCE.as_secs());
    let deadline = Instant::now() + CONTROL_PATIENCE;
    while let Some(lines) = client.receive(deadline)? {
        for line in &lines {
            match (line.address.as_str(), line.values.as_slice()) {
                ("/error", _) => return Ok(complain(&why(line), Outcome::Wrong)),
                ("/event/learn", [_, Value::Text(what), Value::Text(outcome), ..]) if outcome == "failed" => {
                    return Ok(complain(what, Outcome::Wrong));
                }
                ("/event/learn", [_, Value::Text(what), ..]) => return Ok(print(what)),
                _ => {}
            }
        }
    }
    client.send(&[Update::new(LEARN, Vec::new())])?;
    let seconds = CONTROL_PATIENCE.as_secs();
    Ok(complain(&format!("no control was moved within {seconds} s; nothing bound"), Outcome::Wrong))
}

/// The text of an `/error`.
fn why(line: &Update) -> String {
    match line.values.as_slice() {
        [Value::Text(address), Value::Text(why)] => format!("{address}: {why}"),
        _ => format_update(line),
    }
}

fn swap(client: &Client, chain: &str) -> io::Result<Outcome> {
    // Events alone, no meters.
    let seconds = Value::Number(SWAP_PATIENCE.as_secs_f64());
    let subscribe = Update::new(SUBSCRIBE, vec![seconds, Value::Text("meters 0".to_owned())]);
    client.send(&[subscribe, Update::words(SWAP, &[chain])])?;
    let end = Instant::now() + SWAP_PATIENCE;
    let mut deadline = Instant::now() + PATIENCE;
    let outcome = loop {
        let Some(lines) = client.receive(deadline)? else {
            if deadline < end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let seconds = SWAP_PATIENCE.as_secs();
            break complain(
                &format!(
                    "{chain} is not on air after {seconds} s; the swap may still come: lacquer ctl status"
                ),
                Outcome::Refused,
            );
        };
        let phase = |line: &Update| match (line.address.as_str(), line.values.as_slice()) {
            ("/error", [Value::Text(address), ..]) if address == SWAP => {
                Some(complain(&why(line), Outcome::Wrong))
            }
            ("/event/swap", [Value::Text(phase), Value::Text(name), ..]) if name == chain => {
                match phase.as_str() {
                    "done" => Some(print(&format!("{chain} is on air"))),
                    "failed" => Some(complain(&format_update(line), Outcome::Wrong)),
                    _ => None,
                }
            }
            _ => None,
        };
        deadline = end;
        if let Some(outcome) = lines.iter().find_map(phase) {
            break outcome;
        }
    };
    client.send(&[Update::new(UNSUBSCRIBE, Vec::new())])?;
    Ok(outcome)
}

fn watch(client: &Client, no_meters: bool) -> io::Result<Outcome> {
    let subscribe = Update::new(SUBSCRIBE, Vec::new());
    let renew = Duration::from_secs(5);
    let mut last_update = Instant::now();
    loop {
        client.send(std::slice::from_ref(&subscribe))?;
        let until = Instant::now() + renew;
        while let Some(lines) = client.receive(until)? {
            last_update = Instant::now();
            for line in lines.iter().filter(|line| !(no_meters && line.address.starts_with("/meter/"))) {
                print(&format_update(line));
            }
        }
        if last_update.elapsed() > renew + PATIENCE {
            let seconds = last_update.elapsed().as_secs();
            let why = format!(
                "no update within {seconds} s; is the daemon running, and is --to its \"osc: {{listen}}\"?"
            );
            return Ok(complain(&why, Outcome::Refused));
        }
    }
}
