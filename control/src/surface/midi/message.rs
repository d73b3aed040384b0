//! MIDI 1.0 bytes to messages: with running status, real-time bytes in between, and messages in several pieces.

/// A message of a channel; channels count from 0 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A key or button; velocity 0 is its release.
    Note {
        /// Channel.
        channel: u8,
        /// Its number.
        number: u8,
        /// 0..127.
        velocity: u8,
    },
    /// A control change.
    Control {
        /// Channel.
        channel: u8,
        /// Its number.
        number: u8,
        /// 0..127.
        value: u8,
    },
    /// A program change.
    Program {
        /// Channel.
        channel: u8,
        /// 0..127.
        number: u8,
    },
    /// Pitch bend, 14 bits.
    Bend {
        /// Channel.
        channel: u8,
        /// 0..16383, 8192 in the middle.
        value: u16,
    },
}

/// Reads bytes one by one.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    status: u8,
    first: Option<u8>,
}

impl Parser {
    /// The message that ends with this byte, if one does.
    pub fn push(&mut self, byte: u8) -> Option<Message> {
        match byte {
            // Real-time messages may come anywhere, and are ignored.
            0xF8.. => None,
            0x80..=0xEF => {
                (self.status, self.first) = (byte, None);
                None
            }
            // System messages and their data are skipped.
            0xF0..=0xF7 => {
                (self.status, self.first) = (0, None);
                None
            }
            _ => self.data(byte),
        }
    }

    fn data(&mut self, byte: u8) -> Option<Message> {
        let (node_type, channel) = (self.status & 0xF0, self.status & 0x0F);
        match node_type {
            0xC0 => return Some(Message::Program { channel, number: byte }),
            0x80..=0xB0 | 0xE0 => {}
            _ => return None,
        }
        let Some(first) = self.first.take() else {
            self.first = Some(byte);
            return None;
        };
        match node_type {
            0x80 => Some(Message::Note { channel, number: first, velocity: 0 }),
            0x90 => Some(Message::Note { channel, number: first, velocity: byte }),
            0xB0 => Some(Message::Control { channel, number: first, value: byte }),
            0xE0 => Some(Message::Bend { channel, value: u16::from(byte) << 7 | u16::from(first) }),
            _ => None,
        }
    }
}

impl Message {
    /// Its bytes.
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Message::Note { channel, number, velocity } => vec![0x90 | channel, number, velocity],
            Message::Control { channel, number, value } => vec![0xB0 | channel, number, value],
            Message::Program { channel, number } => vec![0xC0 | channel, number],
            Message::Bend { channel, value } => {
                vec![0xE0 | channel, (value & 0x7F) as u8, (value >> 7) as u8]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_status_and_real_time_bytes_are_understood() {
        let mut parser = Parser::default();
        let bytes =
            [0x05, 0xB0, 7, 0xF8, 100, 7, 101, 0xF0, 1, 2, 3, 0xF7, 9, 9, 0xE1, 0x7F, 0xFE, 0x7F, 0xC2, 5, 6];
        let messages: Vec<Message> = bytes.iter().filter_map(|byte| parser.push(*byte)).collect();
        let control = |value| Message::Control { channel: 0, number: 7, value };
        let program = |number| Message::Program { channel: 2, number };
        assert_eq!(
            messages,
            [control(100), control(101), Message::Bend { channel: 1, value: 16_383 }, program(5), program(6)]
        );
    }

    #[test]
    fn bytes_and_messages_are_each_others_inverse() {
        for message in [
            Message::Note { channel: 3, number: 60, velocity: 127 },
            Message::Control { channel: 15, number: 0, value: 0 },
            Message::Program { channel: 1, number: 127 },
            Message::Bend { channel: 8, value: 12_345 },
        ] {
            let mut parser = Parser::default();
            let back: Vec<Message> =
                message.bytes().into_iter().filter_map(|byte| parser.push(byte)).collect();
            assert_eq!(back, [message]);
        }
    }
}
