//! The table of rules, in the order in which what they find is to be blamed: what lies at the root of a matter stands before
//! what follows from it.

use super::{Rule, aliases, answers, connection, families, http, late, limits, network, own, servers, slow};
use journey::Trouble;

macro_rules! rules {
    ($($trouble:ident: $find:path, $when:literal $(, $otherwise:ident)?;)*) => {
        &[$(Rule {
            trouble: Trouble::$trouble,
            when: $when,
            otherwise: rules!(@ $($otherwise)?),
            find: $find,
        },)*]
    };
    (@ otherwise) => { true };
    (@) => { false };
}

/// Every rule. One that is asked `otherwise` is asked only where none before it has found what the visit failed by.
pub const RULES: &[Rule] = rules! {
    // Of the network, as the frames show it: whoever did not get a frame cannot answer it.
    LinkDown: network::lost, "frames: some to or from a host got nowhere, and none passed on its link";
    FramesLost: network::lost, "frames: some got no further than one link, or not to the host that they were for";
    FramesDoubled: network::doubled, "frames: the same packet once on the link that it came from, and more often on the next";
    FramesLate: late::late, "frames: 20 ms and more between a packet on two links, or between a SYN or ARP request and its answer: each of a kind";
    // Of the name.
    BadUrl: limits::stage, "stage url: it cannot be read, or its scheme is not spoken";
    StaleAnswer: answers::contradicted, "the resolver reports a cache hit, and gave an address that no authority has, by the authorities' reports or the walk";
    ResolverContradicts: answers::contradicted, "the same without a cache hit; or a no for which the resolver asked nobody";
    AliasLoop: aliases::alias_loop, "stage name failed: the CNAME records that were served lead back to one of their names";
    DelegationLoop: servers::useless, "the resolver's queries: a server refers to the very zone that was delegated to it";
    LameDelegation: servers::useless, "the resolver's queries: a server that a zone is delegated to answers as no authority for it";
    DeadDelegation: servers::useless, "the resolver's queries: no answer from an address that a referral names, that the lab's description has no host for, and that nothing was heard of";
    DnsSlow: slow::name, "stage name of 200 ms and more: half of it went by at one server, by its own report or by its asker's";
    DnsSlow: servers::useless, "the resolver's queries and the walk: a server that did not answer the resolver in time answered this machine after longer";
    DnsTcpRefused: servers::useless, "the resolver's queries: a server cut its answer over udp, and could not be asked over tcp";
    DnsNothingListens: servers::useless, "the resolver's queries: a server's machine says that nothing listens there";
    DnsRefused: servers::useless, "the resolver's queries: a server answered REFUSED";
    DnsServerFailure: servers::useless, "the resolver's queries: a server answered SERVFAIL";
    DnsError: servers::useless, "the resolver's queries: a server answered with another error";
    DnsWrongId: servers::useless, "the resolver's queries: a server answered under another id alone";
    DnsNotAResponse: servers::useless, "the resolver's queries: a server sent queries where responses should be";
    DnsMalformed: servers::useless, "the resolver's queries: what a server sent is no DNS message";
    DnsUnreachable: servers::useless, "the resolver's queries: there is no way to a server";
    DnsNoAnswer: servers::useless, "the resolver's queries: a server did not answer; its own report says whether it had read the question";
    DnsNoAnswer: servers::pending, "stage name failed: a question of the resolver had no answer yet", otherwise;
    LameDelegation: servers::by_walk, "the walk: no server of a zone answers as its authority, and this one denies being one", otherwise;
    DeadDelegation: servers::by_walk, "the walk: no server of a zone answers, and this address is no host's", otherwise;
    DnsNoAnswer: servers::by_walk, "the walk: no server of a zone answers", otherwise;
    NoSuchName: answers::denied, "stage name failed with NXDOMAIN: the authority's own report, else what the resolver heard, else its word";
    NoAddress: answers::denied, "the same with no address in the answer";
    NoRecursion: own::no_recursion, "stage name failed: who was asked refers to others", otherwise;
    DnsTcpRefused: own::useless, "own queries: the resolver cut its answer over udp, and could not be asked over tcp", otherwise;
    DnsNothingListens: own::useless, "own queries: nothing listens at the resolver", otherwise;
    DnsRefused: own::useless, "own queries: the resolver answered REFUSED", otherwise;
    DnsError: own::useless, "own queries: the resolver answered with another error", otherwise;
    DnsWrongId: own::useless, "own queries: answers under another id alone", otherwise;
    DnsNotAResponse: own::useless, "own queries: queries where responses should be", otherwise;
    DnsMalformed: own::useless, "own queries: no DNS message", otherwise;
    DnsUnreachable: own::useless, "own queries: no way to the resolver", otherwise;
    DnsNoAnswer: own::useless, "own queries: no answer, and the resolver's report on whether it read the question", otherwise;
    DnsServerFailure: own::useless, "own queries: SERVFAIL, where nobody tells what the resolver met", otherwise;
    DnsNoAnswer: families::unanswered, "own queries: the resolver answered for one family of addresses, and had not for the other after 1 s";
    DnsSlow: families::late, "own queries: the answer for one family came 200 ms and more after the other's, when the stage was over";
    // Of the connection.
    NothingListens: connection::attempts, "stage connect: an address refused (RST)";
    AcceptQueueFull: connection::attempts, "stage connect: no answer, and the host or its kernel says that its accept queue is full";
    SynUnanswered: connection::attempts, "stage connect: no answer; with frames, how far the SYN came";
    Unreachable: connection::attempts, "stage connect: the kernel or a router says that there is no way";
    Reset: connection::attempts, "stage connect: reset before it was open";
    ThisMachine: connection::attempts, "stage connect: this machine could not try";
    CertificateExpired: connection::tls, "stage tls (of the server, or of a resolver asked over TLS): the verifier's word";
    CertificateNotYetValid: connection::tls, "the same";
    CertificateWrongName: connection::tls, "the same";
    CertificateUntrusted: connection::tls, "the same";
    CertificateRefused: connection::tls, "the same";
    NotTls: connection::tls, "stage tls: the first bytes are no TLS";
    TlsFailed: connection::tls, "stage tls: an alert, or nothing in common";
    // Of the server.
    AcceptQueueFull: http::ended, "connected and silent, no report of an accepted connection, and a full accept queue there";
    Silent: http::ended, "connected, and nothing came in time; the accept queue says whether anybody took it";
    SlowFirstByte: http::ended, "stage wait ran out of time: the server reports that it has read the request, or nothing tells";
    SlowContent: http::ended, "stage receive ran out of time";
    Reset: http::ended, "stages tls to receive: RST";
    EmptyReply: http::ended, "stage wait: closed without a byte";
    CutShort: http::ended, "stage receive: closed before the end of the content";
    NotHttp: http::ended, "stage receive: what came is not HTTP";
    BadResponse: http::ended, "stage receive: the head, the framing or the chunks of the response break the rules of HTTP";
    BadContent: http::ended, "stage receive: the content cannot be decoded";
    TooLarge: http::ended, "stage receive: over the limit of size, or without an end when the time was over";
    RedirectLoop: http::ended, "too many redirects, and one URL twice among them";
    TooManyRedirects: http::ended, "too many redirects, all different";
    NothingListens: http::ended, "udp: the host says that nothing listens there (ICMP)";
    Unreachable: http::ended, "udp: the kernel or a router says that there is no way";
    ThisMachine: http::ended, "the datagram could not be sent, or the content not be written";
    HttpStatus: http::status, "the response has a status of 400 or above; it breaks the visit with --fail alone";
    // Of this machine and its user.
    ThisMachine: limits::stage, "stages name and route: no resolver is known, no way leads out", otherwise;
    Interrupted: limits::stage, "the user stopped it";
    MaxTime: limits::stage, "the time of the whole visit was over: which stage was active";
    MaxTime: limits::any, "whatever the stage itself says, where nothing else was found", otherwise;
    // Of what was made good.
    DnsNoAnswer: own::asked_again, "own queries: the first was not answered, a later one was";
    DnsNoAnswer: servers::asked_again, "the resolver's queries: sent twice, answered once";
    DnsTruncated: own::truncated, "any queries: cut over udp, and whole over tcp";
    OutOfBailiwick: servers::ignored, "the resolver reports records that it left out";
    SlowFirstByte: http::slow_first_byte, "stage wait of 200 ms and more: the server's own report, else the time of a round trip";
    SlowContent: http::slow_content, "stage receive of 200 ms and more: less than 50 kB a second";
};
