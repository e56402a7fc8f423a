//! Where in a rendered conversation the assistant speaks.
//!
//! No tag of the template is needed. An answer is found by rendering the conversation once more with a single character
//! in its place that no text has: what stands before and behind that character stands before and behind the answer. Where
//! the answer begins for the model is where the template's own generation prompt ends.

use ragtune_core::chat::{ChatOptions, ChatTemplate, RenderedPrompt};
use ragtune_core::text::{Message, MessageRole, Span};

use crate::error::Result;

/// Characters that Unicode reserves for use inside a program, from the end: the template's guard takes them from the
/// start.
const MARKS: std::ops::RangeInclusive<char> = '\u{FDE0}'..='\u{FDEF}';

/// A conversation as text, and its answers.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) prompt: RenderedPrompt,
    pub(super) answers: Vec<AnswerRegion>,
    /// The last answer, where the template leaves it out: what the model says behind the prompt.
    pub(super) unwritten: Option<String>,
}

/// Where an answer stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AnswerRegion {
    /// From the end of the generation prompt to the end of what was said.
    pub(super) said: Span,
    /// One past the end of what closes the turn.
    pub(super) closed: usize,
    /// Whether the template shows something else than was said.
    pub(super) rewritten: bool,
}

/// Why the answers of a conversation were not found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfound {
    /// The template leaves out a turn, counted from 0.
    LeftOut(usize),
    /// Any other reason.
    Because(String),
}

/// The generation prompt of a template, as it follows a turn of the user; empty where it has none.
pub(super) fn header(template: &ChatTemplate, options: &ChatOptions) -> String {
    let probe = [Message::user("probe")];
    let with = rendered(template, &probe, options, true);
    let without = rendered(template, &probe, options, false);
    match (with, without) {
        (Ok(with), Ok(without)) => with.text()[common_prefix(with.text(), without.text())..].to_owned(),
        _ => String::new(),
    }
}

/// Renders a conversation and finds its answers; `header` is the template's generation prompt.
///
/// A template that is made for asking only may leave out an answer at the end. The model then sees the generation prompt,
/// and says the answer behind it.
pub(super) fn find(
    template: &ChatTemplate,
    options: &ChatOptions,
    header: &str,
    messages: &[Message],
) -> Result<Result<Conversation, String>> {
    let last = messages.len().saturating_sub(1);
    let mut found = find_written(template, options, header, messages, false)?;
    if last > 0 && matches!(found, Err(Unfound::LeftOut(turn)) if turn == last) {
        found = find_written(template, options, header, &messages[..last], true)?;
        if let Ok(conversation) = &mut found {
            conversation.unwritten = Some(messages[last].content.clone());
        }
    }
    Ok(found.map_err(|unfound| match unfound {
        Unfound::LeftOut(turn) => format!("the chat template leaves out turn {}", turn + 1),
        Unfound::Because(reason) => reason,
    }))
}

/// Finds the answers in the rendered conversation, with the generation prompt behind it or without.
fn find_written(
    template: &ChatTemplate,
    options: &ChatOptions,
    header: &str,
    messages: &[Message],
    prompted: bool,
) -> Result<Result<Conversation, Unfound>> {
    let prompt = rendered(template, messages, options, prompted)?;
    let free = MARKS.rev().find(|&mark| {
        !template.source().contains(mark) && messages.iter().all(|message| !message.content.contains(mark))
    });
    let Some(mark) = free else {
        let reason = "its text has all of the characters U+FDE0 to U+FDEF; remove one of them";
        return Ok(Err(Unfound::Because(reason.to_owned())));
    };
    let mut answers: Vec<AnswerRegion> = Vec::new();
    let spoken = messages.iter().enumerate();
    for (turn, message) in spoken.filter(|(_, message)| message.role == MessageRole::Assistant) {
        let mut changed = messages.to_vec();
        changed[turn].content = mark.to_string();
        let marked = rendered(template, &changed, options, prompted)?;
        let content = match marked.text().matches(mark).count() {
            0 => return Ok(Err(Unfound::LeftOut(turn))),
            1 => between(prompt.text(), marked.text(), mark),
            _ => {
                let reason = format!("the chat template repeats turn {}", turn + 1);
                return Ok(Err(Unfound::Because(reason)));
            }
        };
        let before = answers.last().map_or(0, |answer| answer.said.end);
        if content.start < before {
            let reason = format!(
                "the chat template mixes turn {} with what was said before",
                turn + 1
            );
            return Ok(Err(Unfound::Because(reason)));
        }
        let prompt_end = rendered(template, &messages[..turn], options, true).ok();
        let start = start(prompt.text(), before, content, prompt_end.as_ref(), header);
        let said = Span::new(start, content.end);
        let shown = content.of(prompt.text()).unwrap_or_default();
        answers.push(AnswerRegion {
            said,
            closed: content.end,
            rewritten: shown.trim() != message.content.trim(),
        });
    }
    // What follows an answer that another question follows is not known to close it.
    if !prompted {
        close(prompt.text(), &mut answers);
    }
    Ok(Ok(Conversation {
        prompt,
        answers,
        unwritten: None,
    }))
}

fn rendered(
    template: &ChatTemplate,
    messages: &[Message],
    options: &ChatOptions,
    add_generation_prompt: bool,
) -> Result<RenderedPrompt> {
    let options = options.clone().with_add_generation_prompt(add_generation_prompt);
    Ok(template.render(messages, &options)?)
}

/// The part of a text that the mark stands for in another.
fn between(text: &str, marked: &str, mark: char) -> Span {
    let (before, behind) = marked.split_once(mark).unwrap_or((marked, ""));
    // Both are whole where the template treats every answer alike; one that opens up what an answer begins with, such as
    // its reasoning, changes what stands beside it.
    let start = common_prefix(text, before);
    let end = text.len() - common_suffix(&text[start..], behind);
    Span::new(start, end)
}

/// Where the model begins to speak.
fn start(text: &str, before: usize, content: Span, prompt: Option<&RenderedPrompt>, header: &str) -> usize {
    let prompt_end = prompt
        .filter(|prompt| text.starts_with(prompt.text()))
        .map(|prompt| prompt.text().len())
        .filter(|&end| before <= end && end <= content.start);
    match prompt_end {
        // What the template puts between its generation prompt and the answer, the model has to say itself. A template
        // without a generation prompt may put the name of the speaker there, which is not learned.
        Some(end) if !header.is_empty() || text[end..content.start].trim().is_empty() => end,
        Some(_) => content.start,
        // The template shows earlier turns otherwise once more follow, so the prompt is no beginning of the text.
        None if header.is_empty() => content.start,
        None => match text[before..content.start].rfind(header) {
            Some(at) => before + at + header.len(),
            None => content.start,
        },
    }
}

/// Finds out what closes the answers: what follows the last one ends the text, and as much of it as follows another
/// closes that.
fn close(text: &str, answers: &mut [AnswerRegion]) {
    let Some(last) = answers.last() else {
        return;
    };
    let closing = text[last.said.end..].to_owned();
    for answer in answers {
        let end = answer.said.end;
        answer.closed = end + common_prefix(&text[end..], &closing);
    }
}

/// Bytes of the characters that both begin with.
fn common_prefix(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
}

/// Bytes of the characters that both end with.
fn common_suffix(a: &str, b: &str) -> usize {
    let same = a.chars().rev().zip(b.chars().rev()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation() -> Vec<Message> {
        vec![
            Message::user("Q"),
            Message::assistant("<think>r</think> A"),
            Message::user("q"),
            Message::assistant(" user: q "),
        ]
    }

    fn parts(source: &str, messages: &[Message]) -> Result<Vec<(String, String, bool)>, String> {
        let template = ChatTemplate::new(source).unwrap();
        let options = ChatOptions::default();
        let header = header(&template, &options);
        let found = find(&template, &options, &header, messages).unwrap()?;
        let text = found.prompt.text();
        let part = |answer: &AnswerRegion| {
            let closing = &text[answer.said.end..answer.closed];
            (
                answer.said.of(text).unwrap().to_owned(),
                closing.to_owned(),
                answer.rewritten,
            )
        };
        Ok(found.answers.iter().map(part).collect())
    }

    #[test]
    fn answers_are_found_in_any_template() {
        let said = |source: &str| parts(source, &conversation()).unwrap();
        let chatml = "{% for m in messages %}<{{ m.role }}>\n{{ m.content }}<end>\n{% endfor %}\
                      {% if add_generation_prompt %}<assistant>\n{% endif %}";
        assert_eq!(
            said(chatml)[0],
            ("<think>r</think> A".into(), "<end>\n".into(), false)
        );
        assert_eq!(said(chatml)[1], (" user: q ".into(), "<end>\n".into(), false));
        // Without a generation prompt the name of the speaker is not learned.
        let named = "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}</s>{% endfor %}";
        assert_eq!(said(named)[1], ("user: q".into(), "</s>".into(), false));
        // The space before an answer is the model's.
        let llama = "{% for m in messages %}{% if m.role == 'user' %}<s>[INST] {{ m.content }} [/INST]\
                     {% else %} {{ m.content | trim }} </s>{% endif %}{% endfor %}";
        assert_eq!(said(llama)[0].0, " <think>r</think> A");
        assert_eq!(said(llama)[0].1, " </s>");
    }

    #[test]
    fn reasoning_that_a_template_takes_out_or_opens_up() {
        let source = "{% for m in messages %}{% if m.role == 'assistant' %}<a>\
                      {% if not loop.last %}{{ m.content.split('</think>')[-1] | trim }}\
                      {% elif '</think>' in m.content %}<think>{{ m.content.split('</think>')[0].split('<think>')[-1] }}\
                      </think>{{ m.content.split('</think>')[-1] }}\
                      {% else %}<think></think>{{ m.content }}{% endif %}<end>\
                      {% else %}<u>{{ m.content }}<end>{% endif %}{% endfor %}\
                      {% if add_generation_prompt %}<a>{% endif %}";
        let mut messages = conversation();
        let found = parts(source, &messages).unwrap();
        assert_eq!(found[0], ("A".into(), "<end>".into(), true));
        assert_eq!(
            found[1],
            ("<think></think> user: q ".into(), "<end>".into(), false)
        );
        messages[3].content = "<think>why</think>B".to_owned();
        let found = parts(source, &messages).unwrap();
        assert_eq!(found[1].0, "<think>why</think>B");
    }

    #[test]
    fn an_answer_that_only_the_model_writes() {
        let source = "{% for m in messages %}{% if m.role == 'user' %}U: {{ m.content }} {% elif not loop.last %}\
                      A: {{ m.content }} {% endif %}{% if loop.last %}A:{% endif %}{% endfor %}";
        let template = ChatTemplate::new(source).unwrap();
        let options = ChatOptions::default();
        let found = find(&template, &options, "", &conversation()).unwrap().unwrap();
        assert_eq!(found.prompt.text(), "U: Q A: <think>r</think> A U: q A:");
        assert_eq!(
            found.answers[0].said.of(found.prompt.text()),
            Some(" <think>r</think> A")
        );
        assert_eq!(found.unwritten.as_deref(), Some(" user: q "));
    }

    #[test]
    fn templates_that_hide_or_repeat_answers() {
        let hidden = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}";
        assert_eq!(
            parts(hidden, &conversation()).unwrap_err(),
            "the chat template leaves out turn 2"
        );
        let twice = "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}";
        assert_eq!(
            parts(twice, &conversation()).unwrap_err(),
            "the chat template repeats turn 2"
        );
        let marks: String = MARKS.collect();
        assert!(parts("{{ messages }}", &[Message::assistant(marks)]).is_err());
    }
}
