//! How batches get into memory and onto the disk: one task per shard, which takes all that has arrived.
//!
//! Class D: copy, write, flush, then make readable and acknowledge; whatever arrives meanwhile is the next group. Class R:
//! copy, make readable and acknowledge; the bytes go into a block that is written when it is full, or when it is old.
//! What the disk cannot take makes producers wait: at most [`UNWRITTEN_MAX`] blocks are in memory.

use ailurus_base::sync::Notify;
use ailurus_model::{Offset, Term};
use ailurus_record::{BatchTime, stamp};
use ailurus_rt::{self as rt, Chunk, DmaBuf, Group};
use ailurus_wire::ErrorCode;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::Class;
use crate::disk::{BLOCK, Disk};
use crate::node::Node;
use crate::partition::{Batch, Partition};
use crate::produce::Pending;

/// Full blocks of class R that wait for the disk.
const UNWRITTEN_MAX: usize = 8;
/// A block of class R that is not full is written after so long.
const AGE_MAX: Duration = Duration::from_millis(100);

/// Requests that wait for the next group.
#[derive(Default)]
pub(crate) struct Commit {
    pending: RefCell<Vec<Pending>>,
    changed: Notify,
}

impl Commit {
    /// Takes a request whose batches have been checked.
    pub(crate) fn push(&self, pending: Pending) {
        self.pending.borrow_mut().push(pending);
        self.changed.notify_all();
    }

    /// All that has arrived, once there is something.
    async fn next(&self) -> Vec<Pending> {
        self.changed.until(|| (!self.pending.borrow().is_empty()).then_some(())).await;
        // Who is about to run in this turn of the reactor comes along.
        rt::yield_now().await;
        self.pending.take()
    }
}

/// Commits groups until the disk fails.
pub(crate) async fn run(node: Rc<Node>, disk: Disk) {
    let ended = match node.class {
        Class::D => durably(&node, disk).await,
        Class::R => relaxed(&node, disk).await,
    };
    let Err(error) = ended;
    // There is nothing to be measured any more.
    eprintln!("ailurus-null: the disk failed: {error}");
    std::process::exit(1);
}

async fn durably(node: &Node, mut disk: Disk) -> io::Result<std::convert::Infallible> {
    let mut memory = Chunk::new(BLOCK);
    loop {
        let mut group = node.commit.next().await;
        let batches = copy(&mut memory, &mut group);
        for block in blocks(&batches) {
            disk.write(block).await?;
        }
        disk.flush().await?;
        publish(node, batches);
        group.into_iter().for_each(Pending::answer);
    }
}

async fn relaxed(node: &Node, disk: Disk) -> io::Result<std::convert::Infallible> {
    let behind = Rc::new(Behind::default());
    let mut writer = rt::spawn(Group::Kafka, write_behind(behind.clone(), disk));
    let mut memory = Chunk::new(BLOCK);
    loop {
        let mut group = node.commit.next().await;
        let batches = copy(&mut memory, &mut group);
        batches.iter().for_each(|(_, batch)| behind.push(&batch.bytes));
        publish(node, batches);
        group.into_iter().for_each(Pending::answer);
        if !behind.has_room() {
            let room = behind.changed.until(|| behind.has_room().then_some(()));
            // Whoever comes first; a writer that ends has failed.
            if let Some(failed) = either(room, &mut writer).await {
                return failed;
            }
        }
        if writer.is_finished() {
            return writer.await;
        }
    }
}

/// Waits for either; the result of the second if it was that one.
async fn either<T>(first: impl Future<Output = ()>, second: &mut rt::Task<T>) -> Option<T> {
    let mut first = std::pin::pin!(first);
    std::future::poll_fn(|context| {
        if first.as_mut().poll(context).is_ready() {
            return std::task::Poll::Ready(None);
        }
        std::pin::Pin::new(&mut *second).poll(context).map(Some)
    })
    .await
}

/// What class R has acknowledged and not written.
#[derive(Default)]
struct Behind {
    full: RefCell<VecDeque<DmaBuf>>,
    open: Cell<Option<DmaBuf>>,
    changed: Notify,
}

impl Behind {
    fn has_room(&self) -> bool {
        self.full.borrow().len() < UNWRITTEN_MAX
    }

    fn push(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut open = self.open.take().unwrap_or_else(|| {
                self.changed.notify_all();
                DmaBuf::new(BLOCK)
            });
            let (fits, rest) = bytes.split_at(bytes.len().min(open.capacity() - open.len()));
            open.extend_from_slice(fits);
            bytes = rest;
            if open.len() == open.capacity() {
                self.full.borrow_mut().push_back(open);
                self.changed.notify_all();
            } else {
                self.open.set(Some(open));
            }
        }
    }

    fn has_full(&self) -> bool {
        !self.full.borrow().is_empty()
    }

    fn has_open(&self) -> bool {
        let open = self.open.take();
        let has = open.is_some();
        self.open.set(open);
        has
    }

    /// The next full block, or one that nobody has filled in time.
    async fn next(&self) -> DmaBuf {
        self.changed.until(|| (self.has_full() || self.has_open()).then_some(())).await;
        let full = self.changed.until(|| self.has_full().then_some(()));
        // Late means that the open one goes as it is.
        _ = rt::timeout(AGE_MAX, full).await;
        let full = self.full.borrow_mut().pop_front();
        full.or_else(|| self.open.take()).expect("nobody else takes any")
    }
}

async fn write_behind(behind: Rc<Behind>, mut disk: Disk) -> io::Result<std::convert::Infallible> {
    loop {
        let block = behind.next().await;
        disk.write(block).await?;
        behind.changed.notify_all();
    }
}

/// Makes batches readable.
fn publish(node: &Node, batches: Vec<(Rc<Partition>, Batch)>) {
    for (partition, batch) in batches {
        let bytes = batch.bytes.len();
        partition.append(batch);
        node.memory.borrow_mut().keep(bytes, partition);
    }
}

/// Gives the batches of a group their offsets and copies them into memory, behind those of the group before.
fn copy(memory: &mut Chunk, group: &mut [Pending]) -> Vec<(Rc<Partition>, Batch)> {
    let mut copied = Vec::new();
    for pending in group {
        for accepted in std::mem::take(&mut pending.batches) {
            let (base, len) = (accepted.partition.assign(accepted.count), accepted.bytes.len());
            if memory.room() < len {
                *memory = Chunk::new(len.max(BLOCK));
            }
            let bytes = memory.push(len, |place| {
                place.copy_from_slice(&accepted.bytes);
                stamp(place, Offset(base), Term(0), BatchTime::AsSent);
            });
            let answer = &mut pending.response.responses[accepted.place.0].partition_responses[accepted.place.1];
            answer.base_offset = base;
            answer.error_code = ErrorCode::None;
            copied.push((accepted.partition, Batch { base, next: base + accepted.count, bytes }));
        }
    }
    copied
}

/// What batches are on the disk: as few blocks as there have to be.
fn blocks(batches: &[(Rc<Partition>, Batch)]) -> Vec<DmaBuf> {
    let mut left: usize = batches.iter().map(|(_, batch)| batch.bytes.len()).sum();
    let mut blocks: Vec<DmaBuf> = Vec::new();
    for (_, batch) in batches {
        let mut bytes = &batch.bytes[..];
        while !bytes.is_empty() {
            if blocks.last().is_none_or(|block| block.len() == block.capacity()) {
                blocks.push(DmaBuf::new(left.min(BLOCK)));
            }
            let block = blocks.last_mut().expect("there is one with room");
            let (fits, rest) = bytes.split_at(bytes.len().min(block.capacity() - block.len()));
            block.extend_from_slice(fits);
            (bytes, left) = (rest, left - fits.len());
        }
    }
    blocks
}
