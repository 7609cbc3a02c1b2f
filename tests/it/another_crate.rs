//! A crate outside the repository: it builds against taunet without `cli`, defines a discipline and a source
//! with names for TOML, and runs them on both engines. taunet checks the contracts in it, as in debug builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TOPOLOGY: &str = r#"
name = "pair"

[[device]]
name = "a"
kind = "host"

[[device]]
name = "b"
kind = "host"

[[device]]
name = "s"
kind = "switch"
ptm = { kind = "deadline", patience = "500 us" }

[[link]]
between = ["a:0", "s:0"]
bandwidth = "1 Gbps"

[[link]]
between = ["s:1", "b:0"]
bandwidth = "10 Mbps"
"#;

const SCENARIO: &str = r#"
name = "bursts"
topology = "topology.toml"

[[traffic]]
kind = "bursts"
from = "a"
to = "b"
every = "20 ms"
length = 5
bursts = 40
"#;

/// The crate, built.
fn program(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    // As the repository builds its dependencies, so that they are not built once more; taunet itself quickly.
    let profiles: String = own
        .split_inclusive('\n')
        .skip_while(|line| !line.starts_with("[profile."))
        .collect::<String>()
        .replace("[profile.release.package.taunet]", "[profile.release.package.nobody]");
    let profiles = profiles.split("[profile.release.package.nobody]").next().unwrap_or_default();
    let manifest = format!(
        "[package]\nname = \"another-crate\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [[bin]]\nname = \"program\"\npath = \"program.rs\"\n\n\
         [dependencies]\nserde = \"1\"\ntaunet = {{ path = {root:?}, default-features = false }}\n\n\
         {profiles}\n[profile.release.package.taunet]\nopt-level = 0\ncodegen-units = 16\ndebug-assertions = true\n\n\
         [profile.release.package.another-crate]\nopt-level = 0\n",
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    fs::copy(root.join("tests/another-crate/program.rs"), folder.join("program.rs")).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let built = Command::new(env!("CARGO"))
        .current_dir(folder)
        .args(["build", "--release", "--offline"])
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    target.join("release/program")
}

/// Runs it with these files.
fn run(program: &Path, engine: &str, topology: &str, scenario: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("topology.toml"), topology).unwrap();
    let path = folder.path().join("scenario.toml");
    fs::write(&path, scenario).unwrap();
    Command::new(program).arg(path).arg(engine).output().unwrap()
}

#[test]
fn a_crate_outside_plugs_in_its_own_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let runs = ["event", "stream"].map(|engine| {
        let ran = run(&program, engine, TOPOLOGY, SCENARIO);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    });
    assert_eq!(runs[0], runs[1]);
    // Of a burst the first goes at once; the others would wait for 792 us and more.
    assert!(runs[0].starts_with("200 rows of packets\n40 delivered, 160 dropped\n"), "{}", runs[0]);

    let breaks = [
        (
            TOPOLOGY.replace("\"500 us\"", "\"500 us\", keeps_what_it_loses = true"),
            SCENARIO.to_owned(),
            "does not wait there",
        ),
        (
            TOPOLOGY.to_owned(),
            SCENARIO.replace("length", "backwards = true\nlength"),
            "its packets must be in order of time",
        ),
    ];
    for (topology, scenario, says) in breaks {
        for engine in ["event", "stream"] {
            let ran = run(&program, engine, &topology, &scenario);
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            assert!(!ran.status.success() && said.contains(says), "{engine}: {said}");
        }
    }
}
