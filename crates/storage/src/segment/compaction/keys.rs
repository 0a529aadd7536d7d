//! The newest offset of every key in a stretch of the log, bounded in memory.
//!
//! Keys are kept whole, not as digests: two keys that collide would lose a record, and whoever writes the keys could make
//! them collide.

use ailurus_base::HashMap;
use ailurus_model::Offset;

/// What an entry costs beside the bytes of its key: slot, pointer, length, offset, allocator.
const ENTRY_OVERHEAD: u64 = 64;

/// Newest offsets by key.
pub struct KeyMap {
    newest: HashMap<Box<[u8]>, Offset>,
    budget: u64,
    used: u64,
}

impl KeyMap {
    /// An empty map that calls itself full at `budget` bytes.
    pub fn new(budget: u64) -> Self {
        KeyMap { newest: HashMap::default(), budget, used: 0 }
    }

    /// Takes note of a record; they come in the order of their offsets.
    pub fn note(&mut self, key: &[u8], offset: Offset) {
        if let Some(newest) = self.newest.get_mut(key) {
            *newest = offset;
            return;
        }
        self.used += key.len() as u64 + ENTRY_OVERHEAD;
        self.newest.insert(key.into(), offset);
    }

    /// Whether the pass must end at the next batch.
    pub fn is_full(&self) -> bool {
        self.used >= self.budget
    }

    /// Whether a newer record than the one at `offset` has the same key.
    pub fn supersedes(&self, key: &[u8], offset: Offset) -> bool {
        self.newest.get(key).is_some_and(|newest| *newest > offset)
    }

    /// Keys in it.
    pub fn count(&self) -> usize {
        self.newest.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_offset_of_a_key_counts() {
        let mut map = KeyMap::new(1000);
        map.note(b"a", Offset(1));
        map.note(b"b", Offset(2));
        map.note(b"a", Offset(3));
        assert!(map.supersedes(b"a", Offset(1)));
        assert!(!map.supersedes(b"a", Offset(3)));
        assert!(!map.supersedes(b"b", Offset(2)));
        assert!(!map.supersedes(b"c", Offset(0)));
        assert_eq!(map.count(), 2);
    }

    #[test]
    fn it_is_full_at_its_budget() {
        let mut map = KeyMap::new(2 * (ENTRY_OVERHEAD + 1));
        map.note(b"a", Offset(1));
        map.note(b"a", Offset(2));
        assert!(!map.is_full());
        map.note(b"b", Offset(3));
        assert!(map.is_full());
    }
}
