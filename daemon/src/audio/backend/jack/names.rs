//! Names and order of our ports for patch bays, as JACK metadata; and an alias, `STATION:PORT`.
//!
//! A server deletes them with the ports, so they are set for every client. A server without metadata shows the ports'
//! own names.

use super::raw::uuid;
use crate::audio::backend::connections::OwnPort;
use jack::{Client, Property};

const PRETTY_NAME: &str = "http://jackaudio.org/metadata/pretty-name";
const ORDER: &str = "http://jackaudio.org/metadata/order";
const TEXT: &str = "text/plain";
const INT: &str = "http://www.w3.org/2001/XMLSchema#int";

/// Sets the names of the client and its ports, and the order of the ports.
pub(super) fn set(client: &Client, station: &str, own: &[OwnPort]) {
    let text = |text: &str| Property::new(text.replace('\0', ""), Some(TEXT.to_owned()));
    if let Ok(uuid) = client.uuid_string().parse()
        && !station.is_empty()
    {
        client.property_set(uuid, PRETTY_NAME, &text(station)).ok();
    }
    for (at, own) in own.iter().enumerate() {
        let Some(mut port) = client.port_by_name(&super::full(client, &own.name)) else { continue };
        // A name that stays the same, whatever number the server adds to the client's name.
        if !station.is_empty() {
            port.set_alias(&format!("{}:{}", station.replace([':', '\0'], " "), own.name)).ok();
        }
        let uuid = uuid(&port);
        client.property_set(uuid, PRETTY_NAME, &text(&own.pretty)).ok();
        client.property_set(uuid, ORDER, &Property::new(at, Some(INT.to_owned()))).ok();
    }
}
