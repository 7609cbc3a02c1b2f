//! The diameter of a network, and its number of connected components.

use super::Topology;

/// The number of steps along links after which the search for the diameter ends: some seconds.
const MOST_STEPS: usize = 1 << 29;

/// The result of the search for the diameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Diameter {
    /// The number of connected components.
    pub pieces: usize,
    /// The number of links on the longest shortest path found.
    pub links: usize,
    /// Whether no path is longer. Otherwise the search ended early.
    pub is_exact: bool,
}

impl Topology {
    /// The diameter, by breadth-first searches from devices that may still be the end of a longer path.
    ///
    /// # Complexity
    /// O(s · links) for s searches. Networks with central devices (lines, trees, random networks) need few
    /// searches; networks whose devices are all alike (rings, tori) need one per device. The search ends
    /// after [`MOST_STEPS`].
    ///
    /// # Source
    /// F. Takes and W. Kosters, "Determining the diameter of small world networks", CIKM 2011: the bounds
    /// that one search sets for all others, and the choice of the next search alternately by the largest
    /// upper and the smallest lower bound.
    pub(super) fn diameter(&self) -> Diameter {
        Search::new(self.neighbours()).diameter(MOST_STEPS)
    }
}

/// The searches, without leaves: a device with one link is one step from its neighbour.
struct Search {
    neighbours: Vec<Vec<usize>>,
    is_leaf: Vec<bool>,
    /// The number of leaves at each device.
    leaves: Vec<usize>,
    /// Bounds of the longest path from each device: lower, upper.
    bounds: Vec<(usize, usize)>,
    /// The distance of each device in this search; [`Search::FAR`] until it is reached.
    distances: Vec<usize>,
    queue: Vec<usize>,
}

impl Search {
    const FAR: usize = usize::MAX;

    fn new(neighbours: Vec<Vec<usize>>) -> Self {
        let count = neighbours.len();
        let is_leaf = |device: usize| match neighbours[device][..] {
            [other] => neighbours[other].len() > 1,
            _ => false,
        };
        let is_leaf: Vec<bool> = (0..count).map(is_leaf).collect();
        let mut leaves = vec![0; count];
        for device in (0..count).filter(|&device| is_leaf[device]) {
            leaves[neighbours[device][0]] += 1;
        }
        Search {
            is_leaf,
            leaves,
            bounds: vec![(0, Search::FAR); count],
            distances: vec![Search::FAR; count],
            queue: Vec::with_capacity(count),
            neighbours,
        }
    }

    fn diameter(mut self, most_steps: usize) -> Diameter {
        let mut found = Diameter { pieces: 0, links: 0, is_exact: true };
        let mut known = vec![false; self.neighbours.len()];
        let mut steps = 0;
        for first in 0..self.neighbours.len() {
            if known[first] || self.is_leaf[first] {
                continue;
            }
            found.pieces += 1;
            let (mut next, mut largest) = (Some(first), true);
            // The devices of this component that may be the end of a longer path.
            let mut open: Vec<usize> = Vec::new();
            while let Some(from) = next {
                found.links = found.links.max(self.search(from));
                if !known[first] {
                    self.queue.iter().for_each(|&device| known[device] = true);
                    open.clone_from(&self.queue);
                }
                steps += self.queue.iter().map(|&device| self.neighbours[device].len()).sum::<usize>();
                open.retain(|&device| self.bounds[device].1 > found.links);
                if steps > most_steps {
                    found.is_exact &= open.is_empty();
                    break;
                }
                next = match largest {
                    true => open.iter().copied().max_by_key(|&device| self.bounds[device].1),
                    false => open.iter().copied().min_by_key(|&device| self.bounds[device].0),
                };
                largest = !largest;
            }
        }
        found
    }

    /// Searches from a device, and tightens the bounds of all devices that it reaches. Returns the longest
    /// path from the device or its leaves.
    fn search(&mut self, from: usize) -> usize {
        self.queue.iter().for_each(|&device| self.distances[device] = Search::FAR);
        self.queue.clear();
        self.queue.push(from);
        self.distances[from] = 0;
        // A leaf is one more step away.
        let behind = |device: usize| usize::from(self.leaves[device] > 0);
        let mut to_others = 0;
        let mut next = 0;
        while let Some(&device) = self.queue.get(next) {
            next += 1;
            let distance = self.distances[device];
            if device != from {
                to_others = to_others.max(distance + behind(device));
            }
            for &neighbour in &self.neighbours[device] {
                if self.distances[neighbour] == Search::FAR && !self.is_leaf[neighbour] {
                    self.distances[neighbour] = distance + 1;
                    self.queue.push(neighbour);
                }
            }
        }
        let from_here = to_others.max(behind(from));
        for &device in &self.queue {
            let distance = self.distances[device];
            let (least, most) = &mut self.bounds[device];
            *least = (*least).max(distance).max(from_here.saturating_sub(distance));
            *most = (*most).min(behind(device) + distance + from_here);
        }
        // From one of its leaves to another leaf, or to another device.
        let between_leaves = self.leaves[from].min(2);
        let longest =
            if to_others > 0 { between_leaves.max(to_others + behind(from)) } else { between_leaves };
        self.bounds[from] = (longest, longest);
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;
    use rand::Rng;

    /// The number of links on the longest shortest path, by a search from every device.
    fn by_all(neighbours: &[Vec<usize>]) -> usize {
        let longest = |from: usize| {
            let mut distances = vec![None; neighbours.len()];
            let mut queue = vec![from];
            distances[from] = Some(0);
            for next in 0.. {
                let Some(&device) = queue.get(next) else { break };
                for &neighbour in &neighbours[device] {
                    if distances[neighbour].is_none() {
                        distances[neighbour] = distances[device].map(|distance: usize| distance + 1);
                        queue.push(neighbour);
                    }
                }
            }
            distances.into_iter().flatten().max().unwrap_or(0)
        };
        (0..neighbours.len()).map(longest).max().unwrap_or(0)
    }

    fn linked(devices: usize, links: impl Iterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
        let mut neighbours = vec![Vec::new(); devices];
        for (a, b) in links {
            neighbours[a].push(b);
            neighbours[b].push(a);
        }
        neighbours
    }

    #[test]
    fn it_is_that_of_a_search_from_every_device() {
        let mut random = stream(1, "test", "diameter");
        for _ in 0..2_000 {
            let devices = 2 + (random.next_u64() % 12) as usize;
            let links = random.next_u64() % 16;
            let mut end = || (random.next_u64() % devices as u64) as usize;
            let links: Vec<(usize, usize)> =
                (0..links).map(|_| (end(), end())).filter(|(a, b)| a != b).collect();
            let neighbours = linked(devices, links.iter().copied());
            let found = Search::new(neighbours.clone()).diameter(MOST_STEPS);
            assert_eq!((found.links, found.is_exact), (by_all(&neighbours), true), "{links:?}");
        }
    }

    #[test]
    fn a_long_line_takes_few_searches_and_a_ring_ends_with_a_bound() {
        const DEVICES: usize = 100_000;
        let line = linked(DEVICES, (1..DEVICES).map(|device| (device - 1, device)));
        let found = Search::new(line).diameter(10 * 2 * DEVICES);
        assert_eq!(found, Diameter { pieces: 1, links: DEVICES - 1, is_exact: true });
        let ring = linked(DEVICES, (0..DEVICES).map(|device| (device, (device + 1) % DEVICES)));
        let found = Search::new(ring).diameter(10 * 2 * DEVICES);
        assert_eq!(found, Diameter { pieces: 1, links: DEVICES / 2, is_exact: false });
    }
}
