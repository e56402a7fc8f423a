//! The report of an evaluation for people.

use super::evaluation::{Counts, Evaluation, number};
use super::measure::name;
use super::record::{Outcome, Record};
use crate::error::counted;
use crate::html::{Bar, Bars, Chart, Page, Series, Table};

/// Questions that are shown with all that is known of them.
const WORST: usize = 12;

/// Questions in the list of all.
const LISTED: usize = 1_000;

/// Bins of a distribution.
const BINS: usize = 10;

/// Characters of a text that are shown.
const SHOWN: usize = 1_200;

/// Sources of a question that are shown.
const SOURCES: usize = 5;

pub(super) fn page(evaluation: &Evaluation) -> Page {
    let mut page = Page::new(format!("Evaluation of {}", evaluation.name));
    page.paragraph(&summary(evaluation));
    for note in evaluation.notes.iter().cloned().chain(evaluation.about_unknown()) {
        page.note(&note);
    }
    quality(&mut page, evaluation);
    risk(&mut page, evaluation);
    distributions(&mut page, evaluation);
    worst(&mut page, evaluation);
    page.heading("All measures");
    page.note("Intervals are those of the percentile bootstrap over the questions.");
    page.table(&evaluation.table());
    if !evaluation.absent.is_empty() {
        let mut inner = Page::new("");
        inner.table(&evaluation.absent_table());
        page.folded(
            &format!("{} measures are absent", evaluation.absent.len()),
            &inner,
        );
    }
    unknown(&mut page, evaluation);
    judge(&mut page, evaluation);
    all(&mut page, evaluation);
    page
}

fn summary(evaluation: &Evaluation) -> String {
    let Counts {
        questions,
        answerable,
        unanswerable,
        answered,
        abstained,
        failed,
    } = evaluation.counts;
    let mut text = format!(
        "{}, {answerable} answerable and {unanswerable} not: {answered} were answered, on {abstained} the \
         system abstained",
        counted(questions, "question")
    );
    text += &match failed {
        0 => ", on none it broke.".to_owned(),
        failed => format!(", on {failed} it broke, which counts as wrong."),
    };
    if let (Some(p50), Some(p95)) = (
        evaluation.get(name::LATENCY_P50),
        evaluation.get(name::LATENCY_P95),
    ) {
        text += &format!(
            " An answer took {:.0} ms in the median, {:.0} ms at the 95th percentile.",
            p50.value, p95.value
        );
    }
    if let Some(bytes) = evaluation.peak_bytes {
        text += &format!(" The process had {:.0} MB at most.", bytes as f64 / 1e6);
    }
    text
}

/// The measures from 0 to 1 as bars, by what they measure.
fn quality(page: &mut Page, evaluation: &Evaluation) {
    page.heading("Quality");
    let mut bars = Bars::new("Quality with 95 % intervals", "0 is worst, 1 is best");
    for measured in &evaluation.metrics {
        let group = match measured.name.as_str() {
            name::EXACT_MATCH
            | name::F1
            | name::F1_ANSWERABLE
            | name::F1_ANSWERED
            | name::ROUGE_L
            | name::SIMILARITY => "answers",
            name::CITATION_PRECISION
            | name::CITATION_RECALL
            | name::SUPPORT_LEXICAL
            | name::SUPPORT_ENCODER
            | name::SUPPORTED
            | name::SUPPORT_JUDGED => "citations",
            name::ANSWERED_ANSWERABLE
            | name::ABSTAINED_UNANSWERABLE
            | name::AUROC_ANSWERABLE
            | name::AUROC_RIGHT => "abstention",
            other if other.contains('@') => "sources",
            _ => continue,
        };
        let bar = Bar::new(measured.name.replace('_', " "), measured.value);
        bars = bars.with_bar(bar.with_interval(measured.low, measured.high).with_group(group));
    }
    page.bars(&bars);
}

fn risk(page: &mut Page, evaluation: &Evaluation) {
    let points = &evaluation.risk_coverage;
    if points.is_empty() {
        return;
    }
    page.heading("Risk and coverage");
    page.paragraph(&format!(
        "Were only the surest answers given, how wrong would they be? The risk of an answer is 1 less its {}. The curve \
         ends where the system itself abstains; a curve that rises to the right shows that its confidence means something.",
        evaluation.risk
    ));
    let series = Series::new(
        evaluation.name.as_str(),
        points.iter().map(|point| (point.coverage, point.risk)),
    )
    .with_band(points.iter().map(|point| (point.low, point.high)));
    let series = if points.len() <= 30 {
        series.with_dots()
    } else {
        series
    };
    let chart = Chart::new("Risk by coverage", "share of questions answered", "mean risk")
        .with_series(series)
        .with_y_range(0.0, 1.0)
        .with_x_range(0.0, 1.0);
    page.chart(&chart);
}

fn distributions(page: &mut Page, evaluation: &Evaluation) {
    let confidences = |answerable: bool| -> Vec<f64> {
        let records = evaluation
            .records
            .iter()
            .filter(|record| record.answerable == answerable);
        records.filter_map(|record| record.confidence).collect()
    };
    let (yes, no) = (confidences(true), confidences(false));
    let f1: Vec<f64> = evaluation.values(name::F1).into_values().collect();
    if !(yes.is_empty() && no.is_empty()) || f1.len() > 1 {
        page.heading("Distributions");
    }
    if !(yes.is_empty() && no.is_empty()) {
        let all = || yes.iter().chain(&no).copied();
        let (low, high) = (all().fold(0.0, f64::min), all().fold(1.0, f64::max));
        let mut chart = Chart::new("Confidence", "confidence", "share of questions").with_y_range(0.0, 1.0);
        for (name, values) in [("answerable", &yes), ("unanswerable", &no)] {
            if !values.is_empty() {
                chart = chart.with_series(histogram(name, values, low, high));
            }
        }
        page.chart(&chart);
    }
    if f1.len() > 1 {
        let chart = Chart::new("Token F1", "F1 of a question", "share of questions").with_y_range(0.0, 1.0);
        page.chart(&chart.with_series(histogram("questions", &f1, 0.0, 1.0)));
    }
}

/// The share of values in each of some bins, as an outline.
fn histogram(name: &str, values: &[f64], low: f64, high: f64) -> Series {
    let width = (high - low) / BINS as f64;
    let mut counts = [0_usize; BINS];
    for value in values {
        let bin = ((value - low) / width).floor().clamp(0.0, (BINS - 1) as f64) as usize;
        if let Some(count) = counts.get_mut(bin) {
            *count += 1;
        }
    }
    let share = |count: usize| count as f64 / values.len() as f64;
    let steps = counts.iter().enumerate().flat_map(|(bin, count)| {
        let left = low + width * bin as f64;
        [(left, share(*count)), (left + width, share(*count))]
    });
    let outline: Vec<(f64, f64)> = std::iter::once((low, 0.0))
        .chain(steps)
        .chain([(high, 0.0)])
        .collect();
    let ends: Vec<(f64, f64)> = outline.iter().map(|(_, share)| (0.0, *share)).collect();
    Series::new(format!("{name} ({})", values.len()), outline).with_band(ends)
}

fn worst(page: &mut Page, evaluation: &Evaluation) {
    let mut order: Vec<&Record> = evaluation.records.iter().collect();
    // What broke first, then what is furthest from right; ties by id.
    let value = |record: &Record| match record.is_failed() {
        true => f64::NEG_INFINITY,
        false => record
            .measures
            .get(evaluation.risk.as_str())
            .copied()
            .unwrap_or(f64::INFINITY),
    };
    order.retain(|record| value(record) < 1.0);
    order.sort_by(|a, b| value(a).total_cmp(&value(b)).then_with(|| a.id.cmp(&b.id)));
    if order.is_empty() {
        return;
    }
    page.heading("What went worst");
    for record in order.into_iter().take(WORST) {
        page.card(&record.question, &entries(record));
    }
}

fn entries(record: &Record) -> Vec<(&'static str, String)> {
    let answer = match &record.outcome {
        Outcome::Answered => shortened(&record.text),
        Outcome::Abstained(reason) => format!("(abstained: {reason})"),
        Outcome::Failed(error) => format!("(broke: {error})"),
    };
    let mut entries = vec![("answer", answer)];
    let gold = match record.answerable {
        false => "(no answer: the right thing is to abstain)".to_owned(),
        true => record
            .answers
            .iter()
            .map(|answer| shortened(answer))
            .collect::<Vec<_>>()
            .join("\nor: "),
    };
    if !gold.is_empty() {
        entries.push(("right", gold));
    }
    if !record.gold_sources.is_empty() {
        entries.push(("right sources", record.gold_sources.join(", ")));
    }
    if let Some(sources) = &record.sources {
        let shown = sources.iter().take(SOURCES).enumerate().map(|(at, source)| {
            let cited = record.citations.iter().any(|citation| citation.source == at + 1);
            let marks = [(source.is_gold, " ✓ right"), (cited, " (cited)")];
            let marks: String = marks
                .into_iter()
                .filter(|(is, _)| *is)
                .map(|(_, mark)| mark)
                .collect();
            format!("[{}] {}{marks}", at + 1, source.path)
        });
        let mut lines: Vec<String> = shown.collect();
        if sources.len() > SOURCES {
            lines.push(format!("and {} more", sources.len() - SOURCES));
        }
        entries.push(("found", lines.join("\n")));
    }
    let shown = [
        name::F1,
        name::ROUGE_L,
        name::SIMILARITY,
        name::CITATION_RECALL,
        name::SUPPORTED,
    ];
    let mut measures: Vec<String> = shown
        .into_iter()
        .filter_map(|name| {
            Some(format!(
                "{} {}",
                name.replace('_', " "),
                number(name, *record.measures.get(name)?)
            ))
        })
        .collect();
    measures.extend(
        record
            .confidence
            .map(|confidence| format!("confidence {confidence:.3}")),
    );
    measures.push(format!("{:.0} ms", record.latency_ms));
    entries.push(("measured", measures.join(" · ")));
    entries.push(("id", record.id.clone()));
    entries
}

/// A text that is not too long for a card; the records have it whole.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} more bytes)", &text[..end], text.len() - end),
        None => text.to_owned(),
    }
}

fn unknown(page: &mut Page, evaluation: &Evaluation) {
    if evaluation.unknown_sources.is_empty() {
        return;
    }
    let mut table = Table::new(["question", "source that does not exist"]);
    for unknown in evaluation.unknown_sources.iter().take(LISTED) {
        table.row([&unknown.question, &unknown.document]);
    }
    let mut inner = Page::new("");
    inner.table(&table);
    let count = evaluation.unknown_sources.len();
    if count > LISTED {
        inner.note(&format!("These are the first {LISTED} of {count}."));
    }
    page.folded(&format!("{count} right sources do not exist"), &inner);
}

fn judge(page: &mut Page, evaluation: &Evaluation) {
    let Some(judge) = &evaluation.judge else {
        return;
    };
    page.heading("The judge");
    page.paragraph(&format!(
        "{} was asked about {} sentences: {} verdicts, {} in another format, {} calls failed.",
        judge.model, judge.asked, judge.verdicts, judge.malformed, judge.failed
    ));
    if !judge.examples.is_empty() {
        page.code(&judge.examples.join("\n"));
    }
}

fn all(page: &mut Page, evaluation: &Evaluation) {
    let mut table = Table::new(["id", "question", "outcome", "f1", "supported", "confidence", "ms"]);
    for record in evaluation.records.iter().take(LISTED) {
        let measure = |name: &str| {
            let value = record.measures.get(name);
            value.map(|value| number(name, *value)).unwrap_or_default()
        };
        let outcome = match record.outcome {
            Outcome::Answered => "answered",
            Outcome::Abstained(_) => "abstained",
            Outcome::Failed(_) => "broke",
        };
        table.row([
            record.id.clone(),
            record.question.clone(),
            outcome.to_owned(),
            measure(name::F1),
            measure(name::SUPPORTED),
            record
                .confidence
                .map(|confidence| format!("{confidence:.3}"))
                .unwrap_or_default(),
            format!("{:.0}", record.latency_ms),
        ]);
    }
    let mut inner = Page::new("");
    inner.table(&table);
    let count = evaluation.records.len();
    if count > LISTED {
        inner.note(&format!(
            "These are the first {LISTED} of {count}; the file of records has all."
        ));
    }
    page.folded(&format!("All {}", counted(count, "question")), &inner);
}
