//! librdkafka's client with the thread that takes its events and delivery reports.
//!
//! rdkafka's `ThreadedProducer` does the same, but its thread notices its end only every 100 ms: each `with` block of a
//! Python program would take that long to leave, and one that Ctrl-C ends would break the promise of 100 ms by itself.

use super::context::Context;
use rdkafka::client::Client;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, Producer as _, PurgeConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the end of the client may go unnoticed. An idle client wakes up this often; what comes is taken at once.
const NOTICE_END_WITHIN: Duration = Duration::from_millis(20);

/// A client that is polled. Dropping it purges what is queued and ends its threads.
pub(super) struct Native {
    client: Arc<BaseProducer<Context>>,
    ends: Arc<AtomicBool>,
    polling: Option<JoinHandle<()>>,
}

impl Native {
    pub(super) fn new(config: &ClientConfig) -> KafkaResult<Self> {
        let client = BaseProducer::from_config_and_context(config, Context::default())?;
        let (client, ends) = (Arc::new(client), Arc::new(AtomicBool::new(false)));
        let polling = {
            let (client, ends) = (Arc::clone(&client), Arc::clone(&ends));
            thread::Builder::new()
                .name("kafka-reports".to_owned())
                .spawn(move || {
                    while !ends.load(Ordering::Relaxed) {
                        client.poll(NOTICE_END_WITHIN);
                    }
                })
                .map_err(|error| KafkaError::ClientCreation(error.to_string()))?
        };
        Ok(Self {
            client,
            ends,
            polling: Some(polling),
        })
    }

    pub(super) fn client(&self) -> &Client<Context> {
        self.client.client()
    }

    pub(super) fn purge(&self, what: PurgeConfig) {
        self.client.purge(what);
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(polling) = self.polling.take() {
            // It ends by a panic only where a callback has one; there is nothing left to do about that here.
            let _ = polling.join();
        }
    }
}
