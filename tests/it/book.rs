//! The documentation: its links, the book that it makes, and every command and file that it shows.

mod page;
mod snippets;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use page::Page;
use snippets::Counts;

const MOST_WORDS_OF_THE_README: usize = 900;
/// Pages of the book that no entry of its contents lists.
const UNLISTED: [&str; 1] = ["docs/SUMMARY.md"];

#[test]
fn links_lead_to_files_and_headings() {
    let pages = page::all();
    let anchors: BTreeMap<PathBuf, &[String]> =
        pages.iter().map(|page| (page.path.canonicalize().unwrap(), &page.anchors[..])).collect();
    let (mut wrong, mut right) = (Vec::new(), 0);
    for page in &pages {
        for (link, line) in &page.links {
            let Some((file, anchor)) = page.target(link) else { continue };
            let fine = file.canonicalize().is_ok_and(|file| {
                anchor.is_empty()
                    || anchors.get(&file).is_some_and(|anchors| anchors.iter().any(|name| name == anchor))
            });
            if fine {
                right += 1;
            } else {
                wrong.push(format!("{}:{line}: {link}", page.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
    assert!(right > 200, "only {right} links were found");
}

#[test]
fn the_contents_list_every_page() {
    let contents = Page::read(Path::new("docs/SUMMARY.md"));
    let listed: BTreeSet<PathBuf> =
        contents.links.iter().map(|(link, _)| Path::new("docs").join(link)).collect();
    assert_eq!(listed.len(), contents.links.len(), "a page is listed twice");
    let pages: BTreeSet<PathBuf> = page::all().into_iter().map(|page| page.path).collect();
    let missing: Vec<_> = pages
        .iter()
        .filter(|page| {
            page.starts_with("docs") && !UNLISTED.iter().any(|unlisted| **page == *Path::new(unlisted))
        })
        .filter(|page| !listed.contains(*page))
        .collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md lacks {missing:?}");
}

#[test]
fn the_readme_is_short() {
    let words = fs::read_to_string("README.md").unwrap().split_whitespace().count();
    assert!(words <= MOST_WORDS_OF_THE_README, "README.md has {words} words");
}

#[test]
fn every_snippet_runs() {
    let mut counts = Counts::default();
    for page in page::all().iter().filter(|page| snippets::any(page)) {
        snippets::run(page, &mut counts);
    }
    println!(
        "{} commands or scripts run, {} outputs compared, {} files and {} fragments of TOML checked; {} fences not run:\n{}",
        counts.commands,
        counts.outputs,
        counts.files,
        counts.fragments,
        counts.not_run.len(),
        counts.not_run.join("\n")
    );
    assert!(counts.failed.is_empty(), "{} fail\n\n{}", counts.failed.len(), counts.failed.join("\n\n"));
    assert!(counts.commands > 20 && counts.fragments > 40, "few snippets were found");
}

/// The values of an attribute in a page of HTML.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    html.split(&format!(" {name}=\"")).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect()
}

/// The pages of the built book.
fn html(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(html(&path));
        } else if path.extension().is_some_and(|extension| extension == "html") {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_book_builds_and_its_links_lead_somewhere() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book");
    let built = match Command::new("mdbook").args(["build", "--dest-dir"]).arg(&book).output() {
        Ok(built) => built,
        Err(_) => {
            eprintln!("SKIPPED: no mdbook on the PATH; CONTRIBUTING.md says how to install it");
            return;
        }
    };
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    assert!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
    let pages: BTreeMap<PathBuf, String> = html(&book)
        .into_iter()
        .map(|path| (path.canonicalize().unwrap(), fs::read_to_string(path).unwrap()))
        .collect();
    assert!(pages.len() > 50, "only {} pages", pages.len());
    let mut wrong = Vec::new();
    for (path, html) in &pages {
        // These two are made for other places than the folder that they are in.
        if path.ends_with("404.html") || path.ends_with("print.html") {
            continue;
        }
        for link in attributes(html, "href") {
            if link.contains(':') {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let fine = file.canonicalize().is_ok_and(|file| {
                anchor.is_empty()
                    || pages.get(&file).is_some_and(|page| attributes(page, "id").contains(&anchor))
            });
            if !fine {
                wrong.push(format!("{}: {link}", path.strip_prefix(&book).unwrap_or(path).display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links of the book that lead nowhere:\n{}", wrong.join("\n"));
}
