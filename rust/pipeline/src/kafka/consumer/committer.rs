//! Periodic commits, on a thread of their own.
//!
//! Only a synchronous commit says how it ended: librdkafka reports an asynchronous one to a callback of its configuration,
//! which rdkafka never sets. A synchronous one may wait as long as the coordinator is away, and polling must not.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::context::Context;

/// One commit at a time. Dropping it waits for the one under way, which librdkafka bounds by its own timeouts.
#[derive(Debug)]
pub(super) struct Committer {
    /// `None` once it is being dropped.
    commits: Option<SyncSender<TopicPartitionList>>,
    results: Receiver<KafkaResult<()>>,
    under_way: bool,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(consumer: Arc<BaseConsumer<Context>>) -> std::io::Result<Self> {
        let (commits, asked) = sync_channel::<TopicPartitionList>(1);
        let (answer, results) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("kafka-commit".to_owned())
            .spawn(move || {
                for list in asked {
                    let result = commit(&consumer, &list);
                    drop(list);
                    if answer.send(result).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self {
            commits: Some(commits),
            results,
            under_way: false,
            thread: Some(thread),
        })
    }

    /// How the last commit ended, once.
    pub(super) fn ended(&mut self) -> Option<KafkaResult<()>> {
        let result = self.results.try_recv().ok()?;
        self.under_way = false;
        Some(result)
    }

    /// Whether another commit can be sent.
    pub(super) fn idle(&self) -> bool {
        !self.under_way
    }

    /// Sends a commit; only while idle.
    pub(super) fn send(&mut self, list: TopicPartitionList) {
        self.under_way = self
            .commits
            .as_ref()
            .is_some_and(|commits| commits.try_send(list).is_ok());
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.commits = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was written by the panic hook; what it held back is committed by the next owner.
            let _ = thread.join();
        }
    }
}

/// Commits and waits for the answer. Nothing to commit is no error.
pub(super) fn commit(
    consumer: &BaseConsumer<Context>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.commit(list, CommitMode::Sync) {
        Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
        result => result,
    }
}
