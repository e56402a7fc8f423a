//! What every system said of every question, for a person to look at.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use ragtune::compare::Measured;
use ragtune::html::Page;
use serde::Serialize;
use serde_json::Value;

use crate::Outcome;

/// Questions on the page.
const SHOWN: usize = 10;

/// A question with what is right, and what each system said.
#[derive(Clone, Debug, Serialize)]
pub struct Said {
    pub id: String,
    pub text: String,
    /// A label, right answers, or relevant documents with their grades.
    pub truth: Value,
    pub systems: Vec<BySystem>,
}

/// What one system said.
#[derive(Clone, Debug, Serialize)]
pub struct BySystem {
    pub name: String,
    /// A label, an answer, or the documents found first; none for an abstention and for a failure.
    pub said: Option<String>,
    pub score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Said {
    /// Every question, with its text and what is right, and what the systems said of it; all of them were asked all questions in
    /// this order.
    pub fn all(questions: impl IntoIterator<Item = (String, Value)>, systems: &[Measured]) -> Vec<Self> {
        let questions = questions.into_iter().enumerate();
        let said = questions.map(|(at, (text, truth))| {
            let asked = systems
                .iter()
                .filter_map(|system| Some((system, system.asked.get(at)?)));
            let by_system = asked.clone().map(|(system, asked)| BySystem {
                name: system.name.clone(),
                said: asked.answer.clone(),
                score: asked.score,
                failure: asked.failure.clone(),
            });
            Self {
                id: asked
                    .map(|(_, asked)| asked.id.clone())
                    .next()
                    .unwrap_or_default(),
                text,
                truth,
                systems: by_system.collect(),
            }
        });
        said.collect()
    }

    fn mean(&self) -> f64 {
        self.systems.iter().map(|system| system.score).sum::<f64>() / self.systems.len().max(1) as f64
    }
}

/// Writes a line for each question.
///
/// # Errors
/// The file cannot be written.
pub fn write(file: &Path, said: &[Said]) -> Outcome {
    let partial = file.with_extension("partial");
    let mut out = BufWriter::new(File::create(&partial)?);
    for one in said {
        serde_json::to_writer(&mut out, one)?;
        out.write_all(b"\n")?;
    }
    out.into_inner()?.sync_all()?;
    Ok(fs::rename(&partial, file)?)
}

/// The questions that went worst, over all systems.
pub fn show(page: &mut Page, said: &[Said], file: &str) {
    let mut worst: Vec<&Said> = said.iter().filter(|one| one.mean() < 1.0).collect();
    worst.sort_by(|a, b| a.mean().total_cmp(&b.mean()));
    if worst.is_empty() {
        return;
    }
    let mut cards = Page::new("");
    for one in worst.iter().take(SHOWN) {
        let mut entries = vec![("right", right(&one.truth))];
        entries.extend(one.systems.iter().map(|system| {
            let text = match (&system.failure, &system.said) {
                (Some(failure), _) => format!("failed: {failure}"),
                (None, Some(said)) => said.clone(),
                (None, None) => "no answer".to_owned(),
            };
            (system.name.as_str(), format!("{text} ({:.2})", system.score))
        }));
        cards.card(&one.text, &entries);
    }
    let count = worst.len().min(SHOWN);
    page.folded(
        &format!("The {count} questions that went worst over all systems; all of them are in {file}"),
        &cards,
    );
}

/// What is right, as a person reads it.
fn right(truth: &Value) -> String {
    match truth {
        Value::String(text) => text.clone(),
        Value::Array(texts) if texts.is_empty() => "no answer".to_owned(),
        Value::Array(texts) => texts.iter().map(right).collect::<Vec<_>>().join("\n"),
        Value::Object(graded) => graded
            .iter()
            .map(|(document, grade)| format!("{document} ({grade})"))
            .collect::<Vec<_>>()
            .join("\n"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use ragtune::Cancel;
    use ragtune::compare::Approach;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_question_stands_with_what_all_systems_said() {
        let questions = [("1", "yes"), ("2", "no")];
        let measured = |name: &str, always: &str| {
            Measured::run(
                name,
                Approach::Base,
                questions,
                &Cancel::new(),
                |truth| match always {
                    "" => Err("broke"),
                    _ => Ok((f64::from(u8::from(truth == always)), Some(always.to_owned()))),
                },
            )
            .unwrap()
        };
        let systems = [measured("optimist", "yes"), measured("broken", "")];
        let texts = questions.map(|(id, truth)| (format!("<question {id}>"), json!(truth)));
        let said = Said::all(texts, &systems);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("questions.jsonl");
        write(&file, &said).unwrap();
        let lines = fs::read_to_string(file).unwrap();
        let second: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
        assert_eq!(
            (&second["id"], &second["text"], &second["truth"]),
            (&json!("2"), &json!("<question 2>"), &json!("no"))
        );
        assert_eq!(
            second["systems"][0],
            json!({"name": "optimist", "said": "yes", "score": 0.0})
        );
        assert_eq!(second["systems"][1]["failure"], "broke");
        let mut page = Page::new("t");
        show(&mut page, &said, "questions.jsonl");
        let html = page.to_html();
        assert!(
            html.find("&lt;question 2&gt;") < html.find("&lt;question 1&gt;")
                && html.contains("failed: broke")
        );
    }
}
