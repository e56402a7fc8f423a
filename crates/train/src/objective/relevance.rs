//! Cross-encoders: how well a question and a passage belong together.
//!
//! Letters: `b` pairs.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use ragtune_core::adapters::{AdapterBase, AdapterStack};
use ragtune_core::kernels::on_threads;
use ragtune_core::models::CrossEncoder;

use super::batches::by_tokens;
use super::features::{Features, Text};
use super::packing::binary_cross_entropy;
use super::{Objective, Pass, Scores};
use crate::data::{Origin, Record};
use crate::encode::JudgedTokens;
use crate::error::{Error, Result};
use crate::memory::Footprint;

/// Tokens that are evaluated at once.
const EVALUATED_TOKENS: usize = 2048;
/// From which judgement on a passage counts as relevant in scores.
const RELEVANT: f32 = 0.5;

/// A cross-encoder learns judgements from 0 to 1: the mean cross entropy of the sigmoid of its logit, as
/// `BinaryCrossEntropyLoss` of sentence-transformers. Of a head with two classes the logit is the second less the first.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use ragtune_core::device;
/// use ragtune_core::models::CrossEncoder;
/// use ragtune_train::objective::RelevanceRanking;
///
/// let model = CrossEncoder::load("models/ms-marco-minilm", &device::cpu())?;
/// // One passage of seven is relevant.
/// let task = RelevanceRanking::new(Arc::new(model)).with_positive_weight(6.0)?;
/// # let _ = task;
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RelevanceRanking {
    model: Arc<CrossEncoder>,
    positive_weight: f32,
    features: Features,
}

impl RelevanceRanking {
    /// The task of a model.
    #[must_use]
    pub fn new(model: Arc<CrossEncoder>) -> Self {
        Self {
            features: Features::new(&*model, &model.heads()),
            model,
            positive_weight: 1.0,
        }
    }

    /// How much relevant passages count, as `pos_weight` of PyTorch's `BCEWithLogitsLoss`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a weight that is not above 0.
    pub fn with_positive_weight(mut self, weight: f32) -> Result<Self> {
        if !(weight.is_finite() && weight > 0.0) {
            return Err(Error::invalid(
                "positive_weight",
                format!("{weight}; a weight is above 0"),
            ));
        }
        self.positive_weight = weight;
        Ok(self)
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<CrossEncoder> {
        &self.model
    }

    /// # Shapes
    /// `-> [b, 1]`.
    fn logits(&self, batch: &[&Record<JudgedTokens>], pass: &mut Pass<'_>) -> Result<Tensor<2>> {
        let texts = batch
            .iter()
            .map(|record| (&record.value.ids[..], &record.value.type_ids[..]));
        let texts: Vec<Text<'_>> = texts.collect();
        let model = (&self.model, self.model.classifier());
        let logits = self.features.logits(model, &texts, pass)?; // [b, 1] or [b, 2]
        let [b, classes] = logits.dims();
        Ok(match classes {
            2 => logits.clone().slice([0..b, 1..2]) - logits.slice([0..b, 0..1]),
            _ => logits,
        })
    }

    fn losses(&self, batch: &[&Record<JudgedTokens>], logits: Tensor<2>) -> Result<Tensor<1>> {
        if let Some(record) = batch
            .iter()
            .find(|record| !(0.0..=1.0).contains(&record.value.label))
        {
            return Err(Error::Unencodable {
                origin: record.origin.clone(),
                reason: format!(
                    "the judgement is {}; it is from 0 to 1: divide judgements by the highest",
                    record.value.label
                ),
            });
        }
        let (b, device) = (batch.len(), logits.device().inner());
        let labels: Vec<f32> = batch.iter().map(|record| record.value.label).collect();
        let labels = Tensor::<2>::from_data(TensorData::new(labels, [b, 1]), &device);
        let weights = Tensor::<2>::full([b, 1], self.positive_weight, &device);
        Ok(binary_cross_entropy(logits, labels, weights))
    }
}

impl Objective for RelevanceRanking {
    type Example = Record<JudgedTokens>;

    fn base(&self) -> &dyn AdapterBase {
        &*self.model
    }

    fn tokens(&self, example: &Self::Example) -> usize {
        example.value.ids.len()
    }

    fn digest(&self, example: &Self::Example, into: &mut dyn FnMut(&[u8])) {
        let JudgedTokens { ids, type_ids, label } = &example.value;
        for part in [ids, type_ids] {
            into(&part.len().to_le_bytes());
            part.iter().for_each(|number| into(&number.to_le_bytes()));
        }
        into(&label.to_le_bytes());
        into(&self.positive_weight.to_le_bytes());
    }

    fn loss(&self, batch: &[&Self::Example], pass: &mut Pass<'_>) -> Result<Tensor<1>> {
        let logits = self.logits(batch, pass)?;
        self.losses(batch, logits)
    }

    /// `mrr`, the mean reciprocal rank of the first relevant passage of each question that has relevant and irrelevant ones;
    /// `accuracy` of "relevant or not" at a probability of one half; `loss`. Where no question has both, `accuracy` comes
    /// first and there is no `mrr`.
    #[allow(clippy::cast_precision_loss, reason = "sets have far fewer than 2^52 pairs")]
    fn evaluate(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Scores> {
        let lengths: Vec<usize> = examples.iter().map(|example| self.tokens(example)).collect();
        let (mut logits, mut sum) = (Vec::with_capacity(examples.len()), 0.0);
        for batch in by_tokens(&lengths, EVALUATED_TOKENS) {
            let batch: Vec<&Self::Example> = batch.iter().map(|index| &examples[*index]).collect();
            let (found, loss) = on_threads(AdapterBase::device(&*self.model), || {
                let logits = self.logits(&batch, &mut Pass::forward(adapters))?;
                let loss = self.losses(&batch, logits.clone())?;
                Ok::<_, Error>((logits, loss))
            })?;
            sum += f64::from(loss.into_scalar::<f32>());
            logits.extend(found.into_data().iter::<f32>());
        }
        let count = examples.len().max(1) as f64;
        let right = examples
            .iter()
            .zip(&logits)
            .filter(|(example, logit)| (example.value.label >= RELEVANT) == (**logit >= 0.0))
            .count();
        let accuracy = right as f64 / count;
        let scores = match mean_reciprocal_rank(examples, &logits) {
            Some(mrr) => Scores::higher("mrr", mrr).with("accuracy", accuracy),
            None => Scores::higher("accuracy", accuracy),
        };
        Ok(scores.with("loss", sum / count))
    }

    fn origin<'e>(&self, example: &'e Self::Example) -> Option<&'e Origin> {
        Some(&example.origin)
    }

    fn footprint(&self) -> Option<Footprint> {
        Footprint::classifier(self.model.transformer())
    }

    fn heads(&self) -> Vec<String> {
        self.model.heads().into_iter().map(str::to_owned).collect()
    }
}

/// The mean over all questions that have both relevant and irrelevant passages; of equal scores the irrelevant one is taken
/// to come first.
#[allow(clippy::cast_precision_loss, reason = "sets have far fewer than 2^52 pairs")]
fn mean_reciprocal_rank(examples: &[Record<JudgedTokens>], logits: &[f32]) -> Option<f64> {
    let mut questions: BTreeMap<&[u32], [Vec<f32>; 2]> = BTreeMap::new();
    for (example, logit) in examples.iter().zip(logits) {
        let relevant = usize::from(example.value.label >= RELEVANT);
        questions.entry(question(&example.value)).or_default()[relevant].push(*logit);
    }
    let ranks = questions
        .values()
        .filter(|scores| !scores.iter().any(Vec::is_empty));
    let ranks = ranks.map(|[irrelevant, relevant]| {
        let best = relevant.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        1.0 / (1 + irrelevant.iter().filter(|score| **score >= best).count()) as f64
    });
    let ranks: Vec<f64> = ranks.collect();
    (!ranks.is_empty()).then(|| ranks.iter().sum::<f64>() / ranks.len() as f64)
}

/// The tokens of the question: those up to the first that also ends the pair.
fn question(pair: &JudgedTokens) -> &[u32] {
    let (Some(first), Some(last)) = (pair.ids.first(), pair.ids.last()) else {
        return &[];
    };
    let from = usize::from(first == last); // a tokenizer may begin texts with what it ends them with
    let end = pair.ids[from..].iter().position(|id| id == last);
    &pair.ids[..end.map_or(pair.ids.len(), |end| from + end)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_each_question() {
        let pair = |question: u32, passage: u32, label: f32| Record {
            value: JudgedTokens {
                ids: vec![1, question, 2, passage, 2],
                type_ids: Vec::new(),
                label,
            },
            origin: Origin::in_memory(0),
        };
        let examples = [
            pair(7, 10, 1.0),
            pair(7, 11, 0.0),
            pair(8, 10, 0.0),
            pair(8, 12, 1.0),
            pair(8, 13, 0.0),
            pair(9, 10, 1.0), // nothing to compare it with
        ];
        let mrr = mean_reciprocal_rank(&examples, &[2.0, 1.0, 3.0, 0.5, 0.5, 0.0]);
        assert_eq!(mrr, Some((1.0 + 1.0 / 3.0) / 2.0));
        assert_eq!(mean_reciprocal_rank(&examples[5..], &[0.0]), None);
    }
}
