//! Prompts with gold and distractor passages, in the form in which the model will be asked.
//!
//! Retrieval-aware tuning (RAFT: Zhang et al. 2024, arXiv:2403.10131, section 3). There a share of the prompts has no gold
//! passage and the answer all the same, so that the model learns the domain by heart; here the answer is then the agreed
//! abstention, so that it learns to say that the sources do not hold it.

use ragtune_core::statistics::{Purpose, Random};
use ragtune_core::text::{Chunk, Message, Query};
use ragtune_train::data::{Answer as Marked, Instruction, Question};

use super::cloze::name_part;
use super::corpus::{Source, same};
use super::question::{Answer, Candidate};
use super::round_trip::Found;
use crate::generative::{PromptTemplate, neutral};

/// How prompts are put together.
pub(super) struct Prompts<'a> {
    pub sources: &'a [Source],
    pub template: &'a PromptTemplate,
    /// Passages of a prompt, the gold one among them.
    pub shown: usize,
    /// Share of the prompts without the gold passage.
    pub unanswerable: f64,
    pub seed: u64,
}

/// What became of a part.
#[derive(Default)]
pub(super) struct Made {
    pub conversations: Vec<Instruction>,
    pub abstentions: usize,
    pub questions: Vec<Question>,
}

impl Prompts<'_> {
    /// The prompts of all questions of a part that have an answer in words, and the questions on single passages.
    pub fn make(&self, part: &[Found]) -> Made {
        let mut made = Made::default();
        let own: Vec<usize> = {
            let mut own: Vec<usize> = part.iter().map(|found| found.question.source).collect();
            own.sort_unstable();
            own.dedup();
            own
        };
        for found in part {
            let question = &found.question;
            let Some(answer) = &question.answer else {
                continue;
            };
            let source = &self.sources[question.source];
            let Some(gold) = source.home(answer.evidence) else {
                continue;
            };
            let mut random = Random::of(self.seed, Purpose::Augmentation, name_part(&question.text));
            let is_unanswerable = random.next_f64() < self.unanswerable;
            let others = self.distractors(found, answer, &own, is_unanswerable, &mut random);
            // Without another passage there is nothing to tell the gold one from, or nothing to show at all.
            if !others.is_empty() {
                made.conversations.push(self.conversation(
                    question,
                    answer,
                    gold,
                    &others,
                    is_unanswerable,
                    &mut random,
                ));
                made.abstentions += usize::from(is_unanswerable);
            }
            let context = match is_unanswerable {
                false => Some(gold),
                true => others.first().copied(),
            };
            if let Some(context) = context
                && let Some(marked) = marked(question, answer, context, &source.id, is_unanswerable)
            {
                made.questions.push(marked);
            }
        }
        made
    }

    fn conversation(
        &self,
        question: &Candidate,
        answer: &Answer,
        gold: &Chunk,
        others: &[&Chunk],
        is_unanswerable: bool,
        random: &mut Random,
    ) -> Instruction {
        let mut shown: Vec<&Chunk> = others.to_vec();
        if !is_unanswerable {
            shown.truncate(self.shown.saturating_sub(1));
            shown.push(gold);
        }
        random.shuffle(&mut shown);
        let numbered: Vec<(usize, &Chunk)> = (1..).zip(shown).collect();
        let gold = numbered.iter().find(|(_, chunk)| std::ptr::eq(*chunk, gold));
        let said = match gold {
            Some((number, _)) => format!("{} [{number}]", neutral::text(&answer.sentence)),
            None => self.template.no_answer.clone(),
        };
        let prompt = self.template.render(&Query::new(&question.text), &numbered, 0);
        let mut messages = prompt.messages;
        messages.push(Message::assistant(said));
        Instruction { messages }
    }

    /// Passages that do not answer: first those that were found, then any of the part.
    fn distractors(
        &self,
        found: &Found,
        answer: &Answer,
        own: &[usize],
        is_unanswerable: bool,
        random: &mut Random,
    ) -> Vec<&Chunk> {
        let question = &found.question;
        let said = same(&answer.sentence);
        let span = answer
            .span
            .and_then(|span| span.of(&self.sources[question.source].text))
            .map(same);
        let answers = |chunk: &Chunk| {
            let text = same(&chunk.text);
            text.contains(&said) || span.as_ref().is_some_and(|span| text.contains(span.as_str()))
        };
        let fits = |at: usize, chunk: &Chunk| {
            let elsewhere = match is_unanswerable {
                // Another part of the same document may hold the answer in other words.
                true => at != question.source,
                false => at != question.source || !chunk.span.overlaps(question.place),
            };
            elsewhere && own.binary_search(&at).is_ok() && !answers(chunk)
        };
        // As many draws as give each place several chances; a small part may not fill the prompt.
        let drawn = (0..self.shown * 8).map(|_| {
            let at = own[random.below(own.len())];
            (at, random.below(self.sources[at].chunks.len()))
        });
        let mut others: Vec<&Chunk> = Vec::with_capacity(self.shown);
        for (at, number) in found.hits.iter().copied().chain(drawn) {
            if others.len() == self.shown {
                break;
            }
            if let Some(chunk) = self.sources.get(at).and_then(|source| source.chunks.get(number))
                && fits(at, chunk)
                && !others
                    .iter()
                    .any(|known| known.id == chunk.id || known.text == chunk.text)
            {
                others.push(chunk);
            }
        }
        others
    }
}

/// The question on one passage, as readers learn it.
fn marked(
    question: &Candidate,
    answer: &Answer,
    context: &Chunk,
    document: &str,
    is_unanswerable: bool,
) -> Option<Question> {
    let answers = match is_unanswerable {
        true => Vec::new(),
        false => {
            let span = answer.span.filter(|span| context.span.contains(*span))?;
            let start = span.start - context.span.start;
            let text = context.text.get(start..start + span.len())?.to_owned();
            vec![Marked { text, start }]
        }
    };
    // A question that no part of a text answers in itself teaches nothing where it is answerable either.
    answer.span?;
    Some(Question {
        id: format!("{:016x}", name_part(&question.text)),
        question: question.text.clone(),
        context: context.text.clone(),
        answers,
        document: Some(document.to_owned()),
    })
}
