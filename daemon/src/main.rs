//! The `lacquer` command.

use std::process::ExitCode;

// Development builds stop where the audio thread touches memory; release builds have nothing of it.
#[cfg(debug_assertions)]
#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

fn main() -> ExitCode {
    lacquer::cli::main()
}
