//! A conversation with a language model of this machine, in the terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser;
use ragtune::core::error::Error;
use ragtune::core::generation::LocalGenerator;
use ragtune::core::text::{GenerateEvent, MessageRole};
use ragtune::{GenerateOptions, Generator, Message, Prompt};
use ragtune_examples::language_model::{ModelArgs, SamplingArgs};
use ragtune_examples::{Outcome, output};

/// What can be typed besides messages.
const COMMANDS: &str =
    "/reset forgets the conversation, /prompt shows the exact text that was sent last, /quit ends";

/// Talk to a language model, offline.
///
/// Each line is a message; what was said before is read once and kept. When the conversation outgrows the model's context,
/// its oldest turns are left out, and the program says so. Commands: /reset, /prompt, /quit.
#[derive(Parser)]
#[command(
    name = "chat",
    after_help = "Examples:
  chat --model models/smollm2-360m-instruct
  chat --model hub:Qwen/Qwen3-0.6B --system \"You are a pirate.\" --temperature 0.8 --top-p 0.95"
)]
struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Standing instructions
    #[arg(long)]
    system: Option<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| run(&args))
}

fn run(args: &Args) -> Outcome {
    let options = args.sampling.options()?;
    let generator = args.model.load()?;
    if !generator.has_template() {
        output::note!("this model has no chat template: it gets `User:` and `Assistant:` lines");
    }
    let start: Vec<Message> = args.system.as_deref().map(Message::system).into_iter().collect();
    let mut conversation = start.clone();
    let terminal = std::io::stdin().is_terminal();
    if terminal {
        output::note!("{COMMANDS}");
    }
    let mut lines = std::io::stdin().lock().lines();
    let mut sent = String::new();
    loop {
        if terminal {
            let _ = write!(std::io::stderr(), "> ");
        }
        let line = match lines.next() {
            None => return Ok(()),
            Some(Ok(line)) => line,
            Some(Err(error)) if terminal && error.kind() == std::io::ErrorKind::InvalidData => {
                output::note!("this line is not UTF-8; it is left out");
                continue;
            }
            Some(Err(error)) => return Err(error.into()),
        };
        match line.trim() {
            "" => continue,
            "/quit" => return Ok(()),
            "/reset" => {
                conversation.clone_from(&start);
                continue;
            }
            "/prompt" => {
                output::note!("{}", output::printable(&sent));
                continue;
            }
            command if command.starts_with('/') => {
                output::note!("{COMMANDS}");
                continue;
            }
            message => conversation.push(Message::user(message)),
        }
        match answer(&generator, &mut conversation, &options) {
            Ok(text) => sent = text,
            // Somebody who sits there goes on; a script has to know.
            Err(error) if terminal && !output::is_closed(error.as_ref()) => {
                output::note!("error: {}", output::chain(error.as_ref()));
                conversation.pop_if(|message| message.role == MessageRole::User);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Streams the answer to the terminal and adds it to the conversation; returns the text that was sent.
fn answer(
    generator: &LocalGenerator,
    conversation: &mut Vec<Message>,
    options: &GenerateOptions,
) -> Result<String, Box<dyn std::error::Error>> {
    let (sent, stream) = loop {
        let prompt = Prompt::new(conversation.iter().cloned());
        let sent = generator.render(&prompt)?.text().to_owned();
        match generator.stream(prompt, options.clone()) {
            Ok(stream) => break (sent, stream),
            Err(error @ Error::ContextOverflow { .. }) => {
                // The oldest turn of the person and the answer to it; the last one has to stay.
                let oldest = conversation
                    .iter()
                    .position(|message| message.role == MessageRole::User);
                match oldest.filter(|at| at + 1 < conversation.len()) {
                    Some(at) => drop(conversation.drain(at..at + 2)),
                    None => return Err(error.into()),
                }
                output::note!("(the oldest turn is left out: the context of the model is full)");
            }
            Err(error) => return Err(error.into()),
        }
    };
    let mut text = String::new();
    for event in stream {
        if let GenerateEvent::Text(piece) = event? {
            output::piece(output::printable(&piece))?;
            text += &piece;
        }
    }
    output::line("")?;
    conversation.push(Message::assistant(text.trim()));
    Ok(sent)
}
