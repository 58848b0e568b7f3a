//! There is a scenario for every fault at every host where there can be one.

use std::collections::BTreeSet;

use e2e::runs::Set;
use world::{
    World,
    fault::{Fault, Place, Role, kind::WORDS, role_of},
};

/// The hosts that are alone responsible for something.
const HOSTS: [&str; 6] = ["root", "tld", "auth1", "resolver", "app1", "app2"];

/// What there cannot be, and why.
const NONE: [(&str, &str, &str); 2] = [
    ("dead-ns", "auth1", "it delegates nothing on the way to a name that is visited"),
    ("bailiwick", "root", "a root server has a say in every name"),
];

/// The test.
pub(crate) fn every_fault_at_every_host() -> Result<(), String> {
    let world = World::built_in();
    let mut there = BTreeSet::new();
    for scenario in Set::BuiltIn.scenarios()? {
        for fault in scenario.visit.iter().flat_map(|visit| scenario.faults_of(visit)) {
            let fault: Fault = fault.parse().map_err(|error| format!("{}: {error}", scenario.name))?;
            match &fault.place {
                Place::Wire => _ = there.insert((fault.kind.name(), "wire")),
                place => there.extend(place.hosts(&world).into_iter().map(|host| (fault.kind.name(), host))),
            }
        }
    }
    let mut missing = Vec::new();
    for word in WORDS {
        let hosts = HOSTS.into_iter().filter(|host| {
            let role = world.hosts.get(*host).and_then(role_of);
            role.is_some_and(|role| word.roles.contains(&role))
        });
        let places = hosts.chain(word.roles.contains(&Role::Wire).then_some("wire"));
        for place in places {
            let reason = NONE.iter().find(|(name, host, _)| (*name, *host) == (word.name, place));
            match (there.contains(&(word.name, place)), reason) {
                (false, None) => missing.push(format!("{place}:{}", word.name)),
                (true, Some((.., why))) => return Err(format!("{place}:{} is there after all: {why}", word.name)),
                _ => {}
            }
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("no scenario in lab/scenarios for {}", missing.join(", "))),
    }
}
