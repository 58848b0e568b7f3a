//! `--layers`: the frames of this machine's own connection, header by header, field by field, sorted by a model of layers.

use std::net::SocketAddr;

use journey::{Journey, StageName, capture::LinkKind, stage::Did};
use packets::{
    decode::Transport,
    layers::{Carrier, Field, Header, Model, Protocol, model::Layer, unfold},
};

use super::{
    packets::{
        observed,
        scene::{Scene, Seen},
    },
    page::{Ink, Page, Piece, dim, piece, plain, width},
    words::count,
};
use secrets::Secrets;

/// Columns of a field's bytes: six in hexadecimal, or two in bits.
const HEX: usize = 19;
/// More bytes than these are not written out.
const MOST_BYTES: usize = 6;
/// Columns of a field's name, in a window of the usual width.
const NAME: usize = 21;

/// Every frame of the connection unfolded; why not, where nothing was captured.
pub(super) fn unfolded(page: &mut Page, journey: &Journey, model: Model, secrets: Secrets) {
    page.gap();
    let Some(capture) = observed(page, journey) else { return };
    let scene = Scene::of(journey, capture);
    let (about, shown) = chosen(journey, &scene);
    page.line(4, &[plain("  "), piece(Ink::Bold, "Layer by layer"), dim(format!("  {about}"))]);
    let unfolded: Vec<(&Seen<'_>, Vec<Header>)> = shown
        .into_iter()
        .map(|seen| (seen, unfold(seen.kind(), &seen.frame.bytes.0, seen.frame.len as usize)))
        .collect();
    let headers = || unfolded.iter().flat_map(|(_, headers)| headers);
    overview(page, model, &headers().collect::<Vec<_>>());
    let is_raw = journey.hops.last().is_some_and(journey::Hop::is_raw);
    for (seen, headers) in &unfolded {
        one_frame(page, seen, headers, Show { scene: &scene, model, secrets, is_raw });
    }
    page.gap();
    check_sequence(page, &unfolded.iter().map(|(seen, _)| seen.kind()).collect::<Vec<_>>());
}

/// What is shown, and how.
#[derive(Clone, Copy)]
struct Show<'a> {
    scene: &'a Scene<'a>,
    model: Model,
    secrets: Secrets,
    /// Whether the application is whoever sits at the terminal, who sees the bytes anyway.
    is_raw: bool,
}

/// The frames of the connections that the visit made, where it made some, else all of this machine's own.
fn chosen<'s, 'a>(journey: &Journey, scene: &'s Scene<'a>) -> (&'static str, Vec<&'s Seen<'a>>) {
    let servers: Vec<SocketAddr> = journey
        .hops
        .iter()
        .filter_map(|hop| match &hop.stage(StageName::Connect)?.did {
            // Where none led to a connection, the last that was tried.
            Did::Connect(connect) => connect.connected().or_else(|| connect.attempts.last()),
            _ => None,
        })
        .map(|attempt| attempt.via.unwrap_or(attempt.server))
        .collect();
    let own = || scene.seen.iter().filter(|seen| scene.is_own(seen) && !seen.is_background());
    let is_with = |seen: &Seen<'_>| {
        let (Some((from, to)), Some((source, destination))) = (seen.ends(), seen.ports()) else { return false };
        let ends = [SocketAddr::new(from, source), SocketAddr::new(to, destination)];
        servers.iter().any(|server| ends.contains(server))
    };
    let connection: Vec<_> = own().filter(|seen| is_with(seen)).collect();
    if connection.is_empty() {
        return ("your own frames; none of them is of a connection to the server", own().collect());
    }
    ("the frames of your own connection", connection)
}

/// The model from above, and which of its layers the protocols of these frames are on.
fn overview(page: &mut Page, model: Model, headers: &[&Header]) {
    let name = match model {
        Model::Osi => "OSI: seven layers",
        Model::Five => "five layers: OSI without session and presentation",
        Model::Four => "four layers (RFC 1122)",
    };
    page.line(4, &[plain("    "), plain(name)]);
    let mut notes: Vec<&str> = Vec::new();
    for layer in model.layers().into_iter().rev() {
        let mut names: Vec<&str> = Vec::new();
        for header in headers.iter().filter(|header| model.place(header.protocol).layer == layer) {
            let name = header.protocol.name();
            if !names.contains(&name) {
                names.push(name);
            }
            notes.extend(model.place(header.protocol).note.filter(|note| !notes.contains(note)));
        }
        let here = match (names.as_slice(), layer.name) {
            ([], "physical") => dim("signals, of which no host sees anything"),
            ([], _) => dim("nothing of its own here"),
            (names, _) => piece(Ink::Bold, names.join(", ")),
        };
        page.line(22, &[dim(format!("      {} ", layer.number)), plain(format!("{:13} ", layer.name)), here]);
    }
    for note in notes {
        page.line(8, &[dim(format!("      {note}"))]);
    }
}

fn one_frame(page: &mut Page, seen: &Seen<'_>, headers: &[Header], show: Show<'_>) {
    page.gap();
    let hop = format!("{} → {} ", show.scene.sender(seen), show.scene.receiver(seen));
    let length = count(seen.frame.len as usize, "byte");
    page.line(
        4,
        &[
            plain("  "),
            piece(Ink::Bold, format!("Frame {}", seen.nth + 1)),
            plain(format!(", {length} ")),
            dim(format!("at {}  ", seen.time())),
            piece(Ink::Host, hop),
            plain(format!(" {} {}", seen.summary.protocol, seen.summary)),
        ],
    );
    if let Some(why) = &seen.frame.cut {
        let kept = seen.frame.bytes.0.len();
        page.line(6, &[piece(Ink::Warn, format!("    {} of them are kept: {why}", kept))]);
    }
    page.line(6, &nested(headers, show.model));
    let mut last: Option<Layer> = None;
    for header in headers {
        let layer = show.model.place(header.protocol).layer;
        one_header(page, seen, header, layer, last != Some(layer), show);
        last = Some(layer);
    }
}

/// How one thing is in the other, with the bytes of each: `[Ethernet II 14 [IPv4 20 [TCP 32 [HTTP 128]]]]`.
fn nested(headers: &[Header], model: Model) -> Vec<Piece> {
    let mut line = vec![plain("    ")];
    // Where each that is open ends by its own word: what begins there or behind is beside it, not in it.
    let mut ends: Vec<usize> = Vec::new();
    for (nth, header) in headers.iter().enumerate() {
        while ends.last().is_some_and(|end| *end <= header.range.start) {
            ends.pop();
            line.push(dim("]"));
        }
        line.push(dim(if nth > 0 { " [" } else { "[" }));
        let text = format!("{} {}", header.protocol.name(), header.range.len());
        line.push(piece(ink(model.place(header.protocol).layer), text));
        ends.push(header.range.end.saturating_add(header.payload_len));
    }
    line.push(dim("]".repeat(ends.len())));
    line
}

/// The colour of a layer, so that one finds it in the drawing and below.
fn ink(layer: Layer) -> Ink {
    match layer.number {
        1 | 5 => Ink::Good,
        2 | 6 => Ink::Host,
        3 => Ink::Warn,
        _ => Ink::Bold,
    }
}

fn one_header(page: &mut Page, seen: &Seen<'_>, header: &Header, layer: Layer, is_new: bool, show: Show<'_>) {
    let name = header.protocol.name();
    let size = count(header.range.len(), "byte");
    let carried = match header.payload_len {
        0 => String::new(),
        carried => format!(", carries {}", count(carried, "byte")),
    };
    let what = match header.protocol {
        Protocol::Data(_) | Protocol::Padding | Protocol::Quoted | Protocol::TlsFragment => "",
        _ => "header ",
    };
    let place = if is_new { format!("{} {}", layer.number, layer.name) } else { String::new() };
    page.line(
        6,
        &[
            plain("    "),
            piece(ink(layer), format!("{place:14} ")),
            piece(Ink::Bold, name),
            dim(format!("  {what}{size}{carried}")),
        ],
    );
    if matches!(header.protocol, Protocol::Data(_) | Protocol::Padding) {
        return data(page, seen, header, show);
    }
    for field in &header.fields {
        one_field(page, seen, header, field, show);
    }
}

/// Bytes that are not unfolded. They are written out where they are known to be no secret, or secrets are wanted.
fn data(page: &mut Page, seen: &Seen<'_>, header: &Header, show: Show<'_>) {
    let Some(field) = header.fields.first() else { return };
    let is_application = header.protocol == Protocol::Data(Carrier::Transport);
    let is_shown = show.is_raw || show.secrets == Secrets::Shown;
    let bytes = if is_application && !is_shown { plain("") } else { plain(hex(seen, field)) };
    let line = [dim(format!("    {:>5}  ", field.range.start)), bytes, dim(format!("  {}", field.name))];
    page.line(6, &line);
}

fn one_field(page: &mut Page, seen: &Seen<'_>, header: &Header, field: &Field, show: Show<'_>) {
    let at = dim(format!("    {:>5}  ", field.range.start));
    if header.protocol == Protocol::Http {
        // As text, which it is, and without what nobody should see.
        let meaning = match field.name.as_str() {
            "first line" => show.secrets.text(&field.meaning),
            "line" | "line, not all of it here" => show.secrets.stream(&field.meaning),
            name => show.secrets.field(name, &field.meaning),
        };
        page.line(13, &[at, dim(format!("{}: ", field.name)), plain(meaning)]);
        return;
    }
    let meaning = match (header.protocol, field.name.as_str()) {
        (Protocol::Tcp, "window") => window(show, seen, &field.meaning),
        _ => field.meaning.clone(),
    };
    let bytes = match &field.bits {
        Some(bits) => bit_text(seen, field, bits).unwrap_or_else(|| hex(seen, field)),
        None => hex(seen, field),
    };
    // In a narrow window the meaning begins a line of its own rather than being broken into pieces.
    let name = if page.style().width < 80 || field.meaning.is_empty() {
        format!("{} ", field.name)
    } else {
        format!("{:NAME$} ", field.name)
    };
    let hang = 11 + HEX + 2 + if page.style().width < 80 { 0 } else { NAME + 1 };
    let gap = HEX.saturating_sub(width(&bytes));
    let name = dim(if field.meaning.is_empty() { name.trim_end() } else { &name });
    page.line_in_column(hang, &[at, plain(bytes), plain(" ".repeat(gap + 2)), name, plain(meaning)]);
}

/// The window as it is in the header, and what it means: what the ends' SYNs said of its scale (RFC 7323 §2.3).
fn window(show: Show<'_>, seen: &Seen<'_>, in_header: &str) -> String {
    let (Some((_, segment)), Some(Transport::Tcp(tcp))) = (show.scene.segment(seen), &seen.decoded.transport) else {
        return in_header.to_owned();
    };
    let raw = u32::from(tcp.window);
    match segment.window {
        Some(scaled) if scaled != raw => format!("{raw}, scaled {}", count(scaled as usize, "byte")),
        Some(_) => in_header.to_owned(),
        None if raw == 0 => in_header.to_owned(),
        None => format!("{raw}, its scale was not seen"),
    }
}

fn hex(seen: &Seen<'_>, field: &Field) -> String {
    let bytes = seen.frame.bytes.0.get(field.range.clone()).unwrap_or_default();
    let shown: Vec<String> = bytes.iter().take(MOST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > MOST_BYTES { "…" } else { "" };
    let text = shown.join(" ");
    // The last makes room for the sign that there are more.
    if more.is_empty() { text } else { format!("{}{more}", &text[..text.len() - 2]) }
}

/// The bits of a field in its bytes, those of others as dots; where there are too many bytes, nothing.
fn bit_text(seen: &Seen<'_>, field: &Field, bits: &std::ops::Range<u8>) -> Option<String> {
    let bytes = seen.frame.bytes.0.get(field.range.clone()).filter(|bytes| bytes.len() <= 2)?;
    let mut text = String::new();
    for nth in 0..bytes.len() * 8 {
        if nth > 0 && nth % 4 == 0 {
            text.push(' ');
        }
        let is_set = bytes[nth / 8] >> (7 - nth % 8) & 1 == 1;
        let is_its = bits.contains(&u8::try_from(nth).ok()?);
        text.push(match (is_its, is_set) {
            (false, _) => '.',
            (true, true) => '1',
            (true, false) => '0',
        });
    }
    Some(text)
}

/// What is on a wire besides, and no host sees.
fn check_sequence(page: &mut Page, kinds: &[LinkKind]) {
    let has_ethernet = kinds.iter().any(|kind| matches!(kind, LinkKind::Segment | LinkKind::Ethernet));
    let text = if has_ethernet {
        "An Ethernet II header is 14 bytes: destination 6, source 6, EtherType 2. On a wire 4 more follow each frame, the \
         frame check sequence (FCS): 18 with the header. Hardware adds and removes it; a host never sees it, so it is in \
         no number here."
    } else if kinds.contains(&LinkKind::Loopback) {
        "Loopback is no wire: its Ethernet headers are made up by the kernel, all zeros, and nothing has a frame check \
         sequence."
    } else if kinds.is_empty() {
        "There is no frame to unfold."
    } else {
        "The interface has no link layer of its own: its frames begin with the IP header."
    };
    page.line(4, &[dim(format!("  {text}"))]);
}
