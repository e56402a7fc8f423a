//! Texts that belong together, as tokens for an embedding model.

use ragtune_core::models::Encoder;
use ragtune_core::text::Role;

use super::report::{EncodeReport, EncodedSet, Outcome, Overflow, TokenCount, at, encode_all};
use crate::data::{Dataset, Pair, Record};
use crate::error::{Error, Result};

/// Texts that belong together and texts that do not, as tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextTuple {
    /// The text that is searched with.
    pub anchor: Vec<u32>,
    /// The text to be found.
    pub positive: Vec<u32>,
    /// Texts that must not be found.
    pub negatives: Vec<Vec<u32>>,
}

impl TokenCount for TextTuple {
    fn tokens(&self) -> usize {
        let negatives: usize = self.negatives.iter().map(Vec::len).sum();
        self.anchor.len() + self.positive.len() + negatives
    }
}

/// The tokens of pairs and triples as an encoder embeds them: anchors are queries, the others documents, each with the
/// prompt of its role and at most the encoder's number of tokens.
///
/// # Errors
/// [`Error::TooLong`] with [`Overflow::Error`], [`Error::Unencodable`] when the tokenizer fails, [`Error::Empty`].
pub fn pairs(encoder: &Encoder, set: &Dataset<Pair>, overflow: Overflow) -> Result<EncodedSet<TextTuple>> {
    encode_all(set, |record: &Record<Pair>| {
        let Record { value, origin } = record;
        let tokens = |text: &str, role: Role| {
            let encoded = encoder
                .tokenize(&[text], role)
                .map_err(|error| at(origin, error.into()))?;
            Ok::<_, Error>(encoded.into_iter().next().unwrap_or_default())
        };
        let mut texts = vec![
            tokens(&value.anchor, Role::Query)?,
            tokens(&value.positive, Role::Document)?,
        ];
        for negative in &value.negatives {
            texts.push(tokens(negative, Role::Document)?);
        }
        let truncated = texts.iter().any(|text| text.truncated);
        match overflow {
            Overflow::Error if truncated => {
                let whole = [&value.anchor, &value.positive]
                    .into_iter()
                    .chain(&value.negatives);
                let counts = whole.map(|text| encoder.tokenizer().count(text));
                let counts = counts
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| at(origin, error.into()))?;
                return Err(Error::TooLong {
                    origin: origin.clone(),
                    tokens: counts.into_iter().max().unwrap_or(0) + encoder.tokenizer().special_tokens(false),
                    limit: encoder.max_seq_length(),
                });
            }
            Overflow::Drop if truncated => return Ok(Outcome::too_long(origin)),
            _ => {}
        }
        let mut ids = texts.into_iter().map(|text| text.ids);
        let tuple = TextTuple {
            anchor: ids.next().unwrap_or_default(),
            positive: ids.next().unwrap_or_default(),
            negatives: ids.collect(),
        };
        let report = EncodeReport {
            targets: 1,
            truncated: usize::from(truncated),
            ..EncodeReport::default()
        };
        Ok(Outcome::new(vec![tuple], report))
    })
}
