//! A TouchOSC layout as a tree, and the file it becomes: XML in a zlib stream.
//!
//! The form is that of TouchOSC 1.x files (`lexml` 5), as its editor writes them.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::fmt::Write as _;
use std::io::{self, Write};

/// A colour: red, green, blue, opacity, each 0 to 1.
pub(super) type Colour = [f64; 4];

/// Left, top, width, height, within the parent.
pub(super) type Frame = [i32; 4];

/// One control.
#[derive(Clone, Debug)]
pub(super) struct Node {
    kind: &'static str,
    name: String,
    frame: Frame,
    properties: Vec<(char, &'static str, String)>,
    values: Vec<(&'static str, String)>,
    messages: Vec<Osc>,
    children: Vec<Node>,
}

/// The messages that a control sends and receives.
#[derive(Clone, Debug)]
struct Osc {
    address: String,
    sends: bool,
    receives: bool,
    /// Which value sends it, and when: `ANY`, or `RISE` for presses.
    trigger: (&'static str, &'static str),
    argument: Argument,
}

#[derive(Clone, Debug)]
enum Argument {
    /// The value `x`, spread over these ends.
    Number(f64, f64),
    /// The value `text`.
    Text,
}

impl Node {
    /// A control of this kind, named as it is found in scripts.
    pub(super) fn new(kind: &'static str, name: &str, frame: Frame) -> Self {
        let node = Self {
            kind,
            name: name.to_owned(),
            frame,
            properties: Vec::new(),
            values: vec![("touch", "false".to_owned())],
            messages: Vec::new(),
            children: Vec::new(),
        };
        // The editor writes 2, a circle, for what is round.
        let shape = if kind == "RADIAL" { 2 } else { 1 };
        node.int("shape", shape)
            .int("orientation", 0)
            .int("pointerPriority", 0)
            .flag("locked", false)
            .flag("visible", true)
    }

    /// A switch.
    pub(super) fn flag(self, key: &'static str, on: bool) -> Self {
        self.property('b', key, u8::from(on).to_string())
    }

    /// A whole number.
    pub(super) fn int(self, key: &'static str, number: i32) -> Self {
        self.property('i', key, number.to_string())
    }

    /// A number.
    pub(super) fn number(self, key: &'static str, number: f64) -> Self {
        self.property('f', key, number.to_string())
    }

    /// A text.
    pub(super) fn text(self, key: &'static str, text: &str) -> Self {
        self.property('s', key, cdata(text))
    }

    /// A colour.
    pub(super) fn colour(self, key: &'static str, [r, g, b, a]: Colour) -> Self {
        self.property('c', key, format!("<r>{r}</r><g>{g}</g><b>{b}</b><a>{a}</a>"))
    }

    fn property(mut self, kind: char, key: &'static str, value: String) -> Self {
        self.properties.retain(|(_, known, _)| *known != key);
        self.properties.push((kind, key, value));
        self
    }

    /// A value and what it is at first.
    pub(super) fn value(mut self, key: &'static str, default: impl ToString) -> Self {
        self.values.push((key, default.to_string()));
        self
    }

    /// Sends and receives `x` as 0 to 1 at an address.
    pub(super) fn moves(self, address: &str) -> Self {
        self.osc(address, (true, true), ("x", "ANY"), Argument::Number(0.0, 1.0))
    }

    /// Sends 1 at an address when it is pressed.
    pub(super) fn triggers(self, address: &str) -> Self {
        self.osc(address, (true, false), ("x", "RISE"), Argument::Number(0.0, 1.0))
    }

    /// Receives a number at an address, `low` at its bottom and `high` at its top.
    pub(super) fn shows(self, address: &str, low: f64, high: f64) -> Self {
        self.osc(address, (false, true), ("x", "ANY"), Argument::Number(low, high))
    }

    /// Receives a text at an address.
    pub(super) fn reads(self, address: &str) -> Self {
        self.osc(address, (false, true), ("text", "ANY"), Argument::Text)
    }

    fn osc(
        mut self,
        address: &str,
        (sends, receives): (bool, bool),
        trigger: (&'static str, &'static str),
        argument: Argument,
    ) -> Self {
        self.messages.push(Osc { address: address.to_owned(), sends, receives, trigger, argument });
        self
    }

    /// With these inside.
    pub(super) fn with(mut self, children: impl IntoIterator<Item = Node>) -> Self {
        self.children.extend(children);
        self
    }

    /// The whole layout as XML.
    pub(super) fn xml(&self) -> String {
        let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><lexml version='5'>".to_owned();
        self.write(&mut xml, "");
        xml + "</lexml>"
    }

    fn write(&self, xml: &mut String, path: &str) {
        let path = format!("{path}/{}@{},{}", self.name, self.frame[0], self.frame[1]);
        // Writing to a string does not fail.
        _ = write!(xml, "<node ID='{}' type='{}'><properties>", id(&path, self.kind), self.kind);
        let [x, y, w, h] = self.frame;
        let frame = format!("<x>{x}</x><y>{y}</y><w>{w}</w><h>{h}</h>");
        let own = [('r', "frame", frame), ('s', "name", cdata(&self.name))];
        let mut properties: Vec<_> = self.properties.iter().chain(&own).collect();
        properties.sort_by_key(|(_, key, _)| *key);
        for (kind, key, value) in properties {
            _ = write!(
                xml,
                "<property type='{kind}'><key>{}</key><value>{value}</value></property>",
                cdata(key)
            );
        }
        *xml += "</properties><values>";
        for (key, default) in &self.values {
            // A label keeps its text; all else starts at its default.
            let keeps = u8::from(*key == "text");
            _ = write!(
                xml,
                "<value><key>{}</key><locked>0</locked><lockedDefaultCurrent>{keeps}</lockedDefaultCurrent>\
                 <default>{}</default><defaultPull>0</defaultPull></value>",
                cdata(key),
                cdata(default)
            );
        }
        *xml += "</values>";
        if !self.messages.is_empty() {
            *xml += "<messages>";
            self.messages.iter().for_each(|message| message.write(xml));
            *xml += "</messages>";
        }
        *xml += "<children>";
        for child in &self.children {
            child.write(xml, &path);
        }
        *xml += "</children></node>";
    }

    /// The whole layout as a file.
    ///
    /// # Errors
    /// Only where there is no memory.
    pub(super) fn file(&self) -> io::Result<Vec<u8>> {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(self.xml().as_bytes())?;
        zlib.finish()
    }
}

impl Osc {
    fn write(&self, xml: &mut String) {
        let flag = u8::from;
        let partial = |kind: &str, conversion: &str, value: &str, ends: (f64, f64)| {
            format!(
                "<partial><type>{kind}</type><conversion>{conversion}</conversion><value>{}</value>\
                 <scaleMin>{}</scaleMin><scaleMax>{}</scaleMax></partial>",
                cdata(value),
                ends.0,
                ends.1
            )
        };
        let path = partial("CONSTANT", "STRING", &self.address, (0.0, 1.0));
        let argument = match self.argument {
            Argument::Number(low, high) => partial("VALUE", "FLOAT", "x", (low, high)),
            Argument::Text => partial("VALUE", "STRING", "text", (0.0, 1.0)),
        };
        _ = write!(
            xml,
            "<osc><enabled>1</enabled><send>{}</send><receive>{}</receive><feedback>0</feedback>\
             <noDuplicates>0</noDuplicates><connections>1111111111</connections><triggers><trigger>\
             <var>{}</var><condition>{}</condition></trigger></triggers><path>{path}</path>\
             <arguments>{argument}</arguments></osc>",
            flag(self.sends),
            flag(self.receives),
            cdata(self.trigger.0),
            self.trigger.1
        );
    }
}

/// A text that may hold anything.
fn cdata(text: &str) -> String {
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"))
}

/// An identifier that is the same whenever the same layout is written (FNV-1a, twice).
fn id(path: &str, kind: &str) -> String {
    let hash = |seed: u64| {
        path.bytes()
            .chain(kind.bytes())
            .fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3))
    };
    let (high, low) = (hash(0xCBF2_9CE4_8422_2325), hash(0x8422_2325_CBF2_9CE4));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFF,
        0x8000 | ((low >> 48) & 0x3FFF),
        low & 0xFFFF_FFFF_FFFF
    )
}
