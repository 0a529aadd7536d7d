//! What a broker says when it serves. Pure text.

use std::fmt::Write;
use std::time::Duration;

use serde_json::json;

use crate::units::show_bytes;

/// Which mode the broker runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Production,
    Dev,
}

/// How the files of the log are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// Past the page cache.
    Direct,
    /// Through it, for `io.direct` says so.
    BufferedByChoice,
    /// Through it, for the file system takes no direct I/O.
    BufferedByNeed,
    /// It could not be asked.
    Unknown,
}

impl Files {
    fn words(self) -> &'static str {
        match self {
            Files::Direct => "direct",
            Files::BufferedByChoice => "buffered, as io.direct says",
            Files::BufferedByNeed => "buffered: the file system refuses O_DIRECT",
            Files::Unknown => "unknown",
        }
    }
}

/// The facts of the banner.
#[derive(Clone, Debug)]
pub(crate) struct Banner {
    pub(crate) mode: Mode,
    pub(crate) program: String,
    pub(crate) kafka: String,
    pub(crate) advertised: String,
    /// In shard-direct mode, the ids of the shards and where clients find them.
    pub(crate) nodes: Vec<(i32, String)>,
    pub(crate) admin: Option<String>,
    pub(crate) cluster: String,
    pub(crate) node: i32,
    pub(crate) shards: u16,
    pub(crate) backend: String,
    pub(crate) files: Files,
    pub(crate) memory: u64,
    pub(crate) data_dir: String,
    pub(crate) started_in: Duration,
}

impl Banner {
    /// For people, or as one line of JSON for scripts.
    pub(crate) fn text(&self, json: bool) -> String {
        if json { format!("{}\n", self.json()) } else { self.page() }
    }

    fn json(&self) -> serde_json::Value {
        let node = |(id, address): &(i32, String)| json!({ "id": id, "advertised": address });
        let nodes: Vec<serde_json::Value> = self.nodes.iter().map(node).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"), "mode": if self.mode == Mode::Dev { "dev" } else { "production" },
            "kafka": self.kafka, "advertised": self.advertised, "nodes": nodes, "admin": self.admin, "cluster": self.cluster,
            "node": self.node, "shards": self.shards, "io": self.backend, "files": self.files.words(), "memory": self.memory,
            "data": self.data_dir, "started_in_ms": self.started_in.as_millis() as u64,
        })
    }

    fn page(&self) -> String {
        let mode = if self.mode == Mode::Dev { " in dev mode" } else { "" };
        let milliseconds = self.started_in.as_millis();
        let mut page = format!("Ailurus {} serves{mode}, after {milliseconds} ms\n\n", env!("CARGO_PKG_VERSION"));
        let mut line = |name: &str, value: &str| writeln!(page, "  {name:9} {value}").expect("strings take all");
        match self.kafka == self.advertised {
            true => line("kafka", &self.kafka),
            false => line("kafka", &format!("{}, clients are told {}", self.kafka, self.advertised)),
        }
        if !self.nodes.is_empty() {
            let nodes: Vec<String> = self.nodes.iter().map(|(id, address)| format!("{id} at {address}")).collect();
            line("direct", &format!("a node for each shard: {}", nodes.join(", ")));
        }
        match &self.admin {
            Some(admin) => line("admin", &format!("http://{admin}/metrics and /healthz")),
            None => line("admin", "off"),
        }
        line("cluster", &format!("{}, node {}", self.cluster, self.node));
        line("shards", &self.shards.to_string());
        line("I/O", &self.backend);
        line("files", self.files.words());
        line("memory", &show_bytes(self.memory));
        line("data", &self.data_dir);
        if self.mode == Mode::Dev {
            page.push_str(&self.invitation());
        }
        page
    }

    fn invitation(&self) -> String {
        let program = &self.program;
        let bootstrap = match &self.advertised[..] {
            "127.0.0.1:9092" => String::new(),
            other => format!(" -b {other}"),
        };
        format!(
            "\n  produce   echo hello | {program} produce greetings{bootstrap}\n  \
               consume   {program} consume greetings{bootstrap}\n  \
               stop      Ctrl-C\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(mode: Mode, advertised: &str) -> Banner {
        Banner {
            mode,
            program: "ailurus".into(),
            kafka: "127.0.0.1:9092".into(),
            advertised: advertised.into(),
            nodes: Vec::new(),
            admin: Some("127.0.0.1:9644".into()),
            cluster: "abc".into(),
            node: 1,
            shards: 2,
            backend: "io_uring".into(),
            files: Files::Direct,
            memory: 1 << 30,
            data_dir: "/data".into(),
            started_in: Duration::from_millis(34),
        }
    }

    #[test]
    fn dev_mode_tells_how_to_go_on() {
        let expected = format!(
            "\
Ailurus {} serves in dev mode, after 34 ms

  kafka     127.0.0.1:9092
  admin     http://127.0.0.1:9644/metrics and /healthz
  cluster   abc, node 1
  shards    2
  I/O       io_uring
  files     direct
  memory    1.0 GiB
  data      /data

  produce   echo hello | ailurus produce greetings
  consume   ailurus consume greetings
  stop      Ctrl-C
",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(banner(Mode::Dev, "127.0.0.1:9092").text(false), expected);
    }

    #[test]
    fn another_address_is_named_and_used() {
        let page = banner(Mode::Dev, "10.0.0.7:9092").text(false);
        assert!(page.contains("kafka     127.0.0.1:9092, clients are told 10.0.0.7:9092\n"), "{page}");
        assert!(page.contains("consume greetings -b 10.0.0.7:9092"), "{page}");
        let quiet = banner(Mode::Production, "127.0.0.1:9092").text(false);
        assert!(!quiet.contains("produce"), "{quiet}");
    }

    #[test]
    fn shards_that_are_nodes_are_named() {
        let nodes = vec![(1000, "127.0.0.1:9092".to_owned()), (1001, "127.0.0.1:9093".to_owned())];
        let page = Banner { nodes, ..banner(Mode::Production, "127.0.0.1:9092") }.text(false);
        let line = "  direct    a node for each shard: 1000 at 127.0.0.1:9092, 1001 at 127.0.0.1:9093\n";
        assert!(page.contains(line), "{page}");
    }

    #[test]
    fn json_is_one_line() {
        let line = banner(Mode::Dev, "127.0.0.1:9092").text(true);
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["kafka"], "127.0.0.1:9092");
    }
}
