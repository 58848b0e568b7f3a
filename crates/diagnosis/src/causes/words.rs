//! Sentences and commands.

use std::net::SocketAddr;

use super::evidence::Evidence;

/// A name without its last dot.
pub(super) fn bare(name: &str) -> &str {
    match name.trim_end_matches('.') {
        "" => ".",
        bare => bare,
    }
}

/// Whether two names are the same (RFC 4343).
pub(super) fn same(one: &str, other: &str) -> bool {
    bare(one).eq_ignore_ascii_case(bare(other))
}

/// Whether a name is at or under another.
pub(super) fn is_under(name: &str, zone: &str) -> bool {
    let (name, zone) = (bare(name).to_ascii_lowercase(), bare(zone).to_ascii_lowercase());
    zone == "." || name == zone || name.strip_suffix(&zone).is_some_and(|rest| rest.ends_with('.'))
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn and<T: AsRef<str>>(parts: &[T]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [before @ .., last] => {
            let before: Vec<&str> = before.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", before.join(", "), last.as_ref())
        }
    }
}

/// A zone, in a sentence.
pub(super) fn zone(name: &str) -> &str {
    match bare(name) {
        "." => "the root",
        name => name,
    }
}

/// A time, for the end of a sentence.
pub(super) fn ms(us: u64) -> String {
    match us {
        0..10_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
    }
}

/// A word of a command line, quoted where a shell would take it apart.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/@%+=,[]".contains(c);
    match word.chars().all(is_plain) && !word.contains('[') {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// `visit` with these options and the visited URL again, in a lab that is in the same state.
pub(super) fn visit(evidence: &Evidence<'_>, options: &str) -> String {
    let again: String = evidence.case.again.iter().map(|option| format!("{} ", quoted(option))).collect();
    format!("visit {again}{options} {}", quoted(&evidence.hop.url))
}

/// How to walk from the root by oneself, where that has not been done.
pub(super) fn walk(evidence: &Evidence<'_>, options: &str) -> Option<String> {
    evidence.case.walk.is_none().then(|| visit(evidence, options))
}

/// What to do about a resolver whose own word is in doubt.
pub(super) fn walk_or_ask_another(evidence: &Evidence<'_>) -> String {
    walk(evidence, "--walk=all").unwrap_or_else(|| "ask another resolver with --resolver ADDR".to_owned())
}

/// A server that was asked, by its host's name where it has one.
pub(super) fn at(evidence: &Evidence<'_>, server: SocketAddr) -> String {
    evidence.host_of(server.ip()).map_or_else(|| server.to_string(), |host| format!("{host} ({server})"))
}

/// How to ask a name server by oneself. The servers of a lab inside the program are nowhere when it has ended.
pub(super) fn ask(evidence: &Evidence<'_>, server: SocketAddr, name: &str) -> Option<String> {
    match evidence.case.place {
        journey::Place::Internet => {
            let port = if server.port() == 53 { String::new() } else { format!(" -p {}", server.port()) };
            Some(format!("dig @{}{port} {} +norecurse", server.ip(), quoted(bare(name))))
        }
        _ => walk(evidence, "--walk=all"),
    }
}
