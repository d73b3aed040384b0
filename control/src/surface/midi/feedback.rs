//! From values to feedback of controls: bytes for motors, rings, lights and displays.

use super::map::{Ring, Show, Source};
use super::message::Message;

/// The messages that show a value at a position of the control, 0 to 1; `None` where there is no value.
pub fn messages(show: Show, source: Source, at: Option<f64>) -> Vec<Vec<u8>> {
    let of = |source: Source, at: f64| -> Vec<Vec<u8>> {
        let seven = (at * 127.0).round() as u8;
        let fourteen = (at * 16_383.0).round() as u16;
        let control = |channel, number, value| Message::Control { channel, number, value }.bytes();
        let halves = [(fourteen >> 7) as u8, (fourteen & 0x7F) as u8];
        match source {
            Source::Cc(channel, number) => vec![control(channel, number, seven)],
            Source::Cc14(channel, number) => {
                vec![control(channel, number, halves[0]), control(channel, number + 32, halves[1])]
            }
            Source::Nrpn(channel, parameter) => vec![
                control(channel, 99, (parameter >> 7) as u8),
                control(channel, 98, (parameter & 0x7F) as u8),
                control(channel, 6, halves[0]),
                control(channel, 38, halves[1]),
            ],
            Source::Bend(channel) => vec![Message::Bend { channel, value: fourteen }.bytes()],
            Source::Note(channel, number) => vec![Message::Note { channel, number, velocity: seven }.bytes()],
            Source::Program(_) => Vec::new(),
        }
    };
    match show {
        Show::Same => of(source, at.unwrap_or(0.0)),
        Show::Ring { source, style } => {
            let value = match (style, at) {
                (_, None) => 0,
                // The low bits count from 1 to 11; above them 2 means filled from the left.
                (Ring::Mackie, Some(at)) => 0x20 | (1 + (at * 10.0).round() as u8),
                (Ring::Thirteen, Some(at)) => 1 + (at * 12.0).round() as u8,
                (Ring::Plain, Some(at)) => (at * 127.0).round() as u8,
            };
            of(source, f64::from(value) / 127.0)
        }
        Show::Light { source, on, off } => {
            let value = if at.is_some_and(|at| at >= 0.5) { on } else { off };
            of(source, f64::from(value) / 127.0)
        }
    }
}

/// Characters on a strip of a Mackie Control, and strips.
const STRIP: usize = 7;
/// Where the lower of the two lines begins.
const LOWER: u8 = 0x38;

/// The message that writes a text on a strip (0 to 7), above or below.
pub fn display(model: u8, strip: usize, is_lower: bool, text: &str) -> Vec<u8> {
    let place = (strip * STRIP) as u8 + if is_lower { LOWER } else { 0 };
    let mut bytes = vec![0xF0, 0x00, 0x00, 0x66, model, 0x12, place];
    let plain = text.chars().filter(char::is_ascii).filter(|sign| !sign.is_ascii_control());
    let padded: String = plain.chain(std::iter::repeat(' ')).take(STRIP).collect();
    bytes.extend(padded.bytes());
    bytes.push(0xF7);
    bytes
}

/// A value's text as it fits on a strip: without its unit where that would be cut.
pub(crate) fn fitted(text: &str) -> String {
    let tight: String = text.chars().filter(|sign| *sign != ' ').collect();
    match text.split_once(' ') {
        _ if text.len() <= STRIP => text.to_owned(),
        _ if tight.len() <= STRIP => tight,
        Some((number, _)) => number.to_owned(),
        None => tight,
    }
}

/// The message that sets a strip's meter to a level in dB: 0 (below −60 dB) to 12 (0 dB), 13 above.
pub fn meter(strip: usize, db: f64) -> Vec<u8> {
    const STEPS: [f64; 13] =
        [-60.0, -50.0, -40.0, -30.0, -20.0, -14.0, -10.0, -8.0, -6.0, -4.0, -2.0, 0.0, 1e-9];
    let level = STEPS.iter().filter(|step| db >= **step).count() as u8;
    vec![0xD0, (strip as u8) << 4 | level]
}
