//! What a scenario may not do. Scenarios are passed on and played by programs of continuous integration: its visits are made
//! in the lab and nowhere else. Pure.

use std::net::IpAddr;

use anyhow::{anyhow, ensure};
use probe::target::Host;
use session::Ground;
use world::{AddressBook, World, scenario::Scenario};

use crate::play::Line;

/// Refuses a visit that would be made elsewhere than in the lab: this one that runs, or one inside this program. What no
/// visit comes of, as of a URL that cannot be read, stays.
pub fn stays(line: &Line, running: Option<&Ground>) -> anyhow::Result<()> {
    let built_in = World::built_in();
    let direct = AddressBook::direct(&built_in);
    let book = match running {
        Some(Ground::Running { book, .. }) => book,
        _ => &direct,
    };
    let is_outside = |ip: &IpAddr| !book.contains(*ip);
    let settings = &line.settings;
    if let Some(named) = &settings.resolver {
        let is_in = named.is_in(|ip| book.contains(ip), |name| book.claims(name));
        ensure!(is_in, "--resolver {named} is outside the lab, and a scenario stays in it: name a resolver of the lab");
    }
    for url in &line.urls {
        let Ok(target) = &url.target else { continue };
        let shown = &url.shown;
        if let (Ground::Internet, _) = settings.ground(url, running) {
            return Err(anyhow!(
                "{shown} is no place of the lab, and a scenario stays in it: with --lab the lab is asked for any name"
            ));
        }
        let way = settings.overrides.way(target);
        let led_to = match &way.host {
            Host::Ip(ip) => std::slice::from_ref(ip),
            Host::Name(_) => settings.overrides.addresses(&way).unwrap_or_default(),
        };
        if let Some(ip) = led_to.iter().find(|ip| is_outside(ip)) {
            return Err(anyhow!("{shown} leads to {ip}, which is outside the lab, and a scenario stays in it"));
        }
    }
    Ok(())
}

/// Refuses records that lead visits elsewhere: from names of the lab to addresses that are not.
pub fn records_stay(scenario: &Scenario, running: Option<&Ground>) -> anyhow::Result<()> {
    let built_in = World::built_in();
    let direct = AddressBook::direct(&built_in);
    let book = match running {
        Some(Ground::Running { book, .. }) => book,
        _ => &direct,
    };
    let all = scenario.visit.iter().map(|visit| &visit.records).chain([&scenario.records]);
    for record in all.flat_map(|records| records.values()).flatten() {
        let outside = record.split_whitespace().filter_map(|word| word.parse().ok()).find(|ip| !book.contains(*ip));
        if let Some(ip) = outside {
            return Err(anyhow!(
                "the record {record:?} leads to {ip}, which is outside the lab, and a scenario stays in it"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stay_in_the_lab() {
        let check = |record: &str| {
            let records = [("example.local.".to_owned(), vec![record.to_owned()])].into();
            let scenario = Scenario { records, ..Scenario::default() };
            records_stay(&scenario, None).map_err(|error| error.to_string())
        };
        assert_eq!(check("www 300 IN A 10.78.2.82"), Ok(()));
        assert_eq!(check("www 300 IN CNAME app1"), Ok(()));
        assert!(check("www 300 IN A 192.0.2.1").unwrap_err().contains("leads to 192.0.2.1, which is outside the lab"));
        assert!(check("www 300 IN AAAA ::1").unwrap_err().contains("leads to ::1"));
    }
}
