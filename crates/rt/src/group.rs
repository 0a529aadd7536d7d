//! Scheduling groups: who runs next on a shard.
//!
//! Each group has shares. A group that ran for `t` has its virtual time moved by `t / shares`; the ready group with the
//! least virtual time runs next. A group that was idle starts at the least virtual time of the ready ones, so it cannot
//! save up time and then keep the others out.
//!
//! What always holds: among ready groups, time is divided by shares; within a group tasks run in the order of their
//! wake-ups. In simulation the pick is the seed's.

use async_task::Runnable;
use std::collections::VecDeque;

/// What a task works for. The last three are background: after 50 us of them the driver is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Group {
    /// Requests of clients. 1000 shares.
    Kafka,
    /// Reads for fetches. 1000 shares.
    Fetch,
    /// Replication and everything that commits. 1000 shares.
    Raft,
    /// Controller, reconcilers, metadata. 300 shares.
    Cluster,
    /// Operators and metrics. 100 shares, background.
    Admin,
    /// Compaction, retention, draining. 100 shares, background.
    Compaction,
    /// Rebuilding after a crash or a move. 50 shares, background.
    Recovery,
}

/// How many groups there are.
pub(crate) const GROUPS: usize = 7;

impl Group {
    /// All groups, in the order of their numbers.
    pub const ALL: [Group; GROUPS] =
        [Group::Kafka, Group::Fetch, Group::Raft, Group::Cluster, Group::Admin, Group::Compaction, Group::Recovery];

    /// Its part of the shard while others are ready too.
    pub fn shares(self) -> u64 {
        match self {
            Group::Kafka | Group::Fetch | Group::Raft => 1000,
            Group::Cluster => 300,
            Group::Admin | Group::Compaction => 100,
            Group::Recovery => 50,
        }
    }

    /// True if it must let the driver be polled after 50 us.
    pub fn is_background(self) -> bool {
        self as u8 >= Group::Admin as u8
    }

    /// Lower-case name, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Group::Kafka => "kafka",
            Group::Fetch => "fetch",
            Group::Raft => "raft",
            Group::Cluster => "cluster",
            Group::Admin => "admin",
            Group::Compaction => "compaction",
            Group::Recovery => "recovery",
        }
    }
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Runnable>,
    /// Nanoseconds of run time, times 1000, divided by shares.
    virtual_time: u64,
}

/// The ready tasks of one shard.
#[derive(Default)]
pub(crate) struct RunQueues {
    groups: [Queue; GROUPS],
    /// Least virtual time at which a group was last picked; never falls.
    floor: u64,
    ready: usize,
}

impl RunQueues {
    /// Appends a task that was woken.
    pub(crate) fn push(&mut self, group: Group, task: Runnable) {
        let queue = &mut self.groups[group as usize];
        if queue.ready.is_empty() {
            queue.virtual_time = queue.virtual_time.max(self.floor);
        }
        queue.ready.push_back(task);
        self.ready += 1;
    }

    /// Takes the next task by virtual time.
    pub(crate) fn pick(&mut self) -> Option<(Group, Runnable)> {
        let group = Group::ALL
            .into_iter()
            .filter(|group| !self.groups[*group as usize].ready.is_empty())
            .min_by_key(|group| self.groups[*group as usize].virtual_time)?;
        let queue = &mut self.groups[group as usize];
        self.floor = self.floor.max(queue.virtual_time);
        self.ready -= 1;
        Some((group, queue.ready.pop_front().expect("the queue was not empty")))
    }

    /// Takes the `place`-th ready task of all, counted through the groups (simulation).
    #[cfg(feature = "sim")]
    pub(crate) fn take_nth(&mut self, mut place: usize) -> (Group, Runnable) {
        for group in Group::ALL {
            let ready = &mut self.groups[group as usize].ready;
            if place < ready.len() {
                self.ready -= 1;
                return (group, ready.remove(place).expect("just compared with the length"));
            }
            place -= ready.len();
        }
        panic!("fewer ready tasks than counted");
    }

    /// Charges `ns` of run time.
    pub(crate) fn charge(&mut self, group: Group, ns: u64) {
        self.groups[group as usize].virtual_time += ns * 1000 / group.shares();
    }

    /// Charges `ns` of run time to a group that was not picked: what others call here runs before it is a task.
    pub(crate) fn charge_unpicked(&mut self, group: Group, ns: u64) {
        let queue = &mut self.groups[group as usize];
        if queue.ready.is_empty() {
            queue.virtual_time = queue.virtual_time.max(self.floor);
        }
        // The floor goes along, or a group that comes later would start far behind and keep this one out.
        let ready = self.groups.iter().filter(|queue| !queue.ready.is_empty()).map(|queue| queue.virtual_time);
        let least = ready.fold(self.groups[group as usize].virtual_time, u64::min);
        self.floor = self.floor.max(least);
        self.charge(group, ns);
    }

    /// How many tasks are ready.
    pub(crate) fn ready(&self) -> usize {
        self.ready
    }

    /// Takes everything, to be dropped outside the borrow.
    pub(crate) fn take_all(&mut self) -> Vec<Runnable> {
        self.ready = 0;
        self.groups.iter_mut().flat_map(|queue| std::mem::take(&mut queue.ready)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Runnable {
        let (runnable, task) = async_task::spawn(async {}, |_| ());
        task.detach();
        runnable
    }

    #[test]
    fn time_is_divided_by_shares() {
        let mut queues = RunQueues::default();
        let mut ran = [0u32; GROUPS];
        for _ in 0..1_100 {
            queues.push(Group::Kafka, nothing());
            queues.push(Group::Compaction, nothing());
        }
        for _ in 0..1_100 {
            let (group, _) = queues.pick().expect("ready");
            queues.charge(group, 10_000);
            ran[group as usize] += 1;
        }
        let ratio = f64::from(ran[Group::Kafka as usize]) / f64::from(ran[Group::Compaction as usize]);
        assert!((9.0..11.0).contains(&ratio), "1000 shares against 100: {ratio}");
    }

    #[test]
    fn what_was_not_picked_is_charged_and_nobody_starts_far_behind_it() {
        let mut queues = RunQueues::default();
        for _ in 0..1000 {
            queues.charge_unpicked(Group::Kafka, 100_000);
        }
        let mut ran = [0u32; GROUPS];
        for _ in 0..20 {
            queues.push(Group::Kafka, nothing());
            queues.push(Group::Raft, nothing());
        }
        for _ in 0..20 {
            let (group, _) = queues.pick().expect("ready");
            queues.charge(group, 100_000);
            ran[group as usize] += 1;
        }
        assert!((9..=11).contains(&ran[Group::Kafka as usize]), "both get half: {ran:?}");
        // While another group is ready, what is charged counts against its own tasks.
        for _ in 0..9 {
            queues.charge_unpicked(Group::Kafka, 100_000);
        }
        let next: Vec<Group> = (0..8)
            .map(|_| {
                let (group, _) = queues.pick().expect("ready");
                queues.charge(group, 100_000);
                group
            })
            .collect();
        assert!(next[1..].iter().all(|group| *group == Group::Raft), "{next:?}");
    }

    #[test]
    fn an_idle_group_saves_nothing_up() {
        let mut queues = RunQueues::default();
        for _ in 0..100 {
            queues.push(Group::Raft, nothing());
            let (group, _) = queues.pick().expect("ready");
            queues.charge(group, 1_000_000);
        }
        let mut kafka = 0;
        for _ in 0..10 {
            queues.push(Group::Kafka, nothing());
            queues.push(Group::Raft, nothing());
        }
        for _ in 0..10 {
            let (group, _) = queues.pick().expect("ready");
            queues.charge(group, 1_000_000);
            kafka += u32::from(group == Group::Kafka);
        }
        assert!((4..=6).contains(&kafka), "both get half, the newcomer had {kafka} of 10");
    }
}
