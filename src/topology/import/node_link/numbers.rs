//! JSON as Python writes it: with `NaN`, `Infinity` and `-Infinity`, which are not valid JSON.

use std::borrow::Cow;

use serde_json::Value;

use crate::config::ConfigError;
use crate::foreign::contain;
use crate::topology::import::ImportedText;

/// The number of characters that quotes add to a number.
const QUOTES: usize = 2;

/// Parses a text. Numbers that are not valid JSON become texts.
pub fn parse(source: &ImportedText) -> Result<Value, ConfigError> {
    let (text, places) = quoted(source.text());
    let parsed = contain(|| serde_json::from_str(&text))
        .map_err(|panicked| source.error(0..0, format!("invalid JSON: {panicked}")))?;
    parsed.map_err(|error: serde_json::Error| {
        let offset = offset(&text, error.line(), error.column());
        let before = places.iter().filter(|place| **place < offset).count();
        let offset = (offset - QUOTES * before.min(offset / QUOTES)).min(source.text().len());
        let offset = (0..=offset).rev().find(|at| source.text().is_char_boundary(*at)).unwrap_or(0);
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        source.error(offset..offset, format!("invalid JSON: {message}"))
    })
}

/// The text with quotes around each number that is not valid JSON, and the positions of these numbers.
fn quoted(text: &str) -> (Cow<'_, str>, Vec<usize>) {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return (Cow::Borrowed(text), Vec::new());
    }
    let (mut quoted, mut places) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| rest.starts_with(word));
        let length = match (first, word) {
            ('"', _) => string(rest),
            (_, Some(word)) => {
                places.push(quoted.len());
                quoted.push('"');
                quoted.push_str(word);
                quoted.push('"');
                rest = &rest[word.len()..];
                continue;
            }
            _ => first.len_utf8(),
        };
        quoted.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    (Cow::Owned(quoted), places)
}

/// The length of the string at the start of a text.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The offset of a line and column, both from 1. Columns count bytes.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (start + column.saturating_sub(1)).min(text.len())
}
