//! The first transmission that is not the same on both sides.

use serde::{Deserialize, Serialize};

use super::senders::TransportAround;
use super::transmission::{ShownTransmission, Transmission};

/// So many transmissions are shown before the one that differs, and after it.
const AROUND: usize = 5;

/// How a transmission differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Another transmission comes in its place: another range, another acknowledgement, or for another time.
    Another,
    /// It is the same, and further away in time than is tolerated.
    Time,
    /// Nothing is measured in its place.
    OnlySimulated,
    /// Nothing is simulated in its place.
    OnlyMeasured,
}

/// Where a flow differs first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// When, in picoseconds since the run's start: the earlier of the two.
    pub at_ps: i64,
    /// When the simulated transmission was sent, where there is one; `at_ps` otherwise.
    pub sent_ps: i64,
    /// How.
    pub difference: Difference,
    /// Its place in order of time among the transmissions of either side.
    pub index: usize,
}

/// When each side ends: nothing is missing after it.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The last instant that is simulated.
    pub simulated_ps: i64,
    /// The last instant in the capture.
    pub measured_ps: i64,
}

/// The first transmission of a flow that is not the same on both sides, by order of time on each.
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

/// Where two sides differ first, and what is around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// When, in seconds since the run's start.
    pub at_s: f64,
    /// The flow, by its number in the run.
    pub fid: u32,
    /// The flow, as it is simulated.
    pub flow: String,
    /// How it differs.
    pub difference: Difference,
    /// What is simulated.
    pub simulated: DivergedSide,
    /// What is measured.
    pub measured: DivergedSide,
}

/// One side where it differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DivergedSide {
    /// The transmission that differs; none where nothing stands in the other's place.
    pub transmission: Option<ShownTransmission>,
    /// Transmissions of the flow around it, in order of time.
    pub around: Vec<ShownTransmission>,
    /// The sender of the data, as far as packets show its state.
    pub sender: SenderState,
    /// What a simulated sender of the data knows of itself, around the instant when the transmission was sent; where there is none, the
    /// instant of the divergence.
    pub transport: Option<TransportAround>,
}

/// What packets show of the sender of a connection's data at an instant, at all vantages together.
///
/// It is the same for both sides. What only a simulated sender knows of itself is beside this, in [`DivergedSide`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct SenderState {
    /// Behind the highest position that was sent.
    pub highest: Option<i64>,
    /// Every position before this was acknowledged.
    pub acknowledged: Option<i64>,
    /// Bytes between the two.
    pub in_flight: Option<i64>,
    /// When the last acknowledgement was seen, in seconds since the run's start.
    pub last_acknowledgement_s: Option<f64>,
}

impl DivergedSide {
    /// Of a flow's transmissions.
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
    /// At an instant, of the transmissions with its data and of those that acknowledge them, of any number of vantages.
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
