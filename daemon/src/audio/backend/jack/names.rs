//! What people read in a patch bay: names and order of our ports, as JACK's metadata; and an alias, `STATION:PORT`.
//!
//! Servers forget it with the ports, so it is told each time anew. One that has no metadata shows plain names.

use super::raw::uuid;
use crate::audio::backend::connections::Own;
use jack::{Client, Property};

const PRETTY_NAME: &str = "http://jackaudio.org/metadata/pretty-name";
const ORDER: &str = "http://jackaudio.org/metadata/order";
const TEXT: &str = "text/plain";
const INT: &str = "http://www.w3.org/2001/XMLSchema#int";

/// Tells the server what the client and its ports are called, and in which order the ports stand.
pub(super) fn tell(client: &Client, station: &str, own: &[Own]) {
    let text = |text: &str| Property::new(text.replace('\0', ""), Some(TEXT.to_owned()));
    if let Ok(uuid) = client.uuid_string().parse()
        && !station.is_empty()
    {
        client.property_set(uuid, PRETTY_NAME, &text(station)).ok();
    }
    for (at, own) in own.iter().enumerate() {
        let Some(mut port) = client.port_by_name(&super::full(client, &own.name)) else { continue };
        // One name that stays, whatever number the server adds to the client's.
        if !station.is_empty() {
            port.set_alias(&format!("{}:{}", station.replace([':', '\0'], " "), own.name)).ok();
        }
        let uuid = uuid(&port);
        client.property_set(uuid, PRETTY_NAME, &text(&own.pretty)).ok();
        client.property_set(uuid, ORDER, &Property::new(at, Some(INT.to_owned()))).ok();
    }
}
