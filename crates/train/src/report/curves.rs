//! The curves of a run: loss, learning rate and scores.

use std::path::{Path, PathBuf};

use super::chart::{Chart, Mark, Series};
use super::file;
use crate::error::{Error, Result};
use crate::trainer::History;

/// What share of the running mean of the loss is kept from step to step.
const SMOOTHING: f64 = 0.9;

/// The name under which objectives report the loss on the validation set.
const LOSS: &str = "loss";

/// The curves of a run, drawn from its history.
///
/// ```
/// use ragtune_train::report::Curves;
/// use ragtune_train::trainer::History;
///
/// let history = History::default();
/// let curves = Curves::new(&history);
/// assert!(curves.loss().to_svg().starts_with("<svg"));
/// assert!(curves.steps_csv()?.starts_with("step,epoch,loss"));
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Curves<'h> {
    history: &'h History,
}

impl<'h> Curves<'h> {
    /// The curves of a history.
    pub fn new(history: &'h History) -> Self {
        Self { history }
    }

    /// The loss of each step with its running mean, and the validation set's where it was measured under the name "loss".
    pub fn loss(&self) -> Chart {
        let training = self.history.steps.iter().map(|s| (s.number as f64, s.loss));
        let mut chart = Chart::new("Loss", "step", "loss")
            .with_series(Series::new("training", training).with_smoothing(SMOOTHING));
        let validation = self.score(LOSS);
        if !validation.is_empty() {
            let lowest = validation.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
            chart = chart.with_series(Series::new("validation", validation).with_dots());
            if let Some((x, y)) = lowest.filter(|(_, y)| y.is_finite()) {
                let text = format!("lowest {y:.4} at {x:.0}");
                chart = chart.with_mark(Mark { x, y, text });
            }
        }
        chart
    }

    /// The learning rate of each step.
    pub fn learning_rate(&self) -> Chart {
        let rates = self
            .history
            .steps
            .iter()
            .map(|s| (s.number as f64, s.learning_rate));
        Chart::new("Learning rate", "step", "learning rate").with_series(Series::new("learning rate", rates))
    }

    /// The length of all gradients together, before they were clipped, of each step.
    pub fn gradient_norm(&self) -> Chart {
        let norms = self
            .history
            .steps
            .iter()
            .map(|s| (s.number as f64, s.gradient_norm));
        Chart::new("Gradient norm", "step", "norm")
            .with_series(Series::new("gradient norm", norms).with_smoothing(SMOOTHING))
    }

    /// The scores of each evaluation but the loss, which has a chart with the training loss; the best value of the first
    /// score is pointed out.
    pub fn scores(&self) -> Chart {
        let mut chart = Chart::new("Validation scores", "step", "score");
        let names = self.score_names();
        for name in names.iter().filter(|name| *name != LOSS) {
            chart = chart.with_series(Series::new(name.clone(), self.score(name)).with_dots());
        }
        let best = self.history.evaluations.iter().reduce(|best, next| {
            if next.scores.beats(best.scores.first()) {
                next
            } else {
                best
            }
        });
        if let (Some(best), Some(name)) = (best, names.first().filter(|name| *name != LOSS)) {
            chart = chart.with_mark(Mark {
                x: best.step as f64,
                y: best.scores.first(),
                text: format!("best {name} {:.4} at {}", best.scores.first(), best.step),
            });
        }
        chart
    }

    /// The steps as CSV: step, epoch, loss, learning_rate, gradient_norm, tokens.
    ///
    /// # Errors
    /// None in practice; the writer's own.
    pub fn steps_csv(&self) -> Result<String> {
        let header = [
            "step",
            "epoch",
            "loss",
            "learning_rate",
            "gradient_norm",
            "tokens",
        ];
        let rows = self.history.steps.iter().map(|step| {
            vec![
                step.number.to_string(),
                step.epoch.to_string(),
                step.loss.to_string(),
                step.learning_rate.to_string(),
                step.gradient_norm.to_string(),
                step.tokens.to_string(),
            ]
        });
        csv(header.map(str::to_owned).to_vec(), rows)
    }

    /// The evaluations as CSV: step, then a column for each score; empty where an evaluation has no such score.
    ///
    /// # Errors
    /// None in practice; the writer's own.
    pub fn evaluations_csv(&self) -> Result<String> {
        let names = self.score_names();
        let header = std::iter::once("step".to_owned()).chain(names.iter().cloned());
        let rows = self.history.evaluations.iter().map(|evaluation| {
            let value = |name: &String| {
                let value = evaluation.scores.get(name);
                value.map(|value| value.to_string()).unwrap_or_default()
            };
            std::iter::once(evaluation.step.to_string())
                .chain(names.iter().map(value))
                .collect()
        });
        csv(header.collect(), rows)
    }

    /// Writes `loss.svg`, `learning-rate.svg`, `gradient-norm.svg`, `steps.csv`, and where the model was evaluated
    /// `scores.svg` and `evaluations.csv`, into a folder, which is made where it is missing; gives the files' paths.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let mut files = vec![
            ("loss.svg", self.loss().to_svg()),
            ("learning-rate.svg", self.learning_rate().to_svg()),
            ("gradient-norm.svg", self.gradient_norm().to_svg()),
            ("steps.csv", self.steps_csv()?),
        ];
        if !self.history.evaluations.is_empty() {
            files.push(("evaluations.csv", self.evaluations_csv()?));
            if self.score_names().iter().any(|name| name != LOSS) {
                files.push(("scores.svg", self.scores().to_svg()));
            }
        }
        let write = |(name, text): (&str, String)| {
            let path = folder.join(name);
            file::write(&path, &text).map(|()| path)
        };
        files.into_iter().map(write).collect()
    }

    /// The names of all scores, in the order in which they come up.
    fn score_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in self.history.evaluations.iter().flat_map(|e| e.scores.iter()) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    fn score(&self, name: &str) -> Vec<(f64, f64)> {
        let evaluations = self.history.evaluations.iter();
        evaluations
            .filter_map(|e| e.scores.get(name).map(|value| (e.step as f64, value)))
            .collect()
    }
}

fn csv(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| Error::invalid("curves", error.to_string());
    writer.write_record(&header).map_err(failed)?;
    for row in rows {
        writer.write_record(&row).map_err(failed)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| Error::invalid("curves", error.error().to_string()))?;
    String::from_utf8(bytes).map_err(|error| Error::invalid("curves", error.to_string()))
}
