//! All zones of a server, and where they are read from.

use std::{collections::HashMap, path::Path};

use hickory_proto::rr::RData;
use text::clean;
use world::{Files, Renumber};

use crate::{
    key::{self, Key},
    master::{self, Located, Place},
    problem::{Problem, ZoneError, ZoneErrors},
    zone::Zone,
};

/// All zones of a server.
#[derive(Debug, Default)]
pub struct Zones {
    zones: Vec<Zone>,
    by_key: HashMap<Box<[u8]>, usize>,
    /// Bit n: there is a zone whose name has n labels. Names without a zone of their length are not looked up.
    lengths: u128,
}

/// Where a server's zones are read from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Zone files by the name of the zone.
    pub zones: Vec<(String, String)>,
    /// Where the files are.
    pub files: Files,
    /// How addresses in them are to be changed.
    pub renumber: Option<Renumber>,
}

impl Source {
    /// Reads and checks every file. All that is wrong with any of them is reported, and then none is used.
    pub fn load(&self) -> Result<Zones, ZoneErrors> {
        let mut zones = Zones::default();
        let mut errors = Vec::new();
        for (name, file) in &self.zones {
            match self.zone(name, file) {
                Ok(zone) if zones.by_key.contains_key(zone.key()) => {
                    errors.push(self.zone_name(name, file, "another file is named for the same zone"));
                }
                Ok(zone) => zones.insert(zone),
                Err(more) => errors.extend(more),
            }
        }
        if errors.is_empty() { Ok(zones) } else { Err(ZoneErrors(errors)) }
    }

    fn zone(&self, name: &str, file: &str) -> Result<Zone, Vec<ZoneError>> {
        if !name.ends_with('.') {
            return Err(vec![self.zone_name(name, file, "it must end with a dot")]);
        }
        let origin =
            master::absolute_name(name).map_err(|_| vec![self.zone_name(name, file, "it is no domain name")])?;
        let text = self.files.read_bytes(file).map_err(|error| vec![error.into()])?;
        let mut open = |name: &str, within: Option<&str>| self.included(name, within.unwrap_or(file));
        let (mut lines, problems) = master::read_with(&text, &origin, &mut open);
        if !problems.is_empty() {
            // What could not be read would be missed by the checks, and reported a second time as missing.
            return Err(self.located(file, problems));
        }
        if let Some(renumber) = self.renumber {
            for line in &mut lines {
                match &mut line.record.data {
                    RData::A(address) => address.0 = renumber.map_v4(address.0),
                    RData::AAAA(address) => address.0 = renumber.map_v6(address.0),
                    _ => {}
                }
            }
        }
        Zone::new(origin, lines).map_err(|problems| self.located(file, problems))
    }

    /// The text of a file that is named in `within`, relative to the folder of that one: a server's own folder is not the
    /// same in every way of running it.
    fn included(&self, name: &str, within: &str) -> Result<(String, Vec<u8>), Problem> {
        let path = Path::new(within).with_file_name("").join(name);
        let path = path.to_string_lossy().into_owned();
        match self.files.read_bytes(&path) {
            Ok(text) => Ok((path, text)),
            Err(error) => Err(Problem::Include { file: clean(name), why: clean(&error.to_string()) }),
        }
    }

    fn located(&self, file: &str, problems: Vec<Located>) -> Vec<ZoneError> {
        let shown = |file: &str| clean(&self.files.path(file));
        let with_file = |located: Located| match located.place {
            Some(Place { file: within, line }) => {
                ZoneError::At { file: shown(within.as_deref().unwrap_or(file)), line, problem: located.problem }
            }
            None => ZoneError::Lacks { file: shown(file), problem: located.problem },
        };
        problems.into_iter().map(with_file).collect()
    }

    fn zone_name(&self, name: &str, file: &str, why: &'static str) -> ZoneError {
        ZoneError::ZoneName { file: clean(&self.files.path(file)), name: name.to_owned(), why }
    }
}

impl Zones {
    /// Adds a zone; one of the same name is replaced.
    pub fn insert(&mut self, zone: Zone) {
        let key: Box<[u8]> = zone.key().into();
        self.lengths |= 1 << Key::of(zone.origin()).labels();
        match self.by_key.get(&key) {
            Some(&at) => self.zones[at] = zone,
            None => {
                self.by_key.insert(key, self.zones.len());
                self.zones.push(zone);
            }
        }
    }

    /// The zone that this name belongs to: the longest that it is in. `labels` is how many labels the name has.
    pub fn of(&self, key: &[u8], labels: u8) -> Option<&Zone> {
        let lengths = (0..=labels).rev();
        let mut candidates = key::upwards(key).zip(lengths).filter(|(_, length)| self.lengths >> length & 1 == 1);
        candidates.find_map(|(key, _)| self.by_key.get(key)).map(|&at| &self.zones[at])
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Zone> {
        self.zones.iter()
    }
}
