//! What a comparison says: on the terminal, as JSON, as a page.

use std::fs;

use ragtune::compare::Comparison;
use serde_json::{Value, json};

use super::args::{Args, Budget};
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
    let file = |path: &std::path::PathBuf| -> Result<Value, Box<dyn std::error::Error>> {
        let path = path.canonicalize()?;
        let of = path.metadata()?;
        let changed = of.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_secs();
        Ok(json!({"path": path.display().to_string(), "bytes": of.len(), "changed": changed}))
    };
    let optional = |path: &Option<std::path::PathBuf>| path.as_ref().map(file).transpose();
    Ok(json!({
        "task": format!("{:?}", args.task),
        "model": file(&args.model)?,
        "data": file(&args.data)?,
        "test": optional(&args.test)?,
        "generator": optional(&args.generator)?,
        "tuned": optional(&args.tuned)?,
        "reranker": optional(&args.reranker)?,
        "text column": args.text_column,
        "label column": args.label_column,
        "seed": args.seed,
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
    if args.json {
        return output::json(&object);
    }
    for one in compared {
        if let (Some(budget), true) = (one.budget, compared.len() > 1) {
            output::line(format_args!("{budget} of each class, {} examples", one.examples))?;
        }
        output::line(format_args!("{}\n", one.comparison))?;
    }
    output::line(format_args!("all of it: {}", args.out.display()))
}
