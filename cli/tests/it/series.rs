//! Visits that are made again and again, and records side by side.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::peer::{End, Server, run, visit};
use serde_json::Value;

use crate::peer;

/// A server whose every third answer is cut.
fn flaky() -> Server {
    let count = AtomicUsize::new(0);
    Server::start_with(move |mut stream| {
        let answer: &[u8] = match count.fetch_add(1, Ordering::Relaxed) % 3 {
            2 => b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncut",
            _ => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        };
        let _ = stream.write_all(answer);
    })
}

fn spread<'a>(series: &'a Value, stage: &str) -> &'a Value {
    let stages = series["summary"]["stages"].as_array().unwrap();
    stages.iter().find(|spread| spread["stage"] == stage).unwrap_or_else(|| panic!("no {stage}: {series:#}"))
}

#[test]
fn cold_and_warm() {
    let (code, series) = visit(&["-n", "4", "www.example.local"]);
    assert_eq!((code, &series["wanted"], &series["interrupted"]), (0, &4.into(), &false.into()));
    assert_eq!(series["journeys"].as_array().unwrap().len(), 4);
    assert_eq!((&series["summary"]["succeeded"], &series["summary"]["failed"]), (&4.into(), &0.into()));
    // The first asks the whole tree, the others meet the cache; the resolver reports both.
    let from: Vec<&Value> = series["visits"].as_array().unwrap().iter().map(|visit| &visit["names_from"]).collect();
    assert_eq!(from, ["servers", "cache", "cache", "cache"], "{series:#}");
    // The summary is made of the journeys' own times.
    let times = |visits: std::ops::Range<usize>| -> Vec<u64> {
        let journeys = &series["journeys"];
        let mut times: Vec<u64> =
            visits.map(|nth| journeys[nth]["hops"][0]["stages"][1]["duration_us"].as_u64().unwrap()).collect();
        times.sort_unstable();
        times
    };
    let name = spread(&series, "name");
    assert_eq!(name["cold_us"], times(0..1)[0]);
    let warm = times(1..4);
    assert_eq!((&name["warm"]["count"], &name["warm"]["p50_us"]), (&3.into(), &warm[1].into()));
    assert_eq!((&name["warm"]["min_us"], &name["warm"]["max_us"]), (&warm[0].into(), &warm[2].into()));
}

#[test]
fn sessions_are_resumed_and_counted() {
    let (code, series) = visit(&["-n", "3", "https://www.example.local/"]);
    assert_eq!(code, 0, "{series:#}");
    let handshakes: Vec<&Value> =
        series["visits"].as_array().unwrap().iter().map(|visit| &visit["handshakes"][0]).collect();
    assert_eq!(handshakes, ["full", "resumed", "resumed"], "{series:#}");
    let counted = &series["summary"]["handshakes"];
    assert_eq!((&counted[0]["what"], &counted[0]["count"]), (&"resumed".into(), &2.into()), "{counted:#}");
}

#[test]
fn failures_are_grouped_and_lower_the_count() {
    let server = flaky();
    let (code, series) = visit(&["-n", "6", &server.url("/")]);
    // Of the third visit, which was the first to fail.
    assert_eq!(code, 18, "{series:#}");
    let failures = series["summary"]["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{series:#}");
    let (count, first) = (&failures[0]["count"], &failures[0]["first"]);
    assert_eq!((count, first, &failures[0]["stage"]), (&2.into(), &3.into(), &"receive".into()));
    assert_eq!(spread(&series, "wait")["warm"]["count"], 5);
    assert_eq!(spread(&series, "receive")["warm"]["count"], 3);
    let screen = String::from_utf8(run(&["-n", "3", &flaky().url("/")]).stdout).unwrap();
    assert!(screen.contains("✘ 1 of 3 visits failed."), "{screen}");
    assert!(screen.contains("1× The receive stage failed"), "{screen}");
    assert!(screen.contains("exit code 18"), "{screen}");
}

#[test]
fn each_url_has_its_own_series() {
    let output = run(&["-n", "2", "www.example.local", "missing.example.local"]);
    let screen = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(6), "{screen}");
    assert!(screen.contains("None of 2 visits failed.") && screen.contains("2 of 2 visits failed."), "{screen}");
    assert_eq!(output.stderr, b"", "there is no progress where nobody looks");
}

#[test]
fn a_saved_series_keeps_its_journeys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("series.json");
    let output = run(&["-s", "-n", "2", "--save", file.to_str().unwrap(), "http://a b/"]);
    assert_eq!(output.status.code(), Some(3));
    let series: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(series["journeys"].as_array().unwrap().len(), 2);
}

/// A signal in the middle of a series; what the process said, and its exit code.
fn interrupted(args: &[&str], server_saw: &std::sync::mpsc::Receiver<()>, after: usize) -> (String, Option<i32>) {
    let mut process = peer::program().args(args).env("LANG", "C.UTF-8").stdout(Stdio::piped()).spawn().unwrap();
    for _ in 0..after {
        server_saw.recv().unwrap();
    }
    let sent =
        Command::new("sh").args(["-c", "kill \"$@\"", "kill", "-INT", &process.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let mut said = String::new();
    process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    (said, process.wait().unwrap().code())
}

#[test]
fn what_has_been_done_is_summed_up_when_the_user_stops_it() {
    let (saw, server_saw) = std::sync::mpsc::channel();
    let count = AtomicUsize::new(0);
    let server = Server::start_with(move |mut stream| {
        let nth = count.fetch_add(1, Ordering::Relaxed);
        if nth < 2 {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
        let _ = saw.send(());
        if nth >= 2 {
            // The third visit waits for an answer until the user has seen enough.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let (said, code) = interrupted(&["-n", "9", &server.url("/")], &server_saw, 3);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("interrupted after 2 visits, of 9 wanted"), "{said}");
    assert!(said.contains("None of 2 visits failed."), "{said}");
    // Before the first visit is over there is nothing to sum up.
    let (said, code) = interrupted(&["--json", "-n", "9", &server.url("/")], &server_saw, 1);
    let series: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &series["interrupted"]), (Some(130), &true.into()), "{said}");
    assert_eq!((&series["visits"], &series["journeys"]), (&Value::Array(vec![]), &Value::Array(vec![])));
}

#[test]
fn a_pause_ends_when_the_user_wants() {
    let (saw, server_saw) = std::sync::mpsc::channel();
    let server = Server::start_with(move |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        drop(stream);
        let _ = saw.send(());
    });
    let (said, code) = interrupted(&["-n", "2", "--interval", "86400", &server.url("/")], &server_saw, 1);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("of 2 wanted"), "{said}");
}

#[test]
fn two_records_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let keep = |name: &str, args: &[&str]| {
        let file = folder.path().join(name).to_str().unwrap().to_owned();
        run(&[args, &["-s", "--save", &file]].concat());
        file
    };
    let page = keep("page", &["www.example.local"]);
    let json = keep("json", &["http://www.example.local/json"]);
    let closed = keep("closed", &["closed.example.local"]);
    let pages = keep("pages", &["-n", "3", "www.example.local"]);
    let none = keep("none", &["-n", "2", "closed.example.local"]);

    let compare = |args: &[&str]| {
        let output = run(&[&["--compare"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = compare(&[&page, &json]);
    for words in ["one visit each", "/ → /json", "content-type", "text/html; charset=utf-8 → application/json"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let comparison: Value = serde_json::from_str(&compare(&[&page, &closed, "--json"])).unwrap();
    let stages = comparison["hops"][0]["stages"].as_array().unwrap();
    let connect = stages.iter().find(|stage| stage["stage"] == "connect").unwrap();
    assert_eq!((&connect["a_state"], &connect["b_state"]), (&"done".into(), &"failed".into()));
    assert_eq!(connect["b_failure"]["reason"], "connection_refused");
    let (a, b) = (connect["a_us"].as_i64().unwrap(), connect["b_us"].as_i64().unwrap());
    assert_eq!(connect["difference_us"], b - a);
    let wait = stages.iter().find(|stage| stage["stage"] == "wait").unwrap();
    assert_eq!((&wait["b_state"], &wait["difference_us"]), (&"not_reached".into(), &Value::Null));

    // Beside itself nothing differs.
    let comparison: Value = serde_json::from_str(&compare(&[&page, &page, "--json"])).unwrap();
    assert_eq!(comparison["facts"]["changed"], Value::Array(vec![]));
    assert_eq!(comparison["hops"][0]["facts"]["changed"], Value::Array(vec![]));
    assert_eq!(comparison["total"]["difference_us"], 0);

    let text = compare(&[&pages, &none]);
    for words in ["0 of 3 → 2 of 2", "(2, 1)", "p50 of the warm visits", "(2, 0)"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for args in [[&page, &pages], [&pages, &page]] {
        let output = run(&["--compare", args[0], args[1]]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("{page} is one visit and {pages} is a series of visits")), "{said}");
    }
}

fn reqwest<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["--engine", "reqwest"], args].concat()
}

/// What reqwest's times are is said of many visits as it is of one.
#[test]
fn the_times_of_reqwest_say_what_they_are() {
    const URL: &str = "https://www.example.local/";
    let (code, series) = visit(&reqwest(&["-n", "4", URL]));
    assert_eq!(code, 0, "{series:#}");
    let check = |stage: &str, has_times: bool, member: &str, words: &str| {
        let spread = spread(&series, stage);
        let times = (spread["cold_us"].is_u64(), spread["warm"]["count"] == 3);
        assert_eq!(times, (has_times, has_times), "{stage}: {spread:#}");
        let said = spread[member].as_str().unwrap_or_default();
        assert!(said.contains(words), "{stage}: {words:?} is not in {said:?}");
    };
    check("connect", true, "note", "TCP and TLS together");
    check("tls", false, "not_observable", "part of that of connect");
    check("send", false, "not_observable", "does not tell what it writes");
    check("wait", true, "note", "until the head was complete");
    check("receive", true, "note", "from the complete head on");
    check("close", false, "not_observable", "when it closes a connection");
    for name in ["url", "name"] {
        assert_eq!((spread(&series, name).get("note"), spread(&series, name).get("not_observable")), (None, None));
    }
    let screen = String::from_utf8(run(&reqwest(&["-n", "4", URL])).stdout).unwrap();
    for words in [
        "  tls       not observable: its own time",
        "  close     not observable: reqwest",
        "  connect   TCP and TLS together",
        "  in all    without the close",
    ] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    // This program's own stages need no such words.
    let (_, series) = visit(&["-n", "2", URL]);
    let stages = series["summary"]["stages"].as_array().unwrap();
    assert!(stages.iter().all(|stage| stage.get("note").is_none()), "{series:#}");
    assert_eq!(series["visits"][0].get("caveats"), None);
}

#[test]
fn times_of_two_engines_are_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let keep = |name: &str, args: &[&str]| {
        let file = folder.path().join(name).to_str().unwrap().to_owned();
        run(&[args, &["-s", "--save", &file, "https://www.example.local/"]].concat());
        file
    };
    let one = [keep("own", &[]), keep("other", &reqwest(&[]))];
    let many = [keep("owns", &["-n", "3"]), keep("others", &reqwest(&["-n", "3"]))];
    for [a, b] in [&one, &many] {
        let comparison: Value = serde_json::from_slice(&run(&["--compare", a, b, "--json"]).stdout).unwrap();
        for stage in comparison["hops"][0]["stages"].as_array().unwrap() {
            let name = stage["stage"].as_str().unwrap();
            // A lab on loopback has no ways to time.
            let expected = matches!(name, "url" | "name") || (name == "route" && stage["a_us"].is_u64());
            assert_eq!(stage["difference_us"].is_i64(), expected, "{stage:#}");
            assert!(expected || stage["ratio"].is_null(), "{stage:#}");
        }
        let total = &comparison["total"];
        assert!(total["a_us"].is_u64() && total["b_us"].is_u64(), "{total:#}");
        assert_eq!((&total["difference_us"], &total["ratio"]), (&Value::Null, &Value::Null));
        let screen = String::from_utf8(run(&["--compare", a, b]).stdout).unwrap();
        let said = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in ["A is by the engine visit and B by reqwest", "engine visit → reqwest"] {
            assert!(said.contains(words), "{words}: {screen}");
        }
        let comparison: Value = serde_json::from_slice(&run(&["--compare", b, b, "--json"]).stdout).unwrap();
        assert_eq!((comparison.get("note"), &comparison["total"]["difference_us"]), (None, &0.into()));
    }
}

#[test]
fn what_must_be_said_is_said_of_a_series_as_well() {
    let server = Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(), End::WhenPeerCloses);
    let output = peer::program().args(["-n", "2", &server.url("/")]).env("ALL_PROXY", "http://127.0.0.1:1").output();
    let screen = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(screen.matches("! ALL_PROXY names a proxy").count(), 1, "{screen}");
}
