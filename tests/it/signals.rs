//! SIGTERM, SIGINT and SIGHUP: every verb ends within a second, whatever it does, and leaves nothing behind.
//!
//! `cargo test --release --test it signals -- --ignored --nocapture` sends SIGTERM at 10 random instants of every command,
//! with inputs that keep it busy; `TAUNET_INSTANTS` is another number.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::writers::{endless, folder, hidden, taunet};

/// The time within which a process must have ended.
const LIMIT: Duration = Duration::from_secs(1);

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures/eth_micro_full.pcap");

/// Sends a signal; gives the time until the process has ended, its exit code, and what it said.
fn signalled(mut child: Child, signal: &str) -> (Duration, Option<i32>, String) {
    let began = Instant::now();
    kill(&child, signal);
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > 20 * LIMIT {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let time = began.elapsed();
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said).unwrap();
    }
    (time, child.wait().unwrap().code(), said)
}

fn kill(child: &Child, signal: &str) {
    let _ = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
}

/// Waits until a process has a thread for its signals: before, they end it as they end any process.
fn await_listening(child: &Child) {
    let threads = || fs::read_dir(format!("/proc/{}/task", child.id())).map_or(0, Iterator::count);
    let began = Instant::now();
    while threads() < 2 && began.elapsed() < 10 * LIMIT {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(50));
}

/// A child whose signals are as a shell in the foreground has them, whatever this test was started by.
fn started(folder: &Path, arguments: &str) -> Child {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(env!("CARGO_BIN_EXE_taunet")).args(arguments.split(' '));
    // A pipe that nobody writes to.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.current_dir(folder).spawn().unwrap()
}

/// A folder whose `pipe` nobody writes to, also under the names of inputs.
fn folder_with_pipes() -> tempfile::TempDir {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("piped-run")).unwrap();
    for name in ["pipe", "pipe.toml", "pipe.gml", "piped-run/summary.json"] {
        assert!(Command::new("mkfifo").arg(at(name)).status().unwrap().success());
    }
    let tune = "scenario = \"scenario.toml\"\nseed = 7\n[objective]\nmetric = \"delay_s.mean\"\ntarget = 1e-3\n[bounds]\n\
                \"traffic.0.rate.load\" = { from = 0.5, to = 0.9 }\n";
    fs::write(at("tune.toml"), tune).unwrap();
    folder
}

/// Commands that wait for input forever, or have endless work.
fn without_an_end() -> Vec<(&'static str, String)> {
    let endless = "--set traffic.0.packets=4000000000 --set record.packets=false";
    vec![
        ("inspect", "inspect pipe --packets t.csv".to_owned()),
        ("check", "check pipe.toml".to_owned()),
        ("import", "topology import pipe.gml -o net2.toml".to_owned()),
        ("tc", "topology tc -".to_owned()),
        ("run", format!("run scenario.toml --out runs/a {endless}")),
        ("sweep", format!("sweep sweep.toml --out sweeps/a {endless}")),
        ("tune", format!("tune tune.toml --out tunings/a {endless}")),
        ("compare", format!("compare {CAPTURE} pipe --flows t.csv")),
        ("calibrate", format!("calibrate --ingress {CAPTURE} --egress pipe -o cal")),
        ("train", "train pipe.toml -o model".to_owned()),
        ("report", "report piped-run".to_owned()),
    ]
}

#[test]
fn every_verb_ends_within_a_second() {
    let folder = folder_with_pipes();
    let signals = [("TERM", 143), ("INT", 130), ("HUP", 129)];
    for (number, (verb, arguments)) in without_an_end().into_iter().enumerate() {
        let (signal, code) = signals[number % 3];
        let child = started(folder.path(), &arguments);
        await_listening(&child);
        let (time, exit, said) = signalled(child, signal);
        assert!(time < LIMIT, "{verb} took {time:?}");
        assert_eq!(exit, Some(code), "{verb}: {said}");
        assert!(said.starts_with("error: interrupted"), "{verb}: {said}");
        left_nothing(folder.path(), verb, &BTreeMap::new());
    }
}

/// That there is nothing hidden, and no result but a whole one.
fn left_nothing(folder: &Path, verb: &str, whole: &BTreeMap<&str, Vec<String>>) {
    for name in ["", "runs", "sweeps/a", "sweeps/a/jobs", "tunings/a", "tunings/a/jobs"] {
        let place = folder.join(name);
        assert!(hidden(&place).is_empty(), "{verb}: {:?}", hidden(&place));
    }
    for (name, found) in results(folder) {
        assert_eq!(Some(&found), whole.get(name), "{verb} left {name}");
    }
}

/// The results that are there: the length of a file, the names in a directory.
fn results(folder: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let result = |name: &'static str| {
        let place = folder.join(name);
        let length =
            fs::metadata(&place).ok().filter(fs::Metadata::is_file).map(|file| file.len().to_string());
        let names = fs::read_dir(&place).into_iter().flatten().flatten();
        let names = names.map(|entry| entry.file_name().into_string().unwrap());
        let mut all: Vec<String> = length.into_iter().chain(names).collect();
        all.sort();
        place.exists().then_some((name, all))
    };
    ["runs/a", "t.csv", "cal", "net2.toml", "model"].into_iter().filter_map(result).collect()
}

#[test]
fn a_second_signal_ends_at_once() {
    let folder = folder();
    let child = started(folder.path(), "run scenario.toml --out a --set traffic.0.packets=4000000000");
    await_listening(&child);
    kill(&child, "TERM");
    std::thread::sleep(Duration::from_millis(110));
    let (time, _, _) = signalled(child, "TERM");
    assert!(time < LIMIT / 2, "{time:?}");
    assert!(hidden(folder.path()).is_empty());
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let folder = folder();
    let mut command = Command::new("nohup");
    let arguments = "run scenario.toml --quiet --out a --set traffic.0.packets=4000000000";
    command.arg(env!("CARGO_BIN_EXE_taunet")).args(arguments.split(' ')).current_dir(folder.path());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    await_listening(&child);
    kill(&child, "HUP");
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "nohup had no effect");
    assert_eq!(signalled(child, "TERM").1, Some(143));
}

#[test]
fn what_cannot_be_said_does_not_keep_it_alive() {
    // Nobody reads standard output and standard error, and both are full.
    let folder = folder();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" topology generate torus --dimensions 100,100 --expand 2>&1"]);
    let mut child = shell.arg(env!("CARGO_BIN_EXE_taunet")).stdout(Stdio::piped()).spawn().unwrap();
    let full = child.stdout.take();
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "the pipe is not full");
    let (time, code, _) = signalled(child, "TERM");
    assert!(time < LIMIT, "{time:?}");
    // By the signal itself, since standard output cannot be flushed; or by its exit code.
    assert!([None, Some(143)].contains(&code), "{code:?}");
    drop(full);
    drop(folder);
}

/// The inputs of commands that are busy for a second or so.
fn heavy_inputs(folder: &Path) {
    let scenario = fs::read_to_string(folder.join("scenario.toml")).unwrap();
    let record = "[record]\nvantages = [\"r:0 ingress\", \"r:1 egress\"]\n";
    fs::write(folder.join("vantages.toml"), format!("{scenario}\n{record}")).unwrap();
    for (out, seed) in [("one", 1), ("two", 2)] {
        let arguments = format!("run vantages.toml --quiet --out {out} --seed {seed}");
        let status = taunet(folder, &format!("{arguments} --set traffic.0.packets=400000")).status().unwrap();
        assert!(status.success());
    }
    fs::rename(folder.join("one/vantage-0-r-0-ingress.pcapng"), folder.join("in.pcapng")).unwrap();
    fs::rename(folder.join("one/vantage-1-r-1-egress.pcapng"), folder.join("out.pcapng")).unwrap();
    let ends =
        taunet(folder, "topology generate torus --dimensions 60,60 --expand -o torus.toml").status().unwrap();
    assert!(ends.success());
    let ends = taunet(folder, "topology export torus.toml -o torus.graphml").status().unwrap();
    assert!(ends.success());
}

/// Commands that compute for a while, and their verb.
fn busy() -> Vec<(&'static str, String)> {
    let packets = "--set traffic.0.packets=1000000";
    vec![
        ("inspect", "inspect in.pcapng --packets t.csv --rtt".to_owned()),
        ("check", "check torus.toml".to_owned()),
        ("generate", "topology generate torus --dimensions 250,250 --expand -o net2.toml".to_owned()),
        ("import", "topology import torus.graphml -o net2.toml".to_owned()),
        ("run", format!("run scenario.toml --out runs/a {packets}")),
        ("sweep", format!("sweep sweep.toml --out sweeps/a {packets}")),
        ("tune", format!("tune tune.toml --out tunings/a {packets}")),
        ("compare captures", "compare in.pcapng out.pcapng --flows t.csv".to_owned()),
        ("compare runs", "compare one two --html t.csv".to_owned()),
        ("calibrate", "calibrate --ingress in.pcapng --egress out.pcapng -o cal".to_owned()),
        ("report", "report one".to_owned()),
    ]
}

/// A number from 0 to 1 for each of 0, 1, ..., evenly spread.
pub fn instant(number: u32) -> f64 {
    (f64::from(number) * 0.618_033_988_749_895).fract()
}

#[test]
#[ignore = "takes minutes"]
fn every_verb_ends_within_a_second_at_any_instant() {
    let instants = std::env::var("TAUNET_INSTANTS").map_or(10, |number| number.parse::<u32>().unwrap());
    let folder = folder_with_pipes();
    let folder = folder.path();
    heavy_inputs(folder);
    let report = fs::read(folder.join("one/report.html")).unwrap();
    let commands = busy().into_iter().chain(without_an_end());
    let (mut signals, mut late, mut all) = (0, 0, Vec::new());
    for (verb, arguments) in commands {
        // Between its start and its end, or for a second if it has none.
        let clean = || {
            for name in ["runs", "cal", "sweeps", "tunings"] {
                let _ = fs::remove_dir_all(folder.join(name));
            }
            for name in ["t.csv", "net2.toml"] {
                let _ = fs::remove_file(folder.join(name));
            }
        };
        let began = Instant::now();
        let mut child = started(folder, &arguments);
        while child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let whole = began.elapsed();
        let has_ended = child.try_wait().unwrap().is_some();
        let results_of_all = if has_ended { results(folder) } else { BTreeMap::new() };
        let _ = child.kill();
        child.wait().unwrap();
        let mut times = Vec::new();
        let mut ended = 0;
        for number in 0..instants {
            clean();
            let child = started(folder, &arguments);
            std::thread::sleep(whole.mul_f64(instant(number)));
            let (time, exit, said) = signalled(child, "TERM");
            match exit {
                // Without an exit code where it had not begun to listen.
                Some(143) | None => {
                    left_nothing(folder, verb, &results_of_all);
                    times.push(time);
                }
                // It was done already.
                Some(0) => ended += 1,
                _ => panic!("{verb}: {exit:?} {said}"),
            }
            assert_eq!(fs::read(folder.join("one/report.html")).unwrap().len(), report.len(), "{verb}");
        }
        times.sort();
        let beyond = times.iter().filter(|time| **time >= LIMIT).count();
        println!(
            "{verb:17} {:3} signals before its end ({whole:.1?}), {ended} after: median {:.0?}, longest {:.0?}, {beyond} beyond 1 s",
            times.len(),
            times.get(times.len() / 2).copied().unwrap_or_default(),
            times.last().copied().unwrap_or_default(),
        );
        (signals, late) = (signals + times.len(), late + beyond);
        all.extend(times);
    }
    println!("{} of {signals} ended within 1 s", signals - late);
    assert!(signals >= 100 && late == 0, "{late} of {signals} took longer than a second");
}

#[test]
fn an_endless_run_is_ended() {
    let folder = folder();
    let child = endless(folder.path(), "a");
    await_listening(&child);
    assert!(signalled(child, "TERM").0 < LIMIT);
}
