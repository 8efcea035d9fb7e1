//! The program `landfall`: arguments, allocator, crypto provider, exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before any client is made: rustls has no provider of its own choice. It fails only where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    landfall::cli::main(std::env::args_os())
}
