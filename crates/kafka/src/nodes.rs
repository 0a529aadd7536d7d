//! The broker as clients see it: one Kafka node, or in shard-direct mode one per shard.
//!
//! A client connects to the node that leads a partition. Where each shard is a node with a port of its own, that is the
//! core that owns the partition, and nothing has to cross. This changes only what is told: each node serves what belongs
//! to the others as well, by the crossing that is made without this mode.
//!
//! What always holds: the ids are those of [`Nodes::all`] and no others, in whatever is answered. An id in a request names
//! the broker behind it: which of its shards owns a partition is the broker's own business.

use std::fmt;

use ailurus_model::{NodeId, ShardId};

/// Ids that a broker has for its shards: shard S of broker B is node `B * SHARDS_MAX + S`.
pub const SHARDS_MAX: u16 = 1000;

/// The largest broker id whose shards have ids.
pub const BROKER_MAX: NodeId = NodeId((i32::MAX - (SHARDS_MAX as i32 - 1)) / SHARDS_MAX as i32);

/// Where clients find a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or address that clients can dial.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// As a value of `advertised.listeners`.
    pub fn listener(&self) -> String {
        format!("PLAINTEXT://{self}")
    }
}

impl fmt::Display for Endpoint {
    /// `host:port`, with brackets around an address of IPv6.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Nodes {
    broker: NodeId,
    direct: bool,
    /// Of the broker; or one per shard, in their order.
    endpoints: Vec<Endpoint>,
}

impl Nodes {
    /// One node for the whole broker.
    pub fn one(broker: NodeId, endpoint: Endpoint) -> Nodes {
        Nodes { broker, direct: false, endpoints: vec![endpoint] }
    }

    /// One for each shard, in their order.
    ///
    /// # Panics
    /// If there are no shards, or if [`why_not_direct`] tells why they cannot have ids.
    pub fn per_shard(broker: NodeId, endpoints: Vec<Endpoint>) -> Nodes {
        assert!(!endpoints.is_empty(), "a broker has shards");
        assert_eq!(why_not_direct(broker, endpoints.len()), None, "asked before the start");
        Nodes { broker, direct: true, endpoints }
    }

    /// Whether each shard is a node.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// All nodes, by id.
    pub fn all(&self) -> impl Iterator<Item = (i32, &Endpoint)> {
        (0..).map(|shard| self.id(ShardId(shard))).zip(&self.endpoints)
    }

    /// The node in which a shard is found.
    pub(crate) fn of_shard(&self, shard: ShardId) -> (i32, &Endpoint) {
        let place = if self.direct { usize::from(shard.0) } else { 0 };
        (self.id(shard), &self.endpoints[place])
    }

    /// Where the node of this id is; none if there is no such node.
    pub(crate) fn endpoint(&self, id: i32) -> Option<&Endpoint> {
        self.all().find(|(shown, _)| *shown == id).map(|(_, endpoint)| endpoint)
    }

    /// Its id.
    pub(crate) fn id(&self, shard: ShardId) -> i32 {
        match self.direct {
            true => self.broker.0 * i32::from(SHARDS_MAX) + i32::from(shard.0),
            false => self.broker.0,
        }
    }

    /// The controller, which lives on the first shard.
    pub(crate) fn controller(&self) -> i32 {
        self.id(ShardId(0))
    }

    /// The ids of a partition's `replicas`, of which this broker's own is on `shard`.
    pub(crate) fn replicas(&self, replicas: &[NodeId], shard: ShardId) -> Vec<i32> {
        let id = |replica: &NodeId| if *replica == self.broker { self.id(shard) } else { replica.0 };
        replicas.iter().map(id).collect()
    }

    /// The broker that a client names; none if no node of this id was ever shown. Where one node is one broker, others may
    /// be meant that are not known here.
    pub(crate) fn broker(&self, id: i32) -> Option<NodeId> {
        match self.direct {
            true => self.all().any(|(shown, _)| shown == id).then_some(self.broker),
            false => Some(NodeId(id)),
        }
    }

    /// The brokers of a set of replicas that a client names.
    ///
    /// # Errors
    /// Which one there is not, for people.
    pub(crate) fn brokers(&self, ids: &[i32]) -> Result<Vec<i32>, String> {
        let broker = |id: &i32| match self.broker(*id) {
            Some(broker) => Ok(broker.0),
            None => Err(format!("there is no broker {id}")),
        };
        ids.iter().map(broker).collect()
    }

    /// The number of copies that `factor` stands for, with so many brokers. Clients ask for one on each of several nodes, or
    /// on as many as they see; where shards are nodes, fewer brokers may be behind them, and a broker has one copy. What no
    /// node could have is left as it is, to be refused.
    pub(crate) fn copies(&self, factor: i16, brokers: usize) -> i16 {
        match usize::try_from(factor) {
            Ok(asked) if self.direct && asked > brokers && asked <= self.endpoints.len() => brokers as i16,
            _ => factor,
        }
    }
}

/// Why the shards of this broker cannot have ids of their own, for people; none if they can.
pub fn why_not_direct(broker: NodeId, shards: usize) -> Option<String> {
    if shards > usize::from(SHARDS_MAX) {
        return Some(format!("shard.direct: {shards} shards are more than the {SHARDS_MAX} that can have ids"));
    }
    (broker > BROKER_MAX)
        .then(|| format!("shard.direct: node.id {broker} is above {BROKER_MAX}: its shards have no ids"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(count: u16) -> Vec<Endpoint> {
        (0..count).map(|shard| Endpoint { host: "h".into(), port: 9092 + shard }).collect()
    }

    #[test]
    fn shards_are_nodes_of_one_broker() {
        let nodes = Nodes::per_shard(NodeId(7), endpoints(3));
        let shown: Vec<(i32, u16)> = nodes.all().map(|(id, endpoint)| (id, endpoint.port)).collect();
        assert_eq!(shown, [(7000, 9092), (7001, 9093), (7002, 9094)]);
        assert_eq!((nodes.controller(), nodes.of_shard(ShardId(2)).1.port), (7000, 9094));
        assert_eq!(nodes.replicas(&[NodeId(7)], ShardId(1)), [7001]);
        let named = [7, 6999, 7000, 7002, 7003, -1].map(|id| nodes.broker(id));
        assert_eq!(named, [None, None, Some(NodeId(7)), Some(NodeId(7)), None, None]);
        assert_eq!(nodes.brokers(&[7001, 7000]), Ok(vec![7, 7]));
        assert_eq!(nodes.brokers(&[7001, 7]), Err("there is no broker 7".into()));
        assert_eq!([-1, 0, 1, 2, 3, 4].map(|factor| nodes.copies(factor, 1)), [-1, 0, 1, 1, 1, 4]);
    }

    #[test]
    fn one_node_has_the_brokers_id() {
        let nodes = Nodes::one(NodeId(7), endpoints(1).remove(0));
        assert_eq!(nodes.all().map(|(id, _)| id).collect::<Vec<_>>(), [7]);
        assert_eq!((nodes.id(ShardId(5)), nodes.controller(), nodes.broker(9)), (7, 7, Some(NodeId(9))));
        assert_eq!([-1, 0, 1, 2].map(|factor| nodes.copies(factor, 1)), [-1, 0, 1, 2]);
    }

    #[test]
    fn ids_have_a_limit() {
        assert_eq!(why_not_direct(BROKER_MAX, usize::from(SHARDS_MAX)), None);
        let last = Nodes::per_shard(BROKER_MAX, endpoints(SHARDS_MAX)).all().last().map(|(id, _)| id);
        assert!(last.is_some_and(|id| id > i32::MAX - i32::from(SHARDS_MAX)), "{last:?}");
        assert!(why_not_direct(NodeId(BROKER_MAX.0 + 1), 1).is_some_and(|why| why.contains("node.id 2147483")));
        assert!(why_not_direct(NodeId(0), usize::from(SHARDS_MAX) + 1).is_some());
    }
}
