//! What is asked of the server: the method, the fields and the body that the command line says, in curl's words.

use std::io::Read;

use bytes::Bytes;
use hyper::{
    HeaderMap, Method,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT},
};

use probe::{http::Versions, request::Request};
use secrets::Secrets;

use crate::args;

/// Most bytes that a body may have.
const LONGEST_BODY: u64 = 64 * 1024 * 1024;
/// The codings that a response may come in.
const CODINGS: HeaderValue = HeaderValue::from_static("gzip, deflate, br, zstd");

/// What cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// `-X` is no method.
    #[error("-X {given:?} is no method: letters without spaces, as GET, POST, PURGE")]
    Method {
        /// What was given.
        given: String,
    },
    /// `-H` is no field.
    #[error("-H {given:?} is no field: write 'Name: value', 'Name:' to leave it out, 'Name;' for one without a value")]
    Field {
        /// What was given.
        given: String,
    },
    /// `-A` cannot be a field's value.
    #[error("-A {given:?} cannot be sent: it has characters that a field must not have")]
    UserAgent {
        /// What was given.
        given: String,
    },
    /// The file of `-d` cannot be read.
    #[error("cannot read {file} (-d): {source}")]
    Body {
        /// The file; `-` is stdin.
        file: String,
        /// Why.
        source: std::io::Error,
    },
}

/// What the command line says.
pub fn request(said: &args::Request) -> Result<Request, RequestError> {
    let body = body(&said.data)?;
    let method = match &said.request {
        Some(given) => given.parse().map_err(|_| RequestError::Method { given: given.clone() })?,
        None if said.head => Method::HEAD,
        None if !said.data.is_empty() => Method::POST,
        None => Method::GET,
    };
    let mut fields = HeaderMap::new();
    fields.insert(USER_AGENT, HeaderValue::from_static(concat!("visit/", env!("CARGO_PKG_VERSION"))));
    fields.insert(ACCEPT, HeaderValue::from_static("*/*"));
    fields.insert(ACCEPT_ENCODING, CODINGS);
    if !said.data.is_empty() {
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    }
    if let Some(given) = &said.user_agent {
        let value = given.parse().map_err(|_| RequestError::UserAgent { given: given.clone() })?;
        // As curl: an empty name is none. `-H 'User-Agent;'` sends the field without a value.
        if given.is_empty() {
            fields.remove(USER_AGENT);
        } else {
            fields.insert(USER_AGENT, value);
        }
    }
    let mut request = Request {
        method,
        keeps_method: said.request.is_some(),
        fields,
        without: Vec::new(),
        body,
        versions: match (said.http1, said.http2) {
            (true, _) => Versions::Http1,
            (_, true) => Versions::Http2,
            _ => Versions::Both,
        },
        follows: said.location,
    };
    let mut added = Vec::new();
    for line in &said.header {
        add(&mut request, line, &mut added)?;
    }
    Ok(request)
}

/// One `-H`: the first of a name replaces what every request has, further ones are added.
fn add(request: &mut Request, line: &str, added: &mut Vec<HeaderName>) -> Result<(), RequestError> {
    // A field without its colon may hold a password.
    let wrong = || RequestError::Field { given: Secrets::Removed.stream(line) };
    let (name, value) = match (line.split_once(':'), line.strip_suffix(';')) {
        (Some((name, value)), _) if value.trim().is_empty() => (name, None),
        (Some((name, value)), _) => (name, Some(value.trim())),
        (None, Some(name)) => (name, Some("")),
        (None, None) => return Err(wrong()),
    };
    let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
    let Some(value) = value else {
        request.fields.remove(&name);
        request.without.push(name);
        return Ok(());
    };
    let value: HeaderValue = value.parse().map_err(|_| wrong())?;
    if added.contains(&name) {
        // RFC 9110 §7.2: a request has one Host. curl sends the first, too.
        if name != HOST {
            request.fields.append(name, value);
        }
    } else {
        request.fields.insert(name.clone(), value);
        added.push(name);
    }
    Ok(())
}

/// The pieces of `-d`, joined as the values of a form are.
fn body(pieces: &[String]) -> Result<Bytes, RequestError> {
    let mut body = Vec::new();
    for (nth, piece) in pieces.iter().enumerate() {
        if nth > 0 {
            body.push(b'&');
        }
        match piece.strip_prefix('@') {
            None => body.extend_from_slice(piece.as_bytes()),
            Some(file) => {
                let fail = |source| RequestError::Body { file: file.to_owned(), source };
                let text = if file == "-" { read(std::io::stdin()) } else { std::fs::File::open(file).and_then(read) };
                // As curl does for `-d`: the ends of lines are not sent.
                body.extend(text.map_err(fail)?.into_iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
            }
        }
    }
    Ok(body.into())
}

fn read(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LONGEST_BODY + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST_BODY {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "it is longer than 64 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    fn request(line: &[&str]) -> Result<Request, RequestError> {
        let cli = Cli::parse_from(["visit"].iter().chain(line).chain(&["h.test"]));
        super::request(&cli.visit.request)
    }

    fn check(line: &[&str], method: &str, fields: &[(&str, Option<&str>)], body: &str) {
        let request = request(line).unwrap();
        assert_eq!((request.method.as_str(), &*request.body), (method, body.as_bytes()), "{line:?}");
        for (name, value) in fields {
            let seen: Vec<&str> = request.fields.get_all(*name).iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!((!seen.is_empty()).then(|| seen.join("|")).as_deref(), *value, "{line:?}: {name}");
        }
    }

    #[test]
    fn in_the_words_of_curl() {
        let agent = concat!("visit/", env!("CARGO_PKG_VERSION"));
        check(&[], "GET", &[("user-agent", Some(agent)), ("content-type", None)], "");
        check(&["-I"], "HEAD", &[], "");
        check(&["-X", "PURGE"], "PURGE", &[], "");
        check(
            &["-d", "a=1", "-d", "b=2"],
            "POST",
            &[("content-type", Some("application/x-www-form-urlencoded"))],
            "a=1&b=2",
        );
        check(&["-d", "", "-X", "PUT"], "PUT", &[], "");
        check(&["-A", "me"], "GET", &[("user-agent", Some("me"))], "");
        check(&["-A", ""], "GET", &[("user-agent", None)], "");
        check(&["-A", "", "-H", "User-Agent;"], "GET", &[("user-agent", Some(""))], "");
        check(&["-H", "Host: a", "-H", "host: b"], "GET", &[("host", Some("a"))], "");
        check(&["-H", "Accept: text/plain", "-H", "accept:a/b"], "GET", &[("accept", Some("text/plain|a/b"))], "");
        check(&["-H", "Accept:", "-H", "X-Empty;"], "GET", &[("accept", None), ("x-empty", Some(""))], "");
    }

    #[test]
    fn refused() {
        for line in [["-X", "A B"], ["-H", "no colon"], ["-H", "a b: c"], ["-H", "a: b\nc: d"], ["-A", "a\nb"]] {
            assert!(request(&line).is_err(), "{line:?}");
        }
        assert!(request(&["-d", "@/no/such/file"]).unwrap_err().to_string().contains("/no/such/file"));
    }

    #[test]
    fn redirects_change_methods_and_drop_credentials() {
        let check = |line: &[&str], status, same_origin, expected: &str, has_credentials: bool| {
            let next = request(line).unwrap().redirected(status, same_origin);
            assert_eq!(next.method.as_str(), expected, "{line:?} {status}");
            assert_eq!(next.fields.contains_key("authorization"), has_credentials, "{line:?} {status}");
        };
        check(&["-d", "a", "-H", "Authorization: x"], 302, true, "GET", true);
        check(&["-d", "a", "-H", "Authorization: x"], 307, false, "POST", false);
        check(&["-d", "a", "-X", "POST"], 301, true, "POST", false);
        check(&["-X", "PUT"], 303, true, "PUT", false);
        check(&["-I"], 303, true, "HEAD", false);
    }
}
