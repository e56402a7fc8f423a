//! Work of code that is not ours, on a thread of its own.
//!
//! What this holds off: a panic (caught), a deep recursion (the thread's stack is large), an endless loop (the caller
//! goes on after the time, the thread is left behind and counted, and once [`MAX_LEFT_BEHIND`] run no other is begun).
//! What no thread can hold off: an abort, a stack overflow beyond the large stack, an allocation that the system
//! refuses, and the memory and processor time of a thread that is left behind. Those need a process of their own.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use super::limits::Budget;
use crate::error::{Error, Result};

/// Bytes of stack; the system hands out only what is used.
const STACK_BYTES: usize = 256 << 20;
/// Threads that may be left behind in one process.
const MAX_LEFT_BEHIND: usize = 4;
/// The name of the threads, for debuggers and the system's list of threads.
const THREAD_NAME: &str = "ragtune-load";

/// Threads that run on although nobody waits for them.
static LEFT_BEHIND: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether a panic of this thread is caught and told as an error, so that nothing is to be printed for it.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics of this thread from being printed. The process's hook is wrapped once, and goes on to hear of the panics of
/// all other threads; one that is set later takes this one's place, and hears of all.
fn be_quiet() {
    static WRAPPED: Once = Once::new();
    WRAPPED.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.with(Cell::get) {
                hook(info);
            }
        }));
    });
    IS_QUIET.set(true);
}

/// How many threads of this process still read files whose time is up.
///
/// A file in a format that another library reads (PDF, spreadsheets, articles) may keep that library in an endless
/// loop, which cannot be stopped from outside. Its thread, named `ragtune-load`, is then left behind; after four of
/// them such files are refused as [`Error::LoadersBusy`] until one ends.
///
/// ```
/// assert_eq!(ragtune_retrieve::load::threads_left_behind(), 0);
/// ```
pub fn threads_left_behind() -> usize {
    LEFT_BEHIND.load(Ordering::SeqCst)
}

/// Runs foreign code on its own thread within the time of the budget that it makes for itself.
pub(super) fn guarded<T: Send + 'static>(
    budget: &Budget,
    reader: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let running = threads_left_behind();
    if running >= MAX_LEFT_BEHIND {
        return Err(Error::LoadersBusy {
            path: budget.path().to_owned(),
            running,
        });
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let state = std::sync::Arc::new(AtomicUsize::new(WAITED_FOR));
    let of_thread = state.clone();
    let thread = thread::Builder::new()
        .name(THREAD_NAME.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            be_quiet();
            let result = catch_unwind(AssertUnwindSafe(work));
            // The caller may have gone; then its count of threads ends here.
            let _gone = sender.send(result);
            if of_thread.swap(ENDED, Ordering::SeqCst) == LEFT {
                LEFT_BEHIND.fetch_sub(1, Ordering::SeqCst);
            }
        });
    let thread = thread.map_err(|error| Error::io(budget.path(), error))?;
    // A little more than the work gives itself, so that work which watches the clock says so itself.
    let time = budget.limits().time;
    match receiver.recv_timeout(time.saturating_add(time / 10)) {
        Ok(Ok(result)) => {
            let _ended = thread.join();
            result
        }
        Ok(Err(panic)) => Err(broke_off(budget, reader, panic.as_ref())),
        Err(RecvTimeoutError::Disconnected) => {
            Err(budget.unreadable(format!("the {reader} reader broke off")))
        }
        Err(RecvTimeoutError::Timeout) => {
            LEFT_BEHIND.fetch_add(1, Ordering::SeqCst);
            if state.swap(LEFT, Ordering::SeqCst) == ENDED {
                LEFT_BEHIND.fetch_sub(1, Ordering::SeqCst);
            }
            Err(budget.out_of_time())
        }
    }
}

/// Who still has an interest in a thread.
const WAITED_FOR: usize = 0;
const LEFT: usize = 1;
const ENDED: usize = 2;

fn broke_off(budget: &Budget, reader: &str, panic: &(dyn Any + Send)) -> Error {
    let said = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a word");
    let said: String = said.chars().take(200).collect();
    budget.unreadable(format!(
        "the {reader} reader broke off ({said}): the file is damaged; repair it, or save it anew"
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::limits::LoadLimits;
    use super::*;

    fn budget(time: Duration) -> Budget {
        Budget::new(Path::new("a.pdf"), 0, &LoadLimits::default().with_time(time)).unwrap()
    }

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let budget = budget(Duration::from_secs(60));
        assert_eq!(guarded(&budget, "PDF", || Ok(1)).unwrap(), 1);
        let error = guarded(&budget, "PDF", || -> Result<()> { panic!("slice out of range") }).unwrap_err();
        assert!(
            error.to_string().contains("slice out of range") && matches!(error, Error::Unreadable { .. }),
            "{error}"
        );
    }

    /// Runs this test again as a process of its own, whose standard error is read.
    #[test]
    fn a_panic_is_silent_there_and_heard_elsewhere() {
        const ROLE: &str = "RAGTUNE_TEST_PANICS";
        if std::env::var_os(ROLE).is_some() {
            let budget = budget(Duration::from_secs(60));
            guarded(&budget, "PDF", || -> Result<()> { panic!("in the reader") }).unwrap_err();
            thread::spawn(|| panic!("in another thread")).join().unwrap_err();
            guarded(&budget, "PDF", || -> Result<()> { panic!("in the reader") }).unwrap_err();
            return;
        }
        let name = "load::guard::tests::a_panic_is_silent_there_and_heard_elsewhere";
        let other = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(ROLE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&other.stderr);
        assert!(other.status.success(), "{said}");
        assert!(
            said.contains("in another thread") && !said.contains("in the reader"),
            "{said}"
        );
    }

    #[test]
    fn a_deep_recursion_has_room() {
        fn deep(n: u64) -> u64 {
            let frame = std::hint::black_box([n; 16]);
            if n == 0 { 0 } else { 1 + deep(n - 1) + frame[0] - n }
        }
        let budget = budget(Duration::from_secs(60));
        assert_eq!(guarded(&budget, "PDF", || Ok(deep(100_000))).unwrap(), 100_000);
    }

    #[test]
    fn a_hang_is_left_behind_counted_and_at_last_over() {
        let (release, held) = mpsc::channel::<()>();
        let budget = budget(Duration::from_millis(50));
        let error = guarded(&budget, "PDF", move || {
            let _until_released = held.recv();
            Ok(())
        })
        .unwrap_err();
        assert!(
            matches!(
                error,
                Error::LoadLimit {
                    what: "milliseconds",
                    ..
                }
            ),
            "{error}"
        );
        assert!(threads_left_behind() >= 1);
        drop(release);
        while threads_left_behind() > 0 {
            thread::yield_now();
        }
    }
}
