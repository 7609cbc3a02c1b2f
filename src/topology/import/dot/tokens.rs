//! The tokens of a DOT file.

use std::ops::Range;

use crate::config::ConfigError;
use crate::topology::import::ImportedText;

/// A token of a DOT file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name, a number or a text in quotes.
    Id(String),
    /// A text in HTML, without the outer brackets.
    Html(String),
    Mark(&'static str),
    End,
}

/// The marks, longest first.
const MARKS: [&str; 11] = ["->", "--", "{", "}", "[", "]", "=", ";", ",", ":", "+"];

/// The tokens of a file, with one token of lookahead.
pub(super) struct Tokens<'a> {
    source: &'a ImportedText,
    at: usize,
    peeked: Token,
    span: Range<usize>,
    /// Whether it is quoted, so that it is not a keyword.
    quoted: bool,
}

impl<'a> Tokens<'a> {
    pub fn new(source: &'a ImportedText) -> Result<Self, ConfigError> {
        let mut tokens = Tokens { source, at: 0, peeked: Token::End, span: 0..0, quoted: false };
        tokens.advance()?;
        Ok(tokens)
    }

    pub fn peek(&self) -> &Token {
        &self.peeked
    }

    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The next token if it is a name, unless it is a keyword.
    pub fn plain_id(&self) -> Option<String> {
        match &self.peeked {
            Token::Id(id) if self.quoted || !id.eq_ignore_ascii_case("subgraph") => Some(id.clone()),
            Token::Html(id) => Some(id.clone()),
            _ => None,
        }
    }

    /// Takes the next token if it is this keyword, in any case.
    pub fn take_word(&mut self, word: &str) -> Result<bool, ConfigError> {
        let taken = matches!(&self.peeked, Token::Id(id) if !self.quoted && id.eq_ignore_ascii_case(word));
        if taken {
            self.advance()?;
        }
        Ok(taken)
    }

    pub fn advance(&mut self) -> Result<(), ConfigError> {
        let word_before = (matches!(self.peeked, Token::Id(_)) && !self.quoted).then(|| self.span());
        self.skip_blank()?;
        let text = self.source.text();
        let (start, rest) = (self.at, &text[self.at..]);
        self.quoted = false;
        self.peeked = if rest.is_empty() {
            Token::End
        } else if let Some(number) = numeral(rest) {
            self.at += number;
            Token::Id(rest[..number].to_owned())
        } else if let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
            self.at += mark.len();
            Token::Mark(mark)
        } else if rest.starts_with('"') {
            self.quoted = true;
            Token::Id(self.texts()?)
        } else if rest.starts_with('<') {
            self.quoted = true;
            Token::Html(self.html()?)
        } else {
            let word = |c: char| c.is_alphanumeric() || c == '_' || !c.is_ascii();
            let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
            if length == 0 {
                let end = start + rest.chars().next().map_or(0, char::len_utf8);
                let error = self.source.error(start..end, "this character has no meaning here");
                return Err(error.with_help(self.quoting(start)));
            }
            self.at += length;
            Token::Id(rest[..length].to_owned())
        };
        self.span = start..self.at;
        match word_before {
            // Graphviz reads `eos-03` as two names, `eos` and `-03`.
            Some(before) if before.end == start && matches!(self.peeked, Token::Id(_)) => {
                let error =
                    self.source.error(before.start..self.at, "two names without a space between them");
                Err(error.with_help(self.quoting(before.start)))
            }
            _ => Ok(()),
        }
    }

    /// The help for a name that needs quotes.
    fn quoting(&self, at: usize) -> String {
        let text = self.source.text();
        let of_name = |c: &char| !c.is_whitespace() && !"[]{}=;,\"<>".contains(*c);
        let before = text[..at].chars().rev().take_while(of_name).map(char::len_utf8).sum::<usize>();
        let name = text[at - before..].chars().take_while(of_name).collect::<String>();
        let name = name.split("--").next().unwrap_or_default();
        match name.chars().any(char::is_alphanumeric) {
            true => {
                format!("a name with characters other than letters, digits and _ needs quotes: \"{name}\"")
            }
            false => "a name with characters other than letters, digits and _ needs quotes".to_owned(),
        }
    }

    /// Skips spaces, comments, and lines of a preprocessor.
    fn skip_blank(&mut self) -> Result<(), ConfigError> {
        let text = self.source.text();
        loop {
            let rest = &text[self.at..];
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            let starts_line =
                text[..self.at].trim_end_matches([' ', '\t']).chars().next_back().is_none_or(|c| c == '\n');
            if trimmed.starts_with("//") || (trimmed.starts_with('#') && starts_line) {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                let Some(end) = trimmed.find("*/") else {
                    return Err(self.source.error(self.at..self.at + 2, "this comment is not closed"));
                };
                self.at += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    /// Quoted texts, joined by `+`.
    fn texts(&mut self) -> Result<String, ConfigError> {
        let mut joined = String::new();
        loop {
            self.text(&mut joined)?;
            let after = self.at;
            self.skip_blank()?;
            let text = self.source.text();
            if !text[self.at..].starts_with('+') {
                self.at = after;
                return Ok(joined);
            }
            self.at += 1;
            self.skip_blank()?;
            if !text[self.at..].starts_with('"') {
                return Err(self.source.error(self.at..self.at, "expected a quoted text after `+`"));
            }
        }
    }

    /// A quoted text, in which `\"` is a quote.
    fn text(&mut self, joined: &mut String) -> Result<(), ConfigError> {
        let start = self.at;
        let mut characters = self.source.text()[start + 1..].char_indices().peekable();
        while let Some((offset, character)) = characters.next() {
            match (character, characters.peek()) {
                ('"', _) => {
                    self.at = start + 1 + offset + 1;
                    return Ok(());
                }
                ('\\', Some((_, '"'))) => {
                    joined.push('"');
                    characters.next();
                }
                ('\\', Some((_, '\\'))) => {
                    joined.push_str("\\\\");
                    characters.next();
                }
                // A line that continues.
                ('\\', Some((_, '\n'))) => {
                    characters.next();
                }
                ('\\', Some((_, '\r'))) => {
                    characters.next();
                    characters.next_if(|(_, next)| *next == '\n');
                }
                _ => joined.push(character),
            }
        }
        Err(self.source.error(start..start + 1, "this text is not closed"))
    }

    /// `<...>` with nested brackets.
    fn html(&mut self) -> Result<String, ConfigError> {
        let (start, text) = (self.at, self.source.text());
        let mut depth = 0;
        for (offset, byte) in text[start..].bytes().enumerate() {
            match byte {
                b'<' => depth += 1,
                b'>' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.at = start + offset + 1;
                return Ok(text[start + 1..start + offset].to_owned());
            }
        }
        Err(self.source.error(start..start + 1, "this `<` is not closed"))
    }
}

/// The length of a number at the start: `-1.5`, `.5`, `3`. A name such as `3com` is not a number.
fn numeral(text: &str) -> Option<usize> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let length = unsigned.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(unsigned.len());
    let digits = &unsigned[..length];
    let sound = digits.bytes().any(|byte| byte.is_ascii_digit()) && digits.matches('.').count() <= 1;
    let ends = !unsigned[length..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    (sound && ends).then_some(text.len() - unsigned.len() + length)
}
