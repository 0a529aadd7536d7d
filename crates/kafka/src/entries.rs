//! Entries that a request names more than once. A request may be large: nothing here takes more than a look per entry.

use std::hash::Hash;

use ailurus_base::{HashMap, HashSet};

/// Those of `keys` that come more than once.
pub(crate) fn repeated<K: Hash + Eq + Clone>(keys: impl IntoIterator<Item = K>) -> HashSet<K> {
    let mut seen = HashSet::default();
    keys.into_iter().filter(|key| !seen.insert(key.clone())).collect()
}

/// The first of each that have the same key. What is described at length is described once per request, however often it
/// is named: a short request must not make an answer a thousand times its size.
pub(crate) fn once<T, K: Hash + Eq>(entries: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = HashSet::default();
    entries.into_iter().filter(|entry| seen.insert(key(entry))).collect()
}

/// Names with numbers, without the pairs that came before. A name may come again with others.
pub(crate) fn distinct<K: Hash + Eq + Clone>(entries: impl Iterator<Item = (K, Vec<i32>)>) -> Vec<(K, Vec<i32>)> {
    let mut seen: HashMap<K, HashSet<i32>> = HashMap::default();
    let rest = |(name, mut numbers): (K, Vec<i32>)| {
        let seen = seen.entry(name.clone()).or_default();
        numbers.retain(|number| seen.insert(*number));
        (name, numbers)
    };
    entries.map(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_stays_in_its_place() {
        assert_eq!(once(vec![(2, 'a'), (1, 'b'), (2, 'c'), (3, 'd')], |entry| entry.0), [(2, 'a'), (1, 'b'), (3, 'd')]);
    }

    #[test]
    fn a_pair_comes_once_and_a_name_with_all_of_its_numbers() {
        let entries = [('a', vec![1, 2, 1]), ('b', vec![1]), ('a', vec![2, 3]), ('b', vec![1])];
        let left = [('a', vec![1, 2]), ('b', vec![1]), ('a', vec![3]), ('b', vec![])];
        assert_eq!(distinct(entries.into_iter()), left);
    }

    #[test]
    fn only_what_comes_again_is_repeated() {
        assert_eq!(repeated([1, 2, 3, 2, 2, 1]), HashSet::from_iter([1, 2]));
        assert!(repeated([1, 2, 3]).is_empty());
    }
}
