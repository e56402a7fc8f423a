//! What the run will take of memory, and what it took.

use std::error::Error;
use std::fs;

use ragtune::train::memory::{Footprint, MemoryPlan};
use ragtune::train::objective::Objective;
use ragtune::train::trainer::TrainOptions;
use ragtune::train::tuning::Trainable;

use super::args::Args;

/// Starts the program again with the system's allocator told to give large blocks back when they are freed, for runs that
/// have to hold a limit. By default glibc keeps them, in pieces that may not fit the next step, which can double the peak;
/// giving them back costs up to as much time as the step itself. Elsewhere, and where the environment says something
/// already, nothing happens.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back_freed() {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    /// Blocks from so many bytes on are the system's own: where glibc begins as well, but it raises the limit with every
    /// block that is freed unless it is told one.
    const THRESHOLD: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "131072");
    if std::env::var_os(THRESHOLD.0).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        // Returns only where it fails; then the program goes on as it is.
        let _ = Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(THRESHOLD.0, THRESHOLD.1)
            .exec();
    }
}

/// Nothing to be told elsewhere.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back_freed() {}

/// The settings of the run, made to hold the limit where there is one, and the peak of memory that they will take.
///
/// # Errors
/// A limit that nothing holds, and examples that no batch can be made of.
pub fn plan<O: Objective>(
    args: &Args,
    objective: &O,
    trainable: &Trainable,
    train: &[O::Example],
    valid: &[O::Example],
) -> Result<(TrainOptions, Option<MemoryPlan>), Box<dyn Error>> {
    let options = args.options(train.len());
    let lengths =
        |set: &[O::Example]| -> Vec<usize> { set.iter().map(|example| objective.tokens(example)).collect() };
    let (lengths, valid) = (&lengths(train)[..], &lengths(valid)[..]);
    let (Some(footprint), Some(resident)) = (Footprint::of(objective, train), status("VmRSS")) else {
        return match args.memory {
            Some(_) => Err("--memory needs a system that says what the process holds (/proc)".into()),
            None => Ok((options, None)),
        };
    };
    let Some(limit) = args.memory else {
        let plan = MemoryPlan::new(resident, &footprint, trainable, &options, lengths, valid)?;
        return Ok((options, Some(plan)));
    };
    let fit = MemoryPlan::fit(
        limit * 1_000_000,
        resident,
        &footprint,
        trainable,
        &options,
        lengths,
        valid,
    )?;
    if fit.options != options {
        args.say(&format!(
            "to hold {limit} MB: batches of {:?}, {} to a step{}",
            fit.options.batch,
            fit.options.accumulation,
            if fit.options.gradient_checkpointing {
                ", layers computed again on the way back"
            } else {
                ""
            }
        ))?;
    }
    Ok((fit.options, Some(fit.plan)))
}

/// The peak of the process's memory in bytes, where the system says it.
#[must_use]
pub fn peak() -> Option<u64> {
    status("VmHWM")
}

#[must_use]
pub fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

/// A number of bytes out of /proc/self/status.
fn status(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
