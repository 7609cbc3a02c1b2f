//! The first transmission that differs between the two sides.

use serde::{Deserialize, Serialize};

use super::senders::TransportAround;
use super::transmission::{ShownTransmission, Transmission};

/// Number of transmissions shown before and after the one that differs.
const AROUND: usize = 5;

/// The kind of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Another transmission in its place: another range, another acknowledgement, or another number of
    /// repetitions.
    Another,
    /// The same transmission, but outside the time tolerance.
    Time,
    /// No measured transmission in its place.
    OnlySimulated,
    /// No simulated transmission in its place.
    OnlyMeasured,
}

/// The place where a flow first differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Time in picoseconds since the start of the run; the earlier of the two.
    pub at_ps: i64,
    /// Time when the simulated transmission was sent, if there is one; otherwise `at_ps`.
    pub sent_ps: i64,
    /// The kind of difference.
    pub difference: Difference,
    /// Index in time order among the transmissions of either side.
    pub index: usize,
}

/// The end of each side. Nothing counts as missing after it.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The last simulated time.
    pub simulated_ps: i64,
    /// The last time in the capture.
    pub measured_ps: i64,
}

/// The first transmission of a flow that differs between the two sides, in time order on each.
pub fn first_difference(
    simulated: &[Transmission],
    measured: &[Transmission],
    with_sack: bool,
    tolerance_ps: i64,
    ends: Ends,
) -> Option<Place> {
    let places = 0..simulated.len().max(measured.len());
    for index in places {
        let (at_ps, difference) = match (simulated.get(index), measured.get(index)) {
            (Some(ours), Some(theirs)) if ours.identity(with_sack) != theirs.identity(with_sack) => {
                (ours.at_ps.min(theirs.at_ps), Difference::Another)
            }
            (Some(ours), Some(theirs)) if (ours.at_ps - theirs.at_ps).abs() > tolerance_ps => {
                (ours.at_ps.min(theirs.at_ps), Difference::Time)
            }
            (Some(ours), None) if ours.at_ps <= ends.measured_ps => (ours.at_ps, Difference::OnlySimulated),
            (None, Some(theirs)) if theirs.at_ps <= ends.simulated_ps => {
                (theirs.at_ps, Difference::OnlyMeasured)
            }
            (Some(_), Some(_)) => continue,
            _ => return None,
        };
        return Some(Place { at_ps, sent_ps: at_ps, difference, index });
    }
    None
}

/// The first difference of two sides, with its context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// Time in seconds since the start of the run.
    pub at_s: f64,
    /// The flow, by its number in the run.
    pub fid: u32,
    /// The flow as simulated.
    pub flow: String,
    /// The kind of difference.
    pub difference: Difference,
    /// The simulated side.
    pub simulated: DivergedSide,
    /// The measured side.
    pub measured: DivergedSide,
}

/// One side at the difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DivergedSide {
    /// The transmission that differs; `None` if this side has none in its place.
    pub transmission: Option<ShownTransmission>,
    /// Transmissions of the flow around it, in time order.
    pub around: Vec<ShownTransmission>,
    /// The state of the data sender, as far as packets show it.
    pub sender: SenderState,
    /// The internal state of a simulated data sender, around the time when the transmission was sent, or else
    /// around the time of the divergence.
    pub transport: Option<TransportAround>,
}

/// The state of the sender of a connection's data at an instant, as shown by packets at all vantages.
///
/// It is defined for both sides. The internal state of a simulated sender is in [`DivergedSide`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct SenderState {
    /// One past the highest position sent.
    pub highest: Option<i64>,
    /// Every position before this was acknowledged.
    pub acknowledged: Option<i64>,
    /// Bytes between the two.
    pub in_flight: Option<i64>,
    /// Time of the last acknowledgement, in seconds since the start of the run.
    pub last_acknowledgement_s: Option<f64>,
}

impl DivergedSide {
    /// The context in the transmissions of a flow.
    pub fn new(
        transmissions: &[Transmission],
        index: usize,
        sender: SenderState,
        transport: Option<TransportAround>,
    ) -> Self {
        let from = index.saturating_sub(AROUND).min(transmissions.len());
        let to = (index + AROUND + 1).min(transmissions.len());
        DivergedSide {
            transmission: transmissions.get(index).map(Transmission::shown),
            around: transmissions[from..to].iter().map(Transmission::shown).collect(),
            sender,
            transport,
        }
    }
}

impl SenderState {
    /// The state at an instant, from the transmissions with its data and from their acknowledgements, at any
    /// number of vantages.
    pub fn at<'a>(
        at_ps: i64,
        data: impl Iterator<Item = &'a Transmission>,
        answers: impl Iterator<Item = &'a Transmission>,
    ) -> Self {
        let highest = data.filter(|sent| sent.at_ps <= at_ps).map(|sent| sent.end).max();
        let (mut acknowledged, mut last) = (None, None);
        for answer in answers.filter(|answer| answer.at_ps <= at_ps) {
            acknowledged = acknowledged.max(answer.acknowledgement);
            last = last.max(Some(answer.at_ps));
        }
        SenderState {
            highest,
            acknowledged,
            in_flight: highest.zip(acknowledged).map(|(highest, acknowledged)| highest - acknowledged),
            last_acknowledgement_s: last.map(|at: i64| at as f64 / 1e12),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(places: &[(i64, i64)]) -> Vec<Transmission> {
        let of = |(at_ps, start): &(i64, i64)| Transmission {
            at_ps: *at_ps,
            start: *start,
            end: start + 10,
            nth: 1,
            ..Transmission::default()
        };
        places.iter().map(of).collect()
    }

    fn first(simulated: &[(i64, i64)], measured: &[(i64, i64)], ends: i64) -> Option<(i64, Difference)> {
        let ends = Ends { simulated_ps: ends, measured_ps: ends };
        let found = first_difference(&sent(simulated), &sent(measured), true, 5, ends)?;
        Some((found.at_ps, found.difference))
    }

    #[test]
    fn the_first_that_is_not_the_same_is_found() {
        let both = [(0, 0), (10, 10), (20, 20)];
        assert_eq!(first(&both, &both, 100), None);
        assert_eq!(first(&both, &[(0, 0), (12, 20), (20, 30)], 100), Some((10, Difference::Another)));
        assert_eq!(first(&both, &[(0, 0), (15, 10), (26, 20)], 100), Some((20, Difference::Time)));
        assert_eq!(first(&both, &both[..2], 100), Some((20, Difference::OnlySimulated)));
        assert_eq!(first(&both[..1], &both, 100), Some((10, Difference::OnlyMeasured)));
    }

    #[test]
    fn nothing_is_missing_after_the_end() {
        let both = [(0, 0), (10, 10), (20, 20)];
        assert_eq!(first(&both, &both[..2], 15), None);
        assert_eq!(first(&both[..2], &both, 15), None);
    }
}
