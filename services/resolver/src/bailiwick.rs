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

/// Takes out of a reply to a question for this name what a server of `zone` has no say in. Returned are the records that
/// were taken out, but for the rest of a chain of aliases: servers send that as a courtesy (RFC 1034 §4.3.2, step 3a), and
/// that it is looked up again says nothing against them.
pub(crate) fn scrub(reply: &mut Message, asked: &Name, zone: &Name) -> Vec<Record> {
    let chain = chain(asked, &reply.answers);
    let mut strangers: Vec<Record> = Vec::new();
    let mut sections = [&mut reply.answers, &mut reply.authorities, &mut reply.additionals];
    for (nth, section) in sections.iter_mut().enumerate() {
        let out = section.extract_if(.., |record| !zone.zone_of(&record.name));
        strangers.extend(out.filter(|record| nth > 0 || !chain.contains(&record.name)));
    }
    strangers
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
        let check = |zone: &str, sections: [&[Record]; 3], kept: [usize; 3], strangers: &[&str]| {
            let mut reply = Message::query().into_response();
            [reply.answers, reply.authorities, reply.additionals] = sections.map(<[Record]>::to_vec);
            let out = scrub(&mut reply, &name("www.a.test."), &name(zone));
            let names: Vec<String> = out.iter().map(|record| record.name.to_ascii()).collect();
            assert_eq!(names, strangers, "{zone}");
            assert_eq!([reply.answers.len(), reply.authorities.len(), reply.additionals.len()], kept, "{zone}");
        };
        let www = a("www.a.test.");
        check("a.test.", [std::slice::from_ref(&www), &[ns("A.test.", "ns.b.test.")], &[]], [1, 1, 0], &[]);
        check("a.test.", [std::slice::from_ref(&www), &[], &[a("bank.test.")]], [1, 0, 0], &["bank.test."]);
        check("a.test.", [&[www.clone(), a("bank.test.")], &[], &[]], [1, 0, 0], &["bank.test."]);
        // Above the zone and beside it is outside.
        check("a.test.", [&[], &[ns("test.", "ns.a.test.")], &[]], [0, 0, 0], &["test."]);
        check("a.test.", [&[], &[], &[a("xa.test.")]], [0, 0, 0], &["xa.test."]);
        // Glue of a referral: for names in the zone that refers, wherever the referral leads.
        let glue = [&[][..], &[ns("a.test.", "ns.b.test.")], &[a("ns.b.test.")]];
        check("test.", glue, [0, 1, 1], &[]);
        check("a.test.", glue, [0, 1, 0], &["ns.b.test."]);
        // The rest of a chain, and what is not of it.
        let chain = [alias("www.a.test.", "b.test."), alias("b.test.", "c.test."), a("c.test.")];
        check("a.test.", [&chain, &[], &[]], [1, 0, 0], &[]);
        check("a.test.", [&chain, &[], &[a("c.test.")]], [1, 0, 0], &["c.test."]);
        let circle = [alias("www.a.test.", "b.test."), alias("b.test.", "www.a.test."), a("d.test.")];
        check("a.test.", [&circle, &[], &[]], [1, 0, 0], &["d.test."]);
        check(".", [&circle, &[], &[]], [3, 0, 0], &[]);
    }
}
