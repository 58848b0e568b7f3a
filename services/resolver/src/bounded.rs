//! A map that never grows beyond a bound.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// A map in two generations: when the young one is full it becomes the old one, and what was old is forgotten. What is
/// used moves into the young one. That keeps the recently used half of the entries at least, at the price of two
/// look-ups; a list in the order of use would be exact, and larger than all else here.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    /// A map of at most `bound` entries.
    pub(crate) fn new(bound: usize) -> Self {
        Self { half: (bound / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    /// The value of this key, which counts as used.
    pub(crate) fn find<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if !self.young.contains_key(key)
            && let Some((key, value)) = self.old.remove_entry(key)
        {
            self.insert(key, value);
        }
        self.young.get_mut(key)
    }

    /// Sets the value of this key.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// Forgets this key.
    pub(crate) fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_keeps_what_is_used() {
        let mut map = Bounded::new(8);
        for key in 0..1_000 {
            map.insert(key, key);
            assert!(map.find(&0).is_some(), "the one that is used all the time went at {key}");
            assert!(map.len() <= 8);
        }
        assert!(map.find(&999).is_some() && map.find(&1).is_none());
        map.remove(&999);
        assert!(map.find(&999).is_none());
    }
}
