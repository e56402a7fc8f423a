//! `--folds`: cross-validation. Each part of the examples is the test set of a run that learns from the others.

use std::error::Error;
use std::fs;

use ragtune::train::objective::Scores;
use serde_json::{Map, Value, json};

use super::args::Args;
use super::result::{Ended, Finished};
use crate::{Outcome, output};

/// The 0.975 quantiles of Student's t for 1 to 30 degrees of freedom; beyond, that of the normal distribution is within 4 %.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
const NORMAL: f64 = 1.96;
/// How sure the interval is.
const LEVEL: f64 = 0.95;

/// The mean of a score over the folds, and the interval that its mean over other divisions would be in.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mean {
    mean: f64,
    low: f64,
    high: f64,
}

impl Mean {
    /// Of values that spread like a normal distribution: mean and standard error times Student's t.
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let t = STUDENT
            .get(values.len().saturating_sub(2))
            .copied()
            .unwrap_or(NORMAL);
        let half = t * (variance / n).sqrt();
        Self {
            mean,
            low: mean - half,
            high: mean + half,
        }
    }
}

/// Runs all folds, each in a folder of its own, and says what their test scores came to.
///
/// # Errors
/// Those of the runs.
pub fn run(args: &Args, folds: usize, one: impl Fn(&Args) -> Result<Ended, Box<dyn Error>>) -> Outcome {
    let mut done: Vec<Finished> = Vec::new();
    for fold in 0..folds {
        let out = args.out.join(format!("fold-{}", fold + 1));
        args.say(&format!("fold {} of {folds}", fold + 1))?;
        // Of a cross-validation that goes on, what was not reached begins.
        let resume = args.resume && (fold == 0 || out.exists());
        let args = Args {
            out,
            resume,
            fold: Some(fold),
            ..args.clone()
        };
        match one(&args)? {
            Ended::Finished(finished) => {
                if !args.json {
                    finished.print()?;
                }
                done.push(*finished);
            }
            Ended::Planned { .. } => return Err("--folds runs; it has no --plan".into()),
        }
    }
    let object = to_json(args, &done);
    fs::write(args.out.join("folds.json"), serde_json::to_vec_pretty(&object)?)
        .map_err(|error| format!("cannot write {}: {error}", args.out.join("folds.json").display()))?;
    match args.json {
        true => output::json(&object),
        false => {
            for line in table(&done) {
                output::line(line)?;
            }
            output::line(format_args!("folds: {}", args.out.join("folds.json").display()))
        }
    }
}

/// The values of every test score over the folds.
fn values(done: &[Finished]) -> Vec<(String, Vec<f64>)> {
    let scores: Vec<&Scores> = done.iter().filter_map(|fold| fold.test.as_ref()).collect();
    let names = scores
        .first()
        .map(|scores| scores.iter().map(|(name, _)| name.to_owned()));
    let of = |name: String| {
        let values = scores.iter().filter_map(|scores| scores.get(&name)).collect();
        (name, values)
    };
    names.into_iter().flatten().map(of).collect()
}

fn to_json(args: &Args, done: &[Finished]) -> Value {
    let test: Map<String, Value> = values(done)
        .into_iter()
        .map(|(name, values)| {
            let Mean { mean, low, high } = Mean::of(&values);
            let of = json!({"mean": mean, "low": low, "high": high, "level": LEVEL, "values": values});
            (name, of)
        })
        .collect();
    let folds: Vec<Value> = done.iter().map(Finished::to_json).collect();
    json!({
        "task": args.task.to_string(),
        "method": args.method.to_string(),
        "seconds": done.iter().map(|fold| fold.took.seconds).sum::<f64>(),
        "test": test,
        "folds": folds,
        "out": args.out.to_string_lossy(),
    })
}

/// A line for each fold, and the means below.
fn table(done: &[Finished]) -> Vec<String> {
    let scores = values(done);
    let width = |name: &str| name.len().max(10);
    let mut head = format!("{:>6} {:>7} {:>9}", "fold", "steps", "seconds");
    for (name, _) in &scores {
        head += &format!("  {name:>width$}", width = width(name));
    }
    let mut lines = vec![head];
    for (fold, finished) in done.iter().enumerate() {
        let mut line = format!(
            "{:>6} {:>7} {:>9.1}",
            fold + 1,
            finished.steps,
            finished.took.seconds
        );
        for (name, values) in &scores {
            line += &format!("  {:>width$.4}", values[fold], width = width(name));
        }
        lines.push(line);
    }
    for (name, values) in &scores {
        let Mean { mean, low, high } = Mean::of(values);
        lines.push(format!(
            "{name}: {mean:.4} on average, {low:.4} to {high:.4} ({:.0} % interval over {} folds)",
            100.0 * LEVEL,
            values.len()
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_t_distribution() {
        // scipy 1.16: t.interval(0.95, 4, loc=0.92, scale=sem([.9, .91, .92, .93, .94])) is 0.90037, 0.93963.
        let found = Mean::of(&[0.9, 0.91, 0.92, 0.93, 0.94]);
        assert!((found.mean - 0.92).abs() < 1e-12);
        assert!(
            (found.low - 0.90037).abs() < 1e-4 && (found.high - 0.93963).abs() < 1e-4,
            "{found:?}"
        );
    }
}
