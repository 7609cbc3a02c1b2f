//! Links: transmission plus propagation (DeepQueueNet Eq. 5).

use crate::packet::Tau;
use crate::units::{Bandwidth, ByteCount, Distance, PS_PER_S, Span, Speed};

/// One direction of a cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The rate at which bits are put onto the link.
    pub bandwidth: Bandwidth,
    /// The length of the cable.
    pub length: Distance,
    /// The speed of a bit in the cable.
    pub propagation_speed: Speed,
    /// The propagation delay, if it is known directly; it replaces `length / propagation_speed`.
    pub delay: Option<Span>,
    /// Bytes on the wire per packet beyond its recorded length: 24 B of preamble, FCS and gap on real
    /// Ethernet.
    pub overhead: ByteCount,
    /// The longest frame that the link carries, with the Ethernet header and without the FCS; `None` for that
    /// of Ethernet. Longer packets are carried too, with a warning.
    pub mtu: Option<ByteCount>,
}

/// The longest Ethernet frame without VLAN tag and FCS (IEEE 802.3): 1500 B after a header of 14 B.
pub const ETHERNET_MTU: ByteCount = ByteCount::new(1514);

impl Link {
    /// A link of the given length, without overhead.
    pub fn new(bandwidth: Bandwidth, length: Distance, propagation_speed: Speed) -> Self {
        Link { bandwidth, length, propagation_speed, delay: None, overhead: ByteCount::ZERO, mtu: None }
    }

    /// A link with a known propagation delay, without overhead.
    pub fn with_delay(bandwidth: Bandwidth, delay: Span) -> Self {
        Link { delay: Some(delay), ..Link::new(bandwidth, Distance::default(), Speed::IN_CABLE) }
    }

    /// The longest frame that the link carries.
    pub fn mtu(&self) -> ByteCount {
        self.mtu.unwrap_or(ETHERNET_MTU)
    }

    /// How long a packet of `length` bytes occupies the transmitter.
    #[inline]
    pub fn transmission_time(&self, length: ByteCount) -> Span {
        self.bandwidth.transmission_time(ByteCount::new(length.get().saturating_add(self.overhead.get())))
    }

    /// The propagation delay of a bit.
    pub fn propagation_delay(&self) -> Span {
        self.delay.unwrap_or_else(|| self.propagation_speed.travel_time(self.length))
    }
}

/// The transmission times of a link, without a division if a byte takes a whole number of picoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Transmission {
    /// Picoseconds per byte, if they are whole and no product overflows.
    ps_per_byte: Option<u64>,
    bandwidth: Bandwidth,
    overhead: u64,
}

impl Transmission {
    /// The transmission times of `link`.
    pub fn new(link: &Link) -> Self {
        // 2^32 bytes of packet and 2^32 of overhead, at up to 2^30 ps each, take less than 2^64 ps.
        const MOST: u64 = 1 << 30;
        const PS_PER_BYTE_AT_1_BPS: u64 = 8 * PS_PER_S;
        let ps_per_byte = match link.bandwidth {
            Bandwidth::Unlimited => Some(0),
            Bandwidth::Limited(rate) => {
                let whole = PS_PER_BYTE_AT_1_BPS.is_multiple_of(rate.as_bps());
                whole.then_some(PS_PER_BYTE_AT_1_BPS / rate.as_bps())
            }
        };
        let overhead = link.overhead.get();
        let fits = |ps: &u64| *ps <= MOST && overhead <= u64::from(u32::MAX);
        Transmission { ps_per_byte: ps_per_byte.filter(fits), bandwidth: link.bandwidth, overhead }
    }

    /// [`Link::transmission_time`].
    #[inline(always)]
    pub fn time(&self, length: u32) -> Span {
        match self.ps_per_byte {
            Some(ps) => Span::from_ps((u64::from(length) + self.overhead) * ps),
            None => {
                let bytes = self.overhead.saturating_add(length.into());
                self.bandwidth.transmission_time(ByteCount::new(bytes))
            }
        }
    }
}

/// The egress Tau of one device becomes the ingress Tau of the next:
/// `t + L / bandwidth + length / propagation_speed`.
///
/// # Examples
/// 50 bytes at 100 B/s over 1 m at 2 m/s take one second:
/// ```
/// use taunet::link::{Link, link_forward};
/// use taunet::packet::{Packet, Tau};
/// use taunet::units::Time;
///
/// let link = Link::new("100 B/s".parse()?, "1 m".parse()?, "2 m/s".parse()?);
/// let tau = Tau { timestamp: Time::ZERO, packet: Packet { length: 50, ..Packet::default() } };
/// assert_eq!(link_forward(tau, &link).timestamp.as_seconds_f64(), 1.0);
/// # Ok::<(), taunet::units::UnitError>(())
/// ```
///
/// # Source
/// DeepQueueNet (SIGCOMM 2022), Eq. 5.
#[inline]
pub fn link_forward(tau: Tau, link: &Link) -> Tau {
    let timestamp =
        tau.timestamp + link.transmission_time(tau.packet.byte_count()) + link.propagation_delay();
    Tau { timestamp, ..tau }
}

/// [`link_forward`] over a batch of Tau `[packets]`, in place.
///
/// # Examples
/// A batch of 256 of the packets that left the link above at 1.0 s leaves a second one at 2.0 s:
/// ```
/// use taunet::link::{Link, link_forward, link_forward_batch};
/// use taunet::packet::{Packet, Tau};
/// use taunet::units::Time;
///
/// let link = Link::new("100 B/s".parse()?, "1 m".parse()?, "2 m/s".parse()?);
/// let tau = Tau { timestamp: Time::ZERO, packet: Packet { length: 50, ..Packet::default() } };
/// let mut batch = vec![link_forward(tau, &link); 256];
/// link_forward_batch(&mut batch, &link);
/// assert!(batch.iter().all(|tau| tau.timestamp.as_seconds_f64() == 2.0));
/// # Ok::<(), taunet::units::UnitError>(())
/// ```
pub fn link_forward_batch(batch: &mut [Tau], link: &Link) {
    let propagation = link.propagation_delay();
    for tau in batch {
        tau.timestamp = tau.timestamp + link.transmission_time(tau.packet.byte_count()) + propagation;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::units::{Rate, Time};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_fast_transmission_time_is_the_exact_one(
            bps in prop_oneof![1..=u64::MAX, (0..13u32).prop_map(|zeros| 10u64.pow(zeros)), Just(3), Just(1 << 40)],
            overhead in prop_oneof![Just(0), Just(24), any::<u64>()],
            length in prop_oneof![0..2000u32, any::<u32>()],
        ) {
            let rate = Rate::from_bps(bps).map_or(Bandwidth::Unlimited, Bandwidth::Limited);
            let link = Link { overhead: ByteCount::new(overhead), ..Link::with_delay(rate, Span::ZERO) };
            let exact = link.transmission_time(ByteCount::new(length.into()));
            prop_assert_eq!(Transmission::new(&link).time(length), exact);
        }
    }

    #[test]
    fn overhead_and_delay_count() {
        let mut link = Link::with_delay("8 bps".parse().unwrap(), Span::from_ps(7));
        link.overhead = ByteCount::new(24);
        let tau = Tau { timestamp: Time::ZERO, packet: Packet { length: 1, ..Packet::default() } };
        assert_eq!(link_forward(tau, &link).timestamp, Time::from_ps(25_000_000_000_007));
    }
}
