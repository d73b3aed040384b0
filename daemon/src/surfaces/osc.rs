//! The OSC surface over UDP: one thread receives, one sends. Also how the conductor sends to a surface, and the start
//! of the TCP surfaces' thread.

use crate::process::client_log::log_of;
use crate::process::os_error::plain;
use crate::process::supervise::{self, Pulse, join_within};
use crate::station::control as config;
use crate::surfaces::{net, unreachable};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use lacquer_control::peer::Peer;
use lacquer_control::request::RequestBundle;
use lacquer_control::subscribe::SurfaceMessage;
use lacquer_control::subscribe::access::Access;
use lacquer_control::surface::osc::{self, Datagram};
use lacquer_control::surface::proof::Proofs;
use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::warn;

/// How often a thread that waits checks whether it is to end.
const CHECK: Duration = Duration::from_millis(100);
/// Time limit to send what is left at the end.
const END_LIMIT: Duration = Duration::from_secs(1);
/// The socket's receive buffer in the kernel, in bytes.
const RECEIVE_BUFFER: usize = 4 << 20;
/// How often requests that exceeded the rate limit are passed on.
const THROTTLE: Duration = Duration::from_millis(5);
/// Messages that a surface's channel has room for.
pub(crate) const MESSAGES: usize = 4096;

/// The conductor's channel to a surface.
pub(crate) struct SurfaceSender {
    messages: Sender<SurfaceMessage>,
    has_missed: Cell<bool>,
}

impl SurfaceSender {
    /// Sends to this channel.
    pub(crate) fn new(messages: Sender<SurfaceMessage>) -> Self {
        Self { messages, has_missed: Cell::new(false) }
    }

    /// Sends a message. If the channel is full the surface misses it; then it needs the whole state later.
    pub(crate) fn send(&self, message: &SurfaceMessage) {
        if self.messages.try_send(message.clone()).is_err() {
            self.has_missed.set(true);
        }
    }

    /// The surface was restarted: it needs the whole state.
    pub(crate) fn mark_missed(&self) {
        self.has_missed.set(true);
    }

    /// True, once, when the surface has missed something and its channel has room again.
    pub(crate) fn take_missed(&self) -> bool {
        self.has_missed.get() && self.messages.len() < MESSAGES / 4 && self.has_missed.replace(false)
    }

    /// Lets the surface send what is left and end; waits for that, at most until `until`.
    pub(crate) fn end(&self, until: Instant) {
        let is_running =
            || !matches!(self.messages.try_send(SurfaceMessage::End), Err(TrySendError::Disconnected(_)));
        while is_running() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A running OSC surface.
pub(crate) struct Osc {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Its messages.
    pub surface_sender: Sender<SurfaceMessage>,
    is_ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Binds the socket of `config` and starts both threads.
pub(crate) fn osc(config: &config::Osc, requests: Sender<RequestBundle>) -> io::Result<Osc> {
    let socket = UdpSocket::bind(config.listen)?;
    // So that packets of other peers are not dropped while one peer floods. The kernel may give less.
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER).ok();
    if let Err(error) = unreachable::watch(&socket) {
        warn!("osc: subscribers whose port is closed are not noticed: {}", plain(&error));
    }
    let address = socket.local_addr()?;
    let (out, reply_port, rules) = (socket.try_clone()?, config.reply_port, config.rules.clone());
    let proofs = Arc::new(Mutex::new(Proofs::new(rules.clone(), reply_port)));
    let proofs_out = Arc::clone(&proofs);
    let is_ending = Arc::new(AtomicBool::new(false));
    let (surface_sender, messages) = bounded(MESSAGES);
    let must_end = Arc::clone(&is_ending);
    let receiver = supervise::keep_running("osc-in", move |pulse| {
        receive(&socket, Access::new(rules.clone()), &proofs, &requests, &must_end, pulse);
        Ok(())
    })?;
    let sender = supervise::keep_running("osc-out", move |pulse| {
        send(&out, osc::Outlet::new(reply_port), &proofs_out, &messages, pulse);
        Ok(())
    })?;
    Ok(Osc { address, surface_sender, is_ending, threads: vec![receiver, sender] })
}

fn receive(
    socket: &UdpSocket,
    mut access: Access,
    proofs: &Mutex<Proofs>,
    requests: &Sender<RequestBundle>,
    must_end: &AtomicBool,
    pulse: &Pulse,
) {
    let mut datagram = vec![0; 65_536];
    let (mut timeout, mut next_due) = (Duration::ZERO, Instant::now());
    while !must_end.load(Ordering::Relaxed) {
        pulse.beat();
        let wait = if access.is_waiting() { THROTTLE } else { CHECK };
        if wait != std::mem::replace(&mut timeout, wait) {
            socket.set_read_timeout(Some(wait)).ok();
        }
        // An error is a time-out, or an earlier datagram that did not arrive: neither ends the thread. Any other one, as
        // a lack of memory, may come back at once.
        let received = socket.recv_from(&mut datagram);
        if let Err(error) = &received
            && !matches!(
                error.kind(),
                ErrorKind::WouldBlock
                    | ErrorKind::TimedOut
                    | ErrorKind::Interrupted
                    | ErrorKind::ConnectionRefused
            )
        {
            std::thread::sleep(THROTTLE);
        }
        let now = Instant::now();
        let mut admitted = Vec::new();
        if let Ok((length, from)) = received {
            let mut proofs = lock(proofs);
            let mut answers = Vec::new();
            if proofs.receive(from, length) {
                for bundle in osc::decode(&datagram[..length], Peer::Osc(from)) {
                    let Some(bundle) = access.admit(bundle, from.ip(), now) else { continue };
                    let (proven, tokens) = proofs.admit(bundle, now);
                    admitted.extend(proven);
                    answers.extend(tokens);
                }
            } else {
                answers.extend(proofs.refusal(from));
            }
            drop(proofs);
            answers.iter().for_each(|answer| send_datagram(socket, answer));
        }
        if now >= next_due {
            next_due = now + THROTTLE;
            admitted.extend(access.drain_due(now));
        }
        for packet in admitted {
            if requests.send(packet).is_err() {
                return;
            }
        }
    }
}

fn send(
    socket: &UdpSocket,
    mut outlet: osc::Outlet,
    proofs: &Mutex<Proofs>,
    messages: &Receiver<SurfaceMessage>,
    pulse: &Pulse,
) {
    let send = |datagrams: Vec<Datagram>, now: Instant| {
        for datagram in datagrams {
            let screened = lock(proofs).screen(datagram, now);
            screened.iter().for_each(|datagram| send_datagram(socket, datagram));
        }
    };
    let mut next: Option<Instant> = None;
    loop {
        pulse.beat();
        let wait = next.map_or(CHECK, |next| next.saturating_duration_since(Instant::now()));
        match messages.recv_timeout(wait) {
            Ok(SurfaceMessage::End) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(message) => {
                let now = Instant::now();
                send(outlet.receive(&message, now), now);
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        for at in unreachable::drain(socket) {
            lock(proofs).forget(at);
            if outlet.remove_unreachable(at) {
                log_of!(Peer::Osc(at), DEBUG, "osc {at}: the port is closed; its subscription has ended");
            }
        }
        let now = Instant::now();
        send(outlet.drain_due(now), now);
        next = outlet.next_due();
    }
}

/// Sends a datagram. One that cannot be sent is dropped.
fn send_datagram(socket: &UdpSocket, datagram: &Datagram) {
    /// An error may be that of an earlier datagram, which ICMP has reported since: this one was not sent then.
    const TIMES: usize = 3;
    (0..TIMES).any(|_| socket.send_to(&datagram.bytes, datagram.to).is_ok());
}

fn lock(proofs: &Mutex<Proofs>) -> MutexGuard<'_, Proofs> {
    // A panic while the lock was held leaves every entry whole.
    proofs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread of the TCP surfaces.
pub(crate) fn net(
    bound: net::Bound,
    name: &str,
    control: &config::Control,
    requests: Sender<RequestBundle>,
) -> io::Result<(Sender<SurfaceMessage>, JoinHandle<()>)> {
    let (surface_sender, messages) = bounded(MESSAGES);
    let (name, control) = (name.to_owned(), control.clone());
    let thread = supervise::keep_running("net", move |pulse| {
        net::run(&bound, &name, &control, requests.clone(), &messages, pulse)
    })?;
    Ok((surface_sender, thread))
}

impl Osc {
    /// Sends what is left and ends both threads.
    pub(crate) fn end(self) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.surface_sender.send_timeout(SurfaceMessage::End, END_LIMIT).ok();
        for thread in self.threads {
            join_within(thread, END_LIMIT);
        }
    }
}
