//! What the network as a whole did: delay, loss, load, and its busiest ports.

use serde::Serialize;

use crate::record::{FlowRecords, PortRecords};
use crate::statistics::{FlowStatistics, PortStatistics, Quantiles};
use crate::topology::Topology;
use crate::units::{PS_PER_S, Time};

/// Ports that are listed.
const BUSIEST: usize = 5;

/// Figures of the whole network. With a warm-up, of what happened after it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Overview {
    /// One-way delays of the delivered packets, from injection to arrival; none without any.
    pub delay_s: Option<DelayOverview>,
    /// dropped / (dropped + delivered); none without either.
    pub loss_ratio: Option<f64>,
    /// The bits of all injected packets over the run's length; none of a run of no length.
    pub offered_bps: Option<f64>,
    /// The bits of all delivered packets over the run's length.
    pub carried_bps: Option<f64>,
    /// The ports with the highest load, the busiest first; at most five.
    pub busiest_ports: Vec<BusyPort>,
}

/// One-way delays in seconds. The mean and the maximum are exact; percentiles are off by at most 1/256 of themselves, and by
/// more only where a flow's delays spread over more than seven octaves (see [`Sketch`](crate::statistics::Sketch)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DelayOverview {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The maximum.
    pub max: f64,
}

/// A busy egress port.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BusyPort {
    /// `r1:1`.
    pub port: String,
    /// What it sent over what it can send; none without a bound.
    pub load: Option<f64>,
    /// What it sent, in bits per second.
    pub throughput_bps: f64,
    /// Packets lost there.
    pub packets_dropped: u64,
    /// The 99th percentile of the waiting time; none where no packet left.
    pub waiting_p99_s: Option<f64>,
}

impl Overview {
    /// Of a run that ended at `end` and counts from `from` on.
    pub(super) fn new(
        topology: &Topology,
        (flows, ports): (&FlowRecords, &PortRecords),
        (from, end): (Time, Time),
    ) -> Self {
        let flows = flows.flows();
        let sum = |of: fn(&FlowStatistics) -> u64| flows.iter().map(of).sum::<u64>();
        let (delivered, dropped) = (sum(|flow| flow.delivery.packets()), sum(|flow| flow.dropped));
        let length = end.since(from).as_seconds_f64();
        let rate = |bytes: u64| (length > 0.0).then(|| 8.0 * bytes as f64 / length);
        let ended = delivered + dropped;
        Overview {
            delay_s: delays(flows, delivered),
            loss_ratio: (ended > 0).then(|| dropped as f64 / ended as f64),
            offered_bps: rate(sum(|flow| flow.injected_bytes)),
            carried_bps: rate(sum(|flow| flow.delivery.bytes())),
            busiest_ports: busiest(topology, ports, end),
        }
    }
}

fn delays(flows: &[FlowStatistics], delivered: u64) -> Option<DelayOverview> {
    let mut quantiles = Quantiles::default();
    flows.iter().for_each(|flow| flow.delivery.add_delays(&mut quantiles));
    let found = quantiles.percentiles()?;
    let sum: u128 = flows.iter().map(|flow| flow.delivery.delay_sum()).sum();
    let max = flows.iter().filter_map(|flow| flow.delivery.delay_max()).max()?;
    let seconds = |ps: u64| ps as f64 / PS_PER_S as f64;
    Some(DelayOverview {
        mean: sum as f64 / delivered as f64 / PS_PER_S as f64,
        p50: seconds(found.p50),
        p90: seconds(found.p90),
        p99: seconds(found.p99),
        p999: seconds(found.p999),
        max: seconds(max),
    })
}

/// By load, those without a bound last; of equals by what they sent, then by their order in the topology.
fn busiest(topology: &Topology, ports: &PortRecords, end: Time) -> Vec<BusyPort> {
    let throughput = |port: &PortStatistics| {
        let length = end.since(port.from()).as_seconds_f64();
        if length > 0.0 { 8.0 * port.bytes as f64 / length } else { 0.0 }
    };
    let loads = ports.loads(end);
    let of_all = topology.ports().zip(ports.ports()).zip(loads);
    let mut used: Vec<_> =
        of_all.filter(|((_, port), _)| port.packets > 0 || port.dropped_in_all() > 0).collect();
    used.sort_by(|((_, a), a_load), ((_, b), b_load)| {
        let by_load = b_load.unwrap_or(-1.0).total_cmp(&a_load.unwrap_or(-1.0));
        by_load.then(b.bytes.cmp(&a.bytes))
    });
    used.truncate(BUSIEST);
    let port = |(((id, _), port), load): ((_, &PortStatistics), Option<f64>)| BusyPort {
        port: topology.port_name(id),
        load,
        throughput_bps: throughput(port),
        packets_dropped: port.dropped_in_all(),
        waiting_p99_s: port.waiting().map(|waiting| waiting.p99 as f64 / PS_PER_S as f64),
    };
    used.into_iter().map(|((of, statistics), load)| port(((of, statistics), load))).collect()
}
