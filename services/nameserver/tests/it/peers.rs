//! Zone text that other servers read: the same data to the byte, and the same refusals. Needs `named-compilezone`,
//! `named-checkzone` (Debian: bind9) and `nsd-checkzone` (nsd); a test without them is ignored.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use hickory_proto::{
    rr::Name,
    serialize::binary::{BinEncodable, BinEncoder, NameEncoding},
};
use nameserver::master;

const HEAD: &str = "$ORIGIN z.test.\n$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";

/// What both read; the owner of each is made by its number.
const READ: &[&str] = &[
    "IN 60 A 192.0.2.1",
    "60 IN A 192.0.2.1",
    "1h30m A 192.0.2.1",
    "TXT \"a b\" c \"q\\\"q\" \\100 \"semi;colon\"",
    "TXT \"\"",
    "SPF \"v=spf1 -all\"",
    "HINFO \"a b\" c",
    "RP a b",
    "AFSDB 1 a",
    "LOC 42 21 54 N 71 06 18 W -24m 30m",
    "LOC 42 21 43.952 N 71 5 6.344 W -24m 1m 200m",
    "LOC 52 14 05.5 N 00 08 50 E 10m 0.05m",
    "SRV 1 2 80 y",
    "NAPTR 100 10 \"u\" \"E2U+sip\" \"!^(\\\\+44)$!sip:\\\\1@x!\" .",
    "CERT PKIX 1 RSASHA256 AQID",
    "DNAME y.test.",
    "APL 1:192.168.32.0/21 !1:192.168.38.0/28 2:fd00::/8",
    "SSHFP 1 1 0123456789abcdef0123456789abcdef01234567",
    "IPSECKEY 10 3 2 gw.test. AQID",
    "RRSIG A 5 3 86400 20300322173103 20260220173103 2642 example.com. AQID",
    "NSEC host.example.com. A MX RRSIG NSEC TYPE1234",
    "DNSKEY 256 3 RSASHA1 AQPSKmynfzW4kyBv015MUG2DeIQ3",
    "DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
    "TLSA 3 1 0 00 01",
    "OPENPGPKEY AQID",
    "HTTPS 0 n.",
    "HTTPS 1 . alpn=\"h2,h3\" port=443",
    "HTTPS 1 . port=443 alpn=h3 no-default-alpn",
    "HTTPS 1 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\"",
    "HTTPS 1 . ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1 ech=AEP+DQA/",
    "SVCB 1 n. key667=\"a\\210b\"",
    "SVCB 1 n. alpn=h2 dohpath=/dns-query{?dns}",
    "SVCB 16 foo.example.org. (alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1)",
    "NID 10 0014:4fff:ff20:ee64",
    "L64 10 2001:0db8:1140:1000",
    "EUI48 00-00-5e-00-53-2a",
    "URI 10 1 \"ftp://ftp1.example.com/public\"",
    "CAA 0 issue \"ca.example; account=230123\"",
    "TYPE65280 \\# 3 abcdef",
    "A \\# 4 c0000201",
];

/// What neither reads, and what this server does not read.
const REFUSED: &[&str] = &[
    "SVCB 1 n. key123=abc key123=def",
    "SVCB 1 n. mandatory",
    "SVCB 1 n. alpn",
    "SVCB 1 n. port",
    "SVCB 1 n. ipv4hint",
    "SVCB 1 n. alpn=h2 no-default-alpn=abc",
    "SVCB 1 n. mandatory=key123",
    "SVCB 1 n. mandatory=mandatory",
    "SVCB 1 n. mandatory=key123,key123 key123=abc",
    "SVCB 1 n. bogus=1",
    "A 192.0.2",
    "A 192.0.2.1 192.0.2.2",
    "AAAA 2001:db8:::1",
];

type Data = BTreeSet<(String, u16, Vec<u8>)>;

/// Whether the program reads the file; it fails the test where it cannot be run.
fn reads(program: &str, folder: &Path, words: &[&str]) -> (bool, String) {
    // They are often here, which an ordinary user's search path leaves out.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(words).current_dir(folder).env("PATH", path).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program} cannot be run ({error}); install bind9, bind9-utils and nsd"));
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// The records of BIND's raw format: a header of 24 bytes; then sets: length, class, type, covered type, time to live,
/// how many, the owner, and each record's data behind its length.
fn raw(bytes: &[u8]) -> Data {
    let mut data = Data::new();
    let u16_at = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let u32_at = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    let mut at = 24;
    while at < bytes.len() {
        let (end, rtype, count) = (at + u32_at(at), u16_at(at + 6), u32_at(at + 14));
        let owner = usize::from(u16_at(at + 18));
        let name = hex(&bytes[at + 20..at + 20 + owner]);
        let mut record = at + 20 + owner;
        for _ in 0..count {
            let length = usize::from(u16_at(record));
            data.insert((name.clone(), rtype, bytes[record + 2..record + 2 + length].to_vec()));
            record += 2 + length;
        }
        assert_eq!(record, end, "the format is as it was");
        at = end;
    }
    data
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&bytes.to_ascii_lowercase())
}

/// The records that this server reads, uncompressed.
fn ours(text: &str) -> Data {
    let (lines, problems) = master::read(text, &Name::from_ascii("z.test.").unwrap());
    assert_eq!(problems, []);
    let record = |line: &master::Line| {
        let mut data = Vec::new();
        let mut encoder = BinEncoder::new(&mut data);
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        line.record.data.emit(&mut encoder).unwrap();
        let name = line.record.name.to_bytes().unwrap();
        (hex(&name), line.record.record_type().into(), data)
    };
    lines.iter().map(record).collect()
}

#[needs::tools(nsd-checkzone, named-compilezone)]
#[test]
fn what_named_and_nsd_read_is_read_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = READ.iter().enumerate().map(|(at, data)| format!("n{at} {data}\n")).collect();
    let text = format!("{HEAD}{lines}");
    fs::write(folder.path().join("z"), &text).unwrap();
    let (read, said) = reads("nsd-checkzone", folder.path(), &["z.test", "z"]);
    assert!(read, "nsd: {said}");
    let (read, said) =
        reads("named-compilezone", folder.path(), &["-k", "ignore", "-F", "raw", "-o", "raw", "z.test", "z"]);
    assert!(read, "named: {said}");
    let theirs = raw(&fs::read(folder.path().join("raw")).unwrap());
    let ours = ours(&text);
    assert_eq!(ours.len(), READ.len() + 3);
    let of =
        |one: &Data, other: &Data| one.difference(other).map(|record| format!("{record:02x?}")).collect::<Vec<_>>();
    assert_eq!((of(&ours, &theirs), of(&theirs, &ours)), (Vec::new(), Vec::new()), "ours only, named's only");
}

#[needs::tools(nsd-checkzone, named-checkzone)]
#[test]
fn what_neither_reads_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for data in REFUSED {
        let text = format!("{HEAD}x {data}\n");
        fs::write(folder.path().join("z"), &text).unwrap();
        assert!(!reads("named-checkzone", folder.path(), &["-k", "ignore", "z.test", "z"]).0, "named: {data}");
        assert!(!reads("nsd-checkzone", folder.path(), &["z.test", "z"]).0, "nsd: {data}");
        let (_, problems) = master::read(&text, &Name::from_ascii("z.test.").unwrap());
        let lines: Vec<_> = problems.iter().filter_map(|problem| problem.place.as_ref()).map(|at| at.line).collect();
        assert_eq!(lines, [6], "{data}: {problems:?}");
    }
}
