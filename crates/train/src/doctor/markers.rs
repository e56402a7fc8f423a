//! The markers that a chat template writes, and whether the tokenizer knows them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use fancy_regex::Regex;

/// What chat templates use as control tokens: `<|im_start|>`, `<｜User｜>`, `<start_of_turn>`, `<s>`. Square brackets are
/// left out: some tokenizers have `[INST]` as a token, others as plain text, and both are right.
static MARKER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"<\|[^|<>{}'\s]{1,40}\|>|<｜[^｜<>{}']{1,40}｜>|<[a-z]+_of_[a-z]+>|</?s>").ok()
});

/// A marker of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The marker.
    pub text: String,
    /// How many tokens it is; 1 where the tokenizer knows it.
    pub tokens: usize,
}

/// The markers that stand in a chat template, or in what it renders, in alphabetical order; `tokens` says how many tokens
/// a text is when special tokens are recognised in it.
///
/// ```
/// use ragtune_train::doctor::template_markers;
///
/// let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
/// // A tokenizer that has one of the two.
/// let markers = template_markers(template, |text| if text == "<|im_end|>" { 1 } else { 6 });
/// assert_eq!(markers.len(), 2);
/// assert_eq!((markers[0].text.as_str(), markers[0].tokens), ("<|im_end|>", 1));
/// ```
pub fn template_markers(template: &str, tokens: impl Fn(&str) -> usize) -> Vec<Marker> {
    let Some(marker) = MARKER.as_ref() else {
        return Vec::new();
    };
    let found: BTreeSet<&str> = marker
        .find_iter(template)
        .filter_map(|found| found.ok().map(|found| found.as_str()))
        .collect();
    found
        .into_iter()
        .map(|text| Marker {
            text: text.to_owned(),
            tokens: tokens(text),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_of_every_style_are_found() {
        let template = "<s>{% if m['role'] == 'user' %}<|start_header_id|>user<|end_header_id|>{{ '<|eot_id|>' }}\
                        <start_of_turn>model <｜Assistant｜> [INST] a < b |> {{ '<|' + m['role'] + '|>' }} <br> </s>";
        let markers = template_markers(template, |_| 1);
        let texts: Vec<&str> = markers.iter().map(|marker| marker.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "</s>",
                "<s>",
                "<start_of_turn>",
                "<|end_header_id|>",
                "<|eot_id|>",
                "<|start_header_id|>",
                "<｜Assistant｜>"
            ]
        );
    }
}
