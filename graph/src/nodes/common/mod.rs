//! What several node types share: rows of their tables, the loop of those that repair, long workloads for benches, and a
//! node that fails on purpose, for tests.

#[cfg(debug_assertions)]
pub(crate) mod fault;
pub(crate) mod repair;
pub(crate) mod rows;
pub(crate) mod workloads;
