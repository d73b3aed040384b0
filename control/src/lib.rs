//! The station's model: requests, updates, the messages to and from the audio thread, and how they look on each surface.
//!
//! ```text
//!  surface/* --request--> [conductor: address, desk] --ToAudio----> queues ==> audio thread
//!  surface/* <--update--- [conductor]                <--FromAudio-- queues <== audio thread
//! ```
//!
//! A surface turns bytes into requests and updates into bytes; it never sees the queues.

#![forbid(unsafe_code)]

pub mod address;
pub mod desk;
pub mod message;
pub mod peer;
pub mod queues;
pub mod request;
pub mod schedule;
pub mod subscribe;
pub mod surface;
pub mod update;
pub mod value;
