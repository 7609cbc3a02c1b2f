//! SIGKILL while a result is replaced: the old or the new one is there, whole, and the next run cleans up.
//!
//! `cargo test --release --test it kills -- --ignored --nocapture` kills at 200 random instants, and at every system call
//! that writes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::signals::instant;
use crate::writers::{folder, hidden, taunet};

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures/eth_micro_full.pcap");

/// A command that replaces a result: the same name, one of two contents.
struct Writer {
    name: &'static str,
    arguments: [String; 2],
    result: &'static str,
}

fn writers() -> Vec<Writer> {
    let pair = |of: &str, words: [&str; 2]| words.map(|word| of.replace("WORD", word));
    let run = "run scenario.toml --quiet --force --out result --seed WORD --set traffic.0.packets=20000";
    vec![
        Writer { name: "run", arguments: pair(run, ["1", "2"]), result: "result" },
        Writer {
            name: "topology generate",
            arguments: pair(
                "topology generate torus --dimensions WORD --expand --force -o net2.toml",
                ["20,20", "21,20"],
            ),
            result: "net2.toml",
        },
        Writer {
            name: "inspect",
            arguments: pair(
                &format!("inspect {CAPTURE} --quiet --force --packets t.csv --max-packets WORD"),
                ["9", "11"],
            ),
            result: "t.csv",
        },
    ]
}

/// The contents of a result, without what differs from run to run.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    if path.is_file() {
        return BTreeMap::from([(String::new(), fs::read(path).unwrap())]);
    }
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        let bytes = match name.as_str() {
            "summary.json" => {
                let summary: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                summary["fingerprint"].to_string().into_bytes()
            }
            "meta.json" => {
                serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()["seed"].to_string().into_bytes()
            }
            "report.html" => bytes[bytes.len() - 8..].to_vec(),
            _ => bytes,
        };
        (name, bytes)
    };
    fs::read_dir(path).unwrap().map(file).collect()
}

/// A result that is replaced by turns.
struct Replaced<'a> {
    folder: &'a Path,
    writer: Writer,
    /// The two contents.
    whole: Vec<BTreeMap<String, Vec<u8>>>,
    /// Kills, and those that left a whole result.
    kills: (u32, u32),
    /// How often each of the two was found.
    found: [u32; 2],
}

impl<'a> Replaced<'a> {
    fn new(folder: &'a Path, writer: Writer) -> Self {
        let whole = writer.arguments.iter().map(|arguments| {
            assert!(
                taunet(folder, arguments).stdout(Stdio::null()).status().unwrap().success(),
                "{arguments}"
            );
            contents(&folder.join(writer.result))
        });
        let whole: Vec<_> = whole.collect();
        assert_ne!(whole[0], whole[1]);
        Replaced { folder, writer, whole, kills: (0, 0), found: [0, 0] }
    }

    /// After a kill: one of the two is there, whole.
    fn look(&mut self, when: &str) {
        self.kills.0 += 1;
        let place = self.folder.join(self.writer.result);
        assert!(place.exists(), "{}: nothing is there after a kill {when}", self.writer.name);
        let found = contents(&place);
        let which = self.whole.iter().position(|whole| *whole == found);
        let which =
            which.unwrap_or_else(|| panic!("{}: half a result after a kill {when}", self.writer.name));
        self.found[which] += 1;
        self.kills.1 += 1;
    }

    /// The next run removes what the killed ones left.
    fn clean(&self) {
        let left = hidden(self.folder).len();
        let output = taunet(self.folder, &self.writer.arguments[0]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(hidden(self.folder).is_empty(), "{left} left, and now {:?}", hidden(self.folder));
    }

    /// Kills at so many instants, spread over the time of a run.
    fn kill_at_instants(&mut self, number: u32) {
        let began = Instant::now();
        self.clean();
        let whole = began.elapsed();
        let mut done = 0;
        let mut place = 0;
        while done < number {
            let arguments = &self.writer.arguments[place as usize % 2];
            let mut child = taunet(self.folder, arguments).stdout(Stdio::null()).spawn().unwrap();
            std::thread::sleep(whole.mul_f64(instant(place)));
            place += 1;
            child.kill().unwrap();
            if child.wait().unwrap().signal() == Some(9) {
                self.look("at a random instant");
                done += 1;
            }
            assert!(place < 100 * number + 100, "it is always done before it is killed");
        }
        self.clean();
    }

    /// Kills at each call of `call`, the first, the second, ...
    fn kill_at_calls(&mut self, call: &str) -> u32 {
        let mut number = 0;
        loop {
            number += 1;
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e"]);
            strace.arg(format!("inject={call}:signal=KILL:when={number}"));
            strace
                .arg(env!("CARGO_BIN_EXE_taunet"))
                .args(self.writer.arguments[number as usize % 2].split(' '));
            let status = strace.current_dir(self.folder).stdout(Stdio::null()).status().unwrap();
            if status.signal() != Some(9) {
                assert!(status.success(), "{} {call} {number}: {status}", self.writer.name);
                return number - 1;
            }
            self.look(&format!("at {call} number {number}"));
        }
    }
}

/// The system calls that change files or folders.
const CALLS: [&str; 15] = [
    "openat",
    "write",
    "writev",
    "pwrite64",
    "fsync",
    "flock",
    "fchmod",
    "chmod",
    "mkdir",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
];

/// Whether strace is installed and may trace.
fn is_traced() -> bool {
    let traces = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let traces = traces.is_ok_and(|status| status.success());
    if !traces {
        println!("skipped: strace is not installed, or may not trace");
    }
    traces
}

#[test]
fn a_kill_leaves_the_old_or_the_new_result() {
    let folder = folder();
    for writer in writers() {
        let mut replaced = Replaced::new(folder.path(), writer);
        replaced.kill_at_instants(4);
        if is_traced() {
            for call in ["rename", "renameat", "renameat2", "fsync", "unlink"] {
                replaced.kill_at_calls(call);
            }
            replaced.clean();
        }
    }
}

/// On a file system that cannot exchange two directories, the name is missing for a moment.
#[test]
fn a_result_that_lost_its_name_gets_one_in_the_next_run() {
    if !is_traced() {
        return;
    }
    let folder = folder();
    let [run, ..] = <[Writer; 3]>::try_from(writers()).unwrap_or_else(|_| panic!("three writers"));
    let folder = folder.path();
    let place = folder.join(run.result);
    let mut replaced = Replaced::new(folder, run);
    let mut recovered = 0;
    for number in 1.. {
        let mut strace = Command::new("strace");
        strace.args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "signal=none",
            "-e",
            "inject=renameat2:error=EINVAL",
            "-e",
        ]);
        strace.arg(format!("inject=rename:signal=KILL:when={number}")).arg(env!("CARGO_BIN_EXE_taunet"));
        strace.args(replaced.writer.arguments[number % 2].split(' '));
        if strace.current_dir(folder).status().unwrap().signal() != Some(9) {
            break;
        }
        let was_there = place.exists();
        // Another result in the same folder.
        let next = taunet(folder, "run scenario.toml --force --out other").output().unwrap();
        assert!(next.status.success(), "{next:?}");
        let said = String::from_utf8(next.stderr).unwrap();
        assert_eq!(
            said.contains("an earlier run was killed while it replaced a result"),
            !was_there,
            "{said}"
        );
        recovered += u32::from(!was_there);
        replaced.look(&format!("at rename number {number}"));
        assert!(hidden(folder).is_empty(), "{:?}", hidden(folder));
    }
    assert_eq!((replaced.kills.0, recovered), (2, 1), "two renames, and no name between them");
}

#[test]
#[ignore = "takes minutes"]
fn two_hundred_kills_and_one_at_every_call_that_writes() {
    let folder = folder();
    let (mut all, mut good) = (0, 0);
    for writer in writers() {
        let mut replaced = Replaced::new(folder.path(), writer);
        replaced.kill_at_instants(200);
        let random = replaced.kills.0;
        let mut calls = Vec::new();
        if is_traced() {
            for call in CALLS {
                let number = replaced.kill_at_calls(call);
                if number > 0 {
                    calls.push(format!("{number} {call}"));
                }
            }
            replaced.clean();
        }
        println!(
            "{}: {} of {} kills left a whole result ({random} at random instants, at calls: {}); the two were found {:?} times",
            replaced.writer.name,
            replaced.kills.1,
            replaced.kills.0,
            calls.join(", "),
            replaced.found,
        );
        (all, good) = (all + replaced.kills.0, good + replaced.kills.1);
    }
    println!("{good} of {all}");
}
