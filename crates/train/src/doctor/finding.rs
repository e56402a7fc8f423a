//! What was found, and all of it together.

use std::fmt;

use serde::{Serialize, Serializer};

use super::fault::{Fault, Severity};
use crate::data::Origin;

/// Examples that a finding names.
const MAX_EXAMPLES: usize = 5;

/// A fault that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What kind.
    pub fault: Fault,
    /// How bad it is.
    pub severity: Severity,
    /// How often: examples, labels or tokens, as `detail` says; 1 for a setting.
    pub count: usize,
    /// The first of the examples.
    #[serde(serialize_with = "as_text")]
    pub examples: Vec<Origin>,
    /// The particulars: numbers, names.
    pub detail: String,
    /// What helps.
    pub remedy: &'static str,
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Diagnosis {
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
    /// The kinds that could be looked for with what was given.
    pub looked_for: Vec<Fault>,
}

impl Diagnosis {
    /// Was a fault of this kind found?
    pub fn found(&self, fault: Fault) -> bool {
        self.get(fault).is_some()
    }

    /// The finding of a kind.
    pub fn get(&self, fault: Fault) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.fault == fault)
    }

    /// Was nothing found that is worse than a note?
    pub fn is_healthy(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.severity == Severity::Note)
    }

    /// The findings that make a run pointless or its measure wrong.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
    }

    /// Says that these kinds are looked for.
    pub(super) fn looks_for(&mut self, faults: &[Fault]) {
        self.looked_for.extend(faults);
    }

    /// Adds what was found of one kind, if anything.
    pub(super) fn add<'o>(
        &mut self,
        fault: Fault,
        examples: impl IntoIterator<Item = &'o Origin>,
        detail: impl Into<String>,
    ) {
        let mut count = 0;
        let mut first = Vec::new();
        for origin in examples {
            count += 1;
            // All questions of a file in one line have one origin.
            if first.len() < MAX_EXAMPLES && !first.contains(origin) {
                first.push(origin.clone());
            }
        }
        if count > 0 {
            self.push(fault, count, first, detail.into());
        }
    }

    /// Adds a finding that is no example's.
    pub(super) fn add_count(&mut self, fault: Fault, count: usize, detail: impl Into<String>) {
        if count > 0 {
            self.push(fault, count, Vec::new(), detail.into());
        }
    }

    /// Brings the findings into their order.
    pub(super) fn sorted(mut self) -> Self {
        self.findings
            .sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.fault));
        self.looked_for.sort_unstable();
        self.looked_for.dedup();
        self
    }

    /// Adds a finding, or adds to the one of its kind.
    fn push(&mut self, fault: Fault, count: usize, examples: Vec<Origin>, detail: String) {
        if let Some(known) = self.findings.iter_mut().find(|known| known.fault == fault) {
            known.count = known.count.max(count);
            known.examples.extend(examples);
            known.examples.truncate(MAX_EXAMPLES);
            known.detail = format!("{}; {detail}", known.detail);
            return;
        }
        self.findings.push(Finding {
            fault,
            severity: fault.severity(),
            count,
            examples,
            detail,
            remedy: fault.remedy(),
        });
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {}", self.severity, self.fault.title())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        if !self.examples.is_empty() {
            let places: Vec<String> = self.examples.iter().map(Origin::to_string).collect();
            write!(f, "\n         {}", places.join("; "))?;
            let more = self.count.saturating_sub(places.len());
            if more > 0 {
                write!(f, " and {more} more")?;
            }
        }
        write!(f, "\n         {}", self.remedy)
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let of = |severity, one: &str| {
            let count = self.findings.iter().filter(|f| f.severity == severity).count();
            format!("{count} {one}{}", if count == 1 { "" } else { "s" })
        };
        write!(
            f,
            "{} kinds of fault looked for: {}, {}, {}",
            self.looked_for.len(),
            of(Severity::Error, "error"),
            of(Severity::Warning, "warning"),
            of(Severity::Note, "note")
        )
    }
}

fn as_text<S: Serializer>(origins: &[Origin], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(origins.iter().map(Origin::to_string))
}
