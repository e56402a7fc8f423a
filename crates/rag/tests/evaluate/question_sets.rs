//! What a question set may be, and what is said of one that is not.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use ragtune::Error;
use ragtune::evaluate::{AnswerQuestion, AnswerSet};

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("questions.jsonl");
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn every_form_of_a_line_is_read() {
    let (_folder, path) = file(
        "\u{feff}{\"question\": \"How hot?\", \"answers\": [\"80 degrees\", \"80 °C\"], \"sources\": \"tea.md\"}\r\n\
         \n\
         {\"id\": 7, \"question\": \"Who?\", \"answers\": \"Ann\", \"metadata\": {\"by\": \"me\"}}\n\
         {\"id\": \"x\", \"question\": \"When?\", \"answerable\": false, \"answers\": []}\n\
         {\"question\": \"Where?\", \"answerable\": true}",
    );
    let set = AnswerSet::load(&path).unwrap();
    let questions = set.questions();
    assert_eq!(
        questions[0],
        AnswerQuestion::new("1", "How hot?")
            .with_answers(["80 degrees", "80 °C"])
            .with_sources(["tea.md"])
    );
    assert_eq!(
        questions[1],
        AnswerQuestion::new("7", "Who?").with_answers(["Ann"])
    );
    assert_eq!(questions[2], AnswerQuestion::unanswerable("x", "When?"));
    assert_eq!(questions[3].id, "5", "the line is the id");
    let unknown = set.unknown_sources(|id| id != "tea.md");
    assert_eq!(
        (
            unknown.len(),
            unknown[0].question.as_str(),
            unknown[0].document.as_str()
        ),
        (1, "1", "tea.md")
    );
}

#[test]
fn one_form_serves_answers_and_retrieval() {
    let (_folder, path) = file(
        "{\"question\": \"How hot?\", \"answers\": [\"80 degrees\"], \"relevant\": {\"cup.md\": 1, \"no.md\": 0, \"tea.md\": 2}}\n\
         {\"question\": \"Who?\", \"relevant\": [\"ann.md\"]}\n\
         {\"question\": \"Why?\", \"answers\": \"because\"}\n\
         {\"question\": \"When?\", \"answerable\": false}\n",
    );
    let set = AnswerSet::load(&path).unwrap();
    let how = AnswerQuestion::new("1", "How hot?")
        .with_answers(["80 degrees"])
        .with_graded_sources([("cup.md", 1), ("tea.md", 2)]);
    assert_eq!(set.questions()[0], how);
    assert_eq!(how.sources, ["cup.md", "tea.md"]);
    assert_eq!(set.questions()[1].sources, ["ann.md"]);
    // What is without sources is nothing to measure retrieval by; grades stay.
    let retrieval = set.retrieval();
    assert_eq!(retrieval.len(), 2);
    assert_eq!(
        (retrieval.qrels["1"]["tea.md"], retrieval.qrels["2"]["ann.md"]),
        (2, 1)
    );
    // The same as a file for retrieval alone, which the same call reads.
    let tsv = path.with_extension("tsv");
    fs::write(
        &tsv,
        "How hot?\ttea.md\t2\nWho?\tann.md\nHow hot?\tcup.md\nHow hot?\tno.md\t0\n",
    )
    .unwrap();
    assert_eq!(AnswerSet::load(&tsv).unwrap().retrieval().qrels, retrieval.qrels);
}

#[test]
fn what_is_wrong_is_named_with_line_and_field() {
    let good = "{\"question\": \"a\", \"answers\": [\"b\"]}\n";
    let cases: &[(&str, usize, &str, &str)] = &[
        ("", 0, "", "no question"),
        ("\n\n", 0, "", "no question"),
        ("{", 1, "", "no JSON"),
        ("[1]", 1, "", "no JSON object"),
        ("{\"answers\": [\"b\"]}", 1, "question", "missing"),
        (
            "{\"question\": 3, \"answers\": [\"b\"]}",
            1,
            "question",
            "no text",
        ),
        (
            "{\"question\": \"  \", \"answers\": [\"b\"]}",
            1,
            "question",
            "empty",
        ),
        ("{\"question\": \"a\"}", 1, "answers", "\"answerable\": false"),
        (
            "{\"question\": \"a\", \"answers\": 3}",
            1,
            "answers",
            "list of texts",
        ),
        (
            "{\"question\": \"a\", \"answers\": [\"b\", null]}",
            1,
            "answers",
            "list of texts",
        ),
        (
            "{\"question\": \"a\", \"answers\": [\" \"]}",
            1,
            "answers",
            "empty",
        ),
        (
            "{\"question\": \"a\", \"anwsers\": [\"b\"]}",
            1,
            "anwsers",
            "the fields are id, question",
        ),
        (
            "{\"question\": \"a\", \"answers\": [\"b\"], \"answerable\": \"no\"}",
            1,
            "answerable",
            "true nor false",
        ),
        (
            "{\"question\": \"a\", \"answers\": [\"b\"], \"answerable\": false}",
            1,
            "answers",
            "false",
        ),
        (
            "{\"question\": \"a\", \"sources\": [\"s\", \"s\"]}",
            1,
            "sources",
            "twice",
        ),
        (
            "{\"question\": \"a\", \"sources\": [\"s\"], \"relevant\": [\"s\"]}",
            1,
            "relevant",
            "two names",
        ),
        (
            "{\"question\": \"a\", \"relevant\": {\"s\": \"much\"}}",
            1,
            "relevant",
            "whole number",
        ),
        (
            "{\"question\": \"a\", \"relevant\": {\"s\": 0}}",
            1,
            "answers",
            "\"answerable\": false",
        ),
        (
            "{\"id\": [], \"question\": \"a\", \"answers\": [\"b\"]}",
            1,
            "id",
            "number",
        ),
    ];
    for (text, line, field, reason) in cases {
        for before in ["", good] {
            if *line == 0 && !before.is_empty() {
                continue;
            }
            let (_folder, path) = file(&format!("{before}{text}"));
            let wanted = line + usize::from(!before.is_empty());
            match AnswerSet::load(&path) {
                Err(Error::BadQuestion {
                    path: found,
                    line,
                    field: named,
                    reason: said,
                }) => {
                    assert_eq!(
                        (found, line, named.as_str()),
                        (path, wanted, *field),
                        "{text}: {said}"
                    );
                    assert!(said.contains(reason), "{text}: {said}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }
    let (_folder, path) = file(&format!(
        "{good}{{\"id\": \"1\", \"question\": \"c\", \"answers\": [\"d\"]}}"
    ));
    let error = AnswerSet::load(&path).unwrap_err().to_string();
    assert!(error.contains("line 2, field \"id\""), "{error}");
    assert!(matches!(
        AnswerSet::load(path.with_file_name("none")),
        Err(Error::Io { .. })
    ));
    fs::write(&path, [b'{', 0xff, b'\n']).unwrap();
    assert!(AnswerSet::load(&path).unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn sets_are_joined_and_checked() {
    let set = |id: &str| AnswerSet::new([AnswerQuestion::new(id, "q").with_answers(["a"])]).unwrap();
    assert_eq!(set("a").join(set("b")).unwrap().len(), 2);
    assert!(matches!(
        set("a").join(set("a")),
        Err(Error::BadQuestion { line: 2, .. })
    ));
    assert!(AnswerSet::new([]).is_err());
}

#[test]
fn a_folder_in_beir_layout_is_a_set() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("qrels")).unwrap();
    write(
        "corpus.jsonl",
        "{\"_id\": \"c1\", \"title\": \"\", \"text\": \"Tea.\"}\n{\"_id\": \"c2\", \"text\": \"Cup.\"}\n",
    );
    write(
        "queries.jsonl",
        "{\"_id\": \"q1\", \"text\": \"What?\", \"metadata\": {\"answer\": \"Tea\"}}\n\
         {\"_id\": 2, \"text\": \"Who?\", \"metadata\": {\"answers\": [\"Ann\", \"Bob\"]}}\n\
         {\"_id\": \"q3\", \"text\": \"Not judged?\"}\n\
         {\"_id\": \"q4\", \"text\": \"Nothing?\"}\n",
    );
    write(
        "qrels/test.tsv",
        "query-id\tcorpus-id\tscore\nq1\tc1\t1\nq1\tc2\t0\n2\tc2\t2\nq4\tc1\t0\n",
    );
    let set = AnswerSet::load_beir(folder.path()).unwrap();
    assert_eq!(
        set.questions(),
        [
            AnswerQuestion::new("q1", "What?")
                .with_answers(["Tea"])
                .with_sources(["c1"]),
            AnswerQuestion::new("2", "Who?")
                .with_answers(["Ann", "Bob"])
                .with_graded_sources([("c2", 2)]),
            AnswerQuestion::unanswerable("q4", "Nothing?"),
        ]
    );
    write(
        "queries.jsonl",
        "{\"_id\": \"q1\", \"text\": \"What?\", \"metadata\": {\"answer\": 3}}\n{\"_id\": 2, \"text\": \"a\"}\n{\"_id\": \"q4\", \"text\": \"b\"}\n",
    );
    let error = AnswerSet::load_beir(folder.path()).unwrap_err().to_string();
    assert!(error.contains("line 1, field \"metadata.answer\""), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands in a file, it is a set of at least one whole question, or an error that names file and place.
    #[test]
    fn any_file_is_a_set_or_a_named_error(
        lines in prop::collection::vec(
            prop_oneof![
                any::<Vec<u8>>(),
                "\\{\"(id|question|answers|sources|answerable)\":(\"[a-z]?\"|\\[\"a\"\\]|true|false|null|[0-9]),\"question\":\"q\"\\}"
                    .prop_map(String::into_bytes),
            ],
            0..4,
        ),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.jsonl");
        fs::write(&path, lines.join(&b'\n')).unwrap();
        match AnswerSet::load(&path) {
            Ok(set) => prop_assert!(set.questions().iter().all(|question| !question.question.trim().is_empty())),
            Err(Error::BadQuestion { path: named, line, reason, .. }) => {
                prop_assert_eq!(named, path);
                prop_assert!(!reason.is_empty() && line <= 400);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
