//! Which settings learn best: points of a space are tried, and the worse ones are given up early.
//!
//! A [`SearchSpace`] names settings and what each may be; its [`grid`](SearchSpace::grid) or a number of
//! [`random`](SearchSpace::random) points are the [`Candidates`]. A [`Search`] tries each of them, whole or by successive
//! [`Halving`], and what came out is a [`SearchReport`]: a table of every trial, failed ones as well.
//!
//! A whole search, of a task that needs no model:
//!
//! ```
//! use ragtune_train::objective::Scores;
//! use ragtune_train::search::{Domain, Halving, Reached, Search, SearchSpace};
//!
//! let space = SearchSpace::new()
//!     .with("rate", Domain::log(1e-3, 1.0))?
//!     .with("size", Domain::choice([4, 8, 16]))?;
//! let folder = std::env::temp_dir().join(format!("search-{}", std::process::id()));
//!
//! let report = Search::new(space.random(9, 42)?)
//!     .with_halving(Halving::new(3)) // nine run for 1/9, the best three go on to 1/3, the best of them to the end
//!     .with_folder(&folder)
//!     .run(|leg| {
//!         let (rate, size) = (leg.point.number("rate")?, leg.point.integer("size")?);
//!         let error = (rate.log10() + 1.5).abs() + 1.0 / size as f64 + 1.0 / (1.0 + 9.0 * leg.share);
//!         Ok::<_, ragtune_train::Error>(Reached::scored(Scores::lower("error", error), (90.0 * leg.share) as usize))
//!     })?;
//!
//! println!("{report}");
//! assert_eq!(report.trials.len(), 9);
//! let best = report.best().ok_or("all trials failed")?;
//! assert!(best.point.number("rate")? > 1e-2);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With a [`Trainer`](crate::trainer::Trainer) the closure has four lines; the rest is [`Leg::train`]:
//!
//! ```no_run
//! use ragtune_train::objective::Objective;
//! use ragtune_train::search::{Domain, Halving, Search, SearchSpace};
//! use ragtune_train::trainer::{TrainOptions, Trainer, fingerprint};
//! use ragtune_train::tuning::{Lora, Trainable, Tuning};
//!
//! # fn of<O: Objective>(task: &O, train: &[O::Example], valid: &[O::Example]) -> ragtune_train::Result<()> {
//! let space = SearchSpace::new()
//!     .with("learning_rate", Domain::log(1e-5, 1e-2))?
//!     .with("rank", Domain::choice([4, 8, 16]))?;
//! let report = Search::new(space.random(20, 42)?)
//!     .with_halving(Halving::default())
//!     .with_data(fingerprint(task, &[train, valid]))
//!     .with_folder("runs/search")
//!     .with_resume(true)
//!     .run(|leg| {
//!         let options = leg.point.options(&TrainOptions::default())?;
//!         let tuning = leg.point.tuning(&Tuning::Lora(Lora::default()))?;
//!         let mut trainable = Trainable::new(task.base(), &tuning, &task.heads(), 42)?;
//!         leg.train(Trainer::new(task, train, options).with_valid(valid), &tuning, &mut trainable)
//!     })?;
//! report.write("runs/search")?; // trials.csv, trials.md, trials.json
//! # Ok(())
//! # }
//! ```
//!
//! # The learning rate under halving
//!
//! A leg is a part of a run, not a short run: warm-up and decay are those of the whole, and a trial that goes on does so
//! from its saved state. So the winner's weights are, bit for bit, those of a run with its settings alone, and no work is
//! done twice. What is compared at a rung are weights in the middle of their course, where the rate is still high; every
//! trial of a rung stands at the same share of its course, so the comparison is fair between trials, while the numbers of
//! two rungs are not comparable, and the table keeps them in columns of their own.

mod candidates;
mod event;
mod halving;
mod journal;
mod leg;
mod point;
mod report;
mod run;
mod space;
mod table;
mod trial;

pub use candidates::Candidates;
pub use event::SearchEvent;
pub use halving::Halving;
pub use leg::{Leg, Reached};
pub use point::{Point, Value};
pub use report::SearchReport;
pub use run::{Goal, Search};
pub use space::{Domain, SearchSpace};
pub use trial::{Failure, Rung, Trial};
