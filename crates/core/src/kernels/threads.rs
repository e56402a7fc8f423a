//! Entering the pool of threads once for many operations.

use crate::device::{self, Device};

/// Runs `work` on a thread of the current rayon pool when its device is the CPU.
///
/// From there an operation shares its work with the other threads within about a microsecond; from outside each would
/// wake and await the pool, ten times as long, which a token with its hundred operations would feel.
pub fn on_threads<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    match device::is_cpu(device) && rayon::current_thread_index().is_none() {
        true => rayon::scope(|_| work()),
        false => work(),
    }
}
