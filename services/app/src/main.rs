//! The application server as a program.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::start::main::<app::App>()
}
