//! The binary as people meet it: a broker in a process of its own, and the verbs against it.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests look at the broker from outside")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use ailurus_wire::ErrorCode;
use ailurus_wire::leave_group::{LeaveGroupRequest, MemberIdentity};
use serde_json::Value;
use support::client::{Client, batch};
use support::{BINARY, Broker, failed_start, fresh, until};

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn topics_are_made_shown_changed_and_deleted() {
    let broker = Broker::start(&fresh("topics"), &[]);
    let made = broker.out(&["topic", "create", "orders", "-p", "3", "-c", "retention.ms=3600000"]);
    assert_eq!(made, "created topic orders with 3 partitions, 1 replica each\n");
    let (code, fault) = broker.fault(&["topic", "create", "orders"]);
    assert_eq!(code, 1);
    assert!(fault.contains("TOPIC_ALREADY_EXISTS") && fault.contains("hint: "), "{fault}");
    broker.out(&["topic", "create", "orders", "--if-not-exists"]);
    let list = broker.json(&["topic", "list"]);
    assert_eq!((&list[0]["topic"], &list[0]["partitions"]), (&"orders".into(), &3.into()));

    broker.out(&["topic", "alter", "orders", "--set", "max.message.bytes=1000"]);
    let described = broker.json(&["topic", "describe", "orders"]);
    assert_eq!(described[0]["configs"]["max.message.bytes"], "1000");
    assert_eq!(described[0]["configs"]["retention.ms"], "3600000");
    let (code, fault) = broker.fault(&["topic", "alter", "orders", "--set", "retention.sm=1"]);
    assert!(code == 1 && fault.contains("INVALID_CONFIG"), "{fault}");

    broker.out(&["topic", "add-partitions", "orders", "-n", "2"]);
    assert_eq!(lines(&broker.out(&["topic", "list", "o*s"]))[1], "orders           5         1");
    let (code, fault) = broker.fault(&["topic", "create", "x", "-r", "3"]);
    assert!(code == 1 && fault.contains("INVALID_REPLICATION_FACTOR"), "{fault}");
    broker.out(&["topic", "delete", "orders"]);
    let (code, fault) = broker.fault(&["topic", "describe", "orders"]);
    assert!(code == 1 && fault.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{fault}");
    assert!(broker.end("-TERM").success());
}

#[test]
fn records_go_in_and_out_with_everything_they_carry() {
    let broker = Broker::start(&fresh("records"), &[]);
    broker.out(&["topic", "create", "t", "-p", "2"]);
    let input = "k1|v1|a=1,b=2|1700000000000\nk2|v2||1700000001000\n";
    broker.feed(&["produce", "t", "-p", "0", "-f", "%k|%s|%h|%T\\n"], input);
    let all = broker.out(&["consume", "t", "-e", "-f", "%t/%p/%o %k=%s [%h] %T %K %S\\n"]);
    assert_eq!(all, "t/0/0 k1=v1 [a=1,b=2] 1700000000000 2 2\nt/0/1 k2=v2 [] 1700000001000 2 2\n");
    assert_eq!(broker.out(&["consume", "t", "-e", "-o", "@1700000000500", "-f", "%o"]), "1");
    assert_eq!(broker.out(&["consume", "t", "-e", "-o", "-1", "-f", "%o"]), "1");
    assert_eq!(broker.out(&["consume", "t", "-o", "0:1", "-f", "%o"]), "0");

    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let input: String = (0..500).map(|n| format!("{codec} {n}\n")).collect();
        broker.feed(&["produce", codec, "-z", codec], &input);
        assert_eq!(broker.out(&["consume", codec, "-e"]), input, "{codec}");
    }
    let json = broker.out(&["consume", "t", "-e", "-f", "json"]);
    broker.feed(&["produce", "copy", "-f", "json"], &json);
    let copied = json.replace(r#""topic":"t""#, r#""topic":"copy""#);
    assert_eq!(broker.out(&["consume", "copy", "-n", "2", "-f", "json"]), copied);
    let (code, fault) = broker.fault(&["consume", "nowhere"]);
    assert!(code == 1 && fault.contains("nowhere"), "{fault}");
}

#[test]
fn what_was_read_before_a_fault_is_produced() {
    let broker = Broker::start(&fresh("fault"), &[]);
    let input = "{\"topic\":\"aa\",\"value\":\"1\"}\n{\"value\":\"2\"}\n";
    let output = broker.run(&["produce", "-f", "json"], input);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("no topic is named"), "{said}");
    assert_eq!(broker.out(&["consume", "aa", "-e"]), "1\n", "{said}");
    let input = "{\"value\":\"2\"}\n{\"value\":\"3\",\"partition\":7}\n{\"value\":\"4\"}\n";
    let output = broker.run(&["produce", "aa", "-f", "json"], input);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(broker.out(&["consume", "aa", "-e"]), "1\n2\n");
}

#[test]
fn a_topic_that_is_not_there_is_said_at_once() {
    let broker = Broker::start(&fresh("nowhere"), &[]);
    for words in [
        &["config", "describe", "topic", "nowhere"][..],
        &["config", "alter", "topic", "nowhere", "--set", "retention.ms=1"],
        &["topic", "alter", "nowhere", "--set", "retention.ms=1"],
    ] {
        // Asked again until the time is over, it would be 4.
        let (code, fault) = broker.fault(words);
        assert!(code == 1 && fault.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{words:?}: {fault}");
    }
}

/// Standard output that nobody reads any more, as behind `| head`.
fn unread() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

#[test]
fn a_broker_whose_banner_nobody_reads_serves_all_the_same() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let words = ["start", "--mode", "dev", "--shards", "1", "--admin-addr", "off", "--set", "shard.pin=false"];
    let mut command = Command::new(BINARY);
    command.args(words).args(["--kafka-addr", &address, "--data-dir"]).arg(fresh("unread"));
    let mut broker = command.stdout(unread()).stderr(unread()).spawn().unwrap();
    let list = || Command::new(BINARY).args(["topic", "list", "-b", &address]).output().unwrap().status.success();
    until("it serves", || broker.try_wait().unwrap().is_some() || list());
    assert!(broker.try_wait().unwrap().is_none(), "it has ended");
    let sent = Command::new("kill").args(["-TERM", &broker.id().to_string()]).status().unwrap();
    assert!(sent.success() && broker.wait().unwrap().success());
}

#[test]
fn a_report_that_nobody_reads_does_not_stop_the_records() {
    let broker = Broker::start(&fresh("report"), &[]);
    let mut command = Command::new(BINARY);
    command.args(["produce", "t", "--report", "-b", broker.address()]).stdin(Stdio::piped()).stdout(unread());
    let mut produce = command.spawn().unwrap();
    let mut input = produce.stdin.take().unwrap();
    for round in 1..=3 {
        input.write_all("a\n".repeat(5).as_bytes()).unwrap();
        until("they are there", || {
            let described = broker.run(&["topic", "describe", "t", "--format", "json"], "");
            let described: Value = serde_json::from_slice(&described.stdout).unwrap_or_default();
            described[0]["partitions"][0]["end"] == 5 * round
        });
    }
    drop(input);
    assert!(produce.wait().unwrap().success());
}

#[test]
fn what_the_reader_of_a_member_did_not_get_is_not_committed() {
    let broker = Broker::start(&fresh("head"), &[]);
    broker.feed(&["produce", "t"], "a\nb\nc\n");
    let mut command = Command::new(BINARY);
    command.args(["consume", "t", "-g", "g", "-b", broker.address()]).stdout(unread());
    assert!(command.status().unwrap().success());
    // It has left: who comes next need not wait for its session to end.
    assert_eq!(broker.out(&["consume", "t", "-g", "g", "-e"]), "a\nb\nc\n");
}

#[test]
fn a_consumer_that_was_stopped_for_long_goes_on() {
    let broker = Broker::start(&fresh("stopped"), &[]);
    broker.feed(&["produce", "t"], "before\n");
    let member = Member::start(&broker, &["consume", "t", "--timeout", "2s"]);
    assert_eq!(member.lines.recv_timeout(Duration::from_secs(30)).unwrap(), "before");
    member.signal("-STOP");
    broker.feed(&["produce", "t"], "meanwhile\n");
    // Longer than the 2.5 s that a fetch may take: that is what is tried here.
    std::thread::sleep(Duration::from_secs(3));
    member.signal("-CONT");
    assert_eq!(member.lines.recv_timeout(Duration::from_secs(30)).unwrap(), "meanwhile");
    assert!(member.interrupt().success());
}

#[test]
fn trimmed_records_are_gone() {
    let broker = Broker::start(&fresh("trim"), &[]);
    broker.feed(&["produce", "t"], "a\nb\nc\n");
    for more in [&["--dry-run"][..], &[]] {
        let (code, fault) = broker.fault(&[&["topic", "trim", "t", "-o", "4"], more].concat());
        assert!(code == 1 && fault.contains("OFFSET_OUT_OF_RANGE"), "{more:?}: {fault}");
    }
    assert_eq!(broker.out(&["consume", "t", "-e"]), "a\nb\nc\n");
    broker.out(&["topic", "trim", "t", "-o", "2"]);
    assert_eq!(broker.out(&["consume", "t", "-e"]), "c\n");
    assert_eq!(broker.json(&["topic", "describe", "t"])[0]["partitions"][0]["start"], 2);
}

#[test]
fn what_was_acknowledged_is_there_after_each_kind_of_end() {
    let dir = fresh("ends");
    let mut expected = String::new();
    for (round, end) in ["-TERM", "-KILL", "-TERM"].iter().enumerate() {
        let broker = Broker::start(&dir, &[]);
        if round > 0 {
            assert_eq!(broker.out(&["consume", "t", "-e"]), expected, "before round {round}");
        }
        let input: String = (0..100).map(|n| format!("{round}-{n}\n")).collect();
        broker.feed(&["produce", "t"], &input);
        expected += &input;
        broker.end(end);
    }
    let broker = Broker::start(&dir, &["--set", "shards=1"]);
    assert_eq!(broker.banner["shards"], 1);
    assert_eq!(broker.out(&["consume", "t", "-e"]), expected, "on another number of shards");
}

#[test]
fn a_group_goes_on_where_it_committed() {
    let dir = fresh("groups");
    let broker = Broker::start(&dir, &[]);
    let input: String = (0..100).map(|n| format!("{n}\n")).collect();
    broker.feed(&["produce", "t"], &input);
    let first = broker.out(&["consume", "t", "-g", "g", "-n", "40"]);
    let described = broker.json(&["group", "describe", "g"]);
    assert_eq!((&described[0]["state"], &described[0]["lag"]), (&"Empty".into(), &60.into()));
    broker.end("-KILL");

    let broker = Broker::start(&dir, &[]);
    let rest = broker.out(&["consume", "t", "-g", "g", "-e"]);
    assert_eq!(first + &rest, input);
    assert_eq!(broker.json(&["group", "describe", "g"])[0]["lag"], 0);
    assert_eq!(broker.json(&["group", "list"])[0]["group"], "g");

    let dry = broker.json(&["group", "reset", "g", "--to-earliest", "--dry-run"]);
    assert_eq!((&dry["partitions"][0]["before"], &dry["partitions"][0]["after"]), (&100.into(), &0.into()));
    broker.out(&["group", "reset", "g", "--shift-by", "-3"]);
    assert_eq!(broker.out(&["consume", "t", "-g", "g", "-e"]), "97\n98\n99\n");
    broker.out(&["group", "reset", "new", "-t", "t:0", "--to", "98"]);
    assert_eq!(broker.out(&["consume", "t", "-g", "new", "-e"]), "98\n99\n");

    broker.out(&["group", "delete-offsets", "new", "-t", "t"]);
    broker.out(&["group", "delete", "g"]);
    let (code, fault) = broker.fault(&["group", "delete", "g"]);
    assert!(code == 1 && fault.contains("GROUP_ID_NOT_FOUND"), "{fault}");
}

/// A consumer in the background; its lines come over a channel.
struct Member {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Member {
    fn start(broker: &Broker, words: &[&str]) -> Member {
        let mut child =
            Command::new(BINARY).args(words).args(["-b", broker.address()]).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Member { child, lines }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn interrupt(mut self) -> ExitStatus {
        self.signal("-INT");
        self.child.wait().unwrap()
    }
}

#[test]
fn two_members_share_and_one_takes_over() {
    let broker = Broker::start(&fresh("members"), &[]);
    broker.out(&["topic", "create", "t", "-p", "4"]);
    let words = ["consume", "t", "-g", "g", "-f", "%p %s\\n"];
    let (one, two) = (Member::start(&broker, &words), Member::start(&broker, &words));
    until("both read two partitions each", || {
        let output = broker.run(&["group", "describe", "g", "--format", "json"], "");
        let described: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let members = described[0]["members"].as_array().cloned().unwrap_or_default();
        let reads = |member: &Value| member["assignment"]["t"].as_array().map_or(0, Vec::len);
        described[0]["state"] == "Stable" && members.iter().map(reads).collect::<Vec<_>>() == [2, 2]
    });
    let input: String = (0..200).map(|n| format!("{n}:{n}\n")).collect();
    broker.feed(&["produce", "t", "-K", ":"], &input);
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    until("all is read", || {
        ones.extend(one.lines.try_iter());
        twos.extend(two.lines.try_iter());
        ones.len() + twos.len() == 200
    });
    let partitions =
        |lines: &[String]| lines.iter().map(|line| line.chars().next()).collect::<std::collections::BTreeSet<_>>();
    assert!(partitions(&ones).is_disjoint(&partitions(&twos)), "{ones:?} {twos:?}");

    assert!(one.interrupt().success());
    until("the other reads all", || {
        let output = broker.run(&["group", "describe", "g", "--format", "json"], "");
        let described: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        described[0]["members"][0]["assignment"]["t"].as_array().is_some_and(|reads| reads.len() == 4)
    });
    broker.feed(&["produce", "t", "-K", ":"], &input);
    let mut more = Vec::new();
    until("all is read again", || {
        more.extend(two.lines.try_iter());
        more.len() == 200
    });
    assert_eq!(partitions(&more).len(), 4);
    assert!(two.interrupt().success());
    assert_eq!(broker.json(&["group", "describe", "g"])[0]["lag"], 0);
}

#[test]
fn a_member_that_the_group_has_lost_joins_again() {
    let broker = Broker::start(&fresh("lost"), &[]);
    broker.feed(&["produce", "t"], "a\n");
    let member = Member::start(&broker, &["consume", "t", "-g", "g"]);
    assert_eq!(member.lines.recv_timeout(Duration::from_secs(30)).unwrap(), "a");
    let members = || broker.json(&["group", "describe", "g"])[0]["members"].clone();
    let id = members()[0]["member"].as_str().unwrap().to_owned();
    // Behind its first heartbeat and before the second, so that it is the commit between them that could find out first.
    until("its heartbeat has come", || {
        let metrics = broker.get("/metrics");
        let beats = "kafka_network_requestmetrics_requests_total{request=\"Heartbeat\"} ";
        metrics.lines().any(|line| line.strip_prefix(beats).is_some_and(|count| count != "0"))
    });
    let gone = MemberIdentity { member_id: id.as_str().into(), ..Default::default() };
    let request = LeaveGroupRequest { group_id: "g".into(), members: vec![gone], ..Default::default() };
    assert_eq!(Client::connect(broker.address()).call(3, &request).error_code, ErrorCode::None);
    until("it is a member again", || members()[0]["member"].as_str().is_some_and(|new| new != id));
    assert!(member.interrupt().success());
    assert_eq!(broker.json(&["group", "describe", "g"])[0]["lag"], 0);
}

#[test]
fn what_was_printed_before_a_fault_is_committed() {
    let broker = Broker::start(&fresh("committed"), &[]);
    broker.feed(&["produce", "a"], "1\n2\n");
    broker.feed(&["produce", "b"], "3\n");
    let mut member = Member::start(&broker, &["consume", "a", "b", "-g", "g", "--timeout", "2s"]);
    for _ in 0..3 {
        member.lines.recv_timeout(Duration::from_secs(30)).unwrap();
    }
    broker.out(&["topic", "delete", "b"]);
    assert!(!member.child.wait().unwrap().success(), "what it reads from is gone");
    let described = broker.json(&["group", "describe", "g"]);
    let a = described[0]["partitions"].as_array().unwrap().iter().find(|partition| partition["topic"] == "a");
    assert_eq!(a.unwrap()["committed"], 2, "{described}");
}

#[test]
fn metrics_and_health_are_served() {
    let broker = Broker::start(&fresh("metrics"), &[]);
    broker.feed(&["produce", "t"], "a\nb\nc\n");
    broker.out(&["consume", "t", "-e"]);
    let metrics = broker.get("/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    for line in [
        "kafka_server_brokertopicmetrics_messagesin_total{topic=\"t\"} 3",
        "kafka_network_requestmetrics_requests_total{request=\"Produce\"} 1",
    ] {
        assert!(lines(&metrics).contains(&line), "{line} is missing in {metrics}");
    }
    let flushes = |line: &str| line.starts_with("ailurus_journal_flushes_total") && !line.ends_with(" 0");
    assert!(metrics.lines().any(flushes), "{metrics}");
    assert!(broker.get("/healthz").contains("{\"status\":\"ok\",\"shards\":2}"));
}

#[test]
fn what_was_cached_survives_a_clean_stop_and_what_was_not_any() {
    let dir = fresh("caching");
    let configs = ["-c", "write.caching=true", "-c", "flush.ms=3600000"];
    let broker = Broker::start(&dir, &[]);
    broker.out(&[&["topic", "create", "t"][..], &configs].concat());
    let flushes = |broker: &Broker| {
        let metrics = broker.get("/metrics");
        let counts = metrics.lines().filter_map(|line| line.strip_prefix("ailurus_journal_flushes_total{"));
        counts.map(|line| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    let mut client = Client::connect(broker.address());
    let before = flushes(&broker);
    assert!(before > 0);
    for number in 0..50 {
        assert_eq!(client.produce("t", batch(&[number.to_string().as_bytes()])), ErrorCode::None);
    }
    // What the broker writes down of its own logs may fall into this time.
    let taken = flushes(&broker) - before;
    assert!(taken < 25, "50 requests took {taken} flushes");
    let all: String = (0..50).map(|number| format!("{number}\n")).collect();
    assert_eq!(broker.out(&["consume", "t", "-e"]), all);
    assert!(broker.end("-TERM").success());

    let broker = Broker::start(&dir, &[]);
    assert_eq!(broker.out(&["consume", "t", "-e"]), all);
    broker.feed(&["produce", "t"], "cached\n");
    broker.out(&["topic", "alter", "t", "--set", "write.caching=false"]);
    broker.feed(&["produce", "t"], "flushed\n");
    broker.end("-KILL");
    let broker = Broker::start(&dir, &[]);
    assert_eq!(broker.out(&["consume", "t", "-e"]), all + "cached\nflushed\n");
}

#[test]
fn settings_show_where_they_come_from() {
    let broker = Broker::start(&fresh("settings"), &["--set", "num.partitions=4"]);
    let described = broker.json(&["config", "describe", "broker", "1", "num.partitions"]);
    let config = &described["configs"][0];
    assert_eq!((&config["value"], &config["source"]), (&"4".into(), &"STATIC_BROKER_CONFIG".into()));
    broker.feed(&["produce", "auto"], "x\n");
    assert_eq!(lines(&broker.out(&["topic", "list"]))[1], "auto            4         1");
    let dirs = broker.json(&["cluster", "log-dirs"]);
    assert_eq!(dirs[0]["partitions"].as_array().unwrap().len(), 4, "{dirs}");
}

#[test]
fn a_broker_that_cannot_start_says_why_with_its_own_exit_code() {
    let dir = fresh("refusals");
    let broker = Broker::start(&dir, &[]);
    let (code, said) = failed_start(&dir, &[]);
    assert!(code == 67 && said.contains("in use") && said.contains("hint: "), "{code} {said}");
    drop(broker);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, said) = failed_start(&dir, &["--set", &format!("listeners=PLAINTEXT://{addr}")]);
    assert!(code == 69 && said.contains(&addr) && said.contains("--kafka-addr"), "{code} {said}");
    let (code, said) = failed_start(&dir, &["--set", &format!("admin.listener={addr}")]);
    assert!(code == 69 && said.contains(&addr) && said.contains("--admin-addr"), "{code} {said}");

    let untouched = fresh("untouched");
    let (code, _) = failed_start(&untouched, &["--set", &format!("admin.listener={addr}")]);
    assert!(code == 69 && !untouched.exists(), "{code}");
    let (code, said) = failed_start(&untouched, &["--advertise-kafka-addr", "0.0.0.0:9092"]);
    assert!(code == 64 && said.contains("0.0.0.0") && !untouched.exists(), "{code} {said}");

    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("typo.toml");
    std::fs::write(&file, "# settings\n\nnum.partition = 4\n").unwrap();
    let (code, said) = failed_start(&dir, &["--config", file.to_str().unwrap()]);
    assert_eq!(code, 64);
    assert!(said.contains("typo.toml:3") && said.contains("did you mean num.partitions?"), "{said}");

    std::fs::write(dir.join("ailurus.version"), "999\n").unwrap();
    let (code, said) = failed_start(&dir, &[]);
    assert!(code == 66 && said.contains("999"), "{code} {said}");
    std::fs::remove_file(dir.join("ailurus.version")).unwrap();
    let (code, said) = failed_start(&dir, &[]);
    assert!(code == 68 && said.contains("ailurus.version"), "{code} {said}");
}

#[test]
fn the_same_signal_twice_at_once_is_one() {
    let broker = Broker::start(&fresh("twice"), &[]);
    let pid = broker.id();
    let sent = Command::new("sh").args(["-c", &format!("kill -TERM {pid}; kill -TERM {pid}")]).status().unwrap();
    assert!(sent.success());
    assert!(broker.wait().success());
}

#[test]
fn a_signal_ends_a_start_that_is_not_done() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = Command::new(BINARY);
    command.args(["start", "--mode", "dev", "--shards", "1", "--admin-addr", "off", "--set", "shard.pin=false"]);
    command.args(["--kafka-addr", &address, "--data-dir"]).arg(fresh("early")).env("AILURUS_LOG", "info");
    let mut broker = command.stderr(Stdio::piped()).spawn().unwrap();
    // It waits for its port: a start that takes as long as it has to.
    let mut log = BufReader::new(broker.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(log.any(|line| line.contains("the port is taken")), "it does not wait");
    let sent = Command::new("kill").args(["-TERM", &broker.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert!(log.any(|line| line.contains("stopped before it served")));
    assert!(broker.wait().unwrap().success());
}

#[test]
fn an_empty_host_means_all_addresses_of_both_kinds() {
    let broker = Broker::start(&fresh("everywhere"), &["--set", "listeners=PLAINTEXT://:0"]);
    let port = broker.address().rsplit(':').next().unwrap();
    let mut hosts = vec!["127.0.0.1"];
    hosts.extend(TcpListener::bind("[::1]:0").is_ok().then_some("[::1]"));
    for host in hosts {
        let bootstrap = format!("{host}:{port}");
        let output = Command::new(BINARY).args(["topic", "list", "-b", &bootstrap]).output().unwrap();
        assert!(output.status.success(), "{bootstrap}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_banner_says_how_files_are_written() {
    let dir = fresh("files");
    let broker = Broker::start(&dir, &["--set", "io.direct=false"]);
    assert_eq!(broker.banner["files"], "buffered, as io.direct says");
    drop(broker);
    let broker = Broker::start(&dir, &[]);
    let said = broker.banner["files"].as_str().unwrap();
    // Which of them depends on the file system that the tests run on.
    assert!(["direct", "buffered: the file system refuses O_DIRECT"].contains(&said), "{said}");
}

#[test]
fn nobody_there_has_a_hint_and_an_exit_code() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = Command::new(BINARY).args(["topic", "list", "-b", &port.to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no broker answers") && said.contains("ailurus start"), "{said}");
}
