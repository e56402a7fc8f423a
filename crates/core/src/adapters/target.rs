//! Which modules an `adapter_config.json` names, with which rank and alpha, as PEFT 0.21 decides it
//! (`tuners/tuners_utils.py`, `check_target_module_exists`; `utils/other.py`, `get_pattern_key`).

use fancy_regex::{Regex, RegexBuilder};

use super::base::{ModuleKind, ModuleShape, OUTPUT};
use super::{AdapterConfig, AdapterError, Targets};

/// Steps that a pattern may go back before it is refused.
const MAX_STEPS: usize = 100_000;
/// Characters of a pattern.
const MAX_PATTERN: usize = 1 << 16;

/// The patterns of a configuration, ready to be asked.
pub(super) struct Target<'a> {
    config: &'a AdapterConfig,
    targets: Option<Matcher<'a>>,
    exclude: Option<Matcher<'a>>,
    feedforward: Option<Matcher<'a>>,
    layers: Vec<Pattern<'a>>,
    ranks: Vec<(Pattern<'a>, usize)>,
    alphas: Vec<(Pattern<'a>, f64)>,
}

enum Matcher<'a> {
    Names(&'a [String]),
    Pattern(Pattern<'a>),
    AllLinear,
}

struct Pattern<'a> {
    field: &'static str,
    text: &'a str,
    regex: Regex,
}

impl<'a> Target<'a> {
    pub(super) fn new(config: &'a AdapterConfig) -> Result<Self, AdapterError> {
        let matcher = |field: &'static str, targets: &'a Option<Targets>| match targets {
            None => Ok(None),
            Some(Targets::Names(names)) => Ok(Some(Matcher::Names(names))),
            Some(Targets::Pattern(text)) => {
                Pattern::new(field, text, "", "").map(|pattern| Some(Matcher::Pattern(pattern)))
            }
            Some(Targets::AllLinear) => Ok(Some(Matcher::AllLinear)),
        };
        let layers = config.layers_pattern.iter();
        let ranks = config.rank_pattern.iter();
        let alphas = config.alpha_pattern.iter();
        Ok(Self {
            config,
            targets: matcher("target_modules", &config.target_modules)?,
            exclude: matcher("exclude_modules", &config.exclude_modules)?,
            feedforward: matcher("feedforward_modules", &config.feedforward_modules)?,
            layers: layers
                .map(|text| Pattern::new("layers_pattern", text, r"(?:|.*?\.)", r"\.(?<layer>\d+)\..*"))
                .collect::<Result<_, _>>()?,
            ranks: ranks
                .map(|(text, rank)| Ok((Pattern::new("rank_pattern", text, r"(?:.*\.)?", "")?, *rank)))
                .collect::<Result<_, _>>()?,
            alphas: alphas
                .map(|(text, alpha)| Ok((Pattern::new("alpha_pattern", text, r"(?:.*\.)?", "")?, *alpha)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether the module at a slot has an update, by either of its names; `None` where the configuration leaves it to the tensors.
    pub(super) fn includes(&self, slot: &str, shape: ModuleShape) -> Result<Option<bool>, AdapterError> {
        match self.includes_path(slot, shape)? {
            Some(false) if shape.is_output && slot != OUTPUT => self.includes_path(OUTPUT, shape),
            included => Ok(included),
        }
    }

    fn includes_path(&self, slot: &str, shape: ModuleShape) -> Result<Option<bool>, AdapterError> {
        if matches!(shape.kind, ModuleKind::Norm { .. }) {
            return Ok(Some(false));
        }
        if let Some(exclude) = &self.exclude
            && exclude.matches(slot, shape)?
        {
            return Ok(Some(false));
        }
        if self.config.modules_to_save.iter().any(|name| within(slot, name)) {
            return Ok(Some(false));
        }
        match &self.targets {
            None => Ok(None),
            Some(names @ Matcher::Names(_)) => {
                Ok(Some(names.matches(slot, shape)? && self.includes_layer(slot)?))
            }
            Some(pattern) => pattern.matches(slot, shape).map(Some),
        }
    }

    /// Whether the module at a slot was trained as a whole, by itself or inside a larger one.
    pub(super) fn saves(&self, slot: &str, shape: ModuleShape) -> bool {
        self.saves_path(slot) || (shape.is_output && self.saves_path(OUTPUT))
    }

    /// As [`saves`](Self::saves), by the path alone.
    pub(super) fn saves_path(&self, slot: &str) -> bool {
        let ends = slot.match_indices('.').map(|(end, _)| end).chain([slot.len()]);
        let mut paths = ends.map(|end| &slot[..end]);
        paths.any(|path| {
            self.config
                .modules_to_save
                .iter()
                .any(|name| path.ends_with(name.as_str()))
        })
    }

    /// Whether (IA)³ rescales the module's input instead of its output.
    pub(super) fn is_feedforward(&self, slot: &str, shape: ModuleShape) -> Result<bool, AdapterError> {
        match &self.feedforward {
            None => Ok(false),
            Some(Matcher::Names(names)) => Ok(names.iter().any(|name| slot.ends_with(name.as_str()))),
            Some(pattern) => pattern.matches(slot, shape),
        }
    }

    /// Rank and alpha of the update of a module.
    pub(super) fn rank_and_alpha(&self, slot: &str, is_output: bool) -> Result<(usize, f64), AdapterError> {
        let path = if is_output { OUTPUT } else { slot };
        let rank = first(&self.ranks, slot)?.or(first(&self.ranks, path)?);
        let alpha = first(&self.alphas, slot)?.or(first(&self.alphas, path)?);
        Ok((
            rank.unwrap_or(self.config.r),
            alpha.unwrap_or(self.config.lora_alpha),
        ))
    }

    fn includes_layer(&self, slot: &str) -> Result<bool, AdapterError> {
        let Some(wanted) = &self.config.layers_to_transform else {
            return Ok(true);
        };
        let mut number = None;
        if self.layers.is_empty() {
            // The first number that stands behind two names and in front of another.
            let parts: Vec<&str> = slot.split('.').collect();
            let inside = parts.len().saturating_sub(1).max(2);
            number = parts
                .get(2..inside)
                .and_then(|parts| parts.iter().find_map(|part| part.parse::<usize>().ok()));
        }
        for pattern in &self.layers {
            number = pattern.layer(slot)?;
            if number.is_some() {
                break;
            }
        }
        Ok(number.is_some_and(|number| wanted.contains(&number)))
    }
}

impl Matcher<'_> {
    fn matches(&self, slot: &str, shape: ModuleShape) -> Result<bool, AdapterError> {
        match self {
            Self::Names(names) => Ok(names.iter().any(|name| is_end(slot, name))),
            Self::Pattern(pattern) => pattern.matches(slot),
            Self::AllLinear => Ok(matches!(shape.kind, ModuleKind::Linear { .. }) && !shape.is_output),
        }
    }
}

impl<'a> Pattern<'a> {
    fn new(field: &'static str, text: &'a str, before: &str, behind: &str) -> Result<Self, AdapterError> {
        let failed = |reason: String| AdapterError::Pattern {
            field,
            pattern: text.chars().take(200).collect(),
            reason,
        };
        if text.len() > MAX_PATTERN {
            return Err(failed(format!("it is longer than {MAX_PATTERN} bytes")));
        }
        let regex = RegexBuilder::new(&format!(r"\A{before}(?:{text}){behind}\z"))
            .backtrack_limit(MAX_STEPS)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { field, text, regex })
    }

    fn matches(&self, slot: &str) -> Result<bool, AdapterError> {
        self.regex.is_match(slot).map_err(|error| self.failed(&error))
    }

    fn layer(&self, slot: &str) -> Result<Option<usize>, AdapterError> {
        let found = self.regex.captures(slot).map_err(|error| self.failed(&error))?;
        Ok(found
            .and_then(|found| found.name("layer").map(|number| number.as_str().to_owned()))
            .and_then(|number| number.parse().ok()))
    }

    fn failed(&self, error: &fancy_regex::Error) -> AdapterError {
        AdapterError::Pattern {
            field: self.field,
            pattern: self.text.chars().take(200).collect(),
            reason: error.to_string(),
        }
    }
}

fn first<T: Copy>(patterns: &[(Pattern<'_>, T)], slot: &str) -> Result<Option<T>, AdapterError> {
    for (pattern, value) in patterns {
        if is_end(slot, pattern.text) || pattern.matches(slot)? {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}

/// Whether a path is a name, or ends in it behind a dot.
fn is_end(slot: &str, name: &str) -> bool {
    slot.strip_suffix(name)
        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// Whether a path has a name between its dots.
fn within(slot: &str, name: &str) -> bool {
    slot.match_indices(name).any(|(start, _)| {
        let (before, behind) = (&slot[..start], &slot[start + name.len()..]);
        (before.is_empty() || before.ends_with('.')) && (behind.is_empty() || behind.starts_with('.'))
    })
}
