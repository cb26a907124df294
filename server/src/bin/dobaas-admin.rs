//! The program `dobaas-admin`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    server::admin::command::run(&arguments).into()
}
