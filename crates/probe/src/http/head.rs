//! What the head of a response says.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::{
    HeaderMap, Request, Response, Version,
    header::{CONNECTION, HeaderName, HeaderValue},
};
use journey::stage::{Framing, Header, Interim, ServerTiming};
use secrets::Secrets;

use super::super::{clock::Clock, visitable};

/// Most answers before the final one that are kept.
pub(super) const MOST_INTERIM: usize = 16;

/// Fields as they are shown and kept.
pub(super) fn fields(secrets: Secrets, map: &HeaderMap) -> Vec<Header> {
    let one = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = secrets.field(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
        Header { name: name.as_str().to_owned(), value }
    };
    map.iter().map(one).collect()
}

/// Where a response points: the first `Location` that is not empty, as curl and browsers take it.
pub(super) fn location<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let mut values = values.map(<[u8]>::trim_ascii);
    values.find(|value| !value.is_empty()).map(visitable::of_field)
}

/// The version as its RFC has it.
pub(super) fn version(version: Version) -> String {
    match version {
        Version::HTTP_2 => "HTTP/2".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Answers before the final one, as they come.
#[derive(Clone, Debug, Default)]
pub(super) struct Informational(Arc<Mutex<Vec<Interim>>>);

impl Informational {
    /// Listens for them.
    pub(super) fn listen<B>(request: &mut Request<B>, clock: Clock, secrets: Secrets) -> Self {
        let heard = Self::default();
        let list = Arc::clone(&heard.0);
        hyper::ext::on_informational(request, move |response| {
            let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
            if list.len() < MOST_INTERIM {
                let headers = fields(secrets, response.headers());
                list.push(Interim { status: response.status().as_u16(), at_us: clock.us(), headers });
            }
        });
        heard
    }

    pub(super) fn heard(&self) -> Vec<Interim> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The phrase as it was sent; the library keeps it only where it differs from that of the code's definition, and nothing of
/// one that is not ASCII.
pub(super) fn reason_phrase<B>(response: &Response<B>) -> Option<String> {
    let sent = response.extensions().get::<hyper::ext::ReasonPhrase>();
    match sent {
        // RFC 9113 §8.3.2: there is none on the wire.
        _ if response.version() == Version::HTTP_2 => None,
        // None was sent, or one that the library does not tell.
        Some(phrase) if phrase.as_bytes().is_empty() => None,
        Some(phrase) => Some(String::from_utf8_lossy(phrase.as_bytes()).into_owned()),
        None => response.status().canonical_reason().map(str::to_owned),
    }
}

pub(super) fn keeps_alive<B>(response: &Response<B>) -> bool {
    let says = |word: &str| {
        let values = response.headers().get_all(CONNECTION).into_iter();
        values
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|option| option.trim().eq_ignore_ascii_case(word)))
    };
    // RFC 9112 §9.3. A connection of HTTP/2 stays until one side says GOAWAY.
    if response.version() == Version::HTTP_2 {
        return true;
    }
    if says("close") { false } else { response.version() == Version::HTTP_11 || says("keep-alive") }
}

/// How the content of a response that a library has read is framed, and its transfer codings.
pub(super) fn framing<B>(asked: http1::Asked, response: &Response<B>) -> (Option<Framing>, Vec<String>) {
    let version = match response.version() {
        Version::HTTP_2 => return (Some(Framing::EndStream), Vec::new()),
        Version::HTTP_10 => (1, 0),
        _ => (1, 1),
    };
    let field = |(name, value): (&HeaderName, &HeaderValue)| http1::Field {
        name: name.as_str().to_owned(),
        value: value.as_bytes().to_vec(),
    };
    let fields: Vec<http1::Field> = response.headers().iter().map(field).collect();
    let framing = http1::framing(asked, version, response.status().as_u16(), &fields, &mut Vec::new());
    match framing {
        Ok(framing) => (Some(super::one::told(framing.end)), framing.codings),
        Err(_) => (None, Vec::new()),
    }
}

/// The values of the fields of that name.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).into_iter().map(HeaderValue::as_bytes)
}

/// `Server-Timing` (W3C): metrics separated by commas, parameters by semicolons; the first of a repeated parameter counts.
pub(super) fn server_timing<'a>(secrets: Secrets, values: impl Iterator<Item = &'a [u8]>) -> Vec<ServerTiming> {
    let values = values.filter_map(|value| std::str::from_utf8(value).ok());
    let metric = move |text: &str| {
        let mut parts = outside_quotes(text, ';').into_iter().map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let mut timing = ServerTiming { name, duration_us: None, description: None };
        for part in parts {
            let Some((key, value)) = part.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            if key.trim().eq_ignore_ascii_case("dur") && timing.duration_us.is_none() {
                timing.duration_us = milliseconds(value);
            } else if key.trim().eq_ignore_ascii_case("desc") && timing.description.is_none() {
                timing.description = Some(secrets.text(value));
            }
        }
        Some(timing)
    };
    values.flat_map(|value| outside_quotes(value, ',').into_iter().filter_map(metric).collect::<Vec<_>>()).collect()
}

/// The parts of a text between separators that do not stand inside a quoted string (RFC 9110 §5.6.4).
fn outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let here = c == separator && !quoted;
        match c {
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\' && quoted && !escaped;
        here
    })
    .collect()
}

fn milliseconds(text: &str) -> Option<u64> {
    let ms: f64 = text.parse().ok()?;
    // Outside this range it is no duration of an answer that anybody waited for.
    (0.0..1e9).contains(&ms).then(|| (ms * 1_000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let check = |values: &[&[u8]], expected: Option<&str>| {
            assert_eq!(location(values.iter().copied()).as_deref(), expected);
        };
        check(&[], None);
        check(&[b""], None);
        check(&[b" \t"], None);
        check(&[b"", b"/a", b"/b"], Some("/a"));
        check(&[b" /jos\xe9 "], Some("/jos%E9"));
    }

    #[test]
    fn server_timings() {
        let check = |value: &str, expected: &[(&str, Option<u64>, Option<&str>)]| {
            let seen = server_timing(Secrets::Removed, [value.as_bytes()].into_iter());
            let seen: Vec<_> =
                seen.iter().map(|t| (t.name.as_str(), t.duration_us, t.description.as_deref())).collect();
            assert_eq!(seen, expected, "{value}");
        };
        check(
            "db;dur=53.2;dur=1, cache;desc=\"a, b; c\"",
            &[("db", Some(53_200), None), ("cache", None, Some("a, b; c"))],
        );
        check("miss, , x;unknown=1;dur=abc", &[("miss", None, None), ("x", None, None)]);
    }
}
