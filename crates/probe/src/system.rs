//! What this machine says about names: its hosts file, and its resolvers as resolv.conf(5) and the environment name them.
//!
//! Both are read as glibc reads them, so that a visit asks what other programs on this machine ask. No crate does that:
//! they give up a line, or the file, at the first word that they do not know.

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::unix::ffi::OsStringExt,
    path::Path,
    time::Duration,
};

use super::{Family, search::Plan, stub::Server};

/// The file that names are looked up in first.
pub const HOSTS_FILE: &str = "/etc/hosts";
/// The file that names the resolvers.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The port of DNS.
const PORT: u16 = 53;
/// `MAXNS`, `RES_MAXNDOTS`, `RES_MAXRETRANS` and `RES_MAXRETRY` of resolv.h.
const MOST_SERVERS: usize = 3;
const MOST_DOTS: i32 = 15;
const LONGEST_TIMEOUT: i32 = 30;
const MOST_ATTEMPTS: i32 = 5;

/// The addresses that a hosts file has for a name; none where there is no such file.
pub fn hosts_file(path: &Path, name: &str, family: Family) -> Vec<IpAddr> {
    addresses_of(&std::fs::read(path).unwrap_or_default(), name, family)
}

/// As in hosts(5): all lines with that name count. A final dot is part of the name.
fn addresses_of(text: &[u8], name: &str, family: Family) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in lines(text) {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut words = line.split(|byte| is_space(*byte)).filter(|word| !word.is_empty());
        let Some(ip) = words.next().and_then(address).and_then(|ip| of_family(ip, family)) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name.as_bytes())) && !found.contains(&ip) {
            found.push(ip);
        }
    }
    found
}

fn address(word: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The address as a lookup for one family gets it: glibc gives `::1` and mapped addresses also to those who ask for IPv4.
fn of_family(ip: IpAddr, family: Family) -> Option<IpAddr> {
    match (family, ip) {
        (Family::Any, _) | (Family::V4, IpAddr::V4(_)) | (Family::V6, IpAddr::V6(_)) => Some(ip),
        (Family::V4, IpAddr::V6(Ipv6Addr::LOCALHOST)) => Some(Ipv4Addr::LOCALHOST.into()),
        (Family::V4, IpAddr::V6(ip)) => ip.to_ipv4_mapped().map(IpAddr::V4),
        (Family::V6, IpAddr::V4(_)) => None,
    }
}

/// The lines, each as far as its first NUL, where C ends a string.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == 0).next().unwrap_or_default())
}

/// `isspace` of C.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// What the environment says besides.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `RES_OPTIONS`: more options.
    pub options: Option<Vec<u8>>,
    /// `LOCALDOMAIN`: a search list in place of the file's.
    pub local_domain: Option<Vec<u8>>,
    /// What the file has that `HOSTALIASES` names.
    pub aliases: Vec<u8>,
    /// The name of this machine; its domain is searched where nothing else is named.
    pub host: Vec<u8>,
}

impl Environment {
    /// That of this process.
    pub fn read() -> Self {
        let var = |name| std::env::var_os(name).map(OsString::into_vec);
        let host = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
        let aliases = std::env::var_os("HOSTALIASES").and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
        Self {
            options: var("RES_OPTIONS"),
            local_domain: var("LOCALDOMAIN"),
            aliases,
            host: host.trim_ascii_end().to_vec(),
        }
    }

    /// The name that is asked for in place of one without a dot (hostname(7)).
    pub fn alias_of(&self, name: &str) -> Option<String> {
        if name.contains('.') {
            return None;
        }
        for line in self.aliases.split(|byte| *byte == b'\n') {
            // As in glibc, a line that is a single word ends the list.
            let end = line.iter().position(|byte| is_space(*byte))?;
            if line[..end].eq_ignore_ascii_case(name.as_bytes()) {
                let target = line[end..].split(|byte| is_space(*byte)).find(|word| !word.is_empty())?;
                return Some(String::from_utf8_lossy(target).into_owned());
            }
        }
        None
    }
}

/// How this machine asks for names.
#[derive(Clone, Debug)]
pub struct System {
    /// The resolvers, in the file's order.
    pub servers: Vec<Server>,
    /// How names are searched for.
    pub search: Plan,
    /// Whether each lookup begins with another server (`rotate`).
    pub rotate: bool,
    /// Whether IPv6 addresses are not looked up (`no-aaaa`).
    pub no_aaaa: bool,
    /// Whether the servers are the default, as none is named.
    pub is_default: bool,
    /// What said so, to be shown.
    pub chosen_by: String,
}

/// Reads resolv.conf and the environment. A file that is missing or cannot be read is as an empty one.
pub fn resolv_conf(path: &Path, environment: &Environment) -> System {
    parse(&std::fs::read(path).unwrap_or_default(), &path.display().to_string(), environment)
}

/// What the lines say so far.
struct Lines {
    servers: Vec<SocketAddr>,
    search: Vec<Vec<u8>>,
    ndots: i32,
    timeout: i32,
    attempts: i32,
    rotate: bool,
    use_vc: bool,
    no_aaaa: bool,
    no_tld_query: bool,
}

fn parse(text: &[u8], path: &str, environment: &Environment) -> System {
    let mut said = Lines {
        servers: Vec::new(),
        search: Vec::new(),
        ndots: 1,
        timeout: 5,
        attempts: 2,
        rotate: false,
        use_vc: false,
        no_aaaa: false,
        no_tld_query: false,
    };
    lines(text).for_each(|line| said.line(line));
    if let Some(domains) = &environment.local_domain {
        said.search = local_domains(domains);
    }
    if let Some(options) = &environment.options {
        said.options(options);
    }
    let dot = environment.host.iter().position(|byte| *byte == b'.');
    if let (true, Some(dot)) = (said.search.is_empty(), dot) {
        said.search.push(environment.host[dot + 1..].to_vec());
    }
    said.into_system(path, environment)
}

impl Lines {
    fn line(&mut self, line: &[u8]) {
        if let Some(value) = value_of(line, b"nameserver") {
            self.servers.extend(name_server(value).filter(|_| self.servers.len() < MOST_SERVERS));
        } else if let Some(value) = value_of(line, b"domain") {
            // The last of `domain` and `search` counts; an empty one changes nothing.
            if let Some(domain) = words(value).next() {
                self.search = vec![domain.to_vec()];
            }
        } else if let Some(value) = value_of(line, b"search") {
            let domains: Vec<Vec<u8>> = words(value).map(<[u8]>::to_vec).collect();
            if !domains.is_empty() {
                self.search = domains;
            }
        } else if let Some(value) = value_of(line, b"options") {
            self.options(value);
        }
    }

    /// Options are compared by their beginnings, and unknown ones are passed over, as in glibc.
    fn options(&mut self, options: &[u8]) {
        for option in words(options) {
            if let Some(number) = option.strip_prefix(b"ndots:") {
                self.ndots = atoi(number).min(MOST_DOTS);
            } else if let Some(number) = option.strip_prefix(b"timeout:") {
                self.timeout = atoi(number).min(LONGEST_TIMEOUT);
            } else if let Some(number) = option.strip_prefix(b"attempts:") {
                self.attempts = atoi(number).min(MOST_ATTEMPTS);
            }
            self.rotate |= option.starts_with(b"rotate");
            self.use_vc |= option.starts_with(b"use-vc");
            self.no_aaaa |= option.starts_with(b"no-aaaa");
            self.no_tld_query |= option.starts_with(b"no-tld-query") || option.starts_with(b"no_tld_query");
        }
    }

    fn into_system(self, path: &str, environment: &Environment) -> System {
        let mut chosen_by = path.to_owned();
        let mut addresses = self.servers;
        let is_default = addresses.is_empty();
        if is_default {
            // resolv.conf(5): "If no nameserver entries are present, the default is to use the name server on the local machine."
            addresses.push((Ipv4Addr::LOCALHOST, PORT).into());
            chosen_by = format!("the default, as {path} names no usable name server");
        }
        let variables = [("RES_OPTIONS", &environment.options), ("LOCALDOMAIN", &environment.local_domain)];
        for (name, _) in variables.iter().filter(|(_, value)| value.is_some()) {
            chosen_by += ", ";
            chosen_by += name;
        }
        let attempts = usize::try_from(self.attempts).unwrap_or(0);
        let count = addresses.len();
        let server = |(nth, address)| Server {
            address,
            // Over TCP each server is tried once.
            waits: vec![wait(self.timeout, nth, count); if self.use_vc { attempts.min(1) } else { attempts }],
            recursion_desired: true,
            tcp_only: self.use_vc,
        };
        System {
            servers: addresses.into_iter().enumerate().map(server).collect(),
            search: Plan {
                domains: self.search,
                // A bit field in glibc: what is below 0 is the most.
                ndots: usize::try_from(self.ndots).unwrap_or(15),
                tld_query: !self.no_tld_query,
            },
            rotate: self.rotate,
            no_aaaa: self.no_aaaa,
            is_default,
            chosen_by,
        }
    }
}

/// How long glibc waits for the server at this place of a list: the first one the whole time-out, the others a share of a
/// time that doubles.
fn wait(timeout: i32, nth: usize, count: usize) -> Duration {
    let timeout = u64::try_from(timeout).unwrap_or(0) << nth;
    let share = if nth == 0 { timeout } else { timeout / u64::try_from(count).unwrap_or(1) };
    Duration::from_secs(share.max(1))
}

/// What is behind a keyword, which begins the line and is followed by a blank.
fn value_of<'a>(line: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(keyword).filter(|rest| matches!(rest.first(), Some(b' ' | b'\t')))
}

/// Words between blanks. A carriage return is none: glibc takes it for a part of the last word.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty())
}

/// The search list of `LOCALDOMAIN`. Its first element begins at once, and is empty where a blank begins the value.
fn local_domains(value: &[u8]) -> Vec<Vec<u8>> {
    let line = value.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut blanks = line.split(|byte| matches!(byte, b' ' | b'\t'));
    let first = blanks.next().unwrap_or_default();
    std::iter::once(first).chain(blanks.filter(|word| !word.is_empty())).map(<[u8]>::to_vec).collect()
}

/// `atoi` of C: blanks, a sign, digits, and whatever follows.
fn atoi(text: &[u8]) -> i32 {
    let text = &text[text.iter().take_while(|byte| is_space(**byte)).count()..];
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        rest => (1, rest),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    sign * digits.fold(0_i32, |number, digit| number.saturating_mul(10).saturating_add(i32::from(digit - b'0')))
}

/// The address in a `nameserver` line; what follows it behind a blank is passed over.
fn name_server(value: &[u8]) -> Option<SocketAddr> {
    let word = std::str::from_utf8(words(value).next()?).ok()?;
    if let Some(ip) = inet_aton(word) {
        return Some((ip, PORT).into());
    }
    // A link-local resolver, as routers announce them, is of use only with the interface that it is on.
    let (ip, scope) = word.split_once('%').map_or((word, None), |(ip, scope)| (ip, Some(scope)));
    let ip: Ipv6Addr = ip.parse().ok()?;
    let number = |scope: &str| nix::net::if_::if_nametoindex(scope).ok().or_else(|| scope.parse().ok());
    Some(SocketAddrV6::new(ip, PORT, 0, scope.and_then(number).unwrap_or(0)).into())
}

/// An IPv4 address as `inet_aton` reads it: one to four numbers, decimal, octal or hexadecimal, the last of which fills what
/// is left.
fn inet_aton(word: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = word.split('.').map(c_number).collect::<Option<_>>()?;
    let (last, before) = parts.split_last()?;
    if before.len() > 3 || before.iter().any(|part| *part > 255) {
        return None;
    }
    let left = 32 - 8 * before.len();
    if left < 32 && *last >> left != 0 {
        return None;
    }
    let high = before.iter().zip([24, 16, 8]).map(|(part, shift)| part << shift).sum::<u32>();
    Some(Ipv4Addr::from(high | last))
}

/// A number as C writes it.
fn c_number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // `from_str_radix` reads a sign, which C does not here.
    digits.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| u32::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file() {
        let text = b"127.0.0.1 localhost # comment web\n::1 localhost ip6-localhost\n \t10.0.0.1\tWEB web.lan\r\nbad web\n\
            010.0.0.2 web\n10.3 web\n10.0.0.1 web\n::1 six\n::ffff:10.0.0.6 six\nfd00::6 six\n10.0.0.9 dot.\n10.0.0.8 nul\0x\n";
        let check = |name: &str, family: Family, expected: &[&str]| {
            let found: Vec<String> = addresses_of(text, name, family).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{name}");
        };
        check("web", Family::Any, &["10.0.0.1"]);
        check("localhost", Family::Any, &["127.0.0.1", "::1"]);
        check("comment", Family::Any, &[]);
        // A final dot is part of the name, in the file and in the question.
        check("web.", Family::Any, &[]);
        check("dot", Family::Any, &[]);
        check("dot.", Family::Any, &["10.0.0.9"]);
        check("web", Family::V6, &[]);
        check("six", Family::V4, &["127.0.0.1", "10.0.0.6"]);
        check("six", Family::V6, &["::1", "::ffff:10.0.0.6", "fd00::6"]);
        check("nul", Family::Any, &["10.0.0.8"]);
    }

    fn read(text: &str) -> System {
        parse(text.as_bytes(), RESOLV_CONF, &Environment::default())
    }

    fn servers(text: &str) -> Vec<String> {
        read(text).servers.iter().map(|server| server.address.to_string()).collect()
    }

    #[test]
    fn name_servers_are_read_as_glibc_reads_them() {
        let check = |line: &str, expected: &str| {
            assert_eq!(servers(&format!("nameserver {line}\n")), [expected], "{line:?}");
        };
        // What follows behind a blank is passed over; what is glued to the address spoils it.
        for line in ["10.0.0.1", "10.0.0.1 primary", "\t10.0.0.1 # x", "10.0.0.1 ", "10.1", "0xa.1", "012.0.0.1"] {
            check(line, "10.0.0.1:53");
        }
        check("::1 primary", "[::1]:53");
        check("fe80::1%1", "[fe80::1%1]:53");
        check("fe80::1%no-such-interface", "[fe80::1]:53");
        for line in
            ["10.0.0.1\r", "10.0.0.1#53", "10.0.0.1;", "::1\r", "[::1]", "10.0.0.1%lo", "nowhere", "", "256.1.1.1"]
        {
            check(line, "127.0.0.1:53");
        }
        for text in ["", "search lan\n", " nameserver 10.0.0.1\n", "NAMESERVER 10.0.0.1\n", "#nameserver 10.0.0.1\n"] {
            assert_eq!(servers(text), ["127.0.0.1:53"], "{text:?}");
        }
        let four =
            "nameserver 10.0.0.1\nnameserver bad\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        assert_eq!(servers(four), ["10.0.0.1:53", "10.0.0.2:53", "10.0.0.3:53"]);
        assert!(read("").is_default && read("").chosen_by.contains("names no usable name server"));
        let missing = resolv_conf(Path::new("/nowhere"), &Environment::default());
        assert_eq!(missing.servers[0].address.to_string(), "127.0.0.1:53");
    }

    #[test]
    fn times_and_attempts() {
        let check = |options: &str, count: usize, waits: &[&[u64]]| {
            let text = format!("{}options {options}\n", "nameserver 10.0.0.1\n".repeat(count));
            let seconds = |server: &Server| server.waits.iter().map(Duration::as_secs).collect::<Vec<_>>();
            let found: Vec<Vec<u64>> = read(&text).servers.iter().map(seconds).collect();
            assert_eq!(found, waits, "{options}");
        };
        check("x", 1, &[&[5, 5]]);
        check("x", 2, &[&[5, 5], &[5, 5]]);
        check("x", 3, &[&[5, 5], &[3, 3], &[6, 6]]);
        check("timeout:99 attempts:99", 1, &[&[30; 5]]);
        check("timeout:0 attempts:1", 1, &[&[1]]);
        check("timeout:-3 attempts:1", 1, &[&[1]]);
        // Nobody is asked.
        check("attempts:0", 1, &[&[]]);
        check("attempts:-1", 1, &[&[]]);
        // An unknown word takes nothing with it.
        check("retrans:1 timeout:2,x attempts:3x", 1, &[&[2, 2, 2]]);
        check("timeout:2 use-vc", 1, &[&[2]]);
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let text = b"search lan\noptions ndots:2\n";
        let system = |options: Option<&str>, local_domain: Option<&str>| {
            let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
            let host = b"web.corp.test".to_vec();
            let (options, local_domain) = (bytes(options), bytes(local_domain));
            parse(text, "f", &Environment { options, local_domain, host, ..Environment::default() })
        };
        let plan = system(Some("ndots:3 no-aaaa\trotate"), None);
        assert_eq!((plan.search.ndots, plan.no_aaaa, plan.rotate), (3, true, true));
        assert_eq!(plan.chosen_by, "the default, as f names no usable name server, RES_OPTIONS");
        let check = |domain: &str, expected: &[&str]| {
            let domains: Vec<Vec<u8>> = expected.iter().map(|domain| domain.as_bytes().to_vec()).collect();
            assert_eq!(system(None, Some(domain)).search.domains, domains, "{domain:?}");
        };
        check("a.test b.test", &["a.test", "b.test"]);
        check("", &[""]);
        check(" a.test\nb.test", &["", "a.test"]);
    }

    #[test]
    fn a_name_without_a_dot_may_have_an_alias() {
        let check = |aliases: &str, name: &str, expected: Option<&str>| {
            let environment = Environment { aliases: aliases.as_bytes().to_vec(), ..Environment::default() };
            assert_eq!(environment.alias_of(name).as_deref(), expected, "{aliases:?}");
        };
        check("ftp ftp.x.test\nwww\t www.x.test rest\n", "WWW", Some("www.x.test"));
        check("www.x www.x.test\n", "www.x", None);
        check("single\nwww www.x.test\n", "www", None);
        check("www \nwww www.x.test\n", "www", None);
        check("", "www", None);
    }

    #[test]
    fn the_search_list_of_the_file() {
        let check = |text: &str, host: &str, expected: &[&str]| {
            let environment = Environment { host: host.as_bytes().to_vec(), ..Environment::default() };
            let domains: Vec<Vec<u8>> = expected.iter().map(|domain| domain.as_bytes().to_vec()).collect();
            assert_eq!(parse(text.as_bytes(), "f", &environment).search.domains, domains, "{text:?}");
        };
        check("search a b\tc\n", "", &["a", "b", "c"]);
        check("domain a\nsearch b c\n", "", &["b", "c"]);
        check("search b c\ndomain a d\n", "", &["a"]);
        check("search b\nsearch \ndomain \n", "", &["b"]);
        check("search lan\r\n", "", &["lan\r"]);
        check("", "web.corp.test", &["corp.test"]);
        check("", "web", &[]);
        check("search b\n", "web.corp.test", &["b"]);
    }

    #[test]
    fn dots() {
        let check = |options: &str, expected: usize| {
            assert_eq!(read(&format!("options {options}\n")).search.ndots, expected, "{options}");
        };
        check("x", 1);
        check("ndots:0", 0);
        check("ndots:99", 15);
        check("ndots:-1", 15);
        check("ndots:+3x", 3);
        check("ndots:x", 0);
        check("ndots:3 ndots:2", 2);
        check("NDOTS:3", 1);
    }
}
