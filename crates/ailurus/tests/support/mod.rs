//! What the tests of the binary share: a broker in a process of its own, the verbs against it, and a raw client.
#![allow(dead_code, reason = "each target uses its part")]
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "tests look at the broker from outside")]

pub(crate) mod client;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use serde_json::Value;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_ailurus");

/// An empty directory of this test's own.
pub(crate) fn fresh(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

/// A running broker; killed when dropped.
pub(crate) struct Broker {
    child: Child,
    pub(crate) banner: Value,
}

impl Broker {
    /// Starts one and waits until it serves.
    pub(crate) fn start(dir: &Path, more: &[&str]) -> Broker {
        Broker::with_memory("64MiB", dir, more)
    }

    /// The same with so much memory for requests.
    pub(crate) fn with_memory(memory: &str, dir: &Path, more: &[&str]) -> Broker {
        Broker::of(start_command(memory, dir).args(more))
    }

    /// The same, with a limit of open files.
    pub(crate) fn with_files(files: u32, dir: &Path, more: &[&str]) -> Broker {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {files} && exec \"$@\""), "sh", BINARY]);
        let start = start_command("64MiB", dir);
        command.args(start.get_args()).args(more);
        for (name, value) in start.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Broker::of(&mut command)
    }

    /// The same, with what `filter` lets through of its log in `file`.
    pub(crate) fn with_log(filter: &str, file: &Path, dir: &Path, more: &[&str]) -> Broker {
        let file = std::fs::File::create(file).unwrap();
        Broker::of(start_command("64MiB", dir).args(more).env("AILURUS_LOG", filter).stderr(file))
    }

    fn of(command: &mut Command) -> Broker {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let banner = serde_json::from_str(&line).unwrap_or_else(|error| panic!("no banner but {line:?}: {error}"));
        Broker { child, banner }
    }

    pub(crate) fn address(&self) -> &str {
        self.banner["kafka"].as_str().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Until it has ended by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// How many bytes of it are in memory.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// How many connections it serves.
    pub(crate) fn connections(&self) -> u64 {
        let metrics = self.get("/metrics");
        let count =
            metrics.lines().find_map(|line| line.strip_prefix("kafka_server_socket_server_metrics_connection_count "));
        count.unwrap().parse::<f64>().unwrap() as u64
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub(crate) fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }

    pub(crate) fn run(&self, words: &[&str], input: &str) -> Output {
        let mut child = Command::new(BINARY)
            .args(words)
            .args(["-b", self.address()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Standard output of a verb that must succeed.
    pub(crate) fn feed(&self, words: &[&str], input: &str) -> String {
        let output = self.run(words, input);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same without input.
    pub(crate) fn out(&self, words: &[&str]) -> String {
        self.feed(words, "")
    }

    /// The same as JSON.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.out(&[words, &["--format", "json"]].concat())).unwrap()
    }

    /// Exit code and standard error of a verb that must fail.
    pub(crate) fn fault(&self, words: &[&str]) -> (i32, String) {
        let output = self.run(words, "");
        assert!(!output.status.success(), "{words:?} succeeded");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// The whole answer of the admin listener.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(self.banner["admin"].as_str().unwrap()).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        reply
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start_command(memory: &str, dir: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["start", "--mode", "dev", "--shards", "2", "--format", "json"]);
    command.args(["--kafka-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--data-dir"]).arg(dir);
    command.args(["--memory", memory, "--set", "shard.pin=false", "--set", "journal.file.bytes=4MiB"]);
    // Whatever the tests are run with is not meant for the broker, which would take it for settings.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AILURUS_")) {
        command.env_remove(name);
    }
    command.env("AILURUS_LOG", "warn");
    command
}

/// A start that must fail: exit code and standard error.
pub(crate) fn failed_start(dir: &Path, more: &[&str]) -> (i32, String) {
    let output = start_command("64MiB", dir).args(more).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Looks until it is so; fails after half a minute.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("waited in vain until {what}");
}
