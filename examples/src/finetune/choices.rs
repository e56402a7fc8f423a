//! What options of the command line choose among.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use ragtune::core::adapters::Targets;
use ragtune::train::encode::Overflow;
use ragtune::train::tuning::Selection;

/// What stands before a regular expression of modules' names.
const PATTERN: &str = "re:";
/// All methods, as messages list them.
const METHODS: &str = "full, last:N, norms, biases, patterns:NAMES, head, lora, dora, ia3, adapter, prompt";

/// What is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// A language model: answers to instructions
    Sft,
    /// A language model: plain text
    Pretrain,
    /// A language model: better answers over worse ones
    Dpo,
    /// An encoder or a language model: the class or classes of a text
    Classify,
    /// An encoder: tags of words, such as names
    Tag,
    /// An encoder: the answer to a question in a given text
    Qa,
    /// A sentence encoder: texts that belong together
    Embed,
    /// An encoder or a language model: how well a passage answers a question
    Rerank,
}

/// What of the model trains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    Full,
    Selective(Selection),
    Head,
    Lora,
    Dora,
    Ia3,
    Adapter,
    Prompt,
}

/// How many settings are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchSize {
    /// So many by chance.
    Random(usize),
    /// All combinations, with so many values of each range.
    Grid(usize),
}

/// The modules that an adapter changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetNames(pub Targets);

/// How preferences become a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DpoLoss {
    /// The logistic loss of the margin (DPO)
    Sigmoid,
    /// The squared distance of the margin to its aim (IPO)
    Ipo,
}

/// How much an example of each class counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassWeighting {
    /// All classes together as much as each other.
    Balanced,
    /// As a file says.
    File(PathBuf),
}

impl Task {
    /// Whether the model is a language model.
    #[must_use]
    pub fn is_generative(self) -> bool {
        matches!(self, Self::Sft | Self::Pretrain | Self::Dpo)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sft => "sft",
            Self::Pretrain => "pretrain",
            Self::Dpo => "dpo",
            Self::Classify => "classify",
            Self::Tag => "tag",
            Self::Qa => "qa",
            Self::Embed => "embed",
            Self::Rerank => "rerank",
        })
    }
}

impl Method {
    /// The method without its numbers and names.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Selective(_) => "selective",
            Self::Head => "head",
            Self::Lora => "lora",
            Self::Dora => "dora",
            Self::Ia3 => "ia3",
            Self::Adapter => "adapter",
            Self::Prompt => "prompt",
        }
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "full" => Ok(Self::Full),
            "head" => Ok(Self::Head),
            "lora" => Ok(Self::Lora),
            "dora" => Ok(Self::Dora),
            "ia3" => Ok(Self::Ia3),
            "adapter" => Ok(Self::Adapter),
            "prompt" => Ok(Self::Prompt),
            parts => {
                let mut selection = Selection::default();
                for part in parts.split('+') {
                    if !select(&mut selection, part) {
                        return Err(format!(
                            "no method {part:?}; there are {METHODS}; last, norms, biases and patterns go together, as \
                             in last:2+norms"
                        ));
                    }
                }
                Ok(Self::Selective(selection))
            }
        }
    }
}

/// Adds what a part of a method names; whether it names anything.
fn select(selection: &mut Selection, part: &str) -> bool {
    match part.split_once(':') {
        Some(("last", n)) => match n.parse() {
            Ok(n) => selection.last_layers = Some(n),
            Err(_) => return false,
        },
        Some(("patterns", names)) if !names.is_empty() => {
            selection.patterns.extend(names.split(',').map(str::to_owned));
        }
        None if part == "norms" => selection.norms = true,
        None if part == "biases" => selection.biases = true,
        _ => return false,
    }
    true
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Selective(selection) = self else {
            return f.write_str(self.kind());
        };
        let last = selection.last_layers.map(|n| format!("last:{n}"));
        let norms = selection.norms.then(|| "norms".to_owned());
        let biases = selection.biases.then(|| "biases".to_owned());
        let patterns =
            (!selection.patterns.is_empty()).then(|| format!("patterns:{}", selection.patterns.join(",")));
        let parts: Vec<String> = [last, norms, biases, patterns].into_iter().flatten().collect();
        f.write_str(&parts.join("+"))
    }
}

impl FromStr for SearchSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const POINTS: usize = 3;
        let size = match text.split_once(':') {
            _ if text == "grid" => Some(Self::Grid(POINTS)),
            Some(("grid", points)) => points.parse().ok().map(Self::Grid),
            _ => text.parse().ok().map(Self::Random),
        };
        size.ok_or_else(|| format!("{text:?}; write a number, grid, or grid:N"))
    }
}

impl FromStr for TargetNames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let targets = match text.strip_prefix(PATTERN) {
            Some("") => return Err("re: and nothing behind it; write a regular expression".to_owned()),
            Some(pattern) => Targets::Pattern(pattern.to_owned()),
            None if text == "all-linear" => Targets::AllLinear,
            None => {
                let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
                if names.iter().any(String::is_empty) {
                    return Err(format!("{text:?}; write names with a comma between them"));
                }
                Targets::Names(names)
            }
        };
        Ok(Self(targets))
    }
}

impl FromStr for ClassWeighting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "balanced" => Self::Balanced,
            file => Self::File(file.into()),
        })
    }
}

impl fmt::Display for ClassWeighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balanced => f.write_str("balanced"),
            Self::File(file) => file.display().fmt(f),
        }
    }
}

/// What is done with examples that are too long.
///
/// # Errors
/// The names that there are.
pub fn overflow(text: &str) -> Result<Overflow, String> {
    match text {
        "error" => Ok(Overflow::Error),
        "truncate" => Ok(Overflow::Truncate),
        "drop" => Ok(Overflow::Drop),
        other => Err(format!("no policy {other:?}; there are error, truncate, drop")),
    }
}

/// The option's word for a policy.
#[must_use]
pub fn overflow_name(overflow: Overflow) -> &'static str {
    match overflow {
        Overflow::Error => "error",
        Overflow::Truncate => "truncate",
        Overflow::Drop => "drop",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_as_they_are_written() {
        for text in [
            "full",
            "head",
            "lora",
            "dora",
            "ia3",
            "adapter",
            "prompt",
            "last:2",
            "norms",
            "last:2+norms+biases",
            "patterns:*.query,pooler",
        ] {
            assert_eq!(
                text.parse::<Method>().map(|method| method.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "lara",
            "last:",
            "last:x",
            "last",
            "norms+",
            "lora+norms",
            "patterns:",
            "",
        ] {
            let error = text.parse::<Method>().expect_err(text);
            assert!(error.contains(METHODS), "{error}");
        }
    }

    #[test]
    fn targets_are_names_patterns_or_all() {
        let read = |text: &str| text.parse::<TargetNames>().map(|names| names.0);
        assert_eq!(
            read("q_proj, v_proj"),
            Ok(Targets::Names(vec!["q_proj".into(), "v_proj".into()]))
        );
        assert_eq!(
            read("re:.*[qv]_proj{1,1}"),
            Ok(Targets::Pattern(".*[qv]_proj{1,1}".into()))
        );
        assert_eq!(read("all-linear"), Ok(Targets::AllLinear));
        assert!(read("re:").is_err() && read("a,,b").is_err());
    }
}
