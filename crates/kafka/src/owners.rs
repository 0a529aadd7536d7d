//! Questions about many partitions: one call per shard that owns some of them, all at the same time.

use std::collections::BTreeMap;
use std::rc::Rc;

use ailurus_cluster::Cluster;
use ailurus_model::{ShardId, TopicIdPartition};
use ailurus_partition::Partition;
use ailurus_rt::{self as rt, Instant, Lane};
use ailurus_wire::ErrorCode;

/// One partition of a request: where it is and what is wanted of it, or why it cannot be asked.
pub(crate) type Wanted<W> = Result<(TopicIdPartition, W), ErrorCode>;

/// What one owner is asked, each with its place among all.
struct Share<W> {
    places: Vec<usize>,
    wanted: Vec<(TopicIdPartition, W)>,
}

/// Asks the leader of each partition; the answers come in the order of `wanted`.
///
/// At each owner `ask` is called for all of its partitions before the first answer is waited for: what it does before it
/// makes its future is done together (and then shares a flush), the futures run one after the other. Owners that have
/// not answered by `deadline` answer REQUEST_TIMED_OUT. All calls are made when this is first polled.
pub(crate) async fn ask_owners<W, R, F>(
    cluster: &Cluster,
    wanted: Vec<Wanted<W>>,
    deadline: Option<Instant>,
    ask: impl Fn(Rc<Partition>, W) -> F + Copy + Send + 'static,
) -> Vec<Result<R, ErrorCode>>
where
    W: Send + 'static,
    R: Send + 'static,
    F: Future<Output = Result<R, ErrorCode>> + 'static,
{
    let mut answers = Vec::with_capacity(wanted.len());
    let mut shares: BTreeMap<ShardId, Share<W>> = BTreeMap::new();
    for (place, wanted) in wanted.into_iter().enumerate() {
        let owned = wanted.and_then(|(target, what)| {
            let owner = cluster.shard_of(target).ok_or(ErrorCode::NotLeaderOrFollower)?;
            Ok((owner, target, what))
        });
        answers.push(match owned {
            Ok((owner, target, what)) => {
                let share = shares.entry(owner).or_insert_with(|| Share { places: Vec::new(), wanted: Vec::new() });
                share.places.push(place);
                share.wanted.push((target, what));
                Err(ErrorCode::RequestTimedOut)
            }
            Err(error) => Err(error),
        });
    }
    let call = |(owner, share): (ShardId, Share<W>)| {
        let wanted = share.wanted;
        (share.places, cluster.sharded().on_async(owner, Lane::Kafka, move |owner| ask_here(owner, wanted, ask)))
    };
    let calls: Vec<_> = shares.into_iter().map(call).collect();
    for (places, call) in calls {
        let answered = match deadline {
            Some(deadline) => rt::timeout(deadline - rt::now(), call).await.unwrap_or_default(),
            None => call.await,
        };
        for (place, answer) in places.into_iter().zip(answered) {
            answers[place] = answer;
        }
    }
    answers
}

async fn ask_here<W, R, F: Future<Output = Result<R, ErrorCode>>>(
    owner: Rc<Cluster>,
    wanted: Vec<(TopicIdPartition, W)>,
    ask: impl Fn(Rc<Partition>, W) -> F,
) -> Vec<Result<R, ErrorCode>> {
    let mut asked = Vec::with_capacity(wanted.len());
    for (target, what) in wanted {
        let partition = owner.partition(target).filter(|partition| partition.is_leader());
        asked.push(partition.ok_or(ErrorCode::NotLeaderOrFollower).map(|partition| ask(partition, what)));
        rt::yield_if_needed().await;
    }
    let mut answers = Vec::with_capacity(asked.len());
    for asked in asked {
        answers.push(match asked {
            Ok(answer) => answer.await,
            Err(error) => Err(error),
        });
        rt::yield_if_needed().await;
    }
    answers
}
