//! `taunet tune`: known values are found again, also after a kill.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use crate::browser::{Browser, installed};

const TOPOLOGY: &str = r#"
name = "net"
device = [
    { name = "a", kind = "host" },
    { name = "r", kind = "router" },
    { name = "b", kind = "host" },
]
[[link]]
between = ["a:0", "r:0"]
bandwidth = "100 Mbps"
delay = "5 us"
[[link]]
between = ["r:1", "b:0"]
bandwidth = "10 Mbps"
delay = "5 us"
ptm = { kind = "red", min = "20 kB", max = "80 kB", max_p = 0.5, weight = 0.002, buffer = "1 MB" }
"#;

const SCENARIO: &str = r#"
name = "red"
topology = "net.toml"
warm_up = "2 s"

[[traffic]]
kind = "poisson"
from = "a"
to = "b"
rate = { load = 1.5, of = "r:1" }
size = "1000 B"
packets = 100_000
"#;

const RED: &str = r#"
scenario = "scenario.toml"
seed = 7
replications = 3

[objective]
metric = "delay_s.mean"
target = TARGET

[bounds]
"topology.link.1.ptm.max" = { from = "25 kB", to = "200 kB" }
"#;

fn folder(tune: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("scenario.toml", SCENARIO), ("net.toml", TOPOLOGY), ("tune.toml", tune)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn taunet(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taunet"));
    command.current_dir(folder).args(arguments);
    command
}

fn tune(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = taunet(folder, &["tune", "tune.toml", "--format", "csv"]);
    command.args(arguments);
    command
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// When each job was written.
fn jobs(folder: &Path, out: &str) -> BTreeMap<PathBuf, SystemTime> {
    let entries = fs::read_dir(folder.join(out).join("jobs")).into_iter().flatten().flatten();
    let finished =
        entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"));
    finished.map(|entry| (entry.path(), entry.metadata().unwrap().modified().unwrap())).collect()
}

fn tables(folder: &Path, out: &str) -> [String; 2] {
    ["evaluations", "results"]
        .map(|name| fs::read_to_string(folder.join(out).join(format!("{name}.csv"))).unwrap())
}

/// Runs a search to its end, then again with a kill in its middle and another number of threads; gives what it found.
fn found_twice(folder: &Path, after_jobs: usize) -> serde_json::Value {
    let whole = json(&tune(folder, &["--out", "whole", "--json", "--jobs", "1"]).output().unwrap());
    assert_eq!(whole["converged"], true, "{whole}");
    let all = jobs(folder, "whole").len();
    assert!(all > after_jobs, "{all} jobs are too few to be killed in between");

    let mut child = tune(folder, &["--out", "killed"]).stdout(Stdio::null()).spawn().unwrap();
    while jobs(folder, "killed").len() < after_jobs {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = jobs(folder, "killed");
    assert!(before.len() < all, "it was killed too late to say anything");

    let killed = json(&tune(folder, &["--out", "killed", "--json"]).output().unwrap());
    let after = jobs(folder, "killed");
    assert_eq!(after.len(), all);
    assert!(before.iter().all(|(name, at)| after[name] == *at), "what was there did not run again");
    assert_eq!(tables(folder, "killed"), tables(folder, "whole"));
    assert_eq!(killed["best"], whole["best"]);
    whole
}

/// A value such as `"79.9 Mbps"` in its unit.
fn number(found: &serde_json::Value, key: &str, unit: &str) -> f64 {
    let text = found["best"]["values"][key].as_str().unwrap();
    text.trim_matches('"').strip_suffix(unit).unwrap_or_else(|| panic!("{text}")).trim().parse().unwrap()
}

#[test]
fn the_threshold_of_red_is_found_by_its_delay() {
    // What 80 kB give, by other seeds than those of the search.
    let folder = folder("");
    let truth = ["1", "2", "3"].map(|seed| {
        let run = taunet(folder.path(), &["run", "scenario.toml", "--seed", seed, "--out", seed, "--json"]);
        let mut run = run;
        json(&run.output().unwrap())["delay_s"]["mean"].as_f64().unwrap()
    });
    let target = truth.iter().sum::<f64>() / truth.len() as f64;
    fs::write(folder.path().join("tune.toml"), RED.replace("TARGET", &target.to_string())).unwrap();
    let found = found_twice(folder.path(), 12);
    let max = number(&found, "topology.link.1.ptm.max", "B");
    assert!((max / 80_000.0 - 1.0).abs() <= 0.01, "{max} B for 80000 B");
}

#[test]
fn the_rate_of_a_recorded_bucket_is_found() {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/kernel-tbf-70.toml");
    let folder = folder(&format!(
        "scenario = '{}'\n[objective]\nmetric = \"measured.r1:1 egress.mae_s\"\n[bounds]\n\"topology.link.1.ptm.rate\" = {{ from = \"5 Mbps\", to = \"40 Mbps\" }}\n",
        scenario.display()
    ));
    let found = found_twice(folder.path(), 8);
    let rate = number(&found, "topology.link.1.ptm.rate", "Mbps");
    assert!((rate / 10.0 - 1.0).abs() <= 0.01, "{rate} Mbps for 10 Mbps");
}

#[test]
fn starts_do_not_depend_on_threads() {
    let text = RED.replace("TARGET", "0.03").replace("seed = 7", "seed = 7\nstarts = 3\nevaluations = 6");
    let folder = folder(&text);
    let folder = folder.path();
    let set = ["--set", "traffic.0.packets=5000", "--set", "warm_up=\"0 s\""];
    for (out, threads) in [("one", "1"), ("four", "4")] {
        let mut command = tune(folder, &["--out", out, "--jobs", threads]);
        let output = command.args(set).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("before it converged: raise `evaluations`"), "{stderr}");
    }
    assert_eq!(tables(folder, "one"), tables(folder, "four"));
    assert_eq!(tables(folder, "one")[0].lines().count(), 1 + 3 * 6);
}

#[test]
fn few_values_are_searched_too() {
    let best = |bounds: &str, goal: &str| {
        let objective = format!("[objective]\nmetric = \"packets.injected\"\ngoal = \"{goal}\"\n");
        let folder = folder(&format!("scenario = \"scenario.toml\"\n{objective}{bounds}\n"));
        let output = tune(folder.path(), &["--json", "--set", "warm_up=\"0 s\""]).output().unwrap();
        (
            json(&output)["best"]["values"].to_string(),
            tables(folder.path(), "tunings/tune")[0].lines().count() - 1,
        )
    };
    let count = |bounds: &str| format!("[bounds]\n\"traffic.0.packets\" = {bounds}");
    assert_eq!(best(&count("{ from = 2_000, to = 2_001 }"), "minimize").0, r#"{"traffic.0.packets":"2000"}"#);
    let (values, points) = best(&count("{ from = 1_000, to = 9_000, step = 4_000 }"), "maximize");
    assert!(values == r#"{"traffic.0.packets":"9000"}"# && points <= 3, "{values} after {points}");
    // Keys as tables, below one that is tagged by its kind too.
    let nested = "[bounds.topology.link.1.ptm]\nmax = { from = \"25 kB\", to = \"200 kB\" }";
    let folder =
        folder(&format!("{}{nested}", RED.split("[bounds]").next().unwrap().replace("TARGET", "0.03")));
    let set = ["--set", "traffic.0.packets=500", "--set", "warm_up=\"0 s\""];
    let output = tune(folder.path(), &set).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("topology.link.1.ptm.max = "), "{stdout}");
    // The command that it prints has the changes of this one.
    assert!(
        stdout.contains("scenario.toml --set traffic.0.packets=500 --set 'warm_up=\"0 s\"' --set"),
        "{stdout}"
    );
}

#[test]
fn the_report_draws_the_search() {
    let Some(program) = installed() else {
        eprintln!(
            "SKIPPED: no chromium on the PATH; install the package `chromium` to test the page in a browser"
        );
        return;
    };
    let folder = folder(&RED.replace("TARGET", "0.03"));
    let folder = folder.path();
    assert!(
        tune(folder, &["--out", "out", "--set", "traffic.0.packets=20000", "--quiet"])
            .status()
            .unwrap()
            .success()
    );
    let evaluations = tables(folder, "out")[0].lines().count() as u64 - 1;
    let mut browser = Browser::start(&program);
    for width in [1280, 390] {
        browser.screen(width, 900, 1, width < 600);
        browser.open(&folder.join("out/report.html"));
        assert!(browser.value("document.documentElement.scrollWidth").as_u64().unwrap() <= width.into());
        assert_eq!(browser.value("document.querySelectorAll('[data-kind=sweep] .uplot').length"), 2);
        // Every point is drawn over the search.
        assert_eq!(browser.value("taunet.charts[0].full"), serde_json::json!([0, evaluations - 1]));
        assert_eq!(browser.value("document.querySelectorAll('#evaluations tbody tr').length"), evaluations);
    }
    assert_eq!(browser.complaints, [] as [String; 0]);
    // Another command names this one.
    let output = taunet(folder, &["report", "out"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && stderr.contains("the directory of a sweep or a search"),
        "{stderr}"
    );
}

#[test]
fn what_a_search_cannot_do_is_told() {
    let run = |text: &str, set: &str| {
        let folder = folder(text);
        let output = tune(folder.path(), &["--set", "warm_up=\"0 s\"", "--set", set]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let red = RED.replace("TARGET", "0.03");
    let small = "traffic.0.packets=500";
    let (code, stderr) = run(&red.replace("delay_s.mean", "delay_s.men"), small);
    assert!(
        code == Some(1) && stderr.contains("no run has a metric `delay_s.men`; did you mean"),
        "{stderr}"
    );
    let (code, stderr) = run(&red.replace("link.1", "link.7"), small);
    assert!(
        code == Some(1)
            && stderr.contains("no point where the search began could be run")
            && stderr.contains("link"),
        "{stderr}"
    );
    // An upper bound of RED below its lower one: those points are the worst, and the others are searched.
    let low = red.replace("25 kB", "1 kB").replace("200 kB", "60 kB").replace("0.03", "0.001");
    let (code, stderr) = run(&low, "traffic.0.packets=20000");
    assert!(code == Some(0) && stderr.contains("failed and count as the worst; the first:"), "{stderr}");
    let (code, stderr) = run(&red.replace("0.03", "30.0"), "traffic.0.packets=20000");
    assert!(code == Some(0) && stderr.contains("does not reach 30"), "{stderr}");
    assert!(stderr.contains("the best value of `topology.link.1.ptm.max` is a bound"), "{stderr}");
    // Nothing waits, whatever the threshold.
    let (code, stderr) = run(&red, "traffic.0.rate.load=0.01");
    assert!(code == Some(0) && stderr.contains("the metric is the same all around 1 start"), "{stderr}");
}
