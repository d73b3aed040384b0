//! What was written: YAML with places, its fields, the tables of sections and their values, a chain as a spec, and every error a file can have.

pub mod error;
pub mod fields;
pub mod name;
pub mod spec;
pub mod table;
pub mod values;
pub mod yaml;
