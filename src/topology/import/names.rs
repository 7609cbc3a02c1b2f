//! Converts labels to valid and unique device names.

use rustc_hash::FxHashSet;

/// The maximum length of a name, in characters.
const LONGEST: usize = 64;

/// The names in use.
#[derive(Debug, Default)]
pub(super) struct Names(FxHashSet<String>);

impl Names {
    /// A name like `label` that is not in use; a number is appended if necessary.
    pub fn take(&mut self, label: &str) -> String {
        let clean = cleaned(label);
        let mut name = clean.clone();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            name = format!("{clean}-{number}");
            number += 1;
        }
        name
    }
}

/// The text without characters that are not allowed in a device's name, in `port:0`, or in a CSV file.
pub(super) fn cleaned(label: &str) -> String {
    let legal = |c: char| !(c.is_control() || c.is_whitespace() || ":;,\"'`\\<>{}[]|".contains(c));
    let mut name = String::new();
    for c in label.trim().chars().map(|c| if legal(c) { c } else { '-' }) {
        // Several replaced characters become one `-`.
        if c != '-' || !name.ends_with('-') {
            name.push(c);
        }
    }
    let name = name.trim_matches('-').chars().take(LONGEST).collect::<String>();
    if name.is_empty() { "node".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_and_unique() {
        let mut names = Names::default();
        let taken = ["New York", "New  York", "a:0", "", " \t", "São Paulo", "New-York-2", "\"x\", y"];
        let taken = taken.map(|label| names.take(label));
        assert_eq!(
            taken,
            ["New-York", "New-York-2", "a-0", "node", "node-2", "São-Paulo", "New-York-2-2", "x-y"]
        );
        assert_eq!(names.take(&"x".repeat(100)).len(), LONGEST);
    }
}
