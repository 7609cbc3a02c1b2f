//! Where results are written: files, links, devices, directories, full disks, odd names, and what dead runs left.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::sweep::{self, SWEEP};

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures/eth_micro_full.pcap");

/// A folder with a scenario, its topology and a sweep.
pub fn folder() -> tempfile::TempDir {
    sweep::folder(SWEEP)
}

/// `taunet` in a folder, with arguments separated by spaces.
pub fn taunet(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taunet"));
    command.current_dir(folder).args(arguments.split(' ')).stdin(Stdio::null());
    command
}

fn output(folder: &Path, arguments: &str) -> Output {
    taunet(folder, arguments).output().unwrap()
}

fn succeed(folder: &Path, arguments: &str) -> Output {
    let output = output(folder, arguments);
    assert!(output.status.success(), "{arguments}: {output:?}");
    output
}

/// What a command says that fails with this exit code.
fn fails(folder: &Path, code: i32, arguments: &str) -> String {
    let output = output(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
    said
}

/// The names in a folder that begin with a dot.
pub fn hidden(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with('.')).collect()
}

/// The commands that write one file, up to its name.
fn writers(folder: &Path) -> Vec<String> {
    succeed(folder, "run scenario.toml --quiet --out one");
    succeed(folder, "run scenario.toml --quiet --out two --seed 5");
    fs::write(folder.join("tc"), "qdisc add dev lo root pfifo limit 7\n").unwrap();
    let graph = "graph [ node [ id 0 label \"a\" ] node [ id 1 label \"b\" ] edge [ source 0 target 1 ] ]\n";
    fs::write(folder.join("graph.gml"), graph).unwrap();
    vec![
        format!("inspect {CAPTURE} --packets"),
        format!("inspect {CAPTURE} --rtt-samples"),
        "topology generate star --hosts 3 -o".to_owned(),
        "topology export net.toml --format svg -o".to_owned(),
        "topology show net.toml --svg".to_owned(),
        "topology import graph.gml -o".to_owned(),
        "topology tc tc --router".to_owned(),
        format!("compare {CAPTURE} {CAPTURE} --flows"),
        "compare one two --html".to_owned(),
    ]
}

#[test]
fn links_are_followed_devices_written_to_and_directories_refused() {
    let folder = folder();
    let folder = folder.path();
    fs::create_dir(folder.join("directory.csv")).unwrap();
    symlink("/dev/full", folder.join("full.csv")).unwrap();
    symlink("/dev/stdout", folder.join("stdout.csv")).unwrap();
    symlink("target.csv", folder.join("link.csv")).unwrap();
    symlink("nothing-yet.csv", folder.join("dangling.csv")).unwrap();
    for writer in writers(folder) {
        // The file as it should be.
        let _ = fs::remove_file(folder.join("plain.csv"));
        succeed(folder, &format!("{writer} plain.csv"));
        let plain = fs::read(folder.join("plain.csv")).unwrap();
        assert!(!plain.is_empty(), "{writer}");
        let kept = fails(folder, 2, &format!("{writer} plain.csv"));
        assert!(kept.contains("plain.csv exists: choose another file, or replace it with --force"), "{kept}");

        fs::write(folder.join("target.csv"), "earlier").unwrap();
        fs::set_permissions(folder.join("target.csv"), fs::Permissions::from_mode(0o640)).unwrap();
        succeed(folder, &format!("{writer} link.csv --force"));
        assert!(folder.join("link.csv").is_symlink(), "{writer}");
        assert_eq!(
            named_alike(&fs::read(folder.join("target.csv")).unwrap()),
            named_alike(&plain),
            "{writer}"
        );
        let mode = fs::metadata(folder.join("target.csv")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "{writer}");

        let _ = fs::remove_file(folder.join("nothing-yet.csv"));
        succeed(folder, &format!("{writer} dangling.csv"));
        assert!(folder.join("dangling.csv").is_symlink() && folder.join("nothing-yet.csv").is_file());

        let refused = fails(folder, 2, &format!("{writer} directory.csv --force"));
        assert!(refused.contains("directory.csv is a directory: name a file"), "{refused}");

        let full = fails(folder, 1, &format!("{writer} full.csv --force"));
        assert!(full.contains("cannot write full.csv") && full.contains("No space left"), "{writer}: {full}");
        assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
        assert!(folder.join("full.csv").is_symlink());

        let printed = succeed(folder, &format!("{writer} stdout.csv"));
        let found = printed.stdout.windows(40).any(|window| window == &plain[..40.min(plain.len())]);
        assert!(found, "{writer}: {printed:?}");
        assert_eq!(hidden(folder), Vec::<String>::new(), "{writer}");
    }
}

/// Topologies are named after their file.
fn named_alike(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .replace("target", "plain")
        .replace("link.csv", "plain.csv")
        .replace("\"link\"", "\"plain\"")
}

#[test]
fn standard_output_in_a_file_keeps_what_is_printed() {
    let folder = folder();
    let folder = folder.path();
    let file = File::create(folder.join("all")).unwrap();
    let status = taunet(folder, "topology generate star --hosts 3 -o /dev/stdout --force")
        .stdout(file)
        .status()
        .unwrap();
    assert!(status.success());
    let written = fs::read_to_string(folder.join("all")).unwrap();
    assert!(written.contains("[generate]") || written.contains("kind"), "{written}");
    // Standard output is shared with what comes before and after in a script.
    let script = "echo before; \"$0\" topology generate star --hosts 3 -o /dev/stdout; echo after";
    let file = File::create(folder.join("script")).unwrap();
    let mut shell = Command::new("sh");
    shell.current_dir(folder).args(["-c", script, env!("CARGO_BIN_EXE_taunet")]).stdout(file);
    assert!(shell.status().unwrap().success());
    let script = fs::read_to_string(folder.join("script")).unwrap();
    assert_eq!(script, format!("before\n{written}after\n"));
}

#[test]
fn a_fifo_is_written_to() {
    let folder = folder();
    let folder = folder.path();
    assert!(Command::new("mkfifo").arg(folder.join("pipe.csv")).status().unwrap().success());
    let mut child = taunet(folder, &format!("inspect {CAPTURE} --packets pipe.csv --quiet")).spawn().unwrap();
    let mut table = String::new();
    File::open(folder.join("pipe.csv")).unwrap().read_to_string(&mut table).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(table.lines().count() > 10, "{table}");
    assert!(fs::metadata(folder.join("pipe.csv")).unwrap().file_type().is_fifo());
}

#[test]
fn results_named_by_a_hyphen_or_a_dot_are_files_or_errors() {
    let folder = folder();
    let folder = folder.path();
    for arguments in [
        "topology generate star --hosts 3 -o -",
        "run scenario.toml --out -",
        "sweep sweep.toml --out -",
        &format!("calibrate --ingress {CAPTURE} --egress {CAPTURE} -o -"),
    ] {
        let said = fails(folder, 2, arguments);
        assert!(said.contains("write /dev/stdout for standard output, or ./-"), "{arguments}: {said}");
    }
    assert!(!folder.join("-").exists());
    succeed(folder, "topology generate star --hosts 3 -o ./-");
    succeed(folder, "topology generate star --hosts 3 --out=-x.toml");
    succeed(folder, "topology generate star --hosts 3 -o .x.toml");
    for name in ["-", "-x.toml", ".x.toml"] {
        assert!(folder.join(name).is_file(), "{name}");
    }
    fails(folder, 2, "topology generate star --hosts 3 -o -x.toml");
    // The name of a scenario names a directory, which is no option and not hidden.
    for (name, directory) in [("-rf", "rf"), (".hidden", "hidden"), ("../x", "x")] {
        succeed(folder, &format!("run scenario.toml --quiet --set name=\"{name}\""));
        assert!(folder.join("runs").join(directory).join("summary.json").is_file(), "{name}");
    }
    assert_eq!(fs::read_dir(folder.join("runs")).unwrap().count(), 3);
}

/// Every verb that prints says that standard output is full, and fails.
#[test]
fn a_full_standard_output_is_an_error() {
    let folder = folder();
    let folder = folder.path();
    succeed(folder, "run scenario.toml --quiet --out one");
    succeed(folder, "sweep sweep.toml --quiet --out sweep");
    fs::write(folder.join("tc"), "qdisc add dev lo root pfifo limit 7\n").unwrap();
    for arguments in [
        &format!("inspect {CAPTURE}"),
        &format!("inspect {CAPTURE} --json"),
        &format!("compare {CAPTURE} {CAPTURE}"),
        "check scenario.toml",
        "topology generate star --hosts 3",
        "topology show net.toml",
        "topology show net.toml --json",
        "topology export net.toml --format dot",
        "topology tc tc",
        "run scenario.toml --out other --force",
        "run scenario.toml --out other --force --json",
        "sweep sweep.toml --out sweep",
        "sweep sweep.toml --out sweep --dry-run",
        "sweep sweep.toml --out sweep --script slurm",
        "compare one one",
        "report one",
        "report one --json",
        "completions bash",
        "--help",
        "run --help",
        "--version",
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = taunet(folder, arguments).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments}: {said}");
        assert!(said.contains("cannot write the result: No space left on device"), "{arguments}: {said}");
    }
}

#[test]
fn a_file_beyond_the_limit_of_its_size_is_an_error() {
    let folder = folder();
    let folder = folder.path();
    succeed(folder, "topology generate star --hosts 3 -o net2.toml");
    let earlier = fs::read(folder.join("net2.toml")).unwrap();
    // In blocks of 512 or 1024 bytes, as the shell has it.
    for arguments in [
        "run scenario.toml --out runs/a",
        "topology generate torus --dimensions 20,20 --expand --force -o net2.toml",
    ] {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -f 2; exec \"$0\" {arguments}");
        shell.current_dir(folder).args(["-c", &script, env!("CARGO_BIN_EXE_taunet")]);
        let output = shell.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments}: {:?} {said}", output.status);
        assert!(said.contains("File too large"), "{arguments}: {said}");
    }
    assert_eq!(fs::read(folder.join("net2.toml")).unwrap(), earlier);
    assert!(!folder.join("runs/a").exists());
    assert!(hidden(folder).is_empty() && hidden(&folder.join("runs")).is_empty());
}

#[test]
fn what_dead_runs_left_is_removed_and_what_living_ones_write_is_not() {
    let folder = folder();
    let folder = folder.path();
    let runs = folder.join("runs");
    let mut living = endless(folder, "runs/living");
    let mut dead = endless(folder, "runs/dead");
    while hidden(&runs).len() < 4 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let before = hidden(&runs);
    dead.kill().unwrap();
    dead.wait().unwrap();
    // As of another start of the machine, or of another host.
    for name in [".taunet-00c0ffee-1.part", ".taunet-00c0ffee-2.part", ".other-1.part"] {
        fs::write(runs.join(name), "").unwrap();
    }
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 24 * 3600);
    File::options()
        .write(true)
        .open(runs.join(".taunet-00c0ffee-1.part"))
        .unwrap()
        .set_modified(old)
        .unwrap();

    succeed(folder, "run scenario.toml --quiet --out runs/next");
    let mut after = hidden(&runs);
    after.sort();
    assert!(
        after.contains(&".other-1.part".to_owned()) && after.contains(&".taunet-00c0ffee-2.part".to_owned())
    );
    assert!(!after.contains(&".taunet-00c0ffee-1.part".to_owned()), "{after:?}");
    let left: Vec<_> = after.iter().filter(|name| before.contains(name)).collect();
    assert_eq!(left.len(), 2, "the directory and the lock of the living one: {left:?}");
    assert!(living.try_wait().unwrap().is_none());
    Command::new("kill").args(["-TERM", &living.id().to_string()]).status().unwrap();
    assert_eq!(living.wait().unwrap().code(), Some(143));
    assert!(hidden(&runs).iter().all(|name| !before.contains(name)), "{:?}", hidden(&runs));
}

/// A run that takes far longer than a test, and has begun its directory soon.
pub fn endless(folder: &Path, out: &str) -> std::process::Child {
    let arguments = format!("run scenario.toml --quiet --out {out} --set traffic.0.packets=4000000000");
    let mut command = taunet(folder, &format!("{arguments} --set record.packets=false"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn text_to_a_closed_pipe_is_no_error() {
    let folder = folder();
    let mut command = taunet(folder.path(), "topology generate torus --dimensions 100,100 --expand");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
