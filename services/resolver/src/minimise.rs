//! How much of a name a server is asked for (QNAME minimisation, RFC 9156). Pure.
//!
//! The servers above a zone learn no more of a name than they need for a referral. The type asked for is A, which every
//! server answers (RFC 9156 §2.1); the last question is the client's own.

use hickory_proto::{
    op::Query,
    rr::{Name, RecordType},
};

/// Questions with a part of the name, per name (RFC 9156 §2.3, MAX_MINIMISE_COUNT). Names in ip6.arpa have 34 labels.
const MAX_MINIMISED: usize = 10;
/// The first of them add one label each (MINIMISE_ONE_LAB).
const ONE_BY_ONE: usize = 4;

/// The questions for one name, from the top down.
#[derive(Debug)]
pub(crate) struct Minimise {
    /// The part of the name that has been asked for, or whose servers are known.
    known: usize,
    asked: usize,
    whole: bool,
}

impl Minimise {
    /// Begins below this zone.
    pub(crate) fn below(zone: &Name) -> Self {
        Self { known: labels(zone), asked: 0, whole: false }
    }

    /// The next question on the way to `full`.
    pub(crate) fn next(&mut self, full: &Query) -> Query {
        let total = labels(full.name());
        let left = total.saturating_sub(self.known);
        if self.whole || left <= 1 || self.asked >= MAX_MINIMISED {
            return full.clone();
        }
        let step = if self.asked < ONE_BY_ONE { 1 } else { (left / (MAX_MINIMISED - self.asked)).max(1) };
        let mut upto = self.known + step;
        // No zone begins at such a label as a rule, and servers exist that deny it (RFC 9156 §2.3).
        while upto < total && full.name().iter().nth(total - upto).is_some_and(|label| label.starts_with(b"_")) {
            upto += 1;
        }
        if upto >= total {
            return full.clone();
        }
        self.asked += 1;
        Query::query(full.name().trim_to(upto), RecordType::A)
    }

    /// The servers of this zone, or of a name in it, are known to be no others than those asked.
    pub(crate) fn reached(&mut self, name: &Name) {
        self.known = labels(name);
    }

    /// From now on the whole name is asked for.
    pub(crate) fn give_up(&mut self) {
        self.whole = true;
    }
}

/// How many labels a name has; hickory's own count leaves out an asterisk.
pub(crate) fn labels(name: &Name) -> usize {
    name.iter().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn questions(zone: &str, full: &str) -> Vec<String> {
        let full = Query::query(name(full), RecordType::TXT);
        let mut minimise = Minimise::below(&name(zone));
        let mut asked = Vec::new();
        loop {
            let next = minimise.next(&full);
            asked.push(format!("{} {}", next.name(), next.query_type()));
            if next == full || asked.len() > 50 {
                return asked;
            }
            minimise.reached(next.name());
        }
    }

    #[test]
    fn a_label_at_a_time_and_the_clients_question_last() {
        let check = |zone: &str, full: &str, expected: &[&str]| assert_eq!(questions(zone, full), expected, "{full}");
        check(".", "www.a.test.", &["test. A", "a.test. A", "www.a.test. TXT"]);
        check("a.test.", "www.a.test.", &["www.a.test. TXT"]);
        check("a.test.", "a.test.", &["a.test. TXT"]);
        check(".", ".", &[". TXT"]);
        check(".", "test.", &["test. TXT"]);
        check("a.test.", "_25._tcp.mx.a.test.", &["mx.a.test. A", "_25._tcp.mx.a.test. TXT"]);
        check("a.test.", "*.b.a.test.", &["b.a.test. A", "*.b.a.test. TXT"]);
    }

    #[test]
    fn a_reverse_name_of_ipv6_takes_at_most_ten_steps() {
        let reverse = format!("{}ip6.arpa.", "0.".repeat(32));
        let asked = questions(".", &reverse);
        assert_eq!(asked.len(), 10);
        assert_eq!(asked[..4], ["arpa. A", "ip6.arpa. A", "0.ip6.arpa. A", "0.0.ip6.arpa. A"]);
        assert_eq!(asked[9], format!("{reverse} TXT"));
    }

    #[test]
    fn the_whole_name_once_a_part_was_refused() {
        let full = Query::query(name("www.a.test."), RecordType::TXT);
        let mut minimise = Minimise::below(&Name::root());
        minimise.give_up();
        assert_eq!(minimise.next(&full), full);
    }
}
