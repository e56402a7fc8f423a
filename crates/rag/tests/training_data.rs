//! A base to files for `finetune`: every reader takes them, documents stay on one side, prompts are the answerer's own.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

use std::cell::RefCell;
use std::collections::BTreeSet;

use ragtune::core::Cancel;
use ragtune::retrieve::measure::BeirDataset;
use ragtune::testing::{HashingEmbedder, ScriptedGenerator};
use ragtune::train::data::{JudgedColumns, PairColumns, instructions, judged, pairs, questions};
use ragtune::training_data::{DropCause, QuestionKind, TrainingData, TrainingDataEvent, TrainingSets};
use ragtune::{Document, Error, KnowledgeBase, PromptTemplate};

const DRINKS: [(&str, &str, u32); 10] = [
    ("green tea", "leaves that were heated in a pan", 80),
    ("black tea", "leaves that turned dark in the air", 95),
    ("white tea", "buds that dried in the sun", 75),
    ("coffee", "roasted seeds of a red cherry", 93),
    ("cocoa", "fermented beans of a heavy pod", 85),
    ("mate", "cut twigs of a holly tree", 70),
    ("rooibos", "needles of a bush from the south", 99),
    ("chicory", "the baked root of a blue flower", 90),
    ("barley water", "pearls of grain that were boiled long", 60),
    ("elder cordial", "blossoms that lay in sugar", 20),
];

fn page((name, made_of, hot): (&str, &str, u32)) -> Document {
    let text = format!(
        "# {name}\n\nAll about {name}, for guests of the house who never had it before and want to.\n\n\
         ## What {name} is\n\nA pot of {name} is a drink of {made_of}. People near the harbour like {name} in the morning. \
         Others keep {name} for the evening, when {made_of} smell best.\n\n\
         ## Steeping {name}\n\nThe water for {name} is heated to {hot} degrees first. After {hot} seconds the {name} is poured \
         into the small cups. The second pot of {name} takes twice as long, and {hot} grams of honey go with it.\n"
    );
    Document::new(format!("{}.md", name.replace(' ', "-")), text)
        .with_metadata("title", name)
        .with_metadata("format", "markdown")
}

fn base() -> KnowledgeBase {
    let base = KnowledgeBase::in_memory()
        .unwrap()
        .with_embedder(HashingEmbedder::new(512))
        .unwrap();
    base.add(DRINKS.map(page)).unwrap();
    base
}

fn make(change: impl FnOnce(TrainingData<'_>) -> TrainingData<'_>) -> Result<TrainingSets, Error> {
    change(TrainingData::from(&base())).make()
}

#[test]
fn what_is_written_is_what_finetune_reads() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let base = base();
    let events = RefCell::new(Vec::new());
    let report = TrainingData::from(&base)
        .with_seed(42)
        .with_on_event(|event| events.borrow_mut().push(*event))
        .write(&out)
        .unwrap();
    assert!(matches!(
        events.borrow()[0],
        TrainingDataEvent::Read { documents: 10, .. }
    ));
    let train = pairs::read(out.join("pairs.train.jsonl"), &PairColumns::default()).unwrap();
    let held_out = pairs::read(out.join("pairs.held-out.jsonl"), &PairColumns::default()).unwrap();
    assert_eq!(
        (train.len(), held_out.len()),
        (report.train.pairs, report.held_out.pairs)
    );
    assert!(train.values().any(|pair| pair.negatives.len() == 2));
    for pair in train.values() {
        assert!(!pair.negatives.contains(&pair.positive));
    }
    let judged = judged::read(out.join("judged.train.jsonl"), &JudgedColumns::default()).unwrap();
    assert_eq!(judged.len(), report.train.judged);
    let chats = instructions::read(out.join("chat.train.jsonl")).unwrap();
    assert_eq!(chats.len(), report.train.conversations);
    let squad = questions::read(out.join("questions.train.json")).unwrap();
    assert_eq!(squad.len(), report.train.questions);
    assert!(squad.values().any(|question| {
        question
            .answers
            .first()
            .is_some_and(|a| a.text.starts_with("a drink of"))
    }));
    let benchmark = BeirDataset::load(&out.join("held-out")).unwrap();
    assert_eq!(benchmark.queries.len(), report.benchmark_questions);
    let said = std::fs::read_to_string(out.join("report.txt")).unwrap();
    assert!(
        said.contains("10 documents") && said.contains("round trip"),
        "{said}"
    );
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(json["train"]["pairs"], report.train.pairs);
    assert!(json["made"]["heading"].as_u64().unwrap() >= 20, "{json}");
    // A second run does not write over the first.
    let again = TrainingData::from(&base).write(&out);
    assert!(matches!(again, Err(Error::OutputExists { .. })));
}

#[test]
fn the_same_seed_makes_the_same_sets() {
    let sets = |seed| {
        let sets = make(|data| data.with_seed(seed)).unwrap();
        (
            sets.train.pairs,
            sets.train.conversations,
            sets.benchmark,
            sets.report,
        )
    };
    assert_eq!(sets(7), sets(7));
    assert_ne!(sets(7).0, sets(8).0);
}

#[test]
fn documents_stand_on_one_side() {
    let sets = make(|data| data.with_held_out(0.3)).unwrap();
    let documents = |part: &ragtune::training_data::TrainingPart| -> BTreeSet<String> {
        part.questions
            .values()
            .filter_map(|question| question.document.clone())
            .collect()
    };
    let (train, held_out) = (documents(&sets.train), documents(&sets.held_out));
    assert!(train.is_disjoint(&held_out) && !held_out.is_empty());
    assert_eq!(
        (sets.report.train.documents, sets.report.held_out.documents),
        (7, 3)
    );
    // Nothing of a held-out page is learned from, neither as negative nor as distractor.
    let names: Vec<&str> = DRINKS.iter().map(|(name, ..)| *name).collect();
    let of_held_out = |text: &str| {
        let pages = names
            .iter()
            .filter(|name| held_out.contains(&format!("{}.md", name.replace(' ', "-"))));
        pages
            .into_iter()
            .any(|name| text.contains(&format!("pot of {name} ")))
    };
    for pair in sets.train.pairs.values() {
        assert!(
            !pair.negatives.iter().any(|negative| of_held_out(negative)),
            "{pair:?}"
        );
    }
    for chat in sets.train.conversations.values() {
        assert!(!of_held_out(&chat.messages[1].content));
    }
}

#[test]
fn prompts_show_gold_and_distractors_or_end_with_the_abstention() {
    let template = PromptTemplate::default().with_no_answer("Not in the sources.");
    let sets = make(|data| {
        data.with_template(template.clone())
            .with_prompts(4, 0.3)
            .with_kinds([QuestionKind::Definition, QuestionKind::Heading])
    })
    .unwrap();
    let (mut abstentions, mut answers) = (0, 0);
    for chat in sets.train.conversations.values() {
        let [system, user, assistant] = chat.messages.as_slice() else {
            panic!()
        };
        assert_eq!(system.content, template.system_text());
        assert!(user.content.starts_with("Sources:\n\n[1] "), "{}", user.content);
        if assistant.content == "Not in the sources." {
            abstentions += 1;
            continue;
        }
        answers += 1;
        // The number behind the answer is that of a source which says so.
        let (said, number) = assistant.content.rsplit_once(" [").unwrap();
        let number: usize = number.trim_end_matches(']').parse().unwrap();
        let block = user.content.split("\n<source>\n").nth(number).unwrap();
        let block = block.split("\n</source>").next().unwrap();
        assert!(
            block
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .contains(said),
            "{said}: {block}"
        );
        assert_eq!(user.content.matches("<source>").count(), 4);
    }
    assert_eq!(abstentions, sets.report.train.abstentions);
    assert!(
        abstentions > 0 && answers > abstentions,
        "{abstentions} of {}",
        abstentions + answers
    );
}

#[test]
fn the_benchmark_does_not_show_what_it_asks() {
    let sets = make(|data| data.with_held_out(0.4)).unwrap();
    let passages: Vec<&str> = sets
        .benchmark
        .documents
        .iter()
        .map(|document| document.text.as_str())
        .collect();
    assert!(!sets.benchmark.queries.is_empty());
    for query in &sets.benchmark.queries {
        let relevant = &sets.benchmark.qrels[&query.id];
        assert!(!relevant.is_empty());
        let own = query.text.rsplit(": ").next().unwrap();
        if query.id.starts_with("cloze") || query.id.starts_with("heading") {
            assert!(!passages.iter().any(|text| text.contains(own)), "{}", query.text);
        }
    }
}

#[test]
fn a_language_model_writes_questions_too() {
    let said = "Q: When is the drink of this page liked near the harbour?\nA: in the morning\nQ: no question";
    let generator = ScriptedGenerator::new([said; 3]);
    let base = base();
    let sets = TrainingData::from(&base)
        .with_generator(&generator)
        .with_generated(3, 2)
        .with_kinds([QuestionKind::Generated, QuestionKind::Heading])
        .make()
        .unwrap();
    assert_eq!(generator.prompts().len(), 3);
    assert_eq!(sets.report.made[&QuestionKind::Generated], 3);
    // The same question for three pages is a question of none of them.
    assert_eq!(sets.report.count(DropCause::Ambiguous), 3);
    assert_eq!(sets.report.count(DropCause::Form), 3);
}

#[test]
fn questions_that_measure_are_not_learned() {
    let free = make(|data| data.with_kinds([QuestionKind::Definition])).unwrap();
    let asked: Vec<String> = free
        .train
        .pairs
        .values()
        .map(|pair| pair.anchor.clone())
        .collect();
    let guarded = make(|data| {
        data.with_kinds([QuestionKind::Definition])
            .with_guarded(asked[..2].to_vec())
    })
    .unwrap();
    assert_eq!(guarded.report.count(DropCause::Guarded), 2);
    assert!(
        !guarded
            .train
            .pairs
            .values()
            .any(|pair| asked[..2].contains(&pair.anchor))
    );
}

#[test]
fn what_cannot_be_done_is_an_error_that_says_so() {
    let empty = KnowledgeBase::in_memory()
        .unwrap()
        .with_embedder(HashingEmbedder::new(8))
        .unwrap();
    assert!(matches!(TrainingData::from(&empty).make(), Err(Error::EmptyBase)));
    let one = KnowledgeBase::in_memory()
        .unwrap()
        .with_embedder(HashingEmbedder::new(256))
        .unwrap();
    one.add([page(DRINKS[0])]).unwrap();
    let error = TrainingData::from(&one).make().unwrap_err();
    assert!(
        matches!(error, Error::TooFewDocuments { found: 1, needed: 2 }),
        "{error}"
    );
    let sets = TrainingData::from(&one).with_held_out(0.0).make().unwrap();
    assert!(sets.held_out.pairs.is_empty() && sets.benchmark.queries.is_empty());
    let short = KnowledgeBase::in_memory()
        .unwrap()
        .with_embedder(HashingEmbedder::new(8))
        .unwrap();
    short
        .add([
            Document::new("a", "Nothing to ask."),
            Document::new("b", "Too short."),
        ])
        .unwrap();
    assert!(matches!(
        TrainingData::from(&short).make(),
        Err(Error::NoQuestions { made: 0, .. })
    ));
    let cancel = Cancel::new();
    cancel.cancel();
    let error = make(|data| data.with_cancel(cancel)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Retrieve(_) | Error::Core(ragtune::core::Error::Cancelled)
        ),
        "{error}"
    );
    let refused = |change: fn(TrainingData<'_>) -> TrainingData<'_>| make(change).unwrap_err().to_string();
    assert!(refused(|data| data.with_held_out(1.0)).contains("held_out"));
    assert!(refused(|data| data.with_round_trip(0)).contains("round_trip"));
    assert!(refused(|data| data.with_prompts(1, 0.0)).contains("sources"));
    assert!(refused(|data| data.with_kinds([])).contains("kinds"));
    assert!(refused(|data| data.with_margin(-0.1)).contains("margin"));
    assert!(
        refused(|data| data.with_template(PromptTemplate::default().with_no_answer(""))).contains("template")
    );
}
