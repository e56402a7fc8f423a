//! Questions on given texts, in the JSON of SQuAD 1.1 and 2.0, and in the rows that the library `datasets` makes of it.

use std::path::Path;

use serde_json::Value;

use super::dataset::{Dataset, Origin, Record};
use super::json::{self, Node};
use super::record::{Answer, Question};
use super::source::{Format, Source};
use super::table::text_of;
use crate::error::Result;

/// Characters by which an answer's offset is corrected at most where the text stands several times.
const NEAR_CHARS: usize = 64;

/// Offsets that were wrong in the file and were corrected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetRepairs {
    /// Answers in the file.
    pub answers: usize,
    /// Those that were moved: where the question stands, its identifier, and by how many characters.
    pub moved: Vec<(Origin, String, isize)>,
}

/// Reads questions from a file; every answer has to stand at its offset.
///
/// Offsets are counted in characters in the file and in bytes in the records. A question without answers is one that its
/// context does not answer. A file is the JSON of SQuAD, articles with paragraphs with questions, or has a question in each
/// row with the fields `id`, `title`, `context`, `question` and `answers`, whose `text` and `answer_start` are lists, as
/// `Dataset.to_json` of the library `datasets` writes it.
///
/// # Errors
/// Those of [`Source::read`] and [`parse`].
pub fn read(path: impl AsRef<Path>) -> Result<Dataset<Question>> {
    parse(&Source::read(path)?)
}

/// Reads questions from a text; see [`read`].
///
/// ```
/// use ragtune_train::data::{Source, questions};
/// let text = r#"{"data": [{"title": "T", "paragraphs": [{"context": "Zoë was born in Ulm.", "qas": [
///     {"id": "1", "question": "Where?", "answers": [{"text": "Ulm", "answer_start": 16}]}]}]}]}"#;
/// let set = questions::parse(&Source::from_text("squad.json", text))?;
/// let question = &set.records[0].value;
/// assert_eq!(question.answers[0].span().of(&question.context), Some("Ulm"));
/// # Ok::<(), ragtune_train::Error>(())
/// ```
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed) with the line and column of a question that is incomplete, or whose
/// answer does not stand at its offset; [`Error::Empty`](crate::Error::Empty).
pub fn parse(source: &Source) -> Result<Dataset<Question>> {
    Ok(Reader::new(source, false).read()?.0)
}

/// Reads questions from a file, and moves answers that do not stand at their offset to the nearest place where they do.
///
/// Published sets count offsets in other units here and there, or lost a character before the answer. An answer is moved
/// to where its text stands in the context if that is the only place, or within 64 characters of the offset.
///
/// # Errors
/// Those of [`Source::read`] and [`parse`]; an answer that stands nowhere, or only far away in several places, stays an
/// error.
pub fn read_repairing(path: impl AsRef<Path>) -> Result<(Dataset<Question>, OffsetRepairs)> {
    parse_repairing(&Source::read(path)?)
}

/// Reads questions from a text, and moves answers that do not stand at their offset; see [`read_repairing`].
///
/// # Errors
/// As [`read_repairing`].
pub fn parse_repairing(source: &Source) -> Result<(Dataset<Question>, OffsetRepairs)> {
    Reader::new(source, true).read()
}

struct Reader<'a> {
    source: &'a Source,
    repair: bool,
    repairs: OffsetRepairs,
    records: Vec<Record<Question>>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Source, repair: bool) -> Self {
        Self {
            source,
            repair,
            repairs: OffsetRepairs::default(),
            records: Vec::new(),
        }
    }

    fn read(mut self) -> Result<(Dataset<Question>, OffsetRepairs)> {
        let articles = if self.source.format() == Format::JsonLines {
            json::records(self.source)?
        } else {
            let root = json::document(self.source)?;
            match root.get("data") {
                Some(data) => items(data, "data")?,
                None => root
                    .items()
                    .ok_or_else(|| root.malformed("no \"data\"; is it the JSON of SQuAD?"))?,
            }
        };
        for article in articles {
            if article.get("paragraphs").is_none() && article.get("context").is_some() {
                self.row(article)?;
                continue;
            }
            let title = article.get("title").map(Node::value).transpose()?;
            let title = title.and_then(|title| text_of(title).ok());
            for paragraph in items(field(article, "paragraphs")?, "paragraphs")? {
                self.paragraph(paragraph, title.as_deref())?;
            }
        }
        match self.records.is_empty() {
            true => Err(self.source.empty("it has no question")),
            false => Ok((self.records.into_iter().collect(), self.repairs)),
        }
    }

    fn paragraph(&mut self, paragraph: Node<'_>, title: Option<&str>) -> Result<()> {
        let context = text(field(paragraph, "context")?)?;
        let offsets = Offsets::new(&context);
        let document = paragraph.get("document_id").map(Node::value).transpose()?;
        let document = document
            .and_then(|id| text_of(id).ok())
            .filter(|id| !id.is_empty());
        let document = document.or_else(|| title.map(str::to_owned));
        for question in items(field(paragraph, "qas")?, "qas")? {
            let id = text(field(question, "id")?)?;
            let mut answers = Vec::new();
            for answer in question
                .get("answers")
                .map_or(Ok(Vec::new()), |list| items(list, "answers"))?
            {
                answers.push(self.answer(answer, &context, &offsets, &id)?);
            }
            let impossible = question.get("is_impossible").map(Node::value).transpose()?;
            if impossible == Some(Value::Bool(true)) && !answers.is_empty() {
                return Err(question.malformed(format!("question {id:?} is impossible and has answers")));
            }
            let value = Question {
                question: text(field(question, "question")?)?,
                context: context.clone(),
                answers,
                document: document.clone(),
                id,
            };
            let origin = self.source.origin(question.at());
            self.records.push(Record { value, origin });
        }
        Ok(())
    }

    /// A question with everything that belongs to it.
    fn row(&mut self, row: Node<'_>) -> Result<()> {
        let context = text(field(row, "context")?)?;
        let offsets = Offsets::new(&context);
        let id = text(field(row, "id")?)?;
        let title = row.get("title").map(Node::value).transpose()?;
        let title = title
            .and_then(|title| text_of(title).ok())
            .filter(|title| !title.is_empty());
        let mut answers = Vec::new();
        if let Some(given) = row.get("answers").filter(|given| given.starts_with('{')) {
            let texts = items(field(given, "text")?, "text")?;
            let starts = items(field(given, "answer_start")?, "answer_start")?;
            if texts.len() != starts.len() {
                return Err(given.malformed(format!(
                    "question {id:?}: {} answers and {} starts of answers",
                    texts.len(),
                    starts.len()
                )));
            }
            for (answer, start) in texts.into_iter().zip(starts) {
                answers.push(self.placed(answer, text(answer)?, start, &context, &offsets, &id)?);
            }
        } else if let Some(given) = row.get("answers").filter(|given| given.starts_with('[')) {
            for answer in items(given, "answers")? {
                answers.push(self.answer(answer, &context, &offsets, &id)?);
            }
        }
        let value = Question {
            question: text(field(row, "question")?)?,
            context,
            answers,
            document: title,
            id,
        };
        let origin = self.source.origin(row.at());
        self.records.push(Record { value, origin });
        Ok(())
    }

    fn answer(&mut self, answer: Node<'_>, context: &str, offsets: &Offsets, id: &str) -> Result<Answer> {
        let start = field(answer, "answer_start")?;
        self.placed(answer, text(field(answer, "text")?)?, start, context, offsets, id)
    }

    /// An answer where it is said to stand.
    fn placed(
        &mut self,
        answer: Node<'_>,
        text: String,
        start: Node<'_>,
        context: &str,
        offsets: &Offsets,
        id: &str,
    ) -> Result<Answer> {
        let start = start.value()?;
        let Some(chars) = start.as_u64().and_then(|start| usize::try_from(start).ok()) else {
            return Err(answer.malformed(format!(
                "question {id:?}: \"answer_start\" is not a whole number from 0"
            )));
        };
        if text.is_empty() {
            return Err(answer.malformed(format!(
                "question {id:?}: an empty answer; a question without answer has none"
            )));
        }
        self.repairs.answers += 1;
        let given = offsets.byte(chars);
        if let Some(start) = given.filter(|&at| context[at..].starts_with(&text)) {
            return Ok(Answer { text, start });
        }
        let nearest = match self.repair {
            true => nearest(context, &text, offsets, chars),
            false => None,
        };
        let Some((start, found)) = nearest else {
            let remedy = match self.repair {
                true => "correct the file",
                false => "correct the file, or read it with `read_repairing`",
            };
            return Err(answer.malformed(format!(
                "question {id:?}: the answer does not stand at character {chars} of its context; {remedy}"
            )));
        };
        let origin = self.source.origin(answer.at());
        let moved = found.cast_signed() - chars.cast_signed();
        self.repairs.moved.push((origin, id.to_owned(), moved));
        Ok(Answer { text, start })
    }
}

/// Bytes of a text's characters.
struct Offsets {
    starts: Vec<usize>,
}

impl Offsets {
    fn new(text: &str) -> Self {
        Self {
            starts: text.char_indices().map(|(at, _)| at).collect(),
        }
    }

    fn byte(&self, chars: usize) -> Option<usize> {
        self.starts.get(chars).copied()
    }

    fn chars(&self, byte: usize) -> usize {
        self.starts.partition_point(|&start| start < byte)
    }
}

/// The byte and the character where a text stands nearest to an offset, near enough or nowhere else.
fn nearest(context: &str, text: &str, offsets: &Offsets, chars: usize) -> Option<(usize, usize)> {
    let places: Vec<(usize, usize)> = context
        .match_indices(text)
        .map(|(at, _)| (at, offsets.chars(at)))
        .collect();
    let distance = |place: &(usize, usize)| place.1.abs_diff(chars);
    let nearest = places.iter().min_by_key(|place| distance(place))?;
    (places.len() == 1 || distance(nearest) <= NEAR_CHARS).then_some(*nearest)
}

fn field<'a>(node: Node<'a>, name: &str) -> Result<Node<'a>> {
    node.get(name)
        .ok_or_else(|| node.malformed(format!("no {name:?}; is it the JSON of SQuAD?")))
}

fn items<'a>(node: Node<'a>, name: &str) -> Result<Vec<Node<'a>>> {
    node.items()
        .ok_or_else(|| node.malformed(format!("{name:?} is not a list")))
}

fn text(node: Node<'_>) -> Result<String> {
    text_of(node.value()?).map_err(|reason| node.malformed(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squad(answer: &str, start: usize) -> Source {
        let text = format!(
            "{{\"data\": [{{\"title\": \"T\", \"paragraphs\": [\n{{\"context\": \"ä one, two, two\", \"qas\": [\n\
             {{\"id\": 7, \"question\": \"?\", \"is_impossible\": false, \"answers\": [\
             {{\"text\": \"{answer}\", \"answer_start\": {start}}}]}},\n\
             {{\"id\": \"8\", \"question\": \"!\", \"answers\": []}}]}}]}}]}}"
        );
        Source::from_text("s.json", text)
    }

    #[test]
    fn characters_become_bytes() {
        let set = parse(&squad("one", 2)).unwrap();
        let question = &set.records[0].value;
        assert_eq!(
            (question.id.as_str(), question.document.as_deref()),
            ("7", Some("T"))
        );
        assert_eq!(question.answers[0].start, 3);
        assert_eq!(set.records[0].origin.line, 3);
        assert!(set.records[1].value.answers.is_empty());
        assert_eq!(set.records[1].origin.line, 4);
    }

    #[test]
    fn wrong_offsets_are_errors_or_repaired() {
        let error = parse(&squad("one", 3)).unwrap_err().to_string();
        assert!(
            error.starts_with("s.json, line 3, column 64: question \"7\""),
            "{error}"
        );
        assert!(error.contains("read_repairing"));
        let (set, repairs) = parse_repairing(&squad("one", 999)).unwrap();
        assert_eq!(set.records[0].value.answers[0].start, 3);
        assert_eq!((repairs.answers, repairs.moved[0].2), (1, -997));
        let (set, _) = parse_repairing(&squad("two", 13)).unwrap();
        assert_eq!(set.records[0].value.answers[0].start, 13);
        assert!(parse_repairing(&squad("two", 999)).is_err());
        assert!(parse_repairing(&squad("three", 2)).is_err());
        assert!(parse(&squad("", 2)).is_err());
    }

    #[test]
    fn rows_of_the_library_datasets_are_read() {
        let rows = "{\"id\":\"7\",\"title\":\"T\",\"context\":\"ä one, two\",\"question\":\"?\",\
                    \"answers\":{\"text\":[\"one\",\"two\"],\"answer_start\":[2,7]}}\n\
                    {\"id\":\"8\",\"title\":\"\",\"context\":\"b\",\"question\":\"!\",\
                    \"answers\":{\"text\":[],\"answer_start\":[]}}\n";
        let set = parse(&Source::from_text("s.jsonl", rows)).unwrap();
        let question = &set.records[0].value;
        let starts: Vec<usize> = question.answers.iter().map(|answer| answer.start).collect();
        assert_eq!(
            (starts.as_slice(), question.document.as_deref()),
            ([3, 8].as_slice(), Some("T"))
        );
        assert!(set.records[1].value.answers.is_empty() && set.records[1].value.document.is_none());
        assert_eq!(set.records[1].origin.line, 2);
        // The same rows as one list.
        let list = format!("[{}]", rows.trim().replace('\n', ","));
        let listed = parse(&Source::from_text("s.json", list)).unwrap();
        assert_eq!(listed.records[0].value, set.records[0].value);
        let other = rows.replace("[2,7]", "[2]");
        let error = parse(&Source::from_text("s.jsonl", other))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 1") && error.contains("2 answers and 1 starts"),
            "{error}"
        );
    }

    #[test]
    fn other_json_is_refused() {
        for text in [
            "{}",
            "[{}]",
            "{\"data\": {}}",
            "{\"data\": []}",
            "3",
            "{\"data\": [{\"paragraphs\": [{}]}]}",
        ] {
            assert!(parse(&Source::from_text("s.json", text)).is_err(), "{text}");
        }
    }
}
