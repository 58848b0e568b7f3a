//! Each trouble by a small case; what is missing or contradicts itself; and what holds for all.

mod busy;
mod families;
mod frames;
mod names;
mod scene;
mod server;

use super::RULES;
use journey::{Event, NoUse, Reason, StageName, What, dns::Meaning};
use scene::{NAME, Scene, aliases, arp, at, referral, reply};

#[test]
fn every_rule_can_be_read() {
    for rule in RULES {
        assert!(rule.when.len() > 7 && !rule.when.ends_with('.'), "{rule:?}");
    }
}

/// Numbers that look random, the same each time (Knuth, TAOCP 3.3.4).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn whatever_is_missing_something_sound_is_said() {
    let circle = aliases(&[(NAME, "b.example.local"), ("b.example.local", NAME)]);
    let whole = Scene::servfail()
        .answers("root", 2, "local", referral("local", "ns.local", "10.78.2.20"), 9)
        .answers("tld", 3, "example.local", referral("example.local", "ns1.example.local", "10.78.2.99"), 9)
        .hears("tld", 3, "example.local", referral("example.local", "ns1.example.local", "10.78.2.99"), 9)
        .fails("10.78.2.99", 5, NAME, NoUse::Unreachable, "")
        .fails("auth1", 6, NAME, NoUse::LeadsBack, "")
        .hears("auth1", 6, NAME, referral("example.local", "ns1.example.local", "10.78.2.31"), 500_000)
        .answers("auth2", 7, NAME, circle, 9)
        .answers("auth1", 7, NAME, reply(Meaning::NoSuchName, true), 9)
        .resolver_answers(reply(Meaning::ServerFailure, false), true)
        .says(
            "app1",
            9,
            What::ResponseWritten { peer: at("10.78.1.100:4000"), status: Some(200), bytes: 9, elapsed_us: 9 },
        );
    let reasons = [
        Reason::ServerFailure,
        Reason::Timeout,
        Reason::MaxTime,
        Reason::BadReply,
        Reason::NoSuchName,
        Reason::NoAddress,
        Reason::ResolverDown,
        Reason::NoResolver,
        Reason::QueryRefused,
        Reason::Interrupted,
        Reason::Reset,
        Reason::NotTls,
        Reason::TooManyRedirects,
        Reason::ConnectFailed,
        Reason::Unreachable,
        Reason::EmptyReply,
        Reason::HttpStatus,
    ];
    let mut chance = Chance(5);
    for _ in 0..500 {
        let mut scene = whole.clone();
        let all: Vec<Event> = std::mem::take(&mut scene.events);
        scene.events = all.into_iter().filter(|_| chance.below(4) > 0).collect();
        for event in scene.events.iter_mut().filter(|event| event.host != journey::chronicle::YOU) {
            // Of hosts with clocks of their own only the order is known.
            event.at_us = event.at_us.filter(|_| chance.below(3) > 0);
        }
        scene.observers.retain(|_| chance.below(4) > 0);
        let stage = scene.hops[0].stages[chance.below(StageName::ALL.len())].did.clone();
        let reason = reasons[chance.below(reasons.len())];
        if chance.below(3) > 0 {
            scene.hops[0].stages[1].state = journey::StageState::Done;
            scene.hops[0].stages[1].failure = None;
            scene = scene.stage(stage, (50, 900), Some((reason, "it did not")));
        } else if let Some(failure) = &mut scene.hops[0].stages[1].failure {
            failure.reason = reason;
        }
        if chance.below(4) == 0 {
            scene = scene.on_the_internet();
        }
        if chance.below(3) == 0 {
            scene = scene.frames(vec![
                arp(7, 1, "resolver", "10.78.1.53", "10.78.1.1", &[]),
                arp(8, 0, "you", "10.78.1.100", "10.78.1.53", &["router"]),
            ]);
        }
        scene.causes();
    }
}
