//! Where results go.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde::Serialize;

use super::CliError;

/// Standard output, buffered. A failed write is an error, never a panic.
#[derive(Debug)]
pub struct Output {
    stdout: BufWriter<Stdout>,
}

impl Output {
    pub(super) fn stdout() -> Self {
        Output { stdout: BufWriter::new(io::stdout()) }
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.stdout.get_ref().is_terminal()
    }

    /// Writes a line.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn line(&mut self, line: impl fmt::Display) -> Result<(), CliError> {
        Ok(writeln!(self.stdout, "{line}")?)
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        Ok(self.stdout.write_all(bytes)?)
    }

    /// A writer for text in pieces.
    pub fn writer(&mut self) -> &mut impl Write {
        &mut self.stdout
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        self.line(text)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}
