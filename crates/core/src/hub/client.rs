//! The hub as its user sees it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::cache::Cache;
use super::error::HubError;
use super::event::{HubEvent, Snapshot};
use super::fetch::Fetch;
use super::http::Http;
use super::name::Name;
use crate::error::Result;
use crate::http::Secret;
use crate::progress::Cancel;

/// The public hub.
const HUGGING_FACE: &str = "https://huggingface.co";

/// A hub of models and the cache folder that their files are kept in.
///
/// A new one asks `https://huggingface.co`, keeps files in `~/.cache/huggingface/hub` (where Hugging Face's own tools
/// keep and find theirs), reads no environment variable, and sends no token. [`Hub::from_env`] reads the variables.
///
/// ```no_run
/// use ragtune_core::hub::Hub;
/// let folder = Hub::new()
///     .with_progress(|event| eprintln!("{event:?}"))
///     .fetch("sentence-transformers/all-MiniLM-L6-v2")?;
/// # Ok::<(), ragtune_core::Error>(())
/// ```
///
/// Without the network, a model that was never fetched is an error that says so:
///
/// ```
/// use ragtune_core::hub::{Hub, HubError};
/// let hub = Hub::new().with_cache_folder("an/empty/folder").offline();
/// let error = hub.fetch("owner/name").unwrap_err();
/// assert!(matches!(error, ragtune_core::Error::Hub(HubError::NotCached { .. })));
/// ```
#[derive(Clone)]
pub struct Hub {
    endpoint: String,
    cache_folder: Option<PathBuf>,
    token: Option<Secret>,
    proxy: Option<ureq::Proxy>,
    offline: bool,
    retries: u32,
    cancel: Cancel,
    progress: Option<Arc<dyn Fn(HubEvent) + Send + Sync>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            endpoint: HUGGING_FACE.to_owned(),
            cache_folder: std::env::home_dir().map(|home| home.join(".cache/huggingface/hub")),
            token: None,
            proxy: None,
            offline: false,
            retries: 3,
            cancel: Cancel::new(),
            progress: None,
        }
    }
}

impl Hub {
    /// The public hub with the default cache folder.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hub that the environment describes, by the variables of Hugging Face's own tools: `HF_ENDPOINT`;
    /// `HF_HUB_CACHE`, `HF_HOME` and `XDG_CACHE_HOME` for the cache folder; `HF_HUB_OFFLINE`; and `HTTPS_PROXY`,
    /// `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. A token is never read from the environment.
    pub fn from_env() -> Self {
        Self {
            proxy: ureq::Proxy::try_from_env(),
            ..Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        }
    }

    /// Asks another hub that speaks the same paths, such as a mirror.
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// Keeps the files in another folder, in the same layout.
    pub fn with_cache_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache_folder = Some(folder.into());
        self
    }

    /// Shows the hub, and no other server, this token.
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Secret::new(token));
        self
    }

    /// Tries again so many times after the network broke without a byte of progress (3 unless told).
    pub fn with_retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Calls this for every step.
    pub fn with_progress(mut self, progress: impl Fn(HubEvent) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// Stops when this is cancelled; what has come is kept. A connection that gives nothing is noticed after 20 s.
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Uses the cache only.
    pub fn offline(mut self) -> Self {
        self.offline = true;
        self
    }

    /// The folder of a model, `owner/name` or `owner/name@revision`, fetched as far as it is not in the cache.
    ///
    /// It has the configuration, the tokenizer, the folders that `modules.json` names and the weights in safetensors
    /// form; each file was checked against the hub's length and digest. [`Hub::snapshot`] also says where it comes from.
    ///
    /// # Errors
    /// [`Error::Hub`](crate::Error::Hub) with the reason as a [`HubError`]; [`Error::Io`](crate::Error::Io) for the
    /// cache folder; [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn fetch(&self, name: &str) -> Result<PathBuf> {
        Ok(self.snapshot(name)?.folder)
    }

    /// As [`Hub::fetch`], with the commit, and whether the hub was asked or a cached copy stands in.
    ///
    /// # Errors
    /// As [`Hub::fetch`].
    pub fn snapshot(&self, name: &str) -> Result<Snapshot> {
        let name = Name::parse(name)?;
        let cache_folder = self.cache_folder.as_deref().ok_or(HubError::NoCacheFolder)?;
        let emit = |event| {
            tracing::debug!(?event, "model hub");
            if let Some(progress) = &self.progress {
                progress(event);
            }
        };
        let fetch = Fetch {
            cache: Cache::new(cache_folder, &name),
            name,
            cache_folder,
            retries: self.retries,
            cancel: &self.cancel,
            emit: &emit,
        };
        if self.offline {
            return fetch.offline();
        }
        fetch.online(&Http::new(
            &self.endpoint,
            self.token.clone(),
            self.proxy.clone(),
        )?)
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut hub = Self::default();
        if let Some(endpoint) = variable("HF_ENDPOINT") {
            hub.endpoint = endpoint;
        }
        let folder = |name, below: &str| variable(name).map(|folder| PathBuf::from(folder).join(below));
        hub.cache_folder = variable("HF_HUB_CACHE")
            .map(PathBuf::from)
            .or_else(|| folder("HF_HOME", "hub"))
            .or_else(|| folder("XDG_CACHE_HOME", "huggingface/hub"))
            .or(hub.cache_folder);
        hub.offline = variable("HF_HUB_OFFLINE")
            .is_some_and(|value| matches!(value.to_lowercase().as_str(), "1" | "on" | "yes" | "true"));
        hub
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .field("cache_folder", &self.cache_folder)
            .field("token", &self.token)
            .field("offline", &self.offline)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_count_only_when_asked_for() {
        let variables = |name: &str| match name {
            "HF_ENDPOINT" => Some("https://mirror.example".to_owned()),
            "HF_HOME" => Some("/data/hf".to_owned()),
            "HF_HUB_OFFLINE" => Some("1".to_owned()),
            "HF_TOKEN" => panic!("a token is the caller's to give"),
            _ => None,
        };
        let hub = Hub::from_variables(variables);
        assert_eq!(hub.endpoint, "https://mirror.example");
        assert_eq!(hub.cache_folder.as_deref(), Some("/data/hf/hub".as_ref()));
        assert!(hub.offline);
        let hub = Hub::new();
        assert_eq!(hub.endpoint, HUGGING_FACE);
        assert!(!hub.offline);
    }

    #[test]
    fn a_token_does_not_show() {
        let hub = Hub::new().with_token("hf_very_secret");
        assert!(!format!("{hub:?}").contains("very_secret"));
    }
}
