//! The ways to write entities as tags, read strictly: a tag out of place makes no entity.

use serde::Serialize;

use super::entities::{Entity, tag_parts};
use crate::error::{Error, Result};

/// A way to write entities as tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `B-` only where an entity follows another of its kind, else `I-`.
    Iob1,
    /// `B-` at every start: what is commonly called BIO.
    Iob2,
    /// `E-` only where an entity of the same kind follows, else `I-`.
    Ioe1,
    /// `E-` at every end.
    Ioe2,
    /// `B-`, `I-`, `E-`, and `S-` for one word: also BIOES.
    Iobes,
    /// `B-`, `I-`, `L-`, and `U-` for one word.
    Bilou,
}

/// Does the kind of the entity stay the same from the tag before?
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Same,
    Differs,
    Any,
}

/// Letters of the tag before, letters of this tag, and what is asked of their kinds.
type Pattern = (&'static str, &'static str, Kind);

const ANY: &str = "IOBESUL";

struct Rules {
    letters: &'static str,
    start: &'static [Pattern],
    inside: &'static [Pattern],
    end: &'static [Pattern],
}

impl Scheme {
    /// The scheme of some tags, from the letters that they use; `None` where these belong to none.
    ///
    /// As seqeval's `auto_detect` (1.2.2): IOB1 looks like IOB2 and is taken for it.
    pub fn detect<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut letters = std::collections::BTreeSet::new();
        for tag in tags {
            letters.insert(tag.chars().next()?);
        }
        let found: String = letters.into_iter().collect();
        match found.as_str() {
            "BIO" | "BI" | "BO" | "B" => Some(Self::Iob2),
            "EIO" | "EI" | "EO" | "E" => Some(Self::Ioe2),
            "BEIOS" | "BEIS" | "BEIO" | "BEOS" | "BEI" | "BES" | "BEO" | "BE" | "S" => Some(Self::Iobes),
            "BILOU" | "BILU" | "BILO" | "BLOU" | "BIL" | "BLU" | "BLO" | "BL" | "U" => Some(Self::Bilou),
            _ => None,
        }
    }

    /// The transitions that start, continue and end an entity, after the tables of seqeval 1.2.2 (`scheme.py`).
    fn rules(self) -> Rules {
        use Kind::{Any, Differs, Same};
        match self {
            Self::Iob1 => Rules {
                letters: "IOB",
                start: &[
                    ("O", "I", Any),
                    ("I", "I", Differs),
                    ("B", "I", Any),
                    ("IB", "B", Same),
                ],
                inside: &[("BI", "I", Same)],
                end: &[
                    ("IB", "I", Differs),
                    ("IB", "O", Any),
                    ("I", "B", Any),
                    ("B", "B", Same),
                ],
            },
            Self::Iob2 => Rules {
                letters: "IOB",
                start: &[(ANY, "B", Any)],
                inside: &[("BI", "I", Same)],
                end: &[("IB", "OB", Any), ("IB", "I", Differs)],
            },
            Self::Ioe1 => Rules {
                letters: "IOE",
                start: &[
                    ("O", "I", Any),
                    ("I", "I", Differs),
                    ("E", "I", Any),
                    ("E", "E", Same),
                ],
                inside: &[("I", "IE", Same)],
                end: &[
                    ("I", "I", Differs),
                    ("I", "O", Any),
                    ("I", "E", Differs),
                    ("E", "IE", Same),
                ],
            },
            Self::Ioe2 => Rules {
                letters: "IOE",
                start: &[("OE", "IE", Any), ("I", "IE", Differs)],
                inside: &[("I", "IE", Same)],
                end: &[("E", ANY, Any)],
            },
            Self::Iobes => Rules {
                letters: "IOBES",
                start: &[(ANY, "BS", Any)],
                inside: &[("BI", "IE", Same)],
                end: &[("SE", ANY, Any)],
            },
            Self::Bilou => Rules {
                letters: "BILOU",
                start: &[(ANY, "BU", Any)],
                inside: &[("BI", "IL", Same)],
                end: &[("UL", ANY, Any)],
            },
        }
    }
}

/// The entities of one sentence's tags, read strictly by a scheme, as seqeval's strict mode does.
///
/// ```
/// use ragtune_train::metrics::{Scheme, strict_entities};
///
/// let tags = ["B-PER", "I-PER", "O", "I-LOC"]; // I-LOC begins nothing
/// let found = strict_entities(&tags, Scheme::Iob2)?;
/// assert_eq!(found.len(), 1);
/// assert_eq!((found[0].kind.as_str(), found[0].start, found[0].end), ("PER", 0, 2));
/// # Ok::<(), ragtune_train::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidTag`] for a tag that does not belong to the scheme.
pub fn strict_entities<S: AsRef<str>>(tags: &[S], scheme: Scheme) -> Result<Vec<Entity>> {
    let rules = scheme.rules();
    let mut parts = Vec::with_capacity(tags.len() + 1);
    for (word, tag) in tags.iter().enumerate() {
        let tag = tag.as_ref();
        let invalid = || Error::InvalidTag {
            word,
            tag: tag.to_owned(),
            expected: rules.letters,
        };
        let (letter, rest) = tag_parts(tag).ok_or_else(invalid)?;
        if !rules.letters.contains(letter) {
            return Err(invalid());
        }
        let kind = rest.trim_matches('-');
        parts.push((letter, if kind.is_empty() { "_" } else { kind }));
    }
    // A closing O, so that the last entity ends like any other.
    parts.push(('O', "_"));

    let mut entities = Vec::new();
    let mut before = ('O', "_");
    let mut start = 0;
    while let Some(&tag) = parts.get(start) {
        let mut end = start + 1;
        if follows(rules.start, before, tag) {
            let mut last = tag;
            while let Some(&next) = parts.get(end)
                && follows(rules.inside, last, next)
            {
                last = next;
                end += 1;
            }
            if parts.get(end).is_some_and(|&next| follows(rules.end, last, next)) {
                entities.push(Entity {
                    kind: tag.1.to_owned(),
                    start,
                    end,
                });
            }
        }
        before = parts.get(end - 1).copied().unwrap_or(tag);
        start = end;
    }
    Ok(entities)
}

fn follows(patterns: &[Pattern], before: (char, &str), tag: (char, &str)) -> bool {
    patterns.iter().any(|&(previous, current, kind)| {
        previous.contains(before.0)
            && current.contains(tag.0)
            && match kind {
                Kind::Any => true,
                Kind::Same => before.1 == tag.1,
                Kind::Differs => before.1 != tag.1,
            }
    })
}
