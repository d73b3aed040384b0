//! OSC over TCP: each client is answered in the framing that it uses.

use super::Net;
use super::accept::{Connection, Refusal, STALLED};
use super::out::Packet;
use crate::process::client_log::log_of;
use lacquer_control::peer::Peer;
use lacquer_control::surface::osc::{datagrams, decode};
use lacquer_control::surface::stream::{Framing, Unwrap};
use lacquer_control::update::Update;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes that are written at once, about.
const AT_ONCE: usize = 16_384;

/// The error for a client that is refused, in the framing of its first bytes; nothing for one that does not speak OSC.
pub(super) fn refusal(why: Refusal, first: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut unwrap = Unwrap::default();
    unwrap.push(first?).ok()?;
    let framing = unwrap.framing().unwrap_or(Framing::Size);
    let error = datagrams(&[Update::words("/error", &["/", &why.to_string()])]);
    Some(error.iter().flat_map(|packet| framing.wrap(packet)).collect())
}

/// Serves a client until either side closes the connection.
pub(super) async fn serve(mut stream: TcpStream, connection: Connection, net: Arc<Net>) {
    let from = connection.from;
    let peer = Peer::Stream(from);
    let mut unsent = net.add_stream(peer);
    let (mut from_client, mut to_client) = stream.split();
    let mut unwrap = Unwrap::default();
    let mut bytes = [0; 16_384];
    loop {
        tokio::select! {
            read = from_client.read(&mut bytes) => {
                let Ok(length @ 1..) = read else { break };
                match unwrap.push(&bytes[..length]) {
                    Ok(packets) => {
                        for bundle in packets.iter().flat_map(|packet| decode(packet, peer)) {
                            net.enqueue(bundle, from.ip()).await;
                        }
                    }
                    Err(why) => {
                        log_of!(peer, DEBUG, "osc.tcp {from}: {why}");
                        break;
                    }
                }
            }
            packet = unsent.recv() => {
                let Some(packet) = packet else { break };
                let framing = unwrap.framing().unwrap_or(Framing::Size);
                let mut packets = Vec::new();
                let mut next = Some(packet);
                while let Some(packet) = next {
                    if let Packet::Osc(packet) = packet {
                        packets.extend(framing.wrap(&packet));
                    }
                    next = if packets.len() < AT_ONCE { unsent.try_recv() } else { None };
                }
                // `Err` is a time-out, `Ok(Err)` a failed write.
                if !matches!(timeout(STALLED, to_client.write_all(&packets)).await, Ok(Ok(()))) {
                    log_of!(peer, DEBUG, "osc.tcp {from}: does not read its updates; disconnected");
                    break;
                }
            }
        }
    }
    net.remove_client(peer);
}
