//! A TouchOSC layout for a station: a page a chain, made from the tables of its nodes.

mod nodes;
mod style;
mod tree;

use lacquer_graph::plan::Plan;
use std::io;
use style::{AMBER, BLUE, BRIGHT, DIM, GREEN, GROUND, PANEL, RED, TEAL};
use style::{button, group, label, lamp, meter, page_frame, pager};
use tree::{Frame, Node};

/// Size of the layout: that of a tablet that lies on its side.
const SIZE: [i32; 2] = [1024, 768];
/// Height of the head, above all pages.
const HEAD: i32 = 116;
/// Space between things.
const GAP: i32 = 8;
/// Chains that have a button in the head; the others have theirs on the overview.
const HEAD_CHAINS: usize = 6;
/// Scenes that have buttons.
const SCENES: i32 = 8;
/// Seconds between two renewals of the subscription.
const RENEW: u32 = 5;

/// The layout of a station, its chains planned, as a file.
///
/// # Errors
/// Only where there is no memory.
pub fn layout(station: &str, plans: &[Plan], reply_port: Option<u16>) -> io::Result<Vec<u8>> {
    let [width, height] = SIZE;
    let below = [0, HEAD, width, height - HEAD];
    let page = page_frame(below);
    let mut pages = vec![("overview".to_owned(), overview(page, plans))];
    pages.extend(plans.iter().map(|plan| (plan.name.clone(), nodes::chain(page, plan))));
    let root = group("lacquer", [0, 0, width, height], GROUND)
        .number("cornerRadius", 0.0)
        .text("script", &subscribe(reply_port))
        .with(head(station, plans))
        .with([pager("pages", below, pages)]);
    root.file()
}

/// The script that keeps the subscription alive, and proves that the client is where it says it is.
fn subscribe(reply_port: Option<u16>) -> String {
    let port = reply_port.map_or_else(String::new, |port| format!(", 'port {port}'"));
    let (seconds, millis) = (3 * RENEW, 1_000 * RENEW);
    format!(
        "local due = 0\n\
         function update()\n\
         \x20 local now = getMillis()\n\
         \x20 if now < due then return end\n\
         \x20 due = now + {millis}\n\
         \x20 sendOSC('/subscribe', {seconds}, 'text'{port})\n\
         end\n\
         function onReceiveOSC(message)\n\
         \x20 if message[1] == '/token' then sendOSC('/token', message[2][1].value) end\n\
         end\n"
    )
}

/// `count` frames side by side.
fn row([x, y, w, h]: Frame, count: i32) -> impl Fn(i32) -> Frame {
    let each = (w - GAP * (count - 1)) / count.max(1);
    move |at| [x + at * (each + GAP), y, each, h]
}

fn head(station: &str, plans: &[Plan]) -> Vec<Node> {
    let width = SIZE[0];
    let name = if station.is_empty() { "Lacquer" } else { station };
    let mut nodes = vec![
        label("station", [GAP, GAP, 210, 44], name, 22, BRIGHT).int("textAlignH", 1),
        label("on air", [226, GAP, 190, 44], "", 20, GREEN).int("textAlignH", 1).reads("/swap"),
    ];
    let readings = [
        ("short-term", "/text/meter/output/shortterm"),
        ("integrated", "/text/meter/output/integrated"),
        ("true peak", "/text/meter/output/truepeak"),
    ];
    for (at, (name, address)) in readings.into_iter().enumerate() {
        let left = 424 + at as i32 * 144;
        nodes.push(label(&format!("{name} name"), [left, GAP, 136, 16], name, 12, DIM));
        nodes.push(label(name, [left, GAP + 16, 136, 28], "", 20, BRIGHT).reads(address));
    }
    let bars = [("in", "/meter/input/peak", TEAL), ("out", "/meter/output/peak", GREEN)];
    for (at, (name, address, colour)) in bars.into_iter().enumerate() {
        let top = GAP + at as i32 * 24;
        nodes.push(label(&format!("{name} name"), [864, top, 28, 20], name, 12, DIM));
        // East: from left to right.
        let bar = meter(&format!("{name} peak"), [896, top, 120, 20], colour, false).int("orientation", 1);
        nodes.push(bar.shows(address, -60.0, 0.0));
    }
    let top = GAP + 44 + GAP;
    let chains = plans.iter().take(HEAD_CHAINS).map(|plan| plan.name.as_str());
    let keys: i32 = 5 * (84 + GAP);
    let place = row([GAP, top, width - 2 * GAP - keys, 48], chains.len() as i32);
    for (at, chain) in chains.enumerate() {
        nodes.extend(chain_button(place(at as i32), chain));
    }
    let place = row([width - keys, top, keys - GAP, 48], 5);
    nodes.extend(button("bypass", place(0), "BYPASS", AMBER, true, |node| node.moves("/norm/bypass")));
    nodes.extend(button("ab", place(1), "A / B", BLUE, true, |node| node.moves("/norm/ab")));
    nodes.extend(button("undo", place(2), "UNDO", DIM, false, |node| node.triggers("/undo")));
    nodes.extend(button("redo", place(3), "REDO", DIM, false, |node| node.triggers("/redo")));
    nodes.extend(button("go", place(4), "GO", RED, false, |node| node.triggers("/cue/go")));
    nodes
}

fn chain_button(frame: Frame, chain: &str) -> Vec<Node> {
    let mut nodes = Vec::from(lamp(&format!("chain {chain}"), frame, GREEN, &format!("/chain/{chain}")));
    nodes.push(label(&format!("chain {chain} text"), frame, chain, 14, BRIGHT));
    nodes
}

fn overview(frame: Frame, plans: &[Plan]) -> Node {
    let [_, _, width, height] = frame;
    let mut nodes = Vec::new();
    // Left: the numbers.
    let readings = [
        ("momentary", "momentary"),
        ("short-term", "shortterm"),
        ("integrated", "integrated"),
        ("range", "range"),
        ("true peak max", "truepeak"),
        ("PLR", "plr"),
    ];
    let numbers = [GAP, GAP, 420, 348];
    let mut panel = group("loudness", numbers, PANEL);
    for (at, (name, reading)) in readings.into_iter().enumerate() {
        let (column, line) = (at as i32 % 2, at as i32 / 2);
        let (x, y) = (column * 210 + 8, line * 114 + 10);
        panel = panel.with([
            label(&format!("{name} name"), [x, y, 194, 24], name, 15, DIM),
            label(name, [x, y + 26, 194, 64], "", 34, BRIGHT).reads(&format!("/text/meter/output/{reading}")),
        ]);
    }
    nodes.push(panel);
    // Middle: the bars.
    let bars = [
        ("in peak", "/meter/input/peak", -60.0, 0.0, TEAL),
        ("in loud", "/meter/input/shortterm", -41.0, -5.0, TEAL),
        ("out peak", "/meter/output/peak", -60.0, 0.0, GREEN),
        ("out loud", "/meter/output/shortterm", -41.0, -5.0, GREEN),
        ("true peak", "/meter/output/truepeak", -24.0, 0.0, RED),
    ];
    let mut panel = group("bars", [436, GAP, 290, 348], PANEL);
    for (at, (name, address, low, high, colour)) in bars.into_iter().enumerate() {
        let x = 10 + at as i32 * 55;
        panel = panel.with([
            meter(name, [x, 10, 48, 290], colour, false).shows(address, low, high),
            label(&format!("{name} name"), [x - 3, 304, 54, 18], name, 11, DIM),
            label(&format!("{name} value"), [x - 3, 322, 54, 20], "", 10, BRIGHT)
                .reads(&format!("/text{address}")),
        ]);
    }
    nodes.push(panel);
    // Right: all chains.
    let mut panel = group("chains", [734, GAP, width - 742, 348], PANEL);
    // As many columns as keep the buttons large enough for a finger; what has no place is on its page's tab.
    let most = (348 - GAP) / (44 + GAP);
    let columns = (plans.len() as i32).div_euclid(most + 1).max(1) + i32::from(plans.len() > 3);
    let columns = columns.clamp(1, 5);
    let lines = (plans.len() as i32 + columns - 1).div_euclid(columns).clamp(1, most);
    let each = ((348 - GAP) / lines - GAP).min(64);
    for (at, plan) in plans.iter().take((columns * lines) as usize).enumerate() {
        let (column, line) = (at as i32 % columns, at as i32 / columns);
        let wide = (width - 742 - GAP) / columns - GAP;
        let frame = [GAP + column * (wide + GAP), GAP + line * (each + GAP), wide, each];
        panel = panel.with(chain_button(frame, &plan.name));
    }
    nodes.push(panel);
    // Below: scenes, cues.
    let top = 364;
    let mut panel = group("scenes", [GAP, top, width - 2 * GAP, height - top - GAP], PANEL);
    let inner = width - 4 * GAP;
    let (recall, save) = (row([GAP, 34, inner, 64], SCENES), row([GAP, 104, inner, 44], SCENES));
    panel = panel.with([label("scenes name", [GAP, 6, 200, 22], "scenes", 14, DIM).int("textAlignH", 1)]);
    for slot in 1..=SCENES {
        let at = recall(slot - 1);
        panel = panel.with(lamp(&format!("scene {slot}"), at, BLUE, &format!("/scene/{slot}")));
        panel = panel
            .with([label(&format!("scene {slot} name"), at, "", 14, BRIGHT)
                .reads(&format!("/scene/{slot}/name"))]);
        let send = |node: Node| node.triggers(&format!("/scene/{slot}/save"));
        panel = panel.with(button(
            &format!("save {slot}"),
            save(slot - 1),
            &format!("save {slot}"),
            DIM,
            false,
            send,
        ));
    }
    let cues = row([GAP, 156, inner, height - top - GAP - 156 - GAP], 4);
    for (at, (name, text, address)) in [
        ("previous", "PREVIOUS", "/cue/previous"),
        ("cue go", "GO", "/cue/go"),
        ("next", "NEXT", "/cue/next"),
    ]
    .into_iter()
    .enumerate()
    {
        let colour = if at == 1 { RED } else { DIM };
        panel = panel.with(button(name, cues(at as i32), text, colour, false, |node| node.triggers(address)));
    }
    let [x, y, w, h] = cues(3);
    panel = panel.with([
        label("cue name", [x, y, w, 18], "next cue", 12, DIM),
        label("cue", [x, y + 18, w, h - 18], "", 18, BRIGHT).reads("/cue/name"),
    ]);
    nodes.push(panel);
    group("overview", frame, GROUND).number("cornerRadius", 0.0).with(nodes)
}
