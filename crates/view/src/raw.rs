//! `tcp://` and `udp://`: what went to and fro, and the socket calls behind it, this side's and the other's in two columns.

use journey::{
    Event, Evidence, Hop, Journey, StageName, StageState, What,
    event::ClosedBy,
    evidence::Placed,
    stage::{Call, Did, Receive, Stage},
};
use text::clean;

use super::{
    page::{Ink, Page, Piece, dim, piece, plain, width},
    screen::{self, INDENT},
    words::{self, duration},
};

/// Lines of an answer that are shown; all that is kept with `--verbose`.
const MOST_LINES: usize = 8;
/// Columns of what was sent that are shown beside its size.
const SENT: usize = 40;
/// Calls of one stage that are shown without `--verbose`; the journey has more.
const MOST_CALLS: usize = 8;
/// Calls of the other side that are shown without `--verbose`.
const MOST_OF_OTHER: usize = 12;
/// Columns before the first side's calls: the stage's name, and the time.
const BEFORE: usize = 10 + 11;

/// What a stage is about, where no HTTP is spoken.
pub(super) fn summary(hop: &Hop, stage: &Stage) -> Option<Vec<Piece>> {
    if !hop.is_raw() {
        return None;
    }
    let over_udp = hop.scheme() == "udp";
    let note = stage.note.as_deref().unwrap_or_default();
    Some(match &stage.did {
        Did::Url(url) => {
            let port = url.port.unwrap_or_default();
            vec![plain(format!("{} · host {} · port {port}", url.scheme, url.host))]
        }
        Did::Connect(connect) if over_udp => {
            let mut line = connect.connected().map(screen::connected).unwrap_or_default();
            line.push(dim(format!(" · {}", opens_nothing(hop))));
            line
        }
        Did::Send(_) | Did::Receive(_) if stage.state == StageState::Skipped => vec![dim(note)],
        Did::Send(send) => {
            let mut line = vec![plain(words::bytes(send.bytes.unwrap_or_default()))];
            if over_udp {
                line.push(plain(" in one datagram"));
            }
            line.extend(sent(send.bytes.unwrap_or_default(), send.text.as_deref()));
            if over_udp {
                line.push(dim(" · it is not sent again"));
            }
            line
        }
        Did::Wait(_) if note.is_empty() => {
            vec![plain(if over_udp { "until a datagram came" } else { "until the first byte came" })]
        }
        Did::Wait(_) => vec![plain(note)],
        Did::Receive(receive) => {
            vec![plain(words::bytes(receive.bytes.unwrap_or_default())), dim(format!(" · {note}"))]
        }
        Did::Close(_) if over_udp => vec![plain("the socket is given back; the other side hears nothing of it")],
        Did::Close(close) => screen::closing(close),
        Did::Name(_) | Did::Route(_) | Did::Connect(_) | Did::Tls(_) => return None,
    })
}

fn opens_nothing(hop: &Hop) -> String {
    let addresses = match hop.stage(StageName::Name).map(|stage| &stage.did) {
        Some(Did::Name(name)) => name.addresses.len(),
        _ => 0,
    };
    match addresses {
        0 | 1 => "UDP opens nothing".to_owned(),
        _ => format!("UDP opens nothing; the first of {addresses} addresses, as nobody would tell which one works"),
    }
}

/// What was sent, in as much of a line as there is for it.
fn sent(bytes: u64, text: Option<&str>) -> Option<Piece> {
    match text {
        _ if bytes == 0 => None,
        None => Some(dim(": no text")),
        Some(text) => Some(plain(format!(": {}", fitted(&one_line(text), SENT)))),
    }
}

/// A text with its line ends written out as one types them, and clean.
fn one_line(text: &str) -> String {
    clean(&text.replace('\r', "\\r").replace('\n', "\\n").replace('\t', "\\t"))
}

/// As much of a clean text as fits into these columns.
fn fitted(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut taken = 0;
    let fits = |c: &char| {
        taken += width(c.encode_utf8(&mut [0; 4]));
        taken < columns
    };
    let mut begin: String = text.chars().take_while(fits).collect();
    begin.push('…');
    begin
}

/// The begin of what came.
pub(super) fn received(page: &mut Page, receive: &Receive, verbose: bool) {
    let bytes = receive.bytes.unwrap_or_default();
    let Some(text) = receive.text.as_deref() else {
        if bytes > 0 {
            page.line(INDENT, &[dim(format!("{:INDENT$}{} that are no text", "", words::bytes(bytes)))]);
        }
        return;
    };
    let columns = page.style().width.saturating_sub(INDENT + 2);
    let lines: Vec<&str> = text.lines().collect();
    let shown = if verbose { lines.len() } else { lines.len().min(MOST_LINES) };
    for line in &lines[..shown] {
        let line = fitted(one_line(line).trim_end(), columns);
        page.line(0, &[dim(format!("{:INDENT$}│ ", "")), plain(line)]);
    }
    let kept = text.len() as u64;
    let rest = lines.len() - shown;
    if rest > 0 || bytes > kept {
        let mut more = Vec::new();
        if rest > 0 {
            more.push(words::count(rest, "more line"));
        }
        // The text has more bytes than came where some of them could not be read.
        if bytes > kept {
            more.push(format!("{} are kept of {}", words::bytes(kept), words::bytes(bytes)));
        }
        page.line(INDENT + 2, &[dim(format!("{:INDENT$}│ … {}", "", more.join("; ")))]);
    }
}

/// Whether socket calls were noted.
pub(super) fn has_calls(hop: &Hop) -> bool {
    hop.stages.iter().any(|stage| !stage.calls.is_empty())
}

/// A line of the table: a call of this side, or what the other side says it did.
struct Row<'a> {
    // The other side's: none where its clock cannot be compared.
    at_us: Option<i64>,
    stage: &'a str,
    mine: bool,
    text: String,
    after: Option<u64>,
}

/// The socket calls of both sides, on one time line.
pub(super) fn calls(page: &mut Page, journey: &Journey, hop: &Hop, verbose: bool) {
    let server = hop.stage(StageName::Connect).and_then(|stage| match &stage.did {
        Did::Connect(connect) => connect.connected(),
        _ => None,
    });
    let host = server.and_then(|attempt| attempt.host.as_deref());
    let over_udp = hop.scheme() == "udp";
    let mut rows: Vec<Row<'_>> = hop.stages.iter().flat_map(|stage| own(stage, over_udp, verbose)).collect();
    let theirs = journey.events.iter().filter(|event| Some(&*event.host) == host);
    let theirs: Vec<Row<'_>> = theirs.filter_map(|event| other(event, over_udp)).collect();
    let heading = match (host, theirs.is_empty()) {
        (Some(host), false) => format!("{host}, as it reports"),
        (Some(host), true) => format!("{host} reports nothing of it"),
        (None, _) => String::new(),
    };
    rows.extend(if verbose { theirs } else { most(theirs) });
    // A stable order: what happened in the same microsecond stays as each side has it.
    rows.sort_by_key(|row| (row.at_us.is_none(), row.at_us));

    let wide = page.style().width;
    let second = BEFORE + (wide.saturating_sub(BEFORE) / 2).min(46);
    let mut first = vec![dim(format!("  {:>1$}", "µs", BEFORE - 3)), piece(Ink::Bold, " you")];
    if !heading.is_empty() {
        first.push(plain(" ".repeat(second.saturating_sub(BEFORE + width("you")))));
        first.push(piece(Ink::Host, heading));
    }
    page.gap();
    page.line(second, &first);
    let mut stage = "";
    for row in &rows {
        let at = row.at_us.map_or_else(|| "order only".to_owned(), |us| us.to_string());
        let name = if row.mine && row.stage != stage { row.stage } else { "" };
        if row.mine {
            stage = row.stage;
        }
        let mut line = vec![plain(format!("  {name:8}")), dim(format!("{at:>10} "))];
        let hang = if row.mine { BEFORE } else { second };
        line.push(plain(" ".repeat(hang - BEFORE)));
        line.push(piece(if row.mine { Ink::Plain } else { Ink::Host }, &row.text));
        if let Some(us) = row.after {
            line.push(dim(format!("  after {}", duration(us))));
        }
        page.line(hang + 2, &line);
    }
}

/// This side's calls of a stage. One that waits stands where it came back, the others where they were made: what they set
/// off can be seen elsewhere before they come back.
fn own(stage: &Stage, over_udp: bool, verbose: bool) -> Vec<Row<'_>> {
    let name = stage.name().as_str();
    let row = |call: &Call| {
        let waits = match call.name.as_str() {
            "recv" | "…" => true,
            "connect" => !over_udp,
            _ => false,
        };
        let at_us = if waits { call.at_us.saturating_add(call.duration_us) } else { call.at_us };
        let gave = if call.gave.is_empty() { String::new() } else { format!(" = {}", call.gave) };
        let text = match call.name.as_str() {
            "…" if call.stands_for > 0 => format!("… {}", words::count(count(call.stands_for), "more call")),
            // As earlier versions wrote it.
            "…" => format!("… {}", call.with),
            name => format!("{name}({}){gave}", call.with),
        };
        // That nothing came says itself for how long.
        let after = (waits && call.name != "…" && !call.gave.starts_with("nothing")).then_some(call.duration_us);
        Row { at_us: i64::try_from(at_us).ok(), stage: name, mine: true, text, after }
    };
    // With all of them shown, the last may still stand for many.
    let shown = if verbose { stage.calls.len() } else { MOST_CALLS };
    let mut rows: Vec<Row<'_>> = stage.calls.iter().take(shown).map(row).collect();
    if let Some(left_out @ 1..) = stage.calls.len().checked_sub(shown) {
        let last = &stage.calls[stage.calls.len() - 1];
        let at_us = i64::try_from(last.at_us.saturating_add(last.duration_us)).ok();
        // The last of those that are kept may stand for many.
        let more = count(last.stands_for);
        let count = (left_out - usize::from(more > 0)).saturating_add(more);
        rows.push(Row {
            at_us,
            stage: name,
            mine: true,
            text: format!("… {}", words::count(count, "more call")),
            after: None,
        });
    }
    rows
}

fn count(calls: u64) -> usize {
    usize::try_from(calls).unwrap_or(usize::MAX)
}

/// The first of the other side's calls and the last, with a word of those between them.
fn most(mut rows: Vec<Row<'_>>) -> Vec<Row<'_>> {
    if let Some(left_out @ 2..) = rows.len().checked_sub(MOST_OF_OTHER) {
        let last = rows.pop();
        rows.truncate(MOST_OF_OTHER - 1);
        if let Some(before) = rows.last() {
            let text = format!("… {}", words::count(left_out, "more call"));
            rows.push(Row { at_us: before.at_us, stage: "", mine: false, text, after: None });
        }
        rows.extend(last);
    }
    rows
}

/// What the other side says it did, as the call by which it learnt or did it.
fn other(event: &Event, over_udp: bool) -> Option<Row<'_>> {
    let Evidence::Reported { placed, .. } = &event.evidence else { return None };
    let text = match &event.what {
        What::ConnectionAccepted { peer, .. } => format!("accept() = {peer}"),
        What::RequestRead { bytes, .. } if over_udp => format!("recvfrom() = {}", as_written(*bytes)),
        What::ResponseWritten { bytes, .. } if over_udp => format!("sendto({})", as_written(*bytes)),
        What::RequestRead { bytes, .. } => format!("recv() = {}", as_written(*bytes)),
        What::ResponseWritten { bytes, .. } => format!("send({})", as_written(*bytes)),
        What::ConnectionClosed { by, .. } => match by {
            ClosedBy::Me => "close()",
            ClosedBy::MeReset => "close() with SO_LINGER 0: RST",
            ClosedBy::Peer => "recv() = 0, then close()",
            ClosedBy::PeerReset => "recv() = ECONNRESET, then close()",
            ClosedBy::TimeLimit => "close() after its time limit",
        }
        .to_owned(),
        _ => return None,
    };
    let at_us = event.at_us.filter(|_| *placed == Placed::Clock);
    Some(Row { at_us, stage: "", mine: false, text, after: None })
}

/// A number of bytes as this side's calls have it.
fn as_written(bytes: u64) -> String {
    if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") }
}

/// An event of this side in words.
pub(super) fn event(what: &What) -> String {
    match what {
        What::RequestSent { bytes } => format!("has sent {}", words::bytes(*bytes)),
        What::ResponseReceived { bytes } => format!("has {} in all", words::bytes(*bytes)),
        _ => "has the first of what comes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits() {
        let check = |text: &str, columns: usize, expected: &str| assert_eq!(fitted(text, columns), expected);
        check("hello", 5, "hello");
        check("hello!", 5, "hell…");
        check("百度百度", 5, "百度…");
        check("", 5, "");
    }

    #[test]
    fn one_line_as_it_is_typed() {
        assert_eq!(one_line("a\tb\r\n\x1b[2J\u{202e}"), "a\\tb\\r\\n\\u{1b}[2J\\u{202e}");
    }
}
