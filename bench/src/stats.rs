//! What is said of many samples.

use serde::Serialize;

/// The samples in four numbers. The median stands for all: one slow round among several does not move it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) n: usize,
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// `None` without samples.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let half = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) };
        Some(Self { n: sorted.len(), min, median, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let check = |samples: &[f64], expected: Option<(usize, f64, f64, f64)>| {
            let seen = Summary::of(samples).map(|s| (s.n, s.min, s.median, s.max));
            assert_eq!(seen, expected, "{samples:?}");
        };
        check(&[], None);
        check(&[3.0], Some((1, 3.0, 3.0, 3.0)));
        check(&[4.0, 1.0], Some((2, 1.0, 2.5, 4.0)));
        check(&[9.0, 1.0, 2.0], Some((3, 1.0, 2.0, 9.0)));
        check(&[5.0, 1.0, 100.0, 3.0], Some((4, 1.0, 4.0, 100.0)));
    }
}
