//! What a run did, in 128 bits.

use std::fmt;

use twox_hash::XxHash3_128;

use crate::topology::DeviceId;
use crate::units::Time;

/// An order-independent 128-bit hash over all `(pid, device, ingress, egress)`: the sum of each
/// one's XXH3-128. A delivered packet counts with its host and `egress = ingress`, a dropped one with
/// `egress =` [`Time::NEVER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// Takes in one passage.
    #[inline]
    pub fn add(&mut self, pid: u64, device: DeviceId, ingress: Time, egress: Time) {
        let mut bytes = [0u8; 32];
        bytes[..8].copy_from_slice(&pid.to_le_bytes());
        bytes[8..16].copy_from_slice(&(device.index() as u64).to_le_bytes());
        bytes[16..24].copy_from_slice(&ingress.as_ps().to_le_bytes());
        bytes[24..].copy_from_slice(&egress.as_ps().to_le_bytes());
        self.0 = self.0.wrapping_add(XxHash3_128::oneshot(&bytes));
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
}
