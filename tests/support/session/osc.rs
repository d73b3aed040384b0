//! OSC as a session writes it, and how packets are told apart on a stream: written here once more, so that both ends
//! of a wire are never wrong in the same way.

use super::words::{differs, is_left_out, masked, plain, quoted};
use rosc::{OscBundle, OscMessage, OscPacket, OscTime, OscType, encoder};
use std::time::{Duration, SystemTime};

/// The packet that the words behind a client's name ask for.
pub(super) fn packet(words: &[String]) -> Vec<u8> {
    let packet = match words.split_first() {
        Some((first, rest)) if first == "bundle" => bundle(rest),
        _ => message(words),
    };
    encoder::encode(&packet).unwrap()
}

fn later(time: &str) -> SystemTime {
    let ms =
        time.strip_suffix("ms").and_then(|ms| ms.parse().ok()).unwrap_or_else(|| panic!("{time}: no time"));
    SystemTime::now() + Duration::from_millis(ms)
}

fn bundle(words: &[String]) -> OscPacket {
    let (timetag, mut words) = match words {
        [word, time, rest @ ..] if word == "in" => (OscTime::try_from(later(time)).unwrap(), rest),
        // "Immediately", as the specification writes it.
        _ => (OscTime { seconds: 0, fractional: 1 }, words),
    };
    let mut content = Vec::new();
    while let Some(first) = words.first() {
        let is_nested = first == "[";
        let end = words.iter().position(|word| word == if is_nested { "]" } else { ";" });
        let end = end.unwrap_or(words.len());
        match &words[..end] {
            [] => {}
            [_, inner @ ..] if is_nested => content.push(bundle(inner)),
            words => content.push(message(words)),
        }
        words = words.get(end + 1..).unwrap_or_default();
    }
    OscPacket::Bundle(OscBundle { timetag, content })
}

fn message(words: &[String]) -> OscPacket {
    let (address, args) = words.split_first().expect("an address");
    OscPacket::Message(OscMessage {
        addr: address.clone(),
        args: args.iter().map(|word| arg(word)).collect(),
    })
}

fn arg(word: &str) -> OscType {
    let typed = |end: char| word.strip_suffix(end).and_then(|number| number.parse::<f64>().ok());
    match word {
        "true" => OscType::Bool(true),
        "false" => OscType::Bool(false),
        "nil" => OscType::Nil,
        "impulse" => OscType::Inf,
        "blob" => OscType::Blob(vec![1, 2, 3, 4]),
        _ => match (word.parse::<f32>(), typed('i'), typed('h'), typed('d')) {
            (Ok(number), ..) => OscType::Float(number),
            (_, Some(number), ..) => OscType::Int(number as i32),
            (_, _, Some(number), _) => OscType::Long(number as i64),
            (.., Some(number)) => OscType::Double(number),
            _ => OscType::String(plain(word)),
        },
    }
}

/// Address and values of all messages in a packet, as they are written.
pub(super) fn told(packet: &[u8], folder: &str) -> Vec<(String, String)> {
    let mut told = Vec::new();
    match rosc::decoder::decode_udp(packet) {
        Ok(([], packet)) => collect(packet, folder, &mut told),
        other => panic!("not OSC: {other:?}"),
    }
    told
}

fn collect(packet: OscPacket, folder: &str, told: &mut Vec<(String, String)>) {
    match packet {
        OscPacket::Bundle(bundle) => {
            bundle.content.into_iter().for_each(|packet| collect(packet, folder, told));
        }
        OscPacket::Message(message) if is_left_out(&message.addr) => {}
        OscPacket::Message(OscMessage { addr, .. }) if differs(&addr) => told.push((addr, "*".to_owned())),
        OscPacket::Message(OscMessage { addr, args }) => {
            let mut words: Vec<String> = args.iter().map(|arg| word(arg, folder)).collect();
            // How long ago.
            words.iter_mut().skip(2).filter(|_| addr == "/who").for_each(|ago| "*".clone_into(ago));
            told.push((addr, words.join(" ")));
        }
    }
}

fn word(arg: &OscType, folder: &str) -> String {
    match arg {
        OscType::Float(number) => number.to_string(),
        OscType::Int(number) => format!("{number}i"),
        OscType::Long(number) => format!("{number}h"),
        OscType::Double(number) => format!("{number}d"),
        OscType::Bool(on) => on.to_string(),
        OscType::String(text) => quoted(&masked(text, folder)),
        other => format!("{other:?}"),
    }
}

const END: u8 = 0xC0;
const ESC: u8 = 0xDB;

/// A packet as it goes on a stream.
pub(super) fn wrapped(packet: &[u8], is_slip: bool) -> Vec<u8> {
    if !is_slip {
        return [&(packet.len() as u32).to_be_bytes()[..], packet].concat();
    }
    let escaped = packet.iter().flat_map(|byte| match *byte {
        END => vec![ESC, 0xDC],
        ESC => vec![ESC, 0xDD],
        byte => vec![byte],
    });
    [END].into_iter().chain(escaped).chain([END]).collect()
}

/// Takes the next whole packet out of what has come.
pub(super) fn unwrapped(bytes: &mut Vec<u8>, is_slip: bool) -> Option<Vec<u8>> {
    if !is_slip {
        let size = bytes.first_chunk().map(|size| u32::from_be_bytes(*size) as usize)?;
        let packet = bytes.get(4..4 + size)?.to_vec();
        bytes.drain(..4 + size);
        return Some(packet);
    }
    let from = bytes.iter().position(|byte| *byte != END)?;
    let to = from + bytes[from..].iter().position(|byte| *byte == END)?;
    let mut packet = Vec::new();
    let mut wrapped = bytes[from..to].iter();
    while let Some(byte) = wrapped.next() {
        packet.push(match *byte {
            ESC if wrapped.next() == Some(&0xDC) => END,
            byte => byte,
        });
    }
    bytes.drain(..=to);
    Some(packet)
}
