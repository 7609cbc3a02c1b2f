//! Reading TOML so that every mistake keeps its place: file, line, column, and what would be right.
//!
//! A [`Document`] is a text and the overrides (`--set path.to.key=value`) that change it. It is
//! parsed to a tree in which each key and value knows its span; overrides are applied to the tree,
//! tagged tables are rewritten (see `config/tagged.rs`), and serde reads the result. What serde says about
//! a mistake is turned into a [`ConfigError`] in the words of this crate.
//!
//! The crate `toml` is named in this module and its children only.

mod error;
mod message;
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
pub use message::{did_you_mean, listed, nearest};
pub use registry::{CustomTable, Registry};
pub use toml::Spanned;

use overrides::Override;
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize};
use toml::de::{DeArray, DeTable, DeValue};

/// How many mistakes of one document are reported before reading gives up.
const MOST_ERRORS: usize = 20;

/// Reads the name of a scenario or topology.
pub(crate) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    const HELP: &str =
        "write for example \"two-routers\": the name of a scenario becomes that of a directory";
    let name = String::deserialize(deserializer)?;
    if name.is_empty() {
        return Err(de::Error::custom(format_args!("a name may not be empty; {HELP}")));
    }
    if !name.contains(char::is_alphanumeric) {
        return Err(de::Error::custom(format_args!("a name needs a letter or a digit; {HELP}")));
    }
    Ok(name)
}

/// A value as TOML.
pub(crate) fn to_text<T: Serialize>(value: &T) -> String {
    toml::to_string(value).expect("what is written here can be told in TOML")
}

/// Reads a file.
///
/// # Errors
/// A file that cannot be read.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|error| error::unreadable(path, &error))
}

/// Reads a file as text.
///
/// # Errors
/// A file that cannot be read or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, ConfigError> {
    String::from_utf8(read_bytes(path)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[at];
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let file = Arc::new(SourceText { name: path.display().to_string(), text });
        let message = format!("not a text in UTF-8: byte {byte:#04x} at offset {at}");
        ConfigError::at(file, at..at + char::REPLACEMENT_CHARACTER.len_utf8(), message)
            .with_help("save the file as UTF-8".to_owned())
    })
}

/// A value as TOML, on one line where it is no table: `text` as `"text"`.
///
/// # Panics
/// A value that TOML cannot hold, such as a missing one.
pub(crate) fn toml_value(value: &impl Serialize) -> String {
    let value = toml::Value::try_from(value).expect("the value fits into TOML");
    value.to_string()
}

/// A TOML text with its overrides.
#[derive(Debug, Clone)]
pub struct Document {
    file: Arc<SourceText>,
    overrides: Vec<Override>,
    registry: Registry,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, is not UTF-8, or is not TOML; of the last, every mistake.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&path.display().to_string(), &read_text(path)?)
    }

    /// Reads a text; `name` stands for its file in errors.
    ///
    /// # Errors
    /// A text that is not TOML, with every mistake.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let file = Arc::new(SourceText { name: name.to_owned(), text });
        let document = Document { file, overrides: Vec::new(), registry: Registry::default() };
        document.syntax()?;
        Ok(document)
    }

    /// The same document, in which tables may be of further kinds.
    pub fn with(self, registry: &Registry) -> Self {
        Document { registry: registry.clone(), ..self }
    }

    /// The kinds that its tables may be of, beside taunet's own.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Sets one value: `path.to.key=value`, where an element of an array is named by its index from
    /// 0 (`traffic.0.capture=a.pcap`). The value is TOML, or else taken as text.
    ///
    /// # Errors
    /// Text without `=`, or a path that leads nowhere.
    pub fn set(&mut self, text: &str) -> Result<(), ConfigError> {
        // Spans beyond the file's text belong to the overrides, each in its own stretch.
        let base = self.overrides.last().map_or(self.file.text.len() + 1, Override::end);
        let parsed = Override::parse(text, base).map_err(|(source, span, message)| {
            ConfigError::at(source, span, message).with_help(overrides::EXAMPLE.to_owned())
        })?;
        self.overrides.push(parsed);
        self.tree().map(|_| ())
    }

    /// Sets several values, one after the other.
    ///
    /// # Errors
    /// As [`set`](Self::set) has them, of the first that is wrong.
    pub fn set_all(&mut self, texts: &[String]) -> Result<(), ConfigError> {
        texts.iter().try_for_each(|text| self.set(text))
    }

    /// Whether the document has `key` at its top.
    pub fn has_key(&self, key: &str) -> bool {
        self.tree().is_ok_and(|tree| tree.contains_key(key))
    }

    /// Whether it looks like a topology: it has what a topology alone has, and nothing that makes a scenario.
    pub fn describes_topology(&self) -> bool {
        let has_any = |keys: &[&str]| keys.iter().any(|key| self.has_key(key));
        has_any(&["device", "link", "defaults", "generate"]) && !has_any(&["topology", "traffic", "measured"])
    }

    /// Whether it looks like a training file: it has what such a file alone has, and nothing that makes a scenario.
    pub fn describes_training(&self) -> bool {
        let has_any = |keys: &[&str]| keys.iter().any(|key| self.has_key(key));
        has_any(&["data", "architecture", "training", "split"])
            && !has_any(&["topology", "traffic", "measured"])
    }

    /// Where the value of `table.key` stands; the table, where it has no such key.
    pub(crate) fn span_in_table(&self, table: &str, key: &str) -> Range<usize> {
        let Ok(tree) = self.tree() else { return 0..0 };
        let Some(holder) = tree.get(table) else { return 0..0 };
        let value = holder.get_ref().as_table().and_then(|table| table.get(key));
        value.map_or(holder.span(), Spanned::span)
    }

    /// The text that it was read from.
    pub fn source(&self) -> &Arc<SourceText> {
        &self.file
    }

    /// Reads the document as a `T`.
    ///
    /// # Errors
    /// Every unknown key and every value that does not fit, as far as one does not hide another.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let mut tree = self.tree()?;
        let mut errors = Vec::new();
        let mut removed = Vec::new();
        for mistake in tagged::rewrite(&mut tree, &self.registry) {
            removed.extend(remove(&mut tree, &mistake.span));
            errors.push(self.error(mistake.span, mistake.message).with_help(mistake.help));
        }
        self.deserialize_table(Spanned::new(0..0, tree), "", errors, removed)
    }

    /// Reads the table at a span that serde gave, which is called `name` in errors.
    ///
    /// # Errors
    /// As [`deserialize`](Document::deserialize) has them.
    pub(crate) fn deserialize_at<T: DeserializeOwned>(
        &self,
        name: &str,
        span: Range<usize>,
    ) -> Result<T, ConfigError> {
        let mut tree = self.tree()?;
        // Its mistakes have been told: the whole document has been read.
        tagged::rewrite(&mut tree, &self.registry);
        let table = table_at(&tree, &span).cloned().unwrap_or_default();
        self.deserialize_table(Spanned::new(span, table), name, Vec::new(), Vec::new())
    }

    /// Reads a table. serde stops at the first mistake: it is taken out of the tree, to find the next.
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
            // What misses only what was taken out is no mistake of the file, and goes too.
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

    /// A mistake at `span`, which serde gave for this document.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>) -> ConfigError {
        let owner = self.overrides.iter().find(|set| (set.base..set.end()).contains(&span.start));
        match owner {
            Some(set) => {
                ConfigError::at(Arc::clone(&set.source), span.start - set.base..span.end - set.base, message)
            }
            None => ConfigError::at(Arc::clone(&self.file), span, message),
        }
    }

    /// The mistake of a document of which nobody knows what it describes.
    pub fn neither(&self) -> ConfigError {
        let message = match self.tree() {
            Ok(tree) if tree.is_empty() => "there is nothing in this file",
            _ => "this is neither a topology nor a scenario nor a training file",
        };
        self.error(0..0, message).with_help(
            "a topology has [[device]] and [[link]] tables, or [generate]; a scenario has `topology` and [[traffic]]; a \
             training file has [[data]]"
                .to_owned(),
        )
    }

    fn syntax(&self) -> Result<DeTable<'_>, ConfigError> {
        let (tree, errors) = DeTable::parse_recoverable(&self.file.text);
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
        // What follows on the same line is mostly the first mistake again.
        errors.dedup_by_key(|error| error.line_column().map(|(line, _)| line));
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

/// What became of a search for the value to take out.
enum Search {
    /// It is not here.
    Absent,
    /// It is this value: who holds it takes it out.
    Found,
    /// It stood under this key and is gone; an element of an array has none.
    Removed(String),
}

/// Takes the key or value at `span` out of the table; the key that went.
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
                    // One table of many can be missed; one end of a link cannot: the array goes.
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
