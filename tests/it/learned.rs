//! The included models: in a network, on both engines, and their accuracy.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assert_cmd::Command;
use taunet::capture::Options as CaptureOptions;
use taunet::compare::compare_runs;
use taunet::engine::{Engine, Settings, Unwatched, simulate};
use taunet::learn::data::load;
use taunet::learn::evaluate::evaluate;
use taunet::learn::spec::{ArchitectureKind, TrainingFile};
use taunet::ptm::neural::{Architecture, Model, Output};
use taunet::run::{RunOptions, run};
use taunet::scenario::Scenario;
use taunet::table::Format;

use crate::generated::injections;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn go_on(_: &str) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The switch with deficit round robin, but learned, for 3 s of Markovian arrivals.
fn learned_switch(folder: &Path, output: &str) -> Scenario {
    let text = fs::read_to_string(root("training/topologies/drr.toml")).unwrap();
    let (before, rest) = text.split_once("[defaults.switch.ptm]").unwrap();
    let (_, after) = rest.split_once("\n]\n").unwrap();
    let model = root("models/general.safetensors");
    let ptm = format!(
        "[defaults.switch.ptm]\nkind = \"neural\"\nmodel = {model:?}\ncontext = \"drr\"\noutput = \"{output}\"\n"
    );
    let topology = folder.join("learned.toml");
    fs::write(&topology, [before, &ptm, after].concat()).unwrap();
    let set = [format!("topology={}", topology.display()), "until=3 s".to_owned()];
    Scenario::load(&root("training/map.toml"), &set, Some(3)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn both_engines_do_the_same_with_learned_ports() {
    let folder = tempfile::tempdir().unwrap();
    for output in ["sample", "median", "mean"] {
        let scenario = learned_switch(folder.path(), output);
        for file in ["models/general.safetensors", "models/general.toml"] {
            assert!(scenario.inputs.contains(&root(file)), "{file} is no input: {:?}", scenario.inputs);
        }
        let outcome = |engine, threads| {
            let settings = Settings {
                until: scenario.until,
                seed: scenario.seed,
                engine,
                threads,
                ..Settings::default()
            };
            let injections = injections(&scenario, scenario.seed);
            simulate(Arc::clone(&scenario.topology), injections, settings, Unwatched).unwrap()
        };
        let event = outcome(Engine::Event, 1);
        assert!(event.hops > 30_000);
        assert_eq!(outcome(Engine::Stream, 1), event, "{output}");
        assert_eq!(outcome(Engine::Stream, 2), event, "{output}, two threads");
    }
}

#[test]
fn the_general_model_is_close_on_what_it_has_not_seen() {
    let mut file = TrainingFile::load(&root("training/models/general-test.toml"), &[]).unwrap();
    for data in &mut file.data {
        let data = data.get_mut();
        // Less of it, and another seed.
        let until = if data.title().contains("10 times") { "until=400 ms" } else { "until=4 s" };
        data.set.extend(["seed=5".to_owned(), until.to_owned()]);
    }
    let (sources, contexts) = load(&file, go_on).unwrap_or_else(|error| panic!("{error}"));
    let model = Arc::new(Model::load(&root("models/general.safetensors")).unwrap());
    let evaluations =
        evaluate(&model, &file.split, &sources, &contexts, &Output::ALL, || ControlFlow::Continue(()))
            .unwrap();
    assert_eq!(evaluations.len(), 3 * sources.len());
    for evaluation in evaluations {
        let (pearson, w1) = (evaluation.score.pearson.unwrap(), evaluation.score.w1_normalized.unwrap());
        let (least, most) = match evaluation.data.as_str() {
            "fifo, 10 times" | "fifo, 8 ports" => (0.999, 0.005),
            data if data.starts_with("fifo") => (0.9995, 0.002),
            _ => (0.98, 0.0079),
        };
        assert!(pearson >= least && w1 <= most, "{} {}: {pearson} {w1}", evaluation.data, evaluation.output);
        assert_eq!((evaluation.score.lost, evaluation.score.lost_simulated), (0, 0));
    }
}

/// The scenario that ships, against the discipline that its model learned.
#[test]
fn the_learned_switch_does_what_its_discipline_does() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root("topologies/learned-switch.toml")).unwrap();
    let learned = "ptm = { kind = \"neural\", model = \"../models/general.safetensors\", context = \"drr\" }";
    let exact = "ptm = { kind = \"drr\", class = [{ match = { dscp = 0 }, quantum = \"4500 B\" }, \
                 { match = { dscp = 1 }, quantum = \"3000 B\" }, { match = { dscp = 2 }, quantum = \"1500 B\" }] }";
    assert!(text.contains(learned));
    let topology = folder.path().join("exact.toml");
    fs::write(&topology, text.replace(learned, exact)).unwrap();
    let simulate = |name: &str, set: &[String]| {
        let scenario = Scenario::load(&root("scenarios/learned-switch.toml"), set, None).unwrap();
        let out = folder.path().join(name);
        let options = RunOptions {
            out: out.clone(),
            replace: false,
            format: Format::Parquet,
            capture: CaptureOptions::default(),
            overrides: Vec::new(),
            engine: None,
            threads: 0,
        };
        run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap();
        out
    };
    let learned = simulate("learned", &[]);
    let exact = simulate("exact", &[format!("topology={}", topology.display())]);
    let comparison = compare_runs(&exact, &learned).unwrap();
    assert_eq!((comparison.matched, comparison.only_first, comparison.only_second), (40_140, 0, 0));
    let agreement = comparison.delays.unwrap().agreement;
    let (w1, pearson) = (agreement.w1_normalized.unwrap(), agreement.pearson.unwrap());
    assert!(w1 < 0.004 && pearson > 0.9995, "w1_normalized {w1}, pearson {pearson}");
}

#[test]
fn a_training_file_can_be_changed_and_cut_down() {
    let set = ["training.epochs=3", "architecture=deepqueuenet"].map(str::to_owned);
    let path = root("training/models/general.toml");
    let mut file = TrainingFile::load(&path, &set).unwrap();
    assert_eq!((file.training.epochs, file.architecture), (3, ArchitectureKind::DeepQueueNet));
    file.only(&["drr".to_owned()]).unwrap();
    assert_eq!(file.data.iter().map(|data| data.get_ref().title()).collect::<Vec<_>>(), ["drr"]);
    assert_eq!(file.only(&["wrr".to_owned()]).unwrap_err(), "there are no data called `wrr`; expected `drr`");

    let check = |set: &str| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_taunet")).arg("check").arg(&path).args(["--set", set]).output();
        let output = output.unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    assert!(check("architecture=deepqueuenet").contains("training of `deepqueuenet`"));
    assert!(check("architecture=deepqueunet").contains("did you mean `deepqueuenet`?"));
}

#[test]
fn the_model_of_the_recorded_device_found_its_quanta() {
    let model = Model::load(&root("models/htb-drr.safetensors")).unwrap();
    let Architecture::Residual(card) = &model.card.architecture else { panic!("a residual model") };
    let found = card.context[0].class.iter().map(|share| share.kept_turn_bytes);
    for (found, quantum) in found.zip([1500.0, 3000.0, 6000.0]) {
        assert!((found - quantum).abs() < 0.005 * quantum, "{found} for {quantum}");
    }
    assert_eq!(card.pace.rate().unwrap().as_bps(), 20_000_000);
}

fn taunet() -> Command {
    Command::new(env!("CARGO_BIN_EXE_taunet"))
}

#[test]
fn mistakes_are_told_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.toml");
    let told = |text: &str, out: &str| {
        fs::write(&path, text).unwrap();
        let out = folder.path().join(out);
        let output =
            taunet().args(["train".as_ref(), path.as_os_str(), "-o".as_ref(), out.as_os_str()]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!out.exists());
        String::from_utf8(output.stderr).unwrap()
    };
    let two =
        "[[data]]\nscenario = \"a.toml\"\nports = [\"r1:0\"]\ndeepqueuenet = \"b.csv\"\nrate = \"1 Mbps\"";
    let text = told(two, "model.safetensors");
    assert!(
        text.contains("training.toml:1:1") && text.contains("has one of `captures`, `scenario`"),
        "{text}"
    );
    let typo = "[[data]]\nscenari = \"a.toml\"";
    assert!(told(typo, "model.safetensors").contains("did you mean `scenario`"), "{typo}");
    let parts = "[split]\ntrain = 0.9\nvalidation = 0.2\n[[data]]\nscenario = \"a.toml\"\nports = [\"r1:0\"]";
    assert!(told(parts, "model.safetensors").contains("fractions of `split` are invalid"));
    let missing = "[[data]]\nscenario = \"a.toml\"\nports = [\"r1:0\"]";
    assert!(told(missing, "training.safetensors").contains("would replace the training file"));
    assert!(told(missing, "model.safetensors").contains("no such file"));
}

#[test]
fn check_says_what_a_training_file_holds() {
    let path = root("training/models/general.toml");
    let check = |options: &[&str]| {
        let output = taunet().arg("check").args(options).arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let line =
        "training of `residual`: 3 classes; 5 data sources; train `fifo`, `priority`, `wrr`, `drr`, `wfq`";
    assert_eq!(check(&[]), format!("{}: {line}\n", path.display()));
    let json: serde_json::Value = serde_json::from_str(&check(&["--json"])).unwrap();
    let data = &json[0]["data"][4];
    assert_eq!((&json[0]["kind"], &json[0]["architecture"]), (&"training".into(), &"residual".into()));
    assert_eq!(
        (&data["name"], &data["part"], &data["context"]),
        (&"wfq".into(), &"train".into(), &"wfq".into())
    );
    assert_eq!((data["files"].as_array().unwrap().len(), &data["ports"][3]), (1, &"s0:7".into()));
}

#[test]
fn a_missing_model_is_told_at_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("topology.toml");
    let text = "name = \"t\"\n[[device]]\nname = \"a\"\nkind = \"switch\"\n[[device]]\nname = \"b\"\nkind = \"host\"\n\
                [[link]]\nbetween = [\"a:0\", \"b:0\"]\nbandwidth = \"1 Mbps\"\nptm = { kind = \"neural\", model = \"no.safetensors\" }\n";
    fs::write(&path, text).unwrap();
    let output = taunet().args(["check".as_ref(), path.as_os_str()]).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("topology.toml:11:") && text.contains("no.safetensors: no such file"), "{text}");
}
