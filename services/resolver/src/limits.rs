//! The bounds of what one client's query may cost. Pure.
//!
//! A resolver without them is a weapon: a referral to a thousand invented names makes it send thousands of queries to
//! servers that an attacker chose (NXNSAttack, CVE-2020-8616). Every transmission counts, also retransmissions, TCP
//! connections and the queries for addresses of name servers.

/// Datagrams and connections for one client's query, everything included. Unbound stops at 32 per name, BIND at 50.
pub(crate) const MAX_ATTEMPTS: usize = 40;
/// Servers that are asked the same question.
pub(crate) const MAX_SERVERS: usize = 12;
/// Name servers whose addresses are looked up for one question to a zone.
pub(crate) const MAX_LOOK_UPS: usize = 4;
/// Look-ups of addresses within look-ups of addresses.
pub(crate) const MAX_DEPTH: usize = 4;
/// Name servers kept of one delegation.
pub(crate) const MAX_NAMES: usize = 16;
/// Addresses kept of one name server.
pub(crate) const MAX_ADDRESSES: usize = 8;
/// Aliases followed. Unbound restarts a query 11 times.
pub(crate) const MAX_ALIASES: usize = 16;
/// Referrals followed for one name: every one of them leads at least a label down.
pub(crate) const MAX_REFERRALS: usize = 24;

/// Records are kept no longer than this, in seconds, whatever their TTL says: RFC 8767 §4 names 7 days.
pub(crate) const LONGEST_TTL: u32 = 604_800;
/// "No" is believed no longer than this, in seconds (RFC 2308 §5 finds one to three hours sensible).
pub(crate) const LONGEST_NO: u32 = 10_800;
