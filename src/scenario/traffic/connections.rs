//! Resolves the connections of an entry: bulk transfers, flows, requests and responses, incast.

use std::ops::Range;

use super::arrivals::{ArrivalKeys, Bytes};
use super::parties::Parties;
use super::place::Place;
use super::{Resolved, Told};
use crate::application::Flow;
use crate::config::Spanned;
use crate::scenario::reader::Reader;
use crate::topology::{DeviceId, DeviceKind};
use crate::traffic::connections::{Behaviour, Connections, Plan};
use crate::traffic::dialogue::{Dialogue, Think};
use crate::traffic::flows::read_list;
use crate::traffic::matrix::Row;
use crate::traffic::on_off::Period;
use crate::traffic::request_response::ThinkSpec;
use crate::traffic::size::{SizeOf, Sizes};
use crate::traffic::{
    BulkSpec, FlowsSpec, HostNames, IncastSpec, Mistake, RequestResponseSpec, TrafficSpec, TransportSpec,
};
use crate::transport::congestion::Algorithm;
use crate::transport::tcp::LossRecovery;
use crate::units::{ByteCount, PS_PER_S, Rate, Span, Time};

/// The maximum initial window, in segments.
const MOST_WINDOW: u32 = 1_000;
/// The minimum buffer, which holds one or two segments.
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
            TrafficSpec::RequestResponse(spec) => ("request-response", &spec.name, &spec.transport),
            _ => return Err(Told),
        };
        let label = self.label(name, place.index, labels);
        let checked = transport.as_ref().map_or(Ok(()), |own| self.transport(own));
        let transport = transport.as_ref().unwrap_or(place.transport);
        let stream = |plan| (plan, Behaviour::Stream);
        let planned = match spec {
            TrafficSpec::Bulk(spec) => self.bulk(spec, place, &label),
            TrafficSpec::Flows(spec) => self.flows(spec, place, &label).map(stream),
            TrafficSpec::Incast(spec) => self.incast(spec, place).map(stream),
            TrafficSpec::RequestResponse(spec) => self.request_response(spec, place, &label),
            _ => Err(Told),
        };
        checked?;
        let (plan, behaviour) = planned?;
        let warnings = std::mem::take(&mut self.remarks);
        Ok(Connections { kind, label, parameters: transport.parameters(), plan, behaviour, warnings })
    }

    /// Checks the parameters of a transport.
    pub(super) fn transport(&mut self, spec: &TransportSpec) -> Resolved<()> {
        let mut result = Ok(());
        if let Some(given) = &spec.congestion_control
            && spec.recovery == LossRecovery::Rfc6582
            && *given.get_ref() != Algorithm::Reno
        {
            let message = "`recovery = \"rfc6582\"` is NewReno, which needs Reno's congestion control";
            let help = "write `congestion_control = \"reno\"`, or remove one of the two";
            result = Err(self.told(Mistake::new(given.span(), message).with_help(help)));
        }
        if let Some(ecn) = &spec.ecn {
            let mistake = match (*ecn.get_ref(), spec.recovery) {
                (true, LossRecovery::Rfc6582) => {
                    let message = "`recovery = \"rfc6582\"` does not support ECN";
                    Some(Mistake::new(ecn.span(), message).with_help("remove one of the two"))
                }
                (false, _) if spec.algorithm().needs_ecn() => {
                    let message = "`dctcp` needs ECN: marks are its only congestion signal";
                    Some(Mistake::new(ecn.span(), message).with_help("remove `ecn`"))
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
                let message = format!("a buffer of {} is not supported", buffer.get_ref());
                let help =
                    format!("write \"{LEAST_BUFFER} B\" to \"2147483647 B\": it counts memory, not payload");
                result = Err(self.told(Mistake::new(buffer.span(), message).with_help(help)));
            }
        }
        result
    }

    /// A number of bytes to send, which is not zero.
    fn bytes(&mut self, bytes: &Spanned<ByteCount>) -> Resolved<u64> {
        match bytes.get_ref().get() {
            0 => Err(self.told(Mistake::new(bytes.span(), "a flow of 0 bytes sends nothing"))),
            some => Ok(some),
        }
    }

    fn bulk(&mut self, spec: &BulkSpec, place: &Place<'_>, label: &str) -> Resolved<(Plan, Behaviour)> {
        let who = (spec.from.as_ref(), spec.to.as_ref(), spec.matrix.as_ref(), spec.hosts.as_ref());
        let parties = self.parties(&place.parties(label, who));
        let start = Time::ZERO + spec.start;
        let bytes = spec.bytes.as_ref().map(|bytes| self.bytes(bytes)).transpose();
        let stop = self.stop(spec.stop.as_ref(), start, place);
        let count = self.flows_of_a_pair(spec.flows.as_ref());
        let behaviour = self.pacing(spec, place);
        let (parties, bytes, stop) = (parties?, bytes?, stop?);
        if bytes.is_none() && stop.is_none() {
            return Err(self.endless(place, "bytes"));
        }
        let flow = |at, from, to| Flow { at, from, to, bytes, stop };
        let plan = self.of_pairs(&parties, (count?, start, spec.stagger), place, flow)?;
        Ok((plan, behaviour?))
    }

    /// How the application of a bulk transfer writes.
    fn pacing(&mut self, spec: &BulkSpec, place: &Place<'_>) -> Resolved<Behaviour> {
        /// Bytes per write.
        const WRITE: u64 = 65_536;
        /// Bytes per write at a rate: the payload of an Ethernet segment.
        const WRITE_AT_A_RATE: u64 = 1_448;
        let periods = match (&spec.on, &spec.off) {
            (None, None) => None,
            (Some(on), Some(off)) => {
                let periods = on.get_ref().resolve().and_then(|on| Ok((on, off.get_ref().resolve()?)));
                Some(periods.map_err(|mistake| self.told(mistake))?)
            }
            (on, off) => {
                let span = on.as_ref().or(off.as_ref()).map_or(place.span.clone(), Spanned::span);
                let mistake = Mistake::new(
                    span,
                    "a sender with pauses needs both `on` and `off`, and one of them is missing",
                );
                return Err(self.told(
                    mistake.with_help("write for example on = { mean = \"1 s\" }, off = { mean = \"2 s\" }"),
                ));
            }
        };
        match (spec.rate, periods, &spec.write) {
            (None, None, Some(write)) => {
                let message = "`write` needs a `rate`, or `on` and `off`";
                Err(self.told(
                    Mistake::new(write.span(), message)
                        .with_help("remove it: other senders write 64 KiB at a time"),
                ))
            }
            (None, None, None) => Ok(Behaviour::Stream),
            (rate, periods, write) => {
                let usual = if rate.is_some() { WRITE_AT_A_RATE } else { WRITE };
                let span = write.as_ref().map_or(place.span.clone(), Spanned::span);
                let write = write.as_ref().map_or(Ok(usual), |write| self.bytes(write))?;
                self.writes(rate, write, periods, span)?;
                Ok(Behaviour::Paced { rate, write, periods })
            }
        }
    }

    /// Checks that a process does not write more often than it can send, or pause more often than it writes.
    fn writes(
        &mut self,
        rate: Option<Rate>,
        write: u64,
        periods: Option<(Period, Period)>,
        span: Range<usize>,
    ) -> Resolved<()> {
        const MOST_PER_S: f64 = 1e9;
        const FEWEST: f64 = 0.001;
        let Some(rate) = rate else { return Ok(()) };
        let per_s = rate.as_bps() as f64 / 8.0 / write as f64;
        if per_s > MOST_PER_S {
            let message = format!("{rate} in writes of {write} B are {per_s:.1e} writes per second");
            let help = "the maximum is 1e9 per second: make `write` larger or `rate` lower";
            return Err(self.told(Mistake::new(span, message).with_help(help)));
        }
        let in_burst = periods.map_or(f64::MAX, |(on, _)| on.mean_ps() / PS_PER_S as f64 * per_s);
        if in_burst < FEWEST {
            let message = format!("an on period has {in_burst:.2e} writes of {write} B on average");
            let help =
                "make the periods longer, the rate higher or `write` smaller: the minimum is 0.001 writes";
            return Err(self.told(Mistake::new(span, message).with_help(help)));
        }
        Ok(())
    }

    /// The number of connections of each pair of hosts.
    fn flows_of_a_pair(&mut self, flows: Option<&Spanned<u32>>) -> Resolved<u32> {
        let count = flows.map_or(1, |flows| *flows.get_ref());
        match flows.filter(|_| !(1..=65_535).contains(&count)) {
            None => Ok(count),
            Some(flows) => {
                let message = format!("a pair of hosts cannot have {count} flows");
                Err(self.told(Mistake::new(flows.span(), message).with_help("write 1 to 65535")))
            }
        }
    }

    /// Creates `count` connections of each pair, each `stagger` after the one before.
    fn of_pairs(
        &mut self,
        Parties { hosts, rows, .. }: &Parties,
        (count, start, stagger): (u32, Time, Span),
        place: &Place<'_>,
        flow: impl Fn(Time, DeviceId, DeviceId) -> Flow,
    ) -> Resolved<Plan> {
        let destinations = |row: &Row| row.to.as_ref().map_or(hosts.len() - 1, Vec::len) as u64;
        let pairs: u64 = rows.iter().map(destinations).sum();
        self.count(pairs as f64 * f64::from(count), place)?;
        let at = |number: u32| start + Span::from_ps(stagger.as_ps().saturating_mul(number.into()));
        let mut flows = Vec::new();
        for row in rows {
            let all = || (0..hosts.len()).filter(|to| *to != row.from).collect();
            for to in row.to.clone().unwrap_or_else(all) {
                flows.extend((0..count).map(|number| flow(at(number), hosts[row.from], hosts[to])));
            }
        }
        flows.sort_by_key(|flow| flow.at);
        Ok(Plan::Listed(flows.into()))
    }

    fn request_response(
        &mut self,
        spec: &RequestResponseSpec,
        place: &Place<'_>,
        label: &str,
    ) -> Resolved<(Plan, Behaviour)> {
        let (request, response) =
            (self.sizes(&spec.request, SizeOf::Flows), self.sizes(&spec.response, SizeOf::Flows));
        let think = match spec.think.as_ref().map(Spanned::get_ref) {
            None => Ok(Think::Constant(Span::ZERO)),
            Some(ThinkSpec::Constant(span)) => Ok(Think::Constant(*span)),
            Some(ThinkSpec::Drawn(period)) => period.resolve().map(Think::Drawn),
        };
        let think = think.map_err(|mistake| self.told(mistake));
        let turns = spec.turns.as_ref().map(|turns| *turns.get_ref());
        if let Some(written) = spec.turns.as_ref().filter(|turns| *turns.get_ref() == 0) {
            let mistake = Mistake::new(written.span(), "0 turns send nothing");
            return Err(self.told(mistake.with_help("write 1 or more")));
        }
        let plan = self.dialogues(spec, place, label, (request.as_ref().ok(), turns));
        let dialogue = Dialogue { request: request?, response: response?, turns, think: think? };
        Ok((plan?, Behaviour::Dialogue(dialogue)))
    }

    /// The plan of the connections with requests and responses.
    fn dialogues(
        &mut self,
        spec: &RequestResponseSpec,
        place: &Place<'_>,
        label: &str,
        (request, turns): (Option<&Sizes>, Option<u64>),
    ) -> Resolved<Plan> {
        let who = (spec.from.as_ref(), spec.to.as_ref(), spec.matrix.as_ref(), spec.hosts.as_ref());
        let start = Time::ZERO + spec.start;
        if spec.interval.is_some() {
            let at_once = [spec.flows.as_ref().map(Spanned::span), spec.stagger.as_ref().map(Spanned::span)];
            if let Some(span) = at_once.into_iter().flatten().next() {
                let mistake = Mistake::new(span, "with an `interval`, connections arrive one at a time");
                return Err(self.told(mistake.with_help("remove this key, or the `interval`")));
            }
            let mean = request.map_or(1.0, Sizes::mean) * turns.map_or(1.0, |turns| turns as f64);
            let (interval, arrivals, count) =
                (spec.interval.as_ref(), spec.arrivals.as_ref(), spec.count.as_ref());
            let keys =
                ArrivalKeys { who, rate: None, interval, arrivals, count, start, stop: spec.stop.as_ref() };
            return self.arriving(&keys, place, label, Bytes::OfProcesses(mean));
        }
        let random = [spec.arrivals.as_ref().map(Spanned::span), spec.count.as_ref().map(Spanned::span)];
        if let Some(span) = random.into_iter().flatten().next() {
            let mistake = Mistake::new(span, "this key needs connections that arrive at random");
            return Err(self.told(mistake.with_help("write the `interval` between them, or remove this key")));
        }
        let parties = self.parties(&place.parties(label, who));
        let stop = self.stop(spec.stop.as_ref(), start, place);
        let count = self.flows_of_a_pair(spec.flows.as_ref());
        let (parties, stop) = (parties?, stop?);
        if turns.is_none() && stop.is_none() {
            return Err(self.endless(place, "turns"));
        }
        let stagger = spec.stagger.as_ref().map_or(Span::ZERO, |stagger| *stagger.get_ref());
        let flow = |at, from, to| Flow { at, from, to, bytes: None, stop };
        self.of_pairs(&parties, (count?, start, stagger), place, flow)
    }

    fn flows(&mut self, spec: &FlowsSpec, place: &Place<'_>, label: &str) -> Resolved<Plan> {
        let Some(file) = &spec.file else { return self.drawn_flows(spec, place, label) };
        let others = [spec.from.as_ref().map(Spanned::span), spec.to.as_ref().map(Spanned::span)];
        let others = others.into_iter().chain([
            spec.matrix.as_ref().map(Spanned::span),
            spec.hosts.as_ref().map(Spanned::span),
            spec.size.as_ref().map(Spanned::span),
            spec.rate.as_ref().map(Spanned::span),
            spec.interval.as_ref().map(Spanned::span),
            spec.arrivals.as_ref().map(Spanned::span),
            spec.count.as_ref().map(Spanned::span),
        ]);
        if let Some(span) = others.flatten().next() {
            let mistake =
                Mistake::new(span, "the `file` already lists the hosts, sizes and times of the flows");
            return Err(self.told(mistake.with_help("remove this key, or the `file`")));
        }
        let path = self.file(file).ok_or(Told)?;
        self.inputs.push(path.clone());
        let help = "its columns are `start_s`, `source`, `destination` and `bytes`";
        let listed = read_list(&path)
            .map_err(|message| self.told(Mistake::new(file.span(), message).with_help(help)))?;
        let start = Time::ZERO + spec.start;
        let stop = self.stop(spec.stop.as_ref(), start, place)?;
        if stop.is_none() && listed.iter().any(|flow| flow.bytes.is_none()) {
            return Err(self.endless(place, "bytes"));
        }
        let mut flows = Vec::with_capacity(listed.len());
        for flow in listed {
            let mut host = |name: &str| {
                let found = place.topology.device_named(name);
                let found = found.filter(|id| place.topology.device(*id).kind == DeviceKind::Host);
                found.ok_or_else(|| {
                    let message = format!(
                        "line {} of `{}` names `{name}`, which is not a host",
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
            if stop.is_none_or(|stop| at < stop) {
                let stop = stop.filter(|_| flow.bytes.is_none());
                flows.push(Flow { at, from, to, bytes: flow.bytes, stop });
            }
        }
        flows.sort_by_key(|flow| flow.at);
        Ok(Plan::Listed(flows.into()))
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
                for name in HostNames::each(names) {
                    let host = self.host(&name, place.topology).ok_or(Told)?;
                    if Some(host) == to || senders.contains(&host) {
                        let what = if Some(host) == to { "cannot send to itself" } else { "is listed twice" };
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
                return Err(
                    self.told(Mistake::new(span, "0 rounds send nothing").with_help("write 1 or more"))
                );
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
