//! OSC over TCP: each client in the framing that it speaks itself.

use super::Net;
use lacquer_control::intent::Peer;
use lacquer_control::surface::osc::{datagrams, decode};
use lacquer_control::surface::stream::{Framing, Unwrap};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

/// Takes clients for ever.
pub async fn serve(socket: TcpListener, net: Arc<Net>) {
    loop {
        match socket.accept().await {
            Ok((stream, from)) if net.osc.lets_in(from.ip()) => {
                tokio::spawn(client(stream, from, Arc::clone(&net)));
            }
            Ok((_, from)) => debug!("osc.tcp {from} is not let in"),
            Err(error) => {
                // Most likely too many files are open: others may close.
                warn!("osc.tcp: {error}");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}

async fn client(mut stream: TcpStream, from: SocketAddr, net: Arc<Net>) {
    let peer = Peer::Stream(from);
    let Some(mut lines) = net.join(peer) else { return };
    // Moves are small and must not wait for more.
    stream.set_nodelay(true).ok();
    let (mut from_client, mut to_client) = stream.split();
    let mut unwrap = Unwrap::default();
    let mut bytes = [0; 16_384];
    loop {
        tokio::select! {
            read = from_client.read(&mut bytes) => {
                let Ok(length @ 1..) = read else { break };
                match unwrap.push(&bytes[..length]) {
                    Ok(packets) => {
                        for asked in packets.iter().flat_map(|packet| decode(packet, peer)) {
                            net.ask(asked, from.ip()).await;
                        }
                    }
                    Err(why) => {
                        debug!("osc.tcp {from}: {why}");
                        break;
                    }
                }
            }
            told = lines.recv() => {
                let Some(told) = told else { break };
                let framing = unwrap.framing().unwrap_or(Framing::Size);
                let packets: Vec<u8> = datagrams(&told).iter().flat_map(|packet| framing.wrap(packet)).collect();
                if to_client.write_all(&packets).await.is_err() {
                    break;
                }
            }
        }
    }
    net.leave(peer);
}
