//! The keys that lead to tagged tables.

/// The keys whose value is a tagged table.
pub(super) const ONE: &[&str] = &["ptm", "generate", "rule"];

/// The keys whose value is an array of tagged tables.
pub(super) const MANY: &[&str] = &["traffic", "observer"];

/// The keys of a tagged table of another crate's kind that are not parameters of that kind, by the key that holds it.
pub(super) const OWN: &[(&str, &[&str])] = &[("traffic", &["name", "from", "at"])];

/// The variant that stands for all kinds that are not taunet's own.
pub(super) const CUSTOM: &str = "$custom";

/// Whether `key` leads to tagged tables.
pub(super) fn is_tagged(key: &str) -> bool {
    ONE.contains(&key) || MANY.contains(&key)
}
