//! The buffer and its rule, from the backlog at lost and at accepted packets.

use serde::Serialize;

use super::sample::Sample;

/// The unit in which a full buffer is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Counts {
    /// Waiting bytes, including the arriving packet.
    Bytes,
    /// Waiting packets, including the arriving packet.
    Packets,
}

/// A buffer with tail drop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BufferEstimate {
    /// The unit: bytes or packets.
    pub counts: Counts,
    /// Maximum that may wait.
    pub limit: f64,
    /// Half the width of the interval of limits that fit equally well.
    pub uncertainty: f64,
    /// Number of losses used.
    pub lost: u64,
    /// Packets lost although there was room, or accepted although there was none.
    pub misfits: u64,
}

/// The findings about losses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LossFinding {
    /// No packet was lost: the buffer holds at least this many bytes.
    NoneLost {
        /// the maximum number of waiting bytes
        waiting_bytes: f64,
    },
    /// A full buffer explains the losses.
    TailDrop(BufferEstimate),
    /// Packets were lost, and no limit separates them from the others.
    Unexplained {
        /// number of lost packets
        lost: u64,
        /// number of packets that the best limit misclassifies
        misfits: u64,
    },
}

/// The backlog at the arrival of a packet, including it.
struct Found {
    bytes: f64,
    packets: f64,
    lost: bool,
}

/// The backlog at every arrival of the classes that `counts_in` accepts. A packet joins the queue
/// `processing` us after its arrival.
fn found(sample: &Sample, processing: f64, counts_in: impl Fn(usize) -> bool) -> Vec<Found> {
    let mut leaving = sample
        .departures()
        .filter(|(crossing, _)| counts_in(crossing.class))
        .map(|(crossing, at)| (at, crossing.length))
        .peekable();
    let (mut bytes, mut packets) = (0.0, 0.0);
    let mut all = Vec::new();
    for crossing in sample.crossings.iter().filter(|crossing| counts_in(crossing.class)) {
        let joins = crossing.arrival + processing;
        while let Some((_, length)) = leaving.next_if(|(at, _)| *at <= joins) {
            bytes -= length;
            packets -= 1.0;
        }
        let lost = crossing.departure.is_none();
        // A packet that was processed faster than usual is removed before it was added; the backlog is never
        // negative.
        all.push(Found {
            bytes: f64::max(bytes, 0.0) + crossing.length,
            packets: f64::max(packets, 0.0) + 1.0,
            lost,
        });
        if !lost {
            bytes += crossing.length;
            packets += 1.0;
        }
    }
    all
}

/// The limit with the fewest misfits, their number, and half the width of the interval of limits that are as
/// good.
fn limit(mut found: Vec<(f64, bool)>) -> (f64, usize, f64) {
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let kept = found.iter().filter(|(_, lost)| !lost).count();
    let mut misfits = kept;
    // (limit, misfits): packets at or below the limit are accepted.
    let mut best = (0.0, misfits);
    let mut steps = vec![best];
    for group in found.chunk_by(|a, b| a.0 == b.0) {
        for (_, lost) in group {
            if *lost { misfits += 1 } else { misfits -= 1 }
        }
        steps.push((group[0].0, misfits));
        if misfits < best.1 {
            best = (group[0].0, misfits);
        }
    }
    let lost = found.len() - kept;
    let as_good = best.1 + 1 + lost / 50;
    let (mut low, mut high) = (f64::INFINITY, 0.0f64);
    for (index, (limit, misfits)) in steps.iter().enumerate() {
        if *misfits <= as_good {
            low = low.min(*limit);
            high = high.max(steps.get(index + 1).map_or(*limit, |next| next.0));
        }
    }
    let middle = (low + high) / 2.0;
    (middle, best.1, (high - low) / 2.0)
}

/// The limit that explains the losses best, in bytes or in packets.
fn best(found: &[Found]) -> BufferEstimate {
    let lost = found.iter().filter(|found| found.lost).count();
    let by = |counts: Counts| {
        let of = |found: &Found| match counts {
            Counts::Bytes => (found.bytes, found.lost),
            Counts::Packets => (found.packets, found.lost),
        };
        let (limit, misfits, uncertainty) = limit(found.iter().map(of).collect());
        let (lost, misfits) = (lost as u64, misfits as u64);
        BufferEstimate { counts, limit, uncertainty, lost, misfits }
    };
    let (bytes, packets) = (by(Counts::Bytes), by(Counts::Packets));
    if packets.misfits < bytes.misfits { packets } else { bytes }
}

/// As [`best`], from `(bytes, packets, lost)` including the arriving packet.
pub(super) fn best_limit(found: impl Iterator<Item = (f64, f64, bool)>) -> BufferEstimate {
    best(&found.map(|(bytes, packets, lost)| Found { bytes, packets, lost }).collect::<Vec<_>>())
}

/// Minimum number of losses for an estimate.
const LEAST: usize = 3;

impl LossFinding {
    /// The findings for the classes that `counts_in` accepts.
    pub(super) fn of(sample: &Sample, processing: f64, counts_in: impl Fn(usize) -> bool) -> Self {
        let found = found(sample, processing, counts_in);
        let lost = found.iter().filter(|found| found.lost).count();
        if lost == 0 {
            let waiting_bytes = found.iter().map(|found| found.bytes).fold(0.0, f64::max);
            return LossFinding::NoneLost { waiting_bytes };
        }
        let better = best(&found);
        if lost < LEAST || 2 * better.misfits as usize > lost {
            return LossFinding::Unexplained { lost: lost as u64, misfits: better.misfits };
        }
        LossFinding::TailDrop(better)
    }

    /// The buffer, if there is one.
    pub fn buffer(&self) -> Option<&BufferEstimate> {
        match self {
            LossFinding::TailDrop(buffer) => Some(buffer),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_parts_the_lost_from_the_kept() {
        let found: Vec<(f64, bool)> = (1..=100).map(|n| (f64::from(n) * 100.0, n > 60)).collect();
        let (limit, misfits, uncertainty) = limit(found);
        assert_eq!(misfits, 0);
        assert!((limit - uncertainty..=limit + uncertainty).contains(&6_050.0), "{limit} {uncertainty}");
        assert!(uncertainty < 200.0);
    }
}
