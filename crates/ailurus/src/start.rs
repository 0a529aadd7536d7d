//! `ailurus start`: from flags, file and environment to a running broker, and to its end.
//!
//! Settings win in this order: flags and `--set`, environment, file, `--mode`, built-in defaults. Everything that can be
//! wrong with them is found before a file of the broker is touched.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ailurus_rt as rt;
use ailurus_settings::{BrokerConfig, BrokerSettings, IoBackend, Layer, Profile, StartupError};
use clap::{Args, ValueEnum};

use crate::banner::{Banner, Mode};
use crate::boot::{self, Broken};
use crate::cli::Global;
use crate::memory;
use crate::report::{Output, print, tell};
use crate::units::show_bytes;

/// Variables in the environment that are no settings.
const NOT_SETTINGS: &[&str] = &["AILURUS_BOOTSTRAP", "AILURUS_CONFIG", "AILURUS_LOG", "AILURUS_MODE"];

/// Within this time after the first signal, others are the same one.
const ECHO: Duration = Duration::from_millis(500);

/// Run a broker.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Every setting can be given as --set num.partitions=4, as AILURUS_NUM_PARTITIONS=4 in the \
    environment, or as num.partitions = 4 in the file of --config; the first of these wins.\n\n\
    Exit codes: 0 ended in order, 64 wrong settings, 65 the disk failed, 66 data directory of another version, \
    67 data directory in use, 68 data directory damaged, 69 port taken, 71 the system refuses \
    something, 143 ended in a hurry by a second signal (nothing acknowledged is lost, but for write.caching).")]
pub(crate) struct Start {
    /// Settings in TOML.
    #[arg(short, long, value_name = "FILE", env = "AILURUS_CONFIG")]
    config: Option<PathBuf>,
    /// Which starting values: dev is for a developer's machine (groups form at once), and as durable as production.
    #[arg(long, value_enum, default_value = "production", env = "AILURUS_MODE")]
    mode: ModeArg,
    /// Where everything is kept (log.dirs); ./ailurus-data if not set.
    #[arg(short, long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Where to listen for Kafka clients (listeners); port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT")]
    kafka_addr: Option<String>,
    /// What clients are told to connect to (advertised.listeners).
    #[arg(long, value_name = "HOST:PORT")]
    advertise_kafka_addr: Option<String>,
    /// Where metrics and health are served over HTTP (admin.listener); `off` for nowhere.
    #[arg(long, value_name = "HOST:PORT")]
    admin_addr: Option<String>,
    /// Shards, one per core; 0 for the CPUs this process may use.
    #[arg(long, value_name = "N")]
    shards: Option<String>,
    /// Memory that requests in progress may take (memory.bytes), like 512MiB.
    #[arg(short, long, value_name = "SIZE")]
    memory: Option<String>,
    /// Any setting; may be repeated.
    #[arg(short, long = "set", value_name = "NAME=VALUE")]
    sets: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeArg {
    Production,
    Dev,
}

impl ModeArg {
    fn profile(self) -> Profile {
        match self {
            ModeArg::Production => Profile::Production,
            ModeArg::Dev => Profile::Dev,
        }
    }
}

/// What the broker is started with, all of it checked.
#[derive(Clone)]
pub(crate) struct Plan {
    /// All layers.
    pub(crate) settings: Arc<BrokerSettings>,
    /// The same as typed values.
    pub(crate) config: BrokerConfig,
    /// Which mode, for the banner and for what is advertised.
    pub(crate) mode: Mode,
}

pub(crate) fn run(global: &Global, start: &Start) -> ExitCode {
    let output = Output::new(global.format);
    // First of all: the kernel drops a signal to process 1 of a container that nobody handles.
    if let Err(error) = rt::catch_shutdown_signals() {
        tracing::warn!(%error, "signals are not handled: the broker will not stop in order");
    }
    let outcome = start.plan().and_then(|plan| serve(plan, output));
    match outcome {
        Ok(code) => code,
        Err(broken) => {
            tell(&broken);
            broken.exit_code()
        }
    }
}

impl Start {
    fn plan(&self) -> Result<Plan, Broken> {
        let settings = self.settings(std::env::vars_os())?;
        let config = settings.config();
        let mode = if self.mode == ModeArg::Dev { Mode::Dev } else { Mode::Production };
        Ok(Plan { settings: Arc::new(settings), config, mode })
    }

    fn settings(&self, environment: impl Iterator<Item = (OsString, OsString)>) -> Result<BrokerSettings, Broken> {
        let mut settings = BrokerSettings::new(self.mode.profile());
        let share = memory::default_bytes(memory::available()).to_string();
        settings.set(Layer::Profile, "memory.bytes", &share).map_err(wrong)?;
        if let Some(file) = &self.config {
            settings.load_file(&file.display().to_string(), &read(file)?).map_err(wrong)?;
        }
        for stranger in settings.load_environment(readable(environment)?, NOT_SETTINGS).map_err(wrong)? {
            tracing::warn!("{stranger} (left out)");
        }
        for (flag, name, value) in self.flags() {
            let set = settings.set(Layer::Flags, name, &value);
            set.map_err(|error| Broken::settings(format!("{flag}: {error}")))?;
        }
        for pair in &self.sets {
            settings.set_pair(pair).map_err(|error| Broken::settings(format!("--set {pair}: {error}")))?;
        }
        settings.check().map_err(wrong)?;
        Ok(settings)
    }

    /// The flags that stand for settings: flag, setting, value.
    fn flags(&self) -> Vec<(&'static str, &'static str, String)> {
        let listener = |addr: &String| match addr.contains("://") {
            true => addr.clone(),
            false => format!("PLAINTEXT://{addr}"),
        };
        let admin = |addr: &String| if addr == "off" { String::new() } else { addr.clone() };
        let flags = [
            ("--data-dir", "log.dirs", self.data_dir.clone()),
            ("--kafka-addr", "listeners", self.kafka_addr.as_ref().map(listener)),
            ("--advertise-kafka-addr", "advertised.listeners", self.advertise_kafka_addr.as_ref().map(listener)),
            ("--admin-addr", "admin.listener", self.admin_addr.as_ref().map(admin)),
            ("--shards", "shards", self.shards.clone()),
            ("--memory", "memory.bytes", self.memory.clone()),
        ];
        flags.into_iter().filter_map(|(flag, name, value)| Some((flag, name, value?))).collect()
    }
}

/// The variables that are text. Others belong to somebody else, unless the name is one of ours.
fn readable(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<(String, String)>, Broken> {
    let text = |(name, value): (OsString, OsString)| {
        let name = name.into_string().ok()?;
        match value.into_string() {
            Ok(value) => Some(Ok((name, value))),
            Err(_) if name.starts_with("AILURUS_") => Some(Err(Broken::settings(format!("{name}: not UTF-8")))),
            Err(_) => None,
        }
    };
    variables.filter_map(text).collect()
}

fn read(file: &Path) -> Result<Vec<u8>, Broken> {
    #[allow(clippy::disallowed_methods, reason = "read before there is a reactor to read it with")]
    let bytes = std::fs::read(file);
    bytes.map_err(|error| Broken::settings(format!("cannot read {}: {error}", file.display())))
}

fn wrong(error: StartupError) -> Broken {
    Broken::settings(error)
}

/// What the reactor is given.
fn reactor(config: &BrokerConfig) -> rt::Config {
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
        disk_space_root: config.storage_max_bytes.map(|_| PathBuf::from(&config.log_dirs)),
        ..rt::Config::default()
    }
}

/// Runs the broker until a signal ends it.
fn serve(plan: Plan, output: Output) -> Result<ExitCode, Broken> {
    raise_file_limit();
    let reactor = reactor(&plan.config);
    match rt::run(reactor, move || serve_on_shard(plan, output)) {
        Ok(outcome) => outcome,
        Err(rt::Error::Config(why)) => Err(Broken::settings(why)),
        Err(error) => Err(Broken::new(rt::Fatal::System, error).hint("`ailurus doctor` looks why")),
    }
}

async fn serve_on_shard(plan: Plan, output: Output) -> Result<ExitCode, Broken> {
    let began = rt::now();
    warn_of_memory(&plan.config);
    warn_of_no_limit(&plan.config);
    let Some(broker) = race(boot::up(&plan), rt::shutdown_signal()).await else {
        tracing::info!("stopped before it served");
        // Nothing was acknowledged since the last end, and a start can be repeated from any point: as after a crash, but
        // as it was asked for.
        std::process::exit(0);
    };
    let broker = broker?;
    let banner = Banner { started_in: rt::now() - began, ..broker.banner(&plan) };
    // A broker whose banner nobody can read serves all the same.
    let _ = print(banner.text(output.is_json()).as_bytes());
    let signal = rt::shutdown_signal().await;
    tracing::info!(?signal, "stopping; a second signal ends at once");
    match race(broker.down(), second_signal()).await {
        Some(()) => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        // Nothing is waited for: that is what a second signal asks. What was acknowledged is in the journal; what
        // `write.caching` acknowledged from memory was put on its way there by the first signal, unless it came after that.
        None => rt::fatal(rt::Fatal::Killed),
    }
}

/// Whoever sets a limit counts on it.
fn warn_of_no_limit(config: &BrokerConfig) {
    if config.max_connections_per_ip != i32::MAX {
        let wanted = config.max_connections_per_ip;
        tracing::warn!(wanted, "max.connections.per.ip has no effect: connections are not counted by address");
    }
}

/// The kernel ends a process that takes more than there is, and says so only in its own log.
fn warn_of_memory(config: &BrokerConfig) {
    let wanted = memory::wanted(config, config.memory_bytes as u64, rt::shard_count().into());
    if let Some(available) = memory::available().filter(|available| wanted > *available) {
        let (wanted, available) = (show_bytes(wanted), show_bytes(available));
        tracing::warn!(
            wanted,
            available,
            "requests, tails, caches and compaction together may take more memory than there is"
        );
    }
}

/// A signal that is not the first one once more: `timeout` sends it to its child and then to the child's group, and
/// Ctrl-C reaches a broker both from the terminal and from a parent that passes it on.
async fn second_signal() -> rt::Signal {
    let first = rt::now();
    loop {
        let signal = rt::shutdown_signal().await;
        if rt::now() - first >= ECHO {
            return signal;
        }
    }
}

/// The result of `work`, or `None` if `stop` comes first.
async fn race<T>(work: impl Future<Output = T>, stop: impl Future) -> Option<T> {
    let (mut work, mut stop) = (std::pin::pin!(work), std::pin::pin!(stop));
    std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
        std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
        std::task::Poll::Pending => stop.as_mut().poll(cx).map(|_| None),
    })
    .await
}

/// Segments and connections are files: takes as many as the system lets us have.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays at {:?}", limit.current);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        start: Start,
    }

    fn settings(words: &[&str], environment: &[(&str, &str)]) -> Result<BrokerConfig, String> {
        let line = Line::try_parse_from(["start"].iter().chain(words)).map_err(|error| error.to_string())?;
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        line.start.settings(environment).map(|settings| settings.config()).map_err(|broken| broken.to_string())
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_mode() {
        let config = settings(&["--mode", "dev", "--set", "num.partitions=4", "--memory", "512MiB"], &[]).unwrap();
        assert_eq!((config.num_partitions, config.memory_bytes), (4, 512 << 20));
        assert_eq!(config.group_initial_rebalance_delay_ms, 0);
        let environment = [
            ("AILURUS_NUM_PARTITIONS", "7"),
            ("AILURUS_GROUP_INITIAL_REBALANCE_DELAY_MS", "9"),
            ("AILURUS_BOOTSTRAP", "x"),
        ];
        let config = settings(&["--mode", "dev", "-s", "num.partitions=4"], &environment).unwrap();
        assert_eq!((config.num_partitions, config.group_initial_rebalance_delay_ms), (4, 9));
        assert_eq!(settings(&[], &environment).unwrap().num_partitions, 7);
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        use std::os::unix::ffi::OsStringExt;
        let kubernetes = [("AILURUS_PORT", "tcp://10.0.0.7:9092"), ("AILURUS_SERVICE_HOST", "10.0.0.7")];
        assert_eq!(settings(&[], &kubernetes).unwrap().num_partitions, 1);
        let bytes = || OsString::from_vec(vec![0xff]);
        let read =
            readable([("LS_COLORS".into(), bytes()), (bytes(), "x".into()), ("A".into(), "b".into())].into_iter());
        assert_eq!(read.unwrap(), [("A".to_owned(), "b".to_owned())]);
        let ours = readable([("AILURUS_LOG_DIRS".into(), bytes())].into_iter()).unwrap_err();
        assert!(ours.to_string().contains("AILURUS_LOG_DIRS"), "{ours}");
    }

    #[test]
    fn a_signal_that_comes_again_at_once_is_no_second_one() {
        use rustix::process::{Signal, getpid, kill_process};
        rt::catch_shutdown_signals().unwrap();
        let outcome = crate::session::on_one_shard(async || {
            let send = || kill_process(getpid(), Signal::TERM).unwrap();
            send();
            assert_eq!(rt::shutdown_signal().await, rt::Signal::Terminate);
            let mut second = std::pin::pin!(second_signal());
            assert!(rt::timeout(Duration::ZERO, second.as_mut()).await.is_err());
            send();
            assert!(rt::timeout(ECHO / 2, second.as_mut()).await.is_err(), "it is the first one again");
            rt::sleep(ECHO).await;
            send();
            assert_eq!(second.await, rt::Signal::Terminate);
            Ok(())
        });
        assert_eq!(outcome, Ok(()));
    }

    #[test]
    fn addresses_become_listeners() {
        let words = ["--kafka-addr", "127.0.0.1:0", "--advertise-kafka-addr", "broker:9092", "--admin-addr", "off"];
        let config = settings(&words, &[]).unwrap();
        assert_eq!(config.listeners[0].to_string(), "PLAINTEXT://127.0.0.1:0");
        assert_eq!(config.advertised_listeners[0].host, "broker");
        assert_eq!(config.admin_listener, None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_flag() {
        let near = settings(&["--set", "num.partition=4"], &[]).unwrap_err();
        assert!(near.contains("num.partitions"), "{near}");
        let memory = settings(&["--memory", "lots"], &[]).unwrap_err();
        assert!(memory.contains("--memory"), "{memory}");
        let addr = settings(&["--kafka-addr", "nonsense"], &[]).unwrap_err();
        assert!(addr.contains("--kafka-addr"), "{addr}");
        let file = settings(&["--config", "/does/not/exist.toml"], &[]).unwrap_err();
        assert!(file.contains("/does/not/exist.toml"), "{file}");
    }
}
