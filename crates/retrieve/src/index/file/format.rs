//! What an index file begins with. docs/formats.md describes the whole.

use crate::index::Metric;

/// The first bytes.
pub(super) const MAGIC: [u8; 8] = *b"RTgraph\0";
/// The version that is written and read.
pub(super) const VERSION: u32 = 1;
/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 512;
/// Bytes of a checksum: the first of BLAKE3.
pub(super) const SUM_BYTES: usize = 16;
/// Bytes of a block that has a checksum of its own, in all sections but the rows.
pub(super) const BLOCK_BYTES: usize = 1 << 18;
/// Bytes of a block of rows, where a row is not longer.
const ROWS_BLOCK_BYTES: usize = 1 << 14;
/// Where sections begin.
pub(super) const ALIGNMENT: u64 = 64;
/// Components that a vector can have, so that no product of sizes overflows.
const MOST_DIM: u64 = 1 << 20;
/// Vectors and links that a file can have, likewise.
const MOST_ITEMS: u64 = 1 << 40;

/// A checksum.
pub(super) type Sum = [u8; SUM_BYTES];

/// The checksum of bytes.
pub(super) fn sum(bytes: &[u8]) -> Sum {
    let hash = blake3::hash(bytes);
    let mut sum = [0; SUM_BYTES];
    sum.copy_from_slice(&hash.as_bytes()[..SUM_BYTES]);
    sum
}

/// What an index was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The store's sequence number.
    pub(crate) seq: i64,
    /// The store's generation of vectors.
    pub(crate) generation: i64,
    /// Hash of what the vectors come from.
    pub(crate) source: [u8; 32],
}

/// Parts of a file in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Keys,
    KeyNodes,
    Scales,
    Errors,
    Extras,
    Levels,
    Orphans,
    Upper,
    Base,
    Codes,
    Rows,
}

impl Part {
    pub(super) const ALL: [Self; 11] = [
        Self::Keys,
        Self::KeyNodes,
        Self::Scales,
        Self::Errors,
        Self::Extras,
        Self::Levels,
        Self::Orphans,
        Self::Upper,
        Self::Base,
        Self::Codes,
        Self::Rows,
    ];
}

/// The header: everything that the places and sizes of the other parts follow from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) metric: Metric,
    pub(super) dim: u64,
    pub(super) nodes: u64,
    pub(super) keys: u64,
    pub(super) longest: f32,
    /// Links of a node on levels 1 and above; 0 without a graph.
    pub(super) m: u32,
    pub(super) entry: u32,
    /// 0 where no number was good enough.
    pub(super) ef_search: u64,
    pub(super) upper: u64,
    pub(super) orphans: u64,
    pub(super) stamp: Stamp,
    /// Hash of the table of checksums.
    pub(super) sums: [u8; 32],
}

impl Header {
    pub(super) fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(metric_code(self.metric).to_le_bytes());
        for number in [
            self.dim,
            self.nodes,
            self.keys,
            self.ef_search,
            self.upper,
            self.orphans,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.longest.to_bits().to_le_bytes());
        bytes.extend(self.m.to_le_bytes());
        bytes.extend(self.entry.to_le_bytes());
        bytes.extend(self.stamp.seq.to_le_bytes());
        bytes.extend(self.stamp.generation.to_le_bytes());
        bytes.extend(self.stamp.source);
        bytes.extend(self.sums);
        bytes.resize(HEADER_BYTES - 32, 0);
        let own = blake3::hash(&bytes);
        bytes.extend(own.as_bytes());
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&bytes);
        header
    }

    /// Reads a header, or says what is wrong with it.
    pub(super) fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, String> {
        let mut fields = Fields(bytes);
        if fields.take::<8>() != MAGIC {
            return Err("it is not an index of vectors".to_owned());
        }
        let version = u32::from_le_bytes(fields.take());
        if version != VERSION {
            return Err(format!(
                "it has version {version}, this version of ragtune reads {VERSION}"
            ));
        }
        let (content, own) = bytes.split_at(HEADER_BYTES - 32);
        if blake3::hash(content).as_bytes() != own {
            return Err("its header is not as it was written".to_owned());
        }
        let metric = u32::from_le_bytes(fields.take());
        let metric = metric_of(metric).ok_or_else(|| format!("it names an unknown metric, {metric}"))?;
        let mut number = || u64::from_le_bytes(fields.take());
        let (dim, nodes, keys, ef_search, upper, orphans) =
            (number(), number(), number(), number(), number(), number());
        let header = Self {
            metric,
            dim,
            nodes,
            keys,
            ef_search,
            upper,
            orphans,
            longest: f32::from_bits(u32::from_le_bytes(fields.take())),
            m: u32::from_le_bytes(fields.take()),
            entry: u32::from_le_bytes(fields.take()),
            stamp: Stamp {
                seq: i64::from_le_bytes(fields.take()),
                generation: i64::from_le_bytes(fields.take()),
                source: fields.take(),
            },
            sums: fields.take(),
        };
        let sizes = [header.nodes, header.keys, header.upper, header.orphans];
        let is_sound = (1..=MOST_DIM).contains(&header.dim)
            && sizes.iter().all(|size| *size < MOST_ITEMS)
            && header.nodes < crate::index::graph::MOST_NODES as u64
            && header.keys < u64::from(u32::MAX)
            && header.m as usize <= crate::index::GraphOptions::MOST_M
            && header.longest.is_finite()
            && (header.m == 0 || header.nodes == 0 || u64::from(header.entry) < header.nodes);
        match is_sound {
            true => Ok(header),
            false => Err("its header names sizes that cannot be".to_owned()),
        }
    }

    /// A name for the content of the whole file.
    pub(super) fn id(&self) -> String {
        let hash = blake3::hash(&self.to_bytes());
        hash.to_hex()[..32].to_owned()
    }

    /// Bytes of a part.
    pub(super) fn bytes(&self, part: Part) -> u64 {
        let linked = if self.m == 0 { 0 } else { self.nodes };
        match part {
            Part::Keys => self.keys * 8,
            Part::KeyNodes => self.keys * 4,
            Part::Scales | Part::Errors => self.nodes * 4,
            Part::Extras if self.metric == Metric::Cosine => 0,
            Part::Extras => self.nodes * 4,
            Part::Levels => linked,
            Part::Orphans => self.orphans * 4,
            Part::Upper => self.upper * 4,
            Part::Base => linked * u64::from(self.m) * 2 * 4,
            Part::Codes => self.nodes * self.dim.div_ceil(64) * 64,
            Part::Rows => self.nodes * self.dim * 4,
        }
    }

    /// Bytes of a block of a part.
    pub(super) fn block_bytes(&self, part: Part) -> usize {
        match part {
            Part::Rows => {
                let row = self.dim as usize * 4;
                (ROWS_BLOCK_BYTES / row).max(1) * row
            }
            _ => BLOCK_BYTES,
        }
    }

    /// Blocks of a part.
    pub(super) fn blocks(&self, part: Part) -> u64 {
        self.bytes(part).div_ceil(self.block_bytes(part) as u64)
    }

    /// Bytes of the table of checksums, which follows the header.
    pub(super) fn table_bytes(&self) -> u64 {
        Part::ALL.iter().map(|part| self.blocks(*part)).sum::<u64>() * SUM_BYTES as u64
    }

    /// Where a part begins, and where its checksums begin in the table.
    pub(super) fn place(&self, wanted: Part) -> (u64, usize) {
        let mut at = (HEADER_BYTES as u64 + self.table_bytes()).next_multiple_of(ALIGNMENT);
        let mut sums = 0;
        for part in Part::ALL {
            if part == wanted {
                break;
            }
            at = (at + self.bytes(part)).next_multiple_of(ALIGNMENT);
            sums += self.blocks(part) as usize;
        }
        (at, sums)
    }

    /// Bytes of the whole file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.place(Part::Rows).0 + self.bytes(Part::Rows)
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    /// The next field; zeros behind the end, which a header of the right length has none of.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            None => [0; N],
        }
    }
}

fn metric_code(metric: Metric) -> u32 {
    match metric {
        Metric::Cosine => 1,
        Metric::Dot => 2,
        Metric::L2 => 3,
    }
}

fn metric_of(code: u32) -> Option<Metric> {
    [Metric::Cosine, Metric::Dot, Metric::L2]
        .into_iter()
        .find(|metric| metric_code(*metric) == code)
}
