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

use journey::{NoUse, dns::Transport};

use crate::answer::bare;

/// Why a reply cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Objection {
    /// In words.
    pub(crate) why: String,
    /// For programs.
    pub(crate) failure: NoUse,
}

impl Objection {
    fn new(failure: NoUse, why: impl Into<String>) -> Self {
        Self { why: why.into(), failure }
    }

    /// Nothing is left of a reply without the records that its server has no say in.
    pub(crate) fn nothing_of(zone: &Name) -> Self {
        let zone = place(zone);
        Self::new(NoUse::Other, format!("what it sent are only records from outside {zone}, which are not believed"))
    }
}

/// Why a reply to this question cannot be used; `zone` is what the server is asked on behalf of, where that is known.
pub(crate) fn objection(
    question: &Query,
    reply: &Message,
    transport: Transport,
    zone: Option<&Name>,
) -> Option<Objection> {
    if reply.metadata.truncation {
        // A cut datagram is a hint to ask again; on a stream there is no reason to cut.
        return (transport == Transport::Tcp)
            .then(|| Objection::new(NoUse::Truncated, "its answer is truncated over tcp too"));
    }
    match reply.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => lame(question, reply, zone),
        code => {
            let failure = match code {
                ResponseCode::ServFail => NoUse::ServerFailure,
                ResponseCode::Refused => NoUse::Refused,
                _ => NoUse::OtherError,
            };
            Some(Objection::new(failure, format!("it answers {}{}", words::rcode(code), explanation(reply))))
        }
    }
}

/// Why the server is no authority for the name, where its reply shows that.
fn lame(question: &Query, reply: &Message, zone: Option<&Name>) -> Option<Objection> {
    if reply.metadata.authoritative || !reply.answers.is_empty() {
        return None;
    }
    let about = zone.map_or_else(String::new, |zone| format!(" for {}", place(zone)));
    let is_ns = |record: &&hickory_proto::rr::Record| record.record_type() == RecordType::NS;
    let Some(referral) = reply.authorities.iter().find(is_ns) else {
        return Some(Objection::new(NoUse::Lame, format!("lame: its answer is not authoritative{about}")));
    };
    let to = &referral.name;
    if !to.zone_of(question.name()) {
        let why = format!("lame: it refers to {}, which is not above the name asked", place(to));
        return Some(Objection::new(NoUse::Lame, why));
    }
    // The delegation that was probed for; whether the server is also its child is seen at the next question.
    let is_probed = to == question.name() && question.query_type() == RecordType::NS;
    match zone {
        // The very zone that it is asked for, again: whoever follows that comes back here, and goes round in a circle.
        Some(zone) if to == zone && !is_probed => {
            let why = format!("it refers to {} again, for which it is asked already", place(to));
            Some(Objection::new(NoUse::LeadsBack, why))
        }
        Some(zone) if to.zone_of(zone) && !is_probed => {
            let why = format!("lame: it refers back to {} instead of answering{about}", place(to));
            Some(Objection::new(NoUse::Lame, why))
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
        let check = |asked: &str, rtype, reply: &Message, zone: Option<&str>, expected: Option<(NoUse, &str)>| {
            let question = Query::query(name(asked), rtype);
            let found = objection(&question, reply, Transport::Udp, zone.map(name).as_ref());
            let found = found.as_ref().map(|objection| (objection.failure, objection.why.as_str()));
            assert_eq!(found, expected, "{asked} {rtype} of {zone:?}");
        };
        let (a, ns) = (RecordType::A, RecordType::NS);
        check("w.a.test.", a, &reply(ServFail, false, None), None, Some((NoUse::ServerFailure, "it answers SERVFAIL")));
        check(
            "w.a.test.",
            a,
            &reply(ResponseCode::NotImp, false, None),
            None,
            Some((NoUse::OtherError, "it answers NOTIMP")),
        );
        check("w.a.test.", a, &reply(Refused, false, None), None, Some((NoUse::Refused, "it answers REFUSED")));
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
        check("w.a.test.", a, &reply(NoError, false, Some("test.")), Some("a.test."), Some((NoUse::Lame, back)));
        let back = "lame: it refers back to the root instead of answering for a.test";
        check("w.a.test.", ns, &reply(NoError, false, Some(".")), Some("a.test."), Some((NoUse::Lame, back)));
        let back = "it refers to a.test again, for which it is asked already";
        check(
            "w.a.test.",
            ns,
            &reply(NoError, false, Some("a.test.")),
            Some("a.test."),
            Some((NoUse::LeadsBack, back)),
        );
        check("a.test.", a, &reply(NoError, false, Some("a.test.")), Some("a.test."), Some((NoUse::LeadsBack, back)));
        let root = "it refers to the root again, for which it is asked already";
        check("a.test.", ns, &reply(NoError, false, Some(".")), Some("."), Some((NoUse::LeadsBack, root)));
        let aside = "lame: it refers to b.test, which is not above the name asked";
        check("w.a.test.", a, &reply(NoError, false, Some("b.test.")), None, Some((NoUse::Lame, aside)));
        let no = "lame: its answer is not authoritative for a.test";
        check("w.a.test.", a, &reply(NXDomain, false, None), Some("a.test."), Some((NoUse::Lame, no)));
    }

    #[test]
    fn truncated() {
        let question = Query::query(name("a."), RecordType::A);
        let mut cut = reply(ResponseCode::ServFail, false, None);
        cut.metadata.truncation = true;
        assert_eq!(objection(&question, &cut, Transport::Udp, None), None);
        let found = objection(&question, &cut, Transport::Tcp, None).unwrap();
        assert_eq!(found.failure, NoUse::Truncated);
    }

    #[test]
    fn in_the_servers_own_words() {
        let mut refused = reply(ResponseCode::Refused, false, None);
        let mut edns = options::of_query(None);
        edns.options_mut().insert(options::ede_option(20, "served here: \u{1b}[31mtest."));
        refused.edns = Some(edns);
        let question = Query::query(name("a."), RecordType::A);
        let found = objection(&question, &refused, Transport::Tcp, None).unwrap();
        assert_eq!(found.why, "it answers REFUSED (Not Authoritative: served here: [31mtest.)");
    }
}
