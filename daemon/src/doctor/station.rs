//! What one station needs of the machine: its ports, its processors, its place on the disk.

use super::{Finding, finding};
use crate::audio::backend::cpal;
use crate::process::state_file;
use crate::station::{Audio, Backend, Station};
use lacquer_control::surface::client::Client;
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use rustix::fs::{Access, access};
use rustix::thread::{CpuSet, sched_getaffinity};
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

/// Free space for state and logs, in bytes.
const FREE: u64 = 64 << 20;
/// So long a daemon that runs may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// All that a station needs.
pub fn look(station: &Station) -> Vec<Finding> {
    let mut findings = cpus(&station.audio.realtime.cpus).into_iter().collect::<Vec<_>>();
    let control = &station.control;
    let mut plays = false;
    if let Some(osc) = &control.osc {
        let status = running(osc.listen);
        let said = |key: &str| {
            let line = status.iter().find(|line| line.address == format!("/status/{key}"))?;
            line.values
                .first()
                .and_then(|value| if let Value::Text(text) = value { Some(text.clone()) } else { None })
        };
        let is_ours = said("station").is_some();
        plays = is_ours;
        findings.push(port("OSC port (UDP)", osc.listen, false, is_ours));
        if osc.tcp {
            findings.push(port("OSC port (TCP)", osc.listen, true, is_ours));
        }
        if let Some(text) = said("realtime") {
            // There may be several, each with its own.
            let is_fine = !text.contains("none: ");
            let mend = "mend the findings about rights, then start the station again";
            findings.push(finding("audio thread", text, is_fine, mend));
        }
    }
    if let Some(web) = &control.web {
        findings.push(port("web port", web.listen, true, serves_tree(web.listen)));
    }
    findings.extend(device(&station.audio, plays));
    findings
}

/// The devices that a station plays through; where it `plays`, nobody else can have them.
fn device(audio: &Audio, plays: bool) -> Option<Finding> {
    match &audio.backend {
        // The server has the device, and it is looked at with the machine.
        Backend::Jack { .. } | Backend::Null(_) => None,
        Backend::Cpal(_) if plays => {
            Some(finding("sound devices", "the station plays through them".to_owned(), true, ""))
        }
        Backend::Cpal(cpal) => Some(match cpal::open(cpal) {
            Ok(opened) => finding("sound devices", opened.names(), true, ""),
            Err(error) => {
                let mend = "choose among those that there are: lacquer devices; write it under audio.cpal";
                finding("sound devices", error.to_string(), false, mend)
            }
        }),
    }
}

/// The processors that the audio thread is to be kept to.
fn cpus(wanted: &[usize]) -> Option<Finding> {
    let may = sched_getaffinity(None).ok().filter(|_| !wanted.is_empty())?;
    let missing = wanted.iter().filter(|cpu| **cpu >= CpuSet::MAX_CPU || !may.is_set(**cpu));
    let missing: Vec<String> = missing.map(usize::to_string).collect();
    let found = match missing.is_empty() {
        true => "there".to_owned(),
        false => format!("no processor {}", missing.join(", ")),
    };
    let mend = "write others under audio.realtime.cpus; these there are: nproc --all; cat /sys/devices/system/cpu/online";
    Some(finding("audio processors", found, missing.is_empty(), mend))
}

/// Where to reach what listens at `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// The status of the station that listens for OSC at `address`; nothing where there is none.
fn running(address: SocketAddr) -> Vec<Update> {
    // A free port answers nothing, and need not be waited for.
    if UdpSocket::bind(address).is_ok() {
        return Vec::new();
    }
    let Ok(client) = Client::connect(reachable(address)) else { return Vec::new() };
    if client.send(&[Update::new("/status", Vec::new())]).is_err() {
        return Vec::new();
    }
    let mut status = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while let Ok(Some(lines)) = client.receive(deadline) {
        status.extend(lines);
        if status.iter().any(|line| line.address == "/status/uptime_s") {
            break;
        }
    }
    status
}

/// Whether a station's OSCQuery answers there.
fn serves_tree(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&reachable(address), PATIENCE) else { return false };
    let mut ask = || {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let host = reachable(address);
        write!(stream, "GET /?HOST_INFO HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        (&mut stream).take(16_384).read_to_end(&mut answer)?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).contains("OSC_TRANSPORT"))
    };
    ask().unwrap_or(false)
}

fn port(what: &'static str, address: SocketAddr, is_tcp: bool, is_ours: bool) -> Finding {
    let tried =
        if is_tcp { TcpListener::bind(address).map(drop) } else { UdpSocket::bind(address).map(drop) };
    match tried {
        Ok(()) => finding(what, format!("{address} is free"), true, ""),
        Err(_) if is_ours => finding(what, format!("{address}: a station plays there already"), true, ""),
        Err(error) => {
            let mend = format!("see who has it: sudo ss -lpn 'sport = :{}'", address.port());
            finding(what, format!("{address}: {error}"), false, mend)
        }
    }
}

/// Whether what a station keeps has its place, and room there.
pub fn place() -> Finding {
    match state_file::folder() {
        Some(folder) => room(&folder, FREE),
        None => finding("state folder", "none", false, "set HOME, XDG_STATE_HOME or STATE_DIRECTORY"),
    }
}

/// Whether a folder can be written, and has `wanted` bytes free.
pub fn room(folder: &Path, wanted: u64) -> Finding {
    let shown = folder.display().to_string();
    let mend = format!("sudo mkdir -p {shown}; sudo chown $USER: {shown}");
    let refused = |error: &dyn std::fmt::Display| {
        finding("state folder", format!("{shown}: {error}"), false, mend.clone())
    };
    if let Err(error) = fs::create_dir_all(folder) {
        return refused(&error);
    }
    if let Err(error) = access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        return refused(&error);
    }
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            let found = format!("{shown}, {} MiB free", free >> 20);
            finding("state folder", found, free >= wanted, format!("make room on that disk: df -h {shown}"))
        }
        Err(error) => refused(&error),
    }
}
