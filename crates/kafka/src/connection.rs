//! One connection: frames in, replies out, in order.
//!
//! A reader takes requests one after the other; each becomes a task; a writer sends the answers in the order of the
//! requests. The next request is read once the one before it has had its *turn*: it is answered, or whatever must keep
//! its order (an append, a join) is enqueued and only waiting is left. So requests of a connection overlap while its
//! appends and its replies keep their order.
//!
//! What always holds: memory for a frame is granted before the frame is read, and nothing larger than one grant is
//! taken; a connection has at most [`REPLIES_MAX`] answers outstanding, of which those that are done and not sent hold
//! [`UNSENT_MAX`] bytes and one answer more; one that stalls in the middle of a frame, or is idle for too long, is closed
//! by the shard's sweeper, and at once if others wait for the memory that it holds. A recv is never abandoned with the connection alive: to end one,
//! the connection is shut down.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use ailurus_base::sync::{Notify, oneshot};
use ailurus_rt::{self as rt, Closer, Conn, ConnRx, ConnTx, Instant, Memory, Permit, Task};
use ailurus_wire::{LENGTH_BYTES, RequestHeader};
use bytes::Bytes;

use crate::dispatch::{self, Answer, Request};
use crate::server::KafkaShard;

/// Answers that a connection may have outstanding before its next request is read.
pub(crate) const REPLIES_MAX: usize = 64;

/// Bytes of answers that may be ready and not sent before the next request is read.
const UNSENT_MAX: usize = 1 << 20;

/// How often the sweeper looks.
const SWEEP: Duration = Duration::from_millis(500);

/// While others wait for memory, a frame that holds some must come on by this much from one look of the sweeper to the
/// next, or be complete.
const PACE: u64 = 64 << 10;

/// A frame must be there this long after its length...
const FRAME_TIME: Duration = Duration::from_secs(30);

/// ...and this much longer for each MiB of it.
const FRAME_TIME_PER_MIB: Duration = Duration::from_secs(1);

/// Of a frame that is larger than this, as much must have arrived before memory for the rest is set aside: who declares
/// much and sends nothing costs this and no more.
const EARNEST: usize = 1 << 10;

/// An answer must be taken within this time, or the reader is too slow to be kept.
const WRITE_TIME: Duration = Duration::from_secs(60);

/// What the sweeper of a shard knows of a connection.
pub(crate) struct Watch {
    deadline: Cell<Option<Instant>>,
    write_deadline: Cell<Option<Instant>>,
    /// Where the frame that is being read has its memory from.
    filling: RefCell<Option<Filling>>,
    closer: Closer,
}

/// A frame on its way in.
struct Filling {
    memory: Rc<Memory>,
    /// What the connection had received when the sweeper last looked.
    seen: Option<u64>,
}

impl Watch {
    fn new(closer: Closer) -> Self {
        Watch { deadline: Cell::new(None), write_deadline: Cell::new(None), filling: RefCell::new(None), closer }
    }

    fn expired(&self, now: Instant) -> bool {
        let past = |deadline: &Cell<Option<Instant>>| deadline.get().is_some_and(|deadline| deadline <= now);
        past(&self.deadline) || past(&self.write_deadline)
    }

    /// Whether others wait for the memory of a frame that does not come on. To be asked at every look of the sweeper.
    fn is_in_the_way(&self) -> bool {
        let mut filling = self.filling.borrow_mut();
        let Some(filling) = filling.as_mut() else { return false };
        let received = self.closer.received();
        let slow = filling.seen.replace(received).is_some_and(|seen| received.saturating_sub(seen) < PACE);
        slow && filling.memory.waiting() > 0
    }

    /// Ends the connection's reads and writes.
    pub(crate) fn shut_down(&self) {
        self.closer.shutdown();
    }
}

/// Closes connections that are past their deadline. Runs once per shard.
pub(crate) async fn sweep(shard: Rc<KafkaShard>) {
    loop {
        rt::sleep_coarse(SWEEP).await;
        let now = rt::now();
        for watch in shard.connections() {
            if watch.is_in_the_way() || watch.expired(now) {
                watch.shut_down();
            }
        }
    }
}

/// The answers that are still to come, in the order of their requests.
#[derive(Default)]
struct Replies {
    queue: RefCell<VecDeque<Reply>>,
    /// Bytes of those that are done.
    unsent: Cell<usize>,
    changed: Notify,
    /// No further request will come.
    ended: Cell<bool>,
}

/// An answer to come.
struct Reply {
    task: Task<Answer>,
    /// Dropped when all answers before it are sent.
    next: oneshot::Sender<()>,
}

impl Replies {
    fn has_room(&self) -> bool {
        self.queue.borrow().len() < REPLIES_MAX && self.unsent.get() < UNSENT_MAX
    }
}

/// Dropped when the next request of the connection may be read.
pub(crate) struct Turn(#[allow(dead_code, reason = "its drop is the message")] oneshot::Sender<()>);

/// Serves a connection to its end.
pub(crate) async fn serve(shard: Rc<KafkaShard>, conn: Conn) {
    let peer = conn.peer();
    let (rx, tx) = conn.split();
    let watch = Rc::new(Watch::new(rx.closer()));
    let Some(_registered) = shard.register(&watch) else { return };
    let replies = Rc::new(Replies::default());
    let writer = rt::spawn(rt::Group::Kafka, write(replies.clone(), tx, watch.clone()));
    let end = read(&shard, rx, &replies, &watch, peer.ip()).await;
    if let Err(reason) = end {
        tracing::debug!(%peer, reason, "a connection is closed");
        shard.stats.refused_connections.set(shard.stats.refused_connections.get() + 1);
    }
    replies.ended.set(true);
    replies.changed.notify_all();
    // What was asked before the end is still answered, in case the client closed only its own direction.
    writer.await;
}

type End = Result<(), &'static str>;

async fn read(
    shard: &Rc<KafkaShard>,
    mut rx: ConnRx,
    replies: &Rc<Replies>,
    watch: &Rc<Watch>,
    client_host: std::net::IpAddr,
) -> End {
    while let Some((frame, permit)) = read_frame(shard, &mut rx, watch).await? {
        let received = rt::now();
        let mut body = frame;
        let header = RequestHeader::decode(&mut body).map_err(|_| "the request header is malformed")?;
        let (turn, ended) = oneshot::channel();
        let (first, next) = oneshot::channel();
        let request = Request {
            shard: shard.clone(),
            header,
            body,
            permit: Some(permit),
            turn: Some(Turn(turn)),
            next,
            received,
            client_host,
            held: Vec::new(),
        };
        let answer = answer(replies.clone(), request);
        replies.queue.borrow_mut().push_back(Reply { task: rt::spawn(rt::Group::Kafka, answer), next: first });
        replies.changed.notify_all();
        let _dropped_is_the_message = ended.await;
        let room = || (replies.has_room() || replies.ended.get()).then_some(());
        replies.changed.until(room).await;
        if replies.ended.get() {
            return Ok(());
        }
    }
    Ok(())
}

async fn answer(replies: Rc<Replies>, request: Request) -> Answer {
    let answer = dispatch::answer(request).await;
    replies.unsent.set(replies.unsent.get() + answer.len());
    answer
}

/// The next frame without its length, with the memory that was granted for it; nothing at the end of the connection.
async fn read_frame(
    shard: &KafkaShard,
    rx: &mut ConnRx,
    watch: &Watch,
) -> Result<Option<(Bytes, Permit)>, &'static str> {
    watch.deadline.set(shard.idle_deadline());
    let Some(length) = rx.read(LENGTH_BYTES).await.map_err(|_| "it was reset")? else { return Ok(None) };
    let length: [u8; LENGTH_BYTES] = length[..].try_into().expect("as many bytes as were asked for");
    let length = usize::try_from(i32::from_be_bytes(length)).map_err(|_| "a frame has a negative length")?;
    if length > shard.frame_bytes_max() {
        return Err("a frame is larger than socket.request.max.bytes or than this shard's memory allows");
    }
    let time = FRAME_TIME + FRAME_TIME_PER_MIB * (length >> 20) as u32;
    watch.deadline.set(Some(rt::now() + time));
    if length > EARNEST && !rx.fill(EARNEST).await.map_err(|_| "it was reset")? {
        return Err("it ended inside a frame");
    }
    // Waiting for memory is not the client's fault.
    watch.deadline.set(None);
    let memory = shard.admission().for_frame(length as u64);
    let permit = memory.acquire(length as u64).await;
    watch.deadline.set(Some(rt::now() + time));
    watch.filling.replace(Some(Filling { memory: memory.clone(), seen: None }));
    let frame = rx.read(length).await.map_err(|_| "it was reset or stalled inside a frame")?;
    watch.filling.replace(None);
    watch.deadline.set(None);
    shard.stats.bytes_in.set(shard.stats.bytes_in.get() + length as u64 + LENGTH_BYTES as u64);
    Ok(Some((frame.ok_or("it ended inside a frame")?, permit)))
}

async fn write(replies: Rc<Replies>, mut tx: ConnTx, watch: Rc<Watch>) {
    while let Some(answer) = next_answer(&replies).await {
        let bytes = answer.len();
        let (parts, _held) = match answer {
            Answer::Send(parts, held) => (parts, held),
            Answer::Silence => continue,
            Answer::Close => break,
        };
        watch.write_deadline.set(Some(rt::now() + WRITE_TIME));
        let written = tx.write(parts).await;
        watch.write_deadline.set(None);
        replies.unsent.set(replies.unsent.get() - bytes);
        replies.changed.notify_all();
        if written.is_err() {
            break;
        }
    }
    // Drops what is still under way: nobody is left to take the answers.
    replies.ended.set(true);
    replies.queue.borrow_mut().clear();
    replies.changed.notify_all();
    watch.shut_down();
}

async fn next_answer(replies: &Replies) -> Option<Answer> {
    let first = || match replies.queue.borrow_mut().pop_front() {
        Some(reply) => Some(Some(reply)),
        None => replies.ended.get().then_some(None),
    };
    let Reply { task, next } = replies.changed.until(first).await?;
    drop(next);
    let answer = task.await;
    replies.changed.notify_all();
    Some(answer)
}
