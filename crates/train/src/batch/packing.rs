//! Examples into packs of at most so many tokens.

use std::collections::BTreeMap;

/// Packs of at most `limit` tokens in the order of the examples: a pack ends before the example that does not fit.
pub(super) fn in_order(order: &[usize], lengths: &[usize], limit: usize) -> Vec<Vec<usize>> {
    let mut packs: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 0;
    for &index in order {
        match packs.last_mut().filter(|_| tokens + lengths[index] <= limit) {
            Some(pack) => pack.push(index),
            None => {
                packs.push(vec![index]);
                tokens = 0;
            }
        }
        tokens += lengths[index];
    }
    packs
}

/// Packs of at most `limit` tokens with little room left over: each example, longest first, goes where it leaves the
/// least room (best fit decreasing; Johnson 1973: at most 11/9 of the fewest packs, and 4).
pub(super) fn best_fit(order: &[usize], lengths: &[usize], limit: usize) -> Vec<Vec<usize>> {
    let mut longest_first = order.to_vec();
    longest_first.sort_by_key(|&index| std::cmp::Reverse(lengths[index]));
    let mut packs: Vec<Vec<usize>> = Vec::new();
    // Packs by the room they have.
    let mut rooms: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in longest_first {
        let length = lengths[index];
        let found = rooms
            .range(length..)
            .next()
            .map(|(&room, _)| room)
            .and_then(|room| {
                let with_room = rooms.get_mut(&room)?;
                let pack = with_room.pop()?;
                if with_room.is_empty() {
                    rooms.remove(&room);
                }
                Some((pack, room))
            });
        let (pack, room) = found.unwrap_or_else(|| {
            packs.push(Vec::new());
            (packs.len() - 1, limit)
        });
        packs[pack].push(index);
        rooms.entry(room.saturating_sub(length)).or_default().push(pack);
    }
    packs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_fit_fills_packs() {
        let lengths = [6, 5, 5, 4, 3, 3, 2, 2];
        let order: Vec<usize> = (0..lengths.len()).collect();
        let packs = best_fit(&order, &lengths, 10);
        assert_eq!(packs.len(), 3);
        assert_eq!(in_order(&order, &lengths, 10).len(), 4);
        assert_eq!(packs[0], [0, 3]);
    }
}
