//! The keys of tagged tables.

/// The keys whose value is a tagged table.
pub(super) const ONE: &[&str] = &["ptm", "generate", "rule"];

/// The keys whose value is an array of tagged tables.
pub(super) const MANY: &[&str] = &["traffic", "observer"];

/// The keys of a tagged table that are not parameters of its kind, where that is of another crate; by the key
/// of the table.
pub(super) const OWN: &[(&str, &[&str])] = &[("traffic", &["name", "from", "at"])];

/// The variant for all kinds of other crates.
pub(super) const CUSTOM: &str = "$custom";

/// Whether the tables at `key` are tagged.
pub(super) fn is_tagged(key: &str) -> bool {
    ONE.contains(&key) || MANY.contains(&key)
}
