//! The parts of a ZIP archive, unpacked one at a time within the limits.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::charset::decode_owned;
use super::limits::Budget;
use super::sniff::{Kind, sniff};
use crate::error::{Error, Result};

/// Entries that an archive may have.
const MAX_ENTRIES: usize = 100_000;

/// An open archive. Archives inside it are never opened.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    budget: &'a Budget,
}

impl<'a> Archive<'a> {
    /// Reads the list of parts.
    pub(super) fn open(bytes: &'a [u8], budget: &'a Budget) -> Result<Self> {
        if sniff(bytes) == Kind::EncryptedOffice {
            return Err(encrypted(budget));
        }
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(budget, "archive", &error))?;
        if zip.len() > MAX_ENTRIES {
            return Err(budget.unreadable(format!(
                "its archive lists {} entries, and {MAX_ENTRIES} is the limit",
                zip.len()
            )));
        }
        Ok(Self { zip, budget })
    }

    /// The bytes of a part, whose name may differ in case; `None` where there is none.
    pub(super) fn part(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let name = name.trim_start_matches('/');
        let exact = self.zip.index_for_name(name);
        let index = exact.or_else(|| {
            let mut names = self.zip.file_names();
            names.position(|found| found.is_ok_and(|found| found.eq_ignore_ascii_case(name)))
        });
        let Some(index) = index else {
            return Ok(None);
        };
        self.budget.look()?;
        let entry = self.zip.by_index(index).map_err(|error| match error {
            ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
                encrypted(self.budget)
            }
            error => damaged(self.budget, name, &error),
        })?;
        // What the archive says of the size is believed only where it says too much.
        if entry.size() > self.budget.unpackable() {
            self.budget.unpack(entry.size())?;
        }
        let mut bytes = Vec::new();
        let read = entry
            .take(self.budget.unpackable().saturating_add(1))
            .read_to_end(&mut bytes);
        self.budget.unpack(bytes.len() as u64)?;
        read.map_err(|error| damaged(self.budget, name, &error))?;
        Ok(Some(bytes))
    }

    /// The text of a part.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>> {
        let Some(bytes) = self.part(name)? else {
            return Ok(None);
        };
        let text = decode_owned(bytes);
        text.map(Some)
            .map_err(|reason| self.budget.unreadable(format!("its part {name} {reason}")))
    }

    /// The text of a part without which there is no document.
    pub(super) fn needed(&mut self, name: &str) -> Result<String> {
        let missing = || {
            self.budget.unreadable(format!(
                "its part {name} is missing: the file is damaged, save it anew"
            ))
        };
        match self.text(name) {
            Ok(None) => Err(missing()),
            Ok(Some(text)) => Ok(text),
            Err(error) => Err(error),
        }
    }
}

fn encrypted(budget: &Budget) -> Error {
    Error::Encrypted {
        path: budget.path().to_owned(),
        remedy: "open it in its program and save it without a password",
    }
}

fn damaged(budget: &Budget, what: &str, error: &dyn std::error::Error) -> Error {
    budget.unreadable(format!(
        "its {what} cannot be unpacked ({error}): the file is damaged, save it anew"
    ))
}

/// The name of a part that another part points to by a relative path.
pub(super) fn resolve(from: &str, target: &str) -> String {
    let target = target.split(['#', '?']).next().unwrap_or_default();
    let target = percent_decoded(target);
    let mut parts: Vec<&str> = match target.starts_with('/') {
        true => Vec::new(),
        false => from.split('/').collect(),
    };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = (first == b'%')
            .then(|| std::str::from_utf8(after.get(..2)?).ok())
            .flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_relative_to_their_part() {
        for (from, target, expected) in [
            (
                "ppt/slides/_rels/slide1.xml.rels",
                "../notes/n.xml",
                "ppt/slides/notes/n.xml",
            ),
            (
                "ppt/presentation.xml",
                "slides/slide1.xml",
                "ppt/slides/slide1.xml",
            ),
            (
                "ppt/presentation.xml",
                "/ppt/slides/slide1.xml",
                "ppt/slides/slide1.xml",
            ),
            (
                "OEBPS/content.opf",
                "text/ch%201.xhtml#top",
                "OEBPS/text/ch 1.xhtml",
            ),
            ("a.xml", "../../../../etc/passwd", "etc/passwd"),
            ("content.opf", "100%", "100%"),
        ] {
            assert_eq!(resolve(from, target), expected);
        }
    }
}
