//! Which broker, and again: bootstrap, connections by node, leaders and coordinators, retries until the deadline.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use ailurus_base::HashMap;
use ailurus_base::sync::Semaphore;
use ailurus_rt as rt;
use ailurus_wire::find_coordinator::FindCoordinatorRequest;
use ailurus_wire::metadata::{MetadataRequest, MetadataRequestTopic};
use ailurus_wire::{ApiKey, ErrorCode, Request};

use crate::connection::Connection;
use crate::error::check;
use crate::metadata::{Cache, Metadata, TopicMetadata};
use crate::{ClientError, address};

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where to ask first: `host:port` each.
    pub bootstrap: Vec<String>,
    /// What we call ourselves; shows up in the broker's logs and quotas.
    pub client_id: String,
    /// How long one operation may take, retries included.
    pub timeout: Duration,
    /// How long one connection attempt may take.
    pub connect_timeout: Duration,
    /// The first pause before a retry; doubles up to a second.
    pub retry_pause: Duration,
    /// The largest answer that is read, in bytes.
    pub frame_max: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            bootstrap: vec![format!("127.0.0.1:{}", address::DEFAULT_PORT)],
            client_id: "ailurus".to_owned(),
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            retry_pause: Duration::from_millis(50),
            frame_max: 128 << 20,
        }
    }
}

/// The longest pause between two tries.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Who is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Whoever is there.
    Any,
    /// The controller, for what changes topics on old brokers; new ones forward.
    Controller,
    /// This node.
    Node(i32),
    /// The leader of this partition.
    Leader(&'a str, i32),
    /// The coordinator of this group.
    Coordinator(&'a str),
}

/// A client of one cluster. Cheap to clone; all clones share connections and knowledge. Lives on one shard.
#[derive(Clone)]
pub struct Client(Rc<Inner>);

struct Inner {
    config: ClientConfig,
    bootstrapped: RefCell<Option<Rc<Connection>>>,
    nodes: RefCell<HashMap<i32, Rc<Connection>>>,
    /// One dial at a time, so that many askers share one new connection.
    dialling: Rc<Semaphore>,
    cache: RefCell<Cache>,
    coordinators: RefCell<HashMap<String, i32>>,
}

impl Client {
    /// Connects to nobody yet.
    pub fn new(config: ClientConfig) -> Client {
        Client(Rc::new(Inner {
            config,
            bootstrapped: RefCell::default(),
            nodes: RefCell::default(),
            dialling: Semaphore::new(1),
            cache: RefCell::default(),
            coordinators: RefCell::default(),
        }))
    }

    /// How it behaves.
    pub fn config(&self) -> &ClientConfig {
        &self.0.config
    }

    /// Does `attempt` until it succeeds, fails for good, or [`ClientConfig::timeout`] is over.
    pub async fn retry<T>(
        &self,
        what: &str,
        attempt: impl AsyncFnMut() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        self.retry_if(what, ClientError::is_retriable, attempt).await
    }

    /// As [`Client::retry`], with another idea of what may get better.
    pub async fn retry_if<T>(
        &self,
        what: &str,
        retriable: impl Fn(&ClientError) -> bool,
        attempt: impl AsyncFnMut() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        self.retry_for(self.0.config.timeout, what, retriable, attempt).await
    }

    /// As [`Client::retry_if`], until `after` is over: for what a broker answers late by its nature.
    pub(crate) async fn retry_for<T>(
        &self,
        after: Duration,
        what: &str,
        retriable: impl Fn(&ClientError) -> bool,
        mut attempt: impl AsyncFnMut() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let deadline = rt::now() + after;
        let mut pause = self.0.config.retry_pause;
        let mut last = None;
        loop {
            let left = deadline - rt::now();
            let Ok(outcome) = rt::timeout(left, attempt()).await else {
                return Err(ClientError::Timeout { what: what.to_owned(), after, last });
            };
            let error = match outcome {
                Err(error) if retriable(&error) => error,
                other => return other,
            };
            self.distrust(&error);
            last = Some(Box::new(error));
            if rt::now() + pause >= deadline {
                return Err(ClientError::Timeout { what: what.to_owned(), after, last });
            }
            rt::sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// One request to one broker, one try, in the highest common version.
    pub async fn call<R: Request>(&self, target: Target<'_>, request: &R) -> Result<R::Response, ClientError> {
        self.call_in(target, R::API.versions(), request).await
    }

    /// As [`Client::call`], within these versions: for requests whose fields differ between versions.
    pub async fn call_in<R: Request>(
        &self,
        target: Target<'_>,
        versions: RangeInclusive<i16>,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        let connection = self.connection(target).await?;
        let version = connection.version(R::API, &versions)?;
        connection.call(version, request).await
    }

    /// Sends a request that is never answered (Produce with acks=0).
    pub async fn send<R: Request>(&self, target: Target<'_>, request: &R) -> Result<(), ClientError> {
        let connection = self.connection(target).await?;
        let version = connection.version(R::API, &R::API.versions())?;
        connection.send(version, request).await
    }

    /// The versions that some broker advertises, by API key, and its address.
    pub async fn broker_versions(&self) -> Result<(String, Vec<(i16, RangeInclusive<i16>)>), ClientError> {
        let connection = self.connection(Target::Any).await?;
        let mut versions: Vec<_> = connection.versions().into_iter().collect();
        versions.sort_by_key(|(key, _)| *key);
        Ok((connection.peer().to_owned(), versions))
    }

    /// Asks some broker for metadata: of these topics, or of all. Topics with errors are in the answer.
    pub async fn metadata(&self, topics: Option<&[String]>, create: bool) -> Result<Metadata, ClientError> {
        self.retry("asking for metadata", async || self.ask_metadata(topics, create).await).await
    }

    /// One topic that exists, from the cache if it is there. `create`: the broker may make it, if it is set to.
    pub async fn topic(&self, name: &str, create: bool) -> Result<TopicMetadata, ClientError> {
        if let Some(known) = self.0.cache.borrow().topics.get(name) {
            return Ok(known.clone());
        }
        let names = [name.to_owned()];
        // A topic that is being created is unknown at first; one that nobody creates stays unknown.
        let retriable = |error: &ClientError| {
            error.is_retriable() && (create || error.code() != Some(ErrorCode::UnknownTopicOrPartition))
        };
        let what = format!("topic {name}");
        self.retry_if(&what, retriable, async || {
            let metadata = self.ask_metadata(Some(&names), create).await?;
            let topic = metadata.topic(name).ok_or_else(|| incomplete(ApiKey::Metadata, &what))?;
            check(|| what.clone(), topic.error, None)?;
            Ok(topic.clone())
        })
        .await
    }

    /// The leader of a partition, its node id and epoch, from the cache if it is there. One try.
    pub(crate) async fn leader(&self, topic: &str, partition: i32) -> Result<(i32, i32), ClientError> {
        if let Some(leader) = self.0.cache.borrow().leader(topic, partition) {
            return Ok(leader);
        }
        let metadata = self.ask_metadata(Some(&[topic.to_owned()]), false).await?;
        let what = || format!("{topic} partition {partition}");
        let found = metadata.topic(topic).ok_or_else(|| incomplete(ApiKey::Metadata, topic))?;
        check(what, found.error, None)?;
        let known = found.partitions.iter().find(|known| known.partition == partition);
        let known = known.ok_or_else(|| ClientError::refused(what(), ErrorCode::UnknownTopicOrPartition, None))?;
        if known.leader < 0 {
            return Err(ClientError::refused(what(), ErrorCode::LeaderNotAvailable, None));
        }
        Ok((known.leader, known.leader_epoch))
    }

    /// Forgets what an error has proven wrong.
    pub(crate) fn distrust(&self, error: &ClientError) {
        if error.is_stale() {
            self.0.cache.borrow_mut().topics.clear();
            self.0.coordinators.borrow_mut().clear();
        }
    }

    /// Closes the connection to a node: its answers do not come.
    pub(crate) fn hang_up(&self, node: i32, why: &str) {
        if let Some(connection) = self.0.nodes.borrow_mut().remove(&node) {
            connection.close(why);
        }
    }

    async fn ask_metadata(&self, topics: Option<&[String]>, create: bool) -> Result<Metadata, ClientError> {
        let named = |name: &String| MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let request = MetadataRequest {
            topics: topics.map(|names| names.iter().map(named).collect()),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        // Routing asks for metadata, which is routed: the cycle is cut here.
        let response = Box::pin(self.call(Target::Any, &request)).await?;
        let metadata = Metadata::from(response);
        self.0.cache.borrow_mut().learn(&metadata);
        Ok(metadata)
    }

    async fn connection(&self, target: Target<'_>) -> Result<Rc<Connection>, ClientError> {
        match target {
            Target::Any => self.any().await,
            Target::Node(id) => self.node(id).await,
            Target::Leader(topic, partition) => self.node(self.leader(topic, partition).await?.0).await,
            Target::Coordinator(group) => self.node(self.coordinator(group).await?).await,
            Target::Controller => match self.controller().await? {
                -1 => self.any().await,
                id => self.node(id).await,
            },
        }
    }

    async fn controller(&self) -> Result<i32, ClientError> {
        if self.0.cache.borrow().brokers.is_empty() {
            self.ask_metadata(Some(&[]), false).await?;
        }
        Ok(self.0.cache.borrow().controller)
    }

    pub(crate) async fn coordinator(&self, group: &str) -> Result<i32, ClientError> {
        if let Some(node) = self.0.coordinators.borrow().get(group) {
            return Ok(*node);
        }
        let request = FindCoordinatorRequest { key: group.into(), ..Default::default() };
        // From version 4 on the keys are a list.
        let found = Box::pin(self.call_in(Target::Any, 0..=3, &request)).await?;
        check(|| format!("the coordinator of group {group}"), found.error_code, found.error_message.as_deref())?;
        let known = self.0.cache.borrow().brokers.contains_key(&found.node_id);
        if !known {
            self.ask_metadata(Some(&[]), false).await?;
        }
        self.0.coordinators.borrow_mut().insert(group.to_owned(), found.node_id);
        Ok(found.node_id)
    }

    /// A connection to any broker: one that is open, else one that can be opened.
    async fn any(&self) -> Result<Rc<Connection>, ClientError> {
        let alive = |connection: &&Rc<Connection>| !connection.is_closed();
        if let Some(open) = self.0.bootstrapped.borrow().as_ref().filter(alive) {
            return Ok(open.clone());
        }
        if let Some(open) = self.0.nodes.borrow().values().find(alive) {
            return Ok(open.clone());
        }
        let _dialling = self.0.dialling.acquire(1).await;
        if let Some(open) = self.0.bootstrapped.borrow().as_ref().filter(alive) {
            return Ok(open.clone());
        }
        self.bootstrap().await
    }

    async fn bootstrap(&self) -> Result<Rc<Connection>, ClientError> {
        let mut candidates = Vec::new();
        for text in &self.0.config.bootstrap {
            candidates.push(address::parse(text)?);
        }
        // Brokers that we heard of may be there when those that we were told of are gone.
        let known = self
            .0
            .cache
            .borrow()
            .brokers
            .values()
            .map(|broker| (broker.host.clone(), broker.port as u16))
            .collect::<Vec<_>>();
        candidates.extend(known);
        let mut last = "no address was given".to_owned();
        for (host, port) in &candidates {
            match self.dial(host, *port).await {
                Ok(connection) => {
                    self.0.bootstrapped.replace(Some(connection.clone()));
                    return Ok(connection);
                }
                Err(ClientError::Lost { why, .. }) => last = why,
                Err(error) => last = error.to_string(),
            }
        }
        let addresses: Vec<String> = self.0.config.bootstrap.clone();
        let error = ClientError::Unreachable { addresses: addresses.join(", "), last };
        // Once a cluster has answered, it is expected to come back; before, the address is probably wrong.
        let met = !self.0.cache.borrow().brokers.is_empty();
        Err(if met { ClientError::Lost { peer: addresses.join(", "), why: error.to_string() } } else { error })
    }

    async fn node(&self, id: i32) -> Result<Rc<Connection>, ClientError> {
        let open = |nodes: &HashMap<i32, Rc<Connection>>| nodes.get(&id).filter(|open| !open.is_closed()).cloned();
        if let Some(open) = open(&self.0.nodes.borrow()) {
            return Ok(open);
        }
        let known = self.0.cache.borrow().brokers.get(&id).cloned();
        let broker = match known {
            Some(broker) => broker,
            None => {
                let metadata = self.ask_metadata(Some(&[]), false).await?;
                let unknown = || ClientError::refused(format!("node {id}"), ErrorCode::BrokerNotAvailable, None);
                metadata.broker(id).cloned().ok_or_else(unknown)?
            }
        };
        let _dialling = self.0.dialling.acquire(1).await;
        if let Some(open) = open(&self.0.nodes.borrow()) {
            return Ok(open);
        }
        let port = u16::try_from(broker.port)
            .map_err(|_| ClientError::Address(format!("broker {id} advertises the impossible port {}", broker.port)))?;
        let connection = self.dial(&broker.host, port).await?;
        self.0.nodes.borrow_mut().insert(id, connection.clone());
        Ok(connection)
    }

    async fn dial(&self, host: &str, port: u16) -> Result<Rc<Connection>, ClientError> {
        let mut last = ClientError::Address(format!("the host name {host} has no address"));
        for addr in address::resolve(host, port).await? {
            let config = &self.0.config;
            let opening = Connection::open(addr, &config.client_id, config.frame_max);
            last = match rt::timeout(config.connect_timeout, opening).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => error,
                Err(_) => ClientError::Lost {
                    peer: addr.to_string(),
                    why: format!("no Kafka handshake within {} ms", config.connect_timeout.as_millis()),
                },
            };
        }
        Err(last)
    }
}

pub(crate) fn incomplete(api: ApiKey, what: &str) -> ClientError {
    ClientError::Incomplete { peer: "the broker".to_owned(), api, what: what.to_owned() }
}
