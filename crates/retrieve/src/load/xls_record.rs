//! Records of a BIFF stream, and the texts in them, which may run on over several records.

use super::limits::Budget;
use crate::error::Result;

/// The type of a record that continues the one before.
const CONTINUE: u16 = 0x003C;

/// A record.
pub(super) struct Record<'a> {
    pub(super) kind: u16,
    pub(super) data: &'a [u8],
    /// What continues it.
    more: Vec<&'a [u8]>,
}

impl Record<'_> {
    pub(super) fn u16_at(&self, at: usize) -> Option<u16> {
        let bytes = self.data.get(at..at + 2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u32_at(&self, at: usize) -> Option<u32> {
        let bytes = self.data.get(at..at + 4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(super) fn f64_at(&self, at: usize) -> Option<f64> {
        let bytes = self.data.get(at..at + 8)?;
        Some(f64::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// The records of a stream up to its end, or to where it is cut.
pub(super) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(super) fn new(stream: &'a [u8]) -> Self {
        Self { rest: stream }
    }

    fn one(&mut self) -> Option<(u16, &'a [u8])> {
        let (head, rest) = self.rest.split_at_checked(4)?;
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let (data, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some((u16::from_le_bytes([head[0], head[1]]), data))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (kind, data) = self.one()?;
        let mut more = Vec::new();
        while self.rest.starts_with(&CONTINUE.to_le_bytes()) {
            match self.one() {
                Some((_, data)) => more.push(data),
                None => break,
            }
        }
        Some(Record { kind, data, more })
    }
}

/// Reads texts of BIFF 8 one after the other (MS-XLS 2.5.293).
pub(super) struct Strings<'a, 'r> {
    /// What is left of the current piece, and the pieces after it.
    rest: &'a [u8],
    more: std::slice::Iter<'r, &'a [u8]>,
}

impl<'a, 'r> Strings<'a, 'r> {
    /// The texts of the shared table, behind its two counts, which nobody needs.
    pub(super) fn new(record: &'r Record<'a>) -> Self {
        Self::at(record, 8)
    }

    /// From this byte of the record on.
    pub(super) fn at(record: &'r Record<'a>, at: usize) -> Self {
        Self {
            rest: record.data.get(at..).unwrap_or_default(),
            more: record.more.iter(),
        }
    }

    /// All texts up to the end.
    pub(super) fn all(mut self, budget: &Budget) -> Result<Vec<String>> {
        let mut texts = Vec::new();
        while let Some(text) = self.text() {
            budget.step()?;
            budget.unpack(text.len() as u64)?;
            texts.push(text);
        }
        Ok(texts)
    }

    /// A text whose length has two bytes.
    pub(super) fn text(&mut self) -> Option<String> {
        let length = usize::from(self.u16()?);
        let flags = self.byte()?;
        let runs = if flags & 8 != 0 {
            usize::from(self.u16()?)
        } else {
            0
        };
        let extra = if flags & 4 != 0 { self.u32()? as usize } else { 0 };
        let text = self.characters(length, flags & 1 != 0);
        self.skip(runs * 4 + extra);
        Some(text)
    }

    /// A text whose length has one byte.
    pub(super) fn short(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        let flags = self.byte()?;
        Some(self.characters(length, flags & 1 != 0))
    }

    /// So many characters; each further record begins with a byte that says how wide they are from there on.
    fn characters(&mut self, length: usize, is_wide: bool) -> String {
        let mut units: Vec<u16> = Vec::new();
        let mut is_wide = is_wide;
        while units.len() < length {
            if self.rest.is_empty() {
                let Some(next) = self.more.next() else {
                    break;
                };
                let Some((flags, rest)) = next.split_first() else {
                    continue;
                };
                is_wide = flags & 1 != 0;
                self.rest = rest;
                continue;
            }
            let width = if is_wide { 2 } else { 1 };
            let fit = (self.rest.len() / width).min(length - units.len());
            if fit == 0 {
                // Half a character: the piece is damaged.
                self.rest = &[];
                continue;
            }
            let (now, rest) = self.rest.split_at(fit * width);
            match is_wide {
                true => units.extend(
                    now.chunks_exact(2)
                        .map(|pair| u16::from_le_bytes([pair[0], pair[1]])),
                ),
                false => units.extend(now.iter().map(|byte| u16::from(*byte))),
            }
            self.rest = rest;
        }
        String::from_utf16_lossy(&units)
    }

    fn skip(&mut self, mut bytes: usize) {
        while bytes > 0 && self.fill() {
            let step = bytes.min(self.rest.len());
            self.rest = &self.rest[step..];
            bytes -= step;
        }
    }

    fn byte(&mut self) -> Option<u8> {
        self.fill();
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from(self.u16()?) | u32::from(self.u16()?) << 16)
    }

    /// Goes to the next piece that has bytes.
    fn fill(&mut self) -> bool {
        while self.rest.is_empty() {
            match self.more.next() {
                Some(next) => self.rest = next,
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend((data.len() as u16).to_le_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn texts_run_on_over_records() {
        // "tea" narrow, then "chá" whose last letter is wide in the next record.
        let mut stream = record(
            0xFC,
            &[
                2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, b't', b'e', b'a', 3, 0, 0, b'c', b'h',
            ],
        );
        stream.extend(record(CONTINUE, &[1, 0xE1, 0]));
        let records: Vec<_> = Records::new(&stream).collect();
        assert_eq!(records.len(), 1);
        let mut strings = Strings::new(&records[0]);
        assert_eq!(strings.text().as_deref(), Some("tea"));
        assert_eq!(strings.text().as_deref(), Some("chá"));
        assert_eq!(strings.text(), None);
    }

    #[test]
    fn cut_streams_end() {
        let stream = record(1, &[1, 2, 3]);
        for cut in 0..stream.len() {
            assert_eq!(Records::new(&stream[..cut]).count(), 0);
        }
        assert_eq!(Records::new(&stream).count(), 1);
        let endless = record(0xFC, &[0; 4]);
        assert_eq!(
            Records::new(&endless).map(|r| Strings::new(&r).text()).next(),
            Some(None)
        );
    }
}
