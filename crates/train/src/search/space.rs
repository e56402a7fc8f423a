//! Which settings are searched, and what each may be.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::candidates::Candidates;
use super::point::{Point, Value};
use crate::batch::{Purpose, Random};
use crate::error::{Error, Result};

/// Most trials of a search.
const MAX_TRIALS: usize = 10_000;
/// Points of a space without ranges up to which all of them are put into random order; of larger ones points are drawn
/// until they differ.
const MAX_LISTED: usize = 1 << 16;
/// Draws for each point that is wanted until the space counts as too small.
const DRAWS: usize = 100;
/// The factor between the ends of a range from which on it is searched by its logarithm, where nothing else is said.
const LOG_FACTOR: f64 = 10.0;

/// What a setting may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// One of some values.
    Choice(Vec<Value>),
    /// Every whole number from the first to the last.
    Integers(i64, i64),
    /// Every number between two, each as likely as the others.
    Linear(f64, f64),
    /// Every number between two, each order of magnitude as likely as the others.
    Log(f64, f64),
}

/// Settings by name, and what each may be.
///
/// As text, settings stand behind one another: `lr=1e-5..1e-3 rank=4,8,16`. Values with commas are a choice; a range whose
/// ends are whole numbers is one of whole numbers; any other is searched by its logarithm where it is positive and spans a
/// factor of ten or more. `log:` and `linear:` in front of a range say it themselves.
///
/// ```
/// use ragtune_train::search::{Domain, SearchSpace};
/// let space: SearchSpace = "lr=1e-5..1e-3 rank=4,8,16 batch=4..8 warmup=0.0..0.2".parse()?;
/// assert_eq!(space.get("lr"), Some(&Domain::log(1e-5, 1e-3)));
/// assert_eq!(space.get("warmup"), Some(&Domain::linear(0.0, 0.2)));
/// assert_eq!(space.grid(3)?.len(), 3 * 3 * 3 * 3);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchSpace(Vec<(String, Domain)>);

impl Domain {
    /// One of some values.
    #[must_use]
    pub fn choice<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Self {
        Self::Choice(values.into_iter().map(Into::into).collect())
    }

    /// Every whole number from `first` to `last`.
    #[must_use]
    pub fn integers(first: i64, last: i64) -> Self {
        Self::Integers(first, last)
    }

    /// Every number between two.
    #[must_use]
    pub fn linear(low: f64, high: f64) -> Self {
        Self::Linear(low, high)
    }

    /// Every number between two, drawn by its logarithm, as is right for learning rates.
    #[must_use]
    pub fn log(low: f64, high: f64) -> Self {
        Self::Log(low, high)
    }

    /// How many values there are; `None` for more than can be listed.
    fn count(&self) -> Option<usize> {
        match self {
            Self::Choice(values) => Some(values.len()),
            Self::Integers(first, last) => usize::try_from(last - first).ok().map(|n| n + 1),
            Self::Linear(..) | Self::Log(..) => None,
        }
    }

    /// The value at a place from 0 to 1. Numbers have four digits, so that a line of the table can be typed again.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "whole numbers within i64"
    )]
    fn at(&self, place: f64) -> Value {
        let between = |low: f64, high: f64| low + place * (high - low);
        let digits = |value: f64, low: f64, high: f64| {
            let value: f64 = format!("{value:.3e}").parse().unwrap_or(value);
            Value::Number(value.clamp(low, high))
        };
        match self {
            Self::Choice(values) => {
                let last = values.len().saturating_sub(1);
                values[((place * values.len() as f64) as usize).min(last)].clone()
            }
            Self::Integers(first, last) => {
                Value::Integer(between(*first as f64, *last as f64).round() as i64)
            }
            Self::Linear(low, high) => digits(between(*low, *high), *low, *high),
            Self::Log(low, high) => digits(between(low.ln(), high.ln()).exp(), *low, *high),
        }
    }

    /// A value by chance.
    fn draw(&self, random: &mut Random) -> Value {
        match self {
            Self::Choice(values) => values[random.below(values.len())].clone(),
            Self::Integers(first, _) => {
                let index = random.below(self.count().unwrap_or(usize::MAX));
                Value::Integer(first + i64::try_from(index).unwrap_or_default())
            }
            _ => self.at(random.next_f64()),
        }
    }

    /// The values of a grid: all of a choice, and so many of a range, its ends among them.
    #[allow(clippy::cast_precision_loss, reason = "a grid is small")]
    fn grid(&self, points: usize) -> Vec<Value> {
        let spread = |points: usize| {
            let place = |index: usize| match points {
                1 => 0.5,
                _ => index as f64 / (points - 1) as f64,
            };
            (0..points).map(|index| self.at(place(index))).collect::<Vec<_>>()
        };
        match (self, self.count()) {
            (Self::Choice(values), _) => values.clone(),
            (Self::Integers(first, _), Some(count)) if count <= points => {
                (*first..).take(count).map(Value::Integer).collect()
            }
            _ => {
                let mut values = spread(points);
                values.dedup();
                values
            }
        }
    }

    fn check(&self, name: &str) -> Result<()> {
        let wrong = |reason: &str| Err(Error::invalid("search space", format!("{name}={self}: {reason}")));
        match self {
            Self::Choice(values) if values.is_empty() => wrong("there is nothing to choose from"),
            Self::Choice(values) => {
                let mut seen = BTreeSet::new();
                match values.iter().all(|value| seen.insert(value.to_string())) {
                    true => Ok(()),
                    false => wrong("a value stands there twice"),
                }
            }
            Self::Integers(first, last) if first >= last || last.checked_sub(*first).is_none() => {
                wrong("the first end is the lower one")
            }
            Self::Linear(low, high) | Self::Log(low, high) if !(low.is_finite() && high.is_finite()) => {
                wrong("the ends are finite numbers")
            }
            Self::Linear(low, high) | Self::Log(low, high) if low >= high => {
                wrong("the first end is the lower one")
            }
            Self::Log(low, _) if *low <= 0.0 => {
                wrong("only positive numbers have a logarithm; write linear: in front of the range")
            }
            _ => Ok(()),
        }
    }
}

impl SearchSpace {
    /// A space without settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A setting more.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name that is there already, an empty choice, and ends that are no range.
    pub fn with(mut self, name: impl Into<String>, domain: Domain) -> Result<Self> {
        let name = name.into();
        if self.get(&name).is_some() {
            return Err(Error::invalid(
                "search space",
                format!("{name} stands there twice"),
            ));
        }
        domain.check(&name)?;
        self.0.push((name, domain));
        Ok(self)
    }

    /// Names and domains, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Domain)> {
        self.0.iter().map(|(name, domain)| (name.as_str(), domain))
    }

    /// What a setting may be.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Domain> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, domain)| domain)
    }

    /// All combinations, the last setting changing fastest. Ranges give so many values, evenly spread with their ends; of
    /// ranges of at most so many whole numbers, all.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a space without settings, and for more than 10,000 combinations.
    pub fn grid(&self, points_of_a_range: usize) -> Result<Candidates> {
        self.check()?;
        if points_of_a_range == 0 {
            return Err(Error::invalid("grid", "0 points of a range; name at least 1"));
        }
        let axes: Vec<Vec<Value>> = self
            .0
            .iter()
            .map(|(_, domain)| domain.grid(points_of_a_range.min(MAX_TRIALS + 1)))
            .collect();
        let count = axes
            .iter()
            .fold(1_usize, |count, axis| count.saturating_mul(axis.len()));
        if count > MAX_TRIALS {
            return Err(Error::invalid(
                "grid",
                format!("{count} combinations; at most {MAX_TRIALS} are tried, draw some of them by chance"),
            ));
        }
        let points = (0..count).map(|index| self.combination(&axes, index)).collect();
        Ok(Candidates::from_space(
            points,
            self,
            format!("grid of {points_of_a_range}"),
        ))
    }

    /// So many points by chance, no two alike. The first points of a larger number are those of a smaller one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no point, more than 10,000, more than the space has, and a space without settings.
    pub fn random(&self, points: usize, seed: u64) -> Result<Candidates> {
        self.check()?;
        if points == 0 || points > MAX_TRIALS {
            let reason = format!("{points} trials; a search has 1 to {MAX_TRIALS}");
            return Err(Error::invalid("search", reason));
        }
        let drawn = match self.count().filter(|count| *count <= MAX_LISTED) {
            Some(count) if count < points => return Err(too_few(count, points)),
            Some(count) => self.shuffled(count, points, seed),
            None => self.drawn(points, seed)?,
        };
        Ok(Candidates::from_space(
            drawn,
            self,
            format!("{points} by chance, seed {seed}"),
        ))
    }

    /// How many points there are, where they can be counted.
    fn count(&self) -> Option<usize> {
        self.0.iter().try_fold(1_usize, |count, (_, domain)| {
            domain.count().map(|n| count.saturating_mul(n))
        })
    }

    fn combination(&self, axes: &[Vec<Value>], mut index: usize) -> Point {
        let mut values: Vec<Value> = axes
            .iter()
            .rev()
            .map(|axis| {
                let value = axis[index % axis.len()].clone();
                index /= axis.len();
                value
            })
            .collect();
        values.reverse();
        Point::new(self.0.iter().map(|(name, _)| name.clone()).zip(values))
    }

    /// The first points of all in random order.
    fn shuffled(&self, count: usize, points: usize, seed: u64) -> Vec<Point> {
        let axes: Vec<Vec<Value>> = self.0.iter().map(|(_, domain)| domain.grid(count)).collect();
        let mut order: Vec<usize> = (0..count).collect();
        Random::of(seed, Purpose::Search, 0).shuffle(&mut order);
        let first = order.into_iter().take(points);
        first.map(|index| self.combination(&axes, index)).collect()
    }

    /// Points that are drawn until they differ.
    fn drawn(&self, points: usize, seed: u64) -> Result<Vec<Point>> {
        let (mut drawn, mut seen) = (Vec::with_capacity(points), BTreeSet::new());
        for part in 0..(points * DRAWS) as u64 {
            let mut random = Random::of(seed, Purpose::Search, part);
            let settings = self
                .0
                .iter()
                .map(|(name, domain)| (name.clone(), domain.draw(&mut random)));
            let point = Point::new(settings);
            if seen.insert(point.to_string()) {
                drawn.push(point);
            }
            if drawn.len() == points {
                return Ok(drawn);
            }
        }
        Err(too_few(drawn.len(), points))
    }

    fn check(&self) -> Result<()> {
        match self.0.is_empty() {
            true => Err(Error::invalid(
                "search space",
                "it has no setting; name one, such as lr=1e-5..1e-3",
            )),
            false => Ok(()),
        }
    }
}

fn too_few(found: usize, wanted: usize) -> Error {
    Error::invalid(
        "search",
        format!("{wanted} trials, and the space has {found} points; ask for as many, or for its grid"),
    )
}

impl FromStr for SearchSpace {
    type Err = Error;

    /// # Errors
    /// [`Error::InvalidArgument`] names the setting that cannot be read, and the forms that there are.
    fn from_str(text: &str) -> Result<Self> {
        let mut space = Self::new();
        for setting in text.split_whitespace() {
            let (name, domain) = setting
                .split_once('=')
                .filter(|(name, domain)| !name.is_empty() && !domain.is_empty())
                .ok_or_else(|| unreadable(setting))?;
            space = space.with(name, domain.parse()?)?;
        }
        space.check()?;
        Ok(space)
    }
}

impl FromStr for Domain {
    type Err = Error;

    /// # Errors
    /// [`Error::InvalidArgument`] for ends of a range that are no numbers.
    fn from_str(text: &str) -> Result<Self> {
        let (scale, range) = match text.split_once(':') {
            Some((scale @ ("log" | "linear"), range)) => (Some(scale), range),
            _ => (None, text),
        };
        let Some((low, high)) = range.split_once("..") else {
            if scale.is_some() {
                return Err(unreadable(text));
            }
            return Ok(Self::Choice(text.split(',').map(value).collect()));
        };
        if let (None, Ok(first), Ok(last)) = (scale, low.parse(), high.parse()) {
            return Ok(Self::Integers(first, last));
        }
        let (Ok(low), Ok(high)) = (low.parse::<f64>(), high.parse::<f64>()) else {
            return Err(unreadable(text));
        };
        Ok(match scale {
            Some("log") => Self::Log(low, high),
            None if low > 0.0 && high >= LOG_FACTOR * low => Self::Log(low, high),
            _ => Self::Linear(low, high),
        })
    }
}

/// A value as it is written.
fn value(text: &str) -> Value {
    match (text.parse(), text.parse::<f64>()) {
        (Ok(integer), _) => Value::Integer(integer),
        (_, Ok(number)) if number.is_finite() => Value::Number(number),
        _ => Value::Text(text.to_owned()),
    }
}

fn unreadable(text: &str) -> Error {
    Error::invalid(
        "search space",
        format!("{text:?}; write NAME=LOW..HIGH or NAME=VALUE,VALUE, such as lr=1e-5..1e-3 rank=4,8,16"),
    )
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Choice(values) => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                f.write_str(&values.join(","))
            }
            Self::Integers(first, last) => write!(f, "{first}..{last}"),
            Self::Linear(low, high) => write!(f, "linear:{low:e}..{high:e}"),
            Self::Log(low, high) => write!(f, "log:{low:e}..{high:e}"),
        }
    }
}

impl fmt::Display for SearchSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, domain)) in self.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            write!(f, "{space}{name}={domain}")?;
        }
        Ok(())
    }
}
