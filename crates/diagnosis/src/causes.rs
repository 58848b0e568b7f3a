//! What was at fault on a visit, concluded by rules that can be read one by one. Pure: the same evidence gives the same
//! causes, whoever asks, and as often as one likes.
//!
//! No rule knows which faults were set in a lab: neither `Journey::faults` nor the network's are part of the [`Facts`] that are
//! looked at, and of what became of a frame only where it was seen next is.
//!
//! | module | what |
//! |---|---|
//! | `evidence` | everything that is known, once, in the form that rules ask for |
//! | `own` | what this machine's questions to its resolver met |
//! | `families` | an answer for one family of addresses, and none or a late one for the other |
//! | `servers` | what the resolver's questions to others met |
//! | `slow` | whose work finding the name waited for |
//! | `answers` | who says that there is no such name, and who contradicts whom |
//! | `connection` | the way to the server |
//! | `http` | what the server did with the request |
//! | `network` | which frames got lost or came twice |
//! | `late` | which frames were held up |
//! | `busy` | what this machine was too busy to tell |
//! | `limits` | this machine, its user, and their limits |
//! | `traffic` | frames as far as rules need them |
//! | `words` | sentences and commands |

mod aliases;
mod answers;
mod busy;
mod connection;
mod evidence;
mod families;
mod http;
mod late;
mod limits;
mod network;
mod own;
mod servers;
mod slow;
mod table;
#[cfg(test)]
mod tests;
mod traffic;
mod words;

use journey::{Cause, Reason, Trouble};

use crate::verdict::Facts;

use evidence::Evidence;
pub use table::RULES;

/// More causes than these are not told; they would say the same again.
const MOST: usize = 24;

/// A rule: which trouble it finds, and by what.
#[derive(Debug)]
pub struct Rule {
    /// What it finds.
    pub trouble: Trouble,
    /// What it looks at, and when it applies.
    pub when: &'static str,
    /// Whether it is asked only where no rule before it has found what the visit failed by.
    pub otherwise: bool,
    find: fn(&Evidence<'_>, Trouble) -> Vec<Cause>,
}

/// Why the authorities should be asked after the visit, where they should: the lab's resolver answered from its cache or by
/// itself, and what it said is what the visit failed by, or went to an address at which it failed. None on the internet,
/// where nobody is asked without being told to.
pub fn doubt(case: &Facts<'_>) -> Option<String> {
    let evidence = Evidence::of(case).filter(|_| case.place.is_lab() && case.walk.is_none())?;
    answers::doubt(&evidence)
}

/// Everything that was at fault: first what the visit failed by, the nearest to the root of the matter in front; then what
/// went wrong besides.
pub fn causes(case: &Facts<'_>) -> Vec<Cause> {
    let Some(evidence) = Evidence::of(case) else { return Vec::new() };
    let mut found: Vec<Cause> = Vec::new();
    for rule in RULES {
        if rule.otherwise && found.iter().any(|cause| cause.broke) {
            continue;
        }
        for cause in (rule.find)(&evidence, rule.trouble) {
            let is_known = |other: &Cause| (other.trouble, &other.host) == (cause.trouble, &cause.host);
            if !found.iter().any(is_known) {
                found.push(cause);
            }
        }
    }
    let mut found = busy::told(&evidence, found);
    // Whoever was stopped did not fail: what was under way might have gone well.
    if evidence.failed.is_some_and(|failed| failed.reason == Reason::Interrupted) {
        found.iter_mut().for_each(|cause| cause.broke = cause.trouble == Trouble::Interrupted);
    }
    // Stable: among those that broke it, the table's order stands.
    found.sort_by_key(|cause| !cause.broke);
    found.truncate(MOST);
    found
}
