//! Porter's stemmer as rouge-score uses it: the algorithm of Porter 1980, "An algorithm for suffix stripping", with the
//! deviations of nltk's `PorterStemmer` in its default mode (nltk 3.10), which the Snowball stemmers do not have.

/// Irregular forms that nltk looks up before any rule.
const IRREGULAR: &[(&str, &str)] = &[
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

const STEP_2: &[(&str, &str)] = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
];

const STEP_3: &[(&str, &str)] = &[
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];

const STEP_4: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism",
    "ate", "iti", "ous", "ive", "ize",
];

/// The stem of a lower-case word of ASCII letters and digits; other words come back as they are.
///
/// ```
/// use ragtune_train::metrics::porter_stem;
///
/// assert_eq!(porter_stem("relational"), "relat");
/// assert_eq!(porter_stem("dying"), "die");
/// ```
pub fn porter_stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(form, _)| *form == word) {
        return (*stem).to_owned();
    }
    if word.len() <= 2 || !word.is_ascii() {
        return word.to_owned();
    }
    let mut stem = step_1a(word);
    stem = step_1b(stem);
    stem = step_1c(stem);
    stem = step_2(stem);
    stem = apply(&stem, STEP_3, |rest| measure(rest) > 0);
    stem = step_4(stem);
    step_5(stem)
}

fn step_1a(word: &str) -> String {
    if word.len() == 4
        && let Some(rest) = word.strip_suffix("ies")
    {
        return format!("{rest}ie");
    }
    let rules = &[("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")];
    apply(word, rules, |_| true)
}

fn step_1b(word: String) -> String {
    if let Some(rest) = word.strip_suffix("ied") {
        return format!("{rest}{}", if word.len() == 4 { "ie" } else { "i" });
    }
    if let Some(rest) = word.strip_suffix("eed") {
        return if measure(rest) > 0 {
            format!("{rest}ee")
        } else {
            word
        };
    }
    let rest = ["ed", "ing"]
        .into_iter()
        .filter_map(|suffix| word.strip_suffix(suffix))
        .find(|rest| has_vowel(rest));
    let Some(rest) = rest else {
        return word;
    };
    if ["at", "bl", "iz"].iter().any(|end| rest.ends_with(end)) {
        return format!("{rest}e");
    }
    if ends_double_consonant(rest) {
        let single = rest.get(..rest.len() - 1).unwrap_or(rest);
        let kept = rest.ends_with(['l', 's', 'z']);
        return if kept { rest } else { single }.to_owned();
    }
    if measure(rest) == 1 && ends_cvc(rest) {
        return format!("{rest}e");
    }
    rest.to_owned()
}

fn step_1c(word: String) -> String {
    match word.strip_suffix('y') {
        Some(rest) if rest.len() > 1 && consonants(rest).last() == Some(&true) => {
            format!("{rest}i")
        }
        _ => word,
    }
}

fn step_2(mut word: String) -> String {
    // nltk takes -alli first, and goes through the step again with what it leaves.
    while let Some(rest) = word.strip_suffix("alli")
        && measure(rest) > 0
    {
        word = format!("{rest}al");
    }
    // The l of -logi belongs to the stem, so that geology meets archaeology; -ologi ends in no other suffix.
    if let Some(rest) = word.strip_suffix("ogi")
        && rest.ends_with('l')
    {
        return if measure(rest) > 0 {
            format!("{rest}og")
        } else {
            word
        };
    }
    apply(&word, STEP_2, |rest| measure(rest) > 0)
}

fn step_4(word: String) -> String {
    for suffix in STEP_4 {
        if let Some(rest) = word.strip_suffix(suffix) {
            let takes = measure(rest) > 1 && (*suffix != "ion" || rest.ends_with(['s', 't']));
            return if takes { rest.to_owned() } else { word };
        }
    }
    word
}

fn step_5(mut word: String) -> String {
    if let Some(rest) = word.strip_suffix('e') {
        let length = measure(rest);
        if length > 1 || (length == 1 && !ends_cvc(rest)) {
            word = rest.to_owned();
        }
    }
    if word.ends_with("ll") && word.get(..word.len() - 1).is_some_and(|rest| measure(rest) > 1) {
        word.pop();
    }
    word
}

/// The first rule whose suffix the word has is the only one that is tried.
fn apply(word: &str, rules: &[(&str, &str)], holds: impl Fn(&str) -> bool) -> String {
    for (suffix, replacement) in rules {
        if let Some(rest) = word.strip_suffix(suffix) {
            return if holds(rest) {
                format!("{rest}{replacement}")
            } else {
                word.to_owned()
            };
        }
    }
    word.to_owned()
}

/// Which letters are consonants; a y is one unless it follows one.
fn consonants(word: &str) -> Vec<bool> {
    let mut flags: Vec<bool> = Vec::with_capacity(word.len());
    for letter in word.bytes() {
        let consonant = match letter {
            b'a' | b'e' | b'i' | b'o' | b'u' => false,
            b'y' => flags.last().is_none_or(|before| !before),
            _ => true,
        };
        flags.push(consonant);
    }
    flags
}

/// Porter's m: how often a consonant follows a vowel.
fn measure(word: &str) -> usize {
    consonants(word)
        .windows(2)
        .filter(|pair| matches!(pair, [false, true]))
        .count()
}

fn has_vowel(word: &str) -> bool {
    consonants(word).contains(&false)
}

/// Porter's *d.
fn ends_double_consonant(word: &str) -> bool {
    matches!(word.as_bytes(), [.., a, b] if a == b) && consonants(word).last() == Some(&true)
}

/// Porter's *o, and nltk's extension to words of two letters.
fn ends_cvc(word: &str) -> bool {
    match consonants(word).as_slice() {
        [false, true] => true,
        [.., true, false, true] => !word.ends_with(['w', 'x', 'y']),
        _ => false,
    }
}
