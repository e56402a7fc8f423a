//! A loader in a process of its own, which may die without taking this one along.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use ragtune_core::text::{Marker, Metadata};
use serde::{Deserialize, Serialize};

use super::limits::{Budget, LoadLimits, limit_of};
use super::loader::{Loaded, Loader};
use crate::error::{Error, Result};

/// What every answer starts with, behind whatever the program prints before it.
const ANSWER: &[u8] = b"\nragtune-loaded-1\n";
/// Bytes that an answer may have for each byte of text: escapes, places, metadata.
const ANSWER_FACTOR: u64 = 8;

/// Runs a loader in another process for each file, so that nothing which a file does to its reader reaches this one: an
/// abort, an overflow of the stack, memory without end (with [`with_memory_bytes`](Self::with_memory_bytes)), a loop
/// without end (the process is killed). Every such end is an error.
///
/// The program is any that calls [`serve`] with the same loaders, such as the own one:
///
/// ```no_run
/// use std::sync::Arc;
/// use ragtune_retrieve::{KnowledgeBase, Loader};
/// use ragtune_retrieve::load::{ProcessLoader, defaults, serve};
///
/// if std::env::args().nth(1).as_deref() == Some("--load") {
///     serve(&defaults())?; // reads one file for the process that started this one
///     return Ok(());
/// }
/// let program = std::env::current_exe()?;
/// let apart = |loader| {
///     let loader = ProcessLoader::new(loader, &program).with_args(["--load"]).with_memory_bytes(2 << 30);
///     Arc::new(loader) as Arc<dyn Loader>
/// };
/// let kb = KnowledgeBase::open("base")?.with_loaders(defaults().into_iter().map(apart));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ProcessLoader {
    loader: Arc<dyn Loader>,
    program: PathBuf,
    args: Vec<OsString>,
    memory_bytes: Option<u64>,
    limits: LoadLimits,
}

impl ProcessLoader {
    /// The loader that the program has under the same id.
    pub fn new(loader: impl Loader + 'static, program: impl Into<PathBuf>) -> Self {
        Self {
            loader: Arc::new(loader),
            program: program.into(),
            args: Vec::new(),
            memory_bytes: None,
            limits: LoadLimits::default(),
        }
    }

    /// With these arguments for the program.
    pub fn with_args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// With a limit to the process's address space, which a shell's `ulimit -v` sets; systems that know no such limit
    /// refuse to start it, and say so.
    pub fn with_memory_bytes(mut self, bytes: u64) -> Self {
        self.memory_bytes = Some(bytes);
        self
    }

    /// With other limits of time and of bytes; those of the loader inside are its own.
    pub fn with_limits(mut self, limits: LoadLimits) -> Self {
        self.limits = limits;
        self
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = match self.memory_bytes {
            None => Command::new(&self.program),
            Some(bytes) => {
                let mut command = Command::new("sh");
                command
                    .args(["-c", "ulimit -v \"$0\" && exec \"$@\""])
                    .arg((bytes / 1024).to_string())
                    .arg(&self.program);
                command
            }
        };
        command
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }

    /// The answer's bytes, or how the process ended without one.
    fn ask(&self, question: Vec<u8>, budget: &Budget) -> Result<Vec<u8>> {
        let failed = |error| Error::io(&self.program, error);
        let mut child = self.start().map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        // Both ends move at once, or each could wait for the other.
        let writer = thread::Builder::new().spawn(move || {
            // A process that does not read to the end answers for it by its own end.
            let _unread = stdin.map(|mut stdin| stdin.write_all(&question));
        });
        let (sender, receiver) = mpsc::sync_channel(1);
        let most = self.limits.text_bytes.saturating_mul(ANSWER_FACTOR);
        let reader = thread::Builder::new().spawn(move || {
            let mut answer = Vec::new();
            let read = stdout.map(|stdout| stdout.take(most).read_to_end(&mut answer));
            let _gone = sender.send(read.unwrap_or(Ok(0)).map(|_| answer));
        });
        let answer = match (&writer, &reader) {
            (Ok(_), Ok(_)) => receiver.recv_timeout(self.limits.time),
            _ => Err(RecvTimeoutError::Disconnected),
        };
        // Nothing is awaited of it any more; after its end both threads end too.
        let ended = match &answer {
            Ok(_) => child.wait(),
            Err(_) => child.kill().and_then(|()| child.wait()),
        };
        for thread in [writer, reader].into_iter().flatten() {
            let _ended = thread.join();
        }
        let answer = match answer {
            Ok(answer) => answer.map_err(failed)?,
            Err(RecvTimeoutError::Timeout) => return Err(budget.out_of_time()),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(budget.unreadable("its reader's process broke off"));
            }
        };
        let status = ended.map_err(failed)?;
        match status.success() {
            true => Ok(answer),
            false => Err(budget.unreadable(format!(
                "its reader's process broke off ({status}): the file is damaged or too much for the limits"
            ))),
        }
    }
}

impl Loader for ProcessLoader {
    fn id(&self) -> String {
        self.loader.id()
    }

    fn accepts(&self, path: &Path) -> bool {
        self.loader.accepts(path)
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        let budget = Budget::new(path, bytes.len(), &self.limits)?;
        let head = Question {
            loader: self.loader.id(),
            path: path.to_string_lossy().into_owned(),
        };
        let head = serde_json::to_vec(&head).map_err(|error| Error::io(path, error.into()))?;
        let mut question = (head.len() as u64).to_le_bytes().to_vec();
        question.extend(head);
        question.extend_from_slice(bytes);
        let answer = self.ask(question, &budget)?;
        let at = answer.windows(ANSWER.len()).position(|found| found == ANSWER);
        let answer = at.map(|at| &answer[at + ANSWER.len()..]);
        let answer = answer.and_then(|answer| serde_json::from_slice::<Answer>(answer).ok());
        let answer = answer.ok_or_else(|| {
            budget.unreadable("its reader's process gave no answer: it must call ragtune's load::serve")
        })?;
        answer.into_result(path, &budget)
    }
}

/// Reads one file for a [`ProcessLoader`] in another process, from standard input to standard output.
///
/// # Errors
/// What the system says of input and output, and a question that is not one.
pub fn serve(loaders: &[Arc<dyn Loader>]) -> io::Result<()> {
    let mut question = Vec::new();
    io::stdin().lock().read_to_end(&mut question)?;
    let no_question = || io::Error::new(io::ErrorKind::InvalidData, "no question of a ProcessLoader");
    let (length, rest) = question.split_first_chunk::<8>().ok_or_else(no_question)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| no_question())?;
    let (head, bytes) = rest.split_at_checked(length).ok_or_else(no_question)?;
    let head: Question = serde_json::from_slice(head)?;
    let path = Path::new(&head.path);
    let loader = loaders.iter().find(|loader| loader.id() == head.loader);
    let answer = match loader {
        Some(loader) => Answer::of(loader.load(path, bytes)),
        None => Answer::Unreadable {
            reason: format!(
                "the reader's process has no loader {:?}: give it the same loaders",
                head.loader
            ),
        },
    };
    let mut out = io::stdout().lock();
    out.write_all(ANSWER)?;
    serde_json::to_writer(&mut out, &answer)?;
    out.flush()
}

#[derive(Serialize, Deserialize)]
struct Question {
    loader: String,
    path: String,
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Loaded {
        text: String,
        metadata: Metadata,
        markers: Vec<Marker>,
    },
    Unreadable {
        reason: String,
    },
    Encrypted,
    NoText {
        pages: usize,
    },
    Limit {
        allowed: u64,
        setter: String,
    },
}

impl Answer {
    fn of(result: Result<Loaded>) -> Self {
        match result {
            Ok(Loaded {
                text,
                metadata,
                markers,
            }) => Self::Loaded {
                text,
                metadata,
                markers,
            },
            Err(Error::Unreadable { reason, .. }) => Self::Unreadable { reason },
            Err(Error::Encrypted { .. }) => Self::Encrypted,
            Err(Error::NoText { pages, .. }) => Self::NoText { pages },
            Err(Error::LoadLimit { allowed, setter, .. }) => Self::Limit {
                allowed,
                setter: setter.to_owned(),
            },
            Err(error) => Self::Unreadable {
                reason: error.to_string(),
            },
        }
    }

    fn into_result(self, path: &Path, budget: &Budget) -> Result<Loaded> {
        let path = path.to_owned();
        match self {
            Self::Loaded {
                text,
                metadata,
                markers,
            } => Ok(Loaded {
                text,
                metadata,
                markers,
            }),
            Self::Unreadable { reason } => Err(Error::Unreadable { path, reason }),
            Self::Encrypted => Err(Error::Encrypted {
                path,
                remedy: "give its loader the password, or save it without one",
            }),
            Self::NoText { pages } => Err(Error::NoText { path, pages }),
            Self::Limit { allowed, setter } => match limit_of(&setter) {
                Some((what, setter)) => Err(Error::LoadLimit {
                    path,
                    what,
                    allowed,
                    setter,
                }),
                None => Err(budget.unreadable("it exceeds a limit of its loader")),
            },
        }
    }
}
