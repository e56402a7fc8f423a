//! `--model DIR|hub:NAME` and how it generates, on a command line.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use ragtune::GenerateOptions;
use ragtune::core::adapters::{AdapterSet, AdapterStack};
use ragtune::core::chat::ChatDate;
use ragtune::core::device::DeviceSpec;
use ragtune::core::generation::LocalGenerator;
use ragtune::core::models::{CausalLm, LoadOptions};
use ragtune::core::text::{Constraint, Overflow};
use ragtune::core::weights::Precision;

use crate::{hub, output};

/// Which language model an example uses, and where.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// Language model: a folder in Hugging Face layout, or `hub:OWNER/NAME`
    #[arg(long, value_name = "DIR")]
    pub model: String,
    #[command(flatten)]
    pub adapters: AdapterArgs,
    /// Where it runs: cpu, wgpu, wgpu:N, cuda, cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: DeviceSpec,
    /// Keep the weights in f32, bf16, f16, int8 or int4, rounded while they are loaded [default: as the files have them]
    #[arg(long)]
    pub precision: Option<Precision>,
    /// Tokens of prompt and answer together [default: what the model was made for]
    #[arg(long, value_name = "N")]
    pub context_tokens: Option<usize>,
}

impl ModelArgs {
    /// Loads the model; chat templates that ask for a date get the present one.
    ///
    /// # Errors
    /// Those of downloading and loading.
    pub fn load(&self) -> Result<LocalGenerator, Box<dyn Error>> {
        let folder = folder(&self.model)?;
        let mut generator =
            LocalGenerator::load_with(folder, &self.device.device()?, &load_options(self.precision))?
                .with_date(ChatDate::now_utc()?)?;
        if let Some(context_tokens) = self.context_tokens {
            generator = generator.with_context_tokens(context_tokens)?;
        }
        let unused = &generator.lm().report().unused;
        if let Some(first) = unused.first() {
            output::note!(
                "{} tensors of the checkpoint have no place in the model that config.json describes, {} first",
                unused.len(),
                output::printable(first)
            );
        }
        let adapters = self.adapters.stack(generator.lm())?;
        Ok(generator.with_adapters(adapters))
    }
}

/// Which adapters stand beside a language model.
#[derive(Args, Clone, Debug, Default)]
pub struct AdapterArgs {
    /// Folder of a PEFT adapter beside the model, or `hub:OWNER/NAME`. May be given several times
    #[arg(long, value_name = "DIR")]
    pub adapter: Vec<String>,
    /// What the change of each adapter is multiplied by, in their order [default: 1 for each]
    #[arg(long, requires = "adapter", allow_negative_numbers = true, value_name = "X")]
    pub adapter_weight: Vec<f64>,
}

impl AdapterArgs {
    /// Loads the adapters for a model.
    ///
    /// # Errors
    /// Those of downloading and loading, and weights that are not one for each.
    pub fn stack(&self, lm: &CausalLm) -> Result<AdapterStack, Box<dyn Error>> {
        let given = self.adapter_weight.len();
        if given > 0 && given != self.adapter.len() {
            return Err(format!(
                "{given} weights for {} adapters; give one for each",
                self.adapter.len()
            )
            .into());
        }
        let mut stack = AdapterStack::base();
        for (at, adapter) in self.adapter.iter().enumerate() {
            let weight = self.adapter_weight.get(at).copied().unwrap_or(1.0);
            if !(weight as f32).is_finite() {
                return Err(format!("--adapter-weight {weight} is not a finite number of 32 bits").into());
            }
            stack = stack.with(Arc::new(AdapterSet::load(folder(adapter)?, lm)?), weight);
        }
        Ok(stack)
    }
}

/// How a model is loaded in a precision.
#[must_use]
pub fn load_options(precision: Option<Precision>) -> LoadOptions {
    let options = LoadOptions::default();
    match precision {
        Some(precision) => options.with_precision(precision),
        None => options,
    }
}

/// The folder that `DIR` or `hub:NAME` names.
///
/// # Errors
/// Those of downloading.
pub fn folder(model: &str) -> Result<PathBuf, Box<dyn Error>> {
    match model.split_once(':') {
        Some(("hub", "")) => Err("name a repository: hub:owner/name".into()),
        Some(("hub", name)) => hub::folder(name),
        _ => Ok(model.into()),
    }
}

/// How an answer is sampled and where it ends.
#[derive(Args, Clone, Debug)]
pub struct SamplingArgs {
    /// Tokens of the answer at most
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub max_tokens: usize,
    /// 0 takes the most probable token, 1 samples from the model's own distribution
    #[arg(long, default_value_t = 0.0)]
    pub temperature: f32,
    /// Sample among this many most probable tokens
    #[arg(long, value_name = "N")]
    pub top_k: Option<usize>,
    /// Sample among the most probable tokens that reach this probability together
    #[arg(long, value_name = "P")]
    pub top_p: Option<f32>,
    /// Sample among tokens at least this fraction as probable as the best
    #[arg(long, value_name = "P")]
    pub min_p: Option<f32>,
    /// Penalty on tokens of prompt and answer; 1 is none
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    pub repetition_penalty: f32,
    /// Penalty for each time that the answer has a token; 0 is none
    #[arg(long, default_value_t = 0.0, value_name = "X", allow_negative_numbers = true)]
    pub frequency_penalty: f32,
    /// Penalty on tokens that the answer has; 0 is none
    #[arg(long, default_value_t = 0.0, value_name = "X", allow_negative_numbers = true)]
    pub presence_penalty: f32,
    /// Added to the logit of a token, ID=VALUE; `-inf` forbids it. May be given several times
    #[arg(long, value_parser = logit_bias, value_name = "ID=VALUE")]
    pub logit_bias: Vec<(u32, f32)>,
    /// Seed of the sampling
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Text that ends the answer. May be given several times
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Token that ends the answer, by its id. May be given several times
    #[arg(long, value_name = "ID")]
    pub stop_token: Vec<u32>,
    /// Go on after the tokens with which the model ends an answer
    #[arg(long)]
    pub ignore_end: bool,
    /// The answer is JSON that the schema in this file accepts
    #[arg(long, value_name = "FILE", conflicts_with_all = ["regex", "json_value"])]
    pub json_schema: Option<PathBuf>,
    /// The answer matches this regular expression
    #[arg(long, value_name = "REGEX", conflicts_with = "json_value")]
    pub regex: Option<String>,
    /// The answer is any JSON value
    #[arg(long)]
    pub json_value: bool,
    /// What happens to a prompt that leaves the answer too little room
    #[arg(long, value_enum, default_value_t = OverflowChoice::Error)]
    pub overflow: OverflowChoice,
}

/// What happens to a prompt that leaves the answer too little room.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OverflowChoice {
    /// An error says by how many tokens
    Error,
    /// The answer is as long as there is room for
    ShortenAnswer,
    /// The oldest tokens of the prompt are left out
    DropOldest,
}

impl SamplingArgs {
    /// The library's options.
    ///
    /// # Errors
    /// A schema that cannot be read, and numbers outside their limits.
    pub fn options(&self) -> Result<GenerateOptions, Box<dyn Error>> {
        let mut options = GenerateOptions::default()
            .with_max_tokens(self.max_tokens)
            .with_temperature(self.temperature)
            .with_repetition_penalty(self.repetition_penalty)
            .with_frequency_penalty(self.frequency_penalty)
            .with_presence_penalty(self.presence_penalty)
            .with_seed(self.seed)
            .with_ignore_end(self.ignore_end)
            .with_overflow(match self.overflow {
                OverflowChoice::Error => Overflow::Error,
                OverflowChoice::ShortenAnswer => Overflow::ShortenAnswer,
                OverflowChoice::DropOldest => Overflow::DropOldest,
            });
        options.top_k = self.top_k;
        options.top_p = self.top_p;
        options.min_p = self.min_p;
        options.stop = self.stop.clone();
        options.stop_tokens = self.stop_token.clone();
        options.logit_bias = self.logit_bias.iter().copied().collect();
        options.constraint = match (&self.json_schema, &self.regex, self.json_value) {
            (Some(file), ..) => Some(Constraint::JsonSchema(schema(file)?)),
            (_, Some(regex), _) => Some(Constraint::Regex(regex.clone())),
            (_, _, true) => Some(Constraint::Json),
            _ => None,
        };
        options.check()?;
        Ok(options)
    }
}

fn schema(file: &Path) -> Result<serde_json::Value, Box<dyn Error>> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{} is not JSON: {error}", file.display()).into())
}

fn logit_bias(text: &str) -> Result<(u32, f32), String> {
    let form = "write ID=VALUE, such as 13=-5 or 13=-inf";
    let (id, value) = text.split_once('=').ok_or(form)?;
    match (id.trim().parse(), value.trim().parse()) {
        (Ok(id), Ok(value)) => Ok((id, value)),
        _ => Err(form.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn biases_are_read() {
        assert_eq!(logit_bias("13=-5"), Ok((13, -5.0)));
        assert_eq!(logit_bias("13=-inf"), Ok((13, f32::NEG_INFINITY)));
        assert!(logit_bias("13").is_err() && logit_bias("x=1").is_err());
    }
}
