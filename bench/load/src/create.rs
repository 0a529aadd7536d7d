//! `create`: topics, and the wait until they are there.

use crate::client::{self, PATIENCE, Plain};
use crate::{Target, clock};
use clap::Args;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use std::time::Duration;

/// Pause between two looks at the metadata.
const PAUSE: Duration = Duration::from_millis(20);
/// Partitions per request, but one topic at least: a broker may bound what one request may ask for.
const PARTITIONS_PER_REQUEST: usize = 1000;

/// Create a topic, or several, and wait until all partitions have a leader.
#[derive(Args)]
pub(crate) struct Create {
    #[command(flatten)]
    target: Target,
    /// Create so many topics, named T-0, T-1 and so on. Without it, one with the name as it is.
    #[arg(long)]
    count: Option<usize>,
    /// A setting of the topic, such as flush.messages=1. May be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = client::setting)]
    settings: Vec<(String, String)>,
}

impl Create {
    pub(crate) fn carry_out(&self) -> Result<(), String> {
        let admin: AdminClient<Plain> = client::config(&self.target, &[], &[])
            .create_with_context(Plain)
            .map_err(|error| format!("cannot start a client: {error}"))?;
        let names = self.names();
        let at_once = (PARTITIONS_PER_REQUEST / self.target.partitions as usize).max(1);
        for names in names.chunks(at_once) {
            self.ask(&admin, names)?;
        }
        self.wait(&admin, &names)
    }

    fn names(&self) -> Vec<String> {
        let topic = &self.target.topic;
        match self.count {
            None => vec![topic.clone()],
            Some(count) => (0..count).map(|number| numbered(topic, number)).collect(),
        }
    }

    fn ask(&self, admin: &AdminClient<Plain>, names: &[String]) -> Result<(), String> {
        let topics: Vec<NewTopic<'_>> = names.iter().map(|name| self.topic(name)).collect();
        let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        let results = futures_executor::block_on(admin.create_topics(&topics, &options))
            .map_err(|error| format!("cannot create topics: {error}"))?;
        let refused = results.into_iter().find_map(Result::err);
        refused.map_or(Ok(()), |(name, error)| Err(format!("cannot create {name}: {error}")))
    }

    fn topic<'a>(&'a self, name: &'a str) -> NewTopic<'a> {
        let topic = NewTopic::new(name, self.target.partitions, TopicReplication::Fixed(1));
        self.settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
    }

    fn wait(&self, admin: &AdminClient<Plain>, names: &[String]) -> Result<(), String> {
        let deadline = clock::now() + PATIENCE.as_nanos() as u64;
        let mut missing = names.len();
        while missing > 0 {
            if clock::now() > deadline {
                return Err(format!("{missing} topics are not there after {PATIENCE:?}"));
            }
            let metadata = admin.inner().fetch_metadata(self.only(names), client::patience());
            let metadata = metadata.map_err(|error| format!("cannot fetch metadata: {error}"))?;
            let there = |name: &String| {
                let topic = metadata.topics().iter().find(|topic| topic.name() == name);
                topic.is_some_and(|topic| {
                    topic.partitions().len() == self.target.partitions as usize
                        && topic.partitions().iter().all(|partition| partition.leader() >= 0)
                })
            };
            missing = names.iter().filter(|name| !there(name)).count();
            if missing > 0 {
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// One topic is asked for by its name; several with all there are.
    fn only<'a>(&self, names: &'a [String]) -> Option<&'a str> {
        match names {
            [name] => Some(name),
            _ => None,
        }
    }
}

/// The name of one of several topics.
pub(crate) fn numbered(topic: &str, number: usize) -> String {
    format!("{topic}-{number}")
}
