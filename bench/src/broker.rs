//! The program under test: started on a fresh directory, looked at through /proc and /metrics, ended by its own id.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Context;

/// USER_HZ, which is 100 on every Linux that we run on.
const TICKS_PER_SECOND: u64 = 100;

/// Longer than any start may take.
const START_MAX: Duration = Duration::from_secs(60);

/// A running broker. Dropped, it is killed.
pub(crate) struct Broker {
    child: Child,
    /// Just before the program was executed.
    pub(crate) started: Instant,
    /// Where it listens for Kafka clients.
    pub(crate) kafka: SocketAddr,
    admin: SocketAddr,
    log: PathBuf,
}

/// An empty data directory of that name.
pub(crate) fn fresh_directory(context: &Context, name: &str) -> Result<PathBuf, String> {
    let path = context.scratch.join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// A port that nobody had a moment ago.
fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    listener.local_addr().expect("it was bound")
}

impl Broker {
    /// Executes the broker on `directory`; returns at once, before it listens.
    pub(crate) fn start(context: &Context, directory: &Path, settings: &[&str]) -> Result<Broker, String> {
        let (kafka, admin) = (free_port(), free_port());
        let log = directory.with_extension("log");
        let out = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = Command::new(&context.binary);
        command.arg("start").arg("--data-dir").arg(directory);
        command.args(["--kafka-addr", &kafka.to_string(), "--admin-addr", &admin.to_string()]);
        settings.iter().for_each(|setting| {
            command.args(["--set", setting]);
        });
        let errors = out.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(out).stderr(errors);
        let started = Instant::now();
        let child = command.spawn().map_err(|error| format!("{}: {error}", context.binary.display()))?;
        Ok(Broker { child, started, kafka, admin, log })
    }

    /// Fails if the program is gone, or should have been ready by now.
    pub(crate) fn still_starting(&mut self) -> Result<(), String> {
        if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            return Err(format!("the broker ended with {status}:\n{log}"));
        }
        if self.started.elapsed() > START_MAX {
            return Err(format!("the broker is not ready after {START_MAX:?}; its log is {}", self.log.display()));
        }
        Ok(())
    }

    /// SIGKILL, as a crash.
    pub(crate) fn kill(mut self) -> Result<(), String> {
        self.child.kill().and_then(|()| self.child.wait()).map(|_| ()).map_err(|error| error.to_string())
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS in the status")?;
        let kibibytes: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).ok_or("no number in VmRSS")?;
        Ok(kibibytes << 10)
    }

    /// CPU time of the process so far, of threads that have ended too; in steps of a clock tick, 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration, String> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        // The program's name may hold anything, but it ends with the last bracket; utime and stime are fields 14 and 15.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let ticks: Vec<u64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        let [user, system] = ticks[..] else { return Err(format!("{path} has no times: {stat}")) };
        Ok(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
    }

    /// The sum of all samples of a counter.
    pub(crate) fn counter(&self, name: &str) -> Result<u64, String> {
        let text = self.scrape()?;
        let samples = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' ')));
        let values: Vec<f64> =
            samples.filter_map(|line| line.rsplit_once(' ').and_then(|(_, value)| value.parse().ok())).collect();
        if values.is_empty() {
            return Err(format!("/metrics has no {name}"));
        }
        Ok(values.iter().sum::<f64>() as u64)
    }

    fn scrape(&self) -> Result<String, String> {
        let failed = |error: std::io::Error| format!("http://{}/metrics: {error}", self.admin);
        let mut stream = TcpStream::connect(self.admin).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").map_err(failed)?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(failed)?;
        if !text.starts_with("HTTP/1.1 200") {
            return Err(format!("/metrics answered {}", text.lines().next().unwrap_or_default()));
        }
        Ok(text)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Nothing to do if it has been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
