//! What was found, a line each, and the exit code that follows from all of it.

use crate::exit::Exit;
use millstream_pipeline::telemetry::Cause;
use serde::Serialize;
use std::fmt::Write;

/// Column at which reasons begin at the latest.
const MAX_WIDTH: usize = 72;

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but somebody should know.
    Warn,
    /// Not looked at, or not to be known from here.
    Skip,
    /// `run` would wait or stop here.
    Fail(Cause),
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Skip => "skip",
            Self::Fail(_) => "FAIL",
        }
    }

    /// The terminal's colour: green, yellow, grey, bold red.
    const fn colour(self) -> &'static str {
        match self {
            Self::Ok => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Skip => "\x1b[90m",
            Self::Fail(_) => "\x1b[1;31m",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) verdict: Verdict,
    /// What was looked at.
    pub(super) what: String,
    /// What was found; for a fault also what to do.
    pub(super) reason: String,
}

impl Line {
    fn new(verdict: Verdict, what: impl Into<String>, reason: impl Into<String>) -> Self {
        let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self {
            verdict,
            what: one_line(what.into()),
            reason: one_line(reason.into()),
        }
    }

    pub(super) fn ok(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, what, reason)
    }

    pub(super) fn warn(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, what, reason)
    }

    pub(super) fn skip(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Verdict::Skip, what, reason)
    }

    pub(super) fn fail(cause: Cause, what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Verdict::Fail(cause), what, reason)
    }

    /// A fault that a person mends in the configuration or in what it names.
    pub(super) fn wrong(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::fail(Cause::Configuration, what, reason)
    }
}

/// All checks in the order in which they are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub(super) lines: Vec<Line>,
}

#[derive(Serialize)]
struct JsonLine<'l> {
    verdict: &'static str,
    what: &'l str,
    reason: &'l str,
}

#[derive(Serialize)]
struct JsonReport<'l> {
    checks: Vec<JsonLine<'l>>,
    exit_code: u8,
}

impl Report {
    /// The exit code: what a person must mend goes before what may come back by itself. With `strict` a warning fails, too.
    pub(super) fn exit(&self, strict: bool) -> Exit {
        let has = |verdict| self.lines.iter().any(|line| line.verdict == verdict);
        let order = [
            Cause::Configuration,
            Cause::Authentication,
            Cause::Protocol,
            Cause::Unavailable,
        ];
        let failed = order.into_iter().find(|cause| has(Verdict::Fail(*cause)));
        match failed {
            Some(cause) => Exit::of_cause(cause),
            None if strict && has(Verdict::Warn) => Exit::Config,
            None => Exit::Ok,
        }
    }

    /// A line per check and a last one with the counts.
    pub(super) fn text(&self, colour: bool) -> String {
        let widths = self.lines.iter().map(|line| line.what.chars().count());
        let width = widths.filter(|width| *width <= MAX_WIDTH).max();
        let width = width.unwrap_or_default();
        let mut text = String::new();
        for line in &self.lines {
            let (on, off) = if colour {
                (line.verdict.colour(), "\x1b[0m")
            } else {
                ("", "")
            };
            let word = line.verdict.word();
            let reason = match line.reason.as_str() {
                "" => String::new(),
                reason => format!("  ({reason})"),
            };
            let what = format!("{:width$}", line.what);
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{}",
                format!("{on}{word:<4}{off}  {what}{reason}").trim_end()
            );
        }
        let count = |word: &str| {
            let lines = self.lines.iter();
            lines.filter(|line| line.verdict.word() == word).count()
        };
        let _ = writeln!(
            text,
            "{} ok, {} warned of, {} failed, {} not checked",
            count("ok"),
            count("warn"),
            count("FAIL"),
            count("skip")
        );
        text
    }

    /// The same for programs.
    pub(super) fn json(&self, strict: bool) -> String {
        let lines = self.lines.iter();
        let report = JsonReport {
            checks: lines
                .map(|line| JsonLine {
                    verdict: line.verdict.word(),
                    what: &line.what,
                    reason: &line.reason,
                })
                .collect(),
            exit_code: self.exit(strict).code(),
        };
        // A struct of texts and one number always serialises.
        serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[Line]) -> Report {
        Report {
            lines: lines.to_vec(),
        }
    }

    #[test]
    fn lines_are_aligned_plain_in_a_pipe_and_coloured_on_a_terminal() {
        let report = report(&[
            Line::ok("kafka", "1 broker"),
            Line::wrong("topic users", "does not\nexist; create it"),
            Line::ok("bare", ""),
            Line::warn("x".repeat(80), "long"),
        ]);
        let plain = report.text(false);
        let lines: Vec<_> = plain.lines().collect();
        assert_eq!(lines[0], "ok    kafka        (1 broker)");
        assert_eq!(lines[1], "FAIL  topic users  (does not exist; create it)");
        assert_eq!(lines[2], "ok    bare");
        assert_eq!(lines[3], format!("warn  {}  (long)", "x".repeat(80)));
        assert_eq!(lines[4], "2 ok, 1 warned of, 1 failed, 0 not checked");
        assert!(!plain.contains('\x1b'));
        assert!(
            report
                .text(true)
                .contains("\x1b[1;31mFAIL\x1b[0m  topic users")
        );
    }

    #[test]
    fn the_exit_code_is_that_of_the_fault_a_person_must_mend() {
        let down = Line::fail(Cause::Unavailable, "kafka", "");
        let refused = Line::fail(Cause::Authentication, "registry", "");
        let tls = Line::fail(Cause::Protocol, "cassandra", "");
        let wrong = Line::wrong("table", "");
        let warning = Line::warn("order", "");
        let exit = |lines: &[Line]| report(lines).exit(false);
        assert_eq!(exit(&[]), Exit::Ok);
        assert_eq!(exit(&[warning.clone(), Line::skip("x", "")]), Exit::Ok);
        assert_eq!(report(&[warning]).exit(true), Exit::Config);
        assert_eq!(report(&[Line::skip("x", "")]).exit(true), Exit::Ok);
        assert_eq!(exit(std::slice::from_ref(&down)), Exit::Unavailable);
        assert_eq!(exit(&[down.clone(), tls.clone()]), Exit::Protocol);
        assert_eq!(
            exit(&[down.clone(), tls, refused.clone()]),
            Exit::Authentication
        );
        assert_eq!(exit(&[down, refused, wrong]), Exit::Config);
    }

    #[test]
    fn json_says_the_same() {
        let report = report(&[Line::wrong("a \"b\"", "c")]);
        let json: serde_json::Value = serde_json::from_str(&report.json(false)).expect("JSON");
        assert_eq!(json["exit_code"], 78);
        assert_eq!(json["checks"][0]["verdict"], "FAIL");
        assert_eq!(json["checks"][0]["what"], "a \"b\"");
    }
}
