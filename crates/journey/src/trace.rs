//! The id that joins what several hosts say about one visit.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de};

/// 128 bits, not all zero: the `trace-id` of W3C Trace Context, and the payload of our private EDNS option.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String")]
pub struct TraceId([u8; 16]);

/// Text or bytes that are not a trace id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a trace id is 32 hexadecimal digits, not all zero")]
pub struct NotATraceId;

impl TraceId {
    /// The id made of these bytes; all zero is the one value that W3C Trace Context §3.2.2.3 forbids.
    pub fn new(bytes: [u8; 16]) -> Result<Self, NotATraceId> {
        if bytes == [0; 16] { Err(NotATraceId) } else { Ok(Self(bytes)) }
    }

    /// The id in the first 16 of these bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, NotATraceId> {
        Self::new(bytes.try_into().map_err(|_| NotATraceId)?)
    }

    /// The bytes, as they go into the EDNS option.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The value of a `traceparent` header for one request: version 00, this id, the span, sampled.
    /// A span of 0 is forbidden by the specification and is sent as 1.
    pub fn traceparent(&self, span: u64) -> String {
        format!("00-{self}-{:016x}-01", span.max(1))
    }

    /// The id in a `traceparent` header. Later versions may append fields; what precedes them keeps its place.
    pub fn from_traceparent(value: &str) -> Result<Self, NotATraceId> {
        let mut parts = value.trim().split('-');
        let version = parts.next().ok_or(NotATraceId)?;
        let id = parts.next().ok_or(NotATraceId)?;
        let is_hex = version.len() == 2 && version.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hex || version.eq_ignore_ascii_case("ff") {
            return Err(NotATraceId);
        }
        id.parse()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl FromStr for TraceId {
    type Err = NotATraceId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NotATraceId);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| NotATraceId)?;
        Self::new(number.to_be_bytes())
    }
}

impl Serialize for TraceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trip() {
        let id: TraceId = "0af7651916cd43dd8448eb211c80319c".parse().unwrap();
        let header = id.traceparent(0xb7ad_6b71_6920_3331);
        assert_eq!(header, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(TraceId::from_traceparent(&header), Ok(id));
        assert_eq!(TraceId::from_traceparent(&format!("{header}-later")), Ok(id));
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "00",
            "00-0af7",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-äf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceId::from_traceparent(text), Err(NotATraceId), "{text:?}");
        }
    }
}
