//! Programs of other vendors: servers in the lab's tree with the lab's own zone files, and clients and servers that meet the
//! same cases as ours, from which `docs/compatibility.md` is generated.
//!
//! | module | what |
//! |---|---|
//! | `vendor` | each vendor's program and its configuration |
//! | `stage` | the lab beside it, and visits |
//! | `compatibility` | the same cases for ours and theirs |

#[path = "compatibility/mod.rs"]
mod compatibility;
#[path = "peers/stage.rs"]
mod stage;
#[path = "peers/vendor.rs"]
mod vendor;

use std::process::ExitCode;

use e2e::way::Way;
use journey::{HostReport, Reason, What, dns::Transport};
use libtest_mimic::{Arguments, Completion, Trial};

use stage::{Told, World};
use vendor::{BIND, KNOT, NGINX, NSD, UNBOUND, Vendor};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let test = |name: &str, tools: &'static [&'static str], test: fn() -> Result<(), String>| {
        Trial::ignorable_test(name, move || match your_tools::lacking(tools) {
            Some(why) => Ok(Completion::ignored_with(why)),
            None => Ok(test().map(|()| Completion::Completed)?),
        })
    };
    let refused = Way::Wire.left_out().is_some();
    let trials = vec![
        test("nsd::plays_both_authorities", &["nsd"], || plays_both(&NSD)),
        test("knot::plays_both_authorities", &["knotd"], || plays_both(&KNOT)),
        test("bind::plays_both_authorities", &["named"], || plays_both(&BIND)),
        test("two_vendors::one_stops_and_the_other_answers", &["nsd", "knotd"], two_vendors),
        test("nginx::plays_an_application_server", &["nginx"], nginx),
        test("unbound::plays_the_resolver", &["unbound", "nsenter", "dig"], unbound).with_ignored_flag(refused),
        test("compatibility::http_as_documented", &["curl"], compatibility::http::compare),
        test("compatibility::authority_as_documented", &["named", "nsd"], compatibility::authority::compare),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

const BOTH: [&str; 2] = ["auth1", "auth2"];

/// One program is both authorities; what it is asked, and that it has stopped, the other hosts report.
fn plays_both(vendor: &Vendor) -> Result<(), String> {
    let mut world = World::new()?;
    let sockets = [world.play("auth1", "dns", vendor)?, world.play("auth2", "dns", vendor)?];
    let running = vendor.start(&world, &sockets)?;
    let lab = world.start()?;

    let told = lab.visit("http://www.example.local/")?;
    told.ended(0, None)?;
    for host in ["resolver", "root", "tld"] {
        told.reported(host)?;
    }
    for host in BOTH {
        told.not_asked(host, vendor)?;
    }
    told.has("the resolver asked an authority and had its answer", |event| {
        let What::ReplyReceived { server, .. } = &event.what else { return false };
        event.host == "resolver" && BOTH.contains(&told.host_of(server.ip()))
    })?;
    let screen = lab.screen("http://app1.example.local/")?;
    let words = format!("not asked for a report: auth1 and auth2, played by {}, which does not report", vendor.name);
    expect(screen.contains(&words), &screen)?;

    // Over TCP, where the answer does not fit; through aliases; and a no, which the resolver reports for it.
    let told = lab.visit("http://crowd.example.local/")?;
    told.ended(0, None)?;
    told.has("the resolver asked an authority over TCP", |event| {
        let What::QuerySent { server, transport, .. } = &event.what else { return false };
        event.host == "resolver" && *transport == Transport::Tcp && BOTH.contains(&told.host_of(server.ip()))
    })?;
    lab.visit("http://alias.example.test/")?.ended(0, None)?;
    let told = lab.visit("http://missing.example.local/")?;
    told.ended(6, Some(Reason::NoSuchName))?;
    told.blames(&BOTH)?;

    running.stop()?;
    let told = lab.visit("http://app2.example.local/")?;
    told.ended(6, Some(Reason::ServerFailure))?;
    told.blames(&BOTH)?;
    for host in BOTH {
        told.not_asked(host, vendor)?;
    }
    Ok(())
}

/// Of two vendors one stops: its silence is told as its own, and the visit goes on.
fn two_vendors() -> Result<(), String> {
    let mut world = World::new()?;
    let first = world.play("auth1", "dns", &NSD)?;
    let second = world.play("auth2", "dns", &KNOT)?;
    let (nsd, _knot) = (NSD.start(&world, &[first])?, KNOT.start(&world, &[second])?);
    let lab = world.start()?;
    lab.visit("http://www.example.local/")?.ended(0, None)?;
    nsd.stop()?;
    // The resolver takes one of the two by what it knows of them; among several names one is asked of the one that is gone.
    for name in ["app1", "app2", "v4only", "a.wild", "b.wild", "c.wild", "d.wild", "e.wild"] {
        let told = lab.visit(&format!("http://{name}.example.local/"))?;
        told.ended(0, None)?;
        let is_gone = |event: &journey::Event| matches!(&event.what, What::QueryFailed { server, .. } if told.host_of(server.ip()) == "auth1");
        if told.journey.events.iter().any(is_gone) {
            return told.not_asked("auth2", &KNOT);
        }
    }
    Err("the resolver never asked auth1, which has stopped".to_owned())
}

fn nginx() -> Result<(), String> {
    let mut world = World::new()?;
    let socket = world.play("app1", "http", &NGINX)?;
    let running = NGINX.start(&world, &[socket])?;
    let lab = world.start()?;
    let told = lab.visit("http://app1.example.local/")?;
    told.ended(0, None)?;
    told.not_asked("app1", &NGINX)?;
    told.reported("resolver")?;
    running.stop()?;
    let told = lab.visit("http://app1.example.local/")?;
    told.ended(7, Some(Reason::ConnectionRefused))?;
    told.blames(&["app1"])
}

/// It asks the lab's servers at their own addresses, on port 53, so it runs in a namespace of the lab.
fn unbound() -> Result<(), String> {
    let mut world = World::new()?;
    world.play("resolver", "dns", &UNBOUND)?;
    let lab = world.serve_wire()?;
    let running = UNBOUND.start_inside(&world, &lab, "resolver")?;
    lab.until_dig_says("10.78.1.53", "www.example.test", "10.78.2.81")?;
    let told = lab.visit("http://www.example.local/")?;
    told.ended(0, None)?;
    told.not_asked("resolver", &UNBOUND)?;
    let app = told.journey.outcome.host.clone().unwrap_or_default();
    told.reported(&app)?;
    // It does not say whom it asked, so it is the last that is known.
    let told = lab.visit("http://www.lame.example.local/")?;
    told.ended(6, Some(Reason::ServerFailure))?;
    told.blames(&["resolver"])?;
    let next = told.journey.outcome.next.clone().unwrap_or_default();
    expect(next.contains("does not report whom it asked: ask them yourself with --walk"), &next)?;
    running.stop()?;
    let told = lab.visit("http://app1.example.local/")?;
    told.ended(6, Some(Reason::ResolverDown))?;
    told.blames(&["resolver"])?;
    // The other hosts answer: the lab has not gone.
    expect(
        told.journey.outcome.next.as_ref().is_some_and(|next| !next.contains("no host of the lab")),
        &told.journey.outcome,
    )
}

impl Told {
    fn reported(&self, host: &str) -> Result<(), String> {
        let said = self.said(host)?;
        expect(matches!(said, HostReport::Reported { events, .. } if *events > 0), &(host, said))
    }

    fn not_asked(&self, host: &str, vendor: &Vendor) -> Result<(), String> {
        let why = format!("played by {}, which does not report", vendor.name);
        let said = self.said(host)?;
        expect(*said == HostReport::NotAsked { why }, &(host, said))
    }

    fn has(&self, what: &str, is_it: impl Fn(&journey::Event) -> bool) -> Result<(), String> {
        expect(self.journey.events.iter().any(is_it), &(what, &self.journey.events))
    }

    /// Whether the outcome names one of these hosts, or all of them.
    fn blames(&self, hosts: &[&str]) -> Result<(), String> {
        let blamed = self.journey.outcome.host.clone().unwrap_or_default();
        let is_one = |blamed: &str| hosts.contains(&blamed);
        expect(blamed.split(", ").all(is_one), &self.journey.outcome)
    }

    fn ended(&self, code: u8, reason: Option<Reason>) -> Result<(), String> {
        let outcome = &self.journey.outcome;
        expect((self.journey.exit_code, outcome.reason) == (code, reason), &(outcome, &self.journey.events))
    }
}

fn expect(is_so: bool, seen: &impl std::fmt::Debug) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(format!("{seen:#?}")) }
}
