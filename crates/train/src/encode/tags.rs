//! Tags of words to labels of tokens.

use ragtune_core::kernels::IGNORED;
use ragtune_core::text::Span;

use super::report::{EncodeReport, EncodedSet, Limits, Outcome, Overflow, TokenCount, at, encode_all};
use super::texts::TextEncoder;
use crate::data::{Dataset, LabelMap, Record, Tagged};
use crate::error::{Error, Result};

/// The tokens of a sentence, and the tags of its words.
///
/// The first token of a word carries its tag, the others have none, as `run_ner.py` of transformers has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaggedTokens {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// All 0, as for any single text.
    pub type_ids: Vec<u32>,
    /// For each token the id of the tag of the word that begins with it; [`IGNORED`] where none does.
    pub targets: Vec<u32>,
}

impl TextEncoder<'_> {
    /// The tokens and tags of sentences; the words are joined by single spaces.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`], [`Error::TooLong`] with [`Overflow::Error`], [`Error::Unencodable`] when the tokenizer
    /// fails, [`Error::InvalidArgument`] when the limit leaves no room for words, [`Error::Empty`].
    pub fn tagged(
        &self,
        set: &Dataset<Tagged>,
        labels: &LabelMap,
        limits: Limits,
    ) -> Result<EncodedSet<TaggedTokens>> {
        let special = self.before.len() + self.behind.len();
        let Some(room) = limits.max_tokens.checked_sub(special).filter(|&room| room > 0) else {
            let reason = format!(
                "{} leave no room beside {special} special tokens",
                limits.max_tokens
            );
            return Err(Error::invalid("max_tokens", reason));
        };
        encode_all(set, |record: &Record<Tagged>| {
            self.sentence(record, labels, limits, room)
        })
    }

    fn sentence(
        &self,
        record: &Record<Tagged>,
        labels: &LabelMap,
        limits: Limits,
        room: usize,
    ) -> Result<Outcome<TaggedTokens>> {
        let Record {
            value: Tagged { words, tags },
            origin,
        } = record;
        if words.len() != tags.len() {
            return Err(Error::Unencodable {
                origin: origin.clone(),
                reason: format!("{} tags for {} words", tags.len(), words.len()),
            });
        }
        let tags = tags
            .iter()
            .map(|tag| labels.require(tag, origin))
            .collect::<Result<Vec<_>>>()?;
        let tokens = self
            .tokenizer
            .encode_ordinary(&words.join(" "), false)
            .map_err(|error| at(origin, error.into()))?;
        let mut firsts = first_tokens(words, &tokens.spans);
        let mut ids = tokens.ids;
        let mut report = EncodeReport {
            words_without_token: firsts.iter().filter(|first| first.is_none()).count(),
            ..EncodeReport::default()
        };
        if ids.len() > room {
            match limits.overflow {
                Overflow::Error => {
                    return Err(Error::TooLong {
                        origin: origin.clone(),
                        tokens: ids.len() + limits.max_tokens - room,
                        limit: limits.max_tokens,
                    });
                }
                Overflow::Drop => return Ok(Outcome::too_long(origin)),
                Overflow::Truncate => {
                    ids.truncate(room);
                    let cut = firsts
                        .iter_mut()
                        .filter(|first| first.is_some_and(|first| first >= room));
                    report.lost_targets = cut.map(|first| *first = None).count();
                    report.truncated = 1;
                }
            }
        }
        report.targets = firsts.iter().flatten().count();
        if report.targets == 0 {
            return Ok(Outcome::without_target(origin, report));
        }
        let ids = [self.before.clone(), ids, self.behind.clone()].concat();
        let mut targets = vec![IGNORED; ids.len()];
        for (first, tag) in firsts.into_iter().zip(tags) {
            if let Some(first) = first {
                targets[self.before.len() + first] = tag;
            }
        }
        let item = TaggedTokens {
            type_ids: vec![0; ids.len()],
            ids,
            targets,
        };
        Ok(Outcome::new(vec![item], report))
    }
}

impl TokenCount for TaggedTokens {
    fn tokens(&self) -> usize {
        self.ids.len()
    }
}

/// For each word the first token that covers a part of it and that no word before has taken.
fn first_tokens(words: &[String], spans: &[Span]) -> Vec<Option<usize>> {
    let mut firsts = Vec::with_capacity(words.len());
    let (mut start, mut token) = (0, 0);
    for word in words {
        let place = Span::new(start, start + word.len());
        while spans
            .get(token)
            .is_some_and(|span| span.end <= place.start || span.is_empty())
        {
            token += 1;
        }
        let found = spans.get(token).is_some_and(|span| span.overlaps(place));
        firsts.push(found.then_some(token));
        // The other tokens of the word belong to no other; one that reaches into the next word is taken too.
        while spans
            .get(token)
            .is_some_and(|span| span.is_empty() || span.start < place.end)
        {
            token += 1;
        }
        start = place.end + 1;
    }
    firsts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_their_first_token() {
        let words = ["New", "", "Yorkers", "x", "go"].map(str::to_owned);
        // "New  Yorkers x go": one token has the space before its word, one is missing.
        let spans = [(0, 3), (4, 9), (9, 12), (14, 17)].map(|(start, end)| Span::new(start, end));
        assert_eq!(
            first_tokens(&words, &spans),
            [Some(0), None, Some(1), None, Some(3)]
        );
        // A token across two words is the first one's.
        let words = ["a", "b", "c"].map(str::to_owned);
        let spans = [(0, 3), (4, 5)].map(|(start, end)| Span::new(start, end));
        assert_eq!(first_tokens(&words, &spans), [Some(0), None, Some(1)]);
    }
}
