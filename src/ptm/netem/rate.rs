//! The rate of netem: the transmission time of a packet, with the overheads of lower layers.

use super::spec::{NetemSpec, bytes_per_second};
use crate::ptm::psched::LATEST;
use crate::units::Rate;

/// A running rate.
///
/// # Source
/// Linux 6.1 `net/sched/sch_netem.c` (`packet_time_ns`). If negative overheads exceed the length, a packet
/// takes no time; the kernel's number wraps around.
pub(super) struct Pace {
    bytes_per_second: u64,
    packet_overhead: i64,
    /// 0 without cells.
    cell_size: u64,
    cell_overhead: i64,
}

impl Pace {
    /// The `rate` of `spec`, 1 B/s or more.
    pub fn new(spec: &NetemSpec, rate: Rate) -> Self {
        Pace {
            bytes_per_second: bytes_per_second(rate).max(1),
            packet_overhead: spec.packet_overhead.bytes().into(),
            cell_size: spec.cell_size.get(),
            cell_overhead: spec.cell_overhead.bytes().into(),
        }
    }

    /// The transmission time of a packet of `length` bytes [ns], rounded down.
    pub fn transmission_time(&self, length: u32) -> i64 {
        let mut bytes = i128::from(length) + i128::from(self.packet_overhead);
        let size = i128::from(self.cell_size);
        if size > 0 {
            let cells = (bytes.max(0) + size - 1) / size;
            bytes = cells * (size + i128::from(self.cell_overhead));
        }
        let time = bytes.max(0) * 1_000_000_000 / i128::from(self.bytes_per_second);
        i64::try_from(time).unwrap_or(LATEST).min(LATEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptm::Overhead;
    use crate::units::ByteCount;

    fn time(rate: &str, overhead: i32, cell: (u64, i32), length: u32) -> i64 {
        let spec = NetemSpec {
            packet_overhead: Overhead::new(overhead).unwrap(),
            cell_size: ByteCount::new(cell.0),
            cell_overhead: Overhead::new(cell.1).unwrap(),
            ..NetemSpec::default()
        };
        Pace::new(&spec, rate.parse().unwrap()).transmission_time(length)
    }

    #[test]
    fn a_packet_takes_its_bytes_over_the_rate_rounded_down() {
        assert_eq!(time("10 Mbps", 0, (0, 0), 1_000), 800_000);
        assert_eq!(time("3 Mbps", 0, (0, 0), 1), 2_666);
        assert_eq!(time("15 bps", 0, (0, 0), 1), 1_000_000_000, "15 bps are 1 B/s");
    }

    #[test]
    fn overheads_are_added_or_taken_away() {
        assert_eq!(time("8 Mbps", 20, (0, 0), 100), 120_000);
        assert_eq!(time("8 Mbps", -14, (0, 0), 100), 86_000);
        assert_eq!(time("8 Mbps", -14, (0, 0), 13), 0, "no less than no time");
    }

    #[test]
    fn the_last_cell_is_filled_up() {
        // tc-netem(8): 50 bytes in cells of 48 bytes with 5 more bytes take 106.
        assert_eq!(time("8 Mbps", 0, (48, 5), 50), 106_000);
        assert_eq!(time("8 Mbps", 0, (48, 5), 48), 53_000);
        assert_eq!(time("8 Mbps", 8, (48, 5), 48), 106_000);
        assert_eq!(time("8 Mbps", -14, (48, -8), 100), 80_000);
    }

    #[test]
    fn no_length_overflows() {
        assert_eq!(time("8 bps", 0, (1, 2_048), u32::MAX), LATEST);
        assert_eq!(time("8 bps", 0, (u64::MAX, 0), 1), LATEST);
        assert_eq!(time("18446744073709551614 bps", -2_048, (1, -2_048), u32::MAX), 0);
    }
}
