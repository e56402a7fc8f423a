//! Sentence encoding, MiniLM-L6 size (6 layers, hidden 384, 12 heads, intermediate 1536), against PyTorch.
//!
//! `cargo bench -p ragtune-benches --bench encode`. With `RAGTUNE_PYTHON` naming a Python that has torch and
//! transformers, each round runs ragtune and then PyTorch, so that both see the same machine; the quotient is the median
//! over the rounds. Without it only ragtune's own times are printed. `RAGTUNE_THREADS` (default 2) is the number of
//! threads of both, `RAGTUNE_ROUNDS` (default 15) the number of rounds.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use burn::tensor::{Distribution, Tensor};
use ragtune_core::device::{self, Device};
use ragtune_core::nn::{Activation, Attention, Context, Embedding, LayerNorm, Linear, Segments, in_parts};

const VOCABULARY: usize = 30_522;
const POSITIONS: usize = 512;
const HIDDEN: usize = 384;
const LAYERS: usize = 6;
const HEADS: usize = 12;
const INTERMEDIATE: usize = 1536;
/// (texts, tokens of each) and how many forward passes make a round.
const SHAPES: [(usize, usize, usize); 4] = [(32, 128, 3), (128, 32, 3), (8, 512, 3), (1, 16, 50)];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let threads = setting("RAGTUNE_THREADS", 2);
    let rounds = setting("RAGTUNE_ROUNDS", 15);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;
    let model = Model::random(&device::cpu())?;
    println!("MiniLM-L6 forward pass, f32, {threads} threads, medians of {rounds} alternating rounds");
    println!("| texts x tokens | ragtune ms | cpu ms | PyTorch ms | cpu ms | speed, PyTorch = 1 |");
    println!("|---|---|---|---|---|---|");
    let mut peer_version = None;
    for (texts, tokens, passes) in SHAPES {
        let ids: Vec<u32> = (0..texts * tokens)
            .map(|i| (i * 7919 % VOCABULARY) as u32)
            .collect();
        let mut peer = Peer::start(texts, tokens, threads)?;
        let mut own = Rounds::default();
        let mut other = Rounds::default();
        for round in 0..=rounds {
            let (start, before) = (Instant::now(), processor_seconds());
            for _ in 0..passes {
                model.forward(&ids, tokens)?;
            }
            let own_round = (start.elapsed().as_secs_f64(), processor_seconds() - before);
            let other_round = peer.as_mut().map(|peer| peer.run(passes)).transpose()?;
            if round > 0 {
                // the first round warms both up
                own.push(own_round, passes);
                other_round
                    .into_iter()
                    .for_each(|round| other.push(round, passes));
            }
        }
        peer_version = peer.map(|peer| peer.version.clone());
        println!(
            "| {texts} x {tokens} | {} | {} | {}",
            own.row(),
            other.row(),
            own.speed(&other)
        );
    }
    match peer_version {
        Some(version) => println!("\nPyTorch side: {version}"),
        None => println!(
            "\nPyTorch was not measured: RAGTUNE_PYTHON does not name a Python with torch and transformers"
        ),
    }
    Ok(())
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// Processor time of this process, all threads; 0 where the system has no /proc.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |index: usize| -> f64 {
        fields
            .split_whitespace()
            .nth(index)
            .and_then(|field| field.parse().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0 // utime and stime in hundredths of a second
}

/// Seconds of each round, per forward pass.
#[derive(Default)]
struct Rounds {
    wall: Vec<f64>,
    processor: Vec<f64>,
}

impl Rounds {
    fn push(&mut self, (wall, processor): (f64, f64), passes: usize) {
        self.wall.push(wall / passes as f64);
        self.processor.push(processor / passes as f64);
    }

    fn row(&self) -> String {
        if self.wall.is_empty() {
            return "- | -".to_owned();
        }
        format!(
            "{:.1} | {:.0}",
            median(&self.wall) * 1e3,
            median(&self.processor) * 1e3
        )
    }

    fn speed(&self, other: &Self) -> String {
        if other.wall.is_empty() {
            return "- |".to_owned();
        }
        let ratios: Vec<f64> = self
            .wall
            .iter()
            .zip(&other.wall)
            .map(|(own, other)| other / own)
            .collect();
        let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ratios.iter().copied().fold(0.0, f64::max);
        format!("{:.2} ({low:.2} to {high:.2}) |", median(&ratios))
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A Python process that runs forward passes when told to.
struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    version: String,
}

impl Peer {
    fn start(texts: usize, tokens: usize, threads: usize) -> Result<Option<Self>> {
        let Some(python) = std::env::var_os("RAGTUNE_PYTHON") else {
            return Ok(None);
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/encode_torch.py");
        let mut child = Command::new(python)
            .arg(script)
            .args([texts, tokens, threads].map(|number| number.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the peer has no pipes".into());
        };
        let mut output = BufReader::new(output);
        let mut version = String::new();
        output.read_line(&mut version)?;
        if version.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            child,
            input,
            output,
            version: version.trim().to_owned(),
        }))
    }

    fn run(&mut self, passes: usize) -> Result<(f64, f64)> {
        writeln!(self.input, "{passes}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let mut numbers = line.split_whitespace().map(str::parse::<f64>);
        match (numbers.next(), numbers.next()) {
            (Some(wall), Some(processor)) => Ok((wall?, processor?)),
            _ => Err(format!("the peer answered {line:?}").into()),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A BERT encoder of random weights.
struct Model {
    words: Embedding,
    positions: Embedding,
    types: Embedding,
    norm: LayerNorm,
    layers: Vec<Layer>,
    attention: Attention,
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    output_norm: LayerNorm,
    intermediate: Linear,
    dense: Linear,
    dense_norm: LayerNorm,
}

impl Model {
    fn random(device: &Device) -> Result<Self> {
        let matrix =
            |rows, columns| Tensor::<2>::random([rows, columns], Distribution::Normal(0.0, 0.02), device);
        let norm = || {
            LayerNorm::new(
                "LayerNorm",
                Tensor::ones([HIDDEN], device),
                Tensor::zeros([HIDDEN], device),
                1e-12,
            )
        };
        let linear = |i, o| Linear::new("dense", matrix(o, i), Some(Tensor::zeros([o], device)));
        let layer = || -> Result<Layer> {
            Ok(Layer {
                query: linear(HIDDEN, HIDDEN)?,
                key: linear(HIDDEN, HIDDEN)?,
                value: linear(HIDDEN, HIDDEN)?,
                output: linear(HIDDEN, HIDDEN)?,
                output_norm: norm()?,
                intermediate: linear(HIDDEN, INTERMEDIATE)?,
                dense: linear(INTERMEDIATE, HIDDEN)?,
                dense_norm: norm()?,
            })
        };
        Ok(Self {
            words: Embedding::new("word_embeddings", matrix(VOCABULARY, HIDDEN)),
            positions: Embedding::new("position_embeddings", matrix(POSITIONS, HIDDEN)),
            types: Embedding::new("token_type_embeddings", matrix(2, HIDDEN)),
            norm: norm()?,
            layers: (0..LAYERS).map(|_| layer()).collect::<Result<_>>()?,
            attention: Attention::new(HEADS, HIDDEN / HEADS)?,
        })
    }

    fn forward(&self, ids: &[u32], tokens: usize) -> Result<Vec<Tensor<2>>> {
        let lengths = vec![tokens; ids.len() / tokens];
        Ok(in_parts(&Segments::from_lengths(lengths), |range, context| {
            self.part(&ids[range], context)
        })?)
    }

    fn part(&self, ids: &[u32], context: &Context) -> ragtune_core::Result<Tensor<2>> {
        let words = self.words.forward(ids)?;
        let positions = self.positions.forward(&context.segments().positions())?;
        let types = self.types.forward(&vec![0; ids.len()])?;
        let mut x = self.norm.forward_residual(words + types, positions);
        for layer in &self.layers {
            let [q, k, v] =
                Linear::forward_each([&layer.query, &layer.key, &layer.value], x.clone(), context);
            let mixed = self.attention.forward(q, k, v, None, context);
            x = layer
                .output_norm
                .forward_residual(layer.output.forward(mixed, context), x);
            let wide = layer
                .intermediate
                .forward_activated(x.clone(), Activation::Gelu, context);
            x = layer
                .dense_norm
                .forward_residual(layer.dense.forward(wide, context), x);
        }
        Ok(x)
    }
}
