//! Real frames: captured in the lab's own network, and on this machine's interfaces. Where the kernel refuses what a test
//! needs, the test is ignored.
//!
//! | module | what |
//! |---|---|
//! | `user` | `visit` run by an ordinary user, and `visit lab serve` |
//! | `lab` | in the lab that has a network of its own |
//! | `taps` | on interfaces: in such a lab that runs elsewhere, on loopback, and where it is refused |

#[path = "wire/lab.rs"]
mod lab;
#[path = "it/peer/mod.rs"]
mod peer;
#[path = "wire/taps.rs"]
mod taps;
#[path = "wire/user.rs"]
mod user;

use std::{
    env,
    process::{Command, ExitCode},
};

use libtest_mimic::{Arguments, Failed, Trial};

/// Says to this program that it is in a network of its own.
const ALONE: &str = "VISIT_TEST_ALONE";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if env::var_os(ALONE).is_some() {
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(up.expect("`ip` starts: it is in the package iproute2").success());
        return run(&arguments, trials(&taps::ALONE, false));
    }
    // Where that is set, what a machine refuses is no reason to leave a test out.
    let required = env::var_os(your_tools::REQUIRED).is_some();
    let refuses = || user::refused().filter(|_| !required).map(|why| format!("this machine refuses it: {why}"));
    let left_out = your_tools::lacking(&["tshark", "unshare", "setpriv"]).or_else(refuses);
    if let Some(why) = &left_out {
        say(&format!("every test in a namespace is ignored: {why}"));
    }
    let mut all = trials(&lab::TESTS, left_out.is_some());
    all.extend(trials(&taps::INSIDE, left_out.is_some()));
    let lo = your_tools::lacking(&["ip"]);
    if let Some(why) = &lo {
        say(&format!("on_loopback is ignored: {why}"));
    }
    all.extend(trials(&[("on_loopback", alone)], left_out.is_some() || lo.is_some()));
    let not_ordinary = || user::not_ordinary().is_some();
    all.extend(trials(&taps::REFUSED, your_tools::lacking(&["setpriv"]).is_some() || not_ordinary()));
    run(&arguments, all)
}

fn run(arguments: &Arguments, trials: Vec<Trial>) -> ExitCode {
    let conclusion = libtest_mimic::run(arguments, trials);
    user::done();
    conclusion.exit_code()
}

#[allow(clippy::print_stderr)]
fn say(text: &str) {
    eprintln!("{text}");
}

fn trials(tests: &[(&'static str, fn())], is_ignored: bool) -> Vec<Trial> {
    let trial = |&(name, test): &(&str, fn())| {
        let run = move || {
            test();
            Ok::<_, Failed>(())
        };
        Trial::test(name, run).with_ignored_flag(is_ignored)
    };
    tests.iter().map(trial).collect()
}

/// Runs the tests that may capture, in a network where only `lo` is.
fn alone() {
    let program = env::current_exe().unwrap();
    let output = Command::new("unshare").args(["--map-root-user", "--net"]).arg(program).env(ALONE, "1").output();
    let output = output.expect("`unshare` starts: it is in the package util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    let count = format!("{} passed", taps::ALONE.len());
    assert!(output.status.success() && said.contains(&count), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
