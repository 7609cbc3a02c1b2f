//! Hosts that no chain of links joins: what one sends to the other is lost.

use super::parties::Parties;
use crate::scenario::reader::Reader;
use crate::topology::Topology;

impl Reader<'_> {
    /// Notes for the entry the first pair of its hosts that no chain of links joins, and how many there are.
    pub(super) fn note_unreachable(&mut self, label: &str, parties: &Parties, topology: &Topology) {
        let parts = self.parts.get_or_insert_with(|| parts(topology));
        if parts.iter().all(|part| *part == 0) {
            return;
        }
        let part = |place: usize| parts[parties.hosts[place].index()];
        let mut first = None;
        let mut count = 0u64;
        for row in &parties.rows {
            let all = row.to.is_none().then(|| 0..parties.hosts.len());
            let destinations = row.to.iter().flatten().copied().chain(all.into_iter().flatten());
            for to in destinations.filter(|to| part(*to) != part(row.from)) {
                first.get_or_insert((row.from, to));
                count += 1;
            }
        }
        let Some((from, to)) = first else { return };
        let name = |place: usize| &topology.device(parties.hosts[place]).name;
        let others = match count - 1 {
            0 => String::new(),
            1 => " (nor between 1 other pair of its hosts)".to_owned(),
            others => format!(" (nor between {others} other pairs of its hosts)"),
        };
        self.remarks.push(format!(
            "traffic `{label}`: no links lead from `{}` to `{}`{others}: what is sent there is dropped; add a [[link]] to \
             the topology",
            name(from),
            name(to)
        ));
    }
}

/// The number of the connected part of the network that each device is in; 0 for the part of the first
/// device.
fn parts(topology: &Topology) -> Vec<u32> {
    let devices = topology.devices().len();
    let mut neighbours = vec![Vec::new(); devices];
    for (_, link) in topology.links() {
        let [from, to] = [link.from, link.to].map(|port| topology.port(port).device.index());
        neighbours[from].push(to);
    }
    let mut parts = vec![None; devices];
    let mut next = 0;
    for first in 0..devices {
        if parts[first].is_some() {
            continue;
        }
        let mut found = vec![first];
        parts[first] = Some(next);
        while let Some(device) = found.pop() {
            for near in
                neighbours[device].iter().filter(|near| parts[**near].is_none()).copied().collect::<Vec<_>>()
            {
                parts[near] = Some(next);
                found.push(near);
            }
        }
        next += 1;
    }
    parts.into_iter().flatten().collect()
}
