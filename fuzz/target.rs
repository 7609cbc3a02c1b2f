#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<String> =
    LazyLock::new(|| std::env::var("TARGET").expect("the variable TARGET names a target"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taunet_fuzz::run(&TARGET, bytes));
