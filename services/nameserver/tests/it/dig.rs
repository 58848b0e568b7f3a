//! `dig` as a client that knows nothing of this server (Debian: dnsutils).

use std::{collections::HashMap, net::SocketAddr, process::Command};

use crate::common::{Running, lab, start};

use crate::common;

/// What dig says, and which exit code it has.
fn dig(server: SocketAddr, words: &str) -> String {
    let output = Command::new("dig")
        .args([&format!("@{}", server.ip()), "-p", &server.port().to_string(), "+tries=1", "+time=5", "+norec"])
        .args(words.split(' '))
        .env_remove("DIGRC")
        .output()
        .unwrap_or_else(|error| panic!("dig cannot be run ({error}); install dnsutils (bind-utils, bind-tools)"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "dig {words}: {}\n{text}", output.status);
    text
}

/// The records of a section, each with single blanks between its fields.
fn section(text: &str, name: &str) -> Vec<String> {
    let begin = format!(";; {name} SECTION:");
    let lines = text.lines().skip_while(|line| *line != begin).skip(1).take_while(|line| !line.is_empty());
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// `status: … flags: …` as dig heads its output.
fn head(text: &str) -> (String, String) {
    let after = |mark: &str, end: char| {
        let rest = text.split_once(mark).unwrap_or_else(|| panic!("no {mark} in\n{text}")).1;
        rest.split(end).next().unwrap_or_default().trim().to_owned()
    };
    (after("status: ", ','), after(";; flags:", ';'))
}

/// Status, flags and the three sections.
fn check(server: &Running, words: &str, status: &str, flags: &str, sections: [&[&str]; 3]) {
    let text = dig(server.dns, words);
    assert_eq!(head(&text), (status.to_owned(), flags.to_owned()), "{text}");
    for (name, expected) in ["ANSWER", "AUTHORITY", "ADDITIONAL"].into_iter().zip(sections) {
        let mut found = section(&text, name);
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{name} of {words}\n{text}");
    }
    // dig knows that .local belongs to multicast DNS (RFC 6762), and says so.
    let warned = text.replace("WARNING: .local is reserved for Multicast DNS", "").contains("WARNING");
    assert!(!warned && !text.contains("malformed"), "{text}");
}

#[needs::tools(dig)]
#[test]
fn from_the_root_down_by_hand() {
    let hosts = ["root", "tld", "auth1", "auth2"].map(|host| (host, start(lab(host))));
    let book: HashMap<String, &Running> = hosts
        .iter()
        .flat_map(|(host, server)| {
            common::told(host).host.addresses.into_iter().map(move |ip| (ip.to_string(), server))
        })
        .collect();

    let mut at = &hosts[0].1;
    let mut seen = Vec::new();
    loop {
        let text = dig(at.dns, "www.example.test A");
        let (status, flags) = head(&text);
        assert_eq!(status, "NOERROR", "{text}");
        if flags == "qr aa" {
            let expected = ["www.example.test. 300 IN A 10.78.2.81", "www.example.test. 300 IN A 10.78.2.82"];
            assert_eq!(section(&text, "ANSWER"), expected);
            break;
        }
        // A referral: not authoritative, nothing in the answer, the next zone's servers, and where they are.
        assert_eq!((flags.as_str(), section(&text, "ANSWER").len()), ("qr", 0), "{text}");
        let authority = section(&text, "AUTHORITY");
        let fields: Vec<&str> = authority[0].split(' ').collect();
        seen.push(fields[0].to_owned());
        let glue = section(&text, "ADDITIONAL");
        let address = glue.iter().find(|line| line.starts_with(&format!("{} ", fields[4])) && line.contains(" A "));
        let address = address.unwrap_or_else(|| panic!("no glue for {}\n{text}", fields[4]));
        at = book[address.rsplit(' ').next().unwrap()];
    }
    assert_eq!(seen, ["test.", "example.test."]);
}

#[needs::tools(dig)]
#[test]
fn referrals_to_the_letter() {
    let (root, tld) = (start(lab("root")), start(lab("tld")));
    let test = ["test. 3600 IN NS ns.nic.test."];
    let glue = ["ns.nic.test. 3600 IN A 10.78.2.20"];
    for question in ["www.example.test A", "test NS", "test A", "ns.nic.test A", "nothing.test ANY"] {
        check(&root, &format!("{question} +noedns"), "NOERROR", "qr", [&[], &test, &glue]);
    }
    let soa = ". 60 IN SOA ns.root-servers.test. hostmaster.example.test. 2026112301 1800 900 604800 60";
    check(&root, "test DS +noedns", "NOERROR", "qr aa", [&[], &[soa], &[]]);
    check(&root, "org A +noedns", "NXDOMAIN", "qr aa", [&[], &[soa], &[]]);
    // What a resolver asks first (RFC 8109), with the addresses that make it useful.
    check(
        &root,
        ". NS +noedns",
        "NOERROR",
        "qr aa",
        [
            &[". 3600 IN NS ns.root-servers.test."],
            &[],
            &["ns.root-servers.test. 3600 IN A 10.78.2.10", "ns.root-servers.test. 3600 IN AAAA fd10:78:1ab::2:10"],
        ],
    );
    check(
        &tld,
        "www.example.local AAAA +noedns",
        "NOERROR",
        "qr",
        [
            &[],
            &["example.local. 3600 IN NS ns1.example.local.", "example.local. 3600 IN NS ns2.example.local."],
            &["ns1.example.local. 3600 IN A 10.78.2.31", "ns2.example.local. 3600 IN A 10.78.2.32"],
        ],
    );
    check(
        &tld,
        "ns.root-servers.test A +noedns",
        "NOERROR",
        "qr aa",
        [&["ns.root-servers.test. 3600 IN A 10.78.2.10"], &[], &[]],
    );
    check(&tld, "www.example.org A +noedns", "REFUSED", "qr", [&[], &[], &[]]);
}

#[needs::tools(dig)]
#[test]
fn answers_and_denials() {
    let auth = start(lab("auth1"));
    let soa = "example.test. 60 IN SOA ns1.example.test. hostmaster.example.test. 2026112301 1800 900 604800 60";
    let www = ["www.example.test. 300 IN A 10.78.2.81", "www.example.test. 300 IN A 10.78.2.82"];
    check(&auth, "www.example.test A +noedns", "NOERROR", "qr aa", [&www, &[], &[]]);
    check(&auth, "www.example.test A +noedns +tcp", "NOERROR", "qr aa", [&www, &[], &[]]);
    check(&auth, "missing.example.test A +noedns", "NXDOMAIN", "qr aa", [&[], &[soa], &[]]);
    check(&auth, "nodata.example.test A +noedns", "NOERROR", "qr aa", [&[], &[soa], &[]]);
    check(&auth, "wild.example.test A +noedns", "NOERROR", "qr aa", [&[], &[soa], &[]]);
    let alias = [
        "alias.example.test. 300 IN CNAME alias2.example.test.",
        "alias2.example.test. 300 IN CNAME www.example.test.",
    ];
    check(&auth, "alias.example.test A +noedns", "NOERROR", "qr aa", [&[&alias[..], &www[..]].concat(), &[], &[]]);
    check(
        &auth,
        "any.wild.example.test A +noedns",
        "NOERROR",
        "qr aa",
        [&["any.wild.example.test. 300 IN A 10.78.2.81"], &[], &[]],
    );
    check(
        &auth,
        "loop.example.test A +noedns",
        "NOERROR",
        "qr aa",
        [
            &[
                "loop.example.test. 300 IN CNAME loop2.example.test.",
                "loop2.example.test. 300 IN CNAME loop.example.test.",
            ],
            &[],
            &[],
        ],
    );
    check(
        &auth,
        "x.lame.example.test A +noedns",
        "NOERROR",
        "qr",
        [&[], &["lame.example.test. 300 IN NS ns.lame.example.test."], &["ns.lame.example.test. 300 IN A 10.78.2.10"]],
    );
    check(&auth, "www.example.test ANY +noedns", "NOERROR", "qr aa", [&www, &[], &[]]);
}

#[needs::tools(dig)]
#[test]
fn who_it_is_and_why_not() {
    let auth = start(lab("auth2"));
    let text = dig(auth.dns, "www.example.test A +nsid");
    assert!(text.contains("; EDNS: version: 0, flags:; udp: 1232") && text.contains("(\"auth2\")"), "{text}");
    let text = dig(auth.dns, "www.example.test A");
    assert!(!text.contains("NSID"), "{text}");
    let text = dig(auth.dns, "www.baidu.com A");
    assert!(text.contains("EDE: 20 (Not Authoritative): (served here: example.local. example.test.)"), "{text}");
    let text = dig(auth.dns, "version.bind CH TXT");
    assert_eq!(head(&text).0, "REFUSED");
    let text = dig(auth.dns, "example.test AXFR +tcp");
    assert!(text.contains("Transfer failed"), "{text}");
}

#[needs::tools(dig)]
#[test]
fn too_large_for_a_datagram() {
    let auth = start(lab("auth1"));
    let text = dig(auth.dns, "big.example.test TXT +ignore +nsid");
    assert_eq!(head(&text), ("NOERROR".to_owned(), "qr aa tc".to_owned()), "{text}");
    assert!(section(&text, "ANSWER").is_empty() && text.contains("(\"auth1\")"), "{text}");
    // dig asks again over TCP by itself.
    let text = dig(auth.dns, "big.example.test TXT");
    assert_eq!(head(&text), ("NOERROR".to_owned(), "qr aa".to_owned()), "{text}");
    assert!(text.contains("Truncated, retrying in TCP mode") && section(&text, "ANSWER").len() == 6, "{text}");
}

/// The questions of RFC 8906 §8, as dig asks them.
#[needs::tools(dig)]
#[test]
fn as_every_server_should() {
    let auth = start(lab("auth1"));
    for (words, status) in [
        ("example.test SOA +noedns +noad", "NOERROR"),
        ("example.test TYPE1000 +noedns +noad", "NOERROR"),
        ("example.test SOA +noedns +cd", "NOERROR"),
        ("example.test SOA +noedns +ad", "NOERROR"),
        ("example.test SOA +noedns +zflag", "NOERROR"),
        ("example.test +noedns +noad +opcode=15 +header-only", "NOTIMP"),
        ("example.test SOA +edns=0 +nocookie +noad", "NOERROR"),
        ("example.test SOA +edns=1 +noednsneg +nocookie +noad", "BADVERS"),
        ("example.test SOA +edns=0 +nocookie +noad +ednsopt=100", "NOERROR"),
        ("example.test SOA +edns=0 +nocookie +noad +ednsflags=0x40", "NOERROR"),
        ("example.test SOA +edns=1 +noednsneg +nocookie +noad +ednsopt=100", "BADVERS"),
        ("example.test SOA +edns=1 +noednsneg +nocookie +noad +ednsflags=0x80", "BADVERS"),
        ("example.test DNSKEY +edns=0 +nocookie +noad +bufsize=512 +dnssec", "NOERROR"),
        ("example.test SOA +edns=0 +nocookie +noad +dnssec", "NOERROR"),
    ] {
        let text = dig(auth.dns, words);
        assert_eq!(head(&text).0, status, "{words}\n{text}");
        assert!(!text.contains("MBZ") && !text.contains("malformed"), "{words}\n{text}");
        assert_eq!(text.contains("OPT PSEUDOSECTION"), words.contains("+edns"), "{words}\n{text}");
    }
}
