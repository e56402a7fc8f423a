//! A stream of a compound file, the container of old office documents (MS-CFB).

use super::limits::Budget;
use crate::error::{Error, Result};

/// Sector numbers from here on are marks (MS-CFB 2.1).
const MAX_SECTOR: u32 = 0xFFFF_FFFA;
const END_OF_CHAIN: u32 = 0xFFFF_FFFE;
/// Smaller streams live in the mini stream (MS-CFB 2.2).
const MINI_STREAM_CUTOFF: usize = 4096;
const MINI_SECTOR: usize = 64;
const DIRECTORY_ENTRY: usize = 128;
/// Sectors of the file's own table that the header lists.
const HEADER_TABLES: usize = 109;

/// An open compound file.
pub(super) struct Compound<'a> {
    bytes: &'a [u8],
    budget: &'a Budget,
    sector: usize,
    /// The next sector of each.
    table: Vec<u32>,
    mini_table: Vec<u32>,
    mini_stream: Vec<u8>,
    directory: Vec<u8>,
}

impl<'a> Compound<'a> {
    /// Reads the tables and the directory.
    pub(super) fn open(bytes: &'a [u8], budget: &'a Budget) -> Result<Self> {
        let mut compound = Self {
            bytes,
            budget,
            sector: 0,
            table: Vec::new(),
            mini_table: Vec::new(),
            mini_stream: Vec::new(),
            directory: Vec::new(),
        };
        compound.sector = match compound.u16_at(30) {
            Some(9) => 512,
            Some(12) => 4096,
            _ => return Err(compound.damaged("its header")),
        };
        compound.table = compound.file_table()?;
        let header = |at| compound.u32_at(at).ok_or_else(|| compound.damaged("its header"));
        let (directory, mini_table) = (header(48)?, header(60)?);
        compound.directory = compound.chain(directory, usize::MAX)?;
        compound.mini_table = words(&compound.chain(mini_table, usize::MAX)?);
        if let Some((start, size)) = compound.entry(0) {
            compound.mini_stream = compound.chain(start, size)?;
        }
        Ok(compound)
    }

    /// The first stream that has one of these names, whatever their case.
    pub(super) fn stream(&self, names: &[&str]) -> Result<Option<Vec<u8>>> {
        let entries = self.directory.chunks_exact(DIRECTORY_ENTRY);
        for (at, entry) in entries.enumerate() {
            // Type 2 is a stream.
            let is_named = entry.get(66) == Some(&2) && names.iter().any(|name| has_name(entry, name));
            let Some((start, size)) = self.entry(at).filter(|_| is_named) else {
                continue;
            };
            return match size < MINI_STREAM_CUTOFF {
                true => self.mini_chain(start, size).map(Some),
                false => self.chain(start, size).map(Some),
            };
        }
        Ok(None)
    }

    /// The start and the size of the stream of a directory entry.
    fn entry(&self, at: usize) -> Option<(u32, usize)> {
        let entry = self
            .directory
            .get(at.checked_mul(DIRECTORY_ENTRY)?..)?
            .get(..DIRECTORY_ENTRY)?;
        Some((
            u32_of(entry.get(116..120)?),
            u32_of(entry.get(120..124)?) as usize,
        ))
    }

    /// The table of the whole file: which sector follows which.
    fn file_table(&self) -> Result<Vec<u32>> {
        let listed = self.bytes.get(76..76 + 4 * HEADER_TABLES);
        let mut sectors = words(listed.ok_or_else(|| self.damaged("its header"))?);
        let mut next = self.u32_at(68).unwrap_or(END_OF_CHAIN);
        let mut steps = 0;
        while next < MAX_SECTOR {
            self.budget.step()?;
            steps += 1;
            let more = self.sector(next).filter(|_| steps <= self.sectors());
            let mut more = words(more.ok_or_else(|| self.damaged("its list of tables"))?);
            next = more.pop().unwrap_or(END_OF_CHAIN);
            sectors.append(&mut more);
        }
        let mut table = Vec::new();
        for sector in sectors.into_iter().filter(|sector| *sector < MAX_SECTOR) {
            self.budget.step()?;
            // A table larger than the file would list sectors that it does not have.
            if table.len() > self.sectors() {
                break;
            }
            let bytes = self.sector(sector).ok_or_else(|| self.damaged("its table"))?;
            table.append(&mut words(bytes));
        }
        Ok(table)
    }

    /// The bytes of a chain of sectors; a ring is damage.
    fn chain(&self, start: u32, size: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut sector = start;
        let mut steps = 0;
        while sector < MAX_SECTOR && bytes.len() < size {
            self.budget.step()?;
            steps += 1;
            let found = self.sector(sector).filter(|_| steps <= self.sectors());
            let found = found.ok_or_else(|| self.damaged("a chain of sectors"))?;
            bytes.extend_from_slice(&found[..found.len().min(size - bytes.len())]);
            sector = self.table.get(sector as usize).copied().unwrap_or(END_OF_CHAIN);
        }
        self.budget.unpack(bytes.len() as u64)?;
        Ok(bytes)
    }

    fn mini_chain(&self, start: u32, size: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut sector = start;
        let mut steps = 0;
        while sector < MAX_SECTOR && bytes.len() < size {
            steps += 1;
            let at = sector as usize * MINI_SECTOR;
            let found = self
                .mini_stream
                .get(at..)
                .filter(|_| steps <= self.mini_table.len());
            let found = found.ok_or_else(|| self.damaged("a chain of small sectors"))?;
            let length = MINI_SECTOR.min(size - bytes.len()).min(found.len());
            bytes.extend_from_slice(&found[..length]);
            sector = self
                .mini_table
                .get(sector as usize)
                .copied()
                .unwrap_or(END_OF_CHAIN);
        }
        Ok(bytes)
    }

    /// A sector, the last one perhaps cut.
    fn sector(&self, number: u32) -> Option<&'a [u8]> {
        let at = (number as usize).checked_add(1)?.checked_mul(self.sector)?;
        let rest = self.bytes.get(at..)?;
        (!rest.is_empty()).then(|| &rest[..rest.len().min(self.sector)])
    }

    fn sectors(&self) -> usize {
        self.bytes.len() / self.sector + 1
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..at + 2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        self.bytes.get(at..at + 4).map(u32_of)
    }

    fn damaged(&self, what: &str) -> Error {
        self.budget.unreadable(format!(
            "{what} is damaged: open the file in its program and save it as .xlsx"
        ))
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(u32_of).collect()
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .take(4)
        .rev()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn has_name(entry: &[u8], name: &str) -> bool {
    let units = entry[..64]
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let found: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&found).eq_ignore_ascii_case(name)
}
