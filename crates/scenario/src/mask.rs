//! Text without what differs from one run to the next, so that two runs write the same report.

use std::net::IpAddr;

/// What stands in its place.
const MASK: &str = "…";

/// Without measured times, days, counts that the network's timing decides, numbers drawn by chance, ports of the kernel's
/// choice, and which of a host's addresses was taken.
pub fn masked(text: &str) -> String {
    let text = without_addresses(text);
    let mut masked = String::new();
    let mut rest = text.as_str();
    while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(begin);
        masked.push_str(before);
        if let Some(behind) = day(from) {
            masked.push_str(MASK);
            rest = behind;
            continue;
        }
        let end = from.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(from.len());
        let (mut number, mut behind) = from.split_at(end);
        // A full stop ends a sentence.
        if let Some(shorter) = number.strip_suffix('.') {
            (number, behind) = (shorter, &from[shorter.len()..]);
        }
        let varies = is_time(number, behind) || is_port(number, &masked) || is_id(&masked) || is_share(&masked, behind);
        if varies {
            masked.push_str(MASK);
        } else if let Some(more) = frames(behind) {
            // One of them or more: the noun tells how many there were.
            masked.push_str("… frames");
            behind = more;
        } else {
            masked.push_str(number);
        }
        rest = behind;
    }
    masked + rest
}

/// Without the address behind a host's name: `root (10.78.2.10)`. Where it has two, chance takes one.
fn without_addresses(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(begin) = rest.find(" (") {
        let inside = &rest[begin + 2..];
        match inside.split_once(')') {
            Some((address, behind)) if address.parse::<IpAddr>().is_ok() => {
                kept.push_str(&rest[..begin]);
                rest = behind;
            }
            _ => {
                kept.push_str(&rest[..begin + 2]);
                rest = inside;
            }
        }
    }
    kept + rest
}

/// What is behind a day that is written as 2026-11-25.
fn day(text: &str) -> Option<&str> {
    let (day, behind) = text.split_at_checked(10)?;
    let is_one = day.bytes().enumerate().all(|(nth, byte)| match nth {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    is_one.then_some(behind)
}

/// Whole seconds are limits that somebody set; what was measured has a fraction, or is shorter.
fn is_time(number: &str, behind: &str) -> bool {
    let behind = behind.trim_start_matches([' ', '\u{a0}']);
    let unit =
        |unit: &str| behind.strip_prefix(unit).is_some_and(|more| !more.starts_with(|c: char| c.is_alphanumeric()));
    unit("ms") || unit("µs") || unit("us") || (unit("s") && number.contains('.'))
}

fn is_port(number: &str, before: &str) -> bool {
    let after_loopback = before.ends_with("127.0.0.1:") || before.ends_with("[::1]:");
    after_loopback && number.parse::<u16>().is_ok()
}

/// A message id.
fn is_id(before: &str) -> bool {
    before.ends_with(" id ")
}

/// Sizes of a page: it says who visits from which port, and ports are longer and shorter.
fn is_share(before: &str, behind: &str) -> bool {
    let of_all = |more: &str| more.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(" bytes");
    behind.strip_prefix(" of ").is_some_and(of_all)
        || (before.ends_with("… of ") && behind.starts_with(" bytes"))
        || behind.starts_with(" bytes in ")
}

/// What is behind the noun, where frames were counted: how often a host asks before it gives up is a matter of time.
fn frames(behind: &str) -> Option<&str> {
    let more = behind.strip_prefix(" frames").or_else(|| behind.strip_prefix(" frame"))?;
    more.starts_with(' ').then_some(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_masked() {
        let check = |text: &str, expected: &str| assert_eq!(masked(text), expected);
        check("answered after 3.41 ms. Then 12 µs", "answered after … ms. Then … µs");
        check("no answer within 10 s from 10.78.2.31:53", "no answer within 10 s from 10.78.2.31:53");
        check("it took 1.02 s at 127.0.0.1:40123.", "it took … s at 127.0.0.1:….");
        check("root (10.78.2.10) and root (fd10:78:1ab::2:10) (SYN)", "root and root (SYN)");
        check("its id 53482 is of no query", "its id … is of no query");
        check("valid from 2026-08-26 to 2026-11-24.", "valid from … to ….");
        check("after 1913 of 3826 bytes of content", "after … of … bytes of content");
        check("3826 bytes in 3004 ms", "… bytes in … ms");
        check("4 frames got lost, 1 frame to or from app1", "… frames got lost, … frames to or from app1");
        check("", "");
    }

    #[test]
    fn what_was_set_stays() {
        for text in ["HTTP/1.1 503, 2 servers", "the limit of 200000 bytes", "after 200 bytes of the head", "1 of 2"] {
            assert_eq!(masked(text), text);
        }
    }
}
