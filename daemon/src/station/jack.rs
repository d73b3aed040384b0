//! The `jack` section of a station file.

use super::cpal::unknown_group;
use lacquer_graph::file::error::{Mistake, Problem};
use lacquer_graph::file::fields::{Fields, scalar, wrong_shape};
use lacquer_graph::file::spec::{bad_name, is_name};
use lacquer_graph::file::yaml::Item;
use lacquer_graph::param::hint::Hint;
use lacquer_graph::plan::Io;
use std::path::PathBuf;

/// How a station takes part in a JACK server.
#[derive(Clone, Debug, PartialEq)]
pub struct Jack {
    /// The name of the client.
    pub client: String,
    /// For each group, the ports that its channels are connected to.
    pub connect: Vec<(String, Vec<String>)>,
    /// The library that the server is reached through.
    pub library: Library,
}

impl Default for Jack {
    fn default() -> Self {
        Self { client: "lacquer".to_owned(), connect: Vec::new(), library: Library::System }
    }
}

/// A JACK library: it decides whose server is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Library {
    /// The one that the system gives programs that ask for none.
    System,
    /// PipeWire's.
    Pipewire,
    /// This file.
    File(PathBuf),
}

/// The words for libraries that need no path.
pub const LIBRARIES: [&str; 2] = ["system", "pipewire"];

/// Reads the section; `io` has the groups that may be connected.
pub(super) fn read(fields: Option<Fields<'_>>, io: &Io, mistakes: &mut Vec<Mistake>) -> Jack {
    let mut jack = Jack::default();
    let Some(mut fields) = fields else { return jack };
    if let Some((text, at)) = fields.text("client", mistakes) {
        if is_name(text) {
            text.clone_into(&mut jack.client);
        } else {
            mistakes.push(bad_name(at, "jack", "client", text));
        }
    }
    match fields.text("library", mistakes) {
        Some(("pipewire", _)) => jack.library = Library::Pipewire,
        Some((path, _)) if path.starts_with('/') => jack.library = Library::File(path.into()),
        None | Some(("system", _)) => {}
        Some((found, at)) => {
            let found = format!("\"{found}\"{}", Hint::nearest(found, LIBRARIES));
            let allowed = format!("there are {}, or the full path of a file", LIBRARIES.join(", "));
            let owner = "jack".to_owned();
            mistakes.push(Mistake::new(at, Problem::Text { owner, key: "library", found, allowed }));
        }
    }
    if let Some(entry) = fields.take("connect") {
        for entry in Fields::of(&entry.value, "connect", mistakes).rest() {
            let groups = || io.inputs.iter().chain(&io.outputs);
            let Some(group) = groups().find(|group| group.name == entry.key) else {
                mistakes.push(Mistake::new(entry.at, unknown_group("connect", &entry.key, io)));
                continue;
            };
            let ports: Option<Vec<String>> = match &entry.value.item {
                Item::List(list) => list.iter().map(|port| scalar(port).map(str::to_owned)).collect(),
                _ => None,
            };
            match ports.filter(|ports| ports.len() <= group.channels) {
                Some(ports) => jack.connect.push((entry.key.clone(), ports)),
                None => mistakes.push(wrong_shape(
                    &format!("connect.{}", entry.key),
                    "a list of port names, at most one for each channel",
                    &entry.value,
                )),
            }
        }
    }
    fields.finish(&["client", "library", "connect"], mistakes);
    jack
}
