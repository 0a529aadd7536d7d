//! The directories of the simulated disk: names as the running machine sees them, names as the disk has them, and the
//! changes between the two in the order they were made.
//!
//! A change is atomic (a rename never shows both names or neither), and a lost change takes with it all later changes
//! of the same names: a file system may forget what was not flushed, but it does not lose a file by forgetting that
//! it was moved out of the way.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use super::CrashMood;
use super::dice::Dice;

/// A file or directory, whatever its names are. Never used again.
pub(super) type Ino = u64;

/// The directory that has no name and no parent.
pub(super) const ROOT: Ino = 0;

type Place = (Ino, OsString);
type Tree = BTreeMap<Ino, BTreeMap<OsString, Ino>>;

#[derive(Debug)]
enum Change {
    Link { place: Place, ino: Ino },
    Unlink { place: Place },
    Rename { from: Place, to: Place },
}

impl Change {
    fn places(&self) -> impl Iterator<Item = &Place> {
        let (one, two) = match self {
            Change::Link { place, .. } | Change::Unlink { place } => (place, None),
            Change::Rename { from, to } => (from, Some(to)),
        };
        std::iter::once(one).chain(two)
    }

    fn apply(&self, tree: &mut Tree) {
        match self {
            Change::Link { place, ino } => insert(tree, place, *ino),
            Change::Unlink { place } => drop(remove(tree, place)),
            Change::Rename { from, to } => {
                if let Some(ino) = remove(tree, from) {
                    insert(tree, to, ino);
                }
            }
        }
    }
}

fn insert(tree: &mut Tree, (dir, name): &Place, ino: Ino) {
    tree.entry(*dir).or_default().insert(name.clone(), ino);
}

fn remove(tree: &mut Tree, (dir, name): &Place) -> Option<Ino> {
    tree.get_mut(dir)?.remove(name)
}

#[derive(Debug, Default)]
pub(super) struct Names {
    live: Tree,
    durable: Tree,
    pending: Vec<(u64, Change)>,
}

impl Names {
    pub(super) fn lookup(&self, dir: Ino, name: &OsStr) -> Option<Ino> {
        self.live.get(&dir)?.get(name).copied()
    }

    /// Entries of a directory, by name.
    pub(super) fn entries(&self, dir: Ino) -> impl Iterator<Item = (&OsString, Ino)> {
        self.live.get(&dir).into_iter().flatten().map(|(name, ino)| (name, *ino))
    }

    pub(super) fn link(&mut self, seq: u64, place: Place, ino: Ino) {
        self.change(seq, Change::Link { place, ino });
    }

    pub(super) fn unlink(&mut self, seq: u64, place: Place) {
        self.change(seq, Change::Unlink { place });
    }

    pub(super) fn rename(&mut self, seq: u64, from: Place, to: Place) {
        self.change(seq, Change::Rename { from, to });
    }

    fn change(&mut self, seq: u64, change: Change) {
        change.apply(&mut self.live);
        self.pending.push((seq, change));
    }

    /// Makes the changes of `dir` (all directories, if `None`) up to `upto` durable, with those they rest on: a file
    /// that came here from another directory must have been made there first.
    pub(super) fn flush(&mut self, dir: Option<Ino>, upto: u64) {
        let mut dirs = BTreeSet::from_iter(dir);
        let mut flushed = vec![false; self.pending.len()];
        for (at, (seq, change)) in self.pending.iter().enumerate().rev() {
            if *seq <= upto && (dir.is_none() || change.places().any(|(dir, _)| dirs.contains(dir))) {
                dirs.extend(change.places().map(|(dir, _)| *dir));
                flushed[at] = true;
            }
        }
        let durable = &mut self.durable;
        let mut at = 0..;
        self.pending.retain(|(_, change)| {
            let flush = flushed[at.next().expect("endless")];
            if flush {
                change.apply(durable);
            }
            !flush
        });
    }

    /// The machine stops: each change that was not flushed is there or is not.
    pub(super) fn crash(&mut self, dice: &mut Dice, mood: CrashMood) {
        let mut lost: BTreeSet<Place> = BTreeSet::new();
        for (_, change) in std::mem::take(&mut self.pending) {
            if change.places().all(|place| !lost.contains(place)) && dice.chance(mood.kept_ppm) {
                change.apply(&mut self.durable);
            } else {
                lost.extend(change.places().cloned());
            }
        }
        let reachable = self.reachable();
        self.durable.retain(|dir, _| reachable.contains(dir));
        self.live = self.durable.clone();
    }

    /// Everything that has a name now, in the disk's eyes or the machine's, or that a lost change could bring back.
    pub(super) fn known(&self) -> BTreeSet<Ino> {
        let linked = self.pending.iter().filter_map(|(_, change)| match change {
            Change::Link { ino, .. } => Some(*ino),
            Change::Unlink { .. } | Change::Rename { .. } => None,
        });
        let named = [&self.live, &self.durable].into_iter().flat_map(|tree| tree.values().flat_map(BTreeMap::values));
        named.copied().chain(linked).chain([ROOT]).collect()
    }

    /// What can be reached from the root of the durable names.
    fn reachable(&self) -> BTreeSet<Ino> {
        let mut reached = BTreeSet::from([ROOT]);
        let mut next = vec![ROOT];
        while let Some(dir) = next.pop() {
            let inside = self.durable.get(&dir).into_iter().flat_map(BTreeMap::values);
            next.extend(inside.filter(|ino| reached.insert(**ino)));
        }
        reached
    }
}
