//! The station's model: the values of every chain, their history, and scenes.

pub mod compare;
pub mod history;
pub mod scene;
pub mod values;
