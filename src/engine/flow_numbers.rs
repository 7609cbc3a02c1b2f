//! [`FlowNumbers`]: the run's flow numbers by a source's own flow numbers.

use std::ops::{Index, IndexMut};

use crate::topology::PortId;

/// By the source's own flow number: the run's flow number, or a marker before the first packet.
#[derive(Debug, Default)]
pub(super) struct FlowNumbers(Vec<u32>);

impl FlowNumbers {
    /// The marker of a flow without a packet so far.
    pub const UNSEEN: u32 = u32::MAX;

    /// Adds a flow of the source.
    #[inline]
    pub fn reserve(&mut self, local: u32) {
        if self.0.len() <= local as usize {
            self.grow(local as usize + 1);
        }
    }

    /// The number of flows of the source.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The run's number of a flow; `None` before its first packet.
    #[inline]
    pub fn known(&self, local: u32) -> Option<u32> {
        self.0.get(local as usize).copied().filter(|fid| *fid != Self::UNSEEN)
    }

    /// Grows by an eighth only: there may be thousands of sources, each with flows to all hosts.
    #[cold]
    fn grow(&mut self, count: usize) {
        if self.0.capacity() < count {
            self.0.reserve_exact(count + count / 8 + 8 - self.0.len());
        }
        self.0.resize(count, Self::UNSEEN);
    }
}

/// The flows of a source or endpoint, by its own flow numbers.
#[derive(Debug, Default)]
pub(super) struct OwnFlows {
    /// The run's flow numbers; [`FlowNumbers::UNSEEN`] before the first packet.
    pub fids: FlowNumbers,
    /// The egress ports on their paths, if the observer wants them.
    pub paths: Vec<Box<[PortId]>>,
}

impl Index<u32> for FlowNumbers {
    type Output = u32;

    #[inline(always)]
    fn index(&self, local: u32) -> &u32 {
        &self.0[local as usize]
    }
}

impl IndexMut<u32> for FlowNumbers {
    #[inline(always)]
    fn index_mut(&mut self, local: u32) -> &mut u32 {
        &mut self.0[local as usize]
    }
}
