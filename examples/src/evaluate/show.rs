//! What a run found out, on the terminal and as JSON.

use std::path::Path;

use ragtune::evaluate::Evaluation;
use serde_json::{Value, json};

use super::args::Args;
use crate::number::count;
use crate::{Outcome, output};

/// Prints the measures as tables.
///
/// # Errors
/// Standard output cannot be written.
pub fn show(evaluation: &Evaluation, folder: &Path) -> Outcome {
    let counts = evaluation.counts;
    output::line(output::printable(&format!(
        "{}: {}, {} answered, {} abstained, {} failed\n",
        evaluation.name,
        count(counts.questions, "question"),
        counts.answered,
        counts.abstained,
        counts.failed
    )))?;
    output::piece(evaluation.table())?;
    if !evaluation.absent.is_empty() {
        output::line("")?;
        output::piece(evaluation.absent_table())?;
    }
    for note in &evaluation.notes {
        output::line(format_args!("\n{note}"))?;
    }
    if let Some(unknown) = evaluation.unknown_sources.first() {
        let count = evaluation.unknown_sources.len();
        let text = format!(
            "{count} right sources do not exist, {:?} first; they count as missed",
            unknown.document
        );
        output::line(format_args!("\n{}", output::printable(&text)))?;
    }
    if let Some(bytes) = evaluation.peak_bytes {
        output::line(format_args!(
            "\npeak memory of the process: {:.0} MB",
            bytes as f64 / 1e6
        ))?;
    }
    output::line(format_args!("report: {}", folder.join("report.html").display()))
}

/// The object of `--json`.
pub fn as_json(args: &Args, evaluation: &Evaluation, folder: &Path) -> Value {
    let metrics: serde_json::Map<String, Value> = evaluation
        .metrics
        .iter()
        .map(|measured| {
            let value = json!({
                "mean": measured.value,
                "low": measured.low,
                "high": measured.high,
                "questions": measured.questions,
            });
            (measured.name.clone(), value)
        })
        .collect();
    let absent: serde_json::Map<String, Value> = evaluation
        .absent
        .iter()
        .map(|absent| (absent.name.clone(), Value::from(absent.reason.as_str())))
        .collect();
    json!({
        "dataset": args.dataset(),
        "system": evaluation.name,
        "counts": evaluation.counts,
        "metrics": metrics,
        "absent": absent,
        "notes": evaluation.notes,
        "unknown_sources": evaluation.unknown_sources.len(),
        "judge": evaluation.judge,
        "peak_bytes": evaluation.peak_bytes,
        "folder": folder,
    })
}
