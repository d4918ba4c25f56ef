//! Exit codes, after BSD's `sysexits.h`.

use crate::engine::ExitReason;
use millstream_pipeline::telemetry::Cause;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done.
    Ok = 0,
    /// `healthcheck`: the process answers, and is not ready (or with `--live`, not alive).
    NotReady = 1,
    /// An unknown or missing argument.
    Usage = 2,
    /// An argument whose value cannot be.
    Value = 64,
    /// A dependency was not there in time, or the address to listen on is taken.
    Unavailable = 69,
    /// A fault inside; a restart may mend it.
    Internal = 70,
    /// Stopped before all was committed; what is left comes again.
    Temporary = 75,
    /// TLS or protocol.
    Protocol = 76,
    /// Credentials or rights.
    Authentication = 77,
    /// The configuration, or what it names out there.
    Config = 78,
    /// A second SIGINT while draining.
    Interrupted = 130,
    /// A second SIGTERM while draining.
    Terminated = 143,
}

impl Exit {
    /// Every code, for the documents and the tests.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::NotReady,
        Self::Usage,
        Self::Value,
        Self::Unavailable,
        Self::Internal,
        Self::Temporary,
        Self::Protocol,
        Self::Authentication,
        Self::Config,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The code for a wait that was given up.
    pub const fn of_cause(cause: Cause) -> Self {
        match cause {
            Cause::Unavailable => Self::Unavailable,
            Cause::Authentication => Self::Authentication,
            Cause::Protocol => Self::Protocol,
            Cause::Configuration => Self::Config,
        }
    }

    /// The code for the end of a run.
    pub const fn of_run(reason: &ExitReason) -> Self {
        match reason {
            ExitReason::Done => Self::Ok,
            ExitReason::NotCommitted(_) => Self::Temporary,
            ExitReason::StartupTimeout(cause, _) => Self::of_cause(*cause),
            ExitReason::Configuration(_) => Self::Config,
            ExitReason::Fatal(_) => Self::Internal,
        }
    }

    /// Ends the process now: no destructor, no handler of any library runs.
    ///
    /// For a second signal, and for a run that left client threads behind: those would still work while the C
    /// libraries' exit handlers free what they use.
    pub fn now(self) -> ! {
        // SAFETY: `_exit` takes any number, touches no memory of ours and does not return. Nothing is lost by it:
        // standard error is not buffered, and no file of ours is open for writing.
        unsafe { libc::_exit(i32::from(self.code())) }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
