//! Values beside each other with their intervals, as a picture.

use std::fmt::Write;

use super::axis::Axis;
use super::svg::{
    Frame, LEGEND_ROW, LETTER, Legend, RIGHT, TO_LEGEND, TOP, WIDTH, colour, escape, no_values,
};

/// Height of a bar with the room to the next one.
const ROW: f64 = 30.0;
const THICKNESS: f64 = 16.0;

/// Characters of a name that are shown; the whole of a longer one shows where the pointer rests.
const NAME: usize = 34;

/// Room for the number behind a bar.
const NUMBER: f64 = 64.0;

/// Horizontal bars from 0, each with its number and, where it is known, its interval.
///
/// ```
/// use ragtune_train::report::{Bar, Bars};
///
/// let bars = Bars::new("Quality", "token F1")
///     .with_bar(Bar::new("retrieval", 0.61).with_interval(0.55, 0.67))
///     .with_bar(Bar::new("tuned", 0.64).with_interval(0.58, 0.70).with_group("tuned"));
/// assert!(bars.to_svg().starts_with("<svg"));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bars {
    title: String,
    x: String,
    bars: Vec<Bar>,
}

/// A value with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    name: String,
    value: f64,
    interval: Option<(f64, f64)>,
    group: Option<String>,
}

impl Bars {
    /// A picture without bars, with the name of its axis.
    pub fn new(title: impl Into<String>, x: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            x: x.into(),
            bars: Vec::new(),
        }
    }

    /// One more bar, below the others.
    #[must_use]
    pub fn with_bar(mut self, bar: Bar) -> Self {
        self.bars.push(bar);
        self
    }

    /// The picture, which adapts itself to light and dark surroundings. A value that is no number has a name and no bar.
    pub fn to_svg(&self) -> String {
        let longest = self
            .bars
            .iter()
            .map(|bar| bar.name.chars().count().min(NAME))
            .max();
        let left = (24.0 + LETTER * longest.unwrap_or(0) as f64).max(74.0);
        let right = WIDTH - RIGHT - NUMBER;
        let floor = TOP + ROW * self.bars.len().max(1) as f64 + 6.0;
        let groups = self.groups();
        let legend = Legend::of(&groups, left);
        let rows = if groups.is_empty() { 0 } else { legend.rows() };
        let mut svg = String::new();
        let frame = Frame {
            title: &self.title,
            x: &self.x,
            y: "",
            left,
            floor,
            height: floor
                + 56.0
                + if rows > 0 {
                    10.0 + LEGEND_ROW * rows as f64
                } else {
                    0.0
                },
        };
        frame.open(&mut svg);
        let values = self.bars.iter().flat_map(|bar| {
            let (low, high) = bar.interval.unwrap_or((bar.value, bar.value));
            [bar.value, low, high]
        });
        let axis = Axis::over(values.chain([0.0]), 6);
        let digits = digits(self.bars.iter().map(|bar| bar.value));
        let place = |value: f64| left + axis.place(value) * (right - left);
        for &tick in &axis.ticks {
            let x = place(tick);
            let _ = writeln!(
                svg,
                r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{floor}"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                floor + 20.0,
                axis.label(tick)
            );
        }
        for (index, bar) in self.bars.iter().enumerate() {
            let group = groups
                .iter()
                .position(|group| bar.group.as_deref() == Some(*group));
            let top = TOP + 3.0 + ROW * index as f64;
            bar.draw(&mut svg, top, left, group.unwrap_or(0), digits, place);
        }
        let zero = place(0.0);
        let _ = writeln!(
            svg,
            r#"<line class="axis" x1="{zero:.1}" x2="{zero:.1}" y1="{TOP}" y2="{floor}"/>"#
        );
        if self.bars.is_empty() {
            no_values(&mut svg, TOP + ROW / 2.0);
        }
        if rows > 0 {
            legend.draw(&mut svg, floor + TO_LEGEND);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// The groups, in the order of their first bars.
    fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for group in self.bars.iter().filter_map(|bar| bar.group.as_deref()) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }
}

impl Bar {
    /// A bar without an interval.
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
            interval: None,
            group: None,
        }
    }

    /// Shows between which ends the value is known to lie.
    #[must_use]
    pub fn with_interval(mut self, low: f64, high: f64) -> Self {
        self.interval = Some((low, high));
        self
    }

    /// Gives the bar the colour of a group, which the legend names.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    fn draw(
        &self,
        svg: &mut String,
        top: f64,
        left: f64,
        group: usize,
        digits: Option<usize>,
        place: impl Fn(f64) -> f64,
    ) {
        let (middle, name) = (top + ROW / 2.0 - 3.0, escape(&self.name));
        let mut shown: String = self.name.chars().take(NAME).collect();
        if shown.len() < self.name.len() {
            shown.pop();
            shown.push('…');
        }
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}<title>{name}</title></text>"#,
            left - 8.0,
            middle + 4.0,
            escape(&shown)
        );
        if !self.value.is_finite() {
            let _ = writeln!(
                svg,
                r#"<text class="note" x="{:.1}" y="{:.1}">no value</text>"#,
                left + 8.0,
                middle + 4.0
            );
            return;
        }
        let (from, to) = (place(self.value.min(0.0)), place(self.value.max(0.0)));
        let _ = writeln!(
            svg,
            r#"<rect class="d{}" x="{from:.1}" y="{:.1}" width="{:.1}" height="{THICKNESS}" rx="2" opacity=".85"/>"#,
            colour(group),
            middle - THICKNESS / 2.0,
            (to - from).max(0.5)
        );
        let mut end = to;
        if let Some((low, high)) = self
            .interval
            .filter(|(low, high)| low.is_finite() && high.is_finite())
        {
            let (low, high) = (place(low), place(high));
            let (upper, lower) = (middle - 5.0, middle + 5.0);
            let _ = writeln!(
                svg,
                r#"<path class="whisker" d="M{low:.1} {upper:.1}V{lower:.1}M{low:.1} {middle:.1}H{high:.1}M{high:.1} {upper:.1}V{lower:.1}"/>"#
            );
            end = end.max(high);
        }
        let _ = writeln!(
            svg,
            r#"<text class="note" x="{:.1}" y="{:.1}">{}</text>"#,
            end + 7.0,
            middle + 4.0,
            number(self.value, digits)
        );
    }
}

/// How many digits behind the point show three that say something of the largest number; none where numbers are so large or
/// small that they are written with powers of ten.
fn digits(values: impl Iterator<Item = f64>) -> Option<usize> {
    let finite = values.map(f64::abs).filter(|size| size.is_finite());
    match finite.fold(0.0, f64::max) {
        0.0 => Some(0),
        size if !(1e-3..1e6).contains(&size) => None,
        size if size >= 100.0 => Some(0),
        size if size >= 10.0 => Some(1),
        // What is 1 at most is mostly a share, also where rounding made it a hair more.
        size if size > 1.000_001 => Some(2),
        _ => Some(3),
    }
}

fn number(value: f64, digits: Option<usize>) -> String {
    match digits {
        Some(digits) => format!("{value:.digits$}"),
        None => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_intervals_groups_and_whole_names() {
        let long = "x".repeat(60);
        let svg = Bars::new("Quality", "F1")
            .with_bar(
                Bar::new("<base>", 0.5)
                    .with_interval(0.4, 0.6)
                    .with_group("small"),
            )
            .with_bar(Bar::new(long.as_str(), 0.25).with_group("large & slow"))
            .with_bar(Bar::new("failed", f64::NAN))
            .to_svg();
        assert!(svg.contains("&lt;base&gt;") && !svg.contains("<base>"), "{svg}");
        assert!(svg.contains(&format!("<title>{long}</title>")), "{svg}");
        assert_eq!(svg.matches(r#"class="whisker""#).count(), 1);
        assert!(
            svg.contains("large &amp; slow") && svg.contains("no value"),
            "{svg}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn negative_values_and_none_are_drawn() {
        let svg = Bars::new("Difference", "F1")
            .with_bar(Bar::new("a", -0.2).with_interval(-0.4, 0.1))
            .to_svg();
        assert!(svg.contains(">-0.4</text>") && svg.contains("-0.200"), "{svg}");
        assert!(Bars::default().to_svg().contains("no values"));
        let shown = |values: [f64; 2]| values.map(|value| number(value, digits(values.into_iter())));
        assert_eq!(shown([1.0, 0.1234]), ["1.000", "0.123"]);
        assert_eq!(shown([12.34, 1234.5]), ["12", "1234"]);
        assert_eq!(shown([2e9, -1.0]), ["2.00e9", "-1.00e0"]);
        assert_eq!(shown([0.0, f64::NAN])[0], "0");
    }
}
