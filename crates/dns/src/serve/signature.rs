//! Records that belong to a message rather than to its data: OPT (RFC 6891 §6.1.1) and TSIG (RFC 8945 §5.1), and where they
//! may stand. hickory 0.26 without DNSSEC takes a TSIG record for data.

use hickory_proto::{
    op::HeaderCounts,
    rr::{
        RData, Record, RecordType,
        rdata::{TSIG, tsig::TsigError},
    },
    serialize::binary::{BinDecodable, BinDecoder, BinEncodable},
};

/// A message's header (RFC 1035 §4.1.1).
const HEADER: usize = 12;
/// The class of a TSIG record.
const ANY: u16 = 255;

/// The TSIG record at the end of a query with one question, where there is one. `None` where a record of either kind
/// stands where it may not, or there are two: the whole message is malformed then.
pub(super) fn find(bytes: &[u8], counts: HeaderCounts) -> Option<Option<Record>> {
    let mut at = after_name(bytes, HEADER)? + 4;
    let mut seen_opt = false;
    let before = usize::from(counts.answers) + usize::from(counts.authorities);
    let all = before + usize::from(counts.additionals);
    for record in 0..all {
        let (start, head) = (at, after_name(bytes, at)?);
        let [rtype, class, length] = [0, 2, 8].map(|offset| u16_at(bytes, head + offset));
        at = head + 10 + usize::from(length?);
        match RecordType::from(rtype?) {
            RecordType::OPT if record < before || seen_opt || head != start + 1 => return None,
            RecordType::OPT => seen_opt = true,
            RecordType::TSIG if record + 1 < all || record < before || class? != ANY => return None,
            RecordType::TSIG => {
                let mut decoder = BinDecoder::new(bytes).clone(u16::try_from(start).ok()?);
                let signature = Record::read(&mut decoder).ok()?;
                return matches!(signature.data, RData::TSIG(_)).then_some(Some(signature));
            }
            _ => {}
        }
    }
    Some(None)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// Where a name ends: behind the root's zero, or behind a pointer (RFC 1035 §4.1.4).
fn after_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*bytes.get(at)?) {
            0 => return Some(at + 1),
            length if length < 64 => at += 1 + length,
            pointer if pointer >= 192 => return Some(at + 2),
            _ => return None,
        }
    }
}

/// The record that refuses another one's key: the same key, no signature, the error, and the times of the query, as the
/// client has to tell which query it belongs to.
pub(super) fn refused(mut signature: Record) -> Record {
    if let RData::TSIG(asked) = signature.data {
        let TSIG { algorithm, time, fudge, oid, .. } = asked;
        let tsig = TSIG::new(algorithm, time, fudge, Vec::new(), oid, Some(TsigError::BadKey), Vec::new());
        signature.data = RData::TSIG(tsig);
    }
    signature
}

/// The message with one more record at its end.
pub(super) fn appended(mut message: Vec<u8>, record: Record) -> Option<Vec<u8>> {
    let count = u16_at(&message, 10)?.checked_add(1)?;
    message.get_mut(10..HEADER)?.copy_from_slice(&count.to_be_bytes());
    message.extend(record.to_bytes().ok()?);
    Some(message)
}
