//! Warnings of a finished run: where its figures may mislead.

use rustc_hash::FxHashSet;

use super::Overview;
use crate::engine::PacketCounts;
use crate::packet::FlowKey;
use crate::record::FlowRecords;
use crate::report::count;
use crate::scenario::{Scenario, Traffic};
use crate::statistics::FlowStatistics;

/// Packets still inside at the end are worth a warning from this fraction on.
const INSIDE: f64 = 0.01;

/// The fraction of a capture's packets in conversations with both directions that is worth a warning.
const TWO_WAY: f64 = 0.01;

/// The protocol number of TCP.
const TCP: u8 = 6;

/// Packets still inside at the end: they count neither as delivered nor as lost.
pub(super) fn still_inside(packets: &PacketCounts, overview: &Overview) -> Option<String> {
    let PacketCounts { injected, inside, .. } = *packets;
    let fraction = inside as f64 / injected.max(1) as f64;
    if fraction < INSIDE {
        return None;
    }
    let busiest = overview.busiest_ports.first().filter(|port| port.load.is_some_and(|load| load > 0.99));
    let busy = |load: f64, port: &str| format!(" ({port} was busy {:.1} % of the time)", 100.0 * load);
    let grows = busiest.and_then(|port| Some(busy(port.load?, &port.port))).unwrap_or_default();
    Some(format!(
        "{} of {} packets ({:.1} %) were still inside when the run ended{grows}: delay and loss do not count them; end the \
         traffic earlier, or set `until` later",
        count(inside),
        count(injected),
        100.0 * fraction
    ))
}

/// What is odd about replayed captures, as the flows show it.
pub(super) fn of_replays(scenario: &Scenario, flows: &FlowRecords) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut first = 0;
    for traffic in &scenario.traffic {
        let sources = first..first + traffic.sources() as u32;
        first = sources.end;
        let of_entry = || flows.flows().iter().filter(|flow| sources.contains(&flow.source));
        match traffic {
            Traffic::Replay { capture, at, .. } => {
                let place = at.name(&scenario.topology);
                warnings.extend(two_ways(of_entry(), &capture.display().to_string(), &place));
                warnings.extend(mostly_tcp(of_entry(), &capture.display().to_string(), scenario));
            }
            Traffic::ReplayByAddress { capture, .. } => {
                warnings.extend(mostly_tcp(of_entry(), &capture.display().to_string(), scenario));
            }
            _ => {}
        }
    }
    warnings
}

/// Both directions of conversations enter at one place.
fn two_ways<'f>(
    flows: impl Iterator<Item = &'f FlowStatistics> + Clone,
    capture: &str,
    place: &str,
) -> Option<String> {
    let has_ports = |flow: &&FlowStatistics| matches!(flow.key, FlowKey::Ip { ports: Some(_), .. });
    let keys: FxHashSet<FlowKey> = flows.clone().filter(has_ports).map(|flow| flow.key).collect();
    let (mut all, mut two_way, mut directions) = (0, 0, 0u64);
    let mut example = None;
    for flow in flows {
        all += flow.injected;
        let reverse = flow.key.reverse().filter(|reverse| *reverse != flow.key);
        if keys.contains(&flow.key) && reverse.is_some_and(|reverse| keys.contains(&reverse)) {
            two_way += flow.injected;
            directions += 1;
            example.get_or_insert(flow.key);
        }
    }
    let example = example.filter(|_| two_way as f64 >= TWO_WAY * all as f64)?;
    Some(format!(
        "{capture} holds both directions of {} (such as {example}), and all of its packets enter at {place}: replay one \
         direction (`direction = \"in\"`, `interface`, or `tcpdump -r IN -w OUT FILTER`), or give hosts their addresses \
         (`by_address` instead of `at`)",
        match directions / 2 {
            1 => "a conversation".to_owned(),
            several => format!("{} conversations", count(several)),
        },
    ))
}

/// A replay of TCP in a network of one's own: the senders would have adapted to it. Beside a measured capture the comparison
/// shows how well that goes.
fn mostly_tcp<'f>(
    flows: impl Iterator<Item = &'f FlowStatistics>,
    capture: &str,
    scenario: &Scenario,
) -> Option<String> {
    if !scenario.measured.is_empty() || !scenario.rtts.is_empty() {
        return None;
    }
    let (mut all, mut tcp) = (0, 0);
    for flow in flows {
        all += flow.injected_bytes;
        if matches!(flow.key, FlowKey::Ip { protocol: TCP, .. }) {
            tcp += flow.injected_bytes;
        }
    }
    (2 * tcp > all).then(|| {
        format!(
            "{:.0} % of the bytes of {capture} are TCP, and a replay is open-loop: its senders keep the recorded times \
             whatever this network delays or drops; `kind = \"bulk\"`, \"flows\" and \"request-response\" simulate TCP that \
             reacts",
            100.0 * tcp as f64 / all as f64
        )
    })
}
