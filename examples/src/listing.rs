//! Runs as tables: one for each kind, whose runs have the same measures.

use std::collections::{BTreeMap, BTreeSet};

use ragtune::experiment::{Metric, Run};
use ragtune::html::Table;

/// Metrics of a table unless others are named.
const SHOWN: usize = 4;
/// Divides a system's name from the measure in a metric of a run with several systems.
const OF: &str = ": ";

/// A table for each kind of run, by name. Runs of several systems (`compare`) have a line for each system and one column for
/// each measure; those of other measures have a table of their own.
#[must_use]
pub fn tables(runs: &[Run], wanted: &[String]) -> Vec<(String, Table)> {
    let kinds: BTreeSet<&str> = runs.iter().map(|run| run.experiment.kind.as_str()).collect();
    let mut tables = Vec::new();
    for kind in kinds {
        let of_kind = runs.iter().filter(|run| run.experiment.kind == kind);
        let (several, single): (Vec<&Run>, Vec<&Run>) = of_kind.partition(|run| systems(run).len() > 1);
        let mut alike: BTreeMap<Vec<String>, Vec<&Run>> = BTreeMap::new();
        for run in several {
            alike.entry(measures(run, wanted)).or_default().push(run);
        }
        let by_system = alike.iter().map(|(measures, runs)| by_system(runs, measures));
        let by_run = (!single.is_empty()).then(|| by_run(&single, wanted));
        tables.extend(by_system.chain(by_run).map(|table| (kind.to_owned(), table)));
    }
    tables
}

/// The measures of a run's systems that are wanted, smaller numbers in their names first.
fn measures(run: &Run, wanted: &[String]) -> Vec<String> {
    let found = systems(run);
    let all: BTreeSet<&str> = found.values().flat_map(|of| of.keys().copied()).collect();
    let is_wanted = |measure: &&str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == measure);
    let mut all: Vec<String> = all.into_iter().filter(is_wanted).map(str::to_owned).collect();
    let number = |name: &str| {
        let digits = name.split(' ').rev().find_map(|word| word.parse::<usize>().ok());
        digits.unwrap_or(usize::MAX)
    };
    all.sort_by_key(|name| number(name));
    all
}

/// The systems of a run with their measures, in the order of their names.
fn systems(run: &Run) -> BTreeMap<&str, BTreeMap<&str, &Metric>> {
    let mut systems: BTreeMap<&str, BTreeMap<&str, &Metric>> = BTreeMap::new();
    for (name, metric) in &run.experiment.metrics {
        if let Some((system, measure)) = name.split_once(OF) {
            systems.entry(system).or_default().insert(measure, metric);
        }
    }
    systems
}

fn header<'h>(more: impl IntoIterator<Item = &'h String>) -> Table {
    let fixed = ["folder", "name", "started", "seconds"].map(str::to_owned);
    Table::new(fixed.into_iter().chain(more.into_iter().cloned()))
}

fn fixed(run: &Run) -> [String; 4] {
    [
        run.folder.display().to_string(),
        run.experiment.name.clone(),
        run.experiment.started.clone(),
        format!("{:.1}", run.experiment.seconds),
    ]
}

/// A line for each system of each run.
fn by_system(runs: &[&Run], measures: &[String]) -> Table {
    let system = "system".to_owned();
    let mut table = header(std::iter::once(&system).chain(measures));
    for run in runs {
        let mut first = fixed(run);
        for (name, of) in systems(run) {
            let cells = measures
                .iter()
                .map(|measure| shown(of.get(measure.as_str()).copied()));
            let row = first.iter().cloned().chain([name.to_owned()]).chain(cells);
            table.row(row.collect::<Vec<_>>());
            // The run is said once.
            first = Default::default();
        }
    }
    table
}

/// A line for each run.
fn by_run(runs: &[&Run], wanted: &[String]) -> Table {
    let metrics = match wanted.is_empty() {
        true => leading(runs),
        false => wanted.to_vec(),
    };
    let mut table = header(&metrics);
    for run in runs {
        let cells = metrics.iter().map(|name| shown(run.experiment.metrics.get(name)));
        table.row(fixed(run).into_iter().chain(cells).collect::<Vec<_>>());
    }
    table
}

/// The first metrics of the last run, those with intervals first.
fn leading(runs: &[&Run]) -> Vec<String> {
    let Some(run) = runs.last() else {
        return Vec::new();
    };
    let rank = |name: &str| match name {
        "f1" | "accuracy" | "quality" => 0,
        "exact_match" | "macro_f1" | "loss" => 1,
        name if name.ends_with("ndcg@10, difference") => 1,
        _ => 2,
    };
    let mut all: Vec<(&String, &Metric)> = run.experiment.metrics.iter().collect();
    all.sort_by_key(|(name, metric)| (rank(name), metric.low.is_none()));
    all.into_iter()
        .take(SHOWN)
        .map(|(name, _)| name.clone())
        .collect()
}

/// A metric with its interval, as short as it may be.
#[must_use]
pub fn shown(metric: Option<&Metric>) -> String {
    let number = |value: f64| match value.abs() {
        size if size >= 1e5 => format!("{value:.3e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    };
    match metric {
        None => "–".to_owned(),
        Some(Metric {
            mean,
            low: Some(low),
            high: Some(high),
            ..
        }) => {
            format!("{} [{}, {}]", number(*mean), number(*low), number(*high))
        }
        Some(metric) => number(metric.mean),
    }
}

#[cfg(test)]
mod tests {
    use ragtune::experiment::{Experiment, list};

    use super::*;

    #[test]
    fn each_kind_has_its_table_and_each_system_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut compared = Experiment::start("compare", "intents");
        for (system, few, all) in [("head", 0.8, 0.9), ("lora", 0.7, 0.95)] {
            let metric = |mean| Metric::new(mean).with_interval(mean - 0.1, mean + 0.1);
            compared.set(format!("{system}: accuracy, 5 of each class"), metric(few));
            compared.set(format!("{system}: accuracy, 20 of each class"), metric(few));
            compared.set(format!("{system}: accuracy, all of each class"), metric(all));
        }
        compared.save(folder.path().join("compared")).unwrap();
        let mut ranked = Experiment::start("compare", "ranking");
        ranked.set("base: ndcg@10", 0.5).set("tuned: ndcg@10", 0.6);
        ranked.save(folder.path().join("ranked")).unwrap();
        let mut evaluated = Experiment::start("evaluate", "notes");
        for name in ["a", "b", "c", "d", "f1"] {
            evaluated.set(name, 0.5);
        }
        evaluated.save(folder.path().join("evaluated")).unwrap();
        let runs = list(folder.path()).unwrap().runs;
        let tables = tables(&runs, &[]);
        let kinds: Vec<&str> = tables.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["compare", "compare", "evaluate"]);
        let (compared, ranked, evaluated) = (&tables[0].1, &tables[1].1.to_string(), &tables[2].1);
        assert!(
            ranked.contains("ndcg@10") && !ranked.contains("accuracy"),
            "{ranked}"
        );
        let lines: Vec<String> = compared.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 3, "{compared}");
        assert!(
            lines[0].contains("system  accuracy, 5 of each class"),
            "{compared}"
        );
        assert!(
            lines[1].contains("head") && lines[1].contains("0.900 [0.800, 1.000]"),
            "{compared}"
        );
        assert!(
            lines[1].contains("intents") && !lines[2].contains("intents"),
            "{compared}"
        );
        let evaluated = evaluated.to_string();
        assert!(
            evaluated.lines().next().unwrap().contains("f1") && evaluated.contains("notes"),
            "{evaluated}"
        );
    }
}
