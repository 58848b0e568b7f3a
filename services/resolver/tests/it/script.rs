//! Scripts of conversations with name servers, as `conversations.toml` has them: what each server says, and what a client
//! of our resolver gets.
//!
//! A script has lines of two kinds. `ADDRESS QUESTION: REPLY` is what a server says to a question: `*` or `*name.` for all
//! names that end so, `name.` for this one, a type behind it or not. The first line that fits counts; where none does, the
//! server refuses. `? NAME TYPE: RCODE [RECORDS]` asks and says what must come, as [`shown`] has it.
//!
//! A reply is a list of words and records, separated by `;`. Records stand after `an`, `ns` or `ar`, and `@` is the name
//! asked for. What follows `edns`, `udp` or `tcp` goes for queries with EDNS or over that transport only, and then the
//! rest of the reply does not. ` / ` parts several replies, which are sent one after the other. `{0..9}` repeats the line,
//! or the record, that it stands in; of a question it makes several that have one answer.
//!
//! | word | the reply |
//! |---|---|
//! | a response code | has it; NOERROR where none is said |
//! | `aa`, `ra`, `tc` | has this flag |
//! | `upper-case` | has the question's name and all owners in upper case |
//! | `drop` | is not sent |
//! | `garbage` | cannot be read |
//! | `query` | is a query |
//! | `no-question`, `wrong-question`, `wrong-id` | does not fit the query |
//! | `elsewhere` | is sent from another address |

use std::{collections::BTreeMap, net::IpAddr};

use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{RData, Record, RecordType, rdata::NULL},
};
use journey::dns::Transport;
use serde::Deserialize;

use crate::fake::{Act, Fake, Ground, a, cname, name, ns, reply, soa, txt, what};

/// A longer reply is cut over UDP, as a server does for a client that takes 1232 bytes.
const LONGEST_DATAGRAM: usize = 1_200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The last lines of every script.
    sound: String,
    case: Vec<Case>,
}

/// A conversation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Where the standard says what is right.
    pub(crate) rfc: String,
    pub(crate) script: String,
    /// How many queries our resolver may send for all of it.
    pub(crate) queries: Option<usize>,
    /// Why our resolver differs from all others.
    pub(crate) why: Option<String>,
    /// Why others are not asked: what they do depends on chance.
    pub(crate) alone: Option<String>,
    /// Whether this is what our resolver does with servers outside the lab only.
    #[serde(default)]
    pub(crate) far: bool,
    /// Whether somebody waits in it for a server that says nothing.
    #[serde(default)]
    pub(crate) slow: bool,
}

/// All conversations.
pub(crate) fn all() -> Vec<Case> {
    let file: File = toml::from_str(include_str!("../conversations.toml")).unwrap();
    let with_sound = |case: Case| Case { script: format!("{}\n{}", case.script, file.sound), ..case };
    file.case.into_iter().map(with_sound).collect()
}

/// A client's question for each of these names, and what our resolver answers.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) names: Vec<String>,
    pub(crate) rtype: RecordType,
    pub(crate) expected: String,
}

#[derive(Clone, Debug)]
struct Rule {
    question: String,
    says: String,
}

/// A script that was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    servers: BTreeMap<IpAddr, Vec<Rule>>,
    pub(crate) asks: Vec<Ask>,
}

impl Script {
    pub(crate) fn read(text: &str) -> Self {
        let mut script = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (head, says) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
            match head.split_once(' ').unwrap_or_else(|| panic!("{line}")) {
                ("?", question) => script.asks.push(Ask::read(question, says)),
                _ => repeated(head).iter().for_each(|head| script.add(head, says)),
            }
        }
        script
    }

    fn add(&mut self, head: &str, says: &str) {
        let (who, question) = head.split_once(' ').unwrap();
        let says = says.split(';').flat_map(|part| repeated(part.trim())).collect::<Vec<_>>().join(";");
        let rule = Rule { question: question.to_owned(), says };
        self.servers.entry(who.parse().unwrap()).or_default().push(rule);
    }

    /// Its servers.
    pub(crate) async fn start(&self, ground: Ground) -> Vec<Fake> {
        let mut servers = Vec::new();
        for (ip, rules) in &self.servers {
            let rules = rules.clone();
            let says = move |query: &Message, transport: Transport| {
                let (qname, rtype) = what(query);
                let rule = rules.iter().find(|rule| rule.fits(&qname, rtype));
                let replies = rule.map_or("REFUSED", |rule| &rule.says).split(" / ");
                Act::Each(replies.map(|says| cut_to_a_datagram(act(says, query, transport), transport)).collect())
            };
            servers.push(Fake::on(ground, *ip, says).await);
        }
        servers
    }
}

impl Ask {
    fn read(question: &str, expected: &str) -> Self {
        let (qname, rtype) = question.split_once(' ').unwrap();
        Self { names: repeated(qname), rtype: rtype.parse().unwrap(), expected: expected.to_owned() }
    }
}

impl Rule {
    fn fits(&self, qname: &str, rtype: RecordType) -> bool {
        let (pattern, wanted) = self.question.split_once(' ').unwrap_or((&self.question, ""));
        let is_name = match pattern.strip_prefix('*') {
            Some(end) => qname.ends_with(end),
            None => qname == pattern,
        };
        is_name && (wanted.is_empty() || wanted == rtype.to_string())
    }
}

/// `a{0..2}b{0..2}` is a0b0, a1b1 and a2b2.
fn repeated(text: &str) -> Vec<String> {
    let range = text.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let Some((range, _)) = range else { return vec![text.to_owned()] };
    let (first, last) = range.split_once("..").unwrap_or_else(|| panic!("{text}"));
    let numbers = first.parse::<usize>().unwrap()..=last.parse().unwrap();
    numbers.map(|n| text.replace(&format!("{{{range}}}"), &n.to_string())).collect()
}

fn code(word: &str) -> ResponseCode {
    match word {
        "NOERROR" => ResponseCode::NoError,
        "NXDOMAIN" => ResponseCode::NXDomain,
        "SERVFAIL" => ResponseCode::ServFail,
        "REFUSED" => ResponseCode::Refused,
        "FORMERR" => ResponseCode::FormErr,
        "NOTIMP" => ResponseCode::NotImp,
        "YXDOMAIN" => ResponseCode::YXDomain,
        _ => panic!("{word}"),
    }
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
            let mut bytes: Vec<u8> = Vec::new();
            for label in name(target).iter() {
                bytes.push(u8::try_from(label.len()).unwrap());
                bytes.extend_from_slice(label);
            }
            bytes.push(0);
            raw(&owner, RecordType::DNAME, bytes)
        }
        // As in RFC 3597 §5, without the length.
        (rtype, ["\\#", hex @ ..]) => {
            let bytes = hex.iter().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            raw(&owner, rtype.parse().unwrap(), bytes)
        }
        _ => panic!("{text}"),
    }
}

fn raw(owner: &str, code: RecordType, bytes: Vec<u8>) -> Record {
    Record::from_rdata(name(owner), 300, RData::Unknown { code, rdata: NULL::with(bytes) })
}

fn act(says: &str, query: &Message, transport: Transport) -> Act {
    let (qname, _) = what(query);
    let mut message = reply(ResponseCode::NoError);
    message.metadata.id = query.metadata.id;
    message.queries.clone_from(&query.queries);
    let (mut elsewhere, mut upper) = (false, false);
    for part in says.split(';').map(str::trim) {
        let (word, rest) = part.split_once(' ').unwrap_or((part, ""));
        match word {
            "an" => message.answers.push(record(rest, &qname)),
            "ns" => message.authorities.push(record(rest, &qname)),
            "ar" => message.additionals.push(record(rest, &qname)),
            "aa" => message.metadata.authoritative = true,
            "ra" => message.metadata.recursion_available = true,
            "tc" => message.metadata.truncation = true,
            "drop" => return Act::Drop,
            "no-question" => message.queries.clear(),
            "garbage" => return Act::Bytes(vec![vec![0, 0, 0x80, 0, 0, 9, 0, 9, 0, 0, 0, 0, 0xff]], None),
            "wrong-id" => message.metadata.id ^= 1,
            "wrong-question" => _ = message.queries[0].set_name(name("wrong.example.")),
            "upper-case" => upper = true,
            "elsewhere" => elsewhere = true,
            "query" => message.metadata.message_type = MessageType::Query,
            "edns" if query.edns.is_some() => return act(rest, query, transport),
            "udp" if transport == Transport::Udp => return act(rest, query, transport),
            "tcp" if transport == Transport::Tcp => return act(rest, query, transport),
            "edns" | "udp" | "tcp" => {}
            _ => message.metadata.response_code = code(word),
        }
    }
    if upper {
        upper_case(&mut message);
    }
    if elsewhere { Act::Elsewhere(message) } else { Act::AsItIs(message) }
}

fn upper_case(message: &mut Message) {
    let upper = |of: &hickory_proto::rr::Name| name(&of.to_ascii().to_ascii_uppercase());
    for query in &mut message.queries {
        let made = upper(query.name());
        query.set_name(made);
    }
    for record in message.answers.iter_mut().chain(&mut message.authorities).chain(&mut message.additionals) {
        record.name = upper(&record.name);
    }
}

fn cut_to_a_datagram(act: Act, transport: Transport) -> Act {
    match act {
        Act::AsItIs(mut whole) if transport == Transport::Udp && whole.to_vec().unwrap().len() > LONGEST_DATAGRAM => {
            whole.answers.clear();
            whole.authorities.clear();
            whole.additionals.clear();
            whole.metadata.truncation = true;
            Act::AsItIs(whole)
        }
        other => other,
    }
}

/// An answer in short: the response code and, unless that is an error, the type and data of each record. Of four records
/// or more of one type in a row the number is given.
pub(crate) fn shown(answer: &Message) -> String {
    use ResponseCode::{NXDomain, NoError, YXDomain};
    let code = answer.metadata.response_code;
    let mut words = vec![dns::words::rcode(code)];
    let records = if matches!(code, NoError | NXDomain | YXDomain) { answer.answers.as_slice() } else { &[] };
    for run in records.chunk_by(|one, next| one.record_type() == next.record_type()) {
        let rtype = run[0].record_type();
        if run.len() > 3 {
            words.push(format!("{} × {rtype}", run.len()));
            continue;
        }
        words.extend(run.iter().map(|record| match &record.data {
            RData::Unknown { .. } => rtype.to_string(),
            data => format!("{rtype} {data}"),
        }));
    }
    words.join(" ")
}
