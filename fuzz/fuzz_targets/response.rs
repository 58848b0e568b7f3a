//! Any bytes as a response of HTTP/1: what is read is the same however the bytes are cut, and no content is made up.
//!
//! The first byte tells what was asked and how large the pieces are, the others are the response.
#![no_main]

use http1::{Asked, End, Event, Field, Framing, Head, Kind, Oddity, Reader, Wrong};
use libfuzzer_sys::fuzz_target;

/// What came of a response.
#[derive(Debug, Default, PartialEq)]
struct Read {
    heads: Vec<Head>,
    content: Vec<u8>,
    trailers: Option<(Vec<Field>, Vec<Oddity>)>,
    // Whether it was complete, before the connection ended or then.
    ends: usize,
    wrong: Option<Wrong>,
    // Bytes that were taken, of a response that is one.
    taken: usize,
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, bytes)) = input.split_first() else { return };
    let asked = Asked { is_head: first & 1 != 0, is_connect: first & 2 != 0, upgrades: first & 4 != 0 };
    let whole = read(asked, bytes, bytes.len().max(1));
    assert_eq!(whole, read(asked, bytes, 1));
    assert_eq!(whole, read(asked, bytes, usize::from(first >> 3) + 2));
    check(&whole, bytes);
});

fn read(asked: Asked, bytes: &[u8], size: usize) -> Read {
    let (mut reader, mut read) = (Reader::new(asked), Read::default());
    for piece in bytes.chunks(size) {
        let mut rest = piece;
        loop {
            let before = rest.len();
            let event = match reader.next(&mut rest) {
                Ok(event) => event,
                Err(wrong) => {
                    assert_eq!(reader.next(&mut rest), Err(wrong.clone()));
                    assert_eq!(reader.end(), Err(wrong.clone()));
                    read.wrong = Some(wrong);
                    // How much of the bytes was looked at before an error does not matter.
                    read.taken = 0;
                    return read;
                }
            };
            read.taken += before - rest.len();
            match event {
                Some(event) => read.event(event),
                None => break,
            }
        }
        assert!(rest.is_empty() || reader.is_complete());
        if reader.is_complete() {
            break;
        }
    }
    loop {
        match reader.end() {
            Ok(Some(event)) => read.event(event),
            Ok(None) => break,
            Err(wrong) => {
                read.wrong = Some(wrong);
                return read;
            }
        }
    }
    assert!(reader.is_complete());
    read
}

impl Read {
    fn event(&mut self, event: Event<'_>) {
        assert_eq!(self.ends, 0);
        match event {
            Event::Interim(head) => {
                assert!(head.is_whole && head.framing.is_none() && (100..200).contains(&head.status));
                assert!(self.heads.iter().all(|head| (100..200).contains(&head.status)));
                self.heads.push(head);
            }
            Event::Head(head) => self.heads.push(head),
            Event::Content(content) => {
                assert!(!content.is_empty() && self.trailers.is_none());
                self.content.extend_from_slice(content);
            }
            Event::Trailers(fields, oddities) => {
                assert!(self.trailers.is_none());
                self.trailers = Some((fields, oddities));
            }
            Event::End => self.ends += 1,
        }
    }
}

fn check(read: &Read, bytes: &[u8]) {
    assert_eq!(read.ends == 1, read.wrong.is_none());
    let heads = &read.heads;
    for field in heads.iter().flat_map(|head| &head.fields) {
        assert!(!field.name.is_empty() && !field.value.contains(&b'\n') && !field.value.contains(&0));
    }
    let framing = heads.last().and_then(|head| head.framing.as_ref());
    let Some(Framing { end, .. }) = framing else {
        assert!(read.wrong.is_some() && read.content.is_empty() && read.trailers.is_none());
        return;
    };
    let content = read.content.len() as u64;
    match end {
        End::None => assert_eq!(content, 0),
        End::Length(length) if read.ends == 1 => assert_eq!(content, *length),
        End::Length(length) => assert!(content < *length),
        End::Chunked => assert_eq!(read.ends == 1, read.trailers.is_some()),
        // RFC 9112 §8: only the end of the connection ends it, so it cannot be cut.
        End::Close => assert!(read.ends == 1 && bytes.ends_with(&read.content)),
    }
    // A message of which two fields say different ends is not read without saying so (RFC 9112 §6.3).
    let head = heads.last().expect("a head");
    let has = |name: &str| head.fields.iter().any(|field| field.is(name));
    if has("content-length") && has("transfer-encoding") && *end == End::Chunked {
        assert!(head.oddities.iter().any(|odd| odd.kind == Kind::LengthAndCoding));
    }
}
