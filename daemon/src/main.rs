//! The `lacquer` command.

use std::process::ExitCode;

// Development builds stop where the audio thread touches memory; release builds have nothing of it.
#[cfg(debug_assertions)]
#[global_allocator]
static GUARD: lacquer::audio::panics::Guard = lacquer::audio::panics::Guard;

fn main() -> ExitCode {
    lacquer::cli::main()
}
