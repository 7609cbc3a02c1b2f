//! The assignment of flows to queues, in disciplines with a fixed number of queues: `fq-codel`, `fq-pie`,
//! `sfq`, `fq`.

use rustc_hash::{FxHashMap, FxHashSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use super::classes::FlowName;
use super::error::PtmError;
use crate::flow::Flows;
use crate::packet::FlowKey;
use crate::random::Draws;

/// Groups of flows. The flows of a group share a queue.
///
/// The kernel hashes flows with a random seed, so only a recording shows which flows share a queue.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SameQueue(pub Vec<Vec<FlowName>>);

impl SameQueue {
    /// # Errors
    /// A group of fewer than two flows; a flow in two groups.
    pub(super) fn check(&self) -> Result<(), PtmError> {
        let mut seen: FxHashSet<FlowKey> = FxHashSet::default();
        for group in &self.0 {
            if group.len() < 2 {
                return Err(PtmError::LoneFlow(group.first().map(ToString::to_string).unwrap_or_default()));
            }
            for flow in group {
                if !seen.insert(flow.0) {
                    return Err(PtmError::FlowTwice(flow.to_string()));
                }
            }
        }
        Ok(())
    }
}

/// The assignment of flows to queues.
pub(super) enum FlowQueues {
    /// By the perturbed hash of the flow.
    Hashed {
        /// The perturbation.
        draws: Draws,
        /// The number of queues.
        queues: u32,
    },
    /// In the order in which groups, and flows without a group, appear.
    Stated(Stated),
}

/// Flows with known queues.
pub(super) struct Stated {
    group_of: FxHashMap<FlowKey, usize>,
    /// The queue of each group that has appeared.
    of_group: Vec<Option<u32>>,
    /// The queue of each flow that has appeared.
    of_flow: Vec<Option<u32>>,
    next: u32,
    queues: u32,
}

impl FlowQueues {
    /// Creates `queues` queues, at least one.
    pub fn new(queues: u32, same_queue: Option<&SameQueue>, place: &Place<'_>) -> Self {
        let Some(SameQueue(groups)) = same_queue else {
            return FlowQueues::Hashed { draws: Draws::new(place.seed, "ptm", place.port), queues };
        };
        let members = groups
            .iter()
            .enumerate()
            .flat_map(|(group, flows)| flows.iter().map(move |flow| (flow.0, group)));
        FlowQueues::Stated(Stated {
            group_of: members.collect(),
            of_group: vec![None; groups.len()],
            of_flow: Vec::new(),
            next: 0,
            queues,
        })
    }

    /// The queue of the flow `fid`, below the number of queues.
    #[inline]
    pub fn queue(&mut self, fid: u32, flows: &Flows) -> usize {
        match self {
            FlowQueues::Hashed { draws, queues } => {
                let scaled = u128::from(draws.bits(flows.hash(fid))) * u128::from(*queues);
                (scaled >> 64) as usize
            }
            FlowQueues::Stated(stated) => stated.queue(fid, flows) as usize,
        }
    }
}

impl Stated {
    fn queue(&mut self, fid: u32, flows: &Flows) -> u32 {
        let flow = fid as usize;
        if flow >= self.of_flow.len() {
            self.of_flow.resize(flow + 1, None);
        }
        if let Some(queue) = self.of_flow[flow] {
            return queue;
        }
        let group = flows.key(fid).and_then(|key| self.group_of.get(&key)).copied();
        let queue = match group.and_then(|group| self.of_group[group]) {
            Some(queue) => queue,
            // With more flows than queues, the numbers start again at the first.
            None => {
                let queue = self.next % self.queues;
                self.next = self.next.wrapping_add(1);
                queue
            }
        };
        if let Some(group) = group {
            self.of_group[group] = Some(queue);
        }
        self.of_flow[flow] = Some(queue);
        queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptm::testing::{flows, place};

    fn name(port: u16) -> FlowName {
        FlowName(flows().key(port.into()).unwrap())
    }

    #[test]
    fn flows_of_a_group_share_a_queue_and_all_others_have_their_own() {
        let same = SameQueue(vec![vec![name(3), name(7)]]);
        let flows = flows();
        let mut queues = FlowQueues::new(1_024, Some(&same), &place("unlimited"));
        let found = [7, 1, 3, 2, 7].map(|fid| queues.queue(fid, &flows));
        assert_eq!(found, [0, 1, 0, 2, 0]);
    }

    #[test]
    fn more_flows_than_queues_start_over() {
        let flows = flows();
        let mut queues = FlowQueues::new(2, Some(&SameQueue::default()), &place("unlimited"));
        assert_eq!([0, 1, 2, 3, 0].map(|fid| queues.queue(fid, &flows)), [0, 1, 0, 1, 0]);
    }

    #[test]
    fn groups_that_say_nothing_or_contradict_each_other_are_told() {
        let alone = SameQueue(vec![vec![name(3)]]).check().unwrap_err();
        assert!(alone.to_string().contains("has fewer than two flows"), "{alone}");
        let twice = SameQueue(vec![vec![name(3), name(7)], vec![name(7), name(8)]]).check().unwrap_err();
        assert!(twice.to_string().contains("twice"), "{twice}");
    }
}
