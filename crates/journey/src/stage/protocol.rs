//! What a server speaks instead of what was expected, told from the first bytes that it sent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A protocol that can be told from the first bytes that a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1: a status line, also one that breaks the grammar.
    Http,
    /// HTTP/2 without TLS (RFC 9113 §3.4).
    Http2,
    /// TLS: an alert, or a message of the handshake (RFC 8446 §5.1).
    Tls,
    /// SSH (RFC 4253 §4.2).
    Ssh,
    /// SMTP (RFC 5321 §4.2).
    Smtp,
    /// FTP (RFC 959 §4.2).
    Ftp,
    /// SMTP or FTP: a reply code of both.
    SmtpOrFtp,
    /// POP3 (RFC 1939 §4).
    Pop3,
    /// IMAP (RFC 9051 §7.1).
    Imap,
    /// MySQL or MariaDB.
    Mysql,
    /// Redis, or one that speaks its protocol (RESP).
    Redis,
    /// memcached.
    Memcached,
    /// RTSP (RFC 7826).
    Rtsp,
    /// SIP (RFC 3261).
    Sip,
    /// SHOUTcast's answer, `ICY 200 OK`.
    Icy,
    /// VNC (RFC 6143 §7.1.1).
    Vnc,
    /// rsync.
    Rsync,
    /// Telnet options (RFC 854).
    Telnet,
    /// AMQP.
    Amqp,
}

impl Protocol {
    /// The protocol of a server that sends this first.
    pub fn of(begin: &[u8]) -> Option<Self> {
        by_bytes(begin).or_else(|| by_line(begin))
    }

    /// Its name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Http2 => "HTTP/2 without TLS",
            Self::Tls => "TLS",
            Self::Ssh => "SSH",
            Self::Smtp => "SMTP",
            Self::Ftp => "FTP",
            Self::SmtpOrFtp => "SMTP or FTP",
            Self::Pop3 => "POP3",
            Self::Imap => "IMAP",
            Self::Mysql => "the MySQL protocol",
            Self::Redis => "the Redis protocol",
            Self::Memcached => "the memcached protocol",
            Self::Rtsp => "RTSP",
            Self::Sip => "SIP",
            Self::Icy => "SHOUTcast (ICY)",
            Self::Vnc => "VNC",
            Self::Rsync => "the rsync protocol",
            Self::Telnet => "Telnet",
            Self::Amqp => "AMQP",
        }
    }
}

fn by_bytes(begin: &[u8]) -> Option<Protocol> {
    match begin {
        // An alert or a handshake message, of SSL 3.0 to TLS 1.3.
        [0x15 | 0x16, 3, 0..=4, ..] => Some(Protocol::Tls),
        // SETTINGS on stream 0, entries of six bytes; or the acknowledgement of ours.
        [0, 0, length, 4, 0 | 1, 0, 0, 0, 0, ..] if length % 6 == 0 => Some(Protocol::Http2),
        // GOAWAY on stream 0.
        [0, 0, 8..=u8::MAX, 7, 0, 0, 0, 0, 0, ..] => Some(Protocol::Http2),
        // A packet's length, number 0, then protocol 10 and a version as text, or an error.
        [_, _, 0, 0, 10, b'0'..=b'9', ..] | [_, _, 0, 0, 0xff, _, 4, ..] => Some(Protocol::Mysql),
        // IAC WILL, WONT, DO, DONT.
        [0xff, 0xfb..=0xfe, _, ..] => Some(Protocol::Telnet),
        [b'A', b'M', b'Q', b'P', 0..=9, ..] => Some(Protocol::Amqp),
        _ => None,
    }
}

fn by_line(begin: &[u8]) -> Option<Protocol> {
    let end = begin.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(begin.len());
    let line = String::from_utf8_lossy(&begin[..end]).to_ascii_uppercase();
    let begins = |text: &str| line.starts_with(text);
    Some(match () {
        () if begins("HTTP/") => Protocol::Http,
        () if begins("SSH-") => Protocol::Ssh,
        () if begins("+OK") => Protocol::Pop3,
        () if begins("* OK") || begins("* PREAUTH") || begins("* BYE") => Protocol::Imap,
        () if begins("RTSP/") => Protocol::Rtsp,
        () if begins("SIP/") => Protocol::Sip,
        () if begins("ICY ") => Protocol::Icy,
        () if begins("RFB 0") => Protocol::Vnc,
        () if begins("@RSYNCD:") => Protocol::Rsync,
        () if begins("-ERR ") || begins("-NOAUTH ") || begins("-DENIED ") => Protocol::Redis,
        () if line == "ERROR" || begins("CLIENT_ERROR ") => Protocol::Memcached,
        () if is_reply(&line) => of_reply(&line),
        () => return None,
    })
}

/// `220 text`, `220-text`, and the codes of those that serve nobody now.
fn is_reply(line: &str) -> bool {
    let mut bytes = line.bytes();
    let code: Vec<u8> = bytes.by_ref().take(3).collect();
    matches!(code.as_slice(), b"220" | b"421" | b"500" | b"501" | b"502" | b"530" | b"554")
        && matches!(bytes.next(), Some(b' ' | b'-'))
}

fn of_reply(line: &str) -> Protocol {
    if line.contains("SMTP") {
        Protocol::Smtp
    } else if line.contains("FTP") {
        Protocol::Ftp
    } else {
        Protocol::SmtpOrFtp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_of_servers() {
        let check = |begin: &[u8], expected| assert_eq!(Protocol::of(begin), expected, "{begin:?}");
        check(b"HTTP/1.1 2000 OK\r\n", Some(Protocol::Http));
        check(b"SSH-2.0-OpenSSH_9.6\r\n", Some(Protocol::Ssh));
        check(b"220 mail.test ESMTP Postfix\r\n", Some(Protocol::Smtp));
        check(b"220 ProFTPD Server\r\n", Some(Protocol::Ftp));
        check(b"220-mail.test\r\n", Some(Protocol::SmtpOrFtp));
        check(b"554 No", Some(Protocol::SmtpOrFtp));
        check(b"+OK ready\r\n", Some(Protocol::Pop3));
        check(b"* OK [CAPABILITY IMAP4rev1]\r\n", Some(Protocol::Imap));
        check(b"\x15\x03\x03\x00\x02\x02\x46", Some(Protocol::Tls));
        check(b"\x16\x03\x01\x00", Some(Protocol::Tls));
        check(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64", Some(Protocol::Http2));
        check(b"\0\0\0\x04\0\0\0\0\0", Some(Protocol::Http2));
        check(b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01", Some(Protocol::Http2));
        check(b"J\0\0\0\x0a8.0.36\0", Some(Protocol::Mysql));
        check(b"E\0\0\0\xff\x6a\x04Host '1' is not allowed", Some(Protocol::Mysql));
        check(b"-ERR wrong number of arguments for 'get' command\r\n", Some(Protocol::Redis));
        check(b"ERROR\r\n", Some(Protocol::Memcached));
        check(b"RTSP/1.0 400 Bad Request\r\n", Some(Protocol::Rtsp));
        check(b"ICY 200 OK\r\n", Some(Protocol::Icy));
        check(b"RFB 003.008\n", Some(Protocol::Vnc));
        check(b"\xff\xfd\x18\xff\xfd", Some(Protocol::Telnet));
        check(b"AMQP\0\0\x09\x01", Some(Protocol::Amqp));
        for none in [&b""[..], b"hello", b"\0\0\0", b"2200 x", b"220x", b"\x15\x02", b"ERROR: no"] {
            check(none, None);
        }
    }
}
