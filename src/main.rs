//! The command `taunet`: see [`taunet::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    taunet::cli::main()
}
