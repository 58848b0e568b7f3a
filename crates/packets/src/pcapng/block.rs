//! A block: type, length, body, options, length.

/// The longest that an option's value can be, so that it and its padding can be told in 16 bits.
const LONGEST: usize = 0xfffc;

/// A block that is being written, little-endian.
pub(super) struct Block {
    bytes: Vec<u8>,
    has_options: bool,
}

impl Block {
    pub(super) fn new(kind: u32) -> Self {
        let mut block = Self { bytes: Vec::new(), has_options: false };
        // The length is known when it ends.
        block.u32(kind).u32(0);
        block
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// A time, its upper half first.
    pub(super) fn time(&mut self, ns: u64) -> &mut Self {
        self.u32((ns >> 32) as u32).u32(ns as u32)
    }

    /// Bytes, and what is missing to a multiple of four.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// The same, behind their length.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).raw(bytes)
    }

    /// An option; or a record, which looks the same.
    pub(super) fn option(&mut self, code: u16, value: &[u8]) -> &mut Self {
        let value = &value[..value.len().min(LONGEST)];
        self.has_options = true;
        self.u16(code).u16(value.len() as u16).raw(value)
    }

    /// A comment for readers.
    pub(super) fn comment(&mut self, text: &str) -> &mut Self {
        let end = text.floor_char_boundary(LONGEST);
        self.option(1, &text.as_bytes()[..end])
    }

    /// No records follow, and no options.
    pub(super) fn end_of_records(&mut self) {
        self.has_options = false;
        self.u32(0);
    }

    /// Closes it, and appends it to the file.
    pub(super) fn end(mut self, file: &mut Vec<u8>) {
        if self.has_options {
            self.u32(0);
        }
        let length = u32::try_from(self.bytes.len() + 4).unwrap_or(u32::MAX);
        self.u32(length);
        self.bytes[4..8].copy_from_slice(&length.to_le_bytes());
        file.append(&mut self.bytes);
    }
}
