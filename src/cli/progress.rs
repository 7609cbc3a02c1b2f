//! The progress bar: on standard error, and only on a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Global, Progress};
use crate::run::Stage;

/// A progress bar, or nothing.
pub(super) struct Bar(Option<ProgressBar>);

/// The bar counts parts of this many.
const WHOLE: u64 = 10_000;

impl Bar {
    /// A bar for the run of `name`, where the user wants and can see one.
    pub(super) fn new(global: &Global, name: &str) -> Self {
        if global.quiet || global.progress == Progress::Never || !std::io::stderr().is_terminal() {
            return Bar(None);
        }
        let bar = ProgressBar::with_draw_target(Some(WHOLE), ProgressDrawTarget::stderr());
        let template = "{prefix} [{bar:30}] {percent:>3} %  {msg}  {eta} left";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(Some(bar))
    }

    /// Shows how far a run is.
    pub(super) fn show(&self, stage: Stage<'_>) {
        let Some(bar) = &self.0 else { return };
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

    /// Takes the bar off the terminal.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
