//! What follows from the rows, by stated rules.

use serde::Serialize;

use super::comparison::{Pair, Row};
use super::measured::Approach;
use super::quality::Quality;
use crate::error::counted;

/// Fewer questions than these say little whatever they say.
const FEW: usize = 30;

/// What follows from a comparison, by these rules:
///
/// 1. The system with the highest quality is the best.
/// 2. A system is worse when its paired difference to the best is significant; all others are as good as it, as far as
///    these questions can tell.
/// 3. Of the systems as good as the best, take the one that is trained for the shortest time; of equals the one whose
///    answer follows a change of knowledge soonest; then the one that answers fastest. What is not known counts as
///    nothing for a system that is not trained, and as worst otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Recommendation {
    /// The system to take.
    pub take: String,
    /// The best system and those that are not significantly worse.
    pub equals: Vec<String>,
    /// The systems that are significantly worse.
    pub worse: Vec<String>,
    /// What more questions could tell.
    pub undecided: Vec<Undecided>,
    /// All of it in words.
    pub text: String,
}

/// Two systems whose difference these questions cannot tell from none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Undecided {
    /// The best system.
    pub best: String,
    /// The other one.
    pub other: String,
    /// Questions that would show the measured difference in 80 of 100 samples; absent where none was measured.
    pub needed: Option<usize>,
}

/// Applies the rules.
pub(super) fn recommend(quality: &Quality, questions: usize, rows: &[Row], pairs: &[Pair]) -> Recommendation {
    let best = pairs.first().map(|pair| pair.best.as_str());
    let best = rows.iter().find(|row| best.is_none_or(|best| row.name == best));
    let of = |is_significant: bool| {
        let some = pairs
            .iter()
            .filter(move |pair| pair.is_significant == is_significant);
        some.filter_map(|pair| rows.iter().find(|row| row.name == pair.other))
    };
    let equals: Vec<&Row> = best.into_iter().chain(of(false)).collect();
    let worse: Vec<&Row> = of(true).collect();
    let cost = |row: &Row| {
        // What is not known of a system that is trained is not little.
        let unknown = if is_trained(row) { f64::INFINITY } else { 0.0 };
        [
            row.train_seconds.unwrap_or(unknown),
            row.update_seconds.unwrap_or(unknown),
            row.latency_ms.map_or(f64::INFINITY, |latency| latency.p50),
        ]
    };
    let cheapest = equals.iter().min_by(|a, b| {
        let by_cost = cost(a).into_iter().zip(cost(b));
        by_cost.fold(std::cmp::Ordering::Equal, |order, (a, b)| {
            order.then(a.total_cmp(&b))
        })
    });
    let undecided: Vec<Undecided> = pairs
        .iter()
        .filter(|pair| !pair.is_significant)
        .map(|pair| Undecided {
            best: pair.best.clone(),
            other: pair.other.clone(),
            needed: pair.needed,
        })
        .collect();
    let names = |rows: &[&Row]| rows.iter().map(|row| row.name.clone()).collect();
    let text = match (best, cheapest) {
        (Some(best), Some(take)) => {
            let found = Found {
                quality,
                questions,
                best,
                take,
                equals: &equals,
                worse: &worse,
                pairs,
            };
            found.text()
        }
        _ => String::new(),
    };
    Recommendation {
        take: cheapest.map(|row| row.name.clone()).unwrap_or_default(),
        equals: names(&equals),
        worse: names(&worse),
        undecided,
        text,
    }
}

fn is_trained(row: &Row) -> bool {
    matches!(row.approach, Approach::Tuning | Approach::TuningAndRetrieval)
}

/// What the rules found.
struct Found<'a> {
    quality: &'a Quality,
    questions: usize,
    best: &'a Row,
    take: &'a Row,
    equals: &'a [&'a Row],
    worse: &'a [&'a Row],
    pairs: &'a [Pair],
}

impl Found<'_> {
    fn text(&self) -> String {
        let sentences = [
            self.few(),
            self.choice(),
            self.cost(),
            self.worse(),
            self.more_questions(),
            self.failures(),
        ];
        let sentences: Vec<String> = sentences.into_iter().flatten().collect();
        sentences.join(" ")
    }

    /// What to take, and against what.
    fn choice(&self) -> Option<String> {
        let Self { take, best, .. } = self;
        let (measure, value) = (self.quality.name(), within(take));
        if self.pairs.is_empty() {
            return Some(format!(
                "{}: {measure} {value}. There is nothing to compare it with.",
                take.name
            ));
        }
        if self.equals.len() == 1 {
            return Some(format!(
                "Take {}: {measure} {value}, significantly better than every other system.",
                take.name
            ));
        }
        let others: Vec<&str> = self.names(self.equals, &take.name);
        Some(if self.worse.is_empty() {
            format!(
                "Take {}: {measure} {value}. There is no significant difference between it and {}.",
                take.name,
                listed(&others)
            )
        } else if take.name == best.name {
            format!(
                "Take {}: {measure} {value}, the highest; {} {} not significantly different.",
                take.name,
                listed(&others),
                if others.len() == 1 { "is" } else { "are" }
            )
        } else {
            format!(
                "Take {}: {measure} {value}, not significantly different from the best, {} ({:.4}).",
                take.name, best.name, best.quality.estimate
            )
        })
    }

    /// Why it and not another of those as good.
    fn cost(&self) -> Option<String> {
        let is_known = self.take.train_seconds.is_some() || !is_trained(self.take);
        if self.equals.len() < 2 || !is_known {
            return None;
        }
        let trained = |row: &Row| row.train_seconds.filter(|seconds| *seconds > 0.0);
        let longest = self
            .equals
            .iter()
            .filter_map(|row| trained(row))
            .reduce(f64::max)?;
        Some(match (trained(self.take), self.take.update_seconds) {
            (None, Some(update)) => format!(
                "It needs no training (the others up to {}), and follows a change of knowledge within {}.",
                time(longest),
                time(update)
            ),
            (None, None) => format!("It needs no training (the others up to {}).", time(longest)),
            (Some(own), _) => format!(
                "Its training takes {} (the others up to {}).",
                time(own),
                time(longest)
            ),
        })
    }

    fn worse(&self) -> Option<String> {
        if self.worse.is_empty() {
            return None;
        }
        let found = self.pairs.iter().filter(|pair| pair.is_significant).map(|pair| {
            let interval = &pair.difference.interval;
            format!(
                "{} (by {:.4} [{:.4}, {:.4}])",
                pair.other, interval.estimate, interval.low, interval.high
            )
        });
        let found: Vec<String> = found.collect();
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        Some(format!(
            "Significantly worse than {}: {}.",
            self.best.name,
            listed(&found)
        ))
    }

    /// What these questions cannot tell.
    fn more_questions(&self) -> Option<String> {
        let open = self.pairs.iter().filter(|pair| !pair.is_significant);
        let known: Vec<String> = open
            .map(|pair| match pair.needed {
                Some(needed) if needed > self.questions => format!(
                    "whether {} is better than {} by the measured {:.4} would need about {} questions",
                    pair.best,
                    pair.other,
                    pair.difference.interval.estimate,
                    about(needed)
                ),
                Some(_) => format!(
                    "the difference between {} and {} ({:.4}) is at the edge of what {} show; \
                     another sample would decide",
                    pair.best,
                    pair.other,
                    pair.difference.interval.estimate,
                    counted(self.questions, "question")
                ),
                None => format!(
                    "{} and {} are equal on these questions, which show differences from {:.4} on",
                    pair.best, pair.other, pair.detectable
                ),
            })
            .collect();
        if known.is_empty() {
            return None;
        }
        let these = match self.questions {
            1 => "this question".to_owned(),
            questions => format!("these {questions} questions"),
        };
        Some(format!("What {these} cannot tell: {}.", known.join("; ")))
    }

    fn failures(&self) -> Option<String> {
        let rows = self
            .equals
            .iter()
            .chain(self.worse)
            .filter(|row| row.failures > 0);
        let failed: Vec<String> = rows
            .map(|row| format!("{} on {}", row.name, row.failures))
            .collect();
        let failed: Vec<&str> = failed.iter().map(String::as_str).collect();
        (!failed.is_empty()).then(|| {
            format!(
                "Failed, and counted as wrong: {} of {}.",
                listed(&failed),
                counted(self.questions, "question")
            )
        })
    }

    fn few(&self) -> Option<String> {
        let many = if self.questions == 1 {
            "question is"
        } else {
            "questions are"
        };
        (self.questions < FEW).then(|| {
            format!(
                "{} {many} too few to recommend anything by: collect {FEW} at the least, better some hundred. What they say:",
                self.questions
            )
        })
    }

    fn names<'r>(&self, rows: &[&'r Row], but: &str) -> Vec<&'r str> {
        rows.iter()
            .map(|row| row.name.as_str())
            .filter(|name| *name != but)
            .collect()
    }
}

fn within(row: &Row) -> String {
    let quality = &row.quality;
    format!(
        "{:.4} [{:.4}, {:.4}]",
        quality.estimate, quality.low, quality.high
    )
}

/// a, b and c
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// A large number as a person says it: two digits and zeros, in groups of three.
fn about(number: usize) -> String {
    let unit = 10_usize.pow((number as f64).log10().floor().max(1.0) as u32 - 1);
    let rounded = (number.div_ceil(unit).saturating_mul(unit)).to_string();
    let grouped: Vec<&str> = rounded
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    grouped.join(",")
}

/// A time that a person reads.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use ragtune_core::statistics::Bootstrap;

    use super::super::{Asked, Comparison, Measured};
    use super::*;

    /// A system that is right on the questions that `right` names.
    fn system(name: &str, questions: usize, right: impl Fn(usize) -> bool, train_seconds: f64) -> Measured {
        let approach = if train_seconds == 0.0 {
            Approach::Retrieval
        } else {
            Approach::Tuning
        };
        let mut measured = Measured::new(name, approach).with_train_seconds(train_seconds);
        for number in 0..questions {
            let asked = Asked {
                id: number.to_string(),
                score: f64::from(u8::from(right(number))),
                latency_ms: 1.0,
                answer: None,
                failure: None,
            };
            measured.push(asked).expect("a score");
        }
        measured
    }

    fn recommended(systems: Vec<Measured>) -> Recommendation {
        Comparison::new(Quality::mean("accuracy"), systems, &Bootstrap::default())
            .expect("comparable")
            .recommendation()
            .clone()
    }

    #[test]
    fn one_question_is_singular() {
        let found = recommended(vec![
            system("a", 1, |_| true, 0.0),
            system("b", 1, |_| false, 0.0),
        ]);
        assert!(!found.text.contains("1 questions"), "{}", found.text);
        assert!(found.text.contains("1 question is too few"), "{}", found.text);
    }

    #[test]
    fn of_equals_the_one_without_training_is_taken() {
        let found = recommended(vec![
            system("tuned", 300, |n| n % 10 != 0, 60.0),
            system("nearest", 300, |n| n % 10 != 1 && n != 0, 0.0),
            system("guess", 300, |n| n % 2 == 0, 0.0),
        ]);
        assert_eq!(found.take, "nearest");
        assert_eq!(found.equals, ["tuned", "nearest"]);
        assert_eq!(found.worse, ["guess"]);
        assert!(
            found
                .text
                .contains("not significantly different from the best, tuned"),
            "{}",
            found.text
        );
        assert!(found.text.contains("needs no training"), "{}", found.text);
        let needed = found.undecided[0].needed.expect("a difference was measured");
        let said = format!("about {} questions", about(needed));
        assert!(needed > 300 && found.text.contains(&said), "{}", found.text);
    }

    #[test]
    fn large_numbers_have_two_digits() {
        let said = [7, 99, 101, 23_981, 1_450_000].map(about);
        assert_eq!(said, ["7", "99", "110", "24,000", "1,500,000"]);
    }

    #[test]
    fn a_better_tuned_system_is_taken_whatever_it_costs() {
        let found = recommended(vec![
            system("nearest", 500, |n| n % 3 != 0, 0.0),
            system("tuned", 500, |n| n % 20 != 0, 4000.0),
        ]);
        assert_eq!((found.take.as_str(), found.equals.len()), ("tuned", 1));
        assert!(
            found.text.contains("significantly better than every other"),
            "{}",
            found.text
        );
        assert!(found.undecided.is_empty());
    }

    #[test]
    fn equal_systems_and_few_questions_are_said() {
        let found = recommended(vec![
            system("a", 10, |_| true, 5.0),
            system("b", 10, |n| n > 2, 0.0),
        ]);
        assert!(found.text.contains("no significant difference"), "{}", found.text);
        assert!(
            found.text.starts_with("10 questions are too few"),
            "{}",
            found.text
        );
        let found = recommended(vec![
            system("a", 1, |_| true, 5.0),
            system("b", 1, |_| false, 0.0),
        ]);
        assert!(found.worse.is_empty(), "one question cannot tell: {}", found.text);
        let found = recommended(vec![
            system("a", 50, |n| n > 9, 0.0),
            system("b", 50, |n| n > 9, 0.0),
        ]);
        assert!(found.text.contains("equal on these questions"), "{}", found.text);
        let found = recommended(vec![system("a", 50, |n| n > 9, 0.0)]);
        assert!(found.text.contains("nothing to compare"), "{}", found.text);
    }

    #[test]
    fn training_that_nobody_timed_is_not_free() {
        let mut tuned = system("tuned", 300, |n| n % 10 != 0, 60.0);
        tuned.train_seconds = None;
        let found = recommended(vec![
            tuned,
            system("nearest", 300, |n| n % 10 != 1 && n != 0, 0.0),
        ]);
        assert_eq!(found.take, "nearest");
    }

    #[test]
    fn unlike_systems_are_refused() {
        let refused = |systems| {
            Comparison::new(Quality::mean("accuracy"), systems, &Bootstrap::default())
                .expect_err("not comparable")
                .to_string()
        };
        assert!(refused(vec![]).contains("none to compare"));
        assert!(refused(vec![system("a", 0, |_| true, 0.0)]).contains("none"));
        let (a, b) = (system("a", 5, |_| true, 0.0), system("b", 6, |_| true, 0.0));
        assert!(refused(vec![a.clone(), b]).contains("5 and 6 questions"));
        assert!(refused(vec![a.clone(), a]).contains("same name"));
    }
}
