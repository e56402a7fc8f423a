//! Classes of texts, or of pairs of texts.
//!
//! Letters: `b` texts, `c` classes.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use ragtune_core::adapters::{AdapterBase, AdapterStack};
use ragtune_core::kernels::on_threads;
use ragtune_core::models::{ProblemType, SequenceClassifier};
use serde_json::{Value, json};

use super::batches::by_tokens;
use super::features::{Features, Text};
use super::packing::{argmax, binary_cross_entropy, log_likelihoods};
use super::{Objective, Pass, Scores};
use crate::data::{Origin, Record};
use crate::encode::ClassifiedTokens;
use crate::error::{Error, Result};
use crate::memory::Footprint;
use crate::metrics;

/// Tokens that are evaluated at once.
const EVALUATED_TOKENS: usize = 2048;

/// A classifier learns the classes of texts.
///
/// Of a text with one class the loss is the cross entropy of the softmax; of texts with any number of classes it is the
/// mean over the classes of the cross entropies of the sigmoids ([`ProblemType`] of the model says which). Where nothing
/// but the head trains, what the frozen encoder makes of a text is computed once and kept.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use ragtune_core::device;
/// use ragtune_core::models::{Labels, NewHead, SequenceClassifier};
/// use ragtune_train::objective::Classification;
///
/// let head = NewHead::new(Labels::new(["ham", "spam"])?).with_seed(42);
/// let model = SequenceClassifier::with_new_head("models/all-minilm-l6-v2", &head, &device::cpu())?;
/// // Spam is rare, and counts as six.
/// let task = Classification::new(Arc::new(model))?.with_class_weights(vec![1.0, 6.0])?;
/// # let _ = task;
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Classification {
    model: Arc<SequenceClassifier>,
    weights: Vec<f32>,
    features: Features,
}

impl Classification {
    /// The task of a model.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a model whose head gives numbers instead of classes.
    pub fn new(model: Arc<SequenceClassifier>) -> Result<Self> {
        if model.problem_type() == ProblemType::Regression {
            return Err(Error::invalid(
                "model",
                "its head is a regression; give its `config.json` another `problem_type`, or put a new head on it",
            ));
        }
        Ok(Self {
            weights: vec![1.0; model.labels().len()],
            features: Features::new(&*model, &model.heads()),
            model,
        })
    }

    /// How much an example of each class counts, as `weight` of PyTorch's `CrossEntropyLoss`; where texts have any number
    /// of classes, how much it counts that a text has the class, as `pos_weight` of `BCEWithLogitsLoss`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for another number of weights than classes, or one that is not above 0.
    pub fn with_class_weights(mut self, weights: Vec<f32>) -> Result<Self> {
        let classes = self.model.labels().len();
        if weights.len() != classes {
            return Err(Error::invalid(
                "class_weights",
                format!("{}; the model has {classes} classes", weights.len()),
            ));
        }
        if let Some(weight) = weights
            .iter()
            .find(|weight| !(weight.is_finite() && **weight > 0.0))
        {
            return Err(Error::invalid(
                "class_weights",
                format!("{weight}; a weight is above 0"),
            ));
        }
        self.weights = weights;
        Ok(self)
    }

    /// Class weights by which all classes of some examples count the same together, as `class_weight="balanced"` of
    /// scikit-learn: examples over classes times the examples of the class; where texts have any number of classes, how
    /// many examples lack the class for each that has it. A class without examples has weight 1.
    ///
    /// # Errors
    /// [`Error::Unencodable`] for an example whose labels are not the model's.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "sets have far fewer than 2^52 examples, and weights are f32"
    )]
    pub fn with_balanced_weights(self, examples: &[Record<ClassifiedTokens>]) -> Result<Self> {
        let mut counts = vec![0_usize; self.weights.len()];
        for record in examples {
            for label in self.labels(record)? {
                counts[label] += 1;
            }
        }
        let all = examples.len() as f64;
        let present = counts.iter().filter(|count| **count > 0).count() as f64;
        let weight = |count: &usize| match (*count as f64, self.is_multi()) {
            (0.0, _) => 1.0,
            (count, false) => all / (present * count),
            // Of a class that every text has, nothing is to be told apart.
            (count, true) => ((all - count) / count).max(1.0 / all),
        };
        let weights = counts.iter().map(|count| weight(count) as f32).collect();
        self.with_class_weights(weights)
    }

    /// How much an example of each class counts, in the order of the classes.
    #[must_use]
    pub fn class_weights(&self) -> &[f32] {
        &self.weights
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<SequenceClassifier> {
        &self.model
    }

    /// All measures of the model with these adapters, of texts with one class.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where texts have any number of classes, [`Error::Empty`] without examples, and errors of
    /// the model.
    pub fn measure(
        &self,
        examples: &[Record<ClassifiedTokens>],
        adapters: &AdapterStack,
    ) -> Result<metrics::Classification> {
        if self.is_multi() {
            return Err(Error::invalid(
                "model",
                "its texts have any number of classes; use `measure_multi`",
            ));
        }
        self.single_measures(examples, &self.logits_of_all(examples, adapters)?.0)
    }

    /// All measures of the model with these adapters, of texts with any number of classes; a class counts as found where
    /// its probability is at least one half.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where texts have one class, [`Error::Empty`] without examples, and errors of the model.
    pub fn measure_multi(
        &self,
        examples: &[Record<ClassifiedTokens>],
        adapters: &AdapterStack,
    ) -> Result<metrics::MultiLabel> {
        if !self.is_multi() {
            return Err(Error::invalid("model", "its texts have one class; use `measure`"));
        }
        self.multi_measures(examples, &self.logits_of_all(examples, adapters)?.0)
    }

    fn is_multi(&self) -> bool {
        self.model.problem_type() == ProblemType::MultiLabel
    }

    fn names(&self) -> Vec<&str> {
        self.model.labels().iter().collect()
    }

    /// # Shapes
    /// `-> [b, c]`.
    fn logits(&self, batch: &[&Record<ClassifiedTokens>], pass: &mut Pass<'_>) -> Result<Tensor<2>> {
        self.features
            .logits((&self.model, &self.model), &texts(batch), pass)
    }

    /// The sum of the losses.
    fn losses(&self, batch: &[&Record<ClassifiedTokens>], logits: Tensor<2>) -> Result<Tensor<1>> {
        let (b, c) = (batch.len(), self.weights.len());
        let device = logits.device().inner();
        if self.is_multi() {
            let mut targets = vec![0.0_f32; b * c];
            for (row, record) in targets.chunks_exact_mut(c).zip(batch) {
                for label in self.labels(record)? {
                    row[label] = 1.0;
                }
            }
            let targets = Tensor::from_data(TensorData::new(targets, [b, c]), &device);
            let weights = Tensor::<1>::from_floats(self.weights.as_slice(), &device);
            return Ok(binary_cross_entropy(
                logits,
                targets,
                weights.unsqueeze::<2>().expand([b, c]),
            ));
        }
        let classes = batch
            .iter()
            .map(|record| self.class(record))
            .collect::<Result<Vec<_>>>()?;
        let weights: Vec<f32> = classes.iter().map(|class| self.weights[*class]).collect();
        let weights = Tensor::<1>::from_floats(weights.as_slice(), &device);
        Ok((log_likelihoods(logits, &classes) * weights).sum().neg())
    }

    /// The labels of an example, each within the model's.
    fn labels(&self, record: &Record<ClassifiedTokens>) -> Result<Vec<usize>> {
        let labels: Vec<usize> = record.value.labels.iter().map(|label| *label as usize).collect();
        match labels.iter().find(|label| **label >= self.weights.len()) {
            None => Ok(labels),
            Some(label) => Err(Error::Unencodable {
                origin: record.origin.clone(),
                reason: format!(
                    "class {label}, and the model has {}; encode it with the model's own labels",
                    self.weights.len()
                ),
            }),
        }
    }

    fn class(&self, record: &Record<ClassifiedTokens>) -> Result<usize> {
        match self.labels(record)?[..] {
            [class] => Ok(class),
            ref labels => Err(Error::Unencodable {
                origin: record.origin.clone(),
                reason: format!(
                    "{} classes, and the model gives each text one; choose `ProblemType::MultiLabel` for its head, or \
                     name one class",
                    labels.len()
                ),
            }),
        }
    }

    /// The logits of each example, and the sum of the losses.
    fn logits_of_all(
        &self,
        examples: &[Record<ClassifiedTokens>],
        adapters: &AdapterStack,
    ) -> Result<(Vec<Vec<f32>>, f64)> {
        let lengths: Vec<usize> = examples.iter().map(|example| self.tokens(example)).collect();
        let (mut rows, mut sum) = (Vec::with_capacity(examples.len()), 0.0);
        for batch in by_tokens(&lengths, EVALUATED_TOKENS) {
            let batch: Vec<&Record<ClassifiedTokens>> = batch.iter().map(|index| &examples[*index]).collect();
            let (logits, loss) = on_threads(AdapterBase::device(&*self.model), || {
                let logits = self.logits(&batch, &mut Pass::forward(adapters))?;
                let loss = self.losses(&batch, logits.clone())?;
                Ok::<_, Error>((logits, loss))
            })?;
            sum += f64::from(loss.into_scalar::<f32>());
            let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
            rows.extend(logits.chunks_exact(self.weights.len()).map(<[f32]>::to_vec));
        }
        Ok((rows, sum))
    }

    fn single_measures(
        &self,
        examples: &[Record<ClassifiedTokens>],
        logits: &[Vec<f32>],
    ) -> Result<metrics::Classification> {
        let truth = examples.iter().map(|record| self.class(record));
        let truth = truth.collect::<Result<Vec<_>>>()?;
        let found: Vec<usize> = logits.iter().map(|row| argmax(row)).collect();
        metrics::Classification::evaluate(&truth, &found, &self.names())
    }

    fn multi_measures(
        &self,
        examples: &[Record<ClassifiedTokens>],
        logits: &[Vec<f32>],
    ) -> Result<metrics::MultiLabel> {
        let truth = examples.iter().map(|record| self.labels(record));
        let truth = truth.collect::<Result<Vec<_>>>()?;
        let found = |row: &Vec<f32>| -> Vec<usize> {
            (0..row.len()).filter(|class| row[*class] >= 0.0).collect() // the sigmoid is one half at 0
        };
        let found: Vec<Vec<usize>> = logits.iter().map(found).collect();
        metrics::MultiLabel::evaluate(&truth, &found, &self.names())
    }
}

impl Objective for Classification {
    type Example = Record<ClassifiedTokens>;

    fn base(&self) -> &dyn AdapterBase {
        &*self.model
    }

    fn tokens(&self, example: &Self::Example) -> usize {
        example.value.ids.len()
    }

    /// The weight of its class; of a text with any number of classes, how many there are to decide.
    #[allow(
        clippy::cast_precision_loss,
        reason = "models have far fewer than 2^52 classes"
    )]
    fn weight(&self, example: &Self::Example) -> f64 {
        match example.value.labels.first() {
            _ if self.is_multi() => self.weights.len() as f64,
            Some(class) => f64::from(self.weights.get(*class as usize).copied().unwrap_or(1.0)),
            None => 0.0,
        }
    }

    fn digest(&self, example: &Self::Example, into: &mut dyn FnMut(&[u8])) {
        let ClassifiedTokens {
            ids,
            type_ids,
            labels,
        } = &example.value;
        for part in [ids, type_ids, labels] {
            into(&part.len().to_le_bytes());
            part.iter().for_each(|number| into(&number.to_le_bytes()));
        }
        // The weights belong to what is learned.
        for weight in &self.weights {
            into(&weight.to_le_bytes());
        }
    }

    fn loss(&self, batch: &[&Self::Example], pass: &mut Pass<'_>) -> Result<Tensor<1>> {
        let logits = self.logits(batch, pass)?;
        self.losses(batch, logits)
    }

    /// Of texts with one class `accuracy`, `f1_macro` and `loss`; of texts with any number `f1_micro`, `f1_macro`,
    /// `subset_accuracy` and `loss`.
    #[allow(
        clippy::cast_precision_loss,
        reason = "sets have far fewer than 2^52 examples"
    )]
    fn evaluate(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Scores> {
        let (logits, sum) = self.logits_of_all(examples, adapters)?;
        let weight: f64 = examples.iter().map(|example| self.weight(example)).sum();
        let loss = sum / weight.max(f64::MIN_POSITIVE);
        if self.is_multi() {
            let measures = self.multi_measures(examples, &logits)?;
            return Ok(Scores::higher("f1_micro", measures.table.micro.f1)
                .with("f1_macro", measures.table.macro_.f1)
                .with("subset_accuracy", measures.subset_accuracy)
                .with("loss", loss));
        }
        let measures = self.single_measures(examples, &logits)?;
        Ok(Scores::higher("accuracy", measures.accuracy)
            .with("f1_macro", measures.table.macro_.f1)
            .with("loss", loss))
    }

    /// `label` and `predicted`, which are lists where texts have any number of classes, and the `probability` of what was
    /// predicted.
    fn predictions(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Vec<Value>> {
        let names = self.names();
        let (logits, _) = self.logits_of_all(examples, adapters)?;
        let shown = examples.iter().zip(&logits).map(|(record, logits)| {
            let truth = self.labels(record)?;
            Ok(match self.is_multi() {
                true => {
                    let found: Vec<usize> = (0..logits.len()).filter(|class| logits[*class] >= 0.0).collect();
                    let named =
                        |classes: &[usize]| classes.iter().map(|class| names[*class]).collect::<Vec<_>>();
                    json!({ "label": named(&truth), "predicted": named(&found) })
                }
                false => {
                    let found = argmax(logits);
                    let sum: f32 = logits.iter().map(|logit| (logit - logits[found]).exp()).sum();
                    let label = truth.first().map(|class| names[*class]);
                    json!({ "label": label, "predicted": names[found], "probability": 1.0 / sum })
                }
            })
        });
        shown.collect()
    }

    fn origin<'e>(&self, example: &'e Self::Example) -> Option<&'e Origin> {
        Some(&example.origin)
    }

    fn settings(&self) -> Value {
        json!({ "class_weights": self.weights })
    }

    fn footprint(&self) -> Option<Footprint> {
        Footprint::classifier(self.model.transformer())
    }

    fn heads(&self) -> Vec<String> {
        self.model.heads().into_iter().map(str::to_owned).collect()
    }
}

fn texts<'t>(batch: &[&'t Record<ClassifiedTokens>]) -> Vec<Text<'t>> {
    let texts = batch
        .iter()
        .map(|record| (&record.value.ids[..], &record.value.type_ids[..]));
    texts.collect()
}
