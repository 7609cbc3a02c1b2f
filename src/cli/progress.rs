//! The progress bar, or the lines of `-v`, on standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Global;
use super::error::to_stderr;
use crate::run::Stage;

/// How a run shows its progress.
pub(super) enum Bar {
    /// Not at all.
    Silent,
    /// A line as each stage begins.
    Lines { stage: String },
    /// A bar.
    Drawn(ProgressBar),
}

/// The number of steps of the bar.
const WHOLE: u64 = 10_000;

impl Bar {
    /// A bar for the run of `name` where one is drawn; lines for `-v`.
    pub(super) fn new(global: &Global, name: &str) -> Self {
        if global.verbose {
            return Bar::Lines { stage: String::new() };
        }
        if !global.draws_progress() {
            return Bar::Silent;
        }
        let bar = ProgressBar::with_draw_target(Some(WHOLE), ProgressDrawTarget::stderr());
        let template = "{prefix} [{bar:30}] {percent:>3} %  {msg}  {eta} left";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar::Drawn(bar)
    }

    /// Shows the progress of a run.
    pub(super) fn show(&mut self, now: Stage<'_>) {
        match self {
            Bar::Silent => {}
            Bar::Lines { stage } => {
                let next = match now {
                    Stage::Simulating(_) => "simulating".to_owned(),
                    Stage::Comparing(capture) => format!("comparing with {}", capture.display()),
                };
                if *stage != next {
                    to_stderr(&next);
                    *stage = next;
                }
            }
            Bar::Drawn(bar) => draw(bar, now),
        }
    }

    /// Clears the bar.
    pub(super) fn clear(&self) {
        if let Bar::Drawn(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn draw(bar: &ProgressBar, stage: Stage<'_>) {
    match stage {
        Stage::Simulating(progress) => {
            let rate = progress.injected as f64 / bar.elapsed().as_secs_f64().max(1e-3);
            bar.set_message(format!(
                "{:.3} s simulated, {:.2} M packets/s",
                progress.time.as_seconds_f64(),
                rate / 1e6
            ));
            if let Some(fraction) = progress.fraction {
                bar.set_position((fraction.clamp(0.0, 1.0) * WHOLE as f64) as u64);
            }
        }
        Stage::Comparing(capture) => bar.set_message(format!("comparing with {}", capture.display())),
    }
}
/// How a training shows its progress.
#[cfg(feature = "train")]
pub(super) enum TrainingBar {
    /// Not at all.
    Silent,
    /// A line per pass.
    Lines,
    /// A bar over the maximum number of passes.
    Drawn(ProgressBar, Option<f64>),
}

#[cfg(feature = "train")]
impl TrainingBar {
    /// A bar for so many passes.
    pub(super) fn new(global: &Global, epochs: u32) -> Self {
        if global.verbose {
            return TrainingBar::Lines;
        }
        if !global.draws_progress() {
            return TrainingBar::Silent;
        }
        let bar =
            ProgressBar::with_draw_target(Some(u64::from(epochs) * WHOLE), ProgressDrawTarget::stderr());
        let template = "[{bar:30}] {msg}  {eta} left at most";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.enable_steady_tick(Duration::from_millis(200));
        TrainingBar::Drawn(bar, None)
    }

    /// Shows the progress of the training.
    pub(super) fn show(&mut self, progress: crate::learn::passes::Progress) {
        use crate::learn::passes::Progress;
        match (self, progress) {
            (TrainingBar::Silent, _) | (TrainingBar::Lines, Progress::Batch(..)) => {}
            (TrainingBar::Lines, Progress::Epoch(epoch)) => to_stderr(&format!(
                "pass {}: loss {:.5}, validation {:.5}{}",
                epoch.number,
                epoch.loss,
                epoch.validation_loss,
                if epoch.best { ", the best so far" } else { "" }
            )),
            (TrainingBar::Drawn(bar, validation), Progress::Batch(done, of, loss)) => {
                let passes = bar.position() / WHOLE;
                bar.set_position(passes * WHOLE + (done as u64 * (WHOLE - 1)) / of.max(1) as u64);
                let validation = validation.map_or("-".to_owned(), |loss| format!("{loss:.5}"));
                bar.set_message(format!("pass {}: loss {loss:.5}, validation {validation}", passes + 1));
            }
            (TrainingBar::Drawn(bar, validation), Progress::Epoch(epoch)) => {
                bar.set_position(u64::from(epoch.number) * WHOLE);
                *validation = Some(epoch.validation_loss);
            }
        }
    }

    /// Clears the bar.
    pub(super) fn clear(&self) {
        if let TrainingBar::Drawn(bar, _) = self {
            bar.finish_and_clear();
        }
    }
}
