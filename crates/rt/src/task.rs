//! Tasks: what a shard runs.
//!
//! What always holds: a task is polled and dropped only on its shard, whoever wakes it. Every task that has not ended is
//! in the shard's registry, so that at the end all of them can be dropped there.

use crate::group::Group;
use crate::hub::{Inbound, Inbox};
use crate::shard::Shard;
use async_task::Runnable;
use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A spawned task: the future of its result. Dropped, the task is cancelled (its future is dropped on the next turn).
#[must_use = "a dropped task is cancelled; detach it to let it run"]
pub struct Task<T> {
    inner: Option<async_task::Task<T>>,
    _on_its_shard: PhantomData<*const ()>,
}

impl<T> Task<T> {
    /// Lets the task run on its own.
    pub fn detach(mut self) {
        if let Some(task) = self.inner.take() {
            task.detach();
        }
    }

    /// True if its result is ready.
    pub fn is_finished(&self) -> bool {
        self.inner.as_ref().is_none_or(async_task::Task::is_finished)
    }

    /// Cancels the task and waits until its future is dropped; its result if it had ended before.
    pub async fn cancel(mut self) -> Option<T> {
        match self.inner.take() {
            Some(task) => task.cancel().await,
            None => None,
        }
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let task = self.inner.as_mut().expect("not detached while it is awaited");
        Pin::new(task).poll(context)
    }
}

/// Starts `future` as a task of `group` on this shard. It runs on a later turn, not inside the call.
///
/// # Panics
/// Outside a shard.
pub fn spawn<T: 'static>(group: Group, future: impl Future<Output = T> + 'static) -> Task<T> {
    Shard::with(|shard| {
        let (runnable, task) = make(shard, group, future);
        runnable.schedule();
        task
    })
}

/// Starts `future` as a task and polls it once, now.
pub(crate) fn spawn_inline<T: 'static>(
    shard: &Rc<Shard>,
    group: Group,
    future: impl Future<Output = T> + 'static,
) -> Task<T> {
    let (runnable, task) = make(shard, group, future);
    runnable.run();
    task
}

fn make<T: 'static>(shard: &Rc<Shard>, group: Group, future: impl Future<Output = T> + 'static) -> (Runnable, Task<T>) {
    let place = shard.tasks.reserve();
    let future = Registered { future, _entry: Entry { place, registry: shard.tasks.clone() } };
    let inbox = shard.inbox.clone();
    let schedule = move |runnable| schedule(&inbox, group, runnable);
    // SAFETY: `future` is not `Send`: its runnable goes only into the queues of this shard (`schedule`: into its local
    // queue when it is current, else into its inbox, which only it empties; an inbox that outlives its shard forgets what
    // it holds), so it is polled and dropped on this shard. `schedule` is `Send + Sync + 'static`; the future is
    // `'static`. The task handle is not `Send` (`PhantomData`), so its result stays here as well.
    #[allow(unsafe_code, reason = "see SAFETY")]
    let (runnable, task) = unsafe { async_task::Builder::new().spawn_unchecked(|()| future, schedule) };
    shard.tasks.fill(place, runnable.waker());
    (runnable, Task { inner: Some(task), _on_its_shard: PhantomData })
}

fn schedule(inbox: &Arc<Inbox>, group: Group, runnable: Runnable) {
    let mut runnable = Some(runnable);
    Shard::try_with(|shard| {
        if Arc::ptr_eq(&shard.inbox, inbox) {
            let runnable = runnable.take().expect("scheduled once");
            shard.queues.borrow_mut().push(group, runnable);
        }
    });
    if let Some(runnable) = runnable {
        inbox.push(Inbound::Wake(group, runnable));
    }
}

/// The wakers of all tasks of a shard that have not ended.
#[derive(Default)]
pub(crate) struct Registry {
    slots: RefCell<Slots>,
}

#[derive(Default)]
struct Slots {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
    live: usize,
}

impl Registry {
    fn reserve(&self) -> usize {
        let mut slots = self.slots.borrow_mut();
        slots.live += 1;
        slots.free.pop().unwrap_or_else(|| {
            slots.wakers.push(None);
            slots.wakers.len() - 1
        })
    }

    fn fill(&self, place: usize, waker: Waker) {
        self.slots.borrow_mut().wakers[place] = Some(waker);
    }

    /// How many tasks have not ended.
    pub(crate) fn live(&self) -> usize {
        self.slots.borrow().live
    }

    /// The wakers of all that have not ended.
    pub(crate) fn wakers(&self) -> Vec<Waker> {
        self.slots.borrow().wakers.iter().flatten().cloned().collect()
    }
}

/// Takes the task out of the registry when its future is dropped.
struct Entry {
    place: usize,
    registry: Rc<Registry>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let waker = {
            let mut slots = self.registry.slots.borrow_mut();
            slots.live -= 1;
            slots.free.push(self.place);
            slots.wakers[self.place].take()
        };
        drop(waker);
    }
}

struct Registered<F> {
    future: F,
    _entry: Entry,
}

impl<F: Future> Future for Registered<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: a projection to the one field that is pinned; it is never moved out, and `Registered` has no `Drop`.
        #[allow(unsafe_code, reason = "see SAFETY")]
        let future = unsafe { self.map_unchecked_mut(|this| &mut this.future) };
        future.poll(context)
    }
}

/// True if the running task has used up its slice: it should `yield_now` at its next safe point.
pub fn need_preempt() -> bool {
    Shard::try_with(|shard| match &shard.machine {
        crate::shard::Machine::Real(_) => shard.now_ns() >= shard.slice_end_ns.get(),
        #[cfg(feature = "sim")]
        crate::shard::Machine::Sim(_) => shard.random.below(8) == 0,
    })
    .unwrap_or(false)
}

/// Lets others run if this task has used up its slice. Every loop of background work calls this.
pub async fn yield_if_needed() {
    if need_preempt() {
        yield_now().await;
    }
}

/// Lets every other ready task of the group run first.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
