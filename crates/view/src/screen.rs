//! A journey for people: what was visited where, every stage, the time line, the verdict.

use journey::{
    Evidence, Hop, HostReport, Journey, LabNetwork, Place, Stage, StageName, StageState, What,
    chronicle::YOU,
    stage::{Attempt, Close, Closer, Connect, Did, Framing, Header, Name, NameSource, PeerEnd, Receive, Send, Tried},
};

use ::packets::layers::Model;

use super::{
    causes, layers, name, packets,
    page::{Ink, Page, Piece, Style, dim, piece, plain},
    raw, root_walk, route, tcp, tls,
    waterfall::waterfall,
    words::{self, count, duration},
};
use secrets::Secrets;

/// More addresses than these are counted, not shown.
const MOST_ADDRESSES: usize = 6;

/// Columns before a stage's details.
pub(super) const INDENT: usize = 4;

/// How much is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Everything.
    pub verbose: bool,
    /// The response's head.
    pub head: bool,
    /// Every frame, in place of the few lines on this machine's own.
    pub packets: bool,
    /// The frames of the connection, layer by layer.
    pub layers: Option<Model>,
    /// What the frames of these views say as it is, credentials and tokens too.
    pub secrets: Secrets,
}

/// A journey for people.
pub fn screen(journey: &Journey, style: &Style, detail: Detail) -> String {
    let mut page = Page::new(style);
    head(&mut page, journey);
    for (nth, hop) in journey.hops.iter().enumerate() {
        page.gap();
        if nth > 0 {
            page.line(2, &[dim(format!("redirect {nth} to ")), piece(Ink::Bold, &hop.url)]);
        }
        let (seen, unseen): (Vec<_>, Vec<_>) =
            hop.stages.iter().partition(|stage| stage.state != StageState::NotReached);
        for stage in seen {
            // That a scheme has no TLS is said by the scheme.
            if stage.name() == StageName::Tls && stage.state == StageState::Skipped {
                continue;
            }
            show(&mut page, journey, hop, stage, detail);
        }
        if !unseen.is_empty() {
            // That a scheme has no TLS is said by the scheme; of a URL that could not be read nobody knows.
            let has_tls = matches!(hop.scheme(), "https" | "");
            let names = unseen.iter().map(|stage| stage.name()).filter(|name| has_tls || *name != StageName::Tls);
            let names: Vec<&str> = names.map(|name| name.as_str()).collect();
            page.line(2, &[dim(format!("· not reached: {}", names.join(", ")))]);
        }
        for note in &hop.notes {
            page.line(2, &[piece(Ink::Warn, format!("! {note}"))]);
        }
        if raw::has_calls(hop) {
            // It is a time line as well, and a finer one.
            raw::calls(&mut page, journey, hop, detail.verbose);
        } else {
            waterfall(&mut page, journey, hop);
        }
    }
    match detail.packets {
        true => packets::full(&mut page, journey, detail.verbose, detail.secrets),
        false => packets::condensed(&mut page, journey),
    }
    if let Some(model) = detail.layers {
        layers::unfolded(&mut page, journey, model, detail.secrets);
    }
    root_walk::section(&mut page, journey, detail.verbose);
    if detail.verbose {
        events(&mut page, journey);
    }
    page.gap();
    verdict(&mut page, journey);
    page.into_text()
}

fn head(page: &mut Page, journey: &Journey) {
    page.line(6, &[plain("visit "), piece(Ink::Bold, &journey.url)]);
    // What is no URL leads to no network.
    if journey.outcome.failed_stage == Some(StageName::Url) && journey.hops.len() < 2 {
        return;
    }
    page.line(6, &[dim(format!("      {}", place(&journey.place)))]);
    notes(page, &journey.place, &journey.faults);
}

/// What one should know of where a visit was made: why the lab has no network of its own, and what was disturbed on purpose.
pub(super) fn notes(page: &mut Page, place: &Place, faults: &[String]) {
    if let Place::EmbeddedLab { network: LabNetwork::Loopback { why: Some(why) }, .. } = place {
        let text = format!("      it could have no network of its own ({why}); `visit doctor` says what helps");
        page.line(6, &[piece(Ink::Warn, text)]);
    }
    if !faults.is_empty() {
        page.line(6, &[piece(Ink::Warn, format!("      faults set for this visit: {}", faults.join("; ")))]);
    }
}

/// Where a visit took place, in words.
pub(super) fn place(place: &Place) -> String {
    match place {
        Place::EmbeddedLab { ready_us, hosts, network } => {
            let network = match network {
                LabNetwork::Loopback { .. } => "sockets on loopback stand in for its addresses".to_owned(),
                LabNetwork::Wire { segments, .. } => {
                    format!("its own network, {} and a router", count(segments.len(), "segment"))
                }
            };
            let (hosts, ready) = (count(*hosts, "host"), duration(*ready_us));
            format!("in the lab inside this program: {hosts}, ready in {ready}; {network}")
        }
        Place::RunningLab { described_by } => format!("in the lab that {described_by} describes"),
        Place::Internet => {
            "on the network of this machine; no host there reports, so this is what was seen from here".to_owned()
        }
    }
}

/// One stage: its line, and its details below.
fn show(page: &mut Page, journey: &Journey, hop: &Hop, stage: &Stage, detail: Detail) {
    let (mark, ink) = match stage.state {
        StageState::Done if stage.name() == StageName::Receive && hop.is_http_error() => ("!", Ink::Warn),
        StageState::Done => ("✔", Ink::Good),
        StageState::Failed => ("✘", Ink::Bad),
        StageState::Skipped | StageState::NotReached => ("·", Ink::Dim),
    };
    let time = stage.duration_us.map_or_else(String::new, duration);
    let label = format!(" {:8}{time:>9}  ", stage.name().as_str());
    let mut line =
        vec![piece(ink, mark), piece(if stage.state == StageState::Failed { Ink::Bad } else { Ink::Bold }, label)];
    match (stage.state, &stage.failure) {
        (StageState::Failed, Some(failure)) => line.push(piece(Ink::Bad, &failure.what)),
        _ => line.extend(raw::summary(hop, stage).unwrap_or_else(|| summary(journey, hop, stage))),
    }
    if stage.state == StageState::Done && !hop.is_raw() {
        line.extend(caveat(stage));
    }
    page.line(21, &line);
    match &stage.did {
        Did::Name(told) => name::details(page, journey, hop, told, detail.verbose),
        Did::Route(did) => route::details(page, hop, stage, did, detail.verbose, detail.verbose || detail.packets),
        Did::Connect(_) if hop.scheme() == "udp" => {}
        Did::Connect(connect) => attempts(page, connect, detail.verbose),
        Did::Close(Close { kernel: Some(info), .. }) if detail.verbose => tcp::details(page, info, "before it"),
        Did::Tls(did) => tls::details(page, journey, did, detail.verbose),
        Did::Receive(receive) if hop.is_raw() => raw::received(page, receive, detail.verbose),
        Did::Send(_) if hop.is_raw() => {}
        Did::Send(send) if detail.verbose => headers(page, &request_line(send), &send.headers),
        Did::Receive(receive) => received(page, stage, receive, detail),
        _ => {}
    }
}

/// What its times are, where they are not those of its name or there are none.
fn caveat(stage: &Stage) -> Option<Piece> {
    match (&stage.evidence, &stage.note, &stage.did) {
        // These say it themselves.
        (.., Did::Name(_) | Did::Wait(_) | Did::Close(_)) => None,
        (Evidence::NotObservable { why, how }, ..) => {
            let how = how.as_ref().map_or_else(String::new, |how| format!(" (with {how} it is)"));
            Some(dim(format!("  not observable: {why}{how}")))
        }
        (_, Some(note), _) => Some(dim(format!("  {note}"))),
        _ => None,
    }
}

fn summary(journey: &Journey, hop: &Hop, stage: &Stage) -> Vec<Piece> {
    match &stage.did {
        Did::Url(url) => {
            vec![plain(format!(
                "{} · host {} · port {} · target {}",
                url.scheme,
                url.host,
                url.port.unwrap_or_default(),
                url.target
            ))]
        }
        Did::Name(told) => name_summary(stage, told),
        Did::Route(did) => route::summary(hop, stage, did),
        Did::Connect(connect) => connect.connected().map(connected).unwrap_or_default(),
        Did::Tls(did) => tls::summary(did),
        Did::Send(send) => {
            let what = [send.method.as_deref(), send.target.as_deref()];
            let what: Vec<&str> = what.into_iter().flatten().collect();
            let bytes = send.bytes.map_or_else(String::new, |count| format!(" · {}", words::bytes(count)));
            vec![plain(format!("{}{bytes}", what.join(" ")))]
        }
        Did::Wait(_) => wait(journey, hop, stage),
        Did::Receive(receive) => response(stage, receive),
        Did::Close(close) => match &stage.note {
            Some(note) => vec![piece(Ink::Warn, note)],
            None => {
                let mut line = closing(close);
                // Who sent the first FIN is another matter, which the frames tell.
                if hop
                    .received()
                    .and_then(|receive| receive.version.as_deref())
                    .is_some_and(|version| version.starts_with("HTTP/2"))
                {
                    line.push(dim(" (GOAWAY)"));
                }
                line
            }
        },
    }
}

fn name_summary(stage: &Stage, told: &Name) -> Vec<Piece> {
    let mut line = Vec::new();
    for (nth, address) in told.addresses.iter().take(MOST_ADDRESSES).enumerate() {
        if nth > 0 {
            line.push(plain(", "));
        }
        line.push(plain(address.ip.to_string()));
        if let Some(host) = &address.host {
            line.push(piece(Ink::Host, format!(" {host}")));
        }
    }
    if let Some(more @ 1..) = told.addresses.len().checked_sub(MOST_ADDRESSES) {
        line.push(dim(format!(" and {more} more")));
    }
    match (&stage.note, &told.source) {
        (Some(note), _) => line.push(dim(format!("  {note}"))),
        (None, Some(NameSource::HostsFile { path })) => line.push(dim(format!("  from {path}"))),
        (None, Some(NameSource::CommandLine { option })) => line.push(dim(format!("  as {option} says"))),
        (None, Some(NameSource::Localhost)) => line.push(dim("  this machine itself (RFC 6761)")),
        _ => {}
    }
    line
}

pub(super) fn connected(attempt: &Attempt) -> Vec<Piece> {
    let mut line = vec![plain(attempt.server.to_string())];
    if let Some(host) = &attempt.host {
        line.push(piece(Ink::Host, format!(" {host}")));
    }
    match (attempt.via, attempt.local) {
        (Some(via), _) => line.push(dim(format!("  {via} stands in for it"))),
        (None, Some(local)) => line.push(dim(format!("  from {local}"))),
        (None, None) => {}
    }
    // Of a socket that stands in, it says nothing of the way to the server.
    if let (Some(info), None) = (&attempt.kernel, attempt.via) {
        line.push(tcp::opened(info));
    }
    line
}

/// The attempts that did not lead to the connection: one that just succeeds needs no list.
fn attempts(page: &mut Page, connect: &Connect, verbose: bool) {
    if let Some(info) = connect.connected().and_then(|attempt| attempt.kernel.as_ref()).filter(|_| verbose) {
        tcp::details(page, info, "once it was open");
    }
    if connect.attempts.len() == 1 && connect.connected().is_some() {
        return;
    }
    for attempt in &connect.attempts {
        let (ink, result) = match &attempt.result {
            Tried::Connected => (Ink::Good, "connected"),
            Tried::Refused => (Ink::Bad, "refused: nothing listens on that port"),
            Tried::Timeout => (Ink::Bad, "no answer in time"),
            Tried::Abandoned => (Ink::Dim, "given up, another was faster"),
            Tried::Unreachable { why } | Tried::Failed { why, .. } => (Ink::Bad, why.as_str()),
        };
        let host = attempt.host.as_deref().unwrap_or("");
        let line = [
            plain(format!("{:INDENT$}{:23}", "", attempt.server.to_string())),
            piece(Ink::Host, format!(" {host:6}")),
            piece(ink, format!(" {result}")),
        ];
        page.line_with_right(INDENT + 31, &line, &dim(duration(attempt.duration_us)));
    }
    if let Some(waited) = connect.waited {
        let line = [dim(format!("{:INDENT$}nothing to try until the other family's addresses came", ""))];
        page.line_with_right(INDENT + 2, &line, &dim(duration(waited.duration_us)));
    }
}

/// What of the wait was the server's own work, as far as the server tells.
fn wait(journey: &Journey, hop: &Hop, stage: &Stage) -> Vec<Piece> {
    let mut line = vec![plain(stage.note.as_deref().unwrap_or("until the first byte came"))];
    let server = hop.stage(StageName::Connect).and_then(|stage| match &stage.did {
        Did::Connect(connect) => connect.connected().and_then(|attempt| attempt.host.clone()),
        _ => None,
    });
    let here = |at_us: Option<i64>| at_us.is_none() || hop.holds(at_us);
    let worked = journey.events.iter().find_map(|event| match event.what {
        What::ResponseWritten { elapsed_us, .. } if Some(&event.host) == server.as_ref() && here(event.at_us) => {
            Some(elapsed_us)
        }
        _ => None,
    });
    if let (Some(server), Some(us)) = (server, worked) {
        line.push(dim(format!("; {server} reports {} from request read to response written", duration(us))));
    }
    line
}

fn response(stage: &Stage, receive: &Receive) -> Vec<Piece> {
    let status = receive.status.unwrap_or_default();
    let ink = match status {
        200..300 => Ink::Good,
        400.. => Ink::Warn,
        _ => Ink::Plain,
    };
    let phrase = receive.reason_phrase.as_deref().unwrap_or("");
    let kind = receive.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-type"));
    let kind = kind.map_or_else(String::new, |header| format!(" · {}", header.value));
    // Its first byte is then its last one.
    let at_once = if stage.duration_us == Some(0) { ", all at once" } else { "" };
    let around = match receive.framing {
        Some(Framing::Chunked | Framing::EndStream) => "head and framing",
        _ => "the head",
    };
    let content = words::bytes(receive.content_bytes.unwrap_or_default());
    let codings = [&receive.codings[..], &receive.transfer_codings].concat().join(", ");
    let content = match receive.decoded_bytes {
        Some(decoded) => format!("{} sent as {content} {codings}", words::bytes(decoded)),
        None if codings.is_empty() || receive.content_bytes.unwrap_or(0) == 0 => content,
        None => format!("{content} of {codings}, not decoded"),
    };
    vec![
        piece(ink, format!("{status} {phrase}").trim()),
        plain(format!("{kind} · {content}")),
        dim(receive.bytes.map_or_else(String::new, |count| format!(", {} with {around}", words::bytes(count)))),
        dim(at_once),
    ]
}

fn request_line(send: &Send) -> String {
    let parts = [send.method.as_deref(), send.target.as_deref(), send.version.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn received(page: &mut Page, stage: &Stage, receive: &Receive, detail: Detail) {
    let Some(status) = receive.status else { return };
    if let Some(location) = receive.headers.iter().find(|header| header.name.eq_ignore_ascii_case("location")) {
        page.line(INDENT + 2, &[plain(format!("{:INDENT$}it points to ", "")), piece(Ink::Bold, &location.value)]);
    }
    for interim in &receive.interim {
        let text =
            format!("{:INDENT$}before it came {}, {} after the begin", "", interim.status, duration(interim.at_us));
        page.line(INDENT + 2, &[dim(text)]);
    }
    if let Some(file) = &receive.written_to {
        page.line(INDENT + 2, &[plain(format!("{:INDENT$}written to ", "")), piece(Ink::Bold, file)]);
    }
    for timing in &receive.server_timing {
        let time = timing.duration_us.map_or_else(String::new, |us| format!(" {}", duration(us)));
        let about = timing.description.as_ref().map_or_else(String::new, |text| format!(" ({text})"));
        page.line(INDENT + 2, &[dim(format!("{:INDENT$}Server-Timing says {}{time}{about}", "", timing.name))]);
    }
    if detail.verbose || detail.head {
        let framing = match receive.framing {
            Some(Framing::ContentLength) => "its length is told",
            Some(Framing::Chunked) => "it comes in chunks",
            Some(Framing::Close) => "it ends with the connection",
            Some(Framing::EndStream) => "its last frame says so",
            Some(Framing::None) => "it has no content",
            None => "where it ends is not known",
        };
        let version = receive.version.as_deref().unwrap_or("HTTP");
        let phrase = receive.reason_phrase.as_deref().unwrap_or("");
        headers(page, &format!("{version} {status} {phrase}  ({framing})"), &receive.headers);
        // One of them is in the stage's note.
        for oddity in receive.oddities.iter().filter(|_| receive.oddities.len() > 1) {
            page.line(INDENT + 2, &[dim(format!("{:INDENT$}{}", "", oddity.what))]);
        }
        if !receive.trailers.is_empty() {
            headers(page, "behind the content", &receive.trailers);
        }
    }
    if detail.verbose {
        points(page, stage, receive);
    }
}

/// The points of time within the stage, and what it took on the wire.
fn points(page: &mut Page, stage: &Stage, receive: &Receive) {
    let (Some(first), Some(last)) = (stage.start_us, stage.end_us()) else { return };
    let head = receive.headers_at_us.map_or_else(String::new, |at| format!(", head complete after {}", duration(at)));
    let wire = receive.wire_bytes.map_or_else(String::new, |count| format!("; {} on the wire", words::bytes(count)));
    // Where the bytes are not told, the stage begins with the complete head.
    let first = match receive.bytes {
        Some(_) => format!("first byte after {}{head}", duration(first)),
        None => format!("head complete after {}", duration(first)),
    };
    let text = format!("{:INDENT$}{first}, last byte after {}{wire}", "", duration(last));
    page.line(INDENT + 2, &[dim(text)]);
}

fn headers(page: &mut Page, first: &str, headers: &[Header]) {
    page.line(INDENT + 2, &[dim(format!("{:INDENT$}{first}", ""))]);
    for header in headers {
        page.line(INDENT + 2, &[dim(format!("{:INDENT$}{}: ", "", header.name)), plain(&header.value)]);
    }
}

fn closed(close: &Close) -> &'static str {
    match (close.first, close.peer, close.keep_alive_offered) {
        (None, ..) => "",
        (Some(Closer::Server), Some(PeerEnd::Silent), _) => {
            "the server said in TLS that it closes, and did not in time"
        }
        (Some(Closer::Server), Some(PeerEnd::Reset), _) => "the server reset the connection first",
        (Some(Closer::Server), ..) => "the server closed first, then you",
        (_, Some(PeerEnd::Fin), Some(true)) => "you closed first, then the server, which offered to stay",
        (_, Some(PeerEnd::Fin), _) => "you closed first, then the server",
        (_, Some(PeerEnd::Reset), _) => "you closed first, then the server reset the connection",
        _ => "you closed; the server's own close did not come in time",
    }
}

/// Which side closed, and what one should know of the connection's whole life.
pub(super) fn closing(close: &Close) -> Vec<Piece> {
    let mut line = vec![plain(closed(close))];
    line.extend(close.kernel.as_deref().and_then(tcp::closing));
    line
}

/// Everything that every host says, on one time line.
fn events(page: &mut Page, journey: &Journey) {
    page.gap();
    page.line(2, &[piece(Ink::Bold, "Every event, on one time line"), dim("  (number, µs since the visit began)")]);
    for event in &journey.events {
        let at = event.at_us.map_or_else(|| "order only".to_owned(), |us| us.to_string());
        let ink = if event.host == YOU { Ink::Bold } else { Ink::Host };
        // Records of older versions number no events.
        let id = if event.id == 0 { String::new() } else { event.id.to_string() };
        let line = [
            dim(format!("{id:>4} {at:>10}  ")),
            piece(ink, format!("{:9} ", event.host)),
            plain(name::event(journey, event)),
        ];
        page.line(27, &line);
    }
}

fn verdict(page: &mut Page, journey: &Journey) {
    let outcome = &journey.outcome;
    let (mark, ink) = match (outcome.reached, outcome.failed_stage) {
        // The server was reached, and said that it cannot do what it was asked for.
        (true, _) if journey.hops.last().is_some_and(Hop::is_http_error) => ("! ", Ink::Warn),
        (true, _) => ("✔ ", Ink::Good),
        // Nobody had to answer, and nobody did.
        (false, None) if journey.exit_code == 0 => ("· ", Ink::Warn),
        (false, _) => ("✘ ", Ink::Bad),
    };
    // Kept together: a number without its unit at the end of a line is hard to read.
    let total = plain(format!("  {}\u{a0}in\u{a0}all", duration(journey.total_us).replace(' ', "\u{a0}")));
    page.line(2, &[piece(ink, mark), piece(Ink::Bold, &outcome.verdict), total]);
    causes::of_verdict(page, journey);
    if let Some(next) = &outcome.next {
        page.line(8, &[dim("  next: "), plain(next)]);
    }
    causes::besides(page, journey);
    let silent: Vec<String> = journey
        .observers
        .iter()
        .filter_map(|observer| match &observer.said {
            HostReport::Silent { why } => Some(format!("{} ({why})", observer.host)),
            HostReport::Reported { .. } | HostReport::NotAsked { .. } => None,
        })
        .collect();
    if !silent.is_empty() {
        page.line(2, &[piece(Ink::Warn, "  silent when asked for a report: "), plain(words::and(&silent))]);
    }
    not_asked(page, journey);
    if !outcome.reached && journey.exit_code != 0 {
        page.line(2, &[dim(format!("  exit code {}", journey.exit_code))]);
    }
}

/// The hosts that nothing of this program plays: those with the same words together.
fn not_asked(page: &mut Page, journey: &Journey) {
    let mut whys: Vec<(&str, Vec<String>)> = Vec::new();
    for observer in &journey.observers {
        let HostReport::NotAsked { why } = &observer.said else { continue };
        match whys.iter_mut().find(|(known, _)| known == why) {
            Some((_, hosts)) => hosts.push(observer.host.clone()),
            None => whys.push((why, vec![observer.host.clone()])),
        }
    }
    for (why, hosts) in whys {
        page.line(2, &[dim(format!("  not asked for a report: {}, {why}", words::and(&hosts)))]);
    }
}
