//! Kinds of another crate: how a table with `kind = "my-queue"` becomes an object.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ConfigError, Document, Spanned};

/// The object made from a table. Its type is known where the kind was added.
pub(crate) type Made = Arc<dyn Any + Send + Sync>;

type Make = dyn Fn(&Document, Range<usize>) -> Result<Made, ConfigError> + Send + Sync;

type Check = dyn Fn(&toml::Table) -> Result<(), String> + Send + Sync;

/// The kinds of queueing disciplines, traffic sources, forwarding rules and observers that a program adds to
/// those of taunet. Files can name them.
///
/// The parameters of a kind are the keys beside `kind`, read by serde. With `#[serde(deny_unknown_fields)]`,
/// a misspelt key is an error with its place. A kind with the name of one of taunet replaces it.
///
/// # Examples
/// ```
/// use serde::Deserialize;
/// use taunet::config::Registry;
/// use taunet::ptm::{FifoQueue, Place};
/// use taunet::topology::Topology;
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Parameters {
///     buffer: Option<taunet::ptm::Buffer>,
/// }
///
/// let mut registry = Registry::default();
/// registry.discipline("my-queue", |parameters: &Parameters, _place: &Place<'_>| FifoQueue::new(parameters.buffer));
/// let text = r#"
///     name = "pair"
///     device = [{ name = "a", kind = "host" }, { name = "b", kind = "host" }]
///     link = [{ between = ["a:0", "b:0"], bandwidth = "1 Gbps", ptm = { kind = "my-queue", bufer = "64 KiB" } }]
/// "#;
/// let error = Topology::from_toml_with("pair.toml", text, &registry).unwrap_err();
/// assert!(error.to_string().contains("unknown key `bufer` in `my-queue` (did you mean `buffer`?"), "{error}");
/// assert!(Topology::from_toml_with("pair.toml", &text.replace("bufer", "buffer"), &registry).is_ok());
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    /// By the key of such tables (`ptm`, `traffic`, ...) and the kind.
    kinds: BTreeMap<(&'static str, String), Arc<Make>>,
    /// By kind: what [`check`](Registry::check) has added.
    checks: BTreeMap<String, Arc<Check>>,
}

impl Registry {
    /// Adds a kind of tables at `key`; `make` makes an object from the parameters.
    pub(crate) fn add<P: DeserializeOwned, T: Send + Sync + 'static>(
        &mut self,
        key: &'static str,
        kind: &str,
        make: impl Fn(P) -> T + Send + Sync + 'static,
    ) {
        let name = kind.to_owned();
        let made = move |document: &Document, span: Range<usize>| -> Result<Made, ConfigError> {
            Ok(Arc::new(make(document.deserialize_at(&name, span)?)))
        };
        self.kinds.insert((key, kind.to_owned()), Arc::new(made));
    }

    /// Adds a check of the keys beside `kind` that follows their reading: for rules that their types do not
    /// express. `check` says what is wrong; the mistake is told with the place of the table.
    pub fn check(
        &mut self,
        kind: &str,
        check: impl Fn(&toml::Table) -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.checks.insert(kind.to_owned(), Arc::new(check));
    }

    /// Whether tables at `key` may be of this kind.
    pub(super) fn has(&self, key: &str, kind: &str) -> bool {
        self.names(key).any(|name| name == kind)
    }

    /// The kinds of tables at `key`.
    pub(super) fn names<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let kinds = self.kinds.keys().filter(move |(place, _)| *place == key);
        kinds.map(|(_, kind)| kind.as_str())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds.keys()).finish()
    }
}

/// A table of a kind of another crate.
#[derive(Clone, Deserialize)]
pub struct CustomTable {
    /// The kind.
    pub kind: String,
    /// The other keys.
    pub parameters: Spanned<toml::Table>,
    /// The object made from it.
    #[serde(skip)]
    made: Option<Made>,
}

impl CustomTable {
    /// An object that a program made without a file.
    pub(crate) fn of<T: Send + Sync + 'static>(kind: &str, made: T) -> Self {
        let parameters = Spanned::new(0..0, toml::Table::new());
        CustomTable { kind: kind.to_owned(), parameters, made: Some(Arc::new(made)) }
    }

    /// Makes the object of its kind, for a table at `key`.
    ///
    /// # Errors
    /// Every wrong parameter, with its place.
    pub(crate) fn make(&mut self, key: &'static str, document: &Document) -> Result<(), ConfigError> {
        let span = self.parameters.span();
        let Some(make) = document.registry().kinds.get(&(key, self.kind.clone())) else {
            let message = format!("unknown kind `{}`", self.kind);
            return Err(document.error(span, message));
        };
        let made = make(document, span.clone())?;
        if let Some(check) = document.registry().checks.get(&self.kind) {
            check(self.parameters.get_ref()).map_err(|message| document.error(span, message))?;
        }
        self.made = Some(made);
        Ok(())
    }

    /// The object made from it, of the type of its kind.
    pub(crate) fn made<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(self.made.as_ref()?).downcast().ok()
    }
}

impl PartialEq for CustomTable {
    /// Made from equal tables, or the same object.
    fn eq(&self, other: &Self) -> bool {
        let same = match (&self.made, &other.made) {
            (Some(made), Some(other)) => Arc::ptr_eq(made, other),
            _ => false,
        };
        let written = !self.parameters.get_ref().is_empty();
        self.kind == other.kind && (same || (written && self.parameters == other.parameters))
    }
}

impl fmt::Debug for CustomTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomTable").field("kind", &self.kind).field("parameters", &self.parameters).finish()
    }
}

impl serde::Serialize for CustomTable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.parameters.get_ref().serialize(serializer)
    }
}
