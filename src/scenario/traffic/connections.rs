//! The connections of an entry: bulk transfers, flows and incast.

use std::ops::Range;
use std::sync::Arc;

use super::parties::{Parties, PartyKeys};
use super::{Resolved, Told};
use crate::application::Flow;
use crate::config::Spanned;
use crate::scenario::reader::Reader;
use crate::topology::{DeviceId, DeviceKind, Topology};
use crate::traffic::connections::{Arrival, Connections, FlowSender, Plan};
use crate::traffic::flows::read_list;
use crate::traffic::matrix::{MatrixSpec, Row};
use crate::traffic::rate::Gap;
use crate::traffic::{BulkSpec, FlowsSpec, IncastSpec, Mistake, TrafficSpec, TransportSpec};
use crate::transport::congestion::Algorithm;
use crate::transport::tcp::LossRecovery;
use crate::units::{ByteCount, Span, Time};

/// Where an entry stands, and what holds for all entries.
pub(super) struct Place<'a> {
    pub span: Range<usize>,
    pub index: usize,
    pub topology: &'a Arc<Topology>,
    pub seed: u64,
    pub until: Option<Time>,
    /// The scenario's own.
    pub transport: &'a TransportSpec,
}

/// Who sends to whom, as an entry has it: `from`, `to`, `matrix`, `hosts`.
type Who<'a> = (
    Option<&'a Spanned<String>>,
    Option<&'a Spanned<String>>,
    Option<&'a Spanned<MatrixSpec>>,
    Option<&'a Spanned<Vec<Spanned<String>>>>,
);

impl Place<'_> {
    fn parties<'a>(&'a self, label: &'a str, (from, to, matrix, hosts): Who<'a>) -> PartyKeys<'a> {
        let Place { span, topology, seed, .. } = self;
        PartyKeys { span: span.clone(), label, topology, seed: *seed, from, to, matrix, hosts }
    }
}

/// The most connections of an entry: each takes some hundred bytes.
const MOST_CONNECTIONS: u64 = 10_000_000;
/// The largest initial window.
const MOST_WINDOW: u32 = 1_000;
/// The least buffers that hold a segment or two.
const LEAST_BUFFER: u64 = 4_608;

impl Reader<'_> {
    /// The connections of an entry.
    pub(super) fn connections(
        &mut self,
        spec: &TrafficSpec,
        place: &Place<'_>,
        labels: &mut Vec<String>,
    ) -> Resolved<Connections> {
        let (kind, name, transport) = match spec {
            TrafficSpec::Bulk(spec) => ("bulk", &spec.name, &spec.transport),
            TrafficSpec::Flows(spec) => ("flows", &spec.name, &spec.transport),
            TrafficSpec::Incast(spec) => ("incast", &spec.name, &spec.transport),
            _ => return Err(Told),
        };
        let label = self.label(name, place.index, labels);
        let checked = transport.as_ref().map_or(Ok(()), |own| self.transport(own));
        let transport = transport.as_ref().unwrap_or(place.transport);
        let plan = match spec {
            TrafficSpec::Bulk(spec) => self.bulk(spec, place, &label),
            TrafficSpec::Flows(spec) => self.flows(spec, place, &label),
            TrafficSpec::Incast(spec) => self.incast(spec, place),
            _ => Err(Told),
        };
        checked?;
        Ok(Connections { kind, label, parameters: transport.parameters(), plan: plan? })
    }

    /// Whether the parameters of a transport can be.
    pub(super) fn transport(&mut self, spec: &TransportSpec) -> Resolved<()> {
        let mut result = Ok(());
        if let Some(given) = &spec.congestion_control
            && spec.recovery == LossRecovery::Rfc6582
            && *given.get_ref() != Algorithm::Reno
        {
            let message = "`recovery = \"rfc6582\"` is NewReno, whose congestion control is Reno's";
            let help = "write `congestion_control = \"reno\"`, or leave one of the two out";
            result = Err(self.told(Mistake::new(given.span(), message).with_help(help)));
        }
        if let Some(ecn) = &spec.ecn {
            let mistake = match (*ecn.get_ref(), spec.recovery) {
                (true, LossRecovery::Rfc6582) => {
                    let message = "`recovery = \"rfc6582\"` has no ECN";
                    Some(Mistake::new(ecn.span(), message).with_help("leave one of the two out"))
                }
                (false, _) if spec.algorithm().needs_ecn() => {
                    let message = "`dctcp` needs ECN: marks are all that it goes by";
                    Some(Mistake::new(ecn.span(), message).with_help("leave `ecn` out"))
                }
                _ => None,
            };
            if let Some(mistake) = mistake {
                result = Err(self.told(mistake));
            }
        }
        if let Some(size) = &spec.initial_window
            && !(1..=MOST_WINDOW).contains(size.get_ref())
        {
            let message = format!("the initial window cannot be {} segments", size.get_ref());
            let help = format!("write 1 to {MOST_WINDOW}");
            result = Err(self.told(Mistake::new(size.span(), message).with_help(help)));
        }
        for buffer in [&spec.receive_buffer, &spec.send_buffer].into_iter().flatten() {
            if !(LEAST_BUFFER..=u64::from(u32::MAX / 2)).contains(&buffer.get_ref().get()) {
                let message = format!("a buffer cannot have {}", buffer.get_ref());
                let help =
                    format!("write \"{LEAST_BUFFER} B\" to \"2147483647 B\": it counts memory, not payload");
                result = Err(self.told(Mistake::new(buffer.span(), message).with_help(help)));
            }
        }
        result
    }

    /// A number of bytes that can be sent.
    fn bytes(&mut self, bytes: &Spanned<ByteCount>) -> Resolved<u64> {
        match bytes.get_ref().get() {
            0 => Err(self.told(Mistake::new(bytes.span(), "a flow of 0 bytes sends nothing"))),
            some => Ok(some),
        }
    }

    /// When an entry ends: after `start`, and not later than the run.
    fn stop(
        &mut self,
        stop: Option<&Spanned<Span>>,
        start: Time,
        place: &Place<'_>,
    ) -> Resolved<Option<Time>> {
        let given = stop.map(|stop| Time::ZERO + *stop.get_ref());
        match stop {
            Some(written) if given.is_some_and(|stop| stop <= start) => {
                Err(self.told(Mistake::new(written.span(), "`stop` is not after `start`")))
            }
            _ => Ok(given.or(place.until)),
        }
    }

    /// Whether an entry can have so many connections.
    fn count(&mut self, connections: f64, place: &Place<'_>) -> Resolved<()> {
        if connections <= MOST_CONNECTIONS as f64 {
            return Ok(());
        }
        let message =
            format!("these would be {connections:.0} connections, and an entry can have {MOST_CONNECTIONS}");
        let help = "let fewer begin, or end sooner";
        Err(self.told(Mistake::new(place.span.clone(), message).with_help(help)))
    }

    fn endless(&mut self, place: &Place<'_>, what: &str) -> Told {
        let help = format!("give it `{what}` or `stop`, or the scenario `until`");
        self.told(Mistake::new(place.span.clone(), "this traffic would never end").with_help(help))
    }

    fn bulk(&mut self, spec: &BulkSpec, place: &Place<'_>, label: &str) -> Resolved<Plan> {
        let who = (spec.from.as_ref(), spec.to.as_ref(), spec.matrix.as_ref(), spec.hosts.as_ref());
        let parties = self.parties(&place.parties(label, who));
        let start = Time::ZERO + spec.start;
        let bytes = spec.bytes.as_ref().map(|bytes| self.bytes(bytes)).transpose();
        let stop = self.stop(spec.stop.as_ref(), start, place);
        let count = spec.flows.as_ref().map_or(1, |flows| *flows.get_ref());
        if let Some(flows) = spec.flows.as_ref().filter(|_| !(1..=65_535).contains(&count)) {
            let message = format!("a pair of hosts cannot have {count} flows");
            return Err(self.told(Mistake::new(flows.span(), message).with_help("write 1 to 65535")));
        }
        let (Parties { hosts, rows, .. }, bytes, stop) = (parties?, bytes?, stop?);
        if bytes.is_none() && stop.is_none() {
            return Err(self.endless(place, "bytes"));
        }
        let destinations = |row: &Row| row.to.as_ref().map_or(hosts.len() - 1, Vec::len) as u64;
        let pairs: u64 = rows.iter().map(destinations).sum();
        self.count(pairs as f64 * f64::from(count), place)?;
        let mut flows = Vec::new();
        for row in &rows {
            let all = || (0..hosts.len()).filter(|to| *to != row.from).collect();
            for to in row.to.clone().unwrap_or_else(all) {
                let (from, to) = (hosts[row.from], hosts[to]);
                let at =
                    |number: u32| start + Span::from_ps(spec.stagger.as_ps().saturating_mul(number.into()));
                let flow = |number: u32| Flow { at: at(number), from, to, bytes, stop };
                flows.extend((0..count).map(flow));
            }
        }
        flows.sort_by_key(|flow| flow.at);
        Ok(Plan::Listed(flows.into()))
    }

    fn flows(&mut self, spec: &FlowsSpec, place: &Place<'_>, label: &str) -> Resolved<Plan> {
        let Some(file) = &spec.file else { return self.drawn_flows(spec, place, label) };
        let others = [spec.from.as_ref().map(Spanned::span), spec.to.as_ref().map(Spanned::span)];
        let others = others.into_iter().chain([
            spec.matrix.as_ref().map(Spanned::span),
            spec.hosts.as_ref().map(Spanned::span),
            spec.size.as_ref().map(Spanned::span),
            spec.interval.as_ref().map(Spanned::span),
            spec.count.as_ref().map(Spanned::span),
        ]);
        if let Some(span) = others.flatten().next() {
            let mistake = Mistake::new(span, "the `file` says who sends what to whom, and when");
            return Err(self.told(mistake.with_help("leave this key out, or the `file`")));
        }
        let path = self.file(file).ok_or(Told)?;
        self.inputs.push(path.clone());
        let help = "its columns are `start_s`, `source`, `destination` and `bytes`";
        let listed = read_list(&path)
            .map_err(|message| self.told(Mistake::new(file.span(), message).with_help(help)))?;
        let start = Time::ZERO + spec.start;
        let stop = self.stop(spec.stop.as_ref(), start, place)?.unwrap_or(Time::NEVER);
        let mut flows = Vec::with_capacity(listed.len());
        for flow in listed {
            let mut host = |name: &str| {
                let found = place.topology.device_named(name);
                let found = found.filter(|id| place.topology.device(*id).kind == DeviceKind::Host);
                found.ok_or_else(|| {
                    let message = format!(
                        "line {} of `{}` names `{name}`, which is no host",
                        flow.line,
                        path.display()
                    );
                    self.told(Mistake::new(file.span(), message))
                })
            };
            let (from, to) = (host(&flow.source)?, host(&flow.destination)?);
            if from == to {
                let message = format!(
                    "line {} of `{}`: `{}` cannot send to itself",
                    flow.line,
                    path.display(),
                    flow.source
                );
                return Err(self.told(Mistake::new(file.span(), message)));
            }
            let at = flow.start + spec.start;
            if at < stop {
                flows.push(Flow { at, from, to, bytes: Some(flow.bytes), stop: None });
            }
        }
        flows.sort_by_key(|flow| flow.at);
        Ok(Plan::Listed(flows.into()))
    }

    fn drawn_flows(&mut self, spec: &FlowsSpec, place: &Place<'_>, label: &str) -> Resolved<Plan> {
        let who = (spec.from.as_ref(), spec.to.as_ref(), spec.matrix.as_ref(), spec.hosts.as_ref());
        let parties = self.parties(&place.parties(label, who));
        let start = Time::ZERO + spec.start;
        let stop = self.stop(spec.stop.as_ref(), start, place);
        let (Some(size), Some(interval)) = (&spec.size, &spec.interval) else {
            let missing = if spec.size.is_none() { "size" } else { "interval" };
            let mistake = Mistake::new(place.span.clone(), format!("missing key `{missing}` in [[traffic]]"));
            let help = "flows have a `size` and an `interval` between them, or a `file` that lists them";
            return Err(self.told(mistake.with_help(help)));
        };
        let sizes = self.sizes(size);
        if interval.get_ref().as_ps() == 0 {
            return Err(self.told(Mistake::new(interval.span(), "an interval cannot be zero on average")));
        }
        let (Parties { hosts, rows, .. }, stop, sizes) = (parties?, stop?, sizes?);
        let count = spec.count.as_ref().map(|count| *count.get_ref());
        if count.is_none() && stop.is_none() {
            return Err(self.endless(place, "count"));
        }
        let gap = Gap::new(interval.get_ref().as_ps().into(), 1);
        let expected = |row: &Row| {
            let span = stop.map_or(f64::MAX, |stop| stop.since(start).as_ps() as f64);
            (span / gap.of_part(row.part).as_ps_f64()).min(count.map_or(f64::MAX, |count| count as f64))
        };
        self.count(rows.iter().map(expected).sum(), place)?;
        let sender = |row: Row| FlowSender {
            host: hosts[row.from],
            to: row.to,
            destinations: row.destinations,
            gap: gap.of_part(row.part),
        };
        let senders = rows.into_iter().map(sender).collect();
        let stop = stop.unwrap_or(Time::NEVER);
        Ok(Plan::Drawn(Arrival { hosts: Arc::clone(&hosts), senders, sizes, start, stop, count }))
    }

    fn incast(&mut self, spec: &IncastSpec, place: &Place<'_>) -> Resolved<Plan> {
        let to = self.host(&spec.to, place.topology);
        let bytes = self.bytes(&spec.bytes);
        let mut senders: Vec<DeviceId> = Vec::new();
        let mut result = Ok(());
        match &spec.from {
            None => {
                let hosts = place.topology.devices().filter(|(_, device)| device.kind == DeviceKind::Host);
                senders.extend(hosts.map(|(id, _)| id).filter(|id| Some(*id) != to));
            }
            Some(names) => {
                for name in names.get_ref() {
                    let host = self.host(name, place.topology).ok_or(Told)?;
                    if Some(host) == to || senders.contains(&host) {
                        let what = if Some(host) == to { "cannot send to itself" } else { "is there twice" };
                        let message = format!("`{}` {what}", name.get_ref());
                        result = Err(self.told(Mistake::new(name.span(), message)));
                    }
                    senders.push(host);
                }
            }
        }
        let rounds = spec.rounds.as_ref().map_or(1, |rounds| *rounds.get_ref());
        let every = match (&spec.every, rounds) {
            (_, 0) => {
                let span = spec.rounds.as_ref().map_or(place.span.clone(), Spanned::span);
                return Err(self.told(Mistake::new(span, "there are no rounds").with_help("write 1 or more")));
            }
            (Some(every), _) => *every.get_ref(),
            (None, 1) => Span::ZERO,
            (None, _) => {
                let mistake = Mistake::new(place.span.clone(), "missing key `every` in [[traffic]]");
                let help = "write the time from one round to the next, such as every = \"2 s\"";
                return Err(self.told(mistake.with_help(help)));
            }
        };
        result?;
        self.count(senders.len() as f64 * f64::from(rounds), place)?;
        let (to, bytes) = (to.ok_or(Told)?, Some(bytes?));
        let start = Time::ZERO + spec.start;
        let at = |round: u32| start + Span::from_ps(every.as_ps().saturating_mul(round.into()));
        let flow = |round: u32, from: &DeviceId| Flow { at: at(round), from: *from, to, bytes, stop: None };
        let flows = (0..rounds).flat_map(|round| senders.iter().map(move |from| (round, from)));
        Ok(Plan::Listed(flows.map(|(round, from)| flow(round, from)).collect()))
    }
}
