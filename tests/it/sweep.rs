//! `taunet sweep`: continued after a kill, split into shards, with jobs that fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use crate::browser::{Browser, installed};

const SCENARIO: &str = r#"
name = "queue"
topology = "net.toml"

[[traffic]]
name = "load"
kind = "poisson"
from = "a"
to = "b"
rate = { load = 0.5, of = "r:1" }
size = "1000 B"
packets = 2_000
"#;

const TOPOLOGY: &str = r#"
name = "net"
device = [
    { name = "a", kind = "host" },
    { name = "r", kind = "router", ptm = { kind = "fifo", buffer = "50 packets" } },
    { name = "b", kind = "host" },
]
[defaults.link]
bandwidth = "100 Mbps"
delay = "5 us"
[[link]]
between = ["a:0", "r:0"]
[[link]]
between = ["r:1", "b:0"]
"#;

pub const SWEEP: &str = r#"
scenario = "scenario.toml"
seed = 7
replications = 4
tables = ["flows"]

[vary]
"traffic.0.rate.load" = { from = 0.5, to = 0.9, step = 0.2 }
"traffic.0.size" = ["500 B", "1000 B"]
"#;

/// A folder with the files of a sweep.
pub fn folder(sweep: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("scenario.toml", SCENARIO), ("net.toml", TOPOLOGY), ("sweep.toml", sweep)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// `taunet sweep` in a folder.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taunet"));
    command.current_dir(folder).args(["sweep", "sweep.toml", "--format", "csv"]).args(arguments);
    for variable in ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "PARALLEL_SEQ"] {
        command.env_remove(variable);
    }
    command
}

fn sweep(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// The joined tables of a sweep.
pub fn results(folder: &Path, out: &str) -> Vec<String> {
    ["results", "means", "differences"]
        .map(|name| fs::read_to_string(folder.join(out).join(format!("{name}.csv"))).unwrap())
        .to_vec()
}

/// When each job was written.
fn jobs(folder: &Path, out: &str) -> BTreeMap<String, SystemTime> {
    let entries = fs::read_dir(folder.join(out).join("jobs")).into_iter().flatten().flatten();
    let finished =
        entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"));
    finished
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().modified().unwrap())
        })
        .collect()
}

#[test]
fn a_killed_sweep_goes_on_where_it_was() {
    let folder = folder(SWEEP);
    let folder = folder.path();
    assert!(sweep(folder, &["--out", "whole", "--quiet"]).status.success());
    let whole = results(folder, "whole");
    assert_eq!(whole[0].lines().count(), 1 + 3 * 2 * 4);

    let mut child =
        command(folder, &["--out", "killed", "--jobs", "1"]).stdout(Stdio::null()).spawn().unwrap();
    while jobs(folder, "killed").len() < 12 {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = jobs(folder, "killed");
    assert!(before.len() < 24, "it was killed too late to say anything");

    let output = sweep(folder, &["--out", "killed", "--json"]);
    assert_eq!(json(&output)["done"], 24);
    let after = jobs(folder, "killed");
    assert_eq!(after.len(), 24);
    assert!(before.iter().all(|(name, at)| after[name] == *at), "what was there did not run again");
    assert_eq!(results(folder, "killed"), whole);
    let left: Vec<_> = fs::read_dir(folder.join("killed"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn shards_of_one_directory_give_the_same_tables() {
    let folder = folder(SWEEP);
    let folder = folder.path();
    assert!(sweep(folder, &["--out", "whole", "--quiet"]).status.success());
    let shards: Vec<_> = ["0/3", "1/3", "2/3"]
        .map(|shard| {
            command(folder, &["--out", "shards", "--shard", shard, "--jobs", "1", "--quiet"]).spawn().unwrap()
        })
        .into_iter()
        .collect();
    for mut shard in shards {
        assert!(shard.wait().unwrap().success());
    }
    assert_eq!(results(folder, "shards"), results(folder, "whole"));
    // An array job says which shard it is.
    let slurm = command(folder, &["--out", "slurm", "--json"])
        .env("SLURM_ARRAY_TASK_ID", "1")
        .env("SLURM_ARRAY_TASK_COUNT", "3")
        .output()
        .unwrap();
    assert_eq!((&json(&slurm)["done"], &json(&slurm)["missing"]), (&8.into(), &16.into()));
}

#[test]
fn a_job_that_fails_leaves_the_others() {
    let folder = folder(&SWEEP.replace("[\"500 B\", \"1000 B\"]", "[\"500 B\", \"500 pounds\"]"));
    let folder = folder.path();
    let output = sweep(folder, &["--out", "out"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("12 jobs failed"), "{stderr}");
    assert!(
        stderr
            .contains("traffic.0.rate.load = 0.5, traffic.0.size = 500 pounds, replication 0, and 11 more:"),
        "{stderr}"
    );
    assert!(stderr.contains("values of sweep.toml:1:16"), "{stderr}");
    assert_eq!(results(folder, "out")[0].lines().count(), 1 + 12);
}

#[test]
fn replications_end_when_the_mean_is_known() {
    let stop = "\n[stop]\nmetric = \"delay_s.mean\"\nrelative_half_width = 0.1\n";
    let folder = folder(
        &SWEEP
            .replace("replications = 4", "replications = 40")
            .replace("\n[vary]", &format!("{stop}\n[vary]")),
    );
    let folder = folder.path();
    let one = sweep(folder, &["--out", "one", "--jobs", "1", "--json"]);
    let done = json(&one)["done"].as_u64().unwrap();
    assert!((18..240).contains(&done), "{done}");
    assert!(sweep(folder, &["--out", "four", "--jobs", "4", "--quiet"]).status.success());
    for shard in ["1/2", "0/2"] {
        assert!(sweep(folder, &["--out", "shards", "--shard", shard, "--quiet"]).status.success());
    }
    assert_eq!(results(folder, "one"), results(folder, "four"));
    assert_eq!(results(folder, "one"), results(folder, "shards"));
    // Every interval is as narrow as was asked, or all replications have run.
    let means = &results(folder, "one")[1];
    let rows: Vec<Vec<&str>> = means.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| rows[0].iter().position(|head| *head == name).unwrap();
    let (metric, count, mean, width) =
        (column("metric"), column("replications"), column("mean"), column("half_width_95"));
    let of_delay: Vec<_> = rows.iter().filter(|row| row[metric] == "delay_s.mean").collect();
    assert_eq!(of_delay.len(), 6);
    for row in of_delay {
        let number = |column: usize| row[column].parse::<f64>().unwrap();
        assert!(number(width) <= 0.1 * number(mean) || number(count) == 40.0, "{row:?}");
    }
}

#[test]
fn a_dry_run_counts_and_estimates() {
    let folder = folder(SWEEP);
    let folder = folder.path();
    let estimate = json(&sweep(folder, &["--out", "out", "--dry-run", "--json"]));
    assert_eq!((&estimate["jobs"], &estimate["done"]), (&24.into(), &1.into()));
    assert!(estimate["seconds_left"].as_f64().unwrap() > 0.0 && estimate["bytes_left"].as_u64().unwrap() > 0);
    assert_eq!(jobs(folder, "out").len(), 1);
}

#[test]
fn another_directory_is_not_taken() {
    let folder = folder(SWEEP);
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("out/thesis.tex"), "").unwrap();
    let output = sweep(folder.path(), &["--out", "out"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("holds something else than a sweep"));
}

#[test]
fn what_is_odd_is_told() {
    let short = SWEEP
        .replace("{ from = 0.5, to = 0.9, step = 0.2 }", "[0.5, 0.9]")
        .replace("tables = [\"flows\"]\n", "");
    let with = |keys: &str| short.replace("\n[vary]", &format!("\n{keys}\n[vary]"));
    let run = |text: &str, arguments: &[&str]| {
        let folder = folder(text);
        let mut all = vec!["--set", "traffic.0.packets=200"];
        all.extend(arguments);
        let output = sweep(folder.path(), &all);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    // A misspelt metric at once; one that ends replications ends the sweep.
    let (code, stdout, stderr) = run(&with("metrics = [\"delay_s.mean\", \"delay_s.p98\"]"), &[]);
    assert!(
        code == Some(0) && stderr.contains("the first job has no metric `delay_s.p98`; did you mean"),
        "{stderr}"
    );
    assert!(stdout.contains("traffic.0.rate.load  traffic.0.size  delay_s.mean"), "{stdout}");
    let stop = "[stop]\nmetric = \"delay_s.men\"\nrelative_half_width = 0.1";
    let (code, _, stderr) = run(&with(stop), &[]);
    assert!(
        code == Some(2) && stderr.contains("has no metric `delay_s.men`, which [stop] in sweep.toml"),
        "{stderr}"
    );
    let (code, _, stderr) = run(&short, &["--set", "seed=3"]);
    assert!(code == Some(2) && stderr.contains("--set seed=3 changes nothing"), "{stderr}");
    let (code, _, stderr) = run(&format!("{short}\n[[zip]]\n"), &[]);
    assert!(code == Some(2) && stderr.contains("this [[zip]] has no keys"), "{stderr}");
    // Replications without random numbers.
    let (code, _, stderr) = run(&short, &["--set", "traffic.0.kind=cbr"]);
    assert!(code == Some(0) && stderr.contains("all replications are the same run"), "{stderr}");
    let (_, _, stderr) = run(&short, &[]);
    assert!(!stderr.contains("all replications"), "{stderr}");
}

#[test]
fn files_that_change_meanwhile_end_the_sweep() {
    let folder = folder(&SWEEP.replace("replications = 4", "replications = 400"));
    let folder = folder.path();
    let mut child = command(folder, &["--out", "out", "--jobs", "1"]);
    let child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while jobs(folder, "out").len() < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::write(folder.join("net.toml"), TOPOLOGY.replace("5 us", "15 us")).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && stderr.contains("net.toml was changed while the jobs ran"),
        "{stderr}"
    );
}

#[test]
fn keys_of_tagged_tables_vary_as_tables() {
    let nested = "\n[vary.topology.device.1.ptm]\nbuffer = [\"5 packets\", \"50 packets\"]\n";
    let folder = folder(&format!("{}{nested}", SWEEP.split("[vary]").next().unwrap()));
    let output = sweep(folder.path(), &["--set", "traffic.0.packets=200", "--json"]);
    assert_eq!((&json(&output)["done"], output.status.code()), (&8.into(), Some(0)));
}

#[test]
fn tables_are_those_of_the_last_sweep() {
    let folder = folder(SWEEP);
    let folder = folder.path();
    let set = ["--set", "traffic.0.packets=200", "--out", "out"];
    assert!(sweep(folder, &set).status.success());
    fs::write(folder.join("other.toml"), SWEEP.replace("seed = 7", "seed = 8")).unwrap();
    let mut other = Command::new(env!("CARGO_BIN_EXE_taunet"));
    let output = other.current_dir(folder).args(["sweep", "other.toml"]).args(set).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("sweep.toml: its tables are replaced"));
    assert!(folder.join("out/results.parquet").is_file() && !folder.join("out/results.csv").exists());
    assert_eq!(jobs(folder, "out").len(), 48);
}

#[test]
fn differences_are_between_points_that_differ_in_one_axis() {
    let zip = "\n[[zip]]\n\"traffic.0.packets\" = [1000, 2000]\n\"traffic.0.name\" = [\"few\", \"many\"]\n";
    let folder =
        folder(&format!("{}{zip}", SWEEP.replace("\"traffic.0.size\" = [\"500 B\", \"1000 B\"]\n", "")));
    let folder = folder.path();
    assert!(sweep(folder, &["--out", "out", "--quiet"]).status.success());
    let [results, _, differences] = &results(folder, "out")[..] else { panic!("three tables") };
    let mut reader = csv::Reader::from_reader(differences.as_bytes());
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    let of_injected: Vec<_> = rows.iter().filter(|row| row["metric"] == "packets.injected").collect();
    // Two other loads at each of two lengths, and the other length at each of three loads.
    assert_eq!(of_injected.len(), 2 * 2 + 3);
    for row in of_injected {
        let expected = if row["parameter"] == "traffic.0.rate.load" { "0.0" } else { "1000.0" };
        assert_eq!((row["mean"].as_str(), row["half_width_95"].as_str()), (expected, "0.0"), "{row:?}");
    }
    let names: Vec<&str> = rows.iter().map(|row| row["parameter"].as_str()).collect();
    assert!(names.contains(&"traffic.0.packets, traffic.0.name"), "{names:?}");
    assert_eq!(results.lines().count(), 1 + 6 * 4);
}

#[test]
fn the_report_draws_metrics_over_parameters() {
    let Some(program) = installed() else {
        eprintln!(
            "SKIPPED: no chromium on the PATH; install the package `chromium` to test the page in a browser"
        );
        return;
    };
    let folder = folder(&SWEEP.replace("[\"500 B\", \"1000 B\"]", "[\"500 B\", \"750 B\", \"1000 B\"]"));
    let folder = folder.path();
    assert!(sweep(folder, &["--out", "out", "--quiet"]).status.success());
    let mut browser = Browser::start(&program);
    for width in [1280, 390] {
        browser.screen(width, 900, 1, width < 600);
        browser.open(&folder.join("out/report.html"));
        assert!(browser.value("document.documentElement.scrollWidth").as_u64().unwrap() <= width.into());
        // A line for each length, over three loads; its interval has no place in the key.
        let chart = "document.querySelector('[data-kind=sweep]')";
        assert_eq!(browser.value(&format!("{chart}.querySelector('strong').textContent")), "delay_s.mean");
        let keys = format!(
            "[...{chart}.querySelectorAll('.u-legend .u-series th')].filter(key => key.offsetParent).map(key => key.textContent)"
        );
        let keys = browser.value(&keys);
        let names: Vec<&str> = keys.as_array().unwrap().iter().filter_map(|key| key.as_str()).collect();
        for name in ["500 B", "750 B", "1000 B"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.ends_with(" from") || name.ends_with(" to")), "{names:?}");
        assert_eq!(browser.value("taunet.charts[0].full"), serde_json::json!([0.5, 0.9]));
        // Two parameters of three values: a heat map.
        assert_eq!(browser.value("document.querySelector('.heat').rows.length"), 4);
    }
    assert_eq!(browser.complaints, [] as [String; 0]);
}
