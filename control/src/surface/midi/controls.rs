//! Messages to what a control says: 7 and 14 bits, numbered parameters, presses.

use super::map::{Map, Source};
use super::message::Message;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long the coarse half of 14 bits waits for its fine half.
const HALF: Duration = Duration::from_millis(5);

/// What a control says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// Which control.
    pub source: Source,
    /// Its position, 0 to 1.
    pub at: f64,
    /// The 7 bits that it sent: of an encoder its clicks, of a program its number.
    pub raw: u8,
}

/// What is half said.
#[derive(Clone, Debug, Default)]
pub struct Gather {
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

fn fourteen(source: Source, coarse: u8, fine: u8) -> Said {
    let value = u16::from(coarse) << 7 | u16::from(fine);
    Said { source, at: f64::from(value) / 16_383.0, raw: coarse }
}

impl Gather {
    /// Takes a message. A control may be meant by it as 7 bits and as part of 14: both are given.
    pub fn hear(&mut self, message: Message, map: &Map, now: Instant) -> Vec<Said> {
        let seven = |source, raw: u8| Said { source, at: f64::from(raw) / 127.0, raw };
        match message {
            Message::Note { channel, number, velocity } => {
                vec![seven(Source::Note(channel, number), velocity)]
            }
            Message::Program { channel, number } => vec![seven(Source::Program(channel), number)],
            Message::Bend { channel, value } => {
                vec![fourteen(Source::Bend(channel), (value >> 7) as u8, (value & 0x7F) as u8)]
            }
            Message::Control { channel, number, value } => {
                let mut said = vec![seven(Source::Cc(channel, number), value)];
                if map.has_nrpn(channel) {
                    said.extend(self.numbered(channel, number, value, now));
                }
                if number < 64 && map.has_14(channel, number & 31) {
                    let source = Source::Cc14(channel, number & 31);
                    said.extend(self.half(source, number < 32, value, now));
                }
                said
            }
        }
    }

    fn half(&mut self, source: Source, is_coarse: bool, value: u8, now: Instant) -> Option<Said> {
        if is_coarse {
            self.coarse.insert(source, Half { coarse: value, waits: Some(now + HALF) });
            return None;
        }
        let half = self.coarse.entry(source).or_insert(Half { coarse: 0, waits: None });
        half.waits = None;
        Some(fourteen(source, half.coarse, value))
    }

    fn numbered(&mut self, channel: u8, number: u8, value: u8, now: Instant) -> Option<Said> {
        let chosen = self.chosen.entry(channel).or_default();
        match number {
            99 => chosen[0] = Some(value),
            98 => chosen[1] = Some(value),
            // A registered parameter is none of ours.
            100 | 101 => *chosen = [None; 2],
            6 | 38 => {
                let [Some(high), Some(low)] = *chosen else { return None };
                // 127/127 chooses none.
                if (high, low) == (127, 127) {
                    return None;
                }
                let source = Source::Nrpn(channel, u16::from(high) << 7 | u16::from(low));
                return self.half(source, number == 6, value, now);
            }
            _ => {}
        }
        None
    }

    /// The coarse halves whose fine half has not come.
    pub fn late(&mut self, now: Instant) -> Vec<Said> {
        let mut late = Vec::new();
        for (source, half) in &mut self.coarse {
            if half.waits.is_some_and(|until| now >= until) {
                half.waits = None;
                // Without a fine half ever the ends must be reached all the same.
                let fine = if half.coarse == 127 { 127 } else { 0 };
                late.push(fourteen(*source, half.coarse, fine));
            }
        }
        late
    }
}
