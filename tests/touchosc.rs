//! TouchOSC layouts: read back, played against the real daemon, and beside the ones that are shipped.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::address::commands::{self, Bare};
use lacquer_control::address::{Addresses, Tree};
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_graph::plan::Plan;
use lacquer_graph::reading::NO_READING;
use lacquer_tests::daemon::{Daemon, Folder, eventually, free_port, lacquer, root};
use lacquer_tests::tosc::{Control, draw, read, xml};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The stations that are shipped.
const STATIONS: [&str; 3] = ["demo", "jack", "voice-over"];

fn write(station: &Path, output: &Path) -> Control {
    let out = lacquer(&["touchosc", station.to_str().unwrap(), "--force", "-o", output.to_str().unwrap()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    read(output)
}

fn station(name: &str) -> PathBuf {
    root().join(format!("configs/{name}.yaml"))
}

#[test]
fn the_shipped_layouts_and_their_pictures_are_those_of_the_shipped_stations() {
    let folder = Folder::new("toscfiles");
    for name in STATIONS {
        let new = folder.at("new.tosc");
        let layout = write(&station(name), &new);
        let shipped = root().join(format!("configs/touchosc/{name}.tosc"));
        let picture = root().join(format!("configs/touchosc/{name}.svg"));
        if std::env::var_os("LACQUER_APPROVE").is_some() {
            fs::create_dir_all(shipped.parent().unwrap()).unwrap();
            fs::copy(&new, &shipped).unwrap();
            fs::write(&picture, draw(&layout)).unwrap();
        }
        assert!(xml(&new) == xml(&shipped), "{name}.tosc is old: make golden");
        assert!(draw(&layout) == fs::read_to_string(&picture).unwrap(), "{name}.svg is old: make golden");
    }
}

#[test]
fn a_layout_that_is_there_stays_and_what_is_read_stays_for_ever() {
    let folder = Folder::new("toscforce");
    let station = folder.write("s.yaml", "name: S\naudio: {backend: none}\nchains: [c.yaml]\n");
    let chain = folder.write("c.yaml", "nodes: [gain]\n");
    let output = folder.write("x.tosc", "precious");
    let link = folder.at("link.tosc");
    std::os::unix::fs::symlink("x.tosc", &link).unwrap();
    let run = |force: &[&str], output: &Path| {
        let args = ["touchosc", station.to_str().unwrap(), "-o", output.to_str().unwrap()];
        let out = lacquer(&[&args, force].concat());
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, said) = run(&[], &output);
    assert!(code == Some(2) && said.starts_with(&format!("{}: exists; ", output.display())), "{said}");
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    for read in [&station, &chain] {
        let before = fs::read(read).unwrap();
        let (code, said) = run(&["--force"], read);
        assert!(code == Some(2) && said.contains("the output is also an input, which"), "{said}");
        assert!(fs::read(read).unwrap() == before);
    }
    assert_eq!(run(&["--force"], &link), (Some(0), String::new()));
    assert!(link.symlink_metadata().unwrap().file_type().is_symlink());
    read(&output);
    assert_eq!(run(&[], &folder.at("none/x.tosc")).0, Some(3));
    // A device or a pipe is written to, not replaced.
    assert_eq!(run(&[], Path::new("/dev/null")), (Some(0), String::new()));
    let into = folder.at("piped.tosc");
    let shell = Command::new("sh")
        .arg("-c")
        .arg(r#""$0" touchosc "$1" -o /dev/stdout >"$2""#)
        .args([lacquer_tests::daemon::binary(), station.clone(), into.clone()])
        .status();
    assert!(shell.unwrap().success());
    assert!(xml(&into) == xml(&output));
}

/// All controls with their places on the screen, and the pages that they are on.
fn placed<'a>(
    control: &'a Control,
    [x, y]: [i32; 2],
    page: &str,
    all: &mut Vec<(&'a Control, [i32; 4], String)>,
) {
    let [left, top, w, h] = control.frame;
    let at = [x + left, y + top];
    all.push((control, [at[0], at[1], w, h], page.to_owned()));
    for (number, child) in control.children.iter().enumerate() {
        let page = if control.kind == "PAGER" {
            format!("{page}/{}{number}", control.name())
        } else {
            page.to_owned()
        };
        placed(child, at, &page, all);
    }
}

#[test]
fn everything_has_its_place_and_is_large_enough_for_a_finger() {
    let folder = Folder::new("toscplaces");
    // All ready chains, and one with as many bands as there can be.
    let bands: String = (0..24).map(|_| "{freq: 1 kHz}, ").collect();
    folder.write("bands.yaml", &format!("nodes: [{{eq: {{id: tone, bands: [{bands}]}}}}]"));
    let chains = fs::read_dir(root().join("configs/chains")).unwrap().map(|entry| entry.unwrap().path());
    let mut chains: Vec<String> = chains.map(|path| path.display().to_string()).collect();
    chains.retain(|path| !path.ends_with("voice-over.yaml"));
    chains.push("bands.yaml".to_owned());
    chains.sort();
    let yaml = format!("name: All\naudio: {{backend: none}}\nchains: [{}]\n", chains.join(", "));
    let all = folder.write("all.yaml", &yaml);
    let stations = STATIONS.map(station).into_iter().chain([all]);
    for path in stations {
        let layout = write(&path, &folder.at("x.tosc"));
        let mut controls = Vec::new();
        placed(&layout, [0, 0], "", &mut controls);
        let ids: HashSet<&str> = controls.iter().map(|(control, ..)| control.id.as_str()).collect();
        assert_eq!(ids.len(), controls.len(), "every control has an id of its own");
        for control in layout.all() {
            let [_, _, w, h] = control.frame;
            for child in &control.children {
                let [x, y, cw, ch] = child.frame;
                let is_inside = x >= 0 && y >= 0 && cw > 0 && ch > 0 && x + cw <= w && y + ch <= h;
                assert!(
                    is_inside,
                    "{}: {} of {:?} in {:?}",
                    path.display(),
                    child.name(),
                    child.frame,
                    control.frame
                );
            }
        }
        let touched: Vec<_> = controls
            .iter()
            .filter(|(control, ..)| control.messages.iter().any(|message| message.sends))
            .collect();
        for (at, (control, [x, y, w, h], page)) in touched.iter().enumerate() {
            assert!(*w >= 44 && *h >= 44, "{}: {} is {w} by {h}", path.display(), control.name());
            for (other, [ox, oy, ow, oh], _) in touched[..at].iter().filter(|(.., other)| other == page) {
                let apart = x + w <= *ox || ox + ow <= *x || y + h <= *oy || oy + oh <= *y;
                assert!(apart, "{}: {} lies over {}", path.display(), control.name(), other.name());
            }
        }
    }
}

#[test]
fn every_reading_has_a_bar_over_its_own_scale_and_its_unit_in_the_label() {
    let folder = Folder::new("toscreadings");
    let nodes =
        "nodes: [{declick: {id: click}}, {dehum: {id: hum}}, {denoise: {id: hiss}}, {leveler: {id: lev}}]";
    folder.write("a.yaml", nodes);
    let all = folder.write("all.yaml", "name: All\naudio: {backend: null}\nchains: [a.yaml]\n");
    let layout = write(&all, &folder.at("x.tosc"));
    let loaded = lacquer::station::load::station(&all, None).unwrap();
    let plan = Plan::new(&loaded.chains[0].0.spec, &loaded.station.audio.io, 48_000.0).unwrap();
    for (node, row) in
        plan.nodes.iter().flat_map(|node| node.node_type.readings.iter().map(move |row| (node, row)))
    {
        let [text, number] = Update::reading(&format!("node/{}/{}", node.id, row.name), row, Some(0.0));
        let message = layout.all().into_iter().filter(|control| control.takes(&number));
        let ends: Vec<[f64; 2]> = message.map(|control| control.messages[0].ends).collect();
        assert!(
            !ends.is_empty() && ends.iter().all(|ends| *ends == row.scale),
            "{}: {ends:?}",
            number.address
        );
        assert!(layout.all().iter().any(|control| control.takes(&text)), "{}", text.address);
    }
}

#[test]
fn every_parameter_of_every_chain_has_its_control_and_its_label() {
    let folder = Folder::new("toscall");
    for name in STATIONS {
        let loaded = lacquer::station::load::station(&station(name), None).unwrap();
        let layout = write(&station(name), &folder.at("x.tosc"));
        let controls = layout.all();
        for (chain, _) in &loaded.chains {
            let plan = Plan::new(&chain.spec, &loaded.station.audio.io, 48_000.0).unwrap();
            for place in Addresses::of(&plan).all().iter().filter(|place| !place.row.is_setting) {
                let sends = |control: &&&Control| {
                    control.messages.iter().any(|message| {
                        message.sends && message.receives && message.address == place.norm_address()
                    })
                };
                let control =
                    controls.iter().find(sends).unwrap_or_else(|| panic!("no control of {}", place.path));
                if place.row.name != "enabled" {
                    let label = Update::words(place.text_address(), &["x"]);
                    assert!(
                        controls.iter().any(|control| control.takes(&label)),
                        "no label of {}",
                        place.path
                    );
                }
                if control.kind != "BUTTON" {
                    let default: f64 = control.values["x"].parse().unwrap();
                    assert!((default - place.row.to_norm(place.row.default)).abs() < 1e-9, "{}", place.path);
                    assert!(control.properties["script"].contains(&format!("self.values.x = {default} ")));
                }
            }
        }
    }
}

#[test]
fn the_commands_of_a_layout_are_in_the_table() {
    for name in STATIONS {
        let layout = read(&root().join(format!("configs/touchosc/{name}.tosc")));
        let mut count = 0;
        for message in layout.all().iter().flat_map(|control| &control.messages) {
            let address = &message.address;
            let is_measured = ["/meter/", "/text/meter/"].iter().any(|tree| address.starts_with(tree));
            let is_command = address == "/norm/bypass" || address == "/norm/ab";
            let is_value = Tree::split(address).is_some();
            if is_measured || is_value && !is_command {
                continue;
            }
            let found = commands::find(address);
            let (command, _) = found.unwrap_or_else(|| panic!("{name}: {address} is in no row"));
            assert!(!message.sends || command.nature.is_set(), "{name}: {address} is sent");
            assert!(
                !message.receives || command.nature.bare() == Bare::Reads,
                "{name}: {address} is received"
            );
            count += 1;
        }
        assert!(count > 30, "{name}: {count} commands");
    }
}

/// Moves every control of a layout as TouchOSC would, on every chain, and sees that each message is understood and
/// that every value that is to be shown is told.
#[test]
fn a_player_of_the_layouts_finds_every_address_answered_and_every_label_fed() {
    let folder = Folder::new("player");
    for name in STATIONS {
        let port = free_port();
        let text = fs::read_to_string(station(name)).unwrap();
        // On the null backend, on a port of its own; all else as it is shipped.
        let text = text.replace("chains/", &format!("{}/configs/chains/", root().display()));
        let text: String = text
            .lines()
            .map(|line| match line.trim_start() {
                rest if rest.starts_with("backend:") => "  backend: none\n".to_owned(),
                rest if rest.starts_with("osc:") => {
                    format!("  osc: {{listen: \"127.0.0.1:{port}\", rate: 100000}}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        folder.write("cues.yaml", "cues: [{name: first, scene: '1'}]");
        let path = folder.write(&format!("{name}.yaml"), &format!("{text}cues: cues.yaml\n"));
        let layout = write(&path, &folder.at("x.tosc"));
        let daemon = Daemon::start(&path, port);
        play(name, &layout, &daemon);
    }
}

fn play(name: &str, layout: &Control, daemon: &Daemon) {
    let client = daemon.client();
    let mut fed: BTreeSet<String> = BTreeSet::new();
    let wanted: BTreeMap<String, &Control> = layout
        .all()
        .into_iter()
        .flat_map(|control| control.messages.iter().map(move |message| (control, message)))
        .filter(|(_, message)| message.receives)
        .map(|(control, message)| (message.address.clone(), control))
        .collect();
    let mut errors = Vec::new();
    let mut hear = |lines: Vec<Update>, fed: &mut BTreeSet<String>| {
        for line in lines {
            if line.address == "/error" {
                errors.push(line);
                continue;
            }
            // A bar without a reading is sent nothing; its text says so.
            if let Some(bar) = line.address.strip_prefix("/text").filter(|bar| bar.starts_with("/meter/"))
                && line.values == [Value::Text(NO_READING.to_owned())]
            {
                fed.insert(bar.to_owned());
            }
            if wanted.get(&line.address).is_some_and(|control| control.takes(&line)) {
                fed.insert(line.address);
            }
        }
        std::mem::take(&mut errors)
    };
    // It brings the whole state, and so again what a full socket has lost on a busy machine.
    let subscribe = || client.say("/subscribe", vec![Value::Number(600.0), Value::Text("text".to_owned())]);
    subscribe();
    client.say("/scene/save", vec![Value::Text("1".to_owned())]);
    let chains = client.ask("/chains", vec![]).values;
    for chain in chains {
        let Value::Text(chain) = chain else { continue };
        client.say(&format!("/chain/{chain}"), vec![Value::Number(1.0)]);
        eventually(&format!("{chain} comes"), || {
            (client.ask("/swap", vec![]).values == [Value::Text(chain.clone())]).then_some(())
        });
        let pager = layout.all().into_iter().find(|control| control.name() == "pages").unwrap();
        let page = pager.children.iter().find(|page| page.name() == chain).unwrap();
        for control in page.all() {
            for line in control.moved() {
                client.say(&line.address, line.values);
            }
            let errors = hear(client.hear_for(Duration::from_micros(200)), &mut fed);
            assert!(errors.is_empty(), "{name}, {chain}: {}: {errors:?}", control.name());
        }
        let messages = page.all().into_iter().flat_map(|control| &control.messages);
        let of_page: Vec<&String> =
            messages.filter(|message| message.receives).map(|message| &message.address).collect();
        eventually(&format!("{name}, {chain}: all of its page is told"), || {
            let errors = hear(client.hear_for(Duration::from_millis(300)), &mut fed);
            assert!(errors.is_empty(), "{name}, {chain}: {errors:?}");
            let is_fed = of_page.iter().all(|address| fed.contains(*address));
            is_fed.then_some(()).or_else(|| {
                subscribe();
                None
            })
        });
    }
    // What stands above all pages, and the overview; there is one scene, and what is undone is done again.
    let head = layout.children.iter().filter(|control| control.kind != "PAGER").flat_map(Control::all);
    let pager = layout.children.iter().find(|control| control.kind == "PAGER").unwrap();
    for control in head.chain(pager.children[0].all()) {
        for line in control.moved() {
            client.say(&line.address, line.values);
            let errors = hear(client.hear_for(Duration::from_millis(5)), &mut fed);
            let is_empty_slot = |error: &Update| format!("{error:?}").contains("no scene");
            let errors: Vec<_> = errors.into_iter().filter(|error| !is_empty_slot(error)).collect();
            assert!(errors.is_empty(), "{name}: {}: {errors:?}", control.name());
        }
    }
    for address in wanted.keys() {
        eventually(&format!("{name}: {address} is told"), || {
            if !fed.contains(address) {
                subscribe();
                hear(client.hear_for(Duration::from_millis(200)), &mut fed);
            }
            fed.contains(address).then_some(())
        });
    }
}

#[test]
fn tosclib_reads_the_shipped_layouts() {
    let python = root().join("target/clients/venv/bin/python");
    for name in STATIONS {
        let out = Command::new(&python)
            .arg(root().join("tests/clients/tosc.py"))
            .arg(root().join(format!("configs/touchosc/{name}.tosc")))
            .output()
            .expect("run tests/clients/setup, as make test does");
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        let counted: usize = String::from_utf8_lossy(&out.stdout).trim().parse().unwrap();
        let layout = read(&root().join(format!("configs/touchosc/{name}.tosc")));
        assert_eq!(counted, layout.all().len(), "{name}");
    }
}

#[test]
fn the_scripts_do_in_a_real_lua_what_they_are_for() {
    let folder = Folder::new("toscscripts");
    let file = folder.at("x.tosc");
    let out =
        lacquer(&["touchosc", "configs/demo.yaml", "-o", file.to_str().unwrap(), "--reply-port", "9001"]);
    assert!(out.status.success());
    let python = root().join("target/clients/venv/bin/python");
    let out = Command::new(&python).arg(root().join("tests/clients/scripts.py")).arg(&file).output();
    let out = out.expect("run tests/clients/setup, as make test does");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let told = String::from_utf8_lossy(&out.stdout);
    let layout = read(&file);
    let moved = layout
        .all()
        .into_iter()
        .filter(|control| matches!(control.kind.as_str(), "FADER" | "RADIAL") && control.is_interactive());
    let ask = "'/subscribe 15 text port 9001'";
    assert_eq!(told.trim(), format!("{} [{ask}, {ask}, {ask}, '/token 9001-0123']", moved.count()));
}
