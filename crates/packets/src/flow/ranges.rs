//! Which numbers were seen.

/// So many pieces are told apart. More than that come from somebody who plays.
const MOST: usize = 64;

/// Numbers, as ranges from … up to but without …, in order and apart from each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(Vec<(i64, i64)>);

/// How much of a range was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    None,
    Some,
}

impl Ranges {
    /// Adds numbers.
    pub(super) fn add(&mut self, from: i64, to: i64) -> Before {
        if from >= to {
            return Before::None;
        }
        // All that touch it are one with it.
        let first = self.0.partition_point(|&(_, end)| end < from);
        let behind = self.0.partition_point(|&(begin, _)| begin <= to);
        let touched = &self.0[first..behind];
        let before = if touched.iter().any(|&(b, e)| b < to && from < e) { Before::Some } else { Before::None };
        let from = touched.first().map_or(from, |&(begin, _)| begin.min(from));
        let to = touched.last().map_or(to, |&(_, end)| end.max(to));
        self.0.splice(first..behind, [(from, to)]);
        if self.0.len() > MOST {
            // The oldest hole is forgotten.
            let (_, end) = self.0.remove(1);
            self.0[0].1 = end;
        }
        before
    }

    /// All numbers up to there are known to be there.
    pub(super) fn fill_to(&mut self, to: i64) {
        let from = self.0.first().map_or(to - 1, |&(begin, _)| begin.min(to));
        self.add(from, to);
    }

    /// The first number that is missing, behind the first that is there.
    pub(super) fn next(&self) -> Option<i64> {
        self.0.first().map(|&(_, end)| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let check = |adds: &[(i64, i64)], last: Before, expected: &[(i64, i64)]| {
            let mut ranges = Ranges::default();
            let before = adds.iter().map(|&(from, to)| ranges.add(from, to)).last();
            assert_eq!((ranges.0.as_slice(), before), (expected, Some(last)), "{adds:?}");
        };
        check(&[(0, 1)], Before::None, &[(0, 1)]);
        check(&[(0, 1), (1, 5)], Before::None, &[(0, 5)]);
        check(&[(0, 1), (3, 5)], Before::None, &[(0, 1), (3, 5)]);
        check(&[(0, 1), (3, 5), (1, 3)], Before::None, &[(0, 5)]);
        check(&[(0, 5), (4, 6)], Before::Some, &[(0, 6)]);
        check(&[(0, 5), (1, 2)], Before::Some, &[(0, 5)]);
        check(&[(3, 5), (7, 9), (0, 20)], Before::Some, &[(0, 20)]);
        check(&[(3, 3)], Before::None, &[]);
        check(&[(5, 6), (1, 2)], Before::None, &[(1, 2), (5, 6)]);
    }

    #[test]
    fn bounded() {
        let mut ranges = Ranges::default();
        for at in 0..10_000 {
            ranges.add(at * 3, at * 3 + 1);
        }
        assert_eq!((ranges.0.len(), ranges.0.last()), (MOST, Some(&(29_997, 29_998))));
        ranges.fill_to(29_997);
        assert_eq!(ranges.0, [(0, 29_998)]);
    }
}
