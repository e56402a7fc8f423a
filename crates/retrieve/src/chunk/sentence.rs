//! Sentences: Unicode's boundaries (UAX #29, by ICU4X) without those after abbreviations and inside wrapped lines.

use icu_segmenter::SentenceSegmenter;
use icu_segmenter::options::SentenceBreakInvariantOptions;
use ragtune_core::text::Span;

use super::blocks::blocks;

/// After these, a capital letter or a digit does not start a sentence; without their last dot, in lower case.
const ALWAYS: &[&str] = &[
    "adj", "approx", "bzw", "ca", "cf", "col", "cmdr", "d.h", "dept", "dr", "e.g", "eg", "esp", "est", "gen",
    "gov", "hon", "hr", "i.e", "ie", "incl", "lt", "m.e", "maj", "messrs", "mlle", "mme", "mr", "mrs", "ms",
    "mt", "o.g", "p.ex", "prof", "resp", "rev", "rep", "sen", "sgt", "sog", "sra", "st", "u.a", "univ",
    "vgl", "viz", "vs", "z.b",
];

/// After these, a digit does not start a sentence.
const BEFORE_NUMBERS: &[&str] = &[
    "abs", "apr", "art", "aug", "bd", "ch", "chap", "dec", "eq", "eqs", "feb", "fig", "figs", "jan", "jul",
    "jun", "kap", "mar", "no", "nos", "nov", "nr", "núm", "oct", "p", "par", "pg", "pp", "ref", "refs", "s",
    "sec", "sect", "sep", "sept", "tab", "vol", "vols", "§",
];

/// Between these and a noun, digits with a dot are a German ordinal: "im 3. Obergeschoss". Words that English
/// has too are left out ("am", "in", "die").
const BEFORE_ORDINALS: &[&str] = &[
    "ab", "auf", "beim", "bis", "bzw.", "das", "dem", "den", "der", "des", "dieser", "im", "jeden", "jeder",
    "mit", "nach", "seit", "und", "vom", "von", "vor", "zum", "zur",
];

/// Nouns that a German ordinal without such a word is of.
const AFTER_ORDINALS: &[&str] = &[
    "Januar",
    "Jänner",
    "Februar",
    "Feber",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
    "Jahrhundert",
    "Jahrhunderts",
    "Jh",
    "Jahrtausend",
    "Obergeschoss",
    "Obergeschoß",
    "Untergeschoss",
    "Stock",
    "Stockwerk",
    "Etage",
    "Kapitel",
    "Klasse",
    "Auflage",
    "Geburtstag",
    "Platz",
    "Mal",
    "Tag",
    "Tages",
    "Werktag",
    "Werktages",
];

/// After these, and after initials such as "U.S.", only a word that often starts a sentence does.
const SOMETIMES: &[&str] = &["al", "bros", "co", "corp", "etc", "inc", "jr", "ltd", "sr", "usw"];

/// Words that often start a sentence and seldom follow a name in capitals.
const STARTERS: &[&str] = &[
    "A", "After", "Although", "An", "And", "As", "At", "Because", "But", "For", "From", "He", "How",
    "However", "I", "If", "In", "It", "Its", "My", "No", "Not", "On", "Our", "She", "Since", "So", "Some",
    "That", "The", "Their", "Then", "There", "These", "They", "This", "Those", "To", "Use", "We", "What",
    "When", "Where", "While", "Who", "Why", "With", "You", "Your",
];

/// Words after which a single capital letter is an initial.
const BEFORE_NAMES: &[&str] = &[
    "and", "as", "by", "für", "for", "from", "mit", "of", "or", "par", "than", "that", "to", "und", "von",
    "with",
];

/// The sentences of a plain or Markdown text: bytes of it, in order, without white space at their ends; together they
/// cover everything that is not white space.
///
/// Headings, list items, table rows and blocks of fenced code end sentences; line breaks inside a paragraph do not.
///
/// ```
/// use ragtune_retrieve::chunk::sentences;
/// let text = "Dr. Smith drinks tea, e.g. Assam. He steeps it\nat 95 °C.\n- First item\n- Second";
/// let found: Vec<_> = sentences(text).into_iter().filter_map(|span| span.of(text)).collect();
/// assert_eq!(
///     found,
///     ["Dr. Smith drinks tea, e.g. Assam.", "He steeps it\nat 95 °C.", "- First item", "- Second"]
/// );
/// ```
pub fn sentences(text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    for block in blocks(text) {
        let Some(part) = block.span.of(text) else { continue };
        if block.code {
            found.push(block.span);
        } else {
            found.extend(
                block_sentences(part)
                    .into_iter()
                    .map(|span| span.shifted(block.span.start)),
            );
        }
    }
    found
}

/// The sentences of one block.
fn block_sentences(text: &str) -> Vec<Span> {
    let smooth = smooth(text);
    let mut found = Vec::new();
    let mut start = 0;
    let segmenter = SentenceSegmenter::new(SentenceBreakInvariantOptions::default());
    for end in segmenter.segment_str(&smooth).skip(1) {
        let (Some(before), Some(after)) = (smooth.get(start..end), smooth.get(end..)) else {
            continue;
        };
        if !after.trim().is_empty() && is_open(before, after) {
            continue;
        }
        let part = &text[start..end];
        let lead = part.len() - part.trim_start().len();
        if !part.trim().is_empty() {
            found.push(Span::new(start + lead, start + lead + part.trim().len()));
        }
        start = end;
    }
    found
}

/// The text, byte for byte as long, with line breaks as spaces, and Markdown's emphasis as the quotation marks that
/// the boundary rules see through.
fn smooth(text: &str) -> String {
    let same = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        '*' | '_' | '`' => '\'',
        c => c,
    };
    text.chars().map(same).collect()
}

/// Whether the sentence goes on over a boundary that Unicode sees.
fn is_open(before: &str, after: &str) -> bool {
    let mut words = before.split_whitespace().rev();
    let Some(last) = words.next() else { return false };
    let previous = words.next();
    let Some(word) = last.strip_suffix('.') else {
        return false;
    };
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '§');
    let lower = word.to_lowercase();
    let next = after
        .trim_start()
        .trim_start_matches(['\'', '"', '(', '[', '“', '‘']);
    let next_digit = next.starts_with(|c: char| c.is_numeric());
    let next_word: &str = next
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default();
    let starts = STARTERS.contains(&next_word);

    // "1. Item" at the start of a block.
    if previous.is_none() && !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()) {
        return true;
    }
    if ALWAYS.contains(&lower.as_str()) {
        return true;
    }
    if is_ordinal(previous, word, next_word) {
        return true;
    }
    if BEFORE_NUMBERS.contains(&lower.as_str()) {
        return next_digit;
    }
    if SOMETIMES.contains(&lower.as_str()) || is_initials(word) {
        return !starts;
    }
    // "J. Smith", "John F. Kennedy"; but "vitamin C." ends.
    let mut letters = word.chars();
    let single = letters.next().is_some_and(char::is_uppercase) && letters.next().is_none();
    let after_name = previous.is_none_or(|word| {
        word.starts_with(char::is_uppercase) || word.starts_with('(') || BEFORE_NAMES.contains(&word)
    });
    let more_initials = next_word.chars().count() == 1 && next[next_word.len()..].starts_with('.');
    single && (after_name || more_initials) && !starts && next.starts_with(char::is_uppercase)
}

/// Whether digits before a dot are a German ordinal, which capital nouns follow.
fn is_ordinal(previous: Option<&str>, digits: &str, next_word: &str) -> bool {
    if digits.is_empty() || digits.len() > 2 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let leads = previous.is_some_and(|word| BEFORE_ORDINALS.contains(&word.to_lowercase().as_str()));
    let is_noun = next_word.starts_with(char::is_uppercase) && !STARTERS.contains(&next_word);
    AFTER_ORDINALS.contains(&next_word) || leads && is_noun
}

/// Whether a word is of single letters with dots between: "U.S", "p.m".
fn is_initials(word: &str) -> bool {
    let mut letters = 0;
    let single = word.split('.').all(|part| {
        letters += 1;
        let mut chars = part.chars();
        chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none()
    });
    single && letters >= 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<&str> {
        sentences(text)
            .into_iter()
            .map(|span| span.of(text).unwrap())
            .collect()
    }

    #[test]
    fn abbreviations_do_not_end_sentences() {
        for whole in [
            "See Fig. 3 and Eq. 4 on p. 12.",
            "Mr. and Mrs. Smith met Prof. Jones.",
            "The U.S. Government and J. R. Smith et al. Wrote it.",
            "Use e.g. Rust, i.e. No garbage collector.",
            "It costs 3.14 dollars at 5 p.m. Eastern time.",
            "Es gilt z.B. Folgendes, vgl. Nr. 5 und Abs. 2.",
            "Das Mietverhältnis beginnt am 1. Juni 2024.",
            "Vermietet wird die Wohnung im 3. Obergeschoss links.",
            "Im 19. Jahrhundert wurde das Haus gebaut.",
            "Der 2. Senat tagt am 30. September und am 1. Mai.",
            "Zahlbar zum 15. Werktag, Kündigung bis 31. Dezember.",
        ] {
            assert_eq!(found(whole), [whole]);
        }
    }

    #[test]
    fn sentences_end_where_they_end() {
        assert_eq!(
            found("He left the U.S. He came back."),
            ["He left the U.S.", "He came back."]
        );
        assert_eq!(
            found("Take vitamin C. Sleep well."),
            ["Take vitamin C.", "Sleep well."]
        );
        assert_eq!(found("No. That is wrong."), ["No.", "That is wrong."]);
        assert_eq!(
            found("The answer is 42. Nobody knows why. I am 30. Tomorrow is mine."),
            [
                "The answer is 42.",
                "Nobody knows why.",
                "I am 30.",
                "Tomorrow is mine."
            ]
        );
        assert_eq!(
            found("Das kostet 15. Danach wird es teurer."),
            ["Das kostet 15.", "Danach wird es teurer."]
        );
        assert_eq!(
            found("Really?! Yes… \"Quoted.\" (Aside.) End"),
            ["Really?!", "Yes… \"Quoted.\"", "(Aside.)", "End"]
        );
        assert_eq!(
            found("**Note.** Use `cargo.` Then *stop.* Now"),
            ["**Note.**", "Use `cargo.`", "Then *stop.*", "Now"]
        );
        assert_eq!(
            found("これは茶です。美味しい！はい"),
            ["これは茶です。", "美味しい！", "はい"]
        );
    }

    #[test]
    fn blocks_end_sentences_and_wrapped_lines_do_not() {
        let text = "# Title\nA line\r\nthat wraps. Next\n\n1. One. Two.\n2. Three\n\n```rust\nlet a = 1. ;\n\n// B. C\n```\nend";
        assert_eq!(
            found(text),
            [
                "# Title",
                "A line\r\nthat wraps.",
                "Next",
                "1. One.",
                "Two.",
                "2. Three",
                "```rust\nlet a = 1. ;\n\n// B. C\n```",
                "end"
            ]
        );
        assert!(found(" \n\t").is_empty());
    }

    proptest! {
        #[test]
        fn sentences_cover_the_text_in_order(text in "([A-Za-zé.。!?*_`\"()#\\-0-9 \u{a0}\u{2028}\r\t]{0,9}\n?){0,12}") {
            let mut end = 0;
            for span in sentences(&text) {
                prop_assert!(text[end..span.start].trim().is_empty());
                let inside = span.of(&text).unwrap();
                prop_assert!(!inside.is_empty() && inside == inside.trim());
                end = span.end;
            }
            prop_assert!(text[end..].trim().is_empty());
        }

        #[test]
        fn any_text_has_sentences(text in any::<String>()) {
            let covered: usize = sentences(&text).iter().map(|span| span.of(&text).unwrap().chars().filter(|c| !c.is_whitespace()).count()).sum();
            prop_assert_eq!(covered, text.chars().filter(|c| !c.is_whitespace()).count());
        }
    }
}
