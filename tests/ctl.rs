//! `lacquer ctl`: what it says of what cannot be done, what it prints of what was set, and where an answer ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::address::commands::COMMANDS;
use lacquer_control::surface::osc::datagrams;
use lacquer_control::update::Update;
use lacquer_tests::daemon::{Folder, lacquer, root};
use lacquer_tests::studio::Studio;
use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

#[test]
fn ctl_names_what_was_written_and_says_why_it_is_no_address() {
    let studio = Studio::new("ctlwritten");
    let _daemon = studio.start();
    for (args, beginning) in [
        (&["get", "/"][..], "/: no such address; what can be read is "),
        (&["get", "//"], "//: no such address; what can be read is "),
        (&["get", "/nonsense//"], "/nonsense//: no such address, did you mean "),
        (&["get", "/node/glue//nothing/"], "/node/glue//nothing/: no address that can be read matches"),
        (&["get", "/node/glue/nothing/"], "/node/glue/nothing/: no such address in chain \"a\""),
        (&["set", "//", "1"], "//: no such address; there are "),
        (&["set", "/node//", "1"], "/node//: no such address"),
        (
            &["set", "/undo/", "x"],
            "/undo/: takes 1, as a button sends it when it is pressed, all or swap, or nothing",
        ),
        (&["set", "/status/chain/", "1"], "/status/chain/: is read-only: takes no arguments"),
        (&["get", "chains"], "\"chains\": an address begins with \"/\", did you mean \"/chains\"?"),
        (&["get", "undo"], "\"undo\": an address begins with \"/\"; /undo is an action, not a value to read"),
        (
            &["get", "node/glue/gain"],
            "\"node/glue/gain\": an address begins with \"/\", did you mean \"/node/",
        ),
        (&["get", ""], "\"\": an address begins with \"/\""),
        (&["set", "undo", "1"], "\"undo\": an address begins with \"/\", did you mean \"/undo\"?"),
        (&["set", "*", "1"], "\"*\": an address begins with \"/\""),
        (&["who", "nonsense"], "\"nonsense\": an address begins with \"/\""),
        (&["learn", "bypass"], "\"bypass\": an address begins with \"/\", did you mean \"/bypass\"?"),
        (&["scene", "save", "a\tb"], "/scene/save: a scene's name holds no control characters"),
        (&["scene", "save", &"x".repeat(65)], "/scene/save: a scene's name has 1 to 64 characters"),
    ] {
        let (code, out, err) = studio.ctl(args);
        assert!(
            code == 1 && out.is_empty() && err.starts_with(beginning) && err.lines().count() == 1,
            "{args:?}: {code} {out} {err}"
        );
    }
}

#[test]
fn ctl_set_of_a_pattern_prints_what_it_set_or_one_reason() {
    let studio = Studio::new("ctlpattern");
    let _daemon = studio.start();
    let good = |args: &[&str], out: &str| assert_eq!(studio.ctl(args), (0, out.to_owned(), String::new()));
    good(&["set", "/*", "true"], "/bypass true");
    good(&["set", "/*", "true"], "/bypass true");
    good(&["set", "/byp*", "off"], "/bypass false");
    good(
        &["set", "/node/{glue,tone}/enabled", "false"],
        "/node/tone/enabled false\n/node/glue/enabled false",
    );
    let (code, out, err) = studio.ctl(&["set", "/node/glue/*", "-30 dBFS"]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "/node/glue/threshold -30", ""),
        "all else has other units"
    );
    let acts = "the pattern matches only commands, which need their plain address; nothing was done";
    let told = "the pattern matches only read-only addresses; nothing was done";
    for (pattern, why) in [
        ("/und*", acts),
        ("/chain/*", acts),
        ("/scene/[1-8]", acts),
        ("/status/*", told),
        ("/status/ch*n", told),
        ("/scene/*/name", told),
        ("/bypass/tri?", told),
        ("/scene{s,}", told),
        ("/nonsense*", "no address in chain \"a\" matches"),
        ("/node/glue/threshold*", "loud is not a value here; write -60 to 0 dBFS, as in -18 dBFS"),
    ] {
        let value = if why.contains("loud") { "loud" } else { "1" };
        let (code, out, err) = studio.ctl(&["set", pattern, value]);
        assert_eq!((code, out.as_str(), err), (1, "", format!("{pattern}: {why}")));
    }
    // What is told alone holds what it held, and is no answer to what was to be set.
    let (code, out, err) = studio.ctl(&["set", "/status/chain", "b"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
}

#[test]
fn the_help_and_the_manual_page_list_every_command_of_the_table() {
    let folder = Folder::new("ctlpages");
    let help = lacquer(&["ctl", "--help"]);
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(lacquer(&["generate", folder.0.to_str().unwrap()]).status.success());
    let page = fs::read_to_string(folder.at("man1/lacquer-ctl.1")).unwrap().replace('\\', "");
    let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (help, page) = (joined(&help), joined(&page));
    for command in &COMMANDS {
        for text in [&command.usage(), command.help] {
            assert!(help.contains(text), "--help: {text}");
            assert!(page.contains(text), "lacquer-ctl.1: {text}");
        }
        assert!(page.contains(command.example), "lacquer-ctl.1: {}", command.example);
    }
}

/// A station whose answers come apart, as on a machine that has much to do.
#[test]
fn ctl_prints_all_of_an_answer_whose_parts_come_late() {
    let station = UdpSocket::bind("127.0.0.1:0").unwrap();
    station.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let to = station.local_addr().unwrap().to_string();
    let serving = std::thread::spawn(move || {
        let mut bytes = [0; 2_048];
        for _ in 0..2 {
            let (length, from) = station.recv_from(&mut bytes).unwrap();
            let parts: &[&str] = match String::from_utf8_lossy(&bytes[..length]).contains("/status") {
                true => &["/status/chain", "/status/backend"],
                false => &["/synced"],
            };
            for part in parts {
                std::thread::sleep(Duration::from_millis(300));
                for datagram in datagrams(&[Update::new(*part, Vec::new())]) {
                    station.send_to(&datagram, from).unwrap();
                }
            }
        }
    });
    let out = lacquer(&["ctl", "--to", &to, "status"]);
    serving.join().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "/status/chain\n/status/backend\n");
    assert_eq!((out.status.code(), out.stderr.len()), (Some(0), 0));
}

#[test]
fn plan_shows_what_a_swap_does_before_it_is_made() {
    let station = root().join("configs/demo.yaml");
    let plan = |more: &[&str]| {
        let args = [&["plan", station.to_str().unwrap()], more].concat();
        let out = lacquer(&args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let (code, one, _) = plan(&["transparent"]);
    let wanted = "streaming -> transparent at 48000 Hz
added    -
removed  tone, glue, image, level
kept     ceiling
changed  ceiling
moved    -
latency  204 -> 204 frames = 4.25 -> 4.25 ms
";
    assert_eq!((code, one.as_str()), (Some(0), wanted));
    let (_, all, _) = plan(&[]);
    assert!(all.contains(wanted) && all.contains("streaming -> parallel"), "{all}");
    let (_, back, _) = plan(&["streaming", "--from", "transparent"]);
    assert!(back.contains("added    tone, glue, image, level"), "{back}");
    let (code, _, error) = plan(&["transparant"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("did you mean \"transparent\"?"), "{error}");
}
