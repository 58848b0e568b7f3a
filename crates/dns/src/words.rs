//! A DNS message in the journey's words.

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{self, RecordType},
};
use journey::dns::{DATA_LIMIT, Edns, Flags, Meaning, Question, Record, Reply, SECTION_LIMIT};

use world::fault::rtype::NAMED;

use crate::options;

/// A question; the name as it was asked.
pub fn question(query: &Query) -> Question {
    Question { name: query.name().to_ascii(), rtype: rtype(query.query_type()) }
}

/// A type as dig writes it; one without a name as `TYPE1234` (RFC 3597 §5).
pub fn rtype(rtype: RecordType) -> String {
    match rtype {
        // hickory knows these by number only.
        RecordType::Unknown(number) => {
            let named = NAMED.iter().find(|(_, known)| *known == number);
            named.map_or_else(|| format!("TYPE{number}"), |(name, _)| (*name).to_owned())
        }
        known => known.to_string(),
    }
}

/// A type by its name, or as `TYPE1234`, in either case.
pub fn rtype_named(text: &str) -> Option<RecordType> {
    let upper = text.to_ascii_uppercase();
    if let Some(number) = upper.strip_prefix("TYPE").filter(|number| number.bytes().all(|b| b.is_ascii_digit())) {
        return number.parse::<u16>().ok().map(RecordType::from);
    }
    NAMED.iter().find(|(name, _)| *name == upper).map(|(_, number)| RecordType::from(*number))
}

/// A record; long data is cut at [`DATA_LIMIT`].
pub fn record(record: &rr::Record) -> Record {
    let mut data = record.data.to_string();
    if let Some((end, _)) = data.char_indices().nth(DATA_LIMIT) {
        data.truncate(end);
        data.push('…');
    }
    Record { name: record.name.to_ascii(), rtype: rtype(record.record_type()), ttl: record.ttl, data }
}

/// A reply of `bytes` bytes on the wire.
pub fn reply(message: &Message, bytes: usize) -> Reply {
    let section = |records: &[rr::Record]| records.iter().take(SECTION_LIMIT).map(record).collect();
    Reply {
        rcode: rcode(message.metadata.response_code),
        meaning: meaning(message),
        flags: Flags {
            aa: message.metadata.authoritative,
            tc: message.metadata.truncation,
            rd: message.metadata.recursion_desired,
            ra: message.metadata.recursion_available,
            ad: message.metadata.authentic_data,
        },
        answer: section(&message.answers),
        authority: section(&message.authorities),
        additional: section(&message.additionals),
        counts: [message.answers.len(), message.authorities.len(), message.additionals.len()],
        edns: message.edns.as_ref().map(|edns| Edns {
            udp_payload: edns.max_payload(),
            nsid: options::nsid_of(edns),
            errors: options::ede_of(edns),
        }),
        bytes,
    }
}

/// What some bytes are that were sent as a reply; of such that are no message, what their header says.
pub fn sent(bytes: &[u8]) -> Reply {
    if let Ok(message) = Message::from_vec(bytes) {
        return reply(&message, bytes.len());
    }
    let [high, low] = [2, 3].map(|at| bytes.get(at).copied().unwrap_or_default());
    Reply {
        rcode: rcode(ResponseCode::from_low(low)),
        meaning: Meaning::Other,
        flags: Flags {
            aa: high & 0x04 != 0,
            tc: high & 0x02 != 0,
            rd: high & 0x01 != 0,
            ra: low & 0x80 != 0,
            ad: low & 0x20 != 0,
        },
        answer: Vec::new(),
        authority: Vec::new(),
        additional: Vec::new(),
        counts: [0; 3],
        edns: None,
        bytes: bytes.len(),
    }
}

/// What a reply means for whoever asked.
pub fn meaning(message: &Message) -> Meaning {
    if message.metadata.truncation {
        return Meaning::Truncated;
    }
    match message.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Meaning::NoSuchName,
        ResponseCode::ServFail => return Meaning::ServerFailure,
        ResponseCode::Refused => return Meaning::Refused,
        _ => return Meaning::Other,
    }
    let asked = message.queries.first().map(Query::query_type);
    let has = |records: &[rr::Record], rtype| records.iter().any(|r| r.record_type() == rtype);
    let answered = match asked {
        None | Some(RecordType::ANY) => !message.answers.is_empty(),
        Some(rtype) => has(&message.answers, rtype),
    };
    if answered {
        Meaning::Answer
    } else if has(&message.answers, RecordType::CNAME) {
        Meaning::Alias
    } else if has(&message.authorities, RecordType::NS)
        && !has(&message.authorities, RecordType::SOA)
        && !message.metadata.authoritative
    {
        // A referral is NOERROR with NS and without SOA; with SOA it is "no data" (RFC 2308 §2.2).
        Meaning::Referral
    } else {
        Meaning::NoData
    }
}

/// A response code as dig writes it.
pub fn rcode(code: ResponseCode) -> String {
    let name = match code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::YXDomain => "YXDOMAIN",
        ResponseCode::YXRRSet => "YXRRSET",
        ResponseCode::NXRRSet => "NXRRSET",
        ResponseCode::NotAuth => "NOTAUTH",
        ResponseCode::NotZone => "NOTZONE",
        ResponseCode::BADVERS | ResponseCode::BADSIG => "BADVERS",
        other => return format!("RCODE{}", u16::from(other)),
    };
    name.to_owned()
}
