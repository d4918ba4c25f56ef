//! A compiler's diagnostics as one line for a log and a report for a terminal.

use super::{functions, scan};
use vrl::diagnostic::{Diagnostic, DiagnosticList, Formatter, Note};

/// A program that does not compile: `summary` is one line (first error with line:column and advice), `report` the
/// compiler's own multi-line text.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{name}: {summary}")]
pub struct CompileError {
    /// The program's name, mostly its file.
    pub name: String,
    /// One line: line:column, what is wrong, what to do.
    pub summary: String,
    /// The whole report, with the source's lines.
    pub report: String,
}

impl CompileError {
    /// The compiler itself failed.
    pub(super) fn internal(name: &str) -> Self {
        let summary =
            "the compiler failed on this program without saying why; simplify it".to_owned();
        Self {
            name: name.to_owned(),
            report: summary.clone(),
            summary,
        }
    }

    pub(super) fn at(name: &str, source: &str, fault: &scan::Fault) -> Self {
        let summary = format!("{}: {}", scan::place(source, fault.at), fault.detail);
        Self {
            name: name.to_owned(),
            report: summary.clone(),
            summary,
        }
    }

    pub(super) fn from_diagnostics(name: &str, source: &str, diagnostics: DiagnosticList) -> Self {
        let explained: Vec<Diagnostic> = diagnostics
            .into_iter()
            .filter(Diagnostic::is_problem)
            .map(|diagnostic| explain(source, diagnostic))
            .collect();
        let summary = explained.first().map_or_else(
            || "does not compile".to_owned(),
            |diagnostic| summary(source, diagnostic),
        );
        let report = Formatter::new(source, explained).to_string();
        Self {
            name: name.to_owned(),
            summary,
            report: report.trim().to_owned(),
        }
    }
}

/// Names a function that is not there, and says of one that is left out on purpose why it is.
fn explain(source: &str, mut diagnostic: Diagnostic) -> Diagnostic {
    let undefined = diagnostic
        .labels
        .iter()
        .filter(|label| label.primary && label.message == "undefined function")
        .find_map(|label| source.get(label.span.range()));
    let Some(name) = undefined else {
        return diagnostic;
    };
    if let Some(why) = functions::refusal(name) {
        diagnostic.message = format!("{name} is not allowed: {why}");
        // The compiler's guess would be another function altogether.
        diagnostic.labels.retain(|label| label.primary);
        diagnostic.notes = vec![Note::Hint(why.to_owned())];
    } else {
        diagnostic.message = format!("call to undefined function {name}");
    }
    diagnostic
}

fn summary(source: &str, diagnostic: &Diagnostic) -> String {
    let label = diagnostic
        .labels
        .iter()
        .find(|label| label.primary)
        .or(diagnostic.labels.first());
    let place = label.map_or_else(String::new, |label| {
        format!("{}: ", scan::place(source, label.span.start()))
    });
    let said = label.map_or("", |label| label.message.as_str());
    let more = if said.is_empty()
        || diagnostic.message.contains(said)
        || diagnostic.message.contains("not allowed")
    {
        String::new()
    } else {
        format!(" ({said})")
    };
    let line = format!("{place}{}{more}", diagnostic.message);
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
