//! What is to be sent to one client, on its way to the client's task. Its bytes are counted: a client that does not
//! keep up takes a bounded amount of memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Most bytes that wait for one client.
const MOST_UNSENT: usize = 4 << 20;
/// Bytes that a packet takes in memory beside its own.
const EACH: usize = 64;

/// One packet to a client.
#[derive(Debug)]
pub(super) enum Packet {
    /// OSC.
    Osc(Vec<u8>),
    /// A text, on a websocket.
    Text(String),
    /// The end of a websocket, and why.
    Close(&'static str),
}

impl Packet {
    fn cost(&self) -> usize {
        EACH + match self {
            Packet::Osc(bytes) => bytes.len(),
            Packet::Text(text) => text.len(),
            Packet::Close(_) => 0,
        }
    }
}

/// Where packets for a client are put.
pub(super) struct Out {
    packets: UnboundedSender<Packet>,
    unsent: Arc<AtomicUsize>,
}

/// Where the client's task takes them.
pub(super) struct Unsent {
    packets: UnboundedReceiver<Packet>,
    unsent: Arc<AtomicUsize>,
}

/// Both ends of the way to one client.
pub(super) fn channel() -> (Out, Unsent) {
    let (sender, receiver) = unbounded_channel();
    let unsent = Arc::new(AtomicUsize::new(0));
    (Out { packets: sender, unsent: Arc::clone(&unsent) }, Unsent { packets: receiver, unsent })
}

impl Out {
    /// Sends a packet. False where too much waits already, or the client is gone.
    pub(super) fn send(&self, packet: Packet) -> bool {
        let cost = packet.cost();
        if self.unsent.fetch_add(cost, Ordering::Relaxed) + cost > MOST_UNSENT {
            return false;
        }
        self.packets.send(packet).is_ok()
    }
}

impl Unsent {
    /// The next packet; `None` once the client is to be disconnected.
    pub(super) async fn recv(&mut self) -> Option<Packet> {
        let packet = self.packets.recv().await?;
        self.unsent.fetch_sub(packet.cost(), Ordering::Relaxed);
        Some(packet)
    }

    /// The next packet, where it is there already.
    pub(super) fn try_recv(&mut self) -> Option<Packet> {
        let packet = self.packets.try_recv().ok()?;
        self.unsent.fetch_sub(packet.cost(), Ordering::Relaxed);
        Some(packet)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_client_that_does_not_read_is_bounded_in_bytes() {
        let (out, mut unsent) = channel();
        let packet = || Packet::Osc(vec![0; 1_000]);
        let taken = (0..).take_while(|_| out.send(packet())).count();
        assert_eq!(taken, MOST_UNSENT / packet().cost());
        while unsent.try_recv().is_some() {}
        let (out, mut unsent) = channel();
        for _ in 0..10 * taken {
            assert!(out.send(packet()), "one that reads is sent everything");
            assert!(unsent.try_recv().is_some());
        }
    }
}
