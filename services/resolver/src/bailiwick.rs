//! Which records of a reply a server has a say in. Pure.
//!
//! Whoever is asked on behalf of a zone can speak for names at or below the zone's own, and for no others: anything else
//! may be somebody's attempt to have the resolver believe it (RFC 5452 §6), and ranks below everything that was had from
//! those who are asked for it (RFC 2181 §5.4.1). That goes for all sections. The addresses in a referral stay where their
//! owner is in the zone that refers, whatever zone the referral is for; others are looked up where they belong.

use hickory_proto::{
    op::Message,
    rr::{Name, RData, Record},
};

/// The records of a reply to a question for this name that a server of `zone` has no say in, but for the rest of a chain
/// of aliases: servers send that as a courtesy (RFC 1034 §4.3.2, step 3a), and that it is looked up again says nothing
/// against them.
pub(crate) fn strangers<'r>(reply: &'r Message, asked: &Name, zone: &Name) -> Vec<&'r Record> {
    let is_outside = |record: &&Record| !zone.zone_of(&record.name);
    if !reply.all_sections().any(|record| is_outside(&record)) {
        return Vec::new();
    }
    let chain = chain(asked, &reply.answers);
    let answers = reply.answers.iter().filter(|record| !chain.contains(&record.name));
    answers.chain(&reply.authorities).chain(&reply.additionals).filter(is_outside).collect()
}

/// The names that a chain of aliases leads through.
fn chain(asked: &Name, answers: &[Record]) -> Vec<Name> {
    let mut names = vec![asked.clone()];
    for _ in answers {
        let here = &names[names.len() - 1];
        let target = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *here => Some(&target.0),
            _ => None,
        });
        match target {
            Some(target) if !names.contains(target) => names.push(target.clone()),
            _ => break,
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, CNAME, NS};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn a(owner: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::A(A::new(10, 0, 0, 1)))
    }

    fn alias(owner: &str, target: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))
    }

    fn ns(owner: &str, target: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::NS(NS(name(target))))
    }

    #[test]
    fn who_has_a_say_in_what() {
        let check = |zone: &str, sections: [&[Record]; 3], expected: &[&str]| {
            let mut reply = Message::query().into_response();
            [reply.answers, reply.authorities, reply.additionals] = sections.map(<[Record]>::to_vec);
            let out = strangers(&reply, &name("www.a.test."), &name(zone));
            let names: Vec<String> = out.iter().map(|record| record.name.to_ascii()).collect();
            assert_eq!(names, expected, "{zone}");
        };
        let www = a("www.a.test.");
        check("a.test.", [std::slice::from_ref(&www), &[ns("A.test.", "ns.b.test.")], &[]], &[]);
        check("a.test.", [std::slice::from_ref(&www), &[], &[a("bank.test.")]], &["bank.test."]);
        check("a.test.", [&[www.clone(), a("bank.test.")], &[], &[]], &["bank.test."]);
        // Above the zone and beside it is outside.
        check("a.test.", [&[], &[ns("test.", "ns.a.test.")], &[]], &["test."]);
        check("a.test.", [&[], &[], &[a("xa.test.")]], &["xa.test."]);
        // Glue of a referral: for names in the zone that refers, wherever the referral leads.
        let glue = [&[][..], &[ns("a.test.", "ns.b.test.")], &[a("ns.b.test.")]];
        check("test.", glue, &[]);
        check("a.test.", glue, &["ns.b.test."]);
        // The rest of a chain, and what is not of it.
        let chain = [alias("www.a.test.", "b.test."), alias("b.test.", "c.test."), a("c.test.")];
        check("a.test.", [&chain, &[], &[]], &[]);
        check("a.test.", [&chain, &[], &[a("c.test.")]], &["c.test."]);
        let circle = [alias("www.a.test.", "b.test."), alias("b.test.", "www.a.test."), a("d.test.")];
        check("a.test.", [&circle, &[], &[]], &["d.test."]);
        check(".", [&circle, &[], &[]], &[]);
    }
}
