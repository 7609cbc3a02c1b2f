//! The job files of `taunet sweep --script`, run by their schedulers: GNU parallel, and Slurm with daemons that the test starts;
//! Kubernetes' by its own schema.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
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
        eprintln!(
            "SKIPPED: no GNU parallel on the PATH; install the package `parallel` to test its job file"
        );
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

/// Slurm on this machine alone: its daemons run in the foreground, with files and ports of their own, and end with the value.
struct Cluster {
    folder: tempfile::TempDir,
    user: String,
    daemons: Vec<(&'static str, Child)>,
}

/// What Slurm needs, by Debian's names.
const SLURM: [(&str, &str); 4] =
    [("munged", "munge"), ("slurmctld", "slurmctld"), ("slurmd", "slurmd"), ("sbatch", "slurm-client")];

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // munged refuses a socket that not everybody can reach.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut key = [0; 128];
        File::open("/dev/urandom").unwrap().read_exact(&mut key).unwrap();
        fs::write(at("munge.key"), key).unwrap();
        fs::set_permissions(at("munge.key"), fs::Permissions::from_mode(0o600)).unwrap();
        ["state", "spool"].iter().for_each(|name| fs::create_dir(at(name)).unwrap());
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim().split('.').next().unwrap();
        let user = succeeds(10, Command::new("id").arg("-un")).trim().to_owned();
        // Both are free at the same time; nobody else is told.
        let ports = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [controller, node] = ports.map(|port| port.local_addr().unwrap().port());
        let conf = format!(
            "ClusterName=taunet\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={controller}\nSlurmdPort={node}\n\
             SlurmUser={user}\nSlurmdUser={user}\nAuthType=auth/munge\nAuthInfo=socket={socket}\n\
             StateSaveLocation={state}\nSlurmdSpoolDir={spool}\nSlurmctldPidFile={}\nSlurmdPidFile={}\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/none\n\
             AccountingStorageType=accounting_storage/none\nMpiDefault=none\nReturnToService=2\n\
             SchedulerType=sched/builtin\nSelectType=select/cons_tres\nSelectTypeParameters=CR_Core\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN\n\
             PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP\n",
            at("slurmctld.pid"),
            at("slurmd.pid"),
            socket = at("munge.socket"),
            state = at("state"),
            spool = at("spool"),
            cores = std::thread::available_parallelism().unwrap(),
        );
        fs::write(at("slurm.conf"), conf).unwrap();

        let mut cluster = Cluster { folder, user, daemons: Vec::new() };
        let at = |name: &str| cluster.folder.path().join(name).display().to_string();
        let socket = ["--socket".to_owned(), at("munge.socket"), "--key-file".to_owned(), at("munge.key")];
        let files = ["--pid-file".to_owned(), at("munged.pid"), "--seed-file".to_owned(), at("munge.seed")];
        let munged = [&["--foreground".to_owned()][..], &socket, &files].concat();
        let slurm = ["-D".to_owned(), "-f".to_owned(), at("slurm.conf")];
        let socket = cluster.folder.path().join("munge.socket");
        cluster.daemon("munged", &munged);
        cluster.wait(30, "munged makes its socket", |_| socket.exists());
        cluster.daemon("slurmctld", &slurm);
        cluster.daemon("slurmd", &slurm);
        cluster.wait(60, "the node is idle", |cluster| {
            let mut state = cluster.client("sinfo");
            within(30, state.args(["--noheader", "--format=%T"])).stdout == b"idle\n"
        });
        cluster
    }

    fn daemon(&mut self, name: &'static str, arguments: &[String]) {
        let log = File::create(self.log(name)).unwrap();
        let mut command = Command::new(installed(name).unwrap());
        command.args(arguments).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.daemons.push((name, command.spawn().unwrap()));
    }

    fn log(&self, daemon: &str) -> PathBuf {
        self.folder.path().join(format!("{daemon}.log"))
    }

    /// A command of Slurm's users.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.folder.path().join("slurm.conf"));
        command
    }

    /// Waits until something holds; a daemon that ends before is a failure.
    fn wait(&mut self, seconds: u64, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            for (name, child) in &mut self.daemons {
                assert!(child.try_wait().unwrap().is_none(), "{name} ended before {what}");
            }
            assert!(began.elapsed() < Duration::from_secs(seconds), "not within {seconds} s: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn has_no_jobs(&self) -> bool {
        let output = within(30, self.client("squeue").arg("--noheader"));
        output.status.success() && output.stdout.is_empty()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, _) in &self.daemons {
                eprintln!("{name}:\n{}", fs::read_to_string(self.log(name)).unwrap_or_default());
            }
            // Jobs would outlive the daemons.
            if self.daemons.len() == 3 {
                within(10, self.client("scancel").args(["--user", &self.user]));
                let began = Instant::now();
                while !self.has_no_jobs() && began.elapsed() < Duration::from_secs(10) {
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
        for (_, child) in self.daemons.iter_mut().rev() {
            // slurmctld ends a process of its own, if it may.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let began = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn slurm_runs_the_shards() {
    let missing: Vec<&str> =
        SLURM.iter().filter(|(name, _)| installed(name).is_none()).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        eprintln!("SKIPPED: no Slurm; install the packages `{}` to test its job file", missing.join(" "));
        return;
    }
    let study = Study::new("slurm");
    let mut cluster = Cluster::start();
    let mut submit = cluster.client("sbatch");
    submit.arg("--parsable").arg(study.job()).env("PATH", &study.path);
    succeeds(60, &mut submit);
    cluster.wait(300, "all jobs have ended", Cluster::has_no_jobs);
    let results = fs::read_dir(study.folder.path().join("by a scheduler")).unwrap();
    let is_log = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
    assert_eq!(results.map(|entry| entry.unwrap().path()).filter(is_log).count(), 3, "a log for each shard");
    study.check(["shard 0", "shard 1", "shard 2"]);
}
