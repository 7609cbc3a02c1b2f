//! A mistake in a text, with its place.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::message::{did_you_mean, nearest};

/// A text that can be pointed into: a file, or an argument of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// The file's path as given, or what the text is.
    pub name: String,
    /// The text, without its byte order mark.
    pub text: String,
}

impl SourceText {
    /// The line and column, both from 1, of a byte offset; columns count characters.
    ///
    /// # Complexity
    /// O(offset).
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// One or more mistakes in input files: this is the first, and [`ConfigError::iter`] gives all of them.
///
/// `Display` writes `file:line:column: message`. A terminal can show the text with a caret, from
/// [`ConfigError::source_text`] and [`ConfigError::span`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(Box<Mistake>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mistake {
    source: Arc<SourceText>,
    span: Option<Range<usize>>,
    message: String,
    help: Option<String>,
    others: Vec<ConfigError>,
}

impl ConfigError {
    /// A mistake at a byte range of a text.
    pub(crate) fn at(source: Arc<SourceText>, span: Range<usize>, message: impl Into<String>) -> Self {
        let (help, others) = (None, Vec::new());
        ConfigError(Box::new(Mistake { source, span: Some(span), message: message.into(), help, others }))
    }

    /// A mistake of a whole file.
    pub(crate) fn whole(name: &str, message: impl Into<String>) -> Self {
        let source = Arc::new(SourceText { name: name.to_owned(), text: String::new() });
        let mut error = Self::at(source, 0..0, message);
        error.0.span = None;
        error
    }

    /// Adds the correction.
    pub(crate) fn with_help(mut self, help: impl Into<Option<String>>) -> Self {
        self.0.help = help.into();
        self
    }

    /// Several mistakes as one, in the order of the text; `None` for none.
    pub(crate) fn all(mut errors: Vec<ConfigError>) -> Option<Self> {
        errors.sort_by_key(|error| error.0.span.as_ref().map_or(0, |span| span.start));
        Self::in_order(errors)
    }

    /// Several mistakes as one, in the given order; `None` for none.
    pub(crate) fn in_order(errors: Vec<ConfigError>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        first.0.others.extend(errors);
        Some(first)
    }

    /// Every mistake as an error of its own.
    pub(crate) fn each(&self) -> impl Iterator<Item = ConfigError> {
        self.iter().map(|error| {
            let mut alone = error.clone();
            alone.0.others.clear();
            alone
        })
    }

    /// The message, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The correction.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// The text with the mistake.
    pub fn source_text(&self) -> &Arc<SourceText> {
        &self.0.source
    }

    /// The wrong bytes; `None` where the mistake is the file as a whole.
    pub fn span(&self) -> Option<Range<usize>> {
        self.0.span.clone()
    }

    /// The line and column, both from 1, where the mistake has a place.
    pub fn line_column(&self) -> Option<(usize, usize)> {
        self.0.span.as_ref().map(|span| self.0.source.line_column(span.start))
    }

    /// Every mistake, this one first.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        // A list holds single mistakes, or lists of one level: those of a topology in a scenario.
        std::iter::once(self)
            .chain(self.0.others.iter().flat_map(|other| std::iter::once(other).chain(other.0.others.iter())))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.source.name)?;
        if let Some((line, column)) = self.line_column() {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.0.message)?;
        self.0.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

impl std::error::Error for ConfigError {}

/// A file that could not be opened or read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    let (message, help) = why_unreadable(path, error);
    ConfigError::whole(&path.display().to_string(), message).with_help(help)
}

/// Checks that a file can be opened; otherwise, the message and the correction.
pub(crate) fn find_file(path: &Path) -> Result<(), (String, Option<String>)> {
    // Only a regular file is opened: opening a named pipe would wait for its writer.
    let error = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::io::Error::other("directory"),
        Ok(metadata) if !metadata.is_file() => return Ok(()),
        Ok(_) => match std::fs::File::open(path) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        },
        Err(error) => error,
    };
    let (message, help) = why_unreadable(path, &error);
    Err((format!("{message}: `{}`", path.display()), help))
}

/// Why a path cannot be read, and the correction.
pub(crate) fn why_unreadable(path: &Path, error: &io::Error) -> (String, Option<String>) {
    if path.is_dir() {
        let help = "name a file in it".to_owned();
        return ("this is a directory, not a file".to_owned(), Some(help));
    }
    match error.kind() {
        io::ErrorKind::NotFound => ("no such file".to_owned(), similar_file(path)),
        io::ErrorKind::PermissionDenied => ("no permission to read this file".to_owned(), None),
        _ => (format!("cannot read this file: {error}"), None),
    }
}

/// The file of the same folder with the most similar name.
fn similar_file(path: &Path) -> Option<String> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Some(format!("there is no folder `{}`", folder.display()));
    };
    let mut names = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .take(10_000)
        .collect::<Vec<_>>();
    names.sort_unstable();
    let name = path.file_name()?.to_str()?;
    nearest(name, names.iter().map(String::as_str)).map(did_you_mean)
}
