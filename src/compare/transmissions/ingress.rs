//! Uses the captures at the ingress ports of a device to evaluate the packets of a capture at its egress.

use rustc_hash::{FxHashMap, FxHashSet};

use super::transmission::Transmission;
use crate::compare::matching::{Confusion, Loss, Measurement, Sighting, match_packets};

/// The transmissions at the ingress ports of a device.
#[derive(Debug, Default)]
pub struct Ingress {
    /// Measured transmissions: match key, time, and flow.
    measured: Vec<(u64, i64, u32)>,
    /// By packet id: the index of the equal measured transmission.
    same: FxHashMap<u64, usize>,
    /// The packets simulated there.
    simulated: FxHashSet<u64>,
    /// The flows at the ingress.
    flows: FxHashSet<u32>,
}

/// Times and losses between ingress and egress.
#[derive(Debug, Default)]
pub struct Passage {
    /// Ingress time of packets, by match key and time at the egress.
    ingress_ps: FxHashMap<(u64, i64), i64>,
    /// Per flow at the ingress: packets lost, simulated and measured.
    pub drops: FxHashMap<u32, [u64; 2]>,
    /// Losses of the transmissions that both sides have at the ingress.
    pub losses: Vec<Loss>,
    /// The counts of these losses.
    pub loss: Confusion,
}

impl Ingress {
    /// Adds a flow at an ingress port: the simulated packets by packet id, the measured ones, and the equal
    /// ones by index.
    pub fn add(
        &mut self,
        fid: u32,
        simulated: impl Iterator<Item = u64>,
        measured: &[Transmission],
        same: impl Iterator<Item = (u64, usize)>,
    ) {
        let first = self.measured.len();
        self.flows.insert(fid);
        self.simulated.extend(simulated);
        self.measured.extend(measured.iter().map(|packet| (packet.tag, packet.at_ps, fid)));
        self.same.extend(same.map(|(pid, place)| (pid, first + place)));
    }

    /// The losses up to the egress. `measured` are the packets measured there, `simulated` those sent towards
    /// it. Packets that arrived after `end_ps` do not count.
    pub fn passage<'a>(
        &self,
        measured: impl Iterator<Item = &'a Transmission>,
        simulated: &[Sighting],
        end_ps: i64,
    ) -> Passage {
        let entered = self.measured.iter().enumerate().filter(|(_, (key, ..))| *key != 0);
        let entered = entered.map(|(place, (key, at_ps, fid))| Sighting {
            key: *key,
            pid: place as u64,
            fid: *fid,
            length: 0,
            injected_here: true,
            injected_ps: *at_ps,
            from_ps: *at_ps,
            at_ps: Some(*at_ps),
        });
        let left = measured.filter(|packet| packet.tag != 0);
        let left = left.map(|packet| Measurement { key: packet.tag, at_ps: packet.at_ps }).collect();
        let (matched, _, _, lost) = match_packets(entered.collect(), left);
        let mut passage = Passage::default();
        passage.drops.extend(self.flows.iter().map(|fid| (*fid, [0, 0])));
        let mut is_lost: FxHashMap<usize, bool> = FxHashMap::default();
        for packet in &matched {
            let key = (packet.sighting.key, packet.measured_ps);
            passage.ingress_ps.insert(key, packet.sighting.injected_ps);
            is_lost.insert(packet.sighting.pid as usize, false);
        }
        for loss in lost.iter().filter(|loss| loss.measured) {
            is_lost.insert(loss.pid as usize, true);
            passage.drops.entry(loss.fid).or_default()[1] += 1;
        }
        self.compare_losses(&mut passage, simulated, end_ps, &is_lost);
        passage
    }

    fn compare_losses(
        &self,
        passage: &mut Passage,
        simulated: &[Sighting],
        end_ps: i64,
        is_lost: &FxHashMap<usize, bool>,
    ) {
        let inside = simulated.iter().filter(|sighting| sighting.from_ps <= end_ps);
        for sighting in inside.filter(|sighting| self.simulated.contains(&sighting.pid)) {
            let Sighting { pid, fid, injected_ps, .. } = *sighting;
            let simulated = sighting.at_ps.is_none();
            passage.drops.entry(fid).or_default()[0] += u64::from(simulated);
            let measured = self.same.get(&pid).and_then(|place| is_lost.get(place)).copied();
            match (simulated, measured) {
                (true, Some(true)) => passage.loss.both += 1,
                (true, Some(false)) => passage.loss.only_simulated += 1,
                (false, Some(true)) => passage.loss.only_measured += 1,
                (false, Some(false)) => passage.loss.neither += 1,
                (_, None) => {}
            }
            if let (true, Some(measured)) = (simulated || measured == Some(true), measured) {
                passage.losses.push(Loss { pid, fid, injected_ps, simulated, measured });
            }
        }
    }
}

impl Passage {
    /// Ingress time of a packet measured at the egress.
    pub fn ingress_ps(&self, measured: &Transmission) -> Option<i64> {
        self.ingress_ps.get(&(measured.tag, measured.at_ps)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(tag: u64, at_ps: i64) -> Transmission {
        Transmission { tag, at_ps, ..Transmission::default() }
    }

    fn sighting(pid: u64, at_ps: Option<i64>) -> Sighting {
        let injected_ps = pid as i64 * 10;
        Sighting {
            key: 0,
            pid,
            fid: 7,
            length: 0,
            injected_here: false,
            injected_ps,
            from_ps: injected_ps,
            at_ps,
        }
    }

    #[test]
    fn who_was_lost_between_the_captures_on_which_side() {
        let entered: Vec<Transmission> = (1..=5).map(|tag| measured(tag, tag as i64 * 10)).collect();
        let mut ingress = Ingress::default();
        ingress.add(7, 1..=5, &entered, (1..=5).map(|pid| (pid, pid as usize - 1)));
        // The second and the third are lost in reality, the third and the fourth in the simulation.
        let left: Vec<Transmission> = [1, 4, 5].map(|tag| measured(tag, tag as i64 * 10 + 3)).into();
        let simulated = [(1, Some(13)), (2, Some(23)), (3, None), (4, None), (5, Some(53))];
        let simulated = simulated.map(|(pid, at_ps)| sighting(pid, at_ps));
        let passage = ingress.passage(left.iter(), &simulated, 1_000);
        assert_eq!(passage.drops[&7], [2, 2]);
        assert_eq!(passage.loss, Confusion { both: 1, only_simulated: 1, only_measured: 1, neither: 2 });
        let lost: Vec<_> =
            passage.losses.iter().map(|loss| (loss.pid, loss.simulated, loss.measured)).collect();
        assert_eq!(lost, [(2, false, true), (3, true, true), (4, true, false)]);
        assert_eq!(
            left.iter().map(|packet| passage.ingress_ps(packet)).collect::<Vec<_>>(),
            [Some(10), Some(40), Some(50)]
        );
    }
}
