//! The program `dobaas-admin`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Secrets are in its memory: no core file, and no look at it by other programs of the same user. An old kernel has no such switch.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let arguments: Vec<_> = std::env::args_os().collect();
    server::admin::command::run(&arguments).into()
}
