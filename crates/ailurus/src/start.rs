//! `ailurus start`: from flags, file and environment to a running broker, and back down.
//!
//! Up: settings, the reactor, then on shard 0 storage and cluster, Kafka's face, the admin server, the banner. Down, on
//! the first SIGTERM or SIGINT: the same in reverse, flushed and marked as clean; on the second: at once, as after a
//! crash.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ailurus_cluster::{Cluster, ClusterOptions, node};
use ailurus_kafka::{Endpoint, KafkaServer};
use ailurus_rt::{self as rt, Fatal, Listener, Sharded};
use ailurus_settings::{BrokerConfig, BrokerSettings, IoBackend, Layer, Profile, StartupError};
use ailurus_storage::{StorageConfig, StorageError};
use clap::Args;

use crate::fault::{Class, Fault};
use crate::session;

/// How long connections may take to end before shutdown goes on without them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Variables beginning with AILURUS_ that are the command line's own.
const OTHER_VARIABLES: &[&str] = &["AILURUS_LOG", "AILURUS_BOOTSTRAP", "AILURUS_FORMAT", "AILURUS_CONFIG", "AILURUS_MODE"];

/// Start a broker.
#[derive(Args, Debug, Clone)]
pub(crate) struct Start {
    /// Read settings from this TOML file.
    #[arg(long, value_name = "FILE", env = "AILURUS_CONFIG")]
    config: Option<PathBuf>,
    /// A profile of defaults: `dev` creates topics by themselves, with one replica and no rebalance delay.
    #[arg(long, value_name = "MODE", env = "AILURUS_MODE", default_value = "production")]
    mode: String,
    /// Keep everything here (`log.dirs`).
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Listen for Kafka clients here, such as 127.0.0.1:9092 (`listeners`).
    #[arg(long, value_name = "HOST:PORT")]
    kafka_addr: Option<String>,
    /// Tell Kafka clients to connect here (`advertised.listeners`).
    #[arg(long, value_name = "HOST:PORT")]
    advertise_kafka_addr: Option<String>,
    /// Serve metrics and health here; "" for nowhere (`admin.listener`).
    #[arg(long, value_name = "HOST:PORT")]
    admin_addr: Option<String>,
    /// Run this many shards; 0 for one per usable CPU (`shards`).
    #[arg(long, value_name = "N")]
    shards: Option<String>,
    /// Let requests in progress take this much, such as 512MiB (`memory.bytes`).
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Set any setting; may be given many times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
}

/// Runs a broker to its end.
pub(crate) fn run(start: Start) -> ExitCode {
    session::finish(settings(&start).and_then(|settings| serve(start, settings)))
}

/// All layers of settings, checked.
fn settings(start: &Start) -> Result<BrokerSettings, Fault> {
    let unknown = || Fault::usage(format!("there is no mode \"{}\"", start.mode)).hint("modes are production and dev");
    let mut settings = BrokerSettings::new(Profile::from_name(&start.mode).ok_or_else(unknown)?);
    if let Some(path) = &start.config {
        #[allow(clippy::disallowed_methods, reason = "read before there is a reactor")]
        let bytes = std::fs::read(path)
            .map_err(|error| Fault::local(format!("{} cannot be read: {error}", path.display())))?;
        settings.load_file(&path.display().to_string(), &bytes).map_err(bad_setting)?;
    }
    settings.load_environment(std::env::vars(), OTHER_VARIABLES).map_err(bad_setting)?;
    let listener = |addr: &String| format!("PLAINTEXT://{addr}");
    let flags = [
        ("log.dirs", start.data_dir.clone()),
        ("listeners", start.kafka_addr.as_ref().map(listener)),
        ("advertised.listeners", start.advertise_kafka_addr.as_ref().map(listener)),
        ("admin.listener", start.admin_addr.clone()),
        ("shards", start.shards.clone()),
        ("memory.bytes", start.memory.clone()),
    ];
    for (name, value) in flags {
        if let Some(value) = value {
            settings.set(Layer::Flags, name, &value).map_err(bad_setting)?;
        }
    }
    for pair in &start.set {
        settings.set_pair(pair).map_err(bad_setting)?;
    }
    settings.check().map_err(bad_setting)?;
    Ok(settings)
}

fn bad_setting(error: StartupError) -> Fault {
    Fault::usage(error).hint("docs/reference/settings.md lists every setting with its bounds")
}

fn serve(start: Start, settings: BrokerSettings) -> Result<(), Fault> {
    let config = settings.config();
    let machine = machine(&config);
    let main = move || async move { broker(start, settings).await };
    match rt::run(machine, main) {
        Ok(outcome) => outcome,
        Err(error) => Err(Fault::local(format!("the reactor cannot start: {error}")).hint("`ailurus doctor` looks why")),
    }
}

/// What the reactor is given.
fn machine(config: &BrokerConfig) -> rt::Config {
    rt::Config {
        shards: config.shards as usize,
        backend: match config.io_backend {
            IoBackend::Auto => rt::Backend::Auto,
            IoBackend::Uring => rt::Backend::Uring,
            IoBackend::Epoll => rt::Backend::Epoll,
        },
        memory: config.memory_bytes as u64,
        pin: config.shard_pin,
        direct_io: config.io_direct,
        disk_space_max: config.storage_max_bytes.map(|bytes| bytes as u64),
        disk_space_root: Some(PathBuf::from(&config.log_dirs)),
        ..rt::Config::default()
    }
}

/// What storage is given.
fn storage(config: &BrokerConfig) -> StorageConfig {
    StorageConfig {
        journal_file_bytes: config.journal_file_bytes as u64,
        journal_bytes_max: config.journal_max_bytes as u64,
        tail_bytes_max: config.storage_tail_max_bytes as u64,
        cache_bytes: config.storage_cache_bytes as u64,
        handles_max: config.storage_handles_max as usize,
        min_free_bytes: config.storage_min_free_bytes as u64,
        direct_io: config.io_direct,
        ..StorageConfig::new(&config.log_dirs)
    }
}

/// Shard 0's life.
async fn broker(start: Start, mut settings: BrokerSettings) -> Result<(), Fault> {
    let config = settings.config();
    let listener = bind(&config).await?;
    let advertised = advertised(&config, listener.local_addr())?;
    let told = format!("PLAINTEXT://{}", shown(&advertised));
    settings.set(Layer::Flags, "advertised.listeners", &told).map_err(bad_setting)?;
    let options = ClusterOptions { settings: Arc::new(settings), storage: storage(&config) };
    let cluster = node::start(options).await.map_err(start_fault)?;
    let kafka = KafkaServer::start(cluster, listener, advertised.clone()).await;
    banner(&start, &config, &kafka, &advertised, &cluster);
    rt::shutdown_signal().await;
    tracing::info!("shutting down; a second signal ends at once");
    let down = rt::spawn(rt::Group::Admin, async move {
        kafka.stop(PATIENCE).await;
        node::stop(cluster).await;
    });
    let second = rt::spawn(rt::Group::Admin, async {
        rt::shutdown_signal().await;
        // As after a crash: what was acknowledged is on disk already.
        rt::fatal(Fatal::Killed);
    });
    down.await;
    drop(second);
    Ok(())
}

async fn bind(config: &BrokerConfig) -> Result<Listener, Fault> {
    let [endpoint] = config.listeners.as_slice() else {
        return Err(Fault::usage("listeners names more than one endpoint").hint("this version listens on one"));
    };
    let addr = resolve(&endpoint.host, endpoint.port)?;
    Listener::bind(addr).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Fault::new(Class::Local, format!("port {} is taken on {addr}", addr.port()))
            .hint("another broker may be running; choose another with --kafka-addr"),
        _ => Fault::local(format!("cannot listen on {addr}: {error}")),
    })
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, Fault> {
    if host.is_empty() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
    }
    let unknown = |why: String| Fault::usage(format!("{host} cannot be resolved: {why}"));
    let mut addrs = (host, port).to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
    addrs.next().ok_or_else(|| unknown("it has no address".into()))
}

/// Where clients are told to connect: what was set, or what is listened on. An address that listens everywhere is no
/// address to dial, so then it is this machine's own; an IPv4 one, because some clients try `::1` first for names.
fn advertised(config: &BrokerConfig, local: SocketAddr) -> Result<Endpoint, Fault> {
    if let [endpoint, ..] = config.advertised_listeners.as_slice() {
        let port = if endpoint.port == 0 { local.port() } else { endpoint.port };
        return Ok(Endpoint { host: endpoint.host.clone(), port });
    }
    let host = match local.ip() {
        ip if !ip.is_unspecified() => ip.to_string(),
        _ => own_address().to_string(),
    };
    Ok(Endpoint { host, port: local.port() })
}

/// The address that this machine would use to reach others: what a routed but never sent datagram shows.
#[allow(clippy::disallowed_methods, reason = "asked once, before the broker serves; nothing is sent")]
fn own_address() -> IpAddr {
    let routed = || {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        // An address of the documentation range (RFC 5737).
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    routed().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn shown(endpoint: &Endpoint) -> String {
    match endpoint.host.parse::<Ipv6Addr>() {
        Ok(host) => format!("[{host}]:{}", endpoint.port),
        Err(_) => format!("{}:{}", endpoint.host, endpoint.port),
    }
}

/// A data directory that cannot be used has an exit code of its own; everything else is said in a sentence.
fn start_fault(error: node::StartError) -> Fault {
    let fault = Fault::local(&error);
    match error {
        node::StartError::Storage(StorageError::InUse(_)) => fault.hint("stop the other broker, or use another --data-dir"),
        node::StartError::Storage(StorageError::Version { .. }) => fault.hint("use the version that wrote it, or another --data-dir"),
        _ => fault,
    }
}

fn banner(start: &Start, config: &BrokerConfig, kafka: &KafkaServer, advertised: &Endpoint, cluster: &Sharded<Cluster>) {
    let local = cluster.local();
    let report = rt::backend();
    println!("Ailurus {} is running.", env!("CARGO_PKG_VERSION"));
    println!("  kafka      {} (advertised as {})", kafka.local_addr(), shown(advertised));
    println!("  broker     {} of cluster {}", local.node(), local.cluster_id());
    println!("  shards     {}", rt::shard_count());
    println!("  i/o        {report}");
    println!("  data       {}", config.log_dirs);
    if start.mode == "dev" {
        let at = shown(advertised);
        println!();
        println!("Produce:     echo hello | kcat -P -b {at} -t greetings");
        println!("Consume:     kcat -C -b {at} -t greetings -e");
        println!("Or without kcat: ailurus produce greetings --bootstrap {at}, ailurus consume greetings --bootstrap {at}");
    }
}
