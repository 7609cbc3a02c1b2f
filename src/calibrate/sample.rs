//! The input of the estimators: arrivals and departures in microseconds.

use super::transit::{Fate, Transit};

const PS_PER_US: f64 = 1e6;

/// A packet, for the estimators.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crossing {
    /// Time of arrival, in us.
    pub arrival: f64,
    /// Time of departure, in us; `None` for a lost packet.
    pub departure: Option<f64>,
    /// Its length, in bytes.
    pub length: f64,
    /// Its flow.
    pub fid: u32,
    /// Its class.
    pub class: usize,
    /// Whether it is ECN-capable.
    pub capable: bool,
    /// Whether it was marked with a congestion mark.
    pub marked: bool,
}

impl Crossing {
    /// Time from arrival to departure, in us.
    pub fn sojourn(&self) -> Option<f64> {
        Some(self.departure? - self.arrival)
    }
}

/// A packet that found the device empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alone {
    /// Time from arrival to departure, in us.
    pub sojourn: f64,
    /// Its length, in bytes.
    pub length: f64,
    /// How long the device had been empty, in us.
    pub idle: f64,
}

/// Packets of known fate by arrival, and those that left by departure.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    pub crossings: Vec<Crossing>,
    pub order: Vec<usize>,
}

impl Sample {
    /// The packets that arrive from `from_ps` to before `to_ps`.
    pub fn new(transits: &[Transit], from_ps: i64, to_ps: i64) -> Self {
        let within = transits.iter().filter(|transit| (from_ps..to_ps).contains(&transit.arrival_ps));
        let crossings = within.filter_map(|transit| {
            let departure = match transit.fate {
                Fate::Departed(at) => Some(at as f64 / PS_PER_US),
                Fate::Lost => None,
                Fate::Unknown => return None,
            };
            Some(Crossing {
                arrival: transit.arrival_ps as f64 / PS_PER_US,
                departure,
                length: transit.packet.length.into(),
                fid: transit.fid,
                class: 0,
                capable: transit.packet.ecn != 0,
                marked: transit.marked,
            })
        });
        Sample::of(crossings.collect())
    }

    /// The sample of these crossings.
    pub fn of(crossings: Vec<Crossing>) -> Self {
        let mut order: Vec<usize> =
            (0..crossings.len()).filter(|&i| crossings[i].departure.is_some()).collect();
        order.sort_by(|&a, &b| {
            crossings[a].departure.partial_cmp(&crossings[b].departure).unwrap_or(std::cmp::Ordering::Equal)
        });
        Sample { crossings, order }
    }

    /// The packets that left, by departure, each with its departure.
    pub fn departures(&self) -> impl ExactSizeIterator<Item = (&Crossing, f64)> + Clone {
        self.order.iter().map(|&index| {
            let crossing = &self.crossings[index];
            (crossing, crossing.departure.unwrap_or(f64::NAN))
        })
    }

    /// The packets that left, with all later departures moved earlier by `shift`.
    pub fn shifted(&self, shift: impl Fn(&Crossing) -> f64) -> Self {
        let shifted = self.crossings.iter().map(|crossing| Crossing {
            departure: crossing.departure.map(|at| at - shift(crossing)),
            ..*crossing
        });
        Sample::of(shifted.collect())
    }

    /// The sample with other lengths.
    pub fn with_lengths(&self, length: impl Fn(f64) -> f64) -> Self {
        let crossings =
            self.crossings.iter().map(|crossing| Crossing { length: length(crossing.length), ..*crossing });
        Sample { crossings: crossings.collect(), order: self.order.clone() }
    }

    /// The packets that found the device empty.
    pub fn alone(&self) -> Vec<Alone> {
        let mut latest = f64::NEG_INFINITY;
        let mut alone = Vec::new();
        for crossing in &self.crossings {
            if let Some(departure) = crossing.departure {
                if crossing.arrival > latest {
                    alone.push(Alone {
                        sojourn: departure - crossing.arrival,
                        length: crossing.length,
                        idle: crossing.arrival - latest,
                    });
                }
                latest = latest.max(departure);
            }
        }
        alone
    }
}

/// The quantile `q` of values in any order; `None` without values.
pub(super) fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let place = (q * last as f64).round() as usize;
    let (_, value, _) = values.select_nth_unstable_by(place.min(last), f64::total_cmp);
    Some(*value)
}

/// The median absolute deviation from `middle`.
pub(super) fn deviation(values: &[f64], middle: f64) -> f64 {
    let mut deviations: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    quantile(&mut deviations, 0.5).unwrap_or(0.0)
}

/// The value with the fewest significant digits within `uncertainty` of `value`; the nearest if there are
/// several.
pub(super) fn roundest(value: f64, uncertainty: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return value;
    }
    let magnitude = libm::log10(value).floor() as i32;
    for digits in 0..15 {
        let exponent = magnitude - digits;
        // Negative powers of ten are not exact as doubles: divide by the inverse.
        let rounded = if exponent >= 0 {
            let step = libm::pow(10.0, f64::from(exponent));
            (value / step).round() * step
        } else {
            let parts = libm::pow(10.0, f64::from(-exponent));
            (value * parts).round() / parts
        };
        if (rounded - value).abs() <= uncertainty {
            return rounded;
        }
    }
    value
}

/// How much the sojourn through the idle device grows with the length of a packet, in us per byte, if
/// significant. The egress capture was then taken behind a link.
pub(super) fn transmission(alone: &[Alone]) -> Option<f64> {
    let mut by_length = alone.to_vec();
    by_length.sort_by(|a, b| a.length.total_cmp(&b.length));
    let groups: Vec<(f64, f64, f64)> = by_length
        .chunk_by(|a, b| (a.length / 16.0).floor() == (b.length / 16.0).floor())
        .filter(|group| group.len() >= 10)
        .filter_map(|group| {
            let mut sojourns: Vec<f64> = group.iter().map(|alone| alone.sojourn).collect();
            let lengths = group.iter().map(|alone| alone.length).sum::<f64>() / group.len() as f64;
            let low = quantile(&mut sojourns, 0.05)?;
            Some((lengths, low, quantile(&mut sojourns, 0.25)? - low))
        })
        .collect();
    let (first, last) = (groups.first()?, groups.last()?);
    let (bytes, us) = (last.0 - first.0, last.1 - first.1);
    let noise = groups.iter().map(|group| group.2).fold(0.0, f64::max);
    if bytes < 100.0 || us <= 0.0 {
        return None;
    }
    let slope = us / bytes;
    // All lengths lie on one line.
    let off = groups
        .iter()
        .map(|group| (group.1 - first.1 - slope * (group.0 - first.0)).abs())
        .fold(0.0, f64::max);
    (us > 5.0 * noise.max(0.1) && off < 0.2 * us).then_some(slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roundest_value_has_the_fewest_digits() {
        assert_eq!(roundest(9.9983, 0.003), 10.0);
        assert_eq!(roundest(1538.8, 12.5), 1540.0);
        assert_eq!(roundest(2005.0, 1.0), 2005.0);
        assert_eq!(roundest(0.0123, 0.0001), 0.0123);
        assert_eq!(roundest(0.0, 1.0), 0.0);
    }

    #[test]
    fn quantiles_are_of_values_in_any_order() {
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(quantile(&mut [], 0.5), None);
        assert_eq!(deviation(&[1.0, 2.0, 4.0], 2.0), 1.0);
    }
}
