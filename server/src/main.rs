//! The program `dobaas-server`.

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Passwords and tokens come through buffers of TLS and HTTP/2, which nobody wipes: what is given back is wiped here, whoever had it.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    // Secrets are in its memory: no core file, and no look at it by other programs of the same user. An old kernel has no such switch.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let arguments: Vec<_> = std::env::args_os().collect();
    server::cli::run(&arguments).into()
}
