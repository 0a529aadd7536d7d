use ailurus_model::ShardId;
use ailurus_rt as rt;
use bytes::Bytes;
use rt::{Abort, Config, Conn, DmaBuf, File, Group, IoClass, Lane, Listener, OpenOptions, Sharded};
use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

fn on_machine<T: Send + 'static, F: Future<Output = T> + 'static>(main: impl FnOnce() -> F + Send + 'static) -> T {
    rt::run(Config::small(), main).expect("the machine runs")
}

/// A directory of its own for each test, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rt-{name}-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Dir(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn main_gives_its_result_back() {
    assert_eq!(on_machine(|| async { (rt::this_shard(), rt::shard_count()) }), (ShardId(0), 2));
}

#[test]
fn services_live_on_their_shard_and_are_called_across() {
    let answers = on_machine(|| async {
        let counters = Sharded::start(|id| Cell::new(u32::from(id.0) * 100)).await;
        let bump = |counter: &std::rc::Rc<Cell<u32>>| {
            counter.set(counter.get() + 1);
            (rt::this_shard(), counter.get())
        };
        for id in [0, 1] {
            counters.on(ShardId(id), Lane::Kafka, bump).await;
        }
        let answers = counters.map(Lane::Admin, bump).await;
        let late = counters.on_async(ShardId(1), Lane::Raft, |counter| async move {
            rt::sleep(Duration::from_millis(1)).await;
            counter.get()
        });
        let late = late.await;
        counters.stop().await;
        (answers, late)
    });
    assert_eq!(answers, (vec![(ShardId(0), 2), (ShardId(1), 102)], 102));
}

#[test]
fn an_echo_goes_through_both_shards() {
    on_machine(|| async {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let addr = listener.local_addr();
        let stop = Abort::new();
        let serving = rt::spawn(
            Group::Kafka,
            listener.serve(stop.clone(), |conn: Conn| async move {
                let (mut rx, mut tx) = conn.split();
                while let Some(len) = rx.read(4).await.expect("a whole length") {
                    let len = u32::from_be_bytes(len[..].try_into().expect("four bytes")) as usize;
                    let body = rx.read(len).await.expect("a whole body").expect("a body after its length");
                    let shard = Bytes::copy_from_slice(&rt::this_shard().0.to_be_bytes());
                    tx.write(vec![shard, body]).await.expect("the client listens");
                }
            }),
        );
        let mut shards = std::collections::BTreeSet::new();
        let mut open = Vec::new();
        for len in [0usize, 1, 511, 512, 513, 4096, 70_000, 3 << 20] {
            let (mut rx, mut tx) = Conn::connect(addr).await.expect("it listens").split();
            let body: Vec<u8> = (0..len).map(|at| (at * 31 % 251) as u8).collect();
            for _ in 0..3 {
                let length = Bytes::copy_from_slice(&(len as u32).to_be_bytes());
                let send = tx.write(vec![length, Bytes::from(body.clone())]);
                let receive = async {
                    let shard = rx.read(2).await.expect("an answer").expect("not closed");
                    let back = rx.read(len).await.expect("an answer");
                    assert_eq!(back.as_deref().unwrap_or_default(), body, "the echo of {len} bytes");
                    shard[1]
                };
                let (sent, shard) = both(send, receive).await;
                sent.expect("it listens");
                shards.insert(shard);
            }
            open.push((rx, tx));
        }
        assert_eq!(shards.len(), 2, "connections are spread");
        drop(open);
        stop.request();
        serving.await.expect("it ends in peace");
    });
}

/// Runs two futures at the same time.
async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut ready_a, mut ready_b) = (None, None);
    std::future::poll_fn(|context| {
        use std::task::Poll;
        if ready_a.is_none()
            && let Poll::Ready(value) = a.as_mut().poll(context)
        {
            ready_a = Some(value);
        }
        if ready_b.is_none()
            && let Poll::Ready(value) = b.as_mut().poll(context)
        {
            ready_b = Some(value);
        }
        if ready_a.is_some() && ready_b.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (ready_a.expect("ready"), ready_b.expect("ready"))
}

#[test]
fn a_closer_ends_a_pending_read() {
    on_machine(|| async {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let addr = listener.local_addr();
        let stop = Abort::new();
        let serving = rt::spawn(
            Group::Kafka,
            listener.serve(stop.clone(), |conn: Conn| async move {
                let (mut rx, _tx) = conn.split();
                _ = rx.read(1).await;
            }),
        );
        let (mut rx, tx) = Conn::connect(addr).await.expect("it listens").split();
        let closer = rx.closer();
        let reading = rt::spawn(Group::Kafka, async move { rx.read(100).await });
        rt::sleep(Duration::from_millis(5)).await;
        assert!(!reading.is_finished());
        closer.shutdown();
        assert!(reading.await.expect("a clean end").is_none());
        drop(tx);
        stop.request();
        serving.await.expect("it ends in peace");
    });
}

#[test]
fn a_file_is_written_read_and_flushed() {
    for direct in [false, true] {
        let dir = Dir::new(&format!("file-{direct}"));
        let path = dir.file("data");
        on_machine(move || async move {
            let options = OpenOptions { direct, create: true, write: true, ..OpenOptions::default() };
            let file = File::open(&path, options).await.expect("opens");
            file.allocate(0, 1 << 20).await.expect("room");
            assert_eq!(file.len().await.expect("a size"), 1 << 20);
            let mut buf = DmaBuf::new(64 << 10);
            for at in 0..buf.capacity() {
                buf.extend_from_slice(&[(at % 253) as u8]);
            }
            let (written, buf) = file.write_at(IoClass::Produce, 8192, buf).await;
            written.expect("written");
            file.sync_data(IoClass::Produce).await.expect("flushed");
            let (read, back) = file.read_at(IoClass::Background, 8192, DmaBuf::new(64 << 10)).await;
            assert_eq!(read.expect("read"), 64 << 10);
            assert_eq!(back[..], buf[..]);
            let (read, back) = file.read_at(IoClass::Fetch, (1 << 20) - 4096, DmaBuf::new(64 << 10)).await;
            assert_eq!((read.expect("read"), back.len()), (4096, 4096), "up to the end of the file");
            if file.is_direct() {
                let (refused, _) = file.write_at(IoClass::Produce, 1, DmaBuf::from_slice(&[1; 100])).await;
                assert_eq!(refused.expect_err("not aligned").kind(), std::io::ErrorKind::InvalidInput);
            } else {
                let parts = vec![Bytes::from_static(b"hello "), Bytes::new(), Bytes::from_static(b"world")];
                file.write_all_at(IoClass::Raft, 3, parts).await.expect("written");
                let (_, back) = file.read_at(IoClass::Fetch, 0, DmaBuf::new(14)).await;
                assert_eq!(&back[3..14], b"hello world");
            }
            file.set_len(10).await.expect("cut");
            assert_eq!(file.len().await.expect("a size"), 10);
            file.close().await.expect("closed");
            let stats = rt::stats();
            assert_eq!(stats.disk(IoClass::Produce).flushes, 1);
            assert_eq!(stats.disk(IoClass::Background).read_bytes, 64 << 10);
        });
    }
}

#[test]
fn ten_thousand_parked_fetches_are_woken_by_one_produce() {
    on_machine(|| super::park_and_wake(10_000));
}
