//! The record of a run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use ragtune_core::chat::ChatDate;
use ragtune_core::statistics::Interval;
use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::versions::versions;
use crate::error::{Error, Result};

/// The version of the format that is written.
const FORMAT: u32 = 1;

/// Bytes of a record that are read at most.
const MAX_BYTES: u64 = 64 << 20;

/// What was run, on what, with which result.
///
/// ```
/// use ragtune::experiment::{Experiment, Metric};
///
/// let folder = std::env::temp_dir().join("ragtune-doc-experiment");
/// let mut run = Experiment::start("evaluate", "garden").with_seed(7);
/// run.configure(&serde_json::json!({"top_k": 5}))?;
/// run.set("token F1", Metric::new(0.61).with_interval(0.55, 0.67));
/// run.finish();
/// run.save(&folder)?;
/// let again = Experiment::load(&folder)?;
/// assert_eq!(again.metrics["token F1"].low, Some(0.55));
/// # std::fs::remove_dir_all(&folder).ok();
/// # Ok::<(), ragtune::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Experiment {
    /// The version of this format.
    pub format: u32,
    /// What was done: "evaluate", "compare", "finetune".
    pub kind: String,
    /// What its owner calls it.
    pub name: String,
    /// When it began, as RFC 3339 in UTC.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// The seed that decided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Every setting, as its owner writes it.
    pub configuration: serde_json::Value,
    /// The files and folders that it read.
    pub data: Vec<Fingerprint>,
    /// Of the library, of burn, of the compiler; the system and the processor.
    pub versions: BTreeMap<String, String>,
    /// What came out.
    pub metrics: BTreeMap<String, Metric>,
    /// What cannot be said in numbers, such as why a measure is absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    #[serde(skip)]
    clock: Clock,
}

/// When the run began; two records are equal whatever their clocks say.
#[derive(Clone, Copy, Debug, Default)]
struct Clock(Option<Instant>);

impl PartialEq for Clock {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A number that came out, with its interval where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The number, usually a mean.
    pub mean: f64,
    /// The lower end of its interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end of its interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

impl Metric {
    /// A number without an interval.
    pub fn new(mean: f64) -> Self {
        Self {
            mean,
            low: None,
            high: None,
        }
    }

    /// The same number with the ends of its interval.
    #[must_use]
    pub fn with_interval(mut self, low: f64, high: f64) -> Self {
        (self.low, self.high) = (Some(low), Some(high));
        self
    }

    fn is_finite(self) -> bool {
        [Some(self.mean), self.low, self.high]
            .iter()
            .flatten()
            .all(|value| value.is_finite())
    }
}

impl From<f64> for Metric {
    fn from(mean: f64) -> Self {
        Self::new(mean)
    }
}

impl From<&Interval> for Metric {
    fn from(interval: &Interval) -> Self {
        Self::new(interval.estimate).with_interval(interval.low, interval.high)
    }
}

impl Experiment {
    /// A record that begins now, by the system's clock, with the versions of this build.
    pub fn start(kind: impl Into<String>, name: impl Into<String>) -> Self {
        let now = ChatDate::now_utc().ok();
        let started = now.and_then(|now| now.format("%Y-%m-%dT%H:%M:%SZ").ok());
        Self {
            format: FORMAT,
            kind: kind.into(),
            name: name.into(),
            started: started.unwrap_or_default(),
            seconds: 0.0,
            seed: None,
            configuration: serde_json::Value::Null,
            data: Vec::new(),
            versions: versions(),
            metrics: BTreeMap::new(),
            notes: Vec::new(),
            clock: Clock(Some(Instant::now())),
        }
    }

    /// Names the seed that decides the run.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Keeps every setting.
    ///
    /// # Errors
    /// [`Error::BadExperiment`] for what cannot be written as JSON.
    pub fn configure(&mut self, settings: &impl Serialize) -> Result<&mut Self> {
        self.configuration = serde_json::to_value(settings).map_err(|error| Error::BadExperiment {
            path: Path::new("configuration").to_owned(),
            reason: format!("{error}; settings must be what JSON can hold"),
        })?;
        Ok(self)
    }

    /// Takes the fingerprint of a file or of all files of a folder that the run reads.
    ///
    /// # Errors
    /// [`Error::Io`] for what cannot be read.
    pub fn read_data(&mut self, path: impl AsRef<Path>) -> Result<&mut Self> {
        self.data.push(Fingerprint::of(path.as_ref())?);
        Ok(self)
    }

    /// Notes a number that came out; the last one of a name holds.
    pub fn set(&mut self, name: impl Into<String>, metric: impl Into<Metric>) -> &mut Self {
        self.metrics.insert(name.into(), metric.into());
        self
    }

    /// Notes what cannot be said in numbers.
    pub fn note(&mut self, text: impl Into<String>) -> &mut Self {
        self.notes.push(text.into());
        self
    }

    /// Stops the clock: [`Self::seconds`] is the time since [`Experiment::start`].
    pub fn finish(&mut self) -> &mut Self {
        if let Some(began) = self.clock.0 {
            self.seconds = began.elapsed().as_secs_f64();
        }
        self
    }

    /// Writes `experiment.json` into a folder, which is made if it is not there; the file is whole or not there.
    ///
    /// # Errors
    /// [`Error::BadExperiment`] for a metric that is no number; [`Error::Io`] and [`Error::Train`] with the path for
    /// what cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        let path = folder.join(Self::FILE);
        if let Some((name, metric)) = self.metrics.iter().find(|(_, metric)| !metric.is_finite()) {
            return Err(Error::BadExperiment {
                path,
                reason: format!(
                    "the metric {name:?} is {}, which JSON cannot hold; leave it out and say why in a note",
                    metric.mean
                ),
            });
        }
        std::fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::BadExperiment {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        Ok(ragtune_train::report::write(&path, &(text + "\n"))?)
    }

    /// Reads the record of a folder.
    ///
    /// # Errors
    /// [`Error::Io`] where there is none; [`Error::BadExperiment`] with what is wrong in it.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self> {
        let path = folder.as_ref().join(Self::FILE);
        let bad = |reason: String| Error::BadExperiment {
            path: path.clone(),
            reason,
        };
        let mut text = String::new();
        let file = File::open(&path).map_err(|source| Error::io(&path, source))?;
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
        let bytes = read.map_err(|source| Error::io(&path, source))?;
        if bytes as u64 > MAX_BYTES {
            return Err(bad(format!(
                "it is longer than the {MAX_BYTES} bytes that are read"
            )));
        }
        let experiment: Self = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        match experiment.format {
            1..=FORMAT => Ok(experiment),
            other => Err(bad(format!(
                "it has format {other}; this version reads up to {FORMAT}, use a newer one"
            ))),
        }
    }

    /// The name of the file in its folder.
    pub const FILE: &'static str = "experiment.json";
}
