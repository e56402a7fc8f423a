//! Which modules of a base a configuration names, for those who make a new adapter.

use std::path::PathBuf;

use super::base::ModuleShapes;
use super::target::Target;
use super::{AdapterConfig, AdapterError, ModuleShape};
use crate::error::{Error, Result};

/// A module that a configuration names, with what it says of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ResolvedTarget {
    /// The module path in the checkpoint.
    pub slot: String,
    /// What the module is, and how large.
    pub shape: ModuleShape,
    /// The rank of its update.
    pub rank: usize,
    /// What the product of the pair is multiplied by.
    pub scaling: f64,
    /// Whether (IA)³ rescales its input instead of its output.
    pub is_feedforward: bool,
}

impl AdapterConfig {
    /// The modules of a base that `target_modules` and its exceptions name, sorted by slot, as PEFT 0.21 chooses them.
    ///
    /// ```no_run
    /// # fn of(lm: &ragtune_core::models::CausalLm) -> ragtune_core::Result<()> {
    /// use ragtune_core::adapters::{AdapterBase, AdapterConfig, Targets};
    ///
    /// let config = AdapterConfig::default().with_target_modules(Targets::AllLinear);
    /// for target in config.resolve(lm.module_shapes())? {
    ///     println!("{} gets rank {}", target.slot, target.rank);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Adapter`] for a pattern that is not a regular expression or takes too long.
    pub fn resolve(&self, shapes: &ModuleShapes) -> Result<Vec<ResolvedTarget>> {
        self.resolved(shapes).map_err(|source| Error::Adapter {
            path: PathBuf::from("in memory"),
            source,
        })
    }

    fn resolved(&self, shapes: &ModuleShapes) -> Result<Vec<ResolvedTarget>, AdapterError> {
        let target = Target::new(self)?;
        let mut targets = Vec::new();
        for (slot, shape) in shapes.iter() {
            // An output layer goes by both of its names; the others have one.
            let path = if shape.is_output { slot } else { shapes.path(slot) };
            if target.includes(path, shape)? != Some(true) {
                continue;
            }
            let (rank, alpha) = target.rank_and_alpha(path, shape.is_output)?;
            targets.push(ResolvedTarget {
                slot: slot.to_owned(),
                shape,
                rank,
                scaling: self.scaling(rank, alpha),
                is_feedforward: target.is_feedforward(path, shape)?,
            });
        }
        Ok(targets)
    }
}
