//! Times and sizes as people read them.

/// A duration with three significant digits: `21 µs`, `3.41 ms`, `1.02 s`.
pub fn duration(us: u64) -> String {
    let us_f = us as f64;
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.2} ms", us_f / 1e3),
        10_000..100_000 => format!("{:.1} ms", us_f / 1e3),
        100_000..1_000_000 => format!("{:.0} ms", us_f / 1e3),
        _ => format!("{:.2} s", us_f / 1e6),
    }
}

/// A long span of time, in the largest unit that has at least two of it.
pub fn long(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A number of bytes, exact.
pub fn bytes(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            // A thin gap that no terminal breaks at.
            grouped.push('\u{a0}');
        }
        grouped.push(digit);
    }
    format!("{grouped} {}", if count == 1 { "byte" } else { "bytes" })
}

/// `1 record`, `2 records`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Several things in one line: `a`, `a and b`, `a, b and c`.
pub fn and(things: &[String]) -> String {
    match things {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable() {
        for (us, text) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (3_412, "3.41 ms"),
            (52_000, "52.0 ms"),
            (250_400, "250 ms"),
            (1_020_000, "1.02 s"),
        ] {
            assert_eq!(duration(us), text);
        }
        assert_eq!((long(90).as_str(), long(7_199).as_str()), ("90 s", "119 minutes"));
        assert_eq!((long(172_799).as_str(), long(172_800).as_str()), ("47 hours", "2 days"));
        assert_eq!(bytes(1_234_567), "1\u{a0}234\u{a0}567 bytes");
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(and(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
