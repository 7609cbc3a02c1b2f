//! Bytes over time, simulated and measured.

use std::collections::BTreeMap;

use super::transmission::Transmission;
use crate::compare::over_time::nice_length;

/// Approximate number of windows.
const WINDOWS: i64 = 100;

/// New bytes of the flows at a vantage per window of time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Goodput {
    /// Start of the first window, in picoseconds since the start of the run.
    pub start_ps: i64,
    /// Length of a window.
    pub length_ps: i64,
    /// By flow and window; windows without bytes are left out.
    pub rows: Vec<GoodputRow>,
}

/// New bytes of a flow in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoodputRow {
    /// The flow, by its number in the run.
    pub fid: u32,
    /// The window, from 0.
    pub window: i64,
    /// Simulated and measured bytes.
    pub bytes: [u64; 2],
}

impl Goodput {
    /// The goodput of flows, by number, from simulated and measured transmissions in time order.
    pub fn new<'a>(flows: impl Iterator<Item = (u32, [&'a [Transmission]; 2])> + Clone) -> Self {
        let ends = flows.clone().flat_map(|(_, sides)| sides);
        let ends = ends.filter_map(|side| Some((side.first()?.at_ps, side.last()?.at_ps)));
        let Some((first, last)) = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else {
            return Goodput::default();
        };
        let length_ps = nice_length((last - first) / WINDOWS);
        let start_ps = first.div_euclid(length_ps) * length_ps;
        let mut rows = Vec::new();
        for (fid, sides) in flows {
            let mut windows: BTreeMap<i64, [u64; 2]> = BTreeMap::new();
            for (side, transmissions) in sides.into_iter().enumerate() {
                for transmission in transmissions.iter().filter(|transmission| transmission.new_bytes > 0) {
                    let window = (transmission.at_ps - start_ps) / length_ps;
                    windows.entry(window).or_default()[side] += transmission.new_bytes;
                }
            }
            rows.extend(windows.into_iter().map(|(window, bytes)| GoodputRow { fid, window, bytes }));
        }
        Goodput { start_ps, length_ps, rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_fall_into_their_windows() {
        const S: i64 = 1_000_000_000_000;
        let sent = |at_ps: i64, new_bytes: u64| Transmission { at_ps, new_bytes, ..Transmission::default() };
        let simulated = [sent(0, 5), sent(S / 2, 7), sent(50 * S, 1)];
        let measured = [sent(-S / 2, 3), sent(2 * S, 4)];
        let goodput = Goodput::new([(7, [&simulated[..], &measured[..]])].into_iter());
        assert_eq!((goodput.start_ps, goodput.length_ps), (-S, S));
        let rows: Vec<_> = goodput.rows.iter().map(|row| (row.fid, row.window, row.bytes)).collect();
        assert_eq!(rows, [(7, 0, [0, 3]), (7, 1, [12, 0]), (7, 3, [0, 4]), (7, 51, [1, 0])]);
    }
}
