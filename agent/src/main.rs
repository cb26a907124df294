//! The program `dobaas`: what was typed and the environment go in, an exit code comes out.

use std::process::ExitCode;

use agent::cli::{Environment, run};

fn main() -> ExitCode {
    // Secrets are in its memory: no core file, and no look at it by other programs of the same user. An old kernel has no such switch.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    run(std::env::args_os().collect(), &Environment::read())
}
