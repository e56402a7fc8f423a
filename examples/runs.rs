//! Lists the runs below a folder and compares them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ragtune::experiment::{Experiment, Run, Runs, list};
use ragtune::html::Table;
use ragtune_examples::listing::{shown, tables};
use ragtune_examples::{Outcome, output};
use serde_json::{Value, json};

/// List the runs below a folder, or compare some of them: every metric with its interval, and what differs in settings,
/// data and versions.
///
/// evaluate, compare, close_the_loop and finetune leave a folder with experiment.json for each run. Each kind of run has a table of
/// its own, in which a comparison has a line for each system. Runs on other questions are not
/// comparable: where the data differ, the comparison says so. Whether two systems differ on the same questions, paired,
/// is what the example compare tells.
#[derive(Parser)]
#[command(
    name = "runs",
    after_help = "Examples:
  runs
  runs runs --kind evaluate --metric f1 --metric recall@10
  runs --compare runs/base runs/tuned
  runs runs --json"
)]
struct Args {
    /// Folders with runs in them
    #[arg(default_value = "runs")]
    folders: Vec<PathBuf>,
    /// Compare the runs metric by metric
    #[arg(long)]
    compare: bool,
    /// Only runs of this kind, such as evaluate or finetune
    #[arg(long)]
    kind: Option<String>,
    /// A metric to show. May be given several times [default: all in a comparison, the first few of each kind in a list]
    #[arg(long)]
    metric: Vec<String>,
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| show(&args))
}

fn show(args: &Args) -> Outcome {
    let mut found = Runs::default();
    for folder in &args.folders {
        let Runs { runs, bad, .. } = list(folder)?;
        found.runs.extend(runs);
        found.bad.extend(bad);
    }
    let mut seen = BTreeSet::new();
    found
        .runs
        .retain(|run| seen.insert(run.folder.canonicalize().unwrap_or_else(|_| run.folder.clone())));
    if let Some(kind) = &args.kind {
        found.runs.retain(|run| run.experiment.kind == *kind);
    }
    for bad in &found.bad {
        let text = format!("{}: {}", bad.folder.display(), output::chain(&bad.error));
        output::note!("cannot be read: {}", output::printable(&text));
    }
    if args.json {
        return output::json(&as_json(&found));
    }
    if found.runs.is_empty() {
        return output::line("no runs");
    }
    if args.compare {
        compare(args, &found.runs)
    } else {
        listing(args, &found.runs)
    }
}

/// A table for each kind of run.
fn listing(args: &Args, runs: &[Run]) -> Outcome {
    for (at, (kind, table)) in tables(runs, &args.metric).into_iter().enumerate() {
        if at > 0 {
            output::line("")?;
        }
        output::line(format_args!("{}:", output::on_one_line(&kind)))?;
        output::piece(table)?;
    }
    Ok(())
}

/// A column for each run, a line for each metric; then what differs.
fn compare(args: &Args, runs: &[Run]) -> Outcome {
    let all: BTreeSet<&String> = runs
        .iter()
        .flat_map(|run| run.experiment.metrics.keys())
        .collect();
    let wanted = |name: &&String| args.metric.is_empty() || args.metric.contains(name);
    let names: Vec<String> = runs.iter().map(|run| label(&run.folder)).collect();
    let header = || std::iter::once("metric".to_owned()).chain(names.iter().cloned());
    let mut table = Table::new(header());
    for name in all.into_iter().filter(wanted) {
        let row = runs.iter().map(|run| shown(run.experiment.metrics.get(name)));
        table.row(std::iter::once(name.clone()).chain(row));
    }
    output::piece(table)?;
    let mut differences = Table::new(std::iter::once("what differs".to_owned()).chain(names.iter().cloned()));
    let fields: Vec<Vec<(String, String)>> = runs.iter().map(|run| settings(&run.experiment)).collect();
    let keys: BTreeSet<&String> = fields.iter().flatten().map(|(key, _)| key).collect();
    for key in keys {
        let of = |fields: &Vec<(String, String)>| {
            let field = fields.iter().find(|(name, _)| name == key);
            field.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let values: Vec<String> = fields.iter().map(of).collect();
        if values.windows(2).any(|pair| pair[0] != pair[1]) {
            differences.row(std::iter::once(key.clone()).chain(values));
        }
    }
    if !differences.is_empty() {
        output::line("")?;
        output::piece(differences)?;
    }
    let data = |run: &Run| -> BTreeSet<String> {
        run.experiment
            .data
            .iter()
            .map(|print| print.blake3.clone())
            .collect()
    };
    if runs.windows(2).any(|pair| data(&pair[0]) != data(&pair[1])) {
        output::line("\nThe runs read different data, so their numbers may not be comparable.")?;
    }
    Ok(())
}

fn label(folder: &Path) -> String {
    folder
        .file_name()
        .unwrap_or(folder.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Settings, seed, data and versions as pairs of texts.
fn settings(experiment: &Experiment) -> Vec<(String, String)> {
    let mut all = Vec::new();
    flatten("", &experiment.configuration, &mut all);
    all.extend(experiment.seed.map(|seed| ("seed".to_owned(), seed.to_string())));
    for (place, data) in (1..).zip(&experiment.data) {
        let short: String = data.blake3.chars().take(12).collect();
        all.push((format!("data {place}"), format!("{} ({short})", data.path)));
    }
    for (name, version) in &experiment.versions {
        all.push((format!("version of {name}"), version.clone()));
    }
    all
}

fn flatten(name: &str, value: &Value, all: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = if name.is_empty() {
                    key.clone()
                } else {
                    format!("{name}.{key}")
                };
                flatten(&name, value, all);
            }
        }
        Value::Null => {}
        Value::String(text) => all.push((name.to_owned(), text.clone())),
        other => all.push((name.to_owned(), other.to_string())),
    }
}

fn as_json(found: &Runs) -> Value {
    let runs: Vec<Value> = found
        .runs
        .iter()
        .map(|run| json!({"folder": run.folder, "experiment": run.experiment}))
        .collect();
    let bad: Vec<Value> = found
        .bad
        .iter()
        .map(|bad| json!({"folder": bad.folder, "error": output::chain(&bad.error)}))
        .collect();
    json!({"runs": runs, "bad": bad})
}
