//! A question that leans on its conversation, made to stand alone without a language model.

use ragtune_core::text::{MessageRole, Query};

use crate::words;

/// Earlier turns that are folded in at most.
const MAX_TURNS: usize = 3;

/// Bytes of an earlier turn that are folded in at most, from its end: a pasted listing would drown the question.
const MAX_TURN_BYTES: usize = 600;

/// Content words that make a question stand alone.
const SELF_CONTAINED_WORDS: usize = 3;

/// Words that point to something said before.
const POINTERS: [&str; 18] = [
    "it", "its", "itself", "they", "them", "their", "theirs", "this", "these", "those", "he", "him", "his",
    "she", "her", "hers", "former", "latter",
];

/// Words after which "that" points to something said before, instead of opening a clause.
const BEFORE_THAT: [&str; 15] = [
    "about", "after", "before", "by", "do", "does", "for", "from", "in", "like", "of", "on", "than", "to",
    "with",
];

/// Openings of a question that goes on from the one before.
const OPENINGS: [&str; 9] = [
    "and ",
    "but ",
    "or ",
    "so ",
    "also ",
    "then ",
    "what about ",
    "how about ",
    "why not ",
];

/// What is searched for.
///
/// A question that leans on the conversation (it points to something said before, goes on from it, or has fewer than
/// three content words) is preceded by the person's last turn, and by the turn before that where the last one leans
/// too, three at most. Turns of the model are never folded in: what it said is no evidence. The words that point are
/// English ones; for other languages only the length decides.
///
/// ```
/// use ragtune::{Message, Query, SearchText};
/// let history = [Message::user("How do I run one test?"), Message::assistant("Pass its name [1].")];
/// let leaning = SearchText::of(&Query::new("And all of them in a module?").with_history(history.clone()));
/// assert_eq!(leaning.text, "How do I run one test?\nAnd all of them in a module?");
/// let own = SearchText::of(&Query::new("How does Rust drop a value?").with_history(history));
/// assert_eq!(own.folded_turns, 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchText {
    /// The question, preceded by the turns that it leans on.
    pub text: String,
    /// How many turns those are.
    pub folded_turns: usize,
}

impl SearchText {
    /// What to search for to answer this question.
    pub fn of(question: &Query) -> Self {
        let mut parts = vec![question.text.as_str()];
        let turns = question
            .history
            .iter()
            .rev()
            .filter(|turn| turn.role == MessageRole::User && !turn.content.trim().is_empty());
        for turn in turns.take(MAX_TURNS) {
            if !parts.last().is_some_and(|text| leans(text)) {
                break;
            }
            parts.push(ending(turn.content.trim()));
        }
        parts.reverse();
        Self {
            text: parts.join("\n"),
            folded_turns: parts.len() - 1,
        }
    }
}

/// Whether a question cannot be understood without what was said before.
fn leans(question: &str) -> bool {
    let lower = question.trim().to_lowercase();
    let all: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let points = all.iter().any(|word| POINTERS.contains(word));
    let that = all.iter().enumerate().any(|(at, word)| {
        let after = at.checked_sub(1).and_then(|before| all.get(before));
        *word == "that" && (at + 1 == all.len() || after.is_some_and(|word| BEFORE_THAT.contains(word)))
    });
    let goes_on = OPENINGS.iter().any(|opening| lower.starts_with(opening));
    points || that || goes_on || words::content(&lower).len() < SELF_CONTAINED_WORDS
}

/// The last bytes of a turn, from the start of a word.
fn ending(turn: &str) -> &str {
    let Some(mut start) = turn.len().checked_sub(MAX_TURN_BYTES) else {
        return turn;
    };
    while !turn.is_char_boundary(start) {
        start += 1;
    }
    let tail = &turn[start..];
    tail.find(char::is_whitespace)
        .map_or(tail, |at| tail[at..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ragtune_core::text::Message;

    fn folded(question: &str, turns: &[&str]) -> usize {
        let history = turns.iter().map(|turn| Message::user(*turn));
        SearchText::of(&Query::new(question).with_history(history)).folded_turns
    }

    #[test]
    fn only_leaning_questions_take_their_history() {
        let first = "How do I run the tests of a Cargo package?";
        assert_eq!(folded("How do I skip them?", &[first]), 1);
        assert_eq!(folded("Why?", &[first]), 1);
        assert_eq!(
            folded("What about documentation tests in libraries?", &[first]),
            1
        );
        assert_eq!(folded("What happens after that", &[first]), 1);
        assert_eq!(
            folded(
                "Which trait lets a type that owns memory run cleanup code?",
                &[first]
            ),
            0
        );
    }

    #[test]
    fn a_chain_of_leaning_turns_goes_back_to_one_that_stands_alone() {
        let chain = [
            "Where does Cargo keep downloaded packages?",
            "How do I clear it?",
            "Why?",
        ];
        assert_eq!(folded("And on Windows?", &chain), 3);
        let broken = [
            "Unrelated question about borrow checker rules",
            "Where does Cargo keep packages?",
        ];
        assert_eq!(folded("How do I clear it?", &broken), 1);
    }

    #[test]
    fn a_huge_turn_is_cut_at_a_word_and_a_character() {
        let huge = "日本 ".repeat(1_000);
        let text = SearchText::of(&Query::new("why?").with_history([Message::user(huge)])).text;
        assert!(text.len() <= MAX_TURN_BYTES + "\nwhy?".len());
        assert!(text.starts_with("日本"));
    }

    #[test]
    fn turns_of_the_model_are_no_evidence() {
        let query = Query::new("Why?").with_history([Message::assistant("Because of the moon.")]);
        assert_eq!(SearchText::of(&query).text, "Why?");
    }
}
