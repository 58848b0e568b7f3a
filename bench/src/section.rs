//! What was found: sections of rows, the ratio to a peer, and whether a budget holds. Data only.

use serde::{Deserialize, Serialize};

use crate::stats::Summary;

/// Rows that belong side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Section {
    /// Which part of the run: `dns`, `http`, `visit`, `lab`, `wire`, `soak`.
    pub(crate) part: String,
    /// What is compared.
    pub(crate) title: String,
    /// What a reader must know to judge the numbers.
    pub(crate) notes: Vec<String>,
    /// Ratios are to this one.
    pub(crate) peer: Option<String>,
    /// The rows, those of one measure together.
    pub(crate) rows: Vec<Row>,
}

/// One measure of one program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What was measured: `CPU per query`.
    pub(crate) measure: String,
    /// Of what.
    pub(crate) of: String,
    /// In what.
    pub(crate) unit: String,
    /// What came of it.
    pub(crate) found: Found,
    /// What it must not exceed.
    pub(crate) limit: Option<Limit>,
}

/// What came of measuring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Found {
    /// These values, in the order of the rounds.
    Measured {
        /// The values.
        samples: Vec<f64>,
    },
    /// Nothing: what is needed is not here. Never a pass and never a 0.
    Skipped {
        /// What to do about it.
        why: String,
    },
    /// Nothing, though it was tried.
    Failed {
        /// What went wrong.
        why: String,
    },
}

/// What a median must not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// A number in the row's unit.
    Most(f64),
    /// So many times the peer's median.
    TimesPeer(f64),
}

/// Whether a budget holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The median is within the limit.
    Within,
    /// It is over.
    Over,
    /// There is no number, or none of the peer.
    NotJudged,
}

impl Section {
    /// A section in which nothing could be measured; its budget relative to a peer, where it has one, is not judged.
    pub(crate) fn unmeasured(part: &str, title: &str, found: Found, budget: Option<(f64, &str)>) -> Self {
        let limit = budget.map(|(times, _)| Limit::TimesPeer(times));
        let peer = budget.map(|(_, peer)| peer.to_owned());
        let row = Row { measure: "nothing".into(), of: "all".into(), unit: String::new(), found, limit };
        Self { part: part.into(), title: title.into(), notes: Vec::new(), peer, rows: vec![row] }
    }

    /// The row's median over the peer's, for the same measure; `None` for the peer itself.
    pub(crate) fn ratio(&self, row: &Row) -> Option<f64> {
        let peer = self.peer.as_ref().filter(|peer| **peer != row.of)?;
        let theirs = self.rows.iter().find(|other| other.of == *peer && other.measure == row.measure)?.summary()?;
        (theirs.median > 0.0).then_some(row.summary()?.median / theirs.median)
    }

    /// Whether the row's budget holds; `None` where it has none.
    pub(crate) fn verdict(&self, row: &Row) -> Option<Verdict> {
        let (value, limit) = match row.limit? {
            Limit::Most(limit) => (row.summary().map(|summary| summary.median), limit),
            Limit::TimesPeer(limit) => (self.ratio(row), limit),
        };
        Some(match value {
            Some(value) if value <= limit => Verdict::Within,
            Some(_) => Verdict::Over,
            None => Verdict::NotJudged,
        })
    }

    /// The verdicts of all rows that have a budget.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.rows.iter().filter_map(|row| self.verdict(row))
    }

    /// Whether something that was tried could not be measured.
    pub(crate) fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.found, Found::Failed { .. }))
    }
}

impl Row {
    /// The samples in four numbers, where there are any.
    pub(crate) fn summary(&self) -> Option<Summary> {
        match &self.found {
            Found::Measured { samples } => Summary::of(samples),
            Found::Skipped { .. } | Found::Failed { .. } => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn row(of: &str, samples: &[f64], limit: Option<Limit>) -> Row {
        let found = match samples {
            [] => Found::Skipped { why: format!("apt-get install {of}") },
            samples => Found::Measured { samples: samples.to_vec() },
        };
        Row { measure: "CPU per query".into(), of: of.into(), unit: "µs".into(), found, limit }
    }

    pub(crate) fn section(rows: Vec<Row>) -> Section {
        Section {
            part: "dns".into(),
            title: "a title".into(),
            notes: vec!["a note".into()],
            peer: Some("named".into()),
            rows,
        }
    }

    #[test]
    fn what_is_not_measured_is_not_judged() {
        let skipped = Found::Skipped { why: "apt-get install dnsperf".into() };
        let section = Section::unmeasured("dns", "name servers", skipped.clone(), Some((1.0, "named")));
        assert_eq!(section.verdicts().collect::<Vec<_>>(), [Verdict::NotJudged]);
        assert_eq!(Section::unmeasured("http", "web servers", skipped, None).verdicts().count(), 0);
    }

    #[test]
    fn budgets() {
        let check = |ours: &[f64], named: &[f64], limit, ratio, verdict| {
            let section = section(vec![row("ours", ours, Some(limit)), row("named", named, None)]);
            assert_eq!(section.ratio(&section.rows[0]), ratio);
            assert_eq!(section.verdict(&section.rows[0]), Some(verdict));
            assert_eq!((section.ratio(&section.rows[1]), section.verdict(&section.rows[1])), (None, None));
        };
        check(&[4.0], &[8.0], Limit::TimesPeer(1.0), Some(0.5), Verdict::Within);
        check(&[8.0], &[8.0], Limit::TimesPeer(1.0), Some(1.0), Verdict::Within);
        check(&[9.0], &[8.0], Limit::TimesPeer(1.0), Some(1.125), Verdict::Over);
        check(&[9.0], &[8.0], Limit::Most(10.0), Some(1.125), Verdict::Within);
        check(&[9.0], &[], Limit::Most(8.0), None, Verdict::Over);
        check(&[9.0], &[], Limit::TimesPeer(1.0), None, Verdict::NotJudged);
        check(&[], &[8.0], Limit::Most(1.0), None, Verdict::NotJudged);
    }
}
