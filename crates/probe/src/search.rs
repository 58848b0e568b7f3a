//! Which names a search list makes of one, and when the next of them is asked for: as `res_nsearch` of glibc does. Pure.

use hickory_proto::rr::Name;

/// How names are searched for.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The domains that a name may be in, in order; an empty one or `.` is the root.
    pub domains: Vec<Vec<u8>>,
    /// A name with so many dots is asked for as it is first.
    pub ndots: usize,
    /// Whether a name without dots is asked for as it is when no domain has it.
    pub tld_query: bool,
}

/// A name to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The name; else what is wrong with it.
    pub name: Result<Name, String>,
    /// Why it is one.
    pub kind: Kind,
}

/// Why a name is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As it is, before any domain.
    First,
    /// In a domain.
    Domain,
    /// As it is: the root is one of the domains.
    Root,
    /// As it is, because no domain has it.
    Last,
}

/// What came of asking for a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// It exists and has no address.
    NoData,
    /// It does not exist.
    NoSuchName,
    /// SERVFAIL.
    ServerFailure,
    /// No server's machine took the question.
    NobodyThere,
    /// Silence, REFUSED, or another failure.
    Other,
}

/// A search under way.
#[derive(Clone, Debug)]
pub struct Search {
    candidates: std::vec::IntoIter<Candidate>,
    domains_are_over: bool,
    has_asked_as_is: bool,
    is_over: bool,
}

impl Plan {
    /// The names to ask for, in order.
    pub fn search(&self, name: &str) -> Search {
        let as_is = |kind| Candidate { name: joined(name.as_bytes(), b""), kind };
        let mut candidates = Vec::new();
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let is_absolute = name.ends_with('.');
        if is_absolute || dots >= self.ndots {
            candidates.push(as_is(Kind::First));
        }
        if !is_absolute {
            candidates.extend(self.domains.iter().map(|domain| match domain.strip_prefix(b".").unwrap_or(domain) {
                b"" => as_is(Kind::Root),
                domain => Candidate { name: joined(name.as_bytes(), domain), kind: Kind::Domain },
            }));
            if dots > 0 || self.domains.is_empty() || self.tld_query {
                candidates.push(as_is(Kind::Last));
            }
        }
        let candidates = candidates.into_iter();
        Search { candidates, domains_are_over: false, has_asked_as_is: false, is_over: false }
    }
}

impl Search {
    /// The next name to ask for.
    pub fn next_name(&mut self) -> Option<Candidate> {
        while !self.is_over {
            let candidate = self.candidates.next()?;
            let is_wanted = match candidate.kind {
                Kind::First => true,
                Kind::Domain | Kind::Root => !self.domains_are_over,
                Kind::Last => !self.has_asked_as_is,
            };
            if is_wanted {
                self.has_asked_as_is |= candidate.kind != Kind::Domain;
                return Some(candidate);
            }
        }
        None
    }

    /// What came of the last one: a domain whose servers fail otherwise than by SERVFAIL ends the list of domains.
    pub fn met(&mut self, kind: Kind, met: Met) {
        if matches!(kind, Kind::Domain | Kind::Root) {
            self.is_over = met == Met::NobodyThere;
            self.domains_are_over = met == Met::Other;
        }
    }
}

/// Which of the results tells what became of the search: that of the name as it is where it went first, else that a name
/// has no address, else SERVFAIL, else the last.
pub fn telling(results: &[(Kind, Met)]) -> Option<usize> {
    let (last, met) = (results.len().checked_sub(1)?, |wanted| results.iter().position(|(_, met)| *met == wanted));
    match results {
        [.., (Kind::Domain | Kind::Root, Met::NobodyThere)] => Some(last),
        [(Kind::First, _), ..] => Some(0),
        _ => Some(met(Met::NoData).or_else(|| met(Met::ServerFailure)).unwrap_or(last)),
    }
}

/// The name in the domain, byte for byte: a search list may contain anything.
fn joined(name: &[u8], domain: &[u8]) -> Result<Name, String> {
    let domain = domain.strip_suffix(b".").unwrap_or(domain);
    let name = name.strip_suffix(b".").unwrap_or(name);
    let labels = [name, domain].into_iter().filter(|part| !part.is_empty()).flat_map(|part| part.split(|b| *b == b'.'));
    let labels: Vec<&[u8]> = labels.collect();
    let shown = || labels.iter().map(|label| String::from_utf8_lossy(label)).collect::<Vec<_>>().join(".");
    if labels.iter().any(|label| label.is_empty()) {
        return Err(format!("{:?} cannot be asked for: it has an empty label", shown()));
    }
    Name::from_labels(labels.iter().copied()).map_err(|error| format!("{:?} cannot be asked for: {error}", shown()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(domains: &[&str], ndots: usize) -> Plan {
        let domains = domains.iter().map(|domain| domain.as_bytes().to_vec()).collect();
        Plan { domains, ndots, tld_query: true }
    }

    /// The names asked for where each of them meets what `met` says.
    fn asked(plan: &Plan, name: &str, met: impl Fn(&str) -> Met) -> (Vec<String>, Option<Met>) {
        let mut search = plan.search(name);
        let (mut names, mut results) = (Vec::new(), Vec::new());
        while let Some(candidate) = search.next_name() {
            let (name, met) = match candidate.name {
                Ok(name) => (name.to_ascii(), met(&name.to_ascii())),
                Err(_) => ("?".to_owned(), Met::Other),
            };
            search.met(candidate.kind, met);
            names.push(name);
            results.push((candidate.kind, met));
        }
        let end = telling(&results).map(|nth| results[nth].1);
        (names, end)
    }

    #[test]
    fn names_that_a_search_list_makes() {
        let check = |domains: &[&str], ndots: usize, name: &str, expected: &[&str]| {
            let (names, _) = asked(&plan(domains, ndots), name, |_| Met::NoSuchName);
            assert_eq!(names, expected, "{domains:?} {ndots} {name}");
        };
        check(&["lan", "corp.test"], 1, "web", &["web.lan.", "web.corp.test.", "web."]);
        check(&["lan"], 1, "www.web", &["www.web.", "www.web.lan."]);
        check(&["lan"], 2, "www.web", &["www.web.lan.", "www.web."]);
        check(&["lan"], 0, "web", &["web.", "web.lan."]);
        check(&["lan"], 1, "web.", &["web."]);
        check(&[], 1, "web", &["web."]);
        // The root on the list is the name as it is, once.
        check(&[".", "lan"], 1, "web", &["web.", "web.lan."]);
        check(&["", "lan"], 1, "web", &["web.", "web.lan."]);
        check(&[".lan", "b."], 1, "web", &["web.lan.", "web.b.", "web."]);
        // What cannot be a name ends the list of domains.
        check(&["..lan", "lan"], 1, "web", &["?", "web."]);
        check(&[&"x".repeat(64), "lan"], 1, "web", &["?", "web."]);
        // hickory writes the byte in octal.
        check(&["lan\r"], 1, "web", &["web.lan\\015.", "web."]);
        let no_tld = Plan { tld_query: false, ..plan(&["lan"], 1) };
        assert_eq!(asked(&no_tld, "web", |_| Met::NoSuchName).0, ["web.lan."]);
        let no_tld = Plan { tld_query: false, ..plan(&[], 1) };
        assert_eq!(asked(&no_tld, "web", |_| Met::NoSuchName).0, ["web."]);
    }

    #[test]
    fn what_ends_a_search_and_what_it_tells() {
        let check = |name: &str, lan: Met, as_is: Met, expected: &[&str], end: Met| {
            let met = |asked: &str| match asked {
                _ if asked.ends_with("lan.") => lan,
                _ if asked.ends_with("corp.") => NoSuchName,
                _ => as_is,
            };
            assert_eq!(
                asked(&plan(&["lan", "corp"], 1), name, met),
                (expected.iter().map(|name| (*name).to_owned()).collect(), Some(end)),
                "{name} {lan:?} {as_is:?}"
            );
        };
        use Met::*;
        check("web", NoData, NoSuchName, &["web.lan.", "web.corp.", "web."], NoData);
        check("web", ServerFailure, NoSuchName, &["web.lan.", "web.corp.", "web."], ServerFailure);
        check("web", Other, NoSuchName, &["web.lan.", "web."], NoSuchName);
        check("web", NobodyThere, NoSuchName, &["web.lan."], NobodyThere);
        check("a.b", NoSuchName, ServerFailure, &["a.b.", "a.b.lan.", "a.b.corp."], ServerFailure);
        check("a.b", NoData, NoSuchName, &["a.b.", "a.b.lan.", "a.b.corp."], NoSuchName);
        check("a.b", NoSuchName, NobodyThere, &["a.b.", "a.b.lan.", "a.b.corp."], NobodyThere);
    }
}
