//! Writing an index: into a sibling file first, which takes the name only when all of it is on the disk.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{ALIGNMENT, HEADER_BYTES, Header, Part, Stamp, Sum, sum};
use super::section::{Word, to_bytes};
use crate::error::{Error, Result};
use crate::index::segment::Segment;

/// How the names of files end that are being written.
pub(crate) const STAGED: &str = ".new";

/// What is written beside a segment.
pub(crate) struct Keys<'a> {
    /// The key of each slot, in ascending order.
    pub(crate) keys: &'a [i64],
    /// The node of each slot.
    pub(crate) nodes: &'a [u32],
    pub(crate) stamp: &'a Stamp,
}

/// Writes a segment into a folder, under the name that `name` gives for its id, and returns the id: a hash of the content.
///
/// # Errors
/// [`Error::Io`]; a file of that name that was there before is then unchanged. [`Error::DamagedIndex`] where rows are
/// mapped from a file that is damaged.
pub(crate) fn save(
    folder: &Path,
    segment: &Segment,
    keys: &Keys<'_>,
    name: impl FnOnce(&str) -> PathBuf,
) -> Result<String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let staged = folder.join(format!(".{}-{count}{STAGED}", std::process::id()));
    let failed = |error| Error::io(&staged, error);
    let written = (|| {
        let file = File::create(&staged).map_err(failed)?;
        let mut out = BufWriter::with_capacity(1 << 20, Limited::new(file));
        let header = write(&mut out, segment, keys, &staged)?;
        let file = out.into_inner().map_err(|error| failed(error.into_error()))?.file;
        file.sync_all().map_err(failed)?;
        let id = header.id();
        let path = name(&id);
        fs::rename(&staged, &path).map_err(|error| Error::io(&path, error))?;
        sync_folder(folder).map_err(|error| Error::io(folder, error))?;
        Ok(id)
    })();
    if written.is_err() {
        // What is left of it must not take the space that was missing.
        let _ = fs::remove_file(&staged);
    }
    written
}

/// The new name is on the disk too.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn write(out: &mut (impl Write + Seek), segment: &Segment, keys: &Keys<'_>, path: &Path) -> Result<Header> {
    let codes = &segment.codes;
    let layers = segment.graph.as_ref().map(|graph| &graph.layers);
    let mut header = Header {
        metric: codes.metric,
        dim: codes.dim as u64,
        nodes: codes.len() as u64,
        keys: keys.keys.len() as u64,
        longest: codes.longest,
        m: layers.map_or(0, |layers| layers.m as u32),
        entry: layers.map_or(0, |layers| layers.entry),
        ef_search: segment
            .graph
            .as_ref()
            .and_then(|graph| graph.ef_search)
            .unwrap_or(0) as u64,
        upper: layers.map_or(0, |layers| layers.upper.len() as u64),
        orphans: layers.map_or(0, |layers| layers.orphans.len() as u64),
        stamp: keys.stamp.clone(),
        sums: [0; 32],
    };
    let mut writer = Parts {
        at: HEADER_BYTES as u64 + header.table_bytes(),
        header: &header,
        out,
        sums: Vec::new(),
        bytes: Vec::new(),
        path,
    };
    writer.start()?;
    writer.part(Part::Keys, keys.keys)?;
    writer.part(Part::KeyNodes, keys.nodes)?;
    writer.part(Part::Scales, &codes.scales)?;
    writer.part(Part::Errors, &codes.errors)?;
    writer.part(Part::Extras, &codes.extras)?;
    writer.part(Part::Levels, layers.map_or(&[][..], |layers| &layers.levels))?;
    writer.part(Part::Orphans, layers.map_or(&[][..], |layers| &layers.orphans))?;
    writer.part(Part::Upper, layers.map_or(&[][..], |layers| &layers.upper))?;
    writer.part(Part::Base, layers.map_or(&[][..], |layers| &layers.base))?;
    writer.part(Part::Codes, &codes.lines)?;
    writer.rows(segment)?;
    let table = writer.sums.concat();
    header.sums = *blake3::hash(&table).as_bytes();
    let failed = |error| Error::io(path, error);
    out.seek(SeekFrom::Start(0)).map_err(failed)?;
    out.write_all(&header.to_bytes()).map_err(failed)?;
    out.write_all(&table).map_err(failed)?;
    out.flush().map_err(failed)?;
    Ok(header)
}

/// Parts on their way into a file.
struct Parts<'a, W> {
    header: &'a Header,
    out: &'a mut W,
    at: u64,
    sums: Vec<Sum>,
    bytes: Vec<u8>,
    path: &'a Path,
}

impl<W: Write + Seek> Parts<'_, W> {
    /// Leaves room for header and table.
    fn start(&mut self) -> Result<()> {
        let start = self.at;
        self.out
            .seek(SeekFrom::Start(start))
            .map(drop)
            .map_err(|error| Error::io(self.path, error))
    }

    fn align(&mut self) -> Result<()> {
        let next = self.at.next_multiple_of(ALIGNMENT);
        let padding = [0; ALIGNMENT as usize];
        let missing = (next - self.at) as usize;
        self.at = next;
        self.out
            .write_all(&padding[..missing])
            .map_err(|error| Error::io(self.path, error))
    }

    fn block(&mut self) -> Result<()> {
        self.sums.push(sum(&self.bytes));
        self.at += self.bytes.len() as u64;
        self.out
            .write_all(&self.bytes)
            .map_err(|error| Error::io(self.path, error))
    }

    fn part<T: Word>(&mut self, part: Part, words: &[T]) -> Result<()> {
        self.align()?;
        for block in words.chunks(self.header.block_bytes(part) / T::BYTES) {
            to_bytes(block, &mut self.bytes);
            self.block()?;
        }
        Ok(())
    }

    fn rows(&mut self, segment: &Segment) -> Result<()> {
        self.align()?;
        let per_block = self.header.block_bytes(Part::Rows) / (4 * segment.codes.dim);
        let mut components: Vec<f32> = Vec::new();
        for start in (0..segment.len()).step_by(per_block) {
            components.clear();
            for row in start..(start + per_block).min(segment.len()) {
                components.extend_from_slice(segment.rows.row(row as u32)?);
            }
            to_bytes(&components, &mut self.bytes);
            self.block()?;
        }
        Ok(())
    }
}

/// A file that a test can make too large for its disk.
struct Limited {
    file: File,
    #[cfg(test)]
    left: u64,
}

impl Limited {
    fn new(file: File) -> Self {
        Self {
            file,
            #[cfg(test)]
            left: LIMIT.with(std::cell::Cell::get),
        }
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        {
            self.left = self
                .left
                .checked_sub(bytes.len() as u64)
                .ok_or(io::ErrorKind::StorageFull)?;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Limited {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
thread_local! {
    static LIMIT: std::cell::Cell<u64> = const { std::cell::Cell::new(u64::MAX) };
}

/// Lets files of this thread take so many bytes only, to test a full disk.
#[cfg(test)]
pub(crate) fn limit_writing(bytes: u64) {
    LIMIT.with(|limit| limit.set(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{GraphIndex, GraphOptions, Metric};

    #[test]
    fn a_full_disk_is_an_error_that_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.index");
        let vectors: Vec<f32> = (0..4000).map(|i| (i * i % 101) as f32).collect();
        let build = |count: usize| {
            GraphIndex::build(
                Metric::L2,
                4,
                vectors.chunks(4).take(count),
                &GraphOptions::default(),
            )
            .unwrap()
        };
        build(10).save(&path).unwrap();
        let before = fs::read(&path).unwrap();
        for limit in [0, 700, 6000] {
            limit_writing(limit);
            let error = build(1000).save(&path).unwrap_err();
            assert!(
                matches!(&error, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
            );
            assert_eq!(fs::read(&path).unwrap(), before);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        limit_writing(u64::MAX);
        build(1000).save(&path).unwrap();
    }
}
