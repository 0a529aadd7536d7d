//! One connection: frames in, answers out, in order, as many as are ready with one send.

use ailurus_base::sync::Notify;
use ailurus_rt::{self as rt, Conn, ConnRx, ConnTx, Group};
use ailurus_wire::{LENGTH_BYTES, RequestHeader};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::answer;
use crate::node::Node;

/// Answers that may be outstanding before the next request is read.
const REPLIES_MAX: usize = 1024;
/// The largest frame that is taken.
const FRAME_MAX: usize = 100 << 20;

/// The place of an answer among those of its connection.
#[derive(Clone, Copy)]
pub(crate) struct Slot(u64);

/// Answers in the order of their requests. `None` is not there yet; an empty one is not sent.
#[derive(Default)]
pub(crate) struct Replies {
    queue: RefCell<VecDeque<Option<Vec<Bytes>>>>,
    /// The number of the first in the queue.
    first: Cell<u64>,
    changed: Notify,
    /// No further request will come.
    ended: Cell<bool>,
    /// Nobody takes answers any more.
    broken: Cell<bool>,
}

impl Replies {
    /// A place behind all others.
    pub(crate) fn reserve(&self) -> Slot {
        let mut queue = self.queue.borrow_mut();
        queue.push_back(None);
        Slot(self.first.get() + queue.len() as u64 - 1)
    }

    /// Puts an answer in its place.
    pub(crate) fn set(&self, slot: Slot, parts: Vec<Bytes>) {
        let place = (slot.0 - self.first.get()) as usize;
        self.queue.borrow_mut()[place] = Some(parts);
        if place == 0 {
            self.changed.notify_all();
        }
    }

    /// All that may be sent, once there is something; nothing when no more will come.
    async fn ready(&self) -> Option<Vec<Bytes>> {
        let front = || match self.queue.borrow().front() {
            Some(first) => first.is_some().then_some(true),
            None => self.ended.get().then_some(false),
        };
        if !self.changed.until(front).await {
            return None;
        }
        let mut queue = self.queue.borrow_mut();
        let mut parts = Vec::new();
        let mut taken = 0;
        while let Some(Some(answer)) = queue.front_mut() {
            parts.append(answer);
            queue.pop_front();
            taken += 1;
        }
        self.first.set(self.first.get() + taken);
        self.changed.notify_all();
        Some(parts)
    }

    /// The first answer, which is there.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> Vec<Bytes> {
        self.queue.borrow_mut().pop_front().flatten().expect("it was answered at once")
    }

    /// Waits until another answer may be outstanding; false if it would never be sent.
    async fn room(&self) -> bool {
        let room = || (self.queue.borrow().len() < REPLIES_MAX || self.broken.get()).then(|| !self.broken.get());
        self.changed.until(room).await
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve(node: Rc<Node>, conn: Conn) {
    let (rx, tx) = conn.split();
    let replies = Rc::new(Replies::default());
    rt::spawn(Group::Kafka, write(replies.clone(), tx)).detach();
    // How it ends is of no interest: the client is gone, or should be.
    _ = read(&node, rx, &replies).await;
    replies.ended.set(true);
    replies.changed.notify_all();
}

/// Reads until the client closes, or sends what is not understood.
async fn read(node: &Rc<Node>, mut rx: ConnRx, replies: &Rc<Replies>) -> Option<()> {
    while replies.room().await {
        let length = rx.read(LENGTH_BYTES).await.ok()??;
        let length = i32::from_be_bytes(length[..].try_into().expect("as many bytes as were asked for"));
        let length = usize::try_from(length).ok().filter(|length| *length <= FRAME_MAX)?;
        let mut body = rx.read(length).await.ok()??;
        let header = RequestHeader::decode(&mut body).ok()?;
        let slot = replies.reserve();
        if let Err(error) = answer::answer(node, replies, slot, &header, body) {
            eprintln!("ailurus-null: a connection is closed: api {}: {error}", header.api_key);
            // In its turn, so that what was asked before is answered.
            replies.set(slot, Vec::new());
            return None;
        }
    }
    None
}

async fn write(replies: Rc<Replies>, mut tx: ConnTx) {
    while let Some(parts) = replies.ready().await {
        if !parts.is_empty() && tx.write(parts).await.is_err() {
            break;
        }
    }
    replies.broken.set(true);
    replies.changed.notify_all();
    tx.closer().shutdown();
}
