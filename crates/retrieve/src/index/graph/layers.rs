//! The links of the graph, in flat arrays.

/// Fills up lists that are not full.
pub(crate) const NONE: u32 = u32::MAX;

/// A hierarchical navigable small world (Malkov and Yashunin 2018, doi 10.1109/TPAMI.2018.2889473): every node is on
/// level 0, a share `1 / m` of each level also on the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layers {
    /// Greatest number of links on levels 1 and above; twice as many on level 0.
    pub(crate) m: usize,
    /// The highest level of each node.
    pub(crate) levels: Vec<u8>,
    /// `width` links of level 0 a node.
    pub(crate) base: Vec<u32>,
    pub(crate) width: usize,
    /// Where the links of a node on levels 1 and above begin in `upper`.
    pub(crate) upper_at: Vec<u32>,
    /// `upper_width` links a node and level.
    pub(crate) upper: Vec<u32>,
    pub(crate) upper_width: usize,
    /// Where walks begin: a node of the highest level.
    pub(crate) entry: u32,
    /// Nodes that no walk reaches; searches look at them one by one.
    pub(crate) orphans: Vec<u32>,
}

impl Layers {
    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.levels.len()
    }

    /// The highest level there is.
    pub(crate) fn top(&self) -> usize {
        self.levels
            .get(self.entry as usize)
            .map_or(0, |level| usize::from(*level))
    }

    /// Greatest number of links on a level of the finished graph.
    pub(crate) fn cap(&self, level: usize) -> usize {
        if level == 0 { 2 * self.m } else { self.m }
    }

    /// The links of a node, with [`NONE`] behind the last where the list is not full.
    #[inline(always)]
    pub(crate) fn list(&self, node: u32, level: usize) -> &[u32] {
        if level == 0 {
            return &self.base[node as usize * self.width..][..self.width];
        }
        let at = self.upper_at[node as usize] as usize + (level - 1) * self.upper_width;
        &self.upper[at..][..self.upper_width]
    }

    pub(super) fn list_mut(&mut self, node: u32, level: usize) -> &mut [u32] {
        if level == 0 {
            return &mut self.base[node as usize * self.width..][..self.width];
        }
        let at = self.upper_at[node as usize] as usize + (level - 1) * self.upper_width;
        &mut self.upper[at..][..self.upper_width]
    }

    /// The links of a node.
    pub(crate) fn links(&self, node: u32, level: usize) -> &[u32] {
        let list = self.list(node, level);
        let count = list.iter().position(|link| *link == NONE).unwrap_or(list.len());
        &list[..count]
    }

    /// Sets the links of a node.
    pub(super) fn set(&mut self, node: u32, level: usize, links: &[u32]) {
        let list = self.list_mut(node, level);
        list[..links.len()].copy_from_slice(links);
        list[links.len()..].fill(NONE);
    }
}
