//! Fetch sessions (KIP-227): a consumer of a thousand partitions says once which, and then only what changed.
//!
//! Pure state, one cache per shard. A session that is not here (another shard's, evicted, from before a restart) is
//! answered with an error on which clients begin a new one. When the cache is full and nothing in it is old, a fetch is
//! answered without a session, which clients accept. Full is a matter of sessions and of partitions: a request may name
//! hundreds of thousands, and they would outlive it. What does not exist is kept as well: clients do not name it again, and
//! want it when it exists.

use std::time::Duration;

use ailurus_base::HashMap;
use ailurus_rt::Instant;
use ailurus_wire::{ErrorCode, Str, TopicId};

/// A session that was used within this time is not given up for a new one (Kafka's `min.incremental.fetch.session.eviction.ms`).
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);

/// So many partitions are kept on a shard, in all its sessions: about 200 bytes each, and up to 249 more for a topic's name.
const PARTITIONS_MAX: usize = 100_000;

/// A topic as the client names it: by name up to version 12, by id from 13.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum TopicKey {
    Name(Str),
    Id(TopicId),
}

/// A partition as the client names it.
pub(crate) type Key = (TopicKey, i32);

/// What a client wants from one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wish {
    pub(crate) offset: i64,
    pub(crate) max_bytes: i32,
    pub(crate) current_leader_epoch: i32,
    pub(crate) last_fetched_epoch: i32,
}

/// What the client was told of a partition last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
}

struct Entry {
    wish: Wish,
    told: Option<Told>,
}

struct Session {
    epoch: i32,
    partitions: HashMap<Key, Entry>,
    /// The order in which partitions are served: those that got something go to the end, so that none starves.
    order: Vec<Key>,
    last_used: Instant,
}

/// The sessions of one shard.
pub(crate) struct Sessions {
    slots: usize,
    partitions_max: usize,
    /// Partitions of all sessions together.
    partitions: usize,
    by_id: HashMap<i32, Session>,
}

/// What a request asks of its session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) id: i32,
    pub(crate) epoch: i32,
}

/// What is to be fetched, and how it is answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fetchable {
    /// The session of the answer; 0 for none.
    pub(crate) session: i32,
    /// Only partitions with news are answered.
    pub(crate) incremental: bool,
    pub(crate) partitions: Vec<(Key, Wish)>,
}

impl Sessions {
    /// Room for `slots` sessions.
    pub(crate) fn new(slots: usize) -> Self {
        Sessions::bounded(slots, PARTITIONS_MAX)
    }

    fn bounded(slots: usize, partitions_max: usize) -> Self {
        Sessions { slots, partitions_max, partitions: 0, by_id: HashMap::default() }
    }

    /// How many there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Takes in what a request says and answers what it fetches.
    pub(crate) fn begin(
        &mut self,
        asked: Asked,
        wishes: Vec<(Key, Wish)>,
        forgotten: &[Key],
        now: Instant,
        new_id: impl FnMut() -> i32,
    ) -> Result<Fetchable, ErrorCode> {
        if !matches!(asked.epoch, 0 | -1) {
            return self.go_on(asked, wishes, forgotten, now);
        }
        // Epoch 0 begins a session, -1 has none; either way the named one has ended.
        self.end(asked.id);
        let session = match asked.epoch {
            0 if !wishes.is_empty() => self.open(&wishes, now, new_id),
            _ => 0,
        };
        Ok(Fetchable { session, incremental: false, partitions: wishes })
    }

    fn go_on(
        &mut self,
        asked: Asked,
        wishes: Vec<(Key, Wish)>,
        forgotten: &[Key],
        now: Instant,
    ) -> Result<Fetchable, ErrorCode> {
        let session = self.by_id.get_mut(&asked.id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != asked.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        let names = |key: &Key| matches!(key.0, TopicKey::Name(_));
        let known = session.order.first().map(names);
        if wishes.iter().any(|(key, _)| known.is_some_and(|known| known != names(key))) {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.epoch = next_epoch(session.epoch);
        session.last_used = now;
        let before = session.order.len();
        session.forget(forgotten);
        session.wish(wishes);
        self.partitions = self.partitions - before + session.order.len();
        if self.partitions > self.partitions_max {
            // The client then names all it wants at once, and is served without a session if that is too much.
            self.end(asked.id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        let partitions = session.order.iter().map(|key| (key.clone(), session.partitions[key].wish)).collect();
        if session.order.is_empty() {
            self.end(asked.id);
            return Ok(Fetchable { session: 0, incremental: true, partitions });
        }
        Ok(Fetchable { session: asked.id, incremental: true, partitions })
    }

    fn end(&mut self, id: i32) -> bool {
        let ended = self.by_id.remove(&id);
        self.partitions -= ended.as_ref().map_or(0, |session| session.order.len());
        ended.is_some()
    }

    fn open(&mut self, wishes: &[(Key, Wish)], now: Instant, mut new_id: impl FnMut() -> i32) -> i32 {
        if wishes.len() > self.partitions_max {
            return 0;
        }
        while self.by_id.len() >= self.slots || self.partitions + wishes.len() > self.partitions_max {
            if !self.evict(now) {
                return 0;
            }
        }
        let mut id = new_id();
        while id <= 0 || self.by_id.contains_key(&id) {
            id = new_id();
        }
        let mut session = Session { epoch: 1, partitions: HashMap::default(), order: Vec::new(), last_used: now };
        session.wish(wishes.iter().cloned());
        self.partitions += session.order.len();
        self.by_id.insert(id, session);
        id
    }

    fn evict(&mut self, now: Instant) -> bool {
        let oldest = self.by_id.iter().min_by_key(|(id, session)| (session.last_used, **id));
        match oldest.map(|(id, session)| (*id, session.last_used)) {
            Some((id, last_used)) if now - last_used >= EVICTABLE_AFTER => self.end(id),
            _ => false,
        }
    }

    /// Notes what a partition's answer says; true if it must be sent although it has no records.
    pub(crate) fn is_news(&mut self, session: i32, key: &Key, told: Option<Told>) -> bool {
        let Some(entry) = self.by_id.get_mut(&session).and_then(|session| session.partitions.get_mut(key)) else {
            return true;
        };
        // An error is told each time; what was told before it is told again after it.
        let news = told.is_none() || entry.told != told;
        entry.told = told;
        news
    }

    /// The partitions that got records go to the end of the order.
    pub(crate) fn served(&mut self, session: i32, mut got_records: impl FnMut(&Key) -> bool) {
        if let Some(session) = self.by_id.get_mut(&session) {
            let (served, waiting): (Vec<_>, Vec<_>) = session.order.drain(..).partition(|key| got_records(key));
            session.order = waiting;
            session.order.extend(served);
        }
    }
}

impl Session {
    fn wish(&mut self, wishes: impl IntoIterator<Item = (Key, Wish)>) {
        // The partitions of a topic come one after the other: they share one copy of its name.
        let mut last: Option<TopicKey> = None;
        for (key, wish) in wishes {
            match self.partitions.get_mut(&key) {
                Some(entry) => entry.wish = wish,
                None => {
                    let (topic, partition) = key;
                    let topic = last.take().filter(|last| *last == topic).unwrap_or_else(|| topic.detached());
                    last = Some(topic.clone());
                    self.order.push((topic.clone(), partition));
                    self.partitions.insert((topic, partition), Entry { wish, told: None });
                }
            }
        }
    }

    fn forget(&mut self, forgotten: &[Key]) {
        if forgotten.is_empty() {
            return;
        }
        for key in forgotten {
            self.partitions.remove(key);
        }
        let partitions = &self.partitions;
        self.order.retain(|key| partitions.contains_key(key));
    }
}

impl TopicKey {
    /// The same without a hold on the frame that it came in.
    fn detached(&self) -> TopicKey {
        match self {
            TopicKey::Name(name) => TopicKey::Name(name.detached()),
            TopicKey::Id(id) => TopicKey::Id(*id),
        }
    }
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(partition: i32) -> Key {
        (TopicKey::Name(Str::from_static("t")), partition)
    }

    fn wish(offset: i64) -> Wish {
        Wish { offset, max_bytes: 1, current_leader_epoch: -1, last_fetched_epoch: -1 }
    }

    fn wishes(partitions: &[i32]) -> Vec<(Key, Wish)> {
        partitions.iter().map(|partition| (key(*partition), wish(0))).collect()
    }

    fn begin(
        sessions: &mut Sessions,
        (id, epoch): (i32, i32),
        partitions: &[i32],
        forgotten: &[i32],
        now: Instant,
    ) -> Result<(i32, Vec<i32>), ErrorCode> {
        let forgotten: Vec<Key> = forgotten.iter().copied().map(key).collect();
        let mut next = sessions.len() as i32;
        let new_id = || {
            next += 1;
            next
        };
        let fetchable = sessions.begin(Asked { id, epoch }, wishes(partitions), &forgotten, now, new_id)?;
        Ok((fetchable.session, fetchable.partitions.iter().map(|(key, _)| key.1).collect()))
    }

    const NOW: Instant = Instant::ZERO;

    #[test]
    fn a_session_remembers_what_is_wanted() {
        let mut sessions = Sessions::new(4);
        assert_eq!(begin(&mut sessions, (0, 0), &[1, 2, 3], &[], NOW), Ok((1, vec![1, 2, 3])));
        assert_eq!(begin(&mut sessions, (1, 1), &[], &[], NOW), Ok((1, vec![1, 2, 3])));
        assert_eq!(begin(&mut sessions, (1, 2), &[4], &[2], NOW), Ok((1, vec![1, 3, 4])));
    }

    #[test]
    fn the_epoch_counts_every_request() {
        let mut sessions = Sessions::new(4);
        begin(&mut sessions, (0, 0), &[1], &[], NOW).expect("a new session");
        assert_eq!(begin(&mut sessions, (1, 2), &[], &[], NOW), Err(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(begin(&mut sessions, (9, 1), &[], &[], NOW), Err(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(begin(&mut sessions, (1, -2), &[1], &[], NOW), Err(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(next_epoch(i32::MAX), 1);
    }

    #[test]
    fn a_full_fetch_ends_the_session_that_it_names() {
        let mut sessions = Sessions::new(4);
        begin(&mut sessions, (0, 0), &[1], &[], NOW).expect("a new session");
        assert_eq!(begin(&mut sessions, (1, -1), &[1], &[], NOW), Ok((0, vec![1])));
        assert_eq!(sessions.len(), 0);
    }

    #[test]
    fn a_session_that_wants_nothing_ends() {
        let mut sessions = Sessions::new(4);
        begin(&mut sessions, (0, 0), &[1], &[], NOW).expect("a new session");
        assert_eq!(begin(&mut sessions, (1, 1), &[], &[1], NOW), Ok((0, vec![])));
        assert_eq!(sessions.len(), 0);
    }

    #[test]
    fn a_full_cache_gives_up_only_what_is_old() {
        let mut sessions = Sessions::new(1);
        begin(&mut sessions, (0, 0), &[1], &[], NOW).expect("a new session");
        assert_eq!(begin(&mut sessions, (0, 0), &[2], &[], NOW), Ok((0, vec![2])));
        let later = NOW + EVICTABLE_AFTER;
        assert_eq!(begin(&mut sessions, (0, 0), &[2], &[], later), Ok((2, vec![2])));
        assert_eq!(begin(&mut sessions, (1, 1), &[], &[], later), Err(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn the_partitions_of_all_sessions_are_bounded() {
        let mut sessions = Sessions::bounded(9, 5);
        assert_eq!(begin(&mut sessions, (0, 0), &[1, 2, 3, 4, 5, 6], &[], NOW), Ok((0, vec![1, 2, 3, 4, 5, 6])));
        assert_eq!(begin(&mut sessions, (0, 0), &[1, 2, 3], &[], NOW), Ok((1, vec![1, 2, 3])));
        assert_eq!(begin(&mut sessions, (0, 0), &[1, 2, 3], &[], NOW), Ok((0, vec![1, 2, 3])), "no room");
        assert_eq!(begin(&mut sessions, (0, 0), &[1, 2], &[], NOW), Ok((2, vec![1, 2])), "this has");
        assert_eq!(begin(&mut sessions, (1, 1), &[4], &[1], NOW), Ok((1, vec![2, 3, 4])), "one for another");
        assert_eq!(begin(&mut sessions, (1, 2), &[5], &[], NOW), Err(ErrorCode::FetchSessionIdNotFound));
        assert_eq!((sessions.len(), sessions.partitions), (1, 2), "what has grown too large has ended");
        let later = NOW + EVICTABLE_AFTER;
        assert_eq!(
            begin(&mut sessions, (0, 0), &[1, 2, 3, 4], &[], later),
            Ok((2, vec![1, 2, 3, 4])),
            "for what is old"
        );
        assert_eq!((sessions.len(), sessions.partitions), (1, 4));
        begin(&mut sessions, (2, -1), &[], &[], later).expect("it is ended");
        assert_eq!((sessions.len(), sessions.partitions), (0, 0));
    }

    #[test]
    fn the_partitions_of_a_topic_share_its_name() {
        let mut sessions = Sessions::new(4);
        let frame = bytes::Bytes::from(b"a frame with a long name in it".to_vec());
        let topic = TopicKey::Name(Str::from_utf8(frame.slice(15..24)).expect("it is text"));
        let wishes = (0..3).map(|partition| ((topic.clone(), partition), wish(0))).collect();
        sessions.begin(Asked { id: 0, epoch: 0 }, wishes, &[], NOW, || 1).expect("a new session");
        let address = |(key, _): &Key| match key {
            TopicKey::Name(name) => name.as_str().as_ptr(),
            TopicKey::Id(_) => panic!("it has a name"),
        };
        let order = &sessions.by_id[&1].order;
        assert!(order.iter().all(|key| address(key) == address(&order[0])), "one copy");
        assert!(!frame.as_ptr_range().contains(&address(&order[0])), "which does not hold the frame");
    }

    #[test]
    fn names_and_ids_do_not_mix() {
        let mut sessions = Sessions::new(4);
        begin(&mut sessions, (0, 0), &[1], &[], NOW).expect("a new session");
        let by_id = vec![((TopicKey::Id(TopicId(7)), 1), wish(0))];
        let asked = Asked { id: 1, epoch: 1 };
        assert_eq!(sessions.begin(asked, by_id, &[], NOW, || 9), Err(ErrorCode::FetchSessionTopicIdError));
    }

    #[test]
    fn those_that_got_records_come_last() {
        let mut sessions = Sessions::new(4);
        begin(&mut sessions, (0, 0), &[1, 2, 3], &[], NOW).expect("a new session");
        sessions.served(1, |key| key.1 == 1);
        assert_eq!(begin(&mut sessions, (1, 1), &[], &[], NOW), Ok((1, vec![2, 3, 1])));
    }

    #[test]
    fn only_what_changed_is_news() {
        let mut sessions = Sessions::new(4);
        begin(&mut sessions, (0, 0), &[1], &[], NOW).expect("a new session");
        let told = Some(Told { high_watermark: 5, log_start: 0 });
        assert!(sessions.is_news(1, &key(1), told));
        assert!(!sessions.is_news(1, &key(1), told));
        assert!(sessions.is_news(1, &key(1), None));
        assert!(sessions.is_news(1, &key(1), None), "an error is told each time");
        assert!(sessions.is_news(1, &key(1), told), "and what was told before it is told again");
    }
}
