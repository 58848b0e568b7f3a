//! Files for Wireshark: pcapng (draft-ietf-opsawg-pcapng). Pure.
//!
//! A file has the frames of one link. With several links in one, readers take a packet's copy behind the router for a
//! retransmission.

mod block;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use journey::capture::{Capture, Fate, Frame, Link, LinkKind, Mac};

use block::Block;

/// What a file says besides the frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// When the visit began: nanoseconds since 1970.
    pub base_ns: u64,
    /// Names of hosts.
    pub names: &'a [(IpAddr, String)],
    /// What decrypts its TLS connections, in the format of SSLKEYLOGFILE (RFC 9850).
    pub keys: Option<&'a str>,
}

/// LINKTYPE_ETHERNET and LINKTYPE_RAW.
const ETHERNET: u16 = 1;
const RAW: u16 = 101;

/// The name of whoever visits.
const YOU: &str = "you";

/// A file for every link: the link's name, and the file's bytes.
pub fn files(capture: &Capture, about: About<'_>) -> Vec<(String, Vec<u8>)> {
    let links = capture.links.iter().enumerate();
    links.map(|(index, link)| (link.name.clone(), file(capture, index, link, about))).collect()
}

/// The link that `you` are on; the first one where that is not known.
pub fn link_of_you(capture: &Capture) -> Option<usize> {
    let has_you = |link: &Link| link.ports.iter().any(|port| port.host == YOU);
    capture.links.iter().position(has_you).or_else(|| (!capture.links.is_empty()).then_some(0))
}

fn file(capture: &Capture, index: usize, link: &Link, about: About<'_>) -> Vec<u8> {
    let mut file = Vec::new();
    let is_here = |frame: &&Frame| frame.link == index;
    section(capture).end(&mut file);
    interface(link).end(&mut file);
    if !about.names.is_empty() {
        names(about.names).end(&mut file);
    }
    // In front of the packets that it decrypts.
    if let Some(keys) = about.keys {
        secrets(keys).end(&mut file);
    }
    let (mut count, mut last) = (0, about.base_ns);
    for frame in capture.frames.iter().filter(is_here) {
        last = about.base_ns.saturating_add_signed(frame.at_ns);
        packet(link, frame, last).end(&mut file);
        count += 1;
    }
    statistics(capture, last, count).end(&mut file);
    file
}

/// A Section Header Block.
fn section(capture: &Capture) -> Block {
    let mut block = Block::new(0x0a0d_0d0a);
    // Its byte order, version 1.0, and that its length is not told.
    block.u32(0x1a2b_3c4d).u16(1).u16(0).u64(u64::MAX);
    if let Some(cut) = &capture.cut {
        block.comment(&format!("The capture is not complete: {cut}"));
    }
    block.option(4, concat!("visit ", env!("CARGO_PKG_VERSION")).as_bytes());
    block
}

/// An Interface Description Block.
fn interface(link: &Link) -> Block {
    let mut block = Block::new(1);
    let kind = match link.kind {
        LinkKind::Segment | LinkKind::Ethernet | LinkKind::Loopback => ETHERNET,
        LinkKind::Ip => RAW,
    };
    // No frame is cut for being too long.
    block.u16(kind).u16(0).u32(0);
    block.option(2, link.name.as_bytes());
    let ports = link.ports.iter().map(|port| {
        let addresses = port.addresses.iter().cloned().chain(port.mac.map(|mac| mac.to_string()));
        let known: Vec<_> =
            [port.interface.clone()].into_iter().filter(|name| !name.is_empty()).chain(addresses).collect();
        if known.is_empty() { port.host.clone() } else { format!("{} ({})", port.host, known.join(", ")) }
    });
    let ports: Vec<_> = ports.collect();
    if !ports.is_empty() {
        block.option(3, ports.join("; ").as_bytes());
    }
    // A segment has none of its own, its hosts do.
    if let ([port], false) = (&link.ports[..], link.kind == LinkKind::Segment)
        && let Some(Mac(mac)) = port.mac
    {
        block.option(6, &mac);
    }
    if let Some(why) = link.kind.no_link_layer() {
        block.comment(why);
    }
    // Times are in units of 10^-9 s.
    block.option(9, &[9]);
    block
}

/// A Name Resolution Block.
fn names(names: &[(IpAddr, String)]) -> Block {
    let mut block = Block::new(4);
    for (address, name) in names {
        let (kind, mut value) = match address {
            IpAddr::V4(address) => (1, address.octets().to_vec()),
            IpAddr::V6(address) => (2, address.octets().to_vec()),
        };
        // A name ends with a zero.
        value.extend(name.bytes().filter(|&byte| byte != 0));
        value.push(0);
        block.option(kind, &value);
    }
    block.end_of_records();
    block
}

/// A Decryption Secrets Block.
fn secrets(keys: &str) -> Block {
    let mut block = Block::new(0xa);
    // "TLSK".
    block.u32(0x544c_534b).bytes(keys.as_bytes());
    block
}

/// An Enhanced Packet Block.
fn packet(link: &Link, frame: &Frame, at_ns: u64) -> Block {
    let mut block = Block::new(6);
    let kept = u32::try_from(frame.bytes.0.len()).unwrap_or(u32::MAX);
    block.u32(0).time(at_ns).u32(kept).u32(frame.len.max(kept)).raw(&frame.bytes.0);
    for comment in comments(frame) {
        block.comment(&comment);
    }
    if let Some(direction) = direction(link, frame) {
        block.option(2, &direction.to_le_bytes());
    }
    block
}

/// What a reader should know of a frame and cannot see.
fn comments(frame: &Frame) -> Vec<String> {
    let mut comments = Vec::new();
    match &frame.fate {
        Fate::Dropped { why } => comments.push(format!("Not sent on: {why}")),
        Fate::Passed { altered: Some(altered), .. } => comments.push(altered.clone()),
        Fate::Passed { .. } | Fate::Seen => {}
    }
    if frame.unfilled_checksum == Some(true) {
        comments.push("Its checksum was left to a device, and is not filled in here".to_owned());
    }
    if let Some(why) = &frame.cut {
        comments.push(format!("Not all of its bytes are kept: {why}"));
    }
    comments
}

/// Seen from `you`: 1 is inbound, 2 is outbound. What passes between others is neither.
fn direction(link: &Link, frame: &Frame) -> Option<u32> {
    let is_from_you = frame.from.as_deref() == Some(YOU);
    match &frame.fate {
        // Out and in at once.
        _ if link.kind == LinkKind::Loopback => None,
        _ if is_from_you => Some(2),
        Fate::Passed { to, .. } if to.iter().any(|host| host == YOU) => Some(1),
        Fate::Seen if frame.from.is_none() && link.kind != LinkKind::Segment => Some(1),
        _ => None,
    }
}

/// An Interface Statistics Block.
fn statistics(capture: &Capture, at_ns: u64, count: u64) -> Block {
    let mut block = Block::new(5);
    block.u32(0).time(at_ns);
    match (capture.lost, capture.links.len()) {
        (0, _) | (_, 1) => {
            block.option(7, &capture.lost.to_le_bytes());
        }
        (lost, _) => {
            block.comment(&format!(
                "{lost} frames were lost from this and the other links' files; nothing tells which ones"
            ));
        }
    }
    block.option(8, &count.to_le_bytes());
    block
}
