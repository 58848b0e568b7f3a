//! What the kernel says of a TCP connection.

use journey::stage::TcpInfo;

use super::{
    page::{Ink, Page, Piece, dim, piece},
    screen::INDENT,
    words::{self, count, duration},
};

/// What one looks for first when a connection has been opened.
pub(super) fn opened(info: &TcpInfo) -> Piece {
    // A number without its name at the end of a line is hard to read.
    let rtt = info.rtt_us.map(|us| format!(" · {}", format!("rtt {}", duration(us.into())).replace(' ', "\u{a0}")));
    let mss = info.snd_mss.map(|mss| format!(" · mss\u{a0}{mss}"));
    let again = again(info).map(|again| format!(" · {again}"));
    let ink = if again.is_some() { Ink::Warn } else { Ink::Dim };
    piece(ink, [rtt, mss, again].into_iter().flatten().collect::<String>())
}

/// What deserves a look when a connection is closed.
pub(super) fn closing(info: &TcpInfo) -> Option<Piece> {
    Some(piece(Ink::Warn, format!(" · {} over the connection's life, until it was closed", again(info)?)))
}

fn again(info: &TcpInfo) -> Option<String> {
    let segments = info.retransmits.filter(|segments| *segments > 0)?;
    Some(format!("{} sent again", count(segments as usize, "segment")))
}

/// All of it.
pub(super) fn details(page: &mut Page, info: &TcpInfo, when: &str) {
    let time = |what: &str, us: Option<u32>| us.map(|us| format!("{what} {}", duration(us.into())));
    let number = |value: Option<u32>, what: &str| value.map(|value| format!("{value} {what}"));
    let named = |what: &str, value: Option<u32>| value.map(|value| format!("{what} {value}"));
    let bytes = |value: Option<u64>, what: &str| value.map(|value| format!("{} {what}", words::bytes(value)));
    let line = |page: &mut Page, what: &str, parts: &[Option<String>]| {
        let parts: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
        if !parts.is_empty() {
            page.line(INDENT + 4, &[dim(format!("{:1$}{what}{2}", "", INDENT + 2, parts.join(", ")))]);
        }
    };
    page.line(INDENT + 2, &[dim(format!("{:INDENT$}this machine's kernel, {when}: {}", "", info.state))]);
    let rtt = [time("rtt", info.rtt_us), time("varying by", info.rttvar_us), time("least", info.min_rtt_us)];
    line(page, "", &rtt);
    let sizes = [
        named("sent", info.snd_mss),
        named("reckoned with", info.rcv_mss),
        named("received at most", info.advmss),
        named("path mtu", info.pmtu),
    ];
    line(page, "mss: ", &sizes);
    let windows = [
        number(info.snd_cwnd, "segments for congestion"),
        bytes(info.snd_wnd.map(u64::from), "the server's"),
        bytes(info.rcv_wnd.map(u64::from), "yours"),
    ];
    line(page, "windows: ", &windows);
    let segments = [
        number(info.unacked, "not acknowledged"),
        number(info.lost, "lost"),
        number(info.retransmits, "sent again since it began"),
    ];
    line(page, "segments: ", &segments);
    let all = [
        bytes(info.bytes_acked, "acknowledged"),
        bytes(info.bytes_received, "received"),
        bytes(info.notsent_bytes.map(u64::from), "not sent yet"),
    ];
    line(page, "with SYN and FIN as a byte each: ", &all);
}
