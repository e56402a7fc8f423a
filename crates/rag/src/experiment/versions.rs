//! With what a run was made.

use std::collections::BTreeMap;
use std::fs;

/// The versions of the library, of burn and of the compiler as far as the build knew them; the system, the processor and
/// how many threads it runs.
///
/// ```
/// assert_eq!(ragtune::experiment::versions()["ragtune"], env!("CARGO_PKG_VERSION"));
/// ```
pub fn versions() -> BTreeMap<String, String> {
    let mut versions = BTreeMap::from([
        ("ragtune".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        (
            "system".to_owned(),
            format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        ),
    ]);
    // `build.rs` finds these out.
    let built = [
        ("rustc", option_env!("RAGTUNE_RUSTC")),
        ("burn", option_env!("RAGTUNE_BURN")),
    ];
    for (name, version) in built {
        if let Some(version) = version {
            versions.insert(name.to_owned(), version.to_owned());
        }
    }
    if let Some(name) = processor() {
        versions.insert("processor".to_owned(), name);
    }
    if let Some(threads) = threads(std::env::var("RAYON_NUM_THREADS").ok().as_deref()) {
        versions.insert("threads".to_owned(), threads.to_string());
    }
    versions
}

/// How many threads compute: as many as the pool is told to take, otherwise as many as the system runs at once.
fn threads(told: Option<&str>) -> Option<usize> {
    let told = told.and_then(|told| told.trim().parse().ok());
    told.filter(|threads| *threads > 0)
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
}

/// The name of the processor, where the system says it in a file.
fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_those_that_compute() {
        let all = std::thread::available_parallelism().ok().map(usize::from);
        assert_eq!(threads(Some("1")), Some(1));
        assert_eq!(
            (threads(None), threads(Some("0")), threads(Some("many"))),
            (all, all, all)
        );
    }
}
