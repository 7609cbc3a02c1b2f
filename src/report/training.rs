//! The page of a training: loss over epochs, scores of the model, predicted against measured delays.

use std::path::Path;

use maud::html;
use serde_json::json;

use super::page::{Chart, Page, charts, rows, text};
use super::rows::{Cell, Table};
use super::text::{count, seconds};
use crate::ptm::neural::Card;

const LOSS: Chart = Chart {
    kind: "loss",
    title: "Loss",
    note: "Mean loss of each epoch on the training part, and after it on the validation part.",
    wide: true,
};
const SCATTER: Chart = Chart {
    kind: "scatter",
    title: "Predicted against measured delay",
    note: "A dot is a packet. On the diagonal, both delays are equal.",
    wide: false,
};

/// Delays of some packets of a source of data, as measured and as predicted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scatter {
    /// The source and its part.
    pub title: String,
    /// Measured delays in seconds, ascending.
    pub measured_s: Vec<f64>,
    /// Predicted delays in seconds, of the same packets.
    pub predicted_s: Vec<f64>,
}

/// The page of the training of the model `path`, whose card is `card`.
pub fn training_page(path: &Path, card: &Card, scatters: &[Scatter]) -> String {
    let training = &card.training;
    let content = html! {
        section id="training" {
            h2 { "Training" }
            p {
                code { (text(&card.command)) } ", seed " (card.seed) ": " (count(training.parameters)) " weights, "
                (training.epochs_in_all) " epochs in " (seconds(training.seconds)) "; the weights are those of epoch "
                (training.epochs) "."
            }
            (charts("loss", &[LOSS]))
        }
        section id="scores" { h2 { "Scores" } (rows("Scores", &scores(card))) }
        section id="packets" {
            h2 { "Packets" }
            @for (number, scatter) in scatters.iter().enumerate() {
                h3 { (text(&scatter.title)) }
                (charts(&format!("scatters.{number}"), &[SCATTER]))
            }
        }
        section id="data" { h2 { "Data" } (rows("Data", &data(card))) }
    };
    let scatters = scatters
        .iter()
        .map(|scatter| json!({ "measured": scatter.measured_s, "simulated": scatter.predicted_s }));
    let points = json!({
        "loss": { "training": training.loss, "validation": training.validation_loss },
        "scatters": scatters.collect::<Vec<_>>(),
    });
    let page = Page {
        name: &path.file_stem().unwrap_or_default().to_string_lossy(),
        from: &format!("taunet {} - a model of the architecture {}", card.taunet, card.architecture.name()),
        sections: &[],
        content,
        points: &points,
    };
    page.into_html()
}

/// The scores of the card; a name is that of the data, the part and the output.
fn scores(card: &Card) -> Table {
    let figure = |value: Option<f64>| Cell::number(value, |value| format!("{value:.5}"));
    let whole = |value: u64| Cell::number(Some(value as f64), |value| count(value as u64));
    let rows: Vec<Vec<Cell>> = card
        .scores
        .iter()
        .map(|(name, score)| {
            vec![
                Cell::text(name.as_str()),
                whole(score.packets),
                figure(score.pearson),
                figure(score.w1_normalized),
                Cell::number(Some(score.mae_us), |us| seconds(us * 1e-6)),
                Cell::number(Some(score.mean_us), |us| seconds(us * 1e-6)),
                whole(score.lost_simulated),
                whole(score.lost),
            ]
        })
        .collect();
    let columns = vec![
        ("data", "Source of data, part, and how the model was run"),
        ("packets", "Packets that left both in the model and in the recording"),
        ("pearson", "Pearson's correlation of predicted and measured delays"),
        ("w1_normalized", "Wasserstein-1 distance of both distributions over the mean measured delay"),
        ("mean error", "Mean absolute error of single packets"),
        ("mean delay", "Mean measured delay"),
        ("lost, predicted", "Packets that the model drops"),
        ("lost, measured", "Packets that were lost"),
    ];
    Table { columns, total: rows.len(), rows }
}

/// The data of training and test.
fn data(card: &Card) -> Table {
    let rows: Vec<Vec<Cell>> = card
        .data
        .iter()
        .flat_map(|data| {
            data.files.iter().map(|(file, sha256)| {
                [data.name.as_str(), data.part.as_str(), file, sha256].map(Cell::text).to_vec()
            })
        })
        .collect();
    let columns = vec![
        ("data", "Its name in the training file"),
        ("part", "Its use: training, validation or test"),
        ("file", "Folder and file"),
        ("SHA-256", "Of the file"),
    ];
    Table { columns, total: rows.len(), rows }
}
