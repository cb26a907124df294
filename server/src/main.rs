//! The program `dobaas-server`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    server::cli::run(&arguments).into()
}
