//! A chart as an SVG file of its own: no script, no font, two sets of colours.

use std::fmt::Write;

use super::axis::Axis;
use super::chart::{Chart, Series, thinned};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 86.0;

/// More points than this are not told apart on the screen.
const MAX_POINTS: usize = 1200;

/// Room of a character of the legend, and of the line before a name, in units of the picture.
const LETTER: f64 = 7.2;
const SAMPLE: f64 = 34.0;

/// Colours that people with colour blindness tell apart: Okabe and Ito 2008, darkened for white ground; then the same for
/// dark ground.
const LIGHT: [&str; 6] = ["#0067a5", "#c04a00", "#007f5c", "#9b3d78", "#8a6d00", "#3a3a3a"];
const DARK: [&str; 6] = ["#56b4e9", "#ff9d5c", "#35c79b", "#e29bc4", "#f0e442", "#d0d0d0"];

/// The picture of a chart.
pub(super) fn draw(chart: &Chart) -> String {
    let horizontal = Axis::over(
        chart.series.iter().flat_map(|s| &s.points).map(|point| point.0),
        8,
    );
    let marks = chart.marks.iter().map(|mark| mark.y);
    let values = chart.series.iter().flat_map(|s| &s.points).map(|point| point.1);
    let vertical = Axis::over(values.chain(marks), 6);
    let mut svg = String::new();
    head(&mut svg, chart);
    grid(&mut svg, &horizontal, &vertical);
    let place = |(x, y): (f64, f64)| {
        (
            LEFT + horizontal.place(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - vertical.place(y) * (HEIGHT - TOP - BOTTOM),
        )
    };
    for (index, series) in chart.series.iter().enumerate() {
        curve(&mut svg, index, series, place);
    }
    for mark in &chart.marks {
        let (x, y) = place((mark.x, mark.y));
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
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">no values</text>"#,
            WIDTH / 2.0,
            HEIGHT / 2.0
        );
    }
    legend(&mut svg, chart);
    svg.push_str("</svg>\n");
    svg
}

fn head(svg: &mut String, chart: &Chart) {
    let rules = |colours: &[&str]| {
        let mut rules = String::new();
        for (index, colour) in colours.iter().enumerate() {
            let _ = write!(rules, ".s{index}{{stroke:{colour}}}.d{index}{{fill:{colour}}}");
        }
        rules
    };
    let _ = write!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{0}">
<title>{0}</title>
<style>
.ground{{fill:#ffffff}}.grid{{stroke:#e3e3e3}}.axis{{stroke:#7a7a7a}}.mark{{fill:none;stroke:#222222;stroke-width:1.5}}
text{{fill:#222222;font:12px system-ui,sans-serif}}.title{{font-size:16px;font-weight:600}}.note{{font-size:11px}}.halo{{stroke:#ffffff;stroke-width:4;stroke-linejoin:round}}
.line{{fill:none;stroke-width:2;stroke-linejoin:round}}.pale{{stroke-width:1;opacity:.3}}
{1}
@media (prefers-color-scheme:dark){{.ground{{fill:#16181c}}.grid{{stroke:#33363c}}.axis{{stroke:#8d9199}}.mark{{stroke:#f0f0f0}}.halo{{stroke:#16181c}}text{{fill:#e6e6e6}}{2}}}
</style>
<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="8"/>
<text class="title" x="{LEFT}" y="28">{0}</text>
<text x="{3:.1}" y="{4:.1}" text-anchor="middle">{5}</text>
<text transform="rotate(-90)" x="{6:.1}" y="18" text-anchor="middle">{7}</text>
"#,
        escape(&chart.title),
        rules(&LIGHT),
        rules(&DARK),
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - BOTTOM + 40.0,
        escape(&chart.x),
        -(TOP + HEIGHT - BOTTOM) / 2.0,
        escape(&chart.y),
    );
}

fn grid(svg: &mut String, horizontal: &Axis, vertical: &Axis) {
    let (right, floor) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
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
    let colour = index % LIGHT.len();
    if series.smoothing > 0.0 {
        line(svg, &format!("line pale s{colour}"), &series.points, &place);
        line(svg, &format!("line s{colour}"), &series.smoothed(), &place);
    } else {
        line(svg, &format!("line s{colour}"), &series.points, &place);
    }
    if series.dots {
        for &point in series.points.iter().filter(|point| point.1.is_finite()) {
            let (x, y) = place(point);
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
        if !(point.0.is_finite() && point.1.is_finite()) {
            pen = "M";
            continue;
        }
        let (x, y) = place(point);
        let _ = write!(path, "{pen}{x:.1} {y:.1}");
        pen = "L";
    }
    if !path.is_empty() {
        let _ = writeln!(svg, r#"<path class="{class}" d="{path}"/>"#);
    }
}

fn legend(svg: &mut String, chart: &Chart) {
    let mut x = LEFT;
    let y = HEIGHT - 18.0;
    for (index, series) in chart.series.iter().enumerate() {
        let colour = index % LIGHT.len();
        let _ = writeln!(
            svg,
            r#"<line class="line s{colour}" x1="{x:.1}" x2="{:.1}" y1="{:.1}" y2="{:.1}"/><text x="{:.1}" y="{y:.1}">{}</text>"#,
            x + SAMPLE - 10.0,
            y - 4.0,
            y - 4.0,
            x + SAMPLE - 4.0,
            escape(&series.name)
        );
        x += SAMPLE + 16.0 + LETTER * series.name.chars().count() as f64;
    }
}

/// Text without what XML gives a meaning, and without the control characters that XML does not allow.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
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
