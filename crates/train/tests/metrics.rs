//! Every metric against its reference implementation: the cases of fixtures/metrics, and sacreBLEU's own.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that meets them fails")]

use ragtune_train::Error;
use ragtune_train::metrics::bleu::{Smoothing, Tokenizer};
use ragtune_train::metrics::squad::{Version, normalize};
use ragtune_train::metrics::{
    Bleu, Classification, ConfusionMatrix, EntityScores, F1Scores, MultiLabel, Rouge, Scheme, ScoreTable,
    Squad, conll_entities, porter_stem, strict_entities,
};
use serde::Deserialize;
use serde_json::Value;

const CLOSE: f64 = 1e-9;

fn fixture<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    let path = format!("{}/tests/fixtures/metrics/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("fixture")).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn strings(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).expect("texts")
}

fn close(found: f64, expected: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(1.0);
    assert!(error < CLOSE, "{what}: {found}, the reference has {expected}");
}

fn close_scores(found: F1Scores, expected: &Value, what: &str) {
    close(found.precision, number(&expected[0]), what);
    close(found.recall, number(&expected[1]), what);
    close(found.f1, number(&expected[2]), what);
}

fn close_table(table: &ScoreTable, case: &Value, what: &str) {
    close_scores(table.micro, &case["micro"], &format!("{what}, micro"));
    close_scores(table.macro_, &case["macro"], &format!("{what}, macro"));
    close_scores(table.weighted, &case["weighted"], &format!("{what}, weighted"));
}

fn names(case: &Value) -> Vec<String> {
    let count = case["labels"].as_u64().expect("a count");
    (0..count).map(|label| label.to_string()).collect()
}

#[test]
fn classes_as_scikit_learn() {
    let cases: Value = fixture("classification.json");
    for (index, case) in cases["single"].as_array().expect("cases").iter().enumerate() {
        let what = format!("case {index}");
        let list = |key: &str| -> Vec<usize> { serde_json::from_value(case[key].clone()).expect("classes") };
        let (truth, predicted) = (list("truth"), list("predicted"));
        let found = Classification::evaluate(&truth, &predicted, &names(case)).expect("scores");
        close(found.accuracy, number(&case["accuracy"]), &what);
        close(found.matthews, number(&case["matthews"]), &what);
        close_table(&found.table, case, &what);
        let classes = case["classes"].as_array().expect("classes");
        assert_eq!(found.table.classes.len(), classes.len(), "{what}");
        for (row, expected) in found.table.classes.iter().zip(classes) {
            assert_eq!(row.label, expected[0].to_string(), "{what}");
            let values = Value::Array(expected.as_array().expect("a row")[1..].to_vec());
            close_scores(row.scores, &values, &what);
        }
        for (truth, row) in case["confusion"].as_array().expect("rows").iter().enumerate() {
            for (predicted, count) in row.as_array().expect("a row").iter().enumerate() {
                let found = found.confusion.get(truth, predicted).expect("a cell");
                assert_eq!(found as u64, count.as_u64().expect("a count"), "{what}");
            }
        }
    }
    for (index, case) in cases["multi"].as_array().expect("cases").iter().enumerate() {
        let what = format!("multi-label case {index}");
        let list =
            |key: &str| -> Vec<Vec<usize>> { serde_json::from_value(case[key].clone()).expect("classes") };
        let found = MultiLabel::evaluate(&list("truth"), &list("predicted"), &names(case));
        let found = found.expect("scores");
        close(found.subset_accuracy, number(&case["subset_accuracy"]), &what);
        close(found.hamming_loss, number(&case["hamming_loss"]), &what);
        close_table(&found.table, case, &what);
        close_scores(found.samples, &case["samples"], &what);
    }
}

#[test]
fn entities_as_seqeval() {
    let cases: Vec<Value> = fixture("entities.json");
    let mut schemes = std::collections::BTreeSet::new();
    for (index, case) in cases.iter().enumerate() {
        let name = case["scheme"].as_str().expect("a scheme");
        let what = format!("case {index}, {name}");
        let scheme = scheme(name);
        schemes.insert(name);
        let list =
            |key: &str| -> Vec<Vec<String>> { serde_json::from_value(case[key].clone()).expect("tags") };
        let (truth, predicted) = (list("truth"), list("predicted"));
        for (tags, expected) in truth.iter().zip(case["entities"].as_array().expect("lists")) {
            let found = match scheme {
                Some(scheme) => strict_entities(tags, scheme),
                None => conll_entities(tags),
            };
            let found: Vec<(String, usize, usize)> = found
                .expect("entities")
                .into_iter()
                .map(|entity| (entity.kind, entity.start, entity.end))
                .collect();
            let expected: Vec<(String, usize, usize)> =
                serde_json::from_value(expected.clone()).expect("entities");
            assert_eq!(found, expected, "{what}: {tags:?}");
        }
        let found = EntityScores::evaluate(&truth, &predicted, scheme).expect("scores");
        close(found.accuracy, number(&case["accuracy"]), &what);
        close_table(&found.table, case, &what);
        let classes = case["classes"].as_array().expect("kinds");
        assert_eq!(found.table.classes.len(), classes.len(), "{what}");
        for (row, expected) in found.table.classes.iter().zip(classes) {
            assert_eq!(row.label, expected[0].as_str().expect("a kind"), "{what}");
            let values = Value::Array(expected.as_array().expect("a row")[1..4].to_vec());
            close_scores(row.scores, &values, &what);
            assert_eq!(row.support as f64, number(&expected[4]), "{what}");
        }
        let detected = Scheme::detect(truth.iter().flatten().map(String::as_str));
        assert_eq!(
            detected,
            case["detected"].as_str().and_then(self::scheme),
            "{what}"
        );
    }
    assert_eq!(schemes.len(), 7, "{schemes:?}");
}

fn scheme(name: &str) -> Option<Scheme> {
    match name {
        "IOB1" => Some(Scheme::Iob1),
        "IOB2" => Some(Scheme::Iob2),
        "IOE1" => Some(Scheme::Ioe1),
        "IOE2" => Some(Scheme::Ioe2),
        "IOBES" => Some(Scheme::Iobes),
        "BILOU" => Some(Scheme::Bilou),
        _ => None,
    }
}

#[test]
fn bleu_as_sacrebleu() {
    let cases: Value = fixture("bleu.json");
    let tokenizers = ["13a", "intl", "char", "none"];
    for case in cases["tokens"].as_array().expect("texts") {
        let text = case["text"].as_str().expect("a text");
        for name in tokenizers {
            let found = tokenizer(name).tokens(text);
            assert_eq!(found, strings(&case[name]), "{name}: {text:?}");
        }
    }
    for (index, case) in cases["cases"].as_array().expect("cases").iter().enumerate() {
        let what = format!("case {index} {}", case["options"]);
        let references: Vec<Vec<String>> = serde_json::from_value(case["references"].clone()).expect("texts");
        let found = bleu(&case["options"])
            .corpus(&references, &strings(&case["hypotheses"]))
            .expect("a score");
        close(found.score, number(&case["score"]), &what);
        close(found.brevity_penalty, number(&case["bp"]), &what);
        assert_eq!(found.hypothesis_tokens as f64, number(&case["hyp"]), "{what}");
        assert_eq!(found.reference_tokens as f64, number(&case["ref"]), "{what}");
        let precisions = case["precisions"].as_array().expect("precisions");
        assert_eq!(found.precisions.len(), precisions.len(), "{what}");
        for (found, expected) in found.precisions.iter().zip(precisions) {
            close(*found, number(expected), &what);
        }
        assert_eq!(
            found.to_string(),
            case["text"].as_str().expect("a text"),
            "{what}"
        );
    }
}

fn tokenizer(name: &str) -> Tokenizer {
    match name {
        "13a" => Tokenizer::V13a,
        "intl" => Tokenizer::International,
        "char" => Tokenizer::Characters,
        "none" => Tokenizer::None,
        other => panic!("unknown tokenizer {other}"),
    }
}

fn smoothing(method: &str, value: &Value) -> Smoothing {
    match method {
        "exp" => Smoothing::Exponential,
        "none" => Smoothing::None,
        "floor" => Smoothing::Floor(value.as_f64().unwrap_or(0.1)),
        "add-k" => Smoothing::AddK(value.as_f64().unwrap_or(1.0)),
        other => panic!("unknown smoothing {other}"),
    }
}

fn bleu(options: &Value) -> Bleu {
    let text = |key: &str, default| options[key].as_str().unwrap_or(default).to_owned();
    let flag = |key: &str| options[key].as_bool().unwrap_or(false);
    let order = options["max_ngram_order"].as_u64().unwrap_or(4) as usize;
    Bleu::default()
        .with_tokenizer(tokenizer(&text("tokenize", "13a")))
        .with_smoothing(smoothing(&text("smooth_method", "exp"), &options["smooth_value"]))
        .with_lowercase(flag("lowercase"))
        .with_effective_order(flag("effective_order"))
        .with_order(order)
        .expect("an order")
}

/// sacreBLEU's own test cases, which are kept outside of the repository.
#[test]
fn bleu_as_the_tests_of_sacrebleu() {
    let Some(folder) = std::env::var_os("RAGTUNE_SHARED") else {
        eprintln!("SKIPPED bleu_as_the_tests_of_sacrebleu: RAGTUNE_SHARED is not set");
        return;
    };
    let path = std::path::Path::new(&folder).join("data/reference/sacrebleu/metric_vectors.json");
    let text = std::fs::read_to_string(path).expect("vectors");
    let vectors: Value = serde_json::from_str(&text).expect("JSON");
    let cases = &vectors["cases"]["test_bleu.py"];
    // sacreBLEU's references are streams: one list for each position of a reference.
    let corpus = |bleu: Bleu, hypotheses: &Value, streams: &Value| {
        let streams: Vec<Vec<String>> = serde_json::from_value(streams.clone()).expect("texts");
        let hypotheses = strings(hypotheses);
        let references: Vec<Vec<String>> = (0..hypotheses.len())
            .map(|i| streams.iter().map(|stream| stream[i].clone()).collect())
            .collect();
        bleu.corpus(&references, &hypotheses).expect("a score")
    };
    let near = |found: f64, expected: f64, what: &Value| {
        assert!((found - expected).abs() < 1e-5, "{found} != {expected}: {what}");
    };
    for case in cases["test_corpus_bleu_cases"].as_array().expect("cases") {
        let found = corpus(bleu(&case[2]), &case[0], &case[1]);
        near(found.score, number(&case[3]), case);
    }
    for case in cases["test_bleu_max_order"].as_array().expect("cases") {
        let options = serde_json::json!({"max_ngram_order": case[0]});
        let found = corpus(bleu(&options), &case[1], &case[2]);
        assert_eq!(format!("{:.2}", found.score), case[3].as_str().expect("a number"));
    }
    let effective = Bleu::default().with_effective_order(true);
    for case in cases["test_case_effective_order"].as_array().expect("cases") {
        let found = corpus(effective.with_tokenizer(Tokenizer::None), &case[0], &case[1]);
        // Named in the same way, but with the smoothing of an older version where an order has no match.
        if found
            .correct
            .iter()
            .zip(&found.total)
            .all(|(c, t)| *c > 0 || *t == 0)
        {
            near(found.score / 100.0, number(&case[2]), case);
        }
    }
    for case in cases["test_case_statistics"].as_array().expect("cases") {
        let found = corpus(Bleu::default(), &case[0], &case[1]);
        assert_eq!(serde_json::json!([found.correct, found.total]), case[2]);
    }
    let cases = &vectors["cases"]["test_sentence_bleu.py"];
    let text = |key: &str| cases[key].as_str().expect("a text").to_owned();
    for (list, reference, hypothesis) in [
        ("test_cases", "REF", "SYS"),
        ("test_cases_zero_bleu", "REF_0", "SYS_0"),
    ] {
        for case in cases[list].as_array().expect("cases") {
            let score = Bleu::default()
                .with_smoothing(smoothing(case[0].as_str().expect("a method"), &case[1]))
                .with_lowercase(case[2].as_bool().expect("a flag"))
                .with_tokenizer(tokenizer(case[3].as_str().expect("a tokenizer")))
                .sentence(&[text(reference)], &text(hypothesis))
                .expect("a score")
                .score;
            assert!((score - number(&case[4])).abs() < 1e-3, "{score}: {case}");
        }
    }
}

#[test]
fn rouge_as_rouge_score() {
    let cases: Value = fixture("rouge.json");
    let stems = cases["stems"].as_object().expect("words");
    assert!(stems.len() > 1000, "{} words", stems.len());
    for (word, stem) in stems {
        assert_eq!(porter_stem(word), stem.as_str().expect("a stem"), "{word}");
    }
    for case in cases["cases"].as_array().expect("cases") {
        let what = format!("{} against {}", case["prediction"], case["references"]);
        let found = Rouge::default()
            .with_stemmer(case["stemmer"].as_bool().expect("a flag"))
            .score_multi(
                &strings(&case["references"]),
                case["prediction"].as_str().expect("a text"),
            )
            .expect("scores");
        close_scores(found.rouge1, &case["rouge1"], &what);
        close_scores(found.rouge2, &case["rouge2"], &what);
        close_scores(found.rouge_l, &case["rougeL"], &what);
        close_scores(found.rouge_lsum, &case["rougeLsum"], &what);
    }
}

#[test]
fn answers_as_squad() {
    let case: Value = fixture("squad.json");
    for pair in case["normalize"].as_array().expect("texts") {
        let text = pair[0].as_str().expect("a text");
        assert_eq!(normalize(text), pair[1].as_str().expect("a text"), "{text:?}");
    }
    let rows = case["rows"].as_array().expect("rows");
    let golds: Vec<Vec<String>> = rows.iter().map(|row| strings(&row["golds"])).collect();
    let predictions: Vec<&str> = rows
        .iter()
        .map(|row| row["prediction"].as_str().expect("a text"))
        .collect();
    let squad = Squad::default();
    for ((golds, prediction), expected) in golds
        .iter()
        .zip(&predictions)
        .zip(case["raw"].as_array().expect("scores"))
    {
        let (exact, f1) = squad.score(golds, prediction);
        close(exact, number(&expected[0]), prediction);
        close(f1, number(&expected[1]), prediction);
    }
    let found = squad.evaluate(&golds, &predictions).expect("scores");
    for (part, name) in [
        (Some(found.all), "all"),
        (found.has_answer, "has"),
        (found.no_answer, "no"),
    ] {
        let (part, expected) = (part.expect("questions"), &case["v2"][name]);
        close(part.exact, number(&expected["exact"]), name);
        close(part.f1, number(&expected["f1"]), name);
        assert_eq!(part.questions as f64, number(&expected["total"]), "{name}");
    }
    let probabilities: Vec<f64> = rows.iter().map(|row| number(&row["probability"])).collect();
    let best = squad
        .best_thresholds(&golds, &predictions, &probabilities)
        .expect("thresholds");
    close(best.exact, number(&case["best"]["best_exact"]), "best exact");
    close(
        best.exact_threshold,
        number(&case["best"]["best_exact_thresh"]),
        "its threshold",
    );
    close(best.f1, number(&case["best"]["best_f1"]), "best F1");
    close(
        best.f1_threshold,
        number(&case["best"]["best_f1_thresh"]),
        "its threshold",
    );

    let (golds, predictions): (Vec<_>, Vec<_>) = golds
        .into_iter()
        .zip(predictions)
        .filter(|(golds, _)| !golds.is_empty())
        .unzip();
    let first = squad
        .with_version(Version::V1)
        .evaluate(&golds, &predictions)
        .expect("scores");
    close(first.all.exact, number(&case["v1"]["exact"]), "1.1 exact");
    close(first.all.f1, number(&case["v1"]["f1"]), "1.1 F1");
}

#[test]
fn bad_input_is_a_typed_error() {
    let short = Classification::evaluate(&[0, 1], &[0], &["a", "b"]);
    assert!(matches!(
        short,
        Err(Error::LengthMismatch {
            truths: 2,
            predictions: 1,
            ..
        })
    ));
    let outside = ConfusionMatrix::new(&[0, 1], &[0, 2], &["a", "b"]);
    assert!(matches!(
        outside,
        Err(Error::LabelOutOfRange {
            index: 1,
            label: 2,
            labels: 2
        })
    ));
    let empty = EntityScores::evaluate::<Vec<&str>, Vec<&str>, _, _>(&[], &[], None);
    assert!(matches!(empty, Err(Error::Empty { .. })));
    let tag = EntityScores::evaluate(&[["B-X", "X-Y"]], &[["O", "O"]], Some(Scheme::Iob2));
    assert!(matches!(tag, Err(Error::InvalidTag { word: 1, .. })), "{tag:?}");
    assert!(matches!(
        conll_entities(&["O", ""]),
        Err(Error::InvalidTag { word: 1, .. })
    ));
    let words = EntityScores::evaluate(&[vec!["O", "O"]], &[vec!["O"]], None);
    assert!(matches!(words, Err(Error::LengthMismatch { .. })));
    let references: [[&str; 0]; 1] = [[]];
    assert!(matches!(
        Bleu::default().corpus(&references, &["text"]),
        Err(Error::Empty { .. })
    ));
    assert!(Rouge::default().score_multi::<&str>(&[], "text").is_err());
    assert!(Bleu::default().with_order(0).is_err());
}

#[test]
fn results_print_as_tables_and_serialize() {
    let truth = [0, 0, 1, 1, 2];
    let found = Classification::evaluate(&truth, &[0, 1, 1, 1, 0], &["ham", "spam", "other"]);
    let found = found.expect("scores");
    let table = found.to_string();
    assert!(table.contains("accuracy 0.6000 of 5 examples"), "{table}");
    assert!(table.contains("macro avg"), "{table}");
    assert!(
        found.confusion.to_string().contains("rows: true"),
        "{}",
        found.confusion
    );
    assert_eq!(
        found.confusion.mistakes(),
        [("ham", "spam", 1), ("other", "ham", 1)]
    );
    let json = serde_json::to_value(&found).expect("JSON");
    assert_eq!(json["table"]["macro"]["f1"], found.table.macro_.f1);
    assert_eq!(json["table"]["classes"][0]["label"], "ham");
}
