//! Fusion chosen by labelled questions.

use std::collections::BTreeMap;
use std::fmt;

use ragtune_core::statistics::{Bootstrap, Difference, Interval, Purpose, Random};
use ragtune_core::text::{Query, ScoreKind};
use rayon::prelude::*;

use super::hybrid::HybridRetriever;
use super::lists::kind_of;
use crate::error::{Error, Result};
use crate::fusion::{Fusion, FusionMethod, Normalisation, RankedList};
use crate::measure::{Judgements, Measure, QuestionSet, RunOptions, best_passages};

/// Weights tried for each method at most.
const MAX_WEIGHTS: usize = 400;

/// How the fusion of a [`HybridRetriever`] is tuned.
///
/// ```
/// use ragtune_retrieve::measure::Measure;
/// use ragtune_retrieve::retrievers::TuneOptions;
/// let options = TuneOptions::default().with_measure(Measure::Recall(5)).with_folds(10);
/// assert_eq!(options.folds, 10);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TuneOptions {
    /// What is to be large; nDCG of the first 10 by default.
    pub measure: Measure,
    /// Parts of the questions, each judged by weights that were chosen on the others; 5 by default.
    pub folds: usize,
    /// Decides which questions are in which part.
    pub seed: u64,
    /// Steps between a weight of 0 and of 1; fewer are taken for three and more retrievers, so that at most 400
    /// combinations are tried for each method. 20 by default.
    pub steps: usize,
    /// The methods that are tried; all by default.
    pub methods: Vec<FusionMethod>,
    /// How the questions are asked.
    pub run: RunOptions,
    /// How intervals are found.
    pub bootstrap: Bootstrap,
}

impl Default for TuneOptions {
    fn default() -> Self {
        let convex = |normalisation| FusionMethod::Convex { normalisation };
        Self {
            measure: Measure::Ndcg(10),
            folds: 5,
            seed: 0,
            steps: 20,
            methods: vec![
                FusionMethod::default(),
                convex(Normalisation::MinMax),
                convex(Normalisation::Theoretical),
                FusionMethod::Dbsf,
            ],
            run: RunOptions::default(),
            bootstrap: Bootstrap::default(),
        }
    }
}

impl TuneOptions {
    /// Tunes for this measure.
    pub fn with_measure(mut self, measure: Measure) -> Self {
        self.measure = measure;
        self
    }

    /// Divides the questions into so many parts.
    pub fn with_folds(mut self, folds: usize) -> Self {
        self.folds = folds;
        self
    }

    /// Divides the questions by this seed.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Tries so many steps of each weight.
    pub fn with_steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Tries these methods only.
    pub fn with_methods(mut self, methods: impl IntoIterator<Item = FusionMethod>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Asks the questions so.
    pub fn with_run(mut self, run: RunOptions) -> Self {
        self.run = run;
        self
    }

    /// Finds intervals so.
    pub fn with_bootstrap(mut self, bootstrap: Bootstrap) -> Self {
        self.bootstrap = bootstrap;
        self
    }
}

/// The fusion that was chosen, and what it gains on questions that it was not chosen on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tuning {
    /// What to search with. Where fusing was worse than the better single retriever on held-out questions, all weight is
    /// on that one.
    pub fusion: Fusion,
    /// Whether the fusion combines retrievers.
    pub is_fused: bool,
    /// What was measured.
    pub measure: Measure,
    /// Number of questions.
    pub questions: usize,
    /// Number of parts.
    pub folds: usize,
    /// Each retriever alone, on all questions.
    pub singles: Vec<Interval>,
    /// The retriever that is best alone.
    pub best_single: usize,
    /// Reciprocal rank fusion with equal weights, on all questions.
    pub untuned: Interval,
    /// Each question with what was chosen on the other parts.
    pub held_out: Interval,
    /// [`Tuning::held_out`] less each retriever alone, question by question.
    pub gains: Vec<Difference>,
    /// [`Tuning::held_out`] less [`Tuning::untuned`], question by question.
    pub gain_over_untuned: Difference,
}

impl HybridRetriever {
    /// Chooses method and weights by labelled questions, and tells by cross-validation what that gains.
    ///
    /// Every question is asked of each retriever once. Each part of the questions is then judged by the fusion that is best
    /// on the other parts. Where the mean of that is not below that of the best retriever alone, the fusion that is best on
    /// all questions is returned; otherwise that retriever alone, as weights 1 and 0. Ties go to the simpler: a retriever
    /// alone, then equal weights. The same questions and seed give the same result.
    ///
    /// ```
    /// use ragtune_core::testing::HashingEmbedder;
    /// use ragtune_core::text::Document;
    /// use ragtune_retrieve::measure::QuestionSet;
    /// use ragtune_retrieve::retrievers::TuneOptions;
    /// use ragtune_retrieve::{HybridRetriever, KnowledgeBase};
    ///
    /// let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(16))?;
    /// let teas = ["green", "black", "white", "yellow", "red"];
    /// kb.add(teas.map(|tea| Document::new(tea, format!("How {tea} tea is steeped: the leaves of {tea} tea."))))?;
    /// let questions = QuestionSet::new(teas.map(|tea| (format!("How is {tea} tea steeped?"), [tea])));
    ///
    /// let hybrid = HybridRetriever::new(kb.dense(), kb.lexical());
    /// let tuning = hybrid.tune(&questions, &TuneOptions::default())?;
    /// println!("{tuning}");
    /// assert!(tuning.held_out.estimate >= tuning.singles[tuning.best_single].estimate || !tuning.is_fused);
    /// let hybrid = hybrid.with_fusion(tuning.fusion);
    /// # Ok::<(), ragtune_retrieve::Error>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` for fewer than two parts, fewer questions than parts, no steps and no methods; whatever keeps a
    /// retriever from searching.
    pub fn tune(&self, questions: &QuestionSet, options: &TuneOptions) -> Result<Tuning> {
        check(questions, options)?;
        let asked: Vec<Asked> = questions
            .questions
            .iter()
            .map(|question| {
                let judgements = questions.qrels.get(&question.id).cloned().unwrap_or_default();
                Asked::of(self, &question.text, judgements, &options.run)
            })
            .collect::<Result<_>>()?;
        let tried = self.tried(options)?;
        // A method may not take the retrievers' kinds of scores.
        let measured: Vec<(Fusion, Vec<f64>)> = tried
            .into_par_iter()
            .filter_map(|fusion| match measure_all(&fusion, &asked, options) {
                Ok(values) => Some(Ok((fusion, values))),
                Err(Error::Unsupported { .. }) => None,
                Err(error) => Some(Err(error)),
            })
            .collect::<Result<_>>()?;

        let parts = self.parts();
        let all: Vec<usize> = (0..asked.len()).collect();
        let best_single = best(&measured[..parts], &all);
        let single = &measured[best_single].1;
        let mut held_out = vec![0.0; asked.len()];
        for fold in folds(asked.len(), options) {
            let others: Vec<usize> = all.iter().copied().filter(|at| !fold.contains(at)).collect();
            let chosen = best(&measured, &others);
            for at in fold {
                held_out[at] = measured[chosen].1[at];
            }
        }
        let chosen = match sum(&held_out, &all) >= sum(single, &all) {
            true => best(&measured, &all),
            false => best_single,
        };
        let bootstrap = &options.bootstrap;
        let untuned = measure_all(&Fusion::rrf(), &asked, options)?;
        let difference = |values: &[f64]| bootstrap.difference(&held_out, values);
        Ok(Tuning {
            fusion: measured[chosen].0.clone(),
            is_fused: chosen >= parts,
            measure: options.measure,
            questions: asked.len(),
            folds: options.folds,
            singles: measured[..parts]
                .iter()
                .map(|(_, values)| bootstrap.mean(values))
                .collect::<Result<_, _>>()?,
            best_single,
            gain_over_untuned: difference(&untuned)?,
            untuned: bootstrap.mean(&untuned)?,
            gains: measured[..parts]
                .iter()
                .map(|(_, values)| difference(values))
                .collect::<Result<_, _>>()?,
            held_out: bootstrap.mean(&held_out)?,
        })
    }

    /// Every fusion that is tried, the simplest first: each retriever alone, equal weights, all others.
    fn tried(&self, options: &TuneOptions) -> Result<Vec<Fusion>> {
        let parts = self.parts();
        let alone = |at: usize| {
            let weights = (0..parts).map(|part| if part == at { 1.0 } else { 0.0 });
            Fusion::rrf().with_weights(weights)
        };
        let mut tried: Vec<Fusion> = (0..parts).map(alone).collect::<Result<_>>()?;
        tried.extend(options.methods.iter().map(|method| Fusion::new(*method)));
        let weights = lattice(parts, options.steps);
        for method in &options.methods {
            for weights in &weights {
                let is_equal = weights.iter().all(|weight| *weight == weights[0]);
                let is_alone = weights.iter().filter(|weight| **weight > 0.0).count() == 1;
                if !is_equal && !is_alone {
                    tried.push(Fusion::new(*method).with_weights(weights.iter().copied())?);
                }
            }
        }
        Ok(tried)
    }
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |method: FusionMethod| match method {
            FusionMethod::Rrf { k } => format!("reciprocal rank fusion, k {k}"),
            FusionMethod::Convex { normalisation } => format!("convex combination, {normalisation:?}"),
            FusionMethod::Dbsf => "distribution-based score fusion".to_owned(),
        };
        writeln!(
            f,
            "{} on {} questions in {} parts",
            self.measure, self.questions, self.folds
        )?;
        for (at, (single, gain)) in self.singles.iter().zip(&self.gains).enumerate() {
            writeln!(f, "retriever {} alone: {single}; gain of tuning {gain}", at + 1)?;
        }
        writeln!(
            f,
            "untuned: {}; gain of tuning {}",
            self.untuned, self.gain_over_untuned
        )?;
        writeln!(f, "tuned, held out: {}", self.held_out)?;
        match self.is_fused {
            true => write!(
                f,
                "chosen: {}, weights {:?}",
                name(self.fusion.method()),
                self.fusion.weights()
            ),
            false => write!(f, "chosen: retriever {} alone", self.best_single + 1),
        }
    }
}

/// A question with what each retriever found for it.
struct Asked {
    judgements: Judgements,
    lists: Vec<(ScoreKind, Vec<(String, f32)>)>,
    /// The document of each passage.
    documents: BTreeMap<String, String>,
    /// Passages that the fused list is cut to.
    top_k: usize,
}

impl Asked {
    fn of(hybrid: &HybridRetriever, text: &str, judgements: Judgements, run: &RunOptions) -> Result<Self> {
        let mut query = Query::new(text).with_top_k(run.passages.max(run.depth));
        query.access.clone_from(&run.access);
        let mut lists = Vec::new();
        let mut documents = BTreeMap::new();
        for list in hybrid.lists(&query, &Fusion::rrf())? {
            let kind = kind_of(&list);
            let mut entries = Vec::with_capacity(list.len());
            for hit in list {
                entries.push((hit.chunk.id.clone(), hit.score()));
                documents.insert(hit.chunk.id, hit.chunk.document_id);
            }
            lists.push((kind, entries));
        }
        Ok(Self {
            judgements,
            lists,
            documents,
            top_k: query.top_k,
        })
    }

    /// The measure under a fusion.
    fn measure(&self, fusion: &Fusion, options: &TuneOptions) -> Result<f64> {
        let entries: Vec<Vec<(&str, f32)>> = self
            .lists
            .iter()
            .map(|(_, list)| list.iter().map(|(id, score)| (id.as_str(), *score)).collect())
            .collect();
        let ranked: Vec<RankedList<'_, &str>> = self
            .lists
            .iter()
            .zip(&entries)
            .map(|((kind, _), entries)| RankedList::new(kind.clone(), entries))
            .collect();
        let fused = fusion.fuse(&ranked)?;
        let passages = fused.iter().take(self.top_k).filter_map(|(id, score)| {
            let document = self.documents.get(*id)?;
            Some((document.as_str(), *score))
        });
        let ranking = best_passages(passages, options.run.depth);
        Ok(options.measure.of(ranking, &self.judgements))
    }
}

fn measure_all(fusion: &Fusion, asked: &[Asked], options: &TuneOptions) -> Result<Vec<f64>> {
    asked
        .iter()
        .map(|question| question.measure(fusion, options))
        .collect()
}

/// The one of the greatest sum over these questions, the first of equal ones.
fn best(measured: &[(Fusion, Vec<f64>)], questions: &[usize]) -> usize {
    let mut best = 0;
    let mut greatest = f64::NEG_INFINITY;
    for (at, (_, values)) in measured.iter().enumerate() {
        let sum = sum(values, questions);
        if sum > greatest {
            (best, greatest) = (at, sum);
        }
    }
    best
}

fn sum(values: &[f64], questions: &[usize]) -> f64 {
    questions.iter().map(|at| values[*at]).sum()
}

/// The questions in random order, dealt out to the parts.
fn folds(questions: usize, options: &TuneOptions) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..questions).collect();
    Random::of(options.seed, Purpose::Split, 0).shuffle(&mut order);
    let part = |fold: usize| order.iter().copied().skip(fold).step_by(options.folds).collect();
    (0..options.folds).map(part).collect()
}

/// Weights that sum to 1, in equal steps.
fn lattice(parts: usize, steps: usize) -> Vec<Vec<f32>> {
    let mut steps = steps;
    loop {
        let weights = compositions(parts, steps);
        if weights.len() <= MAX_WEIGHTS || steps <= 1 {
            let scale = |counts: Vec<usize>| {
                counts
                    .into_iter()
                    .map(|count| count as f32 / steps as f32)
                    .collect()
            };
            return weights.into_iter().map(scale).collect();
        }
        steps -= 1;
    }
}

/// All ways to write `total` as a sum of so many whole numbers; no more than one above the limit.
fn compositions(parts: usize, total: usize) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new()];
    for part in 0..parts {
        let mut longer = Vec::new();
        for start in &found {
            let left = total - start.iter().sum::<usize>();
            let counts = if part + 1 == parts { left..=left } else { 0..=left };
            for count in counts {
                let mut next: Vec<usize> = start.clone();
                next.push(count);
                longer.push(next);
                if longer.len() > MAX_WEIGHTS {
                    return longer;
                }
            }
        }
        found = longer;
    }
    found
}

fn check(questions: &QuestionSet, options: &TuneOptions) -> Result<()> {
    let invalid = |argument, reason| {
        Err(Error::Core(ragtune_core::Error::InvalidArgument {
            argument,
            reason,
        }))
    };
    if options.folds < 2 {
        return invalid(
            "folds",
            format!("{} leaves nothing to judge by; take 5", options.folds),
        );
    }
    if questions.len() < options.folds {
        let reason = format!("{} are too few for {} parts", questions.len(), options.folds);
        return invalid("questions", reason);
    }
    if options.steps == 0 {
        return invalid("steps", "0 leaves no weights to try; take 20".to_owned());
    }
    if options.methods.is_empty() {
        return invalid("methods", "there are none to try".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_all_points_of_the_lattice() {
        let two = lattice(2, 4);
        assert_eq!(
            two,
            [[0.0, 1.0], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [1.0, 0.0]]
        );
        for parts in 2..8 {
            let weights = lattice(parts, 20);
            assert!(
                weights.len() <= MAX_WEIGHTS && weights.len() > parts,
                "{}",
                weights.len()
            );
            assert!(weights.iter().all(|w| (w.iter().sum::<f32>() - 1.0).abs() < 1e-5));
        }
    }

    #[test]
    fn every_question_is_held_out_once() {
        let folds = folds(13, &TuneOptions::default());
        let mut all: Vec<usize> = folds.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..13).collect::<Vec<_>>());
        assert!(folds.iter().all(|fold| fold.len() == 2 || fold.len() == 3));
    }
}
