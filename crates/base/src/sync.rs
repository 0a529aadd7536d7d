//! Waiting for a change on the same shard.
//!
//! What always holds: a waiter is woken in the order in which it began to wait, no wake is lost between the check of a
//! condition and the wait for it (both happen in one poll), and dropping a waiting future takes it out of the queue.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A queue of tasks that wait for "something changed". Level-triggered use: check, then `notified().await`, check again.
#[derive(Default)]
pub struct Notify {
    waiters: RefCell<Waiters>,
}

#[derive(Default)]
struct Waiters {
    next_ticket: u64,
    queue: VecDeque<(u64, Option<Waker>)>,
}

impl Notify {
    /// A queue in which nobody waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes all who wait now.
    pub fn notify_all(&self) {
        let woken = std::mem::take(&mut self.waiters.borrow_mut().queue);
        for waker in woken.into_iter().filter_map(|(_, waker)| waker) {
            waker.wake();
        }
    }

    /// True if nobody waits.
    pub fn is_idle(&self) -> bool {
        self.waiters.borrow().queue.is_empty()
    }

    /// Completes at the first `notify_all` after this call (not after the first poll).
    pub fn notified(&self) -> Notified<'_> {
        let mut waiters = self.waiters.borrow_mut();
        let ticket = waiters.next_ticket;
        waiters.next_ticket += 1;
        waiters.queue.push_back((ticket, None));
        Notified { notify: self, ticket }
    }

    /// Waits until `condition` answers; it is asked now and after every `notify_all`.
    pub async fn until<T>(&self, mut condition: impl FnMut() -> Option<T>) -> T {
        loop {
            let notified = self.notified();
            if let Some(answer) = condition() {
                return answer;
            }
            notified.await;
        }
    }
}

/// See [`Notify::notified`].
pub struct Notified<'a> {
    notify: &'a Notify,
    ticket: u64,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut waiters = self.notify.waiters.borrow_mut();
        match waiters.queue.binary_search_by_key(&self.ticket, |(ticket, _)| *ticket) {
            Ok(place) => {
                let waker = &mut waiters.queue[place].1;
                if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    *waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
            Err(_) => Poll::Ready(()),
        }
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let mut waiters = self.notify.waiters.borrow_mut();
        if let Ok(place) = waiters.queue.binary_search_by_key(&self.ticket, |(ticket, _)| *ticket) {
            waiters.queue.remove(place);
        }
    }
}

/// A value that others on the shard watch, such as a high watermark.
#[derive(Default)]
pub struct Watch<T> {
    value: Cell<T>,
    changed: Notify,
}

impl<T: Copy + PartialEq> Watch<T> {
    /// Starts at `value`.
    pub fn new(value: T) -> Self {
        Watch { value: Cell::new(value), changed: Notify::new() }
    }

    /// The value now.
    pub fn get(&self) -> T {
        self.value.get()
    }

    /// Changes the value and wakes all watchers; an equal value wakes nobody.
    pub fn set(&self, value: T) {
        if self.value.replace(value) != value {
            self.changed.notify_all();
        }
    }

    /// Waits until the value satisfies `wanted` and gives it back.
    pub async fn until(&self, mut wanted: impl FnMut(T) -> bool) -> T {
        self.changed
            .until(|| {
                let value = self.get();
                wanted(value).then_some(value)
            })
            .await
    }

    /// The queue that is notified at each change, for those who wait for several things.
    pub fn changed(&self) -> &Notify {
        &self.changed
    }
}

/// One value, handed once from one task to another on the same shard.
pub mod oneshot {
    use super::*;

    struct Slot<T> {
        value: Option<T>,
        waker: Option<Waker>,
        closed: bool,
    }

    /// The giving end. Dropped without a value, the receiver gets [`Dropped`].
    pub struct Sender<T>(Rc<RefCell<Slot<T>>>);

    /// The waiting end: a future of the value.
    pub struct Receiver<T>(Rc<RefCell<Slot<T>>>);

    /// The sender went away without a value.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Dropped;

    /// A connected pair.
    pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let slot = Rc::new(RefCell::new(Slot { value: None, waker: None, closed: false }));
        (Sender(slot.clone()), Receiver(slot))
    }

    impl<T> Sender<T> {
        /// Hands the value over; gives it back if nobody waits any more.
        pub fn send(self, value: T) -> Result<(), T> {
            if self.is_abandoned() {
                return Err(value);
            }
            self.0.borrow_mut().value = Some(value);
            Ok(())
        }

        /// True if the receiver was dropped.
        pub fn is_abandoned(&self) -> bool {
            Rc::strong_count(&self.0) == 1
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            let waker = {
                let mut slot = self.0.borrow_mut();
                slot.closed = true;
                slot.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    impl<T> Future for Receiver<T> {
        type Output = Result<T, Dropped>;

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let mut slot = self.0.borrow_mut();
            if let Some(value) = slot.value.take() {
                return Poll::Ready(Ok(value));
            }
            if slot.closed {
                return Poll::Ready(Err(Dropped));
            }
            slot.waker = Some(context.waker().clone());
            Poll::Pending
        }
    }
}

/// Units that are lent and come back, granted strictly in the order of asking.
///
/// A large request at the head of the queue is not overtaken by small ones behind it, so nobody starves.
pub struct Semaphore {
    state: RefCell<SemaphoreState>,
}

struct SemaphoreState {
    free: u64,
    next_ticket: u64,
    queue: VecDeque<SemaphoreWaiter>,
}

struct SemaphoreWaiter {
    ticket: u64,
    units: u64,
    granted: bool,
    waker: Option<Waker>,
}

impl Semaphore {
    /// A semaphore with `units` to lend.
    pub fn new(units: u64) -> Rc<Self> {
        Rc::new(Semaphore {
            state: RefCell::new(SemaphoreState { free: units, next_ticket: 0, queue: VecDeque::new() }),
        })
    }

    /// Units that nobody holds.
    pub fn free(&self) -> u64 {
        self.state.borrow().free
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.state.borrow().queue.iter().filter(|waiter| !waiter.granted).count()
    }

    /// Takes `units` now, or nothing if they are not free or others wait already.
    pub fn try_acquire(self: &Rc<Self>, units: u64) -> Option<Units> {
        let mut state = self.state.borrow_mut();
        if state.free < units || state.queue.iter().any(|waiter| !waiter.granted) {
            return None;
        }
        state.free -= units;
        Some(Units { semaphore: self.clone(), units })
    }

    /// Waits for its turn and for `units`. Never completes if `units` exceeds what exists: check against that first.
    pub fn acquire(self: &Rc<Self>, units: u64) -> Acquire {
        let mut state = self.state.borrow_mut();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.queue.push_back(SemaphoreWaiter { ticket, units, granted: false, waker: None });
        state.grant();
        Acquire { semaphore: self.clone(), ticket: Some(ticket) }
    }

    fn put_back(&self, units: u64) {
        let mut state = self.state.borrow_mut();
        state.free += units;
        state.grant();
    }
}

impl SemaphoreState {
    fn grant(&mut self) {
        for waiter in self.queue.iter_mut().filter(|waiter| !waiter.granted) {
            if self.free < waiter.units {
                break;
            }
            self.free -= waiter.units;
            waiter.granted = true;
            if let Some(waker) = waiter.waker.take() {
                waker.wake();
            }
        }
    }

    fn place(&self, ticket: u64) -> usize {
        self.queue
            .binary_search_by_key(&ticket, |waiter| waiter.ticket)
            .expect("a waiter stays queued until it is done")
    }
}

/// Units on loan; dropping them gives them back.
pub struct Units {
    semaphore: Rc<Semaphore>,
    units: u64,
}

impl Units {
    /// How many are held.
    pub fn count(&self) -> u64 {
        self.units
    }

    /// Takes `units` of these into a loan of their own.
    ///
    /// # Panics
    /// If fewer are held.
    pub fn split(&mut self, units: u64) -> Units {
        self.units = self.units.checked_sub(units).expect("no more can be split off than is held");
        Units { semaphore: self.semaphore.clone(), units }
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        self.semaphore.put_back(self.units);
    }
}

/// See [`Semaphore::acquire`].
pub struct Acquire {
    semaphore: Rc<Semaphore>,
    ticket: Option<u64>,
}

impl Future for Acquire {
    type Output = Units;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Units> {
        let ticket = self.ticket.expect("not polled after it was ready");
        let mut state = self.semaphore.state.borrow_mut();
        let place = state.place(ticket);
        if !state.queue[place].granted {
            state.queue[place].waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let units = state.queue.remove(place).expect("just found").units;
        drop(state);
        self.ticket = None;
        Poll::Ready(Units { semaphore: self.semaphore.clone(), units })
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.semaphore.state.borrow_mut();
        let place = state.place(ticket);
        let waiter = state.queue.remove(place).expect("just found");
        if waiter.granted {
            state.free += waiter.units;
        }
        state.grant();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_notify_between_check_and_wait_is_not_lost() {
        let notify = Notify::new();
        let mut notified = pin!(notify.notified());
        notify.notify_all();
        assert!(poll(notified.as_mut()).is_ready());
    }

    #[test]
    fn a_dropped_waiter_leaves_the_queue() {
        let notify = Notify::new();
        drop(notify.notified());
        assert!(notify.is_idle());
    }

    #[test]
    fn a_watch_wakes_at_the_wanted_value() {
        let watch = Watch::new(1);
        let mut wait = pin!(watch.until(|value| value >= 3));
        assert!(poll(wait.as_mut()).is_pending());
        watch.set(2);
        assert!(poll(wait.as_mut()).is_pending());
        watch.set(3);
        assert_eq!(poll(wait.as_mut()), Poll::Ready(3));
    }

    #[test]
    fn a_oneshot_tells_of_a_dropped_sender() {
        let (sender, receiver) = oneshot::channel::<u8>();
        drop(sender);
        assert_eq!(poll(pin!(receiver)), Poll::Ready(Err(oneshot::Dropped)));
        let (sender, receiver) = oneshot::channel();
        assert_eq!(sender.send(7), Ok(()));
        assert_eq!(poll(pin!(receiver)), Poll::Ready(Ok(7)));
    }

    #[test]
    fn a_large_request_is_not_overtaken() {
        let semaphore = Semaphore::new(10);
        let held = semaphore.try_acquire(6).expect("free");
        let mut large = pin!(semaphore.acquire(8));
        assert!(poll(large.as_mut()).is_pending());
        assert!(semaphore.try_acquire(1).is_none());
        let mut small = pin!(semaphore.acquire(1));
        assert!(poll(small.as_mut()).is_pending());
        drop(held);
        assert!(poll(large.as_mut()).is_ready());
        assert!(poll(small.as_mut()).is_ready());
    }

    #[test]
    fn a_cancelled_request_returns_what_it_was_granted() {
        let semaphore = Semaphore::new(4);
        let waiting = semaphore.acquire(4);
        assert_eq!(semaphore.free(), 0);
        drop(waiting);
        assert_eq!(semaphore.free(), 4);
    }
}
