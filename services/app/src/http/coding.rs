//! Content codings (RFC 9110 §8.4.1): text goes out compressed to whoever asks for it.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use hyper::{HeaderMap, header::ACCEPT_ENCODING};

/// Shorter content is not worth the bytes around it.
const SHORTEST: usize = 256;

/// The content compressed with gzip (RFC 1952), where the client takes that and it becomes shorter.
pub(super) fn gzip(content: &[u8], headers: &HeaderMap) -> Option<Vec<u8>> {
    if content.len() < SHORTEST || !accepts_gzip(headers) {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(content.len() / 2), Compression::fast());
    // Writing to memory does not fail.
    encoder.write_all(content).ok()?;
    encoder.finish().ok().filter(|coded| coded.len() < content.len())
}

/// RFC 9110 §12.5.3: named, or meant by `*`, with a weight above 0, and not liked less than no coding at all.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    let fields = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for item in fields.flat_map(|value| value.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('='));
        // A weight that cannot be read is as good as none.
        let weight = weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0));
        // RFC 9110 §8.4.1.3 wants the old name taken for the same.
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            gzip = Some(weight);
        } else if name == "*" {
            any = Some(weight);
        } else if name.eq_ignore_ascii_case("identity") {
            identity = Some(weight);
        }
    }
    let weight: f32 = gzip.or(any).unwrap_or(0.0);
    weight > 0.0 && weight >= identity.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (ACCEPT_ENCODING, value.parse().unwrap())).collect()
    }

    #[test]
    fn who_takes_gzip() {
        let check = |values: &[&str], expected: bool| {
            assert_eq!(accepts_gzip(&headers(values)), expected, "{values:?}");
        };
        check(&[], false);
        check(&[""], false);
        check(&["gzip"], true);
        check(&["deflate, GZIP;q=0.5, br"], true);
        check(&["br", "x-gzip"], true);
        check(&["gzip; q=0"], false);
        check(&["gzip;q=0.000, *"], false);
        check(&["*"], true);
        check(&["*;q=0"], false);
        check(&["br, zstd"], false);
        check(&["identity, gzip;q=0.5"], false);
        check(&["identity;q=0.5, gzip"], true);
        check(&["gzip;q=much"], false);
        check(&["gzip;q=-1"], false);
        check(&["gzip;q=NaN"], false);
        check(&["gzipped"], false);
    }

    #[test]
    fn compressed_and_back() {
        let text = "a page of the lab\n".repeat(100);
        let coded = gzip(text.as_bytes(), &headers(&["gzip"])).unwrap();
        assert!(coded.len() < 200);
        let mut read = String::new();
        flate2::read::GzDecoder::new(&*coded).read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
        assert!(gzip(&text.as_bytes()[..SHORTEST - 1], &headers(&["gzip"])).is_none());
        assert!(gzip(text.as_bytes(), &headers(&[])).is_none());
    }
}
