//! What once broke drivers: storms of wakes and cancellations, full queues, an end with everything under way. On every
//! rung of the ladder.

use super::{Dir, both};
use ailurus_model::ShardId;
use ailurus_rt as rt;
use rt::{Abort, Backend, Config, Conn, DmaBuf, File, Group, IoClass, Lane, Listener, OpenOptions, Rung, Sharded};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

/// Each test runs on every rung that this kernel grants, with a submission queue that is always full.
fn machines() -> Vec<Config> {
    let rungs = [Rung::UringDeferred, Rung::UringCooperative, Rung::UringPlain, Rung::Epoll];
    let config = |rung| Config { backend: Backend::Exactly(rung), shards: 3, ring_entries: 16, ..Config::small() };
    let granted = |config: &Config| match rt::run(config.clone(), || async { rt::backend().rung }) {
        Ok(rung) => config.backend == Backend::Exactly(rung),
        Err(rt::Error::NoDriver(_)) => false,
        Err(error) => panic!("{error}"),
    };
    let machines: Vec<Config> = rungs.into_iter().map(config).filter(granted).collect();
    assert!(machines.iter().any(|config| config.backend == Backend::Exactly(Rung::Epoll)), "epoll is everywhere");
    // CI says what its kernel grants, so that a rung which does not stand any more is not taken for one that is refused.
    if std::env::var_os("RT_MUST_HAVE").is_some_and(|wanted| wanted == "io_uring") {
        let best = Backend::Exactly(Rung::UringDeferred);
        assert!(machines.iter().any(|config| config.backend == best), "io_uring is refused: {:?}", why_not(best));
    }
    machines
}

fn why_not(backend: Backend) -> Option<rt::Error> {
    rt::run(Config { backend, ..Config::small() }, || async {}).err()
}

fn rung_name(config: &Config) -> String {
    format!("{:?}", config.backend).replace(['(', ')'], "-")
}

#[test]
fn a_storm_of_wakes_across_shards_loses_none() {
    for config in machines() {
        let calls = rt::run(config, || async {
            let served = Sharded::start(|_| Cell::new(0u64)).await;
            // Each shard: 200 tasks, each calls everyone 50 times; a third of the answers come from waiting futures, and
            // every now and then another thread does the waking.
            served
                .map_async(Lane::Admin, move |_| async move {
                    let tasks: Vec<_> = (0..200u64).map(|task| rt::spawn(Group::Kafka, storm(served, task))).collect();
                    for task in tasks {
                        task.await;
                    }
                })
                .await;
            served.map(Lane::Admin, |served| served.get()).await
        });
        assert_eq!(calls.expect("the machine runs"), vec![200 * 50 * 3; 3]);
    }
}

async fn storm(served: Sharded<Cell<u64>>, task: u64) {
    for round in 0..50 {
        let calls: Vec<_> = (0..3)
            .map(|to| match (task + round + to) % 3 {
                0 => served.on_async(ShardId(to as u16), Lane::Raft, |served| async move {
                    rt::yield_now().await;
                    served.set(served.get() + 1);
                }),
                _ => served.on(ShardId(to as u16), Lane::Kafka, |served| served.set(served.get() + 1)),
            })
            .collect();
        for call in calls {
            call.await;
        }
        if (task + round).is_multiple_of(97) {
            rt::run_blocking(|| ()).await;
        }
    }
}

#[test]
fn more_operations_than_the_queue_holds_all_end() {
    for config in machines() {
        let dir = Dir::new(&format!("full-{}", rung_name(&config)));
        let path = dir.file("data");
        rt::run(config, || async move {
            let options = OpenOptions { direct: true, create: true, write: true, ..OpenOptions::default() };
            let file = File::open(&path, options).await.expect("opens");
            file.allocate(0, 1 << 22).await.expect("room");
            let write = |page: u64| {
                let file = file.clone();
                rt::spawn(Group::Raft, async move {
                    let buf = DmaBuf::from_slice(&[page as u8; 4096]);
                    file.write_at(IoClass::Produce, page * 4096, buf).await.0.expect("written");
                })
            };
            for task in (0..1000).map(write).collect::<Vec<_>>() {
                task.await;
            }
            file.sync_data(IoClass::Produce).await.expect("flushed");
            let read = |page: u64| {
                let file = file.clone();
                rt::spawn(Group::Fetch, async move {
                    let (read, buf) = file.read_at(IoClass::Fetch, page * 4096, DmaBuf::new(4096)).await;
                    assert_eq!((read.expect("read"), buf[0]), (4096, page as u8));
                })
            };
            for task in (0..1000).map(read).collect::<Vec<_>>() {
                task.await;
            }
        })
        .expect("the machine runs");
    }
}

/// A listener whose connections say nothing until the client does; then they echo one byte.
async fn silent_listener(stop: &Abort) -> (SocketAddr, rt::Task<()>) {
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
    let addr = listener.local_addr();
    let serving = listener.serve(stop.clone(), |conn: Conn| async move {
        let (mut rx, mut tx) = conn.split();
        while let Ok(Some(byte)) = rx.read(1).await {
            if tx.write(vec![byte]).await.is_err() {
                return;
            }
        }
    });
    (addr, rt::spawn(Group::Kafka, serving))
}

#[test]
fn a_storm_of_cancellations_leaves_nothing_behind() {
    for config in machines() {
        rt::run(config, || async {
            let stop = Abort::new();
            let (addr, serving) = silent_listener(&stop).await;
            let service = Sharded::start(|_| ()).await;
            for _ in 0..5 {
                let mut reading = Vec::new();
                for _ in 0..100 {
                    let (mut rx, tx) = Conn::connect(addr).await.expect("it listens").split();
                    reading.push(rt::spawn(Group::Kafka, async move {
                        _ = rx.read(1).await;
                        drop(tx);
                    }));
                }
                rt::yield_now().await;
                // All at once, many more than the submission queue has room for.
                drop(reading);
                let sleeping: Vec<_> =
                    (0..500).map(|_| rt::spawn(Group::Kafka, rt::sleep(Duration::from_secs(3600)))).collect();
                rt::yield_now().await;
                drop(sleeping);
            }
            // The connections end on both sides, and whoever comes next is served.
            let deadline = rt::now() + Duration::from_secs(20);
            while service.map(Lane::Admin, |_| rt::stats().connections_now).await.iter().sum::<u64>() > 0 {
                assert!(rt::now() < deadline, "connections stay after their readers were cancelled");
                rt::sleep(Duration::from_millis(2)).await;
            }
            let (mut rx, mut tx) = Conn::connect(addr).await.expect("it listens").split();
            let (sent, back) = both(tx.write(vec![bytes::Bytes::from_static(b"x")]), rx.read(1)).await;
            sent.expect("sent");
            assert_eq!(back.expect("read").as_deref(), Some(&b"x"[..]));
            stop.request();
            serving.await;
        })
        .expect("the machine runs");
    }
}

#[test]
fn a_machine_ends_with_everything_under_way() {
    for round in 0..4 {
        for config in machines() {
            let dir = Dir::new(&format!("end-{}-{round}", rung_name(&config)));
            let path = dir.file("data");
            rt::run(config, move || async move {
                let stop = Abort::new();
                let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
                let addr = listener.local_addr();
                let deaf = |conn: Conn| async move {
                    let _held = conn;
                    std::future::pending().await
                };
                rt::spawn(Group::Kafka, listener.serve(stop.clone(), deaf)).detach();
                let options = OpenOptions { direct: true, create: true, write: true, ..OpenOptions::default() };
                let file = File::open(&path, options).await.expect("opens");
                let service = Sharded::start(|_| ()).await;
                for number in 0..50u64 {
                    let (mut rx, mut tx) = Conn::connect(addr).await.expect("it listens").split();
                    rt::spawn(Group::Kafka, async move {
                        _ = rx.read(1).await;
                    })
                    .detach();
                    rt::spawn(Group::Kafka, async move {
                        _ = tx.write(vec![bytes::Bytes::from(vec![1; 8 << 20])]).await;
                    })
                    .detach();
                    let file = file.clone();
                    rt::spawn(Group::Raft, async move {
                        let buf = DmaBuf::from_slice(&[1; 4096]);
                        _ = file.write_at(IoClass::Background, number * 4096, buf).await;
                        _ = file.sync_data(IoClass::Background).await;
                    })
                    .detach();
                    let foreign = rt::Foreign::new(std::rc::Rc::new(number));
                    drop(service.on_async(ShardId((number % 3) as u16), Lane::Kafka, |_| async move {
                        let _held = foreign;
                        std::future::pending::<()>().await;
                    }));
                    rt::spawn(Group::Recovery, rt::run_blocking(|| ())).detach();
                    rt::spawn(Group::Admin, rt::sleep(Duration::from_secs(1000))).detach();
                }
                for _ in 0..round {
                    rt::yield_now().await;
                }
            })
            .expect("the machine ends in order");
        }
    }
}
