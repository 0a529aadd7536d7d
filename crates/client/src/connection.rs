//! One socket to one broker: requests go out one after the other, answers find their askers by correlation id.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::rc::Rc;

use ailurus_base::HashMap;
use ailurus_base::sync::{Semaphore, oneshot};
use ailurus_rt as rt;
use ailurus_wire::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use ailurus_wire::{
    ApiKey, ErrorCode, LENGTH_BYTES, Request, Str, WireError, decode_response, encode_request, peek_correlation_id,
};
use bytes::{Buf, Bytes};

use crate::ClientError;

/// What we call ourselves to the broker (KIP-511).
const SOFTWARE: &str = "ailurus";

/// A connection whose versions are known. Dropping it closes the socket and fails who still waits.
pub(crate) struct Connection {
    peer: String,
    client_id: Str,
    /// `None` once a write was dropped or failed half way: the stream is out of step then.
    tx: RefCell<Option<rt::ConnTx>>,
    /// One write at a time.
    turn: Rc<Semaphore>,
    waiting: Rc<Waiting>,
    closer: rt::Closer,
    next_correlation: Cell<i32>,
    versions: RefCell<HashMap<i16, RangeInclusive<i16>>>,
    _reader: rt::Task<()>,
}

/// Who waits for which answer.
#[derive(Default)]
struct Waiting {
    slots: RefCell<HashMap<i32, oneshot::Sender<Bytes>>>,
    /// Set when no more answers will come.
    ended: RefCell<Option<String>>,
}

impl Waiting {
    fn end(&self, why: String) {
        self.ended.borrow_mut().get_or_insert(why);
        self.slots.borrow_mut().clear();
    }
}

/// Takes the slot back if the asker goes away before the answer.
struct Slot<'a> {
    waiting: &'a Waiting,
    correlation: i32,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.waiting.slots.borrow_mut().remove(&self.correlation);
    }
}

impl Connection {
    /// Connects and asks for the versions. No limit of time of its own.
    pub(crate) async fn open(
        addr: SocketAddr,
        client_id: &str,
        frame_max: usize,
    ) -> Result<Rc<Connection>, ClientError> {
        let peer = addr.to_string();
        let lost = |error: std::io::Error| ClientError::Lost { peer: peer.clone(), why: error.to_string() };
        let (rx, tx) = rt::Conn::connect(addr).await.map_err(lost)?.split();
        let closer = rx.closer();
        let waiting = Rc::new(Waiting::default());
        let reader = rt::spawn(rt::Group::Kafka, read_answers(rx, waiting.clone(), frame_max));
        let connection = Rc::new(Connection {
            peer,
            client_id: Str::from(client_id),
            tx: RefCell::new(Some(tx)),
            turn: Semaphore::new(1),
            waiting,
            closer,
            next_correlation: Cell::new(0),
            versions: RefCell::default(),
            _reader: reader,
        });
        connection.negotiate().await?;
        Ok(connection)
    }

    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// Whether no answer can come any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.waiting.ended.borrow().is_some() || (self.tx.borrow().is_none() && self.turn.free() > 0)
    }

    /// After this every waiting and later call fails.
    pub(crate) fn close(&self, why: &str) {
        self.waiting.end(why.to_owned());
        self.closer.shutdown();
    }

    /// The versions that the broker advertises, by API key.
    pub(crate) fn versions(&self) -> HashMap<i16, RangeInclusive<i16>> {
        self.versions.borrow().clone()
    }

    /// The highest version that both sides know and that lies in `wanted`.
    pub(crate) fn version(&self, api: ApiKey, wanted: &RangeInclusive<i16>) -> Result<i16, ClientError> {
        let ours = api.versions();
        let theirs = self.versions.borrow().get(&api.code()).cloned();
        let (from, to) = (*wanted.start().max(ours.start()), *wanted.end().min(ours.end()));
        let common = theirs.map(|theirs| (from.max(*theirs.start()), to.min(*theirs.end())));
        match common {
            Some((low, high)) if low <= high => Ok(high),
            _ => Err(ClientError::Unsupported { peer: self.peer.clone(), api, from, to }),
        }
    }

    /// Asks and waits for the answer.
    pub(crate) async fn call<R: Request>(&self, version: i16, request: &R) -> Result<R::Response, ClientError> {
        let mut frame = self.exchange(version, request).await?;
        let (_, response) = decode_response(&mut frame, version).map_err(|error| self.malformed(R::API, error))?;
        Ok(response)
    }

    /// Sends what has no answer: Produce with acks=0.
    pub(crate) async fn send<R: Request>(&self, version: i16, request: &R) -> Result<(), ClientError> {
        let frame = encode_request(self.correlation(), Some(&self.client_id), version, request);
        self.write(frame.map_err(|error| unwritable(R::API, error))?).await
    }

    async fn exchange<R: Request>(&self, version: i16, request: &R) -> Result<Bytes, ClientError> {
        let correlation = self.correlation();
        let frame = encode_request(correlation, Some(&self.client_id), version, request);
        let frame = frame.map_err(|error| unwritable(R::API, error))?;
        let (tell, told) = oneshot::channel();
        self.waiting.slots.borrow_mut().insert(correlation, tell);
        let _slot = Slot { waiting: &self.waiting, correlation };
        self.write(frame).await?;
        told.await.map_err(|_| self.lost())
    }

    fn correlation(&self) -> i32 {
        let correlation = self.next_correlation.get();
        self.next_correlation.set(correlation.wrapping_add(1) & i32::MAX);
        correlation
    }

    async fn write(&self, frame: Vec<Bytes>) -> Result<(), ClientError> {
        let _turn = self.turn.acquire(1).await;
        if self.waiting.ended.borrow().is_some() {
            return Err(self.lost());
        }
        // Out of its place while it writes: a write that is dropped half way takes the connection with it.
        let Some(mut tx) = self.tx.take() else { return Err(self.lost()) };
        if let Err(error) = tx.write(frame).await {
            self.close(&error.to_string());
            return Err(self.lost());
        }
        self.tx.replace(Some(tx));
        Ok(())
    }

    async fn negotiate(&self) -> Result<(), ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: SOFTWARE.into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let version = (*ApiKey::ApiVersions.versions().end()).min(3);
        let mut frame = self.exchange(version, &request).await?;
        // A broker that does not know our version says so in version 0, with what it knows.
        let refused = frame.len() >= 6 && (&frame[4..6]).get_i16() == ErrorCode::UnsupportedVersion.code();
        let version = if refused { 0 } else { version };
        let answer = decode_response::<ApiVersionsResponse>(&mut frame, version);
        let (_, mut response) = answer.map_err(|error| self.malformed(ApiKey::ApiVersions, error))?;
        if refused {
            response = self.call(0, &ApiVersionsRequest::default()).await?;
        }
        crate::error::check(|| format!("versions of {}", self.peer), response.error_code, None)?;
        let ranges = response.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version));
        *self.versions.borrow_mut() = ranges.collect();
        Ok(())
    }

    fn lost(&self) -> ClientError {
        let why = self.waiting.ended.borrow().clone();
        ClientError::Lost { peer: self.peer.clone(), why: why.unwrap_or_else(|| "a write was given up".to_owned()) }
    }

    fn malformed(&self, api: ApiKey, error: WireError) -> ClientError {
        self.close("an answer could not be read");
        ClientError::Malformed { what: format!("the answer of {} to {api}", self.peer), error }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close("closed by this client");
    }
}

fn unwritable(api: ApiKey, error: WireError) -> ClientError {
    ClientError::Malformed { what: format!("our {api} request"), error }
}

async fn read_answers(mut rx: rt::ConnRx, waiting: Rc<Waiting>, frame_max: usize) {
    let why = loop {
        match read_frame(&mut rx, frame_max).await {
            Ok(frame) => deliver(&waiting, frame),
            Err(why) => break why,
        }
    };
    waiting.end(why);
}

async fn read_frame(rx: &mut rt::ConnRx, frame_max: usize) -> Result<Bytes, String> {
    let ended = || "the broker closed it".to_owned();
    let broken = |error: std::io::Error| error.to_string();
    let mut head = rx.read(LENGTH_BYTES).await.map_err(broken)?.ok_or_else(ended)?;
    let length = head.get_i32();
    let length = usize::try_from(length).ok().filter(|length| (4..=frame_max).contains(length));
    let length = length.ok_or_else(|| "it sent a frame of an impossible length: is it a Kafka port?".to_owned())?;
    rx.read(length).await.map_err(broken)?.ok_or_else(ended)
}

fn deliver(waiting: &Waiting, frame: Bytes) {
    let Ok(correlation) = peek_correlation_id(&frame) else { return };
    // An answer that nobody waits for any more is dropped: its asker gave up.
    if let Some(asker) = waiting.slots.borrow_mut().remove(&correlation) {
        let _ = asker.send(frame);
    }
}
