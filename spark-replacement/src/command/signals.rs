//! The first signal drains, the second ends.

use crate::exit::Exit;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The signals that stop a run, listened to from the moment this is made.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Must be called inside a runtime.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Cancels `shutdown` at the first signal and ends the process at the second.
    pub(super) async fn stop(mut self, shutdown: CancellationToken) {
        let (name, _) = self.next().await;
        info!(signal = name, "stopping; a second signal ends at once");
        shutdown.cancel();
        let (_, exit) = self.next().await;
        exit.now();
    }

    async fn next(&mut self) -> (&'static str, Exit) {
        tokio::select! {
            _ = self.interrupt.recv() => ("SIGINT", Exit::Interrupted),
            _ = self.terminate.recv() => ("SIGTERM", Exit::Terminated),
            _ = self.hangup.recv() => ("SIGHUP", Exit::Terminated),
        }
    }
}
