//! Things kept open or in memory up to a budget; the one used longest ago goes first.

use std::collections::BTreeMap;

use ailurus_base::HashMap;

/// Values by segment id, each with a cost.
///
/// What always holds: the costs together are within the budget, or there is only one value.
pub struct Lru<V> {
    budget: u64,
    used: u64,
    clock: u64,
    slots: HashMap<u64, Slot<V>>,
    /// Oldest use first.
    recency: BTreeMap<u64, u64>,
}

struct Slot<V> {
    value: V,
    cost: u64,
    used_at: u64,
}

impl<V: Clone> Lru<V> {
    /// An empty one.
    pub fn new(budget: u64) -> Self {
        Lru { budget, used: 0, clock: 0, slots: HashMap::default(), recency: BTreeMap::new() }
    }

    /// The value of `id`, which is now the one used last.
    pub fn get(&mut self, id: u64) -> Option<V> {
        self.clock += 1;
        let slot = self.slots.get_mut(&id)?;
        self.recency.remove(&slot.used_at);
        slot.used_at = self.clock;
        self.recency.insert(self.clock, id);
        Some(slot.value.clone())
    }

    /// Keeps `value` for `id` in place of what was there, and drops others to make room.
    pub fn put(&mut self, id: u64, value: V, cost: u64) {
        self.remove(id);
        self.clock += 1;
        self.slots.insert(id, Slot { value, cost, used_at: self.clock });
        self.recency.insert(self.clock, id);
        self.used += cost;
        while self.used > self.budget && self.slots.len() > 1 {
            self.remove_oldest();
        }
    }

    /// Drops the value that was used longest ago.
    pub fn remove_oldest(&mut self) {
        if let Some((_, oldest)) = self.recency.first_key_value() {
            self.remove(*oldest);
        }
    }

    /// Drops the value of `id`.
    pub fn remove(&mut self, id: u64) {
        if let Some(slot) = self.slots.remove(&id) {
            self.recency.remove(&slot.used_at);
            self.used -= slot.cost;
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_used_longest_ago_goes_first() {
        let mut lru = Lru::new(10);
        lru.put(1, "one", 4);
        lru.put(2, "two", 4);
        assert_eq!(lru.get(1), Some("one"));
        lru.put(3, "three", 4);
        assert_eq!((lru.get(1), lru.get(2), lru.get(3)), (Some("one"), None, Some("three")));
        lru.put(1, "uno", 20);
        assert_eq!((lru.get(1), lru.count()), (Some("uno"), 1), "one value stays even if it is too dear");
        lru.remove(1);
        assert_eq!((lru.used, lru.recency.len()), (0, 0));
    }
}
