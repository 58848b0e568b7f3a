//! What is sent to `tcp://` and `udp://`, and which options go with these schemes.

use std::{
    io::{self, IsTerminal, Read},
    os::{fd::AsFd, unix::fs::FileTypeExt},
};

use probe::{payload::Payload, target::Scheme, visitable::Visitable};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::args::{Engine, Visit};

/// More than this is not sent: it is held in memory.
const LARGEST: usize = 16 * 1024 * 1024;

/// What cannot be sent, or not with these options.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// An option that says nothing for this scheme.
    #[error("{option} does not go with {scheme}://: {why}")]
    Option {
        /// The option as it is typed.
        option: &'static str,
        /// The URL's scheme.
        scheme: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// `--send` with a backslash before something else.
    #[error("--send: {escape} is no escape; there are \\n, \\r, \\t, \\xHH and \\\\")]
    Escape {
        /// What was typed.
        escape: String,
    },
    /// Stdin cannot be read.
    #[error("cannot read what to send from stdin: {0}")]
    Stdin(#[source] io::Error),
    /// Stdin or `--send` has too much.
    #[error("what is to be sent is larger than {LARGEST} bytes")]
    TooLarge,
    /// Ctrl-C while stdin was read.
    #[error("interrupted before stdin had ended; nothing was sent")]
    Interrupted,
}

/// Whether every option that was given says something for this URL. A URL that cannot be read is left to its visit.
pub fn check_options(visit: &Visit, url: &Visitable) -> Result<(), PayloadError> {
    let Some(scheme) = url.scheme() else { return Ok(()) };
    let request = &visit.request;
    let given: &[(bool, &str, &str)] = match scheme {
        Scheme::Http | Scheme::Https => {
            &[(request.send.is_some(), "--send", "an HTTP request is made by -X, -H and -d")]
        }
        Scheme::Tcp | Scheme::Udp => &[
            (request.location, "-L (--location)", "there are no redirects without HTTP"),
            (request.head, "-I (--head)", "there are no methods without HTTP"),
            (request.request.is_some(), "-X (--request)", "there are no methods without HTTP"),
            (!request.header.is_empty(), "-H (--header)", "there are no fields without HTTP"),
            (!request.data.is_empty(), "-d (--data)", "there is no body without HTTP; bytes are sent with --send"),
            (request.user_agent.is_some(), "-A (--user-agent)", "there are no fields without HTTP"),
            (request.http1, "--http1.1", "no HTTP is spoken"),
            (request.http2, "--http2", "no HTTP is spoken"),
            (request.fail, "-f (--fail)", "there is no status without HTTP"),
            (request.engine == Engine::Reqwest, "--engine reqwest", "reqwest speaks HTTP alone"),
            (visit.tls.cacert.is_some(), "--cacert", "there is no TLS"),
            (visit.tls.insecure, "-k (--insecure)", "there is no TLS"),
            (visit.output.include, "-i (--include)", "there is no head without HTTP"),
            (visit.output.output.is_some(), "-o (--output)", "it writes the content of an HTTP response"),
        ],
    };
    match given.iter().find(|(given, ..)| *given) {
        Some(&(_, option, why)) => Err(PayloadError::Option { option, scheme: scheme.as_str(), why }),
        None => Ok(()),
    }
}

/// What is to be sent: what `--send` says; else what stdin has, read to its end, where it is a pipe or a file; a terminal
/// or `/dev/null` says nothing.
pub async fn read(send: Option<&str>, interrupt: &CancellationToken) -> Result<Payload, PayloadError> {
    if let Some(text) = send {
        return unescape(text).map(Payload::Bytes);
    }
    let nothing = |why: &str| Ok(Payload::Nothing { why: format!("no --send, and {why}") });
    if io::stdin().is_terminal() {
        return nothing("stdin is a terminal");
    }
    if !is_pipe_or_file().map_err(PayloadError::Stdin)? {
        return nothing("stdin is neither a pipe nor a file");
    }
    // On a thread that nobody waits for: a read of a pipe cannot be given up, but the program can end without it.
    let (done, read) = oneshot::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let limit = LARGEST as u64 + 1;
        let result = io::stdin().lock().take(limit).read_to_end(&mut bytes).map(|_| bytes);
        // Nobody listens any more after Ctrl-C.
        let _ = done.send(result);
    });
    let bytes = tokio::select! {
        read = read => read.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map_err(PayloadError::Stdin)?,
        () = interrupt.cancelled() => return Err(PayloadError::Interrupted),
    };
    match bytes.len() {
        0 => nothing("stdin was empty"),
        1..=LARGEST => Ok(Payload::Bytes(bytes)),
        _ => Err(PayloadError::TooLarge),
    }
}

fn is_pipe_or_file() -> io::Result<bool> {
    let stdin = std::fs::File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let kind = stdin.metadata()?.file_type();
    Ok(kind.is_fifo() || kind.is_file())
}

/// The bytes that a text with escapes stands for.
pub fn unescape(text: &str) -> Result<Vec<u8>, PayloadError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at..];
        let (byte, length) = match escape.as_bytes().get(1) {
            Some(b'n') => (Some(b'\n'), 2),
            Some(b'r') => (Some(b'\r'), 2),
            Some(b't') => (Some(b'\t'), 2),
            Some(b'\\') => (Some(b'\\'), 2),
            Some(b'x') => {
                // from_str_radix would take a sign.
                let digits = escape.get(2..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
                (digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()), 4)
            }
            _ => (None, 2),
        };
        let Some(byte) = byte else {
            return Err(PayloadError::Escape { escape: escape.chars().take(length).collect() });
        };
        bytes.push(byte);
        rest = &escape[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    if bytes.len() > LARGEST { Err(PayloadError::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use secrets::Secrets;

    use super::*;
    use crate::args::Cli;

    fn of(url: &str) -> Visitable {
        Visitable::read(url, Secrets::Removed)
    }

    #[test]
    fn escapes() {
        let check = |text: &str, expected: &[u8]| assert_eq!(unescape(text).unwrap(), expected, "{text}");
        check("", b"");
        check("hello", b"hello");
        check(r"EHLO me\r\n", b"EHLO me\r\n");
        check(r"a\\n\tb", b"a\\n\tb");
        check(r"\x00\xff\xC3\xa9", b"\0\xff\xc3\xa9");
        check("grüße\\n", "grüße\n".as_bytes());
        let refused = |text: &str, escape: &str| {
            let said = unescape(text).unwrap_err().to_string();
            assert!(said.starts_with(&format!("--send: {escape} is no escape")), "{text}: {said}");
        };
        refused(r"\q", r"\q");
        refused("a\\", "\\");
        refused(r"\x4", r"\x4");
        refused(r"\x+1", r"\x+1");
        refused(r"\xé9", r"\xé9");
    }

    #[test]
    fn options_and_schemes() {
        let check = |line: &[&str], expected: Option<&str>| {
            let cli = Cli::parse_from(["visit"].iter().chain(line));
            let said = check_options(&cli.visit, &of(&cli.visit.urls[0])).err().map(|error| error.to_string());
            assert_eq!(said.as_deref(), expected, "{line:?}");
        };
        check(&["tcp://h:1", "--send", "x"], None);
        check(&["tcp://h:1", "--max-time", "3", "--json", "-v", "-4", "--resolver", "1.1.1.1"], None);
        check(&["http://h/", "-L", "-H", "a: b"], None);
        check(&["h", "--send", ""], Some("--send does not go with http://: an HTTP request is made by -X, -H and -d"));
        check(
            &["udp://h:1", "-L"],
            Some("-L (--location) does not go with udp://: there are no redirects without HTTP"),
        );
        for option in [
            &["-L"] as &[&str],
            &["-I"],
            &["-X", "PUT"],
            &["-H", "a: b"],
            &["-d", "x"],
            &["-A", "x"],
            &["--http1.1"],
            &["--http2"],
            &["-f"],
            &["--engine", "reqwest"],
            &["--cacert", "x"],
            &["-k"],
            &["-i"],
            &["-o", "x"],
        ] {
            let cli = Cli::parse_from(["visit", "tcp://h:1"].iter().chain(option));
            let said = check_options(&cli.visit, &of("tcp://h:1")).unwrap_err().to_string();
            let named = if option[0] == "--engine" { "--engine reqwest" } else { option[0] };
            assert!(said.starts_with(named) && said.contains("tcp://"), "{option:?}: {said}");
        }
        // What is wrong with it is for its visit to say.
        check(&["tcp://h", "-L"], None);
    }
}
