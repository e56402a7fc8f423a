//! Structured output: whatever a model would say, the answer has its form.

use std::sync::Arc;

use ragtune_core::error::Error;
use ragtune_core::generation::LocalGenerator;
use ragtune_core::models::CausalLm;
use ragtune_core::text::{Constraint, FinishReason, GenerateOptions, Generation};
use serde_json::{Value, json};

use crate::tiny::Tiny;

fn answer(lm: &Arc<CausalLm>, constraint: Constraint, seed: u64) -> Generation {
    // A hot distribution over random weights: every allowed token is about as likely.
    let options = GenerateOptions::default()
        .with_max_tokens(600)
        .with_temperature(8.0)
        .with_seed(seed)
        .with_constraint(constraint);
    let stream = LocalGenerator::new(lm.clone()).complete("Tea", options).unwrap();
    stream.collect_all().unwrap()
}

#[test]
fn random_answers_under_a_schema_parse_and_validate() {
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "drink": {"enum": ["tea", "coffee", null]},
            "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
            "place": {"$ref": "#/$defs/place"},
        },
        "required": ["name", "age", "drink", "tags", "place"],
        "additionalProperties": false,
        "$defs": {"place": {
            "type": "object",
            "properties": {"x": {"type": "number", "minimum": -1, "maximum": 1}},
            "required": ["x"],
            "additionalProperties": false,
        }},
    });
    let lm = Tiny::default().load();
    for seed in 0..25 {
        let answer = answer(&lm, Constraint::JsonSchema(schema.clone()), seed);
        assert_eq!(answer.finish, FinishReason::Stop, "{}", answer.text);
        let value: Value =
            serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{error}: {}", answer.text));
        let fields = value.as_object().unwrap();
        let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["age", "drink", "name", "place", "tags"]);
        assert!(value["name"].as_str().unwrap().chars().count() <= 12);
        assert!((0..=150).contains(&value["age"].as_i64().unwrap()));
        assert!([json!("tea"), json!("coffee"), Value::Null].contains(&value["drink"]));
        let tags = value["tags"].as_array().unwrap();
        assert!((1..=3).contains(&tags.len()) && tags.iter().all(Value::is_boolean));
        assert!(value["place"]["x"].as_f64().unwrap().abs() <= 1.0);
    }
}

#[test]
fn random_answers_match_their_regular_expression() {
    let lm = Tiny::default().load();
    for seed in 0..25 {
        let date = answer(
            &lm,
            Constraint::Regex("(19|20)[0-9]{2}-(0[1-9]|1[0-2])".to_owned()),
            seed,
        );
        assert_eq!(date.finish, FinishReason::Stop);
        let (year, month) = date.text.split_once('-').unwrap();
        assert!(
            (1900..=2099).contains(&year.parse::<u32>().unwrap()),
            "{}",
            date.text
        );
        assert!(
            (1..=12).contains(&month.parse::<u32>().unwrap()) && month.len() == 2,
            "{}",
            date.text
        );
    }
    // An end that the model has to choose itself.
    let words = answer(&lm, Constraint::Regex("[ab]{1,400}".to_owned()), 1);
    assert!(words.text.chars().all(|c| c == 'a' || c == 'b') && !words.text.is_empty());
}

#[test]
fn any_json_is_json() {
    let lm = Tiny::default().load();
    let mut complete = 0;
    for seed in 0..25 {
        let answer = answer(&lm, Constraint::Json, seed);
        if answer.finish == FinishReason::Stop {
            complete += 1;
            match serde_json::from_str::<Value>(&answer.text) {
                Ok(_) => {}
                // JSON sets no limit to numbers; the parser does.
                Err(error) => assert!(
                    error.to_string().contains("number out of range"),
                    "{error}: {}",
                    answer.text
                ),
            }
        }
    }
    assert!(complete > 0);
}

#[test]
fn impossible_constraints_are_errors() {
    let generator = LocalGenerator::new(Tiny::default().load());
    for constraint in [
        Constraint::JsonSchema(json!(false)),
        Constraint::JsonSchema(json!(3)),
        Constraint::JsonSchema(json!({"type": "no such type"})),
        Constraint::JsonSchema(json!({"type": "integer", "minimum": 5, "maximum": 1})),
        Constraint::JsonSchema(json!({"$ref": "https://example.com/elsewhere.json"})),
        Constraint::Regex("(".to_owned()),
        Constraint::Regex("[^\\s\\S]".to_owned()),
    ] {
        let options = GenerateOptions::default().with_constraint(constraint.clone());
        let result = generator.complete("Tea", options);
        assert!(
            matches!(result, Err(Error::Constraint { .. })),
            "{constraint:?}: {result:?}"
        );
    }
    // Only the token that the constraint needs is forbidden.
    let options = GenerateOptions::default()
        .with_constraint(Constraint::Regex("a".to_owned()))
        .with_logit_bias(u32::from(b'a'), f32::NEG_INFINITY);
    let error = generator
        .complete("Tea", options)
        .unwrap()
        .collect_all()
        .unwrap_err();
    assert!(matches!(error, Error::Constraint { .. }), "{error}");
}
