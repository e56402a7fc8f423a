//! Questions over the Rust Book: the right file is cited, every citation is what the file says, strangers get no answer.

use ragtune::{Answer, Rag};

use crate::bases::{Bases, bases};

/// Questions with the file that answers them and words of the answer.
const QUESTIONS: [(&str, &str, &str); 9] = [
    (
        "How do I run only the tests whose name contains a word?",
        "ch11-02-running-tests.md",
        "any test whose name matches that value will be run",
    ),
    (
        "How do I check that a function panics in a test?",
        "ch11-01-writing-tests.md",
        "should_panic",
    ),
    (
        "What are the ownership rules?",
        "ch04-01-what-is-ownership.md",
        "owner",
    ),
    (
        "How do I uninstall Rust?",
        "ch01-01-installation.md",
        "rustup self uninstall",
    ),
    (
        "How do I get a backtrace of a panic?",
        "ch09-01-unrecoverable-errors-with-panic.md",
        "backtrace",
    ),
    (
        "How do I wait for a spawned thread to finish?",
        "ch16-01-threads.md",
        "`join` method",
    ),
    (
        "How do I force a value to be dropped early?",
        "ch15-03-drop.md",
        "drop",
    ),
    (
        "How do I publish a crate to crates.io?",
        "ch14-02-publishing-to-crates-io.md",
        "publish",
    ),
    (
        "How do I skip an expensive test unless I ask for it?",
        "ch11-02-running-tests.md",
        "#[ignore]",
    ),
];

/// Questions that the Book has nothing on, in English and other languages, and texts that are no questions.
const STRANGERS: [&str; 8] = [
    "What is the capital of Mongolia?",
    "How do I bake sourdough bread?",
    "Wie backe ich ein Sauerteigbrot?",
    "蒙古的首都是哪里？",
    "ما هي عاصمة منغوليا؟",
    "🦀🍞🔥",
    "?!… — ::",
    "asdf qwer zxcv",
];

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every citation is, byte for byte, what the file on disk says there.
pub fn check_citations(bases: &Bases, answer: &Answer) {
    assert!(
        answer.trace.rejected_citations.is_empty(),
        "{:?}",
        answer.trace.rejected_citations
    );
    for citation in &answer.citations {
        let file = std::fs::read(bases.book_folder().join(&citation.document_id)).unwrap();
        assert_eq!(
            &file[citation.span.start..citation.span.end],
            citation.text.as_bytes()
        );
        assert_eq!(
            citation.answer_span.of(&answer.text),
            Some(citation.text.as_str())
        );
        let line = 1 + file[..citation.span.start]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        assert_eq!(citation.locator.line, u32::try_from(line).ok());
    }
}

#[test]
fn questions_over_the_rust_book() {
    let Some(bases) = bases() else { return };
    let rag = Rag::builder().retriever(bases.book.clone()).build().unwrap();
    for (question, file, words) in QUESTIONS {
        let answer = rag.ask(question).unwrap();
        println!("\n## {question}\n{answer}\n({:?})", answer.trace.timings);
        check_citations(bases, &answer);
        assert!(
            answer
                .citations
                .iter()
                .any(|citation| citation.document_id == file),
            "{answer}"
        );
        assert!(squeezed(&answer.text).contains(words), "{answer}");
    }
    let tests = rag.ask(QUESTIONS[0].0).unwrap();
    assert_eq!(tests.citations[0].document_id, QUESTIONS[0].1);
}

#[test]
fn strangers_get_no_answer() {
    let Some(bases) = bases() else { return };
    let rag = Rag::builder().retriever(bases.book.clone()).build().unwrap();
    for question in STRANGERS {
        let answer = rag.ask(question).unwrap();
        println!("{question}: {answer}");
        assert!(answer.is_abstention(), "{question}: {answer}");
    }
}

/// Questions in a language that the encoder does not know: an answer or none, and what is quoted is true.
#[test]
fn other_languages_do_no_harm() {
    let Some(bases) = bases() else { return };
    let rag = Rag::builder().retriever(bases.book.clone()).build().unwrap();
    for question in [
        "Wie deinstalliere ich Rust?",
        "如何卸载 Rust？",
        "كيف أزيل Rust؟",
        "Rust 🦀?",
    ] {
        let answer = rag.ask(question).unwrap();
        println!("{question}: {answer}");
        check_citations(bases, &answer);
    }
}
