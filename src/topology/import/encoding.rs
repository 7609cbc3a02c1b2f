//! Decodes the bytes of a file: in the requested encoding, in that of a byte order mark or of the XML
//! declaration, or in UTF-8.
//!
//! # Source
//! WHATWG, "Encoding"; XML 1.0, Appendix F (autodetection of character encodings).

use std::sync::Arc;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::config::{ConfigError, SourceText};

/// A file as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Its text, without a byte order mark.
    pub text: String,
    /// Warnings, for example that the declared encoding is not the actual one.
    pub remarks: Vec<String>,
}

/// Decodes the bytes of a file. `name` is its name in errors; `label` is an encoding such as `windows-1252`.
///
/// # Errors
/// The encoding is unknown, or a byte is invalid in it, with its position.
///
/// # Examples
/// ```
/// use taunet::topology::import::decode;
///
/// let latin = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>Z\xfcrich</a>";
/// assert!(decode("a.xml", latin, None)?.text.contains("Z\u{fc}rich"));
/// # Ok::<(), taunet::config::ConfigError>(())
/// ```
pub fn decode(name: &str, bytes: &[u8], label: Option<&str>) -> Result<Decoded, ConfigError> {
    let mut remarks = Vec::new();
    let encoding = match (label, Encoding::for_bom(bytes)) {
        (Some(label), _) => known(name, label)?,
        (None, Some((encoding, _))) => encoding,
        (None, None) => match declared(bytes) {
            Some(label) => {
                let declared = known(name, &label)?;
                match declared == UTF_16LE || declared == UTF_16BE {
                    // A declaration that was read byte by byte is not UTF-16.
                    true if bytes.starts_with(b"<") && bytes.get(1) != Some(&0) => {
                        remarks.push(format!("the declared encoding {label} is wrong: UTF-8 assumed"));
                        UTF_8
                    }
                    _ => declared,
                }
            }
            None => by_first_bytes(bytes),
        },
    };
    let (text, _, has_errors) = encoding.decode(bytes);
    if has_errors {
        return Err(undecodable(name, bytes, encoding, &text));
    }
    Ok(Decoded { text: text.into_owned(), remarks })
}

fn known(name: &str, label: &str) -> Result<&'static Encoding, ConfigError> {
    Encoding::for_label(label.as_bytes()).ok_or_else(|| {
        let message = format!("`{label}` is not an encoding that taunet reads");
        ConfigError::whole(name, message).with_help(
            "taunet reads those of the WHATWG list, such as UTF-8, UTF-16LE, ISO-8859-1, windows-1252, Shift_JIS; \
             save the file as UTF-8, or name another with --encoding"
                .to_owned(),
        )
    })
}

/// The encoding of an XML declaration, whose characters are ASCII in one or two bytes.
fn declared(bytes: &[u8]) -> Option<String> {
    const LONGEST: usize = 400;
    let head = bytes.iter().take(LONGEST).filter(|byte| **byte != 0).map(|&byte| char::from(byte));
    let head = head.collect::<String>();
    let declaration = head.trim_start().strip_prefix("<?xml")?.split("?>").next()?.to_owned();
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let label = value[1..].split(quote).next()?.trim().to_owned();
    // The declaration does not state the byte order.
    let is_wide = label.eq_ignore_ascii_case("utf-16");
    Some(if is_wide && bytes.first() == Some(&0) { "UTF-16BE".to_owned() } else { label })
}

/// UTF-16 without a byte order mark starts with an ASCII character; other files are UTF-8.
fn by_first_bytes(bytes: &[u8]) -> &'static Encoding {
    match bytes {
        [0, first, 0, ..] if *first != 0 => UTF_16BE,
        [first, 0, _, 0, ..] if *first != 0 => UTF_16LE,
        _ => UTF_8,
    }
}

/// The position of the first byte that is invalid in the encoding.
fn undecodable(name: &str, bytes: &[u8], encoding: &'static Encoding, text: &str) -> ConfigError {
    let file = Arc::new(SourceText { name: name.to_owned(), text: text.to_owned() });
    let place = text.find(char::REPLACEMENT_CHARACTER).unwrap_or(0);
    let byte = match std::str::from_utf8(bytes) {
        Err(error) if encoding == UTF_8 => {
            let at = error.valid_up_to();
            format!(": byte {:#04x} at offset {at}", bytes[at])
        }
        _ => String::new(),
    };
    let message = format!("not a text in {}{byte}", encoding.name());
    let help = "save the file as UTF-8, or name its encoding: --encoding windows-1252";
    ConfigError::at(file, place..place + char::REPLACEMENT_CHARACTER.len_utf8(), message)
        .with_help(help.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        decode("f", bytes, None).unwrap_or_else(|error| panic!("{error}")).text
    }

    fn wide(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn every_declared_encoding_is_read() {
        let xml = |label: &str| format!("<?xml version='1.0' encoding = '{label}'?><a>Z\u{fc}</a>");
        for label in ["ISO-8859-1", "windows-1252", "latin1"] {
            let bytes = xml(label).chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<_>>();
            assert_eq!(text(&bytes), xml(label));
        }
        assert_eq!(text(xml("utf-8").as_bytes()), xml("utf-8"));
        let utf_16 = xml("UTF-16");
        for bytes in [wide(&utf_16, u16::to_le_bytes), wide(&utf_16, u16::to_be_bytes)] {
            assert_eq!(text(&bytes), utf_16);
        }
        for bytes in [wide("\u{feff}graph {}", u16::to_le_bytes), wide("\u{feff}graph {}", u16::to_be_bytes)]
        {
            assert_eq!(text(&bytes), "graph {}", "by its byte order mark");
        }
        assert_eq!(text(b"\xef\xbb\xbfgraph {}"), "graph {}");
        assert_eq!(text(&wide("{ \"nodes\": [] }", u16::to_le_bytes)), "{ \"nodes\": [] }");
        assert_eq!(decode("f", b"Z\xfc", Some("latin1")).unwrap().text, "Z\u{fc}");
    }

    #[test]
    fn a_wrong_declaration_is_told() {
        let decoded = decode("f", b"<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>", None).unwrap();
        assert_eq!(decoded.remarks, ["the declared encoding UTF-16 is wrong: UTF-8 assumed"]);
        let told = |bytes: &[u8], label| decode("f", bytes, label).unwrap_err().to_string();
        assert!(
            told(b"<?xml encoding=\"EBCDIC-1\"?>", None)
                .contains("`EBCDIC-1` is not an encoding that taunet reads")
        );
        assert!(told(b"", Some("latin-9000")).contains("`latin-9000` is not an encoding"));
        let error = told(b"graph {\n \xfc }", None);
        assert!(error.starts_with("f:2:2: not a text in UTF-8: byte 0xfc at offset 9"), "{error}");
        assert!(error.contains("--encoding windows-1252"), "{error}");
    }
}
