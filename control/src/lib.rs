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
pub mod desk;
pub mod message;
pub mod peer;
pub mod queues;
pub mod request;
pub mod subscribe;
pub mod surface;
pub mod update;
pub mod value;
