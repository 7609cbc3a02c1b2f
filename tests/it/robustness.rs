//! Bad input, whatever its bytes: an error with the name of the file, and no panic. And no connection to a network.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use taunet::compare::compare_runs;
use taunet::report::write_report;
use taunet::table::Format;

use crate::report::run_to;

/// The ways to damage a byte that are tried.
fn damaged(whole: &[u8], at: usize) -> [Vec<u8>; 4] {
    let with = |byte: u8| {
        let mut bytes = whole.to_vec();
        bytes[at] = byte;
        bytes
    };
    // The last becomes the begin of a long number in the headers of a Parquet file.
    [whole[..at].to_vec(), with(whole[at] ^ 0x10), with(0), with(0xff)]
}

/// Writes a file anew: file systems are slow to shorten one and write it again.
fn rewrite(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_run_directory_is_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let [run, other] = ["run", "other"].map(|name| folder.path().join(name));
    for out in [&run, &other] {
        run_to(Path::new("scenarios/notebook.toml"), &["traffic.0.packets=20"], out.clone(), Format::Parquet);
    }
    // Where the decoder panicked, by command.
    let mut contained = [const { None }; 2];
    let mut told = 0;
    for file in fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>() {
        let whole = fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        if name == "report.html" {
            continue;
        }
        // Every byte of the table that `compare` reads; a report takes longer.
        let step = if name == "packets.parquet" { 1 } else { 5 };
        for at in (0..whole.len()).step_by(step) {
            for bytes in damaged(&whole, at) {
                rewrite(&file, &bytes);
                let reported = if at % (3 * step) == 0 { write_report(&run).err() } else { None };
                let errors = [
                    compare_runs(&run, &other).err().map(|error| error.to_string()),
                    reported.map(|error| error.to_string()),
                ];
                for (error, contained) in errors.into_iter().zip(&mut contained) {
                    let Some(error) = error else { continue };
                    assert!(error.contains(name), "byte {at} of {name}: {error}");
                    told += 1;
                    if error.contains("the decoder failed") {
                        *contained = Some((file.clone(), bytes.clone()));
                    }
                }
            }
        }
        rewrite(&file, &whole);
    }
    assert!(told > 1000, "only {told} errors");

    // A panic of the decoder becomes an error of the command.
    for (arguments, contained) in
        [vec!["compare", "run", "other"], vec!["report", "run"]].iter().zip(contained)
    {
        let (file, bytes) = contained.expect("some damage makes the decoder panic");
        let whole = fs::read(&file).unwrap();
        rewrite(&file, &bytes);
        let output = Command::new(env!("CARGO_BIN_EXE_taunet"))
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(
            stderr.starts_with(&format!("error: run/{}", file.file_name().unwrap().display())),
            "{stderr}"
        );
        assert!(!stderr.contains("panicked"), "{stderr}");
        rewrite(&file, &whole);
    }
}

/// What the program asks of the network, which is nothing. `deny.toml` forbids the crates that would.
#[test]
fn no_command_uses_the_network() {
    let can_trace = std::process::Command::new("strace").args(["-qq", "true"]).output();
    if !can_trace.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: strace is missing, or may not trace");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let capture = "tests/captures/eth_micro_full.pcap";
    let [run, sweep, found] = ["run", "sweep", "found"].map(at);
    let [first, second] =
        ["in1", "out"].map(|name| format!("scenarios/captures/kernel-tbf-70/{name}.pcap.xz"));
    let commands: [&[&str]; 10] = [
        &["check", "scenarios/kernel-tbf-70.toml", "scenarios/tcp-flows.toml", "topologies/geant.toml"],
        &["run", "scenarios/traffic-on-off.toml", "--threads", "2", "--out", &run],
        &["report", &run],
        &["inspect", capture, "--rtt", "--json"],
        &["compare", capture, capture],
        &["compare", &run, &run],
        &["calibrate", "--ingress", &first, "--egress", &second, "--out", &found, "--quiet"],
        &["topology", "show", "topologies/abilene.toml"],
        &["completions", "bash"],
        &[
            "sweep",
            "scenarios/sweeps/fct-fat-tree.toml",
            "--set",
            "traffic.0.stop=2 ms",
            "--quiet",
            "--out",
            &sweep,
        ],
    ];
    for command in commands {
        let trace = folder.path().join("trace");
        let output = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=%network", "-o"])
            .arg(&trace)
            .arg(env!("CARGO_BIN_EXE_taunet"))
            .args(command)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read_to_string(&trace).unwrap(), "", "{command:?}");
    }
}
