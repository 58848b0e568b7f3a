//! The zone and what is asked of it; the same in every run.

use std::fmt::Write;

use anyhow::{Result, bail};

use super::dnsperf::Told;

/// Records of the zone: SOA, NS, the address of the name server, and hosts.
pub(crate) const RECORDS: usize = 1001;
const HOSTS: usize = RECORDS - 3;
/// Lines of a query file; dnsperf begins again at its end.
const QUERIES: usize = 20_000;
/// The zone, fully qualified.
pub(crate) const ZONE: &str = "bench.test.";

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// 80 % addresses that exist, 10 % names that do not, 10 % names without the type.
    Mixed,
    /// Addresses that exist.
    Hits,
}

impl Workload {
    pub(crate) const ALL: [Self; 2] = [Self::Mixed, Self::Hits];

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Mixed => "80 % hits, 10 % NXDOMAIN, 10 % NODATA",
            Self::Hits => "hits alone",
        }
    }

    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Mixed => "mixed.queries",
            Self::Hits => "hits.queries",
        }
    }

    /// The lines of dnsperf's input.
    pub(crate) fn queries(self) -> String {
        let mut dice = Dice(20);
        let mut text = String::new();
        for _ in 0..QUERIES {
            let host = dice.below(HOSTS);
            let (name, rtype) = match (self, dice.below(10)) {
                (Self::Mixed, 8) => ("missing", "A"),
                (Self::Mixed, 9) => ("host", "AAAA"),
                _ => ("host", "A"),
            };
            writeln!(text, "{name}{host}.{ZONE} {rtype}").expect("a String takes everything");
        }
        text
    }

    /// The answers must be those of the zone; a server that refuses fast is not fast.
    pub(crate) fn must_be(self, told: &Told) -> Result<()> {
        let expected = match self {
            Self::Mixed => 10.0,
            Self::Hits => 0.0,
        };
        // What is answered in a round is no whole number of files.
        let near = |seen: f64, wanted: f64| (seen - wanted).abs() < 1.0;
        if told.completed < 1.0 || !near(told.nxdomain, expected) || !near(told.noerror, 100.0 - expected) {
            bail!(
                "wrong answers: {:.0}, {} % NOERROR, {} % NXDOMAIN instead of {expected} %",
                told.completed,
                told.noerror,
                told.nxdomain
            );
        }
        Ok(())
    }
}

/// The zone's master file.
pub(crate) fn zone() -> String {
    let mut text = format!("$ORIGIN {ZONE}\n$TTL 300\n@ IN SOA ns hostmaster 1 1800 900 604800 60\n@ IN NS ns\n");
    text.push_str("ns IN A 127.0.0.1\n");
    for host in 0..HOSTS {
        writeln!(text, "host{host} IN A 10.53.{}.{}", host / 250, host % 250 + 1).expect("a String takes everything");
    }
    text
}

/// Numbers that look random and are the same in every run (Knuth's MMIX generator; its high bits are the good ones).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let limit = u64::try_from(limit).expect("small");
        usize::try_from((self.0 >> 33) % limit).expect("less than the limit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_of_so_many_records() {
        let zone = zone();
        assert_eq!(zone.lines().filter(|line| line.contains(" IN ")).count(), RECORDS);
        assert!(zone.ends_with("host997 IN A 10.53.3.248\n"));
    }

    #[test]
    fn the_mix() {
        let share =
            |queries: &str, part: &str| queries.lines().filter(|line| line.contains(part)).count() * 100 / QUERIES;
        let mixed = Workload::Mixed.queries();
        assert!((9..=10).contains(&share(&mixed, "missing")) && (9..=10).contains(&share(&mixed, "AAAA")));
        let hits = Workload::Hits.queries();
        assert_eq!((hits.lines().count(), share(&hits, " A")), (QUERIES, 100));
        assert_eq!((share(&hits, "missing"), share(&hits, "AAAA")), (0, 0));
    }

    #[test]
    fn wrong_answers() {
        let told = |noerror, nxdomain| Told { completed: 5.0, noerror, nxdomain, ..Told::default() };
        assert!(Workload::Mixed.must_be(&told(90.2, 9.8)).is_ok());
        assert!(Workload::Mixed.must_be(&told(100.0, 0.0)).is_err());
        assert!(Workload::Hits.must_be(&told(100.0, 0.0)).is_ok());
        assert!(Workload::Hits.must_be(&told(0.0, 0.0)).is_err());
        assert!(Workload::Hits.must_be(&Told::default()).is_err());
    }
}
