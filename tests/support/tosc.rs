//! TouchOSC layouts read back from their files, played, and drawn: by other code than what wrote them.

use flate2::read::ZlibDecoder;
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use roxmltree::{Document, Node as Xml};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::Path;

/// A control of a layout.
#[derive(Clone, Debug, Default)]
pub struct Control {
    pub kind: String,
    pub id: String,
    pub frame: [i32; 4],
    pub properties: HashMap<String, String>,
    pub colours: HashMap<String, [f64; 4]>,
    /// The values and their defaults.
    pub values: HashMap<String, String>,
    pub messages: Vec<Message>,
    pub children: Vec<Control>,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub address: String,
    pub sends: bool,
    pub receives: bool,
    /// Which value is told.
    pub value: String,
    pub is_text: bool,
    pub ends: [f64; 2],
    pub condition: String,
}

fn child<'a>(node: Xml<'a, 'a>, name: &str) -> Xml<'a, 'a> {
    node.children().find(|child| child.has_tag_name(name)).unwrap_or_else(|| panic!("no <{name}>"))
}

fn text<'a>(node: Xml<'a, 'a>, name: &str) -> String {
    child(node, name).text().unwrap_or_default().to_owned()
}

fn elements<'a>(node: Xml<'a, 'a>, name: &'static str) -> impl Iterator<Item = Xml<'a, 'a>> {
    node.children().filter(move |child| child.has_tag_name(name))
}

/// The XML of a layout file.
pub fn xml(path: &Path) -> String {
    let mut xml = String::new();
    ZlibDecoder::new(&fs::read(path).unwrap()[..]).read_to_string(&mut xml).unwrap();
    xml
}

/// The root of a layout file.
pub fn read(path: &Path) -> Control {
    let xml = xml(path);
    let document = Document::parse(&xml).unwrap();
    let root = document.root_element();
    assert!(root.has_tag_name("lexml") && root.attribute("version") == Some("5"));
    let nodes: Vec<_> = elements(root, "node").collect();
    assert_eq!(nodes.len(), 1, "one root");
    assert_eq!(nodes[0].attribute("type"), Some("GROUP"));
    control(nodes[0])
}

fn control<'a>(node: Xml<'a, 'a>) -> Control {
    let mut control = Control {
        kind: node.attribute("type").unwrap().to_owned(),
        id: node.attribute("ID").unwrap().to_owned(),
        ..Control::default()
    };
    for property in elements(child(node, "properties"), "property") {
        let (key, value) = (text(property, "key"), child(property, "value"));
        let number = |name: &str| text(value, name).parse::<f64>().unwrap();
        match property.attribute("type").unwrap() {
            "r" => control.frame = ["x", "y", "w", "h"].map(|name| number(name) as i32),
            "c" => _ = control.colours.insert(key, ["r", "g", "b", "a"].map(number)),
            _ => _ = control.properties.insert(key, value.text().unwrap_or_default().to_owned()),
        }
    }
    for value in elements(child(node, "values"), "value") {
        control.values.insert(text(value, "key"), text(value, "default"));
    }
    if let Some(messages) = node.children().find(|child| child.has_tag_name("messages")) {
        control.messages = elements(messages, "osc").map(message).collect();
    }
    control.children = elements(child(node, "children"), "node").map(self::control).collect();
    control
}

fn message<'a>(osc: Xml<'a, 'a>) -> Message {
    let partials = |name| elements(child(osc, name), "partial").collect::<Vec<_>>();
    let (path, arguments) = (partials("path"), partials("arguments"));
    assert_eq!((path.len(), arguments.len()), (1, 1));
    let trigger = child(child(osc, "triggers"), "trigger");
    let number = |name| text(arguments[0], name).parse().unwrap();
    Message {
        address: text(path[0], "value"),
        sends: text(osc, "send") == "1",
        receives: text(osc, "receive") == "1",
        value: text(arguments[0], "value"),
        is_text: text(arguments[0], "conversion") == "STRING",
        ends: [number("scaleMin"), number("scaleMax")],
        condition: text(trigger, "condition"),
    }
}

impl Control {
    /// All controls, this one first.
    pub fn all(&self) -> Vec<&Control> {
        std::iter::once(self).chain(self.children.iter().flat_map(Control::all)).collect()
    }

    pub fn name(&self) -> &str {
        self.properties.get("name").map_or("", String::as_str)
    }

    pub fn is_interactive(&self) -> bool {
        self.properties.get("interactive").is_none_or(|on| on == "1")
    }

    /// What TouchOSC sends when a finger moves this control to its ends and to its middle, or presses it.
    pub fn moved(&self) -> Vec<Update> {
        let mut lines = Vec::new();
        for message in self.messages.iter().filter(|message| message.sends) {
            let places: &[f64] = match (self.kind.as_str(), message.condition.as_str()) {
                ("BUTTON", "RISE") => &[1.0],
                ("BUTTON", _) => &[1.0, 0.0],
                _ => &[0.0, 1.0, 0.5],
            };
            for place in places {
                let [low, high] = message.ends;
                lines.push(Update::new(&message.address, vec![Value::Number(low + place * (high - low))]));
            }
        }
        lines
    }

    /// Whether a line that is told sets a value of this control.
    pub fn takes(&self, line: &Update) -> bool {
        self.messages.iter().any(|message| {
            let fits = match line.values.as_slice() {
                [Value::Number(_)] => !message.is_text,
                [Value::Text(_)] => message.is_text,
                _ => false,
            };
            message.receives && message.address == line.address && fits
        })
    }
}

/// A picture of a layout: every page of its outer pager, and every page within the first of them that has pages itself,
/// beside each other.
pub fn draw(root: &Control) -> String {
    let pager = root.all().into_iter().find(|control| control.kind == "PAGER").unwrap();
    let has_pages = |page: &Control| page.children.iter().any(|child| child.kind == "PAGER");
    let mut views: Vec<(usize, usize)> = (0..pager.children.len()).map(|page| (page, 0)).collect();
    if let Some(page) = pager.children.iter().position(has_pages) {
        let inner = pager.children[page].children.iter().find(|child| child.kind == "PAGER").unwrap();
        views.extend((1..inner.children.len()).map(|inner| (page, inner)));
    }
    let [_, _, w, h] = root.frame;
    let columns = 2;
    let lines = views.len().div_ceil(columns);
    let (gap, mut svg) = (24, String::new());
    let size = [columns as i32 * (w + gap) + gap, lines as i32 * (h + gap) + gap];
    _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" \
         font-family=\"sans-serif\"><rect width=\"{0}\" height=\"{1}\" fill=\"#000\"/>",
        size[0], size[1]
    );
    for (at, view) in views.iter().enumerate() {
        let (x, y) = (gap + (at % columns) as i32 * (w + gap), gap + (at / columns) as i32 * (h + gap));
        _ = write!(svg, "<g transform=\"translate({x} {y})\">");
        paint(root, *view, &mut svg);
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

fn hex(colour: Option<&[f64; 4]>) -> String {
    let [r, g, b, _] = colour.copied().unwrap_or([0.5; 4]).map(|part| (part * 255.0).round() as u8);
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// What a label shows before anything was told: an example of what it will.
fn example(control: &Control) -> String {
    let text = control.values.get("text").cloned().unwrap_or_default();
    let told = control.messages.first().map(|message| message.address.clone()).unwrap_or_default();
    match told.rsplit('/').next().unwrap_or_default() {
        _ if !text.is_empty() || told.is_empty() => text,
        _ if told == "/swap" => "on air".to_owned(),
        "shortterm" | "momentary" | "integrated" => "-14.2 LUFS".to_owned(),
        "range" | "plr" => "6.1 LU".to_owned(),
        "peak" | "truepeak" => "-1.3 dB".to_owned(),
        "name" => String::new(),
        "freq" => "1000 Hz".to_owned(),
        "attack" | "release" | "hold" | "time" | "rms_window" => "30 ms".to_owned(),
        "ratio" => "2:1".to_owned(),
        "q" | "key_q" => "0.7".to_owned(),
        "mix" | "link" | "width" | "width_low" | "width_high" | "balance" => "100 %".to_owned(),
        "key_highpass" | "key_lowpass" | "key_freq" | "low_split" | "high_split" | "mono_below" => {
            "120 Hz".to_owned()
        }
        "enabled" | "swap" | "invert_left" | "invert_right" | "auto_gain" => "true".to_owned(),
        _ => "-3.5 dB".to_owned(),
    }
}

fn paint(control: &Control, view: (usize, usize), svg: &mut String) {
    let [x, y, w, h] = control.frame;
    let colour = hex(control.colours.get("color"));
    let rect = |svg: &mut String, [x, y, w, h]: [f64; 4], fill: &str, opacity: f64, more: &str| {
        _ = write!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"4\" fill=\"{fill}\" fill-opacity=\"{opacity}\" {more}/>"
        );
    };
    let [fx, fy, fw, fh] = [x, y, w, h].map(f64::from);
    let number =
        |key: &str| control.properties.get(key).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let outline = format!("stroke=\"{colour}\"");
    match control.kind.as_str() {
        "GROUP" => rect(svg, [fx, fy, fw, fh], &colour, 1.0, ""),
        "BUTTON" if control.properties["background"] == "0" => {}
        "BUTTON" => rect(svg, [fx, fy, fw, fh], &colour, 0.25, &outline),
        "FADER" => {
            rect(svg, [fx, fy, fw, fh], &colour, 0.12, &outline);
            let is_meter = !control.is_interactive();
            let at = if is_meter { 0.6 } else { control.values["x"].parse::<f64>().unwrap() };
            let bar = match (number("orientation") as i32, is_meter) {
                (1, _) => [fx, fy, fw * at, fh],
                (2, _) => [fx, fy, fw, fh * 0.25],
                _ => [fx, fy + fh * (1.0 - at), fw, fh * at],
            };
            rect(svg, bar, &colour, 0.6, "");
        }
        "RADIAL" => {
            let at = control.values["x"].parse::<f64>().unwrap();
            let (cx, cy, r) = (fx + fw / 2.0, fy + fh / 2.0, fw.min(fh) / 2.0 - 4.0);
            let point = |at: f64| {
                let angle = (135.0 + 270.0 * at).to_radians();
                (cx + r * angle.cos(), cy + r * angle.sin())
            };
            let ((x0, y0), (x1, y1), (x2, y2)) = (point(0.0), point(1.0), point(at));
            let arc = |svg: &mut String, x: f64, y: f64, large: u8, opacity: f64| {
                _ = write!(
                    svg,
                    "<path d=\"M{x0:.1} {y0:.1} A{r:.1} {r:.1} 0 {large} 1 {x:.1} {y:.1}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"8\" stroke-opacity=\"{opacity}\"/>"
                );
            };
            arc(svg, x1, y1, 1, 0.2);
            arc(svg, x2, y2, u8::from(at > 2.0 / 3.0), 0.9);
        }
        "LABEL" => {
            let (size, fill) = (number("textSize"), hex(control.colours.get("textColor")));
            let (tx, anchor) = match number("textAlignH") as i32 {
                1 => (fx + 2.0, "start"),
                3 => (fx + fw - 2.0, "end"),
                _ => (fx + fw / 2.0, "middle"),
            };
            let text = escaped(&example(control));
            _ = write!(
                svg,
                "<text x=\"{tx}\" y=\"{}\" font-size=\"{size}\" fill=\"{fill}\" text-anchor=\"{anchor}\">{text}</text>",
                fy + fh / 2.0 + size * 0.35
            );
        }
        _ => {}
    }
    _ = write!(svg, "<g transform=\"translate({x} {y})\">");
    if control.kind == "PAGER" {
        let is_outer =
            control.children.iter().any(|page| page.children.iter().any(|child| child.kind == "PAGER"))
                && control.name() == "pages";
        let chosen = if is_outer { view.0 } else { view.1.min(control.children.len() - 1) };
        // Within a page of the inner pager the first one is shown.
        let below = if is_outer { view } else { (view.0, 0) };
        let (count, bar) = (control.children.len() as f64, number("tabbarSize"));
        for (at, page) in control.children.iter().enumerate() {
            let key = if at == chosen { "On" } else { "Off" };
            let (tab, ink) =
                (page.colours.get(&format!("tabColor{key}")), page.colours.get(&format!("textColor{key}")));
            let wide = fw / count;
            rect(svg, [at as f64 * wide + 1.0, 0.0, wide - 2.0, bar - 2.0], &hex(tab), 1.0, "");
            _ = write!(
                svg,
                "<text x=\"{}\" y=\"{}\" font-size=\"14\" fill=\"{}\" text-anchor=\"middle\">{}</text>",
                (at as f64 + 0.5) * wide,
                bar / 2.0 + 5.0,
                hex(ink),
                escaped(&page.properties["tabLabel"])
            );
        }
        paint(&control.children[chosen], below, svg);
    } else {
        control.children.iter().for_each(|child| paint(child, view, svg));
    }
    *svg += "</g>";
}
