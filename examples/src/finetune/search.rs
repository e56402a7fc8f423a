//! `--search`: settings are tried on the validation set, and the best go on.

use std::error::Error;
use std::str::FromStr;

use ragtune::train::objective::Objective;
use ragtune::train::search::{
    Candidates, Domain, Halving, Point, Search, SearchEvent, SearchReport, SearchSpace,
};
use ragtune::train::trainer::{Control, Trainer, fingerprint};
use ragtune::train::tuning::{Trainable, Tuning};

use super::args::Args;
use super::choices::SearchSize;
use super::interrupt::{self, Interrupted, while_training};
use super::progress::Progress;
use super::spent::Spent;
use super::words;

/// How far the learning rate is searched around the method's own, where nothing else is said.
const AROUND: f64 = 10.0;
/// Ranks that are tried, where nothing else is said.
const RANKS: [i64; 3] = [4, 8, 16];

/// What a search found: the settings of the run that is kept, and the table.
pub struct Searched {
    /// The command line with the best settings; its run goes on from the state that the search left.
    pub args: Args,
    /// Where that state is.
    pub state: std::path::PathBuf,
    pub report: SearchReport,
}

/// Tries settings, shows and writes the table, and says which are the best.
///
/// # Errors
/// A space that names no setting of the program, a run without validation examples, and a search in which everything
/// failed.
pub fn search<O: Objective>(
    args: &Args,
    size: SearchSize,
    objective: &O,
    train: &[O::Example],
    valid: &[O::Example],
    spent: &Spent,
) -> Result<Searched, Box<dyn Error>> {
    if valid.is_empty() {
        return Err(
            "a search compares settings on validation examples, and there are none; name --valid".into(),
        );
    }
    let candidates = candidates(args, size)?;
    for point in candidates.points() {
        args.at(point)?;
    }
    let folder = args.out.join("search");
    if folder.join("search.json").exists() && !args.resume {
        return Err(format!(
            "{} has a search; go on with it by --resume, or name another --out",
            folder.display()
        )
        .into());
    }
    if args.resume && !folder.exists() {
        return Err(format!(
            "--resume: {} is not there, so that nothing can go on; name the --out of the search, or leave --resume out to \
             begin one",
            folder.display()
        )
        .into());
    }
    let count = candidates.len();
    let control = Control::new();
    let mut search = Search::new(candidates)
        .with_data(fingerprint(objective, &[train, valid]))
        .with_folder(&folder)
        .with_resume(args.resume)
        .with_control(control.clone())
        .with_observer(|event| {
            show(args, count, event);
            if matches!(event, SearchEvent::Advanced { .. }) {
                spent.keep();
            }
        });
    if let Some(eta) = args.search_halving {
        search = search.with_halving(Halving::new(eta));
    }
    let heads = objective.heads();
    let report = while_training(|| {
        search.run(|leg| -> Result<_, Box<dyn Error>> {
            let args = args.at(leg.point)?;
            let tuning = args.tuning();
            let mut trainable = Trainable::new(objective.base(), &tuning, &heads, args.seed)?
                .with_head_rate(&heads, args.head_ratio())?;
            let progress = Progress::new(args.json);
            let trainer = Trainer::new(objective, train, args.options(train.len()))
                .with_valid(valid)
                .with_observer(|event| {
                    progress.show(event);
                    interrupt::heed(&control);
                });
            let reached = leg.train(trainer, &tuning, &mut trainable);
            progress.finish();
            // A failure stands in the table.
            reached.map_err(|error| words::of_error(&error).into())
        })
    })?;
    if report.cancelled {
        spent.keep();
        return Err(Box::new(Interrupted {
            done: "a part of the search".to_owned(),
            state: folder,
        }));
    }
    let [table, ..] = report.write(&folder)?;
    args.say(&report.to_string())?;
    let Some(best) = report.best() else {
        let first = report.trials.iter().find_map(|trial| trial.failure.as_ref());
        let first = first.map(|failure| failure.message.clone()).unwrap_or_default();
        let table = table.display();
        return Err(format!(
            "all {count} trials failed, the first because: {first}; the table is in {table}"
        )
        .into());
    };
    args.say(&format!(
        "best: trial {}, {}; the table is in {}",
        best.number,
        best.point,
        table.display()
    ))?;
    Ok(Searched {
        args: Args {
            resume: true,
            ..args.at(&best.point)?
        },
        state: folder.join(format!("trial-{:04}", best.number)),
        report,
    })
}

/// The points that are tried.
fn candidates(args: &Args, size: SearchSize) -> Result<Candidates, Box<dyn Error>> {
    let space = match &args.search_space {
        Some(space) => space.clone(),
        None => {
            let tuning = args.tuning();
            let rate = args.chosen_rate().unwrap_or_else(|| tuning.learning_rate());
            let space = SearchSpace::new().with("lr", Domain::log(rate / AROUND, rate * AROUND))?;
            match tuning {
                Tuning::Lora(_) => space.with("rank", Domain::choice(RANKS))?,
                _ => space,
            }
        }
    };
    Ok(match size {
        SearchSize::Random(points) => space.random(points, args.seed)?,
        SearchSize::Grid(points) => space.grid(points)?,
    })
}

fn show(args: &Args, count: usize, event: &SearchEvent<'_>) {
    let said = match event {
        SearchEvent::Started { done, legs, .. } => {
            format!("search: {count} trials, {done} of {legs} parts done")
        }
        SearchEvent::Advancing { trial, share } => {
            format!(
                "trial {} of {count} to {:.0} %: {}",
                trial.number,
                100.0 * share,
                trial.point
            )
        }
        SearchEvent::Advanced { trial } => match (&trial.failure, trial.rungs.last()) {
            (Some(failure), _) => format!("  failed: {}", failure.message),
            (None, Some(rung)) => format!("  {}", rung.scores),
            (None, None) => return,
        },
        _ => return,
    };
    // A terminal that is gone ends the run elsewhere.
    let _ = args.say(&said);
}

impl Args {
    /// The command line with a point's settings.
    ///
    /// # Errors
    /// A setting that no option has, and a value that the option does not take.
    pub fn at(&self, point: &Point) -> Result<Self, Box<dyn Error>> {
        let mut args = self.clone();
        for (name, value) in point.iter() {
            let text = value.to_string();
            match name {
                "lr" => args.lr = Some(number(name, &text)?),
                "head-lr" => args.head_lr = Some(number(name, &text)?),
                "method" => args.method = read(name, &text)?,
                "rank" => args.rank = whole(name, &text)?,
                "alpha" => args.alpha = Some(number(name, &text)?),
                "dropout" => args.dropout = number(name, &text)?,
                "reduction" => args.reduction = number(name, &text)?,
                "virtual-tokens" => args.virtual_tokens = whole(name, &text)?,
                "epochs" => (args.epochs, args.steps) = (number(name, &text)?, None),
                "steps" => args.steps = Some(whole(name, &text)?),
                "batch" => args.batch = whole(name, &text)?,
                "accumulate" => args.accumulate = whole(name, &text)?,
                "warmup" => {
                    args.warmup = number(name, &text)?;
                    args.given.insert(name.to_owned());
                }
                "schedule" => args.schedule = read(name, &text)?,
                "weight-decay" => args.weight_decay = number(name, &text)?,
                "seed" => args.seed = whole(name, &text)?,
                other => {
                    return Err(format!(
                        "--search-space: no setting {other:?}; there are lr, head-lr, method, rank, alpha, dropout, \
                         reduction, virtual-tokens, epochs, steps, batch, accumulate, warmup, schedule, weight-decay, seed"
                    )
                    .into());
                }
            }
        }
        Ok(args)
    }
}

fn read<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, Box<dyn Error>> {
    text.parse()
        .map_err(|error| format!("--search-space: {name}={text}: {error}").into())
}

fn number(name: &str, text: &str) -> Result<f64, Box<dyn Error>> {
    text.parse()
        .map_err(|_| format!("--search-space: {name}={text}: {name} is a number").into())
}

fn whole<T: FromStr>(name: &str, text: &str) -> Result<T, Box<dyn Error>> {
    text.parse()
        .map_err(|_| format!("--search-space: {name}={text}: {name} is a whole number from 0").into())
}
