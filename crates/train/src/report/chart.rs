//! What a picture of curves shows.

/// A chart of curves over one horizontal axis.
///
/// ```
/// use ragtune_train::report::{Chart, Series};
///
/// let loss = Series::new("training", (1..=100).map(|step| (f64::from(step), 1.0 / f64::from(step))));
/// let chart = Chart::new("Loss", "step", "loss").with_series(loss.with_smoothing(0.9));
/// assert!(chart.to_svg().starts_with("<svg"));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chart {
    pub(super) title: String,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) series: Vec<Series>,
    pub(super) marks: Vec<Mark>,
    pub(super) is_logarithmic: bool,
    pub(super) x_range: Option<(f64, f64)>,
    pub(super) y_range: Option<(f64, f64)>,
}

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) smoothing: f64,
    pub(super) dots: bool,
    pub(super) line: bool,
    pub(super) band: Vec<(f64, f64)>,
}

/// A point that is pointed out.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Where.
    pub x: f64,
    /// How high.
    pub y: f64,
    /// What is written at it.
    pub text: String,
}

impl Chart {
    /// An empty chart with the names of its axes.
    pub fn new(title: impl Into<String>, x: impl Into<String>, y: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            x: x.into(),
            y: y.into(),
            ..Self::default()
        }
    }

    /// One more curve.
    #[must_use]
    pub fn with_series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// One more point that is pointed out.
    #[must_use]
    pub fn with_mark(mut self, mark: Mark) -> Self {
        self.marks.push(mark);
        self
    }

    /// Gives the horizontal axis equal factors in place of equal steps; what is not above 0 is a gap then.
    #[must_use]
    pub fn with_logarithmic_x(mut self) -> Self {
        self.is_logarithmic = true;
        self
    }

    /// Shows at least this range of the horizontal axis.
    #[must_use]
    pub fn with_x_range(mut self, low: f64, high: f64) -> Self {
        self.x_range = Some((low, high));
        self
    }

    /// Shows at least this range of the vertical axis, for example 0 to 1 of shares.
    #[must_use]
    pub fn with_y_range(mut self, low: f64, high: f64) -> Self {
        self.y_range = Some((low, high));
        self
    }

    /// The picture, which adapts itself to light and dark surroundings. A value that is no number is a gap in its curve.
    pub fn to_svg(&self) -> String {
        super::svg::draw(self)
    }
}

impl Series {
    /// A curve through points, whose first coordinates rise.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points: points.into_iter().collect(),
            smoothing: 0.0,
            dots: false,
            line: true,
            band: Vec::new(),
        }
    }

    /// Points without a line, in any order.
    pub fn scatter(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self {
            dots: true,
            line: false,
            ..Self::new(name, points)
        }
    }

    /// Shades what lies between a lower and an upper end, given for each point, for example its interval.
    #[must_use]
    pub fn with_band(mut self, ends: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.band = ends.into_iter().collect();
        self
    }

    /// Draws the curve as a running mean before a pale line of its values: each mean keeps the share `weight` of the one
    /// before it. 0, the default, draws the values only.
    #[must_use]
    pub fn with_smoothing(mut self, weight: f64) -> Self {
        self.smoothing = weight.clamp(0.0, 0.999);
        self
    }

    /// Shows each value as a dot, for curves of few values.
    #[must_use]
    pub fn with_dots(mut self) -> Self {
        self.dots = true;
        self
    }

    /// The running mean of the values, without the pull to 0 at its start (the correction of Kingma and Ba 2015,
    /// section 3). Values that are no numbers are passed over.
    pub(super) fn smoothed(&self) -> Vec<(f64, f64)> {
        let (mut mean, mut weight) = (0.0, 0.0);
        let keep = self.smoothing;
        self.points
            .iter()
            .filter(|(_, y)| y.is_finite())
            .map(|&(x, y)| {
                mean = keep * mean + (1.0 - keep) * y;
                weight = keep * weight + (1.0 - keep);
                (x, mean / weight)
            })
            .collect()
    }
}

/// At most about `limit` points that draw the same curve: of each stretch the lowest and the highest stay.
pub(super) fn thinned(points: &[(f64, f64)], limit: usize) -> Vec<(f64, f64)> {
    if points.len() <= limit {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil((limit / 2).max(1));
    points
        .chunks(stretch)
        .flat_map(|chunk| {
            // A number that is none stays, so that its gap does.
            let low = (0..chunk.len()).min_by(|&a, &b| value(chunk, a).total_cmp(&value(chunk, b)));
            let high = (0..chunk.len()).max_by(|&a, &b| value(chunk, a).total_cmp(&value(chunk, b)));
            let (low, high) = (low.unwrap_or(0), high.unwrap_or(0));
            let mut kept = vec![low.min(high)];
            if low != high {
                kept.push(low.max(high));
            }
            kept.into_iter().filter_map(|index| chunk.get(index).copied())
        })
        .collect()
}

fn value(points: &[(f64, f64)], index: usize) -> f64 {
    points.get(index).map_or(f64::NAN, |point| point.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_of_a_constant_is_the_constant() {
        let series = Series::new("", (0..50).map(|x| (f64::from(x), 3.0))).with_smoothing(0.95);
        assert!(series.smoothed().iter().all(|(_, y)| (y - 3.0).abs() < 1e-12));
    }

    #[test]
    fn thinning_keeps_the_peaks() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|x| (f64::from(x), 0.0)).collect();
        points[4321].1 = 9.0;
        points[8765].1 = -9.0;
        let thin = thinned(&points, 500);
        assert!(thin.len() <= 510, "{}", thin.len());
        assert!(thin.contains(&(4321.0, 9.0)) && thin.contains(&(8765.0, -9.0)));
        assert!(thin.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
