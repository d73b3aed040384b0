//! The UDP ports of clients that ICMP calls unreachable: nobody listens there any more.
//!
//! Linux reports this for an unconnected socket only through the socket's error queue (ip(7), `IP_RECVERR`), which no safe library
//! reads.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr::from_mut;

/// Most errors that are read at once.
const AT_ONCE: usize = 256;

/// Has the system keep ICMP errors for [`drain`]. An IPv6 socket may have clients of both kinds of addresses.
///
/// # Errors
/// The system refuses.
pub(super) fn watch(socket: &UdpSocket) -> io::Result<()> {
    set(socket, libc::SOL_IP, libc::IP_RECVERR)?;
    if socket.local_addr()?.is_ipv6() {
        set(socket, libc::SOL_IPV6, libc::IPV6_RECVERR)?;
    }
    Ok(())
}

fn set(socket: &UdpSocket, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the system reads `on`, which lives until then, in its whole length.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The addresses that were sent a datagram and are unreachable, as far as the system knows now. Other errors, as that
/// a datagram is too large or a host cannot be reached just now, are removed from the queue too.
pub(super) fn drain(socket: &UdpSocket) -> Vec<SocketAddr> {
    let read = std::iter::from_fn(|| read_error(socket)).take(AT_ONCE);
    read.flatten().collect()
}

/// Removes one error from the queue: the address that it is about, if its port is unreachable. `None` once the queue is
/// empty.
fn read_error(socket: &UdpSocket) -> Option<Option<SocketAddr>> {
    // SAFETY: a structure of numbers, for which zero is valid.
    let mut name: libc::sockaddr_storage = unsafe { zeroed() };
    let mut byte = 0_u8;
    let mut part = libc::iovec { iov_base: from_mut(&mut byte).cast(), iov_len: 1 };
    // Aligned as control messages are.
    let mut control = [0_u64; 64];
    // SAFETY: a structure of numbers and pointers, for which zero is valid.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = from_mut(&mut name).cast();
    message.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the descriptor is open, and every pointer in the message is to a variable above, with its size.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    if length < 0 {
        return None;
    }
    let mut is_closed = false;
    // SAFETY: the system has filled the message in.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !header.is_null() {
        // SAFETY: not null, so a control message that lies whole within `control`.
        let libc::cmsghdr { cmsg_level, cmsg_type, .. } = unsafe { header.read_unaligned() };
        if matches!(
            (cmsg_level, cmsg_type),
            (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR)
        ) {
            // SAFETY: the data of such a message begins with this structure (ip(7), ipv6(7)).
            let error = unsafe { libc::CMSG_DATA(header).cast::<libc::sock_extended_err>().read_unaligned() };
            let is_icmp = [libc::SO_EE_ORIGIN_ICMP, libc::SO_EE_ORIGIN_ICMP6].contains(&error.ee_origin);
            is_closed |= is_icmp && error.ee_errno == libc::ECONNREFUSED as u32;
        }
        // SAFETY: `header` is one of this message.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    Some(is_closed.then(|| address(&name)).flatten())
}

fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is this structure, and the storage is as large as any.
            let name = unsafe { (&raw const *name).cast::<libc::sockaddr_in>().read() };
            Some((Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr)), u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let name = unsafe { (&raw const *name).cast::<libc::sockaddr_in6>().read() };
            Some((Ipv6Addr::from(name.sin6_addr.s6_addr), u16::from_be(name.sin6_port)).into())
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// Sends to a closed port until the error comes, and to an open one: what is unreachable.
    fn unreachable(own: &str, to: &str) -> Vec<SocketAddr> {
        let socket = UdpSocket::bind(own).unwrap();
        watch(&socket).unwrap();
        let (open, closed) = (UdpSocket::bind(to).unwrap(), UdpSocket::bind(to).unwrap());
        let (open, to) = (open.local_addr().map(|at| (open, at)).unwrap(), closed.local_addr().unwrap());
        drop(closed);
        let mapped = |at: SocketAddr| match (at.ip(), socket.local_addr().unwrap().is_ipv6()) {
            (std::net::IpAddr::V4(ip), true) => (ip.to_ipv6_mapped(), at.port()).into(),
            _ => at,
        };
        let limit = Instant::now() + Duration::from_secs(60);
        let mut found = Vec::new();
        while found.is_empty() && Instant::now() < limit {
            socket.send_to(b"x", mapped(open.1)).ok();
            socket.send_to(b"x", mapped(to)).ok();
            std::thread::sleep(Duration::from_millis(1));
            found = drain(&socket);
        }
        let mut length = 0;
        while let Ok(more) = {
            open.0.set_nonblocking(true).unwrap();
            open.0.recv(&mut [0; 9])
        } {
            length += more;
        }
        assert!(length > 0, "an open port is sent to");
        assert!(found.iter().all(|at| *at == mapped(to)), "{found:?}");
        found
    }

    #[test]
    fn a_closed_port_is_found_over_ipv4_and_ipv6() {
        assert!(!unreachable("127.0.0.1:0", "127.0.0.1:0").is_empty());
        // Where the machine has IPv6.
        if UdpSocket::bind("[::1]:0").is_ok() {
            assert!(!unreachable("[::1]:0", "[::1]:0").is_empty());
            assert!(!unreachable("[::]:0", "127.0.0.1:0").is_empty(), "an IPv4 client of an IPv6 socket");
        }
    }
}
