//! `lacquer devices`: the sound devices that the cpal backend can play through.

use super::{Outcome, complain, print};
use crate::audio::backend::cpal::devices::{Listed, Offer, Way, describe_offers, list};
use rustix::fs::{Mode, OFlags, open};
use rustix::stdio::{dup2_stderr, stderr};
use serde_json::{Value, json};
use std::os::fd::OwnedFd;

pub(super) fn run(as_json: bool) -> Outcome {
    let listed = match quietly(list) {
        Ok(listed) => listed,
        Err(why) => return complain(&why, Outcome::Refused),
    };
    if as_json {
        let all: Vec<Value> = listed.iter().map(as_value).collect();
        return print(&format!("{:#}", Value::from(all)));
    }
    if listed.is_empty() {
        return print("no sound devices found; run `lacquer doctor` for the reason");
    }
    let mut lines = Vec::new();
    for device in listed {
        lines.push(format!("{}  {}: {}", device.name, device.host.to_lowercase(), device.description));
        for (way, offers) in device.ways {
            let modes = match offers {
                Ok(offers) => describe_offers(&offers),
                Err(why) => format!("not available: {why}"),
            };
            lines.push(format!("    {:6}  {modes}", word(way)));
        }
    }
    print(&lines.join("\n"))
}

fn word(way: Way) -> &'static str {
    match way {
        Way::Input => "input",
        Way::Output => "output",
    }
}

fn as_value(device: &Listed) -> Value {
    let offer = |offer: &Offer| {
        json!({
            "formats": offer.formats,
            "channels": [offer.channels.0, offer.channels.1],
            "rates_hz": [offer.rates.0, offer.rates.1],
            "blocks_frames": offer.blocks.map(|(least, most)| [least, most]),
        })
    };
    let mut value =
        json!({"name": device.name, "host": device.host.to_lowercase(), "description": device.description});
    for (way, offers) in &device.ways {
        value[word(*way)] = match offers {
            Ok(offers) => offers.iter().map(offer).collect(),
            Err(why) => json!({"error": why.to_string()}),
        };
    }
    value
}

/// Runs `query` with stderr silenced: ALSA's library prints an error for every device that it cannot open.
fn quietly<T>(query: impl FnOnce() -> T) -> T {
    /// Restores stderr, also if `query` panics.
    struct Restore(OwnedFd);
    impl Drop for Restore {
        fn drop(&mut self) {
            if let Err(error) = dup2_stderr(&self.0) {
                tracing::debug!("stderr: {error}");
            }
        }
    }
    let null = open("/dev/null", OFlags::WRONLY, Mode::empty());
    let restore = null.and_then(|null| {
        let original = rustix::io::dup(stderr())?;
        dup2_stderr(null)?;
        Ok(Restore(original))
    });
    let result = query();
    drop(restore);
    result
}
