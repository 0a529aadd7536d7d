//! The crates below in their order: data directory and storage, cluster, coordinator, Kafka face, admin face; down in
//! reverse. And everything that may stop a broker from coming up, each with its exit code.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ailurus_admin::{Admin, AdminError, Bound};
use ailurus_client::address;
use ailurus_cluster::identity::IdentityError;
use ailurus_cluster::node::{self, StartError};
use ailurus_cluster::{Cluster, ClusterOptions};
use ailurus_coordinator::Groups;
use ailurus_kafka::nodes::why_not_direct;
use ailurus_kafka::{Endpoint, KafkaServer, Nodes};
use ailurus_model::NodeId;
use ailurus_rt as rt;
use ailurus_settings::{BrokerConfig, Layer};
use ailurus_storage::{StorageConfig, StorageError};

use crate::banner::{Banner, Files, Mode};
use crate::metrics;
use crate::start::Plan;

/// How long connections may take to end when the broker stops.
const GOODBYE: Duration = Duration::from_secs(3);

/// How long a start waits for its port to become free. The kernel tears down the rings of a killed process after it has
/// reported its end, and until then its listening socket stays: a broker that is restarted at once would meet itself.
/// The rings wait for the disk, so on a busy one this takes more than a second.
const PORT_WAIT: Duration = Duration::from_secs(5);

/// Open files that are neither connections of clients nor segments: journals, rings, checkpoints, the admin listener.
const FILES_KEPT: usize = 256;

/// Why the broker does not serve.
#[derive(Debug)]
pub(crate) struct Broken {
    fatal: rt::Fatal,
    sentence: String,
    hint: Option<String>,
}

impl Broken {
    pub(crate) fn new(fatal: rt::Fatal, sentence: impl fmt::Display) -> Self {
        Broken { fatal, sentence: sentence.to_string(), hint: None }
    }

    pub(crate) fn settings(sentence: impl fmt::Display) -> Self {
        Broken::new(rt::Fatal::Config, sentence)
    }

    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.fatal as u8)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.sentence)?;
        match &self.hint {
            Some(hint) => write!(f, "\n hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<StorageError> for Broken {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::InUse(_) => Broken::new(rt::Fatal::DataDirInUse, &error)
                .hint("stop the other broker, or give this one another --data-dir"),
            StorageError::Version { .. } => Broken::new(rt::Fatal::DataDirVersion, &error)
                .hint("start it with the version that wrote it, or give this one another --data-dir"),
            StorageError::Corrupt { .. } => Broken::new(rt::Fatal::DataDirCorrupt, &error)
                .hint("nothing was changed; keep a copy of the directory before anything else"),
            StorageError::Io { .. } => {
                Broken::new(rt::Fatal::DiskFailed, &error).hint("`ailurus doctor --data-dir DIR` looks at the disk")
            }
            _ => Broken::new(rt::Fatal::System, &error),
        }
    }
}

impl From<StartError> for Broken {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Storage(error) => error.into(),
            StartError::Identity(error) => identity(&error),
            StartError::HistoryMissing => Broken::new(rt::Fatal::DataDirCorrupt, error)
                .hint("nothing was removed; restore a copy of the whole directory"),
            StartError::Unavailable => Broken::new(rt::Fatal::DiskFailed, error),
            error => Broken::new(rt::Fatal::DataDirCorrupt, error),
        }
    }
}

fn identity(error: &IdentityError) -> Broken {
    match error {
        IdentityError::OtherNode { .. } => {
            Broken::settings(error).hint("leave node.id out, or use the directory of that node")
        }
        IdentityError::Missing => Broken::new(rt::Fatal::DataDirCorrupt, error)
            .hint("nothing was removed; put the file back, or restore a copy of the whole directory"),
        IdentityError::Malformed(_) => Broken::new(rt::Fatal::DataDirVersion, error),
        IdentityError::Io(_) => Broken::new(rt::Fatal::DiskFailed, error),
    }
}

impl From<AdminError> for Broken {
    fn from(error: AdminError) -> Self {
        match &error {
            AdminError::Bind(addr, source) => cannot_listen(*addr, source, "--admin-addr"),
            AdminError::Thread(_) => Broken::new(rt::Fatal::System, &error),
        }
    }
}

fn cannot_listen(addr: SocketAddr, error: &io::Error, flag: &str) -> Broken {
    match error.kind() {
        io::ErrorKind::AddrInUse => Broken::new(rt::Fatal::PortTaken, format!("another process listens on {addr}"))
            .hint(format!("stop it, or give this broker another {flag}")),
        _ => Broken::new(rt::Fatal::System, format!("cannot listen on {addr}: {error}"))
            .hint(format!("{flag} takes an address of this machine")),
    }
}

/// A broker that serves.
pub(crate) struct Broker {
    cluster: rt::Sharded<Cluster>,
    groups: Groups,
    kafka: KafkaServer,
    admin: Option<Admin>,
    data_dir: PathBuf,
    files: Files,
}

/// Brings everything up; on shard 0. The ports are taken first and served last: who connects early waits a moment
/// instead of being refused, and an address that is wrong or taken is found out before the directory is touched.
pub(crate) async fn up(plan: &Plan) -> Result<Broker, Broken> {
    let config = &plan.config;
    if config.shard_direct {
        have_ids(NodeId(config.node_id), rt::shard_count())?;
    }
    let listeners = listen(config).await?;
    let mut advertised = advertised(config, plan.mode, &listeners)?;
    let admin = match &config.admin_listener {
        Some(addr) => Some(listen_admin(addr).await?),
        None => None,
    };
    let data_dir = data_dir(config).await?;
    let mut settings = (*plan.settings).clone();
    // What clients are told is what DescribeConfigs tells as well; of a shard that is a node, the Kafka face puts its own in.
    let told = advertised[0].listener();
    settings.set(Layer::Flags, "advertised.listeners", &told).map_err(Broken::settings)?;
    let options = ClusterOptions { settings: Arc::new(settings), storage: storage(config, &data_dir) };
    let cluster = node::start(options).await?;
    let broker = cluster.local().node();
    let nodes = match config.shard_direct {
        true => have_ids(broker, rt::shard_count()).map(|()| Nodes::per_shard(broker, advertised)),
        false => Ok(Nodes::one(broker, advertised.remove(0))),
    };
    let nodes = match nodes {
        Ok(nodes) => nodes,
        Err(broken) => {
            node::stop(cluster).await;
            return Err(broken);
        }
    };
    let groups = Groups::start(cluster).await;
    let kafka = KafkaServer::start(cluster, groups, listeners, nodes).await;
    let files = files(config, &data_dir).await;
    let broker = Broker { cluster, groups, kafka, admin: None, data_dir, files };
    let Some(bound) = admin else { return Ok(broker) };
    match Admin::start(bound, metrics::sources(cluster, broker.kafka.shards())) {
        Ok(admin) => Ok(Broker { admin: Some(admin), ..broker }),
        Err(error) => {
            broker.down().await;
            Err(error.into())
        }
    }
}

/// Whether the shards of this broker can have ids of their own.
fn have_ids(broker: NodeId, shards: u16) -> Result<(), Broken> {
    why_not_direct(broker, shards.into()).map_or(Ok(()), |why| Err(Broken::settings(why)))
}

impl Broker {
    /// Takes everything down in the reverse order; what was acknowledged is flushed and the directory marked as clean.
    pub(crate) async fn down(self) {
        // What `write.caching` acknowledged from memory is safe before clients and scrapes are waited for: a second signal
        // would lose it.
        node::hasten(self.cluster);
        if let Some(admin) = self.admin {
            // It may wait for a scrape that waits for a shard: not to be waited for on one.
            rt::run_blocking(move || admin.stop()).await;
        }
        self.kafka.stop(GOODBYE).await;
        self.groups.stop().await;
        node::stop(self.cluster).await;
    }

    pub(crate) fn banner(&self, plan: &Plan) -> Banner {
        let cluster = self.cluster.local();
        let program = std::env::args_os().next().unwrap_or_else(|| "ailurus".into()).to_string_lossy().into_owned();
        let nodes = self.kafka.nodes();
        let told: Vec<(i32, String)> = nodes.all().map(|(id, endpoint)| (id, endpoint.to_string())).collect();
        Banner {
            mode: plan.mode,
            program,
            kafka: self.kafka.local_addrs()[0].to_string(),
            advertised: told[0].1.clone(),
            nodes: if nodes.is_direct() { told } else { Vec::new() },
            admin: self.admin.as_ref().map(|admin| admin.local_addr().to_string()),
            cluster: cluster.cluster_id().to_owned(),
            node: cluster.node().0,
            shards: rt::shard_count(),
            backend: rt::backend().to_string(),
            files: self.files,
            memory: plan.config.memory_bytes as u64,
            data_dir: self.data_dir.display().to_string(),
            started_in: Duration::ZERO,
        }
    }
}

/// The listener of the broker, or in shard-direct mode one per shard in their order.
async fn listen(config: &BrokerConfig) -> Result<Vec<rt::Listener>, Broken> {
    let [endpoint] = &config.listeners[..] else {
        return Err(Broken::settings("listeners: this version serves one listener"));
    };
    if endpoint.listener != "PLAINTEXT" {
        return Err(Broken::settings(format!("listeners: {} is not served yet, only PLAINTEXT", endpoint.listener)));
    }
    let addr = match &endpoint.host[..] {
        "" => everywhere(endpoint.port),
        host => first_address("listeners", host, endpoint.port).await?,
    };
    let bound = match bind(addr).await {
        Err(error) if endpoint.host.is_empty() && error.kind() != io::ErrorKind::AddrInUse => {
            bind(everywhere_without_ipv6(endpoint.port)).await
        }
        bound => bound,
    };
    let first = bound.map_err(|error| cannot_listen(addr, &error, "--kafka-addr"))?;
    let host = first.local_addr().ip();
    let mut listeners = vec![first];
    for shard in 1..if config.shard_direct { rt::shard_count() } else { 1 } {
        let addr = SocketAddr::new(host, port_of("listeners", endpoint.port, shard)?);
        let bound = bind(addr).await.map_err(|error| {
            let broken = cannot_listen(addr, &error, "--kafka-addr");
            broken.hint(format!(
                "shard {shard} needs this port, for shard.direct gives each shard one, from that of --kafka-addr on"
            ))
        });
        listeners.push(bound?);
    }
    let files = files_max();
    let most = files - FILES_KEPT.min(files / 4) - segment_files_max(config);
    Ok(listeners.into_iter().map(|listener| listener.at_most(most)).collect())
}

/// The port of a shard, of those that begin at `first`; 0, which stands for any free one, does so for all.
fn port_of(setting: &str, first: u16, shard: u16) -> Result<u16, Broken> {
    let port = if first == 0 { Some(0) } else { first.checked_add(shard) };
    port.ok_or_else(|| {
        let port = u32::from(first) + u32::from(shard);
        Broken::settings(format!("{setting}: shard.direct gives shard {shard} port {port}, which is above 65535"))
    })
}

/// All addresses of this machine, those of IPv4 among them.
fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

/// The same where the kernel has no IPv6.
fn everywhere_without_ipv6(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

/// Binds, and waits a moment for a port that is taken: see [`PORT_WAIT`].
async fn bind(addr: SocketAddr) -> io::Result<rt::Listener> {
    let deadline = rt::now() + PORT_WAIT;
    let mut told = false;
    loop {
        match rt::Listener::bind(addr).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && rt::now() < deadline => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!(%addr, "the port is taken: waiting for a broker that was just killed to let go of it");
                }
                rt::sleep(Duration::from_millis(5)).await;
            }
            outcome => return outcome,
        }
    }
}

/// How many files this process may have open; connections are files.
fn files_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Segment files that may be open on all shards: a quarter of all files, so that the rest is for connections.
fn segment_files_max(config: &BrokerConfig) -> usize {
    let wanted = config.storage_handles_max as usize * usize::from(rt::shard_count());
    wanted.min(files_max() / 4)
}

/// What is kept free of the space there is. Of a directory that may take little, a quarter, or nothing could be written.
fn reserve(config: &BrokerConfig) -> u64 {
    let wanted = config.storage_min_free_bytes as u64;
    config.storage_max_bytes.map_or(wanted, |most| wanted.min(most as u64 / 4))
}

async fn listen_admin(text: &str) -> Result<Bound, Broken> {
    if let Ok(addr) = text.parse() {
        return Ok(Bound::bind(addr)?);
    }
    let wrong = |error| Broken::settings(format!("admin.listener: {error}"));
    match text.strip_prefix(':').map(str::parse) {
        Some(Ok(port)) => match Bound::bind(everywhere(port)) {
            Err(AdminError::Bind(_, error)) if error.kind() != io::ErrorKind::AddrInUse => {
                Ok(Bound::bind(everywhere_without_ipv6(port))?)
            }
            bound => Ok(bound?),
        },
        _ => {
            let (host, port) = address::parse(text).map_err(wrong)?;
            Ok(Bound::bind(first_address("admin.listener", &host, port).await?)?)
        }
    }
}

async fn first_address(setting: &str, host: &str, port: u16) -> Result<SocketAddr, Broken> {
    let found = address::resolve(host, port).await;
    let found = found.map_err(|error| Broken::settings(format!("{setting}: {error}")))?;
    found.first().copied().ok_or_else(|| Broken::settings(format!("{setting}: {host} has no address")))
}

/// What clients are told, for each listener. Unset, it is what we listen on; where that is all addresses, one that can be
/// dialled: this machine's own in dev mode, else the one it reaches others from.
fn advertised(config: &BrokerConfig, mode: Mode, listeners: &[rt::Listener]) -> Result<Vec<Endpoint>, Broken> {
    let (host, first) = match &config.advertised_listeners[..] {
        [] => (host_of(config, mode, listeners[0].local_addr()), 0),
        [one] if one.host.is_empty() => return Err(Broken::settings("advertised.listeners: the host is missing")),
        [one] if is_nowhere(&one.host) => {
            return Err(Broken::settings(format!("advertised.listeners: nobody can connect to {}", one.host))
                .hint("--advertise-kafka-addr takes an address that clients reach this machine by"));
        }
        [one] => (one.host.clone(), one.port),
        _ => return Err(Broken::settings("advertised.listeners: this version serves one listener")),
    };
    let endpoint = |(shard, listener): (u16, &rt::Listener)| {
        let port = match port_of("advertised.listeners", first, shard)? {
            0 => listener.local_addr().port(),
            port => port,
        };
        Ok(Endpoint { host: host.clone(), port })
    };
    (0..).zip(listeners).map(endpoint).collect()
}

/// A host that stands for `local` with clients.
fn host_of(config: &BrokerConfig, mode: Mode, local: SocketAddr) -> String {
    let named = config.listeners.first().map(|listener| listener.host.as_str()).unwrap_or_default();
    match local.ip() {
        ip if ip.is_unspecified() && mode == Mode::Dev => Ipv4Addr::LOCALHOST.to_string(),
        ip if ip.is_unspecified() => outward_address().to_string(),
        // A name is kept: clients elsewhere may resolve it to where they can reach us.
        _ if !named.is_empty() => named.to_owned(),
        ip => ip.to_string(),
    }
}

/// Whether a host is an address that stands for all of a machine's own, and so for none that can be dialled.
pub(crate) fn is_nowhere(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

/// The address from which this machine would send to others; nothing is sent. 127.0.0.1 without a network.
fn outward_address() -> IpAddr {
    #[allow(clippy::disallowed_methods, reason = "a question to the routing table, not the network; once at start")]
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    // 192.0.2.1 is reserved for examples (RFC 5737).
    let local =
        socket.and_then(|socket| socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).and_then(|()| socket.local_addr()));
    local.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |local| local.ip())
}

async fn data_dir(config: &BrokerConfig) -> Result<PathBuf, Broken> {
    if config.log_dirs.contains(',') {
        return Err(Broken::settings("log.dirs: this version keeps everything in one directory"));
    }
    let dir = PathBuf::from(&config.log_dirs);
    let broken = |error: io::Error| {
        Broken::new(rt::Fatal::System, format!("cannot use the data directory {}: {error}", dir.display()))
            .hint("--data-dir names another")
    };
    rt::fs::create_dir_all(&dir).await.map_err(broken)?;
    std::path::absolute(&dir).map_err(broken)
}

/// Asks the file system of the data directory whether it takes direct I/O, with a file that is always there.
async fn files(config: &BrokerConfig, dir: &Path) -> Files {
    if !config.io_direct {
        return Files::BufferedByChoice;
    }
    let options = rt::OpenOptions { direct: true, ..rt::OpenOptions::default() };
    let probed = async {
        let file = rt::File::open(&dir.join("ailurus.version"), options).await?;
        let direct = file.is_direct();
        file.close().await.map(|()| direct)
    };
    match probed.await {
        Ok(true) => Files::Direct,
        Ok(false) => {
            tracing::warn!(dir = %dir.display(), "the file system refuses O_DIRECT: files are buffered and flushed");
            Files::BufferedByNeed
        }
        Err(error) => {
            tracing::warn!(%error, "cannot see whether the file system takes O_DIRECT");
            Files::Unknown
        }
    }
}

fn storage(config: &BrokerConfig, dir: &Path) -> StorageConfig {
    StorageConfig {
        journal_file_bytes: config.journal_file_bytes as u64,
        journal_bytes_max: config.journal_max_bytes as u64,
        write_caching_bytes_max: config.storage_write_caching_max_bytes as u64,
        tail_bytes_max: config.storage_tail_max_bytes as u64,
        cache_bytes: config.storage_cache_bytes as u64,
        handles_max: segment_files_max(config) / usize::from(rt::shard_count()),
        min_free_bytes: reserve(config),
        direct_io: config.io_direct,
        clean_interval: clean_interval(config),
        compaction_map_bytes: config.log_cleaner_dedupe_buffer_size as u64 / u64::from(rt::shard_count()),
        ..StorageConfig::new(dir)
    }
}

/// Retention and compaction are looked after equally often: as the more frequent of the two wants.
fn clean_interval(config: &BrokerConfig) -> Duration {
    let compaction = if config.log_cleaner_enable { config.log_cleaner_backoff_ms } else { i64::MAX };
    Duration::from_millis(config.log_retention_check_interval_ms.min(compaction).max(10) as u64)
}
