//! One shard: a machine of its own.

use ailurus_rt::{self as rt, Abort, Group, Listener};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, mpsc};

use crate::commit::Commit;
use crate::disk::Disk;
use crate::memory::Memory;
use crate::topics::{Registry, Topics};
use crate::{Class, Cli, commit, connection};

/// What the connections of a shard share.
pub(crate) struct Node {
    pub(crate) shard: u16,
    pub(crate) shards: u16,
    pub(crate) class: Class,
    pub(crate) registry: Arc<Registry>,
    pub(crate) topics: RefCell<Topics>,
    pub(crate) memory: RefCell<Memory>,
    pub(crate) commit: Commit,
    pub(crate) next_producer: Cell<i64>,
}

impl Node {
    /// The node that leads a partition, as clients know it.
    pub(crate) fn leader(&self, partition: usize) -> i32 {
        node_id((partition % usize::from(self.shards)) as u16)
    }

    /// True if that is this one.
    pub(crate) fn leads(&self, partition: usize) -> bool {
        partition % usize::from(self.shards) == usize::from(self.shard)
    }
}

/// What clients call a shard.
pub(crate) fn node_id(shard: u16) -> i32 {
    i32::from(shard) + 1
}

/// Prepares the shard's part of the file, says where it listens, and serves.
pub(crate) async fn serve(
    cli: Cli,
    shard: u16,
    registry: Arc<Registry>,
    listening: mpsc::Sender<Result<(u16, SocketAddr), String>>,
) -> Result<(), String> {
    let shards = u64::from(cli.shards);
    let disk = Disk::prepare(&cli.file, (cli.file_mib << 20) / shards, shard)
        .await
        .map_err(|error| format!("cannot prepare {}: {error}", cli.file.display()))?;
    let mut addr = cli.listen;
    if addr.port() != 0 {
        let port = addr.port().checked_add(shard).ok_or("there is no such port")?;
        addr.set_port(port);
    }
    let listener = Listener::bind(addr).await.map_err(|error| format!("cannot listen on {addr}: {error}"))?;
    let node = Rc::new(Node {
        shard,
        shards: cli.shards,
        class: cli.class,
        registry,
        topics: RefCell::default(),
        memory: RefCell::new(Memory::new((cli.memory_mib << 20) as usize / usize::from(cli.shards))),
        commit: Commit::default(),
        // Ids of different shards differ.
        next_producer: Cell::new(i64::from(shard) << 32),
    });
    rt::spawn(Group::Kafka, commit::run(node.clone(), disk)).detach();
    // The announcement needs all shards; who connects before it knows only this one.
    _ = listening.send(Ok((shard, listener.local_addr())));
    let here = Here::set(node);
    listener.serve(Abort::new(), move |conn| connection::serve(here.get(), conn)).await;
    Ok(())
}

thread_local! {
    /// A machine of one shard is one thread, and the listener's closure has to be `Send`.
    static NODE: RefCell<Option<Rc<Node>>> = const { RefCell::new(None) };
}

/// The node of this thread.
#[derive(Clone, Copy)]
struct Here;

impl Here {
    fn set(node: Rc<Node>) -> Here {
        NODE.set(Some(node));
        Here
    }

    fn get(self) -> Rc<Node> {
        NODE.with_borrow(|node| node.clone()).expect("connections are served on the thread that set it")
    }
}
