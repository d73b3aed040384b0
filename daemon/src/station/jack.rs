//! The `jack` section of a station file.

use super::cpal::unknown_group;
use lacquer_graph::file::error::{Mistake, Problem};
use lacquer_graph::file::table::{Holds, Key, List, Named, Section, Text};
use lacquer_graph::file::values::{Held, Values};
use lacquer_graph::plan::Io;
use std::path::PathBuf;

const LIBRARY: Text = Text {
    words: &["system", "pipewire"],
    fits: |text| text.starts_with('/'),
    pattern: "^/",
    allowed: "there are system, pipewire, or the full path of a file",
    example: "/opt/jack/lib/libjack.so.0",
};
const PORTS: Holds =
    Holds::List(List::of(&Holds::Text(Text::ANY), "a list of port names, at most one for each channel"));

/// Its table.
pub static SECTION: Section = Section::new(
    "jack",
    &[
        Key::new("client", Holds::Text(Text::NAME), "The name of the JACK client; default: lacquer."),
        Key::new(
            "library",
            Holds::Text(LIBRARY),
            "The JACK library: system, pipewire, or the full path of a file; default: system.",
        ),
        Key::new(
            "connect",
            Holds::Named(Named { of: &PORTS, names: None, least: 0 }),
            "For each group, the ports that its channels are connected to.",
        ),
    ],
);

/// The JACK backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Jack {
    /// The name of the client.
    pub client: String,
    /// For each group, the ports that its channels are connected to.
    pub connect: Vec<(String, Vec<String>)>,
    /// The libjack to use.
    pub library: Library,
}

impl Default for Jack {
    fn default() -> Self {
        Self { client: "lacquer".to_owned(), connect: Vec::new(), library: Library::System }
    }
}

/// A JACK library: it decides which server is used.
#[derive(Clone, Debug, PartialEq)]
pub enum Library {
    /// The system's default library.
    System,
    /// PipeWire's library.
    Pipewire,
    /// This file.
    File(PathBuf),
}

/// The section, or its defaults; `io` has the groups that may be connected.
pub(super) fn read(values: Option<&Values<'_>>, io: &Io, mistakes: &mut Vec<Mistake>) -> Jack {
    let mut jack = Jack::default();
    let Some(values) = values else { return jack };
    if let Some(client) = values.text("client") {
        client.clone_into(&mut jack.client);
    }
    jack.library = match values.text("library") {
        None | Some("system") => Library::System,
        Some("pipewire") => Library::Pipewire,
        Some(path) => Library::File(path.into()),
    };
    for (name, at, held) in values.named("connect").unwrap_or_default() {
        let Some(group) = io.inputs.iter().chain(&io.outputs).find(|group| group.name == *name) else {
            mistakes.push(Mistake::new(*at, unknown_group("connect", name, io)));
            continue;
        };
        let ports: Vec<String> = held.items().iter().filter_map(Held::text).map(str::to_owned).collect();
        if ports.len() > group.channels {
            let (found, most) = (ports.len(), group.channels);
            let text = format!("connect: {name} has {found} ports; the group has {most} channels");
            mistakes.push(Mistake::new(held.at, Problem::Other(text)));
        } else {
            jack.connect.push(((*name).to_owned(), ports));
        }
    }
    jack
}
