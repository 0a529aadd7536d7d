//! `ailurus produce`: records from standard input or a file to a topic.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;
use std::rc::Rc;

use ailurus_client::{Delivered, Producer, ProducerConfig, ProducerRecord};
use ailurus_model::Acks;
use ailurus_record::Codec;
use ailurus_rt as rt;
use bytes::Bytes;
use clap::Args;
use serde_json::json;

use crate::fault::Fault;
use crate::message::{Draft, Header, from_json};
use crate::report::{Output, Section, print, tell};
use crate::session::Session;
use crate::template::{InputTemplate, ReadError, parse_header};

/// So many records are read in one go at most.
const READ_RECORDS_MAX: usize = 1000;

/// Write records from standard input or a file to a topic.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    echo hello | ailurus produce orders\n  \
    ailurus produce orders -k order-17 -H source=web < order.json\n  \
    ailurus produce orders -K : <<< 'key:value'\n  \
    ailurus produce orders -f '%k %p %s\\n' --file records.txt\n  \
    ailurus consume orders -f json -e | ailurus produce copy -f json")]
pub(crate) struct Produce {
    /// The topic; may be left out if the input names it (%t, or "topic" in JSON).
    topic: Option<String>,
    /// The partition of all records; by key or in turn if left out.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// The key of all records.
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,
    /// Each line is KEY, this text, VALUE; a line without it is a value without key.
    #[arg(short = 'K', long, value_name = "TEXT", conflicts_with_all = ["key", "input"])]
    key_delimiter: Option<String>,
    /// A header of all records; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = parse_header)]
    headers: Vec<Header>,
    /// How the input is to be read: a format like '%k:%s\n' with %k key, %s value, %h headers, %p partition,
    /// %T timestamp, %t topic; or json, one object a line.
    #[arg(short = 'f', long = "input", value_name = "FORMAT", default_value = "%s\\n")]
    input: String,
    /// Read this file instead of standard input.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// The whole input is one record.
    #[arg(long, conflicts_with_all = ["input", "key_delimiter"])]
    whole: bool,
    /// Empty values are null: tombstones on a compacted topic.
    #[arg(short = 'Z', long, visible_alias = "tombstone")]
    empty_is_null: bool,
    /// How batches are compressed: none, gzip, snappy, lz4, zstd.
    #[arg(short = 'z', long, visible_alias = "compression-codec", value_name = "CODEC", default_value = "none", value_parser = parse_codec)]
    compression: Codec,
    /// What to wait for: all (flushed on a majority), 1 (written by the leader), 0 (nothing).
    #[arg(short, long, value_name = "ACKS", default_value = "all", value_parser = parse_acks, allow_hyphen_values = true)]
    acks: Acks,
    /// Do not let the broker create a topic that is missing.
    #[arg(long)]
    no_create: bool,
    /// Say where every batch went.
    #[arg(long)]
    report: bool,
}

fn parse_codec(text: &str) -> Result<Codec, String> {
    Codec::from_name(text).ok_or_else(|| format!("\"{text}\" is none of none, gzip, snappy, lz4, zstd"))
}

fn parse_acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "1" | "leader" => Ok(Acks::Leader),
        "0" | "none" => Ok(Acks::None),
        _ => Err(format!("\"{text}\" is none of all, 1, 0")),
    }
}

/// How records are cut out of the input.
#[derive(Debug)]
enum Cutter {
    Json,
    Whole,
    Lines(String),
    Template(InputTemplate),
}

impl Cutter {
    fn read(&self, input: &mut dyn BufRead) -> Result<Option<Draft>, ReadError> {
        match self {
            Cutter::Template(template) => template.read(input),
            Cutter::Whole => {
                let mut value = Vec::new();
                input.read_to_end(&mut value)?;
                Ok(Some(Draft { value: Some(value.into()), ..Draft::default() }))
            }
            Cutter::Lines(delimiter) => Ok(read_line(input)?.map(|line| split_key(line, delimiter.as_bytes()))),
            Cutter::Json => {
                while let Some(line) = read_line(input)? {
                    let text = String::from_utf8_lossy(&line);
                    if !text.trim().is_empty() {
                        return from_json(&text).map(Some).map_err(ReadError::Malformed);
                    }
                }
                Ok(None)
            }
        }
    }
}

fn read_line(input: &mut dyn BufRead) -> Result<Option<Vec<u8>>, ReadError> {
    let mut line = Vec::new();
    if input.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    line.pop_if(|last| *last == b'\n');
    Ok(Some(line))
}

fn split_key(line: Vec<u8>, delimiter: &[u8]) -> Draft {
    let line = Bytes::from(line);
    let at = line.windows(delimiter.len()).position(|window| window == delimiter);
    match at {
        Some(at) => {
            let value = line.slice(at + delimiter.len()..);
            Draft { key: Some(line.slice(..at)), value: Some(value), ..Draft::default() }
        }
        None => Draft { value: Some(line), ..Draft::default() },
    }
}

/// The input, and whether more of it may come late.
struct Source {
    reader: BufReader<Box<dyn Read + Send>>,
    cutter: Cutter,
    records: u64,
}

/// What one go of reading gave.
struct Haul {
    drafts: Vec<Draft>,
    end: Result<bool, Fault>,
}

impl Source {
    /// Blocks until there is at least one record, then takes what is buffered already.
    fn haul(&mut self) -> Haul {
        let mut drafts = Vec::new();
        loop {
            match self.cutter.read(&mut self.reader) {
                Ok(Some(draft)) => drafts.push(draft),
                Ok(None) => return Haul { drafts, end: Ok(true) },
                Err(error) => {
                    let end = Err(self.fault(error, drafts.len()));
                    return Haul { drafts, end };
                }
            }
            let whole = matches!(self.cutter, Cutter::Whole);
            if whole || drafts.len() >= READ_RECORDS_MAX || !self.reader.buffer().contains(&b'\n') {
                self.records += drafts.len() as u64;
                return Haul { drafts, end: Ok(whole) };
            }
        }
    }

    fn fault(&self, error: ReadError, read: usize) -> Fault {
        let number = self.records + read as u64 + 1;
        match error {
            ReadError::Input(error) => Fault::local(format!("cannot read record {number}: {error}")),
            ReadError::Malformed(why) => Fault::usage(format!("record {number} of the input does not fit: {why}"))
                .hint("the records before it were sent"),
        }
    }
}

impl Produce {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Fault> {
        let source = self.source()?;
        self.greet(&source);
        let tally = Rc::new(RefCell::new(Tally::default()));
        let bar = session.output.progress(None, "records");
        let delivered = {
            let (tally, bar, output, loud) = (tally.clone(), bar.clone(), session.output, self.report);
            move |delivered: Delivered| {
                bar.inc(delivered.records as u64);
                tally.borrow_mut().add(&delivered);
                if loud {
                    bar.suspend(|| say(output, &delivered));
                }
            }
        };
        let config = ProducerConfig {
            acks: self.acks,
            codec: self.compression,
            create_topics: !self.no_create,
            ..ProducerConfig::default()
        };
        let producer = Producer::new(session.client.clone(), config, delivered).await?;
        let sent = self.pump(source, producer).await;
        bar.finish_and_clear();
        let tally = tally.borrow();
        let line = tally.line(self.acks);
        match session.output.is_json() {
            true => session.output.show(&json!({ "records": tally.records, "batches": tally.batches }), &[])?,
            false => tell(&line),
        }
        sent
    }

    fn source(&self) -> Result<Source, Fault> {
        if self.topic.is_none() && self.input != "json" && !self.input.contains("%t") {
            return Err(Fault::usage("no topic is named").hint("ailurus produce TOPIC"));
        }
        let cutter = match (&self.key_delimiter, &self.input[..]) {
            _ if self.whole => Cutter::Whole,
            (Some(delimiter), _) if delimiter.is_empty() => return Err(Fault::usage("the key delimiter is empty")),
            (Some(delimiter), _) => Cutter::Lines(delimiter.clone()),
            (None, "json") => Cutter::Json,
            (None, format) => {
                let bad = |why| Fault::usage(format!("the input format makes no sense: {why}"));
                Cutter::Template(InputTemplate::parse(format).map_err(bad)?)
            }
        };
        let input: Box<dyn Read + Send> = match &self.file {
            None => Box::new(std::io::stdin()),
            Some(path) => {
                #[allow(clippy::disallowed_methods, reason = "a file of the user's, not of the broker's")]
                let opened = std::fs::File::open(path);
                Box::new(opened.map_err(|error| Fault::local(format!("cannot open {}: {error}", path.display())))?)
            }
        };
        Ok(Source { reader: BufReader::with_capacity(256 << 10, input), cutter, records: 0 })
    }

    fn greet(&self, source: &Source) {
        let by_hand = self.file.is_none() && std::io::stdin().is_terminal();
        if by_hand && !matches!(source.cutter, Cutter::Whole) {
            tell(&"one record per line, Ctrl-D ends");
        }
    }

    /// Reads on the side and sends; what was read before the end or a fault is sent in any case.
    async fn pump(&self, source: Source, mut producer: Producer) -> Result<(), Fault> {
        let taken = self.take_all(source, &mut producer).await;
        let flushed = producer.flush().await;
        // The first fault is the reason; those that the last batches meet follow from it or come after it.
        taken.and(flushed.map_err(Fault::from))
    }

    /// Gives the producer what is read, until the end or a fault.
    async fn take_all(&self, mut source: Source, producer: &mut Producer) -> Result<(), Fault> {
        loop {
            let (back, haul) = rt::run_blocking(move || {
                let haul = source.haul();
                (source, haul)
            })
            .await;
            source = back;
            for draft in haul.drafts {
                let (topic, record) = self.record(draft)?;
                producer.send(&topic, record).await?;
                rt::yield_if_needed().await;
            }
            if haul.end? {
                return Ok(());
            }
            producer.kick();
        }
    }

    fn record(&self, draft: Draft) -> Result<(String, ProducerRecord), Fault> {
        let missing = || Fault::usage("no topic is named").hint("ailurus produce TOPIC");
        // What the command line says wins, so that records can be copied from topic to topic.
        let topic = self.topic.clone().or(draft.topic).ok_or_else(missing)?;
        let key = draft.key.or_else(|| self.key.clone().map(Bytes::from));
        let value = draft.value.filter(|value| !(self.empty_is_null && value.is_empty()));
        let headers = self.headers.iter().cloned().chain(draft.headers).collect();
        let partition = self.partition.or(draft.partition);
        Ok((topic, ProducerRecord { partition, timestamp: draft.timestamp, key, value, headers }))
    }
}

/// What was delivered.
#[derive(Default)]
struct Tally {
    records: u64,
    batches: u64,
    last: Option<(String, i32, Option<i64>)>,
}

impl Tally {
    fn add(&mut self, delivered: &Delivered) {
        self.records += delivered.records as u64;
        self.batches += 1;
        let offset = delivered.base.map(|base| base + delivered.records as i64 - 1);
        self.last = Some((delivered.topic.clone(), delivered.partition, offset));
    }

    fn line(&self, acks: Acks) -> String {
        let verb = if acks == Acks::None { "sent" } else { "produced" };
        let plural = if self.records == 1 { "" } else { "s" };
        match &self.last {
            Some((topic, partition, Some(offset))) if self.records == 1 => {
                format!("{verb} 1 record to {topic}, partition {partition}, offset {offset}")
            }
            Some((topic, _, _)) => format!("{verb} {} record{plural} to {topic}", self.records),
            None => format!("{verb} nothing"),
        }
    }
}

fn say(output: Output, delivered: &Delivered) {
    let Delivered { topic, partition, records, base } = delivered;
    let value = json!({ "topic": topic, "partition": partition, "base_offset": base, "records": records });
    let offset = base.map_or("without answer".to_owned(), |base| format!("from offset {base}"));
    let line = Section::line(format!("{topic} partition {partition}: {records} records {offset}"));
    // A report that cannot be written must not stop the records.
    let _ = if output.is_json() { print(format!("{value}\n").as_bytes()) } else { output.show(&value, &[line]) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(cutter: Cutter, input: &'static [u8]) -> Source {
        Source { reader: BufReader::new(Box::new(input)), cutter, records: 0 }
    }

    fn values(haul: &Haul) -> Vec<String> {
        haul.drafts.iter().map(|d| String::from_utf8_lossy(d.value.as_ref().unwrap()).into_owned()).collect()
    }

    #[test]
    fn lines_with_and_without_key() {
        let haul = source(Cutter::Lines("::".into()), b"k::v::w\nno key\n::empty key\n").haul();
        assert_eq!(values(&haul), ["v::w", "no key", "empty key"]);
        let keys: Vec<_> = haul.drafts.iter().map(|draft| draft.key.clone()).collect();
        assert_eq!(keys, [Some("k".into()), None, Some("".into())]);
    }

    #[test]
    fn what_came_before_a_fault_is_kept() {
        let haul = source(Cutter::Json, b"{\"value\":\"a\"}\n\nnonsense\n").haul();
        assert_eq!(values(&haul), ["a"]);
        let fault = haul.end.unwrap_err();
        assert!(fault.to_string().contains("record 2 of the input"), "{fault}");
    }

    #[test]
    fn the_whole_input_is_one_record() {
        let haul = source(Cutter::Whole, b"a\nb\n").haul();
        assert_eq!(values(&haul), ["a\nb\n"]);
        assert_eq!(haul.end, Ok(true));
    }

    #[test]
    fn the_last_line_needs_no_end() {
        let mut source = source(Cutter::Template(InputTemplate::parse("%s\\n").unwrap()), b"a\nb");
        let mut all = Vec::new();
        loop {
            let haul = source.haul();
            all.extend(values(&haul));
            if haul.end.unwrap() {
                break;
            }
        }
        assert_eq!(all, ["a", "b"]);
    }

    #[test]
    fn tallies_are_spoken() {
        let mut tally = Tally::default();
        assert_eq!(tally.line(Acks::All), "produced nothing");
        tally.add(&Delivered { topic: "t".into(), partition: 2, records: 1, base: Some(41) });
        assert_eq!(tally.line(Acks::All), "produced 1 record to t, partition 2, offset 41");
        tally.add(&Delivered { topic: "t".into(), partition: 2, records: 9, base: None });
        assert_eq!(tally.line(Acks::None), "sent 10 records to t");
    }
}
