//! Two answers to the same conversation, as tokens.

use super::chat::{ChatEncoder, fitted};
use super::report::{EncodeReport, EncodedSet, Limits, Outcome, TokenCount, at, encode_all};
use super::sequence::Sequence;
use crate::data::{Dataset, Preference, Record};
use crate::error::Result;
use ragtune_core::text::Message;

/// A better and a worse answer to the same conversation; of each, the answer and its end token are targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreferenceSequences {
    /// The conversation with the better answer.
    pub chosen: Sequence,
    /// The conversation with the worse answer.
    pub rejected: Sequence,
}

impl PreferenceSequences {
    /// Tokens at the beginning that both have in common and that are no targets.
    pub fn shared_tokens(&self) -> usize {
        let pairs = self.chosen.ids.iter().zip(&self.rejected.ids);
        let flags = self.chosen.trained.iter().zip(&self.rejected.trained);
        let shared = pairs
            .zip(flags)
            .take_while(|((a, b), (trained, other))| a == b && !**trained && !**other);
        shared.count()
    }
}

impl TokenCount for PreferenceSequences {
    fn tokens(&self) -> usize {
        self.chosen.len() + self.rejected.len()
    }
}

impl ChatEncoder {
    /// The tokens of a set of preferences. The limit holds for each of the two conversations; a preference of which one
    /// answer has no token left is left out.
    ///
    /// # Errors
    /// As [`ChatEncoder::conversations`].
    pub fn preferences(
        &self,
        set: &Dataset<Preference>,
        limits: Limits,
    ) -> Result<EncodedSet<PreferenceSequences>> {
        limits.check()?;
        let encoder = self.clone().with_last_answer_only(true);
        encode_all(set, |record: &Record<Preference>| {
            let answered = |answer: &str| {
                let mut messages = record.value.messages.clone();
                messages.push(Message::assistant(answer));
                let (sequence, report) = encoder
                    .encode(&messages, &record.origin)
                    .map_err(|error| at(&record.origin, error))?;
                fitted(sequence, report, &record.origin, limits)
            };
            Ok(both(
                answered(&record.value.chosen)?,
                answered(&record.value.rejected)?,
            ))
        })
    }
}

/// What the two answers became; the example is left out if one of them is.
fn both(mut chosen: Outcome<Sequence>, mut rejected: Outcome<Sequence>) -> Outcome<PreferenceSequences> {
    let (Some(first), Some(second)) = (chosen.items.pop(), rejected.items.pop()) else {
        // Of an example that is left out only that counts.
        let failed = match chosen.report.too_long.is_empty() && chosen.report.without_target.is_empty() {
            true => rejected.report,
            false => chosen.report,
        };
        return Outcome::new(
            Vec::new(),
            EncodeReport {
                too_long: failed.too_long,
                without_target: failed.without_target,
                ..EncodeReport::default()
            },
        );
    };
    let truncated = chosen.report.truncated.max(rejected.report.truncated);
    let mut report = chosen.report;
    report.add(rejected.report);
    report.truncated = truncated;
    let pair = PreferenceSequences {
        chosen: first,
        rejected: second,
    };
    Outcome::new(vec![pair], report)
}
