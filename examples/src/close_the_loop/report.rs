//! What a run came to: a table, one JSON object, files.

use std::path::PathBuf;

use ragtune::experiment::{Experiment, Metric};
use ragtune::html::{Bar, Bars, Page, Table};
use ragtune::training_data::{DropCause, TrainingDataReport};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::args::Args;
use super::measured::Measured;
use crate::number::{count, p_value};
use crate::{Outcome, kept, output};

/// The object of `--json` and of `loop.json`.
#[derive(Serialize, Deserialize)]
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
    /// The base that it serves.
    pub base: String,
}

/// The file that says that a loop is closed.
pub fn file(args: &Args) -> PathBuf {
    args.out.join("loop.json")
}

/// Writes the files; the one that says that the loop is closed comes last.
///
/// # Errors
/// Files that cannot be written.
pub fn write(args: &Args, mut experiment: Experiment, report: &Report) -> Outcome {
    record(args, &mut experiment, report)?;
    html(report).write(args.out.join("report.html"))?;
    kept::write(&file(args), report)
}

/// Prints.
///
/// # Errors
/// Standard output cannot be written.
pub fn show(args: &Args, report: &Report) -> Outcome {
    if args.json {
        return output::json(report);
    }
    output::piece(measures(report))?;
    output::line(format_args!("\n{}", work(report)))?;
    output::line(verdict(report))?;
    output::line(format_args!("report: {}", args.out.join("report.html").display()))
}

fn measures(report: &Report) -> Table {
    let mut table = Table::new([
        "measured on",
        "before",
        "after",
        "difference",
        "within (95 %)",
        "p",
    ]);
    for measured in &report.measured {
        let interval = &measured.difference.interval;
        table.row([
            measured.name(),
            format!("{:.4}", measured.second),
            format!("{:.4}", measured.first),
            format!("{:+.4}", interval.estimate),
            format!("{:+.4} to {:+.4}", interval.low, interval.high),
            p_value(measured.randomisation_p),
        ]);
    }
    table
}

fn work(report: &Report) -> String {
    format!(
        "{}, {}, {:.0} s; loss {:.3} at first, {:.3} at last",
        count(report.data.train.pairs, "pair"),
        count(report.steps, "step"),
        report.train_seconds,
        report.loss.0,
        report.loss.1
    )
}

fn verdict(report: &Report) -> String {
    match &report.refusal {
        None => format!(
            "promoted: the base {} now searches with {}",
            report.base, report.model
        ),
        Some(refusal) => format!("refused: {refusal}"),
    }
}

/// What `runs` lists and compares.
fn record(args: &Args, experiment: &mut Experiment, report: &Report) -> Outcome {
    experiment.configure(&json!({
        "encoder": report.encoder, "method": format!("{:?}", args.method).to_lowercase(), "learning_rate": args.tuning().1,
        "epochs": args.epochs, "batch": args.batch, "max_tokens": args.max_tokens, "held_out": args.held_out,
        "round_trip": args.round_trip, "negatives": args.negatives, "max_questions": args.max_questions,
        "mode": format!("{:?}", args.mode).to_lowercase(), "require_gain": args.require_gain,
    }))?;
    experiment.read_data(&args.folder)?;
    if let Some(questions) = &args.questions {
        experiment.read_data(questions)?;
    }
    for measured in &report.measured {
        let interval = &measured.difference.interval;
        experiment.set(measured.name(), Metric::new(measured.first));
        let gain = Metric::new(interval.estimate).with_interval(interval.low, interval.high);
        experiment.set(format!("{}, difference", measured.name()), gain);
    }
    experiment.set("pairs", report.data.train.pairs as f64);
    experiment.set("train seconds", report.train_seconds);
    experiment.note(verdict(report));
    experiment.finish();
    Ok(experiment.save(&args.out)?)
}

fn html(report: &Report) -> Page {
    let mut page = Page::new("An encoder, tuned on its documents");
    page.paragraph(&verdict(report)).paragraph(&format!(
        "{} of {}, {}. {}.",
        count(report.data.documents, "document"),
        report.folder,
        count(report.data.passages, "passage"),
        work(report)
    ));
    page.heading("Before and after").table(&measures(report)).note(
        "The questions are the sample: an interval says how the difference would vary over other questions of the same kind. \
         Held-out questions are made of documents that were not learned from, and are asked of passages without the headings \
         and sentences that they repeat.",
    );
    let mut bars = Bars::new("Differences, with 95 % intervals", "after less before");
    for measured in &report.measured {
        let interval = &measured.difference.interval;
        bars = bars.with_bar(
            Bar::new(measured.name(), interval.estimate)
                .with_interval(interval.low, interval.high)
                .with_group(measured.mode.as_str()),
        );
    }
    page.bars(&bars).heading("Training data");
    let mut kinds = Table::new(["kind of question", "made", "kept"]);
    for (kind, made) in &report.data.made {
        let kept = report.data.kept.get(kind).copied().unwrap_or(0);
        kinds.row([kind.to_string(), made.to_string(), kept.to_string()]);
    }
    page.table(&kinds).paragraph(&format!(
        "{:.1} % of the questions that were asked back found their passage among {} hits. {} training questions were dropped \
         because a held-out document has the same or nearly the same question or passage.",
        100.0 * report.data.round_trip,
        report.data.top_k,
        report.data.count(DropCause::HeldOutQuestion) + report.data.count(DropCause::HeldOutPassage)
    ));
    let mut drops = Table::new(["dropped", "because", "questions", "for example"]);
    for dropped in &report.data.dropped {
        drops.row([
            dropped.kind.to_string(),
            dropped.cause.to_string(),
            dropped.count.to_string(),
            dropped.examples.first().cloned().unwrap_or_default(),
        ]);
    }
    page.table(&drops);
    let mut samples = Page::new("");
    for sample in &report.data.samples {
        let mut entries = vec![
            ("kind", sample.kind.to_string()),
            ("document", sample.document.clone()),
            ("passage", sample.positive.clone()),
        ];
        entries.extend(sample.negative.clone().map(|negative| ("negative", negative)));
        entries.extend(sample.answer.clone().map(|answer| ("answer", answer)));
        samples.card(&sample.question, &entries);
    }
    page.folded("Samples", &samples);
    page
}
