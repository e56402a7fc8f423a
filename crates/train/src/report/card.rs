//! The model card: a README.md that the Hugging Face hub reads, and that says how a result came about.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::file;
use crate::error::Result;
use crate::metrics::Interval;

/// What a model card says.
///
/// ```
/// use ragtune_train::report::{CardMetric, ModelCard};
///
/// let card = ModelCard::new("banking-intents", "sentence-transformers/all-MiniLM-L6-v2", "lora")
///     .with_pipeline_tag("text-classification")
///     .with_setting("learning_rate", 5e-4)
///     .with_metric(CardMetric::new("test", "accuracy", 0.9351));
/// let text = card.to_markdown();
/// assert!(text.starts_with("---\nbase_model: \"sentence-transformers/all-MiniLM-L6-v2\"\n"));
/// assert!(text.contains("| test | accuracy | 0.9351 |"));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct ModelCard {
    /// The model's name.
    pub name: String,
    /// The model that was tuned: a repository's name, or a folder.
    pub base_model: String,
    /// The method: "full", "lora", ...
    pub method: String,
    /// The library that loads the folder in Python: "transformers", "peft" or "sentence-transformers".
    pub library: Option<String>,
    /// The hub's name of the task: "text-classification", "token-classification", "text-generation", ...
    pub pipeline_tag: Option<String>,
    /// The licence, by the hub's identifiers; a tuned model is bound by its base's.
    pub license: Option<String>,
    /// Languages, by their codes.
    pub languages: Vec<String>,
    /// The sets of examples.
    pub data: Vec<CardData>,
    /// The settings, in order.
    pub settings: Vec<(String, String)>,
    /// The seed.
    pub seed: Option<u64>,
    /// How the run went.
    pub run: Option<CardRun>,
    /// What was measured.
    pub metrics: Vec<CardMetric>,
    /// How to load the result.
    pub snippets: Vec<CardSnippet>,
    /// Pictures that lie in the folder, by their file names.
    pub pictures: Vec<String>,
    /// Programs and libraries with their versions.
    pub versions: Vec<(String, String)>,
    /// What a reader should know: faults that the doctor found, examples that were left out.
    pub notes: Vec<String>,
}

/// A set of examples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardData {
    /// What it was used for: "train", "validation" or "test".
    pub split: String,
    /// Its file or name.
    pub name: String,
    /// Examples that were used.
    pub examples: usize,
    /// A hash of these, by which another can tell that theirs are the same.
    pub fingerprint: String,
}

/// How a run went.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CardRun {
    /// Weights that were trained.
    pub trainable: u64,
    /// Weights of the model.
    pub total: u64,
    /// Steps of the optimiser.
    pub steps: usize,
    /// Times through the examples.
    pub epochs: f64,
    /// Time of the run in seconds.
    pub seconds: f64,
    /// The most memory that it took, in bytes.
    pub peak_bytes: Option<u64>,
}

/// A number that was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct CardMetric {
    /// The set: "validation" or "test".
    pub split: String,
    /// The measure: "accuracy", "f1", ...
    pub name: String,
    /// Its value.
    pub value: f64,
    /// How sure it is.
    pub interval: Option<Interval>,
}

/// A piece of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardSnippet {
    /// The language, by its name in Markdown: "rust", "python", "sh".
    pub language: String,
    /// The code.
    pub code: String,
}

impl CardMetric {
    /// A number of a set.
    pub fn new(split: impl Into<String>, name: impl Into<String>, value: f64) -> Self {
        Self {
            split: split.into(),
            name: name.into(),
            value,
            interval: None,
        }
    }

    /// How sure the number is.
    #[must_use]
    pub fn with_interval(mut self, interval: Interval) -> Self {
        self.interval = Some(interval);
        self
    }
}

impl ModelCard {
    /// A card of a model of this name, tuned from a base by a method.
    pub fn new(name: impl Into<String>, base_model: impl Into<String>, method: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base_model: base_model.into(),
            method: method.into(),
            versions: vec![("ragtune".into(), env!("CARGO_PKG_VERSION").into())],
            ..Self::default()
        }
    }

    /// The library that loads the folder in Python.
    #[must_use]
    pub fn with_library(mut self, library: impl Into<String>) -> Self {
        self.library = Some(library.into());
        self
    }

    /// The hub's name of the task.
    #[must_use]
    pub fn with_pipeline_tag(mut self, tag: impl Into<String>) -> Self {
        self.pipeline_tag = Some(tag.into());
        self
    }

    /// The licence, by the hub's identifiers.
    #[must_use]
    pub fn with_license(mut self, license: impl Into<String>) -> Self {
        self.license = Some(license.into());
        self
    }

    /// One more language, by its code.
    #[must_use]
    pub fn with_language(mut self, language: impl Into<String>) -> Self {
        self.languages.push(language.into());
        self
    }

    /// One more set of examples.
    #[must_use]
    pub fn with_data(mut self, data: CardData) -> Self {
        self.data.push(data);
        self
    }

    /// One more setting.
    #[must_use]
    pub fn with_setting(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.settings.push((name.into(), value.to_string()));
        self
    }

    /// The seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How the run went.
    #[must_use]
    pub fn with_run(mut self, run: CardRun) -> Self {
        self.run = Some(run);
        self
    }

    /// One more number.
    #[must_use]
    pub fn with_metric(mut self, metric: CardMetric) -> Self {
        self.metrics.push(metric);
        self
    }

    /// One more way to load the result.
    #[must_use]
    pub fn with_snippet(mut self, language: impl Into<String>, code: impl Into<String>) -> Self {
        self.snippets.push(CardSnippet {
            language: language.into(),
            code: code.into(),
        });
        self
    }

    /// One more picture, by its file name in the folder.
    #[must_use]
    pub fn with_picture(mut self, file: impl Into<String>) -> Self {
        self.pictures.push(file.into());
        self
    }

    /// One more program or library; ragtune's own version is there.
    #[must_use]
    pub fn with_version(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.versions.push((name.into(), version.into()));
        self
    }

    /// One more thing that a reader should know.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Writes the card as `README.md` into a folder and gives its path.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where it cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<PathBuf> {
        let path = folder.as_ref().join("README.md");
        file::write(&path, &self.to_markdown())?;
        Ok(path)
    }

    /// The card: YAML for the hub, then Markdown for people.
    pub fn to_markdown(&self) -> String {
        let mut text = String::new();
        self.metadata(&mut text);
        // Writing into a string does not fail.
        let _ = writeln!(text, "\n# {}\n", line(&self.name));
        let _ = writeln!(
            text,
            "{} tuned from {} with ragtune.",
            method(&self.method),
            code(&self.base_model)
        );
        self.results(&mut text);
        if !self.snippets.is_empty() {
            text.push_str("\n## Use\n");
            for snippet in &self.snippets {
                let fence = fence(&snippet.code);
                let code = snippet.code.trim_end();
                let _ = writeln!(text, "\n{fence}{}\n{code}\n{fence}", snippet.language);
            }
        }
        self.data(&mut text);
        self.training(&mut text);
        if !self.notes.is_empty() {
            text.push_str("\n## Notes\n\n");
            for note in &self.notes {
                let _ = writeln!(text, "- {}", line(note));
            }
        }
        text
    }

    /// The part between the lines of dashes. Every text is in double quotes, which YAML reads as JSON does.
    fn metadata(&self, text: &mut String) {
        text.push_str("---\n");
        let mut pair = |key: &str, value: &str| {
            let _ = writeln!(text, "{key}: {}", quoted(value));
        };
        // The hub takes names of repositories only; a folder is named in the text.
        if is_repository(&self.base_model) {
            pair("base_model", &self.base_model);
        }
        for (key, value) in [
            ("library_name", &self.library),
            ("pipeline_tag", &self.pipeline_tag),
            ("license", &self.license),
        ] {
            if let Some(value) = value {
                pair(key, value);
            }
        }
        let mut list = |key: &str, values: &[&str]| {
            if !values.is_empty() {
                let _ = writeln!(text, "{key}:");
                for value in values {
                    let _ = writeln!(text, "- {}", quoted(value));
                }
            }
        };
        let languages: Vec<&str> = self.languages.iter().map(String::as_str).collect();
        list("language", &languages);
        list("tags", &["ragtune", &self.method]);
        if self.metrics.iter().any(|metric| metric.value.is_finite()) {
            self.index(text);
        }
        text.push_str("---\n");
    }

    /// `model-index`: the results as the hub lists them.
    fn index(&self, text: &mut String) {
        let task = self.pipeline_tag.as_deref().unwrap_or("other");
        let _ = writeln!(text, "model-index:\n- name: {}\n  results:", quoted(&self.name));
        let mut splits: Vec<&str> = Vec::new();
        for metric in self.metrics.iter().filter(|metric| metric.value.is_finite()) {
            if !splits.contains(&metric.split.as_str()) {
                splits.push(&metric.split);
            }
        }
        for split in splits {
            let data = self.data.iter().find(|data| data.split == split);
            let name = data.map_or(split, |data| data.name.as_str());
            let _ = writeln!(
                text,
                "  - task:\n      type: {}\n    dataset:\n      type: {name}\n      name: {name}\n      split: {}\n    metrics:",
                quoted(task),
                quoted(split),
                name = quoted(name),
            );
            // The hub takes numbers only; what is none stands in the table.
            let finite = |metric: &&CardMetric| metric.split == split && metric.value.is_finite();
            for metric in self.metrics.iter().filter(finite) {
                let _ = writeln!(
                    text,
                    "    - type: {name}\n      name: {name}\n      value: {value}",
                    name = quoted(&metric.name),
                    value = metric.value
                );
            }
        }
    }

    fn results(&self, text: &mut String) {
        if self.metrics.is_empty() && self.pictures.is_empty() {
            return;
        }
        text.push_str("\n## Results\n\n");
        if !self.metrics.is_empty() {
            let sure = self.metrics.iter().any(|metric| metric.interval.is_some());
            let (head, rule) = if sure { (" interval |", " --- |") } else { ("", "") };
            let _ = writeln!(
                text,
                "| set | measure | value |{head}\n| --- | --- | ---: |{rule}"
            );
            for metric in &self.metrics {
                let interval = match metric.interval {
                    Some(i) => format!(" {:.4} to {:.4} ({:.0} %) |", i.low, i.high, i.level * 100.0),
                    None if sure => " |".into(),
                    None => String::new(),
                };
                let value = match metric.value {
                    value if value.is_nan() => "no number".to_owned(),
                    value if value.is_infinite() => "beyond all numbers".to_owned(),
                    value => format!("{value:.4}"),
                };
                let _ = writeln!(
                    text,
                    "| {} | {} | {value} |{interval}",
                    cell(&metric.split),
                    cell(&metric.name),
                );
            }
        }
        for picture in &self.pictures {
            let name = picture.trim_end_matches(".svg").replace('-', " ");
            let _ = writeln!(text, "\n![{}]({})", line(&name), link(picture));
        }
    }

    fn data(&self, text: &mut String) {
        if self.data.is_empty() {
            return;
        }
        text.push_str("\n## Data\n\n| set | source | examples | fingerprint |\n| --- | --- | ---: | --- |\n");
        for data in &self.data {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                cell(&data.split),
                cell(&data.name),
                data.examples,
                cell(&code(&data.fingerprint))
            );
        }
    }

    fn training(&self, text: &mut String) {
        text.push_str("\n## Training\n\n| | |\n| --- | --- |\n");
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "| {} | {} |", cell(name), cell(&value));
        };
        row("method", self.method.clone());
        if let Some(run) = &self.run {
            let share = 100.0 * run.trainable as f64 / run.total.max(1) as f64;
            row(
                "trained weights",
                format!("{} of {} ({share:.2} %)", run.trainable, run.total),
            );
            row("steps", format!("{} ({:.2} epochs)", run.steps, run.epochs));
            row("time", format!("{:.0} s", run.seconds));
            if let Some(bytes) = run.peak_bytes {
                row("peak memory", format!("{:.1} MiB", bytes as f64 / 1_048_576.0));
            }
        }
        if let Some(seed) = self.seed {
            row("seed", seed.to_string());
        }
        for (name, value) in &self.settings {
            row(name, value.clone());
        }
        for (name, version) in &self.versions {
            row(&format!("{name} version"), version.clone());
        }
    }
}

/// How a method is called at the begin of a sentence.
fn method(name: &str) -> String {
    match name {
        "full" => "All weights,".into(),
        "head" => "A head on frozen features,".into(),
        "lora" => "A LoRA adapter,".into(),
        "dora" => "A DoRA adapter,".into(),
        "ia3" => "An (IA)³ adapter,".into(),
        "adapter" => "Bottleneck adapters,".into(),
        "prompt" => "A prompt of trained rows,".into(),
        other => format!("Method {},", code(other)),
    }
}

/// Is this the name of a repository, with or without its owner, and not a path?
fn is_repository(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let part =
        |part: &str| part.chars().all(allowed) && part.starts_with(|c: char| c.is_ascii_alphanumeric());
    name.split('/').count() <= 2 && name.split('/').all(part)
}

/// A text as YAML and JSON quote it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text in one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}

/// A text as code, between as many backticks as it needs.
fn code(text: &str) -> String {
    let text = line(text);
    let ticks = "`".repeat(longest_run(&text, '`') + 1);
    if text.starts_with('`') || text.ends_with('`') {
        format!("{ticks} {text} {ticks}")
    } else {
        format!("{ticks}{text}{ticks}")
    }
}

/// A fence that the code does not hold.
fn fence(code: &str) -> String {
    "`".repeat(longest_run(code, '`').max(2) + 1)
}

fn longest_run(text: &str, wanted: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// A file's name as the target of a link.
fn link(file: &str) -> String {
    format!("<{}>", line(file).replace(['<', '>'], ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_no_repository() {
        assert!(is_repository("gpt2") && is_repository("sentence-transformers/all-MiniLM-L6-v2"));
        for path in ["/models/x", "./x", "../x", "a/b/c", "C:\\models", "", "a/", "a b"] {
            assert!(!is_repository(path), "{path}");
            assert!(
                !ModelCard::new("n", path, "full")
                    .to_markdown()
                    .contains("base_model:")
            );
        }
    }

    #[test]
    fn what_is_no_number_is_said_and_not_listed() {
        let card = ModelCard::new("n", "b", "full")
            .with_metric(CardMetric::new("test", "loss", 900.0))
            .with_metric(CardMetric::new("test", "perplexity", f64::INFINITY));
        let text = card.to_markdown();
        assert!(
            text.contains("| test | perplexity | beyond all numbers |"),
            "{text}"
        );
        assert!(
            !text.contains("inf") && text.matches("value:").count() == 1,
            "{text}"
        );
        let none = ModelCard::new("n", "b", "full").with_metric(CardMetric::new("test", "loss", f64::NAN));
        assert!(!none.to_markdown().contains("model-index"));
    }

    #[test]
    fn text_cannot_break_out_of_its_place() {
        let card = ModelCard::new("a\n---\nb", "x", "full")
            .with_license("x\ny: 1")
            .with_setting("a|b", "c\nd")
            .with_snippet("text", "````\ninner");
        let text = card.to_markdown();
        assert!(text.contains("license: \"x\\ny: 1\"\n"), "{text}");
        assert!(
            text.contains("# a --- b\n") && text.contains("| a\\|b | c d |"),
            "{text}"
        );
        assert!(text.contains("`````text\n````\ninner\n`````"), "{text}");
        assert_eq!(code("a`b"), "``a`b``");
    }
}
