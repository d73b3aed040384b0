//! OSCQuery: the station as a tree of JSON, which apps browse.
//!
//! Source: Vidvox, *OSCQuery Proposal* (github.com/Vidvox/OSCQueryProposal), third revision.

use crate::address::arguments::Argument;
use crate::address::commands::{self, Bare, COMMANDS, Command, Nature};
use crate::address::{Addresses, Place, Tree};
use crate::request::MOST_SCENES;
use crate::update::{Update, is_meter};
use crate::value::Value;
use lacquer_graph::param::Unit;
use lacquer_graph::reading::{Reading, Shape};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// The attributes that are served besides the required ones.
const EXTENSIONS: [&str; 8] =
    ["ACCESS", "VALUE", "RANGE", "DESCRIPTION", "UNIT", "CLIPMODE", "LISTEN", "PATH_CHANGED"];
/// All attributes of a node.
const ATTRIBUTES: [&str; 9] =
    ["FULL_PATH", "CONTENTS", "TYPE", "ACCESS", "VALUE", "RANGE", "DESCRIPTION", "UNIT", "CLIPMODE"];

const READ: u8 = 1;
const WRITE: u8 = 2;

/// The station as OSCQuery clients see it.
#[derive(Default)]
pub struct Query {
    places: Arc<Addresses>,
    /// The addresses of the status, which have no values here.
    status: Arc<[String]>,
    values: BTreeMap<String, Known>,
}

/// What is known of an address.
struct Known {
    /// Its values; none where there is no reading.
    values: Vec<Value>,
    /// Its row, where it is a reading.
    row: Option<&'static Reading>,
}

/// Why a request has no answer, with its HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// 204: the node has no such attribute.
    Nothing = 204,
    /// 400: no such attribute at all.
    BadAttribute = 400,
    /// 404: no such node.
    NotFound = 404,
}

/// The host of the tree.
pub struct Host {
    /// Its name.
    pub name: String,
    /// The UDP address for OSC, if there is one.
    pub osc: Option<SocketAddr>,
}

impl Query {
    /// Sets the addresses of the chain on air.
    pub fn set_places(&mut self, places: Arc<Addresses>) {
        self.places = places;
        let is_of_chain = |address: &str| {
            (Tree::split(address).is_some() || address.starts_with("/meter/node/"))
                && (!address.starts_with("/text/meter/") || address.starts_with("/text/meter/node/"))
        };
        self.values.retain(|address, _| !is_of_chain(address));
    }

    /// Sets the addresses of the status.
    pub fn set_status(&mut self, addresses: Arc<[String]>) {
        self.status = addresses;
    }

    /// Receives updates.
    pub fn receive(&mut self, lines: &[Update]) {
        for line in lines {
            let is_state = !line.address.starts_with("/event/") && line.address != "/error";
            if is_state && (line.is_none() || !line.values.is_empty()) {
                let row = line.measured.map(|measured| measured.row);
                self.values.insert(line.address.clone(), Known { values: line.values.clone(), row });
            }
            let is_done = line.values.first() == Some(&Value::Text("done".to_owned()));
            if line.address == "/event/swap" && is_done {
                self.forget_gone_nodes();
            }
        }
    }

    /// During a swap the nodes of the chain before still report. What is no longer on air has no readings.
    fn forget_gone_nodes(&mut self) {
        let places = &self.places;
        let node = |address: &str| {
            let path = address.strip_prefix("/text").unwrap_or(address);
            path.strip_prefix("/meter/node/").and_then(|path| path.split('/').next()).map(str::to_owned)
        };
        let is_there = |id: &str| {
            places.all().iter().any(|place| place.path.split('/').nth(1).is_some_and(|part| part == id))
        };
        self.values.retain(|address, _| node(address).is_none_or(|id| is_there(&id)));
    }

    /// The value behind an address, if there is one and it was sent.
    pub fn value(&self, address: &str) -> Option<&[Value]> {
        self.values.get(address).map(|known| known.values.as_slice()).filter(|values| !values.is_empty())
    }

    /// The answer to HOST_INFO.
    pub fn host_info(host: &Host) -> Json {
        let extensions: Map<String, Json> =
            EXTENSIONS.iter().map(|name| ((*name).to_owned(), Json::Bool(true))).collect();
        let mut info = json!({"NAME": host.name, "EXTENSIONS": extensions, "OSC_TRANSPORT": "UDP"});
        if let Some(osc) = host.osc {
            info["OSC_PORT"] = json!(osc.port());
            if !osc.ip().is_unspecified() {
                info["OSC_IP"] = json!(osc.ip().to_string());
            }
        }
        info
    }

    /// The node at `path`, with all below it; or one `attribute` of it.
    ///
    /// # Errors
    /// The HTTP status that says why there is no answer.
    pub fn answer(&self, path: &str, attribute: Option<&str>) -> Result<Json, NoAnswer> {
        if attribute.is_some_and(|name| !ATTRIBUTES.contains(&name)) {
            return Err(NoAnswer::BadAttribute);
        }
        let mut root = Node::default();
        for (address, leaf) in self.leaves(path) {
            root.insert(address.split('/').filter(|part| !part.is_empty()), leaf);
        }
        let mut node = &root;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            node = node.contents.get(part).ok_or(NoAnswer::NotFound)?;
        }
        let path = if path == "/" { path } else { path.trim_end_matches('/') };
        let json = node.json(path);
        let Some(attribute) = attribute else { return Ok(json) };
        match (json.get(attribute), node.leaf.is_some()) {
            (Some(value), _) => Ok(json!({ attribute: value })),
            (None, true) => Err(NoAnswer::Nothing),
            (None, false) => Ok(json!({})),
        }
    }

    /// The addresses at and below `path`, with their attributes.
    fn leaves(&self, path: &str) -> Vec<(String, Map<String, Json>)> {
        let path = path.trim_end_matches('/');
        let is_wanted = |address: &str| {
            address.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut leaves: BTreeMap<String, Map<String, Json>> = BTreeMap::new();
        for (address, known) in self.values.iter().filter(|(address, _)| is_wanted(address)) {
            let access = if is_meter(address) { READ } else { READ | WRITE };
            let leaf = match known.row {
                Some(row) => of_reading(row, address.starts_with("/text/")),
                None => leaf(&types(&known.values), access, ""),
            };
            leaves.insert(address.clone(), leaf);
        }
        let commands = self.commands(path).into_iter().filter(|(address, _)| is_wanted(address));
        leaves.extend(commands.map(|(address, command)| (address, of_command(command))));
        for place in self.places.all() {
            for tree in place.trees().iter().copied() {
                let address = place.address_in(tree);
                if is_wanted(&address) {
                    leaves.insert(address, of_place(place, tree));
                }
            }
        }
        for (address, leaf) in &mut leaves {
            let is_readable = leaf["ACCESS"].as_u64().is_some_and(|access| access & u64::from(READ) != 0);
            if let Some(values) = self.value(address).filter(|_| is_readable) {
                leaf.insert("TYPE".to_owned(), json!(types(values)));
                leaf.insert("VALUE".to_owned(), values.iter().map(plain).collect());
            }
        }
        leaves.into_iter().collect()
    }

    /// The commands by their addresses. Of a row with a number or a name: the addresses that were sent, those below them,
    /// and the one at `path`.
    fn commands(&self, path: &str) -> BTreeMap<String, &'static Command> {
        let mut found = BTreeMap::new();
        // The chains that there are were sent.
        let is_there = |command: &Command, part: &str| match command.address {
            address if address.contains("/NAME") => false,
            address if address.contains("/KEY") => {
                self.status.iter().any(|known| *known == command.address_with(part))
            }
            address if address.contains("/N") => {
                part.parse().is_ok_and(|number: usize| (1..=MOST_SCENES).contains(&number))
            }
            _ => !part.is_empty(),
        };
        let at_path = commands::find(path).filter(|(command, part)| is_there(command, part));
        let sent =
            self.values.keys().filter_map(|address| Some((address.as_str(), commands::find(address)?)));
        for (address, (command, part)) in sent.chain(at_path.map(|found| (path, found))) {
            found.insert(address.to_owned(), command);
            for other in COMMANDS.iter().filter(|_| !part.is_empty()) {
                if let Some(rest) =
                    other.address.strip_prefix(command.address).filter(|rest| rest.starts_with('/'))
                {
                    found.insert(format!("{address}{rest}"), other);
                }
            }
        }
        // One without a word that stands for others.
        let is_plain = |command: &&Command| command.address_with("-") == command.address;
        found.extend(COMMANDS.iter().filter(is_plain).map(|command| (command.address.to_owned(), command)));
        found
    }
}

/// The attributes of a command.
fn of_command(command: &Command) -> Map<String, Json> {
    let is_norm = command.address.starts_with("/norm/");
    let takes: String = command.arguments.iter().map(Argument::tag).collect();
    // A read-only command that takes arguments has an answer, and no value.
    let is_value = command.nature.bare() == Bare::Reads && (command.nature.is_set() || takes.is_empty());
    let is_sent = command.nature.is_set() || !takes.is_empty();
    let tags = match (command.reads, takes.as_str()) {
        ("", "") if command.nature != Nature::Reading => "N",
        ("", takes) => takes,
        (reads, _) => reads,
    };
    let access = if is_value { READ } else { 0 } | if is_sent { WRITE } else { 0 };
    let mut leaf = leaf(tags, access, command.help);
    if tags.is_empty() {
        leaf.remove("TYPE");
    }
    let range = |argument: &Argument| match (argument.limits(), argument.choices()) {
        _ if is_norm => json!({"MIN": 0.0, "MAX": 1.0}),
        (Some((min, max)), _) if max.is_finite() => json!({"MIN": min, "MAX": max}),
        (Some((min, _)), _) => json!({"MIN": min}),
        (None, []) => Json::Null,
        (None, choices) => json!({"VALS": choices}),
    };
    let ranges: Vec<Json> = command.arguments.iter().map(range).collect();
    if ranges.iter().any(|range| !range.is_null()) {
        leaf.insert("RANGE".to_owned(), ranges.into());
    }
    leaf
}

fn leaf(tags: &str, access: u8, help: &str) -> Map<String, Json> {
    let mut leaf = Map::new();
    leaf.insert("TYPE".to_owned(), json!(tags));
    leaf.insert("ACCESS".to_owned(), json!(access));
    if !help.is_empty() {
        leaf.insert("DESCRIPTION".to_owned(), json!(help));
    }
    leaf
}

fn of_place(place: &Place, tree: Tree) -> Map<String, Json> {
    let row = &place.row;
    let tags = match (tree, row.unit) {
        (Tree::Norm, _) => "f",
        (Tree::Node, Unit::Switch) => "T",
        (Tree::Text, _) | (_, Unit::Choice(_) | Unit::Text(_)) => "s",
        _ => "f",
    };
    let mut leaf = leaf(tags, READ | WRITE, row.help);
    let range = match (tree, row.unit) {
        (Tree::Norm, _) => json!([{"MIN": 0.0, "MAX": 1.0}]),
        (Tree::Text, _) | (_, Unit::Switch | Unit::Text(_)) => Json::Null,
        (_, Unit::Choice(names)) => json!([{"VALS": names}]),
        _ => json!([{"MIN": row.min, "MAX": row.max}]),
    };
    if !range.is_null() {
        leaf.insert("RANGE".to_owned(), range);
    }
    if tags == "f" {
        leaf.insert("CLIPMODE".to_owned(), json!(["both"]));
    }
    let unit = unit(row.unit);
    if tree == Tree::Node && !unit.is_empty() {
        leaf.insert("UNIT".to_owned(), json!([unit]));
    }
    leaf
}

/// How OSCQuery writes a unit.
fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Gain | Unit::Db | Unit::Dbfs | Unit::Dbtp => "gain.db-raw",
        Unit::Hz => "time.hz",
        Unit::Ms => "time.ms",
        Unit::Degrees => "angle.degree",
        unit => unit.symbol(),
    }
}

/// A reading, with its row's unit and help.
fn of_reading(row: &Reading, is_text: bool) -> Map<String, Json> {
    let count = match row.shape {
        Shape::Number => 1,
        Shape::Array(most) => most,
    };
    let tags = if is_text { "s".to_owned() } else { "f".repeat(count) };
    let mut leaf = leaf(&tags, READ, row.help);
    let unit = unit(row.unit);
    if !is_text && !unit.is_empty() {
        leaf.insert("UNIT".to_owned(), vec![unit; count].into());
    }
    leaf
}

fn types(values: &[Value]) -> String {
    let tag = |value: &Value| match value {
        Value::Number(_) => 'f',
        Value::Switch(true) => 'T',
        Value::Switch(false) => 'F',
        Value::Text(_) => 's',
    };
    values.iter().map(tag).collect()
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Number(number) => json!(number),
        Value::Switch(on) => json!(on),
        Value::Text(text) => json!(text),
    }
}

#[derive(Default)]
struct Node {
    leaf: Option<Map<String, Json>>,
    contents: BTreeMap<String, Node>,
}

impl Node {
    fn insert<'a>(&mut self, mut path: impl Iterator<Item = &'a str>, leaf: Map<String, Json>) {
        match path.next() {
            Some(part) => self.contents.entry(part.to_owned()).or_default().insert(path, leaf),
            None => self.leaf = Some(leaf),
        }
    }

    fn json(&self, path: &str) -> Json {
        let mut json = self.leaf.clone().unwrap_or_default();
        json.insert("FULL_PATH".to_owned(), json!(path));
        if self.leaf.is_none() {
            json.insert("ACCESS".to_owned(), json!(0));
        }
        if !self.contents.is_empty() || self.leaf.is_none() {
            let below = |(name, node): (&String, &Node)| {
                (name.clone(), node.json(&format!("{}/{name}", path.trim_end_matches('/'))))
            };
            json.insert("CONTENTS".to_owned(), Json::Object(self.contents.iter().map(below).collect()));
        }
        Json::Object(json)
    }
}
