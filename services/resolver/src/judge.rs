//! Whether a server's reply can be used. Pure.
//!
//! hickory ends the look-up at the first error that a server tells; another server of the zone may well know the answer
//! (RFC 1034 §5.3.3, step 4d: "delete the server from the SLIST and go back to step 3"). What is found unusable here is
//! handed to it as a failed connection, after which it does ask the next.

use dns::{options, words};
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RecordType},
};

use journey::dns::Transport;

use crate::answer::bare;

/// Why a reply to this question cannot be used; `zone` is what the server is asked on behalf of, where that is known.
pub(crate) fn objection(
    question: &Query,
    reply: &Message,
    transport: Transport,
    zone: Option<&Name>,
) -> Option<String> {
    if reply.metadata.truncation {
        // A cut datagram is a hint to ask again; on a stream there is no reason to cut.
        return (transport == Transport::Tcp).then(|| "its answer is truncated over tcp too".to_owned());
    }
    match reply.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => lame(question, reply, zone),
        code => Some(format!("it answers {}{}", words::rcode(code), explanation(reply))),
    }
}

/// Why the server is no authority for the name, where its reply shows that.
fn lame(question: &Query, reply: &Message, zone: Option<&Name>) -> Option<String> {
    if reply.metadata.authoritative || !reply.answers.is_empty() {
        return None;
    }
    let about = zone.map_or_else(String::new, |zone| format!(" for {}", place(zone)));
    let is_ns = |record: &&hickory_proto::rr::Record| record.record_type() == RecordType::NS;
    let Some(referral) = reply.authorities.iter().find(is_ns) else {
        return Some(format!("lame: its answer is not authoritative{about}"));
    };
    let to = &referral.name;
    if !to.zone_of(question.name()) {
        return Some(format!("lame: it refers to {}, which is not above the name asked", place(to)));
    }
    // The delegation that was probed for; whether the server is also its child is seen at the next question.
    let is_probed = to == question.name() && question.query_type() == RecordType::NS;
    match zone {
        Some(zone) if to.zone_of(zone) && !is_probed => {
            Some(format!("lame: it refers back to {} instead of answering{about}", place(to)))
        }
        _ => None,
    }
}

/// The server's own words (RFC 8914), if it gave any.
fn explanation(reply: &Message) -> String {
    let errors = reply.edns.as_ref().map(options::ede_of).unwrap_or_default();
    let told = errors.iter().map(|error| {
        let text: String = error.text.chars().filter(|c| !c.is_control()).take(120).collect();
        let colon = if text.is_empty() { "" } else { ": " };
        format!("{}{colon}{text}", error.name)
    });
    let told: Vec<String> = told.take(2).collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join("; ")) }
}

fn place(zone: &Name) -> String {
    if zone.is_root() { "the root".to_owned() } else { bare(zone) }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{RData, Record, rdata::NS};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn reply(code: ResponseCode, aa: bool, refers_to: Option<&str>) -> Message {
        let mut message = Message::query().into_response();
        message.metadata.response_code = code;
        message.metadata.authoritative = aa;
        let target = RData::NS(NS(name("ns.test.")));
        message.authorities.extend(refers_to.map(|zone| Record::from_rdata(name(zone), 60, target)));
        message
    }

    #[test]
    fn usable_or_not() {
        use ResponseCode::{NXDomain, NoError, Refused, ServFail};
        let check = |asked: &str, rtype, reply: &Message, zone: Option<&str>, expected: Option<&str>| {
            let question = Query::query(name(asked), rtype);
            let found = objection(&question, reply, Transport::Udp, zone.map(name).as_ref());
            assert_eq!(found.as_deref(), expected, "{asked} {rtype} of {zone:?}");
        };
        let (a, ns) = (RecordType::A, RecordType::NS);
        check("w.a.test.", a, &reply(ServFail, false, None), None, Some("it answers SERVFAIL"));
        check("w.a.test.", a, &reply(Refused, false, None), None, Some("it answers REFUSED"));
        check("w.a.test.", a, &reply(NXDomain, true, None), Some("a.test."), None);
        check("w.a.test.", a, &reply(NoError, true, None), Some("a.test."), None);
        // Referrals that lead on.
        check("test.", ns, &reply(NoError, false, Some("test.")), Some("."), None);
        check("a.test.", ns, &reply(NoError, false, Some("a.test.")), Some("test."), None);
        check("w.a.test.", a, &reply(NoError, false, Some("a.test.")), Some("test."), None);
        check("a.test.", ns, &reply(NoError, false, Some("a.test.")), Some("a.test."), None);
        check("a.test.", ns, &reply(NoError, false, Some("a.test.")), None, None);
        // And such that do not.
        let back = "lame: it refers back to test instead of answering for a.test";
        check("w.a.test.", a, &reply(NoError, false, Some("test.")), Some("a.test."), Some(back));
        let back = "lame: it refers back to the root instead of answering for a.test";
        check("w.a.test.", ns, &reply(NoError, false, Some(".")), Some("a.test."), Some(back));
        let back = "lame: it refers back to a.test instead of answering for a.test";
        check("a.test.", a, &reply(NoError, false, Some("a.test.")), Some("a.test."), Some(back));
        let aside = "lame: it refers to b.test, which is not above the name asked";
        check("w.a.test.", a, &reply(NoError, false, Some("b.test.")), None, Some(aside));
        let no = "lame: its answer is not authoritative for a.test";
        check("w.a.test.", a, &reply(NXDomain, false, None), Some("a.test."), Some(no));
    }

    #[test]
    fn truncated() {
        let question = Query::query(name("a."), RecordType::A);
        let mut cut = reply(ResponseCode::ServFail, false, None);
        cut.metadata.truncation = true;
        assert_eq!(objection(&question, &cut, Transport::Udp, None), None);
        assert!(objection(&question, &cut, Transport::Tcp, None).is_some());
    }

    #[test]
    fn in_the_servers_own_words() {
        let mut refused = reply(ResponseCode::Refused, false, None);
        let mut edns = options::of_query(None);
        edns.options_mut().insert(options::ede_option(20, "served here: \u{1b}[31mtest."));
        refused.edns = Some(edns);
        let question = Query::query(name("a."), RecordType::A);
        let found = objection(&question, &refused, Transport::Tcp, None).unwrap();
        assert_eq!(found, "it answers REFUSED (Not Authoritative: served here: [31mtest.)");
    }
}
