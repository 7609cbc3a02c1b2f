//! The rules of the house: data flows one way, some crates are named in one file only, the version is the
//! same everywhere, and files stay short.

mod cycles;

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The lines of code of a file: no comments.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect()
}

#[test]
fn a_module_uses_only_what_stands_above_it_in_lib_rs() {
    let modules: Vec<String> = code(Path::new("src/lib.rs"))
        .iter()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned()))
        .collect();
    assert!(modules.len() > 10, "{modules:?}");
    let mut uses = 0;
    for (place, module) in modules.iter().enumerate() {
        let root = Path::new("src").join(module);
        let mut files = if root.is_dir() { sources(&root) } else { Vec::new() };
        files.push(root.with_extension("rs"));
        for file in files {
            for line in code(&file) {
                for used in line.split("crate::").skip(1) {
                    let used: String =
                        used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    let Some(above) = modules.iter().position(|module| *module == used) else { continue };
                    uses += 1;
                    assert!(above <= place, "{} uses {used}, which stands below {module}", file.display());
                }
            }
        }
    }
    assert!(uses > 100, "only {uses} uses were found");
}

#[test]
fn third_party_crates_keep_to_their_file() {
    let keepers = [
        ("pcap_file::", "src/capture/format"),
        ("etherparse::", "src/capture/frame/parse"),
        ("priority_queue::", "src/engine/queue"),
        ("use nix::", "src/cli/interrupt"),
        ("use rustix::", "src/write/directory"),
    ];
    let users = |name: &str| -> Vec<PathBuf> {
        let names = |path: &PathBuf| code(path).iter().any(|line| line.contains(name));
        sources(Path::new("src")).into_iter().filter(names).collect()
    };
    for (name, keeper) in keepers {
        let users = users(name);
        let (keeper, below) = (Path::new(keeper).with_extension("rs"), Path::new(keeper));
        assert!(!users.is_empty(), "nobody names {name}");
        let strangers = users.iter().filter(|path| **path != keeper && !path.starts_with(below));
        assert_eq!(
            strangers.count(),
            0,
            "{name} is named in {users:?}, and belongs into {}",
            keeper.display()
        );
    }
    for user in users("use parquet::").into_iter().chain(users("use ::parquet::")) {
        assert!(user.with_extension("").starts_with("src/table/parquet"), "{} names parquet", user.display());
    }
}

#[test]
fn files_are_written_in_one_place() {
    let ways = ["File::create", "File::options", "OpenOptions", "fs::write(", "fs::rename(", "tempfile"];
    let mut seen = 0;
    for path in sources(Path::new("src")) {
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if is_test || path.ancestors().any(|above| above.ends_with("tests")) {
            continue;
        }
        let code = code(&path);
        let code = code
            .iter()
            .take_while(|line| !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test"));
        for line in code {
            let line = line.replace("NewFile::", "");
            let Some(way) = ways.iter().find(|way| line.contains(*way)) else { continue };
            seen += 1;
            assert!(
                path.starts_with("src/write"),
                "{} writes files by {way}: use `write::NewFile` or `write::NewDirectory`",
                path.display()
            );
        }
    }
    assert!(seen > 5, "only {seen} were found");
}

#[test]
fn the_citation_is_of_this_version() {
    let citation = fs::read_to_string("CITATION.cff").unwrap();
    let version = citation.lines().find_map(|line| line.strip_prefix("version: "));
    assert_eq!(version, Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn no_file_has_more_than_700_lines() {
    let folders = ["src", "tests", "benches", "examples"].map(Path::new);
    let files: Vec<PathBuf> = folders.into_iter().filter(|it| it.is_dir()).flat_map(sources).collect();
    let lines = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count();
    let long: Vec<_> = files.iter().filter(|path| lines(path) > 700).collect();
    assert!(long.is_empty(), "split {long:?}");
}
