//! Texts and pairs of texts with what is to be said of them.

use ragtune_core::models::{Encoded, TextTokenizer};

use super::chat::beginning;
use super::report::{EncodeReport, EncodedSet, Limits, Outcome, Overflow, TokenCount, at, encode_all};
use crate::data::{Dataset, Judged, LabelMap, Labelled, Origin, Record};
use crate::error::{Error, Result};

/// Turns texts into tokens for models with a head: classification, scores of pairs, tags, spans.
///
/// ```no_run
/// # use ragtune_core::{models::TextTokenizer, weights::ModelFiles};
/// use ragtune_train::data::{LabelMap, labelled};
/// use ragtune_train::encode::{Limits, Overflow, TextEncoder};
/// # let tokenizer = TextTokenizer::load(&ModelFiles::folder("model")?)?;
/// let train = labelled::read("train.csv", &labelled::Columns::default())?;
/// let labels = LabelMap::of_texts(&train)?;
/// let limits = Limits::new(128).with_overflow(Overflow::Truncate);
/// let encoded = TextEncoder::new(&tokenizer)?.labelled(&train, &labels, limits)?;
/// assert_eq!(encoded.report.examples, train.len());
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextEncoder<'t> {
    pub(super) tokenizer: &'t TextTokenizer,
    /// Special tokens before and behind a single text.
    pub(super) before: Vec<u32>,
    pub(super) behind: Vec<u32>,
}

/// The tokens of a text, or of a pair of texts, and the ids of its labels; none or several in multi-label tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassifiedTokens {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// 0 for the first text, 1 for the second, where the tokenizer tells them apart.
    pub type_ids: Vec<u32>,
    /// The ids of the labels, ascending.
    pub labels: Vec<u32>,
}

/// The tokens of a query and a passage, and how well they belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JudgedTokens {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// 0 for the query, 1 for the passage, where the tokenizer tells them apart.
    pub type_ids: Vec<u32>,
    /// The judgement.
    pub label: f32,
}

impl<'t> TextEncoder<'t> {
    /// An encoder by a tokenizer.
    ///
    /// # Errors
    /// [`Error::Core`] when the tokenizer fails.
    pub fn new(tokenizer: &'t TextTokenizer) -> Result<Self> {
        let around = tokenizer.encode_ordinary("a", true)?;
        let content = around.spans.iter().rposition(|span| !span.is_empty());
        let behind = content.map_or(0, |last| last + 1);
        Ok(Self {
            tokenizer,
            before: beginning(tokenizer)?,
            behind: around.ids[behind..].to_vec(),
        })
    }

    /// The tokens and labels of texts, or of pairs of texts; of a pair that is too long the longer text is cut first.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`], [`Error::TooLong`] with [`Overflow::Error`], [`Error::Unencodable`] when the tokenizer
    /// fails, [`Error::Empty`] when no example is left.
    pub fn labelled(
        &self,
        set: &Dataset<Labelled>,
        labels: &LabelMap,
        limits: Limits,
    ) -> Result<EncodedSet<ClassifiedTokens>> {
        encode_all(set, |record: &Record<Labelled>| {
            let value = &record.value;
            let ids = value
                .labels
                .iter()
                .map(|label| labels.require(label, &record.origin));
            let mut ids: Vec<u32> = ids.collect::<Result<_>>()?;
            ids.sort_unstable();
            ids.dedup();
            let targets = ids.len().max(1);
            self.fitted(
                &value.text,
                value.pair.as_deref(),
                &record.origin,
                limits,
                targets,
                |encoded| ClassifiedTokens {
                    ids: encoded.ids,
                    type_ids: encoded.type_ids,
                    labels: ids,
                },
            )
        })
    }

    /// The tokens of queries with their passages, for a cross-encoder.
    ///
    /// # Errors
    /// As [`TextEncoder::labelled`], without those of labels.
    pub fn judged(&self, set: &Dataset<Judged>, limits: Limits) -> Result<EncodedSet<JudgedTokens>> {
        encode_all(set, |record: &Record<Judged>| {
            let Judged {
                query,
                passage,
                label,
            } = &record.value;
            self.fitted(query, Some(passage), &record.origin, limits, 1, |encoded| {
                JudgedTokens {
                    ids: encoded.ids,
                    type_ids: encoded.type_ids,
                    label: *label,
                }
            })
        })
    }

    /// The tokens of a text or pair within the limit, by the policy for those that are not.
    fn fitted<T>(
        &self,
        text: &str,
        pair: Option<&str>,
        origin: &Origin,
        limits: Limits,
        targets: usize,
        make: impl FnOnce(Encoded) -> T,
    ) -> Result<Outcome<T>> {
        let encode = |max_tokens: usize| {
            let encoded = match pair {
                None => self.tokenizer.encode(&[text], max_tokens),
                Some(pair) => self.tokenizer.encode_pairs(text, &[pair], max_tokens),
            };
            let encoded = encoded.map_err(|error| at(origin, error.into()))?;
            Ok::<Encoded, Error>(encoded.into_iter().next().unwrap_or_default())
        };
        let encoded = encode(limits.max_tokens)?;
        let report = EncodeReport {
            targets,
            truncated: usize::from(encoded.truncated),
            ..EncodeReport::default()
        };
        match limits.overflow {
            Overflow::Error if encoded.truncated => Err(Error::TooLong {
                origin: origin.clone(),
                tokens: encode(usize::MAX)?.ids.len(),
                limit: limits.max_tokens,
            }),
            Overflow::Drop if encoded.truncated => Ok(Outcome::too_long(origin)),
            _ => Ok(Outcome::new(vec![make(encoded)], report)),
        }
    }
}

impl TokenCount for ClassifiedTokens {
    fn tokens(&self) -> usize {
        self.ids.len()
    }
}

impl TokenCount for JudgedTokens {
    fn tokens(&self) -> usize {
        self.ids.len()
    }
}
