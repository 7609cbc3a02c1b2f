//! How the command line fails: what is printed, and the exit code.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, Severity, SourceCode};

use super::interrupt;
use crate::config::ConfigError;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// An input file is bad: exit code 2, with file, line and caret.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An input or an argument is bad: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Anything else went wrong: exit code 1.
    #[error(transparent)]
    Failed(#[from] Box<dyn std::error::Error + Send + Sync>),
    /// An `[accept]` bound was missed, as the result says: exit code 3.
    #[error("{0}")]
    AcceptMissed(String),
    /// The result says what is wrong: exit code 2, and nothing more to print.
    #[error("an input is bad")]
    Told,
    /// A signal interrupted it: exit code 128 and its number, as in shells: 130 for Ctrl-C. The text says what was written.
    #[error("interrupted: {0}")]
    Interrupted(String),
    /// Standard output could not be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// The user interrupted it before anything was written.
    pub(super) fn interrupted() -> Self {
        CliError::Interrupted("nothing was written".to_owned())
    }

    /// 1 failure, 2 bad usage or a bad input, 3 a missed `[accept]` bound. A closed pipe, as in
    /// `taunet check *.toml | head -1`, is no failure: 0.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            CliError::Config(_) | CliError::Usage(_) | CliError::Told => 2,
            CliError::Failed(_) => 1,
            CliError::AcceptMissed(_) => 3,
            CliError::Interrupted(_) => interrupt::exit_code(),
            CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            CliError::Output(_) => 1,
        })
    }

    /// Prints it to standard error.
    pub(super) fn print(&self) {
        match self {
            CliError::Told => {}
            CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            CliError::Config(error) => print_config(error),
            CliError::Failed(error) => {
                let mut text = format!("error: {error}");
                let mut cause = error.source();
                while let Some(error) = cause {
                    let reason = error.to_string();
                    // Most errors end with their cause.
                    if !text.ends_with(&reason) {
                        text.push_str(&format!("\n  because: {reason}"));
                    }
                    cause = error.source();
                }
                to_stderr(&text);
            }
            other => to_stderr(&format!("error: {other}")),
        }
    }
}

/// Prints every mistake to standard error, each with its line and a caret below it.
pub(super) fn print_config(error: &ConfigError) {
    for mistake in error.iter() {
        to_stderr(rendered(mistake).trim_end_matches('\n'));
        to_stderr("");
    }
}

/// Prints a line to standard error. An error there cannot be reported anywhere.
pub(super) fn to_stderr(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A mistake, its line, and a caret: in colour on a terminal, otherwise the same on every machine.
fn rendered(error: &ConfigError) -> String {
    // https://no-color.org: any value that is not empty.
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let handler = match (io::stderr().is_terminal(), no_color) {
        (true, false) => GraphicalReportHandler::new_themed(GraphicalTheme::unicode()),
        (true, true) => GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()),
        (false, _) => {
            GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_wrap_lines(false)
        }
    };
    let handler = handler.with_links(false).with_context_lines(1).without_syntax_highlighting();
    let mut text = String::new();
    match handler.render_report(&mut text, &Report(error)) {
        Ok(()) => text,
        Err(_) => format!("error: {error}"),
    }
}

/// A [`ConfigError`] as miette wants it.
#[derive(Debug)]
struct Report<'a>(&'a ConfigError);

/// The longest line that is shown with a caret below it.
const LONGEST_LINE: usize = 400;

impl Report<'_> {
    /// The place, unless its lines are too long to be shown.
    fn snippet(&self) -> Option<std::ops::Range<usize>> {
        let span = self.0.span()?;
        let (line, _) = self.0.line_column()?;
        let mut lines = self.0.source_text().text.lines().skip(line.saturating_sub(2)).take(3);
        lines.all(|line| line.len() <= LONGEST_LINE).then_some(span)
    }
}

impl std::fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without a snippet, only the message can give the place.
        let (name, message) = (&self.0.source_text().name, self.0.message());
        match (self.snippet(), self.0.line_column()) {
            (Some(_), _) => f.write_str(message),
            (None, Some((line, column))) => write!(f, "{name}:{line}:{column}: {message}"),
            (None, None) => write!(f, "{name}: {message}"),
        }
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.0.help().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.snippet()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, span))))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.snippet().map(|_| self as &dyn SourceCode)
    }
}

impl SourceCode for Report<'_> {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let source = self.0.source_text();
        let contents = source.text.read_span(span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            source.name.clone(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::topology::Topology;

    const TEXT: &str = include_str!("../../topologies/dsl.toml");

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Any replacement of a part of a valid file gives a result or an error, and no panic.
        #[test]
        fn no_text_panics(at in 0..TEXT.len(), length in 0..40usize, put in "[\\PC\n\"=\\[\\]{}.]{0,6}") {
            let cut = TEXT.char_indices().map(|(index, _)| index).filter(|index| (at..at + length).contains(index));
            let cut = cut.collect::<Vec<_>>();
            let (start, end) = (cut.first().copied().unwrap_or(0), cut.last().copied().unwrap_or(0));
            let text = format!("{}{put}{}", &TEXT[..start], &TEXT[end..]);
            if let Err(error) = Topology::from_toml("t.toml", &text) {
                for mistake in error.iter() {
                    prop_assert!(!rendered(mistake).is_empty());
                    prop_assert!(!mistake.to_string().is_empty());
                }
            }
        }
    }
}
