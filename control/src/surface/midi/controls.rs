//! From MIDI messages to movements of controls: 7 and 14 bits, numbered parameters, presses.

use super::map::{Map, Source};
use super::message::Message;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long the coarse half of 14 bits waits for its fine half.
const HALF: Duration = Duration::from_millis(5);

/// A movement of a control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Movement {
    /// Which control.
    pub source: Source,
    /// Its position, 0 to 1.
    pub position: f64,
    /// The 7 bits that it sent: of an encoder its clicks, of a program its number.
    pub raw: u8,
}

/// Reads movements, of which some come in several messages.
#[derive(Clone, Debug, Default)]
pub struct ControlReader {
    coarse: HashMap<Source, Half>,
    /// The numbered parameter of each channel: its halves.
    chosen: HashMap<u8, [Option<u8>; 2]>,
}

#[derive(Clone, Copy, Debug)]
struct Half {
    coarse: u8,
    /// Until when it waits for its fine half.
    waits: Option<Instant>,
}

fn fourteen(source: Source, coarse: u8, fine: u8) -> Movement {
    let value = u16::from(coarse) << 7 | u16::from(fine);
    Movement { source, position: f64::from(value) / 16_383.0, raw: coarse }
}

impl ControlReader {
    /// Reads a message. A control may send 7 bits or a part of 14 by it: both movements are returned.
    pub fn read(&mut self, message: Message, map: &Map, now: Instant) -> Vec<Movement> {
        let seven = |source, raw: u8| Movement { source, position: f64::from(raw) / 127.0, raw };
        match message {
            Message::Note { channel, number, velocity } => {
                vec![seven(Source::Note(channel, number), velocity)]
            }
            Message::Program { channel, number } => vec![seven(Source::Program(channel), number)],
            Message::Bend { channel, value } => {
                vec![fourteen(Source::Bend(channel), (value >> 7) as u8, (value & 0x7F) as u8)]
            }
            Message::Control { channel, number, value } => {
                let mut movements = vec![seven(Source::Cc(channel, number), value)];
                if map.has_nrpn(channel) {
                    movements.extend(self.read_numbered(channel, number, value, now));
                }
                if number < 64 && map.has_14(channel, number & 31) {
                    let source = Source::Cc14(channel, number & 31);
                    movements.extend(self.read_half(source, number < 32, value, now));
                }
                movements
            }
        }
    }

    fn read_half(&mut self, source: Source, is_coarse: bool, value: u8, now: Instant) -> Option<Movement> {
        if is_coarse {
            self.coarse.insert(source, Half { coarse: value, waits: Some(now + HALF) });
            return None;
        }
        let half = self.coarse.entry(source).or_insert(Half { coarse: 0, waits: None });
        half.waits = None;
        Some(fourteen(source, half.coarse, value))
    }

    fn read_numbered(&mut self, channel: u8, number: u8, value: u8, now: Instant) -> Option<Movement> {
        let chosen = self.chosen.entry(channel).or_default();
        match number {
            99 => chosen[0] = Some(value),
            98 => chosen[1] = Some(value),
            // Registered parameters are not used.
            100 | 101 => *chosen = [None; 2],
            6 | 38 => {
                let [Some(high), Some(low)] = *chosen else { return None };
                // 127/127 chooses none.
                if (high, low) == (127, 127) {
                    return None;
                }
                let source = Source::Nrpn(channel, u16::from(high) << 7 | u16::from(low));
                return self.read_half(source, number == 6, value, now);
            }
            _ => {}
        }
        None
    }

    /// Removes the coarse halves whose fine half has not come in time, and returns them.
    pub(crate) fn drain_late(&mut self, now: Instant) -> Vec<Movement> {
        let mut late = Vec::new();
        for (source, half) in &mut self.coarse {
            if half.waits.is_some_and(|until| now >= until) {
                half.waits = None;
                // A control that never sends a fine half must reach both ends too.
                let fine = if half.coarse == 127 { 127 } else { 0 };
                late.push(fourteen(*source, half.coarse, fine));
            }
        }
        late
    }
}
