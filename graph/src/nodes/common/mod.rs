//! Shared by several node types: rows of their tables, and a node that causes faults, for tests.

#[cfg(debug_assertions)]
pub(crate) mod fault;
pub(crate) mod repair;
pub(crate) mod rows;
pub(crate) mod workloads;
