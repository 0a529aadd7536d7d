//! Conversations with a slice, as text: each file in `testdata/` has cases (`== name`), each case has steps (commands, `----`,
//! the whole answer). `UPDATE_EXPECT=1 cargo test -p ailurus-coordinator` writes the answers of today into the files.
//!
//! Commands, one a line; the clock stands still unless `after` moves it:
//! ```text
//! config delay=MS max-size=N retention=MS          first of all, or for the next reload
//! client NAME ...                                   what it will say when it joins, see join
//! stable NAME ...                                   these join and sync, unseen; NAME is assigned `for-NAME`
//! join NAME [id=ID|-] [instance=I] [v=0..9] [session=MS] [rebalance=MS] [type=T] [protocols=range:t1+t2,sticky:t1]
//! sync NAME [gen=N] [id=ID] [instance=I] [type=T] [protocol=P] [assign=NAME:text,...]
//! heartbeat NAME [gen=N] [id=ID] [instance=I]
//! leave NAME|instance=I|id=ID ...
//! commit NAME|- topic/partition=offset[@epoch][:metadata] ... [gen=N] [id=ID] [instance=I] [retain=MS]
//! fetch [topic/partition ...] [member-epoch=N]
//! offset-delete topic/partition ...
//! describe · list [states=A,B] [types=classic] · delete · expire · drop-topic NAME
//! after MS                                          time passes; each deadline fires at its moment
//! fail ERROR                                        the next append fails
//! reload                                            a new slice from the log
//! close                                             leadership is lost
//! ```
//! `*N` in place of topics or of an assigned text is N bytes. All speak to group `g` unless `group=` says otherwise. NAME is a client; it remembers the member id and the generation
//! that it was told. Member ids are shown as `NAME-#N`, the N-th uuid.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test: its data lies in the file system")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;

use ailurus_coordinator::format::{MemberMetadata, Record};
use ailurus_coordinator::{
    Answer, CommitPartition, CommitRequest, Effects, FetchRequest, GroupConfig, GroupError, GroupState,
    HeartbeatRequest, JoinReply, JoinRequest, LeaveRequest, LeavingMember, ListFilter, Now, OffsetDeleteRequest,
    PartitionErrors, Protocol, Refuse, Slice, SyncReply, SyncRequest, Tick, Token,
};
use bytes::Bytes;

const BASE_UNIX_MS: i64 = 1_000_000;

struct World {
    config: GroupConfig,
    slice: Slice,
    log: Vec<(Bytes, Option<Bytes>)>,
    tick: u64,
    uuids: u128,
    tokens: u64,
    waiting: BTreeMap<u64, String>,
    clients: BTreeMap<String, Client>,
    next_append: Option<GroupError>,
    out: String,
}

#[derive(Clone, Default)]
struct Client {
    member_id: String,
    instance: Option<String>,
    generation: i32,
    last: BTreeMap<String, String>,
}

/// The arguments of a command: words, and `key=value` pairs.
struct Args<'a> {
    words: Vec<&'a str>,
    pairs: BTreeMap<&'a str, &'a str>,
}

const KEYS: &[&str] = &[
    "group",
    "id",
    "instance",
    "v",
    "session",
    "rebalance",
    "type",
    "protocols",
    "gen",
    "protocol",
    "assign",
    "retain",
    "member-epoch",
    "states",
    "types",
    "delay",
    "max-size",
    "retention",
];

impl<'a> Args<'a> {
    fn parse(words: impl Iterator<Item = &'a str>) -> Self {
        let mut args = Args { words: Vec::new(), pairs: BTreeMap::new() };
        for word in words {
            match word.split_once('=') {
                Some((key, value)) if KEYS.contains(&key) => drop(args.pairs.insert(key, value)),
                _ => args.words.push(word),
            }
        }
        args
    }

    fn text(&self, key: &str) -> Option<String> {
        self.pairs.get(key).map(|value| if *value == "-" { String::new() } else { (*value).to_owned() })
    }

    fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(&self, key: &str) -> Option<T> {
        self.pairs.get(key).map(|value| value.parse().unwrap_or_else(|error| panic!("{key}={value}: {error:?}")))
    }

    fn group(&self) -> String {
        self.text("group").unwrap_or_else(|| "g".to_owned())
    }
}

impl World {
    fn new() -> Self {
        let config = GroupConfig::default();
        World {
            slice: Slice::new(Rc::new(config.clone())),
            config,
            log: Vec::new(),
            tick: 0,
            uuids: 0,
            tokens: 0,
            waiting: BTreeMap::new(),
            clients: BTreeMap::new(),
            next_append: None,
            out: String::new(),
        }
    }

    fn now(&self) -> Now {
        Now { tick: Tick(self.tick), unix_ms: BASE_UNIX_MS + self.tick as i64 }
    }

    fn say(&mut self, line: impl AsRef<str>) {
        let line = shorten(line.as_ref());
        writeln!(self.out, "{line}").unwrap();
    }

    fn token(&mut self, what: String) -> Token {
        self.tokens += 1;
        self.waiting.insert(self.tokens, what);
        Token(self.tokens)
    }

    fn run(&mut self, command: &str) {
        let mut words = command.split_whitespace();
        let verb = words.next().expect("a command");
        let args = Args::parse(words);
        match verb {
            "config" => self.configure(&args),
            "client" => drop(self.remember(&args)),
            "stable" => self.stable(&args),
            "join" => self.join(&args),
            "sync" => self.sync(&args),
            "heartbeat" => self.heartbeat(&args),
            "leave" => self.leave(&args),
            "commit" => self.commit(&args),
            "fetch" => self.fetch(&args),
            "offset-delete" => self.offset_delete(&args),
            "describe" => self.describe(&args),
            "list" => self.list(&args),
            "delete" => self.delete(&args),
            "expire" => self.with_effects(|slice, now, fx| slice.expire(now, &args.group(), fx)),
            "drop-topic" => {
                self.with_effects(|slice, now, fx| {
                    slice.forget_topics(now, "g", |name| args.words.contains(&name), slice.offsets_end(), fx)
                });
            }
            "after" => self.after(args.words[0].parse().expect("milliseconds")),
            "fail" => {
                let error = GroupError::ALL.iter().find(|error| error.name() == args.words[0]);
                self.next_append = Some(*error.expect("an error's name"));
            }
            "reload" => self.reload(),
            "close" => self.close(),
            other => panic!("no such command: {other}"),
        }
    }

    fn configure(&mut self, args: &Args<'_>) {
        let config = &mut self.config;
        config.initial_rebalance_delay_ms = args.number("delay").unwrap_or(config.initial_rebalance_delay_ms);
        config.max_size = args.number("max-size").unwrap_or(config.max_size);
        config.offsets_retention_ms = args.number("retention").unwrap_or(config.offsets_retention_ms);
        if self.tokens == 0 && self.log.is_empty() {
            self.slice = Slice::new(Rc::new(self.config.clone()));
        }
    }

    /// Runs a verb, appends its records (or fails to), and shows what came out.
    fn with_effects<R: Refuse>(&mut self, verb: impl FnOnce(&mut Slice, Now, &mut Effects) -> R) -> R {
        let now = self.now();
        let mut effects = Effects::default();
        let mut result = verb(&mut self.slice, now, &mut effects);
        let records = std::mem::take(&mut effects.records);
        match self.next_append.take_if(|_| !records.is_empty()) {
            Some(error) => {
                self.say(format!("log: {} refused with {error}", records.len()));
                effects.answers.iter_mut().for_each(|(_, answer)| answer.refuse(error));
                result.refuse(error);
                self.slice.append_failed(now, &records, error, &mut effects);
            }
            None => {
                for record in &records {
                    self.say(format!("log: {}", show_record(record)));
                    self.log.push(record.encode());
                }
                self.slice.appended(now, &records, &mut effects);
            }
        }
        assert!(effects.records.is_empty(), "a replay asks for no records");
        for (token, answer) in effects.answers {
            self.answer(token, answer);
        }
        result
    }

    fn answer(&mut self, token: Token, answer: Answer) {
        let name = self.waiting.remove(&token.0).expect("a token is answered once");
        match answer {
            Answer::Join(reply) => {
                let client = self.clients.get_mut(&name).expect("a client that joined");
                if reply.error.is_none() {
                    client.generation = reply.generation;
                }
                if !reply.member_id.is_empty() {
                    client.member_id.clone_from(&reply.member_id);
                }
                let text = show_join(&reply);
                self.say(format!("{name} joined: {text}"));
            }
            Answer::Sync(reply) => self.say(format!("{name} synced: {}", show_sync(&reply))),
        }
    }

    fn client(&self, name: &str) -> Client {
        self.clients.get(name).cloned().unwrap_or_default()
    }

    fn id_of(&self, name: &str, args: &Args<'_>) -> String {
        args.text("id").map(lengthen).unwrap_or_else(|| self.client(name).member_id)
    }

    /// A client repeats what it said before, unless told otherwise.
    fn remember(&mut self, args: &Args<'_>) -> Client {
        let client = self.clients.entry(args.words[0].to_owned()).or_default();
        for key in ["instance", "v", "session", "rebalance", "type", "protocols"] {
            client.last.extend(args.pairs.get(key).map(|value| (key.to_owned(), (*value).to_owned())));
        }
        client.instance = client.last.get("instance").cloned();
        client.clone()
    }

    fn stable(&mut self, args: &Args<'_>) {
        let seen = self.out.len();
        for name in &args.words {
            self.run(&format!("join {name}"));
            if self.waiting.is_empty() || self.waiting.values().all(|waiting| waiting != name) {
                self.run(&format!("join {name}"));
            }
        }
        while self.slice.state("g") != GroupState::CompletingRebalance {
            self.after(self.slice.next_deadline().expect("a rebalance ends").0 - self.tick);
        }
        let assign: Vec<_> = args.words.iter().map(|name| format!("{name}:for-{name}")).collect();
        for name in &args.words {
            self.run(&format!("sync {name} assign={}", assign.join(",")));
        }
        assert!(self.slice.state("g") == GroupState::Stable && self.waiting.is_empty());
        self.out.truncate(seen);
    }

    fn join(&mut self, args: &Args<'_>) {
        let name = args.words[0].to_owned();
        let client = self.remember(args);
        let said = |key: &str, default: &str| client.last.get(key).cloned().unwrap_or_else(|| default.to_owned());
        let version: i32 = said("v", "9").parse().unwrap();
        let request = JoinRequest {
            group_id: args.group(),
            member_id: self.id_of(&name, args),
            instance_id: client.instance.clone(),
            client_id: name.clone(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: said("session", "10000").parse().unwrap(),
            rebalance_timeout_ms: if version == 0 { -1 } else { said("rebalance", "60000").parse().unwrap() },
            protocol_type: said("type", "consumer").replace('-', ""),
            protocols: protocols(&said("protocols", "range:t1")),
            requires_known_member_id: version >= 4,
            supports_skip_assignment: version >= 9,
        };
        let token = self.token(name);
        self.uuids += 1;
        let uuid = self.uuids;
        self.with_effects(|slice, now, fx| slice.join(now, token, uuid, request, fx));
    }

    fn sync(&mut self, args: &Args<'_>) {
        let name = args.words[0].to_owned();
        let assign = |pair: &str| {
            let (who, what) = pair.split_once(':').expect("NAME:text");
            let what = match what.strip_prefix('*') {
                Some(count) => vec![b'?'; count.parse().unwrap()],
                None => what.as_bytes().to_vec(),
            };
            (self.client(who).member_id, Bytes::from(what))
        };
        let request = SyncRequest {
            group_id: args.group(),
            generation: args.number("gen").unwrap_or(self.client(&name).generation),
            member_id: self.id_of(&name, args),
            instance_id: args.text("instance").or(self.client(&name).instance),
            protocol_type: args.text("type"),
            protocol_name: args.text("protocol"),
            assignments: args.pairs.get("assign").map(|all| all.split(',').map(assign).collect()).unwrap_or_default(),
        };
        let token = self.token(name);
        self.with_effects(|slice, now, fx| slice.sync(now, token, request, fx));
    }

    fn heartbeat(&mut self, args: &Args<'_>) {
        let name = args.words[0];
        let request = HeartbeatRequest {
            group_id: args.group(),
            generation: args.number("gen").unwrap_or(self.client(name).generation),
            member_id: self.id_of(name, args),
            instance_id: args.text("instance").or(self.client(name).instance),
        };
        let result = self.with_effects(|slice, now, fx| slice.heartbeat(now, &request, fx));
        self.say(format!("{name} heartbeat: {}", show_error(result.err())));
    }

    fn leave(&mut self, args: &Args<'_>) {
        let mut members = Vec::new();
        for name in &args.words {
            let Client { member_id, instance, .. } = self.client(name);
            members.push(LeavingMember { member_id, instance_id: instance });
        }
        if args.pairs.contains_key("instance") || args.pairs.contains_key("id") {
            let member_id = args.text("id").map(lengthen).unwrap_or_default();
            members.push(LeavingMember { member_id, instance_id: args.text("instance") });
        }
        let request = LeaveRequest { group_id: args.group(), members };
        let reply = self.with_effects(|slice, now, fx| slice.leave(now, request, fx));
        let show = |(member, error): &(LeavingMember, Option<GroupError>)| {
            let instance =
                member.instance_id.as_ref().map(|instance| format!("instance={instance} ")).unwrap_or_default();
            format!(" [{instance}id={} {}]", member.member_id, show_error(*error))
        };
        let members: String = reply.members.iter().map(show).collect();
        self.say(format!("left: {}{members}", show_error(reply.error)));
    }

    fn commit(&mut self, args: &Args<'_>) {
        let name = args.words[0];
        let outside = Client { generation: -1, ..Client::default() };
        let client = if name == "-" { outside } else { self.client(name) };
        let request = CommitRequest {
            group_id: args.group(),
            generation: args.number("gen").unwrap_or(client.generation),
            member_id: args.text("id").map(lengthen).unwrap_or(client.member_id),
            instance_id: args.text("instance").or(client.instance),
            retention_ms: args.number("retain"),
            topics: by_topic(args.words[1..].iter().map(|word| commit_partition(word))),
        };
        let reply = self.with_effects(|slice, now, fx| slice.commit(now, request, fx));
        self.say(format!("{name} committed: {}", show_partitions(&reply)));
    }

    fn fetch(&mut self, args: &Args<'_>) {
        let topics = by_topic(args.words.iter().map(|word| topic_partition(word)));
        let request = FetchRequest {
            group_id: args.group(),
            member_epoch: args.number("member-epoch").unwrap_or(-1),
            topics: (!topics.is_empty()).then_some(topics),
        };
        match self.slice.fetch(&request) {
            Ok(topics) if topics.is_empty() => self.say("fetched: nothing"),
            Ok(topics) => {
                for (topic, partitions) in topics {
                    for found in partitions {
                        let epoch =
                            if found.leader_epoch >= 0 { format!("@{}", found.leader_epoch) } else { String::new() };
                        let metadata =
                            if found.metadata.is_empty() { String::new() } else { format!(":{}", found.metadata) };
                        self.say(format!("fetched: {topic}/{}={}{epoch}{metadata}", found.partition, found.offset));
                    }
                }
            }
            Err(error) => self.say(format!("fetched: {error}")),
        }
    }

    fn offset_delete(&mut self, args: &Args<'_>) {
        let topics = by_topic(args.words.iter().map(|word| topic_partition(word)));
        let request = OffsetDeleteRequest { group_id: args.group(), topics };
        match self.with_effects(|slice, now, fx| slice.delete_offsets(now, request, fx)) {
            Ok(reply) => self.say(format!("deleted: {}", show_partitions(&reply))),
            Err(error) => self.say(format!("deleted: {error}")),
        }
    }

    fn describe(&mut self, args: &Args<'_>) {
        let group = self.slice.describe(&args.group());
        let error = group.error.map(|error| format!(" {error}")).unwrap_or_default();
        self.say(format!(
            "group {}: {} type={} protocol={}{error}",
            group.group_id,
            group.state.name(),
            text(&group.protocol_type),
            text(&group.protocol)
        ));
        for member in group.members {
            let instance = member.instance_id.map(|instance| format!(" instance={instance}")).unwrap_or_default();
            self.say(format!(
                "  {}{instance} client={} host={} metadata={} assignment={}",
                member.member_id,
                member.client_id,
                member.client_host,
                show_metadata(&member.metadata),
                show_bytes(&member.assignment)
            ));
        }
    }

    fn list(&mut self, args: &Args<'_>) {
        let names = |key| {
            args.pairs.get(key).map(|names: &&str| names.split(',').map(str::to_owned).collect()).unwrap_or_default()
        };
        let groups = self.slice.list(&ListFilter { states: names("states"), types: names("types") });
        let show = |group: &ailurus_coordinator::ListedGroup| {
            format!(" {}({}, {})", group.group_id, text(&group.protocol_type), group.state.name())
        };
        let groups: String = groups.iter().map(show).collect();
        self.say(format!("listed:{groups}"));
    }

    fn delete(&mut self, args: &Args<'_>) {
        let result = self.with_effects(|slice, now, fx| slice.delete(now, &args.group(), fx));
        self.say(format!("deleted {}: {}", args.group(), show_error(result.err())));
    }

    fn after(&mut self, ms: u64) {
        let end = self.tick + ms;
        let mut fired = 0;
        while let Some(due) = self.slice.next_deadline().filter(|due| due.0 <= end) {
            assert!(due.0 > self.tick || fired < 100, "the timer spins at {due:?}");
            fired = if due.0 > self.tick { 0 } else { fired + 1 };
            self.tick = self.tick.max(due.0);
            let start = self.out.len();
            self.with_effects(|slice, now, fx| slice.on_time(now, fx));
            let said = self.out.split_off(start);
            for line in said.lines() {
                writeln!(self.out, "{} ms: {line}", self.tick).unwrap();
            }
        }
        self.tick = end;
    }

    fn reload(&mut self) {
        let mut slice = Slice::new(Rc::new(self.config.clone()));
        for (key, value) in &self.log {
            let record = Record::decode(key, value.as_deref()).unwrap().expect("we write no other kind");
            slice.load(self.now(), &record);
        }
        self.slice = slice;
        self.waiting.clear();
        self.with_effects(|slice, now, fx| slice.loaded(now, fx));
    }

    fn close(&mut self) {
        let slice = std::mem::replace(&mut self.slice, Slice::new(Rc::new(self.config.clone())));
        for (token, answer) in slice.close(GroupError::NotCoordinator).answers {
            self.answer(token, answer);
        }
        assert!(self.waiting.is_empty(), "all that was parked is answered");
    }
}

const ZERO_UUID: &str = "-00000000-0000-4000-8000-";

/// `c1-00000000-0000-4000-8000-000000000001` becomes `c1-#1`.
fn shorten(line: &str) -> String {
    let mut short = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(ZERO_UUID) {
        let (before, uuid) = rest.split_at(at);
        let number = u64::from_str_radix(&uuid[ZERO_UUID.len()..ZERO_UUID.len() + 12], 16).unwrap();
        write!(short, "{before}-#{number}").unwrap();
        rest = &uuid[ZERO_UUID.len() + 12..];
    }
    short + rest
}

fn lengthen(id: String) -> String {
    match id.split_once("-#") {
        Some((name, number)) => format!("{name}{ZERO_UUID}{:012x}", number.parse::<u64>().unwrap()),
        None => id,
    }
}

/// `range:t1+t2,sticky:t1`; a `!` before the topics makes it metadata that is no subscription; `t1~x` adds user data `x`.
fn protocols(text: &str) -> Vec<Protocol> {
    let protocol = |one: &str| {
        // `range:*1000` is a thousand bytes of nothing.
        if let Some((name, count)) = one.split_once(":*") {
            return Protocol { name: name.to_owned(), metadata: vec![b'?'; count.parse().unwrap()].into() };
        }
        let (name, topics) = one.split_once(':').expect("name:topics");
        Protocol { name: name.to_owned(), metadata: subscription(topics) }
    };
    text.split(',').filter(|one| !one.is_empty()).map(protocol).collect()
}

fn subscription(topics: &str) -> Bytes {
    if let Some(opaque) = topics.strip_prefix('!') {
        return Bytes::copy_from_slice(opaque.as_bytes());
    }
    let (topics, user_data) = topics.split_once('~').unwrap_or((topics, ""));
    let names: Vec<_> = topics.split('+').filter(|name| !name.is_empty()).collect();
    let mut bytes = vec![0, 0];
    bytes.extend((names.len() as i32).to_be_bytes());
    for name in names {
        bytes.extend((name.len() as i16).to_be_bytes());
        bytes.extend(name.as_bytes());
    }
    bytes.extend((user_data.len() as i32).to_be_bytes());
    bytes.extend(user_data.as_bytes());
    bytes.into()
}

fn show_metadata(bytes: &[u8]) -> String {
    if bytes.get(..2) != Some(&[0, 0]) {
        return show_bytes(bytes);
    }
    let mut names = Vec::new();
    let mut rest = &bytes[6..];
    for _ in 0..bytes[5] {
        let length = usize::from(rest[1]);
        names.push(String::from_utf8(rest[2..2 + length].to_vec()).unwrap());
        rest = &rest[2 + length..];
    }
    let user_data = if rest.len() > 4 { format!("~{}", show_bytes(&rest[4..])) } else { String::new() };
    names.join("+") + &user_data
}

fn topic_partition(word: &str) -> (String, i32) {
    let (topic, partition) = word.split_once('/').expect("topic/partition");
    (topic.to_owned(), partition.parse().expect("a partition"))
}

/// `topic/partition=offset@epoch:metadata`
fn commit_partition(word: &str) -> (String, CommitPartition) {
    let (place, rest) = word.split_once('=').expect("topic/partition=offset");
    let (rest, metadata) = rest.split_once(':').unwrap_or((rest, ""));
    let (offset, epoch) = rest.split_once('@').unwrap_or((rest, "-1"));
    let (topic, partition) = topic_partition(place);
    // `x*5000` is 5000 times x.
    let metadata = match metadata.split_once('*') {
        Some((unit, count)) => unit.repeat(count.parse().expect("a count")),
        None => metadata.to_owned(),
    };
    let (offset, leader_epoch) = (offset.parse().expect("an offset"), epoch.parse().expect("an epoch"));
    (topic, CommitPartition { partition, offset, leader_epoch, metadata })
}

/// Neighbours of one topic come together.
fn by_topic<T>(items: impl Iterator<Item = (String, T)>) -> Vec<(String, Vec<T>)> {
    let mut topics: Vec<(String, Vec<T>)> = Vec::new();
    for (topic, item) in items {
        match topics.last_mut() {
            Some((last, items)) if *last == topic => items.push(item),
            _ => topics.push((topic, vec![item])),
        }
    }
    topics
}

fn text(value: &str) -> &str {
    if value.is_empty() { "-" } else { value }
}

fn show_bytes(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { String::from_utf8_lossy(bytes).into_owned() }
}

fn show_error(error: Option<GroupError>) -> &'static str {
    error.map_or("ok", GroupError::name)
}

fn show_partitions(topics: &PartitionErrors) -> String {
    let mut all = Vec::new();
    for (topic, partitions) in topics {
        all.extend(partitions.iter().map(|(partition, error)| format!("{topic}/{partition} {}", show_error(*error))));
    }
    all.join(", ")
}

fn show_join(reply: &JoinReply) -> String {
    if let Some(error) = reply.error {
        assert!(reply.generation == -1 && reply.members.is_empty() && reply.leader.is_empty());
        return format!("{error} id={}", text(&reply.member_id));
    }
    let option = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let mut line = format!(
        "gen={} {}/{} leader={} id={}",
        reply.generation,
        option(&reply.protocol_type),
        option(&reply.protocol_name),
        reply.leader,
        reply.member_id
    );
    if reply.skip_assignment {
        line += " skip-assignment";
    }
    for member in &reply.members {
        let instance = member.instance_id.as_ref().map(|instance| format!(" instance={instance}")).unwrap_or_default();
        write!(line, " [{}{instance} {}]", member.member_id, show_metadata(&member.metadata)).unwrap();
    }
    line
}

fn show_sync(reply: &SyncReply) -> String {
    match reply.error {
        Some(error) => {
            assert!(reply.assignment.is_empty());
            error.to_string()
        }
        None => {
            let option = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
            let kind = format!("{}/{}", option(&reply.protocol_type), option(&reply.protocol_name));
            format!("{kind} {}", show_bytes(&reply.assignment))
        }
    }
}

fn show_record(record: &Record) -> String {
    match record {
        Record::Offset { group, topic, partition, value: None } => format!("offset {group} {topic}/{partition} gone"),
        Record::Offset { group, topic, partition, value: Some(value) } => {
            let epoch = if value.leader_epoch >= 0 { format!("@{}", value.leader_epoch) } else { String::new() };
            let metadata = if value.metadata.is_empty() { String::new() } else { format!(":{}", value.metadata) };
            let until =
                value.expire_timestamp.map(|until| format!(" until={}", until - BASE_UNIX_MS)).unwrap_or_default();
            let at = value.commit_timestamp - BASE_UNIX_MS;
            format!("offset {group} {topic}/{partition}={}{epoch}{metadata} at={at}{until}", value.offset)
        }
        Record::Group { group, value: None } => format!("group {group} gone"),
        Record::Group { group, value: Some(value) } => {
            let option = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
            let since = value.current_state_timestamp.map_or("null".to_owned(), |at| (at - BASE_UNIX_MS).to_string());
            let mut line = format!(
                "group {group} gen={} {}/{} leader={} since={since}",
                value.generation,
                text(&value.protocol_type),
                option(&value.protocol),
                option(&value.leader)
            );
            for member in &value.members {
                line += &show_stored(member);
            }
            line
        }
    }
}

fn show_stored(member: &MemberMetadata) -> String {
    let instance = member.instance_id.as_ref().map(|instance| format!(" instance={instance}")).unwrap_or_default();
    let subscription = show_metadata(&member.subscription);
    format!(" [{}{instance} {subscription} {}]", member.member_id, show_bytes(&member.assignment))
}

/// Runs a file; the text that it should be.
fn run_file(source: &str) -> (String, usize) {
    let mut world = World::new();
    let mut shown = String::new();
    let mut cases = 0;
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        writeln!(shown, "{line}").unwrap();
        if line.starts_with("== ") {
            world = World::new();
            cases += 1;
        } else if line == "----" {
            while lines.next_if(|line| !line.is_empty()).is_some() {}
            shown += &std::mem::take(&mut world.out);
        } else if !line.is_empty() && !line.starts_with('#') {
            world.run(line);
        }
    }
    assert!(world.out.is_empty(), "the last step has no ----");
    (shown, cases)
}

fn check(file: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file);
    let source = std::fs::read_to_string(&path).unwrap();
    let (shown, cases) = run_file(&source);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &shown).unwrap();
        return cases;
    }
    let (want, got): (Vec<_>, Vec<_>) = (source.lines().collect(), shown.lines().collect());
    if let Some(at) = (0..want.len().max(got.len())).find(|at| want.get(*at) != got.get(*at)) {
        let case = want.iter().take(at + 1).rfind(|line| line.starts_with("== "));
        panic!("{file}:{} in {case:?}\n  expected: {:?}\n  came:     {:?}", at + 1, want.get(at), got.get(at));
    }
    cases
}

#[test]
fn conversations() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    let files = files.iter().map(|name| name.to_str().unwrap()).filter(|name| name.ends_with(".txt"));
    let cases: usize = files.map(check).sum();
    assert!(cases >= 100, "only {cases} cases were found");
}
