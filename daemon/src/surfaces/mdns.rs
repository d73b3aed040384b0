//! The station makes itself known on the network, so that apps find it: mDNS with DNS-SD (RFC 6762, RFC 6763).

use crate::station::control::Control;
use mdns_sd::{ServiceDaemon, ServiceInfo};
use tracing::{info, warn};

/// A station that is announced until this is dropped.
pub struct Announced {
    daemon: ServiceDaemon,
    names: Vec<String>,
}

/// Announces what a station listens for. What does not work is said, and nothing else depends on it.
pub fn announce(name: &str, control: &Control) -> Option<Announced> {
    if !control.is_announced() {
        return None;
    }
    let daemon = match ServiceDaemon::new() {
        Ok(daemon) => daemon,
        Err(error) => {
            warn!("not announced on the network: {error}");
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
            Err(error) => warn!("{kind} is not announced on the network: {error}"),
        }
    }
    info!("announced as \"{name}\" on the network");
    Some(Announced { daemon, names })
}

/// A host name of our own beside the machine's, so that two responders do not answer for the same name.
fn host() -> String {
    let name = machine();
    let name = name.split('.').next().unwrap_or_default();
    format!("lacquer-{}.local.", if name.is_empty() { "host" } else { name })
}

/// The machine's name, with its domain where it is given with one.
fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// All names by which this machine may be reached: as it is called, in its network, and by mDNS.
pub fn names() -> Vec<String> {
    let full = machine();
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
            // The goodbye goes out before the daemon ends.
            if let Ok(done) = self.daemon.unregister(name) {
                done.recv_timeout(std::time::Duration::from_millis(500)).ok();
            }
        }
        self.daemon.shutdown().ok();
    }
}
