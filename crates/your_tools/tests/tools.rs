//! The last words of `cargo test`: what installs the tools that tests were ignored for want of.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

fn main() -> ExitCode {
    let tools = your_tools::TOOLS.map(|(tool, _)| tool);
    let last = Trial::ignorable_test("every_tool_is_here", move || {
        let missing = your_tools::missing(&tools);
        Ok(match your_tools::install(&missing) {
            Some(install) => Completion::ignored_with(format!("tests were ignored; to run all: {install}")),
            None => Completion::Completed,
        })
    });
    libtest_mimic::run(&Arguments::from_args(), vec![last]).exit_code()
}
