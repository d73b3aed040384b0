//! Commands' work on files, without an audio backend.

pub mod measure;
pub mod plot;
pub mod progress;
pub mod render;
