//! Files as written: YAML with places, its fields, a chain as a spec, and every error that a file can have.

pub mod error;
pub mod fields;
pub mod name;
pub mod spec;
pub mod table;
pub mod values;
pub mod yaml;
