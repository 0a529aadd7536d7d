//! Calls from one shard to another: what travels, who may touch it when, and the credits that bound it.
//!
//! ```text
//!  origin                                   owner
//!  on(..): one allocation, holds a credit
//!     |-- requests ring ------------------> body runs inline, credit back (a counter that the origin reads)
//!     |                                     ... or a future stays, and answers whenever it likes
//!     | <------------------ returns ring -- the same allocation with the answer in it
//!  wakes the caller, frees the allocation
//! ```
//!
//! What always holds:
//! - An allocation is made and freed on the origin. While it is away, the origin touches only its `waker` and
//!   `home` cells and its reference count; the owner touches only its `load`.
//! - Requests never overflow their ring: credits of all lanes together are at most its capacity.
//! - Returns are never refused: beyond their ring they wait in a queue of the sender.
//! - Bodies start in the order of the calls, per (from, to, lane), also those that waited for a credit.

use crate::executor::QUOTA_NS;
use crate::group::Group;
use crate::hub::Hub;
use crate::ring::{Consumer, Producer, ring};
use crate::shard::Shard;
use crate::sharded::Lane;
use crate::task::spawn_inline;
use ailurus_model::ShardId;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

/// Number of lanes.
pub(crate) const LANES: usize = 4;

/// Bodies served from one peer before others get their turn.
const SERVE_MAX: usize = 128;

/// Called on the owner; must arrange for exactly one homecoming.
pub(crate) trait Body<R>: Send + 'static {
    fn start(self, shard: &Rc<Shard>, homeward: Homeward<R>);
}

/// A call as it travels: the pointer that `Rc::into_raw` gave, and what may be done with it. It stays a raw pointer
/// away from home: the origin may free the allocation as soon as it is back, while the owner is still returning.
pub(crate) struct Parcel {
    cell: *const (),
    verbs: &'static Verbs,
}

// SAFETY: the pointer comes from `Rc::into_raw` on the origin and becomes an `Rc` again only there. In between the owner
// calls `Verbs::start`, which touches only the `load`, whose contents are `Send` (bounds of `CallCell`).
#[allow(unsafe_code, reason = "see SAFETY above")]
unsafe impl Send for Parcel {}

struct Verbs {
    /// Runs the body. On the owner, once, by whoever holds the parcel.
    start: unsafe fn(Parcel, ShardId, &Rc<Shard>),
    /// The answer (or the news that there will be none) is home. On the origin, once; takes the count back.
    arrived: unsafe fn(*const ()),
}

/// What goes from a caller to the shard it calls.
pub(crate) struct Request {
    parcel: Parcel,
    lane: Lane,
}

/// What goes home.
pub(crate) enum Return {
    /// An answered call.
    Call(Parcel),
    /// A value that may only be dropped at home.
    Value(Box<dyn Send>),
    /// A buffer for its slab.
    Buffer(crate::dma::Block),
}

struct CallCell<B, R> {
    waker: Cell<Option<Waker>>,
    home: Cell<bool>,
    load: UnsafeCell<Load<B, R>>,
}

struct Load<B, R> {
    body: Option<B>,
    answer: Option<R>,
}

impl<B: Body<R>, R: Send + 'static> CallCell<B, R> {
    const VERBS: Verbs = Verbs { start: Self::start, arrived: Self::arrived };

    /// Puts the cell on its way. The count that the parcel stands for is taken back by `arrived`.
    fn pack(self: &Rc<Self>) -> Parcel {
        Parcel { cell: Rc::into_raw(self.clone()).cast(), verbs: &Self::VERBS }
    }

    /// # Safety
    /// `parcel` was packed by a cell of this very type and has not been started.
    #[allow(unsafe_code, reason = "the obligation is stated above")]
    unsafe fn start(parcel: Parcel, origin: ShardId, shard: &Rc<Shard>) {
        let cell = parcel.cell.cast::<Self>();
        // SAFETY: the allocation lives until the parcel is home, and we hold the parcel, so `load` is ours alone. No
        // reference to the cell is made, only to the body for a moment; `Homeward` uses `answer` once, before the parcel
        // leaves.
        let (body, answer) = unsafe {
            let load = UnsafeCell::raw_get(&raw const (*cell).load);
            ((*load).body.take(), &raw mut (*load).answer)
        };
        let body = body.expect("a call is served once");
        body.start(shard, Homeward { parcel: Some(parcel), answer, origin });
    }

    /// # Safety
    /// `cell` is from a parcel that `pack` made on this shard, back for the first time.
    #[allow(unsafe_code, reason = "the obligation is stated above")]
    unsafe fn arrived(cell: *const ()) {
        // SAFETY: the count that `pack` gave away comes back here, once; the owner has let go.
        let call = unsafe { Rc::from_raw(cell.cast::<Self>()) };
        call.home.set(true);
        if let Some(waker) = call.waker.take() {
            waker.wake();
        }
    }
}

/// The origin's view of a call: polled for the answer.
pub(crate) trait Answer<R> {
    fn poll(&self, waker: &Waker) -> Poll<R>;
}

impl<B: Body<R>, R: Send + 'static> Answer<R> for CallCell<B, R> {
    fn poll(&self, waker: &Waker) -> Poll<R> {
        if self.home.get() {
            // SAFETY: `home` is set on the origin when the parcel has come back: the owner is done with `load`.
            #[allow(unsafe_code, reason = "see SAFETY")]
            if let Some(answer) = unsafe { (*self.load.get()).answer.take() } {
                return Poll::Ready(answer);
            }
            // No answer will come (the machine stops): the caller waits until it is dropped.
        }
        let mut mine = self.waker.take();
        if !mine.as_ref().is_some_and(|mine| mine.will_wake(waker)) {
            mine = Some(waker.clone());
        }
        self.waker.set(mine);
        Poll::Pending
    }
}

/// The duty to send a call home, with an answer or (dropped) without one. Lives on the owner.
pub(crate) struct Homeward<R> {
    parcel: Option<Parcel>,
    answer: *mut Option<R>,
    origin: ShardId,
}

impl<R> Homeward<R> {
    pub(crate) fn answer(self, answer: R) {
        // SAFETY: the parcel is still here (`Some` until the drop below), so `load` is ours alone and alive.
        #[allow(unsafe_code, reason = "see SAFETY")]
        unsafe {
            *self.answer = Some(answer);
        }
    }
}

impl<R> Drop for Homeward<R> {
    fn drop(&mut self) {
        let parcel = self.parcel.take().expect("sent home once");
        Shard::with(|shard| shard.crossing.send_home(shard, self.origin, Return::Call(parcel)));
    }
}

/// A body that answers at once.
pub(crate) struct Inline<F>(pub(crate) F);

impl<R: 'static, F: FnOnce(&Rc<Shard>) -> R + Send + 'static> Body<R> for Inline<F> {
    fn start(self, shard: &Rc<Shard>, homeward: Homeward<R>) {
        homeward.answer((self.0)(shard));
    }
}

/// A body whose future answers. Its first poll is inline; after it, the future is a task of `group`.
pub(crate) struct Deferred<F>(pub(crate) Group, pub(crate) F);

impl<R, Fut, F> Body<R> for Deferred<F>
where
    R: 'static,
    Fut: Future<Output = R> + 'static,
    F: FnOnce(&Rc<Shard>) -> Fut + Send + 'static,
{
    fn start(self, shard: &Rc<Shard>, homeward: Homeward<R>) {
        let future = (self.1)(shard);
        spawn_inline(shard, self.0, async move { homeward.answer(future.await) }).detach();
    }
}

/// A shard's ends of all rings.
pub(crate) struct Crossing {
    peers: Vec<Option<Peer>>,
    /// Some peer has unseen news from us.
    dirty_any: Cell<bool>,
    /// Some call waits for a credit.
    waiting_any: Cell<usize>,
    /// The peer that is served first: the one after the last that used up [`QUOTA_NS`].
    next: Cell<usize>,
    credits: u32,
}

struct Peer {
    id: ShardId,
    requests_out: Producer<Request>,
    returns_out: Producer<Return>,
    requests_in: Consumer<Request>,
    returns_in: Consumer<Return>,
    /// Returns that found their ring full.
    backlog: RefCell<VecDeque<Return>>,
    sent: [Cell<u32>; LANES],
    waiting: [RefCell<VecDeque<Request>>; LANES],
    dirty: Cell<bool>,
}

/// The ends of all rings of `shards` shards, one [`Crossing`] each.
pub(crate) fn connect(shards: u16, credits: u16) -> Vec<Crossing> {
    let credits = u32::from(credits.max(1));
    let capacity = credits as usize * LANES;
    let mut table: Vec<Vec<Option<Peer>>> = (0..shards).map(|_| (0..shards).map(|_| None).collect()).collect();
    for a in 0..shards {
        for b in 0..a {
            let (ab, ab_in) = ring(capacity);
            let (ba, ba_in) = ring(capacity);
            let (ab_home, ab_home_in) = ring(capacity);
            let (ba_home, ba_home_in) = ring(capacity);
            table[usize::from(a)][usize::from(b)] = Some(Peer::new(ShardId(b), ab, ab_home, ba_in, ba_home_in));
            table[usize::from(b)][usize::from(a)] = Some(Peer::new(ShardId(a), ba, ba_home, ab_in, ab_home_in));
        }
    }
    let crossing =
        |peers| Crossing { peers, dirty_any: Cell::new(false), waiting_any: Cell::new(0), next: Cell::new(0), credits };
    table.into_iter().map(crossing).collect()
}

impl Peer {
    fn new(
        id: ShardId,
        requests_out: Producer<Request>,
        returns_out: Producer<Return>,
        requests_in: Consumer<Request>,
        returns_in: Consumer<Return>,
    ) -> Self {
        Peer {
            id,
            requests_out,
            returns_out,
            requests_in,
            returns_in,
            backlog: RefCell::default(),
            sent: Default::default(),
            waiting: Default::default(),
            dirty: Cell::new(false),
        }
    }

    fn free_credits(&self, hub: &Hub, me: ShardId, lane: Lane, credits: u32) -> u32 {
        let served = hub.lanes(me, self.id).served[lane as usize].load(Ordering::Acquire);
        credits - self.sent[lane as usize].get().wrapping_sub(served)
    }
}

impl Crossing {
    fn peer(&self, id: ShardId) -> &Peer {
        self.peers[usize::from(id.0)].as_ref().expect("a shard does not cross to itself")
    }

    /// Sends a call. It goes at once if a credit is free and nobody waits before it, else when its turn comes.
    pub(crate) fn call<B: Body<R>, R: Send + 'static>(
        &self,
        shard: &Rc<Shard>,
        to: ShardId,
        lane: Lane,
        body: B,
    ) -> Rc<dyn Answer<R>> {
        let cell = Rc::new(CallCell {
            waker: Cell::new(None),
            home: Cell::new(false),
            load: UnsafeCell::new(Load { body: Some(body), answer: None }),
        });
        let request = Request { parcel: cell.pack(), lane };
        shard.stats.crossings[lane as usize].add(1);
        let peer = self.peer(to);
        if self.has_room(shard, to, lane) {
            self.send(shard, peer, request);
        } else {
            shard.stats.credit_waits.add(1);
            peer.waiting[lane as usize].borrow_mut().push_back(request);
            self.waiting_any.set(self.waiting_any.get() + 1);
            shard.hub.lanes(shard.id, to).wanted.store(true, Ordering::SeqCst);
        }
        cell
    }

    /// True if a call would go at once.
    pub(crate) fn has_room(&self, shard: &Shard, to: ShardId, lane: Lane) -> bool {
        let peer = self.peer(to);
        peer.waiting[lane as usize].borrow().is_empty()
            && peer.free_credits(&shard.hub, shard.id, lane, self.credits) > 0
    }

    fn send(&self, shard: &Shard, peer: &Peer, request: Request) {
        let sent = &peer.sent[request.lane as usize];
        sent.set(sent.get().wrapping_add(1));
        assert!(peer.requests_out.push(request).is_ok(), "credits of all lanes fit the ring");
        shard.published(peer.id, Direction::Request);
        self.mark(peer);
    }

    /// Sends something home; never refused.
    pub(crate) fn send_home(&self, shard: &Shard, to: ShardId, value: Return) {
        let peer = self.peer(to);
        let mut backlog = peer.backlog.borrow_mut();
        let refused = if backlog.is_empty() { peer.returns_out.push(value).err() } else { Some(value) };
        match refused {
            None => shard.published(to, Direction::Return),
            Some(value) => backlog.push_back(value),
        }
        drop(backlog);
        self.mark(peer);
    }

    fn mark(&self, peer: &Peer) {
        peer.dirty.set(true);
        self.dirty_any.set(true);
    }

    /// True if somebody may have to be told of something: [`Crossing::flush`] is due.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty_any.get()
    }

    /// Moves what waits, as far as rings and credits allow, and rings the bell of each peer with news.
    pub(crate) fn flush(&self, shard: &Shard) {
        if self.waiting_any.get() > 0 {
            self.send_waiting(shard);
        }
        if !self.dirty_any.replace(false) {
            return;
        }
        for peer in self.peers.iter().flatten().filter(|peer| peer.dirty.get()) {
            let mut backlog = peer.backlog.borrow_mut();
            while let Some(value) = backlog.pop_front() {
                match peer.returns_out.push(value) {
                    Ok(()) => shard.published(peer.id, Direction::Return),
                    Err(value) => {
                        backlog.push_front(value);
                        break;
                    }
                }
            }
            // With a backlog the peer has a full ring to empty; we look again on our next turn.
            peer.dirty.set(!backlog.is_empty());
            self.dirty_any.set(self.dirty_any.get() | !backlog.is_empty());
            drop(backlog);
            shard.hub.inbox(peer.id).wake_if_parked();
        }
    }

    fn send_waiting(&self, shard: &Shard) {
        for peer in self.peers.iter().flatten() {
            let mut left = 0;
            for lane in Lane::ALL {
                let mut waiting = peer.waiting[lane as usize].borrow_mut();
                while !waiting.is_empty() && peer.free_credits(&shard.hub, shard.id, lane, self.credits) > 0 {
                    let request = waiting.pop_front().expect("just looked");
                    self.waiting_any.set(self.waiting_any.get() - 1);
                    self.send(shard, peer, request);
                }
                left += waiting.len();
            }
            if left == 0 {
                shard.hub.lanes(shard.id, peer.id).wanted.store(false, Ordering::SeqCst);
            }
        }
    }

    /// Takes what came home and runs bodies that came from others, for a while.
    pub(crate) fn serve_all(&self, shard: &Rc<Shard>) {
        for peer in self.peers.iter().flatten() {
            for _ in 0..SERVE_MAX {
                if !self.take_home(peer) {
                    break;
                }
            }
        }
        let mut clock = None;
        for place in 0..self.peers.len() {
            let at = (self.next.get() + place) % self.peers.len();
            let Some(peer) = &self.peers[at] else { continue };
            if !self.serve_peer(shard, peer, &mut clock) {
                self.next.set(at + 1);
                return;
            }
        }
    }

    /// Runs bodies that came from `peer`; false if the time for all of them is used up. `clock` holds when the first body
    /// began and what time it is now: nobody looks at it where there is nothing to do.
    fn serve_peer(&self, shard: &Rc<Shard>, peer: &Peer, clock: &mut Option<(u64, u64)>) -> bool {
        for _ in 0..SERVE_MAX {
            if peer.requests_in.is_empty() {
                break;
            }
            let (begun, now) = *clock.get_or_insert_with(|| {
                let now = shard.now_ns();
                (now, now)
            });
            let after = self.serve(shard, peer, now).unwrap_or(now);
            *clock = Some((begun, after));
            if after - begun >= QUOTA_NS {
                return false;
            }
        }
        true
    }

    /// Serves or takes exactly one message of one pair (simulation).
    #[cfg(feature = "sim")]
    pub(crate) fn deliver(&self, shard: &Rc<Shard>, from: ShardId, direction: Direction) -> bool {
        let peer = self.peer(from);
        match direction {
            Direction::Request => self.serve(shard, peer, shard.now_ns()).is_some(),
            Direction::Return => self.take_home(peer),
        }
    }

    /// Runs the next body of `peer`, if there is one; the time after it.
    fn serve(&self, shard: &Rc<Shard>, peer: &Peer, now: u64) -> Option<u64> {
        let Request { parcel, lane } = peer.requests_in.pop()?;
        let after = shard.run_called(lane.group(), now, || {
            // SAFETY: the parcel came out of the ring of requests, so nobody has started it; its verbs are those of its
            // cell.
            #[allow(unsafe_code, reason = "see SAFETY")]
            unsafe {
                (parcel.verbs.start)(parcel, peer.id, shard);
            }
        });
        let lanes = shard.hub.lanes(peer.id, shard.id);
        let served = &lanes.served[lane as usize];
        // SeqCst, as is `wanted`: either we see that a credit is wanted, or the waiter sees the credit before it sleeps.
        served.store(served.load(Ordering::Relaxed).wrapping_add(1), Ordering::SeqCst);
        if lanes.wanted.load(Ordering::SeqCst) {
            self.mark(peer);
        }
        Some(after)
    }

    fn take_home(&self, peer: &Peer) -> bool {
        match peer.returns_in.pop() {
            Some(value) => {
                value.arrive();
                true
            }
            None => false,
        }
    }

    /// True if [`Crossing::serve_all`] or [`Crossing::flush`] would find something to do.
    pub(crate) fn has_news(&self, shard: &Shard) -> bool {
        self.peers.iter().flatten().any(|peer| !peer.returns_in.is_empty() || !peer.requests_in.is_empty())
            || (self.waiting_any.get() > 0 && self.may_send_waiting(shard))
    }

    fn may_send_waiting(&self, shard: &Shard) -> bool {
        self.peers.iter().flatten().any(|peer| {
            Lane::ALL.into_iter().any(|lane| {
                !peer.waiting[lane as usize].borrow().is_empty()
                    && peer.free_credits(&shard.hub, shard.id, lane, self.credits) > 0
            })
        })
    }

    /// True if nothing of ours waits for room.
    #[cfg(feature = "sim")]
    pub(crate) fn is_flushed(&self) -> bool {
        self.peers.iter().flatten().all(|peer| peer.backlog.borrow().is_empty())
    }

    /// The machine stops: bodies are not run any more, they go back without an answer; calls that waited are dropped.
    pub(crate) fn drain_without_serving(&self, shard: &Rc<Shard>) -> bool {
        let mut any = false;
        for peer in self.peers.iter().flatten() {
            while self.take_home(peer) {
                any = true;
            }
            while let Some(request) = peer.requests_in.pop() {
                self.send_home(shard, peer.id, Return::Call(request.parcel));
                any = true;
            }
            for waiting in &peer.waiting {
                let requests = std::mem::take(&mut *waiting.borrow_mut());
                for request in requests {
                    Return::Call(request.parcel).arrive();
                }
            }
        }
        self.waiting_any.set(0);
        any
    }
}

/// Which ring of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Direction {
    Request,
    Return,
}

impl Return {
    /// At home.
    pub(crate) fn arrive(self) {
        match self {
            Return::Call(parcel) => {
                // SAFETY: we are on the origin (returns go to it only), and a parcel comes back once.
                #[allow(unsafe_code, reason = "see SAFETY")]
                unsafe {
                    (parcel.verbs.arrived)(parcel.cell);
                }
            }
            Return::Value(value) => drop(value),
            Return::Buffer(block) => Shard::with(|shard| shard.slab.put(block)),
        }
    }
}

impl Return {
    /// The home shard has ended. Memory is freed; a value that may only be dropped there is left alone.
    pub(crate) fn home_is_gone(self) {
        match self {
            Return::Buffer(block) => drop(block),
            Return::Value(value) => std::mem::forget(value),
            Return::Call(_) => {}
        }
    }
}
