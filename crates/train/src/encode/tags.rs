//! Tags of words to labels of tokens.

use std::ops::Range;

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
    /// For each token the id of the tag of the word that begins with it; [`IGNORED`] where none does, or where the word is
    /// another window's.
    pub targets: Vec<u32>,
    /// Which window of its sentence this is: 0 for the first, or the only one. The others follow it in the set.
    pub window: usize,
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
        let room = self.room(limits.max_tokens)?;
        encode_all(set, |record: &Record<Tagged>| {
            self.sentence(record, labels, limits, room)
        })
    }

    /// The tokens and tags of sentences; one that is longer than `max_tokens` comes in windows, which follow each other and
    /// overlap by up to a half. Windows begin and end with words. Every word has its tag once, in the window that shows
    /// the most around it, so that scores and losses are over all words of all sentences.
    ///
    /// # Errors
    /// As [`TextEncoder::tagged`], without [`Error::TooLong`].
    pub fn tagged_windows(
        &self,
        set: &Dataset<Tagged>,
        labels: &LabelMap,
        max_tokens: usize,
    ) -> Result<EncodedSet<TaggedTokens>> {
        let room = self.room(max_tokens)?;
        encode_all(set, |record: &Record<Tagged>| {
            let Sentence { ids, firsts, tags } = self.aligned(record, labels)?;
            let words = || {
                firsts
                    .iter()
                    .zip(&tags)
                    .filter_map(|(first, tag)| Some(((*first)?, *tag)))
            };
            let starts: Vec<usize> = words().map(|(first, _)| first).collect();
            let tags: Vec<u32> = words().map(|(_, tag)| tag).collect();
            let mut report = EncodeReport {
                words_without_token: firsts.len() - starts.len(),
                targets: starts.len(),
                ..EncodeReport::default()
            };
            if starts.is_empty() {
                return Ok(Outcome::without_target(&record.origin, report));
            }
            let windows = windows(&starts, ids.len(), room);
            report.in_windows = usize::from(windows.len() > 1);
            let items = windows.iter().enumerate().map(|(number, window)| {
                let places = starts[window.words.clone()]
                    .iter()
                    .map(|start| start - window.tokens.start);
                let targets = places.zip(tags[window.words.clone()].iter().copied());
                self.around(&ids[window.tokens.clone()], targets, number)
            });
            Ok(Outcome::new(items.collect(), report))
        })
    }

    /// Tokens of words that a window has room for.
    fn room(&self, max_tokens: usize) -> Result<usize> {
        let special = self.before.len() + self.behind.len();
        let room = max_tokens.checked_sub(special).filter(|&room| room > 0);
        room.ok_or_else(|| {
            let reason = format!("{max_tokens} leave no room beside {special} special tokens");
            Error::invalid("max_tokens", reason)
        })
    }

    /// Special tokens around others, and tags at some of them.
    fn around(
        &self,
        ids: &[u32],
        targets: impl Iterator<Item = (usize, u32)>,
        window: usize,
    ) -> TaggedTokens {
        let ids = [&self.before, ids, &self.behind].concat();
        let mut all = vec![IGNORED; ids.len()];
        for (place, tag) in targets {
            all[self.before.len() + place] = tag;
        }
        TaggedTokens {
            type_ids: vec![0; ids.len()],
            ids,
            targets: all,
            window,
        }
    }

    /// The tokens of a sentence, with the first of each word, and the words' tags.
    fn aligned(&self, record: &Record<Tagged>, labels: &LabelMap) -> Result<Sentence> {
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
        Ok(Sentence {
            firsts: first_tokens(words, &tokens.spans),
            ids: tokens.ids,
            tags,
        })
    }

    fn sentence(
        &self,
        record: &Record<Tagged>,
        labels: &LabelMap,
        limits: Limits,
        room: usize,
    ) -> Result<Outcome<TaggedTokens>> {
        let origin = &record.origin;
        let Sentence {
            mut ids,
            mut firsts,
            tags,
        } = self.aligned(record, labels)?;
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
        let targets = firsts
            .into_iter()
            .zip(tags)
            .filter_map(|(first, tag)| Some((first?, tag)));
        let item = self.around(&ids, targets, 0);
        Ok(Outcome::new(vec![item], report))
    }
}

/// A sentence before it is cut.
struct Sentence {
    ids: Vec<u32>,
    /// The first token of each word, if it has one of its own.
    firsts: Vec<Option<usize>>,
    tags: Vec<u32>,
}

/// A part of a sentence.
#[derive(Debug, PartialEq, Eq)]
struct Window {
    tokens: Range<usize>,
    /// The words whose tags are this window's.
    words: Range<usize>,
}

/// Windows of at most `room` tokens over words that begin at `starts`. A word that is longer than a window is cut to one.
fn windows(starts: &[usize], tokens: usize, room: usize) -> Vec<Window> {
    let words = starts.len();
    // Tokens before the first word, such as of blanks, are shown as far as there is room for it.
    let lead = starts
        .first()
        .copied()
        .filter(|first| 2 * first > room)
        .unwrap_or(0);
    let start = |word: usize| match word {
        0 => lead,
        word => starts.get(word).copied().unwrap_or(tokens),
    };
    // 1. From which word to which each window goes: as many as fit, and from there back over half a window.
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut first = 0;
    loop {
        let fits = |end: usize| start(end) - start(first) <= room;
        let end = (first + 1..=words)
            .rev()
            .find(|end| fits(*end))
            .unwrap_or(first + 1);
        ranges.push(first..end);
        if end == words {
            break;
        }
        // The next window shows one word more at least.
        let back =
            |from: usize| 2 * (start(end) - start(from)) <= room && start(end + 1) - start(from) <= room;
        first = (first + 1..end).find(|from| back(*from)).unwrap_or(end);
    }
    // 2. Of two windows each word that both show is that one's which shows more around it.
    let mut windows = Vec::with_capacity(ranges.len());
    let mut begun = 0;
    for (number, range) in ranges.iter().enumerate() {
        let done = match ranges.get(number + 1) {
            None => words,
            Some(next) => {
                let later = |word: &usize| start(range.end) - start(*word) < start(*word) - start(next.start);
                (next.start.max(begun)..range.end)
                    .find(later)
                    .unwrap_or(range.end)
            }
        };
        let from = start(range.start);
        let to = start(range.end).min(from + room);
        if begun < done {
            windows.push(Window {
                tokens: from..to,
                words: begun..done,
            });
        }
        begun = done;
    }
    windows
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn windows_hold_every_word_once_with_what_is_around_it(
            lengths in prop::collection::vec(1_usize..9, 1..80),
            before in 0_usize..3,
            room in 4_usize..40,
        ) {
            let mut tokens = before;
            let mut starts = Vec::new();
            for length in &lengths {
                starts.push(tokens);
                tokens += length;
            }
            let windows = windows(&starts, tokens, room);
            let owned: Vec<usize> = windows.iter().flat_map(|window| window.words.clone()).collect();
            prop_assert_eq!(owned, (0..starts.len()).collect::<Vec<_>>());
            prop_assert!(tokens > room || windows.len() == 1);
            for (number, window) in windows.iter().enumerate() {
                prop_assert!(!window.tokens.is_empty() && window.tokens.len() <= room);
                prop_assert!(window.tokens.start == 0 || starts.contains(&window.tokens.start));
                for word in window.words.clone() {
                    // Words are whole, unless one is longer than a window.
                    let end = starts.get(word + 1).copied().unwrap_or(tokens);
                    let begin = if word == 0 { 0 } else { starts[word] };
                    prop_assert!(window.tokens.contains(&starts[word]));
                    prop_assert!(end <= window.tokens.end || end - begin > room);
                    // No other window shows as much around it.
                    let margin = |other: &Window| {
                        let left = if other.tokens.start == 0 { usize::MAX } else { starts[word] - other.tokens.start };
                        let right = if other.tokens.end == tokens { usize::MAX } else { other.tokens.end - starts[word] };
                        left.min(right)
                    };
                    let small = lengths.iter().all(|length| *length * 4 <= room) && before == 0;
                    for neighbour in [number.checked_sub(1), Some(number + 1)].into_iter().flatten() {
                        if let Some(other) = windows.get(neighbour).filter(|other| other.tokens.contains(&starts[word])) {
                            prop_assert!(!small || margin(other) <= margin(window), "{:?} {:?}", other, window);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn blanks_before_the_first_word_leave_room_for_it() {
        let found = windows(&[20, 22], 23, 6);
        let whole = Window {
            tokens: 20..23,
            words: 0..2,
        };
        assert_eq!(found, [whole]);
        assert_eq!(windows(&[2, 22], 23, 6)[0].tokens, 0..6);
    }

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
