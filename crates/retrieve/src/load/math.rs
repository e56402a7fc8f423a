//! Equations of office documents as linear text: `(-b ± √(b^2 - 4ac))/(2a)`.

use super::xml::{Element, Node};

/// The text of an equation.
pub(super) fn linear(equation: &Element) -> String {
    let mut out = String::new();
    children(equation, &mut out);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn children(element: &Element, out: &mut String) {
    for node in &element.children {
        match node {
            Node::Element(child) => one(child, out),
            Node::Text(_) => {}
        }
    }
}

fn one(element: &Element, out: &mut String) {
    let part = |name: &str| element.child(name).map(linear).unwrap_or_default();
    let property = |of: &str, name: &str| {
        element
            .at(&[of, name])
            .map(|property| property.attribute("val").unwrap_or_default().to_owned())
    };
    match &*element.name {
        // Signs that are not seen say that a function is applied, or two things are multiplied.
        "t" => out.extend(
            element
                .text()
                .chars()
                .filter(|c| !matches!(c, '\u{2061}'..='\u{2064}')),
        ),
        "f" => {
            let (above, below) = (part("num"), part("den"));
            let bar = match property("fPr", "type").as_deref() {
                Some("noBar") => "¦",
                _ => "/",
            };
            out.push_str(&format!("{}{bar}{}", grouped(&above), grouped(&below)));
        }
        "sSup" => out.push_str(&format!("{}^{}", grouped(&part("e")), grouped(&part("sup")))),
        "sSub" => out.push_str(&format!("{}_{}", grouped(&part("e")), grouped(&part("sub")))),
        "sSubSup" => {
            let (base, sub, sup) = (part("e"), part("sub"), part("sup"));
            out.push_str(&format!("{}_{}^{}", grouped(&base), grouped(&sub), grouped(&sup)));
        }
        "sPre" => {
            let (base, sub, sup) = (part("e"), part("sub"), part("sup"));
            out.push_str(&format!(
                "_{}^{} {}",
                grouped(&sub),
                grouped(&sup),
                grouped(&base)
            ));
        }
        "rad" => {
            let degree = part("deg");
            let sign = match degree.as_str() {
                "" | "2" => "√".to_owned(),
                "3" => "∛".to_owned(),
                degree => format!("root_{}", grouped(degree)),
            };
            out.push_str(&format!("{sign}({})", part("e")));
        }
        "nary" => {
            out.push_str(
                &property("naryPr", "chr")
                    .filter(|sign| !sign.is_empty())
                    .unwrap_or("∫".into()),
            );
            limits(&part("sub"), &part("sup"), out);
            out.push_str(&format!(" {} ", part("e")));
        }
        "d" => {
            let sign = |name: &str, default: &str| property("dPr", name).unwrap_or(default.into());
            let inside: Vec<_> = element
                .elements()
                .filter(|child| &*child.name == "e")
                .map(linear)
                .collect();
            out.push_str(&sign("begChr", "("));
            out.push_str(&inside.join(&sign("sepChr", "|")));
            out.push_str(&sign("endChr", ")"));
        }
        "func" => out.push_str(&format!("{} {}", part("fName"), grouped(&part("e")))),
        "limLow" => {
            out.push_str(&part("e"));
            limits(&part("lim"), "", out);
        }
        "limUpp" => {
            out.push_str(&part("e"));
            limits("", &part("lim"), out);
        }
        "acc" => {
            let accent = property("accPr", "chr").unwrap_or("\u{302}".into());
            out.push_str(&format!("{}{accent}", part("e")));
        }
        "m" => {
            let rows = element.elements().filter(|row| &*row.name == "mr").map(|row| {
                let cells = row.elements().filter(|cell| &*cell.name == "e").map(linear);
                cells.collect::<Vec<_>>().join(", ")
            });
            out.push_str(&format!("[{}]", rows.collect::<Vec<_>>().join("; ")));
        }
        "eqArr" => {
            let rows = element.elements().filter(|row| &*row.name == "e").map(linear);
            out.push_str(&rows.collect::<Vec<_>>().join("; "));
        }
        // Properties are no text, and deleted runs are gone.
        name if name.ends_with("Pr") || name == "delText" => {}
        _ => children(element, out),
    }
}

fn limits(below: &str, above: &str, out: &mut String) {
    if !below.is_empty() {
        out.push_str(&format!("_{}", grouped(below)));
    }
    if !above.is_empty() {
        out.push_str(&format!("^{}", grouped(above)));
    }
}

/// In brackets, unless it is one word or in brackets already.
fn grouped(text: &str) -> String {
    let word = text
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '.' | ',' | '\'' | '∞'));
    let closed = text.starts_with('(') && text.find(')') == Some(text.len() - 1);
    match word || closed {
        true => text.to_owned(),
        false => format!("({text})"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::limits::{Budget, LoadLimits};
    use super::super::xml::tree;
    use super::*;

    #[test]
    fn equations_read_from_left_to_right() {
        let run = |text: &str| format!("<m:r><m:rPr/><m:t>{text}</m:t></m:r>");
        let of = |name: &str, inside: &str| format!("<m:{name}>{inside}</m:{name}>");
        let e = |inside: &str| of("e", inside);
        let square = of("sSup", &(e(&run("b")) + &of("sup", &run("2"))));
        let root = of("rad", &(of("deg", "") + &e(&(square + &run("-4ac")))));
        let fraction = of("f", &(of("num", &(run("-b±") + &root)) + &of("den", &run("2a"))));
        let sum = "<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr>".to_owned()
            + &of("sub", &run("i=1"))
            + &of("sup", &run("n"))
            + &e(&of("sSub", &(e(&run("x")) + &of("sub", &run("i")))))
            + "</m:nary>";
        let matrix = of("d", &e(&of("m", &of("mr", &(e(&run("1")) + &e(&run("0")))))));
        for (xml, expected) in [
            (run("x=") + &fraction, "x=(-b±√(b^2-4ac))/2a"),
            (sum, "∑_(i=1)^n x_i"),
            (matrix, "([1, 0])"),
        ] {
            let xml = format!("<m:oMath>{xml}</m:oMath>");
            let budget = Budget::new(Path::new("a"), 0, &LoadLimits::default()).unwrap();
            assert_eq!(linear(&tree("a", &xml, &budget).unwrap()), expected);
        }
    }
}
