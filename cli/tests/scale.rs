//! A lab with a network of its own and many clients in it: that all reach it, and what is said where it has no room.

#[path = "it/peer/mod.rs"]
mod peer;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitCode, Output, Stdio},
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};
use netlab::sys::namespace;
use serde_json::Value;

/// With the lab's seven hosts and the router: 101 hosts.
const MANY: &str = "93";
/// Nothing here takes so long.
const LIMIT: Duration = Duration::from_secs(60);

type Test = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // Where this is set, what a machine refuses is no reason to leave a test out.
    let refused = namespace::probe().err().filter(|_| std::env::var_os(your_tools::REQUIRED).is_none());
    if let Some(why) = &refused {
        say(&format!("every test but that of usage is ignored, since this machine refuses it: {why}"));
    }
    let all: [(&str, bool, &[&str], Test); 9] = [
        ("a_hundred_hosts", true, &[], a_hundred_hosts),
        ("fewer_at_once", true, &[], fewer_at_once),
        ("ctrl_c", true, &[], ctrl_c),
        ("faults", true, &[], faults),
        ("served", true, &[], served),
        ("files", true, &["prlimit"], files),
        ("threads", true, &["prlimit"], threads),
        ("namespaces", true, &["unshare"], namespaces),
        ("usage", false, &[], usage),
    ];
    let trial = |(name, inside, tools, test): (&str, bool, &[&str], Test)| {
        let lacking = your_tools::lacking(tools);
        if let Some(why) = &lacking {
            say(&format!("{name} is ignored: {why}"));
        }
        Trial::test(name, test).with_ignored_flag(inside && refused.is_some() || lacking.is_some())
    };
    libtest_mimic::run(&arguments, all.map(trial).into()).exit_code()
}

#[allow(clippy::print_stderr)]
fn say(text: &str) {
    eprintln!("{text}");
}

/// `visit lab serve` with these words behind it.
fn serve(words: &str) -> Command {
    let mut command = peer::program();
    command.args(["lab", "serve"]).args(words.split_whitespace());
    command
}

/// The same, run by these words: `prlimit --nofile=256`.
fn under(before: &[&str], words: &str) -> Command {
    let mut command = Command::new(before[0]);
    command.args(&before[1..]).arg(env!("CARGO_BIN_EXE_visit")).args(["lab", "serve"]).args(words.split_whitespace());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs it, and reads its JSON.
fn load(words: &str, code: i32) -> Result<Value, Failed> {
    loaded(&serve(&format!("--wire --json {words}")).output()?, code)
}

fn loaded(output: &Output, code: i32) -> Result<Value, Failed> {
    if output.status.code() != Some(code) {
        return Err(format!("{:?}, expected {code}: {}", output.status, said(output)).into());
    }
    Ok(serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {}", said(output)))?)
}

fn ensure(holds: bool, what: impl std::fmt::Display) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(format!("{what:#}").into()) }
}

fn visits(load: &Value) -> usize {
    load["series"]["visits"].as_array().map_or(0, Vec::len)
}

fn a_hundred_hosts() -> Result<(), Failed> {
    let load = load(&format!("--clients {MANY} --repeat 2"), 0)?;
    let series = &load["series"];
    ensure(load["hosts"] == 101 && load["clients"] == 93 && load["concurrency"] == 93, &load)?;
    ensure(visits(&load) == 186 && series["wanted"] == 186 && series["interrupted"] == false, series)?;
    ensure(series["summary"]["failed"] == 0, &series["summary"])?;
    // A visit is a question, a connection and an answer at the least.
    ensure(load["frames"].as_u64().is_some_and(|frames| frames > 186 * 12), &load["frames"])
}

fn fewer_at_once() -> Result<(), Failed> {
    let load = load("--clients 12 --repeat 3 --concurrency 2 www.example.local/status/404", 0)?;
    ensure(load["concurrency"] == 2 && visits(&load) == 36, &load)?;
    let all = load["series"]["visits"].as_array().into_iter().flatten();
    ensure(all.clone().all(|visit| visit["status"] == 404), &load)
}

/// Waits until this holds.
fn until(what: &str, holds: impl Fn() -> bool) -> Result<(), Failed> {
    let began = Instant::now();
    while !holds() {
        ensure(began.elapsed() < LIMIT, format!("it did not come to it: {what}"))?;
        std::thread::yield_now();
    }
    Ok(())
}

/// Bytes that one of the clients has received: what the thread that visits sees of its network.
fn received(process: &Child) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).ok()?;
    let is_client = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with("client 1"))
    };
    let client = tasks.flatten().find(is_client)?;
    let interfaces = fs::read_to_string(client.path().join("net/dev")).ok()?;
    let ours = interfaces.lines().filter_map(|line| line.trim().split_once(':')).find(|(name, _)| *name != "lo")?;
    ours.1.split_whitespace().next()?.parse().ok()
}

fn ctrl_c() -> Result<(), Failed> {
    let mut command = serve("--wire --json --clients 3 --repeat 10000");
    let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // A visit receives less than 10 kB, so that some have been made.
    until("visits are made", || received(&process).is_some_and(|bytes| bytes > 50_000))?;
    interrupt(&process)?;
    let load = loaded(&process.wait_with_output()?, 130)?;
    let series = &load["series"];
    ensure(series["interrupted"] == true && series["wanted"] == 30_000, &load["series"]["summary"])?;
    ensure((3..30_000).contains(&visits(&load)), visits(&load))?;
    // What was cut short says nothing of what was visited.
    ensure(series["summary"]["failed"] == 0, &series["summary"])
}

fn interrupt(process: &Child) -> Result<(), Failed> {
    let sent = Command::new("sh").args(["-c", "kill \"$@\"", "kill", "-INT", &process.id().to_string()]).status()?;
    ensure(sent.success(), "kill")
}

fn faults() -> Result<(), Failed> {
    // One server is out: the other is visited.
    let load_one = load("--clients 9 --repeat 1 --fault wire:cut-link,at=app1", 0)?;
    let servers: Vec<&Value> =
        load_one["series"]["visits"].as_array().into_iter().flatten().map(|visit| &visit["server"]).collect();
    ensure(servers.len() == 9 && servers.iter().all(|server| **server == "10.78.2.82:80"), &load_one)?;
    // Both are: no visit reaches one.
    let none = load("--clients 3 --repeat 1 --fault wire:cut-link,at=app1 --fault wire:cut-link,at=app2", 7)?;
    ensure(none["series"]["summary"]["failed"] == 3, &none["series"]["summary"])?;
    // A server that does not run refuses; the exit code is that of the visit.
    let none = load("--clients 3 --repeat 1 --without app1 --without app2", 7)?;
    ensure(none["series"]["summary"]["failed"] == 3, &none["series"]["summary"])?;
    let nobody = serve("--wire --clients 40 --fault wire:cut-link,at=app3").output()?;
    let text = said(&nobody);
    ensure(nobody.status.code() == Some(2) && text.contains("hosts: app1, app2"), text)?;
    let nobody = serve("--wire --clients 40 --fault wire:cut-link,at=client41").output()?;
    let text = said(&nobody);
    ensure(nobody.status.code() == Some(2) && text.contains("you, client2 to client40"), text)?;
    // What was cut is said.
    ensure(load_one.pointer("/series/faults/0").is_some_and(|fault| *fault != ""), &load_one)
}

/// Clients without visits: for those of others.
fn served() -> Result<(), Failed> {
    let first = |words: &str, whole: bool| -> Result<String, Failed> {
        let mut process = serve(words).stdout(Stdio::piped()).spawn()?;
        let mut out = BufReader::new(process.stdout.take().ok_or("it is piped")?);
        let mut text = String::new();
        // The book ends with a brace in a line of its own, the screen with the last of the clients.
        while !text.ends_with("\n}\n") && !text.ends_with("has all\n") && out.read_line(&mut text)? > 0 {}
        interrupt(&process)?;
        let code = process.wait()?.code();
        ensure(code == Some(0) && whole == text.starts_with('{'), format!("{code:?}: {text}"))?;
        Ok(text)
    };
    let book: Value = serde_json::from_str(&first(&format!("--wire --clients {MANY} --json"), true)?)?;
    let hosts = book["inside"]["hosts"].as_object().ok_or("it has no hosts inside")?;
    ensure(hosts.len() == 101 && hosts.contains_key("client93") && !hosts.contains_key("client94"), &book["inside"])?;
    let screen = first(&format!("--wire --clients {MANY}"), false)?;
    ensure(screen.contains("and 89 more clients up to client93"), &screen)?;
    ensure(screen.lines().count() < 100, &screen)
}

fn files() -> Result<(), Failed> {
    let load = "--wire --json --repeat 3 --clients";
    let limit = |clients: &str| under(&["prlimit", "--nofile=256:256"], &format!("{load} {clients}")).output();
    let refused = limit(MANY)?;
    let text = said(&refused);
    ensure(refused.status.code() == Some(2) && refused.stdout.is_empty(), &text)?;
    for words in ["a lab of 101 hosts takes up to", "this process may have 256 (ulimit -Hn)", "LimitNOFILE="] {
        ensure(text.contains(words), format!("{words}: {text}"))?;
    }
    // As many as are said to fit do fit; another says so as well.
    let room = text.split_once("it has room for ").and_then(|(_, rest)| rest.split_once(' '));
    let fitting: usize = room.ok_or_else(|| text.clone())?.0.parse()?;
    ensure(fitting > 1, fitting)?;
    let done = loaded(&limit(&fitting.to_string())?, 0)?;
    ensure(visits(&done) == 3 * fitting, &done["series"]["summary"])?;
    ensure(limit(&(fitting + 1).to_string())?.status.code() == Some(2), "one more has room too")?;
    // The soft limit alone is in nobody's way.
    loaded(&under(&["prlimit", "--nofile=64:4096"], &format!("{load} 20")).output()?, 0)?;
    // The lab inside a visit is one as well.
    let output = Command::new("prlimit")
        .args(["--nofile=64:64", env!("CARGO_BIN_EXE_visit"), "--lab=wire", "www.example.local"])
        .output()?;
    let text = said(&output);
    ensure(output.status.code() == Some(2) && text.contains("a lab of 9 hosts takes up to"), text)
}

fn threads() -> Result<(), Failed> {
    let mut command = under(&["prlimit", "--nproc=40:40"], &format!("--wire --clients {MANY} --repeat 20"));
    if fs::read_to_string("/proc/self/status")?.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        // Of root's processes nobody counts how many there are.
        command.uid(65_534).gid(65_534).env("VISIT_DATA", "");
    }
    let output = command.output()?;
    let text = said(&output);
    ensure(output.status.code() == Some(2) && text.contains("ulimit -u"), format!("{:?}: {text}", output.status))?;
    ensure(!text.contains("panicked"), text)
}

fn namespaces() -> Result<(), Failed> {
    let limited = |limit: u32| {
        let script = format!("echo {limit} > /proc/sys/user/max_net_namespaces && exec \"$@\"");
        under(
            &["unshare", "--map-root-user", "sh", "-c", &script, "sh"],
            &format!("--wire --clients {MANY} --repeat 1"),
        )
        .output()
    };
    for limit in [0, 50] {
        let output = limited(limit)?;
        let text = said(&output);
        ensure(output.status.code() == Some(2) && text.contains("sysctl user.max_net_namespaces="), text)?;
    }
    ensure(limited(200)?.status.success(), "200 are enough")
}

fn usage() -> Result<(), Failed> {
    let check = |words: &str, code: i32, part: &str| -> Result<(), Failed> {
        let output = serve(words).stdin(Stdio::null()).output()?;
        let text = said(&output);
        ensure(
            output.status.code() == Some(code) && text.contains(part),
            format!("{words}: {:?}: {text}", output.status),
        )?;
        ensure(output.stdout.is_empty(), format!("{words}: something on stdout"))
    };
    check("--clients 3", 2, "--wire")?;
    check("--wire --clients 0", 2, "1..=252")?;
    check("--wire --clients 253", 2, "1..=252")?;
    check("--repeat 3", 2, "--wire")?;
    check("--wire --repeat 0", 2, "1..=10000")?;
    check("--wire --concurrency 3", 2, "--repeat")?;
    check("--wire --repeat 1 --concurrency 0", 2, "concurrency")?;
    check("--wire www.example.local", 2, "--repeat")?;
    check("--wire --repeat 1 http://[", 3, "is no URL")?;
    check("--wire --repeat 1 ftp://www.example.local", 1, "not \"ftp\"")?;
    check("--wire --clients 252 --repeat 1000", 2, "100000 are the most")?;
    check("--wire --repeat 1 --fault wire:los=1%", 2, "is no fault")
}
