//! How a run is watched: a bar on a terminal, and elsewhere a line every few seconds.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use ragtune::train::trainer::TrainEvent;

use crate::output;

/// Time between two lines where there is no bar.
const BETWEEN_LINES: Duration = Duration::from_secs(5);
/// What of the mean loss stays from step to step: a mean over about twenty of them, because single ones jump.
const SMOOTHING: f64 = 0.95;

/// The loss, the speed and the time that is left.
pub struct Progress {
    shown: Shown,
    loss: Cell<Option<f64>>,
    scores: RefCell<Option<String>>,
    tokens: Cell<usize>,
    begun: Cell<Option<(Instant, usize)>>,
}

enum Shown {
    Bar(ProgressBar),
    Lines { last: Cell<Option<Instant>> },
    Nothing,
}

impl Progress {
    /// A bar where standard error is a terminal, lines where it is not, and nothing where nobody wants to see it.
    #[must_use]
    pub fn new(hidden: bool) -> Self {
        let shown = match (hidden, stderr().is_terminal()) {
            (true, _) => Shown::Nothing,
            (false, false) => Shown::Lines {
                last: Cell::new(None),
            },
            (false, true) => {
                let bar = ProgressBar::new(0);
                if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {eta} left") {
                    bar.set_style(style);
                }
                Shown::Bar(bar)
            }
        };
        Self {
            shown,
            loss: Cell::new(None),
            scores: RefCell::new(None),
            tokens: Cell::new(0),
            begun: Cell::new(None),
        }
    }

    /// Takes in what a run tells.
    pub fn show(&self, event: &TrainEvent<'_>) {
        match event {
            TrainEvent::Started { done, steps, .. } => {
                self.begun.set(Some((Instant::now(), *done)));
                if let Shown::Bar(bar) = &self.shown {
                    bar.set_length(*steps as u64);
                    bar.set_position(*done as u64);
                    bar.reset_eta();
                }
            }
            TrainEvent::Stepped { step, steps } => {
                let mean = self.loss.get();
                let mean = mean.map_or(step.loss, |mean| SMOOTHING * mean + (1.0 - SMOOTHING) * step.loss);
                self.loss.set(Some(mean));
                self.tokens.set(self.tokens.get() + step.tokens);
                self.stepped(step.number, *steps, mean);
            }
            TrainEvent::Evaluated { evaluation, .. } => {
                let first = evaluation.scores.iter().next();
                *self.scores.borrow_mut() = first.map(|(name, value)| format!("{name} {value:.4}"));
            }
            _ => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    fn stepped(&self, number: usize, steps: usize, loss: f64) {
        let (begun, before) = self.begun.get().unwrap_or_else(|| (Instant::now(), 0));
        let seconds = begun.elapsed().as_secs_f64();
        let speed = self.tokens.get() as f64 / seconds.max(1e-9);
        let scores = self.scores.borrow();
        let scores = scores
            .as_ref()
            .map(|scores| format!(", {scores}"))
            .unwrap_or_default();
        let message = format!("loss {loss:.4}{scores}, {speed:.0} tokens/s");
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_position(number as u64);
                bar.set_message(message);
            }
            Shown::Lines { last } => {
                let due = last.get().is_none_or(|last| last.elapsed() >= BETWEEN_LINES);
                if !due && number < steps {
                    return;
                }
                last.set(Some(Instant::now()));
                let done = number.saturating_sub(before).max(1);
                let left = seconds / done as f64 * steps.saturating_sub(number) as f64;
                let left = HumanDuration(Duration::from_secs_f64(left));
                output::note!("step {number} of {steps}: {message}, {left} left");
            }
            Shown::Nothing => {}
        }
    }
}
