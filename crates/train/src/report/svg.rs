//! A chart as an SVG file of its own: no script, no font, two sets of colours.

use std::fmt::Write;

use super::axis::Axis;
use super::chart::{Chart, Series, thinned};

pub(super) const WIDTH: f64 = 760.0;
const LEFT: f64 = 74.0;
pub(super) const RIGHT: f64 = 24.0;
pub(super) const TOP: f64 = 48.0;
/// The lower end of the field of a chart.
const FLOOR: f64 = 334.0;
/// From the lower end of the field to the line of the first row of the legend.
pub(super) const TO_LEGEND: f64 = 68.0;
/// A row of the legend.
pub(super) const LEGEND_ROW: f64 = 20.0;

/// More points than this are not told apart on the screen.
const MAX_POINTS: usize = 1200;

/// Room of a character of the legend, and of the line before a name, in units of the picture.
pub(super) const LETTER: f64 = 7.2;
const SAMPLE: f64 = 34.0;

/// Colours that people with colour blindness tell apart: Okabe and Ito 2008, darkened for white ground; then the same for
/// dark ground.
const LIGHT: [&str; 6] = ["#0067a5", "#c04a00", "#007f5c", "#9b3d78", "#8a6d00", "#3a3a3a"];
const DARK: [&str; 6] = ["#56b4e9", "#ff9d5c", "#35c79b", "#e29bc4", "#f0e442", "#d0d0d0"];

/// The picture of a chart.
pub(super) fn draw(chart: &Chart) -> String {
    let points = || chart.series.iter().flat_map(|s| &s.points);
    let across = points()
        .map(|point| point.0)
        .chain(chart.marks.iter().map(|mark| mark.x))
        .chain(chart.x_range.iter().flat_map(|range| [range.0, range.1]));
    let horizontal = match chart.is_logarithmic {
        true => Axis::logarithmic(across, 9),
        false => Axis::over(across, 8),
    };
    let ends = chart.series.iter().flat_map(|s| &s.band).chain(&chart.y_range);
    let values = points()
        .map(|point| point.1)
        .chain(chart.marks.iter().map(|mark| mark.y))
        .chain(ends.flat_map(|ends| [ends.0, ends.1]));
    let vertical = Axis::over(values, 6);
    let names: Vec<&str> = chart.series.iter().map(|series| series.name.as_str()).collect();
    let legend = Legend::of(&names, LEFT);
    let mut svg = String::new();
    let frame = Frame {
        title: &chart.title,
        x: &chart.x,
        y: &chart.y,
        left: LEFT,
        floor: FLOOR,
        height: FLOOR + TO_LEGEND + LEGEND_ROW * legend.rows() as f64 - 2.0,
    };
    frame.open(&mut svg);
    grid(&mut svg, &horizontal, &vertical);
    let place = |(x, y): (f64, f64)| {
        (
            LEFT + horizontal.place(x) * (WIDTH - LEFT - RIGHT),
            FLOOR - vertical.place(y) * (FLOOR - TOP),
        )
    };
    for (index, series) in chart.series.iter().enumerate() {
        band(&mut svg, index, series, place);
    }
    for (index, series) in chart.series.iter().enumerate() {
        curve(&mut svg, index, series, place);
    }
    for mark in &chart.marks {
        let (x, y) = place((mark.x, mark.y));
        if !(x.is_finite() && y.is_finite()) {
            continue;
        }
        let _ = writeln!(svg, r#"<circle class="mark" cx="{x:.1}" cy="{y:.1}" r="5"/>"#);
        // The text stands on the side where there is room.
        let (anchor, shift) = if x > WIDTH * 0.6 {
            ("end", -9.0)
        } else {
            ("start", 9.0)
        };
        let (x, y, text) = (x + shift, y - 8.0, escape(&mark.text));
        // A copy in the colour of the ground keeps the curves out of the letters.
        for class in ["note halo", "note"] {
            let _ = writeln!(
                svg,
                r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
            );
        }
    }
    if chart.series.iter().all(|series| series.points.is_empty()) {
        no_values(&mut svg, (TOP + FLOOR) / 2.0);
    }
    legend.draw(&mut svg, FLOOR + TO_LEGEND);
    svg.push_str("</svg>\n");
    svg
}

/// What every picture has around its field.
pub(super) struct Frame<'c> {
    pub title: &'c str,
    pub x: &'c str,
    pub y: &'c str,
    /// The left end of the field.
    pub left: f64,
    /// The lower end of the field.
    pub floor: f64,
    pub height: f64,
}

impl Frame<'_> {
    /// The picture's beginning: its colours, its ground, its title and the names of the axes.
    pub fn open(&self, svg: &mut String) {
        let rules = |colours: &[&str]| {
            let mut rules = String::new();
            for (index, colour) in colours.iter().enumerate() {
                let _ = write!(rules, ".s{index}{{stroke:{colour}}}.d{index}{{fill:{colour}}}");
            }
            rules
        };
        let (left, floor, height) = (self.left, self.floor, self.height);
        let _ = write!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="{0}">
<title>{0}</title>
<style>
.ground{{fill:#ffffff}}.grid{{stroke:#e3e3e3}}.axis{{stroke:#7a7a7a}}.mark{{fill:none;stroke:#222222;stroke-width:1.5}}
text{{fill:#222222;font:12px system-ui,sans-serif}}.title{{font-size:16px;font-weight:600}}.note{{font-size:11px}}.halo{{stroke:#ffffff;stroke-width:4;stroke-linejoin:round}}
.line{{fill:none;stroke-width:2;stroke-linejoin:round}}.pale{{stroke-width:1;opacity:.3}}.band{{opacity:.16}}.whisker{{fill:none;stroke:#222222;stroke-width:1.5}}
{1}
@media (prefers-color-scheme:dark){{.ground{{fill:#16181c}}.grid{{stroke:#33363c}}.axis{{stroke:#8d9199}}.mark,.whisker{{stroke:#f0f0f0}}.halo{{stroke:#16181c}}text{{fill:#e6e6e6}}{2}}}
</style>
<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>
<text class="title" x="{3}" y="28">{0}</text>
<text x="{4:.1}" y="{5:.1}" text-anchor="middle">{6}</text>
"#,
            escape(self.title),
            rules(&LIGHT),
            rules(&DARK),
            self.left.min(LEFT),
            (left + WIDTH - RIGHT) / 2.0,
            floor + 40.0,
            escape(self.x),
        );
        if !self.y.is_empty() {
            let _ = writeln!(
                svg,
                r#"<text transform="rotate(-90)" x="{:.1}" y="18" text-anchor="middle">{}</text>"#,
                -(TOP + floor) / 2.0,
                escape(self.y)
            );
        }
    }
}

/// What a picture says that has nothing to show.
pub(super) fn no_values(svg: &mut String, y: f64) {
    let _ = writeln!(
        svg,
        r#"<text x="{:.1}" y="{y:.1}" text-anchor="middle">no values</text>"#,
        WIDTH / 2.0
    );
}

/// The class of the line or the area of the series of this number.
pub(super) fn colour(index: usize) -> usize {
    index % LIGHT.len()
}

fn grid(svg: &mut String, horizontal: &Axis, vertical: &Axis) {
    let (right, floor) = (WIDTH - RIGHT, FLOOR);
    for &tick in &vertical.ticks {
        let y = floor - vertical.place(tick) * (floor - TOP);
        let _ = writeln!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 8.0,
            y + 4.0,
            vertical.label(tick)
        );
    }
    for &tick in &horizontal.ticks {
        let x = LEFT + horizontal.place(tick) * (right - LEFT);
        let _ = writeln!(
            svg,
            r#"<line class="axis" x1="{x:.1}" x2="{x:.1}" y1="{floor}" y2="{:.1}"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            floor + 5.0,
            floor + 20.0,
            horizontal.label(tick)
        );
    }
    let _ = writeln!(
        svg,
        r#"<line class="axis" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{floor}"/><line class="axis" x1="{LEFT}" x2="{right}" y1="{floor}" y2="{floor}"/>"#
    );
}

fn curve(svg: &mut String, index: usize, series: &Series, place: impl Fn((f64, f64)) -> (f64, f64)) {
    let colour = colour(index);
    if !series.line {
        // Points alone.
    } else if series.smoothing > 0.0 {
        line(svg, &format!("line pale s{colour}"), &series.points, &place);
        line(svg, &format!("line s{colour}"), &series.smoothed(), &place);
    } else {
        line(svg, &format!("line s{colour}"), &series.points, &place);
    }
    if series.dots {
        for &point in &series.points {
            let (x, y) = place(point);
            if !(x.is_finite() && y.is_finite()) {
                continue;
            }
            let _ = writeln!(
                svg,
                r#"<circle class="d{colour}" cx="{x:.1}" cy="{y:.1}" r="3"/>"#
            );
        }
    }
}

/// A line through the points, broken where a value is no number.
fn line(svg: &mut String, class: &str, points: &[(f64, f64)], place: impl Fn((f64, f64)) -> (f64, f64)) {
    let mut path = String::new();
    let mut pen = "M";
    for point in thinned(points, MAX_POINTS) {
        let (x, y) = place(point);
        if !(x.is_finite() && y.is_finite()) {
            pen = "M";
            continue;
        }
        let _ = write!(path, "{pen}{x:.1} {y:.1}");
        pen = "L";
    }
    if !path.is_empty() {
        let _ = writeln!(svg, r#"<path class="{class}" d="{path}"/>"#);
    }
}

/// The area between the ends of a curve's band.
fn band(svg: &mut String, index: usize, series: &Series, place: impl Fn((f64, f64)) -> (f64, f64)) {
    let ends: Vec<(f64, f64, f64)> = series
        .points
        .iter()
        .zip(&series.band)
        .map(|(&(x, _), &(low, high))| {
            let ((x, low), (_, high)) = (place((x, low)), place((x, high)));
            (x, low, high)
        })
        .collect();
    for piece in ends.split(|(x, low, high)| !(x.is_finite() && low.is_finite() && high.is_finite())) {
        let mut path = String::new();
        let there = piece.iter().map(|(x, low, _)| (x, low));
        let back = piece.iter().rev().map(|(x, _, high)| (x, high));
        for (x, y) in there.chain(back) {
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
        }
        if piece.len() > 1 {
            let _ = writeln!(svg, r#"<path class="band d{}" d="{path}Z"/>"#, colour(index));
        }
    }
}

/// The names of what a picture shows, in as many rows as they need.
pub(super) struct Legend<'c> {
    /// Name, left end and row of each.
    places: Vec<(&'c str, f64, usize)>,
}

impl<'c> Legend<'c> {
    pub fn of(names: &[&'c str], left: f64) -> Self {
        let (mut x, mut row) = (left, 0);
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let room = SAMPLE + 16.0 + LETTER * name.chars().count() as f64;
            if x > left && x + room > WIDTH {
                (x, row) = (left, row + 1);
            }
            places.push((*name, x, row));
            x += room;
        }
        Self { places }
    }

    pub fn rows(&self) -> usize {
        self.places.last().map_or(1, |place| place.2 + 1)
    }

    /// Draws it with its first row at `top`.
    pub fn draw(&self, svg: &mut String, top: f64) {
        for (index, (name, x, row)) in self.places.iter().enumerate() {
            let y = top + LEGEND_ROW * *row as f64;
            let _ = writeln!(
                svg,
                r#"<line class="line s{}" x1="{x:.1}" x2="{:.1}" y1="{:.1}" y2="{:.1}"/><text x="{:.1}" y="{y:.1}">{}</text>"#,
                colour(index),
                x + SAMPLE - 10.0,
                y - 4.0,
                y - 4.0,
                x + SAMPLE - 4.0,
                escape(name)
            );
        }
    }
}

/// Text for a page or a picture: without what XML gives a meaning, and without the control characters that it does not
/// allow, for which spaces stand.
///
/// ```
/// assert_eq!(ragtune_train::report::escape("a < \"b\""), "a &lt; &quot;b&quot;");
/// ```
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Mark;

    #[test]
    fn names_cannot_break_the_picture() {
        let chart = Chart::new("a < b & \"c\"\u{1}", "<x>", "y")
            .with_series(Series::new("</svg>", [(0.0, 1.0), (1.0, 2.0)]))
            .with_mark(Mark {
                x: 1.0,
                y: 2.0,
                text: "<best>".into(),
            });
        let svg = chart.to_svg();
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot; "), "{svg}");
        assert_eq!(svg.matches("</svg>").count(), 1);
        assert!(svg.contains("&lt;best&gt;") && !svg.contains("<best>"));
    }

    #[test]
    fn bands_and_points_are_drawn_and_what_has_no_place_is_not() {
        let points = [(1.0, 0.5), (10.0, 0.7), (100.0, 0.8)];
        let ends = [(0.4, 0.6), (0.6, 0.9), (0.7, 0.95)];
        let svg = Chart::new("Accuracy", "examples", "accuracy")
            .with_series(Series::new("tuned", points).with_band(ends))
            .with_series(Series::scatter("trials", [(0.0, 0.5), (20.0, 0.5)]))
            .with_logarithmic_x()
            .with_y_range(0.0, 1.0)
            .to_svg();
        assert_eq!(svg.matches(r#"class="band"#).count(), 1, "{svg}");
        assert_eq!(
            svg.matches("<circle").count(),
            1,
            "0 has no place on a logarithmic axis: {svg}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.contains(">1.0</text>") && svg.contains(">0</text>"), "{svg}");
    }

    #[test]
    fn a_long_legend_takes_rows() {
        let chart = (0..9).fold(Chart::new("", "", ""), |chart, number| {
            chart.with_series(Series::new(
                format!("a system of a long name {number}"),
                [(0.0, 1.0)],
            ))
        });
        let svg = chart.to_svg();
        assert!(
            svg.contains("viewBox=\"0 0 760 480\"") || svg.contains("viewBox=\"0 0 760 500\""),
            "{svg}"
        );
    }

    #[test]
    fn gaps_and_nothing_at_all_are_drawn() {
        let points = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 2.0), (4.0, 1.0)];
        let svg = Chart::new("", "", "")
            .with_series(Series::new("s", points))
            .to_svg();
        let path = svg.split("d=\"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(path.map(|path| path.matches('M').count()), Some(2), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        let empty = Chart::new("Loss", "step", "loss").with_series(Series::new("training", []));
        assert!(empty.to_svg().contains("no values"));
    }
}
