//! One flow at a vantage: its equal transmissions, and the totals of either side.

use rustc_hash::{FxHashMap, FxHashSet};

use super::divergence::{Ends, Place, first_difference};
use super::transmission::{Identity, Transmission, number};

/// A flow of a connection at a vantage, simulated and measured.
#[derive(Debug, Default)]
pub struct FlowAt {
    /// Its number in the run.
    pub fid: u32,
    /// Index of its connection.
    pub connection: usize,
    /// 0 for packets from the side that opened the connection, 1 for the other side.
    pub side: usize,
    /// Simulated transmissions, in time order.
    pub simulated: Vec<Transmission>,
    /// Measured transmissions, in time order.
    pub measured: Vec<Transmission>,
    /// Equal transmissions, by index on either side, in order of the simulated ones.
    pub same: Vec<(usize, usize)>,
    /// Whether it carries payload, not only acknowledgements.
    pub has_payload: bool,
    with_sack: bool,
}

impl FlowAt {
    /// Finds the equal transmissions. Both sides are in time order.
    pub fn new(
        (fid, connection, side): (u32, usize, usize),
        simulated: Vec<Transmission>,
        measured: Vec<Transmission>,
    ) -> Self {
        let with_sack = measured.iter().all(|packet| packet.has_range() || packet.sack.is_some());
        let has_payload = simulated.iter().chain(&measured).any(|packet| packet.payload() > 0);
        let mut flow =
            FlowAt { fid, connection, side, simulated, measured, same: Vec::new(), has_payload, with_sack };
        for transmissions in [&mut flow.simulated, &mut flow.measured] {
            number(transmissions, with_sack);
            // In a flow with payload of its own, acknowledged bytes belong to the other direction.
            let others = transmissions.iter_mut().filter(|packet| has_payload && !packet.has_range());
            others.for_each(|packet| packet.new_bytes = 0);
        }
        let theirs: FxHashMap<Identity<'_>, usize> =
            flow.measured.iter().map(|packet| packet.identity(with_sack)).zip(0..).collect();
        let ours = flow.simulated.iter().map(|packet| packet.identity(with_sack)).enumerate();
        flow.same = ours.filter_map(|(place, identity)| Some((place, *theirs.get(&identity)?))).collect();
        flow
    }

    /// The first transmission that differs.
    pub fn first_difference(&self, tolerance_ps: i64, ends: Ends) -> Option<Place> {
        first_difference(&self.simulated, &self.measured, self.with_sack, tolerance_ps, ends)
    }

    /// The index of the equal measured transmission for each simulated one, if any.
    pub fn partners(&self) -> Vec<Option<usize>> {
        let mut partners = vec![None; self.simulated.len()];
        self.same.iter().for_each(|(ours, theirs)| partners[*ours] = Some(*theirs));
        partners
    }

    /// The measured transmissions without an equal simulated one.
    pub fn only_measured(&self) -> impl Iterator<Item = &Transmission> {
        let same: FxHashSet<usize> = self.same.iter().map(|(_, theirs)| *theirs).collect();
        let packets = self.measured.iter().enumerate();
        packets.filter(move |(place, _)| !same.contains(place)).map(|(_, packet)| packet)
    }

    /// Number of measured transmissions that are longer than any simulated one.
    pub fn segmented(&self) -> u64 {
        let Some(longest) = self.simulated.iter().map(Transmission::payload).max() else { return 0 };
        self.measured.iter().filter(|packet| packet.payload() > longest).count() as u64
    }

    /// Number of transmissions up to `end_ps` that are simulated only, and measured only.
    pub fn alone(&self, end_ps: i64) -> [u64; 2] {
        let partners = self.partners();
        let simulated = partners.iter().zip(&self.simulated).filter(|(partner, _)| partner.is_none());
        let simulated = simulated.filter(|(_, packet)| packet.at_ps <= end_ps).count();
        let measured = self.only_measured().filter(|packet| packet.at_ps <= end_ps).count();
        [simulated as u64, measured as u64]
    }
}
