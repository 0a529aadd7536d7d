//! `ailurus consume`: records of topics to standard output, alone or as a member of a group.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use ailurus_client::{ClientError, Fetched, Fetcher, FetcherConfig, Isolation, Member, MemberConfig, Sign, When};
use ailurus_rt as rt;
use ailurus_wire::ErrorCode;
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;

use crate::fault::Fault;
use crate::message::{Message, to_json};
use crate::position::{Position, Range};
use crate::resolve::{Offsets, TopicPartition, bounds, partitions_of, resolve};
use crate::session::Session;
use crate::template::Template;

/// How often a member of a group commits what it has printed.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// Read records of topics, alone or as a member of a group.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    ailurus consume orders                         all records, then new ones as they come\n  \
    ailurus consume orders -o end                  only new ones\n  \
    ailurus consume orders -o -10 -e               the last ten of each partition\n  \
    ailurus consume orders -p 0 -o 100:200         a range of offsets\n  \
    ailurus consume orders -o @-1h:@-30m           a range of time\n  \
    ailurus consume orders -g billing              as a member of a group, committing\n  \
    ailurus consume orders -f '%t [%p] %o %k=%s\\n'  like kcat\n  \
    ailurus consume orders -f json                 one JSON object a line")]
pub(crate) struct Consume {
    /// The topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Only these partitions.
    #[arg(short, long = "partition", value_name = "N", value_delimiter = ',', conflicts_with = "group")]
    partitions: Vec<i32>,
    /// Where to begin, and after a colon where to stop: earliest, latest, 42, -10, @TIME, 100:200, :end.
    #[arg(short, long, value_name = "POSITION", default_value = "earliest", allow_hyphen_values = true)]
    offset: String,
    /// Join this group, begin where it committed, and commit.
    #[arg(short, long, value_name = "GROUP")]
    group: Option<String>,
    /// A name by which the group knows this member when it comes back (static membership).
    #[arg(long, value_name = "NAME", requires = "group")]
    instance_id: Option<String>,
    /// Do not commit.
    #[arg(long, requires = "group")]
    no_commit: bool,
    /// Stop after so many records.
    #[arg(short = 'n', long, visible_alias = "num", value_name = "N")]
    count: Option<u64>,
    /// Stop at what is the end now.
    #[arg(short, long)]
    exit_at_end: bool,
    /// What is printed for each record: a format with %t topic, %p partition, %o offset, %T timestamp, %k key,
    /// %s value, %h headers, %K and %S their lengths; or json. `--format json` means json too.
    #[arg(short = 'f', long = "print", value_name = "FORMAT")]
    print: Option<String>,
    /// What is printed for a key or value that is null.
    #[arg(long, value_name = "TEXT", default_value = "")]
    null: String,
    /// Which records of transactions are seen.
    #[arg(long, value_enum, default_value = "read_uncommitted")]
    isolation: IsolationArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum IsolationArg {
    /// All.
    #[value(name = "read_uncommitted", alias = "uncommitted")]
    ReadUncommitted,
    /// Only committed ones.
    #[value(name = "read_committed", alias = "committed")]
    ReadCommitted,
}

impl IsolationArg {
    fn level(self) -> Isolation {
        match self {
            IsolationArg::ReadUncommitted => Isolation::ReadUncommitted,
            IsolationArg::ReadCommitted => Isolation::ReadCommitted,
        }
    }
}

impl Consume {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Fault> {
        let range = Range::parse(&self.offset, rt::unix_ms()).map_err(Fault::usage)?;
        let printer = Printer::new(&self, session)?;
        let config = FetcherConfig {
            isolation: self.isolation.level(),
            reset: Some(When::Earliest),
            ..FetcherConfig::default()
        };
        let fetcher = Fetcher::new(session.client.clone(), config);
        let (printed, done) = (Offsets::new(), Offsets::new());
        let mut reading = Reading { session, fetcher, printer, left: self.count, printed, done, stops: None };
        if reading.left == Some(0) {
            return Ok(());
        }
        let outcome = match &self.group {
            None => self.alone(&mut reading, range).await,
            Some(group) => self.in_group(&mut reading, range, group).await,
        };
        outcome.and(reading.printer.finish())
    }

    async fn alone(&self, reading: &mut Reading<'_>, range: Range) -> Result<(), Fault> {
        if range.from == Position::Committed || range.until == Some(Position::Committed) {
            return Err(Fault::usage("committed offsets belong to a group").hint("name it with --group"));
        }
        let client = &reading.session.client;
        let mut partitions = Vec::new();
        for topic in &self.topics {
            let chosen = Some(&self.partitions[..]).filter(|chosen| !chosen.is_empty());
            partitions.extend(partitions_of(client, topic, chosen, false).await?);
        }
        let isolation = self.isolation.level();
        let bounds = bounds(client, &partitions, isolation).await?;
        let from = resolve(client, &bounds, range.from, &Offsets::new(), isolation).await?;
        let until = match range.until {
            Some(until) => Some(resolve(client, &bounds, until, &Offsets::new(), isolation).await?),
            None if self.exit_at_end => Some(bounds.end.clone()),
            None => None,
        };
        if let Some(until) = &until {
            let total = from.iter().map(|(place, from)| (until[place] - from).max(0) as u64).sum();
            reading.printer.expect(total);
        }
        reading.begin(from, until);
        let mut stop = pin!(rt::shutdown_signal());
        while !reading.is_done() {
            match race(reading.step(), stop.as_mut()).await {
                Some(outcome) => outcome?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    async fn in_group(&self, reading: &mut Reading<'_>, range: Range, group: &str) -> Result<(), Fault> {
        if range.until.is_some() {
            return Err(Fault::usage("a group has no end of its range").hint("use --exit-at-end or --count"));
        }
        let config = MemberConfig {
            group: group.to_owned(),
            topics: self.topics.clone(),
            instance_id: self.instance_id.clone(),
            ..MemberConfig::default()
        };
        let mut stop = pin!(rt::shutdown_signal());
        let starting = Member::start(reading.session.client.clone(), config);
        let Some(member) = race(starting, stop.as_mut()).await else { return Ok(()) };
        let mut member = member?;
        let outcome = self.follow(reading, range.from, &mut member, stop.as_mut()).await;
        // Whatever happened, what was printed is committed and the others need not wait for our silence.
        let committed = self.commit(reading, &member).await;
        let left = member.leave().await.map_err(Fault::from);
        outcome.and(committed).and(left)
    }

    /// Reads what the group gives us until it is enough.
    async fn follow(
        &self,
        reading: &mut Reading<'_>,
        otherwise: Position,
        member: &mut Member,
        mut stop: std::pin::Pin<&mut impl Future<Output = rt::Signal>>,
    ) -> Result<(), Fault> {
        self.take_over(reading, otherwise, member).await?;
        let (mut beat, mut commit) = (rt::now(), rt::now());
        while !reading.is_done() {
            let pause = member.heartbeat_interval();
            let step = async {
                if reading.fetcher.positions().is_empty() {
                    // More members than partitions: nothing to read until the group changes.
                    rt::sleep(pause).await;
                    return Ok(());
                }
                reading.step().await
            };
            match race(step, stop.as_mut()).await {
                Some(outcome) => outcome?,
                None => return Ok(()),
            }
            let is_commit_due = rt::now() - commit >= COMMIT_INTERVAL;
            if rt::now() - beat < pause && !is_commit_due {
                continue;
            }
            // The sign of life comes first: a member that was away for long learns from it that it is one no more.
            beat = rt::now();
            let mut sign = member.heartbeat().await?;
            if sign == Sign::Rebalance || (sign == Sign::Steady && is_commit_due) {
                commit = rt::now();
                sign = self.commit_between(reading, member, sign).await?;
            }
            if sign != Sign::Steady {
                member.join().await?;
                self.take_over(reading, otherwise, member).await?;
            }
        }
        Ok(())
    }

    /// Goes to where the group committed; where it did not, to `otherwise`.
    async fn take_over(&self, reading: &mut Reading<'_>, otherwise: Position, member: &Member) -> Result<(), Fault> {
        let assigned = member.assignment().iter();
        let partitions: Vec<TopicPartition> =
            assigned.flat_map(|(topic, numbers)| numbers.iter().map(|number| (topic.clone(), *number))).collect();
        let isolation = self.isolation.level();
        let client = &reading.session.client;
        let bounds = bounds(client, &partitions, isolation).await?;
        let committed: Offsets = member.committed().await?.into_iter().map(|(place, c)| (place, c.offset)).collect();
        let mut from = resolve(client, &bounds, otherwise, &committed, isolation).await?;
        for (place, offset) in &mut from {
            if let Some(committed) = committed.get(place) {
                *offset = *committed;
            }
        }
        let until = self.exit_at_end.then(|| bounds.end.clone());
        reading.begin(from, until);
        Ok(())
    }

    async fn commit(&self, reading: &mut Reading<'_>, member: &Member) -> Result<(), Fault> {
        Ok(self.try_commit(reading, member).await??)
    }

    /// Commits while there is still something to read: that the group has gone on, or is about to, is then no fault but
    /// a reason to join again.
    async fn commit_between(&self, reading: &mut Reading<'_>, member: &Member, sign: Sign) -> Result<Sign, Fault> {
        let Err(error) = self.try_commit(reading, member).await? else { return Ok(sign) };
        match error.code() {
            Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => Ok(Sign::Lost),
            Some(ErrorCode::RebalanceInProgress) => Ok(Sign::Rebalance),
            _ => Err(error.into()),
        }
    }

    /// Commits behind what is printed. The outer fault is ours, the inner one the group's.
    async fn try_commit(&self, reading: &mut Reading<'_>, member: &Member) -> Result<Result<(), ClientError>, Fault> {
        reading.flush()?;
        let offsets: BTreeMap<TopicPartition, i64> = std::mem::take(&mut reading.done);
        if self.no_commit || offsets.is_empty() {
            return Ok(Ok(()));
        }
        Ok(member.commit(&offsets).await)
    }
}

/// What is being read.
struct Reading<'a> {
    session: &'a Session,
    fetcher: Fetcher,
    printer: Printer,
    /// How many records may still be printed.
    left: Option<u64>,
    /// Behind the last printed record of each partition, as far as it may not have left this process.
    printed: Offsets,
    /// The same for what has, since the last commit.
    done: Offsets,
    /// Where partitions end; those that are there are taken out.
    stops: Option<Offsets>,
}

impl Reading<'_> {
    fn begin(&mut self, from: Offsets, stops: Option<Offsets>) {
        self.fetcher.clear();
        self.printed.clear();
        self.done.clear();
        self.stops = stops;
        for ((topic, partition), offset) in from {
            self.fetcher.seek(&topic, partition, offset);
            self.reached(&(topic, partition), offset);
        }
    }

    fn is_done(&self) -> bool {
        self.left == Some(0) || self.printer.unread || self.stops.as_ref().is_some_and(Offsets::is_empty)
    }

    /// One answer of a broker.
    async fn step(&mut self) -> Result<(), Fault> {
        for fetched in self.fetcher.poll().await? {
            self.take(fetched)?;
            rt::yield_if_needed().await;
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.printer.flush()?;
        match self.printer.unread {
            true => self.printed.clear(),
            false => self.done.append(&mut self.printed),
        }
        Ok(())
    }

    fn take(&mut self, fetched: Fetched) -> Result<(), Fault> {
        let place = (fetched.topic, fetched.partition);
        let stop = self.stops.as_ref().and_then(|stops| stops.get(&place).copied());
        if self.stops.is_some() && stop.is_none() {
            return Ok(());
        }
        let mut next = fetched.next;
        for record in fetched.records {
            if self.left == Some(0) || self.printer.unread || stop.is_some_and(|stop| record.offset.0 >= stop) {
                next = record.offset.0;
                break;
            }
            let message = message(&place, record);
            self.printer.print(&message)?;
            self.left = self.left.map(|left| left - 1);
        }
        self.reached(&place, next);
        self.printed.insert(place, next);
        Ok(())
    }

    fn reached(&mut self, place: &TopicPartition, offset: i64) {
        let Some(stops) = &mut self.stops else { return };
        if stops.get(place).is_some_and(|stop| offset >= *stop) {
            stops.remove(place);
            self.fetcher.drop_partition(&place.0, place.1);
        }
    }
}

fn message(place: &TopicPartition, record: ailurus_record::Record) -> Message {
    let headers = record.headers.iter().map(|(name, value)| (String::from_utf8_lossy(&name).into_owned(), value));
    Message {
        topic: place.0.clone(),
        partition: place.1,
        offset: record.offset.0,
        timestamp: record.timestamp,
        headers: headers.collect(),
        key: record.key,
        value: record.value,
    }
}

/// Writes records to standard output.
struct Printer {
    shape: Shape,
    null: String,
    out: BufWriter<io::Stdout>,
    line: Vec<u8>,
    bar: ProgressBar,
    /// The reader went away: it has enough, as with `| head`.
    unread: bool,
}

enum Shape {
    Json,
    Template(Template),
}

impl Printer {
    fn new(args: &Consume, session: &Session) -> Result<Printer, Fault> {
        let shape = match args.print.as_deref() {
            Some("json") => Shape::Json,
            None if session.output.is_json() => Shape::Json,
            format => {
                let bad = |why| Fault::usage(format!("the format makes no sense: {why}"));
                Shape::Template(Template::parse(format.unwrap_or("%s\\n")).map_err(bad)?)
            }
        };
        // Records on the terminal are progress enough.
        let bar = match io::stdout().is_terminal() {
            true => ProgressBar::hidden(),
            false => session.output.progress(args.count, "records"),
        };
        let (null, out) = (args.null.clone(), BufWriter::new(io::stdout()));
        Ok(Printer { shape, null, out, line: Vec::new(), bar, unread: false })
    }

    fn expect(&self, records: u64) {
        self.bar.set_length(records.min(self.bar.length().unwrap_or(u64::MAX)));
    }

    fn print(&mut self, message: &Message) -> Result<(), Fault> {
        self.line.clear();
        match &self.shape {
            Shape::Template(template) => template.render(message, &self.null, &mut self.line),
            Shape::Json => {
                self.line.extend_from_slice(to_json(message).to_string().as_bytes());
                self.line.push(b'\n');
            }
        }
        self.bar.inc(1);
        let written = self.out.write_all(&self.line);
        self.check(written)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let flushed = self.out.flush();
        self.check(flushed)
    }

    fn check(&mut self, written: io::Result<()>) -> Result<(), Fault> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.unread = true,
            Err(error) => return Err(Fault::local(format!("cannot write to standard output: {error}"))),
            Ok(()) => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fault> {
        self.bar.finish_and_clear();
        self.flush()
    }
}

/// The result of `work`, or `None` if `stop` comes first. What comes at once with `stop` is taken.
async fn race<T>(work: impl Future<Output = T>, mut stop: std::pin::Pin<&mut impl Future>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        stop.as_mut().poll(cx).map(|_| None)
    })
    .await
}
