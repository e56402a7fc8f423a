//! The model hub against a server on this machine: what is fetched, what is checked, and every way it can fail.

#![cfg(feature = "hub")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

mod server;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ragtune_core::hub::{Hub, HubError, HubEvent, Origin};
use ragtune_core::{Cancel, Error};
use server::{Server, git_blob, sha256};

const REPO: &str = "owner/tiny-model";

/// Weights of some megabytes, so that progress has steps.
fn weights() -> Vec<u8> {
    (0..3_000_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

fn server() -> Server {
    Server::start(
        REPO,
        &[
            (".gitattributes", b"x"),
            ("1_Pooling/config.json", br#"{"pooling_mode_mean_tokens": true}"#),
            ("README.md", b"read me"),
            ("config.json", br#"{"model_type": "bert"}"#),
            ("model.safetensors", &weights()),
            (
                "modules.json",
                br#"[{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Normalize"}]"#,
            ),
            ("pytorch_model.bin", b"\x80\x02pickle"),
            ("tokenizer.json", b"{}"),
        ],
    )
}

struct Events(Arc<Mutex<Vec<HubEvent>>>);

impl Events {
    fn all(&self) -> Vec<HubEvent> {
        self.0.lock().unwrap().clone()
    }
}

fn hub(server: &Server, cache: &Path) -> (Hub, Events) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = events.clone();
    let hub = Hub::new()
        .with_endpoint(&server.endpoint)
        .with_cache_folder(cache)
        .with_retries(0)
        .with_progress(move |event| sink.lock().unwrap().push(event));
    (hub, Events(events))
}

fn repo_folder(cache: &Path) -> PathBuf {
    cache.join("models--owner--tiny-model")
}

fn hub_error(result: Result<PathBuf, Error>) -> HubError {
    match result {
        Err(Error::Hub(error)) => error,
        other => panic!("expected a hub error, got {other:?}"),
    }
}

#[test]
fn a_model_folder_is_fetched_once_and_has_what_it_needs() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let (hub, events) = hub(&server, cache.path());
    let snapshot = hub.snapshot(REPO).unwrap();
    assert_eq!(snapshot.origin, Origin::Hub);
    assert_eq!(
        snapshot.folder,
        repo_folder(cache.path()).join("snapshots").join(&snapshot.commit)
    );
    for (name, bytes) in &server.state().files {
        let wanted = ![".gitattributes", "README.md", "pytorch_model.bin"].contains(&name.as_str());
        let found = fs::read(snapshot.folder.join(name)).ok();
        assert_eq!(found.as_ref(), wanted.then_some(bytes), "{name}");
    }
    // The layout of Hugging Face's own tools.
    assert_eq!(
        fs::read_to_string(repo_folder(cache.path()).join("refs/main")).unwrap(),
        snapshot.commit
    );
    assert!(
        repo_folder(cache.path())
            .join("blobs")
            .join(sha256(&weights()))
            .is_file()
    );
    assert!(
        repo_folder(cache.path())
            .join("blobs")
            .join(git_blob(b"{}"))
            .is_file()
    );

    let progress: Vec<u64> = events
        .all()
        .iter()
        .filter_map(|event| match event {
            HubEvent::Progress {
                file,
                bytes_done,
                bytes_total,
            } if file == "model.safetensors" => {
                assert_eq!(*bytes_total, 3_000_000);
                Some(*bytes_done)
            }
            _ => None,
        })
        .collect();
    assert!(progress.len() >= 3 && progress.is_sorted(), "{progress:?}");
    assert_eq!(progress.last(), Some(&3_000_000));

    // The second time nothing is fetched again, only asked for.
    server.state().requests.clear();
    hub.fetch(REPO).unwrap();
    let requests = server.requests("");
    assert!(
        requests
            .iter()
            .all(|request| request.method == "HEAD" || request.path.starts_with("/api/"))
    );
}

#[test]
fn a_cut_download_leaves_no_file_and_goes_on_where_it_stopped() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let (hub, _) = hub(&server, cache.path());
    server.state().cut = Some(("model.safetensors".to_owned(), 1_000_000, 1));
    let error = hub_error(hub.fetch(REPO));
    let HubError::Truncated {
        file,
        received,
        expected,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((file.as_str(), *expected), ("model.safetensors", 3_000_000));
    assert!((1..=1_000_000).contains(received));
    let blob = repo_folder(cache.path()).join("blobs").join(sha256(&weights()));
    assert!(!blob.exists() && !repo_folder(cache.path()).join("refs/main").exists());
    let offline = hub_error(hub.clone().offline().fetch(REPO));
    assert!(matches!(offline, HubError::NotCached { .. }), "{offline:?}");

    let folder = hub.fetch(REPO).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
    let ranges: Vec<_> = server
        .requests("model.safetensors")
        .into_iter()
        .filter(|request| request.method == "GET" && request.elsewhere)
        .map(|request| request.range)
        .collect();
    assert_eq!(ranges, [None, Some(format!("bytes={received}-"))]);
}

#[test]
fn a_broken_connection_is_tried_again_by_itself() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let (hub, events) = hub(&server, cache.path());
    server.state().cut = Some(("model.safetensors".to_owned(), 1_400_000, 2));
    let folder = hub.with_retries(1).fetch(REPO).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
    let retries = events
        .all()
        .iter()
        .filter(|event| matches!(event, HubEvent::Retry { .. }))
        .count();
    assert_eq!(
        retries, 2,
        "progress between two breaks renews the number of retries"
    );
}

#[test]
fn a_server_without_ranges_and_a_damaged_part_end_in_the_right_bytes() {
    for ignores_ranges in [true, false] {
        let (server, cache) = (server(), tempfile::tempdir().unwrap());
        let (hub, _) = hub(&server, cache.path());
        server.state().ignores_ranges = ignores_ranges;
        let blobs = repo_folder(cache.path()).join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(
            blobs.join(format!("{}.incomplete", sha256(&weights()))),
            vec![7; 500_000],
        )
        .unwrap();
        let folder = hub.fetch(REPO).unwrap();
        assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
    }
}

#[test]
fn a_fetched_model_needs_no_network() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let (hub, events) = hub(&server, cache.path());
    let folder = hub.fetch(REPO).unwrap();

    let offline = hub.clone().offline().snapshot(REPO).unwrap();
    assert_eq!((&offline.folder, offline.origin), (&folder, Origin::Cache));

    // A commit never changes: it is not asked for again. Port 9 is closed.
    let unreachable = hub.with_endpoint("http://127.0.0.1:9");
    let pinned = unreachable
        .snapshot(&format!("{REPO}@{}", offline.commit))
        .unwrap();
    assert_eq!(pinned.origin, Origin::Cache);

    let fallback = unreachable.snapshot(REPO).unwrap();
    assert_eq!(fallback.folder, folder);
    assert!(matches!(fallback.origin, Origin::Fallback(_)));
    assert!(matches!(events.all().last(), Some(HubEvent::Fallback { .. })));
    let error = hub_error(unreachable.fetch("owner/another"));
    assert!(matches!(error, HubError::Network { .. }), "{error:?}");
    assert!(error.to_string().contains("owner/another"));
}

#[test]
fn a_cached_model_that_lost_a_file_is_not_whole() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let (hub, _) = hub(&server, cache.path());
    let folder = hub.fetch(REPO).unwrap();
    fs::remove_file(repo_folder(cache.path()).join("blobs").join(git_blob(b"{}"))).unwrap();
    let error = hub_error(hub.clone().offline().fetch(REPO));
    assert!(matches!(error, HubError::NotCached { .. }), "{error:?}");
    hub.fetch(REPO).unwrap();
    assert_eq!(fs::read(folder.join("tokenizer.json")).unwrap(), b"{}");
}

#[test]
fn a_snapshot_of_another_tool_is_whole_when_its_own_files_say_so() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let (hub, _) = hub(&server, cache.path());
    let folder = hub.fetch(REPO).unwrap();
    fs::remove_dir_all(repo_folder(cache.path()).join("ragtune")).unwrap();
    // `2_Normalize` is named by modules.json and has no file on the hub.
    fs::create_dir_all(folder.join("2_Normalize")).unwrap();
    assert_eq!(hub.clone().offline().fetch(REPO).unwrap(), folder);
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    assert!(matches!(
        hub_error(hub.offline().fetch(REPO)),
        HubError::NotCached { .. }
    ));
}

#[test]
fn a_new_commit_is_fetched_and_the_old_one_serves_until_it_is_whole() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let (hub, _) = hub(&server, cache.path());
    let old = hub.snapshot(REPO).unwrap();
    {
        let mut state = server.state();
        state.commit = "2".repeat(40);
        state
            .files
            .insert("model.safetensors".to_owned(), vec![1; 2_000_000]);
        state.cut = Some(("model.safetensors".to_owned(), 1_000_000, 1));
    }
    let fallback = hub.snapshot(REPO).unwrap();
    assert_eq!(fallback.commit, old.commit);
    assert!(matches!(fallback.origin, Origin::Fallback(_)));
    let new = hub.snapshot(REPO).unwrap();
    assert_eq!(
        (new.commit.as_str(), new.origin),
        ("2".repeat(40).as_str(), Origin::Hub)
    );
    assert_eq!(
        fs::read(new.folder.join("model.safetensors")).unwrap(),
        vec![1; 2_000_000]
    );
    assert_eq!(fs::read(old.folder.join("model.safetensors")).unwrap(), weights());
}

#[test]
fn shards_are_fetched_by_their_index() {
    let index = br#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    let mut files: Vec<(&str, &[u8])> = vec![
        ("config.json", b"{}"),
        ("model-00001-of-00002.safetensors", b"one"),
        ("model-00002-of-00002.safetensors", b"two"),
        ("model.safetensors.index.json", index),
        ("unrelated.safetensors", b"not named"),
    ];
    let (server, cache) = (Server::start(REPO, &files), tempfile::tempdir().unwrap());
    let folder = hub(&server, cache.path()).0.fetch(REPO).unwrap();
    assert_eq!(
        fs::read(folder.join("model-00002-of-00002.safetensors")).unwrap(),
        b"two"
    );
    assert!(!folder.join("unrelated.safetensors").exists());

    files.remove(2);
    let (server, cache) = (Server::start(REPO, &files), tempfile::tempdir().unwrap());
    let error = hub_error(hub(&server, cache.path()).0.fetch(REPO));
    assert!(
        matches!(&error, HubError::FileNotFound { file, .. } if file.contains("00002")),
        "{error:?}"
    );
}

#[test]
fn weights_in_pickle_form_are_refused() {
    let server = Server::start(
        REPO,
        &[("config.json", b"{}"), ("pytorch_model.bin", b"\x80\x02")],
    );
    let cache = tempfile::tempdir().unwrap();
    let error = hub_error(hub(&server, cache.path()).0.fetch(REPO));
    assert!(
        matches!(&error, HubError::NoSafetensors { others, .. } if others == &["pytorch_model.bin"]),
        "{error:?}"
    );
    assert!(error.to_string().contains("safetensors") && error.to_string().contains(REPO));
    assert!(server.requests("pytorch_model.bin").is_empty());
}

#[test]
fn refusals_are_told_apart() {
    type Check = fn(&HubError) -> bool;
    let api = "/api/models/";
    let cases: [(&str, u16, Option<&'static str>, Check); 9] = [
        (api, 404, None, |e| {
            matches!(e, HubError::RepositoryNotFound { status: 404, .. })
        }),
        (api, 401, Some("RepoNotFound"), |e| {
            matches!(e, HubError::RepositoryNotFound { status: 401, .. })
        }),
        (api, 404, Some("RevisionNotFound"), |e| {
            matches!(e, HubError::RevisionNotFound { .. })
        }),
        (api, 401, None, |e| {
            matches!(e, HubError::AccessDenied { status: 401, .. })
        }),
        (api, 503, None, HubError::is_network),
        (api, 418, None, |e| matches!(e, HubError::Protocol { .. })),
        (
            "config.json",
            401,
            Some("GatedRepo"),
            |e| matches!(e, HubError::AccessDenied { file, .. } if file == "1_Pooling/config.json" || file == "config.json"),
        ),
        ("config.json", 403, None, |e| {
            matches!(e, HubError::AccessDenied { status: 403, .. })
        }),
        ("tokenizer.json", 404, None, |e| {
            matches!(e, HubError::FileNotFound { .. })
        }),
    ];
    for (path, status, code, check) in cases {
        let (server, cache) = (server(), tempfile::tempdir().unwrap());
        server.state().refuse = Some((path.to_owned(), status, code));
        let error = hub_error(hub(&server, cache.path()).0.fetch(REPO));
        assert!(check(&error), "{path} {status} {code:?}: {error:?}");
        assert!(error.to_string().contains(REPO), "{error}");
    }
}

#[test]
fn wrong_bytes_are_refused_and_deleted() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let mut flipped = weights();
    flipped[1_234_567] ^= 1;
    server
        .state()
        .replace
        .insert("model.safetensors".to_owned(), flipped);
    let hub = hub(&server, cache.path()).0;
    let error = hub_error(hub.fetch(REPO));
    assert!(
        matches!(&error, HubError::WrongDigest { expected, .. } if *expected == sha256(&weights())),
        "{error:?}"
    );
    for wrong in [vec![1; 2_999_999], vec![1; 3_000_001]] {
        server
            .state()
            .replace
            .insert("model.safetensors".to_owned(), wrong);
        let error = hub_error(hub.fetch(REPO));
        assert!(
            matches!(
                error,
                HubError::WrongLength {
                    expected: 3_000_000,
                    ..
                }
            ),
            "{error:?}"
        );
    }
    let blobs: Vec<_> = fs::read_dir(repo_folder(cache.path()).join("blobs"))
        .unwrap()
        .flatten()
        .collect();
    assert!(blobs.iter().all(|blob| {
        !blob
            .file_name()
            .to_string_lossy()
            .starts_with(&sha256(&weights()))
    }));
    server.state().replace.clear();
    hub.fetch(REPO).unwrap();
}

#[test]
fn a_small_file_is_checked_by_its_git_object_name() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    server
        .state()
        .replace
        .insert("tokenizer.json".to_owned(), b"[]".to_vec());
    let error = hub_error(hub(&server, cache.path()).0.fetch(REPO));
    assert!(
        matches!(&error, HubError::WrongDigest { found, .. } if *found != git_blob(b"{}")),
        "{error:?}"
    );
}

#[test]
fn a_listing_that_leads_out_of_its_folder_is_refused() {
    for path in [
        "../config.json",
        "a/../../x.safetensors",
        "/etc/passwd",
        "a\\b.json",
        "C:x.json",
        "a//b.json",
    ] {
        let (server, cache) = (server(), tempfile::tempdir().unwrap());
        server.state().also_listed.push(path.to_owned());
        let error = hub_error(hub(&server, cache.path()).0.fetch(REPO));
        assert!(
            matches!(&error, HubError::UnsafePath { file, .. } if file == path),
            "{error:?}"
        );
        assert_eq!(
            fs::read_dir(cache.path()).unwrap().count(),
            0,
            "nothing is written"
        );
    }
}

#[test]
fn the_token_is_for_the_hub_alone() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let hub = hub(&server, cache.path()).0.with_token("hf_very_secret");
    hub.fetch(REPO).unwrap();
    for request in server.requests("") {
        let expected = (!request.elsewhere).then(|| "Bearer hf_very_secret".to_owned());
        assert_eq!(request.authorization, expected, "{}", request.path);
    }
    let error = hub_error(hub.with_endpoint("http://hub.example").fetch(REPO));
    assert!(matches!(error, HubError::InvalidEndpoint { .. }), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("very_secret"));
}

#[test]
fn a_cancelled_fetch_keeps_what_has_come() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let (hub, _) = hub(&server, cache.path());
    let cancelling = hub.clone().with_cancel(cancel).with_progress(move |event| {
        if matches!(&event, HubEvent::Progress { file, .. } if file == "model.safetensors") {
            stop.cancel();
        }
    });
    assert!(matches!(cancelling.fetch(REPO), Err(Error::Cancelled)));
    let part = repo_folder(cache.path())
        .join("blobs")
        .join(format!("{}.incomplete", sha256(&weights())));
    assert!(fs::metadata(part).unwrap().len() > 0);
    let folder = hub.fetch(REPO).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), weights());
}

#[test]
fn two_fetches_at_once_share_one_download() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let (hub, _) = hub(&server, cache.path());
    std::thread::scope(|scope| {
        let fetches: Vec<_> = (0..4).map(|_| scope.spawn(|| hub.fetch(REPO).unwrap())).collect();
        for fetch in fetches {
            assert_eq!(
                fs::read(fetch.join().unwrap().join("model.safetensors")).unwrap(),
                weights()
            );
        }
    });
    let downloads = server
        .requests("model.safetensors")
        .into_iter()
        .filter(|request| request.method == "GET" && request.elsewhere)
        .count();
    assert_eq!(downloads, 1);
}

/// `/dev/full` is a file on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    let (server, cache) = (server(), tempfile::tempdir().unwrap());
    let blobs = repo_folder(cache.path()).join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    let part = blobs.join(format!("{}.incomplete", git_blob(b"{}")));
    std::os::unix::fs::symlink("/dev/full", part).unwrap();
    let error = hub_error(hub(&server, cache.path()).0.fetch(REPO));
    assert!(
        matches!(&error, HubError::DiskFull { file, needed: 2, .. } if file == "tokenizer.json"),
        "{error:?}"
    );
}

#[test]
fn a_hub_that_talks_nonsense_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answers = [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 34\r\n\r\n{\"sha\": \"../../x\", \"siblings\": []}",
        "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ];
    let times_of_last = 32;
    std::thread::spawn(move || {
        let all = answers
            .iter()
            .chain(std::iter::repeat_n(&answers[4], times_of_last));
        for (answer, stream) in all.zip(listener.incoming()) {
            let mut stream = stream.unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::new()
        .with_endpoint(endpoint)
        .with_cache_folder(cache.path())
        .with_retries(0);
    for _ in 0..5 {
        let error = hub_error(hub.fetch(REPO));
        assert!(matches!(error, HubError::Protocol { .. }), "{error:?}");
    }
}
