//! TCP connections from any address of this machine, as many as a test wants, and what is said over them.

use crate::daemon::PATIENCE;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket, socket_with};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;

/// A connection to a port of 127.0.0.1, from 127.0.0.`last`. What is read or written waits as long as a test does.
pub fn connect_from(last: u8, port: u16) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0)).unwrap();
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Connections that say nothing to a port of 127.0.0.1, from that address and from 127.0.0.2 by turns. Whether they are
/// accepted is not waited for.
pub fn crowd(port: u16, count: usize) -> Vec<OwnedFd> {
    let open = |number| {
        let socket =
            socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
        let from = Ipv4Addr::new(127, 0, 0, 1 + (number % 2) as u8);
        bind(&socket, &SocketAddrV4::new(from, 0)).unwrap();
        match connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
            Ok(()) | Err(Errno::INPROGRESS) => socket,
            Err(error) => panic!("connection {number} to port {port}: {error}"),
        }
    };
    (0..count).map(open).collect()
}

/// Waits until the other end closes a connection; gives what came before.
pub fn closed(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("not closed: {error}; it gave {:?}", String::from_utf8_lossy(&bytes)),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a request as it stands, with `Connection: close`, and gives the answer: its status and the whole of it.
pub fn request(port: u16, line: &str, headers: &str) -> (u16, String) {
    let mut stream = connect_from(1, port);
    write!(stream, "{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").unwrap();
    let answer = closed(&stream);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{line}: {answer:?}")), answer)
}

/// What a websocket's handshake is answered with: the status.
pub fn websocket(port: u16, headers: &str) -> u16 {
    let mut stream = connect_from(1, port);
    let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    write!(stream, "GET / HTTP/1.1\r\n{headers}{upgrade}{key}\r\n").unwrap();
    let mut bytes = [0; 12];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes)[9..].parse().unwrap()
}

/// Asks `/ping` on a stream, in the framing of OSC 1.0, and waits for the `/pong`.
pub fn pong(mut stream: &TcpStream) {
    stream.write_all(b"\0\0\0\x0c/ping\0\0\0,\0\0\0").unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut packet = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut packet).unwrap();
    assert!(packet.starts_with(b"/pong\0"), "{:?}", String::from_utf8_lossy(&packet));
}

/// Lets this process have many files open.
pub fn raise_open_files(count: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(count), ..limit })
            .unwrap_or_else(|error| panic!("{count} files open at once: {error}"));
    }
}

/// Has another process open only files of numbers below `count`; gives what it was before.
pub fn limit_open_files(pid: u32, count: Option<u64>) -> Option<u64> {
    let pid = Pid::from_raw(pid as i32);
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(pid, Resource::Nofile, Rlimit { current: count, maximum }).unwrap().current
}
