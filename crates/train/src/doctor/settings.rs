//! Faults of the run's numbers.

use super::fault::Fault;
use super::finding::Diagnosis;
use super::inputs::{Inputs, Settings};

/// Models of fewer weights bear, and want, higher rates: the rate of least loss falls with the logarithm of the weights
/// (Kaplan et al. 2020, arXiv:2001.08361, equation D.1: 1e-3 at 10 million).
const SMALL_MODEL: u64 = 10_000_000;

/// Learning rates of each method that published recipes stay well within.
///
/// Whole weights: 2e-5 to 5e-5 (Devlin et al. 2019, appendix A.3), 1e-6 to 1e-5 for large language models. LoRA: 1e-4 to
/// 5e-4 (Hu et al. 2021, appendix D). (IA)³: 3e-3 (Liu et al. 2022, section 3.5). Adapters: 3e-5 to 3e-3 (Houlsby et al.
/// 2019, section 3.1). Prompts: 0.3 with Adafactor (Lester et al. 2021, section 3.1), 3e-2 in PEFT's examples. A head
/// alone is a logistic regression, which bears any rate that Adam does.
fn range(method: &str, weights: Option<u64>) -> Option<(f64, f64)> {
    match method {
        "full" | "selective" if weights.is_some_and(|weights| weights < SMALL_MODEL) => Some((1e-6, 5e-3)),
        "full" | "selective" => Some((1e-7, 3e-4)),
        "lora" | "dora" => Some((1e-5, 5e-3)),
        "ia3" => Some((1e-4, 5e-2)),
        "head" => Some((1e-5, 1.0)),
        "adapter" => Some((1e-5, 1e-2)),
        "prompt" => Some((1e-4, 1.0)),
        _ => None,
    }
}

pub(super) fn examine(inputs: &Inputs<'_>, diagnosis: &mut Diagnosis) {
    let Some(settings) = &inputs.settings else {
        return;
    };
    learning_rate(settings, diagnosis);
    let train = inputs.train.as_ref().map(Vec::len);
    let examples = inputs
        .sequences
        .as_ref()
        .map(|(sequences, _)| sequences.len())
        .or(train);
    if let Some(examples) = examples {
        diagnosis.looks_for(&[Fault::BatchLargerThanData]);
        let step = settings.batch.saturating_mul(settings.accumulation.max(1));
        if step > examples {
            let detail = format!(
                "{} times {} examples for a step, of {examples}",
                settings.batch,
                settings.accumulation.max(1)
            );
            diagnosis.add_count(Fault::BatchLargerThanData, 1, detail);
        }
    }
    diagnosis.looks_for(&[Fault::WarmupLongerThanRun, Fault::EvaluationNeverRuns]);
    if settings.warmup_steps > 0 && settings.warmup_steps >= settings.steps {
        let detail = format!(
            "{} steps of warm-up, {} in all",
            settings.warmup_steps, settings.steps
        );
        diagnosis.add_count(Fault::WarmupLongerThanRun, 1, detail);
    }
    if let Some(every) = settings.evaluate_every.filter(|every| *every > settings.steps) {
        let detail = format!("evaluated every {every} steps, and there are {}", settings.steps);
        diagnosis.add_count(Fault::EvaluationNeverRuns, 1, detail);
    }
    if inputs.train.is_some() {
        diagnosis.looks_for(&[Fault::SelectionWithoutEvaluation]);
        let missing = inputs.validation.as_ref().is_none_or(Vec::is_empty);
        let selects = settings.selects && missing;
        diagnosis.add_count(Fault::SelectionWithoutEvaluation, usize::from(selects), "");
    }
    diagnosis.looks_for(&[Fault::NoNegatives]);
    let alone = settings.in_batch_negatives && settings.batch < 2;
    diagnosis.add_count(Fault::NoNegatives, usize::from(alone), "");
}

/// Adam's steps are about as long as the rate: above these, weights of a trained model are noise behind the first one; those
/// that begin anew bear ten times as much.
fn limit(method: &str) -> f64 {
    match method {
        "head" | "prompt" => 10.0,
        _ => 1.0,
    }
}

fn learning_rate(settings: &Settings, diagnosis: &mut Diagnosis) {
    diagnosis.looks_for(&[Fault::AbsurdLearningRate]);
    let mut absurd = Vec::new();
    let rates = [
        (settings.learning_rate, settings.method.as_str()),
        (settings.head_learning_rate, "head"),
    ];
    for (rate, method) in rates {
        if let Some(rate) = rate
            && !(0.0..=limit(method)).contains(&rate)
        {
            absurd.push(format!(
                "{rate:e} for {method}, which bears {:e} at most",
                limit(method)
            ));
        }
    }
    diagnosis.add_count(Fault::AbsurdLearningRate, absurd.len(), absurd.join("; "));
    let range = range(&settings.method, settings.model_weights);
    let (Some(rate), Some((low, high))) = (settings.learning_rate, range) else {
        return;
    };
    diagnosis.looks_for(&[Fault::LearningRateTooHigh, Fault::LearningRateTooLow]);
    let detail = format!("{rate:e}, and {} takes {low:e} to {high:e}", settings.method);
    if (0.0..low).contains(&rate) {
        diagnosis.add_count(Fault::LearningRateTooLow, 1, detail);
    } else if rate > high && rate <= limit(&settings.method) {
        diagnosis.add_count(Fault::LearningRateTooHigh, 1, detail);
    }
}
