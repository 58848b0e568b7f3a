//! The recursive resolver as a program: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::start::main::<resolver::Resolver>()
}
