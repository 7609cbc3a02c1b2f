//! The words of tc's commands, with their positions.

use std::ops::Range;

use super::error::{Refusal, TcError};

/// A word of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub text: &'a str,
    /// Its position in the file.
    pub at: usize,
}

impl Word<'_> {
    /// Its bytes in the file.
    pub fn span(self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    /// Refuses the word with an error.
    pub fn refuse(self, error: TcError) -> Refusal {
        Refusal::new(self.span(), error)
    }

    /// Refuses the word: it is not `what`.
    pub fn bad(self, what: &'static str, example: &'static str) -> Refusal {
        self.refuse(TcError::BadValue { text: self.text.to_owned(), what, example })
    }

    /// Refuses the word: taunet has no counterpart.
    pub fn no_counterpart(self, why: &'static str, help: &'static str) -> Refusal {
        self.refuse(TcError::NoCounterpart { word: self.text.to_owned(), why, help })
    }

    /// Refuses the word: tc does not accept it there.
    pub fn unknown(self, place: &str, known: &'static [&'static str]) -> Refusal {
        let (word, place) = (self.text.to_owned(), format!("`{place}`"));
        self.refuse(TcError::UnknownWord { word, place, known })
    }
}

/// Characters that the shell interprets.
const SHELL: &[char] = &['$', ';', '|', '&', '<', '>', '`', '(', ')', '{', '}', '\'', '"', '\\', '*'];

/// The commands of a text, without comments, empty lines, `sudo` and `tc`.
pub(super) fn commands(text: &str) -> Result<Vec<Vec<Word<'_>>>, Vec<Refusal>> {
    let (mut commands, mut refusals) = (Vec::new(), Vec::new());
    let mut words = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end();
        let continued = body.ends_with('\\');
        words_of(body.strip_suffix('\\').unwrap_or(body), start, &mut words);
        start += line.len();
        if !continued {
            commands.extend(command(std::mem::take(&mut words), &mut refusals));
        }
    }
    commands.extend(command(words, &mut refusals));
    if refusals.is_empty() { Ok(commands) } else { Err(refusals) }
}

/// Adds the words of a line that starts at `start`, up to its comment.
fn words_of<'a>(line: &'a str, start: usize, words: &mut Vec<Word<'a>>) {
    for text in line.split_whitespace() {
        if text.starts_with('#') {
            break;
        }
        let at = start + (text.as_ptr() as usize - line.as_ptr() as usize);
        words.push(Word { text, at });
    }
}

/// The words after `sudo` and `tc`; `None` if nothing remains.
fn command<'a>(words: Vec<Word<'a>>, refusals: &mut Vec<Refusal>) -> Option<Vec<Word<'a>>> {
    if let Some(word) = words.iter().find(|word| word.text.contains(SHELL)) {
        refusals.push(word.refuse(TcError::Shell(word.text.to_owned())));
        return None;
    }
    let is_tc = |word: &&Word<'_>| word.text == "tc" || word.text.ends_with("/tc");
    let skipped = usize::from(words.first().is_some_and(|word| word.text == "sudo"));
    let skipped = skipped + usize::from(words.get(skipped).as_ref().is_some_and(is_tc));
    (words.len() > skipped).then(|| words[skipped..].to_vec())
}

/// The remaining words of a command.
#[derive(Debug, Clone)]
pub(super) struct Words<'a> {
    /// The word that was read last.
    last: Word<'a>,
    rest: std::collections::VecDeque<Word<'a>>,
}

impl<'a> Words<'a> {
    /// The words after `first`.
    pub fn behind(first: Word<'a>, rest: impl IntoIterator<Item = Word<'a>>) -> Self {
        Words { last: first, rest: rest.into_iter().collect() }
    }

    pub fn peek(&self) -> Option<Word<'a>> {
        self.rest.front().copied()
    }

    /// The value after the last word.
    pub fn value(&mut self, what: &'static str) -> Result<Word<'a>, Refusal> {
        let last = self.last;
        self.next().ok_or_else(|| last.refuse(TcError::Incomplete { after: last.text.to_owned(), what }))
    }

    /// The next word, if it is a number: an optional value.
    pub fn number(&mut self) -> Option<Word<'a>> {
        let first = self.peek()?.text.trim_start_matches(['-', '+']).chars().next()?;
        if first.is_ascii_digit() || first == '.' { self.next() } else { None }
    }

    /// The remaining words.
    pub fn rest(self) -> Vec<Word<'a>> {
        self.rest.into()
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;
    fn next(&mut self) -> Option<Word<'a>> {
        self.last = self.rest.pop_front()?;
        Some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let joined = |words: Vec<Word<'_>>| words.iter().map(|word| word.text).collect::<Vec<_>>().join(" ");
        commands(text).unwrap().into_iter().map(joined).collect()
    }

    #[test]
    fn comments_and_line_breaks_are_the_shell_s() {
        let text =
            "#!/bin/sh\n\nsudo tc qdisc add dev eth0 \\\n  root tbf # slow\n/sbin/tc class add\nqdisc add \\";
        assert_eq!(texts(text), ["qdisc add dev eth0 root tbf", "class add", "qdisc add"]);
        assert_eq!(texts("\r\n # nothing\r\ntc\r\n"), Vec::<String>::new());
    }

    #[test]
    fn words_keep_their_place() {
        let text = "tc qdisc \\\n add";
        let commands = commands(text).unwrap();
        assert_eq!(commands[0].iter().map(|word| &text[word.span()]).collect::<Vec<_>>(), ["qdisc", "add"]);
    }

    #[test]
    fn what_the_shell_would_do_is_refused() {
        let refusals =
            commands("tc qdisc add dev $DEV root pfifo\ntc qdisc del dev lo root || true").unwrap_err();
        let words = refusals.iter().map(|refusal| refusal.error.to_string()).collect::<Vec<_>>();
        assert_eq!(words, ["`$DEV` is for the shell, not for tc", "`||` is for the shell, not for tc"]);
    }
}
