//! Predictions of delays without a simulator.

use std::ops::Range;

use super::simulate::Score;
use super::transit::{Fate, Joined, Transit};
use crate::compare::{Confusion, Delays};

const PS_PER_US: f64 = 1e6;

fn departed(joined: &Joined, window: Range<i64>) -> impl Iterator<Item = (&Transit, i64)> {
    joined.transits.iter().filter(move |transit| window.contains(&transit.arrival_ps)).filter_map(|transit| {
        match transit.fate {
            Fate::Departed(at) => Some((transit, at - transit.arrival_ps)),
            _ => None,
        }
    })
}

/// Every packet is predicted to arrive; losses are not predicted.
fn loss(joined: &Joined, window: Range<i64>, packets: usize) -> Confusion {
    let within = joined.transits.iter().filter(|transit| window.contains(&transit.arrival_ps));
    let only_measured = within.filter(|transit| transit.fate == Fate::Lost).count() as u64;
    Confusion { only_measured, neither: packets as u64, ..Confusion::default() }
}

/// No queue: the minimum sojourn plus the packet's own transmission at the rate. `service_us` is a function
/// of the length in bytes.
pub(super) fn no_queue(
    joined: &Joined,
    window: Range<i64>,
    least_us: f64,
    service_us: impl Fn(f64) -> f64,
) -> Score {
    let mut delays = Delays::default();
    for (transit, measured) in departed(joined, window.clone()) {
        let simulated = least_us + service_us(transit.packet.length.into());
        delays.simulated.push((simulated * PS_PER_US) as i64);
        delays.measured.push(measured);
    }
    let loss = loss(joined, window, delays.measured.len());
    Score::of(&delays, loss)
}

/// M/M/1 at the measured load. The waiting time is 0 with probability 1 - load, otherwise exponential with
/// the mean 1 / (service rate - arrival rate). This gives the distribution of delays, but not which packet
/// has which delay. The delays are assigned in the order of the measured ones, so only `w1_normalized` is
/// meaningful. `None` at a load of 1 or more.
///
/// # Source
/// L. Kleinrock, "Queueing Systems", volume 1, 1975, section 5.
pub(super) fn mm1(
    joined: &Joined,
    window: Range<i64>,
    least_us: f64,
    service_us: impl Fn(f64) -> f64,
) -> Option<(f64, Score)> {
    let within: Vec<&Transit> =
        joined.transits.iter().filter(|transit| window.contains(&transit.arrival_ps)).collect();
    let (first, last) = (within.first()?.arrival_ps, within.last()?.arrival_ps);
    let lasts = (last - first) as f64 / PS_PER_US;
    let busy: f64 = within.iter().map(|transit| service_us(transit.packet.length.into())).sum();
    let load = busy / lasts;
    if !(load > 0.0 && load < 1.0) {
        return None;
    }
    let mean_service = busy / within.len() as f64;
    let mean_wait_of_waiting = mean_service / (1.0 - load);
    let mut measured: Vec<i64> = departed(joined, window.clone()).map(|(_, delay)| delay).collect();
    measured.sort_unstable();
    let n = measured.len() as f64;
    let simulated = (0..measured.len()).map(|index| {
        let above = 1.0 - (index as f64 + 0.5) / n;
        let waits = if above < load { -mean_wait_of_waiting * libm::log(above / load) } else { 0.0 };
        ((least_us + waits) * PS_PER_US) as i64
    });
    let delays = Delays { simulated: simulated.collect(), measured };
    let loss = loss(joined, window, delays.measured.len());
    let mut score = Score::of(&delays, loss);
    // Delays are assigned in order, so a correlation is meaningless.
    if let Some(agreement) = &mut score.agreement {
        agreement.pearson = None;
        agreement.spearman = None;
    }
    Some((load, score))
}
