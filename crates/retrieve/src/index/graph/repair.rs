//! Making sure that every node can be found.

use super::layers::{Layers, NONE};
use super::walk::{Walker, node_of};
use crate::index::codes::Codes;

/// Nodes that the search for a place to link a lost node from keeps.
const EF: usize = 64;

/// Links every node that no walk over level 0 from the entry reaches from a near one that has room for a link, and names
/// those that remain as orphans.
pub(super) fn connect(layers: &mut Layers, codes: &Codes) {
    layers.orphans.clear();
    let total = layers.len();
    let mut reached = vec![false; total];
    if total > 0 {
        flood(layers, layers.entry, &mut reached);
    }
    let (mut walker, mut query) = (Walker::default(), codes.blank());
    for node in 0..total as u32 {
        if reached[node as usize] {
            continue;
        }
        codes.member(node, &mut query);
        let found = walker.search((layers, codes), &query, &[layers.entry], 0, EF);
        let place = found.iter().map(|key| node_of(*key)).find(|near| {
            let list = layers.list(*near, 0);
            list.last() == Some(&NONE)
        });
        match place {
            Some(near) => {
                let mut links = layers.links(near, 0).to_vec();
                links.push(node);
                layers.set(near, 0, &links);
                flood(layers, node, &mut reached);
            }
            None => layers.orphans.push(node),
        }
    }
}

/// Marks what is reached over level 0 from a node.
fn flood(layers: &Layers, from: u32, reached: &mut [bool]) {
    let mut open = vec![from];
    reached[from as usize] = true;
    while let Some(node) = open.pop() {
        for link in layers.links(node, 0) {
            if !std::mem::replace(&mut reached[*link as usize], true) {
                open.push(*link);
            }
        }
    }
}
