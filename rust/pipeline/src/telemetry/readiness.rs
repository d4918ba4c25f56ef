//! Named conditions a process waits for, behind `/readyz` and `/livez`.
//!
//! A task that depends on something holds a [`Condition`] and says what it sees. The process is ready when it has
//! started, no condition waits, and it is not draining.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tracing::{info, warn};

/// Why something is waited for. It decides the exit code when the wait is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Not reachable, or not answering in time. It may come back by itself.
    Unavailable,
    /// Credentials or rights.
    Authentication,
    /// The TLS handshake or the protocol.
    Protocol,
    /// Something that a person must create or change: a topic, a table, a setting.
    Configuration,
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Fine.
    Ok,
    /// Nothing goes on without it; the process is not ready.
    Waiting {
        /// Why.
        cause: Cause,
        /// One line for a person, without secrets.
        reason: String,
    },
    /// Work goes on, but not as it should; the process stays ready.
    Degraded {
        /// One line for a person, without secrets.
        reason: String,
    },
}

#[derive(Debug)]
struct Entry {
    state: State,
    since: SystemTime,
    /// A log line said that it is not fine.
    said: bool,
}

#[derive(Debug, Default)]
struct Inner {
    conditions: BTreeMap<String, Entry>,
    started: bool,
    draining: bool,
    stalled: Option<String>,
}

/// One condition in a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConditionReport {
    /// E.g. `cassandra`, or `kafka/users` for one pipeline's view.
    pub name: String,
    /// `ok`, `waiting` or `degraded`.
    pub state: &'static str,
    /// Why it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// One line for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds since 1970 at which it entered this state.
    pub since: u64,
}

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the process is ready.
    pub ready: bool,
    /// `starting`, `running`, `waiting` or `draining`.
    pub phase: &'static str,
    /// Every condition, by name.
    pub conditions: Vec<ConditionReport>,
}

/// The conditions of one process. Clone shares.
#[derive(Debug, Clone)]
pub struct Status {
    inner: Arc<Mutex<Inner>>,
    ready: watch::Sender<bool>,
    clock: fn() -> SystemTime,
}

impl Status {
    pub(super) fn new(clock: fn() -> SystemTime) -> Self {
        Self {
            inner: Arc::default(),
            ready: watch::Sender::new(false),
            clock,
        }
    }

    /// A condition by name, waiting until it is first set. The same name gives the same condition, and it leaves the
    /// report when [`Condition::remove`] is called.
    pub fn condition(&self, name: impl Into<String>) -> Condition {
        let name = name.into();
        let since = (self.clock)();
        self.change(|inner| {
            inner.conditions.entry(name.clone()).or_insert(Entry {
                state: State::Waiting {
                    cause: Cause::Unavailable,
                    reason: "not tried yet".to_owned(),
                },
                since,
                said: false,
            });
        });
        Condition {
            status: self.clone(),
            name,
        }
    }

    /// Every condition is registered: from now on the process is ready when none waits.
    pub fn started(&self) {
        self.change(|inner| inner.started = true);
    }

    /// The process is stopping; it is not ready again.
    pub fn draining(&self) {
        self.change(|inner| inner.draining = true);
    }

    /// The watchdog found no progress that nothing explains (`Some`), or progress again (`None`).
    pub fn stalled(&self, reason: Option<String>) {
        self.change(|inner| inner.stalled = reason);
    }

    /// Why the process should be restarted, if it should: what `/livez` fails with.
    pub fn stall(&self) -> Option<String> {
        self.lock().stalled.clone()
    }

    /// Follows readiness; holds the present value at once.
    pub fn watch_ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// The causes and reasons of everything that waits now, by condition.
    pub fn waiting(&self) -> Vec<(String, Cause, String)> {
        let inner = self.lock();
        let waiting = inner
            .conditions
            .iter()
            .filter_map(|(name, entry)| match &entry.state {
                State::Waiting { cause, reason } => Some((name.clone(), *cause, reason.clone())),
                State::Ok | State::Degraded { .. } => None,
            });
        waiting.collect()
    }

    /// Whether any condition is not fine.
    pub fn troubled(&self) -> bool {
        let inner = self.lock();
        let mut states = inner.conditions.values().map(|entry| &entry.state);
        inner.draining || states.any(|state| *state != State::Ok)
    }

    /// The whole picture.
    pub fn report(&self) -> Report {
        let inner = self.lock();
        Report {
            ready: inner.ready(),
            phase: inner.phase(),
            conditions: inner.conditions.iter().map(report_condition).collect(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let ready = {
            let mut inner = self.lock();
            change(&mut inner);
            inner.ready()
        };
        self.ready
            .send_if_modified(|now| std::mem::replace(now, ready) != ready);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn waits(&self) -> bool {
        let mut states = self.conditions.values().map(|entry| &entry.state);
        states.any(|state| matches!(state, State::Waiting { .. }))
    }

    fn ready(&self) -> bool {
        self.phase() == "running"
    }

    fn phase(&self) -> &'static str {
        match (self.draining, self.started, self.waits()) {
            (true, _, _) => "draining",
            (false, false, _) => "starting",
            (false, true, true) => "waiting",
            (false, true, false) => "running",
        }
    }
}

fn report_condition((name, entry): (&String, &Entry)) -> ConditionReport {
    let (state, cause, reason) = match &entry.state {
        State::Ok => ("ok", None, None),
        State::Waiting { cause, reason } => ("waiting", Some(*cause), Some(reason.clone())),
        State::Degraded { reason } => ("degraded", None, Some(reason.clone())),
    };
    let since = entry.since.duration_since(UNIX_EPOCH);
    ConditionReport {
        name: name.clone(),
        state,
        cause,
        reason,
        since: since.map_or(0, |since| since.as_secs()),
    }
}

/// The handle with which one task speaks for one condition.
#[derive(Debug, Clone)]
pub struct Condition {
    status: Status,
    name: String,
}

impl Condition {
    /// It is fine.
    pub fn ok(&self) {
        self.set(State::Ok);
    }

    /// It is waited for; the process is not ready.
    pub fn waiting(&self, cause: Cause, reason: impl Into<String>) {
        self.set(State::Waiting {
            cause,
            reason: reason.into(),
        });
    }

    /// Work goes on, but not as it should.
    pub fn degraded(&self, reason: impl Into<String>) {
        self.set(State::Degraded {
            reason: reason.into(),
        });
    }

    /// Sets the state; a new reason of the same kind keeps the time it began. The first line of each change is logged.
    pub fn set(&self, state: State) {
        let now = (self.status.clock)();
        let shown = state.clone();
        let mut said = None;
        self.status.change(|inner| {
            if let Some(entry) = inner.conditions.get_mut(&self.name) {
                let changed =
                    std::mem::discriminant(&entry.state) != std::mem::discriminant(&state);
                if changed {
                    entry.since = now;
                }
                if changed || !entry.said {
                    said = Some(entry.said);
                }
                entry.said = state != State::Ok;
                entry.state = state;
            }
        });
        let condition = self.name.as_str();
        match (said, shown) {
            (Some(_), State::Waiting { reason, .. }) => warn!(condition, "waiting: {reason}"),
            (Some(_), State::Degraded { reason }) => warn!(condition, "{reason}"),
            (Some(true), State::Ok) => info!(condition, "fine again"),
            _ => {}
        }
    }

    /// Takes the condition out of the report.
    pub fn remove(&self) {
        self.status.change(|inner| {
            inner.conditions.remove(&self.name);
        });
    }
}
