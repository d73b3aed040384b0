//! Who may control a station: the `control:` section of its file.

use lacquer_control::subscribe::access::{Net, RATE, Rules};
use lacquer_control::subscribe::hosts;
use lacquer_graph::file::table::{Holds, Key, List, Section, Text};
use lacquer_graph::file::values::{Held, Values};
use lacquer_graph::param::{Param, Unit};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Default address of the OSC server.
const OSC_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);
/// Default address of the web server.
const WEB_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8600);

const REPLY_PORT: Param = Param::new(0, "reply_port", Unit::Count)
    .range(1.0, 65_535.0)
    .default(9001.0)
    .help("Port of a client that answers are sent to, if it differs from the one it sends from (TouchOSC).");
const MESSAGES: Param = Param::new(0, "rate", Unit::Count)
    .range(10.0, 100_000.0)
    .default(RATE)
    .help("Messages per second that one client may send; faster clients are throttled, and the latest value of each address is kept.");
const TCP: Param =
    Param::new(0, "tcp", Unit::Switch).default(1.0).help("Whether the OSC server uses TCP as well as UDP.");
const ANNOUNCE: Param = Param::new(0, "announce", Unit::Switch)
    .help("Whether the station is announced by mDNS; default: only if other machines can reach it.");
const VIA: Param = Param::new(0, "via", Unit::Choice(&["alsa", "jack"]))
    .help("ALSA sequencer or JACK MIDI ports; default: jack with the backend jack, else alsa.");

const LISTEN: Text = Text {
    words: &[],
    fits: |text| text.parse::<SocketAddr>().is_ok(),
    pattern: ":[0-9]+$",
    allowed: "write an address and a port, as in 127.0.0.1:9000",
    example: "127.0.0.1:9000",
};
const NET: Text = Text {
    words: &[],
    fits: |text| Net::parse(text).is_some(),
    pattern: "^[0-9A-Fa-f:.]+(/[0-9]+)?$",
    allowed: "write an address or a network, as in 192.168.1.0/24",
    example: "192.168.1.0/24",
};
const NAME: Text = Text {
    words: &[],
    fits: |text| hosts::read(text).is_some(),
    pattern: "^[A-Za-z0-9._:\\[\\]-]+$",
    allowed: "write a name or an address without a port, as in studio.lan",
    example: "studio.lan",
};
const NETS: Holds = Holds::List(List::of(&Holds::Text(NET), "a list of addresses and networks"));
const NAMES: Holds = Holds::List(List::of(&Holds::Text(NAME), "a list of names and addresses"));
static MIDI: Holds = Holds::List(List::of(
    &Holds::Any(
        &[Holds::Text(Text::ANY), Holds::Section(&CONTROLLER)],
        "the path of a map, or a map with \"map\"",
    ),
    "a list of controllers",
));

const RULES: [Key; 3] = [
    Key::row(MESSAGES),
    Key::new("allow", NETS, "Networks whose clients are accepted, as in 192.168.1.0/24; default: all."),
    Key::new("read_only", NETS, "Networks whose clients may only read."),
];

static OSC: Section = Section::new(
    "osc",
    &[
        Key::new("listen", Holds::Text(LISTEN), "Address and port; default: 127.0.0.1:9000."),
        Key::row(TCP),
        Key::row(REPLY_PORT).open(),
        RULES[0],
        RULES[1],
        RULES[2],
    ],
);

static WEB: Section = Section::new(
    "web",
    &[
        Key::new("listen", Holds::Text(LISTEN), "Address and port; default: 127.0.0.1:8600."),
        Key::new(
            "names",
            NAMES,
            "Further host names and addresses of the station, as in studio.lan: those of a proxy or a forwarded port. The ones of this machine are known.",
        ),
        RULES[0],
        RULES[1],
        RULES[2],
    ],
);

static CONTROLLER: Section = Section::new(
    "midi",
    &[
        Key::new("map", Holds::Text(Text::ANY), "The map file, relative to this file.").needed(),
        Key::new("device", Holds::Text(Text::ANY), "Pattern for the port name; default: the one in the map."),
        Key::row(VIA).open(),
    ],
);

/// Its table.
pub static SECTION: Section = Section::new(
    "control",
    &[
        Key::new("osc", Holds::Section(&OSC), "OSC server over UDP and TCP; without this section it is off."),
        Key::new("web", Holds::Section(&WEB), "Web and OSCQuery server; without this section it is off."),
        Key::row(ANNOUNCE).open(),
        Key::new("midi", MIDI, "MIDI controllers, by their maps."),
    ],
);

/// Who may control a station.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Control {
    /// The OSC server, if there is one.
    pub osc: Option<Osc>,
    /// The web and OSCQuery server, if there is one.
    pub web: Option<Web>,
    /// Whether the station is announced on the network (mDNS); `None`: if other machines can reach it.
    pub announce: Option<bool>,
    /// The MIDI controllers.
    pub midi: Vec<Midi>,
}

/// The OSC server.
#[derive(Clone, Debug, PartialEq)]
pub struct Osc {
    /// Address and port.
    pub listen: SocketAddr,
    /// Whether it uses TCP too.
    pub tcp: bool,
    /// The port that answers are sent to.
    pub reply_port: Option<u16>,
    /// Which clients are accepted.
    pub rules: Rules,
}

/// The web server.
#[derive(Clone, Debug, PartialEq)]
pub struct Web {
    /// Address and port.
    pub listen: SocketAddr,
    /// Further host names and addresses of the station, beside those of the machine.
    pub names: Vec<String>,
    /// Which clients are accepted.
    pub rules: Rules,
}

/// A MIDI controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Midi {
    /// Its map file, as written.
    pub map: PathBuf,
    /// Its position in the station file.
    pub at: lacquer_graph::file::error::At,
    /// Pattern for the port name, if it overrides the map's.
    pub device: Option<String>,
    /// Whether it uses JACK MIDI; `None`: if the backend is JACK.
    pub is_jack: Option<bool>,
}

impl Control {
    /// Whether the station is announced.
    pub fn is_announced(&self) -> bool {
        let listens = self.osc.iter().map(|osc| osc.listen).chain(self.web.iter().map(|web| web.listen));
        self.announce.unwrap_or_else(|| listens.into_iter().any(|listen| !listen.ip().is_loopback()))
    }
}

pub(super) fn read(values: &Values<'_>) -> Control {
    Control {
        osc: values.section("osc").map(|osc| Osc {
            listen: read_listen(osc).unwrap_or(OSC_PORT),
            tcp: osc.switch("tcp").unwrap_or(true),
            reply_port: osc.written("reply_port").map(|port| port as u16),
            rules: read_rules(osc),
        }),
        web: values.section("web").map(|web| Web {
            listen: read_listen(web).unwrap_or(WEB_PORT),
            names: web.texts("names").filter_map(hosts::read).collect(),
            rules: read_rules(web),
        }),
        announce: values.switch("announce"),
        midi: values.items("midi").iter().filter_map(read_midi).collect(),
    }
}

fn read_listen(values: &Values<'_>) -> Option<SocketAddr> {
    values.text("listen")?.parse().ok()
}

fn read_rules(values: &Values<'_>) -> Rules {
    let nets = |key| values.texts(key).filter_map(Net::parse).collect();
    Rules { allow: nets("allow"), read_only: nets("read_only"), rate: values.number("rate") }
}

fn read_midi(held: &Held<'_>) -> Option<Midi> {
    if let Some(map) = held.text() {
        return Some(Midi { map: map.into(), at: held.at, device: None, is_jack: None });
    }
    let values = held.section()?;
    let (map, at) = values.placed("map")?;
    let device = values.text("device").map(str::to_owned);
    Some(Midi { map: map.into(), at, device, is_jack: values.written("via").map(|via| via == 1.0) })
}
