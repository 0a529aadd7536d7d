//! TCP: listeners that spread connections over the shards or keep them, and connections in two halves.
//!
//! What always holds: bytes arrive in order and none is lost; a read that was dropped half-way poisons its half, because
//! it may have taken bytes with it; an idle connection holds a read-ahead buffer of [`READ_AHEAD`] bytes and no more.
//! There is no simulated network yet: in simulation, binding, connecting and resolving fail with `Unsupported`.

use crate::blocking::run_blocking;
use crate::dma::{self, DmaBuf};
use crate::driver::{Driver, Held};
use crate::gate::Abort;
use crate::group::Group;
use crate::hub::{Hub, Inbox};
use crate::shard::Shard;
use crate::sharded::{Lane, call_inline};
use crate::task::spawn;
use crate::time::{now, sleep};
use bytes::Bytes;
use compio::BufResult;
use compio::buf::{IntoInner, IoBuf, IoBufMut, IoVectoredBuf, SetLen};
use compio::driver::op::{self, RecvFlags, SendFlags};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

/// Bytes that a connection reads ahead: a small request and its length come with one receive.
pub const READ_AHEAD: usize = 512;
/// Frames up to this size are plain heap memory; larger ones are from the slab and go home.
const SMALL_FRAME: usize = 2048;
/// Buffers per send: the kernel's IOV_MAX.
const PARTS_MAX: usize = 1024;
/// Connections that the kernel accepts for us while we are busy.
const BACKLOG: i32 = 1024;
/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// While accepts go on failing, it is said this often.
const ACCEPT_TOLD: Duration = Duration::from_secs(10);

/// A TCP socket that listens. Bound on one shard, it may be sent to another and serve there.
pub struct Listener {
    socket: Socket,
    addr: SocketAddr,
    most: usize,
}

impl Listener {
    /// Listens on `addr`; port 0 takes a free one. All addresses of IPv6 are those of IPv4 as well.
    ///
    /// # Errors
    /// What the system says, such as `AddrInUse`; `Unsupported` in simulation.
    pub async fn bind(addr: SocketAddr) -> io::Result<Listener> {
        let driver = real_driver()?;
        let socket = new_socket(addr, &driver)?;
        socket.set_reuse_address(true)?;
        if addr.is_ipv6() && addr.ip().is_unspecified() {
            // Whatever the system's default is (net.ipv6.bindv6only).
            socket.set_only_v6(false)?;
        }
        socket.bind(&SockAddr::from(addr))?;
        socket.listen(BACKLOG)?;
        let addr = socket_addr(socket.local_addr()?)?;
        Ok(Listener { socket, addr, most: usize::MAX })
    }

    /// Closes connections as they come while there are `most` on all shards together, and never has more, whichever shards
    /// accept at the same moment. Each takes one of the open files that the process may have, and others need some of those.
    pub fn at_most(self, most: usize) -> Listener {
        Listener { most, ..self }
    }

    /// Where it listens, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts until `stop` is requested and hands each connection to the shard that has the fewest, where `serve` runs
    /// for it as a task of [`Group::Kafka`]. Connections live on when this ends: whoever serves them holds their
    /// [`Closer`]s and a [`crate::Gate`].
    ///
    /// Nothing else ends it. An accept that fails for whatever reason is said, counted and tried again: handles and memory
    /// come back, a firewall changes its mind, and a broker that accepts nobody any more would serve nobody.
    ///
    /// # Panics
    /// In simulation, where nothing can be bound.
    pub async fn serve<F: Future<Output = ()> + 'static>(
        self,
        stop: Abort,
        serve: impl Fn(Conn) -> F + Clone + Send + 'static,
    ) {
        self.accept(stop, with_the_fewest, |socket, counted| {
            let (to, serve) = (counted.inbox.id, serve.clone());
            // Nobody waits for the hand-over; it runs all the same.
            drop(call_inline(to, Lane::Kafka, move |_| begin(socket, counted, &serve)));
        })
        .await;
    }

    /// The same, but every connection stays on this very shard, however many it has.
    ///
    /// # Panics
    /// As [`Listener::serve`].
    pub async fn serve_here<F: Future<Output = ()> + 'static>(self, stop: Abort, serve: impl Fn(Conn) -> F) {
        self.accept(stop, |shard| &shard.inbox, |socket, counted| begin(socket, counted, &serve)).await;
    }

    /// Counts each connection where `choose` says and has it taken.
    async fn accept(self, stop: Abort, choose: impl Fn(&Shard) -> &Arc<Inbox>, take: impl Fn(Socket, Counted)) {
        let Listener { socket, addr, most } = self;
        let driver = real_driver().expect("a listener was bound, so this is no simulation");
        // The shard that bound it may stand on another rung.
        socket.set_nonblocking(!driver.is_uring()).expect("an open socket takes flags");
        let socket = Rc::new(socket);
        let mut requested = pin!(stop.requested());
        let mut told = None;
        loop {
            let mut accept = driver.submit(op::Accept::new(driver.hold(Handle(socket.clone()))));
            // An accept that is dropped here may have taken a connection with it: the client sees it closed, as if it
            // had come a moment later.
            let accepted = std::future::poll_fn(|context| match requested.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => pin!(&mut accept).poll(context).map(Some),
            })
            .await;
            let Some(BufResult(result, accept)) = accepted else { return };
            match result {
                Ok(_) => {
                    let socket = accept.into_inner().0;
                    let counted = Shard::with(|shard| Counted::new(shard, choose(shard)));
                    if counted.place <= most {
                        Shard::with(|shard| shard.stats.accepted.add(1));
                        take(socket, counted);
                    }
                }
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    Shard::with(|shard| shard.stats.accepts_failed.add(1));
                    if told.is_none_or(|told| now() - told >= ACCEPT_TOLD) {
                        tracing::warn!(%error, %addr, "cannot accept connections; it is tried again");
                        told = Some(now());
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Connections of all shards, those on their way to one among them.
pub fn connection_count() -> usize {
    Shard::with(|shard| shard.hub.connections.load(Ordering::Relaxed))
}

/// The shard with the fewest connections.
fn with_the_fewest(shard: &Shard) -> &Arc<Inbox> {
    let least = shard.hub.inboxes.iter().min_by_key(|inbox| inbox.connections.load(Ordering::Relaxed));
    least.expect("there is at least one shard")
}

/// Begins to serve a connection that is counted on this shard.
fn begin<F: Future<Output = ()> + 'static>(socket: Socket, counted: Counted, serve: &impl Fn(Conn) -> F) {
    match Conn::from_socket(socket, counted) {
        Ok(conn) => spawn(Group::Kafka, serve(conn)).detach(),
        Err(error) => tracing::debug!(%error, "a connection was gone before it was served"),
    }
}

/// One connection in the counts of its shard and of all shards.
struct Counted {
    inbox: Arc<Inbox>,
    hub: Arc<Hub>,
    place: usize,
}

impl Counted {
    fn new(shard: &Shard, inbox: &Arc<Inbox>) -> Counted {
        inbox.connections.fetch_add(1, Ordering::Relaxed);
        let before = shard.hub.connections.fetch_add(1, Ordering::Relaxed);
        Counted { inbox: inbox.clone(), hub: shard.hub.clone(), place: before + 1 }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.inbox.connections.fetch_sub(1, Ordering::Relaxed);
        self.hub.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A TCP connection of this shard.
pub struct Conn {
    wire: Rc<Wire>,
}

struct Wire {
    socket: Socket,
    driver: Rc<Driver>,
    peer: SocketAddr,
    local: SocketAddr,
    received: Cell<u64>,
    sent: Cell<u64>,
    counted: Counted,
}

impl Conn {
    /// Connects to `addr`. The connection counts on this shard.
    ///
    /// # Errors
    /// What the system says; `Unsupported` in simulation.
    pub async fn connect(addr: SocketAddr) -> io::Result<Conn> {
        let driver = real_driver()?;
        let socket = Rc::new(new_socket(addr, &driver)?);
        let BufResult(result, operation) =
            driver.submit(op::Connect::new(driver.hold(Handle(socket.clone())), SockAddr::from(addr))).await;
        drop(operation);
        result?;
        let socket = Rc::into_inner(socket).expect("the operation is done and let go of the socket");
        Conn::from_socket(socket, Shard::with(|shard| Counted::new(shard, &shard.inbox)))
    }

    fn from_socket(socket: Socket, counted: Counted) -> io::Result<Conn> {
        let driver = real_driver()?;
        // io_uring waits by itself, but not for a non-blocking socket; epoll needs one.
        socket.set_nonblocking(!driver.is_uring())?;
        socket.set_tcp_nodelay(true)?;
        // As Kafka does: a client that vanished is noticed some day.
        socket.set_keepalive(true)?;
        let peer = socket_addr(socket.peer_addr()?)?;
        let local = socket_addr(socket.local_addr()?)?;
        let (received, sent) = (Cell::new(0), Cell::new(0));
        Ok(Conn { wire: Rc::new(Wire { socket, driver, peer, local, received, sent, counted }) })
    }

    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.wire.peer
    }

    /// This end.
    pub fn local(&self) -> SocketAddr {
        self.wire.local
    }

    /// How many connections there were on all shards when this one came, itself among them. Of two that come at the same
    /// moment one is first, so whoever turns those above a limit away has as many as the limit, and no more.
    pub fn place(&self) -> usize {
        self.wire.counted.place
    }

    /// The two halves. The connection closes when both are dropped.
    pub fn split(self) -> (ConnRx, ConnTx) {
        let rx = ConnRx { wire: self.wire.clone(), ahead: Box::default(), from: 0, to: 0, broken: false };
        (rx, ConnTx { wire: self.wire, broken: false })
    }
}

/// The receiving half.
pub struct ConnRx {
    wire: Rc<Wire>,
    /// Read-ahead; empty until the first read.
    ahead: Box<[u8]>,
    from: usize,
    to: usize,
    broken: bool,
}

impl ConnRx {
    /// Exactly `len` bytes, in a buffer that goes home. `None` if the other end closed before the first of them.
    ///
    /// To give up waiting, use a [`Closer`]. If the future is dropped instead, later reads fail.
    ///
    /// # Errors
    /// `UnexpectedEof` if the other end closed in between; what the system says.
    pub async fn read(&mut self, len: usize) -> io::Result<Option<Bytes>> {
        if self.broken {
            return Err(io::Error::other("an earlier read of this connection was given up"));
        }
        self.broken = true;
        let result = self.read_exactly(len).await;
        self.broken = result.is_err();
        result
    }

    /// Waits until `want` bytes are here, without taking them; false if the other end closed before. For those who want
    /// to see something before they set a large buffer aside.
    ///
    /// # Errors
    /// As [`ConnRx::read`].
    pub async fn fill(&mut self, want: usize) -> io::Result<bool> {
        if self.broken {
            return Err(io::Error::other("an earlier read of this connection was given up"));
        }
        self.broken = true;
        let result = self.fill_ahead(want).await;
        self.broken = result.is_err();
        result
    }

    async fn fill_ahead(&mut self, want: usize) -> io::Result<bool> {
        while self.to - self.from < want {
            if self.receive_ahead(want.max(READ_AHEAD)).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn read_exactly(&mut self, len: usize) -> io::Result<Option<Bytes>> {
        let mut frame = Frame::new(len);
        loop {
            let taken = frame.missing().min(self.to - self.from);
            frame.append(&self.ahead[self.from..self.from + taken]);
            self.from += taken;
            if frame.missing() == 0 {
                return Ok(Some(frame.freeze()));
            }
            let received;
            if frame.missing() > READ_AHEAD {
                (received, frame) = self.receive(frame).await;
                frame.filled += *received.as_ref().unwrap_or(&0);
            } else {
                received = self.receive_ahead(READ_AHEAD).await;
            }
            if received? == 0 {
                return if frame.filled == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Receives behind what is here already, in a buffer of `room` bytes, which is more than what is here.
    async fn receive_ahead(&mut self, room: usize) -> io::Result<usize> {
        self.make_room(room);
        let ahead = Ahead { bytes: std::mem::take(&mut self.ahead), from: self.to };
        let (received, ahead) = self.receive(ahead).await;
        self.ahead = ahead.bytes;
        let received = received?;
        self.to += received;
        Ok(received)
    }

    /// Moves what is here to the start of a buffer of exactly `room` bytes: one that had to be larger for once is not kept.
    fn make_room(&mut self, room: usize) {
        let kept = self.to - self.from;
        assert!(kept < room, "{kept} bytes are here and there is room for {room}: nothing can be received");
        if self.ahead.len() == room {
            self.ahead.copy_within(self.from..self.to, 0);
        } else {
            let mut ahead = vec![0; room];
            ahead[..kept].copy_from_slice(&self.ahead[self.from..self.to]);
            self.ahead = ahead.into();
        }
        (self.from, self.to) = (0, kept);
    }

    async fn receive<B: IoBufMut>(&mut self, mut buf: B) -> (io::Result<usize>, B) {
        loop {
            let operation = op::Recv::new(self.wire.handle(), buf, RecvFlags::empty());
            let result;
            BufResult(result, buf) = self.wire.driver.submit(operation).await.into_inner();
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    count_bytes(|shard| &shard.stats.bytes_received, &result);
                    self.wire.received.set(self.wire.received.get() + *result.as_ref().unwrap_or(&0) as u64);
                    return (result, buf);
                }
            }
        }
    }

    /// A handle that can end a pending read.
    pub fn closer(&self) -> Closer {
        Closer(Rc::downgrade(&self.wire))
    }

    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.wire.peer
    }
}

impl Drop for ConnRx {
    fn drop(&mut self) {
        if self.broken {
            // A read was given up: its operation may still hold the socket. This ends it.
            _ = self.wire.socket.shutdown(Shutdown::Both);
        }
    }
}

/// The sending half.
pub struct ConnTx {
    wire: Rc<Wire>,
    broken: bool,
}

impl ConnTx {
    /// Sends all of `parts`, in order, with as few calls as the kernel allows. If the future is dropped half-way, later
    /// writes fail: nobody knows how much was sent.
    ///
    /// # Errors
    /// What the system says. The connection is then useless.
    pub async fn write(&mut self, parts: Vec<Bytes>) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write to this connection was given up"));
        }
        self.broken = true;
        let result = self.write_all(Parts::new(parts)).await;
        self.broken = result.is_err();
        result
    }

    async fn write_all(&mut self, mut parts: Parts) -> io::Result<()> {
        while !parts.is_done() {
            let operation = op::SendVectored::new(self.wire.handle(), parts, SendFlags::NOSIGNAL);
            let result;
            BufResult(result, parts) = self.wire.driver.submit(operation).await.into_inner();
            count_bytes(|shard| &shard.stats.bytes_sent, &result);
            self.wire.sent.set(self.wire.sent.get() + *result.as_ref().unwrap_or(&0) as u64);
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => parts.advance(sent),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A handle that can end a pending read or write.
    pub fn closer(&self) -> Closer {
        Closer(Rc::downgrade(&self.wire))
    }
}

impl Drop for ConnTx {
    fn drop(&mut self) {
        if self.broken {
            _ = self.wire.socket.shutdown(Shutdown::Both);
        }
    }
}

/// Shuts a connection down from elsewhere on its shard: the only way to end a pending read. Keeps nothing open.
#[derive(Clone)]
pub struct Closer(Weak<Wire>);

impl Closer {
    /// Bytes received on the connection so far: who waits for more can see whether any come.
    pub fn received(&self) -> u64 {
        self.0.upgrade().map_or(0, |wire| wire.received.get())
    }

    /// Bytes sent on the connection so far, parts of writes that are not done yet included.
    pub fn sent(&self) -> u64 {
        self.0.upgrade().map_or(0, |wire| wire.sent.get())
    }

    /// Shuts both directions down: a pending read ends as if the other end had closed, a pending write fails.
    pub fn shutdown(&self) {
        if let Some(wire) = self.0.upgrade() {
            // The other end may have closed before us.
            _ = wire.socket.shutdown(Shutdown::Both);
        }
    }
}

fn count_bytes(counter: impl FnOnce(&Shard) -> &crate::stats::Counter, result: &io::Result<usize>) {
    if let Ok(bytes) = result {
        Shard::try_with(|shard| counter(shard).add(*bytes as u64));
    }
}

/// The socket of a listener or of a connection to be, held by an operation.
struct Handle(Rc<Socket>);

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The socket of a connection, held by an operation.
struct WireHandle(Rc<Wire>);

impl AsFd for WireHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.socket.as_fd()
    }
}

impl Wire {
    fn handle(self: &Rc<Self>) -> Held<WireHandle> {
        self.driver.hold(WireHandle(self.clone()))
    }
}

/// What `len` bytes are received into.
struct Frame {
    memory: Memory,
    filled: usize,
    len: usize,
}

enum Memory {
    Small(Vec<u8>),
    Large(DmaBuf),
}

impl Frame {
    fn new(len: usize) -> Self {
        let memory =
            if len <= SMALL_FRAME { Memory::Small(vec![0; len]) } else { Memory::Large(DmaBuf::announced(len)) };
        Frame { memory, filled: 0, len }
    }

    fn missing(&self) -> usize {
        self.len - self.filled
    }

    fn rest(&mut self) -> &mut [u8] {
        let whole = match &mut self.memory {
            Memory::Small(bytes) => &mut bytes[..],
            Memory::Large(buf) => buf.whole_mut(),
        };
        &mut whole[self.filled..self.len]
    }

    fn append(&mut self, bytes: &[u8]) {
        self.rest()[..bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    fn freeze(self) -> Bytes {
        match self.memory {
            Memory::Small(bytes) => Bytes::from(bytes),
            Memory::Large(mut buf) => {
                buf.set_filled(self.len);
                buf.freeze()
            }
        }
    }
}

impl IoBuf for Frame {
    fn as_init(&self) -> &[u8] {
        let whole = match &self.memory {
            Memory::Small(bytes) => &bytes[..],
            Memory::Large(buf) => buf.whole(),
        };
        &whole[self.filled..self.len]
    }
}

impl SetLen for Frame {
    // SAFETY: all of the frame's memory is initialised, whatever was received; nothing is done with the number.
    #[allow(unsafe_code, reason = "see SAFETY")]
    unsafe fn set_len(&mut self, _: usize) {}
}

impl IoBufMut for Frame {
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        as_uninit(self.rest())
    }
}

/// The read-ahead buffer, held by an operation that fills it from `from` on.
struct Ahead {
    bytes: Box<[u8]>,
    from: usize,
}

impl IoBuf for Ahead {
    fn as_init(&self) -> &[u8] {
        &self.bytes[self.from..]
    }
}

impl SetLen for Ahead {
    // SAFETY: all of it is initialised, whatever was received; nothing is done with the number.
    #[allow(unsafe_code, reason = "see SAFETY")]
    unsafe fn set_len(&mut self, _: usize) {}
}

impl IoBufMut for Ahead {
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        as_uninit(&mut self.bytes[self.from..])
    }
}

/// Memory that the kernel is to write into.
pub(crate) fn as_uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: same layout; what writes through it (the kernel) writes only initialised bytes, so `bytes` stays so.
    #[allow(unsafe_code, reason = "see SAFETY")]
    unsafe {
        &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>])
    }
}

/// What is still to be sent.
struct Parts {
    parts: std::collections::VecDeque<Bytes>,
}

impl Parts {
    fn new(parts: Vec<Bytes>) -> Self {
        Parts { parts: parts.into_iter().filter(|part| !part.is_empty()).collect() }
    }

    fn is_done(&self) -> bool {
        self.parts.is_empty()
    }

    fn advance(&mut self, mut sent: usize) {
        while sent > 0 {
            let first = self.parts.front_mut().expect("no more is sent than there was");
            let whole = first.len().min(sent);
            sent -= whole;
            if whole == first.len() {
                self.parts.pop_front();
            } else {
                bytes::Buf::advance(first, whole);
            }
        }
    }
}

impl IoVectoredBuf for Parts {
    fn iter_slice(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().take(PARTS_MAX).map(|part| &part[..])
    }
}

fn real_driver() -> io::Result<Rc<Driver>> {
    Shard::with(|shard| shard.driver().cloned())
        .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "there is no simulated network yet"))
}

/// Bytes of memory that [`ConnRx::read`] takes for `len` bytes: up to twice as many, because buffers have few sizes. Whoever
/// counts memory counts these.
pub fn footprint(len: usize) -> usize {
    if len <= SMALL_FRAME { len } else { dma::rounded(len) }
}

/// All addresses of `host`, as the system's resolver knows them.
///
/// # Errors
/// What the system says; `Unsupported` in simulation.
///
/// # Panics
/// Outside a shard.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    real_driver()?;
    let host = host.to_owned();
    #[allow(clippy::disallowed_methods, reason = "rt is the door")]
    let ask = move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
    run_blocking(ask).await
}

fn new_socket(addr: SocketAddr, driver: &Driver) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(!driver.is_uring())?;
    Ok(socket)
}

/// An address of IPv4 as such, also where it came to a socket of IPv6.
fn socket_addr(addr: SockAddr) -> io::Result<SocketAddr> {
    let addr = addr.as_socket().ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "not an IP address"))?;
    Ok(match addr.ip().to_canonical() {
        ip if ip != addr.ip() => SocketAddr::new(ip, addr.port()),
        _ => addr,
    })
}

/// The connection failed before it was accepted; accept(2) says to treat such errors like "try again".
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | Interrupted
            | WouldBlock
            | NetworkDown
            | HostUnreachable
            | NetworkUnreachable
    ) || matches!(error.raw_os_error(), Some(64 | 71 | 92 | 112))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend, Config, Sharded, run};
    use std::sync::atomic::AtomicUsize;

    /// accept(2) refuses a socket that does not listen, which no list of passing errors foresees.
    #[test]
    fn a_listener_outlives_errors_that_nobody_foresaw() {
        for backend in [Backend::Auto, Backend::Epoll] {
            let config = Config { shards: 1, pin: false, backend, ..Config::default() };
            run(config, || async {
                let driver = real_driver().expect("not a simulation");
                let any = SocketAddr::from(([127, 0, 0, 1], 0));
                let socket = new_socket(any, &driver).expect("a socket");
                socket.bind(&SockAddr::from(any)).expect("a free port");
                let addr = socket_addr(socket.local_addr().expect("bound")).expect("an IP address");
                let same = socket.try_clone().expect("a second handle");
                let listener = Listener { socket, addr, most: usize::MAX };
                let stop = Abort::new();
                let echo = |conn: Conn| async move {
                    let (mut rx, mut tx) = conn.split();
                    let byte = rx.read(1).await.expect("a byte").expect("not closed");
                    tx.write(vec![byte]).await.expect("the client listens");
                };
                let serving = spawn(Group::Kafka, listener.serve(stop.clone(), echo));
                while Shard::with(|shard| shard.stats.accepts_failed.get()) < 2 {
                    sleep(Duration::from_millis(1)).await;
                }
                same.listen(BACKLOG).expect("it can listen");
                let (mut rx, mut tx) = Conn::connect(addr).await.expect("it listens").split();
                tx.write(vec![Bytes::from_static(b"x")]).await.expect("it is served");
                assert_eq!(rx.read(1).await.expect("an answer").as_deref(), Some(&b"x"[..]));
                stop.request();
                serving.await;
            })
            .expect("a machine");
        }
    }

    /// Two shards that count a connection at the same moment, over and over: one of the two is always first.
    #[test]
    fn no_two_connections_have_the_same_place() {
        const ROUNDS: usize = 500;
        let meet = |met: Arc<AtomicUsize>, times: usize| async move {
            met.fetch_add(1, Ordering::SeqCst);
            while met.load(Ordering::SeqCst) < 2 * times {
                crate::yield_now().await;
            }
        };
        let met = Arc::new(AtomicUsize::new(0));
        let count = move |_: Rc<()>| {
            let met = met.clone();
            async move {
                let mut places = Vec::new();
                for round in 0..ROUNDS {
                    meet(met.clone(), 3 * round + 1).await;
                    let counted = Shard::with(|shard| Counted::new(shard, &shard.inbox));
                    meet(met.clone(), 3 * round + 2).await;
                    places.push(counted.place);
                    drop(counted);
                    meet(met.clone(), 3 * round + 3).await;
                }
                places
            }
        };
        let places = run(Config::small(), || async {
            let service = Sharded::start(|_| ()).await;
            let places = service.map_async(Lane::Admin, count).await;
            service.stop().await;
            assert_eq!(connection_count(), 0);
            places
        });
        let places = places.expect("the machine runs");
        for (first, second) in places[0].iter().zip(&places[1]) {
            assert_eq!(first + second, 3, "{first} and {second} of two");
        }
    }

    #[test]
    fn a_listener_has_no_more_than_it_may() {
        let machine = run(Config::small(), || async {
            let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
            let (addr, stop) = (listener.local_addr(), Abort::new());
            let greet = |conn: Conn| async move {
                let (mut rx, mut tx) = conn.split();
                tx.write(vec![Bytes::from_static(b"x")]).await.expect("it reads");
                assert!(rx.read(1).await.expect("a clean end").is_none());
            };
            // Both ends are in this process.
            let serving = spawn(Group::Kafka, listener.at_most(6).serve(stop.clone(), greet));
            let mut open = Vec::new();
            for _ in 0..3 {
                let (mut rx, tx) = Conn::connect(addr).await.expect("it listens").split();
                assert_eq!(rx.read(1).await.expect("an answer").as_deref(), Some(&b"x"[..]));
                open.push((rx, tx));
            }
            let (mut rx, _tx) = Conn::connect(addr).await.expect("it listens").split();
            assert!(!matches!(rx.read(1).await, Ok(Some(_))), "one too many");
            drop((rx, _tx));
            open.pop();
            while connection_count() > 4 {
                sleep(Duration::from_millis(1)).await;
            }
            let (mut rx, _tx) = Conn::connect(addr).await.expect("it listens").split();
            assert_eq!(rx.read(1).await.expect("an answer").as_deref(), Some(&b"x"[..]), "there is room again");
            drop((open, rx, _tx));
            stop.request();
            serving.await;
        });
        machine.expect("the machine runs");
    }

    #[test]
    fn a_frame_takes_its_footprint() {
        for len in [0, 1, SMALL_FRAME, SMALL_FRAME + 1, 4096, 4097, 300_000, 1 << 20, (1 << 20) + 1, 5_000_000] {
            let taken = match Frame::new(len).memory {
                Memory::Small(bytes) => bytes.len(),
                Memory::Large(buf) => buf.capacity(),
            };
            assert_eq!(footprint(len), taken, "{len} bytes");
            assert!((len..=(2 * len).max(8192)).contains(&taken), "{len} bytes take {taken}");
        }
    }

    /// Byte at a place of the stream that the test sends.
    fn byte(place: usize) -> u8 {
        (place % 251) as u8
    }

    /// Sends `total` bytes in parts of changing sizes, so that they come in pieces that end anywhere.
    async fn drip(conn: Conn, total: usize) {
        let (_rx, mut tx) = conn.split();
        let mut sent = 0;
        while sent < total {
            let part: Vec<u8> = (sent..total.min(sent + 1 + sent % 701)).map(byte).collect();
            sent += part.len();
            tx.write(vec![part.into()]).await.expect("the other end reads");
            crate::yield_now().await;
        }
    }

    #[test]
    fn what_is_read_ahead_stays_as_small_as_it_was_asked_to_be() {
        const TOTAL: usize = 1 << 20;
        let machine = run(Config { shards: 1, ..Config::small() }, || async {
            let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
            let (addr, stop) = (listener.local_addr(), Abort::new());
            let serving = spawn(Group::Kafka, listener.serve(stop.clone(), |conn| drip(conn, TOTAL)));
            let (mut rx, _tx) = Conn::connect(addr).await.expect("it listens").split();
            let mut read = 0;
            while read < TOTAL {
                let want = [3, 600, 1, 512, 513, 4096][read % 6].min(TOTAL - read);
                assert!(rx.fill(want).await.expect("it goes on"), "{read} of {TOTAL} bytes came");
                assert!(rx.ahead.len() <= want.max(READ_AHEAD).max(4096), "{} bytes ahead", rx.ahead.len());
                // Some of it, all of it, or more than is here.
                let take = [want, 1, want + 700][read % 3].min(TOTAL - read);
                let bytes = rx.read(take).await.expect("it goes on").expect("it has not ended");
                assert!(bytes.iter().enumerate().all(|(at, found)| *found == byte(read + at)), "at {read}");
                read += take;
            }
            assert!(!rx.fill(1).await.expect("a clean end"));
            assert_eq!(rx.ahead.len(), READ_AHEAD, "while it waits for more");
            stop.request();
            serving.await;
        });
        machine.expect("the machine runs");
    }
}
