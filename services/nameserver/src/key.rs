//! Names as look-ups compare them.
//!
//! A key is a name as the wire has it, in lower case: every label behind its length, the root's zero at the end. All
//! names above it are ends of it ([`parent`]), so a walk towards the root allocates nothing, and names that differ only
//! in case have one key (RFC 4343).

use hickory_proto::rr::Name;

/// A name on the wire is at most this long (RFC 1035 §2.3.4).
const LONGEST: usize = 255;

/// The key of the root.
pub const ROOT: &[u8] = &[0];

/// A key in a buffer of its own, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    bytes: [u8; LONGEST],
    len: usize,
    labels: u8,
}

impl Key {
    /// The key of this name.
    pub fn of(name: &Name) -> Self {
        let mut key = Self { bytes: [0; LONGEST], len: 1, labels: 0 };
        let mut at = 0;
        for label in name {
            // A `Name` keeps the limits of RFC 1035: 63 bytes for a label, 255 for all.
            let (length, text) = key.bytes[at..].split_at_mut(1);
            length[0] = label.len() as u8;
            text[..label.len()].copy_from_slice(label);
            text[..label.len()].make_ascii_lowercase();
            at += 1 + label.len();
            key.labels += 1;
        }
        key.len = at + 1;
        key
    }

    /// The key itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// How many labels it has; the root has none.
    pub fn labels(&self) -> u8 {
        self.labels
    }
}

/// The name above; `None` above the root.
pub fn parent(key: &[u8]) -> Option<&[u8]> {
    match key.first().copied() {
        None | Some(0) => None,
        Some(length) => key.get(1 + usize::from(length)..),
    }
}

/// This key, then every name above it up to the root.
pub fn upwards(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(key), |key| parent(key))
}

/// Whether `key` is `top` or below it.
pub fn is_within(key: &[u8], top: &[u8]) -> bool {
    upwards(key).any(|above| above == top)
}

/// Whether the key's first label is `*`.
pub fn is_wildcard(key: &[u8]) -> bool {
    key.starts_with(&[1, b'*'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Vec<u8> {
        Key::of(&Name::from_ascii(name).unwrap()).as_bytes().to_vec()
    }

    #[test]
    fn case_and_ends() {
        assert_eq!(key("wWw.Example.Local."), b"\x03www\x07example\x05local\x00");
        assert_eq!(key("."), ROOT);
        let name = key("a.b.");
        let above: Vec<_> = upwards(&name).collect();
        assert_eq!(above, [&b"\x01a\x01b\x00"[..], b"\x01b\x00", b"\x00"]);
        assert!(is_within(&key("a.b."), &key("b.")) && is_within(&key("b."), ROOT));
        // The end of the bytes, but not of the labels.
        assert!(!is_within(&key("xb."), &key("b.")));
        assert!(is_wildcard(&key("*.b.")) && !is_wildcard(&key("b.")) && !is_wildcard(b"\x02*a\x00"));
    }

    #[test]
    fn the_longest_name() {
        let label = "a".repeat(63);
        let name: Name = format!("{label}.{label}.{label}.{}.", "a".repeat(61)).parse().unwrap();
        assert_eq!(Key::of(&name).as_bytes().len(), LONGEST);
    }
}
