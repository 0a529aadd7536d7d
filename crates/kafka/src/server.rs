//! The Kafka face of one shard: what its connections share, and the listeners.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use ailurus_base::HashMap;
use ailurus_cluster::Cluster;
use ailurus_coordinator::Groups;
use ailurus_model::ShardId;
use ailurus_rt::{self as rt, Abort, Lane, Listener, Sharded};
use ailurus_settings::BrokerConfig;

use crate::admission::Admission;
use crate::connection::{self, Watch};
use crate::fetch::WaitKey;
use crate::fetch::owner::Waiting;
use crate::fetch::session::Sessions;
use crate::nodes::Nodes;
use crate::stats::KafkaStats;

/// What the Kafka face of a shard has.
pub struct KafkaShard {
    pub(crate) cluster: Rc<Cluster>,
    pub(crate) groups: Groups,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) sessions: RefCell<Sessions>,
    pub(crate) producer_ids: RefCell<Range<i64>>,
    pub(crate) stats: KafkaStats,
    admission: Admission,
    connections: RefCell<Vec<Weak<Watch>>>,
    connected: Cell<usize>,
    closing: Cell<bool>,
    sweeper: Cell<Option<rt::Task<()>>>,
    accepting: RefCell<Option<(Abort, rt::Task<()>)>>,
    handle: OnceCell<Sharded<KafkaShard>>,
    waits: RefCell<HashMap<WaitKey, Rc<Waiting>>>,
    next_wait: Cell<u64>,
}

/// The Kafka face of the broker.
pub struct KafkaServer {
    shards: Sharded<KafkaShard>,
    nodes: Arc<Nodes>,
    local_addrs: Vec<SocketAddr>,
}

impl KafkaServer {
    /// Starts to serve; called on shard 0. Clients are told of `nodes`, and each node has its listener: one whose connections
    /// are spread over the shards, or in shard-direct mode one per shard, whose connections stay there.
    ///
    /// # Panics
    /// If there are not as many listeners as nodes.
    pub async fn start(
        cluster: Sharded<Cluster>,
        groups: Groups,
        listeners: Vec<Listener>,
        nodes: Nodes,
    ) -> KafkaServer {
        let nodes = Arc::new(nodes);
        assert_eq!(listeners.len(), nodes.all().count(), "clients dial every node");
        let shards = start_shards(cluster, groups, nodes.clone()).await;
        let local_addrs = listeners.iter().map(Listener::local_addr).collect();
        for (shard, listener) in (0..).map(ShardId).zip(listeners) {
            let stays = nodes.is_direct();
            let accept = move |shard: &Rc<KafkaShard>| {
                let serve = move |conn| connection::serve(shards.local(), conn);
                match stays {
                    true => shard.accept(|stop| listener.serve_here(stop, serve)),
                    false => shard.accept(|stop| listener.serve(stop, serve)),
                }
            };
            shards.on(shard, Lane::Kafka, accept).await;
        }
        KafkaServer { shards, nodes, local_addrs }
    }

    /// Where it listens, in the order of [`KafkaServer::nodes`].
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// What clients are told.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The shards, for their numbers.
    pub fn shards(&self) -> Sharded<KafkaShard> {
        self.shards
    }

    /// Accepts nothing more, ends all connections and waits until they are gone, for at most `patience`.
    pub async fn stop(self, patience: Duration) {
        self.shards.map_async(Lane::Kafka, |shard: Rc<KafkaShard>| async move { shard.stop_accepting().await }).await;
        let close = move |shard: Rc<KafkaShard>| async move { shard.close_connections(patience).await };
        self.shards.map_async(Lane::Kafka, close).await;
        // Fetches that were dropped have told the owners to end their waits. Nobody waits until they hear of it, and the
        // service must be there when they do: a round behind them, from each shard to all.
        let shards = self.shards;
        let behind = move |_: Rc<KafkaShard>| async move { shards.map(Lane::Kafka, |_: &Rc<KafkaShard>| ()).await };
        self.shards.map_async(Lane::Kafka, behind).await;
        let finish = move |shard: Rc<KafkaShard>| async move { shard.finish_waits(patience).await };
        self.shards.map_async(Lane::Kafka, finish).await;
        self.shards.stop().await;
    }
}

/// The shards without a listener: what there is to ask.
pub(crate) async fn start_shards(cluster: Sharded<Cluster>, groups: Groups, nodes: Arc<Nodes>) -> Sharded<KafkaShard> {
    let make = move |_| KafkaShard::new(cluster.local(), groups, nodes.clone());
    let shards = Sharded::start(make).await;
    shards.map(Lane::Kafka, move |shard: &Rc<KafkaShard>| shard.start(shards)).await;
    shards
}

/// One of the connections that are counted; counted off when dropped.
pub(crate) struct Registered(Rc<KafkaShard>);

impl Drop for Registered {
    fn drop(&mut self) {
        self.0.connected.set(self.0.connected.get() - 1);
        self.0.connections.borrow_mut().retain(|watch| watch.strong_count() > 0);
    }
}

impl KafkaShard {
    fn new(cluster: Rc<Cluster>, groups: Groups, nodes: Arc<Nodes>) -> Self {
        let slots = cluster.settings().max_incremental_fetch_session_cache_slots as usize;
        KafkaShard {
            cluster,
            groups,
            nodes,
            sessions: RefCell::new(Sessions::new(slots / usize::from(rt::shard_count()))),
            producer_ids: RefCell::new(0..0),
            stats: KafkaStats::default(),
            // Free is all of it: nobody else takes from the memory for requests.
            admission: Admission::of(rt::memory().free()),
            connections: RefCell::default(),
            connected: Cell::new(0),
            closing: Cell::new(false),
            sweeper: Cell::new(None),
            accepting: RefCell::new(None),
            handle: OnceCell::new(),
            waits: RefCell::default(),
            next_wait: Cell::new(0),
        }
    }

    /// The same service on all shards.
    pub(crate) fn sharded(&self) -> Sharded<KafkaShard> {
        *self.handle.get().expect("set before the first connection")
    }

    /// A number for a wait of this shard at another.
    pub(crate) fn next_wait(&self) -> u64 {
        self.next_wait.replace(self.next_wait.get() + 1)
    }

    /// A fetch of another shard begins to wait here.
    pub(crate) fn enter_wait(&self, key: WaitKey) -> Rc<Waiting> {
        self.waits.borrow_mut().entry(key).or_default().clone()
    }

    /// It has its answer.
    pub(crate) fn leave_wait(&self, key: WaitKey) {
        self.waits.borrow_mut().remove(&key);
    }

    /// Who asked has enough, or is gone.
    pub(crate) fn end_wait(&self, key: WaitKey) {
        if let Some(waiting) = self.waits.borrow().get(&key) {
            waiting.ended.set(true);
            waiting.bell.ring();
        }
    }

    fn start(self: &Rc<Self>, handle: Sharded<KafkaShard>) {
        assert!(self.handle.set(handle).is_ok(), "a shard is started once");
        self.sweeper.set(Some(rt::spawn(rt::Group::Admin, connection::sweep(self.clone()))));
    }

    /// Begins to accept on this shard.
    fn accept<F: Future<Output = ()> + 'static>(&self, accepting: impl FnOnce(Abort) -> F) {
        let stop = Abort::new();
        let task = rt::spawn(rt::Group::Kafka, accepting(stop.clone()));
        let before = self.accepting.replace(Some((stop, task)));
        assert!(before.is_none(), "a shard has one listener");
    }

    /// Closes the listener of this shard, if it has one.
    async fn stop_accepting(&self) {
        let accepting = self.accepting.take();
        if let Some((stop, task)) = accepting {
            stop.request();
            task.await;
        }
    }

    /// Counts a connection in; nothing if `max.connections` were there before it, on all shards, or if all are being closed.
    /// `place` is its own among them.
    pub(crate) fn register(self: &Rc<Self>, watch: &Rc<Watch>, place: usize) -> Option<Registered> {
        let most = (self.settings().max_connections as usize).max(1);
        if self.closing.get() || place > most {
            return None;
        }
        self.connected.set(self.connected.get() + 1);
        self.connections.borrow_mut().push(Rc::downgrade(watch));
        Some(Registered(self.clone()))
    }

    /// How many connections this shard serves.
    pub fn connection_count(&self) -> usize {
        self.connected.get()
    }

    /// Bytes that were read to load the groups that this shard serves now.
    pub fn group_loaded_bytes(&self) -> u64 {
        self.groups.loaded_bytes()
    }

    /// Numbers since start.
    pub fn stats(&self) -> &KafkaStats {
        &self.stats
    }

    pub(crate) fn connections(&self) -> Vec<Rc<Watch>> {
        self.connections.borrow().iter().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(crate) fn settings(&self) -> Rc<BrokerConfig> {
        self.cluster.settings()
    }

    pub(crate) fn frame_bytes_max(&self) -> usize {
        (self.settings().socket_request_max_bytes as usize).min(self.admission.frame_bytes_max() as usize)
    }

    /// How long a client may leave its connection without a byte; none if as long as it likes.
    pub(crate) fn idle_max(&self) -> Option<Duration> {
        u64::try_from(self.settings().connections_max_idle_ms).ok().map(Duration::from_millis)
    }

    /// Ends all connections and what was asked on them. Their tasks need a few turns for that, and nothing else.
    async fn close_connections(&self, patience: Duration) {
        self.sweeper.set(None);
        // One that is on its way to this shard comes too late.
        self.closing.set(true);
        for watch in self.connections() {
            watch.shut_down();
        }
        let all_gone = || self.connected.get() == 0;
        if !within(patience, all_gone).await {
            tracing::warn!(left = self.connected.get(), "connections are left behind");
        }
    }

    /// Waits until no fetch of another shard waits or reads here any more.
    async fn finish_waits(&self, patience: Duration) {
        let none_left = || self.waits.borrow().is_empty();
        if !within(patience, none_left).await {
            tracing::warn!(left = self.waits.borrow().len(), "fetches are left behind");
        }
    }
}

/// Waits until it is so, for at most `patience`; whether it is.
async fn within(patience: Duration, so: impl Fn() -> bool) -> bool {
    let deadline = rt::now() + patience;
    while !so() && rt::now() < deadline {
        rt::sleep(Duration::from_millis(1)).await;
    }
    so()
}
