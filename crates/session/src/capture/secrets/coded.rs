//! Contents that HTTP carries in a coding (RFC 9110 §8.4): their bytes do not show what they hold. Pure.

use std::io::Read;

use flate2::bufread::{GzDecoder, ZlibDecoder};

/// More is not decoded.
const LONGEST: usize = 1 << 20;

/// The contents of the HTTP/1 messages in what was said that have a coding, decoded; `None` for one that cannot be decoded
/// whole.
pub(super) fn contents(said: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut found = Vec::new();
    let (mut head, mut at) = (Head::default(), 0);
    for line in said.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            head.read(line);
            continue;
        }
        let head = std::mem::take(&mut head);
        let content = &said[at..];
        // Without a content (RFC 9110 §6.4.1) it ends here, or the next message begins.
        if head.is_http && !head.codings.is_empty() && !content.is_empty() && !content.starts_with(b"HTTP/1.") {
            found.push(decoded(&head, content));
        }
    }
    found
}

/// The size in the line before a chunk, whatever else it says (RFC 9112 §7.1.1).
pub(super) fn chunk_size(line: &[u8]) -> Option<usize> {
    let size = line.split(|byte| *byte == b';').next()?.trim_ascii();
    let is_size = !size.is_empty() && size.len() <= 16 && size.iter().all(u8::is_ascii_hexdigit);
    let size = std::str::from_utf8(size).ok().filter(|_| is_size)?;
    Some(usize::from_str_radix(size, 16).unwrap_or(usize::MAX))
}

/// The lines since the last empty one.
#[derive(Debug, Default)]
struct Head {
    is_http: bool,
    is_chunked: bool,
    /// In lower case, in the order applied; `identity` is none.
    codings: Vec<String>,
}

impl Head {
    fn read(&mut self, line: &[u8]) {
        // Behind a content without a line's end the next message begins in the middle of a line.
        self.is_http |= line.windows(7).any(|seven| seven == b"HTTP/1.");
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let name = line[..colon].trim_ascii();
        let is_of_transfer = name.eq_ignore_ascii_case(b"transfer-encoding");
        if !is_of_transfer && !name.eq_ignore_ascii_case(b"content-encoding") {
            return;
        }
        for coding in line[colon + 1..].split(|byte| *byte == b',') {
            let coding = String::from_utf8_lossy(coding.trim_ascii()).to_ascii_lowercase();
            match coding.as_str() {
                "identity" => {}
                "chunked" if is_of_transfer => self.is_chunked = true,
                _ => self.codings.push(coding),
            }
        }
    }
}

fn decoded(head: &Head, content: &[u8]) -> Option<Vec<u8>> {
    let joined;
    let content = if head.is_chunked {
        joined = joined_chunks(content)?;
        &joined
    } else {
        content
    };
    let [coding] = &head.codings[..] else { return None };
    match coding.as_str() {
        "gzip" | "x-gzip" => gzip(content),
        "deflate" => whole(ZlibDecoder::new(content), LONGEST),
        _ => None,
    }
}

/// All members, one behind the other (RFC 1952 §2.2).
fn gzip(mut content: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        all.extend(whole(GzDecoder::new(&mut content), LONGEST - all.len())?);
        if !content.starts_with(&[0x1f, 0x8b]) {
            return Some(all);
        }
    }
}

/// What comes out to its end; nothing where it is longer than that, or where it does not come to an end.
fn whole(decoder: impl Read, longest: usize) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let length = decoder.take(longest as u64 + 1).read_to_end(&mut all).ok()?;
    (length <= longest).then_some(all)
}

/// Chunks up to the last one (RFC 9112 §7.1).
fn joined_chunks(mut content: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let end = content.windows(2).position(|two| two == b"\r\n")?;
        let (size, rest) = (chunk_size(&content[..end])?, &content[end + 2..]);
        if size == 0 {
            return Some(all);
        }
        all.extend(rest.get(..size)?);
        content = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };

    use super::*;

    pub(in super::super) fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// A response with these lines in its head.
    pub(in super::super) fn message(lines: &str, content: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 200 OK\r\nServer: a\r\n{lines}\r\n").as_bytes(), content].concat()
    }

    #[test]
    fn what_is_coded() {
        let check = |said: &[u8], expected: &[Option<&[u8]>]| {
            let seen = contents(said);
            let seen: Vec<_> = seen.iter().map(Option::as_deref).collect();
            assert_eq!(seen, expected, "{}", said[..said.len().min(200)].escape_ascii());
        };
        let zipped = gzip(b"hello");
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"hello").unwrap();
        let deflated = encoder.finish().unwrap();
        let chunks = |content: &[u8], extension: &str| {
            let mut all = Vec::new();
            for part in content.chunks(7) {
                all.extend(format!("{:x}{extension}\r\n", part.len()).as_bytes());
                all.extend([part, b"\r\n"].concat());
            }
            [&all[..], b"0\r\n\r\n"].concat()
        };
        let coding = "Content-Encoding: gzip\r\n";
        check(&message(coding, &zipped), &[Some(b"hello")]);
        check(&message("content-encoding:\tX-GZIP\r\n", &zipped), &[Some(b"hello")]);
        check(&message("Content-Encoding: deflate\r\n", &deflated), &[Some(b"hello")]);
        check(&message("Transfer-Encoding: gzip, chunked\r\n", &chunks(&zipped, "")), &[Some(b"hello")]);
        let chunked = format!("{coding}Transfer-Encoding: chunked\r\n");
        check(&message(&chunked, &chunks(&zipped, "")), &[Some(b"hello")]);
        check(&message(&chunked, &chunks(&zipped, ";x=1")), &[Some(b"hello")]);
        // Members in a row, and messages.
        check(&message(coding, &[gzip(b"he"), gzip(b"llo")].concat()), &[Some(b"hello")]);
        let two = [message(coding, &zipped), message("", b"hi\n"), message(coding, &zipped)].concat();
        check(&two, &[Some(b"hello"), Some(b"hello")]);
        // No coding, no content, no HTTP.
        check(&message("", b"hello"), &[]);
        check(&message("Content-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), &[]);
        check(&message(coding, b""), &[]);
        check(&[message(coding, b""), message("", b"hello")].concat(), &[]);
        check(b"content-encoding: gzip\r\n\r\nhello", &[]);
        // Not whole, too much, or nothing that is decoded here.
        check(&message(coding, &zipped[..zipped.len() - 9]), &[None]);
        check(&message(&chunked, &chunks(&zipped, "")[..20]), &[None]);
        check(&message(&chunked, &zipped), &[None]);
        check(&message(coding, b"hello"), &[None]);
        check(&message(coding, &gzip(&vec![0; LONGEST + 1])), &[None]);
        check(&message("Content-Encoding: br\r\n", b"hello"), &[None]);
        check(&message("Content-Encoding: gzip, br\r\n", &zipped), &[None]);
        check(&message("Content-Encoding:\r\n gzip\r\n", b"hello"), &[None]);
        check(&message("Content-Encoding: deflate\r\n", &deflated[2..deflated.len() - 4]), &[None]);
    }
}
