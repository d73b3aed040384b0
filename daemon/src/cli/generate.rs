//! Manual pages and shell completions for packages, made from the command line's definition and the tables.

use super::{Cli, Outcome, complain, nodes};
use crate::process::named::shown;
use crate::process::os_error::plain;
use crate::station::schema;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::roff::{Roff, bold, roman};
use lacquer_control::address::commands::COMMANDS;
use lacquer_graph::nodes::CATALOGUE;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// Writes `man1/` (the commands), `man5/` (the files) and the completions of three shells under `folder`.
pub(super) fn run(folder: &Path) -> Outcome {
    match write(folder) {
        Ok(()) => Outcome::Done,
        Err(error) => complain(&format!("{}: {}", shown(folder), plain(&error)), Outcome::Refused),
    }
}

fn write(folder: &Path) -> io::Result<()> {
    let (commands, files) = (folder.join("man1"), folder.join("man5"));
    fs::create_dir_all(&commands)?;
    // The page lists the addresses in a section of its own.
    let cli = Cli::command().mut_subcommand("ctl", |ctl| ctl.after_long_help(None::<&str>));
    clap_mangen::generate_to(cli, &commands)?;
    let page = fs::read_to_string(commands.join("lacquer-ctl.1"))?;
    fs::write(commands.join("lacquer-ctl.1"), page + &addresses().render())?;
    fs::create_dir_all(&files)?;
    for (name, page) in [("station", station()), ("chain", chain()), ("map", map()), ("cues", cues())] {
        fs::write(files.join(format!("lacquer-{name}.5")), page.render())?;
    }
    let completions = folder.join("completions");
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "lacquer", &completions)?;
    }
    Ok(())
}

/// The section that lists every command.
fn addresses() -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["ADDRESSES"]);
    page.text([roman(
        "Besides the values of nodes (/node/ID/PARAMETER in their own units, /norm/... along their tapers, /text/... as \
         text) a station understands these. An address that stands alone reads where an argument is in brackets and \
         there is something to read.",
    )]);
    for command in &COMMANDS {
        page.control("TP", []);
        page.text([bold(command.usage())]);
        page.text([roman(command.help), roman(format!(" Example: {}", command.example))]);
    }
    page
}

fn station() -> Roff {
    let mut page = begin("lacquer-station", "the station file of lacquer");
    page.text([roman(
        "A station is one YAML file: its audio, its chains, and who may control it. A number is in the unit given; a text \
         may name another unit.",
    )]);
    page.control("SH", ["KEYS"]);
    keys(&mut page, &schema::station(), "", &mut BTreeSet::new());
    end(page, "lacquer-chain(5), lacquer-map(5), lacquer-cues(5)")
}

fn map() -> Roff {
    let mut page = begin("lacquer-map", "the MIDI map of lacquer");
    page.text([roman(
        "A MIDI map is one YAML file: the ports of a controller, and the address that each of its controls sets. lacquer \
         ctl learn adds controls to it.",
    )]);
    page.control("SH", ["KEYS"]);
    keys(&mut page, &schema::map(), "", &mut BTreeSet::new());
    end(page, "lacquer-station(5)")
}

fn cues() -> Roff {
    let mut page = begin("lacquer-cues", "the cue list of lacquer");
    page.text([roman(
        "A cue list is one YAML file: chains and scenes to run one after the other, manually or at a time of day.",
    )]);
    page.control("SH", ["KEYS"]);
    keys(&mut page, &schema::cues(), "", &mut BTreeSet::new());
    end(page, "lacquer-station(5)")
}

fn chain() -> Roff {
    let mut page = begin("lacquer-chain", "the chain file of lacquer");
    page.text([roman(
        "A chain is one YAML file: nodes, in the order of the signal. Each is the name of its type, with its parameters. \
         Every node also has the keys id, enabled and, except for sources, in.",
    )]);
    page.control("SH", ["NODES"]);
    for node_type in CATALOGUE {
        page.control("SS", [node_type.name]);
        page.control("nf", []);
        for line in nodes::page(node_type).lines() {
            page.text([roman(line)]);
        }
        page.control("fi", []);
    }
    page.control("SH", ["IMPULSES"]);
    page.text([roman(
        "An impulse is named by a path, relative to the chain file: an audio file (WAV, FLAC, AIFF and what else lacquer \
         render reads), or the coefficients of an FIR filter, as text (.txt .csv .coef .fir; one frame per line, comments \
         and REW's header ignored) or as raw little-endian numbers of 32 bits (.raw .f32) or 64 bits (.f64 .dbl). It has \
         1, 2 or 4 channels and at most 10 s. An impulse of another sample rate is resampled; coefficients have the \
         chain's sample rate unless a text states another. Over OSC only paths below the chain file's folder are accepted.",
    )]);
    end(page, "lacquer-station(5)")
}

fn begin(name: &str, what: &str) -> Roff {
    let mut page = Roff::new();
    page.control("TH", [name, "5", "", "lacquer"]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - {what}"))]);
    page.control("SH", ["DESCRIPTION"]);
    page
}

fn end(mut page: Roff, other: &str) -> Roff {
    page.control("SH", ["SEE ALSO"]);
    page.text([roman(format!("lacquer(1), lacquer-check(1), lacquer-schema(1), lacquer-nodes(1), {other}"))]);
    page
}

/// The keys of a schema, with those inside them: `audio.none.rate`.
fn keys(page: &mut Roff, schema: &Value, above: &str, named: &mut BTreeSet<String>) {
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, inner) in properties.filter(|(_, inner)| inner["deprecated"].is_null()) {
        let path = format!("{above}{name}");
        // A single item may be written without the list: its keys are listed once.
        if named.insert(path.clone()) {
            page.control("TP", []);
            page.text([bold(path.as_str())]);
            page.text([roman(inner["description"].as_str().unwrap_or_default())]);
        }
        keys(page, inner, &format!("{path}."), named);
    }
    let within = schema["anyOf"].as_array().into_iter().flatten();
    within.chain(schema.get("items")).for_each(|inner| keys(page, inner, above, named));
}
