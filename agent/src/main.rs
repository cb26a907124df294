//! The program `dobaas`: what was typed and the environment go in, an exit code comes out.

use std::process::ExitCode;

use agent::cli::{Environment, run};

fn main() -> ExitCode {
    run(std::env::args_os().collect(), &Environment::read())
}
