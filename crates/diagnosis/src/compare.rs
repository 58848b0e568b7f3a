//! What differs between two visits, or between two series: stage by stage, times and facts. Pure: two records in, data out.
//!
//! Two single visits differ by chance as well; a difference of times is a difference of these two, and no more is said of
//! it. Of series the medians of the warm visits are compared, with the number of visits behind each.
//!
//! What is of one visit alone and says nothing of the visited (its id, ports that the kernel chose, moments) is not
//! compared.

mod facts;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use journey::{
    Engine, Journey, MadeBy, Place, SCHEMA_VERSION, StageName, StageState,
    stage::{Failure, Hop, Stage},
};

use crate::series::{Series, Times};

/// What differs between A and B.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The version of this shape, which is that of journeys.
    pub schema_version: u32,
    /// Which program compared.
    pub made_by: MadeBy,
    /// What was compared.
    pub of: Compared,
    /// Why times from `connect` on are put beside each other and no more, where they are not times of the same thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The one.
    pub a: Side,
    /// The other.
    pub b: Side,
    /// The whole time.
    pub total: Pair,
    /// What differs in the whole.
    pub facts: Facts,
    /// The requests in order, as far as either went; of series one, which stands for all hops.
    pub hops: Vec<HopComparison>,
}

/// What was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// One visit each.
    Visits,
    /// One series each, by the medians of their warm visits.
    Series,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// What was asked for.
    pub url: String,
    /// When it, or its first visit, began; RFC 3339, UTC.
    pub started_at: String,
    /// Which engine spoke HTTP.
    pub engine: Engine,
    /// Where it took place.
    pub place: Place,
    /// How many visits it is.
    pub visits: usize,
    /// How many of them failed.
    pub failed: usize,
    /// The verdict of the visit; null for a series.
    pub verdict: Option<String>,
}

/// One request of A beside that of B.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HopComparison {
    /// The URL in A; null where A has no such hop.
    pub a: Option<String>,
    /// The URL in B; null where B has no such hop.
    pub b: Option<String>,
    /// The stages that either has, in their order.
    pub stages: Vec<StageComparison>,
    /// What differs besides times.
    pub facts: Facts,
}

/// One stage of A beside that of B.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageComparison {
    /// The stage.
    pub stage: StageName,
    /// How far it came in A; null where A has no such stage, and for series.
    pub a_state: Option<StageState>,
    /// How far it came in B.
    pub b_state: Option<StageState>,
    /// Why it failed in A.
    pub a_failure: Option<Failure>,
    /// Why it failed in B.
    pub b_failure: Option<Failure>,
    /// Its times.
    #[serde(flatten)]
    pub times: Pair,
}

/// Two times. Those of series are medians.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pair {
    /// Microseconds in A; null where there is no such time.
    pub a_us: Option<u64>,
    /// Microseconds in B.
    pub b_us: Option<u64>,
    /// Of how many times A's is the median: 1 for a visit.
    pub a_count: usize,
    /// Of how many B's is.
    pub b_count: usize,
    /// B less A; null unless both are there, and of the same thing.
    pub difference_us: Option<i64>,
    /// B by A; null unless both are there, and of the same thing, and A is not 0.
    pub ratio: Option<f64>,
}

/// Facts that differ, and the names of those that do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// Those that differ, in the order of the stages.
    pub changed: Vec<Change>,
    /// Those that both have and that are the same.
    pub same: Vec<String>,
}

/// A fact that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The stage that it is of; null for the whole.
    pub stage: Option<StageName>,
    /// What it is: `status`, `field etag`.
    pub what: String,
    /// What it is in A; null where it is not there.
    pub a: Option<String>,
    /// What it is in B; null where it is not there.
    pub b: Option<String>,
}

impl Pair {
    fn new(a: (Option<u64>, usize), b: (Option<u64>, usize)) -> Self {
        let both = a.0.zip(b.0);
        Self {
            a_us: a.0,
            b_us: b.0,
            a_count: a.1,
            b_count: b.1,
            // What does not fit is no time of a visit.
            difference_us: both.and_then(|(a, b)| i64::try_from(i128::from(b) - i128::from(a)).ok()),
            ratio: both.filter(|(a, _)| *a > 0).map(|(a, b)| b as f64 / a as f64),
        }
    }

    fn of_one(a: Option<u64>, b: Option<u64>) -> Self {
        Self::new((a, a.iter().len()), (b, b.iter().len()))
    }

    fn of_medians(a: Option<&Times>, b: Option<&Times>) -> Self {
        let median = |times: Option<&Times>| match times.and_then(|times| times.warm) {
            Some(warm) => (Some(warm.p50_us), warm.count),
            None => (None, 0),
        };
        Self::new(median(a), median(b))
    }
}

/// Why the times of these engines are not compared.
fn apart(a: Engine, b: Engine) -> Option<String> {
    let engine = |engine| match engine {
        Engine::Visit => "visit",
        Engine::Reqwest => "reqwest",
    };
    (a != b).then(|| {
        format!(
            "no differences of times from connect on, nor of those in all: A is by the engine {} and B by {}, whose stages \
             do not begin and end alike",
            engine(a),
            engine(b)
        )
    })
}

/// Takes back what was made of times that are not of the same thing.
fn put_apart(mut comparison: Comparison) -> Comparison {
    comparison.note = apart(comparison.a.engine, comparison.b.engine);
    if comparison.note.is_some() {
        let stages = comparison.hops.iter_mut().flat_map(|hop| &mut hop.stages);
        let stages = stages.filter(|stage| !matches!(stage.stage, StageName::Url | StageName::Name | StageName::Route));
        for times in stages.map(|stage| &mut stage.times).chain([&mut comparison.total]) {
            (times.difference_us, times.ratio) = (None, None);
        }
    }
    comparison
}

/// Compares two visits; `made_by` is the program that does.
pub fn visits(a: &Journey, b: &Journey, made_by: MadeBy) -> Comparison {
    let hops = (0..a.hops.len().max(b.hops.len())).map(|nth| hop(a.hops.get(nth), b.hops.get(nth)));
    put_apart(Comparison {
        schema_version: SCHEMA_VERSION,
        made_by,
        of: Compared::Visits,
        note: None,
        a: Side::visit(a),
        b: Side::visit(b),
        total: Pair::of_one(Some(a.total_us), Some(b.total_us)),
        facts: facts::differing(&facts::of_journey(a), &facts::of_journey(b)),
        hops: hops.collect(),
    })
}

/// Compares two series by the medians of their warm visits; `made_by` is the program that does.
pub fn series(a: &Series, b: &Series, made_by: MadeBy) -> Comparison {
    let stages = StageName::ALL.into_iter().filter_map(|stage| {
        let times = |series: &Series| {
            let spread = series.summary.stages.iter().find(|spread| spread.stage == stage);
            spread.map(|spread| spread.times.clone())
        };
        let (a, b) = (times(a), times(b));
        let none = (None, None, None, None);
        (a.is_some() || b.is_some())
            .then(|| StageComparison::new(stage, none, Pair::of_medians(a.as_ref(), b.as_ref())))
    });
    let hop = HopComparison {
        a: Some(a.url.clone()),
        b: Some(b.url.clone()),
        stages: stages.collect(),
        facts: facts::differing(&facts::of_series(a), &facts::of_series(b)),
    };
    put_apart(Comparison {
        schema_version: SCHEMA_VERSION,
        made_by,
        of: Compared::Series,
        note: None,
        a: Side::series(a),
        b: Side::series(b),
        total: Pair::of_medians(Some(&a.summary.total), Some(&b.summary.total)),
        facts: Facts::default(),
        hops: vec![hop],
    })
}

fn hop(a: Option<&Hop>, b: Option<&Hop>) -> HopComparison {
    let stages = StageName::ALL.into_iter().filter_map(|name| {
        let of = |hop: Option<&'_ Hop>| hop.and_then(|hop| hop.stage(name)).cloned();
        let (a, b) = (of(a), of(b));
        let state = |stage: &Option<Stage>| stage.as_ref().map(|stage| stage.state);
        let failure = |stage: &Option<Stage>| stage.as_ref().and_then(|stage| stage.failure.clone());
        let time = |stage: &Option<Stage>| stage.as_ref().and_then(|stage| stage.duration_us);
        let how = (state(&a), state(&b), failure(&a), failure(&b));
        (a.is_some() || b.is_some()).then(|| StageComparison::new(name, how, Pair::of_one(time(&a), time(&b))))
    });
    HopComparison {
        a: a.map(|hop| hop.url.clone()),
        b: b.map(|hop| hop.url.clone()),
        stages: stages.collect(),
        facts: a.zip(b).map(|(a, b)| facts::of_hops(a, b)).unwrap_or_default(),
    }
}

impl StageComparison {
    fn new(
        stage: StageName,
        (a_state, b_state, a_failure, b_failure): (
            Option<StageState>,
            Option<StageState>,
            Option<Failure>,
            Option<Failure>,
        ),
        times: Pair,
    ) -> Self {
        Self { stage, a_state, b_state, a_failure, b_failure, times }
    }
}

impl Side {
    fn visit(journey: &Journey) -> Self {
        Self {
            url: journey.url.clone(),
            started_at: journey.started_at.clone(),
            engine: journey.engine,
            place: journey.place.clone(),
            visits: 1,
            failed: usize::from(journey.exit_code != 0),
            verdict: Some(journey.outcome.verdict.clone()),
        }
    }

    fn series(series: &Series) -> Self {
        Self {
            url: series.url.clone(),
            started_at: series.visits.first().map(|visit| visit.started_at.clone()).unwrap_or_default(),
            engine: series.engine,
            place: series.place.clone(),
            visits: series.visits.len(),
            failed: series.summary.failed,
            verdict: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        let check = |a, b, difference: Option<i64>, ratio: Option<f64>| {
            let pair = Pair::of_one(a, b);
            assert_eq!((pair.difference_us, pair.ratio), (difference, ratio), "{a:?} {b:?}");
        };
        check(Some(100), Some(150), Some(50), Some(1.5));
        check(Some(100), Some(0), Some(-100), Some(0.0));
        check(Some(0), Some(5), Some(5), None);
        check(None, Some(5), None, None);
        check(Some(0), Some(u64::MAX), None, None);
        assert_eq!(Pair::of_one(None, Some(5)).a_count, 0);
    }
}
