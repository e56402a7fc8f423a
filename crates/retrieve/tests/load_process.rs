//! Loaders in processes of their own: what kills them leaves this one whole. The test's own binary is the other process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test with its own main function"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ragtune_retrieve::load::{LoadLimits, ProcessLoader, TextLoader, serve};
use ragtune_retrieve::{Error, Loaded, Loader, Result};

/// Ends its process in the way that the file asks for.
struct Fragile;

impl Loader for Fragile {
    fn id(&self) -> String {
        "fragile-1".to_owned()
    }

    fn accepts(&self, _: &Path) -> bool {
        true
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> Result<Loaded> {
        match bytes {
            b"abort" => std::process::abort(),
            b"hang" => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            b"deep" => panic!("{}", deep(u64::MAX)),
            b"memory" => {
                let mut all = Vec::new();
                loop {
                    all.push(vec![1u8; 64 << 20]);
                    if all.len() > 1 << 20 {
                        panic!("{}", all.len());
                    }
                }
            }
            b"chatter" => println!("a reader that prints"),
            b"refuse" => {
                return Err(Error::NoText {
                    path: path.to_owned(),
                    pages: 3,
                });
            }
            _ => {}
        }
        TextLoader.load(path, bytes)
    }
}

fn deep(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 64]);
    if n == 0 {
        0
    } else {
        deep(n - 1).wrapping_add(frame[3])
    }
}

fn main() {
    let loaders: Vec<Arc<dyn Loader>> = vec![Arc::new(Fragile)];
    match std::env::args().nth(1).as_deref() {
        Some("--load") => serve(&loaders).unwrap(),
        Some("--silent") => println!("no answer"),
        // What a test runner asks of a binary that is no harness.
        Some("--list") => {}
        _ => test(),
    }
}

fn test() {
    let program = std::env::current_exe().unwrap();
    let with = |args: &[&str]| ProcessLoader::new(Fragile, &program).with_args(args.iter().copied());
    let load = |loader: &ProcessLoader, bytes: &[u8]| loader.load(Path::new("a.txt"), bytes);
    let apart = with(&["--load"]);
    assert_eq!(
        (apart.id(), apart.accepts(Path::new("a"))),
        ("fragile-1".to_owned(), true)
    );
    let here = TextLoader.load(Path::new("a.txt"), "Grüße\n".as_bytes()).unwrap();
    assert_eq!(load(&apart, "Grüße\n".as_bytes()).unwrap(), here);
    assert_eq!(load(&apart, b"chatter").unwrap().text, "chatter");
    assert!(matches!(
        load(&apart, b"refuse"),
        Err(Error::NoText { pages: 3, .. })
    ));
    for ending in [b"abort".as_slice(), b"deep"] {
        let error = load(&apart, ending).unwrap_err();
        assert!(error.to_string().contains("broke off"), "{error}");
    }
    let hang = with(&["--load"]).with_limits(LoadLimits::default().with_time(Duration::from_millis(300)));
    let error = load(&hang, b"hang").unwrap_err();
    assert!(
        matches!(
            error,
            Error::LoadLimit {
                setter: "with_time",
                ..
            }
        ),
        "{error}"
    );
    if cfg!(target_os = "linux") {
        let narrow = with(&["--load"]).with_memory_bytes(1 << 30);
        assert_eq!(load(&narrow, b"tea").unwrap().text, "tea");
        let error = load(&narrow, b"memory").unwrap_err();
        assert!(error.to_string().contains("broke off"), "{error}");
    }
    let error = load(&with(&["--silent"]), b"tea").unwrap_err();
    assert!(error.to_string().contains("serve"), "{error}");
    let absent = ProcessLoader::new(Fragile, "/nonexistent/program");
    assert!(matches!(load(&absent, b"tea"), Err(Error::Io { .. })));
    println!("loaders in processes of their own: ok");
}
