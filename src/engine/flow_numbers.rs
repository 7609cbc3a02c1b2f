//! [`FlowNumbers`]: the run's number of each flow of a source.

use std::ops::{Index, IndexMut};

use crate::topology::PortId;

/// By the source's own number of a flow: the run's, or what the engine has instead of one before the first packet.
#[derive(Debug, Default)]
pub(super) struct FlowNumbers(Vec<u32>);

impl FlowNumbers {
    /// No packet of the flow has been read.
    pub const UNSEEN: u32 = u32::MAX;

    /// Makes room for a flow of the source.
    #[inline]
    pub fn reserve(&mut self, local: u32) {
        if self.0.len() <= local as usize {
            self.grow(local as usize + 1);
        }
    }

    /// The flows that there is room for: those of the source, and no more.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The run's number of a flow; none before its first packet.
    #[inline]
    pub fn known(&self, local: u32) -> Option<u32> {
        self.0.get(local as usize).copied().filter(|fid| *fid != Self::UNSEEN)
    }

    /// By an eighth more: there may be thousands of sources, each with flows to all hosts.
    #[cold]
    fn grow(&mut self, count: usize) {
        if self.0.capacity() < count {
            self.0.reserve_exact(count + count / 8 + 8 - self.0.len());
        }
        self.0.resize(count, Self::UNSEEN);
    }
}

/// The flows of a source or an endpoint, by its own numbers.
#[derive(Debug, Default)]
pub(super) struct OwnFlows {
    /// The run's numbers; [`FlowNumbers::UNSEEN`] before the first packet.
    pub fids: FlowNumbers,
    /// The egress ports on their ways, where the observer wants them.
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
