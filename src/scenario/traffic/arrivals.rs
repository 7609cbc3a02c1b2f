//! Flows that arrive at random: turns the rate or load of an entry into the gap between the flows of each
//! sender.

use super::pace::{access, overload};
use super::parties::Parties;
use super::paths::{Paths, destinations, off_path};
use super::place::{Place, Who};
use super::{Resolved, Told};
use crate::config::Spanned;
use crate::scenario::reader::Reader;
use crate::topology::{DeviceId, PortId, Topology};
use crate::traffic::connections::{Arrival, FlowSender, Offered, Plan};
use crate::traffic::flow_rate::{ArrivalsSpec, FlowLoadSpec, FlowRateSpec, Gaps, LoadOf};
use crate::traffic::matrix::{self, MatrixSpec, Row};
use crate::traffic::rate::Gap;
use crate::traffic::size::{SizeOf, Sizes};
use crate::traffic::{FlowsSpec, Mistake, positive};
use crate::units::{Bandwidth, Rate, Span, Time};

/// The protocol number of TCP.
const TCP: u8 = 6;

/// The keys of an entry with flows that arrive at random.
pub(super) struct ArrivalKeys<'a> {
    pub who: Who<'a>,
    pub rate: Option<&'a Spanned<FlowRateSpec>>,
    pub interval: Option<&'a Spanned<Span>>,
    pub arrivals: Option<&'a Spanned<ArrivalsSpec>>,
    pub count: Option<&'a Spanned<u64>>,
    pub start: Time,
    pub stop: Option<&'a Spanned<Span>>,
}

/// The sizes of flows that arrive at random.
pub(super) enum Bytes {
    /// Drawn from a distribution.
    Drawn(Sizes),
    /// Decided by the application: the mean in bytes, where it is known. These flows close at the end of the
    /// entry.
    OfProcesses(f64),
}

impl Bytes {
    fn mean(&self) -> f64 {
        match self {
            Bytes::Drawn(sizes) => sizes.mean(),
            Bytes::OfProcesses(mean) => *mean,
        }
    }
}

/// The gaps of an entry's senders, with their definition for the reader.
struct Pace {
    /// By row of the matrix.
    gaps: Vec<Gap>,
    definition: String,
    warning: Option<String>,
}

impl Reader<'_> {
    /// Flows with random sizes and arrivals.
    pub(super) fn drawn_flows(&mut self, spec: &FlowsSpec, place: &Place<'_>, label: &str) -> Resolved<Plan> {
        let Some(size) = &spec.size else {
            let mistake = Mistake::new(place.span.clone(), "missing key `size` in [[traffic]]");
            let help = "write a `size` with a `rate` or an `interval`, or a `file` that lists the flows";
            return Err(self.told(mistake.with_help(help)));
        };
        let sizes = self.sizes(size, SizeOf::Flows);
        let keys = ArrivalKeys {
            who: (spec.from.as_ref(), spec.to.as_ref(), spec.matrix.as_ref(), spec.hosts.as_ref()),
            rate: spec.rate.as_ref(),
            interval: spec.interval.as_ref(),
            arrivals: spec.arrivals.as_ref(),
            count: spec.count.as_ref(),
            start: Time::ZERO + spec.start,
            stop: spec.stop.as_ref(),
        };
        // Other mistakes are reported even if the sizes are wrong.
        let known = sizes.as_ref().map_or(Bytes::OfProcesses(1.0), |sizes| Bytes::Drawn(sizes.clone()));
        let plan = self.arriving(&keys, place, label, known);
        sizes.and(plan)
    }

    /// Flows with random arrivals.
    pub(super) fn arriving(
        &mut self,
        keys: &ArrivalKeys<'_>,
        place: &Place<'_>,
        label: &str,
        bytes: Bytes,
    ) -> Resolved<Plan> {
        let parties = self.parties(&place.parties(label, keys.who));
        let start = keys.start;
        let stop = self.stop(keys.stop, start, place);
        let gaps = Gaps::resolve(keys.arrivals).map_err(|mistake| self.told(mistake));
        let (Parties { hosts, rows, .. }, stop, gaps) = (parties?, stop?, gaps?);
        let pace = self.flow_pace(keys, place, (&hosts, &rows), bytes.mean())?;
        let count = keys.count.map(|count| *count.get_ref());
        if count.is_none() && stop.is_none() {
            return Err(self.endless(place, "count"));
        }
        let span = stop.map_or(f64::MAX, |stop| stop.since(start).as_ps() as f64);
        let of_sender = |gap: &Gap| {
            gaps.expected(span / gap.as_ps_f64()).min(count.map_or(f64::MAX, |count| count as f64))
        };
        self.count(pace.gaps.iter().map(of_sender).sum(), place)?;
        let flows_per_s: f64 = pace.gaps.iter().map(|gap| gap.as_packets_per_s()).sum();
        let offered = Offered {
            flows_per_s,
            bps: 8.0 * bytes.mean() * flows_per_s,
            mean_bytes: bytes.mean(),
            arrivals: gaps.describe(),
            definition: pace.definition,
        };
        let sender = |(row, gap): (Row, Gap)| FlowSender {
            host: hosts[row.from],
            to: row.to,
            destinations: row.destinations,
            gap,
        };
        let senders: Vec<FlowSender> = rows.into_iter().zip(pace.gaps).map(sender).collect();
        self.remarks.extend(pace.warning);
        self.remarks.extend(overloaded(place.topology, &senders, bytes.mean()));
        if let Some(FlowRateSpec::Load(spec)) = keys.rate.map(Spanned::get_ref)
            && let Some(of) = &spec.of
            && let LoadOf::Port(name) = of.get_ref()
            && let Some(port) = self.port(&Spanned::new(of.span(), name.clone()), place.topology)
        {
            let of_sender = |sender: &FlowSender| (sender.host, destinations(sender.to.as_deref(), &hosts));
            let paths = Paths::new(place.topology, place.seed);
            self.remarks.extend(off_path(label, port, senders.iter().map(of_sender), TCP, paths));
        }
        let (sizes, ends_at) = match bytes {
            Bytes::Drawn(sizes) => (Some(sizes), None),
            Bytes::OfProcesses(_) => (None, stop),
        };
        let stop = stop.unwrap_or(Time::NEVER);
        Ok(Plan::Drawn(Box::new(Arrival {
            hosts,
            senders,
            sizes,
            ends_at,
            start,
            stop,
            count,
            gaps,
            offered,
        })))
    }

    /// The mean gap between the flows of each sender, for a mean size of `mean` bytes.
    fn flow_pace(
        &mut self,
        keys: &ArrivalKeys<'_>,
        place: &Place<'_>,
        (hosts, rows): (&[DeviceId], &[Row]),
        mean: f64,
    ) -> Resolved<Pace> {
        let of_each = |gap: Gap, definition: String| Pace {
            gaps: rows.iter().map(|row| gap.of_part(row.part)).collect(),
            definition,
            warning: None,
        };
        let pace = match (keys.rate, keys.interval) {
            (Some(rate), Some(interval)) => {
                let message = format!("the `interval` of {} already sets the rate", interval.get_ref());
                Err(Mistake::new(rate.span(), message).with_help("write only one of them"))
            }
            (None, Some(interval)) => match interval.get_ref().as_ps() {
                0 => Err(Mistake::new(interval.span(), "the mean interval cannot be zero")),
                ps => {
                    let definition =
                        format!("a flow of each sending host every {} on average", interval.get_ref());
                    Ok(of_each(Gap::new(ps.into(), 1), definition))
                }
            },
            (Some(rate), None) => match rate.get_ref() {
                FlowRateSpec::Flows(rate) => {
                    Ok(of_each(rate.gap(), "flows per second of each sending host".to_owned()))
                }
                FlowRateSpec::Bandwidth(rate) => {
                    let definition =
                        format!("{rate} in bytes of flows, without headers, of each sending host");
                    Ok(of_each(rate.gap(mean), definition))
                }
                FlowRateSpec::Load(load) => self.flow_load(load, place.topology, (hosts, rows), mean)?,
            },
            (None, None) => demanded(keys, place, rows, mean),
        };
        let pace = pace.map_err(|mistake| self.told(mistake))?;
        if pace.gaps.iter().any(|gap| gap.as_ps_f64() <= 1.0) {
            let message = "the rate is above one flow per picosecond";
            return Err(self.told(Mistake::new(place.span.clone(), message)));
        }
        Ok(pace)
    }

    /// The gaps for a load on the senders' links, on one link, or on the bisection.
    fn flow_load(
        &mut self,
        spec: &FlowLoadSpec,
        topology: &Topology,
        (hosts, rows): (&[DeviceId], &[Row]),
        mean: f64,
    ) -> Resolved<Result<Pace, Mistake>> {
        let load = match positive(&spec.load, "a load") {
            Ok(load) => load,
            Err(mistake) => return Ok(Err(mistake)),
        };
        let span = spec.load.span();
        let found = match spec.of.as_ref().map(Spanned::get_ref) {
            None => of_own_links(topology, (hosts, rows)),
            Some(LoadOf::Port(name)) => {
                let name = Spanned::new(spec.of.as_ref().map_or(0..0, Spanned::span), name.clone());
                let port = self.port(&name, topology).ok_or(Told)?;
                of_one_link(topology, port, rows)
            }
            Some(LoadOf::Bisection) => of_bisection(topology, (hosts, rows)),
        };
        Ok(match found {
            Err((message, help)) => Err(Mistake::new(span, message).with_help(help)),
            Ok(Shared { parts, definition, over }) => {
                let gap = |(rate, part): (Rate, f64)| rate.gap(mean).of_part(load * part);
                let gaps = parts.into_iter().map(gap).collect();
                let definition = format!("load {load} {definition}, in bytes of flows, without headers");
                Ok(Pace { gaps, definition, warning: over.filter(|_| load > 1.0).map(|over| over(load)) })
            }
        })
    }
}

/// The capacity that a load is a fraction of, shared among the senders.
struct Shared {
    /// By row of the matrix: the capacity, and the sender's fraction of the load.
    parts: Vec<(Rate, f64)>,
    definition: String,
    /// The warning for a load above 1.
    over: Option<Box<dyn Fn(f64) -> String>>,
}

/// The reason why a load has no capacity to refer to, and the help.
type NoShare = (String, &'static str);

const GIVE_A_RATE: &str = "write the rate as text, such as \"70 Mbps\" or \"5000 flows/s\"";

fn rate_of(topology: &Topology, port: PortId) -> Result<Rate, NoShare> {
    match topology.link(topology.port(port).egress).link.bandwidth {
        Bandwidth::Limited(rate) => Ok(rate),
        Bandwidth::Unlimited => {
            let name = topology.port_name(port);
            let message =
                format!("the link of `{name}` has unlimited bandwidth: a load of it is not defined");
            Err((message, GIVE_A_RATE))
        }
    }
}

/// Each sender loads its own link.
fn of_own_links(topology: &Topology, (hosts, rows): (&[DeviceId], &[Row])) -> Result<Shared, NoShare> {
    let parts = rows.iter().map(|row| {
        let host = hosts[row.from];
        let (port, _) = access(topology, host);
        let nothing = || (format!("`{}` has no link", topology.device(host).name), GIVE_A_RATE);
        Ok((rate_of(topology, port.ok_or_else(nothing)?)?, row.part))
    });
    let definition = "of the link at the first port of each sending host (mean over the hosts)".to_owned();
    Ok(Shared { parts: parts.collect::<Result<_, _>>()?, definition, over: None })
}

/// All senders together load one link.
fn of_one_link(topology: &Topology, port: PortId, rows: &[Row]) -> Result<Shared, NoShare> {
    let rate = rate_of(topology, port)?;
    let name = topology.port_name(port);
    let definition = format!("of the link of {name}, {rate}, by all sending hosts together");
    let parts = rows.iter().map(|row| (rate, row.part / rows.len() as f64)).collect();
    Ok(Shared { parts, definition, over: Some(Box::new(move |load| overload(&name, load))) })
}

/// All senders together load the capacity between the two halves of the hosts.
fn of_bisection(topology: &Topology, (hosts, rows): (&[DeviceId], &[Row])) -> Result<Shared, NoShare> {
    let (first, second) = hosts.split_at(hosts.len() / 2);
    let capacities = [topology.capacity_between(first, second), topology.capacity_between(second, first)];
    // The direction with the higher load for the same traffic per sender.
    let loads = capacities.into_iter().zip(matrix::crossing(rows, hosts.len()));
    let loads = loads.filter_map(|(capacity, crossing)| {
        let capacity = Rate::from_bps(capacity?)?;
        (crossing > 0.0).then_some((crossing / capacity.as_bps() as f64, crossing, capacity))
    });
    let (_, crossing, capacity) = loads.max_by(|a, b| a.0.total_cmp(&b.0)).ok_or((
        "no traffic crosses the bisection, or its capacity is unlimited".to_owned(),
        "write the rate as text, or the load of the hosts' links, without `of`",
    ))?;
    let definition = format!(
        "of the bisection: traffic from one half of the hosts to the other, as a fraction of the {capacity} that the \
         network carries between them (maximum flow)"
    );
    let over = |load| format!("the bisection is offered {load:.3} times its capacity: flows pile up");
    let parts = rows.iter().map(|row| (capacity, row.part / crossing)).collect();
    Ok(Shared { parts, definition, over: Some(Box::new(over)) })
}

/// The gaps for the demands of a matrix file.
fn demanded(keys: &ArrivalKeys<'_>, place: &Place<'_>, rows: &[Row], mean: f64) -> Result<Pace, Mistake> {
    let matrix = keys.who.2;
    let scale = matrix.and_then(|matrix| match matrix.get_ref() {
        MatrixSpec::Table(table) => table.scale.as_ref(),
        MatrixSpec::Named(_) => None,
    });
    let gaps = rows.iter().map(|row| {
        let Some(demand) = row.demand_bps else {
            let help = "write \"70 Mbps\", \"5000 flows/s\" or { load = 0.7 }, or the `interval` between flows, or a `file` \
                        that lists the flows";
            return Err(Mistake::new(place.span.clone(), "missing key `rate` in [[traffic]]").with_help(help));
        };
        let span = matrix.map_or(place.span.clone(), Spanned::span);
        matrix::scaled(demand, scale, span).map(|rate| rate.gap(mean))
    });
    let gaps = gaps.collect::<Result<Vec<_>, _>>()?;
    let definition = "the demands of the file, in bytes of flows, without headers".to_owned();
    Ok(Pace { gaps, definition, warning: None })
}

/// The warning for senders that overload their own links.
fn overloaded(topology: &Topology, senders: &[FlowSender], mean: f64) -> Option<String> {
    let load = |sender: &FlowSender| {
        let (port, link) = access(topology, sender.host);
        let Bandwidth::Limited(rate) = link?.bandwidth else { return None };
        let bits = 8.0 * mean;
        Some((port?, sender.gap.as_packets_per_s() * bits / rate.as_bps() as f64))
    };
    let over = senders.iter().filter_map(load).filter(|(_, load)| *load > 1.000_001);
    let (port, worst) = over.max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(overload(&topology.port_name(port), worst))
}
