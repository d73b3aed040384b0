//! Readings as the surfaces show them: units, no reading, arrays.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_tests::daemon::{eventually, text};
use lacquer_tests::sockets::request;
use lacquer_tests::studio::Studio;
use std::time::Duration;

/// Nodes that measure counts, frequencies and levels.
const MEASURING: &str = "nodes:
  - declick: {id: click}
  - dehum: {id: hum}
  - leveler: {id: lev, target: -8 LUFS}
  - compressor: {id: off, enabled: false}
";

#[test]
fn a_reading_is_read_in_its_own_unit_and_none_is_a_dash() {
    let studio = Studio::new("readingtexts");
    studio.folder.write("a.yaml", MEASURING);
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(60.0), text("text")]);
    let ends =
        |line: &Update, unit: &str| matches!(&line.values[..], [Value::Text(text)] if text.ends_with(unit));
    for (reading, unit) in [
        ("node/click/clicks", " /s"),
        ("node/lev/gain", " dB"),
        ("node/lev/loudness", " LUFS"),
        ("node/hum/frequency", "-"),
        ("node/off/reduction", "-"),
        ("output/range", " LU"),
        ("input/clips", "0"),
        ("load/mean", " %"),
    ] {
        let address = format!("/text/meter/{reading}");
        // That there is none is sent once, and with the whole state.
        client.say("/subscribe", vec![Value::Number(60.0), text("text")]);
        client.hear(&format!("{address} {unit}"), |line| line.address == address && ends(line, unit));
    }
    // In bypass there is none, and whoever subscribes now is told so.
    client.say("/node/click/enabled", vec![Value::Switch(false)]);
    let is_dash = |line: &Update| line.address == "/text/meter/node/click/clicks" && ends(line, "-");
    client.hear("no reading", is_dash);
    let newcomer = daemon.client();
    newcomer.say("/subscribe", vec![Value::Number(60.0), text("text")]);
    let mut shown = Vec::new();
    newcomer.hear("no reading", is_dash);
    for _ in 0..3 {
        newcomer.hear("meters", |line| {
            shown.push(line.address.clone());
            line.address == "/meter/node/lev/gain"
        });
    }
    for reading in ["/meter/node/click/", "/meter/node/hum/", "/meter/node/off/"] {
        let sent = shown.iter().find(|address| address.starts_with(reading));
        assert_eq!(sent, None, "nothing was measured");
    }
    client.say("/node/click/enabled", vec![Value::Switch(true)]);
    client.hear("the reading", |line| line.address == "/meter/node/click/clicks");
}

#[test]
fn oscquery_shows_the_unit_and_the_help_of_a_reading_and_no_value_where_there_is_none() {
    let (studio, web) = Studio::with_web("readingtree", "");
    studio.folder.write("a.yaml", MEASURING);
    let _daemon = studio.start();
    let get = |path: &str| request(web, &format!("GET {path}"), "Host: localhost\r\n");
    eventually("a reading", || (get("/meter/node/click/clicks?VALUE").0 == 200).then_some(()));
    let clicks = get("/meter/node/click/clicks").1;
    for part in [r#""UNIT":["/s"]"#, "Clicks repaired in the last second.", r#""VALUE":["#, r#""ACCESS":1"#] {
        assert!(clicks.contains(part), "{part} is missing: {clicks}");
    }
    assert!(get("/text/meter/node/click/clicks").1.contains(r#" /s"]"#));
    assert_eq!(get("/meter/node/hum/frequency?VALUE").0, 204, "no hum, no frequency");
    assert!(get("/meter/node/hum/frequency").1.contains(r#""UNIT":["time.hz"]"#));
    assert!(get("/text/meter/node/hum/frequency").1.contains(r#""VALUE":["-"]"#));
}

#[test]
fn arrays_come_to_those_who_ask() {
    let studio = Studio::new("arrays");
    let daemon = studio.start();
    let [with, without] = [daemon.client(), daemon.client()];
    with.say("/subscribe", vec![Value::Number(60.0), text("arrays")]);
    without.say("/subscribe", vec![Value::Number(60.0)]);
    let is_spectrum = |line: &Update| line.address == "/meter/output/spectrum";
    let spectrum = with.hear("a spectrum", is_spectrum);
    assert_eq!(spectrum.values.len(), 31, "thirds of an octave from 20 Hz to 20 kHz");
    let histogram = with.hear("a histogram", |line| line.address == "/meter/input/histogram");
    let shares: Vec<f64> = histogram
        .values
        .iter()
        .filter_map(|value| match value {
            Value::Number(share) => Some(*share),
            _ => None,
        })
        .collect();
    assert!(shares.len() == 90 && (shares.iter().sum::<f64>() - 100.0).abs() < 0.01, "{shares:?}");
    for line in without.hear_for(Duration::from_millis(1_500)) {
        assert!(!line.address.ends_with("/spectrum") && !line.address.ends_with("/histogram"), "{line:?}");
    }
}
