//! Where the content of a response ends (RFC 9112 §6.3).

use crate::{Asked, Field, Kind, Oddity, Wrong, quoted};

/// How the content of a response is framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framing {
    /// What ends it.
    pub end: End,
    /// The transfer codings but `chunked`, in lower case, in the order in which they were applied.
    pub codings: Vec<String>,
}

/// What ends the content of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The response has no content.
    None,
    /// So many bytes; `u64::MAX` also stands for what is larger.
    Length(u64),
    /// The last chunk.
    Chunked,
    /// The end of the connection.
    Close,
}

/// The framing that a head tells, and what is odd about it.
///
/// # Errors
///
/// When the length or the codings leave the end of the content uncertain.
pub fn of(
    asked: Asked,
    version: (u8, u8),
    status: u16,
    fields: &[Field],
    odd: &mut Vec<Oddity>,
) -> Result<Framing, Wrong> {
    let has_content = !(asked.is_head
        || matches!(status, 100..200 | 204 | 304)
        || (asked.is_connect && (200..300).contains(&status)));
    let lengths = joined(fields, "content-length");
    let codings = joined(fields, "transfer-encoding");
    if !has_content {
        if codings.is_some() && !asked.is_head && status != 304 {
            odd.push(Oddity::new(Kind::CodingWithoutContent, &shown("Transfer-Encoding", codings.as_deref())));
        }
        if let Some(value) = lengths.filter(|value| length(value).is_err()) {
            odd.push(Oddity::new(Kind::UnusedLength, &shown("Content-Length", Some(&value))));
        }
        return Ok(Framing { end: End::None, codings: Vec::new() });
    }
    if let Some(value) = codings {
        let line = shown("Transfer-Encoding", Some(&value));
        if lengths.is_some() {
            odd.push(Oddity::new(Kind::LengthAndCoding, &line));
        }
        if version == (1, 0) {
            odd.push(Oddity::new(Kind::CodingInHttp10, &line));
        }
        return transfer(&value, &line, odd);
    }
    let Some(value) = lengths else { return Ok(Framing { end: End::Close, codings: Vec::new() }) };
    let (length, is_repeated) = length(&value)?;
    if is_repeated {
        odd.push(Oddity::new(Kind::RepeatedLength, &shown("Content-Length", Some(&value))));
    }
    Ok(Framing { end: End::Length(length), codings: Vec::new() })
}

/// The values of all fields of that name, joined as one list (RFC 9110 §5.3).
fn joined(fields: &[Field], name: &str) -> Option<Vec<u8>> {
    let mut values = fields.iter().filter(|field| field.is(name));
    let mut joined = values.next()?.value.clone();
    for field in values {
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(&field.value);
    }
    Some(joined)
}

fn shown(name: &str, value: Option<&[u8]>) -> Vec<u8> {
    [name.as_bytes(), b": ", value.unwrap_or_default()].concat()
}

/// RFC 9110 §8.6: a list of equal numbers stands for one of them; whether it is one.
fn length(value: &[u8]) -> Result<(u64, bool), Wrong> {
    let mut found = None;
    let mut count = 0;
    for member in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if member.is_empty() || !member.iter().all(u8::is_ascii_digit) {
            return Err(Wrong::Length(quoted(value)));
        }
        let digits = member.iter().position(|digit| *digit != b'0').map_or(&b"0"[..], |at| &member[at..]);
        match found {
            None => found = Some(digits),
            Some(before) if before == digits => {}
            Some(_) => return Err(Wrong::Lengths(quoted(value))),
        }
        count += 1;
    }
    // Digits alone: what does not fit is larger.
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse().ok();
    Ok((found.and_then(number).unwrap_or(u64::MAX), count > 1))
}

fn transfer(value: &[u8], line: &[u8], odd: &mut Vec<Oddity>) -> Result<Framing, Wrong> {
    let members = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty());
    let mut codings: Vec<String> = members.map(|member| String::from_utf8_lossy(member).to_ascii_lowercase()).collect();
    if codings.is_empty() {
        odd.push(Oddity::new(Kind::NoCoding, line));
    }
    if codings.iter().any(|coding| coding == "identity") {
        odd.push(Oddity::new(Kind::Identity, line));
        codings.retain(|coding| coding != "identity");
    }
    let Some(first) = codings.iter().position(|coding| coding == "chunked") else {
        return Ok(Framing { end: End::Close, codings });
    };
    let behind = codings.split_off(first);
    if behind.iter().any(|coding| coding != "chunked") {
        return Err(Wrong::NotChunkedLast(quoted(line)));
    }
    if behind.len() > 1 {
        odd.push(Oddity::new(Kind::RepeatedChunked, line));
    }
    Ok(Framing { end: End::Chunked, codings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(
        asked: Asked,
        version: (u8, u8),
        status: u16,
        lines: &[(&str, &str)],
    ) -> (Result<Framing, Wrong>, Vec<Kind>) {
        let field = |(name, value): &(&str, &str)| Field { name: (*name).to_owned(), value: value.as_bytes().to_vec() };
        let fields: Vec<Field> = lines.iter().map(field).collect();
        let mut odd = Vec::new();
        let found = of(asked, version, status, &fields, &mut odd);
        (found, odd.into_iter().map(|odd| odd.kind).collect())
    }

    fn check(lines: &[(&str, &str)], end: End, codings: &[&str], kinds: &[Kind]) {
        let (found, odd) = framing(Asked::default(), (1, 1), 200, lines);
        let codings = codings.iter().map(ToString::to_string).collect();
        assert_eq!(found, Ok(Framing { end, codings }), "{lines:?}");
        assert_eq!(odd, kinds, "{lines:?}");
    }

    const CL: &str = "Content-Length";
    const TE: &str = "transfer-encoding";

    #[test]
    fn lengths() {
        check(&[], End::Close, &[], &[]);
        check(&[(CL, "5")], End::Length(5), &[], &[]);
        check(&[(CL, "005")], End::Length(5), &[], &[]);
        check(&[(CL, "0")], End::Length(0), &[], &[]);
        check(&[(CL, "5"), (CL, "5")], End::Length(5), &[], &[Kind::RepeatedLength]);
        check(&[(CL, "5, 05")], End::Length(5), &[], &[Kind::RepeatedLength]);
        check(&[(CL, "18446744073709551615")], End::Length(u64::MAX), &[], &[]);
        check(&[(CL, "18446744073709551616")], End::Length(u64::MAX), &[], &[]);
        for wrong in ["", "+5", "-5", "5x", "0x5", "5 5", "5.0", "\"5\"", "5,", ",5", "5;q=1", "\u{665}"] {
            let (found, _) = framing(Asked::default(), (1, 1), 200, &[(CL, wrong)]);
            assert_eq!(found, Err(Wrong::Length(wrong.into())), "{wrong:?}");
        }
        for wrong in ["5, 6", "18446744073709551616, 18446744073709551617"] {
            let (found, _) = framing(Asked::default(), (1, 1), 200, &[(CL, wrong)]);
            assert_eq!(found, Err(Wrong::Lengths(wrong.into())), "{wrong:?}");
        }
    }

    #[test]
    fn transfer_codings() {
        check(&[(TE, "chunked")], End::Chunked, &[], &[]);
        check(&[(TE, " CHUNKED ")], End::Chunked, &[], &[]);
        check(&[(TE, "gzip, chunked")], End::Chunked, &["gzip"], &[]);
        check(&[(TE, "gzip"), (TE, "chunked")], End::Chunked, &["gzip"], &[]);
        check(&[(TE, "gzip")], End::Close, &["gzip"], &[]);
        check(&[(TE, "foo")], End::Close, &["foo"], &[]);
        check(&[(TE, "xchunked")], End::Close, &["xchunked"], &[]);
        check(&[(TE, "chunked;q=1")], End::Close, &["chunked;q=1"], &[]);
        check(&[(TE, "identity")], End::Close, &[], &[Kind::Identity]);
        check(&[(TE, "chunked, identity")], End::Chunked, &[], &[Kind::Identity]);
        check(&[(TE, "")], End::Close, &[], &[Kind::NoCoding]);
        check(&[(TE, "chunked, chunked")], End::Chunked, &[], &[Kind::RepeatedChunked]);
        check(&[(TE, "chunked"), (CL, "5")], End::Chunked, &[], &[Kind::LengthAndCoding]);
        check(&[(TE, "gzip"), (CL, "x")], End::Close, &["gzip"], &[Kind::LengthAndCoding]);
        let (found, _) = framing(Asked::default(), (1, 1), 200, &[(TE, "chunked, gzip")]);
        assert_eq!(found, Err(Wrong::NotChunkedLast(b"Transfer-Encoding: chunked, gzip".to_vec())));
        let (found, odd) = framing(Asked::default(), (1, 0), 200, &[(TE, "chunked")]);
        assert_eq!((found.unwrap().end, odd), (End::Chunked, vec![Kind::CodingInHttp10]));
    }

    #[test]
    fn responses_without_content() {
        let head = Asked { is_head: true, ..Asked::default() };
        let connect = Asked { is_connect: true, ..Asked::default() };
        for (asked, status) in [(head, 200), (Asked::default(), 204), (Asked::default(), 304), (connect, 200)] {
            for lines in [&[][..], &[(CL, "5")], &[(TE, "chunked")], &[(CL, "x")], &[(TE, "chunked, gzip")]] {
                let (found, _) = framing(asked, (1, 1), status, lines);
                assert_eq!(found, Ok(Framing { end: End::None, codings: Vec::new() }), "{asked:?} {status} {lines:?}");
            }
        }
        assert_eq!(framing(connect, (1, 1), 404, &[(CL, "5")]).0.unwrap().end, End::Length(5));
        assert_eq!(framing(Asked::default(), (1, 1), 205, &[(CL, "5")]).0.unwrap().end, End::Length(5));
    }
}
