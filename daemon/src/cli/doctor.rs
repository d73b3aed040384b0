//! `lacquer doctor`: what of this machine stands in the way, and what to do.

use super::{Outcome, complain, print};
use crate::doctor::{Finding, Machine, place};
use crate::reload;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

pub(super) fn run(station: Option<&Path>) -> Outcome {
    let mut findings = Machine::here().look();
    findings.push(place());
    if let Some(path) = station {
        match reload::station(path, None) {
            Ok(loaded) => {
                let control = &loaded.station.control;
                let osc = control.osc.iter().flat_map(|osc| {
                    let tcp = osc.tcp.then(|| port("OSC port (TCP)", osc.listen, true));
                    std::iter::once(port("OSC port (UDP)", osc.listen, false)).chain(tcp)
                });
                findings.extend(osc.chain(control.web.iter().map(|web| port("web port", web.listen, true))));
            }
            Err(reports) => {
                return reports.iter().fold(Outcome::Done, |_, report| complain(report, Outcome::Wrong));
            }
        }
    }
    let wide = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    for finding in &findings {
        let word = if finding.mend.is_some() { "mend" } else { "fine" };
        print(&format!("{word}  {:wide$}  {}", finding.what, finding.found));
        if let Some(mend) = &finding.mend {
            print(&format!("      {mend}"));
        }
    }
    if findings.iter().any(|finding| finding.mend.is_some()) { Outcome::Wrong } else { Outcome::Done }
}

fn port(what: &'static str, address: SocketAddr, is_tcp: bool) -> Finding {
    let tried =
        if is_tcp { TcpListener::bind(address).map(drop) } else { UdpSocket::bind(address).map(drop) };
    match tried {
        Ok(()) => Finding { what, found: format!("{address} is free"), mend: None },
        Err(error) => {
            let mend = format!("see who has it: ss -lpn 'sport = :{}'", address.port());
            Finding { what, found: format!("{address}: {error}"), mend: Some(mend) }
        }
    }
}
