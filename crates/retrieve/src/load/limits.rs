//! How much a file may cost, and the purse that is carried along while one is read.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u32 = 1024;

/// What a loader gives to one file at most; a file that asks for more is [`Error::LoadLimit`], never a shorter text.
///
/// ```
/// use std::time::Duration;
/// use ragtune_retrieve::load::LoadLimits;
/// let limits = LoadLimits::default().with_pages(100).with_time(Duration::from_secs(5));
/// assert_eq!(limits.unpacked_bytes, 512 << 20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadLimits {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes that come out of compressed parts, all together.
    pub unpacked_bytes: u64,
    /// Bytes of text.
    pub text_bytes: u64,
    /// Pages, slides, sheets or chapters.
    pub pages: u64,
    /// Cells of a spreadsheet, filled or between filled ones where the format makes them cost.
    pub cells: u64,
    /// Nested elements.
    pub depth: u64,
    /// Time.
    pub time: Duration,
}

impl LoadLimits {
    /// With another number of bytes of the file; 256 MiB without.
    pub fn with_file_bytes(mut self, bytes: u64) -> Self {
        self.file_bytes = bytes;
        self
    }

    /// With another number of bytes that compressed parts may unfold to; 512 MiB without.
    pub fn with_unpacked_bytes(mut self, bytes: u64) -> Self {
        self.unpacked_bytes = bytes;
        self
    }

    /// With another number of bytes of text; 256 MiB without.
    pub fn with_text_bytes(mut self, bytes: u64) -> Self {
        self.text_bytes = bytes;
        self
    }

    /// With another number of pages, slides, sheets or chapters; 50,000 without.
    pub fn with_pages(mut self, pages: u64) -> Self {
        self.pages = pages;
        self
    }

    /// With another number of cells of a spreadsheet; 8 million without.
    pub fn with_cells(mut self, cells: u64) -> Self {
        self.cells = cells;
        self
    }

    /// With another number of nested elements; 256 without.
    pub fn with_depth(mut self, depth: u64) -> Self {
        self.depth = depth;
        self
    }

    /// With another time; 60 seconds without.
    pub fn with_time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }
}

impl Default for LoadLimits {
    fn default() -> Self {
        Self {
            file_bytes: 256 << 20,
            unpacked_bytes: 512 << 20,
            text_bytes: 256 << 20,
            pages: 50_000,
            cells: 8_000_000,
            depth: 256,
            time: Duration::from_secs(60),
        }
    }
}

/// What is limited, with the calls that raise the limits.
const LIMITS: [(&str, &str); 7] = [
    ("bytes", "with_file_bytes"),
    ("bytes after unpacking", "with_unpacked_bytes"),
    ("bytes of text", "with_text_bytes"),
    ("pages", "with_pages"),
    ("cells", "with_cells"),
    ("nested elements", "with_depth"),
    ("milliseconds", "with_time"),
];

/// What the call of this name limits.
pub(super) fn limit_of(setter: &str) -> Option<(&'static str, &'static str)> {
    LIMITS.into_iter().find(|(_, found)| *found == setter)
}

/// What is left of the limits while a file is read.
#[derive(Debug)]
pub(super) struct Budget {
    path: PathBuf,
    limits: LoadLimits,
    /// `None` where the time is longer than the clock can tell.
    deadline: Option<Instant>,
    unpacked: Cell<u64>,
    cells: Cell<u64>,
    steps: Cell<u32>,
}

impl Budget {
    /// The whole budget of a file of this size.
    pub(super) fn new(path: &Path, bytes: usize, limits: &LoadLimits) -> Result<Self> {
        let budget = Self {
            path: path.to_owned(),
            limits: limits.clone(),
            deadline: Instant::now().checked_add(limits.time),
            unpacked: Cell::new(0),
            cells: Cell::new(0),
            steps: Cell::new(0),
        };
        budget.within(bytes as u64, limits.file_bytes, "with_file_bytes")?;
        Ok(budget)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn limits(&self) -> &LoadLimits {
        &self.limits
    }

    /// A file that its format does not explain.
    pub(super) fn unreadable(&self, reason: impl Into<String>) -> Error {
        Error::Unreadable {
            path: self.path.clone(),
            reason: reason.into(),
        }
    }

    /// A step of work that may have many; looks at the clock now and then.
    pub(super) fn step(&self) -> Result<()> {
        let steps = self.steps.get().wrapping_add(1);
        self.steps.set(steps);
        match steps % STEPS_PER_LOOK {
            0 => self.look(),
            _ => Ok(()),
        }
    }

    /// Looks at the clock.
    pub(super) fn look(&self) -> Result<()> {
        match self.deadline {
            Some(deadline) if Instant::now() > deadline => Err(self.out_of_time()),
            _ => Ok(()),
        }
    }

    /// The time is up.
    pub(super) fn out_of_time(&self) -> Error {
        let allowed = u64::try_from(self.limits.time.as_millis()).unwrap_or(u64::MAX);
        self.exceeds(allowed, "with_time")
    }

    /// Bytes that may still be unpacked.
    pub(super) fn unpackable(&self) -> u64 {
        self.limits.unpacked_bytes.saturating_sub(self.unpacked.get())
    }

    /// Counts bytes that were unpacked.
    pub(super) fn unpack(&self, bytes: u64) -> Result<()> {
        let all = self.unpacked.get().saturating_add(bytes);
        self.unpacked.set(all);
        self.within(all, self.limits.unpacked_bytes, "with_unpacked_bytes")
    }

    /// Checks bytes that are held at once and let go of again.
    pub(super) fn held(&self, bytes: u64) -> Result<()> {
        self.within(bytes, self.limits.unpacked_bytes, "with_unpacked_bytes")
    }

    /// Checks the length of the text.
    pub(super) fn text(&self, bytes: usize) -> Result<()> {
        self.within(bytes as u64, self.limits.text_bytes, "with_text_bytes")
    }

    /// Checks a number of pages.
    pub(super) fn pages(&self, pages: usize) -> Result<()> {
        self.within(pages as u64, self.limits.pages, "with_pages")
    }

    /// Counts cells.
    pub(super) fn cells(&self, cells: u64) -> Result<()> {
        let all = self.cells.get().saturating_add(cells);
        self.cells.set(all);
        self.within(all, self.limits.cells, "with_cells")
    }

    /// Checks how deep elements are nested.
    pub(super) fn depth(&self, depth: usize) -> Result<()> {
        self.within(depth as u64, self.limits.depth, "with_depth")
    }

    /// Something nests deeper than the limit.
    #[cfg(feature = "pdf")]
    pub(super) fn too_deep(&self) -> Error {
        self.exceeds(self.limits.depth, "with_depth")
    }

    fn within(&self, found: u64, allowed: u64, setter: &'static str) -> Result<()> {
        match found > allowed {
            true => Err(self.exceeds(allowed, setter)),
            false => Ok(()),
        }
    }

    fn exceeds(&self, allowed: u64, setter: &'static str) -> Error {
        Error::LoadLimit {
            path: self.path.clone(),
            what: limit_of(setter).map_or("of something", |(what, _)| what),
            allowed,
            setter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_adds_up() {
        let limits = LoadLimits::default().with_unpacked_bytes(10).with_cells(3);
        let budget = Budget::new(Path::new("a.zip"), 5, &limits).unwrap();
        budget.unpack(6).unwrap();
        assert_eq!(budget.unpackable(), 4);
        let error = budget.unpack(5).unwrap_err();
        assert!(
            error.to_string().contains("10 bytes after unpacking")
                && error.to_string().contains("with_unpacked_bytes"),
            "{error}"
        );
        budget.cells(3).unwrap();
        assert!(matches!(
            budget.cells(1),
            Err(Error::LoadLimit { allowed: 3, .. })
        ));
        assert!(Budget::new(Path::new("a"), 2, &LoadLimits::default().with_file_bytes(1)).is_err());
    }

    #[test]
    fn no_time_at_all_is_a_limit_too() {
        let limits = LoadLimits::default().with_time(Duration::ZERO);
        let budget = Budget::new(Path::new("a"), 0, &limits).unwrap();
        let steps = (0..STEPS_PER_LOOK * 2).map(|_| budget.step());
        assert!(steps.collect::<Result<()>>().is_err());
        let endless = LoadLimits::default().with_time(Duration::MAX);
        Budget::new(Path::new("a"), 0, &endless).unwrap().look().unwrap();
    }
}
