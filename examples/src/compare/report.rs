//! What a comparison says: on the terminal, as JSON, as a page.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use ragtune::compare::Comparison;
use ragtune::experiment::{Experiment, Fingerprint, Metric};
use ragtune::html::Page;
use serde_json::{Value, json};

use super::args::{Args, Budget, Task};
use super::process::Failed;
use super::said::{self, Said};
use crate::claim::{self, Claim};
use crate::{Outcome, output};

/// A comparison, and how much the systems learned from or looked up in.
pub struct Compared {
    pub examples: usize,
    pub budget: Option<Budget>,
    pub comparison: Comparison,
    pub failed: Vec<Failed>,
    pub said: Vec<Said>,
}

impl Compared {
    /// The file with what was said; there is one for each number of examples.
    fn file(&self, of: usize) -> String {
        match self.budget {
            Some(Budget::Examples(examples)) if of > 1 => format!("questions.{examples}-per-class.jsonl"),
            Some(Budget::All) if of > 1 => "questions.all.jsonl".to_owned(),
            _ => "questions.jsonl".to_owned(),
        }
    }
}

/// A comparison that is being made: its record, and its folder.
pub struct Started {
    run: Experiment,
    _claim: Claim,
}

/// Claims the folder for this comparison; what was measured for another one is never taken for this.
///
/// # Errors
/// Those of [`Claim::take`].
pub fn begin(args: &Args) -> Result<Started, Box<dyn Error>> {
    let name = args
        .data
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    claim::outside("--out", &args.out, &args.data)?;
    let claim = Claim::take(&args.out, "comparison", &subject(args)?)?;
    Ok(Started {
        run: Experiment::start("compare", name).with_seed(args.seed),
        _claim: claim,
    })
}

/// Everything that a measurement depends on.
fn subject(args: &Args) -> Result<Value, Box<dyn Error>> {
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
        "--aware": content(args.aware.as_ref())?,
        "--train-aware": args.train_aware,
        "--reader": content(args.reader.reader.as_ref())?,
        "--calibrate": content(args.reader.calibrate.as_ref())?,
        "--max-error": args.reader.max_error,
        "--right-from": args.reader.right_from,
        "--always-answers": args.reader.always_answers,
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
pub fn finish(args: &Args, started: Started, compared: &[Compared]) -> Outcome {
    let Some(last) = compared.last() else {
        return Err("nothing was compared".into());
    };
    let to_json = |one: &Compared| {
        let mut object = one.comparison.to_json();
        if let Some(object) = object.as_object_mut() {
            object.insert("failed".to_owned(), json!(one.failed));
        }
        object
    };
    let mut object = to_json(last);
    if let (Some(object), true) = (object.as_object_mut(), compared.len() > 1) {
        let budgets = compared.iter().map(|one| {
            let mut each = to_json(one);
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
    for one in compared {
        said::write(&args.out.join(one.file(compared.len())), &one.said)?;
    }
    page(args, compared).write(args.out.join("report.html"))?;
    record(args, started.run, compared)?;
    let failed: Vec<&str> = compared
        .iter()
        .flat_map(|one| &one.failed)
        .map(|failed| failed.name.as_str())
        .collect();
    let ended = match failed.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "not all systems could be measured; the comparison is without {}",
            failed.join(", ")
        )
        .into()),
    };
    if args.json {
        output::json(&object)?;
        return ended;
    }
    for one in compared {
        if let (Some(budget), true) = (one.budget, compared.len() > 1) {
            output::line(format_args!("{budget} of each class, {} examples", one.examples))?;
        }
        output::line(format_args!("{}\n", one.comparison))?;
        for failed in &one.failed {
            output::line(format_args!("{} failed: {}", failed.name, failed.reason))?;
        }
    }
    output::line(format_args!("report: {}", args.out.join("report.html").display()))?;
    ended
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
        for failed in &one.failed {
            page.paragraph(&format!("{} failed: {}", failed.name, failed.reason));
        }
        said::show(&mut page, &one.said, &one.file(compared.len()));
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
fn record(args: &Args, mut run: Experiment, compared: &[Compared]) -> Outcome {
    run.configure(&json!({
        "task": format!("{:?}", args.task).to_lowercase(),
        "model": args.model, "systems": args.systems, "f1": args.f1,
        "generator": args.generator, "adapter": args.adapter, "aware": args.aware, "train_aware": args.train_aware,
        "tuned": args.tuned, "reranker": args.reranker, "reader": args.reader.configuration(),
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
        for failed in &one.failed {
            run.note(format!("{}{of} failed: {}", failed.name, failed.reason));
        }
    }
    run.finish();
    Ok(run.save(&args.out)?)
}
