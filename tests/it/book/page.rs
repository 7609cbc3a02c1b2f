//! A page of the documentation: its headings, links and code fences.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd};

/// Opens an HTML comment with commands that prepare what the page's next fences need.
const PREPARATION: &str = "<!-- test:";

pub struct Page {
    pub path: PathBuf,
    pub text: String,
    /// What `#...` in a link may name.
    pub anchors: Vec<String>,
    /// Where links lead, with their lines.
    pub links: Vec<(String, usize)>,
    pub steps: Vec<Step>,
}

/// What the test does with a page, in its order.
pub enum Step {
    Prepare(String),
    Fence(Fence),
}

pub struct Fence {
    pub language: String,
    /// What follows the language: empty, a file's name, `output`, or `not-run: REASON`.
    pub info: String,
    pub text: String,
    pub line: usize,
    /// Where `text` is in the page.
    pub range: Range<usize>,
}

impl Fence {
    /// Why the page says that the fence cannot be run.
    pub fn not_run(&self) -> Option<&str> {
        self.info.strip_prefix("not-run:").map(str::trim)
    }

    /// The file that the fence shows: named behind the language, or by a comment in its first line.
    pub fn file(&self) -> Option<&str> {
        let first = self.text.lines().next()?;
        let name = if self.info.is_empty() { first.strip_prefix("# ")? } else { &self.info };
        (name.contains('.') && !name.contains([' ', ':'])).then_some(name)
    }
}

impl Page {
    pub fn read(path: &Path) -> Page {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut page =
            Page { path: path.into(), text, anchors: Vec::new(), links: Vec::new(), steps: Vec::new() };
        let text = page.text.clone();
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let (mut heading, mut html) = (None, None);
        let mut fence: Option<Fence> = None;
        let mut seen = BTreeMap::new();
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
        for (event, range) in Parser::new_ext(&text, options).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.anchors.push(anchor(&heading.take().unwrap(), &mut seen));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((dest_url.into_string(), line(range.start)));
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => info,
                        CodeBlockKind::Indented => CowStr::Borrowed(""),
                    };
                    let (language, rest) = info.split_once(' ').unwrap_or((&info, ""));
                    fence = Some(Fence {
                        language: language.into(),
                        info: rest.trim().into(),
                        text: String::new(),
                        line: line(range.start),
                        range: 0..0,
                    });
                }
                Event::End(TagEnd::CodeBlock) => page.steps.extend(fence.take().map(Step::Fence)),
                Event::Start(Tag::HtmlBlock) => html = Some(String::new()),
                Event::End(TagEnd::HtmlBlock) => {
                    let html = html.take().unwrap();
                    if let Some(commands) = html.strip_prefix(PREPARATION) {
                        let commands = commands.trim_end().strip_suffix("-->").expect("the comment ends");
                        page.steps.push(Step::Prepare(commands.into()));
                    }
                }
                Event::Html(piece) => html.get_or_insert_default().push_str(&piece),
                Event::Text(piece) | Event::Code(piece) => {
                    if let Some(fence) = &mut fence {
                        let start = if fence.text.is_empty() { range.start } else { fence.range.start };
                        fence.range = start..range.end;
                        fence.text.push_str(&piece);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&piece);
                    }
                }
                _ => {}
            }
        }
        page
    }

    /// Where a relative link leads: a file, and an anchor in it.
    pub fn target<'a>(&self, link: &'a str) -> Option<(PathBuf, &'a str)> {
        if link.contains("://") || link.starts_with("mailto:") {
            return None;
        }
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let file = if file.is_empty() { self.path.clone() } else { self.path.parent().unwrap().join(file) };
        Some((file, anchor))
    }
}

/// The anchor that code hosts and mdBook give to a heading.
fn anchor(heading: &str, seen: &mut BTreeMap<String, usize>) -> String {
    let kept = heading.trim().chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter.is_alphanumeric().then_some(letter),
    });
    let anchor: String = kept.flat_map(char::to_lowercase).collect();
    let times = seen.entry(anchor.clone()).or_insert(0);
    *times += 1;
    if *times == 1 { anchor } else { format!("{anchor}-{}", *times - 1) }
}

/// `README.md`, `CONTRIBUTING.md`, and every page below `docs/`.
pub fn all() -> Vec<Page> {
    let mut paths = vec![PathBuf::from("README.md"), PathBuf::from("CONTRIBUTING.md")];
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths[2..].sort();
    paths.iter().map(|path| Page::read(path)).collect()
}
