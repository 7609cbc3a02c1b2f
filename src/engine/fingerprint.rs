//! A 128-bit fingerprint of a run.

use std::fmt;

use crate::topology::DeviceId;
use crate::units::{Span, Time};

/// A 128-bit hash over all `(pid, device, ingress, egress)`: the sum of the hashes of all hops, which does
/// not depend on their order. A delivered packet counts with its host and `egress = ingress`, a dropped
/// packet with `egress =` [`Time::NEVER`].
///
/// Each hop is hashed by two 64-by-64-bit multiplications whose halves are folded together, as in wyhash. A
/// 128-bit hash from a library takes as long as the simulation of the hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprint(u128);

/// Odd constants without structure: the digits of pi after the first.
const PI: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

impl Fingerprint {
    /// Adds a hop.
    #[inline]
    pub fn add(&mut self, pid: u64, device: DeviceId, ingress: Time, egress: Time) {
        self.add_at(&Keys::of(device), pid, ingress, egress);
    }

    /// Adds a hop at the device of these keys.
    #[inline(always)]
    pub(super) fn add_at(&mut self, keys: &Keys, pid: u64, ingress: Time, egress: Time) {
        let first = multiply(pid.wrapping_add(keys.pid), ingress.as_ps().wrapping_add(keys.ingress));
        let folded = (first as u64) ^ (first >> 64) as u64;
        let second = multiply(folded, egress.as_ps().wrapping_add(keys.egress));
        let (low, high) = (second as u64, (second >> 64) as u64);
        self.0 = self.0.wrapping_add(
            u128::from(low ^ high) << 64 | u128::from(folded.wrapping_add(low.rotate_left(32))),
        );
    }

    /// Adds another fingerprint.
    pub fn merge(&mut self, other: Fingerprint) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

/// The contribution of a device to the hash of its hops.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pid: u64,
    ingress: u64,
    egress: u64,
}

impl Keys {
    /// The keys of a device.
    #[inline]
    pub fn of(device: DeviceId) -> Self {
        let place = (device.index() as u64 + 1).wrapping_mul(PI[3]);
        let key = |of: u64| of.wrapping_add(place);
        Keys { pid: key(PI[0]), ingress: key(PI[1]), egress: key(PI[2]) }
    }

    /// The keys for packets given by the time at which they join a PTM, `processing` after their ingress.
    pub fn by_joining(self, processing: Span) -> Self {
        Keys { ingress: self.ingress.wrapping_sub(processing.as_ps()), ..self }
    }
}

#[inline]
fn multiply(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// A hash sum over a set of packets, to check that each packet leaves as it entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PacketSum(u64);

impl PacketSum {
    /// Adds a packet.
    #[inline]
    pub fn add(&mut self, pid: u64) {
        let product = multiply(pid ^ PI[0], PI[1]);
        self.0 = self.0.wrapping_add(product as u64 ^ (product >> 64) as u64);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: PacketSum) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_does_not_count_and_everything_else_does() {
        let passages = [(1, 0, 5, 7), (2, 0, 5, 7), (1, 1, 7, 9)];
        let of = |order: &[usize]| {
            let mut fingerprint = Fingerprint::default();
            for &index in order {
                let (pid, device, ingress, egress) = passages[index];
                fingerprint.add(pid, DeviceId::new(device), Time::from_ps(ingress), Time::from_ps(egress));
            }
            fingerprint.to_string()
        };
        assert_eq!(of(&[0, 1, 2]), of(&[2, 0, 1]));
        assert_ne!(of(&[0, 1, 2]), of(&[0, 1]));
        assert_ne!(of(&[0, 0]), of(&[1, 1]));
        assert_eq!(of(&[0]).len(), 32);
    }

    #[test]
    fn close_passages_do_not_collide() {
        let mut seen = std::collections::HashSet::new();
        let mut count = 0;
        for pid in 0..12 {
            for device in 0..6 {
                for ingress in 0..20 {
                    for egress in ingress..ingress + 20 {
                        let mut fingerprint = Fingerprint::default();
                        let times = [Time::from_ps(ingress * 1_000), Time::from_ps(egress * 1_000)];
                        fingerprint.add(pid, DeviceId::new(device), times[0], times[1]);
                        seen.insert(fingerprint.0 as u64);
                        seen.insert(!((fingerprint.0 >> 64) as u64));
                        count += 2;
                    }
                }
            }
        }
        assert_eq!(seen.len(), count, "both halves tell them apart");
    }

    #[test]
    fn a_packet_may_be_given_by_the_instant_at_which_it_joins() {
        let device = DeviceId::new(3);
        let [ingress, joined, egress] = [10, 17, 20].map(Time::from_ps);
        let (mut one, mut other) = (Fingerprint::default(), Fingerprint::default());
        one.add(5, device, ingress, egress);
        other.add_at(&Keys::of(device).by_joining(Span::from_ps(7)), 5, joined, egress);
        assert_eq!(one, other);
    }

    #[test]
    fn a_lost_packet_and_a_doubled_one_do_not_cancel() {
        let sum = |pids: &[u64]| {
            let mut sum = PacketSum::default();
            pids.iter().for_each(|pid| sum.add(*pid));
            sum
        };
        assert_eq!(sum(&[1, 2, 3]), sum(&[3, 1, 2]));
        assert_ne!(sum(&[1, 2, 3]), sum(&[1, 1, 3]));
    }
}
