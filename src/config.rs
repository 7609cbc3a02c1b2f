//! Reads TOML. Every mistake has its place (file, line, column) and a correction.
//!
//! A [`Document`] is a text with overrides (`--set path.to.key=value`). It is parsed to a tree in
//! which each key and value has a span. Overrides are applied to the tree, tagged tables are rewritten
//! (see `config/tagged.rs`), and serde reads the result. An error of serde becomes a [`ConfigError`]
//! in the words of this crate.
//!
//! Only this module and its children use the crate `toml`.

mod error;
mod file_kind;
mod message;
mod nesting;
mod overrides;
mod registry;
mod synonym;
mod tagged;
mod tagged_keys;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use error::{ConfigError, SourceText};
pub(crate) use error::{find_file, why_unreadable};
pub(crate) use file_kind::FileKind;
pub use message::{did_you_mean, listed, nearest};
pub use registry::{CustomTable, Registry};
pub use toml::Spanned;

use crate::foreign::contain;
use overrides::{Origin, Override, SHELL};
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize};
use toml::de::{DeArray, DeTable, DeValue};

/// The most mistakes that are reported of one document.
const MOST_ERRORS: usize = 20;

/// Reads the name of a scenario or a topology.
pub(crate) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    const HELP: &str =
        "write for example \"two-routers\": the name of a scenario becomes that of a directory";
    let name = String::deserialize(deserializer)?;
    if name.is_empty() {
        return Err(de::Error::custom(format_args!("the name is empty; {HELP}")));
    }
    if !name.contains(char::is_alphanumeric) {
        return Err(de::Error::custom(format_args!("a name needs a letter or a digit; {HELP}")));
    }
    Ok(name)
}

/// A value as TOML.
pub(crate) fn to_text<T: Serialize>(value: &T) -> String {
    toml::to_string(value).expect("the value fits into TOML")
}

/// Reads a file.
///
/// # Errors
/// A file that cannot be read, or has more than [`MOST_BYTES`](crate::limits::MOST_BYTES).
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, ConfigError> {
    crate::limits::read(path).map_err(|error| error::unreadable(path, &error))
}

/// Reads a file as text.
///
/// # Errors
/// A file that cannot be read or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, ConfigError> {
    text_of(path, "text")
}

fn text_of(path: &Path, wanted: &str) -> Result<String, ConfigError> {
    let bytes = read_bytes(path)?;
    if let Some((what, help)) = file_kind::binary(&bytes) {
        let error = ConfigError::whole(&path.display().to_string(), format!("this is {what}, not {wanted}"));
        return Err(error.with_help(help.map(str::to_owned)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[at];
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let file = Arc::new(SourceText { name: path.display().to_string(), text });
        let message = format!("not a text in UTF-8: byte {byte:#04x} at offset {at}");
        ConfigError::at(file, at..at + char::REPLACEMENT_CHARACTER.len_utf8(), message)
            .with_help("save the file as UTF-8".to_owned())
    })
}

/// A value as TOML, on one line unless it is a table: `text` as `"text"`.
///
/// # Panics
/// TOML cannot hold the value, for example `None`.
pub(crate) fn toml_value(value: &impl Serialize) -> String {
    let value = toml::Value::try_from(value).expect("the value fits into TOML");
    value.to_string()
}

/// A TOML text with its overrides.
#[derive(Debug, Clone)]
pub struct Document {
    file: Arc<SourceText>,
    overrides: Vec<Override>,
    /// Overrides of a file that this one names.
    below: Vec<Override>,
    registry: Registry,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8, or is not TOML: then with every syntax error.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&path.display().to_string(), &text_of(path, "a TOML file")?)
    }

    /// Reads a text; `name` stands for its file in errors.
    ///
    /// # Errors
    /// The text is not TOML: with every syntax error.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let file = Arc::new(SourceText { name: name.to_owned(), text });
        let (overrides, below) = (Vec::new(), Vec::new());
        let document = Document { file, overrides, below, registry: Registry::default() };
        if let Some(span) = nesting::too_deep(&document.file.text) {
            let (message, help) = nesting::message();
            return Err(document.error(span, message).with_help(help));
        }
        document.syntax()?;
        Ok(document)
    }

    /// The same document, where tables may also be of the kinds of `registry`.
    pub fn with(self, registry: &Registry) -> Self {
        Document { registry: registry.clone(), ..self }
    }

    /// The kinds of another crate that its tables may be of.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Sets one value: `path.to.key=value`. An element of an array is named by its index from 0
    /// (`traffic.0.capture=a.pcap`), by its `name`, or, of a link, by one of its ends
    /// (`link.r1:0.bandwidth=1 Gbps`). The value is TOML, or else taken as text. In a scenario,
    /// `topology.path.to.key=value` sets a value of its topology file.
    ///
    /// A path in the value is relative to the file of the document.
    ///
    /// # Errors
    /// The text has no `=`, or its path does not exist.
    pub fn set(&mut self, text: &str) -> Result<(), ConfigError> {
        self.add(text, SHELL, Origin::File)
    }

    /// Sets several values, one after the other.
    ///
    /// # Errors
    /// As [`set`](Self::set) has them, of the first that is wrong.
    pub fn set_all(&mut self, texts: &[String]) -> Result<(), ConfigError> {
        self.set_all_of(SHELL, texts)
    }

    /// The same for values from a place of this name, for messages.
    pub(crate) fn set_all_of(&mut self, place: &str, texts: &[String]) -> Result<(), ConfigError> {
        texts.iter().try_for_each(|text| self.add(text, place, Origin::File))
    }

    /// The same for values from a command line: a path in them is relative to the current directory.
    ///
    /// # Errors
    /// As [`set`](Self::set) has them, of the first that is wrong.
    pub fn set_from_shell(&mut self, texts: &[String]) -> Result<(), ConfigError> {
        texts.iter().try_for_each(|text| self.add(text, SHELL, Origin::Shell))
    }

    fn add(&mut self, text: &str, place: &str, origin: Origin) -> Result<(), ConfigError> {
        let parsed = self.parsed(text, place, origin)?;
        let names_a_file =
            |key: &str| self.tree().is_ok_and(|tree| tree.get(key).is_some_and(|it| it.get_ref().is_str()));
        if parsed.file_key().is_some_and(names_a_file) {
            self.below.push(parsed);
            return Ok(());
        }
        self.overrides.push(parsed);
        self.tree().map(|_| ())
    }

    fn parsed(&self, text: &str, place: &str, origin: Origin) -> Result<Override, ConfigError> {
        Override::parse(text, place, self.next_base(), origin).map_err(|(source, span, message)| {
            ConfigError::at(source, span, message).with_help(overrides::EXAMPLE.to_owned())
        })
    }

    /// Where the spans of the next override begin: behind those of the text, each override in its own
    /// stretch.
    fn next_base(&self) -> usize {
        self.overrides.last().map_or(self.file.text.len() + 1, Override::end)
    }

    /// Sets the values that were set in `outer` for this document, the file that `key` names there.
    ///
    /// # Errors
    /// As [`set`](Self::set) has them, of the first that is wrong.
    pub(crate) fn inherit(&mut self, outer: &Document, key: &str) -> Result<(), ConfigError> {
        let inherited = outer.below.iter().filter(|set| set.file_key() == Some(key));
        inherited.cloned().try_for_each(|set| {
            self.overrides.push(set.of_the_named_file(self.next_base()));
            self.tree().map(|_| ())
        })
    }

    /// Sets the values from a command line that begin with `key`, for the document that a scenario would name
    /// with it.
    ///
    /// # Errors
    /// As [`set`](Self::set) has them, of the first that is wrong.
    pub fn set_below(&mut self, key: &str, texts: &[String]) -> Result<(), ConfigError> {
        for text in texts {
            let parsed = self.parsed(text, SHELL, Origin::Shell)?;
            if parsed.file_key() == Some(key) {
                self.overrides.push(parsed.of_the_named_file(self.next_base()));
                self.tree()?;
            }
        }
        Ok(())
    }

    /// The folder that a path at `span` is relative to, where it is `folder` for paths in the file.
    pub(crate) fn folder_at<'p>(&self, span: &Range<usize>, folder: &'p Path) -> &'p Path {
        let owner = self.owner(span);
        if owner.is_some_and(|set| set.origin == Origin::Shell) { Path::new("") } else { folder }
    }

    fn owner(&self, span: &Range<usize>) -> Option<&Override> {
        self.overrides.iter().find(|set| (set.base..set.end()).contains(&span.start))
    }

    /// Whether the document has `key` at the top.
    pub fn has_key(&self, key: &str) -> bool {
        self.tree().is_ok_and(|tree| tree.contains_key(key))
    }

    /// What the file describes, as far as the keys at its top say it.
    pub(crate) fn kind(&self) -> Option<FileKind> {
        self.tree().ok().and_then(|tree| FileKind::of(&tree))
    }

    /// That the file describes what is `wanted` of it.
    ///
    /// # Errors
    /// It describes something else.
    pub(crate) fn must_be(&self, wanted: FileKind) -> Result<(), ConfigError> {
        let Some(found) = self.kind().filter(|found| *found != wanted) else { return Ok(()) };
        let tree = self.tree()?;
        // The first key that shows it.
        let shown = tree.iter().filter(|(key, _)| found.top_keys().contains(&key.get_ref().as_ref()));
        let span = shown.map(|(key, _)| key.span()).min_by_key(|span| span.start).unwrap_or(0..0);
        let message = format!("this is {}, not {}", found.with_article(), wanted.with_article());
        let help = match (found, wanted) {
            (FileKind::Topology, FileKind::Scenario) => {
                format!("{}; `taunet check` checks either", wanted.contents())
            }
            _ => wanted.contents().to_owned(),
        };
        Err(self.error(span, message).with_help(help))
    }

    /// The span of the value of `table.key`, or of the table where it has no such key.
    pub(crate) fn span_in_table(&self, table: &str, key: &str) -> Range<usize> {
        let Ok(tree) = self.tree() else { return 0..0 };
        let Some(holder) = tree.get(table) else { return 0..0 };
        let value = holder.get_ref().as_table().and_then(|table| table.get(key));
        value.map_or(holder.span(), Spanned::span)
    }

    /// Its text.
    pub fn source(&self) -> &Arc<SourceText> {
        &self.file
    }

    /// Reads the document as a `T`.
    ///
    /// # Errors
    /// Every unknown key and every wrong value, unless one hides another.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let mut tree = self.tree()?;
        let mut errors = Vec::new();
        let mut removed = Vec::new();
        for (key, span) in file_kind::doubled(&tree) {
            let (message, help) = file_kind::header_mistake(&key, false, &tree);
            removed.extend(remove(&mut tree, &span));
            errors.push(self.error(span, message).with_help(help));
        }
        for mistake in tagged::rewrite(&mut tree, &self.registry) {
            removed.extend(remove(&mut tree, &mistake.span));
            errors.push(self.error(mistake.span, mistake.message).with_help(mistake.help));
        }
        self.deserialize_table(Spanned::new(0..0, tree), "", errors, removed)
    }

    /// Reads the table at a span from serde; errors call it `name`.
    ///
    /// # Errors
    /// As [`deserialize`](Document::deserialize) has them.
    pub(crate) fn deserialize_at<T: DeserializeOwned>(
        &self,
        name: &str,
        span: Range<usize>,
    ) -> Result<T, ConfigError> {
        let mut tree = self.tree()?;
        // Its mistakes have been reported: the whole document has been read.
        tagged::rewrite(&mut tree, &self.registry);
        let table = table_at(&tree, &span).cloned().unwrap_or_default();
        self.deserialize_table(Spanned::new(span, table), name, Vec::new(), Vec::new())
    }

    /// Reads a table. serde stops at the first mistake, which is removed from the tree to find the next.
    fn deserialize_table<T: DeserializeOwned>(
        &self,
        mut tree: Spanned<DeTable<'_>>,
        name: &str,
        mut errors: Vec<ConfigError>,
        mut removed: Vec<String>,
    ) -> Result<T, ConfigError> {
        let start = tree.span();
        let kinds = |key: &str| self.registry.names(key).map(str::to_owned).collect();
        while errors.len() < MOST_ERRORS {
            let error = match T::deserialize(toml::de::Deserializer::from(tree.clone())) {
                Ok(value) if errors.is_empty() => return Ok(value),
                Ok(_) => break,
                Err(error) => error,
            };
            let span = error.span().unwrap_or(start.clone());
            let said = message::explain(error.message(), (tree.get_ref(), name), &span, &kinds);
            // A missing key that was removed before is no mistake of the file.
            if !said.follows_from(&mut removed) {
                errors.push(self.error(span.clone(), said.message).with_help(said.help));
            }
            match remove(tree.get_mut(), &span) {
                Some(key) => removed.push(key),
                None => break,
            }
        }
        Err(ConfigError::all(errors).unwrap_or_else(|| self.error(start, "cannot be read")))
    }

    /// A mistake at a span of this document.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>) -> ConfigError {
        match self.owner(&span) {
            Some(set) => {
                ConfigError::at(Arc::clone(&set.source), span.start - set.base..span.end - set.base, message)
            }
            None => ConfigError::at(Arc::clone(&self.file), span, message),
        }
    }

    /// The mistake of a document whose keys do not show what it describes.
    pub fn neither(&self) -> ConfigError {
        let message = match self.tree() {
            Ok(tree) if tree.is_empty() => "this file is empty",
            _ => "this is neither a topology nor a scenario nor a training file nor a sweep",
        };
        self.error(0..0, message).with_help(
            "a topology has [[device]] and [[link]] tables, or [generate]; a scenario has `topology` and [[traffic]]; a \
             training file has [[data]]; a sweep has `scenario` and [vary]"
                .to_owned(),
        )
    }

    fn syntax(&self) -> Result<DeTable<'_>, ConfigError> {
        let (tree, errors) = contain(|| DeTable::parse_recoverable(&self.file.text))
            .map_err(|panicked| self.error(0..0, format!("cannot be read as TOML: {panicked}")))?;
        let end = self.file.text.len();
        let mut errors = errors
            .iter()
            .take(MOST_ERRORS)
            .map(|error| {
                let span = error.span().unwrap_or(end..end);
                let snippet = self.file.text.get(span.clone()).unwrap_or_default();
                let (message, help) = message::syntax(error.message(), snippet);
                self.error(span, message).with_help(help)
            })
            .collect::<Vec<_>>();
        // Further errors on the same line mostly follow from the first.
        errors.dedup_by_key(|error| error.line_column().map(|(line, _)| line));
        if let (false, Some((format, help))) = (errors.is_empty(), file_kind::other_format(&self.file.text)) {
            let error = self.error(0..0, format!("this is {format}, not TOML"));
            return Err(error.with_help(help.to_owned()));
        }
        match ConfigError::all(errors) {
            Some(error) => Err(error),
            None => Ok(tree.into_inner()),
        }
    }

    /// The tree with its overrides.
    fn tree(&self) -> Result<DeTable<'_>, ConfigError> {
        let mut tree = self.syntax()?;
        for set in &self.overrides {
            set.apply(&mut tree).map_err(|(span, message)| self.error(span, message))?;
        }
        Ok(tree)
    }
}

/// The innermost table at `span`.
fn table_at<'a, 'i>(table: &'a DeTable<'i>, span: &Range<usize>) -> Option<&'a DeTable<'i>> {
    fn within<'a, 'i>(value: &'a Spanned<DeValue<'i>>, span: &Range<usize>) -> Option<&'a DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(table) => {
                table_at(table, span).or_else(|| (value.span() == *span).then_some(table))
            }
            DeValue::Array(items) => items.iter().find_map(|item| within(item, span)),
            _ => None,
        }
    }
    table.iter().find_map(|(_, value)| within(value, span))
}

/// The result of a search for the value to remove.
enum Search {
    /// It is not in this value.
    Absent,
    /// It is this value: the caller removes it.
    Found,
    /// It was removed from under this key; an element of an array has no key.
    Removed(String),
}

/// Removes the key or value at `span` from the table. Gives the removed key.
fn remove(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let mut found = None;
    for (key, value) in table.iter_mut() {
        match remove_in(value, span) {
            Search::Removed(key) => return Some(key),
            Search::Absent if key.span() != *span => {}
            Search::Absent | Search::Found => {
                found = Some(key.get_ref().to_string());
                break;
            }
        }
    }
    if let Some(key) = &found {
        table.remove(key.as_str());
    }
    found
}

fn remove_in(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> Search {
    match value.get_mut() {
        DeValue::Table(table) => {
            if let Some(key) = remove(table, span) {
                return Search::Removed(key);
            }
        }
        DeValue::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                match remove_in(item, span) {
                    Search::Absent => {}
                    // One table of several can be left out. One end of a link cannot: the array is removed.
                    Search::Found if item.get_ref().is_table() => {
                        let kept = std::mem::replace(items, DeArray::new()).into_iter().enumerate();
                        *items = kept.filter(|(at, _)| *at != index).map(|(_, item)| item).collect();
                        return Search::Removed(String::new());
                    }
                    done => return done,
                }
            }
        }
        _ => {}
    }
    if value.span() == *span { Search::Found } else { Search::Absent }
}

#[cfg(test)]
mod tests;
