//! From exec to the first acknowledged produce on an empty directory. The client runs already and retries every
//! millisecond; it asks for a topic that does not exist, so its creation is part of the time.

use std::time::Duration;

use ailurus_wire::{Str, produce::ProduceResponse};

use super::quantile;
use crate::Context;
use crate::broker::{Broker, fresh_directory};
use crate::client::{self, Client};
use crate::report::Row;

const RETRY: Duration = Duration::from_millis(1);
const GOAL_MS: f64 = 100.0;

pub(crate) fn measure(context: &Context) -> Result<Vec<Row>, String> {
    let runs = context.pick(20, 2);
    let mut times = Vec::new();
    for _ in 0..runs {
        let directory = fresh_directory(context, "first-ack")?;
        let mut broker = Broker::start(context, &directory, &["auto.create.topics.enable=true"])?;
        first_ack(&mut broker, &Str::from_static("first"))?;
        times.push(broker.started.elapsed().as_secs_f64() * 1000.0);
    }
    let (median, worst) = (quantile(&mut times, 0.5), quantile(&mut times, 1.0));
    let result = format!("median {median:.0} ms, worst {worst:.0} ms of {runs}");
    Ok(vec![Row::timed("exec to first acknowledged produce, empty directory", "<= 100 ms", result, worst <= GOAL_MS)])
}

/// Until a record is acknowledged; everything that fails is tried again after a millisecond.
pub(crate) fn first_ack(broker: &mut Broker, topic: &Str) -> Result<(), String> {
    let mut connection = None;
    loop {
        match attempt(&mut connection, broker, topic) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(_) => connection = None,
        }
        broker.still_starting()?;
        std::thread::sleep(RETRY);
    }
}

fn attempt(connection: &mut Option<Client>, broker: &Broker, topic: &Str) -> Result<bool, String> {
    let client = match connection {
        Some(client) => client,
        None => connection.insert(Client::connect(broker.kafka)?),
    };
    if !client.has_leaders(topic)? {
        return Ok(false);
    }
    let response: ProduceResponse =
        client.call(client::PRODUCE, &client::produce(topic, [(0, client::batch(b"first"))]))?;
    Ok(client::refusal(&response).is_none())
}
