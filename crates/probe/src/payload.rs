//! What is sent to `tcp://` and `udp://`.

/// What is sent to a server that is not spoken HTTP to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing.
    Nothing {
        /// Why, in words.
        why: String,
    },
}
