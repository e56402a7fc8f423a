//! Hard negatives: texts that are near to a question and do not answer it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ragtune_core::text::{Embedder, Role};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::batch::{Purpose, Random};
use crate::data::{Dataset, Pair};
use crate::error::{Error, Result};

/// Texts that are handed to the embedder at once.
const EMBEDDED: usize = 4096;
/// Questions that are compared with a text while it is at hand.
const COMPARED: usize = 16;
/// The shortest vectors that are divided by their length.
const MIN_NORM: f32 = 1e-12;

/// Which of the texts that are near enough become negatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// The nearest.
    #[default]
    Top,
    /// Any of them, by the seed.
    Random,
}

/// Mines negatives for pairs with any embedder, by the rules of `mine_hard_negatives` of sentence-transformers 6.2: all
/// texts are compared by cosine, those that may be answers themselves are left out, and of the others the nearest are
/// taken, or some of the nearest.
///
/// ```
/// # use ragtune_core::testing::HashingEmbedder;
/// use ragtune_train::data::{Dataset, Pair};
/// use ragtune_train::mining::HardNegatives;
///
/// let pairs = Dataset::from(vec![
///     Pair::new("how to steep green tea", "green tea is steeped in hot water"),
///     Pair::new("what is rust", "rust is a language without a garbage collector"),
/// ]);
/// let corpus = ["black tea is steeped in hot water", "rust on iron is red"];
/// # let embedder = HashingEmbedder::new(512);
/// let mined = HardNegatives::default().with_num_negatives(1).mine(&pairs, &corpus, &embedder)?;
/// assert_eq!(mined.set.records[0].value.negatives, ["black tea is steeped in hot water"]);
/// assert_eq!(mined.set.records[1].value.negatives, ["rust on iron is red"]);
/// println!("{}", mined.report);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HardNegatives {
    /// Negatives of each question.
    pub num_negatives: usize,
    /// So many of the nearest texts are passed over, since many of them may be answers.
    pub range_min: usize,
    /// Texts farther than so many are not looked at; without it so many that a margin leaves enough over.
    pub range_max: Option<usize>,
    /// A negative's cosine is at least so much below the positive's.
    pub absolute_margin: Option<f32>,
    /// A negative's cosine is at least this share of the positive's below it.
    pub relative_margin: Option<f32>,
    /// The highest cosine of a negative.
    pub max_score: Option<f32>,
    /// The lowest cosine of a negative.
    pub min_score: Option<f32>,
    /// Which of them are taken.
    pub sampling: Sampling,
    /// The seed of random sampling.
    pub seed: u64,
}

/// The pairs with their negatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Mined {
    /// All pairs in their order, mined negatives behind those that they had.
    pub set: Dataset<Pair>,
    /// What was found.
    pub report: MiningReport,
}

/// What mining found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MiningReport {
    /// Questions, each once.
    pub questions: usize,
    /// Texts that were compared, each once.
    pub texts: usize,
    /// Negatives that were found.
    pub negatives: usize,
    /// Questions with fewer negatives than were asked for.
    pub fewer: usize,
    /// Questions without any.
    pub none: usize,
    /// Candidates that were too near the positive, or beyond the bounds of the cosine.
    pub left_out: usize,
    /// The mean cosine of positives.
    pub positive_score: f64,
    /// The mean cosine of negatives.
    pub negative_score: f64,
}

impl Default for HardNegatives {
    /// The three nearest, without a margin.
    fn default() -> Self {
        Self {
            num_negatives: 3,
            range_min: 0,
            range_max: None,
            absolute_margin: None,
            relative_margin: None,
            max_score: None,
            min_score: None,
            sampling: Sampling::Top,
            seed: 42,
        }
    }
}

impl HardNegatives {
    /// Negatives of each question.
    #[must_use]
    pub fn with_num_negatives(mut self, num_negatives: usize) -> Self {
        self.num_negatives = num_negatives;
        self
    }

    /// The nearest texts that are passed over, and the rank up to which texts are looked at.
    #[must_use]
    pub fn with_range(mut self, min: usize, max: Option<usize>) -> Self {
        (self.range_min, self.range_max) = (min, max);
        self
    }

    /// By how much a negative's cosine is below the positive's.
    #[must_use]
    pub fn with_absolute_margin(mut self, margin: f32) -> Self {
        self.absolute_margin = Some(margin);
        self
    }

    /// By what share of the positive's cosine a negative's is below it.
    #[must_use]
    pub fn with_relative_margin(mut self, margin: f32) -> Self {
        self.relative_margin = Some(margin);
        self
    }

    /// The lowest and the highest cosine of a negative.
    #[must_use]
    pub fn with_scores(mut self, min: Option<f32>, max: Option<f32>) -> Self {
        (self.min_score, self.max_score) = (min, max);
        self
    }

    /// Which of the texts that are near enough are taken.
    #[must_use]
    pub fn with_sampling(mut self, sampling: Sampling, seed: u64) -> Self {
        (self.sampling, self.seed) = (sampling, seed);
        self
    }

    /// Finds negatives among the positives of all pairs and the texts of `corpus`. A question that stands in several pairs
    /// is one question with several positives; none of them becomes its negative, and margins count from the lowest.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for options that leave no candidate, [`Error::Empty`] without pairs, and errors of the
    /// embedder.
    pub fn mine<S: AsRef<str>>(
        &self,
        pairs: &Dataset<Pair>,
        corpus: &[S],
        embedder: &dyn Embedder,
    ) -> Result<Mined> {
        if pairs.records.is_empty() {
            return Err(Error::Empty {
                what: "the set that negatives are mined for".to_owned(),
                hint: String::new(),
            });
        }
        let texts = Texts::new(pairs, corpus);
        let most = texts.positives.iter().map(BTreeSet::len).max().unwrap_or(1);
        let range_max = self.check(most)?;
        let questions = embed(embedder, &texts.questions, Role::Query)?;
        let candidates = embed(embedder, &texts.corpus, Role::Document)?;
        let numbers: Vec<usize> = (0..texts.questions.len()).collect();
        let blocks: Vec<&[usize]> = numbers.chunks(COMPARED).collect();
        let found: Vec<Vec<Found>> = blocks
            .par_iter()
            .map(|block| {
                let scores = compare(block, &questions, &candidates, embedder.dim());
                let found = block.iter().zip(scores);
                found
                    .map(|(&question, scores)| {
                        self.choose(question, &scores, &texts, (range_max, range_max + most))
                    })
                    .collect()
            })
            .collect();
        Ok(texts.mined(pairs, &found.concat(), self.num_negatives))
    }

    /// The negatives of one question from the cosines of all texts.
    fn choose(&self, question: usize, scores: &[f32], texts: &Texts<'_>, range: (usize, usize)) -> Found {
        let (range_max, looked_at) = range;
        let positives = &texts.positives[question];
        let positive_scores: Vec<f32> = positives.iter().map(|text| scores[*text]).collect();
        let lowest = positive_scores.iter().copied().fold(f32::INFINITY, f32::min);
        let mut near: Vec<usize> = (0..scores.len()).collect();
        let by_score = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
        if near.len() > looked_at {
            near.select_nth_unstable_by(looked_at, by_score);
            near.truncate(looked_at);
        }
        near.sort_unstable_by(by_score);
        near.retain(|text| !positives.contains(text) && !texts.known[question].contains(text));
        let before = near.len();
        near.retain(|text| self.allows(scores[*text], lowest));
        let left_out = before - near.len();
        let window = near.into_iter().take(range_max).skip(self.range_min);
        let mut window: Vec<usize> = window.collect();
        if self.sampling == Sampling::Random && window.len() > self.num_negatives {
            let mut random = Random::of(self.seed, Purpose::Mining, question as u64);
            random.shuffle(&mut window);
            window.truncate(self.num_negatives);
            window.sort_unstable_by(by_score);
        }
        window.truncate(self.num_negatives);
        Found {
            negatives: window.into_iter().map(|text| (text, scores[text])).collect(),
            positive_scores,
            left_out,
        }
    }

    /// Whether a text with this cosine may be a negative beside a positive with that.
    fn allows(&self, score: f32, positive: f32) -> bool {
        let absolute = self
            .absolute_margin
            .is_none_or(|margin| score + margin <= positive);
        let relative = self
            .relative_margin
            .is_none_or(|margin| score <= positive - positive.abs() * margin);
        let low = self.min_score.is_none_or(|min| score >= min);
        let high = self.max_score.is_none_or(|max| score <= max);
        absolute && relative && low && high
    }

    /// The rank up to which texts are looked at, where a question has at most `most` positives.
    fn check(&self, most: usize) -> Result<usize> {
        if self.num_negatives == 0 {
            return Err(Error::invalid("num_negatives", "0; a question needs at least 1"));
        }
        let bounds = [
            ("absolute_margin", self.absolute_margin, 0.0),
            ("relative_margin", self.relative_margin, 0.0),
            ("max_score", self.max_score, -1.0),
            ("min_score", self.min_score, -1.0),
        ];
        for (name, bound, low) in bounds {
            if let Some(bound) = bound
                && !(low..=2.0).contains(&bound)
            {
                return Err(Error::invalid(
                    name,
                    format!("{bound}; it is from {low} to 2, and cosines are at most 1"),
                ));
            }
        }
        let bounded = self.absolute_margin.is_some()
            || self.relative_margin.is_some()
            || self.max_score.is_some()
            || self.min_score.is_some();
        let wanted = self
            .num_negatives
            .saturating_mul(if bounded { 10 } else { 1 })
            .saturating_add(most);
        let range_max = self
            .range_max
            .unwrap_or_else(|| self.range_min.saturating_add(wanted));
        match range_max.saturating_sub(self.range_min) < self.num_negatives {
            false => Ok(range_max.min(usize::MAX - most)),
            true => Err(Error::invalid(
                "range_max",
                format!(
                    "{range_max}; behind the first {} it leaves fewer than {} candidates",
                    self.range_min, self.num_negatives
                ),
            )),
        }
    }
}

/// Questions and texts, each once.
struct Texts<'t> {
    questions: Vec<&'t str>,
    corpus: Vec<&'t str>,
    /// The texts that answer each question.
    positives: Vec<BTreeSet<usize>>,
    /// The texts of the corpus that are negatives of a question already.
    known: Vec<BTreeSet<usize>>,
    /// The question of each pair.
    of_pair: Vec<usize>,
}

/// The negatives of one question.
#[derive(Clone)]
struct Found {
    negatives: Vec<(usize, f32)>,
    positive_scores: Vec<f32>,
    left_out: usize,
}

impl<'t> Texts<'t> {
    fn new<S: AsRef<str>>(pairs: &'t Dataset<Pair>, corpus: &'t [S]) -> Self {
        let mut texts = Self {
            questions: Vec::new(),
            corpus: Vec::new(),
            positives: Vec::new(),
            known: Vec::new(),
            of_pair: Vec::with_capacity(pairs.records.len()),
        };
        let (mut questions, mut places) = (BTreeMap::new(), BTreeMap::new());
        let positives = pairs.records.iter().map(|record| record.value.positive.as_str());
        for text in positives.chain(corpus.iter().map(AsRef::as_ref)) {
            places.entry(text).or_insert_with(|| {
                texts.corpus.push(text);
                texts.corpus.len() - 1
            });
        }
        for record in &pairs.records {
            let Pair {
                anchor,
                positive,
                negatives,
            } = &record.value;
            let question = *questions.entry(anchor.as_str()).or_insert_with(|| {
                texts.questions.push(anchor);
                texts.positives.push(BTreeSet::new());
                texts.known.push(BTreeSet::new());
                texts.questions.len() - 1
            });
            texts.of_pair.push(question);
            texts.positives[question].extend(places.get(positive.as_str()));
            texts.known[question].extend(
                negatives
                    .iter()
                    .filter_map(|negative| places.get(negative.as_str())),
            );
        }
        texts
    }

    #[allow(clippy::cast_precision_loss, reason = "sets have far fewer than 2^52 texts")]
    fn mined(&self, pairs: &Dataset<Pair>, found: &[Found], wanted: usize) -> Mined {
        let mut set = pairs.clone();
        for (record, question) in set.records.iter_mut().zip(&self.of_pair) {
            let mined = found[*question].negatives.iter();
            record
                .value
                .negatives
                .extend(mined.map(|(text, _)| self.corpus[*text].to_owned()));
        }
        let mean = |scores: &mut dyn Iterator<Item = f32>| {
            let (sum, count) = scores.fold((0.0, 0_usize), |(sum, count), x| (sum + f64::from(x), count + 1));
            sum / count.max(1) as f64
        };
        let number = |found: &Found| found.negatives.len();
        let report = MiningReport {
            questions: self.questions.len(),
            texts: self.corpus.len(),
            negatives: found.iter().map(number).sum(),
            fewer: found.iter().filter(|found| number(found) < wanted).count(),
            none: found.iter().filter(|found| number(found) == 0).count(),
            left_out: found.iter().map(|found| found.left_out).sum(),
            positive_score: mean(
                &mut found
                    .iter()
                    .flat_map(|found| found.positive_scores.iter().copied()),
            ),
            negative_score: mean(
                &mut found
                    .iter()
                    .flat_map(|found| found.negatives.iter().map(|(_, score)| *score)),
            ),
        };
        Mined { set, report }
    }
}

impl fmt::Display for MiningReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} negatives (mean cosine {:.3}; positives {:.3}) for {} questions among {} texts; {} candidates left out, \
             {} questions with too few, {} with none",
            self.negatives,
            self.negative_score,
            self.positive_score,
            self.questions,
            self.texts,
            self.left_out,
            self.fewer,
            self.none
        )
    }
}

/// Vectors of length 1, row by row.
fn embed(embedder: &dyn Embedder, texts: &[&str], role: Role) -> Result<Vec<f32>> {
    let mut rows = Vec::with_capacity(texts.len() * embedder.dim());
    for texts in texts.chunks(EMBEDDED) {
        let vectors = embedder.embed(texts, role)?;
        vectors.check(embedder.dim(), texts.len())?;
        rows.extend_from_slice(vectors.as_slice());
    }
    for row in rows.chunks_exact_mut(embedder.dim().max(1)) {
        let length = dot(row, row).sqrt().max(MIN_NORM);
        row.iter_mut().for_each(|x| *x /= length);
    }
    Ok(rows)
}

/// The cosines of some questions with all texts.
fn compare(questions: &[usize], rows: &[f32], corpus: &[f32], dim: usize) -> Vec<Vec<f32>> {
    let dim = dim.max(1);
    let mut scores = vec![Vec::with_capacity(corpus.len() / dim); questions.len()];
    for text in corpus.chunks_exact(dim) {
        for (question, scores) in questions.iter().zip(&mut scores) {
            scores.push(dot(&rows[question * dim..(question + 1) * dim], text));
        }
    }
    scores
}

/// A product in eight sums, which compilers turn into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a.zip(b) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}
