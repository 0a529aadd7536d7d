use super::{Dir, both, on_machine};
use ailurus_model::ShardId;
use ailurus_rt as rt;
use bytes::Bytes;
use rt::{
    Abort, Config, Conn, DmaBuf, File, Foreign, Group, IoClass, Lane, Listener, OpenOptions, Outside, Refused, Sharded,
};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

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
    on_machine(echo);
}

/// Echoes bodies of many sizes through connections on both shards.
pub(crate) async fn echo() {
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
    serving.await;
}

#[test]
fn a_listener_that_keeps_its_connections_spreads_none() {
    on_machine(|| async {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let addr = listener.local_addr();
        let service = Sharded::start(|_| Abort::new()).await;
        // Bound here, it serves there.
        let serve = move |stop: Rc<Abort>| async move {
            let tell = async |conn: Conn| {
                let (mut rx, mut tx) = conn.split();
                tx.write(vec![Bytes::copy_from_slice(&rt::this_shard().0.to_be_bytes())]).await.expect("it reads");
                assert!(rx.read(1).await.expect("a clean end").is_none());
            };
            listener.serve_here((*stop).clone(), tell).await;
        };
        let serving = service.on_async(ShardId(1), Lane::Admin, serve);
        let mut open = Vec::new();
        for held in 1..=5 {
            let (mut rx, tx) = Conn::connect(addr).await.expect("it listens").split();
            assert_eq!(rx.read(2).await.expect("an answer").as_deref(), Some(&[0, 1][..]));
            open.push((rx, tx));
            // Both ends are in this process.
            assert_eq!(rt::connection_count(), 2 * held);
        }
        drop(open);
        service.on(ShardId(1), Lane::Admin, |stop: &Rc<Abort>| stop.request()).await;
        serving.await;
        service.stop().await;
    });
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
        serving.await;
    });
}

#[test]
fn a_file_is_written_read_and_flushed() {
    for direct in [false, true] {
        let dir = Dir::new(&format!("file-{direct}"));
        let path = dir.file("data");
        on_machine(move || write_and_read(path, direct));
    }
}

/// Writes, flushes, reads and cuts a file.
pub(crate) async fn write_and_read(path: std::path::PathBuf, direct: bool) {
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
        file.write_at(IoClass::Raft, 3, DmaBuf::from_slice(b"hello world")).await.0.expect("written");
        let (_, back) = file.read_at(IoClass::Fetch, 0, DmaBuf::new(14)).await;
        assert_eq!(&back[3..14], b"hello world");
    }
    file.set_len(10).await.expect("cut");
    assert_eq!(file.len().await.expect("a size"), 10);
    file.close().await.expect("closed");
    let stats = rt::stats();
    assert_eq!(stats.disk(IoClass::Produce).flushes, 1);
    assert_eq!(stats.disk(IoClass::Background).read_bytes, 64 << 10);
}

#[test]
fn ten_thousand_parked_fetches_are_woken_by_one_produce() {
    on_machine(|| super::park_and_wake(10_000));
}

/// Says on drop on which shard it was dropped.
struct Mortal(Rc<()>, Sharded<Cell<u32>>);

impl Drop for Mortal {
    fn drop(&mut self) {
        self.1.local().set(self.1.local().get() + 1);
        assert_eq!(Rc::strong_count(&self.0), 1);
    }
}

#[test]
fn a_foreign_value_and_a_buffer_go_home() {
    on_machine(|| async {
        let deaths = Sharded::start(|_| Cell::new(0)).await;
        let foreign = Foreign::new(Mortal(Rc::new(()), deaths));
        let kept = rt::stats().slab_kept_now;
        let bytes = DmaBuf::from_slice(&[9; 10_000]).freeze();
        let slice = bytes.slice(5000..);
        drop(bytes);
        deaths
            .on(ShardId(1), Lane::Kafka, move |_| {
                drop(foreign);
                assert_eq!(slice[..], [9; 5000]);
            })
            .await;
        // Both were dropped on shard 1; they come with its answers.
        while rt::stats().slab_kept_now == kept || deaths.local().get() == 0 {
            rt::yield_now().await;
        }
        assert_eq!(deaths.map(Lane::Admin, |deaths| deaths.get()).await, [1, 0]);
        assert_eq!(rt::stats().slab_kept_now, kept + 16384);
    });
}

#[test]
fn outsiders_ask_a_shard_and_hear_when_it_is_too_much() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let asker = std::thread::spawn(move || {
        let (outside, service): (Outside, Sharded<Cell<u32>>) = receiver.recv().expect("a door");
        let bump = |by: u32| {
            move |part: Rc<Cell<u32>>| -> rt::LocalBoxFuture<(ShardId, u32)> {
                Box::pin(async move {
                    rt::yield_now().await;
                    part.set(part.get() + by);
                    (rt::this_shard(), part.get())
                })
            }
        };
        let first = outside.call(service, ShardId(1), bump(1)).expect("room").wait();
        assert_eq!(first, Ok((ShardId(1), 1)));
        // While the shard is busy elsewhere, its queue fills.
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (begun, begins) = std::sync::mpsc::channel();
        let block = outside.call(service, ShardId(1), move |_| {
            begun.send(()).expect("somebody waits");
            released.recv().expect("released");
            Box::pin(async {})
        });
        begins.recv().expect("it blocks");
        let calls: Vec<_> = (0..1000).map(|_| outside.call(service, ShardId(1), bump(1))).collect();
        let refused = calls.iter().filter(|call| matches!(call, Err(Refused::Overloaded))).count();
        assert_eq!(refused, 1000 - 256);
        release.send(()).expect("it waits");
        block.expect("room").wait().expect("done");
        let done = calls.into_iter().flatten().map(|call| call.wait().expect("done")).max();
        assert_eq!(done, Some((ShardId(1), 257)));
        outside
    });
    on_machine(|| async move {
        let service = Sharded::start(|_| Cell::new(0)).await;
        sender.send((Outside::get(), service)).expect("the asker waits");
        while service.on(ShardId(1), Lane::Admin, |part| part.get()).await < 257 {
            rt::sleep(Duration::from_millis(1)).await;
        }
    });
    let outside = asker.join().expect("the asker is content");
    let service: Sharded<Cell<u32>> = on_machine(|| Sharded::start(|_| Cell::new(0)));
    let late = outside.call(service, ShardId(0), |_| Box::pin(async {}));
    assert_eq!(late.err(), Some(Refused::Stopped));
}

#[test]
fn a_panic_ends_the_machine_and_goes_on_in_run() {
    let ended = std::panic::catch_unwind(|| {
        on_machine(|| async {
            let service = Sharded::start(|_| ()).await;
            service.on(ShardId(1), Lane::Kafka, |_| panic!("broken invariant")).await;
        })
    });
    let panic = ended.expect_err("it goes on");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"broken invariant"));
}

#[test]
fn an_idle_machine_does_not_turn() {
    on_machine(|| async {
        let service = Sharded::start(|_| ()).await;
        // Whatever the start left to do, and what adaptive spinning still hopes for.
        rt::sleep(Duration::from_millis(100)).await;
        let turns = service.map(Lane::Admin, |_| rt::stats().turns).await;
        rt::sleep(Duration::from_millis(300)).await;
        let later = service.map(Lane::Admin, |_| rt::stats().turns).await;
        for (before, after) in turns.into_iter().zip(later) {
            assert!(after - before < 20, "{} turns in an idle time", after - before);
        }
    });
}

#[test]
fn a_stall_is_counted_and_background_yields() {
    let config = Config { shards: 1, stall: Duration::from_millis(5), ..Config::small() };
    rt::run(config, || async {
        let hog = rt::spawn(Group::Admin, async {
            let begun = rt::now();
            while begun.elapsed() < Duration::from_millis(20) {}
        });
        hog.await;
        assert!(rt::stats().stalls >= 1);
        assert!(rt::stats().stall_worst_ns >= 20_000_000);
        // A background task that asks to yield lets others in after each slice.
        let others = Rc::new(Cell::new(0u32));
        let seen = others.clone();
        let other = rt::spawn(Group::Kafka, async move {
            loop {
                seen.set(seen.get() + 1);
                rt::yield_now().await;
            }
        });
        let hog = rt::spawn(Group::Compaction, async move {
            let begun = rt::now();
            for slice in 0..10 {
                while !rt::need_preempt() {
                    assert!(begun.elapsed() < Duration::from_secs(20), "slice {slice} does not end");
                }
                rt::yield_now().await;
            }
        });
        hog.await;
        assert!(others.get() >= 10, "others ran {} times in 10 slices", others.get());
        drop(other);
    })
    .expect("the machine runs");
}

#[test]
fn beyond_the_space_limit_files_do_not_grow() {
    let dir = Dir::new("space");
    files_grow_to_the_limit(dir.file(""), dir.file(""));
}

#[test]
fn the_space_limit_holds_where_its_directory_has_a_relative_name() {
    let dir = Dir::new("space-relative");
    let here = std::env::current_dir().expect("the tests run somewhere");
    let up: std::path::PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(dir.file("").strip_prefix("/").expect("an absolute path"));
    // As a broker does it: the limit is given before the directory's name is made absolute, files are opened after it.
    files_grow_to_the_limit(relative.clone(), std::path::absolute(&relative).expect("a name"));
    files_grow_to_the_limit(std::path::absolute(&relative).expect("a name"), relative);
}

#[test]
fn a_space_limit_needs_its_directory() {
    let config = Config { disk_space_max: Some(1), ..Config::small() };
    assert!(matches!(rt::run(config, || async {}), Err(rt::Error::Config(_))));
}

/// Space is limited below `limited`; files are made in `root`, the same directory.
fn files_grow_to_the_limit(limited: std::path::PathBuf, root: std::path::PathBuf) {
    std::fs::write(root.join("old"), [0; 1000]).expect("written");
    let config = Config { disk_space_max: Some(101_000), disk_space_root: Some(limited), ..Config::small() };
    rt::run(config, || async move {
        assert_eq!(rt::fs::free_space(&root).await.expect("known"), 100_000);
        let options = OpenOptions { create: true, write: true, ..OpenOptions::default() };
        let file = File::open(&root.join("new"), options).await.expect("opens");
        file.allocate(0, 60_000).await.expect("fits");
        let (full, _) = file.write_at(IoClass::Produce, 60_000, DmaBuf::from_slice(&[1; 50_000])).await;
        assert_eq!(full.expect_err("full").kind(), std::io::ErrorKind::StorageFull);
        file.write_at(IoClass::Produce, 0, DmaBuf::from_slice(&[1; 50_000])).await.0.expect("grows nothing");
        rt::fs::remove_file(&root.join("old")).await.expect("removed");
        assert_eq!(rt::fs::free_space(&root).await.expect("known"), 41_000);
        file.set_len(1000).await.expect("cut");
        rt::fs::rename(&root.join("new"), &root.join("newer")).await.expect("renamed");
        assert_eq!(rt::fs::free_space(&root).await.expect("known"), 100_000);
        rt::fs::create_dir_all(&root.join("a/b")).await.expect("made");
        rt::fs::rename(&root.join("newer"), &root.join("a/b/c")).await.expect("renamed");
        rt::fs::remove_dir_all(&root.join("a")).await.expect("removed");
        assert_eq!(rt::fs::free_space(&root).await.expect("known"), 101_000);
    })
    .expect("the machine runs");
}

#[test]
fn what_failed_takes_no_space() {
    let dir = Dir::new("space-failed");
    let root = dir.file("");
    let config = Config { disk_space_max: Some(101_000), disk_space_root: Some(root.clone()), ..Config::small() };
    rt::run(config, || async move {
        std::fs::write(root.join("file"), [0; 1000]).expect("written");
        let options = OpenOptions { create: true, write: true, ..OpenOptions::default() };
        let file = File::open(&root.join("file"), options).await.expect("opens");
        file.allocate(0, 2000).await.expect("fits");
        let free = rt::fs::free_space(&root).await.expect("known");
        let read_only = File::open(&root.join("file"), OpenOptions::default()).await.expect("opens");
        let (refused, _) = read_only.write_at(IoClass::Produce, 0, DmaBuf::from_slice(&[1; 50_000])).await;
        refused.expect_err("not open for writing");
        read_only.allocate(0, 50_000).await.expect_err("not open for writing");
        read_only.set_len(50_000).await.expect_err("not open for writing");
        let again = OpenOptions { truncate: true, create_new: true, ..options };
        File::open(&root.join("file"), again).await.err().expect("it is there already");
        assert_eq!(rt::fs::free_space(&root).await.expect("known"), free);
    })
    .expect("the machine runs");
}

#[test]
fn directories_and_locks() {
    let dir = Dir::new("names");
    let root = dir.file("");
    on_machine(|| async move {
        rt::fs::write_durably(&root.join("b"), b"old").await.expect("written");
        rt::fs::write_durably(&root.join("b"), b"new").await.expect("written");
        rt::fs::create_dir_all(&root.join("a/deep")).await.expect("made");
        let entries = rt::fs::read_dir(&root).await.expect("read");
        let names: Vec<_> = entries.iter().map(|entry| (entry.name.to_str().expect("ASCII"), entry.is_dir)).collect();
        assert_eq!(names, [("a", true), ("b", false)]);
        assert_eq!(rt::fs::read(&root.join("b")).await.expect("read"), b"new");
        assert!(rt::fs::exists(&root.join("a/deep")).await.expect("known"));
        assert!(!rt::fs::exists(&root.join("c")).await.expect("known"));
        rt::fs::sync_fs(&root).await.expect("flushed");
        let lock = rt::fs::lock(&root.join("lock")).await.expect("free");
        let taken = rt::fs::lock(&root.join("lock")).await.err().expect("taken");
        assert_eq!(taken.kind(), std::io::ErrorKind::WouldBlock);
        drop(lock);
        rt::fs::lock(&root.join("lock")).await.expect("free again");
        let missing = File::open(&root.join("none"), OpenOptions::default()).await.err().expect("missing");
        assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    });
}

#[test]
fn a_signal_asks_for_the_end() {
    let signal = on_machine(|| async {
        let waiting = rt::spawn(Group::Cluster, rt::shutdown_signal());
        // Its first poll takes the signals over.
        while rt::stats().polls[Group::Cluster as usize] < 3 {
            rt::yield_now().await;
        }
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).expect("to ourselves");
        waiting.await
    });
    assert_eq!(signal, rt::Signal::Terminate);
}

#[test]
fn blocking_work_runs_elsewhere_and_its_panic_comes_back() {
    on_machine(|| async {
        let here = std::thread::current().id();
        assert_ne!(rt::run_blocking(|| std::thread::current().id()).await, here);
        let many: Vec<_> =
            (0..100u32).map(|number| rt::spawn(Group::Admin, rt::run_blocking(move || number * 2))).collect();
        for (number, task) in many.into_iter().enumerate() {
            assert_eq!(task.await, number as u32 * 2);
        }
    });
    let ended = std::panic::catch_unwind(|| on_machine(|| rt::run_blocking(|| panic!("in the pool"))));
    assert!(ended.is_err());
}

/// A job may come just when a thread of the pool lies down, or is called together with another: none may be left lying.
#[test]
fn no_blocking_work_is_forgotten() {
    for threads in [1, 3] {
        let config = Config { blocking_threads: threads, ..Config::small() };
        let done = rt::run(config, || async {
            let mut done = 0;
            for round in 0..3_000 {
                let jobs: Vec<_> = (0..=round % 4).map(|_| rt::spawn(Group::Admin, rt::run_blocking(|| 1))).collect();
                for job in jobs {
                    // Sooner than a thread that lies down looks again by itself.
                    done += rt::timeout(Duration::from_secs(9), job).await.expect("somebody was called");
                }
            }
            done
        });
        assert_eq!(done.expect("the machine runs"), 7_500);
    }
}

#[test]
fn gates_aborts_and_permits() {
    on_machine(|| async {
        let (gate, abort) = (rt::Gate::new(), Abort::new());
        let worker = rt::spawn(Group::Kafka, {
            let (pass, abort) = (gate.enter().expect("open"), abort.clone());
            async move {
                abort.requested().await;
                drop(pass);
            }
        });
        let closing = rt::spawn(Group::Kafka, {
            let gate = gate.clone();
            async move { gate.close().await }
        });
        rt::yield_now().await;
        assert!(gate.enter().is_err() && !closing.is_finished());
        abort.request();
        both(worker, closing).await;

        let memory = rt::Memory::new(100);
        assert_eq!(memory.largest(), 50);
        let mut permit = memory.acquire(40).await;
        let part = permit.split(15);
        assert_eq!((permit.bytes(), part.bytes(), memory.free()), (25, 15, 60));
        drop(permit);
        assert_eq!(memory.free(), 85);
        assert!(memory.try_acquire(90).is_none());
        drop(part);
        assert_eq!(memory.free(), 100);
        assert_eq!(rt::memory().free(), 32 << 20, "half of 64 MiB");
    });
}

#[test]
fn a_read_that_was_given_up_poisons_its_half() {
    on_machine(|| async {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let addr = listener.local_addr();
        let stop = Abort::new();
        let serving = rt::spawn(
            Group::Kafka,
            listener.serve(stop.clone(), |conn: Conn| async move {
                let (mut rx, _tx) = conn.split();
                assert!(rt::timeout(Duration::from_millis(2), rx.read(10)).await.is_err());
                assert!(rx.read(10).await.is_err());
            }),
        );
        let (mut rx, _tx) = Conn::connect(addr).await.expect("it listens").split();
        assert!(rx.read(1).await.expect("a clean end").is_none(), "the other side closed");
        stop.request();
        serving.await;
    });
}

#[test]
fn every_credit_comes_back() {
    const CREDITS: usize = 8;
    on_machine(|| async {
        let service = Sharded::start(|_| Cell::new(0)).await;
        for round in 0..3 {
            // More than there are credits; some callers lose interest, some answers come late.
            let calls: Vec<_> = (0..200u64)
                .map(|number| {
                    service.on_async(ShardId(1), Lane::ALL[number as usize % 4], move |count| async move {
                        if number % 3 == 0 {
                            rt::sleep(Duration::from_micros(number)).await;
                        }
                        count.set(count.get() + 1);
                    })
                })
                .collect();
            for (number, call) in calls.into_iter().enumerate() {
                if number % 5 != 0 {
                    call.await;
                }
            }
            while service.on(ShardId(1), Lane::Admin, |count| count.get()).await < 200 * (round + 1) {
                rt::yield_now().await;
            }
            for lane in Lane::ALL {
                // An answer may overtake the credit of its call by a moment; in the end all are back.
                let deadline = rt::now() + Duration::from_secs(20);
                loop {
                    // One after the other without a pause: nothing can come back in between.
                    let granted: Vec<_> = (0..CREDITS).map(|_| service.try_on(ShardId(1), lane, |_| ())).collect();
                    let all = granted.iter().all(Result::is_ok);
                    for call in granted.into_iter().flatten() {
                        call.await;
                    }
                    if all {
                        break;
                    }
                    assert!(rt::now() < deadline, "{} lost a credit", lane.name());
                }
            }
        }
    });
    // Credits of one lane are not lent to another, and who gets none has its body back.
    let config = Config { spin: rt::Spin::Off, ..Config::small() };
    rt::run(config, || async {
        let service = Sharded::start(|_| ()).await;
        let (release, released) = std::sync::mpsc::channel::<()>();
        let blocked = service.on(ShardId(1), Lane::Raft, move |_| released.recv().expect("released"));
        let waiting: Vec<_> = (0..CREDITS).map(|_| service.on(ShardId(1), Lane::Kafka, |_| ())).collect();
        let refused = service.try_on(ShardId(1), Lane::Kafka, |_| 7).err().expect("no credit is left");
        assert_eq!((refused.0)(&Rc::new(())), 7);
        let granted = service.try_on(ShardId(1), Lane::Cluster, |_| 8).expect("another lane");
        release.send(()).expect("it waits");
        blocked.await;
        for call in waiting {
            call.await;
        }
        assert_eq!(granted.await, 8);
    })
    .expect("the machine runs");
}

#[test]
fn the_end_has_its_exit_code_where_nobody_reads_why() {
    const ENDING: &str = "AILURUS_TEST_ENDS_ITSELF";
    if std::env::var_os(ENDING).is_some() {
        rt::fatal(rt::Fatal::DiskFailed);
    }
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "real::the_end_has_its_exit_code_where_nobody_reads_why", "--nocapture"])
        .env(ENDING, "1")
        .stdout(std::process::Stdio::null())
        .stderr(writer)
        .status();
    assert_eq!(status.expect("it runs").code(), Some(rt::Fatal::DiskFailed.exit_code()));
}

/// Keeps the shard busy.
fn spin(time: Duration) {
    let begun = rt::now();
    while begun.elapsed() < time {}
}

#[test]
fn what_others_call_a_shard_for_is_charged_bounded_and_watched() {
    const CALLS: u64 = 100;
    let config = Config { lane_credits: 256, stall: Duration::from_millis(20), ..Config::small() };
    rt::run(config, || async {
        let service = Sharded::start(|_| ()).await;
        // All of these are on the ring at once, and each takes longer than a turn has for all of them.
        let calls: Vec<_> = (0..CALLS)
            .map(|number| {
                service.on(ShardId(1), Lane::Kafka, move |_| {
                    let turns = rt::stats().turns;
                    spin(if number == 0 { Duration::from_millis(25) } else { Duration::from_millis(1) });
                    turns
                })
            })
            .collect();
        let mut turns = std::collections::BTreeSet::new();
        for call in calls {
            turns.insert(call.await);
        }
        assert_eq!(turns.len() as u64, CALLS, "each call had a turn of its own");
        // The first poll of a future is such a call, too, and is told when its time is over.
        let deadline = rt::now() + Duration::from_secs(20);
        loop {
            let slices = service.on_async(ShardId(1), Lane::Kafka, |_| async {
                let at_once = rt::need_preempt();
                spin(Duration::from_millis(1));
                (at_once, rt::need_preempt())
            });
            match slices.await {
                (false, over) => break assert!(over, "it had a slice and used it up"),
                // The system took the CPU away right at the beginning.
                (true, _) => assert!(rt::now() < deadline, "it never has a slice"),
            }
        }
        let stats = service.on(ShardId(1), Lane::Kafka, |_| rt::stats()).await;
        assert!(stats.group(Group::Kafka).1 >= CALLS * 1_000_000, "{} ns", stats.group(Group::Kafka).1);
        assert!(stats.stalls >= 1 && stats.stall_worst_ns >= 25_000_000, "{} stalls", stats.stalls);
    })
    .expect("the machine runs");
}

#[test]
fn threads_beside_the_shards_may_use_all_cpus() {
    let cpus = || rustix::thread::sched_getaffinity(None).expect("the system says");
    let all = cpus();
    let usable = std::thread::available_parallelism().expect("the system says").get();
    let filled = usable == all.count() as usize;
    rt::run(Config { shards: 0, pin: true, ..Config::small() }, move || async move {
        assert_eq!(cpus().count() as usize, if filled { 1 } else { all.count() as usize }, "a shard's own");
        assert_eq!(rt::run_blocking(cpus).await, all);
        let beside = rt::start_thread("beside", cpus).expect("starts");
        assert_eq!(rt::run_blocking(|| beside.join().expect("it says")).await, all);
    })
    .expect("the machine runs");
    // With shards for some of the CPUs only, nobody knows which of them are free.
    rt::run(Config { shards: usable + 1, pin: true, ..Config::small() }, move || async move {
        assert_eq!(cpus(), all);
    })
    .expect("the machine runs");
    if usable > 1 {
        rt::run(Config { shards: usable - 1, pin: true, ..Config::small() }, move || async move {
            assert_eq!(cpus(), all);
        })
        .expect("the machine runs");
    }
}

#[test]
fn what_a_producer_waits_for_passes_blocking_work() {
    let dir = Dir::new("urgent");
    let path = dir.file("data");
    let config = Config { backend: rt::Backend::Epoll, blocking_threads: 2, ..Config::small() };
    rt::run(config, || async move {
        let options = OpenOptions { create: true, write: true, ..OpenOptions::default() };
        let file = File::open(&path, options).await.expect("opens");
        let (begun, begins) = std::sync::mpsc::channel();
        let hogs: Vec<_> = (0..5)
            .map(|_| {
                let begun = begun.clone();
                let (release, released) = std::sync::mpsc::channel::<()>();
                let hog = rt::run_blocking(move || {
                    _ = begun.send(());
                    _ = released.recv();
                });
                (rt::spawn(Group::Recovery, hog), release)
            })
            .collect();
        while begins.try_iter().count() == 0 {
            rt::sleep(Duration::from_millis(1)).await;
        }
        let produce = async {
            file.write_at(IoClass::Produce, 0, DmaBuf::from_slice(&[1; 100])).await.0.expect("written");
            file.sync_data(IoClass::Produce).await.expect("flushed");
        };
        rt::timeout(Duration::from_secs(20), produce).await.expect("it does not wait for them");
        for (hog, release) in hogs {
            release.send(()).expect("it waits or will");
            hog.await;
        }
    })
    .expect("the machine runs");
}
