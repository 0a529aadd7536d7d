//! InitProducerId for idempotent producers. Ids come in blocks from the controller, one block per shard at a time, and
//! are never given twice: what a restart leaves of a block is lost.

use std::rc::Rc;

use ailurus_cluster::command::{Command, Reply};
use ailurus_wire::ErrorCode;
use ailurus_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use crate::dispatch::Request;
use crate::server::KafkaShard;

/// Ids that a shard fetches at once, as many as a Kafka broker.
const BLOCK: i64 = 1000;

pub(crate) async fn init_producer_id(request: &mut Request, body: InitProducerIdRequest) -> InitProducerIdResponse {
    let refused = |error_code| InitProducerIdResponse { error_code, ..Default::default() };
    match &body.transactional_id {
        Some(id) if id.is_empty() => return refused(ErrorCode::InvalidRequest),
        // Transactions are not served yet. Of the errors that clients know here, this one makes all of them give up.
        Some(_) => return refused(ErrorCode::TransactionalIdAuthorizationFailed),
        None => {}
    }
    match next_id(&request.shard).await {
        Some(producer_id) => InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() },
        None => refused(ErrorCode::CoordinatorNotAvailable),
    }
}

async fn next_id(shard: &Rc<KafkaShard>) -> Option<i64> {
    loop {
        if let Some(id) = shard.producer_ids.borrow_mut().next() {
            return Some(id);
        }
        match shard.cluster.submit(Command::ReserveProducerIds(BLOCK)).await {
            // Several may have asked at once: what is left of the block before is not thrown away.
            Ok(Reply::ProducerIds(first)) => {
                let mut ids = shard.producer_ids.borrow_mut();
                if ids.is_empty() {
                    *ids = first..first + BLOCK;
                }
            }
            _ => return None,
        }
    }
}
