//! What `docs/lessons.md` shows under "A server in ten lines" is run as it stands there.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::peer::run;
use clap::Parser;
use lab::{Lab, Options};
use world::Protocol;

/// The fenced blocks of the section, by their language; "" where none is named.
fn blocks(language: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/lessons.md");
    let text = fs::read_to_string(file).unwrap();
    let (_, section) = text.split_once("\n## A server in ten lines\n").expect("the lesson is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let fenced = section.split("```").skip(1).step_by(2);
    let of_language = fenced.filter_map(|block| block.split_once('\n').filter(|(named, _)| *named == language));
    of_language.map(|(_, block)| block.to_owned()).collect()
}

/// The lesson's programs in order: TCP server and client, UDP server and client.
fn program(nth: usize) -> String {
    let programs = blocks("python");
    assert_eq!(programs.len(), 4);
    assert!(programs[nth].lines().count() <= 10, "more than ten lines:\n{}", programs[nth]);
    programs[nth].clone()
}

/// The words of a command as a shell has them, up to a comment, a pipe or a redirection.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '#' | '|' | '>' | '&' if !quoted && word.is_none() => break,
            ';' if !quoted => break,
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn every_command_is_one() {
    let mut seen = 0;
    for file in ["../docs/lessons.md", "../README.md"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        for block in text.split("\n```\n").skip(1) {
            for line in block.lines().filter(|line| line.starts_with("visit ")) {
                // The first line of a screen is no command where more stands in it.
                if line.contains("  ") && !line.contains('#') {
                    continue;
                }
                let words = words(line);
                let parsed = visit::args::Cli::try_parse_from(&words);
                assert!(parsed.is_ok(), "{file}: {line}: {}", parsed.unwrap_err());
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "{seen} commands");
}

/// A program that runs until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server of the lesson, on a port of the kernel's choice, which it prints.
fn serve(program: &str) -> (Running, SocketAddr) {
    let mut child = Command::new("python3")
        .args(["-c", program, "0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed: apt-get install python3");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let server = Running(child);
    let port = line.trim_end().trim_end_matches(')').rsplit(' ').next().and_then(|port| port.parse::<u16>().ok());
    let port = port.unwrap_or_else(|| panic!("no port in {line:?}"));
    (server, SocketAddr::from(([127, 0, 0, 1], port)))
}

fn ask(program: &str, server: SocketAddr) -> String {
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    let output = Command::new("python3").args(["-c", program, &ip, &port]).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

/// A screen without what differs from visit to visit: numbers, units of time, and where lines are broken.
fn essence(screen: &str) -> String {
    let mut numbered = String::new();
    for c in screen.chars() {
        match c {
            '0'..='9' if numbered.ends_with('#') => {}
            '0'..='9' => numbered.push('#'),
            '.' if numbered.ends_with('#') => {}
            _ => numbered.push(c),
        }
    }
    let units = |word: &&str| !matches!(*word, "µs" | "ms" | "s");
    numbered.split_whitespace().filter(units).collect::<Vec<_>>().join(" ")
}

fn check(nth: usize, scheme: &str) {
    let (_server, address) = serve(&program(nth));
    let shown = blocks("").into_iter().filter(|block| block.starts_with(&format!("visit {scheme}://127.0.0.1:5000")));
    let [command, screen] = &shown.collect::<Vec<_>>()[..] else { panic!("a command and its output are shown") };
    let command = command.trim().replace("5000", &address.port().to_string());
    let args: Vec<&str> = command.split_whitespace().skip(1).collect();
    let output = run(&args);
    let seen = String::from_utf8(output.stdout).unwrap();
    assert_eq!(essence(&seen), essence(screen), "{seen}");
    assert_eq!(output.status.code(), Some(0));
}

#[needs::tools(python3)]
#[test]
fn the_tcp_server() {
    check(0, "tcp");
}

#[needs::tools(python3)]
#[test]
fn the_udp_server() {
    check(2, "udp");
}

#[needs::tools(python3)]
#[test]
fn the_clients_and_the_servers() {
    let (_server, address) = serve(&program(0));
    assert_eq!(ask(&program(1), address), "b'you said hello'\n");
    let (_server, address) = serve(&program(2));
    assert_eq!(ask(&program(3), address), format!("(b'you said hello', ('127.0.0.1', {}))\n", address.port()));
}

#[needs::tools(python3)]
#[test]
fn the_labs_ports_answer_the_clients() {
    let lab = Lab::start(Options { data_dir: None, ..Options::default() }).unwrap();
    let socket = |name, protocol| lab.book().host("app1").and_then(|host| host.service(name, protocol)).unwrap().socket;
    assert_eq!(ask(&program(1), socket("talk", Protocol::Tcp)), "b'app1 got 5 bytes: hello\\n'\n");
    let echo = socket("echo", Protocol::Udp);
    assert_eq!(ask(&program(3), echo), format!("(b'hello', ('127.0.0.1', {}))\n", echo.port()));
}
