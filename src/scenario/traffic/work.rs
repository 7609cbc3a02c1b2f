//! The work that an entry asks for: a warning for more packets than a run is likely to be meant to have.

use crate::traffic::generator::Sender;
use crate::traffic::{Generator, Process};
use crate::units::{PS_PER_S, Time};

/// The packets of an entry above which there is a warning: hours of computing.
const MANY: f64 = 1e9;

/// The warning for an entry of very many packets.
pub(super) fn many(generator: &Generator, mean_over_peak: f64) -> Option<String> {
    let limits = &generator.limits;
    let end = limits.stop.into_iter().chain(limits.until).min().unwrap_or(Time::NEVER);
    let seconds = end.since(generator.start.min(end)).as_ps() as f64 / PS_PER_S as f64;
    let packets = |sender: &Sender| {
        let packets_per_s = match (&generator.process, sender.gap) {
            (Process::Markovian(map), None) => map.packets_per_s(),
            (_, gap) => gap.map_or(0.0, |gap| gap.as_packets_per_s() * mean_over_peak),
        };
        limits.packets.map_or(f64::MAX, |packets| packets as f64).min(packets_per_s * seconds)
    };
    let packets: f64 = generator.senders.iter().map(packets).sum();
    let hours = packets / 1e6 / 3_600.0;
    (packets > MANY).then(|| {
        format!(
            "the entry sends about {packets:.1e} packets: {hours:.0} hours at a million packets per second of \
             computing"
        )
    })
}
