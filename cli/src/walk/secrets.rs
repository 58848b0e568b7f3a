//! What is not shown or saved unless one asks for it: credentials in URLs and header fields, and as far as they can be
//! told from the rest, those in what goes over a socket. Pure.

use std::borrow::Cow;

/// What stands in the place of a secret; as a value in a query it is still a legal one.
pub const REMOVED: &str = "(removed)";

/// Whether secrets are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// [`REMOVED`] stands in their place.
    #[default]
    Removed,
    /// `--show-secrets`.
    Shown,
}

impl Secrets {
    /// A header field's value.
    pub fn field(self, name: &str, value: &str) -> String {
        match self {
            Self::Shown => value.to_owned(),
            Self::Removed if is_secret_field(name) => REMOVED.to_owned(),
            Self::Removed => without_query_secrets(&without_userinfo(value)).into_owned(),
        }
    }

    /// A text with URLs in it, or with a path and its query.
    pub fn text(self, text: &str) -> String {
        match self {
            Self::Shown => text.to_owned(),
            Self::Removed => without_query_secrets(&without_userinfo(text)).into_owned(),
        }
    }
}

impl Secrets {
    /// What goes over a socket in a protocol that this program does not speak, without what looks like a secret: header
    /// fields, forms and JSON members with such names, and what follows the words by which mail, files and caches take
    /// passwords. It knows those shapes and no others: a secret in any other is left as it is.
    pub fn stream(self, text: &str) -> String {
        if self == Self::Shown {
            return text.to_owned();
        }
        let mut next = Next::Any;
        text.split_inclusive('\n')
            .map(|whole| {
                let line = whole.trim_end_matches(['\r', '\n']);
                let (kept, after) = self.line(line, next);
                next = after;
                kept + &whole[line.len()..]
            })
            .collect()
    }

    /// A line without its secrets, and what comes after it.
    fn line(self, line: &str, expected: Next) -> (String, Next) {
        let removed = || REMOVED.to_owned();
        match expected {
            Next::Sasl if is_sasl(line) => return (removed(), Next::Sasl),
            Next::Literal => return (removed(), Next::after_login(line)),
            Next::Bulk if line.starts_with('$') => return (line.to_owned(), Next::BulkText),
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
            return (without_json_secrets(&format!("{word}{gap}{}", self.field(word, value))), Next::Any);
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
            _ => (without_json_secrets(&without_form_secrets(&self.text(line))), Next::Any),
        }
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

/// The body of a form without the values of its secret parameters.
fn without_form_secrets(line: &str) -> Cow<'_, str> {
    if line.contains(['?', ' ', '"']) || !line.contains('=') {
        return Cow::Borrowed(line);
    }
    Cow::Owned(without_query_secrets(&format!("?{line}"))[1..].to_owned())
}

/// A text without the strings and numbers that JSON members with secret names have as their values.
fn without_json_secrets(text: &str) -> String {
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

/// Fields that are credentials or grant them.
pub fn is_secret_field(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "authorization" | "cookie" | "proxy-authorization" | "set-cookie") || is_secret_name(&name)
}

/// Names of parameters and fields by which credentials go: whole names, and words that make any name one.
fn is_secret_name(name: &str) -> bool {
    const WHOLE: [&str; 10] = ["auth", "code", "jwt", "key", "pass", "pwd", "session", "sid", "sig", "ticket"];
    const WORDS: [&str; 11] = [
        "accesskey",
        "apikey",
        "assertion",
        "authorization",
        "credential",
        "passwd",
        "password",
        "secret",
        "sessionid",
        "signature",
        "token",
    ];
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric).map(|b| char::from(b.to_ascii_lowercase()));
    let name: String = letters.collect();
    WHOLE.contains(&name.as_str()) || WORDS.iter().any(|word| name.contains(word))
}

/// A text without the user information of the URLs in it; what follows `//` up to the `@` of an authority goes.
pub fn without_userinfo(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("//") {
        let (before, authority) = rest.split_at(at + 2);
        kept.push_str(before);
        let end = authority.find(['/', '?', '#', ' ', '\t', ',', ';', '"', '<', '>']).unwrap_or(authority.len());
        rest = match authority[..end].rfind('@') {
            Some(userinfo) => &authority[userinfo + 1..],
            None => authority,
        };
    }
    kept + rest
}

/// The values of the secret parameters of a query.
pub fn of_query(query: &str) -> impl Iterator<Item = &str> {
    let named = query.split(['&', ';']).filter_map(|parameter| parameter.split_once('='));
    named.filter(|(name, _)| is_secret_name(name)).map(|(_, value)| value)
}

/// A text in which the values of secret parameters of queries are removed: what stands behind `?`, `&` or `;` and a
/// name, up to the parameter's end.
fn without_query_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains('?') {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_query = false;
    while let Some(at) = rest.find(['?', '&', ';']) {
        in_query |= rest[at..].starts_with('?');
        let (before, parameter) = rest.split_at(at + 1);
        kept.push_str(before);
        rest = parameter;
        let end = parameter.find(['&', ';', '#', ' ', '"', '<', '>', ',']).unwrap_or(parameter.len());
        if let Some((name, _)) = parameter[..end].split_once('=')
            && in_query
            && is_secret_name(name)
        {
            kept.push_str(name);
            kept.push('=');
            kept.push_str(REMOVED);
            rest = &parameter[end..];
        }
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let check = |name: &str, value: &str, expected: &str| {
            assert_eq!(Secrets::Removed.field(name, value), expected, "{name}: {value}");
            assert_eq!(Secrets::Shown.field(name, value), value);
        };
        check("Authorization", "Basic abc", REMOVED);
        check("set-cookie", "a=b; Path=/", REMOVED);
        check("x-api-key", "abc", REMOVED);
        check("X-Auth-Token", "abc", REMOVED);
        check(
            "location",
            "https://me:pw@h.test/a?b=1&access_token=abc&c=2",
            "https://h.test/a?b=1&access_token=(removed)&c=2",
        );
        check("link", "<//me:pw@h.test/a?sig=1>; rel=x, <http://b@c>", "<//h.test/a?sig=(removed)>; rel=x, <http://c>");
        check("content-type", "text/html; charset=utf-8", "text/html; charset=utf-8");
        check("etag", "\"key=1\"", "\"key=1\"");
    }

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

    #[test]
    fn queries() {
        let check = |text: &str, expected: &str| assert_eq!(Secrets::Removed.text(text), expected);
        check("/a?X-Amz-Signature=ab%20c&x=1", "/a?X-Amz-Signature=(removed)&x=1");
        check("/a?monkey=1&key=2#frag", "/a?monkey=1&key=(removed)#frag");
        check("/a;key=1", "/a;key=1");
        check("/a?q=token&page=2", "/a?q=token&page=2");
        check("/a?token", "/a?token");
        check("/a?TOKEN=", "/a?TOKEN=(removed)");
    }
}
