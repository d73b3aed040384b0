//! `lacquer ctl`: talks to a running daemon over OSC.

use super::{Ask, Outcome, complain, print};
use lacquer_control::intent::Value;
use lacquer_control::notice::Line;
use lacquer_control::surface::ctl::{Client, print as text, typed};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a swap may take beyond its own time.
const SWAP_PATIENCE: Duration = Duration::from_secs(60);
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
    let question = |address: &str| vec![Line::new(address, Vec::new())];
    match what {
        Ask::Get { address } => answer(client, &question(&address)),
        Ask::Set { address, value } => {
            // Asked for in the same datagram, so the answer shows what became of it.
            let set = Line::new(&address, vec![typed(&value)]);
            answer(client, &[set, Line::new(&address, Vec::new())])
        }
        Ask::Swap { chain: None } => answer(client, &question("/swap")),
        Ask::Swap { chain: Some(chain) } => swap(client, &chain),
        Ask::Chains => answer(client, &question("/chains")),
        Ask::Bypass { on: None } => answer(client, &question("/bypass")),
        Ask::Bypass { on: Some(on) } => {
            let set = Line::new("/bypass", vec![Value::Switch(on)]);
            answer(client, &[set, Line::new("/bypass", Vec::new())])
        }
        Ask::Status => answer(client, &question("/status")),
        Ask::Reload { reset } => answer(client, &[Line::new("/reload", vec![Value::Switch(reset)])]),
        Ask::Watch { no_meters } => watch(client, no_meters),
    }
}

/// Asks, prints the answer, and says whether it was a good one.
fn answer(client: &Client, question: &[Line]) -> io::Result<Outcome> {
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

/// The text of an `/error`, told once however often it was asked.
fn why(line: &Line) -> String {
    match line.values.as_slice() {
        [Value::Text(address), Value::Text(why)] => format!("{address}: {why}"),
        _ => text(line),
    }
}

fn swap(client: &Client, chain: &str) -> io::Result<Outcome> {
    let subscribe = Line::new("/subscribe", vec![Value::Number(SWAP_PATIENCE.as_secs_f64())]);
    client.ask(&[subscribe, Line::words("/swap", &[chain])])?;
    let mut deadline = Instant::now() + PATIENCE;
    let outcome = loop {
        let Some(lines) = client.answer(deadline)? else { return Err(io::ErrorKind::TimedOut.into()) };
        let phase = |line: &Line| match (line.address.as_str(), line.values.as_slice()) {
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
    client.ask(&[Line::new("/unsubscribe", Vec::new())])?;
    Ok(outcome)
}

fn watch(client: &Client, no_meters: bool) -> io::Result<Outcome> {
    let subscribe = Line::new("/subscribe", Vec::new());
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
