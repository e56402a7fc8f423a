//! Classes of words, such as the parts of names.
//!
//! Letters: `t` tokens, `n` words that are learned, `c` classes.

use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};
use ragtune_core::adapters::{AdapterBase, AdapterStack};
use ragtune_core::kernels::on_threads;
use ragtune_core::models::TokenClassifier;
use ragtune_core::nn::Segments;
use serde_json::{Value, json};

use super::batches::by_tokens;
use super::features::{Features, Text};
use super::packing::{argmax, log_likelihoods};
use super::{Objective, Pass, Scores};
use crate::data::{Origin, Record};
use crate::encode::TaggedTokens;
use crate::error::{Error, Result};
use crate::memory::Footprint;
use crate::metrics::{EntityScores, Scheme};

/// Tokens that are evaluated at once.
const EVALUATED_TOKENS: usize = 2048;

/// A classifier of words learns their tags: the mean cross entropy of all words of a step, each by its first token.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use ragtune_core::device;
/// use ragtune_core::models::{Labels, TokenClassifier};
/// use ragtune_train::objective::Tagging;
///
/// let labels = Labels::new(["O", "B-PER", "I-PER"])?;
/// let model = TokenClassifier::with_new_head("models/bert-base", labels, 42, &device::cpu())?;
/// let task = Tagging::new(Arc::new(model));
/// # let _ = task;
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tagging {
    model: Arc<TokenClassifier>,
    /// Whether the tags are of entities.
    has_entities: bool,
    features: Features,
}

/// What a batch came to.
struct Tagged {
    /// The sum of the losses.
    loss: Tensor<1>,
    /// Logits of the learned words, `[n, c]`.
    logits: Tensor<2>,
}

impl Tagging {
    /// The task of a model.
    #[must_use]
    pub fn new(model: Arc<TokenClassifier>) -> Self {
        let has_entities = Scheme::detect(model.labels().iter()).is_some();
        Self {
            features: Features::new(&*model, &model.heads()),
            model,
            has_entities,
        }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<TokenClassifier> {
        &self.model
    }

    /// The entities that the model with these adapters finds, against the true ones.
    ///
    /// # Errors
    /// [`Error::InvalidTag`] for a tag that is none of an entity, [`Error::Empty`] without words, and errors of the model.
    pub fn measure(
        &self,
        examples: &[Record<TaggedTokens>],
        adapters: &AdapterStack,
    ) -> Result<EntityScores> {
        self.measures(examples, &self.tags_of_all(examples, adapters)?.0)
    }

    fn tagged(&self, batch: &[&Record<TaggedTokens>], pass: &mut Pass<'_>) -> Result<Tagged> {
        let texts = batch
            .iter()
            .map(|record| (&record.value.ids[..], &record.value.type_ids[..]));
        let texts: Vec<Text<'_>> = texts.collect();
        let segments = Segments::from_lengths(texts.iter().map(|(ids, _)| ids.len()));
        let (mut places, mut classes) = (Vec::new(), Vec::new());
        for (record, range) in batch.iter().zip(segments.iter()) {
            for (token, class) in self.targets(record)? {
                places.push(range.start + token);
                classes.push(class);
            }
        }
        let context = pass.context(segments);
        let hidden = self.features.hidden(&self.model, &texts, pass)?; // [t, h]
        let numbers: Vec<i32> = places
            .iter()
            .map(|place| i32::try_from(*place).unwrap_or(i32::MAX))
            .collect();
        let rows =
            Tensor::<1, Int>::from_data(TensorData::from(numbers.as_slice()), &hidden.device().inner());
        let logits = self
            .model
            .logits(hidden.select(0, rows), &context.gathered(&places)); // [n, c]
        Ok(Tagged {
            loss: log_likelihoods(logits.clone(), &classes).sum().neg(),
            logits,
        })
    }

    /// The tokens that stand for words, and the words' classes.
    fn targets(&self, record: &Record<TaggedTokens>) -> Result<Vec<(usize, usize)>> {
        let classes = self.model.labels().len();
        let targets = record.value.targets.iter().enumerate();
        let targets: Vec<(usize, usize)> = targets
            .filter(|(_, class)| **class != u32::MAX)
            .map(|(token, class)| (token, *class as usize))
            .collect();
        match targets.iter().find(|(_, class)| *class >= classes) {
            None => Ok(targets),
            Some((_, class)) => Err(Error::Unencodable {
                origin: record.origin.clone(),
                reason: format!(
                    "tag {class}, and the model has {classes}; encode it with the model's own labels"
                ),
            }),
        }
    }

    /// The classes found for the words of each sentence, and the sum of the losses.
    fn tags_of_all(
        &self,
        examples: &[Record<TaggedTokens>],
        adapters: &AdapterStack,
    ) -> Result<(Vec<Vec<usize>>, f64)> {
        let lengths: Vec<usize> = examples.iter().map(|example| self.tokens(example)).collect();
        let (mut found, mut sum) = (Vec::with_capacity(examples.len()), 0.0);
        for batch in by_tokens(&lengths, EVALUATED_TOKENS) {
            let batch: Vec<&Record<TaggedTokens>> = batch.iter().map(|index| &examples[*index]).collect();
            let words: Vec<usize> = batch.iter().map(|record| counted(record)).collect();
            if words.iter().sum::<usize>() == 0 {
                found.extend(words.iter().map(|_| Vec::new()));
                continue;
            }
            let Tagged { loss, logits } = on_threads(AdapterBase::device(&*self.model), || {
                self.tagged(&batch, &mut Pass::forward(adapters))
            })?;
            sum += f64::from(loss.into_scalar::<f32>());
            let classes = logits.dims()[1];
            let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
            let mut tags = logits.chunks_exact(classes).map(argmax);
            found.extend(
                words
                    .into_iter()
                    .map(|words| tags.by_ref().take(words).collect::<Vec<usize>>()),
            );
        }
        Ok((found, sum))
    }

    fn measures(&self, examples: &[Record<TaggedTokens>], found: &[Vec<usize>]) -> Result<EntityScores> {
        let labels: Vec<&str> = self.model.labels().iter().collect();
        let named = |tags: &mut dyn Iterator<Item = usize>| -> Vec<&str> {
            tags.filter_map(|tag| labels.get(tag).copied()).collect()
        };
        let truth = examples.iter().map(|record| {
            let targets = self.targets(record)?;
            Ok(named(&mut targets.into_iter().map(|(_, tag)| tag)))
        });
        let truth = truth.collect::<Result<Vec<_>>>()?;
        let found: Vec<Vec<&str>> = found
            .iter()
            .map(|tags| named(&mut tags.iter().copied()))
            .collect();
        // An entity may go on from one window of its sentence to the next.
        EntityScores::evaluate(&sentences(examples, truth), &sentences(examples, found), None)
    }
}

impl Objective for Tagging {
    type Example = Record<TaggedTokens>;

    fn base(&self) -> &dyn AdapterBase {
        &*self.model
    }

    fn tokens(&self, example: &Self::Example) -> usize {
        example.value.ids.len()
    }

    /// Words that are learned.
    #[allow(clippy::cast_precision_loss, reason = "texts have far fewer than 2^52 words")]
    fn weight(&self, example: &Self::Example) -> f64 {
        counted(example) as f64
    }

    fn digest(&self, example: &Self::Example, into: &mut dyn FnMut(&[u8])) {
        let TaggedTokens {
            ids,
            type_ids,
            targets,
            ..
        } = &example.value;
        for part in [ids, type_ids, targets] {
            into(&part.len().to_le_bytes());
            part.iter().for_each(|number| into(&number.to_le_bytes()));
        }
    }

    fn loss(&self, batch: &[&Self::Example], pass: &mut Pass<'_>) -> Result<Tensor<1>> {
        Ok(self.tagged(batch, pass)?.loss)
    }

    /// `f1`, `precision` and `recall` of whole entities over all of their kinds, `accuracy` of words, and `loss`. Where
    /// the tags are not of entities, `accuracy` and `loss`.
    #[allow(clippy::cast_precision_loss, reason = "sets have far fewer than 2^52 words")]
    fn evaluate(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Scores> {
        let (found, sum) = self.tags_of_all(examples, adapters)?;
        let words: usize = examples.iter().map(counted).sum();
        let loss = sum / words.max(1) as f64;
        if !self.has_entities {
            let mut right = 0;
            for (record, found) in examples.iter().zip(&found) {
                let targets = self.targets(record)?;
                right += targets
                    .iter()
                    .zip(found)
                    .filter(|((_, tag), found)| tag == *found)
                    .count();
            }
            let accuracy = right as f64 / words.max(1) as f64;
            return Ok(Scores::higher("accuracy", accuracy).with("loss", loss));
        }
        let measures = self.measures(examples, &found)?;
        let micro = measures.table.micro;
        Ok(Scores::higher("f1", micro.f1)
            .with("precision", micro.precision)
            .with("recall", micro.recall)
            .with("accuracy", measures.accuracy)
            .with("loss", loss))
    }

    /// Of each sentence, also where it came in windows: `tags` and `predicted`, a tag for each word, and its `line`.
    fn predictions(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Vec<Value>> {
        let labels: Vec<&str> = self.model.labels().iter().collect();
        let (found, _) = self.tags_of_all(examples, adapters)?;
        let truth = examples.iter().map(|record| {
            let targets = self.targets(record)?;
            Ok(targets.iter().map(|(_, tag)| labels[*tag]).collect::<Vec<&str>>())
        });
        let truth = sentences(examples, truth.collect::<Result<Vec<_>>>()?);
        let found = found
            .iter()
            .map(|tags| tags.iter().map(|tag| labels[*tag]).collect::<Vec<&str>>());
        let found = sentences(examples, found.collect());
        let origins = examples.iter().filter(|record| record.value.window == 0);
        let shown = truth.iter().zip(&found).zip(origins);
        Ok(shown
            .map(|((truth, found), record)| {
                json!({ "tags": truth, "predicted": found, "line": record.origin.line })
            })
            .collect())
    }

    fn origin<'e>(&self, example: &'e Self::Example) -> Option<&'e Origin> {
        Some(&example.origin)
    }

    fn footprint(&self) -> Option<Footprint> {
        Some(Footprint::encoder(self.model.encoder().shape()))
    }

    fn heads(&self) -> Vec<String> {
        self.model.heads().into_iter().map(str::to_owned).collect()
    }
}

/// What belongs to windows, put together by sentences.
fn sentences<T>(examples: &[Record<TaggedTokens>], of_windows: Vec<Vec<T>>) -> Vec<Vec<T>> {
    let mut sentences: Vec<Vec<T>> = Vec::new();
    for (record, words) in examples.iter().zip(of_windows) {
        match sentences.last_mut() {
            Some(sentence) if record.value.window > 0 => sentence.extend(words),
            _ => sentences.push(words),
        }
    }
    sentences
}

fn counted(record: &Record<TaggedTokens>) -> usize {
    let targets = record.value.targets.iter();
    targets.filter(|class| **class != u32::MAX).count()
}
