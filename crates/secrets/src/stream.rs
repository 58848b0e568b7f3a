//! Protocols that send a line at a time: HTTP, mail, caches.

use super::{REMOVED, Secrets, json};

/// A text without the secrets of its lines.
pub(crate) fn without_secrets(text: &str) -> String {
    let mut next = Next::Any;
    text.split_inclusive('\n')
        .map(|whole| {
            let line = whole.trim_end_matches(['\r', '\n']);
            let (kept, after) = without(line, next);
            next = after;
            kept + &whole[line.len()..]
        })
        .collect()
}

/// A line without its secrets, and what comes after it.
fn without(line: &str, expected: Next) -> (String, Next) {
    let removed = || REMOVED.to_owned();
    match expected {
        Next::Sasl if is_sasl(line) => return (removed(), Next::Sasl),
        Next::Literal => return (removed(), Next::after_login(line)),
        Next::Bulk if is_bulk(line) => return (line.to_owned(), Next::BulkText),
        Next::BulkText => return (removed(), Next::Bulk),
        _ => {}
    }
    let word = line.split([' ', ':']).next().unwrap_or_default();
    let is_token =
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let rest = line.get(word.len()..).filter(|_| is_token).unwrap_or_default();
    if rest.len() > 1 && rest.starts_with(':') {
        let value = rest[1..].trim_start();
        let gap = &rest[..rest.len() - value.len()];
        return (json::without_secrets(&format!("{word}{gap}{}", Secrets::Removed.field(word, value))), Next::Any);
    }
    // IMAP has a tag before its commands (RFC 3501 §2.2.1).
    let second = rest.split_whitespace().next().unwrap_or_default();
    let tagged = if is_token { second.to_ascii_uppercase() } else { String::new() };
    if matches!(tagged.as_str(), "LOGIN" | "AUTHENTICATE") && !word.eq_ignore_ascii_case("AUTH") {
        let kept = format!("{word} {second}");
        let has_more = rest.trim_start().len() > second.len();
        let after = if tagged == "LOGIN" { Next::after_login(line) } else { Next::Sasl };
        return (if has_more { format!("{kept} {REMOVED}") } else { kept }, after);
    }
    match word.to_ascii_uppercase().as_str() {
        "APOP" | "PASS" if rest.len() > 1 => (format!("{word} {REMOVED}"), Next::after_login(line)),
        "AUTH" if rest.len() > 1 => {
            let after = if is_mechanism(second) { Next::Sasl } else { Next::Any };
            (format!("{word} {REMOVED}"), after)
        }
        "AUTH" => (line.to_owned(), Next::Bulk),
        _ => (Secrets::Removed.body(line), Next::Any),
    }
}

/// What the line before says of the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Nothing.
    Any,
    /// It may be a client's response in SASL (RFC 4954 §4, RFC 3501 §6.2.2).
    Sasl,
    /// It is an argument of IMAP's `LOGIN` (RFC 3501 §4.3).
    Literal,
    /// It may be the length of an argument of Redis' `AUTH`.
    Bulk,
    /// It is that argument.
    BulkText,
}

impl Next {
    /// An argument in a line of its own is announced by its length, `{7}` or `{7+}`.
    fn after_login(line: &str) -> Self {
        let length = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')).map(|(_, length)| length);
        let digits = length.map(|length| length.strip_suffix('+').unwrap_or(length));
        match digits.is_some_and(|digits| digits.parse::<u64>().is_ok()) {
            true => Self::Literal,
            false => Self::Any,
        }
    }
}

/// The length of a bulk string in the protocol of Redis.
fn is_bulk(line: &str) -> bool {
    line.strip_prefix('$').is_some_and(|length| length.parse::<u64>().is_ok())
}

/// A response in SASL is base64; the commands that look like it take no argument.
fn is_sasl(line: &str) -> bool {
    let is_base64 = line.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
    let is_command = matches!(line.to_ascii_uppercase().as_str(), "CAPA" | "DATA" | "NOOP" | "QUIT" | "RSET" | "STAT");
    !line.is_empty() && is_base64 && !is_command
}

/// Names of mechanisms of SASL.
fn is_mechanism(word: &str) -> bool {
    let word = word.to_ascii_uppercase();
    let known = ["CRAM-MD5", "DIGEST-MD5", "EXTERNAL", "GSSAPI", "LOGIN", "NTLM", "OAUTHBEARER", "PLAIN", "XOAUTH2"];
    known.contains(&word.as_str()) || word.starts_with("SCRAM-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Secrets::Removed.stream(text), expected);
            assert_eq!(Secrets::Shown.stream(text), text);
        };
        check("hello", "hello");
        check("app1 got 5 bytes: hello\n", "app1 got 5 bytes: hello\n");
        check("", "");
        check(
            "GET /?key=1 HTTP/1.0\r\nAuthorization: Basic abc\r\nHost:h\r\n\r\n",
            "GET /?key=(removed) HTTP/1.0\r\nAuthorization: (removed)\r\nHost:h\r\n\r\n",
        );
        check("USER me\r\nPASS hunter2\r\n", "USER me\r\nPASS (removed)\r\n");
        check("auth PLAIN abc", "auth (removed)");
        check("PASS", "PASS");
        check("220 h ESMTP\r\n334 VXNlcm5hbWU6\r\n", "220 h ESMTP\r\n334 VXNlcm5hbWU6\r\n");
        check("LOGIN: ok\nlogin page\n", "LOGIN: ok\nlogin page\n");
    }

    #[test]
    fn streams_of_mail() {
        let check = |text: &str, expected: &str| assert_eq!(Secrets::Removed.stream(text), expected);
        check("a1 LOGIN joe hunter2\r\na2 NOOP\r\n", "a1 LOGIN (removed)\r\na2 NOOP\r\n");
        check("A.1 login \"joe\" \"hunter2\"", "A.1 login (removed)");
        check(
            "a LOGIN {3}\r\njoe {7+}\r\nhunter2\r\nb SELECT x\r\n",
            "a LOGIN (removed)\r\n(removed)\r\n(removed)\r\nb SELECT x\r\n",
        );
        check(
            "a AUTHENTICATE PLAIN\r\nAGpvZQBodW50ZXIy\r\nb LIST\r\n",
            "a AUTHENTICATE (removed)\r\n(removed)\r\nb LIST\r\n",
        );
        check("a AUTHENTICATE PLAIN AGpvZQ==\r\n", "a AUTHENTICATE (removed)\r\n");
        check("a1 OK LOGIN completed\r\n", "a1 OK LOGIN completed\r\n");
        check(
            "EHLO me\r\nAUTH LOGIN\r\nam9l\r\naHVudGVyMg==\r\nMAIL FROM:<a@b>\r\nDATA\r\nabc\r\n",
            "EHLO me\r\nAUTH (removed)\r\n(removed)\r\n(removed)\r\nMAIL FROM:<a@b>\r\nDATA\r\nabc\r\n",
        );
        check("AUTH PLAIN\nAGpvZQBodW50ZXIy\nQUIT\n", "AUTH (removed)\n(removed)\nQUIT\n");
        check("APOP joe c4c9334bac560ecc979e58001b3e22fb\n", "APOP (removed)\n");
    }

    #[test]
    fn streams_of_other_shapes() {
        let check = |text: &str, expected: &str| assert_eq!(Secrets::Removed.stream(text), expected);
        check("AUTH hunter2\r\nPING\r\n", "AUTH (removed)\r\nPING\r\n");
        check(
            "*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n*1\r\n$4\r\nPING\r\n",
            "*2\r\n$4\r\nAUTH\r\n$7\r\n(removed)\r\n*1\r\n$4\r\nPING\r\n",
        );
        // What only begins like a length is a line like any other.
        check("AUTH\r\n$7 ?token=abc\r\nPASS a\r\n", "AUTH\r\n$7 ?token=(removed)\r\nPASS (removed)\r\n");
        check("user=joe&password=hunter2&page=1", "user=joe&password=(removed)&page=1");
        check(r#"{"user":"joe","password":"hunter2"}"#, r#"{"user":"joe","password":"(removed)"}"#);
        check(r#"{"apiKey" : "a\"b", "x":"y"}"#, r#"{"apiKey" : "(removed)", "x":"y"}"#);
        check(r#"  "client_secret": "cut off"#, r#"  "client_secret": "(removed)"#);
        check(r#"{"password":12.5e3,"code":404}"#, r#"{"password":"(removed)","code":404}"#);
        check(r#"{"token":{"password":"a"},"key":null}"#, r#"{"token":{"password":"(removed)"},"key":null}"#);
        check(r#"data: {"token":"abc"}"#, r#"data: {"token":"(removed)"}"#);
        check(r#"["password","a"] "x"#, r#"["password","a"] "x"#);
        check("{\"password\":\"\\", "{\"password\":\"(removed)");
    }
}
