//! The command line, as users see it: `tests/cmd/*.trycmd`.
//!
//! `TRYCMD=overwrite cargo test commands` updates the files with the current output.

#[test]
fn every_command_prints_what_its_file_says() {
    trycmd::TestCases::new().env("NO_COLOR", "1").env("COLUMNS", "100").case("tests/cmd/*.trycmd");
}

#[test]
fn tc_reads_standard_input() {
    let mut command = assert_cmd::Command::cargo_bin("taunet").unwrap();
    let run = command
        .args(["topology", "tc", "-"])
        .write_stdin("tc qdisc add dev lo root pfifo limit 7\n")
        .assert();
    let printed = String::from_utf8(run.success().get_output().stdout.clone()).unwrap();
    assert!(printed.starts_with("# By `taunet topology tc` from standard input:\n"), "{printed}");
    assert!(printed.ends_with("[ptm]\nkind = \"fifo\"\nbuffer = \"7 packets\"\n"), "{printed}");
}
