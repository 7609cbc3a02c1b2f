//! The same scenario has the same result, whatever computes it: engine, number of threads, the seeds of hash tables and the
//! layout of memory. `tests/fingerprints.txt` has the fingerprint of each scenario; `.ci/run` compares it with those of the
//! program, optimized and not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The fingerprints by scenario. `UPDATE_FINGERPRINTS=1 cargo test --release --test it every_scenario` writes them.
const FINGERPRINTS: &str = "tests/fingerprints.txt";

/// One line for each scenario: name and fingerprint.
pub fn expect_fingerprints(found: &str) {
    if std::env::var_os("UPDATE_FINGERPRINTS").is_some() {
        fs::write(FINGERPRINTS, found).unwrap();
    }
    let expected = fs::read_to_string(FINGERPRINTS).unwrap();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "UPDATE_FINGERPRINTS=1 writes {FINGERPRINTS}");
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

/// The files of a run, without the lines that tell how long it took and what computed it.
fn files(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let differs = |line: &&str| !line.contains("\"wall_s\"") && !line.contains("\"engine");
    let file = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        match path.extension().and_then(|it| it.to_str()) {
            Some("json") => {
                let text = String::from_utf8(bytes).unwrap();
                text.lines().filter(differs).collect::<Vec<_>>().join("\n").into_bytes()
            }
            Some("html") => {
                let text = String::from_utf8(bytes).unwrap();
                let (before, after) = text.split_once("<dt>engine</dt>").unwrap();
                let (_, after) = after.split_once("</dd>").unwrap();
                [before, after].concat().into_bytes()
            }
            _ => bytes,
        }
    };
    let entries = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), file(&path))).collect()
}

#[test]
fn the_files_of_a_run_are_the_same_whatever_computes_them() {
    let fingerprints = fs::read_to_string(FINGERPRINTS).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let has_layouts =
        Command::new("setarch").args(["-R", "true"]).output().is_ok_and(|output| output.status.success());
    if !has_layouts {
        eprintln!("skipped: setarch is missing, or may not fix the layout of memory");
    }
    let run = |wrapper: &[&str], name: &str, options: &[&str]| {
        let out = folder.path().join("run");
        let program = [wrapper, &[env!("CARGO_BIN_EXE_taunet"), "run"]].concat();
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(format!("scenarios/{name}.toml")).args(options);
        let output = command.args(["--force", "--quiet", "--out"]).arg(&out).output().unwrap();
        assert!(output.status.success(), "{name} {options:?}: {output:?}");
        files(&out)
    };
    for line in fingerprints.lines() {
        let (name, fingerprint) = line.split_once(' ').unwrap();
        // The capture of the first may not be shipped; the second takes 5 s a run.
        if ["any-capture", "dctcp-example"].contains(&name) {
            continue;
        }
        let first = run(&[], name, &[]);
        let meta: serde_json::Value = serde_json::from_slice(&first["meta.json"]).unwrap();
        assert_eq!(meta["fingerprint"], fingerprint, "{name}");
        assert!(first.contains_key("report.html") && first.len() > 5, "{:?}", first.keys());
        let same = |wrapper: &[&str], options: &[&str]| {
            let other = run(wrapper, name, options);
            assert_eq!(first.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
            for (file, bytes) in &first {
                assert!(*bytes == other[file], "{file} of {name} differs with {wrapper:?} {options:?}");
            }
        };
        // Hash tables have other seeds in every process.
        same(&[], &[]);
        if has_layouts {
            same(&["setarch", "-R"], &[]);
        }
        same(&[], &["--engine", "event"]);
        let is_closed = String::from_utf8_lossy(&first["summary.json"]).contains("\"tcp\"");
        if !is_closed {
            for threads in ["1", "2", "3", "8"] {
                same(&[], &["--engine", "stream", "--threads", threads]);
            }
        }
    }
}
