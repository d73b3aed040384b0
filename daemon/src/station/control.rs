//! Who may control a station: the `control:` section of its file.

use lacquer_control::subscribe::access::{Net, RATE, Rules};
use lacquer_control::subscribe::hosts;
use lacquer_graph::file::error::{Mistake, Problem};
use lacquer_graph::file::fields::{Fields, scalar, wrong_shape};
use lacquer_graph::file::yaml::Value;
use lacquer_graph::param::{Param, Unit};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Where OSC is listened for unless the file says otherwise.
const OSC: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);
/// Where web clients are listened for unless the file says otherwise.
const WEB: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8600);

const REPLY_PORT: Param = Param::new(0, "reply_port", Unit::Count)
    .range(1.0, 65_535.0)
    .default(9001.0)
    .help("The port of a client that answers go to, where it is not the one it sends from (TouchOSC).");
const MESSAGES: Param = Param::new(1, "rate", Unit::Count)
    .range(10.0, 100_000.0)
    .default(RATE)
    .help("Messages a second that one client may send; of values that come faster the newest is kept.");
const TCP: Param =
    Param::new(2, "tcp", Unit::Switch).default(1.0).help("Whether TCP is listened for beside UDP.");

/// How a controller is reached.
pub const VIA: Param = Param::new(0, "via", Unit::Choice(&["alsa", "jack"]))
    .help("Through the ALSA sequencer, or JACK's ports; else JACK's where the backend is JACK.");

/// The rows of the section that have a table, for schema and docs.
pub const ROWS: &[Param] = &[REPLY_PORT, MESSAGES, TCP];

/// Who may control a station.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Control {
    /// OSC, if it is listened for.
    pub osc: Option<Osc>,
    /// Web clients (OSCQuery), if they are listened for.
    pub web: Option<Web>,
    /// Whether the station is announced on the network (mDNS); if nothing is said, where others can reach it.
    pub announce: Option<bool>,
    /// The MIDI controllers.
    pub midi: Vec<Midi>,
}

/// OSC.
#[derive(Clone, Debug, PartialEq)]
pub struct Osc {
    /// Where it is listened for.
    pub listen: SocketAddr,
    /// Whether TCP is too.
    pub tcp: bool,
    /// The port that answers go to.
    pub reply_port: Option<u16>,
    /// Who is let in.
    pub rules: Rules,
}

/// Web clients.
#[derive(Clone, Debug, PartialEq)]
pub struct Web {
    /// Where they are listened for.
    pub listen: SocketAddr,
    /// Names and addresses by which the station is reached, beside those that the machine has by itself.
    pub names: Vec<String>,
    /// Who is let in.
    pub rules: Rules,
}

/// A MIDI controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Midi {
    /// Its map file, as written.
    pub map: PathBuf,
    /// Where that is written.
    pub at: lacquer_graph::file::error::At,
    /// The pattern of its port's name, where it is not the map's.
    pub device: Option<String>,
    /// Whether it is reached through JACK; if nothing is said, where the backend is JACK.
    pub is_jack: Option<bool>,
}

impl Control {
    /// Whether the station is announced.
    pub fn is_announced(&self) -> bool {
        let listens = self.osc.iter().map(|osc| osc.listen).chain(self.web.iter().map(|web| web.listen));
        self.announce.unwrap_or_else(|| listens.into_iter().any(|listen| !listen.ip().is_loopback()))
    }
}

/// Reads the section.
pub fn read(value: &Value, mistakes: &mut Vec<Mistake>) -> Control {
    let mut fields = Fields::of(value, "control", mistakes);
    let osc = fields.take("osc").map(|entry| read_osc(&entry.value, mistakes));
    let web = fields.take("web").map(|entry| {
        let mut fields = Fields::of(&entry.value, "web", mistakes);
        let listen = read_listen(&mut fields, mistakes).unwrap_or(WEB);
        let names = read_names(&mut fields, mistakes);
        let rules = read_rules(&mut fields, mistakes);
        fields.finish(&["listen", "names", "rate", "allow", "read_only"], mistakes);
        Web { listen, names, rules }
    });
    let announce = fields.switch("announce", mistakes);
    let midi = fields.list("midi").unwrap_or_default().iter();
    let midi = midi.filter_map(|value| read_midi(value, mistakes)).collect();
    fields.finish(&["osc", "web", "announce", "midi"], mistakes);
    Control { osc, web, announce, midi }
}

fn read_osc(value: &Value, mistakes: &mut Vec<Mistake>) -> Osc {
    let mut fields = Fields::of(value, "osc", mistakes);
    let listen = read_listen(&mut fields, mistakes).unwrap_or(OSC);
    let reply_port = fields.row(&REPLY_PORT, mistakes).map(|port| port as u16);
    let tcp = fields.switch("tcp", mistakes).unwrap_or(true);
    let rules = read_rules(&mut fields, mistakes);
    fields.finish(&["listen", "tcp", "reply_port", "rate", "allow", "read_only"], mistakes);
    Osc { listen, tcp, reply_port, rules }
}

fn read_rules(fields: &mut Fields<'_>, mistakes: &mut Vec<Mistake>) -> Rules {
    let rate = fields.row(&MESSAGES, mistakes).unwrap_or(RATE);
    let mut nets = |key| read_nets(fields, key, mistakes);
    Rules { allow: nets("allow"), read_only: nets("read_only"), rate }
}

fn read_nets(fields: &mut Fields<'_>, key: &'static str, mistakes: &mut Vec<Mistake>) -> Vec<Net> {
    let allowed = "write an address or a network, as in 192.168.1.0/24";
    read_list(fields, key, allowed, Net::parse, mistakes)
}

fn read_names(fields: &mut Fields<'_>, mistakes: &mut Vec<Mistake>) -> Vec<String> {
    let allowed = "write a name or an address without a port, as in studio.lan";
    read_list(fields, "names", allowed, hosts::read, mistakes)
}

fn read_list<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    allowed: &str,
    read: fn(&str) -> Option<T>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<T> {
    let mut items = Vec::new();
    for value in fields.list(key).unwrap_or_default() {
        let found = scalar(value).unwrap_or_else(|| value.shape()).to_owned();
        match read(&found) {
            Some(item) => items.push(item),
            None => {
                let (owner, found) = (fields.owner.clone(), format!("\"{found}\""));
                let allowed = allowed.to_owned();
                mistakes.push(Mistake::new(value.at, Problem::Text { owner, key, found, allowed }));
            }
        }
    }
    items
}

fn read_midi(value: &Value, mistakes: &mut Vec<Mistake>) -> Option<Midi> {
    if let Some(map) = scalar(value) {
        return Some(Midi { map: map.into(), at: value.at, device: None, is_jack: None });
    }
    let mut fields = Fields::of(value, "midi", mistakes);
    let map = fields.text("map", mistakes);
    let device = fields.text("device", mistakes).map(|(text, _)| text.to_owned());
    let via = fields.row(&VIA, mistakes).map(|via| via == 1.0);
    fields.finish(&["map", "device", "via"], mistakes);
    match map {
        Some((map, at)) => Some(Midi { map: map.into(), at, device, is_jack: via }),
        None => {
            mistakes.push(wrong_shape(
                "a MIDI controller",
                "the path of a map, or a map with \"map\"",
                value,
            ));
            None
        }
    }
}

fn read_listen(fields: &mut Fields<'_>, mistakes: &mut Vec<Mistake>) -> Option<SocketAddr> {
    let (text, at) = fields.text("listen", mistakes)?;
    let address = text.parse();
    if address.is_err() {
        let allowed = "write an address and a port, as in 127.0.0.1:9000".to_owned();
        let (owner, found) = (fields.owner.clone(), format!("\"{text}\""));
        mistakes.push(Mistake::new(at, Problem::Text { owner, key: "listen", found, allowed }));
    }
    address.ok()
}
