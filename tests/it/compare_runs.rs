//! Comparison of completed runs: with a capture, and with each other.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use taunet::capture::{CaptureKeys, Options as CaptureOptions};
use taunet::compare::{RunsError, compare_runs};
use taunet::config::Registry;
use taunet::run::{AgainError, Against, RunOptions, Summary, compare_run, run};
use taunet::scenario::{Accept, CaptureClock, DelayScope, Scenario, TOLERANCE};
use taunet::table::Format;

fn simulate(scenario: &str, overrides: &[&str], out: PathBuf) -> Summary {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let scenario = Scenario::load(Path::new(scenario), &overrides, None).unwrap();
    let options = RunOptions {
        out,
        replace: false,
        format: Format::Parquet,
        capture: CaptureOptions::default(),
        overrides,
        engine: None,
        threads: 0,
    };
    run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap()
}

/// The run in `out` against a capture at a vantage.
fn against(
    out: &Path,
    capture: &str,
    at: &str,
    delay: DelayScope,
) -> Result<taunet::run::AgainstCapture, AgainError> {
    let at = at.parse().unwrap();
    let against = Against {
        capture: Path::new(capture),
        keys: CaptureKeys::default(),
        at: &at,
        delay,
        accept: Accept { w1_normalized: Some(1e-9), ..Accept::default() },
        clock: CaptureClock::default(),
        tolerance: TOLERANCE,
        options: CaptureOptions::default(),
        registry: &Registry::default(),
    };
    compare_run(out, &against, |_| ControlFlow::Continue(()))
}

#[test]
fn a_run_compared_afterwards_is_the_run_compared_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let at_once = simulate("scenarios/kernel-tandem.toml", &["until=3 s"], out.clone());
    for measured in &at_once.measured {
        let capture = measured.capture.to_str().unwrap();
        let after = against(&out, capture, &measured.vantage, measured.delay).unwrap();
        assert_eq!(after.fingerprint, at_once.fingerprint);
        assert_eq!((&after.measured.delays, after.measured.counts), (&measured.delays, measured.counts));
        assert!(measured.delays.is_some());
        assert_eq!((after.accept.bounds, after.accept.passed), (1, false));
    }
}

#[test]
fn a_run_that_cannot_be_repeated_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let summary = simulate("scenarios/kernel-tbf-70.toml", &["until=1 s"], out.clone());
    let again = |at: &str, delay| {
        against(&out, "scenarios/captures/kernel-tbf-70/out.pcap.xz", at, delay).unwrap_err()
    };
    let told = again("r1:9 egress", DelayScope::Path).to_string();
    assert!(told.contains("r1") && told.contains("no port 9"), "{told}");
    let told = again("r1:0 ingress", DelayScope::Path).to_string();
    assert!(told.contains("it would be compared with itself"), "{told}");
    let told = again("server:0 ingress", DelayScope::Hop).to_string();
    assert!(told.contains("at egress vantages only"), "{told}");

    let meta = out.join("meta.json");
    let text = fs::read_to_string(&meta).unwrap();
    fs::write(&meta, text.replace(&summary.fingerprint, "0123")).unwrap();
    assert!(matches!(again("r1:1 egress", DelayScope::Path), AgainError::AnotherRun { .. }));
    fs::write(&meta, text.replacen("\"sha256\": \"", "\"sha256\": \"0", 1)).unwrap();
    assert!(matches!(again("r1:1 egress", DelayScope::Path), AgainError::Changed(_)));
    fs::write(&meta, text.replacen("scenarios/kernel-tbf-70.toml", "nowhere.toml", 1)).unwrap();
    assert!(matches!(again("r1:1 egress", DelayScope::Path), AgainError::Changed(_)));
    fs::write(&meta, "{}").unwrap();
    assert!(matches!(again("r1:1 egress", DelayScope::Path), AgainError::NotARun { .. }));
    fs::remove_file(&meta).unwrap();
    assert!(matches!(again("r1:1 egress", DelayScope::Path), AgainError::NotARun { .. }));
}

#[test]
fn two_runs_are_compared_by_records() {
    let folder = tempfile::tempdir().unwrap();
    let [long, short] = ["long", "short"].map(|name| folder.path().join(name));
    let whole = simulate("scenarios/kernel-drops.toml", &["until=3 s"], long.clone());
    let part = simulate("scenarios/kernel-drops.toml", &["until=2 s"], short.clone());
    let same = compare_runs(&long, &long).unwrap();
    assert_eq!((same.matched, same.only_first, same.only_second), (whole.packets.delivered, 0, 0));
    assert_eq!((same.loss.both, same.loss.only_simulated), (whole.packets.dropped, 0));
    assert_eq!(same.delays.unwrap().agreement.w1_normalized, Some(0.0));
    let found = compare_runs(&long, &short).unwrap();
    assert_eq!(found.only_first, whole.packets.injected - part.packets.injected);
    assert_eq!((found.matched, found.only_second), (part.packets.delivered, 0));
    // The same packets, simulated as far as both went, have the same delays.
    assert_eq!(found.delays.unwrap().agreement.mae_s, 0.0);
    assert!(matches!(compare_runs(&long, folder.path()), Err(RunsError::NoPackets(_))));
}
