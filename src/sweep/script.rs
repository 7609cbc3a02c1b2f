//! Job files that run a sweep on several machines: one process per shard.

use std::path::Path;

/// What runs the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Scheduler {
    /// An array job of Slurm: `sbatch FILE`
    Slurm,
    /// An indexed job of Kubernetes: `kubectl apply -f FILE`
    Kubernetes,
    /// GNU parallel: `sh FILE`
    Parallel,
}

/// A job file that runs `shards` shards of a sweep. `arguments` are those of `taunet`, without the shard; all paths in them
/// must be absolute.
pub fn script(
    scheduler: Scheduler,
    name: &str,
    arguments: &[String],
    directory: &Path,
    shards: u32,
) -> String {
    let line = |arguments: &[String]| {
        arguments.iter().map(|argument| in_shell(argument)).collect::<Vec<_>>().join(" ")
    };
    match scheduler {
        Scheduler::Slurm => format!(
            "#!/bin/sh\n\
             # Runs a sweep as an array of {shards} jobs: sbatch THIS_FILE\n\
             #SBATCH --job-name={job}\n\
             #SBATCH --array=0-{last}\n\
             #SBATCH --ntasks=1\n\
             #SBATCH --cpus-per-task=1\n\
             #SBATCH --output={log}\n\
             exec taunet {} --jobs \"${{SLURM_CPUS_PER_TASK:-1}}\"\n",
            line(arguments),
            job = dns_label(name),
            last = shards.saturating_sub(1),
            log =
                in_shell(&format!("{}/slurm-%A-%a.log", directory.display().to_string().replace('%', "%%"))),
        ),
        Scheduler::Parallel => format!(
            "#!/bin/sh\n\
             # Runs a sweep as {shards} processes, as many at a time as there are cores: sh THIS_FILE\n\
             # On several machines: add --sshlogin and --env TAUNET_SHARDS, with the directory shared.\n\
             TAUNET_SHARDS={shards}\n\
             export TAUNET_SHARDS\n\
             seq {shards} | parallel --max-args 0 --halt never {}\n",
            in_shell(&format!("taunet {} --jobs 1", line(arguments))),
        ),
        Scheduler::Kubernetes => kubernetes(name, arguments, directory, shards),
    }
}

/// Its folder is on a volume that all pods share. The image is the user's.
fn kubernetes(name: &str, arguments: &[String], directory: &Path, shards: u32) -> String {
    let mut all = arguments.to_vec();
    all.extend(["--jobs".to_owned(), "1".to_owned()]);
    let list: String = all.iter().map(|argument| format!("            - {}\n", in_yaml(argument))).collect();
    let volume = directory.parent().unwrap_or(directory).display().to_string();
    format!(
        "# Runs a sweep as an indexed job of {shards} pods: kubectl apply -f THIS_FILE\n\
         # Before: build an image that has taunet, and make a claim of a volume that all pods can write (ReadWriteMany) and\n\
         # that holds the sweep file and what it names, at the same paths.\n\
         apiVersion: batch/v1\n\
         kind: Job\n\
         metadata:\n  name: {name}\n\
         spec:\n  completions: {shards}\n  parallelism: {shards}\n  completionMode: Indexed\n  backoffLimit: 6\n  template:\n    spec:\n      \
         restartPolicy: Never\n      containers:\n        - name: taunet\n          image: taunet:{version}\n          command:\n            - taunet\n          \
         args:\n{list}          env:\n            - name: TAUNET_SHARDS\n              value: \"{shards}\"\n          volumeMounts:\n            - name: \
         sweeps\n              mountPath: {mount}\n      volumes:\n        - name: sweeps\n          persistentVolumeClaim:\n            claimName: \
         taunet-sweeps\n",
        name = dns_label(name),
        version = env!("CARGO_PKG_VERSION"),
        mount = in_yaml(&volume),
    )
}

/// A word of a POSIX shell.
pub(crate) fn in_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A string of YAML: JSON's strings are among them.
fn in_yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A name that Kubernetes and Slurm take: letters, digits and hyphens (RFC 1123), at most 50 of them.
fn dns_label(name: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let label: String = format!("taunet-{name}").chars().map(kept).take(50).collect();
    label.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(in_shell("a/b.toml"), "a/b.toml");
        assert_eq!(in_shell("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(in_shell(""), "''");
        assert_eq!(dns_label("Größe 2_"), "taunet-gr--e-2");
    }

    #[test]
    fn slurm_has_an_index_for_each_shard() {
        let arguments = ["sweep".to_owned(), "/a b/s.toml".to_owned()];
        let text = script(Scheduler::Slurm, "load", &arguments, Path::new("/an out"), 4);
        assert!(text.contains("#SBATCH --output='/an out/slurm-%A-%a.log'\n"), "{text}");
        assert!(
            text.contains("#SBATCH --array=0-3\n") && text.contains("exec taunet sweep '/a b/s.toml' --jobs")
        );
        let text = script(Scheduler::Parallel, "load", &arguments, Path::new("/out"), 4);
        assert!(text.contains("TAUNET_SHARDS=4\n") && text.contains("seq 4 | parallel"), "{text}");
    }
}
