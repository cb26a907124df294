//! The program `dobaas`: what was typed and the environment go in, an exit code comes out.

use std::process::ExitCode;

use agent::cli::{Environment, run};

#[expect(clippy::disallowed_methods, reason = "I8: arguments are read in main.rs")]
fn main() -> ExitCode {
    run(std::env::args_os().collect(), &Environment::read())
}
