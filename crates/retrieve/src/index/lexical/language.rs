//! Languages whose words can be reduced to stems.

use frostem::Algorithm;
use serde::{Deserialize, Serialize};

/// The language of an index's texts: it chooses the Snowball stemmer, so that "connected" finds "connections".
///
/// One index has one language. Words of other languages in it are still found by their own forms, and languages
/// without spaces need no choice: their characters are indexed in pairs under every language.
///
/// ```
/// use ragtune_retrieve::index::lexical::Language;
/// assert_eq!(Language::from_code("de-AT"), Some(Language::German));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "each variant is the language of its name")]
pub enum Language {
    /// No stemming.
    None,
    Arabic,
    Danish,
    Dutch,
    #[default]
    English,
    Finnish,
    French,
    German,
    Greek,
    Hungarian,
    Italian,
    Norwegian,
    Portuguese,
    Romanian,
    Russian,
    Spanish,
    Swedish,
    Tamil,
    Turkish,
}

impl Language {
    /// Every language, in the order of the names, after [`Language::None`].
    pub const ALL: [Self; 19] = [
        Self::None,
        Self::Arabic,
        Self::Danish,
        Self::Dutch,
        Self::English,
        Self::Finnish,
        Self::French,
        Self::German,
        Self::Greek,
        Self::Hungarian,
        Self::Italian,
        Self::Norwegian,
        Self::Portuguese,
        Self::Romanian,
        Self::Russian,
        Self::Spanish,
        Self::Swedish,
        Self::Tamil,
        Self::Turkish,
    ];

    /// The lower-case English name, as in configuration files.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// The language of an ISO 639-1 code such as `en`, with or without a region (`en-GB`); `None` for one without a
    /// stemmer.
    pub fn from_code(code: &str) -> Option<Self> {
        let primary = code.split(['-', '_']).next()?.to_ascii_lowercase();
        let primary = match primary.as_str() {
            "nb" | "nn" => "no",
            other => other,
        };
        Self::ALL
            .into_iter()
            .skip(1)
            .find(|language| language.facts().1 == primary)
    }

    /// The Snowball algorithm.
    pub(super) fn algorithm(self) -> Option<Algorithm> {
        self.facts().2
    }

    /// Whether letters lose their accents: where the stemmer does not know them, or they are optional as in English.
    pub(super) fn folds_accents(self) -> bool {
        matches!(self, Self::None | Self::English)
    }

    /// Name, code, stemmer.
    fn facts(self) -> (&'static str, &'static str, Option<Algorithm>) {
        match self {
            Self::None => ("none", "", None),
            Self::Arabic => ("arabic", "ar", Some(Algorithm::Arabic)),
            Self::Danish => ("danish", "da", Some(Algorithm::Danish)),
            Self::Dutch => ("dutch", "nl", Some(Algorithm::Dutch)),
            Self::English => ("english", "en", Some(Algorithm::English)),
            Self::Finnish => ("finnish", "fi", Some(Algorithm::Finnish)),
            Self::French => ("french", "fr", Some(Algorithm::French)),
            Self::German => ("german", "de", Some(Algorithm::German)),
            Self::Greek => ("greek", "el", Some(Algorithm::Greek)),
            Self::Hungarian => ("hungarian", "hu", Some(Algorithm::Hungarian)),
            Self::Italian => ("italian", "it", Some(Algorithm::Italian)),
            Self::Norwegian => ("norwegian", "no", Some(Algorithm::Norwegian)),
            Self::Portuguese => ("portuguese", "pt", Some(Algorithm::Portuguese)),
            Self::Romanian => ("romanian", "ro", Some(Algorithm::Romanian)),
            Self::Russian => ("russian", "ru", Some(Algorithm::Russian)),
            Self::Spanish => ("spanish", "es", Some(Algorithm::Spanish)),
            Self::Swedish => ("swedish", "sv", Some(Algorithm::Swedish)),
            Self::Tamil => ("tamil", "ta", Some(Algorithm::Tamil)),
            Self::Turkish => ("turkish", "tr", Some(Algorithm::Turkish)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_is_listed_once_and_found_by_its_code() {
        for (i, language) in Language::ALL.into_iter().enumerate() {
            assert_eq!(language as usize, i);
            let (name, code, algorithm) = language.facts();
            assert_eq!(serde_json::to_value(language).unwrap(), name);
            assert_eq!(algorithm.is_some(), language != Language::None);
            if language != Language::None {
                assert_eq!(Language::from_code(code), Some(language));
            }
        }
        assert_eq!(Language::from_code("en_GB"), Some(Language::English));
        assert_eq!(Language::from_code("NB"), Some(Language::Norwegian));
        assert_eq!(Language::from_code(""), None);
        assert_eq!(Language::from_code("ja"), None);
    }
}
