//! The words: what people ask, what crosses to the audio thread, and how both look on each surface.
//!
//! ```text
//!  surface/* --intent--> [conductor: address, values] --message--> wire ==> audio thread
//!  surface/* <--notice-- [conductor]                  <--message-- wire <== audio thread
//! ```
//!
//! A surface turns bytes into intents and notices into bytes; it never sees the wire.

#![forbid(unsafe_code)]

pub mod address;
pub mod commands;
pub mod history;
pub mod intent;
pub mod mailbox;
pub mod message;
pub mod notice;
pub mod pattern;
pub mod scene;
pub mod surface;
pub mod values;
pub mod wire;
