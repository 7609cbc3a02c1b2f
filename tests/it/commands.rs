//! The command line, as its users see it: `tests/cmd/*.trycmd`.
//!
//! `TRYCMD=overwrite cargo test commands` writes what is printed now into the files.

#[test]
fn every_command_prints_what_its_file_says() {
    trycmd::TestCases::new().env("NO_COLOR", "1").env("COLUMNS", "100").case("tests/cmd/*.trycmd");
}
