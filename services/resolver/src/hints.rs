//! The root hints: where a resolver begins (RFC 8109). Pure.

use std::net::IpAddr;

use hickory_proto::rr::Name;
use world::Renumber;

/// A name server of the root, with one of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its name.
    pub name: Name,
    /// The address.
    pub ip: IpAddr,
}

/// Root hints that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HintsError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] world::FileError),
    /// A line says something else than a root's name server or its address.
    #[error("{path}:{line}: {why}")]
    Line {
        /// The file.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// No line gives an address to begin with.
    #[error("{path}: there is no NS record of the root with an address")]
    Empty {
        /// The file.
        path: String,
    },
}

/// Reads hints: master file lines (RFC 1035 §5) with NS, A and AAAA records. Parentheses and directives other than
/// `$TTL` are refused, as no hints file needs them. `path` names the file in errors.
pub fn parse(text: &str, path: &str, renumber: Option<Renumber>) -> Result<Vec<Root>, HintsError> {
    let mut hints = Hints::default();
    for (number, line) in text.lines().enumerate() {
        let fail = |why| HintsError::Line { path: path.to_owned(), line: number + 1, why };
        hints.read(line, number + 1).map_err(fail)?;
    }
    hints.into_roots(path, renumber)
}

#[derive(Default)]
struct Hints {
    owner: Option<Name>,
    servers: Vec<Name>,
    addresses: Vec<(usize, Name, IpAddr)>,
}

impl Hints {
    fn read(&mut self, line: &str, number: usize) -> Result<(), String> {
        let told = line.split(';').next().unwrap_or_default();
        // A line that begins with a blank is about the owner of the line before (RFC 1035 §5.1).
        let same_owner = told.starts_with([' ', '\t']);
        let mut tokens = told.split_whitespace().peekable();
        match tokens.peek() {
            None | Some(&"$TTL") => return Ok(()),
            Some(token) if token.starts_with('$') => return Err(format!("{token} has no place in root hints")),
            Some(_) if told.contains(['(', ')']) => return Err("parentheses have no place in root hints".to_owned()),
            Some(_) => {}
        }
        if !same_owner {
            self.owner = Some(name(tokens.next().unwrap_or_default())?);
        }
        let owner = self.owner.clone().ok_or("the first record has no name")?;
        // TTL and class may stand in either order; a hint is used until it is replaced, so the TTL does not matter.
        let is_before_type = |token: &&str| token.parse::<u32>().is_ok() || token.eq_ignore_ascii_case("IN");
        while tokens.next_if(is_before_type).is_some() {}
        let (Some(rtype), Some(data)) = (tokens.next(), tokens.next()) else {
            return Err("a record needs a type and data".to_owned());
        };
        if let Some(more) = tokens.next() {
            return Err(format!("nothing may follow the data, but here is {more:?}"));
        }
        match rtype.to_ascii_uppercase().as_str() {
            "NS" if owner.is_root() => self.servers.push(name(data)?),
            "NS" => return Err(format!("NS of {owner}: root hints tell of the root only")),
            "A" => self.address(number, owner, data.parse().map(IpAddr::V4), data)?,
            "AAAA" => self.address(number, owner, data.parse().map(IpAddr::V6), data)?,
            other => return Err(format!("{other}: only NS, A and AAAA belong into root hints")),
        }
        Ok(())
    }

    fn address(
        &mut self,
        line: usize,
        owner: Name,
        ip: Result<IpAddr, std::net::AddrParseError>,
        data: &str,
    ) -> Result<(), String> {
        let ip = ip.map_err(|_| format!("{data:?} is no address of this type"))?;
        self.addresses.push((line, owner, ip));
        Ok(())
    }

    fn into_roots(self, path: &str, renumber: Option<Renumber>) -> Result<Vec<Root>, HintsError> {
        let mut roots = Vec::new();
        for (line, name, ip) in self.addresses {
            if !self.servers.contains(&name) {
                let why = format!("{name} has an address, but no NS record makes it a name server of the root");
                return Err(HintsError::Line { path: path.to_owned(), line, why });
            }
            let ip = renumber.map_or(ip, |renumber| renumber.map(ip));
            if !roots.iter().any(|root: &Root| root.ip == ip) {
                roots.push(Root { name, ip });
            }
        }
        if roots.is_empty() { Err(HintsError::Empty { path: path.to_owned() }) } else { Ok(roots) }
    }
}

/// A fully qualified name.
fn name(text: &str) -> Result<Name, String> {
    match Name::from_ascii(text) {
        Ok(name) if name.is_fqdn() => Ok(name),
        Ok(_) => Err(format!("{text:?} does not end with a dot")),
        Err(error) => Err(format!("{text:?} is no domain name: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "; comment\n$TTL 5\n. 3600 IN NS a.roots.test. ; more\n IN NS b.roots.test.\n\
        a.roots.test. A 10.78.2.10\nA.roots.test. IN 60 AAAA fd10::1\nb.roots.test. 60 IN A 10.78.2.11\n";

    #[test]
    fn usable() {
        let ips = |renumber| {
            let roots = parse(GOOD, "h", renumber).unwrap();
            roots.iter().map(|root| root.ip.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(ips(None), ["10.78.2.10", "fd10::1", "10.78.2.11"]);
        let renumber = world::World::built_in().renumbered("172.20".parse().unwrap()).renumber;
        assert_eq!(ips(renumber), ["172.20.2.10", "fd10::1", "172.20.2.11"]);
    }

    #[test]
    fn the_built_in_file() {
        let text = world::Files::BuiltIn.read("root.hints").unwrap();
        let roots = parse(&text, "root.hints", None).unwrap();
        let addresses = world::World::built_in().hosts["root"].addresses.clone();
        assert_eq!(roots.iter().map(|root| root.ip).collect::<Vec<_>>(), addresses);
    }

    #[test]
    fn refused_with_the_place() {
        let check = |text: &str, expected: &str| {
            let error = parse(text, "root.hints", None).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        };
        check("", "root.hints: there is no NS record");
        check(". NS a.test.\n", "root.hints: there is no NS record of the root with an address");
        check(". NS a.test.\na.test. A 10.78.2.999\n", "root.hints:2: \"10.78.2.999\" is no address");
        check(". NS a.test.\na.test. AAAA 10.0.0.1\n", "root.hints:2: \"10.0.0.1\" is no address");
        check(". NS a.test.\nb.test. A 10.0.0.1\n", "root.hints:2: b.test. has an address, but no NS");
        check("test. NS a.test.\n", "root.hints:1: NS of test.");
        check(". NS a.test\n", "root.hints:1: \"a.test\" does not end with a dot");
        check("\n. NS\n", "root.hints:2: a record needs");
        check(" NS a.test.\n", "root.hints:1: the first record has no name");
        check(". SOA a.test.\n", "root.hints:1: SOA: only NS, A and AAAA");
        check(". NS a.test. b.test.\n", "root.hints:1: nothing may follow");
        check("$ORIGIN test.\n", "root.hints:1: $ORIGIN has no place");
        check(". NS ( a.test. )\n", "root.hints:1: parentheses");
    }
}
