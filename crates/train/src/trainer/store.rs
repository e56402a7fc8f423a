//! The folder of a run: its last saved state, whole or not there.
//!
//! ```text
//! FOLDER/state-000120/state.json           position, history, settings, fingerprint of the data
//! FOLDER/state-000120/state.safetensors    weights, both moments, the best weights
//! FOLDER/state-000120/state.blake3         the checksum of state.json, which has that of the weights
//! ```
//!
//! A state is written into a folder of another name, synced and renamed; only then the one before it is removed. So a
//! process that is killed or a disk that is full leaves the state before.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use ragtune_core::weights::Checkpoint;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::history::History;
use super::lock::FolderLock;
use super::state::{Best, State};
use crate::error::{Error, Result};
use crate::optimiser::{AdamW, AdamWOptions};
use crate::tuning::Trainable;

/// The layout of the files; another number is another layout.
const VERSION: u32 = 2;
const META: &str = "state.json";
const WEIGHTS: &str = "state.safetensors";
const CHECKSUM: &str = "state.blake3";
/// Bytes whose multiple the header of safetensors is long.
const ALIGNMENT: usize = 8;
/// What stands in front of the step in a state's name.
const PREFIX: &str = "state-";
/// What stands behind the name of a state that is being written.
const PARTIAL: &str = ".partial";

/// The states of one run.
pub(super) struct Store {
    folder: PathBuf,
    /// The settings of the run, by which another run is told.
    settings: Value,
    data: String,
    _lock: FolderLock,
}

#[derive(Serialize, Deserialize)]
struct Meta {
    version: u32,
    settings: Value,
    data: String,
    step: usize,
    epoch: u64,
    index: usize,
    stale: usize,
    /// The step, and the bits of the score: decimal digits would not bring back the last of them.
    best: Option<(usize, u64)>,
    history: History,
    /// The bits of the scores of the history's evaluations.
    #[serde(default)]
    scores: Vec<Vec<u64>>,
    /// Of the file of weights.
    blake3: String,
}

impl Store {
    pub(super) fn new(folder: &Path, settings: Value, data: String) -> Result<Self> {
        Ok(Self {
            _lock: FolderLock::take(folder)?,
            folder: folder.to_owned(),
            settings,
            data,
        })
    }

    /// Writes the state, and removes those before it.
    pub(super) fn save(&self, state: &State, trainable: &Trainable) -> Result<PathBuf> {
        let name = format!("{PREFIX}{:09}", state.done());
        let (path, partial) = (
            self.folder.join(&name),
            self.folder.join(format!("{name}{PARTIAL}")),
        );
        let io = |at: &Path| {
            let at = at.to_owned();
            move |source| Error::io(at, source)
        };
        // A run has one state behind a step: what is there was saved or loaded by this run, and is the same. To write it
        // again would leave nothing for a moment.
        if path.exists() {
            return Ok(path);
        }
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(io(&partial))?;
        }
        let written = (|| {
            fs::create_dir(&partial).map_err(io(&partial))?;
            let blake3 = write_weights(&partial.join(WEIGHTS), state, trainable)?;
            let meta = Meta {
                version: VERSION,
                settings: self.settings.clone(),
                data: self.data.clone(),
                step: state.done(),
                epoch: state.epoch,
                index: state.index,
                stale: state.stale,
                best: state.best.as_ref().map(|best| (best.step, best.score.to_bits())),
                history: state.history.clone(),
                scores: state
                    .history
                    .evaluations
                    .iter()
                    .map(|evaluation| evaluation.scores.bits())
                    .collect(),
                blake3,
            };
            let meta = serde_json::to_vec_pretty(&meta).map_err(|source| Error::State {
                path: path.clone(),
                reason: source.to_string(),
            })?;
            let checksum = blake3::hash(&meta).to_hex();
            for (name, bytes) in [(META, meta.as_slice()), (CHECKSUM, checksum.as_bytes())] {
                let at = partial.join(name);
                let mut file = File::create(&at).map_err(io(&at))?;
                file.write_all(bytes)
                    .and_then(|()| file.sync_all())
                    .map_err(io(&at))?;
            }
            fs::rename(&partial, &path).map_err(io(&path))?;
            sync_folder(&self.folder)
        })();
        if let Err(error) = written {
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }
        for older in self.states()? {
            if older < state.done() {
                let _ = fs::remove_dir_all(self.folder.join(format!("{PREFIX}{older:09}")));
            }
        }
        Ok(path)
    }

    /// Reads the last state, if there is one, and puts its weights into `trainable`.
    pub(super) fn load(&self, trainable: &mut Trainable, options: AdamWOptions) -> Result<Option<State>> {
        let Some(step) = self.states()?.into_iter().max() else {
            return Ok(None);
        };
        let folder = self.folder.join(format!("{PREFIX}{step:09}"));
        let wrong = |reason: String| Error::State {
            path: folder.clone(),
            reason,
        };
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|source| Error::io(path, source))
        };
        let text = read(META)?;
        let mut meta: Meta = serde_json::from_slice(&text).map_err(|source| wrong(source.to_string()))?;
        if meta.version != VERSION {
            return Err(wrong(format!(
                "its layout is version {}, this is {VERSION}",
                meta.version
            )));
        }
        if read(CHECKSUM)? != blake3::hash(&text).to_hex().as_bytes() {
            return Err(wrong(format!("{META} is damaged: its checksum is another")));
        }
        let differences = differences(&meta.settings, &reread(&self.settings));
        if !differences.is_empty() {
            return Err(Error::OtherRun {
                path: folder.clone(),
                differences,
            });
        }
        if meta.data != self.data {
            let differences = vec!["the examples, or how they become tokens, are not the same".to_owned()];
            return Err(Error::OtherRun {
                path: folder.clone(),
                differences,
            });
        }
        for (evaluation, bits) in meta.history.evaluations.iter_mut().zip(&meta.scores) {
            evaluation.scores.set_bits(bits);
        }
        let path = folder.join(WEIGHTS);
        let mut hasher = blake3::Hasher::new();
        let file = File::open(&path).map_err(|source| Error::io(&path, source))?;
        hasher
            .update_reader(file)
            .map_err(|source| Error::io(&path, source))?;
        if hasher.finalize().to_hex().as_str() != meta.blake3 {
            return Err(wrong(format!("{WEIGHTS} is damaged: its checksum is another")));
        }
        let checkpoint = Checkpoint::open(&path)?;
        let mut optimiser = AdamW::new(options, trainable.parameters());
        optimiser.steps = meta.step;
        let mut best = meta.best.map(|(step, score)| Best {
            step,
            score: f64::from_bits(score),
            values: Vec::new(),
        });
        for (parameter, moments) in trainable.parameters_mut().iter_mut().zip(&mut optimiser.moments) {
            let (name, count) = (parameter.name(), parameter.count());
            let values = |name: String| -> Result<Tensor<1>> {
                let values = checkpoint.read(&name, &[count])?;
                let values = values.ok_or_else(|| wrong(format!("{WEIGHTS} has no {name}")))?;
                Ok(crate::tuning::like(values, &parameter.values))
            };
            let [first, second] = ["first", "second"].map(|moment| values(format!("{name}@{moment}")));
            *moments = [first?, second?];
            if let Some(best) = &mut best {
                best.values.push(values(format!("{name}@best"))?);
            }
            parameter.values = values(name)?;
        }
        Ok(Some(State {
            optimiser,
            epoch: meta.epoch,
            index: meta.index,
            history: meta.history,
            best,
            stale: meta.stale,
        }))
    }

    /// Whether the folder has a state.
    pub(super) fn is_used(&self) -> Result<bool> {
        Ok(!self.states()?.is_empty())
    }

    /// The steps of the states that are whole.
    fn states(&self) -> Result<Vec<usize>> {
        let entries = fs::read_dir(&self.folder).map_err(|source| Error::io(&self.folder, source))?;
        let mut steps = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| Error::io(&self.folder, source))?;
            let name = entry.file_name();
            let step: Option<usize> = name
                .to_str()
                .and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            steps.extend(step);
        }
        Ok(steps)
    }
}

/// Writes everything of a state that is numbers as safetensors, one tensor at a time, and returns the file's checksum.
fn write_weights(path: &Path, state: &State, trainable: &Trainable) -> Result<String> {
    let mut tensors: Vec<(String, &Tensor<1>)> = Vec::new();
    for (index, (parameter, moments)) in trainable
        .parameters()
        .iter()
        .zip(&state.optimiser.moments)
        .enumerate()
    {
        let name = parameter.name();
        tensors.push((format!("{name}@first"), &moments[0]));
        tensors.push((format!("{name}@second"), &moments[1]));
        let best = state.best.as_ref().and_then(|best| best.values.get(index));
        tensors.extend(best.map(|best| (format!("{name}@best"), best)));
        tensors.push((name, &parameter.values));
    }
    // 1. The header: names, shapes, and where each begins and ends behind it.
    let mut end = 0;
    let mut header = serde_json::Map::new();
    for (name, values) in &tensors {
        let [count] = values.dims();
        let begin = end;
        end += count * size_of::<f32>();
        let entry = json!({ "dtype": "F32", "shape": [count], "data_offsets": [begin, end] });
        header.insert(name.clone(), entry);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    // 2. The numbers.
    let failed = |source| Error::io(path, source);
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    let mut hasher = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        hasher.update(bytes);
        file.write_all(bytes)
    };
    put(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    put(&header).map_err(failed)?;
    for (_, values) in tensors {
        let data = values.clone().into_data();
        let bytes: Vec<u8> = data.iter::<f32>().flat_map(f32::to_le_bytes).collect();
        put(&bytes).map_err(failed)?;
    }
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Settings as they are when they come back from a file: a number of seventeen digits may come back as its neighbour.
pub(crate) fn reread(settings: &Value) -> Value {
    serde_json::from_str(&settings.to_string()).unwrap_or_else(|_| settings.clone())
}

/// The settings in which two runs differ.
pub(crate) fn differences(before: &Value, now: &Value) -> Vec<String> {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
            let differ = |name: &&String| {
                let (before, now) = (before.get(*name)?, now.get(*name)?);
                let inner = match (before, now) {
                    (Value::Object(_), Value::Object(_)) => differences(before, now),
                    _ if before == now => Vec::new(),
                    _ => vec![format!("was {before}, is {now}")],
                };
                Some(
                    inner
                        .into_iter()
                        .map(|inner| format!("{name}: {inner}"))
                        .collect::<Vec<_>>(),
                )
            };
            let one_sided = |name: &&String| before.contains_key(*name) != now.contains_key(*name);
            let lone = names
                .iter()
                .filter(|name| one_sided(name))
                .map(|name| format!("{name}: only one run has it"));
            names.iter().filter_map(differ).flatten().chain(lone).collect()
        }
        _ if before == now => Vec::new(),
        _ => vec![format!("was {before}, is {now}")],
    }
}

/// Makes the names in a folder last, where the system can.
fn sync_folder(folder: &Path) -> Result<()> {
    match File::open(folder) {
        Ok(handle) => handle.sync_all().or_else(|_| Ok(())),
        Err(source) => Err(Error::io(folder, source)),
    }
}
