//! Measures the accuracy of learned PTMs on single devices that they were not trained on: simulated switches
//! and recorded routers.
//!
//! ```sh
//! cargo bench --features train --bench learned_devices
//! cargo bench --features train --bench learned_devices -- --reference runs/deepqueuenet --until '2 s'
//! ```
//!
//! It evaluates the general model of `models/` on every row of `training/models/general-test.toml`, and a
//! model trained here on each training file of recordings whose captures are present
//! (`scenarios/captures/README.md` gives the sources of the others). Options:
//!
//! - `--reference`: a folder with other models for comparison: `fifo.safetensors` and so on for each
//!   discipline, and one named after each training file.
//! - `--until`: shortens the simulated tests, for slow models.
//! - `--only`: selects the rows whose name contains a text.
//! - `--seeds` (default: 1): number of seeds for training on recordings.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taunet::learn::data::{Dataset, load};
use taunet::learn::evaluate::{Evaluation, evaluate};
use taunet::learn::spec::TrainingFile;
use taunet::learn::train::{Run, card, train_residual};
use taunet::ptm::neural::{Architecture, Model, Output};

const SIMULATED: &str = "training/models/general-test.toml";
const GENERAL: &str = "models/general.safetensors";
const RECORDED: &[&str] =
    &["htb-priority", "htb-drr", "htb-drr-70", "htb-4-ports", "tbf-4-ports", "tbf-drops"];
/// The output modes that are shown.
const OUTPUTS: [Output; 2] = [Output::Sample, Output::Mean];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let only = option("--only").unwrap_or_default();
    let seeds: u64 = option("--seeds").map_or(1, |text| text.parse().expect("--seeds is a whole number"));
    let reference = option("--reference").map(PathBuf::from);
    let reference = |name: &str| {
        let path = reference.as_ref()?.join(name).with_extension("safetensors");
        path.exists().then(|| model(&path))
    };
    println!(
        "| data | packets | mean delay [us] | lost | lost, model | pearson, sample | w1_normalized | pearson, mean | w1_normalized | packets/s \
         | reference, pearson, sample | w1_normalized | pearson, mean | w1_normalized | packets/s |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    );

    let mut tests = read(Path::new(SIMULATED), &[]);
    tests.data.retain(|data| data.get_ref().title().contains(&only));
    let general = model(Path::new(GENERAL));
    for index in 0..tests.data.len() {
        let mut file = tests.clone();
        file.data = vec![tests.data[index].clone()];
        let data = file.data[0].get_mut();
        data.set.extend(option("--until").map(|until| format!("until={until}")));
        let discipline = data.context.clone().unwrap_or_default();
        let (sources, contexts) = sources(&file);
        let other = reference(&discipline);
        print_rows("", &file, &sources, &contexts, &general, other.as_ref());
    }
    for name in RECORDED.iter().filter(|name| name.contains(&only)) {
        let path = PathBuf::from(format!("training/models/{name}.toml"));
        let other = reference(name);
        for seed in 1..=seeds {
            let mut file = read(&path, &[format!("seed={seed}")]);
            file.data.retain(|data| data.get_ref().files().all(|path| path.get_ref().exists()));
            if file.data.is_empty() {
                eprintln!("{name}: its captures are not there");
                break;
            }
            let (sources, contexts) = sources(&file);
            let run = Run::default();
            let trained = train_residual(&file, &sources, &contexts, &run, |_| ControlFlow::Continue(()));
            let (residual, training, tensors) = trained.unwrap_or_else(|error| panic!("{error}"));
            let (card, bytes) =
                card(&file, &sources, Architecture::Residual(residual), training, &tensors, String::new());
            let model = Model::from_bytes(card, &bytes).unwrap_or_else(|error| panic!("{error}"));
            let title = if seeds > 1 { format!(", seed {seed}") } else { String::new() };
            let other = other.as_ref().filter(|_| seed == 1);
            print_rows(&title, &file, &sources, &contexts, &Arc::new(model), other);
        }
    }
}

fn read(path: &Path, set: &[String]) -> TrainingFile {
    TrainingFile::load(path, set).unwrap_or_else(|error| panic!("{error}"))
}

fn model(path: &Path) -> Arc<Model> {
    Arc::new(Model::load(path).unwrap_or_else(|error| panic!("{error}")))
}

fn sources(file: &TrainingFile) -> (Vec<Dataset>, Vec<String>) {
    load(file, |_| ControlFlow::Continue(())).unwrap_or_else(|error| panic!("{error}"))
}

/// One row for the test part of each source, with both models.
fn print_rows(
    title: &str,
    file: &TrainingFile,
    sources: &[Dataset],
    contexts: &[String],
    model: &Arc<Model>,
    other: Option<&Arc<Model>>,
) {
    let evaluations = |model: &Arc<Model>| -> Vec<Evaluation> {
        let all = evaluate(model, &file.split, sources, contexts, &OUTPUTS, || ControlFlow::Continue(()));
        let all = all.unwrap_or_else(|error| panic!("{error}"));
        all.into_iter().filter(|evaluation| evaluation.part == "test").collect()
    };
    let (own, others) = (evaluations(model), other.map(evaluations).unwrap_or_default());
    let by = |of: &[Evaluation], data: &str, output: Output| {
        of.iter().find(|it| it.data == data && it.output == output.name()).cloned()
    };
    let figure = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.5}"));
    let closeness = |evaluation: Option<Evaluation>| {
        let score = evaluation.map(|evaluation| evaluation.score);
        let pearson = score.and_then(|score| score.pearson);
        let w1 = score.and_then(|score| score.w1_normalized);
        format!("{} | {}", figure(pearson), figure(w1))
    };
    let speed = |evaluation: Option<Evaluation>| {
        evaluation.map_or("-".to_owned(), |evaluation| format!("{:.0}", evaluation.packets_per_s))
    };
    for Evaluation { data, score, .. } in own.iter().filter(|it| it.output == Output::Sample.name()) {
        let of = |evaluations: &[Evaluation]| {
            let [sample, mean] = OUTPUTS.map(|output| by(evaluations, data, output));
            format!("{} | {} | {}", closeness(sample.clone()), closeness(mean), speed(sample))
        };
        println!(
            "| {data}{title} | {} | {:.0} | {} | {} | {} | {} |",
            score.packets,
            score.mean_us,
            score.lost,
            score.lost_simulated,
            of(&own),
            of(&others),
        );
    }
}
