//! librdkafka's client with the thread that takes its events and delivery reports.
//!
//! rdkafka's `ThreadedProducer` does the same, but its thread notices its end only every 100 ms: each `with` block of a
//! Python program would take that long to leave, and one that Ctrl-C ends would break the promise of 100 ms by itself.

use super::context::Context;
use super::ending::Ending;
use super::purging::{Purging, What};
use rdkafka::client::Client;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, Producer as _};
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
    // Dropped before `polling`, so that the polling thread has the last one and the end is its work; or a purge's thread,
    // if that one still waits for a broker's.
    client: Arc<Counted>,
    purging: Arc<Purging>,
    _polling: Polling,
}

/// A client, counted from when it is let go until it has ended.
struct Counted {
    client: BaseProducer<Context>,
    // Dropped after `client`.
    ending: Ending,
}

impl Native {
    pub(super) fn new(config: &ClientConfig) -> KafkaResult<Self> {
        let client = BaseProducer::from_config_and_context(config, Context::default())?;
        let client = Arc::new(Counted {
            client,
            ending: Ending::default(),
        });
        let purging = Arc::<Purging>::default();
        Ok(Self {
            _polling: Polling::start(Arc::clone(&client), Arc::clone(&purging))?,
            purging,
            client,
        })
    }

    pub(super) fn client(&self) -> &Client<Context> {
        self.client.client.client()
    }

    /// Has librdkafka throw away what is queued, or on the wire too, and returns at once. The reports say what became of the
    /// records, and [`Native::purging`] when nothing that is queued from then on is thrown away.
    pub(super) fn purge(&self, what: What) {
        let is_first = self.purging.ask(what);
        // Waits for no broker's thread, so that what needs none has its report now.
        self.client.client.purge(what.config().non_blocking());
        if !is_first {
            return;
        }
        // Waits for all of them: each does its purges in order, so this one is over after the one above.
        let (client, purging) = (Arc::clone(&self.client), Arc::clone(&self.purging));
        let spawned = thread::Builder::new()
            .name("kafka-purge".to_owned())
            .spawn(move || purging.run(|what| client.client.purge(what.config())));
        if spawned.is_err() {
            // No thread to wait on; the purge happens all the same.
            self.purging.run(|_| ());
        }
    }

    /// The purges under way.
    pub(super) fn purging(&self) -> &Purging {
        &self.purging
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        self.client.ending.begin();
    }
}

/// The polling thread. Dropping this ends it, and with it the client.
struct Polling {
    ends: Arc<AtomicBool>,
    // The mutex makes it shareable; only `drop` looks at it.
    ended: Mutex<mpsc::Receiver<()>>,
    purging: Arc<Purging>,
}

impl Polling {
    fn start(client: Arc<Counted>, purging: Arc<Purging>) -> KafkaResult<Self> {
        let ends = Arc::new(AtomicBool::new(false));
        let (end, ended) = mpsc::sync_channel(1);
        let told = Arc::clone(&ends);
        thread::Builder::new()
            .name("kafka-reports".to_owned())
            .spawn(move || {
                while !told.load(Ordering::Relaxed) {
                    client.client.poll(NOTICE_END_WITHIN);
                }
                drop(client);
                // Whoever waited may have gone on.
                let _ = end.send(());
            })
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self {
            ends,
            ended: Mutex::new(ended),
            purging,
        })
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if !self.purging.is_over() {
            // A broker's thread is elsewhere, and the client cannot end before it comes back.
            return;
        }
        // Nothing depends on whether it has ended by then.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(END_WAIT);
    }
}
