//! Announces the station on the network, so that apps find it: mDNS with DNS-SD (RFC 6762, RFC 6763).

use crate::station::control::Control;
use mdns_sd::{ServiceDaemon, ServiceInfo};
use tracing::{info, warn};

/// The announcement of a station, until it is dropped.
pub(crate) struct Announced {
    daemon: ServiceDaemon,
    names: Vec<String>,
}

/// Announces the station's OSC and web ports. A failure is logged and has no other effect.
pub(crate) fn announce(name: &str, control: &Control) -> Option<Announced> {
    if !control.is_announced() {
        return None;
    }
    let daemon = match ServiceDaemon::new() {
        Ok(daemon) => daemon,
        Err(error) => {
            warn!("cannot start mDNS: {error}; station not announced on the network");
            return None;
        }
    };
    let name = if name.is_empty() { "Lacquer" } else { name };
    let host = host();
    let osc = control.osc.as_ref().map(|osc| ("_osc._udp.local.", osc.listen));
    let tcp = control.osc.as_ref().filter(|osc| osc.tcp).map(|osc| ("_osc._tcp.local.", osc.listen));
    let web = control.web.as_ref().map(|web| ("_oscjson._tcp.local.", web.listen));
    let mut names = Vec::new();
    for (kind, listen) in [osc, tcp, web].into_iter().flatten() {
        let ip = listen.ip();
        let fixed = if ip.is_unspecified() { String::new() } else { ip.to_string() };
        let service =
            ServiceInfo::new(kind, name, &host, fixed.as_str(), listen.port(), &[("txtvers", "1")][..]);
        let service =
            service.map(|service| if ip.is_unspecified() { service.enable_addr_auto() } else { service });
        match service.and_then(|service| {
            let name = service.get_fullname().to_owned();
            daemon.register(service).map(|()| name)
        }) {
            Ok(name) => names.push(name),
            Err(error) => warn!(
                "cannot announce the service {kind} by mDNS: {error}; apps that look for it do not find the station"
            ),
        }
    }
    if names.is_empty() {
        return None;
    }
    info!("announced as \"{name}\" on the network");
    Some(Announced { daemon, names })
}

/// A host name of our own beside the machine's name, so that no two mDNS responders answer for one name.
fn host() -> String {
    let name = machine_name();
    let name = name.split('.').next().unwrap_or_default();
    format!("lacquer-{}.local.", if name.is_empty() { "host" } else { name })
}

/// The machine's name, with its domain if it is configured with one.
fn machine_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// All names of this machine: its own, with its domain, and by mDNS.
pub(crate) fn names() -> Vec<String> {
    let full = machine_name();
    let short = full.split('.').next().unwrap_or_default().to_owned();
    let mut names = vec![host()];
    if !short.is_empty() {
        names.extend([format!("{short}.local"), short, full]);
    }
    names
}

impl Drop for Announced {
    fn drop(&mut self) {
        for name in &self.names {
            // Wait until the goodbye packet is sent.
            if let Ok(done) = self.daemon.unregister(name) {
                done.recv_timeout(std::time::Duration::from_millis(500)).ok();
            }
        }
        self.daemon.shutdown().ok();
    }
}
