//! Content words of a text, stemmed, as the lexical side of evidence compares them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use frostem::{Algorithm, Stemmer};

/// Words that carry no content in a question or statement, English (articles, pronouns, auxiliaries, prepositions,
/// question words).
const STOP_WORDS: &str = "a about above after again against all also am an and any are aren as at be because been \
    before being below between both but by can cannot could couldn d did didn do does doesn doing don down during \
    each either else ever few for from further get gets give given got had hadn has hasn have haven having he her \
    here hers herself him himself his how i if in into is isn it its itself just let ll m make makes may me might \
    more most much must my myself no nor not now of off on once only or other ought our ours out over own please re \
    s same shall she should shouldn so some such t tell than that the their theirs them themselves then there these \
    they this those through to too under until up upon us use used using ve very was wasn way we were weren what \
    when where whether which while who whom whose why will with won would wouldn yet you your yours yourself";

static STOPS: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| STOP_WORDS.split_ascii_whitespace().collect());

/// The stems of a text's content words in order; a text of stop words alone has none.
///
/// Words are runs of letters and digits (`snake_case` and `a::b` are several words); runs in scripts without spaces
/// between words become pairs of characters.
pub(crate) fn content(text: &str) -> Vec<String> {
    let stemmer = Stemmer::new(Algorithm::English);
    let mut stems = Vec::new();
    for run in text.split(|c: char| !c.is_alphanumeric()) {
        if run.is_empty() {
            continue;
        }
        if run.chars().any(is_unspaced) {
            pairs(run, &mut stems);
            continue;
        }
        let word = run.to_lowercase();
        if !STOPS.contains(word.as_str()) {
            stems.push(stemmer.stem(&word).into_owned());
        }
    }
    stems
}

/// The distinct stems of a text's content words.
pub(crate) fn content_set(text: &str) -> BTreeSet<String> {
    content(text).into_iter().collect()
}

/// How rare each stem is among some texts: ln((N + 1) / (n + 0.5)), after the inverse document frequency of Okapi
/// BM25 (Robertson and Zaragoza 2009, equation 3.3) in the form that stays above 0.
#[derive(Debug, Default)]
pub(crate) struct Rarity {
    texts: usize,
    containing: BTreeMap<String, usize>,
}

impl Rarity {
    /// The rarities among texts, given as their distinct stems.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a BTreeSet<String>>) -> Self {
        let mut rarity = Self::default();
        for stems in texts {
            rarity.texts += 1;
            for stem in stems {
                *rarity.containing.entry(stem.clone()).or_default() += 1;
            }
        }
        rarity
    }

    /// The weight of a stem; the greatest for one that no text has.
    pub fn weight(&self, stem: &str) -> f32 {
        let containing = self.containing.get(stem).copied().unwrap_or(0);
        ((self.texts as f32 + 1.0) / (containing as f32 + 0.5)).ln()
    }

    /// The weight of all stems together.
    pub fn total<'a>(&self, stems: impl IntoIterator<Item = &'a String>) -> f32 {
        stems.into_iter().map(|stem| self.weight(stem)).sum()
    }

    /// The share, by weight, of the wanted stems that `found` has, 0 to 1; 0 when nothing is wanted.
    pub fn coverage(&self, wanted: &BTreeSet<String>, found: &BTreeSet<String>) -> f32 {
        let all = self.total(wanted);
        if all > 0.0 {
            self.total(wanted.intersection(found)) / all
        } else {
            0.0
        }
    }
}

/// Scripts that are written without spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{3040}'..='\u{30FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

fn pairs(run: &str, stems: &mut Vec<String>) {
    let characters: Vec<char> = run.chars().collect();
    if let [only] = characters.as_slice() {
        stems.push(only.to_string());
    }
    stems.extend(
        characters
            .windows(2)
            .map(|pair| pair.iter().collect::<String>().to_lowercase()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_words_go_and_stems_meet() {
        assert_eq!(content("How do I run the tests?"), content("running tests"));
        assert_eq!(content("What is it?"), Vec::<String>::new());
        assert_eq!(content("`cargo_test`"), ["cargo", "test"]);
    }

    #[test]
    fn scripts_without_spaces_become_pairs() {
        assert_eq!(content("緑茶は"), ["緑茶", "茶は"]);
        assert_eq!(content("茶"), ["茶"]);
    }

    #[test]
    fn rare_stems_weigh_more_and_coverage_is_a_share() {
        let texts = [content_set("tea cup"), content_set("tea pot"), content_set("tea")];
        let rarity = Rarity::of(&texts);
        assert!(rarity.weight("pot") > rarity.weight("tea"));
        assert!(rarity.weight("tea") > 0.0);
        let wanted = content_set("tea pot");
        assert_eq!(rarity.coverage(&wanted, &texts[1]), 1.0);
        assert!(rarity.coverage(&wanted, &texts[2]) < 0.5);
        assert_eq!(rarity.coverage(&content_set("is"), &texts[0]), 0.0);
    }
}
