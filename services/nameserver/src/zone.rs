//! A loaded zone: checked records, laid out for look-ups.

mod check;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use hickory_proto::{
    rr::{Name, RData, Record, RecordType},
    serialize::binary::BinDecodable,
};

use crate::{
    key::{self, Key},
    master::{Line, Located},
};

/// Records of one owner and type. Shared, because the addresses of a name server are in its own node and in the
/// additional sections of all that it serves.
pub type Records = Arc<[Record]>;

/// A zone. Every name that exists in it has a node, empty non-terminals too (RFC 4592 §2.2.2), so a look-up of any name
/// costs one step for each label that does not exist, however many names the zone has.
#[derive(Debug)]
pub struct Zone {
    origin: Name,
    key: Box<[u8]>,
    index: HashMap<Box<[u8]>, usize>,
    nodes: Vec<Node>,
    serial: u32,
    records: usize,
    negative: Record,
}

/// A name of a zone.
#[derive(Debug)]
pub struct Node {
    /// Whose data it is.
    pub place: Place,
    /// Its records, by ascending type. None: an empty non-terminal.
    pub sets: Vec<RecordSet>,
    /// The node of the wildcard directly below, where there is one.
    wildcard: Option<usize>,
}

/// Whether a name's data is this zone's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is.
    Authoritative,
    /// The name is delegated: the top of another zone.
    Cut,
    /// The name lies below a delegation, of which this is the node; what stands here is glue.
    Below(usize),
}

/// The records of one type at a name.
#[derive(Debug)]
pub struct RecordSet {
    /// Their type.
    pub rtype: RecordType,
    /// The records.
    pub records: Records,
    /// The addresses of the hosts they name, as far as this zone has them (RFC 1034 §4.3.2, step 6).
    pub additional: Vec<Records>,
    /// Of a CNAME: the key of the name it points at.
    pub target: Option<Box<Key>>,
    /// Of a DNAME: the name that takes the owner's place (RFC 6672 §2.1).
    pub renamed: Option<Box<Name>>,
}

/// Where a name is in a zone.
#[derive(Clone, Copy, Debug)]
pub enum Found<'z> {
    /// It exists.
    Exact(&'z Node),
    /// It does not; this is the nearest name above it that does: its closest encloser (RFC 4592 §3.3.1).
    Above(&'z Node),
}

impl Zone {
    /// The zone of these lines, or all that is wrong with it.
    pub fn new(origin: Name, lines: Vec<Line>) -> Result<Self, Vec<Located>> {
        let problems = check::problems(&origin, &lines);
        if problems.is_empty() { Ok(Self::build(origin, lines)) } else { Err(problems) }
    }

    /// Lays out lines that have been checked.
    fn build(origin: Name, lines: Vec<Line>) -> Self {
        let top = Key::of(&origin);
        let soa = lines.iter().find(|line| line.record.record_type() == RecordType::SOA);
        let negative = negative(&soa.expect("it has been checked").record);
        let serial = match &negative.data {
            RData::SOA(soa) => soa.serial,
            _ => unreachable!("found by its type"),
        };
        let key: Box<[u8]> = top.as_bytes().into();
        let records = lines.len();
        let mut zone = Self { origin, key, index: HashMap::new(), nodes: Vec::new(), serial, records, negative };
        zone.fill(lines);
        zone.place();
        zone.link();
        zone
    }

    /// Makes the nodes and gives them their records.
    fn fill(&mut self, lines: Vec<Line>) {
        let mut sets: HashMap<(usize, u16), Vec<Record>> = HashMap::new();
        let mut seen = HashSet::new();
        self.insert(&self.key.clone());
        for Line { record, .. } in lines {
            let node = self.insert(Key::of(&record.name).as_bytes());
            // A record that is there already is the same record (RFC 2181 §5).
            if seen.insert((node, record.data.clone())) {
                sets.entry((node, record.record_type().into())).or_default().push(record);
            }
        }
        let mut sets: Vec<_> = sets.into_iter().collect();
        sets.sort_unstable_by_key(|(place, _)| *place);
        for ((node, rtype), records) in sets {
            let target = match &records[0].data {
                RData::CNAME(target) => Some(Box::new(Key::of(&target.0))),
                _ => None,
            };
            let renamed = renamed(&records[0].data).map(Box::new);
            let set =
                RecordSet { rtype: rtype.into(), records: records.into(), additional: Vec::new(), target, renamed };
            self.nodes[node].sets.push(set);
        }
    }

    /// The node of this name; made, with all between it and the top, where it is not there yet.
    fn insert(&mut self, key: &[u8]) -> usize {
        if let Some(&node) = self.index.get(key) {
            return node;
        }
        let node = self.nodes.len();
        self.nodes.push(Node { place: Place::Authoritative, sets: Vec::new(), wildcard: None });
        self.index.insert(key.into(), node);
        if key != &*self.key {
            let above = self.insert(key::parent(key).expect("the top has been met before the root"));
            if key::is_wildcard(key) {
                self.nodes[above].wildcard = Some(node);
            }
        }
        node
    }

    /// Finds the delegations, and what lies below them.
    fn place(&mut self) {
        let delegated = |zone: &Self, key: &[u8]| {
            let node = zone.index[key];
            (key != &*zone.key && zone.nodes[node].set(RecordType::NS).is_some()).then_some(node)
        };
        let placed: Vec<(usize, Place)> = self
            .index
            .iter()
            .map(|(key, &node)| {
                let within = key::upwards(key).take_while(|above| above.len() >= self.key.len());
                let cut = within.filter_map(|above| delegated(self, above)).last();
                let place = match cut {
                    None => Place::Authoritative,
                    Some(cut) if cut == node => Place::Cut,
                    Some(cut) => Place::Below(cut),
                };
                (node, place)
            })
            .collect();
        for (node, place) in placed {
            self.nodes[node].place = place;
        }
    }

    /// Gives every set the addresses of the hosts that it names.
    fn link(&mut self) {
        for node in 0..self.nodes.len() {
            for set in 0..self.nodes[node].sets.len() {
                let additional = self.additional(&self.nodes[node].sets[set].records);
                self.nodes[node].sets[set].additional = additional;
            }
        }
    }

    fn additional(&self, records: &[Record]) -> Vec<Records> {
        let mut hosts: Vec<usize> = Vec::new();
        for record in records {
            let Some((target, glue)) = host_of(&record.data) else { continue };
            let Some(&node) = self.index.get(Key::of(target).as_bytes()) else { continue };
            let ours = glue || self.nodes[node].place == Place::Authoritative;
            if ours && !hosts.contains(&node) {
                hosts.push(node);
            }
        }
        let addresses = |&node: &usize| {
            let node = &self.nodes[node];
            [RecordType::A, RecordType::AAAA]
                .into_iter()
                .filter_map(|rtype| Some(Arc::clone(&node.set(rtype)?.records)))
        };
        hosts.iter().flat_map(addresses).collect()
    }

    /// Its name.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// Its name's key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its serial number.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// How many records its file has.
    pub fn records(&self) -> usize {
        self.records
    }

    /// The SOA record as it stands in negative answers: its time to live is how long they may be kept, the smaller of the
    /// record's own and its MINIMUM field (RFC 2308 §3, §5).
    pub fn negative(&self) -> &Record {
        &self.negative
    }

    /// Where this name is; it must be the zone's own or below it.
    pub fn find(&self, key: &[u8]) -> Found<'_> {
        if let Some(&node) = self.index.get(key) {
            return Found::Exact(&self.nodes[node]);
        }
        let above = key::upwards(key).skip(1).find_map(|above| self.index.get(above));
        Found::Above(&self.nodes[*above.expect("the name is below the top, which is there")])
    }

    /// The wildcard directly below this node.
    pub fn wildcard(&self, node: &Node) -> Option<&Node> {
        node.wildcard.map(|node| &self.nodes[node])
    }

    /// The delegation that takes this node out of the zone.
    pub fn cut<'z>(&'z self, node: &'z Node) -> Option<&'z Node> {
        match node.place {
            Place::Authoritative => None,
            Place::Cut => Some(node),
            Place::Below(cut) => Some(&self.nodes[cut]),
        }
    }
}

impl Node {
    /// Its records of this type.
    pub fn set(&self, rtype: RecordType) -> Option<&RecordSet> {
        self.sets.iter().find(|set| set.rtype == rtype)
    }
}

/// The host that such data names and whose addresses its reader will ask for next, and whether glue will do: a name
/// server must be reachable before its own zone can be asked, a mail exchange need not.
fn host_of(data: &RData) -> Option<(&Name, bool)> {
    match data {
        RData::NS(ns) => Some((&ns.0, true)),
        RData::MX(mx) => Some((&mx.exchange, false)),
        RData::SRV(srv) => Some((&srv.target, false)),
        _ => None,
    }
}

/// The target of a DNAME record, which is kept as bytes.
fn renamed(data: &RData) -> Option<Name> {
    match data {
        RData::Unknown { code: RecordType::DNAME, rdata } => Name::from_bytes(&rdata.anything).ok(),
        _ => None,
    }
}

fn negative(soa: &Record) -> Record {
    let mut negative = soa.clone();
    if let RData::SOA(data) = &soa.data {
        negative.ttl = soa.ttl.min(data.minimum);
    }
    negative
}

#[cfg(test)]
mod tests;
