//! Threads that are no shards, the admin server and its like: how they start, and their way in.

use crate::hub::Hub;
use crate::shard::Shard;
use crate::sharded::{Lane, Sharded};
use crate::task::spawn_inline;
use ailurus_model::ShardId;
use rustix::thread::CpuSet;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::thread::JoinHandle;

/// A future that stays on its shard.
pub type LocalBoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// What waits in a shard's queue for outsiders.
pub(crate) type OutsideJob = Box<dyn FnOnce(&Rc<Shard>) + Send>;

/// A door to all shards, for any thread. Each shard has a bounded queue, looked at after its rings.
#[derive(Clone)]
pub struct Outside {
    hub: Arc<Hub>,
}

/// The queue is full or the machine has stopped: say so to whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many jobs wait for that shard.
    #[error("too many requests wait")]
    Overloaded,
    /// The machine has stopped, or stopped before the job was done.
    #[error("the broker is stopping")]
    Stopped,
}

impl Outside {
    /// The door to this machine. To be taken on a shard and given to the thread.
    ///
    /// # Panics
    /// Outside a shard.
    pub fn get() -> Outside {
        Outside { hub: Shard::with(|shard| shard.hub.clone()) }
    }

    /// How many shards there are.
    pub fn shard_count(&self) -> u16 {
        self.hub.shards()
    }

    /// Runs `f` on the part of `service` on shard `to`, in the group of [`Lane::Admin`]. The call is a std future and
    /// can also be waited for.
    pub fn call<S, R: Send + 'static>(
        &self,
        service: Sharded<S>,
        to: ShardId,
        f: impl FnOnce(Rc<S>) -> LocalBoxFuture<R> + Send + 'static,
    ) -> Result<OutsideCall<R>, Refused> {
        let (sender, receiver) = oneshot::channel();
        let job = move |shard: &Rc<Shard>| {
            let Some(part) = service.try_local() else { return };
            let future = f(part);
            spawn_inline(shard, Lane::Admin.group(), async move {
                // The asker may have gone; then nobody misses the answer.
                _ = sender.send(future.await);
            })
            .detach();
        };
        let inbox = self.hub.inboxes.get(usize::from(to.0)).ok_or(Refused::Stopped)?;
        if self.hub.phase.is_stopping() || inbox.closed.load(Ordering::Acquire) {
            return Err(Refused::Stopped);
        }
        inbox.outside.push(Box::new(job)).map_err(|_| Refused::Overloaded)?;
        inbox.wake_if_parked();
        Ok(OutsideCall(Waiting::Unpolled(Some(receiver))))
    }
}

/// Starts a thread that is no shard. It may run on all CPUs of the process, also if it is started on a shard, which may be
/// bound to one of them.
///
/// # Errors
/// What the system says.
pub fn start_thread<T: Send + 'static>(
    name: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let cpus = Shard::try_with(|shard| shard.hub.cpus).flatten();
    start_thread_on(cpus, name, f)
}

/// Starts a thread that may run on `cpus`; if they are not known, on those of the thread that starts it.
pub(crate) fn start_thread_on<T: Send + 'static>(
    cpus: Option<CpuSet>,
    name: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let body = move || {
        if let Some(cpus) = cpus {
            // Refused, it shares a CPU with a shard: slower, not wrong.
            _ = rustix::thread::sched_setaffinity(None, &cpus);
        }
        f()
    };
    #[allow(clippy::disallowed_methods, reason = "rt is the door")]
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// The answer to [`Outside::call`].
pub struct OutsideCall<R>(Waiting<R>);

enum Waiting<R> {
    Unpolled(Option<oneshot::Receiver<R>>),
    Polled(oneshot::AsyncReceiver<R>),
}

impl<R> OutsideCall<R> {
    /// Blocks this thread until the answer is there.
    ///
    /// # Panics
    /// On a shard, which never blocks, or after it was polled.
    pub fn wait(self) -> Result<R, Refused> {
        assert!(Shard::try_with(|_| ()).is_none(), "a shard never blocks");
        match self.0 {
            Waiting::Unpolled(Some(receiver)) => receiver.recv().map_err(|_| Refused::Stopped),
            _ => panic!("a call is either polled or waited for"),
        }
    }
}

impl<R> Future for OutsideCall<R> {
    type Output = Result<R, Refused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Waiting::Unpolled(receiver) = &mut self.0 {
            let receiver = receiver.take().expect("there until the first poll");
            self.0 = Waiting::Polled(receiver.into_future());
        }
        match &mut self.0 {
            Waiting::Polled(receiver) => Pin::new(receiver).poll(context).map_err(|_| Refused::Stopped),
            Waiting::Unpolled(_) => unreachable!("just replaced"),
        }
    }
}
