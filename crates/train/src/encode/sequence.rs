//! Tokens of which some are learned.

use super::report::TokenCount;

/// Tokens of a text, and which of them the model learns to say.
///
/// A token is a target where `trained` is true; it is predicted from the tokens before it, so the first token of a
/// sequence never is one.
///
/// ```
/// use ragtune_train::encode::Sequence;
/// let sequence = Sequence::new(vec![1, 7, 8, 2], vec![false, false, true, true]);
/// assert_eq!(sequence.targets(), 2);
/// assert_eq!(sequence.shifted().collect::<Vec<_>>(), [None, Some(8), Some(2), None]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// Whether each token is a target: the token itself, before the shift.
    pub trained: Vec<bool>,
}

impl Sequence {
    /// Tokens and which of them are targets. The first never is; a missing flag is false.
    pub fn new(ids: Vec<u32>, mut trained: Vec<bool>) -> Self {
        trained.resize(ids.len(), false);
        if let Some(first) = trained.first_mut() {
            *first = false;
        }
        Self { ids, trained }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Number of targets.
    pub fn targets(&self) -> usize {
        self.trained.iter().filter(|&&trained| trained).count()
    }

    /// For each token what the model is to say next, where that is a target.
    pub fn shifted(&self) -> impl Iterator<Item = Option<u32>> + '_ {
        let next = self.ids.iter().zip(&self.trained).skip(1);
        let targets = next.map(|(&id, &trained)| trained.then_some(id));
        targets.chain((!self.ids.is_empty()).then_some(None))
    }

    /// The tokens that are targets, in their order.
    pub fn trained_ids(&self) -> Vec<u32> {
        let both = self.ids.iter().zip(&self.trained);
        both.filter(|(_, trained)| **trained).map(|(&id, _)| id).collect()
    }

    /// Cuts off what is behind `max_tokens` tokens: the number of targets that were lost.
    pub(super) fn cut(&mut self, max_tokens: usize) -> usize {
        let before = self.targets();
        self.ids.truncate(max_tokens);
        self.trained.truncate(max_tokens);
        before - self.targets()
    }
}

impl TokenCount for Sequence {
    fn tokens(&self) -> usize {
        self.len()
    }
}
