//! The state of the cluster against a model, on the simulated machine: two clients change topics, settings and producer
//! ids from random shards, the power fails at a random step, the node comes back with another number of shards. What was
//! acknowledged is then there, what was under way is there or not, and every shard shows the same; each partition is open
//! on one shard, and nothing is left of those that were deleted.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ailurus_cluster::change::{CONTROLLER, CONTROLLER_GROUP, Snapshot, TopicSnapshot};
use ailurus_cluster::command::{Command, ConfigChange, ConfigResource, HowToAlter, MorePartitions, Reply, TopicRef};
use ailurus_cluster::plan::NewTopic;
use ailurus_cluster::{Cluster, ClusterOptions, node};
use ailurus_model::{NodeId, ShardId, TopicId};
use ailurus_rt::sim::{Dice, Outcome, Sim, SimConfig, seeds};
use ailurus_rt::{self as rt, Lane, Sharded};
use ailurus_settings::{Alteration, BrokerSettings, Operation};
use ailurus_storage::StorageConfig;

const CLIENTS: usize = 2;
const LIVES: u64 = 6;
const OPS_PER_LIFE: u32 = 15;
/// About as many steps as a life takes that does not crash.
const STEPS: u64 = 3_000;
const RETENTION: &str = "retention.ms";
const BROKER_RETENTION: &str = "log.retention.ms";
const RETENTION_DEFAULT: i64 = 7 * 24 * 3_600_000;

#[derive(Clone, Debug)]
enum Op {
    Create { name: String, partitions: usize, retention: Option<i64> },
    Delete { name: String },
    Grow { name: String, partitions: usize },
    AlterTopic { name: String, retention: Option<i64> },
    AlterBroker { retention: Option<i64> },
    ReserveIds(i64),
}

/// What one client has made.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Model {
    /// Partitions and retention by name.
    topics: BTreeMap<String, (usize, Option<i64>)>,
    retention: Option<i64>,
    producer_ids: i64,
}

impl Model {
    fn apply(&mut self, op: &Op) {
        match op.clone() {
            Op::Create { name, partitions, retention } => {
                self.topics.entry(name).or_insert((partitions, retention));
            }
            Op::Delete { name } => {
                self.topics.remove(&name);
            }
            Op::Grow { name, partitions } => {
                if let Some((now, _)) = self.topics.get_mut(&name) {
                    *now = partitions.max(*now);
                }
            }
            Op::AlterTopic { name, retention } => {
                if let Some((_, now)) = self.topics.get_mut(&name) {
                    *now = retention;
                }
            }
            Op::AlterBroker { retention } => self.retention = retention,
            Op::ReserveIds(count) => self.producer_ids += count,
        }
    }

    /// What the state says of the topics and settings that are `client`'s.
    fn seen(snapshot: &Snapshot, client: usize) -> Model {
        let own = snapshot.topics.iter().filter(|topic| topic.name.starts_with(&prefix(client)));
        let topics = own.map(|topic| {
            let retention = topic.configs.iter().find(|(name, _)| name == RETENTION);
            (topic.name.clone(), (topic.partitions.len(), retention.map(|(_, value)| value.parse().unwrap())))
        });
        let of_broker = snapshot.broker_configs.iter().find(|(node, ..)| *node == broker(client).map(|node| node.0));
        Model {
            topics: topics.collect(),
            retention: of_broker.map(|(_, _, value)| value.parse().unwrap()),
            producer_ids: if client == 0 { snapshot.next_producer_id } else { 0 },
        }
    }
}

fn prefix(client: usize) -> String {
    format!("c.{client}_")
}

/// The first client alters the settings of all brokers, the second those of this one.
fn broker(client: usize) -> Option<NodeId> {
    (client > 0).then_some(NodeId(1))
}

/// What the outside world knows: it survives every crash.
#[derive(Default)]
struct World {
    models: [Model; CLIENTS],
    under_way: [Option<Op>; CLIENTS],
    /// Every group id that was ever seen, with its owner.
    groups: BTreeMap<u64, (u128, usize)>,
}

type Shared = Rc<RefCell<World>>;

fn choose(client: usize) -> Op {
    let name = || format!("{}{}", prefix(client), rt::random_below(4));
    let retention = || (rt::random_below(3) > 0).then(|| 1_000_000 + rt::random_below(5) as i64);
    match rt::random_below(9) {
        0..3 => Op::Create { name: name(), partitions: 1 + rt::random_below(4) as usize, retention: retention() },
        3..5 => Op::Delete { name: name() },
        5 => Op::Grow { name: name(), partitions: 1 + rt::random_below(8) as usize },
        6 => Op::AlterTopic { name: name(), retention: retention() },
        7 => Op::AlterBroker { retention: retention() },
        _ if client == 0 => Op::ReserveIds(1 + rt::random_below(100) as i64),
        _ => Op::Delete { name: name() },
    }
}

fn command(op: Op, client: usize) -> Command {
    let alter = |resource, name: &str, retention: Option<i64>| {
        let operation = if retention.is_some() { Operation::Set } else { Operation::Delete };
        let value = retention.map(|value| value.to_string());
        let how = HowToAlter::Incremental(vec![Alteration { name: name.into(), operation, value }]);
        Command::AlterConfigs(vec![ConfigChange { resource, how }])
    };
    match op {
        Op::Create { name, partitions, retention } => {
            let configs = retention.map(|value| (RETENTION.to_string(), value.to_string())).into_iter().collect();
            let partitions = Some(partitions as i32);
            Command::CreateTopics(vec![NewTopic { name, partitions, configs, ..NewTopic::default() }])
        }
        Op::Delete { name } => Command::DeleteTopics(vec![TopicRef::Name(name)]),
        Op::Grow { name, partitions } => {
            Command::CreatePartitions(vec![MorePartitions { name, count: partitions as i32, assignments: None }])
        }
        Op::AlterTopic { name, retention } => alter(ConfigResource::Topic(name), RETENTION, retention),
        Op::AlterBroker { retention } => alter(ConfigResource::Broker(broker(client)), BROKER_RETENTION, retention),
        Op::ReserveIds(count) => Command::ReserveProducerIds(count),
    }
}

async fn boot() -> Sharded<Cluster> {
    rt::fs::create_dir_all("/data".as_ref()).await.unwrap();
    let settings = Arc::new(BrokerSettings::default());
    node::start(ClusterOptions { settings, storage: StorageConfig::tiny("/data") }).await.unwrap()
}

/// One client: each command from a random shard, which shows the result when it is answered.
async fn client(cluster: Sharded<Cluster>, world: Shared, client: usize) {
    for _ in 0..OPS_PER_LIFE {
        let op = choose(client);
        world.borrow_mut().under_way[client] = Some(op.clone());
        let shard = ShardId(rt::random_below(u64::from(rt::shard_count())) as u16);
        let asked = command(op.clone(), client);
        let ask = |local: Rc<Cluster>| async move {
            let reply = local.submit(asked).await.unwrap();
            (reply, local.state().snapshot())
        };
        let (reply, seen) = cluster.on_async(shard, Lane::Kafka, ask).await;
        let mut world = world.borrow_mut();
        if let Reply::ProducerIds(first) = reply {
            assert_eq!(first, world.models[client].producer_ids, "ids are given once, and none is left out");
        }
        world.models[client].apply(&op);
        world.under_way[client] = None;
        assert_eq!(Model::seen(&seen, client), world.models[client], "shard {shard} was just told of {op:?}");
    }
}

/// A shard as it shows itself.
struct Look {
    snapshot: Snapshot,
    /// Where each partition is, by topic and number; and whether somebody leads it.
    places: BTreeMap<(u128, usize), (Option<ShardId>, bool)>,
    /// The retention of each topic, and of each partition that is open here.
    retention: BTreeMap<String, i64>,
    open: BTreeMap<(u128, usize), i64>,
    /// The groups whose logs are here.
    logs: BTreeSet<u64>,
}

fn look(cluster: &Cluster) -> Look {
    let state = cluster.state();
    let key = |at: ailurus_model::TopicIdPartition| (at.topic.0, at.partition.0 as usize);
    let partitions = state.topics().flat_map(|topic| topic.iter().map(|(at, _)| at));
    let open = cluster.partitions().into_iter().map(|open| (key(open.id()), open.config().retention_ms));
    let retention = state.topics().map(|topic| (topic.name.to_string(), cluster.topic_config(topic).retention_ms));
    Look {
        snapshot: state.snapshot(),
        places: partitions.map(|at| (key(at), (cluster.shard_of(at), cluster.leader(at).is_some()))).collect(),
        retention: retention.collect(),
        open: open.collect(),
        logs: cluster.storage().logs().iter().map(|log| log.id().group.0).collect(),
    }
}

/// Waits until what is wished is so, and looks at all shards.
async fn settled(cluster: Sharded<Cluster>) -> Vec<Look> {
    for _ in 0..1_000 {
        let looks = cluster.map(Lane::Kafka, |local: &Rc<Cluster>| look(local)).await;
        let led = looks.iter().all(|look| look.places.values().all(|(_, led)| *led));
        let wished = looks[0].places.len();
        let open: usize = looks.iter().map(|look| look.open.len()).sum();
        let logs: usize = looks.iter().map(|look| look.logs.len()).sum();
        if led && open == wished && logs == wished + 1 {
            return looks;
        }
        rt::sleep(Duration::from_millis(10)).await;
    }
    panic!("ten seconds after the last command not every partition is where it is wished, and known to be led");
}

async fn check(cluster: Sharded<Cluster>, world: &Shared) {
    let looks = settled(cluster).await;
    compare_state(&looks, &mut world.borrow_mut());
    compare_partitions(&looks, &mut world.borrow_mut());
    let wished = wished_dirs(&looks[0].snapshot);
    let left = log_dirs().await;
    assert!(left.is_subset(&wished), "{left:?} is more than {wished:?}");
}

/// What was acknowledged is there; of what was under way each is there or not.
fn compare_state(looks: &[Look], world: &mut World) {
    for client in 0..CLIENTS {
        let seen = Model::seen(&looks[0].snapshot, client);
        if let Some(op) = world.under_way[client].take().filter(|_| seen != world.models[client]) {
            world.models[client].apply(&op);
        }
        assert_eq!(seen, world.models[client], "client {client}");
    }
    for (shard, look) in looks.iter().enumerate() {
        assert_eq!(look.snapshot, looks[0].snapshot, "shard {shard}");
        assert_eq!(look.places, looks[0].places, "shard {shard}");
    }
}

/// Every partition is open where all shards say it is, and only there, with the settings of its topic.
fn compare_partitions(looks: &[Look], world: &mut World) {
    let defaults = [world.models[1].retention, world.models[0].retention, Some(RETENTION_DEFAULT)];
    let default = defaults.into_iter().flatten().next().unwrap();
    for (shard, look) in looks.iter().enumerate() {
        for topic in &look.snapshot.topics {
            let own = world.models.iter().find_map(|model| model.topics.get(&topic.name)?.1);
            let retention = own.unwrap_or(default);
            assert_eq!(look.retention[&topic.name], retention, "shard {shard}: {}", topic.name);
            for (number, partition) in topic.partitions.iter().enumerate() {
                let at = (topic.id, number);
                let here = look.places[&at].0 == Some(ShardId(shard as u16));
                let open = here.then_some(retention);
                assert_eq!(look.open.get(&at).copied(), open, "shard {shard}: {}-{number}", topic.name);
                assert_eq!(look.logs.contains(&partition.group), here, "shard {shard}: {}-{number}", topic.name);
                let owner = *world.groups.entry(partition.group).or_insert(at);
                assert_eq!(owner, at, "a group id is given once");
            }
        }
    }
}

/// Where the logs lie of the partitions that there are, and the controller's.
fn wished_dirs(snapshot: &Snapshot) -> BTreeSet<String> {
    let of_topic = |topic: &TopicSnapshot| {
        let groups = topic.partitions.iter().map(|partition| partition.group).enumerate();
        groups.map(|(number, group)| format!("{}/{number}-{group}", TopicId(topic.id))).collect::<Vec<_>>()
    };
    let users = snapshot.topics.iter().flat_map(of_topic);
    users.chain([format!("{}/{}-{CONTROLLER_GROUP}", CONTROLLER.topic, CONTROLLER.partition)]).collect()
}

/// The directories of logs, as `<topic id>/<partition>-<group id>`.
async fn log_dirs() -> BTreeSet<String> {
    let topics = Path::new("/data/topics");
    let mut found = BTreeSet::new();
    for topic in rt::fs::read_dir(topics).await.unwrap() {
        // Removed while we looked, perhaps.
        for log in rt::fs::read_dir(&topics.join(&topic.name)).await.unwrap_or_default() {
            found.insert(format!("{}/{}", topic.name.display(), log.name.display()));
        }
    }
    found
}

async fn life(world: Shared, in_order: bool) {
    let cluster = boot().await;
    check(cluster, &world).await;
    let clients = (0..CLIENTS).map(|id| rt::spawn(rt::Group::Kafka, client(cluster, world.clone(), id)));
    for client in clients.collect::<Vec<_>>() {
        client.await;
    }
    if in_order {
        settled(cluster).await;
        // Directories go a moment after the logs.
        rt::sleep(Duration::from_secs(1)).await;
        check(cluster, &world).await;
        node::stop(cluster).await;
    }
}

fn lives(seed: u64) {
    let world = Shared::default();
    let mut dice = Dice::new(seed);
    let mut sim = Sim::new(seed, SimConfig { shards: 1 + dice.below(4) as u16, ..SimConfig::default() });
    for number in 0..LIVES {
        let (last, in_order) = (number + 1 == LIVES, dice.below(2) == 0);
        if !last && dice.below(3) > 0 {
            sim.crash_after(1 + dice.below(STEPS));
        }
        let in_life = world.clone();
        match sim.run(move || life(in_life, in_order || last)) {
            // The last answer was the last that happened.
            Outcome::Finished(()) if !in_order && !last => sim.crash(),
            Outcome::Finished(()) | Outcome::Crashed => {}
            other => panic!("life {number} ended otherwise: {other:?}"),
        }
        sim.set_shards(1 + dice.below(4) as u16);
    }
}

#[test]
fn what_was_acknowledged_is_what_every_shard_shows() {
    for seed in seeds(40) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| lives(seed))) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
