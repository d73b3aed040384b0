//! The surfaces' threads: one that listens for OSC, one that tells.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use lacquer_control::intent::Asked;
use lacquer_control::notice::Notice;
use lacquer_control::surface::osc;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Notices that may wait for a surface.
pub const NOTICES: usize = 4096;

/// A running OSC surface.
pub struct Osc {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it is to tell.
    pub notices: Sender<Notice>,
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Binds `address` and starts both threads.
pub fn osc(address: SocketAddr, asked: Sender<Asked>) -> io::Result<Osc> {
    let socket = osc::bind(address)?;
    let address = socket.local_addr()?;
    let outlet = osc::Outlet::new(socket.try_clone()?);
    let ends = Arc::new(AtomicBool::new(false));
    let (notices, told) = bounded(NOTICES);
    let is_ending = Arc::clone(&ends);
    let listen = Builder::new().name("osc-in".to_owned()).spawn(move || {
        let mut datagram = vec![0; 65_536];
        while !is_ending.load(Ordering::Relaxed) {
            // What fails is a time-out, or a peer that is gone: neither is a reason to stop.
            let Ok((length, from)) = socket.recv_from(&mut datagram) else { continue };
            for packet in osc::decode(&datagram[..length], from) {
                if asked.send(packet).is_err() {
                    return;
                }
            }
        }
    })?;
    let tell = Builder::new().name("osc-out".to_owned()).spawn(move || tell(outlet, &told))?;
    Ok(Osc { address, notices, ends, threads: vec![listen, tell] })
}

fn tell(mut outlet: osc::Outlet, told: &Receiver<Notice>) {
    loop {
        match told.recv_timeout(Duration::from_secs(1)) {
            Ok(Notice::End) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(notice) => outlet.take(notice, Instant::now()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

impl Osc {
    /// Tells what is left and ends both threads.
    pub fn end(self) {
        self.ends.store(true, Ordering::Relaxed);
        self.notices.send(Notice::End).ok();
        for thread in self.threads {
            thread.join().ok();
        }
    }
}
