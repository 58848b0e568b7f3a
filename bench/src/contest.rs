//! Several that are measured in turn, A B C A B C …, so that a slow moment of the machine meets them all.

use anyhow::Result;

use crate::{
    interrupt::Interrupted,
    progress,
    section::{Found, Limit, Row},
};

/// Something that a run tells a number of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    /// What: `CPU per query`.
    pub(crate) name: &'static str,
    /// In what.
    pub(crate) unit: &'static str,
    /// Whom a budget binds, and to what.
    pub(crate) budget: Option<(&'static str, Limit)>,
}

/// One that takes part.
#[derive(Debug)]
pub(crate) struct Contestant<T> {
    /// Its name in the table.
    pub(crate) name: String,
    /// What is measured, or why it cannot be.
    pub(crate) subject: Result<T, Found>,
}

impl<T> Contestant<T> {
    /// One that could not be started is in the table with the reason; an interruption ends all.
    pub(crate) fn new(name: &str, started: Result<T>) -> Result<Self> {
        let subject = match started {
            Ok(subject) => Ok(subject),
            Err(error) => Err(failed(error)?),
        };
        Ok(Self { name: name.to_owned(), subject })
    }

    /// One that cannot take part, and why.
    pub(crate) fn absent(name: &str, why: Found) -> Self {
        Self { name: name.to_owned(), subject: Err(why) }
    }
}

/// Runs all in turn, `rounds` times; `run` returns a value for every measure, in their order. The rows are ordered by
/// measure. A contestant that fails once is out, and its row says why.
pub(crate) fn hold<T>(
    what: &str,
    measures: &[Measure],
    contestants: &mut [Contestant<T>],
    rounds: usize,
    mut run: impl FnMut(&mut T) -> Result<Vec<f64>>,
) -> Result<Vec<Row>> {
    let mut samples = vec![vec![Vec::new(); measures.len()]; contestants.len()];
    for round in 1..=rounds {
        progress::say(&format!("{what}: round {round} of {rounds}"));
        for (contestant, samples) in contestants.iter_mut().zip(&mut samples) {
            let Ok(subject) = &mut contestant.subject else { continue };
            match run(subject) {
                Ok(values) => {
                    for (samples, value) in samples.iter_mut().zip(values) {
                        samples.push(value);
                    }
                }
                Err(error) => contestant.subject = Err(failed(error)?),
            }
        }
    }
    let mut rows = Vec::new();
    for (nth, measure) in measures.iter().enumerate() {
        for (contestant, samples) in contestants.iter().zip(&samples) {
            let found = match &contestant.subject {
                Ok(_) => Found::Measured { samples: samples[nth].clone() },
                Err(found) => found.clone(),
            };
            let limit = measure.budget.filter(|(whom, _)| *whom == contestant.name).map(|(_, limit)| limit);
            let (name, unit) = (measure.name.to_owned(), measure.unit.to_owned());
            rows.push(Row { measure: name, of: contestant.name.clone(), unit, found, limit });
        }
    }
    Ok(rows)
}

/// What went wrong as a row tells it; an interruption is no row.
pub(crate) fn failed(error: anyhow::Error) -> Result<Found> {
    if error.is::<Interrupted>() { Err(error) } else { Ok(Found::Failed { why: format!("{error:#}") }) }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    const MEASURES: [Measure; 2] = [
        Measure { name: "wall", unit: "ms", budget: Some(("a", Limit::Most(3.0))) },
        Measure { name: "size", unit: "MiB", budget: None },
    ];

    #[test]
    fn in_turn() {
        let mut order = String::new();
        let mut all = [
            Contestant::new("a", Ok(1.0)).unwrap(),
            Contestant::new("b", Ok(2.0)).unwrap(),
            Contestant::absent("c", Found::Skipped { why: "apt-get install c".into() }),
        ];
        let rows = hold("test", &MEASURES, &mut all, 3, |subject| {
            order.push_str(&subject.to_string());
            Ok(vec![*subject, *subject * 10.0])
        })
        .unwrap();
        assert_eq!(order, "121212");
        let names: Vec<_> = rows.iter().map(|row| format!("{} {}", row.measure, row.of)).collect();
        assert_eq!(names, ["wall a", "wall b", "wall c", "size a", "size b", "size c"]);
        assert_eq!(rows[4].found, Found::Measured { samples: vec![20.0; 3] });
        assert_eq!(rows[2].found, Found::Skipped { why: "apt-get install c".into() });
        assert_eq!((rows[0].limit, rows[1].limit), (Some(Limit::Most(3.0)), None));
    }

    #[test]
    fn one_that_fails_is_out_and_the_others_go_on() {
        let mut all = [Contestant::new("a", Ok(1)).unwrap(), Contestant::new("b", Ok(2)).unwrap()];
        let mut runs = 0;
        let rows = hold("test", &MEASURES, &mut all, 4, |subject| {
            runs += 1;
            if *subject == 2 {
                bail!("broken");
            }
            Ok(vec![0.5, 0.5])
        })
        .unwrap();
        assert_eq!(runs, 5);
        assert_eq!(rows[1].found, Found::Failed { why: "broken".into() });
        assert_eq!(rows[0].summary().unwrap().n, 4);
    }

    #[test]
    fn an_interruption_ends_all() {
        let mut all = [Contestant::new("a", Ok(1)).unwrap()];
        assert!(hold("test", &MEASURES, &mut all, 4, |_| Err(Interrupted.into())).is_err());
        assert!(Contestant::<u8>::new("a", Err(Interrupted.into())).is_err());
    }
}
