//! The job files of `taunet sweep --script`, run by their schedulers: GNU parallel, and Slurm with daemons that the test starts;
//! Kubernetes' by its own schema.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::sweep::{SWEEP, command, folder, results};

/// A program on the PATH, or among those of the administrator.
fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// What a process that ends says; one that runs longer is killed.
fn within(seconds: u64, command: &mut Command) -> Output {
    let out = tempfile::NamedTempFile::new().unwrap();
    let err = tempfile::NamedTempFile::new().unwrap();
    command.stdin(Stdio::null()).stdout(out.reopen().unwrap()).stderr(err.reopen().unwrap());
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > Duration::from_secs(seconds) {
            child.kill().unwrap();
            break child.wait().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    Output { status, stdout: fs::read(out.path()).unwrap(), stderr: fs::read(err.path()).unwrap() }
}

fn succeeds(seconds: u64, command: &mut Command) -> String {
    let output = within(seconds, command);
    assert!(output.status.success(), "{command:?}\n{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A folder with a sweep, the job file of a scheduler with three shards, and a `taunet` on a PATH of its own that notes each call.
struct Study {
    folder: tempfile::TempDir,
    path: std::ffi::OsString,
}

impl Study {
    fn new(scheduler: &str) -> Self {
        let folder = folder(SWEEP);
        // Results lie below a name that a shell would split.
        let arguments = ["--out", "by a scheduler", "--script", scheduler, "--shards", "3"];
        let script = succeeds(60, &mut command(folder.path(), &arguments));
        fs::write(folder.path().join("job"), script).unwrap();
        let programs = folder.path().join("programs");
        fs::create_dir(&programs).unwrap();
        // Each process leaves a file, which names the shard and ends with the count of its jobs.
        let noting = format!(
            "#!/bin/sh\nexec 2>'{}'/calls/$$\necho \"shard $PARALLEL_SEQ$SLURM_ARRAY_TASK_ID\" >&2\n\
             for word; do shift; [ \"$word\" = --quiet ] && word=--verbose; set -- \"$@\" \"$word\"; done\n\
             exec '{}' \"$@\"\n",
            folder.path().display(),
            env!("CARGO_BIN_EXE_taunet"),
        );
        fs::create_dir(folder.path().join("calls")).unwrap();
        fs::write(programs.join("taunet"), noting).unwrap();
        fs::set_permissions(programs.join("taunet"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut path = programs.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        Study { folder, path }
    }

    fn job(&self) -> PathBuf {
        self.folder.path().join("job")
    }

    /// Three processes ran a third of the 24 jobs each, and the tables are those of one process.
    fn check(&self, shards: [&str; 3]) {
        let calls: Vec<String> = fs::read_dir(self.folder.path().join("calls"))
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        assert_eq!(calls.len(), 3, "{calls:?}");
        let first = calls.iter().filter_map(|text| text.lines().next()).collect::<BTreeSet<_>>();
        assert_eq!(first, BTreeSet::from(shards), "{calls:?}");
        for call in &calls {
            assert_eq!(call.lines().last(), Some("8 of 8 jobs, 0 of them done before, 0 failed"), "{call}");
        }
        let folder = self.folder.path();
        succeeds(300, &mut command(folder, &["--out", "plain", "--quiet"]));
        assert!(results(folder, "by a scheduler") == results(folder, "plain"), "the tables differ");
    }
}

#[test]
fn gnu_parallel_runs_the_shards() {
    // Another program of this name is in moreutils.
    let is_gnu = |path: &PathBuf| {
        String::from_utf8_lossy(&within(30, Command::new(path).arg("--version")).stdout).starts_with("GNU")
    };
    if !installed("parallel").as_ref().is_some_and(is_gnu) {
        eprintln!("SKIPPED: no GNU parallel on the PATH; install the package `parallel` to test its job file");
        return;
    }
    let study = Study::new("parallel");
    // It keeps its settings there.
    let home = tempfile::tempdir().unwrap();
    let mut run = Command::new("sh");
    run.arg(study.job()).env("PATH", &study.path).env("HOME", home.path());
    succeeds(300, &mut run);
    study.check(["shard 1", "shard 2", "shard 3"]);
}

#[test]
fn kubernetes_accepts_the_job_file() {
    let Some(validate) = installed("kubernetes-validate") else {
        eprintln!(
            "SKIPPED: no kubernetes-validate on the PATH; install the Python package `kubernetes-validate` to test the job file"
        );
        return;
    };
    let study = Study::new("kubernetes");
    let valid = |path: &Path| {
        let mut check = Command::new(&validate);
        check.args(["--strict", "--kubernetes-version", "1.33.0"]).arg(path);
        within(120, &mut check)
    };
    let output = valid(&study.job());
    assert!(output.status.success(), "{output:?}");
    // The validator sees a key that Kubernetes does not know, and a wrong type.
    let text = fs::read_to_string(study.job()).unwrap();
    let edited = study.folder.path().join("edited");
    for (right, wrong) in [("completionMode", "completionsMode"), ("completions: 3", "completions: three")] {
        assert!(text.contains(right), "{text}");
        fs::write(&edited, text.replace(right, wrong)).unwrap();
        assert!(!valid(&edited).status.success(), "{wrong}");
    }
}
