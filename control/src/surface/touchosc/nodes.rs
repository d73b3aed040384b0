//! The page of a chain: a strip for each node, and a page for each with all its parameters.

use super::style::{
    AMBER, BRIGHT, DIM, GREEN, GROUND, PANEL, RED, TEAL, bare_button, button, fader, group, knob, label,
    meter, page_frame, pager,
};
use super::tree::{Frame, Node};
use super::{GAP, row};
use crate::address::{Addresses, Place, Target};
use lacquer_graph::param::Unit;
use lacquer_graph::plan::{Plan, PlanNode};
use lacquer_graph::reading::Reading;

/// The least that a parameter takes: width, height.
const CELL: [i32; 2] = [88, 152];
/// Parts whose main parameters stand beside each other on one page.
const BESIDE: usize = 8;
/// Parts whose parameters stand below each other on one page, a line each.
const BELOW: usize = 3;

/// The page of `plan`.
pub(super) fn chain(frame: Frame, plan: &Plan) -> Node {
    let addresses = Addresses::of(plan);
    let inside = page_frame(frame);
    let inner = [0, 0, frame[2], frame[3]];
    let of = |at: usize| -> Vec<&Place> {
        let is_shown = |place: &&Place| place.target.node() == at && !place.row.is_setting;
        addresses.all().iter().map(|place| &**place).filter(is_shown).collect()
    };
    let mut pages = vec![("strips".to_owned(), strips(inside, plan, &of))];
    for (at, node) in plan.nodes.iter().enumerate() {
        pages.push((node.id.clone(), page(inside, node, &of(at))));
    }
    group(&plan.name, frame, GROUND).number("cornerRadius", 0.0).with([pager(
        &format!("{} nodes", plan.name),
        inner,
        pages,
    )])
}

fn is_enabled(place: &Place) -> bool {
    matches!(place.target, Target::Enabled { .. })
}

/// The main parameter of a node.
fn first<'a>(places: &[&'a Place]) -> Option<&'a Place> {
    // Of an EQ the gain of its first band.
    if let Some(gain) = places.iter().find(|place| place.path.ends_with("/1/gain")) {
        return Some(gain);
    }
    let wanted = ["ceiling", "threshold", "target", "drive", "amount", "width", "gain", "level", "time"];
    let moves = |place: &&&Place| !place.row.is_whole();
    let named =
        wanted.iter().find_map(|name| places.iter().filter(moves).find(|place| place.row.name == *name));
    named.or_else(|| places.iter().find(moves)).copied()
}

fn strips<'a>(frame: Frame, plan: &Plan, of: &impl Fn(usize) -> Vec<&'a Place>) -> Node {
    let [_, _, width, height] = frame;
    let lines = plan.nodes.len().div_ceil(10).max(1) as i32;
    let columns = plan.nodes.len().div_ceil(lines as usize).max(1) as i32;
    let each = ((height - GAP) / lines) - GAP;
    let wide = ((width - 2 * GAP + GAP) / columns - GAP).min(190);
    let strip = |(at, node): (usize, &PlanNode)| {
        let (column, line) = (at as i32 % columns, at as i32 / columns);
        let frame = [GAP + column * (wide + GAP), GAP + line * (each + GAP), wide, each];
        strip(frame, node, &of(at))
    };
    group("strips", frame, GROUND).number("cornerRadius", 0.0).with(plan.nodes.iter().enumerate().map(strip))
}

fn strip([x, y, w, h]: Frame, node: &PlanNode, places: &[&Place]) -> Node {
    let id = &node.id;
    let mut panel = group(&format!("strip {id}"), [x, y, w, h], PANEL)
        .with([label(&format!("{id} name"), [4, 4, w - 8, 22], id, 15, BRIGHT)])
        .with(enabled(id, [4, 28, w - 8, 44], &format!("{id} strip on")));
    let first = first(places);
    let reduction = node.node_type.readings.iter().find(|reading| is_reduction(reading));
    let top = 78;
    let tall = h - top - 60;
    let halves = row([6, top, w - 12, tall], if reduction.is_some() && first.is_some() { 2 } else { 1 });
    let mut at = 0;
    if let Some(place) = first {
        let name = format!("{}: {}", id, place.row.name);
        panel = panel.with(control(place, &format!("strip {name}"), halves(0), true));
        panel = panel.with([
            label(&format!("strip {name} name"), [2, h - 56, w - 4, 18], &words(place.row.name), 12, DIM),
            label(&format!("strip {name} value"), [2, h - 38, w - 4, 30], "", 15, BRIGHT)
                .reads(&place.text_address()),
        ]);
        at = 1;
    }
    if let Some(reading) = reduction {
        let address = format!("/meter/node/{id}/{}", reading.name);
        let [mx, my, mw, mh] = halves(at);
        panel = panel.with([
            bar(&format!("{id} reduction"), [mx, my, mw, mh - 20], reading, &address),
            label(&format!("{id} reduction value"), [mx, my + mh - 18, mw, 18], "", 11, AMBER)
                .reads(&format!("/text{address}")),
        ]);
    }
    panel
}

/// Whether it is a gain reduction: a change of level that grows downwards.
fn is_reduction(reading: &Reading) -> bool {
    reading.unit == Unit::Gain && reading.scale[1] < reading.scale[0]
}

/// A reading as a bar.
fn bar(name: &str, frame: Frame, reading: &Reading, address: &str) -> Node {
    let [empty, full] = reading.scale;
    let colour = match reading.unit {
        _ if is_reduction(reading) => AMBER,
        Unit::Gain | Unit::Db => RED,
        _ => TEAL,
    };
    meter(name, frame, colour, full < empty).shows(address, empty, full)
}

/// The switch that takes a node out of bypass.
fn enabled(id: &str, frame: Frame, name: &str) -> [Node; 2] {
    button(name, frame, "ON", GREEN, true, |node| node.moves(&format!("/norm/{id}/enabled")))
}

fn page(frame: Frame, node: &PlanNode, places: &[&Place]) -> Node {
    let [_, _, width, height] = frame;
    // `/tone/band/1/gain`: what stands between belongs to a part.
    let part = |place: &Place| place.path.split('/').nth(3).and_then(|part| part.parse::<usize>().ok());
    let own: Vec<&Place> =
        places.iter().copied().filter(|place| part(place).is_none() && !is_enabled(place)).collect();
    let count = places.iter().filter_map(|place| part(place)).max().unwrap_or(0);
    let side = 112;
    let area = [side + GAP, 0, width - side - GAP, height];
    let parts = |wanted: usize| -> Vec<&Place> {
        places.iter().copied().filter(|place| part(place) == Some(wanted)).collect()
    };
    let inner = if count == 0 {
        vec![cells("all", area, &own)]
    } else {
        let pages = page_frame(area);
        let mut tabs = Vec::new();
        let names = |from: usize, most: usize| {
            let to = (from + most - 1).min(count);
            if from == to { from.to_string() } else { format!("{from}\u{2013}{to}") }
        };
        let fits = parts(1).len() as i32 <= (area[2] - GAP) / (CELL[0] + GAP);
        for from in (1..=count).step_by(BESIDE) {
            let shown: Vec<_> =
                (from..=count.min(from + BESIDE - 1)).map(|number| (number, parts(number))).collect();
            tabs.push((names(from, BESIDE), beside(pages, &shown)));
        }
        let each = if fits { BELOW } else { 1 };
        for from in (1..=count).step_by(each) {
            let shown: Vec<_> = (from..=count.min(from + each - 1)).flat_map(parts).collect();
            let name = format!("all of {}", names(from, each));
            tabs.push((name.clone(), cells(&name, pages, &shown)));
        }
        if !own.is_empty() {
            tabs.push(("node".to_owned(), cells("node", pages, &own)));
        }
        vec![pager(&format!("{} parts", node.id), area, tabs)]
    };
    group(&node.id, frame, GROUND)
        .number("cornerRadius", 0.0)
        .with([sidebar(node, [0, 0, side, height])])
        .with(inner)
}

/// The main parameters of parts, a column each: one fader, two knobs.
fn beside(frame: Frame, parts: &[(usize, Vec<&Place>)]) -> Node {
    let [_, _, width, height] = frame;
    let columns = row([GAP, GAP, width - 2 * GAP, height - 2 * GAP], BESIDE as i32);
    let column = |(at, (number, places)): (usize, &(usize, Vec<&Place>))| {
        let [x, y, w, h] = columns(at as i32);
        let find = |names: &[&str]| {
            names.iter().find_map(|name| places.iter().find(|place| place.row.name == *name)).copied()
        };
        let knob = (h - 24) / 4;
        let rows = [
            (find(&["gain", "makeup", "threshold"]), 24, h - 24 - 2 * knob),
            (find(&["freq", "threshold"]), h - 2 * knob, knob),
            (find(&["q", "ratio"]), h - knob, knob),
        ];
        let number = number.to_string();
        let panel = group(&format!("part {number}"), [x, y, w, h], PANEL).with([label(
            &format!("part {number} name"),
            [2, 4, w - 4, 20],
            &number,
            14,
            BRIGHT,
        )]);
        rows.into_iter().filter_map(|(place, top, tall)| Some((place?, top, tall))).fold(
            panel,
            |panel, (place, top, tall)| {
                let name = format!("beside {}", place.path);
                panel.with(control(place, &name, [6, top + 2, w - 12, tall - 40], false)).with([
                    label(
                        &format!("{name} name"),
                        [2, top + tall - 38, w - 4, 16],
                        &words(place.row.name),
                        11,
                        DIM,
                    ),
                    label(&format!("{name} value"), [2, top + tall - 22, w - 4, 18], "", 13, BRIGHT)
                        .reads(&place.text_address()),
                ])
            },
        )
    };
    group(&format!("parts {}", parts.first().map_or(0, |(number, _)| *number)), frame, GROUND)
        .number("cornerRadius", 0.0)
        .with(parts.iter().enumerate().map(column))
}

/// Left of a node's parameters: its switch and its readings.
fn sidebar(node: &PlanNode, [x, y, w, h]: Frame) -> Node {
    let id = &node.id;
    let mut panel = group(&format!("{id} side"), [x, y, w, h], PANEL)
        .with([
            label(&format!("{id} side name"), [4, 6, w - 8, 22], id, 16, BRIGHT),
            label(&format!("{id} type"), [4, 28, w - 8, 18], node.node_type.name, 12, DIM),
        ])
        .with(enabled(id, [6, 52, w - 12, 52], &format!("{id} on")));
    let readings = node.node_type.readings;
    let place = row([6, 118, w - 12, h - 168], (readings.len() as i32).max(1));
    for (at, reading) in readings.iter().enumerate() {
        let address = format!("/meter/node/{id}/{}", reading.name);
        let frame = place(at as i32);
        panel = panel.with([bar(&format!("{id} {}", reading.name), frame, reading, &address)]);
        if readings.len() <= 2 {
            let below = [frame[0], h - 46, frame[2], 18];
            panel = panel.with([
                label(&format!("{id} {} value", reading.name), below, "", 12, BRIGHT)
                    .reads(&format!("/text{address}")),
                label(
                    &format!("{id} {} name", reading.name),
                    [frame[0], h - 26, frame[2], 18],
                    reading.name,
                    10,
                    DIM,
                ),
            ]);
        }
    }
    panel
}

/// All parameters of a node, or of one of its parts, in lines.
fn cells(name: &str, frame: Frame, places: &[&Place]) -> Node {
    let [_, _, width, height] = frame;
    let most = (width - GAP) / (CELL[0] + GAP);
    let lines = (places.len() as i32 + most - 1).div_euclid(most).max(1);
    let columns = (places.len() as i32 + lines - 1).div_euclid(lines).max(1);
    let tall = ((height - GAP) / lines - GAP).clamp(CELL[1].min((height - GAP) / lines - GAP), 300);
    let wide = ((width - GAP) / columns - GAP).min(128);
    let cell = |(at, place): (usize, &&Place)| {
        let (column, line) = (at as i32 % columns, at as i32 / columns);
        cell([GAP + column * (wide + GAP), GAP + line * (tall + GAP), wide, tall], place)
    };
    group(name, frame, GROUND).number("cornerRadius", 0.0).with(places.iter().enumerate().map(cell))
}

fn cell([x, y, w, h]: Frame, place: &Place) -> Node {
    let name = &place.path;
    group(&format!("cell {name}"), [x, y, w, h], PANEL)
        .with([label(&format!("{name} name"), [2, 4, w - 4, 20], &words(place.row.name), 13, DIM)])
        .with(control(place, name, [8, 28, w - 16, h - 28 - 32], false))
        .with([label(&format!("{name} value"), [2, h - 28, w - 4, 24], "", 14, BRIGHT)
            .reads(&place.text_address())])
}

/// The control of a parameter: a fader for levels, one with a grid for choices, a button for switches, a knob for all
/// others.
fn control(place: &Place, name: &str, frame: Frame, wants_fader: bool) -> Vec<Node> {
    let row = &place.row;
    let default = row.to_norm(row.default);
    let [x, y, w, h] = frame;
    let address = place.norm_address();
    let moved = match row.unit {
        Unit::Switch => {
            let tall = h.min(64);
            let on = bare_button(name, [x, y + (h - tall) / 2, w, tall], TEAL, true);
            return vec![on.moves(&address)];
        }
        Unit::Choice(names) => {
            let wide = w.min(64);
            fader(name, [x + (w - wide) / 2, y, wide, h], TEAL, default, Some(names.len() as i32))
        }
        Unit::Gain | Unit::Db | Unit::Dbfs | Unit::Dbtp | Unit::Lufs => {
            let wide = w.min(64);
            fader(name, [x + (w - wide) / 2, y, wide, h], GREEN, default, None)
        }
        _ if wants_fader => {
            let wide = w.min(64);
            fader(name, [x + (w - wide) / 2, y, wide, h], TEAL, default, None)
        }
        _ => {
            let size = w.min(h);
            knob(name, [x + (w - size) / 2, y + (h - size) / 2, size, size], TEAL, default)
        }
    };
    vec![moved.moves(&address)]
}

/// A parameter's name with spaces.
fn words(name: &str) -> String {
    name.replace('_', " ")
}
