//! Code without a fence around it, told from prose.

/// Share of plain words from which on a line is prose, whatever marks it has.
const PROSE: f32 = 0.7;

/// What lines of code contain and sentences outside of backticks seldom do.
const MARKS: [&str; 8] = ["::", "->", "=>", " = ", "==", "()", "!(", "|| "];

/// How lines of comments begin, in most languages.
const COMMENTS: [&str; 6] = ["//", "/*", "* ", "# ", "--", ";;"];

/// Whether a text is code for the greater part: at least half of its lines.
pub(crate) fn is_code(text: &str) -> bool {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let code = lines().filter(|line| is_code_line(line)).count();
    code > 0 && 2 * code >= lines().count()
}

/// What the comments of source code say, and its documentation strings; `None` where there are none.
pub(crate) fn comments(code: &str) -> Option<String> {
    let said = code.lines().filter_map(|line| {
        let line = line.trim();
        let is_string = ["\"\"\"", "'''"].iter().any(|quotes| line.starts_with(quotes));
        let is_comment = is_string || COMMENTS.iter().any(|mark| line.starts_with(mark));
        let said = match line.split_once(" // ").or_else(|| line.split_once("  # ")) {
            _ if is_comment => line.trim_matches(['/', '!', '*', '#', '-', '"', '\'', ' ']),
            Some((_, said)) => said.trim(),
            None => "",
        };
        (!said.is_empty()).then_some(said)
    });
    let said: Vec<&str> = said.collect();
    (!said.is_empty()).then(|| said.join(" "))
}

fn is_code_line(line: &str) -> bool {
    if ["//", "/*", "#[", "$ ", ">>> "]
        .iter()
        .any(|mark| line.starts_with(mark))
    {
        return true;
    }
    if !line.contains(char::is_alphanumeric) {
        return true;
    }
    let line = without_quoted(line);
    let ends_as_code = line.ends_with([';', '{', '}', '(', '[', ')', ',', '\\', '>']);
    let has_mark = ends_as_code || line.starts_with('.') || MARKS.iter().any(|mark| line.contains(mark));
    has_mark && share_of_words(&line) < PROSE
}

/// The line with a word for each piece in backticks, which is code that a sentence quotes.
fn without_quoted(line: &str) -> String {
    let pieces: Vec<&str> = line.split('`').collect();
    // An odd backtick is no pair.
    if pieces.len().is_multiple_of(2) {
        return line.to_owned();
    }
    let outside = pieces.iter().step_by(2).copied();
    outside.collect::<Vec<_>>().join("code")
}

/// How many of its words are letters only, but for the marks of a sentence around them.
fn share_of_words(line: &str) -> f32 {
    let (mut words, mut plain) = (0u32, 0u32);
    for word in line.split_whitespace() {
        let bare = word
            .trim_start_matches(['(', '[', '"', '\''])
            .trim_end_matches(['.', ',', ':', ';', '!', '?', ')']);
        words += 1;
        plain += u32::from(!bare.is_empty() && bare.chars().all(char::is_alphabetic));
    }
    plain as f32 / words.max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_what_code_says() {
        let said = |code| comments(code).unwrap_or_default();
        assert_eq!(
            said("/// Heats the pot.\n/// Fails if it is open.\nfn heat() { // slowly\n    x();\n}"),
            "Heats the pot. Fails if it is open. slowly"
        );
        assert_eq!(
            said("\"\"\"Brews.\"\"\"\ndef brew():\n    return 16  # the ratio"),
            "Brews. the ratio"
        );
        assert_eq!(comments("let a = \"http://b\";"), None);
    }

    #[test]
    fn code_is_told_from_prose() {
        for code in [
            "use ragtune::answer::CitationFault;\nuse ragtune::Rag;",
            "let text = \"Green tea is steeped at 80 degrees.\";\nlet rag = Rag::builder()\n    .build()?;",
            "        })\n    }\n}",
            "def area(self):\n    return self.width * self.height()\n\nprint(area())",
            "if (x == 3) {\n  return y;\n}",
            "$ cargo test\n$ cargo run",
            "[dependencies]\nrand = \"0.8.5\"",
        ] {
            assert!(is_code(code), "{code}");
        }
        for prose in [
            "The tenant pays:\n(a) the rent;\n(b) the heating;\n(c) the water.",
            "Dear Sir,\n\nthe invoice (number 5) is due in March (2025).",
            "Call `Rag::builder()` and then `build()`, which checks everything.",
            "This code would print `x = 5 and y + 2 = 12`.",
            "The function std::fs::read returns all the bytes of a file.",
            "a ` is odd; so it is",
            "Gr\u{fc}n, gelb, rot,\nblau, wei\u{df},",
            "",
        ] {
            assert!(!is_code(prose), "{prose}");
        }
    }
}
