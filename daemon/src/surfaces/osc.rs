//! The surfaces' threads: one that listens for OSC, one that tells.

use crate::process::supervise::{self, Pulse};
use crate::station::control as config;
use crate::surfaces::net;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use lacquer_control::peer::Peer;
use lacquer_control::request::RequestBundle;
use lacquer_control::subscribe::SurfaceMessage;
use lacquer_control::subscribe::access::Access;
use lacquer_control::surface::osc;
use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a thread waits before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes that the kernel may keep for us.
const QUEUE: usize = 4 << 20;
/// How long what came too fast waits at a time.
const TURN: Duration = Duration::from_millis(5);
/// Notices that may wait for a surface.
pub const NOTICES: usize = 4096;

/// How the conductor reaches a surface.
pub struct Ear {
    notices: Sender<SurfaceMessage>,
    has_missed: Cell<bool>,
}

impl Ear {
    /// The ear behind a channel.
    pub fn new(notices: Sender<SurfaceMessage>) -> Self {
        Self { notices, has_missed: Cell::new(false) }
    }

    /// Tells a surface something. One that cannot keep up misses it, which is remembered.
    pub fn tell(&self, notice: &SurfaceMessage) {
        if self.notices.try_send(notice.clone()).is_err() {
            self.has_missed.set(true);
        }
    }

    /// The surface was started again and knows nothing: as if it had missed something.
    pub fn knows_nothing(&self) {
        self.has_missed.set(true);
    }

    /// Whether it has missed something, and has room again; it is forgotten then.
    pub fn may_catch_up(&self) -> bool {
        self.has_missed.get() && self.notices.len() < NOTICES / 4 && self.has_missed.replace(false)
    }

    /// Has the surface tell what is left and end; waits for that until then.
    pub fn end(&self, until: Instant) {
        let is_there =
            || !matches!(self.notices.try_send(SurfaceMessage::End), Err(TrySendError::Disconnected(_)));
        while is_there() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A running OSC surface.
pub struct Osc {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it is to tell.
    pub notices: Sender<SurfaceMessage>,
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Binds the socket of `config` and starts both threads.
pub fn osc(config: &config::Osc, asked: Sender<RequestBundle>) -> io::Result<Osc> {
    let socket = osc::bind(config.listen)?;
    // A flood from one peer must not push what the others send out of the kernel's queue. It gives what it may.
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, QUEUE).ok();
    let address = socket.local_addr()?;
    let (out, reply_port, rules) = (socket.try_clone()?, config.reply_port, config.rules.clone());
    let ends = Arc::new(AtomicBool::new(false));
    let (notices, told) = bounded(NOTICES);
    let is_ending = Arc::clone(&ends);
    let listen = supervise::keep_running("osc-in", move |pulse| {
        listen(&socket, Access::new(rules.clone()), &asked, &is_ending, pulse);
        Ok(())
    })?;
    let tell = supervise::keep_running("osc-out", move |pulse| {
        let socket = out.try_clone().map_err(|error| error.to_string())?;
        tell(osc::Outlet::new(socket, reply_port), &told, pulse);
        Ok(())
    })?;
    Ok(Osc { address, notices, ends, threads: vec![listen, tell] })
}

fn listen(
    socket: &UdpSocket,
    mut gate: Access,
    asked: &Sender<RequestBundle>,
    is_ending: &AtomicBool,
    pulse: &Pulse,
) {
    let mut datagram = vec![0; 65_536];
    let (mut waits, mut turn) = (Duration::ZERO, Instant::now());
    while !is_ending.load(Ordering::Relaxed) {
        pulse.beat();
        let wait = if gate.is_waiting() { TURN } else { LOOK };
        if wait != std::mem::replace(&mut waits, wait) {
            socket.set_read_timeout(Some(wait)).ok();
        }
        // What fails is a time-out, or a peer that is gone: neither is a reason to stop.
        let received = socket.recv_from(&mut datagram);
        let now = Instant::now();
        let mut through = Vec::new();
        if let Ok((length, from)) = received {
            let packets = osc::decode(&datagram[..length], Peer::Osc(from));
            through.extend(packets.into_iter().filter_map(|packet| gate.admit(packet, from.ip(), now)));
        }
        if now >= turn {
            turn = now + TURN;
            through.extend(gate.drain_due(now));
        }
        for packet in through {
            if asked.send(packet).is_err() {
                return;
            }
        }
    }
}

fn tell(mut outlet: osc::Outlet, told: &Receiver<SurfaceMessage>, pulse: &Pulse) {
    let mut next: Option<Instant> = None;
    loop {
        pulse.beat();
        let wait = next.map_or(LOOK, |next| next.saturating_duration_since(Instant::now()));
        match told.recv_timeout(wait) {
            Ok(SurfaceMessage::End) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(notice) => outlet.receive(notice, Instant::now()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        next = outlet.send_due(Instant::now());
    }
}

/// Starts the thread of all that is listened for over TCP.
pub fn net(
    bound: net::Bound,
    name: &str,
    control: &config::Control,
    asks: Sender<RequestBundle>,
) -> io::Result<(Sender<SurfaceMessage>, JoinHandle<()>)> {
    let (notices, told) = bounded(NOTICES);
    let (name, control) = (name.to_owned(), control.clone());
    let thread = supervise::keep_running("net", move |pulse| {
        net::run(&bound, &name, &control, asks.clone(), &told, pulse).map_err(|error| error.to_string())
    })?;
    Ok((notices, thread))
}

impl Osc {
    /// Tells what is left and ends both threads.
    pub fn end(self) {
        self.ends.store(true, Ordering::Relaxed);
        self.notices.send(SurfaceMessage::End).ok();
        for thread in self.threads {
            thread.join().ok();
        }
    }
}
