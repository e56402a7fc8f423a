//! The tensors of a checkpoint by name.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use half::f16;
use safetensors::Dtype;
use serde::Deserialize;

use super::convert::{self, QUANTISATION_GROUP};
use super::error::CheckpointError;
use super::header::{self, TensorEntry};
use super::int4::{INT4_GROUP, Int4Matrix};
use super::loader::{Account, LoadReport, Loader};
use super::mapped::Bytes;
use super::matrix::{Content, StoredMatrix};
use super::quantise::QuantisedMatrix;
use crate::error::{Error, Result};

/// The tensors of a model: one safetensors file, several named by an index, or bytes in memory.
///
/// Headers are checked on opening; a tensor's bytes are touched when it is read.
///
/// ```no_run
/// use ragtune_core::weights::Checkpoint;
/// let checkpoint = Checkpoint::open("models/all-minilm-l6-v2")?;
/// for name in checkpoint.names() {
///     println!("{name} {:?}", checkpoint.shape(name));
/// }
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    files: Vec<ShardFile>,
    tensors: BTreeMap<String, (usize, TensorEntry)>,
}

#[derive(Clone, Debug)]
struct ShardFile {
    path: PathBuf,
    bytes: Bytes,
}

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// The file name of a whole checkpoint.
    pub const FILE: &'static str = "model.safetensors";
    /// The file name of the index of a sharded checkpoint.
    pub const INDEX: &'static str = "model.safetensors.index.json";
    /// What to do about a folder without weights.
    pub(crate) const REMEDY: &'static str = "weights are read from model.safetensors or from the shards of \
        model.safetensors.index.json; convert other formats (pytorch_model.bin) with \
        `save_pretrained(..., safe_serialization=True)`";

    /// Opens a safetensors file, or the checkpoint of a folder.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::MissingFile`] when the folder has no weights, and [`Error::Checkpoint`] when a file is
    /// damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
        if !metadata.is_dir() {
            return Self::whole(path.to_owned(), Bytes::map(path)?);
        }
        let (whole, index) = (path.join(Self::FILE), path.join(Self::INDEX));
        if whole.exists() {
            let bytes = Bytes::map(&whole)?;
            Self::whole(whole, bytes)
        } else if index.exists() {
            Self::sharded(path, index)
        } else {
            Err(Error::MissingFile {
                path: whole,
                remedy: Self::REMEDY,
            })
        }
    }

    /// A safetensors file held in memory; `label` stands for its path in messages.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the bytes are damaged.
    pub fn from_bytes(label: impl Into<PathBuf>, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        Self::whole(label.into(), Bytes::from(bytes.into()))
    }

    /// The file or folder, as messages name it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|(_, entry)| entry.shape.as_slice())
    }

    /// The stored dtype of a tensor, such as `F32`.
    pub fn dtype(&self, name: &str) -> Option<String> {
        self.tensors.get(name).map(|(_, entry)| entry.dtype.to_string())
    }

    /// The weights of a tensor in row-major order as f32; `None` where there is no tensor of this name. Quantised
    /// tensors are decoded: I8 with `<name>_scale`, U8 with `<name>_scale` and `<name>_minimum`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when it has another shape, a dtype that weights are not read from, or a value that is not
    /// finite.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>> {
        let Some(content) = self.content(name, shape)? else {
            return Ok(None);
        };
        let (columns, rows) = shape.split_last().unwrap_or((&1, &[]));
        let dims = [rows.iter().product(), *columns];
        StoredMatrix::from_content(name, dims, content).map(|matrix| Some(matrix.into_f32()))
    }

    /// A weight matrix in the precision that it is stored in; `None` where there is no tensor of this
    /// name.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn matrix(&self, name: &str, dims: [usize; 2]) -> Result<Option<StoredMatrix>> {
        let content = self.content(name, &dims)?;
        content
            .map(|content| StoredMatrix::from_content(name, dims, content))
            .transpose()
    }

    /// Builds a model from tensors by name, and accounts for every one of them.
    ///
    /// # Errors
    /// [`Error::MissingTensors`] with all tensors that the model asked for in vain, and whatever `build` raises.
    pub fn load<T>(
        &self,
        device: &Device,
        build: impl FnOnce(&Loader<'_>) -> Result<T>,
    ) -> Result<(T, LoadReport)> {
        let account = RefCell::new(Account::default());
        let built = build(&Loader::new(self, device, &account));
        let report = account.into_inner().report(self);
        if !report.missing.is_empty() {
            return Err(Error::MissingTensors {
                path: self.path.clone(),
                report: Box::new(report),
            });
        }
        built.map(|model| (model, report))
    }

    /// Feeds names, dtypes, shapes and stored bytes of tensors to a hash.
    pub(crate) fn hash_into(&self, names: &[String], hasher: &mut blake3::Hasher) {
        for (name, (file, entry)) in names.iter().filter_map(|name| self.tensors.get_key_value(name)) {
            hasher.update(format!("{name}\0{}\0{:?}\0", entry.dtype, entry.shape).as_bytes());
            hasher.update(self.bytes(*file, entry));
        }
    }

    /// Whether a tensor holds integers of four bits: U8 with scales and minima.
    pub(super) fn is_int4(&self, name: &str) -> bool {
        let is_bytes = self
            .tensors
            .get(name)
            .is_some_and(|(_, entry)| entry.dtype == Dtype::U8);
        is_bytes && self.companions(name).iter().all(|part| self.contains(part))
    }

    /// The names of what belongs to a quantised tensor: scales and minima.
    pub(super) fn companions(&self, name: &str) -> Vec<String> {
        match self.tensors.get(name).map(|(_, entry)| entry.dtype) {
            Some(Dtype::I8) => vec![format!("{name}_scale")],
            Some(Dtype::U8) => vec![format!("{name}_scale"), format!("{name}_minimum")],
            _ => Vec::new(),
        }
    }

    /// Weights of all tensors together.
    pub(super) fn elements(&self) -> usize {
        let elements = |entry: &TensorEntry| entry.shape.iter().product::<usize>();
        self.tensors.values().map(|(_, entry)| elements(entry)).sum()
    }

    pub(super) fn whole(path: PathBuf, bytes: Bytes) -> Result<Self> {
        let entries = header::parse(bytes.as_slice()).map_err(|source| Error::Checkpoint {
            path: path.clone(),
            source,
        })?;
        let tensors = entries
            .into_iter()
            .map(|(name, entry)| (name, (0, entry)))
            .collect();
        let files = vec![ShardFile {
            path: path.clone(),
            bytes,
        }];
        Ok(Self { path, files, tensors })
    }

    fn sharded(folder: &Path, index: PathBuf) -> Result<Self> {
        let broken = |source| Error::Checkpoint {
            path: index.clone(),
            source,
        };
        let text = std::fs::read(&index).map_err(|source| Error::io(&index, source))?;
        let Index { weight_map } =
            serde_json::from_slice(&text).map_err(|source| broken(CheckpointError::Index { source }))?;
        let mut shards: BTreeMap<String, (usize, BTreeMap<String, TensorEntry>)> = BTreeMap::new();
        let (mut files, mut tensors) = (Vec::new(), BTreeMap::new());
        for (tensor, file) in weight_map {
            if Path::new(&file).file_name() != Some(file.as_ref()) {
                return Err(broken(CheckpointError::ShardName { tensor, file }));
            }
            if !shards.contains_key(&file) {
                let path = folder.join(&file);
                let bytes = Bytes::map(&path)?;
                let entries = header::parse(bytes.as_slice()).map_err(|source| Error::Checkpoint {
                    path: path.clone(),
                    source,
                })?;
                shards.insert(file.clone(), (files.len(), entries));
                files.push(ShardFile { path, bytes });
            }
            let entry = shards
                .get(&file)
                .and_then(|(i, entries)| Some((*i, entries.get(&tensor)?.clone())));
            match entry {
                Some(entry) => tensors.insert(tensor, entry),
                None => return Err(broken(CheckpointError::ShardLacks { tensor, file })),
            };
        }
        Ok(Self {
            path: index,
            files,
            tensors,
        })
    }

    /// The content of a tensor of which the model expects this shape.
    fn content(&self, name: &str, shape: &[usize]) -> Result<Option<Content>> {
        let Some((file, entry)) = self.tensors.get(name) else {
            return Ok(None);
        };
        let read = || {
            let bytes = self.bytes(*file, entry);
            let (columns, rows) = shape.split_last().unwrap_or((&1, &[]));
            let with = |columns: usize| [rows, &[columns]].concat();
            let stored = match entry.dtype {
                Dtype::U8 if !shape.is_empty() => with(columns.div_ceil(2)),
                _ => shape.to_vec(),
            };
            expect(name, &entry.shape, stored)?;
            Ok(match entry.dtype {
                Dtype::BF16 => Content::Bf16(convert::to_bf16(name, bytes)?),
                Dtype::F16 => Content::F16(convert::to_f16(name, bytes)?),
                Dtype::I8 => Content::Int8(QuantisedMatrix {
                    values: bytes.iter().map(|byte| byte.cast_signed()).collect(),
                    scales: self.scales(name, "_scale", with(columns.div_ceil(QUANTISATION_GROUP)))?,
                }),
                Dtype::U8 => Content::Int4(Int4Matrix {
                    values: bytes.to_vec(),
                    scales: self.scales(name, "_scale", with(columns.div_ceil(INT4_GROUP)))?,
                    minima: self.scales(name, "_minimum", with(columns.div_ceil(INT4_GROUP)))?,
                }),
                dtype => Content::F32(convert::to_f32(name, dtype, bytes)?),
            })
        };
        let content = read().map_err(|source| Error::Checkpoint {
            path: self.files[*file].path.clone(),
            source,
        });
        self.files[*file].bytes.release(entry.bytes.clone());
        content.map(Some)
    }

    /// The scales or minima of a quantised tensor.
    fn scales(&self, tensor: &str, suffix: &str, shape: Vec<usize>) -> Result<Vec<f16>, CheckpointError> {
        let name = format!("{tensor}{suffix}");
        let Some((file, entry)) = self.tensors.get(&name) else {
            let tensor = tensor.to_owned();
            return Err(CheckpointError::MissingScale { tensor, scale: name });
        };
        expect(&name, &entry.shape, shape)?;
        convert::to_scales(&name, entry.dtype, self.bytes(*file, entry))
    }

    /// The stored bytes of a tensor; the header's check keeps them inside the file.
    fn bytes(&self, file: usize, entry: &TensorEntry) -> &[u8] {
        self.files[file]
            .bytes
            .as_slice()
            .get(entry.bytes.clone())
            .unwrap_or_default()
    }
}

fn expect(tensor: &str, found: &[usize], expected: Vec<usize>) -> Result<(), CheckpointError> {
    if found == expected {
        return Ok(());
    }
    Err(CheckpointError::Shape {
        tensor: tensor.to_owned(),
        expected,
        found: found.to_vec(),
    })
}
