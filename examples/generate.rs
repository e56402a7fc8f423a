//! Continues a prompt with a language model of this machine.

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ragtune::core::text::{GenerateEvent, TokenStream};
use ragtune::{Generator, Message, Prompt};
use ragtune_examples::language_model::{ModelArgs, SamplingArgs};
use ragtune_examples::{Outcome, output};
use serde_json::json;

/// Continue a prompt with a language model, offline.
///
/// The prompt is continued as it is; with --chat it is a turn of a conversation, rendered by the model's chat template.
/// Special tokens in the prompt are plain text.
#[derive(Parser)]
#[command(
    name = "generate",
    after_help = "Examples:
  generate --model models/stories260K --prompt \"Once upon a time\" --max-tokens 100 --stream
  generate --model models/qwen3-0.6b --chat --system \"Answer in one word.\" --prompt \"Capital of France?\"
  generate --model models/smollm2-135m --prompt \"def fib(n):\" --temperature 0.7 --top-p 0.9 --seed 1 --stop \"\\n\\n\"
  generate --model models/qwen3-0.6b --chat --prompt \"A person, as JSON\" --json-schema person.json --json"
)]
struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The prompt; `-` reads it from standard input
    #[arg(long)]
    prompt: String,
    /// The prompt is what a person says; the model's chat template is applied
    #[arg(long)]
    chat: bool,
    /// Standing instructions
    #[arg(long, requires = "chat")]
    system: Option<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Log-probabilities of each token and this many alternatives, in the object of --json
    #[arg(long, value_name = "N", requires = "json")]
    logprobs: Option<usize>,
    /// Print the text while it is generated
    #[arg(long, conflicts_with = "json")]
    stream: bool,
    /// Print the exact prompt that is sent on standard error
    #[arg(long)]
    show_prompt: bool,
    /// Print exactly one JSON object on standard output; `tokens` has every token that the model chose before the end: also
    /// those of a stop text, which `text` is without; `tokens_per_second` counts from the first token on, reading the
    /// prompt left out
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| run(&args))
}

fn run(args: &Args) -> Outcome {
    let mut text = args.prompt.clone();
    if text == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text)?;
    }
    let options = args.sampling.options()?;
    let generator = args.model.load()?;
    // Tokens are counted and listed by their log-probabilities.
    let options = options.with_logprobs(args.logprobs.unwrap_or(0));
    let (sent, stream) = if args.chat {
        let system = args.system.as_deref().map(Message::system);
        let prompt = Prompt::new(system.into_iter().chain([Message::user(text)]));
        let sent = generator.render(&prompt)?.text().to_owned();
        (sent, generator.stream(prompt, options)?)
    } else {
        let stream = generator.complete(&text, options)?;
        (text, stream)
    };
    if args.show_prompt {
        output::note!("--- prompt\n{}\n---", output::printable(&sent));
    }
    let answer = Answer::collect(stream, |piece| {
        if args.stream {
            output::piece(output::printable(piece))?;
        }
        Ok(())
    })?;
    let finish = answer.finish;
    if args.json {
        let ids: Vec<u32> = answer.tokens.iter().filter_map(|token| token.id).collect();
        let mut object = json!({
            "prompt": sent,
            "text": answer.text,
            "tokens": ids,
            "finish": finish,
            "tokens_per_second": answer.tokens_per_second,
        });
        if args.logprobs.is_some() {
            object["logprobs"] = serde_json::to_value(&answer.tokens)?;
        }
        return output::json(&object);
    }
    if args.stream {
        output::line("")?;
    } else {
        output::line(output::printable(&answer.text))?;
    }
    output::note!(
        "{} tokens, {:.1} per second, ended by {finish}",
        answer.tokens.len(),
        answer.tokens_per_second
    );
    Ok(())
}

/// What came out of a stream, and how fast.
struct Answer {
    text: String,
    tokens: Vec<ragtune::core::text::TokenLogprob>,
    finish: serde_json::Value,
    tokens_per_second: f64,
}

impl Answer {
    fn collect(
        stream: TokenStream,
        mut show: impl FnMut(&str) -> Outcome,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let (mut text, mut tokens, mut end) = (String::new(), Vec::new(), serde_json::Value::Null);
        let started = Instant::now();
        let mut first = None;
        for event in stream {
            match event? {
                GenerateEvent::Text(piece) => {
                    show(&piece)?;
                    text += &piece;
                }
                GenerateEvent::Token(token) => {
                    first.get_or_insert_with(Instant::now);
                    tokens.push(token);
                }
                GenerateEvent::Done { finish, .. } => end = serde_json::to_value(finish)?,
                _ => {}
            }
        }
        // One token alone has no time after it: then the whole time counts.
        let (count, since) = match (tokens.len(), first) {
            (count @ 2.., Some(first)) => (count - 1, first),
            (count, _) => (count, started),
        };
        let seconds = since.elapsed().as_secs_f64().max(1e-9);
        Ok(Self {
            text,
            tokens,
            finish: end,
            tokens_per_second: count as f64 / seconds,
        })
    }
}
