//! OSC over a stream: where each packet begins and ends.
//!
//! OSC 1.0 puts the size of a packet before it (32 bits, big-endian); OSC 1.1 wraps it in SLIP (RFC 1055) with an END
//! at both ends. The first byte shows which one a client uses: a size below 16 MiB begins with 0. Any other
//! first byte ends the stream: a page in a browser could send HTTP with packets in its body.

use thiserror::Error;

/// Largest packet that is read, in bytes.
const LARGEST: usize = 65_536;

const END: u8 = 0xC0;
const ESC: u8 = 0xDB;
const ESC_END: u8 = 0xDC;
const ESC_ESC: u8 = 0xDD;

/// How packets are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The size before each packet: OSC 1.0.
    Size,
    /// SLIP with an END at both ends: OSC 1.1.
    Slip,
}

impl Framing {
    /// A packet as it goes on the stream.
    pub fn wrap(self, packet: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(packet.len() + 8);
        match self {
            Framing::Size => {
                bytes.extend((packet.len() as u32).to_be_bytes());
                bytes.extend(packet);
            }
            Framing::Slip => {
                bytes.push(END);
                for byte in packet {
                    match *byte {
                        END => bytes.extend([ESC, ESC_END]),
                        ESC => bytes.extend([ESC, ESC_ESC]),
                        byte => bytes.push(byte),
                    }
                }
                bytes.push(END);
            }
        }
        bytes
    }
}

/// Why a stream cannot be understood any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StreamError {
    /// It begins as neither framing does.
    #[error("the stream does not begin as OSC does")]
    Beginning,
    /// A packet is announced that is larger than any.
    #[error("a packet of {0} bytes; the most is {LARGEST}")]
    TooLarge(usize),
    /// A packet does not end.
    #[error("a packet of more than {LARGEST} bytes")]
    Endless,
}

/// What has come of a stream, taken apart into packets.
#[derive(Debug, Default)]
pub struct Unwrap {
    framing: Option<Framing>,
    bytes: Vec<u8>,
    is_escaped: bool,
}

impl Unwrap {
    /// The framing that the client uses; `None` until it has sent something.
    pub fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// Receives bytes; returns the packets that are complete now.
    ///
    /// # Errors
    /// What no OSC client sends: the stream cannot be understood any further.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, StreamError> {
        let Some(first) = bytes.first() else { return Ok(Vec::new()) };
        let framing = match (self.framing, first) {
            (Some(framing), _) => framing,
            (None, 0) => Framing::Size,
            // Some leave the first END out: a message begins with / then, a bundle with #.
            (None, &END | b'/' | b'#') => Framing::Slip,
            (None, _) => return Err(StreamError::Beginning),
        };
        self.framing = Some(framing);
        match framing {
            Framing::Size => self.sized(bytes),
            Framing::Slip => self.slipped(bytes),
        }
    }

    fn sized(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, StreamError> {
        self.bytes.extend(bytes);
        let mut packets = Vec::new();
        let mut from = 0;
        while let Some(size) = self.bytes.get(from..from + 4) {
            let size = size.iter().fold(0_usize, |size, byte| size << 8 | usize::from(*byte));
            if size > LARGEST {
                return Err(StreamError::TooLarge(size));
            }
            let Some(packet) = self.bytes.get(from + 4..from + 4 + size) else { break };
            packets.push(packet.to_vec());
            from += 4 + size;
        }
        self.bytes.drain(..from);
        Ok(packets)
    }

    fn slipped(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, StreamError> {
        let mut packets = Vec::new();
        for byte in bytes {
            match (*byte, self.is_escaped) {
                (END, _) => {
                    self.is_escaped = false;
                    let packet = std::mem::take(&mut self.bytes);
                    if !packet.is_empty() {
                        packets.push(packet);
                    }
                    continue;
                }
                (ESC, false) => {
                    self.is_escaped = true;
                    continue;
                }
                (ESC_END, true) => self.bytes.push(END),
                (ESC_ESC, true) => self.bytes.push(ESC),
                (byte, _) => self.bytes.push(byte),
            }
            self.is_escaped = false;
            if self.bytes.len() > LARGEST {
                return Err(StreamError::Endless);
            }
        }
        Ok(packets)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn what_was_wrapped_comes_out_however_it_is_cut() {
        let packets: Vec<Vec<u8>> = vec![
            b"/ping\0\0\0,\0\0\0".to_vec(),
            vec![END, ESC, ESC_END, ESC_ESC, 0, 0, END, ESC],
            vec![1; 5_000],
        ];
        for framing in [Framing::Size, Framing::Slip] {
            let stream: Vec<u8> = packets.iter().flat_map(|packet| framing.wrap(packet)).collect();
            for cut in [1, 2, 3, 7, 100, stream.len()] {
                let mut unwrap = Unwrap::default();
                let out: Vec<Vec<u8>> =
                    stream.chunks(cut).flat_map(|bytes| unwrap.push(bytes).unwrap()).collect();
                assert_eq!(out, packets, "{framing:?} cut into {cut}");
                assert_eq!(unwrap.framing(), Some(framing));
            }
        }
    }

    #[test]
    fn what_is_too_large_ends_the_stream_and_takes_no_memory() {
        assert!(Unwrap::default().push(&[0, 255, 255, 255]).is_err());
        let mut unwrap = Unwrap::default();
        assert!((0..100).any(|_| unwrap.push(&[b'/'; 1_000]).is_err()));
    }

    #[test]
    fn a_stream_that_does_not_begin_as_osc_does_is_not_read() {
        let packet = Framing::Slip.wrap(b"/ping\0\0\0,\0\0\0");
        for begin in ["POST / HTTP/1.1\r\n\r\n", "GET /", "OPTIONS *", "\x16\x03\x01", " ", "\n"] {
            let mut unwrap = Unwrap::default();
            let bytes = [begin.as_bytes(), &packet].concat();
            assert!(unwrap.push(&bytes).is_err(), "{begin:?}");
        }
        assert_eq!(Unwrap::default().push(&packet[1..]).unwrap().len(), 1, "without the first END");
    }
}
