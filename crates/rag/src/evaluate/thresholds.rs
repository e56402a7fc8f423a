//! From which evidence on a sentence counts as carried by what it cites, and how well that tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ragtune_core::Cancel;
use ragtune_core::text::{Embedder, Query};
use ragtune_retrieve::{KnowledgeBase, Retriever};
use serde::{Deserialize, Serialize};

use super::question::AnswerSet;
use super::support::{Pair, covered, nearness, spans};
use crate::error::{Error, Result, counted};

/// Values that are tried for a threshold: one of each twentieth.
const STEPS: usize = 20;
/// Parts of the labelled sentences, each of which is told by thresholds that the others set.
const FOLDS: usize = 5;
/// Passages among which a document is looked for that does not answer.
const DEPTH: usize = 20;

/// A sentence is carried by the texts that it cites when they have a large enough share of its content words, or when one
/// of their sentences is near enough to it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SupportThresholds {
    /// The least share of content words, 0 to 1.
    pub lexical: f64,
    /// The least cosine, counted from that of unrelated texts.
    pub encoder: f64,
}

/// A sentence of which a person, or how it came about, says whether the texts carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelledSentence {
    /// The sentence.
    pub sentence: String,
    /// The texts.
    pub cited: Vec<String>,
    /// Whether they carry it.
    pub is_carried: bool,
    /// What belongs together, such as the sentences of one question; never both set and told.
    #[serde(default)]
    pub group: String,
}

/// How well thresholds tell carried sentences from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SupportScore {
    /// Carried, and told so.
    pub true_positives: usize,
    /// Not carried, and told to be.
    pub false_positives: usize,
    /// Carried, and told not to be.
    pub false_negatives: usize,
    /// Not carried, and told so.
    pub true_negatives: usize,
}

/// Thresholds by labelled sentences, beside those that are there without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SupportCalibration {
    /// Those with the highest balanced accuracy over all sentences.
    pub thresholds: SupportThresholds,
    /// How well such thresholds tell sentences that did not set them (cross-validation in five parts).
    pub held_out: SupportScore,
    /// How well the default thresholds tell the same sentences.
    pub default: SupportScore,
}

impl Default for SupportThresholds {
    /// 0.6 of the words, 0.75 of the way from unrelated texts to the same.
    fn default() -> Self {
        Self {
            lexical: 0.6,
            encoder: 0.75,
        }
    }
}

impl SupportThresholds {
    /// Thresholds of one's own.
    ///
    /// # Errors
    /// [`ragtune_core::Error::InvalidArgument`] for one outside of 0 to 1.
    pub fn new(lexical: f64, encoder: f64) -> Result<Self> {
        for (argument, value) in [("lexical", lexical), ("encoder", encoder)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(invalid(argument, format!("{value}; a threshold is from 0 to 1")));
            }
        }
        Ok(Self { lexical, encoder })
    }

    /// Sets the thresholds by labelled sentences: of all pairs of twentieths the one with the highest balanced accuracy,
    /// the mean of the shares of carried and of other sentences that are told right, which does not depend on how many
    /// there are of each. Without an encoder its threshold stays.
    ///
    /// ```
    /// use ragtune::Cancel;
    /// use ragtune::evaluate::{LabelledSentence, SupportThresholds};
    /// use ragtune::testing::HashingEmbedder;
    ///
    /// let tea = "Green tea is steeped at 80 degrees for two minutes.";
    /// let labelled = |sentence: &str, is_carried| LabelledSentence {
    ///     sentence: sentence.to_owned(),
    ///     cited: vec![tea.to_owned()],
    ///     is_carried,
    ///     group: sentence.to_owned(),
    /// };
    /// let sentences = [
    ///     labelled("Green tea steeps at 80 degrees.", true),
    ///     labelled("Two minutes are enough for green tea.", true),
    ///     labelled("Coffee grows in Brazil.", false),
    ///     labelled("Green paint dries in a day.", false),
    /// ];
    /// let embedder = HashingEmbedder::new(256);
    /// let calibration = SupportThresholds::calibrate(&sentences, Some(&embedder), &Cancel::new())?;
    /// println!("{calibration}");
    /// assert!(calibration.thresholds.are_met(1.0, None));
    /// # Ok::<(), ragtune::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ragtune_core::Error::InvalidArgument`] where all sentences, or none, are carried, or have no words;
    /// [`ragtune_core::Error::Cancelled`], and what keeps the encoder from working.
    pub fn calibrate(
        sentences: &[LabelledSentence],
        embedder: Option<&dyn Embedder>,
        cancel: &Cancel,
    ) -> Result<SupportCalibration> {
        let evidence = Evidence::all(sentences, embedder, cancel)?;
        let carried = evidence.iter().filter(|one| one.is_carried).count();
        if carried == 0 || carried == evidence.len() {
            return Err(invalid(
                "sentences",
                format!(
                    "{} with words, of which {carried} are carried; thresholds need some of either kind",
                    counted(evidence.len(), "sentence")
                ),
            ));
        }
        let groups: BTreeSet<&str> = evidence.iter().map(|one| one.group).collect();
        let fold: BTreeMap<&str, usize> = groups.into_iter().zip((0..FOLDS).cycle()).collect();
        let in_fold = |one: &Evidence<'_>, number| fold.get(one.group) == Some(&number);
        let mut held_out = SupportScore::default();
        for number in 0..FOLDS {
            let others = || evidence.iter().filter(|one| !in_fold(one, number));
            let own = || evidence.iter().filter(|one| in_fold(one, number));
            held_out.add(&SupportScore::of(own(), &Self::best(others)));
        }
        Ok(SupportCalibration {
            thresholds: Self::best(|| evidence.iter()),
            held_out,
            default: SupportScore::of(evidence.iter(), &Self::default()),
        })
    }

    /// Whether evidence of a sentence is enough.
    pub fn are_met(&self, lexical: f64, encoder: Option<f64>) -> bool {
        lexical >= self.lexical || encoder.is_some_and(|encoder| encoder >= self.encoder)
    }

    /// Of equals the strictest.
    fn best<'e, 's: 'e, E: Iterator<Item = &'e Evidence<'s>>>(evidence: impl Fn() -> E) -> Self {
        let has_encoder = evidence().any(|one| one.encoder.is_some());
        let twentieths = |step: usize| step as f64 / STEPS as f64;
        let mut best = (f64::NEG_INFINITY, Self::default());
        for lexical in (1..=STEPS).rev().map(twentieths) {
            for encoder in (1..=STEPS).rev().map(twentieths) {
                let thresholds = Self {
                    lexical,
                    encoder: if has_encoder {
                        encoder
                    } else {
                        Self::default().encoder
                    },
                };
                let accuracy = SupportScore::of(evidence(), &thresholds).balanced_accuracy();
                if accuracy > best.0 {
                    best = (accuracy, thresholds);
                }
                if !has_encoder {
                    break;
                }
            }
        }
        best.1
    }
}

impl LabelledSentence {
    /// Sentences of the right answers of a set: with the documents that hold the answer, which carry them, and with as many
    /// that the base finds first and that are none of them, which do not. Labels that come about so are not free of
    /// errors: a document that nobody marked may carry a sentence all the same.
    ///
    /// # Errors
    /// What keeps the base from searching.
    pub fn of_answers(set: &AnswerSet, base: &KnowledgeBase, cancel: &Cancel) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for question in set.questions() {
            cancel.check()?;
            let right: BTreeSet<&str> = question.sources.iter().map(String::as_str).collect();
            let text =
                |id: &str| -> Result<Option<String>> { Ok(base.document(id)?.map(|document| document.text)) };
            let mut carrying = Vec::new();
            for id in &right {
                carrying.extend(text(id)?);
            }
            if carrying.is_empty() {
                continue;
            }
            let mut others: Vec<String> = Vec::new();
            let mut seen = right.clone();
            let hits = base.retrieve(&Query::new(&question.question).with_top_k(DEPTH))?;
            for hit in &hits {
                let id = hit.chunk.document_id.as_str();
                if others.len() < carrying.len() && seen.insert(id) {
                    others.extend(text(id)?);
                }
            }
            for answer in &question.answers {
                for sentence in spans(answer).into_iter().filter_map(|span| span.of(answer)) {
                    let labelled = |cited: &[String], is_carried| Self {
                        sentence: sentence.trim().to_owned(),
                        cited: cited.to_vec(),
                        is_carried,
                        group: question.id.clone(),
                    };
                    all.push(labelled(&carrying, true));
                    if !others.is_empty() {
                        all.push(labelled(&others, false));
                    }
                }
            }
        }
        Ok(all)
    }
}

impl SupportScore {
    fn of<'e, 's: 'e>(
        evidence: impl Iterator<Item = &'e Evidence<'s>>,
        thresholds: &SupportThresholds,
    ) -> Self {
        let mut score = Self::default();
        for one in evidence {
            let count = match (one.is_carried, thresholds.are_met(one.lexical, one.encoder)) {
                (true, true) => &mut score.true_positives,
                (false, true) => &mut score.false_positives,
                (true, false) => &mut score.false_negatives,
                (false, false) => &mut score.true_negatives,
            };
            *count += 1;
        }
        score
    }

    fn add(&mut self, other: &Self) {
        self.true_positives += other.true_positives;
        self.false_positives += other.false_positives;
        self.false_negatives += other.false_negatives;
        self.true_negatives += other.true_negatives;
    }

    /// Of what is told to be carried, the share that is; 1 where nothing is told to be.
    pub fn precision(&self) -> f64 {
        share(self.true_positives, self.false_positives)
    }

    /// Of what is carried, the share that is told to be; 1 where nothing is carried.
    pub fn recall(&self) -> f64 {
        share(self.true_positives, self.false_negatives)
    }

    /// The mean of the shares of carried and of other sentences that are told right.
    pub fn balanced_accuracy(&self) -> f64 {
        f64::midpoint(self.recall(), share(self.true_negatives, self.false_positives))
    }
}

impl fmt::Display for SupportScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "precision {:.3}, recall {:.3}, balanced accuracy {:.3}",
            self.precision(),
            self.recall(),
            self.balanced_accuracy()
        )
    }
}

impl fmt::Display for SupportCalibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (default, carried) = (
            SupportThresholds::default(),
            self.default.true_positives + self.default.false_negatives,
        );
        let others = self.default.false_positives + self.default.true_negatives;
        writeln!(f, "{} carried, {others} not", counted(carried, "sentence"))?;
        writeln!(
            f,
            "default thresholds (words {:.2}, encoder {:.2}): {}",
            default.lexical, default.encoder, self.default
        )?;
        write!(
            f,
            "set by these sentences (words {:.2}, encoder {:.2}), told for others: {}",
            self.thresholds.lexical, self.thresholds.encoder, self.held_out
        )
    }
}

/// What speaks for a labelled sentence.
struct Evidence<'s> {
    is_carried: bool,
    group: &'s str,
    lexical: f64,
    encoder: Option<f64>,
}

impl<'s> Evidence<'s> {
    /// Of all sentences with content words.
    fn all(
        sentences: &'s [LabelledSentence],
        embedder: Option<&dyn Embedder>,
        cancel: &Cancel,
    ) -> Result<Vec<Self>> {
        let (mut all, mut pairs) = (Vec::new(), Vec::new());
        for labelled in sentences {
            let cited: Vec<&str> = labelled.cited.iter().map(String::as_str).collect();
            let Some(lexical) = covered(&labelled.sentence, &cited) else {
                continue;
            };
            pairs.push(Pair::new(&labelled.sentence, &cited));
            all.push(Self {
                is_carried: labelled.is_carried,
                group: &labelled.group,
                lexical,
                encoder: None,
            });
        }
        if let Some(embedder) = embedder {
            let pairs: Vec<&Pair> = pairs.iter().collect();
            for (one, near) in all.iter_mut().zip(nearness(embedder, &pairs, cancel)?) {
                one.encoder = Some(near);
            }
        }
        Ok(all)
    }
}

fn share(part: usize, rest: usize) -> f64 {
    match part + rest {
        0 => 1.0,
        all => part as f64 / all as f64,
    }
}

fn invalid(argument: &'static str, reason: String) -> Error {
    Error::Core(ragtune_core::Error::InvalidArgument { argument, reason })
}

#[cfg(test)]
mod tests {
    use super::super::question::AnswerQuestion;
    use super::*;
    use ragtune_core::testing::HashingEmbedder;
    use ragtune_core::text::Document;

    #[test]
    fn thresholds_are_those_that_tell_best() {
        // Carried sentences share three of four words, others one of four.
        let sentences: Vec<LabelledSentence> = (0..20)
            .map(|number| LabelledSentence {
                sentence: format!("anvil bridge candle drum{number}"),
                cited: vec![match number % 2 {
                    0 => "anvil bridge candle".to_owned(),
                    _ => "anvil feather garden".to_owned(),
                }],
                is_carried: number % 2 == 0,
                group: number.to_string(),
            })
            .collect();
        let calibration = SupportThresholds::calibrate(&sentences, None, &Cancel::new()).unwrap();
        assert_eq!(
            calibration.thresholds,
            SupportThresholds::new(0.75, 0.75).unwrap()
        );
        assert_eq!(
            (calibration.held_out.precision(), calibration.held_out.recall()),
            (1.0, 1.0)
        );
        assert_eq!(calibration.default.balanced_accuracy(), 1.0);
        // Rules that are too strict miss what is carried, and say so.
        let strict = SupportThresholds::new(1.0, 1.0).unwrap();
        let evidence = Evidence::all(&sentences, None, &Cancel::new()).unwrap();
        assert_eq!(SupportScore::of(evidence.iter(), &strict).recall(), 0.0);
        for wrong in [&sentences[..0], &sentences[..1]] {
            assert!(SupportThresholds::calibrate(wrong, None, &Cancel::new()).is_err());
        }
        assert!(SupportThresholds::new(0.5, 1.5).is_err());
    }

    #[test]
    fn answers_with_and_without_their_documents_are_labelled_sentences() {
        let base = KnowledgeBase::in_memory()
            .unwrap()
            .with_embedder(HashingEmbedder::new(64))
            .unwrap();
        let texts = [
            ("green", "Green tea takes 80 degrees."),
            ("black", "Black tea takes 95 degrees."),
        ];
        base.add(texts.map(|(id, text)| Document::new(id, text))).unwrap();
        let set = AnswerSet::new([
            AnswerQuestion::new("q", "How hot is green tea?")
                .with_answers(["It takes 80 degrees. That is not hot."])
                .with_sources(["green"]),
            AnswerQuestion::unanswerable("n", "Who?"),
        ])
        .unwrap();
        let labelled = LabelledSentence::of_answers(&set, &base, &Cancel::new()).unwrap();
        let told: Vec<(&str, &str, bool)> = labelled
            .iter()
            .map(|one| (one.sentence.as_str(), one.cited[0].as_str(), one.is_carried))
            .collect();
        assert_eq!(
            told,
            [
                ("It takes 80 degrees.", texts[0].1, true),
                ("It takes 80 degrees.", texts[1].1, false),
                ("That is not hot.", texts[0].1, true),
                ("That is not hot.", texts[1].1, false),
            ]
        );
    }
}
