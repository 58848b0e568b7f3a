//! Conversations with name servers that are broken, hostile or unusual: what each server says, and what a client gets.
//!
//! A script has lines of three kinds. `ADDRESS [QUESTION]: REPLY` is what a server says to a question (`*` or `*.name.` for
//! any name, `TYPE` optional), the first line that fits counts. `? NAME TYPE: RCODE [RECORDS]` asks and says what must
//! come; records are given as `TYPE data`, in order. A reply is a list of words and records: `aa`, `ra`, `drop`, a response
//! code, and records after `an`, `ns` or `ar`, separated by `;`.

use std::{collections::BTreeMap, time::Duration};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType, rdata::NULL},
};
use journey::dns::Transport;

use crate::{
    fake::{Act, Fake, a, cname, name, ns, reply, soa, txt, what},
    running::{Running, config, errors},
};

struct Rule {
    question: String,
    says: String,
}

fn matches(pattern: &str, qname: &str, rtype: RecordType) -> bool {
    let mut words = pattern.split(' ');
    let asked = words.next().unwrap_or("*");
    let of_name = match asked.strip_prefix('*') {
        Some(zone) => qname.ends_with(zone),
        None => qname == asked,
    };
    of_name && words.next().is_none_or(|word| word == rtype.to_string())
}

fn code(word: &str) -> Option<ResponseCode> {
    Some(match word {
        "NOERROR" => ResponseCode::NoError,
        "NXDOMAIN" => ResponseCode::NXDomain,
        "SERVFAIL" => ResponseCode::ServFail,
        "REFUSED" => ResponseCode::Refused,
        "FORMERR" => ResponseCode::FormErr,
        "NOTIMP" => ResponseCode::NotImp,
        "YXDOMAIN" => ResponseCode::YXDomain,
        _ => return None,
    })
}

fn record(text: &str, qname: &str) -> Record {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [owner, rtype, rest @ ..] = words.as_slice() else { panic!("{text}") };
    let owner = owner.replace('@', qname);
    match (*rtype, rest) {
        ("A", [ip]) => a(&owner, ip),
        ("NS", [target]) => ns(&owner, target),
        ("CNAME", [target]) => cname(&owner, target),
        ("TXT", [value]) => txt(&owner, value),
        ("SOA", []) => soa(&owner),
        ("DNAME", [target]) => {
            let labels = name(target);
            let mut bytes: Vec<u8> = Vec::new();
            for label in labels.iter() {
                bytes.push(u8::try_from(label.len()).unwrap());
                bytes.extend_from_slice(label);
            }
            bytes.push(0);
            let data = RData::Unknown { code: RecordType::DNAME, rdata: NULL::with(bytes) };
            Record::from_rdata(name(&owner), 300, data)
        }
        _ => panic!("{text}"),
    }
}

fn act(says: &str, query: &Message) -> Act {
    let (qname, _) = what(query);
    let mut message = reply(ResponseCode::NoError);
    for part in says.split(';').map(str::trim) {
        let (section, rest) = part.split_once(' ').unwrap_or((part, ""));
        match section {
            "an" => message.answers.push(record(rest, &qname)),
            "ns" => message.authorities.push(record(rest, &qname)),
            "ar" => message.additionals.push(record(rest, &qname)),
            "aa" => message.metadata.authoritative = true,
            "ra" => message.metadata.recursion_available = true,
            "drop" => return Act::Drop,
            "no-edns" if query.edns.is_some() => return act(rest, query),
            "no-edns" => {}
            word => message.metadata.response_code = code(word).unwrap_or_else(|| panic!("{word}")),
        }
    }
    Act::Say(message)
}

fn cut_to_a_datagram(act: Act, transport: Transport) -> Act {
    match act {
        Act::Say(whole) if transport == Transport::Udp && whole.to_vec().unwrap().len() > 1_200 => {
            let mut cut = reply(ResponseCode::NoError);
            cut.metadata.truncation = true;
            Act::Say(cut)
        }
        other => other,
    }
}

/// What every script begins with: the root delegates `test.`, whose server delegates what a script says.
const TOP: &str = "
10.78.2.10 *test.: ns test. NS ns.test.; ar ns.test. A 10.78.2.20
10.78.2.10 *other.: ns other. NS ns.other.; ar ns.other. A 10.78.2.21
10.78.2.10 *: aa; NXDOMAIN; ns . SOA
10.78.2.20 ns.test.: aa; an @ A 10.78.2.20
10.78.2.21 ns.other.: aa; an @ A 10.78.2.21
";

async fn converse(title: &str, script: &str) -> usize {
    let mut rules: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    let mut asks = Vec::new();
    // A script's own lines go before those that all have.
    for line in script.lines().chain(TOP.lines()).map(str::trim).filter(|line| !line.is_empty()) {
        let (head, says) = line.split_once(": ").unwrap_or_else(|| panic!("{title}: {line}"));
        match head.split_once(' ').unwrap() {
            ("?", question) => asks.push((question.to_owned(), says.to_owned())),
            (ip, question) => {
                let rule = Rule { question: question.to_owned(), says: says.to_owned() };
                rules.entry(ip.to_owned()).or_default().push(rule);
            }
        }
    }
    let mut servers = Vec::new();
    for (ip, rules) in rules {
        let script = move |query: &Message, transport: Transport| {
            let (qname, rtype) = what(query);
            let rule = rules.iter().find(|rule| matches(&rule.question, &qname, rtype));
            let act = rule.map_or_else(|| Act::Say(reply(ResponseCode::Refused)), |rule| act(&rule.says, query));
            cut_to_a_datagram(act, transport)
        };
        servers.push(Fake::new(&ip, script).await);
    }
    let mut config = config(&servers.iter().collect::<Vec<_>>());
    config.upstream_timeout = Duration::from_millis(300);
    config.answer_timeout = Duration::from_secs(4);
    let resolver = Running::start(config).await;
    for (question, expected) in asks {
        let (qname, rtype) = question.split_once(' ').unwrap();
        let answer = resolver.ask(qname, rtype.parse().unwrap(), None).await;
        let rcode = dns::words::rcode(answer.metadata.response_code);
        let records: Vec<String> = answer
            .answers
            .iter()
            .map(|record| match &record.data {
                RData::Unknown { .. } => record.record_type().to_string(),
                data => format!("{} {data}", record.record_type()),
            })
            .collect();
        let asked: Vec<(String, Vec<String>)> =
            servers.iter().map(|server| (server.ip.to_string(), server.asked())).collect();
        let got = [vec![rcode], records].concat().join(" ");
        assert_eq!(got, expected, "{title}: {question} {:?} {asked:#?}", errors(&answer));
    }
    servers.iter().map(|server| server.seen().len()).sum()
}

/// `example.test.` at 10.78.2.31, which has an address for www.
const ONE: &str = "
10.78.2.20 *example.test.: ns example.test. NS ns1.example.test.; ar ns1.example.test. A 10.78.2.31
";

const SCRIPTS: &[(&str, &str)] = &[
    ("a server without glue is asked when the one with glue refuses", "
10.78.2.20 *example.test.: ns example.test. NS ns1.example.test.; ns example.test. NS ns2.provider.other.; ar ns1.example.test. A 10.78.2.31
10.78.2.21 *provider.other.: ns provider.other. NS ns.provider.other.; ar ns.provider.other. A 10.78.2.33
10.78.2.33 ns2.provider.other. A: aa; an @ A 10.78.2.32
10.78.2.33 *: aa; ns provider.other. SOA
10.78.2.31 *: REFUSED
10.78.2.32 *: aa; an @ A 10.78.2.81
? www.example.test. A: NOERROR A 10.78.2.81"),
    ("a server without glue is asked when the one with glue is silent", "
10.78.2.20 *example.test.: ns example.test. NS ns1.example.test.; ns example.test. NS ns2.provider.other.; ar ns1.example.test. A 10.78.2.31
10.78.2.21 ns2.provider.other. A: aa; an @ A 10.78.2.32
10.78.2.21 *: aa; ns other. SOA
10.78.2.31 *: drop
10.78.2.32 *: aa; an @ A 10.78.2.81
? www.example.test. A: NOERROR A 10.78.2.81"),
    ("glue that leads nowhere is not all that is tried", "
10.78.2.20 *example.test.: ns example.test. NS ns.provider.test.; ar ns.provider.test. A 10.78.2.31
10.78.2.20 ns.provider.test. A: aa; an @ A 10.78.2.32
10.78.2.20 *provider.test.: aa; ns test. SOA
10.78.2.31 *: REFUSED
10.78.2.32 *: aa; an @ A 10.78.2.81
? www.example.test. A: NOERROR A 10.78.2.81"),
    ("the parent's glue is tried when the zone's own address leads nowhere", "
10.78.2.20 *example.test.: ns example.test. NS ns.provider.other.
10.78.2.21 *provider.other.: ns provider.other. NS ns.provider.other.; ar ns.provider.other. A 10.78.2.33
10.78.2.33 ns.provider.other. A: aa; an @ A 10.78.2.32
10.78.2.32 *: SERVFAIL
10.78.2.33 *: aa; an @ A 10.78.2.81
? www.example.test. A: NOERROR A 10.78.2.81"),
    ("a part of the name that is refused does not make the name unresolvable", "
10.78.2.31 www.deep.example.test. A: aa; an @ A 10.78.2.81
10.78.2.31 *: REFUSED
? www.deep.example.test. A: NOERROR A 10.78.2.81"),
    ("a part of the name that is ignored does not make the name unresolvable", "
10.78.2.31 www.deep.example.test. A: aa; an @ A 10.78.2.81
10.78.2.31 *: drop
? www.deep.example.test. A: NOERROR A 10.78.2.81"),
    ("a part of the name that is denied does not make the name unresolvable", "
10.78.2.31 www.deep.example.test. A: aa; an @ A 10.78.2.81
10.78.2.31 *: aa; NXDOMAIN; ns example.test. SOA
? www.deep.example.test. A: NOERROR A 10.78.2.81
? x.other.example.test. A: NXDOMAIN"),
    ("a name with 34 labels resolves", "
10.78.2.31 1.2.3.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8.9.0.1.2.example.test. A: aa; an @ A 10.78.2.81
10.78.2.31 *: aa; ns example.test. SOA
? 1.2.3.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8.9.0.1.2.example.test. A: NOERROR A 10.78.2.81"),
    ("errors because of EDNS are made good without it", "
10.78.2.31 www.example.test. A: no-edns FORMERR; aa; an @ A 10.78.2.81
10.78.2.31 ftp.example.test. A: no-edns NOTIMP; aa; an @ A 10.78.2.82
10.78.2.31 *: no-edns SERVFAIL; aa; an @ A 10.78.2.83
? www.example.test. A: NOERROR A 10.78.2.81
? ftp.example.test. A: NOERROR A 10.78.2.82
? mail.example.test. A: NOERROR A 10.78.2.83"),
    ("an upward referral with AA is lame", "
10.78.2.31 *: aa; ns . NS ns.root.
? www.example.test. A: SERVFAIL"),
    ("an answer without AA does not go before an authority's", "
10.78.2.20 *example.test.: ns example.test. NS ns1.example.test.; ns example.test. NS ns2.example.test.; ar ns1.example.test. A 10.78.2.31; ar ns2.example.test. A 10.78.2.32
10.78.2.31 *: ra; an @ A 10.78.2.99
10.78.2.32 *: aa; an @ A 10.78.2.81
? www.example.test. A: NOERROR A 10.78.2.81"),
    ("an answer without AA is taken where there is no other", "
10.78.2.31 *: an @ A 10.78.2.81
? www.example.test. A: NOERROR A 10.78.2.81"),
    ("an empty answer does not go before one that says something", "
10.78.2.20 *example.test.: ns example.test. NS ns1.example.test.; ns example.test. NS ns2.example.test.; ar ns1.example.test. A 10.78.2.31; ar ns2.example.test. A 10.78.2.32
10.78.2.31 *: aa
10.78.2.32 *: aa; an @ A 10.78.2.81
? www.example.test. A: NOERROR A 10.78.2.81"),
    ("records of the name of another type only are a no", "
10.78.2.31 *: an @ A 10.78.2.81
? www.example.test. TXT: NOERROR"),
    ("records of another type do not go before an authority's", "
10.78.2.20 *example.test.: ns example.test. NS ns1.example.test.; ns example.test. NS ns2.example.test.; ar ns1.example.test. A 10.78.2.31; ar ns2.example.test. A 10.78.2.32
10.78.2.31 *: an @ TXT other
10.78.2.32 *: aa; an @ A 10.78.2.81
? www.example.test. A: NOERROR A 10.78.2.81"),
    ("a no with SOA and without AA is believed", "
10.78.2.31 *: ns example.test. SOA
? www.example.test. A: NOERROR"),
    ("parent and child on one server", "
10.78.2.20 www.example.test. A: aa; an @ A 10.78.2.81; ns example.test. NS nowhere.example.test.
10.78.2.20 *example.test.: aa; ns example.test. SOA
? www.example.test. A: NOERROR A 10.78.2.81
? www.example.test. MX: NOERROR"),
    ("NS records beside an answer do not take a zone over", "
10.78.2.31 www.example.test. A: aa; an @ A 10.78.2.81; ns example.test. NS ns.evil.other.; ar ns.evil.other. A 10.78.2.66
10.78.2.31 *: aa; an @ A 10.78.2.82
10.78.2.66 *: aa; an @ A 10.78.2.66
? www.example.test. A: NOERROR A 10.78.2.81
? ftp.example.test. A: NOERROR A 10.78.2.82"),
    ("YXDOMAIN is passed on with its DNAME", "
10.78.2.31 *: aa; YXDOMAIN; an example.test. DNAME far.other.
? www.example.test. A: YXDOMAIN DNAME"),
    ("an alias is made of a DNAME without CNAME", "
10.78.2.31 *: aa; an example.test. DNAME far.other.
10.78.2.21 www.far.other. A: aa; an @ A 10.78.2.81
10.78.2.21 *: aa; ns other. SOA
? www.example.test. A: NOERROR DNAME CNAME www.far.other. A 10.78.2.81"),
    ("a CNAME that contradicts its DNAME is not followed", "
10.78.2.31 *: aa; an example.test. DNAME far.other.; an www.example.test. CNAME evil.other.
10.78.2.21 www.far.other. A: aa; an @ A 10.78.2.81
10.78.2.21 *: aa; an @ A 10.78.2.66
? www.example.test. A: NOERROR DNAME CNAME www.far.other. A 10.78.2.81"),
    ("what an alias leads to in another zone is asked there", "
10.78.2.31 *: aa; an www.example.test. CNAME www.other.; an www.other. A 10.78.2.66
10.78.2.21 www.other. A: aa; an @ A 10.78.2.81
? www.example.test. A: NOERROR CNAME www.other. A 10.78.2.81"),
    ("aliases in a circle through two zones", "
10.78.2.31 *: aa; an www.example.test. CNAME www.other.
10.78.2.21 *: aa; an www.other. CNAME www.example.test.
? www.example.test. A: SERVFAIL"),
    ("records of other names are left out", "
10.78.2.31 *: aa; an @ A 10.78.2.81; an mail.example.test. A 10.78.2.82; an bank.other. A 10.78.2.66
10.78.2.21 bank.other. A: aa; an @ A 10.78.2.83
? www.example.test. A: NOERROR A 10.78.2.81
? bank.other. A: NOERROR A 10.78.2.83"),
    ("the DS records of a zone are asked of its parent", "
10.78.2.31 *: REFUSED
10.78.2.20 example.test. DS: aa; ns test. SOA
? example.test. DS: NOERROR"),
];

#[tokio::test]
async fn what_clients_get_of_broken_and_hostile_servers() {
    for (title, script) in SCRIPTS {
        converse(title, &format!("{script}{ONE}")).await;
    }
}

#[tokio::test]
async fn a_referral_to_a_thousand_names_costs_a_bounded_number_of_queries() {
    let names: String = (0..1_000).map(|n| format!("; ns example.test. NS ns{n}.victim.other.")).collect();
    let script = format!(
        "
10.78.2.20 *example.test.: NOERROR{names}
10.78.2.21 *: aa; NXDOMAIN; ns other. SOA
? www.example.test. A: SERVFAIL"
    );
    let asked = converse("a thousand names", &script).await;
    assert!(asked <= 20, "{asked} queries");
}

#[tokio::test]
async fn servers_that_all_refuse_cost_a_bounded_number_of_queries() {
    let set: String = (0..60).map(|n| format!("; ns example.test. NS ns{n}.example.test.")).collect();
    let glue: String = (0..60).map(|n| format!("; ar ns{n}.example.test. A 10.78.3.{n}")).collect();
    let servers: String = (0..60).map(|n| format!("\n10.78.3.{n} *: REFUSED")).collect();
    let script = format!(
        "
10.78.2.20 *example.test.: NOERROR{set}{glue}{servers}
? www.example.test. A: SERVFAIL"
    );
    let asked = converse("sixty that refuse", &script).await;
    assert!(asked <= 30, "{asked} queries");
}

#[tokio::test]
async fn addresses_that_nobody_asked_for_are_neither_believed_nor_looked_through_without_end() {
    // Three referrals over TCP, each with 900 addresses of servers that it does not name, and one of somebody else's name.
    let glue = |zone: &str| -> String {
        let of = |n: u32| format!("; ar n{n}.{zone} A 10.78.2.66");
        (0..900).map(of).chain(["; ar www.other. A 10.78.2.66".to_owned()]).collect()
    };
    let [one, two, three] = ["test.", "a.test.", "b.a.test."].map(glue);
    let script = format!(
        "
10.78.2.20 *a.test.: ns a.test. NS ns.a.test.{one}; ar ns.a.test. A 10.78.2.31
10.78.2.31 *b.a.test.: ns b.a.test. NS ns.b.a.test.{two}; ar ns.b.a.test. A 10.78.2.32
10.78.2.32 *c.b.a.test.: ns c.b.a.test. NS ns.c.b.a.test.{three}; ar ns.c.b.a.test. A 10.78.2.33
10.78.2.33 www.c.b.a.test.: aa; an @ A 10.78.2.81
10.78.2.20 n1.test.: aa; an @ A 10.78.2.82
10.78.2.31 n1.a.test.: aa; an @ A 10.78.2.82
10.78.2.21 www.other.: aa; an @ A 10.78.2.82
10.78.2.66 *: aa; an @ A 10.78.2.66
? www.c.b.a.test. A: NOERROR A 10.78.2.81
? www.other. A: NOERROR A 10.78.2.82
? n1.test. A: NOERROR A 10.78.2.82
? n1.a.test. A: NOERROR A 10.78.2.82"
    );
    let asked = converse("900 addresses", &script).await;
    // One referral is asked for in two exchanges, UDP and TCP.
    assert!(asked <= 14, "{asked} queries");
}
