//! The attributes of a graph, a node or an edge, as texts by key.
//!
//! Interpreted attributes are removed. The remaining ones are left out of the topology, and reported.

/// Texts by key, in the order of the file. Lookup ignores the case of keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes(Vec<Attribute>);

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub key: String,
    pub text: String,
    /// The reason why it is left out, if it was examined.
    pub why: Option<&'static str>,
    /// Whether it must not be examined again.
    is_left: bool,
}

impl Attributes {
    /// Sets the text of a key, and replaces an earlier one. An empty text is ignored.
    pub fn set(&mut self, key: &str, text: impl Into<String>) {
        self.0.retain(|attribute| attribute.key != key);
        self.add(key, text);
    }

    /// Adds a text, in addition to others of that key.
    pub fn add(&mut self, key: &str, text: impl Into<String>) {
        let text = text.into();
        if !text.trim().is_empty() {
            self.0.push(Attribute { key: key.to_owned(), text, why: None, is_left: false });
        }
    }

    /// Adds a text that is left out.
    pub fn leave(&mut self, key: &str, text: impl Into<String>, why: &'static str) {
        self.0.push(Attribute { key: key.to_owned(), text: text.into(), why: Some(why), is_left: true });
    }

    /// Removes and returns the text of the first of the keys that has one.
    pub fn take(&mut self, keys: &[&str]) -> Option<String> {
        self.read(keys, |text| Ok(text.to_owned()))
    }

    /// Removes and returns the first text of the keys that `read` accepts. Rejected texts stay, with the
    /// reason.
    pub fn read<T>(
        &mut self,
        keys: &[&str],
        mut read: impl FnMut(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        self.read_with_unit(keys, |_| false, |_, text| read(text))
    }

    /// Like [`read`](Self::read), for keys that may end with a unit: `delay_ms`, `bandwidth (Mbps)`. `read`
    /// gets the key as `keys` has it, and the number with the unit of its key.
    pub fn read_with_unit<T>(
        &mut self,
        keys: &[&str],
        is_unit: fn(&str) -> bool,
        mut read: impl FnMut(&str, &str) -> Result<T, &'static str>,
    ) -> Option<T> {
        for key in keys {
            for index in 0..self.0.len() {
                let attribute = &self.0[index];
                if attribute.is_left {
                    continue;
                }
                let Some(unit) = unit_behind(&attribute.key, key, is_unit) else { continue };
                let text = attribute.text.trim();
                let read =
                    if unit.is_empty() { read(key, text) } else { read(key, &format!("{text} {unit}")) };
                match read {
                    Ok(value) => {
                        self.0.remove(index);
                        return Some(value);
                    }
                    Err(why) => self.0[index].why = Some(why),
                }
            }
        }
        None
    }

    /// The text of a key, unless it is left out.
    pub fn get(&self, key: &str) -> Option<&str> {
        let is_it = |attribute: &&Attribute| !attribute.is_left && attribute.key.eq_ignore_ascii_case(key);
        self.0.iter().find(is_it).map(|attribute| attribute.text.trim())
    }

    /// Adds the attributes of `outer` whose keys are missing here.
    pub fn or(mut self, outer: &Attributes) -> Self {
        for attribute in &outer.0 {
            if attribute.is_left || !self.0.iter().any(|own| own.key == attribute.key) {
                self.0.push(attribute.clone());
            }
        }
        self
    }

    /// The remaining attributes.
    pub fn iter(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter()
    }
}

/// The unit at the end of a key that starts with `wanted`; empty if the two are equal.
fn unit_behind<'a>(key: &'a str, wanted: &str, is_unit: fn(&str) -> bool) -> Option<&'a str> {
    let start = key.get(..wanted.len())?;
    if !start.eq_ignore_ascii_case(wanted) {
        return None;
    }
    let rest = &key[wanted.len()..];
    let separators = ['_', '-', '.', ' ', '(', '[', ')', ']'];
    let unit = rest.trim_matches(separators);
    (rest.is_empty() || (rest.starts_with(separators) && is_unit(unit))).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_stays_with_the_reason() {
        let mut attributes = Attributes::default();
        attributes.set("Bandwidth", "fast");
        attributes.set("SPEED", " 10 ");
        attributes.set("empty", " ");
        attributes.set("delay_ms", "3");
        attributes.set("delay_variation", "4");
        let number = |text: &str| text.parse::<u8>().map_err(|_| "no number");
        assert_eq!(attributes.read(&["bandwidth", "speed"], number), Some(10));
        let delay = attributes.read_with_unit(&["delay"], |unit| unit == "ms", |_, text| Ok(text.to_owned()));
        assert_eq!(delay.as_deref(), Some("3 ms"));
        let left = attributes.iter().map(|left| (left.key.as_str(), left.why)).collect::<Vec<_>>();
        assert_eq!(left, [("Bandwidth", Some("no number")), ("delay_variation", None)]);
    }
}
