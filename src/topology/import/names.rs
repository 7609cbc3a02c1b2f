//! Converts labels to valid and unique device names.

use rustc_hash::FxHashMap;

/// The maximum length of a name, in characters.
const LONGEST: usize = 64;

/// The names in use, each with the number that the next equal label gets.
#[derive(Debug, Default)]
pub(super) struct Names(FxHashMap<String, usize>);

impl Names {
    /// A name like `label` that is not in use; a number is appended if necessary.
    pub fn take(&mut self, label: &str) -> String {
        let clean = cleaned(label);
        let Some(mut number) = self.0.get(&clean).copied() else {
            self.0.insert(clean.clone(), 2);
            return clean;
        };
        // Counting from 2 for each label would take time with the square of the number of equal labels.
        let name = loop {
            let name = format!("{clean}-{number}");
            number += 1;
            if !self.0.contains_key(&name) {
                break name;
            }
        };
        self.0.insert(clean, number);
        self.0.insert(name.clone(), 2);
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

    #[test]
    fn equal_labels_take_linear_time() {
        let mut names = Names::default();
        assert_eq!(names.take("x-5"), "x-5");
        let last = (0..300_000).map(|_| names.take("x")).last();
        assert_eq!(last.as_deref(), Some("x-300001"), "`x-5` was in use");
    }
}
