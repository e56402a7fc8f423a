//! A run that is killed goes on by `--resume` to the same result.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::data;
use crate::line;
use crate::program::{finetune, model_of, start};

fn arguments(data: &Path, out: &Path) -> Vec<String> {
    line![
        "--model",
        model_of("sft").display(),
        "--task sft --data",
        data.display(),
        "--out",
        out.display(),
        "--steps 60 --batch 4 --save-every 1 --evaluate-every 9 --dropout 0.1 --json --force",
    ]
}

#[test]
fn a_killed_run_goes_on_to_the_same_result() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("sft", folder.path());
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    finetune(&arguments(&files.train, &whole)).ok();
    let mut line = arguments(&files.train, &killed);
    let mut kills = 0;
    for states in [1, 2, 5] {
        let mut child = start(&line);
        let begun = saved(&killed);
        while saved(&killed) < begun + states && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        kills += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        if kills == 1 {
            // Without --resume it is refused, and says how.
            finetune(&line).refused(&["killed", "--resume"]);
            line.push("--resume".to_owned());
        }
    }
    assert!(kills > 0);
    // As if the run had ended while its result was written.
    fs::create_dir_all(killed.join("adapter.partial")).unwrap();
    let json = finetune(&line).ok().json();
    assert_eq!(json["steps"], 60);
    let weights = |out: &Path| fs::read(out.join("adapter/adapter_model.safetensors")).unwrap();
    assert!(weights(&whole) == weights(&killed));
    // The time of all processes counts, up to the last saved state of those that were killed.
    assert!(json["seconds"].as_f64().unwrap() > 0.0 && killed.join("spent.json").exists());
    // Once more it is finished, and says the same.
    let again = finetune(&line).ok().json();
    assert_eq!(again["finished_before"], true);
    for same in ["steps", "seconds", "valid", "trainable", "data", "settings"] {
        assert_eq!(again[same], json[same], "{same}");
    }
    assert!(weights(&whole) == weights(&killed));
    // With other settings it is not the same run.
    line.extend(line!["--lr 1e-2"]);
    finetune(&line).refused(&["learning_rate: was null, is 0.01"]);
}

#[test]
fn there_has_to_be_something_to_go_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("sft", folder.path());
    let mut line = arguments(&files.train, &folder.path().join("mistyped"));
    line.push("--resume".to_owned());
    finetune(&line).refused(&["mistyped", "is not there", "leave --resume out"]);
    assert!(!folder.path().join("mistyped").exists());
    // A run that was killed before its first state begins anew, and says so.
    fs::create_dir_all(folder.path().join("mistyped/state")).unwrap();
    line.retain(|part| part != "--json");
    let ended = finetune(&line).ok();
    assert!(
        ended.stdout.contains("no state was saved yet"),
        "{}",
        ended.stdout
    );
}

/// A first Ctrl-C saves the state, and the run goes on from it to the same result.
#[cfg(unix)]
#[test]
fn ctrl_c_saves_the_state() {
    use std::io::Read;

    use crate::program::start_piped;

    let folder = tempfile::tempdir().unwrap();
    let files = data::write("sft", folder.path());
    let stopped = folder.path().join("stopped");
    let mut line = arguments(&files.train, &stopped);
    // So long that it does not end by itself before it is stopped.
    let longer = |line: &mut Vec<String>| {
        let at = line.iter().position(|part| part == "60").unwrap();
        line[at] = "2000".to_owned();
    };
    longer(&mut line);
    let mut child = start_piped(&line);
    while saved(&stopped) < 2 && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(1));
    }
    let killed = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(
        said.contains("saving the state") && said.contains("--resume"),
        "{said}"
    );
    let steps = saved(&stopped);
    assert!(
        steps >= 2 && said.contains(&format!("stopped behind {steps} steps")),
        "{said}"
    );
    // The state is one to go on from: it is compared, and another run's settings are refused.
    line.push("--resume".to_owned());
    line.extend(line!["--lr 1e-2"]);
    finetune(&line).refused(&["learning_rate: was null, is 0.01"]);
}

/// The step of the last saved state.
fn saved(out: &Path) -> usize {
    let entries = fs::read_dir(out.join("state")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter_map(|name| name.strip_prefix("state-")?.parse().ok())
        .max()
        .unwrap_or(0)
}
