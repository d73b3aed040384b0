//! What one station needs: its ports, devices, processors and state folder.

use super::{Finding, finding};
use crate::audio::backend::cpal;
use crate::process::named::shown;
use crate::process::os_error::plain;
use crate::process::state_file;
use crate::station::{Audio, Backend, Station};
use lacquer_control::surface::client::Client;
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use rustix::fs::{Access, access};
use rustix::thread::{CpuSet, sched_getaffinity};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

/// Free space that state and logs should have, in bytes.
const FREE: u64 = 64 << 20;
/// Time limit for the answer of a running daemon.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Runs all checks of a station.
pub fn check(station: &Station) -> Vec<Finding> {
    let mut findings = cpus(&station.audio.realtime.cpus).into_iter().collect::<Vec<_>>();
    let control = &station.control;
    let mut plays = false;
    if let Some(osc) = &control.osc {
        let status = read_status(osc.listen);
        let status_text = |key: &str| {
            let line = status.iter().find(|line| line.address == format!("/status/{key}"))?;
            line.values
                .first()
                .and_then(|value| if let Value::Text(text) = value { Some(text.clone()) } else { None })
        };
        let is_ours = status_text("station").is_some();
        plays = is_ours;
        findings.push(port("OSC port (UDP)", osc.listen, false, is_ours));
        if osc.tcp {
            findings.push(port("OSC port (TCP)", osc.listen, true, is_ours));
        }
        if let Some(text) = status_text("realtime") {
            // There may be several threads.
            let is_fine = !text.contains("none: ");
            let fix = "fix the findings about real-time priority, then restart the station";
            findings.push(finding("audio thread", text, is_fine, fix));
        }
    }
    if let Some(web) = &control.web {
        findings.push(port("web port", web.listen, true, answers_oscquery(web.listen)));
    }
    findings.extend(device(&station.audio, plays));
    findings
}

/// The devices of a station. While it `plays`, they cannot be opened for a check.
fn device(audio: &Audio, plays: bool) -> Option<Finding> {
    match &audio.backend {
        // The server uses the device; the machine's checks cover it.
        Backend::Jack { .. } | Backend::Null(_) => None,
        Backend::Cpal(_) if plays => {
            Some(finding("sound devices", "in use by this station".to_owned(), true, ""))
        }
        Backend::Cpal(cpal) => Some(match cpal::open(cpal) {
            Ok(opened) => finding("sound devices", opened.names(), true, ""),
            Err(error) => {
                let fix = "list all with `lacquer devices`, and name one under audio.cpal";
                finding("sound devices", error.to_string(), false, fix)
            }
        }),
    }
}

/// The processors that the audio thread is restricted to.
fn cpus(wanted: &[usize]) -> Option<Finding> {
    let may = sched_getaffinity(None).ok().filter(|_| !wanted.is_empty())?;
    let missing = wanted.iter().filter(|cpu| **cpu >= CpuSet::MAX_CPU || !may.is_set(**cpu));
    let missing: Vec<String> = missing.map(usize::to_string).collect();
    let found = match missing.is_empty() {
        true => "available".to_owned(),
        false => format!("no processor {}", missing.join(", ")),
    };
    let fix = "name others under audio.realtime.cpus; list them with: nproc --all; cat /sys/devices/system/cpu/online";
    Some(finding("audio processors", found, missing.is_empty(), fix))
}

/// The address by which to connect to a server that listens at `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// The status of the station that listens for OSC at `address`; empty if there is none.
fn read_status(address: SocketAddr) -> Vec<Update> {
    // If the port is free, there is no station to wait for.
    if UdpSocket::bind(address).is_ok() {
        return Vec::new();
    }
    let Ok(client) = Client::connect(reachable(address)) else { return Vec::new() };
    if client.send(&[Update::new("/status", Vec::new())]).is_err() {
        return Vec::new();
    }
    let mut status = Vec::new();
    let deadline = Instant::now() + TIMEOUT;
    while let Ok(Some(lines)) = client.receive(deadline) {
        status.extend(lines);
        if status.iter().any(|line| line.address == "/status/uptime_s") {
            break;
        }
    }
    status
}

/// Whether a station's OSCQuery answers at `address`.
fn answers_oscquery(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&reachable(address), TIMEOUT) else { return false };
    let mut request = || {
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let host = reachable(address);
        write!(stream, "GET /?HOST_INFO HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        (&mut stream).take(16_384).read_to_end(&mut answer)?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).contains("OSC_TRANSPORT"))
    };
    request().unwrap_or(false)
}

fn port(what: &'static str, address: SocketAddr, is_tcp: bool, is_ours: bool) -> Finding {
    let bound =
        if is_tcp { TcpListener::bind(address).map(drop) } else { UdpSocket::bind(address).map(drop) };
    match bound {
        Ok(()) => finding(what, format!("{address} is free"), true, ""),
        Err(_) if is_ours => finding(what, format!("{address} is used by a running station"), true, ""),
        Err(error) => {
            let fix =
                format!("find the program that uses the port: sudo ss -lpn 'sport = :{}'", address.port());
            finding(what, format!("{address}: {}", plain(&error)), false, fix)
        }
    }
}

/// Checks the folder for state and audit log.
pub fn state_folder() -> Finding {
    match state_file::folder() {
        Some(folder) => folder_with_space(&folder, FREE),
        None => finding("state folder", "none", false, "set HOME, XDG_STATE_HOME or STATE_DIRECTORY"),
    }
}

/// Checks that a folder can be written, and has `wanted` bytes free.
pub fn folder_with_space(folder: &Path, wanted: u64) -> Finding {
    let shown = shown(folder);
    let fix = format!("sudo mkdir -p {shown}; sudo chown $USER: {shown}");
    let refused =
        |error: &io::Error| finding("state folder", format!("{shown}: {}", plain(error)), false, fix.clone());
    if let Err(error) = fs::create_dir_all(folder) {
        return refused(&error);
    }
    if let Err(error) = access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        return refused(&error.into());
    }
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            let found = format!("{shown}, {} MiB free", free >> 20);
            finding("state folder", found, free >= wanted, format!("free space on that disk: df -h {shown}"))
        }
        Err(error) => refused(&error.into()),
    }
}
