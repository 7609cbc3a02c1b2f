//! What a file says about a graph, a node or an edge, as texts by key.
//!
//! What is understood is taken out; what is then still there is left out of the topology, and told.

/// Texts by key, in the order of the file. The case of a key does not count where one is looked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes(Vec<Attribute>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub key: String,
    pub text: String,
    /// Why it is left out, where it was looked at.
    pub why: Option<&'static str>,
    /// Nobody is to look at it again.
    is_left: bool,
}

impl Attributes {
    /// Sets the text of a key; one that was there before is replaced. An empty text says nothing.
    pub fn set(&mut self, key: &str, text: impl Into<String>) {
        self.0.retain(|attribute| attribute.key != key);
        self.add(key, text);
    }

    /// Adds a text, beside others of that key.
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

    /// Takes the text of the first of the keys that has one.
    pub fn take(&mut self, keys: &[&str]) -> Option<String> {
        self.read(keys, |text| Ok(text.to_owned()))
    }

    /// Takes the first text of the keys that `read` understands. One that it does not is left, with the reason.
    pub fn read<T>(
        &mut self,
        keys: &[&str],
        mut read: impl FnMut(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        self.read_with_unit(keys, |_| false, |_, text| read(text))
    }

    /// As [`read`](Self::read), where a key may end with a unit: `delay_ms`, `bandwidth (Mbps)`. `read` gets the key
    /// as `keys` has it, and the number with the unit of its key.
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

    /// The text of a key that is not left out.
    pub fn get(&self, key: &str) -> Option<&str> {
        let is_it = |attribute: &&Attribute| !attribute.is_left && attribute.key.eq_ignore_ascii_case(key);
        self.0.iter().find(is_it).map(|attribute| attribute.text.trim())
    }

    /// Adds what `outer` says and this does not.
    pub fn or(mut self, outer: &Attributes) -> Self {
        for attribute in &outer.0 {
            if attribute.is_left || !self.0.iter().any(|own| own.key == attribute.key) {
                self.0.push(attribute.clone());
            }
        }
        self
    }

    /// What is left.
    pub fn iter(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter()
    }
}

/// The unit at the end of a key that starts with `wanted`; empty where the two are the same.
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
