//! What every implementation of a trait must do, to run against your own.
//!
//! Each suite returns the list of violations, each a sentence; an empty list is a pass.
//!
//! ```
//! use ragtune_core::testing::{HashingEmbedder, conformance};
//! assert_eq!(conformance::embedder(&HashingEmbedder::new(64)), Vec::<String>::new());
//! ```

use crate::text::{
    Constraint, Embedder, FinishReason, GenerateEvent, GenerateOptions, Generator, Prompt, Reranker, Role,
};

const TEXTS: [&str; 4] = [
    "Rust is a systems programming language.",
    "茶は世界中で飲まれている。",
    "",
    "A somewhat longer text, so that a batch holds texts of several lengths: padding must not change any vector.",
];

/// Checks an embedder: order, shape, finite values, independence of the batch, repeatability.
pub fn embedder(embedder: &dyn Embedder) -> Vec<String> {
    let mut violations = Vec::new();
    if embedder.id().is_empty() {
        violations.push("id() is empty: an index could not tell this embedder from another".to_owned());
    }
    if embedder.max_tokens() == 0 {
        violations.push("max_tokens() is 0: every text would be cut to nothing".to_owned());
    }
    for role in [Role::Query, Role::Document] {
        let together = match embedder.embed(&TEXTS, role) {
            Ok(vectors) => vectors,
            Err(error) => {
                violations.push(format!("embed() failed on ordinary texts as {role:?}: {error}"));
                continue;
            }
        };
        if let Err(error) = together.check(embedder.dim(), TEXTS.len()) {
            violations.push(format!("embed() as {role:?}: {error}"));
            continue;
        }
        for (text, row) in TEXTS.iter().zip(together.rows()) {
            match embedder.embed(&[text], role) {
                Ok(alone) => {
                    let far = alone
                        .rows()
                        .next()
                        .map_or(f32::INFINITY, |one| distance(one, row));
                    if far > 1e-4 {
                        violations.push(format!(
                            "the vector of {text:?} moves by {far} with its neighbours in the batch"
                        ));
                    }
                }
                Err(error) => violations.push(format!("embed() failed on {text:?} alone: {error}")),
            }
        }
        match embedder.embed(&TEXTS, role) {
            Ok(again) if again == together => {}
            Ok(_) => violations.push(format!("a second embed() of the same texts as {role:?} differs")),
            Err(error) => violations.push(format!("a second embed() failed: {error}")),
        }
        match embedder.embed(&[], role) {
            Ok(none) if none.is_empty() => {}
            Ok(none) => violations.push(format!("embed() of no text gave {} vectors", none.len())),
            Err(error) => violations.push(format!("embed() of no text failed: {error}")),
        }
    }
    violations
}

/// Checks a reranker: one probability for each passage, in order, independent of the others.
pub fn reranker(reranker: &dyn Reranker) -> Vec<String> {
    let mut violations = Vec::new();
    let question = "Which language is a systems programming language?";
    match reranker.score(question, &TEXTS) {
        Ok(scores) if scores.len() == TEXTS.len() => {
            for (text, score) in TEXTS.iter().zip(&scores) {
                if !(0.0..=1.0).contains(score) {
                    violations.push(format!("the score of {text:?} is {score}, not a probability"));
                }
                match reranker.score(question, &[text]).as_deref() {
                    Ok([alone]) if (alone - score).abs() <= 1e-4 => {}
                    Ok(other) => {
                        violations.push(format!("{text:?} alone scores {other:?}, among others {score}"))
                    }
                    Err(error) => violations.push(format!("score() failed on {text:?} alone: {error}")),
                }
            }
        }
        Ok(scores) => violations.push(format!("{} scores for {} passages", scores.len(), TEXTS.len())),
        Err(error) => violations.push(format!("score() failed on ordinary passages: {error}")),
    }
    match reranker.score(question, &[]) {
        Ok(none) if none.is_empty() => {}
        Ok(none) => violations.push(format!("score() of no passage gave {} scores", none.len())),
        Err(error) => violations.push(format!("score() of no passage failed: {error}")),
    }
    violations
}

/// Checks a generator that can continue any prompt: counting, the closing event, the token limit.
pub fn generator(generator: &dyn Generator) -> Vec<String> {
    let mut violations = Vec::new();
    if generator.id().is_empty() {
        violations.push("id() is empty: a trace could not name this generator".to_owned());
    }
    let short = Prompt::from("Tea?");
    let long = Prompt::from(
        "Tea is a drink made from the leaves of a plant, steeped in hot water for some minutes.",
    );
    match (generator.count(&short), generator.count(&long)) {
        (Ok(short), Ok(long)) if short.get() < long.get() => {}
        (Ok(short), Ok(long)) => {
            violations.push(format!(
                "count() gives {short:?} for a short prompt, {long:?} for a longer one"
            ));
        }
        (Err(error), _) | (_, Err(error)) => violations.push(format!("count() failed: {error}")),
    }
    let options = GenerateOptions::default().with_max_tokens(1);
    match generator.stream(short, options) {
        Ok(stream) => {
            let events: Vec<_> = stream.collect();
            match events.split_last() {
                Some((Ok(GenerateEvent::Done { finish, usage }), pieces)) => {
                    if usage.completion_tokens > 1 {
                        violations.push(format!("max_tokens 1 gave {} tokens", usage.completion_tokens));
                    }
                    if !matches!(finish, FinishReason::Stop | FinishReason::Length) {
                        violations.push(format!("unknown finish reason {finish:?}"));
                    }
                    if pieces
                        .iter()
                        .any(|event| !matches!(event, Ok(GenerateEvent::Text(_) | GenerateEvent::Token(_))))
                    {
                        violations
                            .push("something other than text stands before the closing event".to_owned());
                    }
                }
                other => violations.push(format!(
                    "the stream does not end with Done: {:?}",
                    other.map(|(last, _)| last)
                )),
            }
        }
        Err(error) => violations.push(format!("stream() failed on an ordinary prompt: {error}")),
    }
    options_of(generator, &mut violations);
    violations
}

/// An option is honoured or refused, never ignored.
fn options_of(generator: &dyn Generator, violations: &mut Vec<String>) {
    let run = |options: GenerateOptions| {
        let options = options.with_max_tokens(16);
        generator.generate(Prompt::from("Tea?"), options)
    };
    let options = GenerateOptions::default;
    for (wrong, what) in [
        (options().with_temperature(-1.0), "a temperature below 0"),
        (options().with_top_p(2.0), "a top_p above 1"),
        (options().with_stop(""), "an empty stop text"),
    ] {
        if run(wrong).is_ok() {
            violations.push(format!("{what} is no error"));
        }
    }
    if let Ok(answer) = run(options().with_logprobs(2)) {
        if answer.tokens.len() != answer.usage.completion_tokens {
            violations.push(format!(
                "log-probabilities of {} tokens for an answer of {}",
                answer.tokens.len(),
                answer.usage.completion_tokens
            ));
        }
        if answer
            .tokens
            .iter()
            .any(|token| token.alternatives.len() > 2 || token.logprob > 0.0)
        {
            violations.push("log-probabilities above 0, or more alternatives than asked for".to_owned());
        }
    }
    if let Ok(answer) = run(options().with_constraint(Constraint::Regex("yes|no".to_owned()))) {
        let whole = matches!(answer.finish, FinishReason::Stop);
        if !["yes", "no"]
            .iter()
            .any(|word| *word == answer.text || !whole && word.starts_with(&answer.text))
        {
            violations.push(format!("the constraint `yes|no` gave {:?}", answer.text));
        }
    }
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}
