//! Jupyter notebooks.

use std::path::Path;

use super::draft::Draft;
use super::json::{Json, parse};
use super::limits::{Budget, LoadLimits};
use super::loader::{Loaded, Loader};
use super::text::{format, has_extension, read};
use crate::error::Result;

/// Loads Jupyter notebooks (`.ipynb`) as Markdown: text cells as they are, code cells fenced with their language, and
/// below them what they printed, as far as it is text; pictures and widgets are left out, of an error its name and
/// message stay. Metadata: `format` is `notebook`, `language`, and `title`, the first heading.
///
/// ```
/// use ragtune_retrieve::load::NotebookLoader;
/// let loader = NotebookLoader::default().with_outputs(false);
/// # let _ = loader;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotebookLoader {
    outputs: bool,
    limits: LoadLimits,
}

impl NotebookLoader {
    /// With what code cells printed or without; with it by default.
    pub fn with_outputs(mut self, outputs: bool) -> Self {
        self.outputs = outputs;
        self
    }

    /// With other limits.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Default for NotebookLoader {
    fn default() -> Self {
        Self {
            outputs: true,
            limits: LoadLimits::default(),
        }
    }
}

impl Loader for NotebookLoader {
    fn id(&self) -> String {
        format!("notebook-2 outputs {}", self.outputs)
    }

    fn accepts(&self, path: &Path) -> bool {
        has_extension(path, &["ipynb"])
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        let budget = Budget::new(path, bytes.len(), &self.limits)?;
        let source = read(path, bytes, None)?;
        let values = source
            .bytes()
            .filter(|byte| matches!(byte, b',' | b'[' | b'{'))
            .count();
        budget.unpack(values as u64 * 64)?;
        let notebook = parse(&source)
            .map_err(|error| budget.unreadable(format!("it is no notebook ({error}): save it anew")))?;
        let about = |names: [&str; 2]| {
            let found = notebook
                .get("metadata")?
                .get(names[0])?
                .get(names[1])?
                .as_text()?;
            Some(found.to_lowercase())
        };
        let language = about(["language_info", "name"]).or_else(|| about(["kernelspec", "language"]));
        let language = language.unwrap_or_else(|| "python".to_owned());
        // Format 3 has its cells in worksheets.
        let sheets = notebook.get("worksheets").map(Json::as_list).unwrap_or_default();
        let cells: Vec<&Json> = match notebook.get("cells") {
            Some(cells) => cells.as_list().iter().collect(),
            None => sheets
                .iter()
                .filter_map(|sheet| sheet.get("cells"))
                .flat_map(Json::as_list)
                .collect(),
        };
        if cells.is_empty() && notebook.get("nbformat").is_none() {
            return Err(budget.unreadable("it is JSON, but no notebook: give it the extension .json"));
        }
        let mut draft = Draft::new(&budget);
        for cell in cells {
            budget.look()?;
            let text = cell
                .get("source")
                .or_else(|| cell.get("input"))
                .map(joined)
                .unwrap_or_default();
            let text = text.trim_matches('\n');
            match cell.get("cell_type").and_then(Json::as_text) {
                Some("code") => {
                    draft.block(&fenced(&language, text))?;
                    let outputs = cell.get("outputs").map(Json::as_list).unwrap_or_default();
                    for output in outputs.iter().filter(|_| self.outputs) {
                        draft.block(&fenced("", &printed(output)))?;
                    }
                }
                Some("heading") => {
                    let level = match cell.get("level") {
                        Some(Json::Int(level)) => usize::try_from(*level).unwrap_or(1),
                        _ => 1,
                    };
                    draft.block(&super::draft::heading(level, text))?;
                }
                _ => draft.block(text)?,
            }
        }
        let mut metadata = format("notebook");
        metadata.insert("language".to_owned(), language.into());
        let heading = draft.text().lines().find_map(|line| line.strip_prefix("# "));
        if let Some(title) = heading.map(str::trim).filter(|title| !title.is_empty()) {
            metadata.insert("title".to_owned(), title.into());
        }
        Ok(draft.finish(metadata))
    }
}

/// A text, or one in pieces.
fn joined(value: &Json) -> String {
    match value {
        Json::Text(text) => text.clone(),
        value => value.as_list().iter().filter_map(Json::as_text).collect(),
    }
}

/// What a cell printed, without colours of the terminal.
fn printed(output: &Json) -> String {
    let of_data = || {
        let data = output.get("data")?;
        let plain = data.get("text/markdown").or_else(|| data.get("text/plain"))?;
        Some(joined(plain))
    };
    let of_error = || {
        let name = output.get("ename")?.as_text()?;
        Some(format!("{name}: {}", output.get("evalue")?.as_text()?))
    };
    let text = output
        .get("text")
        .map(joined)
        .or_else(of_data)
        .or_else(of_error)
        .unwrap_or_default();
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("\u{1B}[") {
        out.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let end = after
            .find(|c: char| ('@'..='~').contains(&c))
            .map_or(after.len(), |end| end + 1);
        rest = &after[end..];
    }
    out.push_str(rest);
    out.trim_matches('\n').to_owned()
}

/// Code between fences that are longer than any in it; nothing for no code.
fn fenced(language: &str, code: &str) -> String {
    if code.trim().is_empty() {
        return String::new();
    }
    let runs = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(runs.max(2) + 1);
    format!("{fence}{language}\n{code}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_markdown() {
        let notebook = r##"{"nbformat": 4, "metadata": {"language_info": {"name": "Python"}}, "cells": [
            {"cell_type": "markdown", "source": ["# Tea\n", "Steep it."]},
            {"cell_type": "code", "source": "print('```')", "outputs": [
                {"output_type": "stream", "text": ["\u001b[31mhot\u001b[0m\n"]},
                {"output_type": "display_data", "data": {"image/png": "aGk="}},
                {"output_type": "error", "ename": "ValueError", "evalue": "cold", "traceback": ["..."]}]},
            {"cell_type": "code", "source": [], "outputs": []}]}"##;
        let path = Path::new("a.ipynb");
        let loaded = NotebookLoader::default().load(path, notebook.as_bytes()).unwrap();
        assert_eq!(
            loaded.text,
            "# Tea\nSteep it.\n\n````python\nprint('```')\n````\n\n```\nhot\n```\n\n```\nValueError: cold\n```\n"
        );
        assert_eq!(
            (&loaded.metadata["title"], &loaded.metadata["language"]),
            (&"Tea".into(), &"python".into())
        );
        let quiet = NotebookLoader::default()
            .with_outputs(false)
            .load(path, notebook.as_bytes())
            .unwrap();
        assert!(!quiet.text.contains("hot"));
    }

    #[test]
    fn other_json_is_no_notebook() {
        for text in ["{}", "[]", "{", "null"] {
            assert!(
                NotebookLoader::default()
                    .load(Path::new("a.ipynb"), text.as_bytes())
                    .is_err(),
                "{text}"
            );
        }
    }
}
