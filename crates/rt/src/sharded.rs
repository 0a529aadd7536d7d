//! Services with one part per shard, and calls between the parts.

use crate::crossing::{Answer, Deferred, Inline};
use crate::group::Group;
use crate::shard::Shard;
use crate::task::{Task, spawn_inline};
use ailurus_model::ShardId;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

/// What a call is for. Each lane has its own credits between each two shards, so that one kind of traffic cannot keep
/// another from crossing. The body of a call on one lane may itself wait only for calls on later lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Lane {
    /// Requests of clients.
    Kafka,
    /// For replication.
    Raft,
    /// Metadata and placement.
    Cluster,
    /// Operators, start and end.
    Admin,
}

impl Lane {
    /// All lanes, in their order.
    pub const ALL: [Lane; 4] = [Lane::Kafka, Lane::Raft, Lane::Cluster, Lane::Admin];

    /// The group in which futures of [`Sharded::on_async`] run.
    pub fn group(self) -> Group {
        match self {
            Lane::Kafka => Group::Kafka,
            Lane::Raft => Group::Raft,
            Lane::Cluster => Group::Cluster,
            Lane::Admin => Group::Admin,
        }
    }

    /// Lower-case name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Kafka => "kafka",
            Lane::Raft => "raft",
            Lane::Cluster => "cluster",
            Lane::Admin => "admin",
        }
    }
}

/// A service that has one `S` on each shard. The handle is a number and goes anywhere; an `S` never leaves its shard.
pub struct Sharded<S: 'static> {
    slot: usize,
    _part: PhantomData<fn() -> S>,
}

impl<S> Clone for Sharded<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Sharded<S> {}

/// No credit was free; here is the body back.
pub struct Overloaded<C>(pub C);

impl<C> std::fmt::Debug for Overloaded<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Overloaded")
    }
}

impl<S: 'static> Sharded<S> {
    /// Makes one `S` on each shard, one after the other in shard order.
    pub async fn start(make: impl Fn(ShardId) -> S + Send + Sync + 'static) -> Self {
        let hub = Shard::with(|shard| shard.hub.clone());
        let slot = hub.next_slot.fetch_add(1, Ordering::Relaxed);
        let make = std::sync::Arc::new(make);
        for id in 0..hub.shards() {
            let make = make.clone();
            let place = move |shard: &Rc<Shard>| {
                let part: Rc<S> = Rc::new(make(shard.id));
                let mut services = shard.services.borrow_mut();
                if services.len() <= slot {
                    services.resize_with(slot + 1, || None);
                }
                services[slot] = Some(part);
            };
            call_inline(ShardId(id), Lane::Admin, place).await;
        }
        Sharded { slot, _part: PhantomData }
    }

    /// This shard's part.
    ///
    /// # Panics
    /// Outside a shard, or after `stop`.
    pub fn local(&self) -> Rc<S> {
        Shard::with(|shard| self.part(shard))
    }

    /// This shard's part, unless the service was stopped here.
    pub(crate) fn try_local(&self) -> Option<Rc<S>> {
        Shard::with(|shard| self.try_part(shard))
    }

    fn part(&self, shard: &Shard) -> Rc<S> {
        self.try_part(shard).expect("a service is used between its start and its stop, on the machine that started it")
    }

    fn try_part(&self, shard: &Shard) -> Option<Rc<S>> {
        let part = shard.services.borrow().get(self.slot)?.clone()?;
        part.downcast::<S>().ok()
    }

    /// Runs `f` on the part of shard `to`, between two of its tasks, and answers with what it gave. Holds one credit of
    /// `lane` until the body has run; waits its turn for one. On this very shard the body runs now, inside the call.
    pub fn on<R: Send + 'static>(
        &self,
        to: ShardId,
        lane: Lane,
        f: impl FnOnce(&Rc<S>) -> R + Send + 'static,
    ) -> Call<R> {
        let this = *self;
        call_inline(to, lane, move |shard| f(&this.part(shard)))
    }

    /// Like [`Sharded::on`], but the answer is what the future gives. The future is polled once inline, after which the
    /// credit is back; if it waits, it goes on as a task of the lane's group.
    pub fn on_async<R: Send + 'static, F: Future<Output = R> + 'static>(
        &self,
        to: ShardId,
        lane: Lane,
        f: impl FnOnce(Rc<S>) -> F + Send + 'static,
    ) -> Call<R> {
        let this = *self;
        let start = move |shard: &Rc<Shard>| f(this.part(shard));
        Shard::with(|shard| {
            if shard.id == to {
                let future = start(shard);
                return Call(Way::Here(Some(spawn_inline(shard, lane.group(), future))));
            }
            Call(Way::There(shard.crossing.call(shard, to, lane, Deferred(lane.group(), start))))
        })
    }

    /// Like [`Sharded::on`], but gives `f` back if it would have to wait for a credit. For replication: a heartbeat that
    /// would come late is better left out.
    pub fn try_on<R: Send + 'static, C: FnOnce(&Rc<S>) -> R + Send + 'static>(
        &self,
        to: ShardId,
        lane: Lane,
        f: C,
    ) -> Result<Call<R>, Overloaded<C>> {
        if Shard::with(|shard| shard.id == to || shard.crossing.has_room(shard, to, lane)) {
            Ok(self.on(to, lane, f))
        } else {
            Err(Overloaded(f))
        }
    }

    /// Runs `f` on every part, at the same time; the answers in shard order.
    pub async fn map<R: Send + 'static>(&self, lane: Lane, f: impl Fn(&Rc<S>) -> R + Clone + Send + 'static) -> Vec<R> {
        self.gather(|id| {
            let f = f.clone();
            self.on(id, lane, move |part| f(part))
        })
        .await
    }

    /// Runs `f` on every part, at the same time, and waits for all futures; the answers in shard order.
    pub async fn map_async<R: Send + 'static, F: Future<Output = R> + 'static>(
        &self,
        lane: Lane,
        f: impl Fn(Rc<S>) -> F + Clone + Send + 'static,
    ) -> Vec<R> {
        self.gather(|id| {
            let f = f.clone();
            self.on_async(id, lane, f)
        })
        .await
    }

    async fn gather<R>(&self, call: impl Fn(ShardId) -> Call<R>) -> Vec<R> {
        let calls: Vec<Call<R>> = (0..crate::shard_count()).map(|id| call(ShardId(id))).collect();
        let mut answers = Vec::with_capacity(calls.len());
        for call in calls {
            answers.push(call.await);
        }
        answers
    }

    /// Drops the part on each shard, in the reverse of the order of the start. A part that is still held by somebody
    /// there lives until it is let go.
    pub async fn stop(self) {
        let shards = crate::shard_count();
        for id in (0..shards).rev() {
            let slot = self.slot;
            call_inline(ShardId(id), Lane::Admin, move |shard| {
                let part = shard.services.borrow_mut().get_mut(slot).and_then(Option::take);
                drop(part);
            })
            .await;
        }
    }
}

/// Runs `f` on shard `to`.
pub(crate) fn call_inline<R: Send + 'static>(
    to: ShardId,
    lane: Lane,
    f: impl FnOnce(&Rc<Shard>) -> R + Send + 'static,
) -> Call<R> {
    Shard::with(|shard| {
        if shard.id == to {
            return Call(Way::Now(Some(f(shard))));
        }
        Call(Way::There(shard.crossing.call(shard, to, lane, Inline(f))))
    })
}

/// The answer of a call, to be awaited. Dropped, the call still runs, but nobody hears of it.
///
/// When the machine stops before the body ran, the answer never comes.
pub struct Call<R>(Way<R>);

enum Way<R> {
    Now(Option<R>),
    Here(Option<Task<R>>),
    There(Rc<dyn Answer<R>>),
}

impl<R> Unpin for Call<R> {}

impl<R> Future for Call<R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        match &mut self.0 {
            Way::Now(answer) => Poll::Ready(answer.take().expect("not polled after it was ready")),
            Way::Here(task) => Pin::new(task.as_mut().expect("there until the drop")).poll(context),
            Way::There(answer) => answer.poll(context.waker()),
        }
    }
}

impl<R> Drop for Call<R> {
    fn drop(&mut self) {
        if let Way::Here(task) = &mut self.0
            && let Some(task) = task.take()
        {
            task.detach();
        }
    }
}
