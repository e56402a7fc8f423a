//! What a run came to: a table, one JSON object, files.

use std::fs;

use ragtune::retrieve::measure::Comparison;
use ragtune::training_data::TrainingDataReport;
use serde::Serialize;

use super::args::Args;
use crate::{Outcome, output, table};

/// The object of `--json` and of `loop.json`.
#[derive(Serialize)]
pub struct Report {
    pub folder: String,
    pub encoder: String,
    pub data: TrainingDataReport,
    pub steps: usize,
    pub train_seconds: f64,
    pub trainable: usize,
    /// Means over the first and the last tenth of the steps.
    pub loss: (f64, f64),
    pub measured: Vec<Measured>,
    pub promoted: bool,
    /// Why not.
    pub refusal: Option<String>,
    pub model: String,
}

/// The tuned encoder (`first`) beside the one before (`second`) in one measure.
#[derive(Clone, Serialize)]
pub struct Measured {
    pub on: String,
    pub questions: usize,
    pub mode: String,
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// Writes the files, and prints.
///
/// # Errors
/// Files that cannot be written.
pub fn write(args: &Args, report: &Report) -> Outcome {
    let json = serde_json::to_string_pretty(report)?;
    fs::write(args.out.join("loop.json"), json + "\n")?;
    if args.json {
        return output::json(report);
    }
    let mut rows = Vec::new();
    for measured in &report.measured {
        let Comparison {
            measure,
            first,
            second,
            difference,
            randomisation_p,
        } = &measured.comparison;
        let interval = &difference.interval;
        rows.push(vec![
            format!(
                "{} ({}), {}, {measure}",
                measured.on, measured.questions, measured.mode
            ),
            format!("{second:.4}"),
            format!("{first:.4}"),
            format!("{:+.4}", interval.estimate),
            format!("{:+.4}..{:+.4}", interval.low, interval.high),
            format!("{randomisation_p:.4}"),
        ]);
    }
    let header = [
        "measured on",
        "before",
        "after",
        "difference",
        "within (95 %)",
        "p",
    ];
    output::piece(table::render(&header, &rows))?;
    output::line(format_args!(
        "\n{} pairs, {} steps, {:.0} s; loss {:.3} at first, {:.3} at last",
        report.data.train.pairs, report.steps, report.train_seconds, report.loss.0, report.loss.1
    ))?;
    match &report.refusal {
        None => output::line(format_args!(
            "promoted: the base now searches with {}",
            report.model
        )),
        Some(refusal) => output::line(format_args!("refused: {refusal}")),
    }
}
