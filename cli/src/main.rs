//! `visit`: what happens when I open this URL, and which step is it that fails?

use std::process::ExitCode;

fn main() -> ExitCode {
    visit::main()
}
