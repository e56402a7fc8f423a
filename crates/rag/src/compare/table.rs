//! A comparison for a terminal.

use std::fmt;

use super::comparison::{Comparison, Row};
use super::recommendation::time;

/// Rows as a table, then the recommendation.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = Self::HEADER.map(str::to_owned);
        let mut lines = vec![header.to_vec()];
        if let Some(measure) = lines[0].get_mut(1) {
            self.quality().name().clone_into(measure);
        }
        lines.extend(self.rows().iter().map(cells));
        let widths: Vec<usize> = (0..Self::HEADER.len())
            .map(|column| {
                let cells = lines.iter().filter_map(|line| line.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        for line in &lines {
            let mut text = String::new();
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                match column {
                    0 => text += &format!("{cell:<width$}"),
                    _ => text += &format!("  {cell:>width$}"),
                }
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        for row in self.rows() {
            for note in &row.notes {
                writeln!(f, "{}: {note}", row.name)?;
            }
        }
        write!(f, "\n{}", self.recommendation().text)
    }
}

impl Comparison {
    /// The columns of [`Comparison::cells`]; the second is named after the measure.
    pub(super) const HEADER: [&str; 9] = [
        "system", "quality", "within", "p50", "p95", "memory", "training", "index", "update",
    ];
}

/// A row's cells; what is not known is a dash.
pub(super) fn cells(row: &Row) -> Vec<String> {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let quality = &row.quality;
    vec![
        row.name.clone(),
        format!("{:.4}", quality.estimate),
        format!("{:.4}..{:.4}", quality.low, quality.high),
        known(row.latency_ms.map(|latency| time(latency.p50 / 1e3))),
        known(row.latency_ms.map(|latency| time(latency.p95 / 1e3))),
        known(row.peak_bytes.map(bytes)),
        known(row.train_seconds.map(|seconds| {
            if seconds == 0.0 {
                "none".to_owned()
            } else {
                time(seconds)
            }
        })),
        known(row.index_bytes.map(bytes)),
        known(row.update_seconds.map(time)),
    ]
}

fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        b if b < 1e6 => format!("{:.0} kB", b / 1e3),
        b if b < 1e10 => format!("{:.0} MB", b / 1e6),
        b => format!("{:.1} GB", b / 1e9),
    }
}
