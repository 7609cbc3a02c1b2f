//! The code points of each tin, and its fraction of the rate.

use super::Diffserv;

/// Code points by name.
mod dscp {
    /// Lower effort (RFC 8622).
    pub const LE: u8 = 1;
    /// The type of service "maximize throughput" (RFC 1349).
    pub const THROUGHPUT: u8 = 2;
    /// The type of service "minimize delay" (RFC 1349).
    pub const DELAY: u8 = 4;
    /// Voice admit (RFC 5865).
    pub const VA: u8 = 44;
    /// Expedited forwarding (RFC 3246).
    pub const EF: u8 = 46;

    /// A class selector (RFC 2474).
    pub const fn cs(class: u8) -> u8 {
        class << 3
    }

    /// Whether the code point belongs to assured forwarding class `class` (RFC 2597), or is the class
    /// selector itself.
    pub fn is_af(dscp: u8, class: u8) -> bool {
        dscp >> 3 == class && dscp.is_multiple_of(2)
    }
}

/// The share of a tin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// The rate up to which the tin goes before others [B/s]; 0 without a bound.
    pub threshold: u64,
    /// The bytes that it sends in a round, without a rate [B].
    pub quantum: u32,
}

impl Diffserv {
    /// The tin of a code point.
    ///
    /// # Source
    /// Linux 6.1 `net/sched/sch_cake.c` (`precedence`, `diffserv3`, `diffserv4`, `diffserv8`): RFC 4594's
    /// classes.
    pub(super) fn tin(self, dscp: u8) -> usize {
        use dscp::{DELAY, EF, LE, THROUGHPUT, VA, cs, is_af};
        let is_bulk = dscp == LE || dscp == cs(1);
        let is_voice = [VA, EF, cs(6), cs(7)].contains(&dscp);
        match self {
            Diffserv::Besteffort => 0,
            Diffserv::Precedence => usize::from(dscp >> 3),
            Diffserv::Diffserv3 => match dscp {
                _ if is_bulk => 1,
                _ if is_voice || dscp == DELAY => 2,
                _ => 0,
            },
            Diffserv::Diffserv4 => match dscp {
                _ if is_bulk => 1,
                _ if is_voice || dscp == cs(4) || dscp == cs(5) => 3,
                _ if dscp == DELAY || (2..=4).any(|class| is_af(dscp, class)) => 2,
                _ => 0,
            },
            Diffserv::Diffserv8 => match dscp {
                LE => 0,
                THROUGHPUT => 1,
                DELAY => 4,
                _ if dscp == cs(2) => 5,
                _ if dscp == cs(4) || dscp == cs(5) || dscp == EF || dscp == VA => 6,
                _ if dscp == cs(6) || dscp == cs(7) => 7,
                _ if is_af(dscp, 1) => 1,
                _ if is_af(dscp, 2) => 4,
                _ if is_af(dscp, 3) || is_af(dscp, 4) => 3,
                _ => 2,
            },
        }
    }

    /// The tins: of eight, the least urgent first; of three or four, best effort and then bulk.
    ///
    /// # Source
    /// Linux 6.1 `net/sched/sch_cake.c` (`cake_config_besteffort`, `cake_config_precedence`,
    /// `cake_config_diffserv3`, `cake_config_diffserv4`, `cake_config_diffserv8`).
    pub(super) fn shares(self, rate: u64) -> Vec<Share> {
        let parts = |shifts: &[u32]| {
            let share = |shift: &u32| Share { threshold: rate >> shift, quantum: 1_024 >> shift };
            shifts.iter().map(share).collect()
        };
        match self {
            Diffserv::Besteffort => vec![Share { threshold: rate, quantum: 65_535 }],
            Diffserv::Diffserv3 => parts(&[0, 4, 2]),
            Diffserv::Diffserv4 => parts(&[0, 4, 1, 2]),
            Diffserv::Precedence | Diffserv::Diffserv8 => {
                let less = |share: &Share| {
                    Some(Share {
                        threshold: (share.threshold * 7) >> 3,
                        quantum: ((share.quantum * 7) >> 3).max(1),
                    })
                };
                let most = Share { threshold: rate, quantum: 256 };
                std::iter::successors(Some(most), less).take(8).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code points of each tin except `others`.
    fn tins(diffserv: Diffserv, others: usize) -> String {
        let tins = (0..8).filter(|tin| *tin != others).map(|tin| {
            let points = (0..64).filter(|dscp| diffserv.tin(*dscp) == tin);
            points.map(|dscp| dscp.to_string()).collect::<Vec<_>>().join(" ")
        });
        tins.filter(|points| !points.is_empty()).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn code_points_have_their_tins() {
        assert_eq!(tins(Diffserv::Besteffort, 0), "");
        assert_eq!(tins(Diffserv::Diffserv3, 0), "1 8 | 4 44 46 48 56");
        assert_eq!(
            tins(Diffserv::Diffserv4, 0),
            "1 8 | 4 16 18 20 22 24 26 28 30 34 36 38 | 32 40 44 46 48 56"
        );
        assert_eq!(
            tins(Diffserv::Diffserv8, 2),
            "1 | 2 8 10 12 14 | 24 26 28 30 34 36 38 | 4 18 20 22 | 16 | 32 40 44 46 | 48 56"
        );
        assert!((0..64).all(|dscp| Diffserv::Precedence.tin(dscp) == usize::from(dscp) / 8));
    }

    #[test]
    fn tins_have_parts_of_the_rate() {
        let shares = |diffserv: Diffserv| {
            let shares = diffserv.shares(1_250_000).into_iter();
            shares.map(|share| (share.threshold, share.quantum)).collect::<Vec<_>>()
        };
        assert_eq!(shares(Diffserv::Besteffort), [(1_250_000, 65_535)]);
        assert_eq!(
            shares(Diffserv::Diffserv4),
            [(1_250_000, 1_024), (78_125, 64), (625_000, 512), (312_500, 256)]
        );
        assert_eq!(shares(Diffserv::Diffserv3)[2], (312_500, 256));
        assert_eq!(shares(Diffserv::Diffserv8)[1..3], [(1_093_750, 224), (957_031, 196)]);
    }
}
