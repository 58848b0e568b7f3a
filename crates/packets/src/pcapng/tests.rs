//! Files read back: by a small reader, and by Wireshark's.

use std::{collections::HashMap, io::Write, process::Command};

use etherparse::PacketBuilder;
use journey::capture::{Bytes, Port};

use super::*;

const BASE: u64 = 1_764_089_000_123_456_789;

/// A frame from one host to the other: time, who, flags, sequence, acknowledgment, payload.
fn tcp(at_ns: i64, is_client: bool, flags: &str, numbers: (u32, u32), payload: &[u8]) -> Frame {
    let ends = [([2, 0, 0, 0, 0, 1], [10, 78, 1, 100], 40_000), ([2, 0, 0, 0, 0, 2], [10, 78, 1, 2], 80)];
    let [from, to] = if is_client { ends } else { [ends[1], ends[0]] };
    let mut builder =
        PacketBuilder::ethernet2(from.0, to.0).ipv4(from.1, to.1, 64).tcp(from.2, to.2, numbers.0, 64_000);
    for flag in flags.chars() {
        builder = match flag {
            'S' => builder.syn(),
            'F' => builder.fin(),
            'P' => builder.psh(),
            _ => builder.ack(numbers.1),
        };
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes, payload).unwrap();
    let [from, to] = if is_client { [YOU, "server"] } else { ["server", YOU] };
    frame(at_ns, from, Fate::Passed { to: vec![to.to_owned()], flooded: false, altered: None }, bytes)
}

fn frame(at_ns: i64, from: &str, fate: Fate, bytes: Vec<u8>) -> Frame {
    let len = bytes.len() as u32;
    Frame {
        at_ns,
        link: 0,
        from: Some(from.to_owned()),
        fate,
        len,
        bytes: Bytes(bytes),
        cut: None,
        unfilled_checksum: None,
    }
}

fn port(host: &str, last: u8) -> Port {
    Port {
        host: host.to_owned(),
        interface: "eth0".to_owned(),
        mac: Some(Mac([2, 0, 0, 0, 0, last])),
        addresses: vec![format!("10.78.1.{last}/24")],
    }
}

fn link(name: &str, kind: LinkKind, ports: Vec<Port>) -> Link {
    Link { name: name.to_owned(), kind, ports, learned_before: Vec::new(), learned_after: Vec::new() }
}

/// A visit: the first SYN is lost, the answer is delayed.
fn visit() -> Capture {
    let mut frames = vec![
        tcp(-5, true, "S", (100, 0), b""),
        tcp(1_030_000_000, true, "S", (100, 0), b""),
        tcp(1_031_000_000, false, "SA", (900, 101), b""),
        tcp(1_032_000_000, true, "A", (101, 901), b""),
        tcp(1_033_000_000, true, "PA", (101, 901), b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        tcp(1_034_000_000, false, "PA", (901, 133), b"HTTP/1.1 204 No Content\r\n\r\n"),
        tcp(1_035_000_000, true, "FA", (133, 928), b""),
        tcp(1_036_000_000, false, "FA", (928, 134), b""),
        tcp(1_037_000_000, true, "A", (134, 929), b""),
    ];
    frames[0].fate = Fate::Dropped { why: "the first SYN is lost (fault `drop`)".to_owned() };
    frames[2].fate =
        Fate::Passed { to: vec![YOU.to_owned()], flooded: true, altered: Some("delayed by 1 ms".to_owned()) };
    let links = vec![link("clients", LinkKind::Segment, vec![port(YOU, 1), port("server", 2)])];
    Capture { links, frames, ..Capture::default() }
}

/// A block: its type, its body, and the rest of the file.
fn block(file: &[u8]) -> (u32, &[u8], &[u8]) {
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let length = number(4) as usize;
    assert!(length.is_multiple_of(4) && number(length - 4) as usize == length);
    (number(0), &file[8..length - 4], &file[length..])
}

/// The options behind so many bytes of a body.
fn options(body: &[u8], from: usize) -> Vec<(u16, Vec<u8>)> {
    let (mut rest, mut found) = (&body[from..], Vec::new());
    while !rest.is_empty() {
        let number = |at: usize| u16::from_le_bytes([rest[at], rest[at + 1]]);
        let (code, length) = (number(0), usize::from(number(2)));
        found.push((code, rest[4..4 + length].to_vec()));
        rest = &rest[4 + length.next_multiple_of(4)..];
    }
    // The end of options stands where there are any, and last.
    if !found.is_empty() {
        assert_eq!(found.pop(), Some((0, Vec::new())));
    }
    found
}

fn text(code: u16, text: &str) -> (u16, Vec<u8>) {
    (code, text.as_bytes().to_vec())
}

#[test]
fn block_by_block() {
    let mut capture = visit();
    (capture.lost, capture.cut) = (3, Some("the deadline passed".to_owned()));
    capture.frames[1].cut = Some("it holds a password".to_owned());
    capture.frames[1].len = 700;
    capture.frames[1].unfilled_checksum = Some(true);
    capture.frames[3].fate = Fate::Seen;
    let names =
        [("10.78.1.2".parse().unwrap(), "server".to_owned()), ("fd10::2".parse().unwrap(), "ser\0ver".to_owned())];
    let files = files(&capture, About { base_ns: BASE, names: &names, keys: Some("CLIENT_RANDOM 00 11\n") });
    let [(name, file)] = &files[..] else { panic!("{} files", files.len()) };
    assert_eq!(name, "clients");

    let (kind, body, rest) = block(file);
    assert_eq!((kind, &body[..16]), (0x0a0d_0d0a, &b"\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"[..]));
    let version = concat!("visit ", env!("CARGO_PKG_VERSION"));
    assert_eq!(options(body, 16), [text(1, "The capture is not complete: the deadline passed"), text(4, version)]);

    let (kind, body, rest) = block(rest);
    assert_eq!((kind, &body[..8]), (1, &[1, 0, 0, 0, 0, 0, 0, 0][..]));
    let hosts = "you (eth0, 10.78.1.1/24, 02:00:00:00:00:01); server (eth0, 10.78.1.2/24, 02:00:00:00:00:02)";
    assert_eq!(options(body, 8), [text(2, "clients"), text(3, hosts), (9, vec![9])]);

    let (kind, body, rest) = block(rest);
    let ipv6 = [&[0xfd, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2][..], b"server\0"].concat();
    assert_eq!((kind, options(body, 0)), (4, vec![(1, b"\x0a\x4e\x01\x02server\0".to_vec()), (2, ipv6)]));

    let (kind, body, mut rest) = block(rest);
    assert_eq!((kind, body), (0xa, &b"KSLT\x14\0\0\0CLIENT_RANDOM 00 11\n"[..]));

    for (index, frame) in capture.frames.iter().enumerate() {
        let (kind, body, more) = block(rest);
        rest = more;
        let number = |at: usize| u64::from(u32::from_le_bytes(body[at..at + 4].try_into().unwrap()));
        assert_eq!((kind, number(0)), (6, 0));
        assert_eq!(number(4) << 32 | number(8), BASE.wrapping_add_signed(frame.at_ns));
        let kept = frame.bytes.0.len();
        assert_eq!((number(12), number(16)), (kept as u64, u64::from(frame.len)));
        assert_eq!(&body[20..20 + kept], frame.bytes.0);
        let comments: &[&str] = match index {
            0 => &["Not sent on: the first SYN is lost (fault `drop`)"],
            1 => &[
                "Its checksum was left to a device, and is not filled in here",
                "Not all of its bytes are kept: it holds a password",
            ],
            2 => &["delayed by 1 ms"],
            _ => &[],
        };
        let direction = if frame.from.as_deref() == Some(YOU) { 2 } else { 1 };
        let mut expected: Vec<_> = comments.iter().map(|comment| text(1, comment)).collect();
        expected.push((2, vec![direction, 0, 0, 0]));
        assert_eq!(options(body, 20 + kept.next_multiple_of(4)), expected);
    }

    let (kind, body, rest) = block(rest);
    let expected = [(7, 3u64.to_le_bytes().to_vec()), (8, 9u64.to_le_bytes().to_vec())];
    assert_eq!((kind, &options(body, 12)[..], rest), (5, &expected[..], &[][..]));
}

#[test]
fn a_file_for_each_link() {
    let check = |kind: LinkKind, mut frame: Frame, expected: (u16, Option<u8>, bool)| {
        frame.link = 1;
        let links = vec![link("other", LinkKind::Segment, Vec::new()), link("it", kind, vec![port(YOU, 1)])];
        let capture = Capture { links, frames: vec![frame, visit().frames[5].clone()], lost: 2, ..Capture::default() };
        assert_eq!(link_of_you(&capture), Some(1));
        let files = files(&capture, About::default());
        let [(_, other), (name, it)] = &files[..] else { panic!("{} files", files.len()) };
        assert_eq!(name, "it");
        let blocks = |mut rest: &[u8]| {
            let mut kinds = Vec::new();
            while !rest.is_empty() {
                let (kind, body, more) = block(rest);
                kinds.push((kind, body.to_vec()));
                rest = more;
            }
            kinds
        };
        assert_eq!(blocks(other).iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [0x0a0d_0d0a, 1, 6, 5]);
        let blocks = blocks(it);
        let mac = options(&blocks[1].1, 8).iter().any(|(code, value)| *code == 6 && value == &[2, 0, 0, 0, 0, 1]);
        let kept = u32::from_le_bytes(blocks[2].1[12..16].try_into().unwrap()) as usize;
        let flags = options(&blocks[2].1, 20 + kept.next_multiple_of(4));
        let direction = flags.iter().find(|(code, _)| *code == 2).map(|(_, value)| value[0]);
        assert_eq!((u16::from_le_bytes([blocks[1].1[0], blocks[1].1[1]]), direction, mac), expected, "{kind:?}");
        // Which link's frames were lost is not known.
        let lost = options(&blocks[3].1, 12);
        assert!(lost[0].0 == 1 && lost.iter().all(|(code, _)| *code != 7), "{lost:?}");
    };
    let seen =
        |from: Option<&str>| Frame { from: from.map(str::to_owned), ..frame(0, YOU, Fate::Seen, vec![0x45; 20]) };
    check(LinkKind::Ethernet, seen(None), (1, Some(1), true));
    check(LinkKind::Ethernet, seen(Some(YOU)), (1, Some(2), true));
    check(LinkKind::Ip, seen(Some(YOU)), (101, Some(2), true));
    check(LinkKind::Loopback, seen(Some(YOU)), (1, None, true));
    check(LinkKind::Segment, seen(Some("resolver")), (1, None, false));
}

/// A comment, however long, does not break the block.
#[test]
fn long_texts() {
    let mut capture = visit();
    capture.frames.truncate(1);
    capture.frames[0].cut = Some("ä".repeat(50_000));
    let files = files(&capture, About::default());
    let (_, _, rest) = block(&files[0].1);
    let (_, _, rest) = block(rest);
    let (_, body, _) = block(rest);
    let options = options(body, 20 + 56);
    assert!(options[1].1.len() > 65_000 && std::str::from_utf8(&options[1].1).is_ok());
}

/// What Wireshark's reader says of a file: of each frame these fields.
fn tshark(file: &[u8], args: &[&str]) -> String {
    let mut at = tempfile::NamedTempFile::new().unwrap();
    at.write_all(file).unwrap();
    let checks = ["tcp.check_checksum:TRUE", "ip.check_checksum:TRUE", "udp.check_checksum:TRUE"];
    let output = Command::new("tshark")
        .args(["-n", "-r"])
        .arg(at.path())
        .args(checks.iter().flat_map(|check| ["-o", check]))
        .args(args)
        .output()
        .expect("tshark is needed: apt-get install tshark");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[needs::tools(tshark)]
#[test]
fn wireshark_reads_it() {
    let names = [("10.78.1.2".parse().unwrap(), "server.example.test".to_owned())];
    let files = files(&visit(), About { base_ns: BASE, names: &names, keys: None });
    let file = &files[0].1;
    let count = |filter: &str| tshark(file, &["-Y", filter]).lines().count();
    let counts = HashMap::from([
        ("frame", 9),
        ("_ws.malformed", 0),
        ("tcp.checksum.status == \"Good\"", 9),
        ("ip.checksum.status == \"Good\"", 9),
        ("tcp.analysis.retransmission", 1),
        ("tcp.analysis.flags && !tcp.analysis.retransmission && !tcp.analysis.duplicate_ack", 0),
        ("http", 2),
        ("frame.interface_name == \"clients\"", 9),
        ("frame.packet_flags_direction == 2", 6),
        ("frame.comment contains \"the first SYN is lost\"", 1),
    ]);
    for (filter, expected) in counts {
        assert_eq!(count(filter), expected, "{filter}");
    }
    let first = tshark(file, &["-c", "1", "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.comment"]);
    assert_eq!(first.trim_end(), "1764089000.123456784\tNot sent on: the first SYN is lost (fault `drop`)");
    let named = tshark(file, &["-N", "n", "-c", "1", "-T", "fields", "-e", "ip.dst_host"]);
    assert_eq!(named.trim_end(), "server.example.test");
}
