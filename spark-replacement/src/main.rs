//! The `millstream-consumer` binary.

use millstream_consumer::command;
use millstream_consumer::config::ProcessEnv;
use std::process::ExitCode;

/// Records are many small allocations made on one thread and freed on another: what this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    command::main(std::env::args_os(), &ProcessEnv).into()
}
