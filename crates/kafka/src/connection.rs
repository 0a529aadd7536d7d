//! One connection: frames in, replies out, in order.
//!
//! A reader takes requests one after the other; each becomes a task; a writer sends the answers in the order of the
//! requests. The next request is read once the one before it has had its *turn*: it is answered, or whatever must keep
//! its order (an append, a join) is enqueued and only waiting is left. So requests of a connection overlap while its
//! appends and its replies keep their order.
//!
//! What always holds: memory for a frame is granted before the frame is read, and nothing larger than one grant is
//! taken; a connection has at most [`REPLIES_MAX`] answers outstanding, of which those that are done and not sent hold
//! [`UNSENT_MAX`] bytes and one answer more. It lives as long as its client does its part, however slowly: the shard's
//! sweeper closes one on which nothing has moved for `connections.max.idle.ms`, and at once one whose frame holds memory
//! for which others wait and does not come on. What was asked on a connection that is gone is dropped, and the
//! connection counts until that has happened. A recv is never abandoned with the connection alive: to end one, the
//! connection is shut down.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use ailurus_base::sync::{Notify, oneshot};
use ailurus_rt::{self as rt, Abort, Closer, Conn, ConnRx, ConnTx, Instant, Memory, Permit, Task};
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

/// Of a frame that is larger than this, as much must have arrived before memory for the rest is set aside: who declares
/// much and sends nothing costs this and no more.
const EARNEST: usize = 1 << 10;

/// After a client has closed its own direction, an answer must go out at least this often, or it is taken for gone: it
/// looks the same as one that has closed both.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// What the sweeper of a shard knows of a connection.
pub(crate) struct Watch {
    /// Since when nothing has moved, and how many bytes had by then.
    quiet: Cell<(Instant, u64)>,
    /// It is for the client to send, or to take what is sent.
    reading: Cell<bool>,
    writing: Cell<bool>,
    /// Where the frame that is being read has its memory from.
    filling: RefCell<Option<Filling>>,
    gone: Abort,
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
        Watch {
            quiet: Cell::new((rt::now(), 0)),
            reading: Cell::new(false),
            writing: Cell::new(false),
            filling: RefCell::new(None),
            gone: Abort::new(),
            closer,
        }
    }

    /// Whether the client has let `most` pass without a byte. To be asked at every look of the sweeper.
    fn is_idle(&self, now: Instant, most: Option<Duration>) -> bool {
        let moved = self.closer.received() + self.closer.sent();
        let (since, before) = self.quiet.get();
        if moved != before || !(self.reading.get() || self.writing.get()) {
            self.quiet.set((now, moved));
            return false;
        }
        most.is_some_and(|most| now - since >= most)
    }

    /// Whether others wait for the memory of a frame that does not come on. To be asked at every look of the sweeper.
    fn is_in_the_way(&self) -> bool {
        let mut filling = self.filling.borrow_mut();
        let Some(filling) = filling.as_mut() else { return false };
        let received = self.closer.received();
        let slow = filling.seen.replace(received).is_some_and(|seen| received.saturating_sub(seen) < PACE);
        slow && filling.memory.waiting() > 0
    }

    /// Ends the connection's reads and writes, and drops what was asked on it.
    pub(crate) fn shut_down(&self) {
        self.gone.request();
        self.closer.shutdown();
    }

    /// The result of `work`, unless the connection is shut down before.
    async fn unless_gone<F: Future>(&self, work: F) -> Option<F::Output> {
        let (mut work, mut gone) = (pin!(work), pin!(self.gone.requested()));
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => gone.as_mut().poll(context).map(|()| None),
        })
        .await
    }

    /// Receives: while it waits, it waits for the client.
    async fn reading<F: Future>(&self, receive: F) -> F::Output {
        self.reading.set(true);
        let received = receive.await;
        self.reading.set(false);
        received
    }
}

/// Closes connections that are idle or in the way. Runs once per shard.
pub(crate) async fn sweep(shard: Rc<KafkaShard>) {
    loop {
        rt::sleep_coarse(SWEEP).await;
        let (now, idle_max) = (rt::now(), shard.idle_max());
        for watch in shard.connections() {
            if watch.is_in_the_way() | watch.is_idle(now, idle_max) {
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
    next: Option<oneshot::Sender<()>>,
}

impl Replies {
    fn has_room(&self) -> bool {
        self.queue.borrow().len() < REPLIES_MAX && self.unsent.get() < UNSENT_MAX
    }

    fn end(&self) {
        self.ended.set(true);
        self.changed.notify_all();
    }

    /// The first answer, once it is there; nothing when there is none and none will come.
    async fn first(&self) -> Option<Answer> {
        let comes = || match self.queue.borrow().is_empty() {
            false => Some(true),
            true => self.ended.get().then_some(false),
        };
        if !self.changed.until(comes).await {
            return None;
        }
        let answer = poll_fn(|context| self.poll_first(context)).await;
        self.queue.borrow_mut().pop_front();
        self.changed.notify_all();
        Some(answer)
    }

    fn poll_first(&self, context: &mut Context<'_>) -> Poll<Answer> {
        let mut queue = self.queue.borrow_mut();
        let first = queue.front_mut().expect("only the writer takes answers out");
        first.next = None;
        Pin::new(&mut first.task).poll(context)
    }

    /// Drops what is still under way, and waits until it is dropped.
    async fn cancel(&self) {
        let queue = self.queue.take();
        // The turns of those behind do not come while those before them are dropped.
        let (tasks, _turns): (Vec<_>, Vec<_>) = queue.into_iter().map(|reply| (reply.task, reply.next)).unzip();
        for task in tasks {
            task.cancel().await;
        }
    }
}

/// Dropped when the next request of the connection may be read.
pub(crate) struct Turn(#[allow(dead_code, reason = "its drop is the message")] oneshot::Sender<()>);

/// Serves a connection to its end.
pub(crate) async fn serve(shard: Rc<KafkaShard>, conn: Conn) {
    let (peer, place) = (conn.peer(), conn.place());
    let (rx, tx) = conn.split();
    let watch = Rc::new(Watch::new(rx.closer()));
    let Some(_registered) = shard.register(&watch, place) else { return };
    let replies = Rc::new(Replies::default());
    let mut writer = rt::spawn(rt::Group::Kafka, write(replies.clone(), tx, watch.clone()));
    let end = watch.unless_gone(read(&shard, rx, &replies, &watch, peer.ip())).await;
    if let Some(Err(End::Refused(reason))) = end {
        tracing::debug!(%peer, reason, "a connection is closed");
        shard.stats.refused_connections.set(shard.stats.refused_connections.get() + 1);
    }
    replies.end();
    if !matches!(end, None | Some(Err(End::Gone))) {
        watch.unless_gone(last_answers(&mut writer, &watch.closer)).await;
    }
    watch.shut_down();
    writer.cancel().await;
    replies.cancel().await;
}

/// What was asked before the end is still answered, in case the client closed only its own direction. For as long as
/// answers go out: what waits for its time, up to weeks, does not keep the connection of a client that is gone.
async fn last_answers(writer: &mut Task<()>, closer: &Closer) {
    loop {
        let sent = closer.sent();
        if rt::timeout(LAST_ANSWERS, &mut *writer).await.is_ok() || closer.sent() == sent {
            return;
        }
    }
}

/// Why no more is read.
enum End {
    /// The client sent what cannot be taken.
    Refused(&'static str),
    /// Nobody is there any more.
    Gone,
}

impl End {
    fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => End::Refused("it ended inside a frame"),
            _ => End::Gone,
        }
    }
}

/// Reads until the client closes its direction.
async fn read(
    shard: &Rc<KafkaShard>,
    mut rx: ConnRx,
    replies: &Rc<Replies>,
    watch: &Rc<Watch>,
    client_host: std::net::IpAddr,
) -> Result<(), End> {
    while let Some((frame, permit)) = read_frame(shard, &mut rx, watch).await? {
        let received = rt::now();
        let mut body = frame;
        let header = RequestHeader::decode(&mut body).map_err(|_| End::Refused("the request header is malformed"))?;
        let (turn, ended) = oneshot::channel();
        let (first, next) = oneshot::channel();
        let request = Request {
            shard: shard.clone(),
            header,
            body,
            permit: Some(permit),
            decoded: None,
            turn: Some(Turn(turn)),
            next,
            received,
            client_host,
            held: Vec::new(),
        };
        let answer = answer(replies.clone(), request);
        let task = rt::spawn(rt::Group::Kafka, answer);
        replies.queue.borrow_mut().push_back(Reply { task, next: Some(first) });
        replies.changed.notify_all();
        let _dropped_is_the_message = ended.await;
        replies.changed.until(|| replies.has_room().then_some(())).await;
    }
    Ok(())
}

async fn answer(replies: Rc<Replies>, request: Request) -> Answer {
    let answer = dispatch::answer(request).await;
    replies.unsent.set(replies.unsent.get() + answer.len());
    answer
}

/// The next frame without its length, with the memory that was granted for it; nothing at the end of the connection.
async fn read_frame(shard: &KafkaShard, rx: &mut ConnRx, watch: &Watch) -> Result<Option<(Bytes, Permit)>, End> {
    let Some(length) = watch.reading(rx.read(LENGTH_BYTES)).await.map_err(End::of)? else { return Ok(None) };
    let length: [u8; LENGTH_BYTES] = length[..].try_into().expect("as many bytes as were asked for");
    let length =
        usize::try_from(i32::from_be_bytes(length)).map_err(|_| End::Refused("a frame has a negative length"))?;
    if length > shard.frame_bytes_max() {
        return Err(End::Refused("a frame is larger than socket.request.max.bytes or than this shard's memory allows"));
    }
    if length > EARNEST && !watch.reading(rx.fill(EARNEST)).await.map_err(End::of)? {
        return Err(End::Refused("it ended inside a frame"));
    }
    let memory = shard.admission().for_frame(length as u64);
    // What it will take, or as much of that as is ever granted.
    let taken = rt::net::footprint(length) as u64;
    let permit = memory.acquire(taken.min(memory.largest())).await;
    watch.filling.replace(Some(Filling { memory: memory.clone(), seen: None }));
    let frame = watch.reading(rx.read(length)).await.map_err(End::of)?;
    watch.filling.replace(None);
    shard.stats.bytes_in.set(shard.stats.bytes_in.get() + length as u64 + LENGTH_BYTES as u64);
    Ok(Some((frame.ok_or(End::Refused("it ended inside a frame"))?, permit)))
}

async fn write(replies: Rc<Replies>, mut tx: ConnTx, watch: Rc<Watch>) {
    while let Some(answer) = replies.first().await {
        let bytes = answer.len();
        let (parts, _held) = match answer {
            Answer::Send(parts, held) => (parts, held),
            Answer::Silence => continue,
            Answer::Close => break,
        };
        watch.writing.set(true);
        let written = tx.write(parts).await;
        watch.writing.set(false);
        replies.unsent.set(replies.unsent.get() - bytes);
        replies.changed.notify_all();
        if written.is_err() {
            break;
        }
    }
    // Nobody is left to take answers, or there are none.
    watch.shut_down();
}
