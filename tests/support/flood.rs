//! A client that sends more than anybody wants.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Sends a gain 50,000 times a second, as far as the machine lets it.
pub struct Flood {
    socket: Arc<UdpSocket>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<(u64, f32)>,
}

fn packet(value: f32) -> Vec<u8> {
    [&b"/node/tone/band/1/gain\0\0,f\0\0"[..], &value.to_be_bytes()].concat()
}

impl Flood {
    pub fn start(to: SocketAddr) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        socket.connect(to).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let (sends, told) = (Arc::clone(&socket), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let (mut sent, mut value) = (0_u64, 0.0_f32);
            let start = Instant::now();
            // 50 each millisecond.
            while !told.load(Ordering::Relaxed) {
                for _ in 0..50 {
                    value = (value + 0.01) % 12.0;
                    sends.send(&packet(value)).ok();
                    sent += 1;
                }
                let due = start + Duration::from_micros(20 * sent);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            (sent, value)
        });
        Self { socket, is_over, thread }
    }

    /// Ends it; gives how many it sent, the last value, and what sends that once more: a socket that is full loses it.
    pub fn stop(self) -> (u64, f32, impl Fn()) {
        self.is_over.store(true, Ordering::Relaxed);
        let (sent, last) = self.thread.join().unwrap();
        (sent, last, move || _ = self.socket.send(&packet(last)))
    }
}
