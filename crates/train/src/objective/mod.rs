//! What a model learns: a task's examples, its loss and its scores.

mod batches;
mod classification;
mod embedding;
mod features;
mod language_modelling;
mod packing;
mod pass;
mod preference;
mod relevance;
mod scores;
mod span_extraction;
mod tagging;

use ragtune_core::adapters::{AdapterBase, AdapterStack};

pub use classification::Classification;
pub use embedding::EmbeddingRanking;
pub use language_modelling::LanguageModelling;
pub use pass::Pass;
pub(crate) use pass::add;
pub use preference::{PreferenceLoss, PreferenceOptimisation};
pub use relevance::RelevanceRanking;
pub use scores::Scores;
pub use span_extraction::SpanExtraction;
pub use tagging::Tagging;

use burn::tensor::Tensor;
use serde_json::Value;

use crate::data::Origin;
use crate::error::Result;
use crate::memory::Footprint;

/// A task: how examples become a loss, and how good a model is at them.
///
/// The objective holds its model. In [`loss`](Objective::loss) it computes through the [`Pass`], which brings the trained
/// weights and records what gradients need:
///
/// ```
/// use burn::tensor::Tensor;
/// use ragtune_core::adapters::{AdapterBase, AdapterStack};
/// use ragtune_core::nn::{Linear, Segments};
/// use ragtune_train::objective::{Objective, Pass, Scores};
/// # use std::sync::Arc;
/// # use ragtune_core::adapters::{Module, ModuleShapes};
///
/// /// A straight line through points: the whole of an objective of one's own.
/// struct Line {
///     layer: Linear,
///     # shapes: Arc<ModuleShapes>,
///     # device: burn::tensor::Device,
/// }
/// # impl AdapterBase for Line {
/// #     fn module_shapes(&self) -> &Arc<ModuleShapes> { &self.shapes }
/// #     fn modules(&self) -> Vec<Module<'_>> { vec![Module::Linear(&self.layer)] }
/// #     fn device(&self) -> &burn::tensor::Device { &self.device }
/// # }
///
/// impl Objective for Line {
///     type Example = (f32, f32);
///
///     fn base(&self) -> &dyn AdapterBase {
///         self
///     }
///
///     fn tokens(&self, _: &(f32, f32)) -> usize {
///         1
///     }
///
///     fn digest(&self, (x, y): &(f32, f32), into: &mut dyn FnMut(&[u8])) {
///         into(&x.to_le_bytes());
///         into(&y.to_le_bytes());
///     }
///
///     fn loss(&self, batch: &[&(f32, f32)], pass: &mut Pass<'_>) -> ragtune_train::Result<Tensor<1>> {
///         let column = |which: fn(&(f32, f32)) -> f32| {
///             let values: Vec<f32> = batch.iter().map(|point| which(point)).collect();
///             Tensor::<1>::from_floats(values.as_slice(), self.device()).reshape([batch.len(), 1])
///         };
///         let context = pass.context(Segments::from_lengths(batch.iter().map(|_| 1)));
///         let error: Tensor<2> = self.layer.forward(column(|point| point.0), &context) - column(|point| point.1);
///         Ok((error.clone() * error).sum())
///     }
///
///     fn evaluate(&self, points: &[(f32, f32)], adapters: &AdapterStack) -> ragtune_train::Result<Scores> {
///         let mut pass = Pass::forward(adapters);
///         let loss = self.loss(&points.iter().collect::<Vec<_>>(), &mut pass)?;
///         Ok(Scores::lower("squared_error", loss.into_scalar::<f32>().into()))
///     }
/// }
/// ```
///
/// An objective may also generate: it holds the model, and [`Pass::adapters`] are the weights as they are now. That is
/// the place of reward models and policy optimisation.
pub trait Objective: Send + Sync {
    /// One example, ready to be computed.
    type Example: Send + Sync;

    /// The model whose modules can be trained.
    fn base(&self) -> &dyn AdapterBase;

    /// Tokens of an example, by which batches are made.
    fn tokens(&self, example: &Self::Example) -> usize;

    /// Those of them that go through the model at once, where the loss runs it several times.
    fn tokens_at_once(&self, example: &Self::Example) -> usize {
        self.tokens(example)
    }

    /// How much of the loss an example is, such as its trained tokens; a step divides the sum of losses by the sum of these.
    fn weight(&self, example: &Self::Example) -> f64 {
        let _ = example;
        1.0
    }

    /// Hands on all of an example that the loss depends on, so that a run which goes on can tell that its data are the
    /// same.
    fn digest(&self, example: &Self::Example, into: &mut dyn FnMut(&[u8]));

    /// The *sum* of the losses of a batch, `[1]`.
    ///
    /// # Errors
    /// Errors of the model.
    fn loss(&self, batch: &[&Self::Example], pass: &mut Pass<'_>) -> Result<Tensor<1>>;

    /// How good the model with these adapters is at examples.
    ///
    /// # Errors
    /// Errors of the model.
    fn evaluate(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Scores>;

    /// What the model with these adapters says of examples, for a person to look at: a JSON object each, with what is
    /// true beside what was `predicted`. Empty where a task has nothing to show.
    ///
    /// # Errors
    /// Errors of the model.
    fn predictions(&self, examples: &[Self::Example], adapters: &AdapterStack) -> Result<Vec<Value>> {
        let _ = (examples, adapters);
        Ok(Vec::new())
    }

    /// Both [`evaluate`](Self::evaluate) and [`predictions`](Self::predictions), for which a task may ask the model once.
    ///
    /// # Errors
    /// Errors of the model.
    fn evaluate_and_predict(
        &self,
        examples: &[Self::Example],
        adapters: &AdapterStack,
    ) -> Result<(Scores, Vec<Value>)> {
        Ok((
            self.evaluate(examples, adapters)?,
            self.predictions(examples, adapters)?,
        ))
    }

    /// The settings of the objective itself that the weights depend on, such as those of its loss: a run that goes on with
    /// others is another run.
    fn settings(&self) -> Value {
        Value::Null
    }

    /// Where an example was read, for messages.
    fn origin<'e>(&self, example: &'e Self::Example) -> Option<&'e Origin> {
        let _ = example;
        None
    }

    /// Slots of the modules that were added for the task and train in every method.
    fn heads(&self) -> Vec<String> {
        Vec::new()
    }

    /// The widths of the model, by which its memory is foretold; `None` where they are not known.
    fn footprint(&self) -> Option<Footprint> {
        None
    }

    /// Whether the loss of an example depends on the others of its batch, so that a batch cannot be divided into parts
    /// whose gradients are added up.
    fn couples(&self) -> bool {
        false
    }
}
