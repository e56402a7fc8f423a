//! `--task classify`: the labels of near examples, prompts, and trained classifiers.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ragtune::compare::{Approach, Comparison, FewShot, Measured, NearestExamples, Quality};
use ragtune::core::device;
use ragtune::core::models::SequenceClassifier;
use ragtune::core::statistics::{Bootstrap, Purpose, Random};
use ragtune::core::text::{Embedder, Role};
use ragtune::train::data::{Cleaning, Dataset, LabelMap, Labelled, labelled};
use ragtune::{Cancel, Document, Encoder, KnowledgeBase, LocalGenerator};
use serde_json::json;

use super::args::{Args, Budget};
use super::process::{self, Place};
use super::report::{self, Compared};
use super::said::Said;
use super::update;
use crate::finetune;
use crate::number::count;
use crate::whole::Whole;
use crate::{Outcome, output};

const SYSTEMS: [&str; 7] = [
    "labels",
    "nearest",
    "few-shot",
    "head",
    "lora",
    "full",
    "full+nearest",
];
/// Numbers of neighbours to choose from.
const NEIGHBOURS: [usize; 6] = [1, 3, 5, 9, 15, 25];
/// Examples that the number is chosen by, at most.
const CHOSEN_BY: usize = 500;
/// Documents that are added at a time.
const WINDOW: usize = 512;

type Texts = Dataset<Labelled>;

/// Compares classifiers.
pub fn classify(args: &Args) -> Outcome {
    args.check()?;
    let mut columns = labelled::Columns::default();
    columns.text.clone_from(&args.text_column);
    columns.label.clone_from(&args.label_column);
    let test = args.test.as_deref().ok_or("--task classify needs --test")?;
    let (mut train, test) = (
        labelled::read(&args.data, &columns)?,
        labelled::read(test, &columns)?,
    );
    for (set, path) in [
        (&train, &args.data),
        (&test, args.test.as_ref().unwrap_or(&args.data)),
    ] {
        let several = set
            .values()
            .filter(|text| text.labels.len() != 1 || text.pair.is_some())
            .count();
        if several > 0 {
            return Err(format!(
                "{}: {several} of {} examples have not exactly one text and one label, as this comparison needs",
                path.display(),
                set.len()
            )
            .into());
        }
    }
    // What also stands in the test set would be looked up, or learned by heart.
    let cleaned = [
        Cleaning::default().run(&mut train)?.to_string(),
        Cleaning::default().run_against(&mut train, &test)?.to_string(),
    ];
    let quality = quality(args, &train, &test)?;
    if let Some(only) = &args.only {
        let budget = args.budget.unwrap_or(Budget::All);
        let one = One {
            args,
            place: Place::new(&folder(args, budget), only),
            train: some(&train, budget, args.seed),
            test,
        };
        return if args.train {
            one.train(only)
        } else {
            one.ask(only)
        };
    }
    for line in cleaned {
        args.say(&line);
    }
    let chosen = args.chosen(&SYSTEMS, |name| match name {
        "few-shot" if args.generator.is_none() => Some("--generator"),
        "full+nearest" if !args.model.join("modules.json").exists() => {
            Some("a --model in sentence-transformers layout, whose head can be taken off")
        }
        _ => None,
    })?;
    let started = report::begin(args)?;
    let mut compared = Vec::new();
    for &budget in &args.per_class {
        let examples = some(&train, budget, args.seed);
        args.say(&format!(
            "{budget} of each class: {}, {}",
            count(examples.len(), "example"),
            count(test.len(), "question")
        ));
        let more = [OsString::from("--budget"), OsString::from(budget.to_string())];
        let systems = chosen.iter().map(|&name| {
            let trains = matches!(name, "head" | "lora" | "full");
            (Place::new(&folder(args, budget), name), trains)
        });
        let (systems, failed) = process::measured(args, systems, &more)?;
        let texts = test.values().map(|text| (text.text.clone(), json!(label(text))));
        let said = Said::all(texts, &systems);
        let comparison = Comparison::new(
            quality.clone(),
            systems,
            &Bootstrap::default().with_seed(args.seed),
        )?;
        compared.push(Compared {
            examples: examples.len(),
            budget: Some(budget),
            comparison,
            failed,
            said,
        });
    }
    report::finish(args, started, &compared)
}

fn folder(args: &Args, budget: Budget) -> PathBuf {
    args.out.join("systems").join(match budget {
        Budget::All => "all".to_owned(),
        Budget::Examples(examples) => format!("{examples}-per-class"),
    })
}

fn label(text: &Labelled) -> &str {
    text.labels.first().map_or("", String::as_str)
}

fn quality(args: &Args, train: &Texts, test: &Texts) -> Result<Quality, Box<dyn Error>> {
    let known: BTreeSet<&str> = train.values().map(label).collect();
    let unknown: BTreeSet<&str> = test
        .values()
        .map(label)
        .filter(|label| !known.contains(label))
        .collect();
    if let Some(first) = unknown.first() {
        output::note!(
            "{} labels of the test set are in no example, {first:?} first; no system can give them",
            unknown.len()
        );
    }
    let Some(class) = &args.f1 else {
        return Ok(Quality::mean("accuracy"));
    };
    if known.len() != 2 || !known.contains(class.as_str()) {
        let labels: Vec<&str> = known.into_iter().take(10).collect();
        return Err(format!(
            "--f1 {class}: F1 is of one of two classes; there are {}",
            labels.join(", ")
        )
        .into());
    }
    Ok(Quality::f1(
        format!("F1 of {class}"),
        test.values().map(|text| label(text) == class),
    ))
}

/// So many examples of each class, by chance; those of a smaller number are among those of a larger one.
fn some(train: &Texts, budget: Budget, seed: u64) -> Texts {
    let Budget::Examples(most) = budget else {
        return train.clone();
    };
    let mut order: Vec<usize> = (0..train.len()).collect();
    Random::of(seed, Purpose::Split, 0).shuffle(&mut order);
    let texts: Vec<&Labelled> = train.values().collect();
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    order.retain(|&index| {
        let Some(text) = texts.get(index) else {
            return false;
        };
        let taken = taken.entry(label(text)).or_default();
        *taken += 1;
        *taken <= most
    });
    order.sort_unstable();
    train.select(&order)
}

/// One system in its own process.
struct One<'a> {
    args: &'a Args,
    place: Place,
    train: Texts,
    test: Texts,
}

impl One<'_> {
    /// Trains it as `finetune` does.
    fn train(&self, name: &str) -> Outcome {
        let examples = self.place.model().with_extension("train.jsonl");
        let lines: String = self
            .train
            .values()
            .map(|text| format!("{}\n", json!({"text": text.text, "label": label(text)})))
            .collect();
        fs::write(&examples, lines)?;
        // Few examples are seen more often, so that a run has enough steps to learn at all.
        let (batch, epochs, least, own): (usize, usize, usize, &[&str]) = match name {
            "head" => (64, 40, 300, &["--method", "head", "--lr", "3e-2"]),
            "lora" => (
                16,
                10,
                600,
                &[
                    "--method",
                    "lora",
                    "--targets",
                    "all-linear",
                    "--rank",
                    "16",
                    "--lr",
                    "1e-3",
                ],
            ),
            _ => (16, 6, 600, &["--method", "full", "--lr", "1e-4"]),
        };
        let batch = batch.min(self.train.len());
        let steps = (epochs * self.train.len().div_ceil(batch)).max(least);
        let mut words: Vec<OsString> = vec!["finetune".into(), "--task".into(), "classify".into()];
        let given: [(&str, OsString); 7] = [
            ("--model", self.args.model.clone().into()),
            ("--data", examples.into()),
            ("--out", self.place.model().into()),
            ("--batch", batch.to_string().into()),
            ("--steps", steps.to_string().into()),
            ("--seed", self.args.seed.to_string().into()),
            ("--schedule", "cosine".into()),
        ];
        words.extend(
            given
                .into_iter()
                .flat_map(|(option, value)| [option.into(), value]),
        );
        words.extend(["--warmup", "0.1", "--no-valid"].map(OsString::from));
        words.extend(own.iter().map(OsString::from));
        if self.place.model().join("state").exists() {
            words.push("--resume".into());
        }
        let started = Instant::now();
        match finetune::main(words) {
            0 => {}
            // What it said is the reason.
            status => return Err(format!("training ended with status {status}").into()),
        }
        self.place.keep_training(started.elapsed().as_secs_f64())
    }

    /// Asks it every question, one at a time.
    fn ask(&self, name: &str) -> Outcome {
        let measured = match name {
            "labels" => self.labels()?,
            "nearest" => self.nearest(
                name,
                Approach::Retrieval,
                Encoder::load(&self.args.model, &device::cpu())?,
            )?,
            "few-shot" => self.few_shot()?,
            "full+nearest" => self.tuned_nearest()?,
            _ => self.tuned(name)?,
        };
        self.place.keep(measured)
    }

    /// Scores what `answer` says of each question.
    fn measure(
        &self,
        name: &str,
        approach: Approach,
        mut answer: impl FnMut(&str) -> Result<String, Box<dyn Error>>,
    ) -> Result<Measured, Box<dyn Error>> {
        let questions = self.test.values().enumerate();
        let questions = questions.map(|(number, text)| ((number + 1).to_string(), text));
        let ask = |text: &Labelled| {
            let said = answer(&text.text)?;
            Ok::<_, Box<dyn Error>>((if said == label(text) { 1.0 } else { 0.0 }, Some(said)))
        };
        Ok(Measured::run(name, approach, questions, &Cancel::new(), ask)?)
    }

    /// The model as it came: the nearest name of a class.
    fn labels(&self) -> Result<Measured, Box<dyn Error>> {
        let encoder = Encoder::load(&self.args.model, &device::cpu())?;
        let map = LabelMap::of_texts(&self.train)?;
        let named: Vec<String> = map
            .names()
            .iter()
            .map(|name| name.replace(['_', '-'], " "))
            .collect();
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let classes = encoder.embed(&named, Role::Document)?;
        let measured = self.measure("labels", Approach::Base, |text| {
            let text = encoder.embed(&[text], Role::Query)?;
            let text = text.row(0).unwrap_or_default();
            let cosine = |class: &[f32]| -> f32 { class.iter().zip(text).map(|(a, b)| a * b).sum() };
            let cosines: Vec<f32> = classes.rows().map(cosine).collect();
            let best = cosines
                .iter()
                .zip(map.names())
                .rev()
                .max_by(|(a, _), (b, _)| a.total_cmp(b));
            Ok(best.map(|(_, name)| name.clone()).unwrap_or_default())
        })?;
        Ok(measured.with_train_seconds(0.0))
    }

    /// The examples as a knowledge base.
    fn base(&self, encoder: Encoder) -> Result<KnowledgeBase, Box<dyn Error>> {
        if self.place.index().exists() {
            fs::remove_dir_all(self.place.index())?;
        }
        let base = KnowledgeBase::open(self.place.index())?
            .with_embedder(encoder)?
            .with_chunker(Whole);
        let texts: Vec<&Labelled> = self.train.values().collect();
        for (window, texts) in texts.chunks(WINDOW).enumerate() {
            let documents = texts.iter().enumerate().map(|(number, text)| {
                let id = (window * WINDOW + number).to_string();
                Document::new(id, text.text.as_str()).with_metadata("label", label(text))
            });
            base.add(documents)?;
        }
        Ok(base)
    }

    /// The votes of the nearest examples.
    fn nearest(&self, name: &str, approach: Approach, encoder: Encoder) -> Result<Measured, Box<dyn Error>> {
        let started = Instant::now();
        let base = self.base(encoder)?;
        let indexed = started.elapsed().as_secs_f64();
        let ids: Vec<String> = (0..self.train.len()).map(|number| number.to_string()).collect();
        let texts: Vec<&Labelled> = self.train.values().collect();
        let stride = texts.len().div_ceil(CHOSEN_BY).max(1);
        let some = ids.iter().zip(&texts).step_by(stride);
        let some = some.map(|(id, text)| (id.as_str(), text.text.as_str()));
        let nearest = NearestExamples::new(base.dense()).choose_neighbours(&NEIGHBOURS, some)?;
        let measured = self.measure(name, approach, |text| Ok(nearest.classify(text)?.label))?;
        let bytes = update::folder_bytes(&self.place.index())?;
        let neighbours = nearest.neighbours();
        let measured = measured.with_index_bytes(bytes).with_train_seconds(0.0).with_note(format!(
            "{neighbours} neighbours, chosen by leaving one out; {} examples were indexed in {indexed:.1} s",
            texts.len()
        ));
        Ok(match self.update(&base, neighbours)? {
            Some(seconds) => measured.with_update_seconds(seconds),
            None => measured,
        })
    }

    /// The first question gets the label of another class, until that is what is answered.
    fn update(&self, base: &KnowledgeBase, neighbours: usize) -> Result<Option<f64>, Box<dyn Error>> {
        let Some(question) = self.test.values().next() else {
            return Ok(None);
        };
        let ask = || {
            NearestExamples::new(base.dense())
                .with_neighbours(neighbours)
                .classify(&question.text)
        };
        let before = ask()?.label;
        let Some(other) = self.train.values().map(label).find(|label| *label != before) else {
            return Ok(None);
        };
        let document = |number: usize| {
            Document::new(format!("new {number}"), question.text.as_str()).with_metadata("label", other)
        };
        update::seconds(base, neighbours, document, || Ok(ask()?.label == other))
    }

    /// A language model that reads the nearest examples.
    fn few_shot(&self) -> Result<Measured, Box<dyn Error>> {
        let model = self.args.generator.as_ref().ok_or("few-shot needs --generator")?;
        let generator = LocalGenerator::load(model, &device::cpu())?;
        let base = self.base(Encoder::load(&self.args.model, &device::cpu())?)?;
        let labels: BTreeSet<&str> = self.train.values().map(label).collect();
        let few_shot = FewShot::new(base.dense(), generator, labels);
        let measured = self.measure("few-shot", Approach::Retrieval, |text| {
            Ok(few_shot.classify(text)?)
        })?;
        Ok(measured
            .with_index_bytes(update::folder_bytes(&self.place.index())?)
            .with_train_seconds(0.0))
    }

    /// A trained classifier.
    fn tuned(&self, name: &str) -> Result<Measured, Box<dyn Error>> {
        let classifier = SequenceClassifier::load(self.place.model().join("model"), &device::cpu())?;
        let measured = self.measure(name, Approach::Tuning, |text| {
            let found = classifier.classify(&[text])?;
            let best = found.first().map(|found| found.best()).unwrap_or_default();
            Ok(classifier.labels().name(best).unwrap_or_default().to_owned())
        })?;
        self.with_training(measured, &self.place, true)
    }

    /// The votes of the nearest examples in the space of the encoder that was tuned as a classifier.
    fn tuned_nearest(&self) -> Result<Measured, Box<dyn Error>> {
        let full = Place::new(
            &folder(self.args, self.args.budget.unwrap_or(Budget::All)),
            "full",
        );
        if !full.trained().exists() {
            return Err("full+nearest goes by what full trains; name both in --systems".into());
        }
        let encoder = self.place.model();
        without_head(&full.model().join("model"), &encoder)?;
        let encoder = Encoder::load(encoder, &device::cpu())?;
        let measured = self.nearest("full+nearest", Approach::TuningAndRetrieval, encoder)?;
        self.with_training(measured, &full, false)
    }

    /// Adds what training took; what is learned changes by training again.
    fn with_training(
        &self,
        measured: Measured,
        place: &Place,
        updates: bool,
    ) -> Result<Measured, Box<dyn Error>> {
        let Some(trained) = place.training()? else {
            return Ok(measured);
        };
        let measured = measured.with_train_seconds(trained.seconds);
        let measured = match updates {
            true => measured.with_update_seconds(trained.seconds),
            false => measured,
        };
        Ok(match trained.peak_bytes {
            Some(peak) => measured.with_note(format!(
                "training took {:.0} MB of memory at its peak",
                peak as f64 / 1e6
            )),
            None => measured,
        })
    }
}

/// Copies a classifier in sentence-transformers layout without its last layer, and with vectors of length one, as a sentence
/// encoder.
fn without_head(from: &Path, to: &Path) -> Outcome {
    let listed = fs::read(from.join("modules.json")).map_err(|error| {
        format!(
            "{}: a head can be taken off of a sentence-transformers folder only: {error}",
            from.display()
        )
    })?;
    let mut modules: Vec<serde_json::Value> = serde_json::from_slice(&listed)?;
    modules.retain(|module| {
        module["type"]
            .as_str()
            .is_some_and(|kind| !kind.ends_with("Dense"))
    });
    if !modules.iter().any(|module| {
        module["type"]
            .as_str()
            .is_some_and(|kind| kind.ends_with("Normalize"))
    }) {
        modules.push(json!({
            "idx": modules.len(), "name": modules.len().to_string(), "path": format!("{}_Normalize", modules.len()),
            "type": "sentence_transformers.models.Normalize",
        }));
    }
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    copy(from, to)?;
    fs::write(to.join("modules.json"), serde_json::to_vec_pretty(&modules)?)?;
    Ok(())
}

/// Copies a folder; its large files are linked where the system can.
fn copy(from: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()?.is_dir() {
            true => copy(&source, &target)?,
            false if entry.file_name() == "modules.json" => {}
            false => {
                if fs::hard_link(&source, &target).is_err() {
                    fs::copy(&source, &target)?;
                }
            }
        }
    }
    Ok(())
}
