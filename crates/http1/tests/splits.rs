//! Mutated responses: however the bytes are split, the reader says the same of them, and it never panics.

use http1::{Asked, Event, Reader};

/// Whole responses that are mutated.
const SEEDS: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\r\n  b\r\n\r\nhelloxx",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
    b"\r\nHTTP/1.1 100 Continue\r\n\r\nhttp/1.0  404 N\nX : y\n: z\nContent-Length: 3, 3\n\nabc",
    b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/2 200OK\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nto the end",
    b"SSH-2.0-OpenSSH_9.6\r\n",
];
/// Bytes that matter to the grammar.
const ALPHABET: &[u8] = b"\r\n \t:;,0159afHTP/.\0\x7f\xffxchunked";

/// A pseudo-random sequence (Numerical Recipes' constants), so that a failure comes again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit.max(1)
    }
}

/// What the reader says, content joined; and what it left.
fn told(asked: Asked, pieces: &[&[u8]]) -> Vec<String> {
    let (mut reader, mut told, mut content) = (Reader::new(asked), Vec::new(), Vec::new());
    let mut take = |event: Event<'_>, told: &mut Vec<String>| match event {
        Event::Content(bytes) => {
            content.extend_from_slice(bytes);
            told.retain(|line: &String| !line.starts_with("content"));
            told.push(format!("content {content:?}"));
        }
        other => told.push(format!("{other:?}")),
    };
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let before = rest.len();
            match reader.next(&mut rest) {
                Ok(Some(event)) => take(event, &mut told),
                Ok(None) => break,
                Err(wrong) => {
                    told.push(format!("{wrong:?}"));
                    return told;
                }
            }
            assert!(rest.len() <= before);
        }
        assert!(rest.is_empty() || reader.is_complete(), "bytes are left of a response that goes on");
    }
    loop {
        match reader.end() {
            Ok(Some(event)) => take(event, &mut told),
            Ok(None) => return told,
            Err(wrong) => {
                told.push(format!("{wrong:?}"));
                return told;
            }
        }
    }
}

#[test]
fn mutated_responses_are_read_alike_in_all_pieces() {
    let mut random = Random(11);
    for round in 0..20_000 {
        let mut bytes = SEEDS[random.below(SEEDS.len())].to_vec();
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len());
            let byte = ALPHABET[random.below(ALPHABET.len())];
            match random.below(4) {
                0 => bytes.insert(at, byte),
                1 => bytes.truncate(at.max(1)),
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes[at] = byte,
            }
        }
        let asked = Asked { is_head: random.below(5) == 0, is_connect: false, upgrades: random.below(5) == 0 };
        let whole = told(asked, &[&bytes]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(told(asked, &single), whole, "round {round}: {bytes:?} byte by byte");
        let (first, second) = (random.below(bytes.len()), random.below(bytes.len()));
        let (first, second) = (first.min(second), first.max(second));
        let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
        assert_eq!(told(asked, &pieces), whole, "round {round}: {bytes:?} at {first} and {second}");
    }
}
