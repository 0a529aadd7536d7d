//! The thread: a socket, axum, and the gathering of what [`crate::http`] needs.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use axum::http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::http::{Facts, Need, Request, Response, answer, need};
use crate::metric::Family;

/// A scrape that took longer would meet the next one.
const GATHER_TIMEOUT: Duration = Duration::from_secs(5);

/// After this, connections still open at the end are dropped with the thread.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// What a gathering gives in the end.
pub type Gather<T> = Pin<Box<dyn Future<Output = Result<T, Unanswered>> + Send>>;
/// A source of metrics: asks its shards, gives their families.
pub type Source = Box<dyn Fn() -> Gather<Vec<Family>> + Send + Sync>;
/// Asks every shard for a sign of life and gives the number of shards.
pub type Health = Box<dyn Fn() -> Gather<u16> + Send + Sync>;

/// Somebody did not answer; says who and why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

/// What the server asks when it is asked.
pub struct Sources {
    /// All of them make up `/metrics`.
    pub metrics: Vec<(&'static str, Source)>,
    /// For `/healthz`.
    pub health: Health,
}

/// Why there is no admin server.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen on {0} for the admin API: {1}")]
    Bind(SocketAddr, #[source] io::Error),
    /// The machine gives no thread or no event queue.
    #[error("cannot start the admin thread: {0}")]
    Thread(#[source] io::Error),
}

/// The running server. Dropping it stops the server too, without waiting.
pub struct Admin {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

/// The port, taken. Whoever asks early waits until it is served.
pub struct Bound {
    listener: std::net::TcpListener,
    addr: SocketAddr,
}

impl Bound {
    /// Takes the port, so that a broker whose admin address is wrong finds out before it touches anything else.
    pub fn bind(addr: SocketAddr) -> Result<Bound, AdminError> {
        let failed = |error| AdminError::Bind(addr, error);
        #[allow(clippy::disallowed_methods, reason = "the admin thread's own socket, which no shard sees")]
        let listener = std::net::TcpListener::bind(addr).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok(Bound { listener, addr })
    }
}

impl Admin {
    /// Serves on a thread of its own. Blocks until that is ready: called once at start, before the shard has anything
    /// else to do.
    pub fn start(bound: Bound, sources: Sources) -> Result<Admin, AdminError> {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let Bound { listener, addr } = bound;
        let thread = ailurus_rt::start_thread("admin", move || serve_thread(listener, sources, stopped, &tell))
            .map_err(AdminError::Thread)?;
        #[allow(clippy::disallowed_methods, reason = "for as long as a thread takes to start, before there is work")]
        let told = told.recv();
        told.expect("the thread reports before it ends").map_err(AdminError::Thread)?;
        Ok(Admin { addr, stop, thread })
    }

    /// Where it listens, with the port that port 0 became.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, lets running requests end for up to a second, joins the thread. Blocks: the last thing a
    /// process does with it.
    pub fn stop(self) {
        // It has ended already if nobody listens.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the admin thread had panicked");
        }
    }
}

type Told = std::sync::mpsc::SyncSender<io::Result<()>>;

fn serve_thread(listener: std::net::TcpListener, sources: Sources, stopped: oneshot::Receiver<()>, tell: &Told) {
    let report = |outcome| tell.send(outcome).expect("the starter waits for this");
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(Err(error)),
    };
    runtime.block_on(async {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                report(Ok(()));
                serve(listener, sources, stopped).await;
            }
            Err(error) => report(Err(error)),
        }
    });
}

async fn serve(listener: TcpListener, sources: Sources, stopped: oneshot::Receiver<()>) {
    let (closing, mut closed) = tokio::sync::watch::channel(false);
    let app = Router::new().fallback(handle).with_state(Arc::new(sources));
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        // A dropped `Admin` stops the server as well.
        let _ = stopped.await;
        closing.send_replace(true);
    });
    let overdue = async move {
        let _ = closed.wait_for(|closing| *closing).await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::pin!(overdue);
    let mut server = Box::pin(async move { server.await });
    let done = std::future::poll_fn(|cx| {
        use std::task::Poll;
        match server.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => overdue.as_mut().poll(cx).map(|()| None),
        }
    });
    if let Some(Err(error)) = done.await {
        tracing::error!(%error, "the admin server ended");
    }
}

async fn handle(State(sources): State<Arc<Sources>>, request: HttpRequest) -> axum::http::Response<Body> {
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let request = Request { method: &method, path: &path };
    let facts = gather(&sources, need(request)).await;
    into_http(answer(request, facts))
}

async fn gather(sources: &Sources, need: Need) -> Facts {
    match need {
        Need::Nothing => Facts::Nothing,
        Need::Metrics => Facts::Metrics(in_time("metrics", gather_metrics(sources)).await),
        Need::Health => Facts::Health(in_time("health", (sources.health)()).await),
    }
}

async fn gather_metrics(sources: &Sources) -> Result<Vec<Family>, Unanswered> {
    let mut families = Vec::new();
    for (name, source) in &sources.metrics {
        families.extend(source().await.map_err(|why| Unanswered(format!("{name}: {why}")))?);
    }
    Ok(families)
}

async fn in_time<T>(what: &str, gathering: impl Future<Output = Result<T, Unanswered>>) -> Result<T, String> {
    match tokio::time::timeout(GATHER_TIMEOUT, gathering).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(why)) => Err(why.to_string()),
        Err(_) => Err(format!("the shards did not answer for {what} within {} s", GATHER_TIMEOUT.as_secs())),
    }
}

fn into_http(response: Response) -> axum::http::Response<Body> {
    axum::http::Response::builder()
        .status(response.status)
        .header(CONTENT_TYPE, response.content_type)
        .body(Body::from(response.body))
        .expect("status and content type are constants")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn start(health: Health) -> Admin {
        let metrics: Vec<(&'static str, Source)> = vec![(
            "test",
            Box::new(|| Box::pin(async { Ok(vec![Family::counter("ailurus_tests_total", "Tests.").count(&[], 1)]) })),
        )];
        let bound = Bound::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Admin::start(bound, Sources { metrics, health }).unwrap()
    }

    fn get(addr: SocketAddr, path: &str) -> String {
        #[allow(clippy::disallowed_methods, reason = "a test speaks to the real socket")]
        let mut socket = TcpStream::connect(addr).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        reply
    }

    #[test]
    fn serves_and_stops() {
        let admin = start(Box::new(|| Box::pin(async { Ok(2) })));
        let addr = admin.local_addr();
        let metrics = get(addr, "/metrics");
        assert!(metrics.starts_with("HTTP/1.1 200 OK"), "{metrics}");
        assert!(metrics.contains("application/openmetrics-text"), "{metrics}");
        assert!(metrics.contains("ailurus_tests_total 1"), "{metrics}");
        assert!(get(addr, "/healthz").contains("\"shards\":2"));
        assert!(get(addr, "/else").starts_with("HTTP/1.1 404"));
        admin.stop();
        #[allow(clippy::disallowed_methods, reason = "a test speaks to the real socket")]
        let again = TcpStream::connect(addr);
        assert!(again.is_err(), "the port is closed after stop");
    }

    #[test]
    fn a_silent_shard_is_said() {
        let admin = start(Box::new(|| Box::pin(async { Err(Unanswered("shard 1 is gone".to_owned())) })));
        let reply = get(admin.local_addr(), "/healthz");
        assert!(reply.starts_with("HTTP/1.1 503"), "{reply}");
        assert!(reply.contains("shard 1 is gone"), "{reply}");
        admin.stop();
    }

    #[test]
    fn a_taken_port_is_an_error_with_the_address() {
        let first = start(Box::new(|| Box::pin(async { Ok(1) })));
        let taken = first.local_addr();
        let error = Bound::bind(taken).err().unwrap();
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
        first.stop();
    }
}
