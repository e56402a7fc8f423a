//! Reading an index. Nothing of a file is believed before its checksum was, and nothing is used as a place before it was
//! seen to lie within the arrays; the rows are verified when they are touched.

use std::fs::File;
use std::path::Path;

use super::format::{HEADER_BYTES, Header, Part, SUM_BYTES, Stamp, Sum};
use super::mapped::{MappedRows, map};
use super::section::{Word, read};
use crate::error::{Error, Result};
use crate::index::codes::{Codes, Instructions, Line};
use crate::index::graph::{Layers, MOST_LEVEL, NONE};
use crate::index::rows::Rows;
use crate::index::segment::{Graph, Segment};

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) segment: Segment,
    /// The key of each slot, and its node.
    pub(crate) keys: Vec<i64>,
    pub(crate) key_nodes: Vec<u32>,
    pub(crate) stamp: Stamp,
    /// A name for the content of the file.
    pub(crate) id: String,
}

/// Opens an index.
///
/// # Errors
/// [`Error::Io`]; [`Error::DamagedIndex`] where anything is not as it was written.
pub(crate) fn open(path: &Path) -> Result<Stored> {
    let damaged = |reason: String| Error::DamagedIndex {
        path: path.to_owned(),
        reason,
    };
    // Asked before opening: to open a pipe waits for somebody who writes.
    let about = std::fs::metadata(path).map_err(|error| Error::io(path, error))?;
    if !about.is_file() {
        return Err(damaged("it is not a file".to_owned()));
    }
    if cfg!(target_endian = "big") {
        return Err(damaged(
            "its rows are for processors with the least byte first".to_owned(),
        ));
    }
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    if about.len() < HEADER_BYTES as u64 {
        return Err(damaged("it is too short for its header".to_owned()));
    }
    let map = map(path, &file)?;
    let stored = Bytes::new(&map).and_then(|bytes| bytes.stored());
    let (mut stored, header, sums) = stored.map_err(damaged)?;
    let dim = header.dim as usize;
    let (at, _) = header.place(Part::Rows);
    let block_rows = header.block_bytes(Part::Rows) / (4 * dim);
    stored.segment.rows = Rows::mapped(
        dim,
        MappedRows::new(path, map, dim, at as usize, block_rows, sums),
    );
    Ok(stored)
}

/// The bytes of a file whose header and table of checksums are sound.
struct Bytes<'a> {
    bytes: &'a [u8],
    header: Header,
    sums: Vec<Sum>,
}

impl<'a> Bytes<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, String> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err("it is too short for its header".to_owned());
        };
        let header = Header::from_bytes(&header.clone())?;
        if header.file_bytes() != bytes.len() as u64 {
            let expected = header.file_bytes();
            return Err(format!(
                "it has {} bytes where {expected} were written",
                bytes.len()
            ));
        }
        let table = &rest[..header.table_bytes() as usize];
        if blake3::hash(table).as_bytes() != &header.sums {
            return Err("its checksums are not as they were written".to_owned());
        }
        let (sums, _) = table.as_chunks::<SUM_BYTES>();
        Ok(Self {
            bytes,
            sums: sums.to_vec(),
            header,
        })
    }

    fn part<T: Word>(&self, part: Part) -> Result<Vec<T>, String> {
        let (at, sums) = self.header.place(part);
        let bytes = &self.bytes[at as usize..(at + self.header.bytes(part)) as usize];
        let sums = &self.sums[sums..sums + self.header.blocks(part) as usize];
        read(bytes, self.header.block_bytes(part), sums)
            .ok_or_else(|| format!("its part {part:?} is not as it was written"))
    }

    /// Everything but the rows, and the checksums of these.
    fn stored(self) -> Result<(Stored, Header, Vec<Sum>), String> {
        let header = &self.header;
        let codes = Codes {
            metric: header.metric,
            dim: header.dim as usize,
            instructions: Instructions::detect(),
            scales: self.part(Part::Scales)?,
            errors: self.part(Part::Errors)?,
            extras: self.part(Part::Extras)?,
            lines: self.part::<Line>(Part::Codes)?,
            longest: header.longest,
        };
        let keys: Vec<i64> = self.part(Part::Keys)?;
        let key_nodes: Vec<u32> = self.part(Part::KeyNodes)?;
        if key_nodes.iter().any(|node| u64::from(*node) >= header.nodes) {
            return Err("a key stands for a node that it lacks".to_owned());
        }
        let graph = match header.m {
            0 => None,
            _ => Some(Graph {
                layers: self.layers()?,
                ef_search: Some(header.ef_search as usize).filter(|ef| *ef > 0),
            }),
        };
        let segment = Segment {
            rows: Rows::new(header.dim as usize),
            codes,
            graph,
        };
        let stored = Stored {
            segment,
            keys,
            key_nodes,
            stamp: header.stamp.clone(),
            id: header.id(),
        };
        let (_, first) = header.place(Part::Rows);
        let sums = self.sums[first..].to_vec();
        Ok((stored, self.header, sums))
    }

    fn layers(&self) -> Result<Layers, String> {
        let m = self.header.m as usize;
        let levels: Vec<u8> = self.part(Part::Levels)?;
        let mut upper_at = Vec::with_capacity(levels.len());
        let mut blocks = 0u64;
        for level in &levels {
            upper_at.push(blocks as u32);
            blocks += u64::from(*level) * m as u64;
        }
        let layers = Layers {
            m,
            upper_at,
            base: self.part(Part::Base)?,
            width: 2 * m,
            upper: self.part(Part::Upper)?,
            upper_width: m,
            entry: self.header.entry,
            orphans: self.part(Part::Orphans)?,
            levels,
        };
        let is_level = layers.levels.iter().all(|level| *level <= MOST_LEVEL);
        if !is_level || blocks != self.header.upper || blocks > u64::from(u32::MAX) {
            return Err("its levels are not those of a graph".to_owned());
        }
        let nodes = self.header.nodes;
        let is_node = |link: &u32| u64::from(*link) < nodes;
        let is_link = |link: &u32| is_node(link) || *link == NONE;
        if !layers.base.iter().all(is_link) || !layers.orphans.iter().all(is_node) {
            return Err("a link leads to a node that it lacks".to_owned());
        }
        for node in 0..nodes as u32 {
            for level in 1..=usize::from(layers.levels[node as usize]) {
                let is_there = |link: &u32| usize::from(layers.levels[*link as usize]) >= level;
                let list = layers.list(node, level);
                if !list
                    .iter()
                    .all(|link| *link == NONE || is_node(link) && is_there(link))
                {
                    return Err("a link leads to a node that it lacks".to_owned());
                }
            }
        }
        Ok(layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::file::write::{Keys, save};
    use crate::index::{GraphOptions, Metric};

    fn segment() -> Segment {
        let vectors: Vec<f32> = (0..3000).map(|i| (i * i % 1009) as f32).collect();
        let mut segment = Segment::new(Metric::L2, 3, vectors);
        segment
            .link(None, &GraphOptions::default().with_m(4).unwrap())
            .unwrap();
        segment
    }

    /// A file whose checksums are right and whose content is not what this library writes.
    fn refused(change: impl FnOnce(&mut Segment, &mut Vec<u32>)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("changed.index");
        let (mut segment, mut nodes) = (segment(), (0..1000).collect());
        change(&mut segment, &mut nodes);
        let keys = Keys {
            keys: &(0..1000).collect::<Vec<_>>(),
            nodes: &nodes,
            stamp: &Stamp::default(),
        };
        save(folder.path(), &segment, &keys, |_| path.clone()).unwrap();
        match open(&path) {
            Err(Error::DamagedIndex { reason, .. }) => reason,
            other => format!("{other:?}"),
        }
    }

    fn layers(segment: &mut Segment) -> &mut Layers {
        &mut segment.graph.as_mut().unwrap().layers
    }

    #[test]
    fn what_would_lead_out_of_the_arrays_is_refused_behind_right_checksums() {
        let lacks = "a link leads to a node that it lacks";
        assert_eq!(refused(|segment, _| layers(segment).base[77] = 1000), lacks);
        assert_eq!(
            refused(|segment, _| layers(segment).orphans.push(u32::MAX)),
            lacks
        );
        let low = |segment: &mut Segment, _: &mut Vec<u32>| {
            let layers = layers(segment);
            let lowest = layers.levels.iter().position(|level| *level == 0).unwrap();
            layers.upper[0] = lowest as u32;
        };
        assert_eq!(refused(low), lacks);
        let raised = refused(|segment, _| layers(segment).levels[5] += 1);
        assert_eq!(raised, "its levels are not those of a graph");
        let beyond = refused(|segment, _| layers(segment).entry = 1000);
        assert_eq!(beyond, "its header names sizes that cannot be");
        let endless = refused(|segment, _| segment.codes.longest = f32::NAN);
        assert_eq!(endless, "its header names sizes that cannot be");
        assert_eq!(
            refused(|_, nodes| nodes[3] = 1000),
            "a key stands for a node that it lacks"
        );
        assert!(refused(|_, _| ()).starts_with("Ok"));
    }
}
