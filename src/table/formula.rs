//! Texts that a spreadsheet would take for formulas: names in files from strangers, such as `=HYPERLINK(...)`.
//!
//! # Source
//! OWASP, "CSV Injection": a field that begins with one of these characters gets an apostrophe before it.

use std::borrow::Cow;

/// Whether the text, without apostrophes at its start, begins as a formula does.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// The text for a field: with an apostrophe before a formula, and before a text with an apostrophe that
/// [`unguarded`] would remove. So every text is read back as it was.
pub(crate) fn guarded(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The text of a field.
pub(crate) fn unguarded(field: &str) -> &str {
    field.strip_prefix('\'').filter(|text| is_formula(text)).unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_guarded_and_every_text_is_read_back() {
        for text in ["=1+2", "+x", "-1", "@SUM(a1)", "\t=1", "\r=1", "'=1", "''-", "-"] {
            assert_eq!(guarded(text), format!("'{text}"));
            assert_eq!(unguarded(&guarded(text)), text);
        }
        for text in ["", "a", "'", "'a", "''", "1-2", "a=b", " =1", "\u{3bb}"] {
            assert_eq!((guarded(text).as_ref(), unguarded(text)), (text, text));
        }
        assert_eq!(unguarded("=1"), "=1", "a table of another program");
    }
}
