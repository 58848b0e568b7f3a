//! The life of a running name server: limits, reload, drain, what it tells about itself.

use std::{fs, io::Write, path::Path, thread, time::Duration};

use crate::common::{PATIENCE, Query, counts, eventually, flags, framed, lab, next, parsed, start, stuff, told};
use dns::options;
use hickory_proto::rr::RData;
use journey::TraceId;
use nameserver::{
    Config, ConfigError, Nameserver,
    master::{self, Line},
};
use service::{Configured, Service};
use world::{Files, World};

const A: u16 = 1;
const TXT: u16 = 16;

const WORLD: &str = r#"
[network]
v4 = "10.78.0.0/16"
v6 = "fd10:78:1ab::/48"
[hosts.auth]
addresses = ["10.78.2.31"]
nameserver.zones = { "z." = "z.zone", "y." = "y.zone" }
"#;

fn zone(serial: u32, rest: &str) -> String {
    format!("$TTL 60\n@ SOA ns hm {serial} 1 1 1 1\n@ NS ns\nns A 10.78.2.31\n{rest}\n")
}

/// A world of one name server in this folder.
fn world_in(folder: &Path) -> Configured {
    fs::write(folder.join("z.zone"), zone(1, "www A 10.78.2.81")).unwrap();
    fs::write(folder.join("y.zone"), zone(1, "")).unwrap();
    let world = World::parse(WORLD, "world.toml").unwrap();
    let host = world.hosts["auth"].clone();
    Configured { name: "auth".to_owned(), host, world, files: Files::Folder(folder.to_owned()), authority: None }
}

fn address(reply: &[u8]) -> String {
    match &parsed(reply).answers[0].data {
        RData::A(address) => address.to_string(),
        other => panic!("{other}"),
    }
}

#[test]
fn every_host_of_the_lab_loads_its_zones() {
    for host in ["root", "tld", "auth1", "auth2"] {
        let config = lab(host);
        assert!(config.zones.iter().all(|zone| zone.serial() == 2_026_112_301), "{host}");
    }
    let Err(ConfigError::NotANameserver(host)) = Nameserver::configure(&told("app1")) else {
        panic!("it has no zones")
    };
    assert_eq!(host, "app1");
}

#[test]
fn the_two_example_zones_are_twins() {
    let records = |origin: &str| {
        let text = Files::BuiltIn.read(&format!("zones/{origin}.zone")).unwrap();
        let (lines, problems) = master::read(&text, &format!("{origin}.").parse().unwrap());
        assert_eq!(problems, []);
        let shown = |line: &Line| format!("{}: {}", line.place, line.record).replace(origin, "ORIGIN");
        lines.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(records("example.local"), records("example.test"));
}

/// RFC 2181 §9: additional records that do not fit are left out, and that is no truncation; but the addresses of a
/// referral are what it is for (RFC 9471 §3).
#[test]
fn what_does_not_fit_is_left_out_or_truncated() {
    let folder = tempfile::tempdir().unwrap();
    let told = world_in(folder.path());
    let addresses = |name: &str| (0..40).map(|n| format!("{name} A 10.78.3.{n}\n")).collect::<String>();
    let text = ["@ MX 10 mail\n", &addresses("mail"), "below NS ns.below\n", &addresses("ns.below")].concat();
    fs::write(folder.path().join("z.zone"), zone(1, &text)).unwrap();
    let server = start(Nameserver::configure(&told).unwrap());
    let ask = |name, rtype, edns: bool| {
        let query = Query::new(name, rtype);
        let reply = server.ask(&if edns { query.edns(1232) } else { query }.bytes());
        (flags(&reply), counts(&reply))
    };
    assert_eq!(ask("z", 15, true), (0x8400, [1, 1, 0, 41]));
    assert_eq!(ask("z", 15, false), (0x8400, [1, 1, 0, 0]));
    assert_eq!(ask("x.below.z", A, true), (0x8000, [1, 0, 1, 41]));
    assert_eq!(ask("x.below.z", A, false), (0x8200, [1, 0, 0, 0]));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let told = world_in(folder.path());
    fs::write(folder.path().join("z.zone"), zone(1, "a A 1.2.3\nb CNAME")).unwrap();
    fs::write(folder.path().join("y.zone"), zone(1, "a NS ns.a")).unwrap();
    let said = Nameserver::configure(&told).unwrap_err().to_string();
    let path = |file: &str| folder.path().join(file).display().to_string();
    let expected = [
        "zone files cannot be used:".to_owned(),
        format!("{}:5: ns.a.y. serves a.y. and lies in this zone, but has no address here", path("y.zone")),
        format!("{}:5: A: \"1.2.3\" is not an IPv4 address", path("z.zone")),
        format!("{}:6: CNAME: the canonical name is missing", path("z.zone")),
    ];
    assert_eq!(said, expected.join("\n"));
    fs::remove_file(folder.path().join("y.zone")).unwrap();
    assert!(Nameserver::configure(&told).unwrap_err().to_string().contains("cannot read"));
}

#[test]
fn zone_names_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let mut told = world_in(folder.path());
    let zones = &mut told.host.nameserver.as_mut().unwrap().zones;
    zones.extend([("x".to_owned(), "z.zone".to_owned()), ("Z.".to_owned(), "z.zone".to_owned())]);
    let said = Nameserver::configure(&told).unwrap_err().to_string();
    assert!(said.contains("\"x\" is no zone name: it must end with a dot"), "{said}");
    assert!(said.contains("\"z.\" is no zone name: another file is named for the same zone"), "{said}");
}

#[test]
fn addresses_follow_the_world_to_another_network() {
    let mut told = told("auth1");
    told.world = told.world.renumbered("172.20".parse().unwrap());
    let server = start(Nameserver::configure(&told).unwrap());
    assert_eq!(address(&server.ask(&Query::new("v4only.example.test", A).bytes())), "172.20.2.81");
}

#[test]
fn a_reload_takes_new_zones_and_refuses_broken_ones() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(Nameserver::configure(&world_in(folder.path())).unwrap());
    let www = Query::new("www.z", A).bytes();
    assert_eq!(address(&server.ask(&www)), "10.78.2.81");
    server.eventually_metric("zone_serial{zone=\"z.\"} 1");

    fs::write(folder.path().join("z.zone"), zone(2, "www A 10.78.2.82")).unwrap();
    server.signals.reload.notify_one();
    eventually(|| address(&server.ask(&www)) == "10.78.2.82");
    server.eventually_metric("zone_serial{zone=\"z.\"} 2");
    server.eventually_metric("zones_reloaded_total 1");

    // One broken file keeps all the old zones: what is served is always one state of the folder.
    fs::write(folder.path().join("z.zone"), zone(3, "www A 10.78.2.83\nwww CNAME other")).unwrap();
    fs::write(folder.path().join("y.zone"), zone(3, "www A 10.78.2.83")).unwrap();
    server.signals.reload.notify_one();
    server.eventually_metric("zones_reload_failed_total 1");
    server.eventually_metric("zone_serial{zone=\"z.\"} 2");
    server.eventually_metric("zone_serial{zone=\"y.\"} 1");
    assert_eq!(address(&server.ask(&www)), "10.78.2.82");

    fs::write(folder.path().join("z.zone"), zone(4, "www A 10.78.2.84")).unwrap();
    server.signals.reload.notify_one();
    eventually(|| address(&server.ask(&www)) == "10.78.2.84");
    server.eventually_metric("zone_serial{zone=\"y.\"} 3");
}

#[test]
fn an_idle_connection_is_closed() {
    let server = start(Config { tcp_idle: Duration::from_millis(20), ..lab("auth1") });
    assert_eq!(next(&mut server.tcp()), None);
    // Half a query is not activity.
    let mut half = server.tcp();
    half.write_all(&[0, 40, 1, 2, 3]).unwrap();
    assert_eq!(next(&mut half), None);
}

#[test]
fn a_client_with_400_idle_connections_is_answered_on_the_next_and_so_is_another() {
    let server = start(lab("auth1"));
    let query = framed(&Query::new("www.example.test", A).bytes());
    let mut idle: Vec<_> = (0..400).map(|_| server.tcp()).collect();
    let begin = std::time::Instant::now();
    for _ in 0..3 {
        let mut asking = server.tcp();
        asking.write_all(&query).unwrap();
        assert!(next(&mut asking).is_some());
    }
    // Idle connections are closed after 5 s by themselves; nothing here waits for that.
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_eq!(next(&mut idle[0]), None, "the oldest is closed");
    let last = idle.last_mut().unwrap();
    last.write_all(&query).unwrap();
    assert!(next(last).is_some(), "the newest is not");
}

/// A FIFO, a device, a folder and a missing file: each is told, the old zones are served, and the server ends in time.
#[test]
fn a_zone_file_that_is_not_a_regular_file_is_refused_and_nothing_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let told = world_in(folder.path());
    let file = folder.path().join("z.zone");
    let server = start(Nameserver::configure(&told).unwrap());
    let made = |program: &str, words: &[&str]| {
        let status = std::process::Command::new(program).args(words).arg(&file).status();
        assert!(status.unwrap_or_else(|error| panic!("{program} cannot be run: {error}")).success());
    };
    let failed = |count: u32| server.eventually_metric(&format!("zones_reload_failed_total {count}"));
    fs::remove_file(&file).unwrap();
    made("mkfifo", &[]);
    server.signals.reload.notify_one();
    failed(1);
    fs::remove_file(&file).unwrap();
    made("ln", &["-s", "/dev/zero"]);
    server.signals.reload.notify_one();
    failed(2);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    server.signals.reload.notify_one();
    failed(3);
    fs::remove_dir(&file).unwrap();
    server.signals.reload.notify_one();
    failed(4);
    assert_eq!(address(&server.ask(&Query::new("www.z", A).bytes())), "10.78.2.81");
    assert_eq!(server.end().cut_off, 0);
}

/// RFC 6672: the DNAME record, a CNAME record made from it, and what that leads to.
#[test]
fn names_below_a_dname_are_renamed() {
    let folder = tempfile::tempdir().unwrap();
    let told = world_in(folder.path());
    let label = "l".repeat(60);
    let text = format!(
        "old DNAME new\nwww.new A 10.78.2.81\nfar DNAME elsewhere.example.\nround DNAME x.round\n\
         long DNAME {label}.{label}.{label}\n"
    );
    fs::write(folder.path().join("z.zone"), zone(1, &text)).unwrap();
    let server = start(Nameserver::configure(&told).unwrap());
    let ask = |name| {
        let reply = server.ask_tcp(&Query::new(name, A).bytes());
        let shown =
            parsed(&reply).answers.iter().map(|r| format!("{} {}", r.name, r.record_type())).collect::<Vec<_>>();
        (flags(&reply) & 0x0f, shown.join(", "))
    };
    assert_eq!(ask("www.old.z"), (0, "old.z. DNAME, www.old.z. CNAME, www.new.z. A".to_owned()));
    assert_eq!(ask("gone.old.z"), (3, "old.z. DNAME, gone.old.z. CNAME".to_owned()));
    assert_eq!(ask("www.far.z"), (0, "far.z. DNAME, www.far.z. CNAME".to_owned()));
    assert_eq!(ask("old.z"), (0, String::new()));
    assert_eq!(ask("round.z").0, 0);
    // Each round makes the name longer, and the server follows 16 of them.
    assert_eq!(ask("a.round.z").1.matches("CNAME").count(), 17);
    let long = "dddddddddddddddddddddddddddddd.dddddddddddddddddddddddddddddddddddd.dddddddddd.long.z";
    assert_eq!(ask(long), (6, "long.z. DNAME".to_owned()));
}

#[test]
fn a_stop_answers_what_was_asked() {
    let server = start(lab("auth1"));
    let mut stream = server.tcp();
    let queries: Vec<u8> =
        (0..40).flat_map(|id| framed(&Query { id, ..Query::new("big.example.test", TXT) }.bytes())).collect();
    stream.write_all(&queries).unwrap();
    // It has begun to read them; how far it is when it is told to stop is left to chance.
    assert!(next(&mut stream).is_some());
    let ended = thread::spawn(|| server.end());
    assert_eq!(std::iter::from_fn(|| next(&mut stream)).count(), 39);
    assert_eq!(ended.join().unwrap().cut_off, 0);
}

#[test]
fn while_it_drains_it_is_not_ready_but_answers_on_the_admin_port() {
    let mut server = start(Config { tcp_idle: PATIENCE, grace: PATIENCE, ..lab("auth1") });
    assert_eq!(server.page("/ready").0, 200);
    let greedy = server.tcp();
    stuff(&server, &greedy);
    server.signals.stop.cancel();
    eventually(|| server.page("/ready").0 == 503);
    assert_eq!(server.page("/live").0, 200);
    drop(greedy);
    assert_eq!(server.join().unwrap().cut_off, 0);
}

#[test]
fn what_a_client_never_reads_is_cut_off_after_the_grace() {
    let mut server = start(Config { tcp_idle: PATIENCE, grace: Duration::from_millis(20), ..lab("auth1") });
    let greedy = server.tcp();
    stuff(&server, &greedy);
    server.signals.stop.cancel();
    assert_eq!(server.join().unwrap().cut_off, 1);
}

#[test]
fn a_visit_is_recorded_and_nothing_else() {
    let server = start(lab("auth1"));
    server.ask(&Query::new("www.example.test", A).bytes());
    let trace = TraceId::new([7; 16]).unwrap();
    let mut option = options::TRACE.to_be_bytes().to_vec();
    option.extend_from_slice(&[0, 16]);
    option.extend_from_slice(trace.as_bytes());
    let query = Query { opt: Some((1232, 0, option)), ..Query::new("www.example.test", A) };
    let reply = server.ask(&query.bytes());
    assert_eq!((flags(&reply), counts(&reply)), (0x8400, [1, 2, 0, 1]));
    let (status, events) = server.page(&format!("/events?trace={trace}"));
    assert_eq!(status, 200);
    assert!(
        events.contains("query_received") && events.contains("answer_sent") && events.contains("10.78.2.82"),
        "{events}"
    );
    assert_eq!(server.page("/events").1.matches("\"kind\"").count(), 2);
    server.eventually_metric("dns_replies_total{rcode=\"NOERROR\"} 2");
}
