//! BLEU from n-grams: Papineni and others 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation", with
//! the smoothing and the conventions of sacreBLEU 2.5.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};
use crate::metrics::classification::{nothing, same_length};

/// The highest order of n-grams, so that a mistaken one does not take all memory.
const MAX_ORDER: usize = 64;

/// What an order of n-grams counts for that has no match.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub enum Smoothing {
    /// Half of the order before it, and so on: that of NIST's `mteval-v13a.pl`.
    #[default]
    Exponential,
    /// So many matches; sacreBLEU uses 0.1.
    Floor(f64),
    /// So many matches and n-grams more, from order 2 on; sacreBLEU uses 1.
    AddK(f64),
    /// Nothing: the score is 0.
    None,
}

/// How BLEU is measured.
///
/// ```
/// use ragtune_train::metrics::Bleu;
///
/// let references = [vec!["The dog bit the man.", "The dog had bit the man."]];
/// let score = Bleu::default().corpus(&references, &["The dog bit the man."])?;
/// assert!((score.score - 100.0).abs() < 1e-9);
/// println!("{score}"); // BLEU = 100.00 100.0/100.0/100.0/100.0 (BP = 1.000 ...)
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bleu {
    tokenizer: Tokenizer,
    smoothing: Smoothing,
    order: usize,
    lowercase: bool,
    effective_order: bool,
}

/// The score and what it was made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BleuScore {
    /// BLEU, 0 to 100.
    pub score: f64,
    /// The precision of each order of n-grams, smoothed, in percent.
    pub precisions: Vec<f64>,
    /// The penalty for being shorter than the references, 1 where there is none.
    pub brevity_penalty: f64,
    /// The tokens of the predictions.
    pub hypothesis_tokens: usize,
    /// The tokens of the references that are closest in length.
    pub reference_tokens: usize,
    /// The n-grams of each order that a reference has.
    pub correct: Vec<usize>,
    /// The n-grams of each order.
    pub total: Vec<usize>,
}

impl Default for Bleu {
    fn default() -> Self {
        Self {
            tokenizer: Tokenizer::V13a,
            smoothing: Smoothing::Exponential,
            order: 4,
            lowercase: false,
            effective_order: false,
        }
    }
}

impl Bleu {
    /// Cuts texts in another way.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: Tokenizer) -> Self {
        self.tokenizer = tokenizer;
        self
    }

    /// Smooths in another way.
    #[must_use]
    pub fn with_smoothing(mut self, smoothing: Smoothing) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// Ignores case; off by default.
    #[must_use]
    pub fn with_lowercase(mut self, lowercase: bool) -> Self {
        self.lowercase = lowercase;
        self
    }

    /// Leaves out orders for which the prediction is too short, which single sentences need; off by default.
    #[must_use]
    pub fn with_effective_order(mut self, effective_order: bool) -> Self {
        self.effective_order = effective_order;
        self
    }

    /// The longest n-grams that count; 4 by default.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for 0 and for more than 64.
    pub fn with_order(mut self, order: usize) -> Result<Self> {
        if order == 0 || order > MAX_ORDER {
            return Err(Error::InvalidArgument {
                argument: "order",
                reason: format!("{order} is not from 1 to {MAX_ORDER}"),
            });
        }
        self.order = order;
        Ok(self)
    }

    /// The score of a corpus: `references[i]` are the references of `hypotheses[i]`, one or more.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] and [`Error::Empty`], this also for a prediction without a reference.
    pub fn corpus<R, S, H>(&self, references: &[R], hypotheses: &[H]) -> Result<BleuScore>
    where
        R: AsRef<[S]>,
        S: AsRef<str>,
        H: AsRef<str>,
    {
        same_length("BLEU", references.len(), hypotheses.len())?;
        let mut correct = vec![0; self.order];
        let mut total = vec![0; self.order];
        let (mut hypothesis_tokens, mut reference_tokens) = (0, 0);
        for (references, hypothesis) in references.iter().zip(hypotheses) {
            let tokens = self.tokens(hypothesis.as_ref());
            let references: Vec<Vec<String>> = references
                .as_ref()
                .iter()
                .map(|reference| self.tokens(reference.as_ref()))
                .collect();
            hypothesis_tokens += tokens.len();
            reference_tokens += references
                .iter()
                .map(Vec::len)
                .min_by_key(|length| (length.abs_diff(tokens.len()), *length))
                .ok_or_else(|| nothing("BLEU"))?;
            let orders = (1..).zip(correct.iter_mut().zip(&mut total));
            for (order, (correct, total)) in orders {
                let (matches, all) = matches(&tokens, &references, order);
                *correct += matches;
                *total += all;
            }
        }
        Ok(self.score(correct, total, hypothesis_tokens, reference_tokens))
    }

    /// The score of one sentence; see [`Bleu::with_effective_order`].
    ///
    /// # Errors
    /// [`Error::Empty`] without references.
    pub fn sentence<S: AsRef<str>>(&self, references: &[S], hypothesis: &str) -> Result<BleuScore> {
        self.corpus(&[references], &[hypothesis])
    }

    /// The score of a corpus from the counts of its parts, as [`Bleu::corpus`] over all of their texts; for intervals, where
    /// texts need not be cut again for every resampled set.
    pub fn together<'s>(&self, parts: impl IntoIterator<Item = &'s BleuScore>) -> BleuScore {
        let mut correct = vec![0; self.order];
        let mut total = vec![0; self.order];
        let (mut hypothesis_tokens, mut reference_tokens) = (0, 0);
        for part in parts {
            for (sums, counts) in [(&mut correct, &part.correct), (&mut total, &part.total)] {
                sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
            hypothesis_tokens += part.hypothesis_tokens;
            reference_tokens += part.reference_tokens;
        }
        self.score(correct, total, hypothesis_tokens, reference_tokens)
    }

    fn tokens(&self, text: &str) -> Vec<String> {
        if self.lowercase {
            self.tokenizer.tokens(&text.to_lowercase())
        } else {
            self.tokenizer.tokens(text)
        }
    }

    fn score(
        &self,
        correct: Vec<usize>,
        total: Vec<usize>,
        hypothesis_tokens: usize,
        reference_tokens: usize,
    ) -> BleuScore {
        let brevity_penalty = match (hypothesis_tokens, reference_tokens) {
            (0, 1..) => 0.0,
            (found, wanted) if found < wanted => (1.0 - wanted as f64 / found as f64).exp(),
            _ => 1.0,
        };
        let mut precisions = vec![0.0; self.order];
        let mut orders = self.order;
        let mut halving = 1.0;
        let matched = correct.iter().any(|&count| count > 0);
        if matched {
            let counts = correct.iter().zip(&total);
            for (n, (precision, (&correct, &total))) in (1..).zip(precisions.iter_mut().zip(counts)) {
                let added = match self.smoothing {
                    Smoothing::AddK(k) if n > 1 => k,
                    _ => 0.0,
                };
                let (correct, total) = (correct as f64 + added, total as f64 + added);
                if total == 0.0 {
                    break;
                }
                if self.effective_order {
                    orders = n;
                }
                *precision = match self.smoothing {
                    _ if correct > 0.0 => 100.0 * correct / total,
                    Smoothing::Exponential => {
                        halving *= 2.0;
                        100.0 / (halving * total)
                    }
                    Smoothing::Floor(floor) => 100.0 * floor / total,
                    Smoothing::AddK(_) | Smoothing::None => 0.0,
                };
            }
        }
        let counted = precisions.get(..orders).unwrap_or(&precisions);
        let score = if matched && counted.iter().all(|&precision| precision > 0.0) {
            let logarithms: f64 = counted.iter().map(|precision| precision.ln()).sum();
            brevity_penalty * (logarithms / orders as f64).exp()
        } else {
            0.0
        };
        BleuScore {
            score,
            precisions,
            brevity_penalty,
            hypothesis_tokens,
            reference_tokens,
            correct,
            total,
        }
    }
}

impl fmt::Display for BleuScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precisions: Vec<String> = self.precisions.iter().map(|p| format!("{p:.1}")).collect();
        let ratio = if self.reference_tokens == 0 {
            0.0
        } else {
            self.hypothesis_tokens as f64 / self.reference_tokens as f64
        };
        write!(
            f,
            "BLEU = {:.2} {} (BP = {:.3} ratio = {ratio:.3} hyp_len = {} ref_len = {})",
            self.score,
            precisions.join("/"),
            self.brevity_penalty,
            self.hypothesis_tokens,
            self.reference_tokens
        )
    }
}

/// The n-grams of one order that a reference has, counted no more often than in the reference that has most of them,
/// and all n-grams.
fn matches(tokens: &[String], references: &[Vec<String>], order: usize) -> (usize, usize) {
    let mut allowed: HashMap<&[String], usize> = HashMap::new();
    for reference in references {
        for (gram, count) in n_grams(reference, order) {
            let most = allowed.entry(gram).or_default();
            *most = count.max(*most);
        }
    }
    let mut total = 0;
    let mut correct = 0;
    for (gram, count) in n_grams(tokens, order) {
        total += count;
        correct += count.min(allowed.get(gram).copied().unwrap_or(0));
    }
    (correct, total)
}

fn n_grams(tokens: &[String], order: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    for gram in tokens.windows(order) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}
