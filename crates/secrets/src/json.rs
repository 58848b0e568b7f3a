//! Members of JSON objects with secret names.

use super::{REMOVED, names::is_secret_name};

/// A text without the strings and numbers that JSON members with secret names have as their values.
pub(crate) fn without_secrets(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        let (before, quoted) = rest.split_at(at + 1);
        kept.push_str(before);
        let name = &quoted[..string_end(quoted)];
        kept.push_str(name);
        rest = &quoted[name.len()..];
        let Some(after) = rest.strip_prefix('"') else { break };
        kept.push('"');
        rest = after;
        let value = rest.trim_start().strip_prefix(':').map(str::trim_start).filter(|_| is_secret_name(name));
        let Some(value) = value else { continue };
        let gap = &rest[..rest.len() - value.len()];
        if let Some(string) = value.strip_prefix('"') {
            kept.push_str(gap);
            kept.push('"');
            kept.push_str(REMOVED);
            rest = &string[string_end(string)..];
            // Its own quote begins no other string.
            if let Some(after) = rest.strip_prefix('"') {
                kept.push('"');
                rest = after;
            }
        } else if value.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && !name.eq_ignore_ascii_case("code") {
            // A code in digits is rather what an error is numbered by.
            kept.push_str(gap);
            kept.push('"');
            kept.push_str(REMOVED);
            kept.push('"');
            rest = value.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
        }
    }
    kept + rest
}

/// How many bytes of a text, which begins behind a quote, stand before the quote that ends it.
fn string_end(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.unwrap_or(text.len())
}
