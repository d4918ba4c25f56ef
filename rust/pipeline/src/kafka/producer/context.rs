//! Where delivery reports go: rdkafka's context, and the account of each batch under way.

use super::broker_errors::{BrokerErrors, Rejection};
use super::delivery::Tally;
use super::error::{DeliveryFailure, ProduceError};
use super::native;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::types::RDKafkaErrorCode;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What a single awaited record ends with: partition and offset, or why not.
pub(super) type SendOutcome = Result<(i32, i64), ProduceError>;

// An opaque is one machine word: the account's number above, the record's index below.
const INDEX_BITS: u32 = 40;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const SINGLE_SENDS: u64 = (1 << (64 - INDEX_BITS)) - 1;
const _: () = assert!(usize::BITS == 64, "the opaque of a record needs 64 bits");

/// The account of one batch, shared by the thread that enqueues and the thread that polls.
#[derive(Debug, Default)]
pub(super) struct Account {
    tally: Mutex<AccountState>,
    changed: Condvar,
    enqueued: AtomicU64,
    failed: AtomicBool,
}

#[derive(Debug, Default)]
struct AccountState {
    tally: Tally,
    /// Reports of earlier tallies that were already taken.
    taken: u64,
    /// The index of the next record; counts from the last take.
    next_index: u64,
    /// Where the tally goes when it is taken.
    round: Round,
    /// How many wait on `changed`: without one the polling thread saves the system call.
    awaited: usize,
    /// The batch gave up waiting; the account goes when its last report came.
    abandoned: bool,
}

/// The outcome of the records up to the next take. Whoever holds it while it is empty is told the same as the taker:
/// otherwise one of two that wait would hear of a loss, and the other that all is well.
pub(super) type Round = Arc<OnceLock<Arc<Tally>>>;

impl Account {
    fn lock(&self) -> MutexGuard<'_, AccountState> {
        // The tally is plain counters: a panic elsewhere leaves nothing half done that matters.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a record before librdkafka gets it, because its report may come at once.
    pub(super) fn expect_one(&self) {
        self.enqueued.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a record, as [`Account::expect_one`], and gives its index since the last take.
    pub(super) fn expect_next(&self) -> u64 {
        let mut state = self.lock();
        self.expect_one();
        let index = state.next_index;
        state.next_index += 1;
        index
    }

    /// Takes the count back: librdkafka refused the record.
    pub(super) fn unexpect_one(&self) {
        self.enqueued.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a record of this account failed; cheap enough to ask per record.
    pub(super) fn has_failures(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Runs `change` on the tally, for outcomes that have no delivery report.
    pub(super) fn with_tally<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state.tally);
        self.note_failures(&state);
        result
    }

    /// Records that were handed over and have no report yet.
    pub(super) fn outstanding(&self) -> u64 {
        let state = self.lock();
        self.outstanding_of(&state)
    }

    /// Waits until every record has its report, at most `wait`; true when all have.
    pub(super) fn wait_settled(&self, wait: Duration) -> bool {
        let mut state = self.lock();
        state = self.wait_while(state, wait, |state| self.outstanding_of(state) > 0);
        self.outstanding_of(&state) == 0
    }

    /// The round that runs now: to be asked for before waiting.
    pub(super) fn round(&self) -> Round {
        Arc::clone(&self.lock().round)
    }

    /// Waits until every record has its report, at most `wait`, and takes the tally, or shares the one that another
    /// waiter took since `round` was asked for.
    pub(super) fn wait_taken(&self, round: &Round, wait: Duration) -> Option<Arc<Tally>> {
        let mut state = self.lock();
        state = self.wait_while(state, wait, |state| {
            round.get().is_none() && self.outstanding_of(state) > 0
        });
        match round.get() {
            Some(tally) => Some(Arc::clone(tally)),
            None if self.outstanding_of(&state) > 0 => None,
            None => Some(self.take_from(&mut state)),
        }
    }

    /// Takes the tally out and starts a new one. What is outstanding is counted as unaccounted.
    pub(super) fn take(&self) -> Arc<Tally> {
        self.take_from(&mut self.lock())
    }

    fn take_from(&self, state: &mut AccountState) -> Arc<Tally> {
        let mut tally = std::mem::take(&mut state.tally);
        state.taken += tally.settled;
        tally.unaccounted = self.outstanding_of(state);
        // Under the lock that gives the indexes: no record can have one of the old count and a report in the new.
        state.next_index = 0;
        self.failed.store(false, Ordering::Relaxed);
        let tally = Arc::new(tally);
        // A round is taken once: the next one replaces it here.
        let _ = std::mem::take(&mut state.round).set(Arc::clone(&tally));
        if state.awaited > 0 {
            self.changed.notify_all();
        }
        tally
    }

    fn wait_while<'a>(
        &self,
        mut state: MutexGuard<'a, AccountState>,
        wait: Duration,
        condition: impl Fn(&AccountState) -> bool,
    ) -> MutexGuard<'a, AccountState> {
        if wait.is_zero() || !condition(&state) {
            return state;
        }
        state.awaited += 1;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, wait, |state| condition(state))
            .unwrap_or_else(PoisonError::into_inner);
        state.awaited -= 1;
        state
    }

    fn outstanding_of(&self, state: &AccountState) -> u64 {
        let settled = state.taken + state.tally.settled;
        self.enqueued
            .load(Ordering::Relaxed)
            .saturating_sub(settled)
    }

    fn note_failures(&self, state: &AccountState) {
        if !state.tally.failures.is_empty() {
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    /// Books one report; true when an abandoned account has its last one.
    fn settle(&self, book: impl FnOnce(&mut Tally)) -> bool {
        let mut state = self.lock();
        book(&mut state.tally);
        self.note_failures(&state);
        let done = (state.awaited > 0 || state.abandoned) && self.outstanding_of(&state) == 0;
        if done && state.awaited > 0 {
            self.changed.notify_all();
        }
        done && state.abandoned
    }

    /// True when nothing is outstanding: the account can go at once.
    fn abandon(&self) -> bool {
        let mut state = self.lock();
        state.abandoned = true;
        self.outstanding_of(&state) == 0
    }
}

/// rdkafka's context of our producers.
#[derive(Debug, Default)]
pub(super) struct Context {
    accounts: Mutex<Accounts>,
    sends: Mutex<Sends>,
    broker_errors: Mutex<BrokerErrors>,
    /// There may be a rejection to forget: spares each delivered record the lock.
    rejected: AtomicBool,
    fatal: AtomicBool,
}

#[derive(Debug, Default)]
struct Accounts {
    slots: Vec<Option<Arc<Account>>>,
    free: Vec<usize>,
}

#[derive(Debug, Default)]
struct Sends {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<SendOutcome>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    /// Opens an account and gives its number.
    pub(super) fn open(&self, account: Arc<Account>) -> usize {
        let mut accounts = lock(&self.accounts);
        if let Some(slot) = accounts.free.pop() {
            accounts.slots[slot] = Some(account);
            return slot;
        }
        accounts.slots.push(Some(account));
        accounts.slots.len() - 1
    }

    /// Closes an account; while reports are outstanding its number is not given again.
    pub(super) fn close(&self, slot: usize) {
        let mut accounts = lock(&self.accounts);
        let gone = accounts
            .slots
            .get(slot)
            .and_then(Option::as_ref)
            .is_some_and(|account| account.abandon());
        if gone {
            accounts.release(slot);
        }
    }

    /// The word that travels with a record of an account.
    pub(super) fn opaque(slot: usize, index: u64) -> usize {
        word((slot as u64) << INDEX_BITS | (index & INDEX_MASK))
    }

    /// Registers one awaited record.
    pub(super) fn await_one(&self) -> (usize, oneshot::Receiver<SendOutcome>) {
        let (sender, receiver) = oneshot::channel();
        let mut sends = lock(&self.sends);
        let ticket = sends.next & INDEX_MASK;
        sends.next = sends.next.wrapping_add(1);
        sends.waiting.insert(ticket, sender);
        (word(SINGLE_SENDS << INDEX_BITS | ticket), receiver)
    }

    /// Forgets an awaited record that librdkafka did not take.
    pub(super) fn forget_one(&self, opaque: usize) {
        lock(&self.sends)
            .waiting
            .remove(&(opaque as u64 & INDEX_MASK));
    }

    /// The code that says why a record failed with `code`, and librdkafka's words where they explain it.
    pub(super) fn explain(&self, code: RDKafkaErrorCode) -> (RDKafkaErrorCode, Option<String>) {
        lock(&self.broker_errors).explain(code, Instant::now())
    }

    /// What the brokers refuse us now.
    pub(super) fn rejection(&self) -> Option<Rejection> {
        lock(&self.broker_errors).rejection(Instant::now()).cloned()
    }

    fn note_delivered(&self) {
        if self.rejected.load(Ordering::Relaxed) {
            self.rejected.store(false, Ordering::Relaxed);
            lock(&self.broker_errors).delivered();
        }
    }

    /// Whether librdkafka declared this client dead.
    pub(super) fn is_fatal(&self) -> bool {
        self.fatal.load(Ordering::Relaxed)
    }

    fn failure(
        &self,
        code: RDKafkaErrorCode,
        message: &rdkafka::message::BorrowedMessage<'_>,
    ) -> DeliveryFailure {
        let (code, hint) = self.explain(code);
        DeliveryFailure {
            topic: message.topic().to_owned(),
            partition: (message.partition() >= 0).then(|| message.partition()),
            outcome: native::undelivered(message),
            code,
            hint,
        }
    }

    fn deliver_to_account(&self, slot: usize, index: u64, result: &DeliveryResult<'_>) {
        let mut accounts = lock(&self.accounts);
        let Some(Some(account)) = accounts.slots.get(slot) else {
            return;
        };
        let gone = match result {
            Ok(message) => {
                self.note_delivered();
                let bytes = (message.payload_len() + message.key_len()) as u64;
                account.settle(|tally| {
                    tally.record_delivered(message.partition(), message.offset(), bytes);
                })
            }
            Err((error, message)) => {
                let code = error
                    .rdkafka_error_code()
                    .unwrap_or(RDKafkaErrorCode::Unknown);
                let failure = self.failure(code, message);
                account.settle(|tally| tally.record_failed(index, failure))
            }
        };
        if gone {
            accounts.release(slot);
        }
    }

    fn deliver_single(&self, ticket: u64, result: &DeliveryResult<'_>) {
        let Some(sender) = lock(&self.sends).waiting.remove(&ticket) else {
            return;
        };
        let outcome = match result {
            Ok(message) => {
                self.note_delivered();
                Ok((message.partition(), message.offset()))
            }
            Err((error, message)) => {
                let code = error
                    .rdkafka_error_code()
                    .unwrap_or(RDKafkaErrorCode::Unknown);
                Err(ProduceError::Delivery(self.failure(code, message)))
            }
        };
        // Nobody listens any more: the caller dropped its future, and with it the question.
        let _ = sender.send(outcome);
    }
}

impl Accounts {
    fn release(&mut self, slot: usize) {
        self.slots[slot] = None;
        self.free.push(slot);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "usize has 64 bits, asserted above"
)]
fn word(bits: u64) -> usize {
    bits as usize
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            // librdkafka's errors are its own retries: nothing is lost yet, and what is lost is reported per record.
            | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "millstream::kafka", facility, "{message}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "millstream::kafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "millstream::kafka", facility, "{message}");
            }
        }
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error
            .rdkafka_error_code()
            .unwrap_or(RDKafkaErrorCode::Unknown);
        if code == RDKafkaErrorCode::Fatal {
            self.fatal.store(true, Ordering::Relaxed);
        }
        tracing::warn!(target: "millstream::kafka", "{reason}");
        // Events and delivery reports come to the same thread, one after the other.
        if lock(&self.broker_errors).told(Instant::now(), code, reason) {
            self.rejected.store(true, Ordering::Relaxed);
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let bits = opaque as u64;
        let (slot, index) = (bits >> INDEX_BITS, bits & INDEX_MASK);
        if slot == SINGLE_SENDS {
            self.deliver_single(index, result);
        } else {
            self.deliver_to_account(word(slot), index, result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::Undelivered;
    use super::*;

    fn lose(account: &Account, index: u64) {
        let failure = DeliveryFailure {
            topic: "t".to_owned(),
            partition: Some(0),
            outcome: Undelivered::NotSent,
            code: RDKafkaErrorCode::MessageTimedOut,
            hint: None,
        };
        account.settle(|tally| tally.record_failed(index, failure));
    }

    #[test]
    fn all_that_waited_for_the_same_records_hear_the_same() {
        let account = Account::default();
        let lost = account.expect_next();
        let (first, second) = (account.round(), account.round());
        assert!(account.wait_taken(&first, Duration::ZERO).is_none());
        lose(&account, lost);
        let told = account.wait_taken(&first, Duration::ZERO).unwrap();
        assert_eq!(told.not_sent.len(), 1);
        // Another round has come and gone before the second waiter looks.
        let later = account.wait_taken(&account.round(), Duration::ZERO);
        assert!(later.unwrap().not_sent.is_empty());
        let told = account.wait_taken(&second, Duration::ZERO).unwrap();
        assert_eq!(told.not_sent.len(), 1);
    }

    #[test]
    fn a_waiter_wakes_when_another_takes() {
        let account = Arc::new(Account::default());
        account.expect_next();
        let round = account.round();
        let waiter = {
            let account = Arc::clone(&account);
            std::thread::spawn(move || account.wait_taken(&round, Duration::from_mins(1)))
        };
        while account.lock().awaited == 0 {
            std::thread::yield_now();
        }
        assert_eq!(account.take().unaccounted, 1);
        assert_eq!(waiter.join().unwrap().unwrap().unaccounted, 1);
    }

    #[test]
    fn indexes_start_again_only_when_no_record_is_under_way() {
        let account = Account::default();
        assert_eq!((account.expect_next(), account.expect_next()), (0, 1));
        lose(&account, 0);
        assert!(
            account
                .wait_taken(&account.round(), Duration::ZERO)
                .is_none()
        );
        assert_eq!(account.expect_next(), 2);
        lose(&account, 1);
        lose(&account, 2);
        let told = account
            .wait_taken(&account.round(), Duration::ZERO)
            .unwrap();
        assert_eq!(told.not_sent.iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(account.expect_next(), 0);
    }
}
