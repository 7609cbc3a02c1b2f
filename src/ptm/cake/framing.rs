//! Packet lengths as CAKE counts them, on the link and in the kernel's memory.

use super::spec::{CakeLinkLayer, CakeSpec};

/// The Ethernet header, which is not part of the IP packet [B].
const HEADER: i64 = 14;

/// The length of a packet on the link.
///
/// # Source
/// Linux 6.1 `net/sched/sch_cake.c` (`cake_calc_overhead`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Framing {
    /// The bytes added to a frame [B].
    added: i64,
    mpu: i64,
    link_layer: CakeLinkLayer,
}

impl Framing {
    pub fn new(spec: &CakeSpec) -> Self {
        Framing {
            added: spec.overhead.map_or(0, |overhead| i64::from(overhead.bytes()) - HEADER),
            mpu: i64::try_from(spec.mpu.get()).unwrap_or(i64::MAX).min(u16::MAX.into()),
            link_layer: spec.linklayer,
        }
    }

    /// The length of a frame of `length` bytes on the link.
    #[inline]
    pub fn length(&self, length: u32) -> u32 {
        let length = (i64::from(length) + self.added).max(self.mpu).max(0);
        let framed = match self.link_layer {
            CakeLinkLayer::Ethernet => length,
            CakeLinkLayer::Atm => (length + 47) / 48 * 53,
            CakeLinkLayer::Ptm => length + (length + 63) / 64,
        };
        u32::try_from(framed).unwrap_or(u32::MAX)
    }
}

/// The kernel's `struct sk_buff` beside a packet, and `struct skb_shared_info` behind its bytes [B].
const DESCRIPTION: (u32, u32) = (256, 320);

/// The kernel memory that a packet occupies: the `truesize` of a packet that a UDP socket of a 64-bit machine
/// created. Network cards use other buffers.
///
/// # Source
/// Linux 6.1 `net/core/skbuff.c` (`__alloc_skb`), `net/ipv4/ip_output.c` (`__ip_append_data`): room for the
/// link header in front, whole cache lines, and buffers of powers of two.
pub(super) fn memory(length: u32) -> u32 {
    // 16 bytes for the Ethernet header, 14 of them in the frame, and 15 for alignment.
    let bytes = length.saturating_add(2 + 15).next_multiple_of(64).saturating_add(DESCRIPTION.1);
    bytes.checked_next_power_of_two().unwrap_or(u32::MAX - DESCRIPTION.0) + DESCRIPTION.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptm::Overhead;
    use crate::units::ByteCount;

    fn lengths<const N: usize>(spec: &CakeSpec, lengths: [u32; N]) -> [u32; N] {
        let framing = Framing::new(spec);
        lengths.map(|length| framing.length(length))
    }

    #[test]
    fn without_an_overhead_a_packet_counts_as_its_frame() {
        assert_eq!(lengths(&CakeSpec::default(), [60, 1_514]), [60, 1_514]);
        let mpu = CakeSpec { mpu: ByteCount::new(84), ..CakeSpec::default() };
        assert_eq!(lengths(&mpu, [60, 1_514]), [84, 1_514]);
    }

    #[test]
    fn an_overhead_is_added_to_the_ip_packet() {
        let spec = CakeSpec { overhead: Overhead::new(38), mpu: ByteCount::new(84), ..CakeSpec::default() };
        assert_eq!(lengths(&spec, [60, 1_514]), [84, 1_538]);
        let less = CakeSpec { overhead: Overhead::new(-64), ..CakeSpec::default() };
        assert_eq!(lengths(&less, [60, 78, 79]), [0, 0, 1]);
    }

    #[test]
    fn cells_and_codes_lengthen_a_packet() {
        let atm =
            CakeSpec { overhead: Overhead::new(24), linklayer: CakeLinkLayer::Atm, ..CakeSpec::default() };
        assert_eq!(lengths(&atm, [38, 39, 1_514]), [53, 106, 32 * 53]);
        let ptm = CakeSpec { linklayer: CakeLinkLayer::Ptm, ..CakeSpec::default() };
        assert_eq!(lengths(&ptm, [64, 65, 1_514]), [65, 67, 1_538]);
    }

    #[test]
    fn buffers_are_powers_of_two() {
        assert_eq!([60, 576, 1_514].map(memory), [768, 1_280, 2_304]);
    }
}
