//! TCP and UDP.

use super::{Fields, Protocol, size};
use crate::decode::options::{Meaning, TcpOption};

/// The first byte of the flags is shared with the data offset.
const FLAGS: [(u8, &str, &str); 8] = [
    (8, "CWR", "it sends less now"),
    (9, "ECE", "congestion, or ECN is known"),
    (10, "URG", "the urgent pointer counts"),
    (11, "ACK", "it acknowledges"),
    (12, "PSH", "hand it over now"),
    (13, "RST", "broken off"),
    (14, "SYN", "it opens"),
    (15, "FIN", "its sender is done"),
];

pub(super) fn tcp(fields: &mut Fields<'_>) -> Protocol {
    let (offset, flags) = (usize::from(fields.byte(12) >> 4), fields.word(12));
    fields.add("source port", 0..2, fields.word(0).to_string());
    fields.add("destination port", 2..4, fields.word(2).to_string());
    fields.add("sequence number", 4..8, fields.long(4).to_string());
    fields.add("acknowledgment number", 8..12, fields.long(8).to_string());
    fields.bits("data offset", 12..14, 0..4, format!("{offset} × 4 = {} bytes", offset * 4));
    fields.bits("reserved", 12..14, 4..8, (flags >> 8 & 0xf).to_string());
    for (bit, name, meaning) in FLAGS {
        let is_set = flags >> (15 - bit) & 1 == 1;
        let meaning = if is_set { format!("1: {meaning}") } else { "0".to_owned() };
        fields.bits(name, 12..14, bit..bit + 1, meaning);
    }
    fields.add("window", 14..16, format!("{}, not scaled", fields.word(14)));
    fields.add("checksum", 16..18, format!("{:#06x}", fields.word(16)));
    fields.add("urgent pointer", 18..20, fields.word(18).to_string());
    let (options, flaw) = TcpOption::all(&fields.bytes[20..]);
    let mut at = 20;
    for option in options {
        let (name, meaning) = option_words(&option.what);
        at = 20 + option.range.end;
        fields.add(name, 20 + option.range.start..at, meaning);
    }
    if let Some(flaw) = flaw {
        fields.add("options, not read", at..fields.bytes.len(), flaw);
    }
    Protocol::Tcp
}

fn option_words(option: &Meaning) -> (&'static str, String) {
    match option {
        Meaning::End => ("option: end", String::new()),
        Meaning::NoOperation => ("option: no operation", String::new()),
        Meaning::MaximumSegmentSize(mss) => ("option: maximum segment size", size(usize::from(*mss))),
        // More than 14 counts as 14 (RFC 7323 §2.3).
        Meaning::WindowScale(shift) => {
            ("option: window scale", format!("{shift}: windows × {}", 1_u32 << (*shift).min(14)))
        }
        Meaning::SackPermitted => ("option: SACK permitted", String::new()),
        Meaning::Sack(blocks) => {
            let blocks: Vec<String> = blocks.iter().map(|(from, to)| format!("{from} to {to}")).collect();
            ("option: SACK", blocks.join(", "))
        }
        Meaning::Timestamps(own, heard) => ("option: timestamps", format!("{own}, heard {heard}")),
        Meaning::Unknown(kind) => ("option", format!("kind {kind}, not known here")),
    }
}

pub(super) fn udp(fields: &mut Fields<'_>) -> Protocol {
    fields.add("source port", 0..2, fields.word(0).to_string());
    fields.add("destination port", 2..4, fields.word(2).to_string());
    fields.add("length", 4..6, format!("{} with this header", size(usize::from(fields.word(4)))));
    let checksum = match fields.word(6) {
        0 => "0: none".to_owned(),
        sum => format!("{sum:#06x}"),
    };
    fields.add("checksum", 6..8, checksum);
    Protocol::Udp
}
