use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct File {
    ptm: Kind,
    #[serde(default)]
    table: Vec<Table>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Table {
    a: u8,
    ptm: Option<Kind>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Plain(Plain),
    Nested(Nested),
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Plain {
    size: Option<i64>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Nested {
    ptm: Box<Kind>,
}

fn told(text: &str) -> Vec<String> {
    let read = Document::parse("f", text).and_then(|document| document.deserialize::<File>());
    read.unwrap_err().iter().map(ConfigError::to_string).collect()
}

#[test]
fn tagged_tables_may_hold_others() {
    let text = "ptm = { ptm = { size = 3, kind = \"plain\" }, kind = \"nested\" }";
    let file: File = Document::parse("f", text).unwrap().deserialize().unwrap();
    let inner = Box::new(Kind::Plain(Plain { size: Some(3) }));
    assert_eq!(file, File { ptm: Kind::Nested(Nested { ptm: inner }), table: Vec::new() });
}

#[test]
fn a_mistake_deep_inside_keeps_its_place() {
    let text = "[ptm]\nkind = \"nested\"\n[ptm.ptm]\nkind = \"plain\"\nsize = \"x\"\n";
    assert_eq!(told(text), ["f:5:8: expected i64, found the text \"x\""]);
    assert_eq!(
        told("ptm = { kind = \"plain\", siz = 3 }"),
        ["f:1:25: unknown key `siz` in `plain` (did you mean `size`? keys that fit: `size`)"]
    );
}

#[test]
fn a_kind_is_asked_for() {
    assert_eq!(
        told("ptm = { size = 3 }"),
        ["f:1:7: missing key `kind` in `ptm` (it is one of: `plain`, `nested`)"]
    );
    assert_eq!(told("ptm = {}"), ["f:1:7: missing key `kind` in `ptm` (it is one of: `plain`, `nested`)"]);
    assert_eq!(told("ptm = { kind = 3 }"), ["f:1:7: `kind` must be text in quotes, found a number"]);
    assert_eq!(
        told("ptm = \"plain\""),
        [
            "f:1:7: `ptm` must be a table with a `kind`, found text (write { kind = \"plain\" } and the other keys beside it)"
        ]
    );
}

#[test]
fn a_misspelt_kind_is_told_by_its_key() {
    assert_eq!(
        told("ptm = { knd = \"plain\", size = 3 }"),
        ["f:1:9: unknown key `knd` in `ptm` (did you mean `kind`?)"]
    );
    assert_eq!(
        told("ptm = { type = \"plain\", siz = 3 }"),
        [
            "f:1:9: unknown key `type` in `ptm` (did you mean `kind`?)",
            "f:1:25: unknown key `siz` in `plain` (did you mean `size`? keys that fit: `size`)"
        ]
    );
}

#[test]
fn one_mistake_is_told_once() {
    let tables = "ptm = { kind = \"plain\" }\n[[table]]\na = 300\n[[table]]\nb = 1\n[[table]]\na = 1\nptm = { kind = \"plan\" }\n";
    assert_eq!(
        told(tables).iter().map(|line| line.split(" (").next().unwrap()).collect::<Vec<_>>(),
        [
            "f:3:5: expected a whole number from 0 to 255, found `300`",
            "f:4:1: missing key `a` in [[table]]",
            "f:5:1: unknown key `b` in [[table]]",
            "f:8:16: unknown kind `plan`",
        ]
    );
}

#[test]
fn no_text_panics() {
    for text in [
        "",
        "=",
        "a",
        "[",
        "[[",
        "[[table]]",
        "ptm.kind.x = 1",
        "ptm = [[{}]]",
        "\u{feff}\u{feff}",
        "é = \"",
        "table = [1]",
    ] {
        assert!(!told(text).is_empty());
    }
}

#[test]
fn lines_and_columns_count_characters() {
    let source = SourceText { name: String::new(), text: "aé\r\nb".to_owned() };
    let at = [0, 1, 3, 5, 6, 99].map(|offset| source.line_column(offset));
    assert_eq!(at, [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 2)]);
    assert_eq!(source.line_column(2), (2, 2), "not a character's first byte: the end");
}
