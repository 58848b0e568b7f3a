//! Several visits of one URL, one after the other: what each came to, and the spread of their times.
//!
//! The first visit is the cold one: it finds nothing that an earlier one would have left (the resolver's cache, a TLS
//! session). All others are warm, and the percentiles are of them alone. Whether something was warm is not concluded from
//! that: it is counted where a visit saw it or a host reported it.
//!
//! Percentiles are by nearest rank: p95 of n times is the ⌈0.95·n⌉th of them in ascending order, so it is always a time that
//! was measured; of fewer than 20 it is the largest. Only a stage that did what it is for has a time that counts. One that was
//! skipped, was not reached, failed, or could not be timed is not a time of 0: it is missing, and [`Spread::count`] says how
//! many there are. After redirects a stage's time is the sum over the hops of that visit.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use journey::{
    Engine, Evidence, Hop, HostReport, Journey, KnownHost, MadeBy, Place, Reason, SCHEMA_VERSION, StageName,
    StageState, What,
    chronicle::YOU,
    stage::{Did, Handshake, NameSource, Verified},
};

/// Visits of one URL, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// The version of this shape, which is that of its journeys.
    pub schema_version: u32,
    /// Which program made this record.
    pub made_by: MadeBy,
    /// What was asked for, secrets removed.
    pub url: String,
    /// Which engine spoke HTTP.
    pub engine: Engine,
    /// Where the visits took place.
    pub place: Place,
    /// The faults that were put in force for the visits, as they were written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// The hosts of the world; empty on the internet.
    pub hosts: Vec<KnownHost>,
    /// How many visits were wanted.
    pub wanted: u32,
    /// Microseconds of pause between them.
    pub interval_us: u64,
    /// Whether the user stopped it before all were made; the visit that was cut short by that is left out.
    pub interrupted: bool,
    /// What each visit came to.
    pub visits: Vec<Visit>,
    /// What all of them together say.
    pub summary: Summary,
    /// The whole journeys, in the same order; empty where they were not kept.
    pub journeys: Vec<Journey>,
}

/// One visit, in brief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Visit {
    /// Wall-clock time at which it began, RFC 3339, UTC.
    pub started_at: String,
    /// Microseconds from the begin of its first stage to the end of its last.
    pub total_us: u64,
    /// What it would have exited with.
    pub exit_code: u8,
    /// The stage that failed.
    pub failed_stage: Option<StageName>,
    /// Why it failed, for programs.
    pub reason: Option<Reason>,
    /// The host at which it ended.
    pub host: Option<String>,
    /// Its verdict.
    pub verdict: String,
    /// How many requests it took.
    pub hops: usize,
    /// The times of the stages that did what they are for, in the order of the stages.
    pub stages: Vec<StageTime>,
    /// The stages whose times an engine tells otherwise than their names say, or not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<Caveat>,
    /// What one should know of it whatever its times: certificates that were not verified, a proxy that was not used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The status of the last answer.
    pub status: Option<u16>,
    /// The address of the server of the last hop, once connected.
    pub server: Option<SocketAddr>,
    /// The addresses of the name of the first hop, in ascending order.
    pub addresses: Vec<IpAddr>,
    /// Where the resolver had its answers from; null where it does not report, or was not asked.
    pub names_from: Option<NamesFrom>,
    /// The handshakes, hop by hop, where there was TLS and they are known.
    pub handshakes: Vec<Handshake>,
}

/// How long a stage took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageTime {
    /// The stage.
    pub stage: StageName,
    /// Microseconds, those of all hops together.
    pub duration_us: u64,
}

/// What is to be known of a stage's times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Caveat {
    /// The stage.
    pub stage: StageName,
    /// What its times are; null where they are those of its name.
    pub note: Option<String>,
    /// Why it has no times; null where it has some.
    pub not_observable: Option<String>,
}

/// Where a resolver had its answers from, as it reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamesFrom {
    /// All from its cache: it asked nobody.
    Cache,
    /// It asked other servers for all of them.
    Servers,
    /// Some from its cache, others from servers.
    Both,
}

/// What several visits together say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// How many visits did not fail.
    pub succeeded: usize,
    /// How many did.
    pub failed: usize,
    /// The times of each stage, in the order of the stages; those without any time are left out, unless they could not be
    /// observed.
    pub stages: Vec<StageSpread>,
    /// The times of whole visits, of those that did not fail.
    pub total: Times,
    /// The failures, the most frequent first.
    pub failures: Vec<FailureGroup>,
    /// The statuses of the answers, the most frequent first.
    pub statuses: Vec<Counted<u16>>,
    /// The servers that were connected to last, the most frequent first.
    pub servers: Vec<Counted<SocketAddr>>,
    /// The sets of addresses that the name had, the most frequent first; more than one: they differed between visits.
    pub addresses: Vec<Counted<Vec<IpAddr>>>,
    /// Where the resolver had its answers from, the most frequent first; visits of which that is not known are not counted.
    pub names_from: Vec<Counted<NamesFrom>>,
    /// How the TLS handshakes went, the most frequent first.
    pub handshakes: Vec<Counted<Handshake>>,
}

/// The times of one stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageSpread {
    /// The stage.
    pub stage: StageName,
    /// Its times.
    #[serde(flatten)]
    pub times: Times,
    /// What its times are, where they are not those of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why it has no times, where they could not be observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_observable: Option<String>,
}

/// The time in the first visit, and those in the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// Microseconds in the first visit; null where it has no such time.
    pub cold_us: Option<u64>,
    /// Of all others; null where none of them has such a time.
    pub warm: Option<Spread>,
}

/// The spread of some times, in microseconds; percentiles by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// How many times there are; at least 1.
    pub count: usize,
    /// The smallest.
    pub min_us: u64,
    /// Half of them are no larger.
    pub p50_us: u64,
    /// 95 of 100 are no larger.
    pub p95_us: u64,
    /// The largest.
    pub max_us: u64,
}

/// Visits that failed alike: in the same stage, for the same reason, at the same host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureGroup {
    /// The stage.
    pub stage: Option<StageName>,
    /// Why.
    pub reason: Option<Reason>,
    /// At which host.
    pub host: Option<String>,
    /// How many visits.
    pub count: usize,
    /// The first of them, counted from 1.
    pub first: usize,
    /// The verdict of the first of them.
    pub verdict: String,
}

/// Something, and how often it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counted<T> {
    /// What.
    pub what: T,
    /// How often.
    pub count: usize,
}

/// What a series is apart from its visits.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// How many visits.
    pub visits: u32,
    /// Microseconds of pause between them.
    pub interval_us: u64,
}

impl Series {
    /// The series of these visits, of which `one` is any: it says what they have in common.
    pub fn new(wanted: &Wanted, one: &Journey, visits: Vec<Visit>, interrupted: bool) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            made_by: one.made_by.clone(),
            url: one.url.clone(),
            engine: one.engine,
            place: one.place.clone(),
            faults: one.faults.clone(),
            hosts: one.hosts.clone(),
            wanted: wanted.visits,
            interval_us: wanted.interval_us,
            interrupted,
            summary: Summary::of(&visits),
            visits,
            journeys: Vec::new(),
        }
    }
}

impl Visit {
    /// A journey in brief.
    pub fn of(journey: &Journey) -> Self {
        let last = journey.hops.last();
        Self {
            started_at: journey.started_at.clone(),
            total_us: journey.total_us,
            exit_code: journey.exit_code,
            failed_stage: journey.outcome.failed_stage,
            reason: journey.outcome.reason,
            host: journey.outcome.host.clone(),
            verdict: journey.outcome.verdict.clone(),
            hops: journey.hops.len(),
            stages: StageName::ALL.into_iter().filter_map(|stage| time_of(journey, stage)).collect(),
            caveats: StageName::ALL.into_iter().filter_map(|stage| caveat(journey, stage)).collect(),
            warnings: journey.hops.iter().flat_map(warnings_of).collect(),
            status: last.and_then(status_of),
            server: last.and_then(server_of),
            addresses: journey.hops.first().map(addresses_of).unwrap_or_default(),
            names_from: names_from(journey),
            handshakes: journey.hops.iter().filter_map(handshake_of).collect(),
        }
    }

    /// Whether it failed; one to which nobody had to answer has not.
    pub fn failed(&self) -> bool {
        self.exit_code != 0
    }

    fn time(&self, stage: StageName) -> Option<u64> {
        self.stages.iter().find(|time| time.stage == stage).map(|time| time.duration_us)
    }
}

fn time_of(journey: &Journey, name: StageName) -> Option<StageTime> {
    let stages = journey.hops.iter().filter_map(|hop| hop.stage(name));
    let times = stages.filter(|stage| stage.state == StageState::Done).filter_map(|stage| stage.duration_us);
    let duration_us = times.reduce(u64::saturating_add)?;
    Some(StageTime { stage: name, duration_us })
}

/// This program's own stages are cut as their names say; there a note says something else.
fn caveat(journey: &Journey, name: StageName) -> Option<Caveat> {
    if journey.engine == Engine::Visit || matches!(name, StageName::Url | StageName::Name | StageName::Route) {
        return None;
    }
    let stages: Vec<_> = journey.hops.iter().filter_map(|hop| hop.stage(name)).collect();
    let not_observable = stages.iter().find_map(|stage| match (stage.state, &stage.evidence) {
        (StageState::Done | StageState::Skipped, Evidence::NotObservable { why, .. }) => Some(why.clone()),
        _ => None,
    });
    let note = stages.iter().filter(|stage| stage.state == StageState::Done).find_map(|stage| stage.note.clone());
    (note.is_some() || not_observable.is_some()).then_some(Caveat { stage: name, note, not_observable })
}

fn warnings_of(hop: &Hop) -> Vec<String> {
    let mut warnings = hop.notes.clone();
    if let Some(Did::Tls(tls)) = hop.stage(StageName::Tls).map(|stage| &stage.did)
        && let Verified::Ignored { why: Some(why) } = &tls.verified
    {
        warnings.push(format!("NOT VERIFIED (--insecure): {why}"));
    }
    warnings
}

fn status_of(hop: &Hop) -> Option<u16> {
    match &hop.stage(StageName::Receive)?.did {
        Did::Receive(receive) => receive.status,
        _ => None,
    }
}

fn server_of(hop: &Hop) -> Option<SocketAddr> {
    match &hop.stage(StageName::Connect)?.did {
        Did::Connect(connect) => connect.connected().map(|attempt| attempt.server),
        _ => None,
    }
}

fn addresses_of(hop: &Hop) -> Vec<IpAddr> {
    let Some(Did::Name(name)) = hop.stage(StageName::Name).map(|stage| &stage.did) else { return Vec::new() };
    let mut addresses: Vec<IpAddr> = name.addresses.iter().map(|address| address.ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn handshake_of(hop: &Hop) -> Option<Handshake> {
    match &hop.stage(StageName::Tls)?.did {
        Did::Tls(tls) => tls.handshake,
        _ => None,
    }
}

/// From the report of the resolver that this machine asked: what it found in its cache, and what it asked others for.
fn names_from(journey: &Journey) -> Option<NamesFrom> {
    let names = journey.hops.iter().filter_map(|hop| match &hop.stage(StageName::Name)?.did {
        Did::Name(name) if !name.exchanges.is_empty() => name.source.as_ref(),
        _ => None,
    });
    let mut resolvers = names.filter_map(|source| match source {
        NameSource::Resolver { host, .. } => host.as_deref(),
        _ => None,
    });
    let resolver = resolvers.next().filter(|host| *host != YOU)?;
    let reports = journey.observers.iter().any(|observer| {
        observer.host == resolver && matches!(observer.said, HostReport::Reported { events, .. } if events > 0)
    });
    if !reports || resolvers.any(|other| other != resolver) {
        return None;
    }
    let (mut cached, mut asked) = (false, false);
    for event in journey.events.iter().filter(|event| event.host == resolver) {
        match event.what {
            What::CacheHit { .. } => cached = true,
            What::QuerySent { .. } | What::ReplyReceived { .. } | What::QueryFailed { .. } => asked = true,
            _ => {}
        }
    }
    match (cached, asked) {
        (true, true) => Some(NamesFrom::Both),
        (true, false) => Some(NamesFrom::Cache),
        (false, true) => Some(NamesFrom::Servers),
        (false, false) => None,
    }
}

impl Summary {
    /// What these visits together say.
    pub fn of(visits: &[Visit]) -> Self {
        let times = |time: &dyn Fn(&Visit) -> Option<u64>| {
            let cold_us = visits.first().and_then(time);
            let warm = Spread::of(visits.iter().skip(1).filter_map(time).collect());
            Times { cold_us, warm }
        };
        let stages = StageName::ALL.into_iter().map(|stage| {
            let times = times(&|visit| visit.time(stage));
            let caveats = || visits.iter().flat_map(|visit| &visit.caveats).filter(|caveat| caveat.stage == stage);
            StageSpread {
                stage,
                times,
                note: caveats().find_map(|caveat| caveat.note.clone()),
                not_observable: caveats().find_map(|caveat| caveat.not_observable.clone()),
            }
        });
        let failed = visits.iter().filter(|visit| visit.failed()).count();
        Self {
            succeeded: visits.len() - failed,
            failed,
            stages: stages.filter(|stage| stage.times != Times::default() || stage.not_observable.is_some()).collect(),
            total: times(&|visit| Some(visit.total_us).filter(|_| !visit.failed())),
            failures: failures(visits),
            statuses: counted(visits.iter().filter_map(|visit| visit.status)),
            servers: counted(visits.iter().filter_map(|visit| visit.server)),
            addresses: counted(visits.iter().map(|visit| visit.addresses.clone()).filter(|all| !all.is_empty())),
            names_from: counted(visits.iter().filter_map(|visit| visit.names_from)),
            handshakes: counted(visits.iter().flat_map(|visit| visit.handshakes.iter().copied())),
        }
    }
}

impl Spread {
    /// The spread of these times; none where there are none.
    pub fn of(mut times: Vec<u64>) -> Option<Self> {
        times.sort_unstable();
        let (&min_us, &max_us) = (times.first()?, times.last()?);
        // ⌈p·n / 100⌉, counted from 1; it lies in 1..=n for every n ≥ 1 and p ≤ 100.
        let percentile = |p: usize| times[(p * times.len()).div_ceil(100) - 1];
        Some(Self { count: times.len(), min_us, p50_us: percentile(50), p95_us: percentile(95), max_us })
    }
}

fn failures(visits: &[Visit]) -> Vec<FailureGroup> {
    let mut groups: Vec<FailureGroup> = Vec::new();
    for (nth, visit) in visits.iter().enumerate().filter(|(_, visit)| visit.failed()) {
        let alike = |group: &&mut FailureGroup| {
            (group.stage, group.reason, &group.host) == (visit.failed_stage, visit.reason, &visit.host)
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.count += 1,
            None => groups.push(FailureGroup {
                stage: visit.failed_stage,
                reason: visit.reason,
                host: visit.host.clone(),
                count: 1,
                first: nth + 1,
                verdict: visit.verdict.clone(),
            }),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

/// How often each was seen, the most frequent first, then in the order first seen.
fn counted<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<Counted<T>> {
    let mut counts: Vec<Counted<T>> = Vec::new();
    for what in all {
        match counts.iter_mut().find(|counted| counted.what == what) {
            Some(counted) => counted.count += 1,
            None => counts.push(Counted { what, count: 1 }),
        }
    }
    counts.sort_by_key(|counted| std::cmp::Reverse(counted.count));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_nearest_rank() {
        let check = |times: Vec<u64>, expected: Option<(u64, u64, u64, u64)>| {
            let spread = Spread::of(times).map(|s| (s.min_us, s.p50_us, s.p95_us, s.max_us));
            assert_eq!(spread, expected);
        };
        check(vec![], None);
        check(vec![7], Some((7, 7, 7, 7)));
        check(vec![9, 1], Some((1, 1, 9, 9)));
        // The example of the definition: 15, 20, 35, 40, 50 have 35 as their median.
        check(vec![50, 15, 40, 20, 35], Some((15, 35, 50, 50)));
        check((1..=19).collect(), Some((1, 10, 19, 19)));
        check((1..=20).collect(), Some((1, 10, 19, 20)));
        check((1..=100).collect(), Some((1, 50, 95, 100)));
        check((1..=10_000).collect(), Some((1, 5_000, 9_500, 10_000)));
    }

    fn visit(exit_code: u8, stages: &[(StageName, u64)]) -> Visit {
        let failed_stage = (exit_code != 0).then_some(StageName::Connect);
        Visit {
            started_at: String::new(),
            total_us: 100,
            exit_code,
            failed_stage,
            reason: failed_stage.map(|_| Reason::ConnectionRefused),
            host: Some("app1".to_owned()),
            verdict: format!("exit {exit_code}"),
            hops: 1,
            stages: stages.iter().map(|&(stage, duration_us)| StageTime { stage, duration_us }).collect(),
            warnings: Vec::new(),
            caveats: Vec::new(),
            status: (exit_code == 0).then_some(200),
            server: None,
            addresses: Vec::new(),
            names_from: None,
            handshakes: Vec::new(),
        }
    }

    #[test]
    fn the_cold_one_is_told_from_the_warm_ones() {
        use StageName::{Name, Receive, Url};
        let visits = [
            visit(0, &[(Url, 50), (Name, 900), (Receive, 10)]),
            visit(0, &[(Url, 5), (Name, 300), (Receive, 12)]),
            // A stage that was not reached lowers the count of that stage alone.
            visit(7, &[(Url, 7), (Name, 200)]),
            visit(7, &[(Url, 6), (Name, 100)]),
        ];
        let summary = Summary::of(&visits);
        assert_eq!((summary.succeeded, summary.failed), (2, 2));
        let of = |stage: StageName| {
            let found = summary.stages.iter().find(|spread| spread.stage == stage)?;
            let warm = found.times.warm?;
            Some((found.times.cold_us, warm.count, warm.p50_us, warm.max_us))
        };
        assert_eq!(of(Url), Some((Some(50), 3, 6, 7)));
        assert_eq!(of(Name), Some((Some(900), 3, 200, 300)));
        assert_eq!(of(Receive), Some((Some(10), 1, 12, 12)));
        assert_eq!(of(StageName::Tls), None);
        let total = &summary.total;
        assert_eq!((total.cold_us, total.warm.map(|warm| warm.count)), (Some(100), Some(1)));
        assert_eq!(summary.failures.len(), 1);
        assert_eq!((summary.failures[0].count, summary.failures[0].first), (2, 3));
        assert_eq!(summary.statuses, [Counted { what: 200, count: 2 }]);
    }

    #[test]
    fn what_the_times_are_is_told_with_them() {
        use StageName::{Connect, Tls, Wait};
        let caveat = |stage, note: Option<&str>, why: Option<&str>| Caveat {
            stage,
            note: note.map(str::to_owned),
            not_observable: why.map(str::to_owned),
        };
        let mut both = visit(0, &[(Connect, 5), (Wait, 9)]);
        both.caveats = vec![caveat(Connect, Some("with TLS"), None), caveat(Tls, None, Some("not told"))];
        // One that did not come that far says nothing of it.
        let summary = Summary::of(&[visit(7, &[]), both]);
        let told: Vec<_> = summary
            .stages
            .iter()
            .map(|spread| (spread.stage, spread.note.as_deref(), spread.not_observable.as_deref()))
            .collect();
        assert_eq!(told, [(Connect, Some("with TLS"), None), (Tls, None, Some("not told")), (Wait, None, None)]);
    }

    #[test]
    fn nothing_comes_of_no_visits() {
        assert_eq!(Summary::of(&[]), Summary::default());
    }
}
