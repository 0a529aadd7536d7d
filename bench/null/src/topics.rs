//! Which topics there are. The list is shared by all shards and locked by whoever changes it; each shard keeps its own
//! copy, with its partitions, and looks at one number to see whether that is still whole.

use ailurus_base::HashMap;
use ailurus_model::TopicId;
use ailurus_wire::Str;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::partition::Partition;

/// What all shards share.
#[derive(Default)]
pub(crate) struct Registry {
    /// Where each shard listens; set when all do.
    pub(crate) nodes: OnceLock<Vec<SocketAddr>>,
    topics: Mutex<Vec<(String, TopicId, usize)>>,
    count: AtomicUsize,
}

impl Registry {
    /// Adds a topic; `None` if there is one of that name.
    pub(crate) fn create(&self, name: &str, partitions: usize) -> Option<TopicId> {
        let mut topics = self.topics.lock().expect("nobody panics while holding it");
        if topics.iter().any(|(other, ..)| other == name) {
            return None;
        }
        // Never zero: that would be no id at all.
        let id = TopicId(topics.len() as u128 + 1);
        topics.push((name.to_owned(), id, partitions));
        self.count.store(topics.len(), Ordering::Release);
        Some(id)
    }
}

/// A topic, as one shard has it.
pub(crate) struct Topic {
    pub(crate) name: Str,
    pub(crate) id: TopicId,
    pub(crate) partitions: Vec<Rc<Partition>>,
}

/// The topics that a shard knows.
#[derive(Default)]
pub(crate) struct Topics {
    known: Vec<Rc<Topic>>,
    by_name: HashMap<Str, Rc<Topic>>,
}

impl Topics {
    /// Learns what was added.
    pub(crate) fn refresh(&mut self, registry: &Registry) {
        if registry.count.load(Ordering::Acquire) == self.known.len() {
            return;
        }
        let topics = registry.topics.lock().expect("nobody panics while holding it");
        for (name, id, partitions) in &topics[self.known.len()..] {
            let partitions = (0..*partitions).map(|_| Rc::default()).collect();
            let topic = Rc::new(Topic { name: Str::from(name.as_str()), id: *id, partitions });
            self.by_name.insert(topic.name.clone(), topic.clone());
            self.known.push(topic);
        }
    }

    /// All, in the order in which they were made.
    pub(crate) fn all(&self) -> &[Rc<Topic>] {
        &self.known
    }

    /// By name, or by id where there is one.
    pub(crate) fn find(&self, name: &Str, id: TopicId) -> Option<&Rc<Topic>> {
        match id {
            TopicId::NONE => self.by_name.get(name),
            // Ids count from one.
            TopicId(id) => self.known.get(usize::try_from(id).ok()?.checked_sub(1)?),
        }
    }
}
