//! How the `[[traffic]]` of a scenario file becomes sources: names are looked up, rates become gaps.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use super::file::Reader;
use super::{Direction, Traffic};
use crate::config::{Spanned, listed};
use crate::link::Link;
use crate::packet::Packet;
use crate::topology::{DeviceId, DeviceKind, NameError, PortId, PortName, Topology, Vantage};
use crate::traffic::generator::{Limits, Sender, nth_port};
use crate::traffic::matrix::{self, GravityWeights, MatrixName, MatrixSpec, MatrixTable, Row};
use crate::traffic::rate::{Gap, LoadSpec, RateSpec};
use crate::traffic::replay::{ByAddressSpec, Speed};
use crate::traffic::size::Sizes;
use crate::traffic::spec::{CommonKeys, Protocol};
use crate::traffic::{
    CbrSpec, Generator, MarkovianSpec, Mistake, OnOffSpec, PoissonSpec, Process, ReplaySpec, ThinStreamsSpec,
    TrafficSpec, UDP,
};
use crate::units::{Bandwidth, Time};

/// The IP protocol number of TCP.
const TCP: u8 = 6;

/// The most flows of a pair of hosts: as many as there are source ports above the well-known.
const MOST_FLOWS: u32 = 64_512;

/// An entry on its way to a [`Generator`].
struct Entry<'a> {
    /// Where it stands.
    span: Range<usize>,
    kind: &'static str,
    label: String,
    keys: CommonKeys,
    topology: &'a Topology,
    seed: u64,
    until: Option<Time>,
    /// Flows of the entries before.
    flows_before: u32,
}

/// What an entry says about its rate.
#[derive(Clone)]
enum Pace {
    /// A rate.
    Rate(Spanned<RateSpec>),
    /// The gap itself.
    Gap(Gap),
    /// Nothing: the process or the matrix has its own.
    Own,
}

/// Where a replay enters.
enum Place {
    At(Vantage),
    Hosts(Vec<DeviceId>, Option<Vec<(IpNet, u32)>>),
}

/// What goes wrong without a place in the file: it has been told already.
struct Told;

type Resolved<T> = Result<T, Told>;

impl Reader<'_> {
    /// Every entry.
    pub(super) fn all_traffic(
        &mut self,
        entries: &[Spanned<TrafficSpec>],
        topology: &Topology,
        seed: u64,
        until: Option<Time>,
    ) -> Vec<Traffic> {
        let mut labels: Vec<String> = Vec::new();
        let mut flows_before = 0u32;
        let mut traffic = Vec::new();
        for (index, spec) in entries.iter().enumerate() {
            let (kind, keys) = match spec.get_ref() {
                TrafficSpec::Replay(replay) => {
                    labels.push(index.to_string());
                    flows_before += 1;
                    traffic.extend(self.replay(replay, spec.span(), topology));
                    continue;
                }
                TrafficSpec::Cbr(spec) => ("cbr", spec.common()),
                TrafficSpec::Poisson(spec) => ("poisson", spec.common()),
                TrafficSpec::OnOff(spec) => ("on-off", spec.common()),
                TrafficSpec::Markovian(spec) => ("markovian", spec.common()),
                TrafficSpec::ThinStreams(spec) => ("thin-streams", spec.common()),
            };
            let label = keys.name.as_ref().map_or(index.to_string(), |name| name.get_ref().clone());
            if let Some(name) = &keys.name
                && (labels.contains(&label) || label.is_empty())
            {
                let message = match label.is_empty() {
                    true => "a name may not be empty".to_owned(),
                    false => format!("another entry is named `{label}`"),
                };
                let help = "an entry's random numbers are by its name, or by its place from 0";
                self.wrong(name.span(), message, Some(help.to_owned()));
            }
            labels.push(label.clone());
            let flows = keys.flows.as_ref().map_or(1, |flows| (*flows.get_ref()).min(MOST_FLOWS));
            let span = spec.span();
            let entry = Entry { span, kind, label, keys, topology, seed, until, flows_before };
            flows_before = flows_before.wrapping_add(flows);
            let generator = match spec.get_ref() {
                TrafficSpec::Replay(_) => continue,
                TrafficSpec::Cbr(spec) => self.cbr(entry, spec),
                TrafficSpec::Poisson(spec) => self.poisson(entry, spec),
                TrafficSpec::OnOff(spec) => self.on_off(entry, spec),
                TrafficSpec::Markovian(spec) => self.markovian(entry, spec),
                TrafficSpec::ThinStreams(spec) => self.thin_streams(entry, spec),
            };
            traffic.extend(generator.map(Traffic::Generated));
        }
        traffic
    }

    fn replay(&mut self, replay: &ReplaySpec, entry: Range<usize>, topology: &Topology) -> Resolved<Traffic> {
        let capture = self.file(&replay.capture);
        let place = match (&replay.at, &replay.by_address) {
            (Some(at), None) => self.vantage(at, topology).map(Place::At).ok_or(Told),
            (None, Some(by)) => self.by_address(by, topology),
            (_, by) => {
                let message = match by {
                    Some(_) => "a capture is replayed either `at` a vantage or `by_address`",
                    None => "missing key `at` in [[traffic]]",
                };
                let span = by.as_ref().map_or(entry, Spanned::span);
                let help =
                    "write at = { port = \"r1:0\", direction = \"ingress\" }, or by_address = \"hash\"";
                Err(self.told(Mistake::new(span, message).with_help(help)))
            }
        };
        let speed = self.speed(replay, place.as_ref().ok(), topology);
        let (capture, speed) = (capture.ok_or(Told)?, speed?);
        Ok(match place? {
            Place::At(at) => Traffic::Replay { capture, at, speed },
            Place::Hosts(hosts, prefixes) => Traffic::ReplayByAddress { capture, hosts, prefixes, speed },
        })
    }

    /// The hosts that a capture is spread over, and the host of each prefix; none where a hash says it.
    fn by_address(&mut self, by: &Spanned<ByAddressSpec>, topology: &Topology) -> Resolved<Place> {
        let ByAddressSpec::Table(table) = by.get_ref() else {
            let hosts = topology.devices().filter(|(_, device)| device.kind == DeviceKind::Host);
            return Ok(Place::Hosts(hosts.map(|(id, _)| id).collect(), None));
        };
        let mut hosts: Vec<DeviceId> = Vec::new();
        let mut prefixes = Vec::new();
        for (prefix, name) in table {
            let host = self.host(name, topology).ok_or(Told)?;
            let known = hosts.iter().position(|known| *known == host);
            let number = known.unwrap_or_else(|| {
                hosts.push(host);
                hosts.len() - 1
            });
            prefixes.push((prefix.get_ref().0, number as u32));
        }
        if hosts.len() < 2 {
            let message = "packets go from one host to another, and the table has fewer than two";
            return Err(self.told(Mistake::new(by.span(), message)));
        }
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.prefix_len()));
        Ok(Place::Hosts(hosts, Some(prefixes)))
    }

    fn speed(&mut self, replay: &ReplaySpec, place: Option<&Place>, topology: &Topology) -> Resolved<Speed> {
        const BOUNDS: std::ops::RangeInclusive<f64> = 1e-6..=1e9;
        let rate = match (&replay.speed, &replay.rate) {
            (None, None) => return Ok(Speed::Recorded),
            (Some(speed), None) if BOUNDS.contains(speed.get_ref()) => {
                return Ok(Speed::Times(*speed.get_ref()));
            }
            (Some(speed), None) => {
                let message = format!("a speed cannot be {}", speed.get_ref());
                let help = "it is from 0.000001 to 1000000000, and 1 is as recorded";
                return Err(self.told(Mistake::new(speed.span(), message).with_help(help)));
            }
            (Some(_), Some(rate)) => {
                let mistake = Mistake::new(rate.span(), "the `speed` says the rate already");
                return Err(self.told(mistake.with_help("give one of them")));
            }
            (None, Some(rate)) => rate,
        };
        let RateSpec::Load(load) = rate.get_ref() else { return Ok(Speed::To(rate.get_ref().clone(), None)) };
        let link = match (&load.of, place) {
            (Some(of), _) => {
                let port = self.port(of, topology)?;
                (topology.port(port).egress, port)
            }
            (None, Some(Place::At(at))) => match at.direction {
                Direction::Egress => (topology.port(at.port).egress, at.port),
                Direction::Ingress => (topology.port(at.port).ingress, at.port),
            },
            (None, _) => {
                let mistake = Mistake::new(load.load.span(), "a load of which link?");
                return Err(self.told(mistake.with_help("write { load = 0.7, of = \"r1:1\" }")));
            }
        };
        let (link, name) = (topology.link(link.0).link, topology.port_name(link.1));
        // The length of packets is not known yet, but whether a load can be had of this link is.
        load.gap(&link, &name, 1.0).map_err(|mistake| self.told(mistake))?;
        Ok(Speed::To(rate.get_ref().clone(), Some((link, name))))
    }

    fn port(&mut self, name: &Spanned<PortName>, topology: &Topology) -> Resolved<PortId> {
        topology
            .port_named(name.get_ref())
            .map_err(|error| self.told(Mistake::new(name.span(), error.to_string()).with_help(error.help())))
    }

    fn poisson(&mut self, entry: Entry<'_>, spec: &PoissonSpec) -> Option<Generator> {
        let pace = spec.rate.clone().map_or(Pace::Own, Pace::Rate);
        self.generator(entry, Ok(Process::Poisson), Ok(pace), 1.0).ok()
    }

    fn cbr(&mut self, entry: Entry<'_>, spec: &CbrSpec) -> Option<Generator> {
        let pace = match (&spec.rate, &spec.interval) {
            (Some(rate), Some(interval)) => {
                let message = format!("the `interval` of {} says the rate already", interval.get_ref());
                Err(Mistake::new(rate.span(), message).with_help("give one of them"))
            }
            (_, Some(interval)) if interval.get_ref().as_ps() == 0 => {
                Err(Mistake::new(interval.span(), "an interval cannot be zero"))
            }
            (_, Some(interval)) => Ok(Pace::Gap(Gap::new(interval.get_ref().as_ps().into(), 1))),
            (rate, None) => Ok(rate.clone().map_or(Pace::Own, Pace::Rate)),
        };
        self.generator(entry, Ok(Process::Cbr(spec.phase)), pace, 1.0).ok()
    }

    fn on_off(&mut self, entry: Entry<'_>, spec: &OnOffSpec) -> Option<Generator> {
        let periods = spec.on.get_ref().resolve().and_then(|on| Ok((on, spec.off.get_ref().resolve()?)));
        let duty = periods.as_ref().map_or(1.0, |(on, off)| on.mean_ps() / (on.mean_ps() + off.mean_ps()));
        let (pace, mean_over_peak) = match (&spec.rate, &spec.peak) {
            (Some(_), Some(peak)) => {
                let message = "the mean `rate` says the peak already";
                (Err(Mistake::new(peak.span(), message).with_help("give one of them")), 1.0)
            }
            (None, Some(peak)) => (Ok(Pace::Rate(peak.clone())), 1.0),
            (rate, None) => (Ok(rate.clone().map_or(Pace::Own, Pace::Rate)), duty),
        };
        let on = spec.on.span();
        let generator = self
            .generator(entry, periods.map(|(on, off)| Process::OnOff(on, off)), pace, mean_over_peak)
            .ok()?;
        self.long_enough(&generator, on)
    }

    /// Whether an on period sends enough for the process to be what it is called.
    fn long_enough(&mut self, generator: &Generator, on: Range<usize>) -> Option<Generator> {
        const LEAST: f64 = 0.001;
        let Process::OnOff(periods, _) = &generator.process else { return None };
        let packets =
            |sender: &Sender| sender.gap.map_or(f64::MAX, |gap| periods.mean_ps() / gap.as_ps_f64());
        let fewest = generator.senders.iter().map(packets).fold(f64::MAX, f64::min);
        if fewest < LEAST {
            let message = format!("an on period sends {fewest:.2e} packets on average");
            let help = "make the periods longer, or the rate higher: less than 0.001 is no burst";
            self.wrong(on, message, Some(help.to_owned()));
            return None;
        }
        Some(generator.clone())
    }

    fn markovian(&mut self, entry: Entry<'_>, spec: &MarkovianSpec) -> Option<Generator> {
        let map = match (&spec.map_per_s, &spec.mmpp_per_s) {
            (Some(map), None) => map.get_ref().resolve(),
            (None, Some(mmpp)) => mmpp.get_ref().resolve(),
            (map, _) => {
                let span = map.as_ref().map_or(entry.span.clone(), Spanned::span);
                Err(Mistake::new(span, "a markovian source has either `map_per_s` or `mmpp_per_s`").with_help(
                    "write for example mmpp_per_s = { rates = [9000, 100], generator = [[-10, 10], [5, -5]] }",
                ))
            }
        };
        let pace = spec.rate.clone().map_or(Pace::Own, Pace::Rate);
        self.generator(entry, map.map(Process::Markovian), Ok(pace), 1.0).ok()
    }

    fn thin_streams(&mut self, entry: Entry<'_>, spec: &ThinStreamsSpec) -> Option<Generator> {
        let streams = entry.keys.flows.as_ref().map_or(1, |flows| *flows.get_ref()).max(1);
        let pace = match (&spec.rate, &spec.gap) {
            (Some(rate), Some(gap)) => {
                let message = format!("the `gap` of {} says the rate already", gap.get_ref());
                Err(Mistake::new(rate.span(), message).with_help("give one of them"))
            }
            (_, Some(gap)) if gap.get_ref().as_ps() == 0 => {
                Err(Mistake::new(gap.span(), "a gap cannot be zero on average"))
            }
            (_, Some(gap)) => Ok(Pace::Gap(Gap::new(gap.get_ref().as_ps().into(), streams.into()))),
            (rate, None) => Ok(rate.clone().map_or(Pace::Own, Pace::Rate)),
        };
        self.generator(entry, spec.sigma().map(Process::ThinStreams), pace, 1.0).ok()
    }

    fn told(&mut self, mistake: Mistake) -> Told {
        self.wrong(mistake.span, mistake.message, mistake.help);
        Told
    }

    /// Everything that the kinds have in common. The mean rate is `mean_over_peak` of that of the gaps.
    fn generator(
        &mut self,
        entry: Entry<'_>,
        process: Result<Process, Mistake>,
        pace: Result<Pace, Mistake>,
        mean_over_peak: f64,
    ) -> Resolved<Generator> {
        // Every part is looked at before the first mistake ends it, so that all are told.
        let parties = self.parties(&entry);
        let sizes = self.sizes(&entry.keys.size);
        let template = self.template(&entry);
        let limits = self.limits(&entry);
        let process = process.map_err(|mistake| self.told(mistake));
        let pace = pace.map_err(|mistake| self.told(mistake));
        let (hosts, rows) = parties?;
        let (sizes, template, limits, process, pace) = (sizes?, template?, limits?, process?, pace?);
        let mut senders = Vec::new();
        let count = rows.len();
        for row in rows {
            let host = hosts[row.from];
            let gap = self.gap(&entry, &process, &pace, &row, (host, count), &sizes)?;
            let gap = gap.map(|gap| gap.of_part(1.0 / mean_over_peak));
            if gap.is_some_and(|gap| gap.as_ps_f64() < 1.0) {
                let span = if let Pace::Rate(rate) = &pace { rate.span() } else { entry.span.clone() };
                return Err(self.told(Mistake::new(span, "more than one packet each picosecond")));
            }
            senders.push(Sender { host, gap, to: row.to, destinations: row.destinations });
        }
        let ports = entry.keys.ports.as_ref();
        const FIRST_DYNAMIC_PORT: u16 = 49_152;
        const DISCARD_PORT: u16 = 9;
        let own_port = nth_port(FIRST_DYNAMIC_PORT, entry.flows_before);
        let mut generator = Generator {
            kind: entry.kind,
            label: entry.label,
            process,
            sizes,
            hosts,
            senders,
            flows: entry.keys.flows.as_ref().map_or(1, |flows| *flows.get_ref()),
            spread: entry.keys.spread,
            template,
            source_port: ports.and_then(|ports| ports.source).unwrap_or(own_port),
            destination_port: ports.and_then(|ports| ports.destination).unwrap_or(DISCARD_PORT),
            start: Time::ZERO + entry.keys.start,
            limits,
            warnings: Vec::new(),
        };
        generator.warnings = overloads(&generator, entry.topology, mean_over_peak);
        if let Pace::Rate(rate) = &pace
            && let RateSpec::Load(LoadSpec { load, of: Some(of) }) = rate.get_ref()
            && *load.get_ref() > 1.0
        {
            generator.warnings.push(overload(&of.get_ref().to_string(), *load.get_ref()));
        }
        Ok(generator)
    }

    /// Who sends to whom.
    fn parties(&mut self, entry: &Entry<'_>) -> Resolved<(Arc<[DeviceId]>, Vec<Row>)> {
        let keys = &entry.keys;
        match (&keys.from, &keys.to, &keys.matrix, &keys.hosts) {
            (Some(from), Some(to), None, None) => {
                let (source, destination) = (self.host(from, entry.topology), self.host(to, entry.topology));
                if source.is_some() && source == destination {
                    let message = format!("`{}` cannot send to itself", to.get_ref());
                    return Err(self.told(Mistake::new(to.span(), message)));
                }
                let hosts = Arc::new([source.ok_or(Told)?, destination.ok_or(Told)?]);
                let destinations = matrix::Destinations::One;
                Ok((
                    hosts,
                    vec![Row { from: 0, to: Some(vec![1]), destinations, part: 1.0, demand_bps: None }],
                ))
            }
            (None, None, Some(matrix), hosts) => self.matrix(entry, matrix, hosts.as_ref()),
            (from, to, matrix, hosts) => {
                let extra = hosts.as_ref().filter(|_| matrix.is_none()).map(Spanned::span);
                let beside = matrix.as_ref().and(from.as_ref().or(to.as_ref())).map(Spanned::span);
                let one = if to.is_some() { "`from` is" } else { "`to` is" };
                let (span, message) = match (extra, beside) {
                    (Some(span), _) => {
                        (span, "`hosts` are those of a `matrix`, and there is none".to_owned())
                    }
                    (_, Some(span)) => (span, "the `matrix` says who sends to whom already".to_owned()),
                    _ if from.is_some() || to.is_some() => (entry.span.clone(), format!("{one} missing")),
                    _ => (entry.span.clone(), "nobody sends".to_owned()),
                };
                let help = "write `from` and `to`, or a `matrix` and, for some hosts only, `hosts`";
                Err(self.told(Mistake::new(span, message).with_help(help)))
            }
        }
    }

    fn matrix(
        &mut self,
        entry: &Entry<'_>,
        spec: &Spanned<MatrixSpec>,
        named: Option<&Spanned<Vec<Spanned<String>>>>,
    ) -> Resolved<(Arc<[DeviceId]>, Vec<Row>)> {
        let topology = entry.topology;
        let mut hosts: Vec<DeviceId> = Vec::new();
        match named {
            Some(names) => {
                for name in names.get_ref() {
                    let host = self.host(name, topology).ok_or(Told)?;
                    if hosts.contains(&host) {
                        let message = format!("`{}` is there twice", name.get_ref());
                        return Err(self.told(Mistake::new(name.span(), message)));
                    }
                    hosts.push(host);
                }
            }
            None => {
                let all = topology.devices().filter(|(_, device)| device.kind == DeviceKind::Host);
                hosts.extend(all.map(|(id, _)| id));
            }
        }
        if hosts.len() < 2 {
            let span = named.map_or(spec.span(), Spanned::span);
            let message = format!("a matrix needs two hosts or more, and there is {}", hosts.len());
            return Err(self.told(Mistake::new(span, message)));
        }
        let rows = match spec.get_ref() {
            MatrixSpec::Named(MatrixName::Uniform) => matrix::uniform(hosts.len()),
            MatrixSpec::Named(MatrixName::Permutation) => {
                matrix::permutation(hosts.len(), entry.seed, &entry.label)
            }
            MatrixSpec::Named(MatrixName::Gravity) => {
                let bandwidths = hosts.iter().map(|host| {
                    let (port, link) = access(topology, *host);
                    match (port, link.map(|link| link.bandwidth)) {
                        (Some(_), Some(Bandwidth::Limited(rate))) => Ok(rate.as_bps() as f64),
                        (Some(port), _) => {
                            Err(format!("`{}` has unlimited bandwidth", topology.port_name(port)))
                        }
                        (None, _) => Err(format!("no link reaches `{}`", topology.device(*host).name)),
                    }
                });
                let bandwidths: Vec<f64> = bandwidths.collect::<Result<_, _>>().map_err(|message| {
                    let help = "give weights: matrix = { gravity = { h0 = 1, h1 = 2.5 } }";
                    self.told(Mistake::new(spec.span(), message).with_help(help))
                })?;
                matrix::gravity(&bandwidths)
            }
            MatrixSpec::Table(MatrixTable { gravity: Some(weights), file: None, scale: None }) => {
                let weights = self.weights(weights, &hosts, topology, spec.span())?;
                matrix::gravity(&weights)
            }
            MatrixSpec::Table(MatrixTable { gravity: None, file: Some(file), .. }) => {
                matrix::demanded(&self.demands(file, &hosts, topology)?)
            }
            MatrixSpec::Table(_) => {
                let message =
                    "a matrix is either a `file`, with or without a `scale`, or weights for `gravity`";
                return Err(self.told(Mistake::new(spec.span(), message)));
            }
        };
        Ok((hosts.into(), rows))
    }

    /// The weight of each host.
    fn weights(
        &mut self,
        named: &GravityWeights,
        hosts: &[DeviceId],
        topology: &Topology,
        span: Range<usize>,
    ) -> Resolved<Vec<f64>> {
        let mut weights = vec![None; hosts.len()];
        for (name, weight) in &named.0 {
            let host = self.host(name, topology).ok_or(Told)?;
            let Some(position) = hosts.iter().position(|known| *known == host) else {
                let message = format!("`{}` is not among `hosts`", name.get_ref());
                return Err(self.told(Mistake::new(name.span(), message)));
            };
            let value = *weight.get_ref();
            if !(value.is_finite() && value > 0.0) {
                let message = format!("a weight cannot be {value}");
                return Err(
                    self.told(Mistake::new(weight.span(), message).with_help("it must be above zero"))
                );
            }
            weights[position] = Some(value);
        }
        let missing = hosts.iter().zip(&weights).filter(|(_, weight)| weight.is_none());
        let missing: Vec<&str> = missing.map(|(host, _)| topology.device(*host).name.as_str()).collect();
        if !missing.is_empty() {
            let message = format!("there is no weight for {}", listed(missing));
            let help = "give each of the entry's hosts its weight, or name fewer `hosts`";
            return Err(self.told(Mistake::new(span, message).with_help(help)));
        }
        Ok(weights.into_iter().flatten().collect())
    }

    /// The demands of a file, by positions among the hosts.
    fn demands(
        &mut self,
        file: &Spanned<PathBuf>,
        hosts: &[DeviceId],
        topology: &Topology,
    ) -> Resolved<Vec<(usize, usize, f64)>> {
        let path = self.file(file).ok_or(Told)?;
        self.inputs.push(path.clone());
        let help = "its columns are `source`, `destination` and `bandwidth_bps`";
        let demands = matrix::read_demands(&path)
            .map_err(|message| self.told(Mistake::new(file.span(), message).with_help(help)))?;
        let position = |name: &str| {
            let host = topology.device_named(name)?;
            hosts.iter().position(|known| *known == host)
        };
        let mut resolved = Vec::with_capacity(demands.len());
        for demand in &demands {
            let pair = [&demand.source, &demand.destination].map(|name| position(name).ok_or(name));
            match pair {
                [Ok(from), Ok(to)] => resolved.push((from, to, demand.bandwidth_bps)),
                [Err(name), _] | [_, Err(name)] => {
                    let message =
                        format!("`{}` names `{name}`, which is no host of this entry", path.display());
                    return Err(self.told(Mistake::new(file.span(), message)));
                }
            }
        }
        Ok(resolved)
    }

    fn sizes(&mut self, spec: &Spanned<crate::traffic::size::SizeSpec>) -> Resolved<Sizes> {
        let mut missing = false;
        let sizes = Sizes::resolve(spec, &mut |file| {
            let path = self.file(file);
            self.inputs.extend(path.clone());
            missing |= path.is_none();
            path
        });
        match sizes {
            Ok(_) if missing => Err(Told),
            Ok(sizes) => Ok(sizes),
            Err(mistake) => Err(self.told(mistake)),
        }
    }

    fn template(&mut self, entry: &Entry<'_>) -> Resolved<Packet> {
        let keys = &entry.keys;
        let dscp = keys.dscp.as_ref().map_or(0, |dscp| *dscp.get_ref());
        let mut result = Ok(());
        if let Some(written) = keys.dscp.as_ref().filter(|_| dscp > 63) {
            let message = format!("a code point cannot be {dscp}");
            result = Err(self.told(Mistake::new(written.span(), message).with_help("it is from 0 to 63")));
        }
        if let Some(flows) = &keys.flows
            && !(1..=MOST_FLOWS).contains(flows.get_ref())
        {
            let message = format!("a pair of hosts cannot have {} flows", flows.get_ref());
            let help = format!("write 1 to {MOST_FLOWS}: each takes a source port");
            result = Err(self.told(Mistake::new(flows.span(), message).with_help(help)));
        }
        let trp = match keys.protocol {
            Protocol::Udp => UDP,
            Protocol::Tcp => TCP,
        };
        result.map(|()| Packet { trp, ttl: 64, dscp, ..Packet::default() })
    }

    fn limits(&mut self, entry: &Entry<'_>) -> Resolved<Limits> {
        let (keys, start) = (&entry.keys, Time::ZERO + entry.keys.start);
        let mut result = Ok(());
        let packets = keys.packets.as_ref().map(|packets| *packets.get_ref());
        if let Some(written) = keys.packets.as_ref().filter(|packets| *packets.get_ref() == 0) {
            let mistake = Mistake::new(written.span(), "there are no packets to send");
            result = Err(self.told(mistake.with_help("write 1 or more")));
        }
        let stop = keys.stop.as_ref().map(|stop| Time::ZERO + *stop.get_ref());
        if let Some(written) = keys.stop.as_ref().filter(|_| stop.is_some_and(|stop| stop <= start)) {
            let message = format!("`stop` is not after `start`, {}", keys.start);
            result = Err(self.told(Mistake::new(written.span(), message)));
        }
        if packets.is_none() && stop.is_none() && entry.until.is_none() {
            let mistake = Mistake::new(entry.span.clone(), "this traffic would never end");
            let help = "give it `packets` or `stop`, or the scenario `until`";
            result = Err(self.told(mistake.with_help(help)));
        }
        result.map(|()| Limits { packets, stop, until: entry.until })
    }

    /// The gap between the packets of one of `count` senders; `None` for the process's own.
    fn gap(
        &mut self,
        entry: &Entry<'_>,
        process: &Process,
        pace: &Pace,
        row: &Row,
        (host, count): (DeviceId, usize),
        sizes: &Sizes,
    ) -> Resolved<Option<Gap>> {
        let scale = entry.keys.matrix.as_ref().and_then(|matrix| match matrix.get_ref() {
            MatrixSpec::Table(table) => table.scale.as_ref(),
            MatrixSpec::Named(_) => None,
        });
        if let (Some(scale), false) = (scale, matches!(pace, Pace::Own)) {
            let mistake = Mistake::new(scale.span(), "the demands are scaled twice: the entry has a rate");
            return Err(self.told(mistake.with_help("leave `scale` out, or the rate")));
        }
        let gap = match pace {
            Pace::Gap(gap) => Ok(gap.of_part(row.part)),
            Pace::Rate(rate) => match rate.get_ref() {
                RateSpec::Bandwidth(rate) => Ok(rate.gap(sizes.mean()).of_part(row.part)),
                RateSpec::Packets(rate) => Ok(rate.gap().of_part(row.part)),
                RateSpec::Load(load) => {
                    self.load_gap(entry.topology, load, host, row.part / count as f64, sizes)?
                }
            },
            Pace::Own => match (process, row.demand_bps) {
                (_, Some(demand)) => {
                    let span = entry.keys.matrix.as_ref().map_or(entry.span.clone(), Spanned::span);
                    matrix::scaled(demand, scale, span).map(|rate| rate.gap(sizes.mean()))
                }
                (Process::Markovian(_), None) => return Ok(None),
                (process, None) => {
                    let or = match process {
                        Process::Cbr(_) => ", or an `interval`",
                        Process::OnOff(..) => ", or a `peak`",
                        Process::ThinStreams(_) => ", or a `gap`",
                        _ => "",
                    };
                    let help = format!("write \"70 Mbps\", \"5000 packets/s\" or {{ load = 0.7 }}{or}");
                    Err(Mistake::new(entry.span.clone(), "missing key `rate` in [[traffic]]").with_help(help))
                }
            },
        };
        gap.map(Some).map_err(|mistake| self.told(mistake))
    }

    /// The gap of a sender that offers a load to its own link, or `part` of one to a given link.
    fn load_gap(
        &mut self,
        topology: &Topology,
        load: &LoadSpec,
        host: DeviceId,
        part: f64,
        sizes: &Sizes,
    ) -> Resolved<Result<Gap, Mistake>> {
        let Some(of) = &load.of else {
            let (Some(port), Some(link)) = access(topology, host) else {
                let message = format!("no link reaches `{}`", topology.device(host).name);
                return Err(self.told(Mistake::new(load.load.span(), message)));
            };
            return Ok(load.gap(link, &topology.port_name(port), sizes.mean()));
        };
        let port = self.port(of, topology)?;
        let link = &topology.link(topology.port(port).egress).link;
        let gap = load.gap(link, &of.get_ref().to_string(), sizes.mean());
        Ok(gap.map(|gap| gap.of_part(part)))
    }

    pub(super) fn host(&mut self, name: &Spanned<String>, topology: &Topology) -> Option<DeviceId> {
        let hosts = || {
            topology
                .devices()
                .map(|(_, device)| device)
                .filter(|device| device.kind == DeviceKind::Host)
                .map(|device| device.name.as_str())
        };
        match topology.device_named(name.get_ref()) {
            Some(id) if topology.device(id).kind == DeviceKind::Host => Some(id),
            Some(_) => {
                let message = format!("`{}` is not a host: it forwards only", name.get_ref());
                let names = hosts().collect::<Vec<_>>();
                let help = format!("hosts: {}", listed(names));
                self.wrong(name.span(), message, Some(help));
                None
            }
            None => {
                let known = hosts().collect::<Vec<_>>();
                let error = NameError::device(name.get_ref(), known.iter().copied());
                self.wrong(name.span(), error.to_string(), Some(error.help().to_owned()));
                None
            }
        }
    }
}

/// A host's first port, and the link on which its packets leave there.
fn access(topology: &Topology, host: DeviceId) -> (Option<PortId>, Option<&Link>) {
    let port = topology.device(host).ports.first().copied();
    (port, port.map(|port| &topology.link(topology.port(port).egress).link))
}

fn overload(port: &str, load: f64) -> String {
    format!(
        "the link of {port} is offered {load:.3} times what it can carry: what waits for it grows without end"
    )
}

/// What the senders' own links cannot carry, in words.
fn overloads(generator: &Generator, topology: &Topology, mean_over_peak: f64) -> Vec<String> {
    let load = |sender: &Sender| -> Option<(PortId, f64)> {
        let (port, link) = access(topology, sender.host);
        let Bandwidth::Limited(rate) = link?.bandwidth else { return None };
        let packets_per_s = match (&generator.process, sender.gap) {
            (_, Some(gap)) => gap.as_packets_per_s() * mean_over_peak,
            (Process::Markovian(map), None) => map.packets_per_s(),
            (_, None) => return None,
        };
        let bits = 8.0 * (generator.sizes.mean() + link?.overhead.get() as f64);
        Some((port?, packets_per_s * bits / rate.as_bps() as f64))
    };
    // A load of exactly 1 may come out a little above it.
    let over: Vec<(PortId, f64)> =
        generator.senders.iter().filter_map(load).filter(|(_, load)| *load > 1.000_001).collect();
    let Some((port, worst)) = over.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else { return Vec::new() };
    let others = match over.len() - 1 {
        0 => String::new(),
        others => format!(" (and {others} other links of its entry)"),
    };
    vec![format!("{}{others}", overload(&topology.port_name(*port), *worst))]
}

impl Traffic {
    /// Its sources for people, in the order of their numbers.
    pub fn source_names(&self, topology: &Topology) -> Vec<String> {
        match self {
            Traffic::Replay { capture, at, .. } => {
                let direction = match at.direction {
                    Direction::Ingress => "ingress",
                    Direction::Egress => "egress",
                };
                vec![format!(
                    "replay of {} at {} {direction}",
                    capture.display(),
                    topology.port_name(at.port)
                )]
            }
            Traffic::ReplayByAddress { capture, hosts, .. } => {
                let name = |host: &DeviceId| {
                    format!("replay of {} from {}", capture.display(), topology.device(*host).name)
                };
                hosts.iter().map(name).collect()
            }
            Traffic::Generated(generator) => {
                let name = |sender: &Sender| {
                    let from = &topology.device(sender.host).name;
                    let to = match sender.to.as_deref() {
                        Some([one]) => topology.device(generator.hosts[*one]).name.clone(),
                        Some(some) => format!("{} hosts", some.len()),
                        None => format!("{} hosts", generator.hosts.len() - 1),
                    };
                    match generator.label.parse::<u64>() {
                        Ok(_) => format!("{} from {from} to {to}", generator.kind),
                        Err(_) => format!("{}: {} from {from} to {to}", generator.label, generator.kind),
                    }
                };
                generator.senders.iter().map(name).collect()
            }
        }
    }
}
