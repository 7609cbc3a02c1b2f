//! The commands and files of a page, run in a folder of its own.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::page::{Fence, Page, Step};

/// What no page needs, and what is written.
const NOT_LINKED: [&str; 4] = [".git", "docs", "runs", "target"];
/// The key that shows a manifest of cargo.
const CARGO: &str = "dependencies";
/// Keys that fragments of topologies begin with.
const OF_TOPOLOGIES: [&str; 5] = ["device", "link", "defaults", "forwarding", "path"];
/// Keys that fragments of scenarios begin with.
const OF_SCENARIOS: [&str; 11] = [
    "traffic",
    "measured",
    "rtt",
    "record",
    "accept",
    "transport",
    "until",
    "warm_up",
    "stop_when",
    "engine",
    "seed",
];
/// Keys that fragments of sweeps begin with.
const OF_SWEEPS: [&str; 3] = ["vary", "zip", "stop"];
/// Linked into every folder: two captures of one path.
const CAPTURES: [(&str, &str); 2] = [
    ("scenarios/captures/kernel-tbf-70/in1.pcap.xz", "in.pcap"),
    ("scenarios/captures/kernel-tbf-70/out.pcap.xz", "out.pcap"),
];
/// The network that fragments are put into: a fat tree beside two routers, and hosts with the names that pages use. A key
/// of a device or link that stands alone belongs to the last one.
const TOPOLOGY: &str = r#"
name = "base"
generate = { kind = "fat-tree", k = 4 }
defaults = { link = { bandwidth = "1 Gbps", delay = "5 us" } }
device = [
    { name = "client", kind = "host" },
    { name = "clients", kind = "host" },
    { name = "camera", kind = "host" },
    { name = "players", kind = "host" },
    { name = "browser", kind = "host" },
    { name = "server", kind = "host" },
    { name = "s1", kind = "host" },
    { name = "core", kind = "switch" },
    { name = "r", kind = "router" },
    { name = "r1", kind = "router" },
    { name = "r2", kind = "router" },
]
link = [
    { between = ["client:0", "r1:0"] },
    { between = ["camera:0", "r1:2"] },
    { between = ["players:0", "r1:3"] },
    { between = ["browser:0", "r1:4"] },
    { between = ["clients:0", "r1:5"] },
    { between = ["s1:0", "r:1"] },
    { between = ["r:0", "r2:2"] },
    { between = ["core:0", "r2:3"] },
    { between = ["core0:4", "r2:4"] },
    { between = ["server:0", "r2:1"] },
    { between = ["r1:1", "r2:0"] },
]
"#;
const SCENARIO: &str = "name = \"fragment\"\ntopology = \"base-topology.toml\"\nuntil = \"100 s\"\n";
const SWEEP: &str = "scenario = \"base-scenario.toml\"\nreplications = 4\n";
const PACKETS: &str = "[[traffic]]\nkind = \"cbr\"\nfrom = \"client\"\nto = \"server\"\n\
                       rate = \"1 Mbps\"\nsize = \"1000 B\"\n";
const FLOWS: &str = "[[traffic]]\nkind = \"flows\"\nmatrix = \"uniform\"\nsize = \"hadoop\"\n\
                     rate = \"100 flows/s\"\n";
/// The pages say `cargo run --release -- ...` where `taunet` is not installed; CI does the rest.
const CARGO_SHIM: &str = r#"#!/usr/bin/env bash
case "$*" in
    "run --release -- "*) shift 3; exec taunet "$@" ;;
    "run --release --example "*) grep -qs "^name = \"$4\"" Cargo.toml || [ -f "examples/$4.rs" ] ;;
    "test --release" | "test --release -"*) ;;
    *) echo "no test runs: cargo $*"; exit 1 ;;
esac
"#;

#[derive(Default)]
pub struct Counts {
    pub commands: usize,
    pub files: usize,
    pub fragments: usize,
    pub outputs: usize,
    pub not_run: Vec<String>,
    pub failed: Vec<String>,
}

/// A page's folder, with links to all that the repository has.
struct Folder {
    folder: tempfile::TempDir,
    path: String,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let here = env::current_dir().unwrap();
        let work = folder.path().join("work");
        let programs = folder.path().join("programs");
        fs::create_dir(&work).unwrap();
        fs::create_dir(&programs).unwrap();
        for entry in fs::read_dir(&here).unwrap() {
            let name = entry.unwrap().file_name();
            if !NOT_LINKED.iter().any(|left_out| name == *left_out) {
                symlink(here.join(&name), work.join(&name)).unwrap();
            }
        }
        for (file, name) in CAPTURES {
            symlink(here.join(file), work.join(name)).unwrap();
        }
        symlink(assert_cmd::cargo::cargo_bin("taunet"), programs.join("taunet")).unwrap();
        fs::write(programs.join("cargo"), CARGO_SHIM).unwrap();
        fs::set_permissions(programs.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", programs.display(), env::var("PATH").unwrap());
        Folder { folder, path }
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// What a script prints, and whether its commands ended as it says.
    fn run(&self, script: &str) -> (String, bool) {
        // Both streams in one file: a page shows them as a terminal does.
        let printed = tempfile::tempfile().unwrap();
        let status = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script_of(script)])
            .current_dir(self.work())
            .env("PATH", &self.path)
            .env("NO_COLOR", "1")
            .env("COLUMNS", "100")
            .stdin(Stdio::null())
            .stdout(printed.try_clone().unwrap())
            .stderr(printed.try_clone().unwrap())
            .status()
            .unwrap();
        let mut printed = printed;
        let mut text = String::new();
        std::io::Seek::rewind(&mut printed).unwrap();
        std::io::Read::read_to_string(&mut printed, &mut text).unwrap();
        (text, status.success())
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.work().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What `taunet check` says against a TOML file of a page.
    fn check(&self, fence: &Fence, counts: &mut Counts) -> Result<(), String> {
        let table: toml::Table = fence.text.parse().map_err(|error| format!("{error}"))?;
        if table.contains_key(CARGO) {
            counts.files += 1;
            return dependency(&table);
        }
        let complete = ["name", "architecture", "scenario"].iter().any(|key| table.contains_key(*key));
        let file = if complete {
            counts.files += 1;
            let file = fence.file().unwrap_or("snippet.toml");
            self.write(file, &fence.text);
            file
        } else {
            counts.fragments += 1;
            self.embed(table)?
        };
        let (printed, fine) = self.run(&format!("taunet check {file}"));
        if fine { Ok(()) } else { Err(printed) }
    }

    /// Puts a fragment into the network or the scenario that it is a part of, and says which file to check.
    fn embed(&self, mut fragment: toml::Table) -> Result<&'static str, String> {
        if let Some(ptm) = fragment.remove("ptm") {
            let link = toml::Table::from_iter([("ptm".to_owned(), ptm)]);
            fragment.insert("link".into(), link.into());
        }
        let known = |keys: &[&str]| fragment.keys().all(|key| keys.contains(&key.as_str()));
        if known(&OF_TOPOLOGIES) {
            let mut topology: toml::Table = TOPOLOGY.parse().unwrap();
            make_room(&mut topology, &fragment);
            merge(&mut topology, fragment);
            self.write("fragment.toml", &topology.to_string());
            return Ok("fragment.toml");
        }
        if known(&OF_SWEEPS) {
            let mut sweep: toml::Table = SWEEP.parse().unwrap();
            merge(&mut sweep, fragment);
            self.write("base-topology.toml", TOPOLOGY);
            self.write(
                "base-scenario.toml",
                &format!("{SCENARIO}transport = {{ kind = \"tcp\" }}\n{PACKETS}"),
            );
            self.write("fragment.toml", &sweep.to_string());
            return Ok("fragment.toml");
        }
        if !known(&OF_SCENARIOS) {
            return Err(format!(
                "neither a topology, a scenario nor a fragment of one: {:?}",
                fragment.keys().collect::<Vec<_>>()
            ));
        }
        let mut scenario: toml::Table = SCENARIO.parse().unwrap();
        if !fragment.contains_key("traffic") {
            let ends_with_flows = fragment.contains_key("stop_when");
            merge(&mut scenario, if ends_with_flows { FLOWS } else { PACKETS }.parse().unwrap());
        }
        merge(&mut scenario, fragment);
        self.write("base-topology.toml", TOPOLOGY);
        self.write("fragment.toml", &scenario.to_string());
        Ok("fragment.toml")
    }
}

/// Removes the links of the base whose ports the links of a fragment use.
fn make_room(base: &mut toml::Table, fragment: &toml::Table) {
    let ports = |link: &toml::Value| -> Vec<String> {
        let ends = link.get("between").and_then(|ends| ends.as_array()).into_iter().flatten();
        ends.filter_map(|end| end.as_str().map(str::to_owned)).collect()
    };
    let links = fragment.get("link").and_then(|links| links.as_array()).into_iter().flatten();
    let used: Vec<String> = links.flat_map(ports).collect();
    let all = base["link"].as_array_mut().unwrap();
    all.retain(|link| !ports(link).iter().any(|port| used.contains(port)));
}

/// Adds the keys of a fragment: elements to arrays, keys to tables, and those of a table that the base has an array of
/// to its last element.
fn merge(base: &mut toml::Table, fragment: toml::Table) {
    for (key, value) in fragment {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Array(all)), toml::Value::Array(more)) => all.extend(more),
            (Some(toml::Value::Array(all)), toml::Value::Table(keys)) => {
                merge(all.last_mut().unwrap().as_table_mut().unwrap(), keys);
            }
            (Some(toml::Value::Table(table)), toml::Value::Table(keys)) => merge(table, keys),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Whether a manifest asks for the version that taunet has.
fn dependency(manifest: &toml::Table) -> Result<(), String> {
    let asked = manifest[CARGO]["taunet"].as_table().ok_or("no table `taunet`")?;
    let version = asked["version"].as_str().unwrap_or_default();
    if !env!("CARGO_PKG_VERSION").starts_with(version) {
        return Err(format!("asks for taunet {version}, which is {}", env!("CARGO_PKG_VERSION")));
    }
    Ok(())
}

/// A script in which the line of a command that ends with `# exit code N` must exit with N.
fn script_of(text: &str) -> String {
    let mut script = String::new();
    for line in text.lines() {
        let code = line.split_once("# exit code ").map(|(_, rest)| rest.split(':').next().unwrap().trim());
        match code.and_then(|code| code.parse::<u8>().ok()) {
            Some(code) => script.push_str(&format!(
                "set +e\n{line}\ncode=$?\nset -e\n[ $code = {code} ] || {{ echo \"exit code $code\"; exit 1; }}\n"
            )),
            None => script.push_str(&format!("{line}\n")),
        }
    }
    script
}

/// The lines of an output, without what differs from run to run.
fn lines(output: &str) -> Vec<String> {
    let timeless = |line: &str| match line.split_once("simulated in ") {
        Some((before, _)) => format!("{before}simulated in a time"),
        None => line.trim_end().to_owned(),
    };
    output.trim_end().lines().map(timeless).collect()
}

/// Whether an output is as a page shows it, where `...` stands for any lines.
fn fits(shown: &[String], printed: &[String]) -> bool {
    match shown {
        [] => printed.is_empty(),
        [dots, rest @ ..] if dots.trim() == "..." => {
            (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..]))
        }
        [line, rest @ ..] => printed.first() == Some(line) && fits(rest, &printed[1..]),
    }
}

/// Compares an output with what the page shows; with `BOOK=overwrite`, what is printed takes its place.
fn compare(
    shown: &str,
    printed: &str,
    range: std::ops::Range<usize>,
    edits: &mut Edits,
) -> Result<(), String> {
    let (shown, printed_lines) = (lines(shown), lines(printed));
    if fits(&shown, &printed_lines) {
        return Ok(());
    }
    let whole = !shown.iter().any(|line| line.trim() == "...");
    if edits.overwrite && whole {
        edits.all.push((range, format!("{}\n", printed.trim_end())));
        return Ok(());
    }
    let help = if whole { "BOOK=overwrite writes it into the page" } else { "`...` is kept by hand" };
    Err(format!("prints something else ({help}):\n{printed}"))
}

pub struct Edits {
    overwrite: bool,
    all: Vec<(std::ops::Range<usize>, String)>,
}

/// Runs the commands of a console session, each with the output below it.
fn console(folder: &Folder, fence: &Fence, edits: &mut Edits, counts: &mut Counts) -> Result<(), String> {
    let mut at = fence.range.start;
    let mut session: Vec<(&str, std::ops::Range<usize>)> = Vec::new();
    for line in fence.text.split_inclusive('\n') {
        let end = at + line.len();
        match line.strip_prefix("$ ") {
            Some(command) => session.push((command, end..end)),
            None => session.last_mut().ok_or("an output before the first command")?.1.end = end,
        }
        at = end;
    }
    for (command, range) in session {
        counts.commands += 1;
        let (printed, fine) = folder.run(command);
        if !fine {
            return Err(format!("{command}{printed}"));
        }
        let shown = &fence.text[range.start - fence.range.start..range.end - fence.range.start];
        if !shown.is_empty() {
            counts.outputs += 1;
            compare(shown, &printed, range, edits).map_err(|error| format!("{command}{error}"))?;
        }
    }
    Ok(())
}

/// Runs every fence of a page that can be run.
pub fn run(page: &Page, counts: &mut Counts) {
    let folder = Folder::new();
    let mut edits =
        Edits { overwrite: env::var("BOOK").is_ok_and(|value| value == "overwrite"), all: Vec::new() };
    let mut last_output = None;
    for step in &page.steps {
        let fence = match step {
            Step::Prepare(commands) => {
                let (printed, fine) = folder.run(commands);
                assert!(fine, "{}: {commands}{printed}", page.path.display());
                continue;
            }
            Step::Fence(fence) => fence,
        };
        let place = format!("{}:{}", page.path.display(), fence.line);
        if let Some(reason) = fence.not_run() {
            assert!(!reason.is_empty(), "{place}: not-run needs a reason");
            counts.not_run.push(format!("{place}: {reason}"));
            continue;
        }
        let result = match (fence.language.as_str(), fence.info.as_str()) {
            ("toml", _) => folder.check(fence, counts),
            ("sh", "") => {
                counts.commands += 1;
                let (printed, fine) = folder.run(&fence.text);
                last_output = Some(printed.clone());
                if fine { Ok(()) } else { Err(printed) }
            }
            ("console", "") => console(&folder, fence, &mut edits, counts),
            ("text", "output") => {
                counts.outputs += 1;
                let printed =
                    last_output.as_deref().expect("an output stands below the commands that print it");
                compare(&fence.text, printed, fence.range.clone(), &mut edits)
            }
            ("csv" | "text", info) => {
                if let Some(file) = fence.file().filter(|_| !info.is_empty()) {
                    counts.files += 1;
                    folder.write(file, &fence.text);
                }
                Ok(())
            }
            ("", "") => Ok(()),
            ("python" | "cpp", "") => {
                counts.not_run.push(format!("{place}: {} and its libraries", fence.language));
                Ok(())
            }
            (language, info) => Err(format!("no test knows what `{language} {info}` is")),
        };
        if let Err(error) = result {
            counts.failed.push(format!("{place}\n{error}"));
        }
    }
    let mut text = page.text.clone();
    for (range, printed) in edits.all.iter().rev() {
        text.replace_range(range.clone(), printed);
    }
    if text != page.text {
        fs::write(&page.path, text).unwrap();
    }
}

/// Whether a page has anything to run.
pub fn any(page: &Page) -> bool {
    page.steps.iter().any(|step| matches!(step, Step::Fence(fence) if !fence.language.is_empty()))
}
