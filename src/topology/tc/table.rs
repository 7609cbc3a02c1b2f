//! A `[ptm]` table as text.

use serde::Serialize;

use crate::config::toml_value;
use crate::ptm::Buffer;
use crate::units::{ByteCount, Span};

/// A table: its keys in order, and its subtables.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    keys: Vec<(&'static str, String)>,
    ptm: Option<Box<Table>>,
    class: Vec<Table>,
}

impl Table {
    /// The table of a discipline.
    pub fn of_kind(kind: &str) -> Self {
        Table::default().with("kind", &kind)
    }

    /// Adds a key.
    pub fn with(mut self, key: &'static str, value: &impl Serialize) -> Self {
        self.set(key, value);
        self
    }

    /// Adds a key if there is a value.
    pub fn with_some(self, key: &'static str, value: Option<&impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds a span of time, with `0 s` instead of `0 ps`.
    pub fn with_span(self, key: &'static str, span: Span) -> Self {
        if span == Span::ZERO { self.with(key, &"0 s") } else { self.with(key, &span) }
    }

    /// Adds a number of bytes.
    pub fn with_size(self, key: &'static str, size: ByteCount) -> Self {
        self.with(key, &size_text(size.get()))
    }

    pub fn set_size(&mut self, key: &'static str, size: ByteCount) {
        self.set(key, &size_text(size.get()));
    }

    /// Sets the size of the queue.
    pub fn set_buffer(&mut self, key: &'static str, buffer: Buffer) {
        match buffer {
            Buffer::Bytes(size) => self.set_size(key, size),
            Buffer::Packets(_) => self.set(key, &buffer),
        }
    }

    pub fn set(&mut self, key: &'static str, value: &impl Serialize) {
        self.set_text(key, toml_value(value));
    }

    /// Sets a key to a value in TOML.
    pub fn set_text(&mut self, key: &'static str, value: String) {
        self.keys.push((key, value));
    }

    /// Adds the keys of another table.
    pub fn append(&mut self, other: Table) {
        self.keys.extend(other.keys);
    }

    /// Sets the discipline.
    pub fn set_ptm(&mut self, ptm: Table) {
        self.ptm = Some(Box::new(ptm));
    }

    pub fn push_class(&mut self, class: Table) {
        self.class.push(class);
    }

    pub fn has_classes(&self) -> bool {
        !self.class.is_empty()
    }

    /// The keys as an inline table.
    pub fn inline(&self) -> String {
        let keys = self.keys.iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>();
        if keys.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", keys.join(", ")) }
    }

    /// The table under the name `[path]`.
    pub fn to_toml(&self, path: &str) -> String {
        let mut text = String::new();
        self.write(path, &format!("[{path}]"), &mut text);
        text
    }

    fn write(&self, path: &str, header: &str, text: &mut String) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(header);
        text.push('\n');
        for (key, value) in &self.keys {
            text.push_str(&format!("{key} = {value}\n"));
        }
        if let Some(ptm) = &self.ptm {
            let path = format!("{path}.ptm");
            ptm.write(&path, &format!("[{path}]"), text);
        }
        for class in &self.class {
            let path = format!("{path}.class");
            class.write(&path, &format!("[[{path}]]"), text);
        }
    }
}

/// A size in a readable unit: 1514 B, 60 kB, 32 MiB.
fn size_text(bytes: u64) -> String {
    match bytes {
        10_000.. if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        10_000.. if bytes.is_multiple_of(1_000) => ByteCount::new(bytes).to_string(),
        10_000.. if bytes.is_multiple_of(1_024) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        let texts = [1_514, 60_000, 15_140, 32 << 20, 64 << 10].map(size_text);
        assert_eq!(texts, ["1514 B", "60 kB", "15140 B", "32 MiB", "64 KiB"]);
        let read = texts.map(|text| text.parse::<ByteCount>().map(ByteCount::get));
        assert_eq!(read, [1_514, 60_000, 15_140, 32 << 20, 64 << 10].map(Ok));
    }

    #[test]
    fn tables_nest() {
        let mut class = Table::default().with("name", &"10");
        class.set_ptm(Table::of_kind("codel").with_span("target", Span::ZERO));
        class.push_class(Table::default().with("name", &"11"));
        let mut table = Table::of_kind("htb");
        table.push_class(class);
        let expected = "[ptm]\nkind = \"htb\"\n\n[[ptm.class]]\nname = \"10\"\n\n[ptm.class.ptm]\nkind = \"codel\"\n\
                        target = \"0 s\"\n\n[[ptm.class.class]]\nname = \"11\"\n";
        assert_eq!(table.to_toml("ptm"), expected);
        assert_eq!(Table::default().inline(), "{}");
        assert_eq!(
            Table::default().with("dscp", &1).with("protocol", &"udp").inline(),
            "{ dscp = 1, protocol = \"udp\" }"
        );
    }
}
