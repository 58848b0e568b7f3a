//! As much of a DNS message as a soak needs (RFC 1035 §4.1, RFC 6891 §6.1, RFC 8914).

/// SERVFAIL.
pub(crate) const SERVFAIL: u8 = 2;
/// NXDOMAIN.
pub(crate) const NXDOMAIN: u8 = 3;
/// The option of an extended error.
const EDE: u16 = 15;
const OPT: u16 = 41;

/// What a reply says, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) id: u16,
    pub(crate) rcode: u8,
    pub(crate) answers: u16,
    /// Whether it says why, in an extended error.
    pub(crate) says_why: bool,
}

/// A question for the address of a name, with recursion and EDNS.
pub(crate) fn query(id: u16, name: &str) -> Vec<u8> {
    let mut message = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    message[..2].copy_from_slice(&id.to_be_bytes());
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    // The root, OPT, 1232 bytes, nothing else.
    message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    message
}

/// Reads a reply; `None` where it is none.
pub(crate) fn reply(bytes: &[u8]) -> Option<Reply> {
    let (id, flags) = (word(bytes, 0)?, word(bytes, 2)?);
    if flags & 0x8000 == 0 {
        return None;
    }
    let counts = [word(bytes, 4)?, word(bytes, 6)?, word(bytes, 8)?, word(bytes, 10)?];
    let mut at = 12;
    for _ in 0..counts[0] {
        at = behind_name(bytes, at)? + 4;
    }
    let mut says_why = false;
    for _ in 0..counts[1..].iter().map(|count| usize::from(*count)).sum() {
        at = behind_name(bytes, at)?;
        let (rtype, length) = (word(bytes, at)?, usize::from(word(bytes, at + 8)?));
        let data = bytes.get(at + 10..at + 10 + length)?;
        says_why |= rtype == OPT && has_option(data, EDE);
        at += 10 + length;
    }
    Some(Reply { id, rcode: (flags & 0x0f) as u8, answers: counts[1], says_why })
}

fn has_option(mut data: &[u8], wanted: u16) -> bool {
    while let (Some(code), Some(length)) = (word(data, 0), word(data, 2)) {
        if code == wanted {
            return true;
        }
        data = data.get(4 + usize::from(length)..).unwrap_or_default();
    }
    false
}

fn behind_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        let mut message = query(7, "www.example.test");
        assert_eq!(reply(&message), None);
        message[2] |= 0x80;
        message[3] |= SERVFAIL;
        assert_eq!(reply(&message), Some(Reply { id: 7, rcode: SERVFAIL, answers: 0, says_why: false }));
        let end = message.len();
        message[end - 1] = 6;
        message.extend([0, 15, 0, 2, 0, 22]);
        assert!(reply(&message).is_some_and(|reply| reply.says_why));
        assert_eq!(reply(&message[..end + 3]), None);
    }
}
