//! What a comparison says: on the terminal, as JSON, as a page.

use std::fs;
use std::path::PathBuf;

use ragtune::compare::Comparison;
use ragtune::experiment::{Experiment, Fingerprint, Metric};
use ragtune::html::Page;
use serde_json::{Value, json};

use super::args::{Args, Budget, Task};
use crate::{Outcome, output};

/// A comparison, and how much the systems learned from or looked up in.
pub struct Compared {
    pub examples: usize,
    pub budget: Option<Budget>,
    pub comparison: Comparison,
}

/// The file that says what a folder compares.
const SUBJECT: &str = "subject.json";

/// Claims the folder for this comparison; what was measured for another one is never taken for this.
///
/// # Errors
/// A folder that holds another comparison, with what differs.
pub fn begin(args: &Args) -> Outcome {
    let file = args.out.join(SUBJECT);
    let subject = subject(args)?;
    if let Ok(there) = fs::read(&file) {
        let there: Value = serde_json::from_slice(&there).unwrap_or_default();
        let differs = subject
            .as_object()
            .into_iter()
            .flatten()
            .find(|(name, value)| there.get(name) != Some(value));
        if let Some((name, value)) = differs {
            return Err(format!(
                "{} holds a comparison with another {name} ({}, not {value}); name another --out, or remove it",
                args.out.display(),
                there.get(name).unwrap_or(&Value::Null)
            )
            .into());
        }
        return Ok(());
    }
    fs::create_dir_all(&args.out)?;
    fs::write(&file, serde_json::to_vec_pretty(&subject)?)?;
    Ok(())
}

/// Everything that a measurement depends on.
fn subject(args: &Args) -> Result<Value, Box<dyn std::error::Error>> {
    let content = |path: Option<&PathBuf>| -> ragtune::Result<Option<String>> {
        path.map(|path| Ok(Fingerprint::of(path)?.blake3)).transpose()
    };
    Ok(json!({
        "task": format!("{:?}", args.task),
        "--model": content(Some(&args.model))?,
        "--data": content(Some(&args.data))?,
        "--test": content(args.test.as_ref())?,
        "--generator": content(args.generator.as_ref())?,
        "--adapter": content(args.adapter.as_ref())?,
        "--reader": content(args.reader.as_ref())?,
        "--tuned": content(args.tuned.as_ref())?,
        "--reranker": content(args.reranker.as_ref())?,
        "--text-column": args.text_column,
        "--label-column": args.label_column,
        "--seed": args.seed,
    }))
}

/// Prints and writes everything.
///
/// # Errors
/// Files that cannot be written.
pub fn finish(args: &Args, compared: &[Compared]) -> Outcome {
    let Some(last) = compared.last() else {
        return Err("nothing was compared".into());
    };
    let mut object = last.comparison.to_json();
    if let (Some(object), true) = (object.as_object_mut(), compared.len() > 1) {
        let budgets = compared.iter().map(|one| {
            let mut each = one.comparison.to_json();
            if let Some(each) = each.as_object_mut() {
                each.insert(
                    "per_class".to_owned(),
                    json!(one.budget.map(|budget| budget.to_string())),
                );
                each.insert("examples".to_owned(), json!(one.examples));
            }
            each
        });
        object.insert("by_examples".to_owned(), budgets.collect());
    }
    fs::write(
        args.out.join("comparison.json"),
        serde_json::to_vec_pretty(&object)?,
    )?;
    page(args, compared).write(args.out.join("report.html"))?;
    record(args, compared)?;
    if args.json {
        return output::json(&object);
    }
    for one in compared {
        if let (Some(budget), true) = (one.budget, compared.len() > 1) {
            output::line(format_args!("{budget} of each class, {} examples", one.examples))?;
        }
        output::line(format_args!("{}\n", one.comparison))?;
    }
    output::line(format_args!("report: {}", args.out.join("report.html").display()))
}

/// The report for colleagues.
fn page(args: &Args, compared: &[Compared]) -> Page {
    let (title, what) = match args.task {
        Task::Classify => ("Retrieval or tuning: classification", "examples"),
        Task::Answer => ("Retrieval or tuning: answers", "questions"),
        Task::Rank => ("Retrieval or tuning: ranking", "documents"),
    };
    let mut page = Page::new(title);
    page.paragraph(&format!("{} with {}.", args.data.display(), args.model.display()));
    let curve: Vec<(f64, &Comparison)> = compared
        .iter()
        .map(|one| (one.examples as f64, &one.comparison))
        .collect();
    if curve.len() > 1 {
        page.heading("How much data does each need?");
        page.chart(&Comparison::curve(&curve, "examples learned from"));
    }
    // The whole set first: it is what the last one has.
    for one in compared.iter().rev() {
        page.heading(&match one.budget {
            Some(Budget::Examples(examples)) => format!("{examples} of each class, {} {what}", one.examples),
            _ => format!("{} {what}", one.examples),
        });
        one.comparison.show(&mut page);
    }
    page.heading("How it was measured");
    page.paragraph(
        "Every system ran in a process of its own and was asked one question at a time. Memory is the peak of that process, \
         without training. Intervals are of 95 %, by resampling the questions. Update: from the change of one fact until the \
         answer changes; what is trained is trained again.",
    );
    page.code(&std::env::args().collect::<Vec<_>>().join(" "));
    page
}

/// The record that the example `runs` lists.
fn record(args: &Args, compared: &[Compared]) -> Outcome {
    let name = args
        .data
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut run = Experiment::start("compare", name).with_seed(args.seed);
    run.configure(&json!({
        "task": format!("{:?}", args.task).to_lowercase(),
        "model": args.model, "systems": args.systems,
        "per_class": args.per_class.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))?;
    for path in [Some(&args.data), args.test.as_ref()].into_iter().flatten() {
        run.read_data(path)?;
    }
    for one in compared {
        let of = match (one.budget, compared.len()) {
            (Some(budget), 2..) => format!(", {budget} of each class"),
            _ => String::new(),
        };
        for row in one.comparison.rows() {
            let quality = &row.quality;
            let metric = Metric::new(quality.estimate).with_interval(quality.low, quality.high);
            run.set(
                format!("{}: {}{of}", row.name, one.comparison.quality().name()),
                metric,
            );
        }
        run.note(format!("{}{of}", one.comparison.recommendation().text));
    }
    run.finish();
    Ok(run.save(&args.out)?)
}
