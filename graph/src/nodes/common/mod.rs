//! What several node types share: rows of their tables, and a node that fails on purpose, for tests; and long workloads.

#[cfg(debug_assertions)]
pub(crate) mod fault;
pub(crate) mod rows;
pub(crate) mod workloads;
