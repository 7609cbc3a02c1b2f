//! The depth of tables and arrays, before a text is parsed: a tree is read and dropped level by level.

use std::ops::Range;

use crate::limits::MOST_NESTING;

/// Where a text in TOML nests deeper than [`MOST_NESTING`].
///
/// Brackets and the dots of keys count. A text that is not TOML may count too many, and is wrong anyway.
pub(super) fn too_deep(text: &str) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    // The depth outside of each open bracket; the depth inside of all; the dots of the key so far.
    let (mut open, mut depth, mut dots) = (Vec::new(), 0, 0);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let mut next = at + 1;
        match byte {
            b'#' => next = at + text[at..].find('\n').unwrap_or(text.len() - at),
            b'"' | b'\'' => next = end_of_string(bytes, at),
            b'.' => dots += 1,
            b'[' | b'{' => {
                open.push(depth);
                depth += dots + 1;
                dots = 0;
            }
            b']' | b'}' => {
                depth = open.pop().unwrap_or(0);
                dots = 0;
            }
            b',' | b'\n' => dots = 0,
            _ => {}
        }
        if depth + dots > MOST_NESTING {
            return Some(at..next);
        }
        at = next;
    }
    None
}

/// The offset after the string that begins with the quote at `start`. A string that is not closed ends with its
/// line, or, with three quotes, with the text.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let of_lines = bytes[start..].starts_with(&[quote; 3]);
    let mut at = start + if of_lines { 3 } else { 1 };
    while let Some(byte) = bytes.get(at) {
        match *byte {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if !of_lines => return at,
            byte if byte == quote && !of_lines => return at + 1,
            byte if byte == quote && bytes[at..].starts_with(&[quote; 3]) => return at + 3,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// What to say of it.
pub(super) fn message() -> (String, String) {
    let message = format!("tables and arrays are nested more than {MOST_NESTING} deep");
    (message, "look for a bracket that is not closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Document;
    use super::*;

    fn times(count: usize, text: &str) -> String {
        text.repeat(count)
    }

    #[test]
    fn deep_tables_are_refused_where_they_nest() {
        let texts = [
            (format!("{}a = 1", times(70_000, "a.")), 129),
            (format!("[{}a]\nb = 1", times(70_000, "a . ")), 4 * 63 + 3),
            (format!("x = {}{}", times(70_000, "["), times(70_000, "]")), 4 + 64),
            (format!("x = {}1{}", times(70_000, "{a="), times(70_000, "}")), 4 + 3 * 64),
            (format!("x = 1\nx = {{{}a = 1}}", times(70_000, "a.")), 10 + 1 + 2 * 63 + 1),
            // Dotted keys in inline tables: 78 levels of 78 keys overflowed a stack of 256 KiB.
            (format!("x={}1{}", times(78, &format!("{{{}a=", times(77, "a."))), times(78, "}")), 130),
        ];
        for (text, at) in texts {
            let error = Document::parse("f", &text).unwrap_err();
            assert_eq!(error.message(), "tables and arrays are nested more than 64 deep");
            assert_eq!(error.span().unwrap().start, at, "{}", &text[..40]);
        }
    }

    #[test]
    fn what_only_looks_deep_is_read() {
        let dots = times(100, "a.b[{");
        let text = format!(
            "# {dots}\na = \"{dots}\\\"{dots}\"\nb = '{dots}'\nc = \"\"\"{dots}\n\"{dots}\"\"\"\nd = '''{dots}\n'{dots}'''\n\
             e = [{}]\n\"{dots}\" = 1\n{}\n[f.{}g]\n",
            times(100, "[{ a.b = 1.5 }], "),
            (0..100).map(|n| format!("g{n}.a = 1.5\n")).collect::<String>(),
            times(60, "a."),
        );
        assert_eq!(too_deep(&text), None);
        assert!(Document::parse("f", &text).is_ok());
    }

    #[test]
    fn deep_overrides_are_refused() {
        let told = |set: String| Document::parse("f", "a = 1").unwrap().set(&set).unwrap_err();
        let error = told(format!("{}a=1", times(70_000, "a.")));
        assert_eq!(error.message(), "this path has 70001 keys: no key is more than 64 deep");
        for value in ["[", "{a="] {
            let error = told(format!("b={}", times(70_000, value)));
            assert_eq!(error.message(), "tables and arrays are nested more than 64 deep");
        }
        // Text with dots is no key.
        Document::parse("f", "a = 1").unwrap().set(&format!("b={}", times(70_000, "../"))).unwrap();
    }
}
