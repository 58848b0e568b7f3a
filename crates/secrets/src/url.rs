//! User information and parameters of URLs, wherever a URL stands in a text.

use std::borrow::Cow;

use super::{REMOVED, json, names::is_secret_name, schemes};

/// How often a URL may be inside a parameter of another before it is not looked at any more.
const DEEPEST: usize = 8;
/// Schemes behind which a browser sees an authority even without slashes (WHATWG URL, special schemes).
const SPECIAL: [&str; 5] = ["http", "https", "ftp", "ws", "wss"];

/// A text without the user information of the URLs in it; what stands before the last `@` of an authority goes.
pub fn without_userinfo(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = authority(rest) {
        let (before, mut authority) = rest.split_at(at);
        kept.push_str(before);
        rest = loop {
            let end = authority.find(|c: char| is_end(c) || is_slash(c) || matches!(c, '?' | '#'));
            let host = &authority[..end.unwrap_or(authority.len())];
            let Some(userinfo) = host.rfind('@') else {
                // A scheme at its end has an authority of its own: `//a,http:/me:pw@b`.
                let scheme = host.strip_suffix(':').map_or(host.len(), last_word);
                kept.push_str(&host[..scheme]);
                break &authority[scheme..];
            };
            let left = &authority[userinfo + 1..];
            let next = left.trim_start_matches(is_slash);
            if next.len() == left.len() {
                break left;
            }
            // There was no host: in what is kept these slashes follow the others, and an authority follows them.
            kept.push_str(&left[..left.len() - next.len()]);
            authority = next;
        };
    }
    kept + rest
}

fn is_slash(c: char) -> bool {
    matches!(c, '/' | '\\')
}

/// Where the next authority begins: behind two slashes, or behind a scheme's colon and any slashes.
fn authority(text: &str) -> Option<usize> {
    let slashes = |from: usize| text.len() - text[from..].trim_start_matches(is_slash).len();
    let bytes = text.as_bytes();
    (0..bytes.len()).find_map(|at| match bytes[at] {
        b'/' | b'\\' if text[at + 1..].starts_with(is_slash) => Some(slashes(at)),
        b':' => {
            let start = last_word(&text[..at]);
            let is_special = SPECIAL.iter().any(|scheme| text[start..at].eq_ignore_ascii_case(scheme));
            is_special.then(|| slashes(at + 1))
        }
        _ => None,
    })
}

/// Where the letters and digits begin that a text ends with.
fn last_word(text: &str) -> usize {
    text.trim_end_matches(|c: char| c.is_ascii_alphanumeric()).len()
}

/// What a URL in a text cannot have.
fn is_end(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '<' | '>')
}

/// The values of the secret parameters of a path with its query.
pub fn of_target(target: &str) -> Vec<String> {
    let mut found = Vec::new();
    scan(target, false, DEEPEST, &mut found);
    found
}

/// A text in which the values of secret parameters are removed: of queries, of fragments, and of paths behind `;`.
pub(crate) fn without_parameters(text: &str) -> Cow<'_, str> {
    if text.contains(['?', '#', ';']) {
        Cow::Owned(scan(text, false, DEEPEST, &mut Vec::new()))
    } else {
        Cow::Borrowed(text)
    }
}

/// The body of a form without the values of its secret parameters.
pub(crate) fn without_form_secrets(line: &str) -> Cow<'_, str> {
    if line.contains(['?', ' ', '"']) || !line.contains('=') {
        return Cow::Borrowed(line);
    }
    Cow::Owned(scan(line, true, DEEPEST, &mut Vec::new()))
}

/// Goes from parameter to parameter; `in_query` where the text begins with one.
fn scan(text: &str, mut in_query: bool, deep: usize, found: &mut Vec<String>) -> String {
    let is_oauth = is_oauth(text);
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    // What begins here is a parameter if it has a name.
    let mut begins = in_query;
    loop {
        if begins {
            let end = end(rest, in_query);
            let (parameter, after) = rest.split_at(end);
            kept.push_str(&without_value(parameter, is_oauth, deep, found));
            rest = after;
        }
        let Some(at) = rest.find(['?', '&', ';', '#']) else { break };
        in_query |= matches!(rest.as_bytes()[at], b'?' | b'#');
        begins = in_query || rest.as_bytes()[at] == b';';
        let (before, after) = rest.split_at(at + 1);
        if before.contains(char::is_whitespace) && !before.ends_with(['?', '#', ';']) {
            // The URL has ended; this `&` is another text's.
            (in_query, begins) = (false, false);
        }
        kept.push_str(before);
        rest = after;
    }
    kept + rest
}

/// How long the parameter is that a text begins with. Commas and semicolons may belong to a value; behind one that ends a URL
/// in a list there is a space, and behind one that ends a parameter there is another.
fn end(text: &str, in_query: bool) -> usize {
    let mut is_value = false;
    for (at, c) in text.char_indices() {
        is_value |= c == '=';
        let rest = &text[at + c.len_utf8()..];
        let is_last = || rest.chars().next().is_none_or(char::is_whitespace);
        let is_over = match c {
            '&' | '#' => true,
            '?' => !is_value || !in_query,
            ',' => is_last(),
            ';' => is_last() || has_name(rest),
            '/' => !in_query,
            // The quote ends a string inside a string of JSON (RFC 8259 §7).
            '\\' => rest.starts_with('"'),
            c => is_end(c),
        };
        if is_over {
            return at;
        }
    }
    text.len()
}

fn has_name(text: &str) -> bool {
    let name =
        text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '%'))).unwrap_or(text.len());
    name > 0 && text[name..].starts_with('=')
}

/// A parameter without its value, if it is secret, or without what is secret inside of it.
fn without_value<'a>(parameter: &'a str, is_oauth: bool, deep: usize, found: &mut Vec<String>) -> Cow<'a, str> {
    let Some((name, value)) = parameter.split_once('=') else { return nested(parameter, deep, found) };
    let decoded = decode(name);
    let is_secret = is_secret_name(&decoded) || (is_oauth && decoded.eq_ignore_ascii_case("state"));
    if is_secret {
        found.push(value.to_owned());
        return Cow::Owned(format!("{name}={REMOVED}"));
    }
    match nested(value, deep, found) {
        Cow::Owned(cleaned) => Cow::Owned(format!("{name}={cleaned}")),
        Cow::Borrowed(_) => Cow::Borrowed(parameter),
    }
}

/// What is percent-encoded in a value may be a URL, a form or JSON with secrets of its own.
fn nested<'a>(value: &'a str, deep: usize, found: &mut Vec<String>) -> Cow<'a, str> {
    let decoded = decode(value);
    if deep == 0 || (decoded == value && !value.contains(['?', '='])) {
        return Cow::Borrowed(value);
    }
    let mut inner = Vec::new();
    let cleaned = scan(&without_userinfo(&json::without_secrets(&decoded)), true, deep - 1, &mut inner);
    let cleaned = schemes::without_credentials(&cleaned);
    if cleaned == decoded {
        return Cow::Borrowed(value);
    }
    found.append(&mut inner);
    found.push(value.to_owned());
    if decoded == value { Cow::Owned(cleaned) } else { Cow::Owned(encode(&cleaned)) }
}

/// Whether a text has parameters of OAuth: beside them `state` ties an answer to a session (RFC 6749 §10.12).
fn is_oauth(text: &str) -> bool {
    const BESIDE: [&str; 6] = ["client_id=", "code=", "session_state=", "id_token=", "access_token=", "error="];
    let text = text.to_ascii_lowercase();
    BESIDE.iter().any(|name| text.contains(name))
}

/// The text behind percent signs, and behind `+`, which stands for a space in forms.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        rest = after;
        bytes.push(match (first, after) {
            (b'%', [high, low, ..]) if let (Some(high), Some(low)) = (hex(*high), hex(*low)) => {
                rest = &after[2..];
                high << 4 | low
            }
            (b'+', _) => b' ',
            (byte, _) => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Percent-encoded, but for what any part of a URL may have, and for the brackets of [`REMOVED`].
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'(' | b')') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use crate::Secrets;

    fn check(text: &str, expected: &str) {
        assert_eq!(Secrets::Removed.text(text), expected);
        assert_eq!(Secrets::Shown.text(text), text);
    }

    #[test]
    fn parameters_of_queries() {
        check("/a?X-Amz-Signature=ab%20c&x=1", "/a?X-Amz-Signature=(removed)&x=1");
        check("/a?monkey=1&key=2#frag", "/a?monkey=1&key=(removed)#frag");
        check("/a?q=token&page=2", "/a?q=token&page=2");
        check("/a?token", "/a?token");
        check("/a?TOKEN=", "/a?TOKEN=(removed)");
        check("/a?token=b,c;d&e=1", "/a?token=(removed)&e=1");
        check("/a?token=b;page=1", "/a?token=(removed);page=1");
        check("/a?access%5Ftoken=b&%74oken=c", "/a?access%5Ftoken=(removed)&%74oken=(removed)");
        check("/a?state=open", "/a?state=open");
        check("/a?code=b&state=c", "/a?code=(removed)&state=(removed)");
        check("/a?SAMLResponse=b&RelayState=c", "/a?SAMLResponse=(removed)&RelayState=(removed)");
        check("is it? yes & token=1", "is it? yes & token=1");
    }

    #[test]
    fn parameters_of_fragments_and_paths() {
        check("/cb#access_token=a&id_token=b", "/cb#access_token=(removed)&id_token=(removed)");
        check("/#/cb?token=a", "/#/cb?token=(removed)");
        check("/a;jsessionid=b/c?d=1", "/a;jsessionid=(removed)/c?d=1");
        check("/a;JSESSIONID=b;v=1", "/a;JSESSIONID=(removed);v=1");
        check("/a;v=1", "/a;v=1");
        check("text/html; charset=utf-8", "text/html; charset=utf-8");
    }

    #[test]
    fn urls_inside_parameters() {
        check(
            "/login?next=https%3A%2F%2Fh%2Fcb%3Faccess_token%3Da%26x%3D1",
            "/login?next=https%3A%2F%2Fh%2Fcb%3Faccess_token%3D(removed)%26x%3D1",
        );
        check("/login?next=https://h/cb?access_token=a&x=1", "/login?next=https://h/cb?access_token=(removed)&x=1");
        check(
            "/login?next=https://h/cb%3Faccess_token=a",
            "/login?next=https%3A%2F%2Fh%2Fcb%3Faccess_token%3D(removed)",
        );
        check(
            "/login?next=%2Fcb%3Fnext%3D%252Fcb%253Ftoken%253Da",
            "/login?next=%2Fcb%3Fnext%3D%252Fcb%253Ftoken%253D(removed)",
        );
        check("/login?next=http%3A%2F%2Fme%3Apw%40h%2F", "/login?next=http%3A%2F%2Fh%2F");
        check("/a?q=%7B%22token%22%3A%22b%22%7D", "/a?q=%7B%22token%22%3A%22(removed)%22%7D");
        check(
            "/a?q=%7B%22u%22%3A%22%5C%22%3Fkey%3Da%5C%22%22%2C%22pin%22%3A%22b%22%7D",
            "/a?q=%7B%22u%22%3A%22%5C%22%3Fkey%3D(removed)%5C%22%22%2C%22pin%22%3A%22(removed)%22%7D",
        );
        check("/a?q=%E9%3D1&r=a+b", "/a?q=%E9%3D1&r=a+b");
        check("/token/a?x=1", "/token/a?x=1");
    }

    #[test]
    fn user_information() {
        for text in [
            "http://me:pw@h/",
            "//me:pw@h/",
            "http:\\\\me:pw@h/",
            "http:/me:pw@h/",
            "HTTP:me:pw@h/",
            "(http://me:p,w;@h/)",
        ] {
            let seen = Secrets::Removed.text(text);
            assert!(!seen.contains("me:p") && seen.contains("h/"), "{text}: {seen}");
        }
        check("http://me:pw@/me:pw@/a", "http:////a");
        check("//a,http:/me:pw@b //http:/me:pw@b", "//a,http:/b //http:/b");
        check("mailto:me@h", "mailto:me@h");
        check("a: b@c //d/e@f", "a: b@c //d/e@f");
        check("http: b@c", "http: b@c");
    }

    #[test]
    fn long_texts_take_linear_time() {
        for piece in ["&", ";a", "?a=", "://", "http:", "%25", "?a=%3F", "a@", "\\\"", "Bearer ", "eyJ.", "{\"a\":"] {
            let began = std::time::Instant::now();
            Secrets::Removed.stream(&piece.repeat(20_000 / piece.len()));
            assert!(began.elapsed().as_secs() < 10, "{piece}");
        }
    }

    #[test]
    fn values_of_a_target() {
        assert_eq!(super::of_target("/a;sid=b?token=c&x=1&next=%2F%3Fkey%3Dd"), ["b", "c", "d", "%2F%3Fkey%3Dd"]);
    }
}
