//! Which names and networks an authority may speak for.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use x509_parser::extensions::{GeneralName, NameConstraints as Parsed};

/// Names and networks. Loopback is always among them: the lab's sockets stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    names: Vec<String>,
    networks: Vec<IpNet>,
}

impl Scope {
    /// These names and all below them, and these networks. `*.` before a name and a final dot do not matter.
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>, networks: impl IntoIterator<Item = IpNet>) -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a literal network"));
        let mut scope = Self { names: vec!["localhost".to_owned()], networks: loopback.to_vec() };
        scope.extend(names.into_iter().map(|name| plain(name.as_ref())), networks);
        scope
    }

    /// The names, each with all below it; without `*.` and final dots.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The networks.
    pub fn networks(&self) -> &[IpNet] {
        &self.networks
    }

    /// Whether a certificate for this name is within the scope.
    pub fn has_name(&self, name: &str) -> bool {
        let name = plain(name);
        let is_under =
            |zone: &String| name.strip_suffix(zone.as_str()).is_some_and(|r| r.is_empty() || r.ends_with('.'));
        self.names.iter().any(is_under)
    }

    /// Whether a certificate for this address is.
    pub fn has_address(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|net| net.contains(&ip))
    }

    /// Whether all of the other scope is within this one.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.names.iter().all(|name| self.has_name(name)) && other.networks.iter().all(|net| self.has_network(net))
    }

    /// As an authority's certificate says it (RFC 5280 §4.2.1.10).
    pub(crate) fn constraints(&self) -> NameConstraints {
        let names = self.names.iter().cloned().map(GeneralSubtree::DnsName);
        let subnet = |net: &IpNet| CidrSubnet::from_addr_prefix(net.network(), net.prefix_len());
        let networks = self.networks.iter().map(|net| GeneralSubtree::IpAddress(subnet(net)));
        NameConstraints { permitted_subtrees: names.chain(networks).collect(), excluded_subtrees: Vec::new() }
    }

    /// What a certificate says; `None` where it leaves open which names or which addresses it is good for. Of a kind that
    /// is not mentioned all are permitted (RFC 5280 §4.2.1.10).
    pub(crate) fn read(constraints: &Parsed<'_>) -> Option<Self> {
        let mut scope = Self { names: Vec::new(), networks: Vec::new() };
        for subtree in constraints.permitted_subtrees.iter().flatten() {
            match &subtree.base {
                GeneralName::DNSName(name) => scope.names.push(plain(name)),
                GeneralName::IPAddress(bytes) => scope.networks.push(network(bytes)?),
                _ => {}
            }
        }
        (!scope.names.is_empty() && !scope.networks.is_empty()).then_some(scope)
    }

    fn extend(&mut self, names: impl IntoIterator<Item = String>, networks: impl IntoIterator<Item = IpNet>) {
        for name in names {
            if !self.has_name(&name) {
                self.names.push(name);
            }
        }
        for net in networks {
            if !self.has_network(&net) {
                self.networks.push(net.trunc());
            }
        }
    }

    fn has_network(&self, net: &IpNet) -> bool {
        self.networks.iter().any(|known| known.contains(net))
    }
}

/// A name as certificates have it: lower case, without the final dot; a wildcard speaks for what is below the name.
fn plain(name: &str) -> String {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.strip_prefix("*.").unwrap_or(name).to_ascii_lowercase()
}

/// An address and a mask of the same length; `None` where the mask is none.
fn network(bytes: &[u8]) -> Option<IpNet> {
    if let Ok(bytes) = <[u8; 8]>::try_from(bytes) {
        let [ip, mask] = [&bytes[..4], &bytes[4..]].map(|half| <[u8; 4]>::try_from(half).expect("half of eight"));
        return Ipv4Net::with_netmask(ip.into(), mask.into()).ok().map(IpNet::V4);
    }
    let bytes = <[u8; 32]>::try_from(bytes).ok()?;
    let [ip, mask] = [&bytes[..16], &bytes[16..]].map(|half| <[u8; 16]>::try_from(half).expect("half of 32"));
    Ipv6Net::with_netmask(ip.into(), mask.into()).ok().map(IpNet::V6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(names: &[&str], networks: &[&str]) -> Scope {
        Scope::new(names, networks.iter().map(|net| net.parse().unwrap()))
    }

    #[test]
    fn names_and_addresses() {
        let scope = scope(&["example.local.", "*.School.test"], &["10.78.0.0/16", "fd10:78:1ab::/64"]);
        let check = |name: &str, expected: bool| assert_eq!(scope.has_name(name), expected, "{name}");
        check("example.local", true);
        check("*.example.local", true);
        check("a.b.EXAMPLE.local.", true);
        check("notexample.local", false);
        check("local", false);
        check("school.test", true);
        check("localhost", true);
        check("www.example.org", false);
        let check = |ip: &str, expected: bool| assert_eq!(scope.has_address(ip.parse().unwrap()), expected, "{ip}");
        check("10.78.2.81", true);
        check("10.79.2.81", false);
        check("127.0.0.1", true);
        check("::1", true);
        check("fd10:78:1ab::2:81", true);
        check("2001:db8::1", false);
    }

    #[test]
    fn wider_and_narrower() {
        let wide = scope(&["test"], &["10.0.0.0/8"]);
        let narrow = scope(&["example.test"], &["10.78.0.0/16"]);
        assert!(wide.covers(&narrow) && !narrow.covers(&wide));
        assert!(wide.covers(&wide) && narrow.covers(&narrow));
        let other = scope(&["example.local"], &["172.20.0.0/16"]);
        assert!(!narrow.covers(&other) && !other.covers(&narrow));
    }

    #[test]
    fn what_a_certificate_leaves_open() {
        use rcgen::GeneralSubtree::{DnsName, IpAddress};
        let read = |permitted_subtrees: Vec<GeneralSubtree>| {
            let mut params = rcgen::CertificateParams::default();
            params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
            Scope::read(parsed.name_constraints().unwrap().unwrap().value)
        };
        let name = || DnsName("example.local".to_owned());
        let network = || IpAddress(CidrSubnet::V4([10, 78, 0, 0], [255, 255, 0, 0]));
        let read_well = read(vec![name(), network()]).unwrap();
        assert_eq!(read_well.names, ["example.local"]);
        assert_eq!(read_well.networks, ["10.78.0.0/16".parse().unwrap()]);
        assert!(read(vec![name()]).is_none() && read(vec![network()]).is_none());
        let no_mask = IpAddress(CidrSubnet::V4([10, 78, 0, 0], [255, 0, 255, 0]));
        assert!(read(vec![name(), no_mask]).is_none());
        // Every name, and every address.
        let all = read(vec![DnsName(String::new()), IpAddress(CidrSubnet::V4([0; 4], [0; 4]))]).unwrap();
        assert!(!scope(&["example.local"], &["10.78.0.0/16"]).covers(&all));
    }
}
