//! In the lab inside the program, with a network of its own.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use journey::Journey;

use crate::user::{User, count, frames, is_cut, tshark};

pub(crate) const TESTS: [(&str, fn()); 3] =
    [("lab::nothing_is_wrong_with_the_frames", sound), ("lab::keys_decrypt", keys), ("lab::secrets", secrets)];

/// What is wrong with a frame, as Wireshark sees it.
const WRONG: &str = "_ws.malformed || ip.checksum.status == \"Bad\" || tcp.checksum.status == \"Bad\" || \
    udp.checksum.status == \"Bad\"";
/// What is wrong with its place among the others: it was sent again, or one is missing.
const AGAIN: &str = "tcp.analysis.retransmission || tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || \
    tcp.analysis.out_of_order";

/// The files of both segments.
fn files(user: &User) -> [PathBuf; 2] {
    ["clients", "servers"].map(|segment| user.path(&format!("a.{segment}.pcapng")))
}

fn sound() {
    let user = User::new();
    let check = |args: &[&str], shown: &str| {
        let (code, journey) = user.visit(&[], &[&["--lab=wire", "--pcap", "a.pcapng"], args].concat());
        assert_eq!(code, 0, "{args:?}");
        let capture = frames(&journey);
        // What is there is sound, also where not all of it came in time.
        is_cut(capture);
        // The page is coded, which alone is no reason to leave it out.
        assert!(capture.frames.iter().all(|frame| frame.cut.is_none()), "{args:?}");
        // A kernel that was held up for some milliseconds sends again by itself, and says so.
        let counters = capture.kernels.iter().flat_map(|kernel| &kernel.counters);
        let again =
            counters.filter(|counter| counter.name == "RetransSegs").map(|counter| counter.grew_by).sum::<u64>();
        for file in files(&user) {
            assert!(count(&file, shown) > 0, "{args:?}: no {shown} in {}", file.display());
            assert_eq!(tshark(&file, WRONG), "", "{args:?}: {}", file.display());
            let seen = tshark(&file, AGAIN);
            assert!(
                seen.lines().count() as u64 <= again,
                "{args:?}: {again} by the kernels, {}: {seen}",
                file.display()
            );
        }
    };
    check(&["http://www.example.local/"], "http.request && ip");
    check(&["-6", "http://www.example.local/"], "http.request && ipv6");
    check(&["https://www.example.local/"], "tls.handshake.type == 1");
    check(&["udp://app2.example.local:7", "--send", "hi"], "udp.port == 7");
    // The resolver asked over TCP as well as we did.
    check(&["-4", "http://crowd.example.local/"], "dns && tcp");
}

fn keys() {
    let user = User::new();
    let args = ["--lab=wire", "-s", "--pcap", "a.pcapng"];
    let get = "http2.headers.method == \"GET\" && http2.headers.path == \"/\"";
    let check = |more: &[&str], expected: bool, mode: u32| {
        let all = [&args, more, &["https://www.example.local/"]].concat();
        assert_eq!(user.run(&[], &all).status.code(), Some(0));
        for file in files(&user) {
            assert_eq!(count(&file, get) > 0, expected, "{more:?} {}", file.display());
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o177, mode & 0o177, "{more:?}");
            fs::remove_file(file).unwrap();
        }
    };
    check(&[], false, 0o644);
    check(&["--pcap-keys"], true, 0o600);
}

/// A secret, and the two parts that a segment's end may cut it into.
const PARTS: [&str; 2] = ["correcthorse", "batterystaple"];

fn secrets() {
    let user = User::new();
    let check = |args: &[&str]| {
        for (option, is_kept) in [(None, false), (Some("--show-secrets"), true)] {
            let mut all = vec!["--lab=wire", "--pcap", "a.pcapng", "--save", "a.json"];
            all.extend(option.iter().chain(args));
            let (code, journey) = user.visit(&[], &all);
            assert_eq!(code, 0, "{args:?}");
            let saved = fs::read_to_string(user.path("a.json")).unwrap();
            let places = [
                ("frames of --json", all_bytes(&journey)),
                (
                    "--json",
                    serde_json::to_vec(&Journey { capture: journey::capture::Captured::default(), ..journey }).unwrap(),
                ),
                ("frames of --save", all_bytes(&serde_json::from_str(&saved).unwrap())),
                ("--save", saved.into_bytes()),
                ("--pcap", files(&user).map(|file| fs::read(file).unwrap()).concat()),
            ];
            for part in PARTS {
                let held: Vec<&str> =
                    places.iter().filter(|(_, bytes)| holds(bytes, part)).map(|(place, _)| *place).collect();
                match is_kept {
                    false => assert!(held.is_empty(), "{args:?}: {part} is in {held:?}"),
                    true => {
                        for place in ["frames of --json", "frames of --save", "--pcap"] {
                            assert!(held.contains(&place), "{args:?}: {part} is not in {place}");
                        }
                    }
                }
            }
        }
    };
    let secret = PARTS.concat();
    let url = |rest: &str| format!("http://www.example.local/{rest}");
    check(&[&url(&format!("?a=b&access_token={secret}"))]);
    check(&[&url(""), "-H", &format!("Authorization: Basic {secret}")]);
    check(&[&url(""), "-H", &format!("Cookie: id={secret}")]);
    check(&[&url(""), "-d", &format!("user=joe&password={secret}")]);
    check(&[&url(""), "-d", &format!("{{\"apiKey\": \"{secret}\"}}")]);
    // Sent again: the first segment with bytes is lost on each link.
    let lost = ["--fault", "wire:loss=100%,frames=data,first=1"];
    check(&[&lost[..], &[&url(""), "-H", &format!("Cookie: id={secret}")]].concat());
    // Behind 1448 bytes a segment ends: here in the middle of the secret.
    let before = "{\"password\": \"";
    let line = format!("{before}{secret}\"}}\\n");
    let filler = format!("{}\\n", "x".repeat(1448 - 1 - before.len() - PARTS[0].len()));
    let talk = "tcp://app1.example.local:8080";
    check(&[talk, "--send", &line]);
    check(&[talk, "--send", &format!("{filler}{line}")]);
    // And in fragments of IP.
    let echo = "udp://app2.example.local:7";
    check(&[echo, "--send", &line]);
    check(&[echo, "--send", &format!("{filler}{line}")]);
    check(&[echo, "--send", &format!("{filler}{line}{filler}")]);
}

fn all_bytes(journey: &Journey) -> Vec<u8> {
    // Not one behind the other without a gap: what is in two frames is not in one.
    frames(journey).frames.iter().flat_map(|frame| frame.bytes.0.iter().copied().chain([0])).collect()
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}
