//! Commands' work on files, without an audio backend.

pub mod plot;
