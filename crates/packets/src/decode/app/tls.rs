//! Records of TLS (RFC 8446 §5), and the handshake messages in them.

/// The handshake messages in records one behind the other, as far as they are not encrypted. Whether they are is told by
/// their lengths: one message behind the other fills a record to its end, and what is encrypted does not read like that.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    is_ciphered: bool,
    /// The message that goes on in the next record, and how many bytes of it are to come.
    rest: Option<(Named, usize)>,
}

/// A handshake message: its type, and the name of that.
type Named = (u8, &'static str);

impl Handshakes {
    /// Those in the next record, by its header and as much of it as is here. None where it is encrypted, is no
    /// handshake, or where too little of it is here.
    pub(crate) fn of(&mut self, header: &[u8; 5], body: &[u8]) -> Vec<Named> {
        let before = self.rest.take();
        // Behind a ChangeCipherSpec all is encrypted in TLS 1.2; in 1.3 a second ClientHello may follow (RFC 8446 D.4).
        self.is_ciphered |= header[0] == 20;
        if header[0] != 22 {
            return Vec::new();
        }
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        match self.read(before, length, body) {
            Some(found) if !self.is_ciphered || matches!(found[..], [(1, _)]) => found,
            _ => {
                self.rest = None;
                Vec::new()
            }
        }
    }

    fn read(&mut self, before: Option<(Named, usize)>, length: usize, body: &[u8]) -> Option<Vec<Named>> {
        let mut found: Vec<_> = before.iter().map(|(message, _)| *message).collect();
        // Where a message ends, and the next begins.
        let mut at = before.map_or(0, |(_, rest)| rest);
        while at < length {
            if at + 4 > length {
                return None;
            }
            // The others are in a later segment.
            let Some(&[kind, a, b, c]) = body.get(at..).and_then(<[u8]>::first_chunk) else { return Some(found) };
            let size = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            let name = handshake(kind)?;
            let end = at + 4 + size;
            // Only certificates are so long that they go on in the next record.
            let fits = end <= length || kind == 11 && size < 1 << 17;
            // A HelloRequest is alone (RFC 5246 §7.4.1.1). Zeros in a row are how an encrypted record may begin: with the
            // explicit part of a nonce (RFC 5288 §3).
            if !fits || kind == 0 && length != 4 {
                return None;
            }
            found.push((kind, name));
            at = end;
        }
        if let (Some(message), true) = (found.last(), at > length) {
            self.rest = Some((*message, at - length));
        }
        Some(found)
    }
}

/// The name of a handshake message (RFC 8446 §4, and RFC 5246 §7.4 for TLS 1.2).
fn handshake(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "HelloRequest",
        1 => "ClientHello",
        2 => "ServerHello",
        4 => "NewSessionTicket",
        8 => "EncryptedExtensions",
        11 => "Certificate",
        12 => "ServerKeyExchange",
        13 => "CertificateRequest",
        14 => "ServerHelloDone",
        15 => "CertificateVerify",
        16 => "ClientKeyExchange",
        20 => "Finished",
        22 => "CertificateStatus",
        _ => return None,
    })
}

/// The records of TLS that bytes begin with: header, and as much of the content as is there.
pub(crate) struct TlsRecords<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for TlsRecords<'a> {
    type Item = (&'a [u8; 5], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, rest) = self.0.split_first_chunk::<5>()?;
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        // Type, legacy version 3.0 to 3.4, and at most 2^14 + 2048 bytes (RFC 5246 §6.2.3).
        let is_record = matches!(header[0], 20..=23) && header[1] == 3 && header[2] <= 4 && length <= (1 << 14) + 2048;
        if !is_record || length == 0 {
            return None;
        }
        let body = &rest[..length.min(rest.len())];
        self.0 = &rest[body.len()..];
        Some((header, body))
    }
}
