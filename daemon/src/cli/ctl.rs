//! `lacquer ctl`: talks to a running daemon over OSC.

use super::{Ask, Outcome, SceneCommand, complain, print};
use lacquer_control::address::commands::{self, Bare, Nature};
use lacquer_control::surface::client::{Client, print as text, typed};
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a swap may take beyond its own time.
const SWAP_PATIENCE: Duration = Duration::from_secs(60);
/// How long a hand may take to reach a control.
const HAND: Duration = Duration::from_secs(30);
/// How long to wait for the other datagrams of an answer.
const MORE: Duration = Duration::from_millis(50);

pub(super) fn run(to: SocketAddr, what: Ask) -> Outcome {
    match Client::connect(to).and_then(|client| ask(&client, what)) {
        Ok(outcome) => outcome,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => complain(
            &format!(
                "no answer from {to} within {} s; is the daemon running, and is that its \"osc: {{listen}}\"?",
                PATIENCE.as_secs()
            ),
            Outcome::Refused,
        ),
        Err(error) => complain(&format!("{to}: {error}"), Outcome::Refused),
    }
}

fn ask(client: &Client, what: Ask) -> io::Result<Outcome> {
    let question = |address: &str| vec![Update::new(address, Vec::new())];
    match what {
        Ask::Get { address } => match refusal(&address) {
            Some(why) => Ok(complain(&why, Outcome::Wrong)),
            None => answer(client, &question(&address)),
        },
        Ask::Set { address, value } => {
            let set = Update::new(&address, vec![typed(&value)]);
            match commands::of(&address) {
                // To ask what became of it would do it once more.
                Some((command, _)) if command.nature.bare() != Bare::Reads => done(client, set),
                // Asked for in the same datagram, so the answer shows what became of it.
                _ => answer(client, &[set, Update::new(&address, Vec::new())]),
            }
        }
        Ask::Swap { chain: None } => answer(client, &question("/swap")),
        Ask::Swap { chain: Some(chain) } => swap(client, &chain),
        Ask::Chains => answer(client, &question("/chains")),
        Ask::Bypass { on: None } => answer(client, &question("/bypass")),
        Ask::Bypass { on: Some(on) } => {
            let set = Update::new("/bypass", vec![Value::Switch(on)]);
            answer(client, &[set, Update::new("/bypass", Vec::new())])
        }
        Ask::Who { address } => answer(client, &[Update::words("/who", &[&address])]),
        Ask::Undo => done(client, Update::new("/undo", Vec::new())),
        Ask::Redo => done(client, Update::new("/redo", Vec::new())),
        Ask::Scene { what } => match what {
            SceneCommand::List => answer(client, &question("/scenes")),
            SceneCommand::Save { name, nodes } => {
                let mut values = vec![Value::Text(name)];
                values.extend(nodes.into_iter().map(Value::Text));
                done(client, Update::new("/scene/save", values))
            }
            SceneCommand::Recall { name, morph } => {
                let values = vec![Value::Text(name), Value::Number(morph)];
                done(client, Update::new("/scene/recall", values))
            }
            SceneCommand::Delete { name } => done(client, Update::words("/scene/delete", &[&name])),
        },
        Ask::Cue { what } => match what.as_deref() {
            None => answer(client, &question("/cues")),
            Some(word @ ("go" | "next" | "previous")) => {
                done(client, Update::new(format!("/cue/{word}"), Vec::new()))
            }
            Some(name) => done(client, Update::words("/cue", &[name])),
        },
        Ask::Ab { what } => compare(client, &what),
        Ask::Learn { address } => learn(client, &address),
        Ask::Status => answer(client, &question("/status")),
        Ask::Reload { reset } => answer(client, &[Update::new("/reload", vec![Value::Switch(reset)])]),
        Ask::Watch { no_meters } => watch(client, no_meters),
    }
}

/// Asks, prints the answer, and says whether it was a good one.
fn answer(client: &Client, question: &[Update]) -> io::Result<Outcome> {
    client.ask(question)?;
    let mut lines = client.answer(Instant::now() + PATIENCE)?.ok_or(io::ErrorKind::TimedOut)?;
    while let Some(more) = client.answer(Instant::now() + MORE)? {
        lines.extend(more);
    }
    let mut seen = Vec::new();
    let mut outcome = Outcome::Done;
    for line in lines.iter().filter(|line| !line.address.starts_with("/event/")) {
        // What is set and asked for in one datagram may be answered twice.
        if seen.contains(&line) {
            continue;
        }
        seen.push(line);
        if line.address == "/error" {
            outcome = complain(&why(line), Outcome::Wrong);
        } else {
            print(&text(line));
        }
    }
    Ok(outcome)
}

/// Why an address is not read: it would act, or cannot be asked without a value.
fn refusal(address: &str) -> Option<String> {
    let (command, part) = commands::of(address)?;
    let what = match command.nature {
        _ if command.nature.bare() == Bare::Reads => return None,
        Nature::Question => "is asked with a value",
        _ => "is an action, and no value to read; nothing was done",
    };
    Some(format!("{address} {what}; \"lacquer ctl {}\" does it", command_for(command.address, part)))
}

/// The words behind `lacquer ctl` that do what a row of the table says.
fn command_for(row: &str, part: &str) -> String {
    let words = match row {
        "/undo" => "undo",
        "/redo" => "redo",
        "/who" => "who ADDRESS",
        "/learn" => "learn ADDRESS",
        "/reload" => "reload",
        "/cue/go" => "cue go",
        "/cue/next" => "cue next",
        "/cue/previous" => "cue previous",
        "/ab/copy" => "ab copy",
        "/scene/save" => "scene save NAME",
        "/scene/recall" => "scene recall NAME",
        "/scene/delete" => "scene delete NAME",
        "/subscribe" | "/unsubscribe" => "watch",
        row => return format!("set {} 1", row.replace("/N", &format!("/{part}"))),
    };
    words.to_owned()
}

/// Does something that is answered only where it cannot be done: what is asked behind it shows that it is done.
fn done(client: &Client, line: Update) -> io::Result<Outcome> {
    client.ask(&[line, Update::new("/ping", Vec::new())])?;
    loop {
        let lines = client.answer(Instant::now() + PATIENCE)?.ok_or(io::ErrorKind::TimedOut)?;
        if let Some(error) = lines.iter().find(|line| line.address == "/error") {
            return Ok(complain(&why(error), Outcome::Wrong));
        }
        for line in lines {
            match line.address.as_str() {
                "/pong" => return Ok(Outcome::Done),
                address if address.starts_with("/event/") => {}
                _ => _ = print(&text(&line)),
            }
        }
    }
}

fn compare(client: &Client, what: &[String]) -> io::Result<Outcome> {
    let words: Vec<&str> = what.iter().map(String::as_str).collect();
    match words[..] {
        [] => answer(client, &[Update::new("/ab", Vec::new())]),
        ["match"] => done(client, Update::new("/ab/match", vec![Value::Switch(true)])),
        ["nomatch"] => done(client, Update::new("/ab/match", vec![Value::Switch(false)])),
        ["copy"] => done(client, Update::new("/ab/copy", Vec::new())),
        ["chain", chain] => done(client, Update::words("/ab/chain", &[chain])),
        [which, ..] => done(client, Update::words("/ab", &[which])),
    }
}

fn learn(client: &Client, address: &str) -> io::Result<Outcome> {
    client.ask(&[Update::words("/learn", &[address])])?;
    eprintln!("move the control that is to move {address} (within {} s)", HAND.as_secs());
    let deadline = Instant::now() + HAND;
    while let Some(lines) = client.answer(deadline)? {
        for line in &lines {
            match (line.address.as_str(), line.values.as_slice()) {
                ("/error", _) => return Ok(complain(&why(line), Outcome::Wrong)),
                ("/event/learn", [_, Value::Text(what)]) if what.starts_with("not bound") => {
                    return Ok(complain(what, Outcome::Wrong));
                }
                ("/event/learn", [_, Value::Text(what)]) => return Ok(print(what)),
                _ => {}
            }
        }
    }
    client.ask(&[Update::new("/learn", Vec::new())])?;
    Ok(complain(&"no control was moved", Outcome::Wrong))
}

/// The text of an `/error`, told once however often it was asked.
fn why(line: &Update) -> String {
    match line.values.as_slice() {
        [Value::Text(address), Value::Text(why)] => format!("{address}: {why}"),
        _ => text(line),
    }
}

fn swap(client: &Client, chain: &str) -> io::Result<Outcome> {
    let subscribe = Update::new("/subscribe", vec![Value::Number(SWAP_PATIENCE.as_secs_f64())]);
    client.ask(&[subscribe, Update::words("/swap", &[chain])])?;
    let mut deadline = Instant::now() + PATIENCE;
    let outcome = loop {
        let Some(lines) = client.answer(deadline)? else { return Err(io::ErrorKind::TimedOut.into()) };
        let phase = |line: &Update| match (line.address.as_str(), line.values.as_slice()) {
            ("/error", [Value::Text(address), ..]) if address == "/swap" => {
                Some(complain(&why(line), Outcome::Wrong))
            }
            ("/event/swap", [Value::Text(phase), Value::Text(name), ..]) if name == chain => {
                match phase.as_str() {
                    "done" => Some(print(&format!("{chain} is on air"))),
                    "failed" => Some(complain(&text(line), Outcome::Wrong)),
                    _ => None,
                }
            }
            _ => None,
        };
        deadline = deadline.max(Instant::now() + SWAP_PATIENCE.min(Duration::from_secs(30)));
        if let Some(outcome) = lines.iter().find_map(phase) {
            break outcome;
        }
    };
    client.ask(&[Update::new("/unsubscribe", Vec::new())])?;
    Ok(outcome)
}

fn watch(client: &Client, no_meters: bool) -> io::Result<Outcome> {
    let subscribe = Update::new("/subscribe", Vec::new());
    let renew = Duration::from_secs(5);
    let mut heard = Instant::now();
    loop {
        client.ask(std::slice::from_ref(&subscribe))?;
        let until = Instant::now() + renew;
        while let Some(lines) = client.answer(until)? {
            heard = Instant::now();
            for line in lines.iter().filter(|line| !(no_meters && line.address.starts_with("/meter/"))) {
                print(&text(line));
            }
        }
        if heard.elapsed() > renew + PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}
