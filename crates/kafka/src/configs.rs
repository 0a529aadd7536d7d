//! DescribeConfigs, AlterConfigs and IncrementalAlterConfigs. What the settings are and whether a change is legal is
//! `settings`' to say; that it is kept, the controller's.

use ailurus_cluster::Cluster;
use ailurus_cluster::command::{Command, ConfigChange, ConfigRefusal, ConfigResource, HowToAlter, Reply};
use ailurus_cluster::plan::check_name;
use ailurus_rt as rt;
use ailurus_settings::{Alteration, BrokerSettings, ConfigEntry, ConfigSynonym, Layer, Operation};
use ailurus_wire::alter_configs::{self, AlterConfigsRequest, AlterConfigsResponse};
use ailurus_wire::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use ailurus_wire::incremental_alter_configs::{self, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use ailurus_wire::{ErrorCode, Str};

use crate::dispatch::Request;
use crate::entries::{once, repeated};
use crate::nodes::Nodes;
use crate::server::KafkaShard;

/// Kafka's ConfigResource types that are served.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// A refusal, with its reason for people.
type Refusal = (ErrorCode, String);

/// Whose settings are meant.
fn resource(cluster: &Cluster, nodes: &Nodes, kind: i8, name: &str) -> Result<ConfigResource, Refusal> {
    match kind {
        TOPIC => match check_name(name) {
            Ok(()) if cluster.state().topic(name).is_some() => Ok(ConfigResource::Topic(name.to_string())),
            Ok(()) => Err((ErrorCode::UnknownTopicOrPartition, format!("there is no topic '{name}'"))),
            Err(why) => Err((ErrorCode::InvalidTopicException, why)),
        },
        BROKER if name.is_empty() => Ok(ConfigResource::Broker(None)),
        BROKER => match node_id(name).map(|id| nodes.broker(id)) {
            Some(Some(broker)) if broker == cluster.node() => Ok(ConfigResource::Broker(Some(broker))),
            Some(_) => {
                let this = nodes.id(rt::this_shard());
                Err((ErrorCode::InvalidRequest, format!("this is broker {this}; ask broker {name} about itself")))
            }
            None => Err((ErrorCode::InvalidRequest, format!("'{name}' is no broker id"))),
        },
        _ => Err((ErrorCode::InvalidRequest, format!("resources of type {kind} have no settings here"))),
    }
}

/// The id that this is the name of. A number has one spelling here: what is described once for each name would otherwise be
/// described as often as somebody thinks of another.
fn node_id(name: &str) -> Option<i32> {
    name.parse().ok().filter(|id: &i32| id.to_string() == name)
}

pub(crate) async fn describe_configs(request: &mut Request, body: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let shard = request.shard.clone();
    let describe = |wanted: DescribeConfigsResource| {
        let described = resource(&shard.cluster, &shard.nodes, wanted.resource_type, &wanted.resource_name)
            .map(|resource| entries(&shard, &resource, &wanted.resource_name, &wanted.configuration_keys));
        let mut result = DescribeConfigsResult {
            resource_type: wanted.resource_type,
            resource_name: wanted.resource_name,
            ..Default::default()
        };
        match described {
            Ok(entries) => {
                let shown = |entry| shown(entry, body.include_synonyms, body.include_documentation);
                result.configs = entries.into_iter().map(shown).collect();
            }
            Err((error_code, text)) => {
                result.error_code = error_code;
                result.error_message = Some(text.into());
            }
        }
        result
    };
    let wanted = once(body.resources, |wanted| (wanted.resource_type, wanted.resource_name.clone()));
    DescribeConfigsResponse { results: wanted.into_iter().map(describe).collect(), ..Default::default() }
}

fn entries(shard: &KafkaShard, resource: &ConfigResource, name: &str, keys: &Option<Vec<Str>>) -> Vec<ConfigEntry> {
    let layers = shard.cluster.layers();
    // An empty list asks for all, as null does: old clients send it so.
    let names: Option<Vec<&str>> =
        keys.as_ref().filter(|keys| !keys.is_empty()).map(|keys| keys.iter().map(Str::as_str).collect());
    let names = names.as_deref();
    match resource {
        ConfigResource::Topic(name) => {
            let overrides = shard.cluster.state().topic(name).map(|topic| topic.overrides()).unwrap_or_default();
            ailurus_settings::describe_topic(&overrides, &layers, names)
        }
        ConfigResource::Broker(Some(_)) => {
            let id = node_id(name).expect("a broker was found by this name");
            ailurus_settings::describe_broker(&of_node(&shard.nodes, &layers, id), names)
        }
        ConfigResource::Broker(None) => ailurus_settings::describe_cluster(&layers, names),
    }
}

/// The broker's settings as they hold for one of its nodes: each has an id, whether it was set or not, and in shard-direct
/// mode a port of its own.
fn of_node(nodes: &Nodes, layers: &BrokerSettings, id: i32) -> BrokerSettings {
    let mut settings = layers.clone();
    // Kafka shows it under both names, whichever was set.
    for name in ["node.id", "broker.id"] {
        let set = settings.set(Layer::Flags, name, &id.to_string());
        set.expect("ids of nodes are not negative");
    }
    if let Some(endpoint) = nodes.endpoint(id).filter(|_| nodes.is_direct()) {
        let set = settings.set(Layer::Flags, "advertised.listeners", &endpoint.listener());
        set.expect("it is the first listener, which was checked at the start, with another port");
    }
    settings
}

fn shown(entry: ConfigEntry, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult {
    let synonym = |synonym: ConfigSynonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: synonym.value.map(Into::into),
        source: synonym.source.code(),
    };
    DescribeConfigsResourceResult {
        name: Str::from_static(entry.name),
        value: entry.value.map(Into::into),
        read_only: entry.read_only,
        config_source: entry.source.code(),
        is_sensitive: entry.sensitive,
        synonyms: entry.synonyms.into_iter().filter(|_| synonyms).map(synonym).collect(),
        config_type: entry.kind.code(),
        documentation: documentation.then_some(Str::from_static(entry.documentation)),
    }
}

/// One resource of a request to alter: what it is called there, and what is wanted or why it cannot be.
struct Wanted {
    kind: i8,
    name: Str,
    change: Result<ConfigChange, Refusal>,
}

impl Wanted {
    fn new(shard: &KafkaShard, kind: i8, name: Str, how: Result<HowToAlter, Refusal>) -> Self {
        let resource = resource(&shard.cluster, &shard.nodes, kind, &name);
        let change = resource.and_then(|resource| Ok(ConfigChange { resource, how: how? }));
        Wanted { kind, name, change }
    }
}

/// Alters all that can be altered; answers for each, in order.
async fn alter(cluster: &Cluster, wanted: &[Wanted], validate_only: bool) -> Vec<Result<(), Refusal>> {
    let twice = repeated(wanted.iter().map(|wanted| (wanted.kind, &wanted.name)));
    let mut results: Vec<Result<(), Refusal>> = Vec::new();
    let mut changes = Vec::new();
    for (place, each) in wanted.iter().enumerate() {
        let refused = match &each.change {
            _ if twice.contains(&(each.kind, &each.name)) => {
                Some((ErrorCode::InvalidRequest, "the resource is named more than once".into()))
            }
            Err(refusal) => Some(refusal.clone()),
            Ok(change) => {
                changes.push((place, change.clone()));
                None
            }
        };
        results.push(refused.map_or(Ok(()), Err));
    }
    let places: Vec<usize> = changes.iter().map(|(place, _)| *place).collect();
    let changes: Vec<ConfigChange> = changes.into_iter().map(|(_, change)| change).collect();
    let outcomes: Vec<Result<(), ConfigRefusal>> = if validate_only {
        changes.into_iter().map(|change| cluster.check_alter(change)).collect()
    } else if changes.is_empty() {
        Vec::new()
    } else {
        match cluster.submit(Command::AlterConfigs(changes)).await {
            Ok(Reply::Configs(outcomes)) => outcomes,
            _ => vec![Err(ConfigRefusal::Unavailable); places.len()],
        }
    };
    for (place, outcome) in places.into_iter().zip(outcomes) {
        results[place] = outcome.map_err(refusal);
    }
    results
}

fn refusal(refusal: ConfigRefusal) -> Refusal {
    match refusal {
        ConfigRefusal::UnknownTopic => (ErrorCode::UnknownTopicOrPartition, "the topic is gone".into()),
        ConfigRefusal::Refused(error) => (ErrorCode::from_code(error.code()), error.to_string()),
        ConfigRefusal::Unavailable => (ErrorCode::RequestTimedOut, "the controller could not write the change".into()),
    }
}

fn told(result: Result<(), Refusal>) -> (ErrorCode, Option<Str>) {
    match result {
        Ok(()) => (ErrorCode::None, None),
        Err((code, text)) => (code, Some(text.into())),
    }
}

pub(crate) async fn alter_configs(request: &mut Request, body: AlterConfigsRequest) -> AlterConfigsResponse {
    let shard = request.shard.clone();
    let wanted = |resource: alter_configs::AlterConfigsResource| {
        let pair = |config: alter_configs::AlterableConfig| {
            (config.name.to_string(), config.value.map(|value| value.to_string()))
        };
        let how = HowToAlter::Replace(resource.configs.into_iter().map(pair).collect());
        Wanted::new(&shard, resource.resource_type, resource.resource_name, Ok(how))
    };
    let wanted: Vec<Wanted> = body.resources.into_iter().map(wanted).collect();
    let results = alter(&shard.cluster, &wanted, body.validate_only).await;
    let response = |(wanted, result): (Wanted, _)| {
        let (error_code, error_message) = told(result);
        alter_configs::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: wanted.kind,
            resource_name: wanted.name,
        }
    };
    AlterConfigsResponse { responses: wanted.into_iter().zip(results).map(response).collect(), ..Default::default() }
}

pub(crate) async fn incremental_alter_configs(
    request: &mut Request,
    body: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let shard = request.shard.clone();
    let wanted = |resource: incremental_alter_configs::AlterConfigsResource| {
        let alterations = resource.configs.into_iter().map(alteration).collect::<Result<_, _>>();
        let how = alterations.map(HowToAlter::Incremental);
        Wanted::new(&shard, resource.resource_type, resource.resource_name, how)
    };
    let wanted: Vec<Wanted> = body.resources.into_iter().map(wanted).collect();
    let results = alter(&shard.cluster, &wanted, body.validate_only).await;
    let response = |(wanted, result): (Wanted, _)| {
        let (error_code, error_message) = told(result);
        incremental_alter_configs::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: wanted.kind,
            resource_name: wanted.name,
        }
    };
    let responses = wanted.into_iter().zip(results).map(response).collect();
    IncrementalAlterConfigsResponse { responses, ..Default::default() }
}

fn alteration(config: incremental_alter_configs::AlterableConfig) -> Result<Alteration, Refusal> {
    let operation = Operation::from_code(config.config_operation)
        .map_err(|error| (ErrorCode::from_code(error.code()), error.to_string()))?;
    Ok(Alteration { name: config.name.to_string(), operation, value: config.value.map(|value| value.to_string()) })
}
