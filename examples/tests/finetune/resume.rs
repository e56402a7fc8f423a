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
    // With other settings it is not the same run.
    fs::remove_dir_all(killed.join("adapter")).unwrap();
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
