//! A comparison for people: on a terminal, on a page.

use std::fmt;

use super::comparison::{Comparison, Row};
use super::measured::Approach;
use super::recommendation::time;
use crate::error::counted;
use crate::html::{Bar, Bars, Chart, Page, Series, Table};

/// Rows as a table, their notes, then the recommendation.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.table())?;
        for (system, note) in self.notes() {
            writeln!(f, "{system}: {note}")?;
        }
        write!(f, "{}", self.recommendation().text)
    }
}

impl Comparison {
    /// A row for each system: quality with interval, latency, memory, training, index, update. What is not known is a dash.
    pub fn table(&self) -> Table {
        let measure = self.quality().name();
        let mut table = Table::new([
            "system", measure, "within", "p50", "p95", "memory", "training", "index", "update",
        ]);
        for row in self.rows() {
            table.row(cells(row));
        }
        table
    }

    /// Puts the comparison on a page: recommendation, quality as bars, the table, the differences.
    pub fn show(&self, page: &mut Page) {
        let measure = self.quality().name();
        page.paragraph(&self.recommendation().text);
        let bars = self.rows().iter().fold(
            Bars::new(
                format!("{measure}, {}", counted(self.questions(), "question")),
                measure,
            ),
            {
                |bars, row| {
                    let quality = &row.quality;
                    let bar = Bar::new(&row.name, quality.estimate).with_interval(quality.low, quality.high);
                    bars.with_bar(bar.with_group(name(row.approach)))
                }
            },
        );
        page.bars(&bars).table(&self.table());
        for (system, note) in self.notes() {
            page.note(&format!("{system}: {note}."));
        }
        if self.pairs().is_empty() {
            return;
        }
        let mut table = Table::new([
            "best less other",
            "difference",
            "within",
            "significant",
            "questions needed",
        ]);
        for pair in self.pairs() {
            let interval = &pair.difference.interval;
            table.row([
                format!("{} less {}", pair.best, pair.other),
                format!("{:+.4}", interval.estimate),
                format!("{:+.4}..{:+.4}", interval.low, interval.high),
                if pair.is_significant { "yes" } else { "no" }.to_owned(),
                pair.needed
                    .map_or_else(|| "-".to_owned(), |needed| needed.to_string()),
            ]);
        }
        page.table(&table).note(
            "Differences are of the same questions; their intervals hold together (Bonferroni). Questions needed: so many \
             would show a difference as large as the measured one in 80 of 100 samples.",
        );
    }

    /// The quality of every system over what it learned from: one comparison for each amount, in rising order.
    pub fn curve(by_amount: &[(f64, &Self)], amount: &str) -> Chart {
        let Some((_, last)) = by_amount.last() else {
            return Chart::default();
        };
        let measure = last.quality().name();
        let mut chart = Chart::new(format!("{measure} by {amount}"), amount, measure).with_logarithmic_x();
        for row in last.rows() {
            let found: Vec<_> = by_amount
                .iter()
                .filter_map(|(amount, comparison)| {
                    let row = comparison.rows().iter().find(|other| other.name == row.name)?;
                    Some((*amount, row.quality))
                })
                .collect();
            let points = found.iter().map(|(amount, quality)| (*amount, quality.estimate));
            let band = found.iter().map(|(_, quality)| (quality.low, quality.high));
            chart = chart.with_series(Series::new(&row.name, points).with_band(band).with_dots());
        }
        chart
    }

    fn notes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rows()
            .iter()
            .flat_map(|row| row.notes.iter().map(|note| (row.name.as_str(), note.as_str())))
    }
}

/// A row's cells.
fn cells(row: &Row) -> Vec<String> {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let quality = &row.quality;
    let training = |seconds: f64| {
        if seconds == 0.0 {
            "0 s".to_owned()
        } else {
            time(seconds)
        }
    };
    vec![
        row.name.clone(),
        format!("{:.4}", quality.estimate),
        format!("{:.4}..{:.4}", quality.low, quality.high),
        known(row.latency_ms.map(|latency| time(latency.p50 / 1e3))),
        known(row.latency_ms.map(|latency| time(latency.p95 / 1e3))),
        known(row.peak_bytes.map(bytes)),
        known(row.train_seconds.map(training)),
        known(row.index_bytes.map(bytes)),
        known(row.update_seconds.map(time)),
    ]
}

fn name(approach: Approach) -> &'static str {
    match approach {
        Approach::Base => "as it came",
        Approach::Retrieval => "retrieval",
        Approach::Tuning => "tuning",
        Approach::TuningAndRetrieval => "tuning and retrieval",
    }
}

fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        b if b < 1e6 => format!("{:.0} kB", b / 1e3),
        b if b < 1e10 => format!("{:.0} MB", b / 1e6),
        b => format!("{:.1} GB", b / 1e9),
    }
}
