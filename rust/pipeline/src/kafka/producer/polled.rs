//! librdkafka's client with the thread that takes its events and delivery reports.
//!
//! rdkafka's `ThreadedProducer` does the same, but its thread notices its end only every 100 ms: each `with` block of a
//! Python program would take that long to leave, and one that Ctrl-C ends would break the promise of 100 ms by itself.

use super::context::Context;
use rdkafka::client::Client;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, Producer as _, PurgeConfig};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// How long the end of the client may go unnoticed. An idle client wakes up this often; what comes is taken at once.
///
/// Not a whole number of milliseconds: librdkafka waits in those, and rdkafka asks it again, without a pause, until the rest
/// of the last one is over. With 20 ms an idle client would take a twentieth of a core.
const NOTICE_END_WITHIN: Duration = Duration::from_micros(20_050);

/// How long dropping waits for librdkafka's threads. One that looks up a name ends when that is done: after a resolver's
/// timeout, or never in a process that was forked while another thread looked up a name (glibc keeps its lock locked).
const END_WAIT: Duration = Duration::from_millis(50);

/// A client that is polled. Dropping it purges what is queued and ends its threads, in the background if they take long.
pub(super) struct Native {
    // Dropped before `polling`, so that the polling thread has the last one and the end is its work.
    client: Arc<BaseProducer<Context>>,
    _polling: Polling,
}

impl Native {
    pub(super) fn new(config: &ClientConfig) -> KafkaResult<Self> {
        let client = BaseProducer::from_config_and_context(config, Context::default())?;
        let client = Arc::new(client);
        Ok(Self {
            _polling: Polling::start(Arc::clone(&client))?,
            client,
        })
    }

    pub(super) fn client(&self) -> &Client<Context> {
        self.client.client()
    }

    /// Has librdkafka throw away what is queued, or on the wire too; the reports say when that is done.
    pub(super) fn purge(&self, what: PurgeConfig) {
        // Else it waits for every broker's thread, also for one that looks up a name.
        self.client.purge(what.non_blocking());
    }
}

/// The polling thread. Dropping this ends it, and with it the client.
struct Polling {
    ends: Arc<AtomicBool>,
    // The mutex makes it shareable; only `drop` looks at it.
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Polling {
    fn start(client: Arc<BaseProducer<Context>>) -> KafkaResult<Self> {
        let ends = Arc::new(AtomicBool::new(false));
        let (end, ended) = mpsc::sync_channel(1);
        let told = Arc::clone(&ends);
        thread::Builder::new()
            .name("kafka-reports".to_owned())
            .spawn(move || {
                while !told.load(Ordering::Relaxed) {
                    client.poll(NOTICE_END_WITHIN);
                }
                drop(client);
                // Whoever waited may have gone on.
                let _ = end.send(());
            })
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self {
            ends,
            ended: Mutex::new(ended),
        })
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // Nothing depends on whether it has ended by then.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(END_WAIT);
    }
}
