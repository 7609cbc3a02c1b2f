//! Converts the `[[traffic]]` entries of a scenario file to sources: looks up names, turns rates into gaps.

mod arrivals;
mod connections;
mod mtu;
mod names;
mod pace;
mod parties;
mod paths;
mod place;
mod reach;
mod replay;
mod work;

use std::ops::Range;
use std::sync::Arc;

use super::Traffic;
use super::reader::Reader;
use crate::config::Spanned;
use crate::packet::{Packet, VlanTag};
use crate::topology::Topology;
use crate::traffic::generator::{Limits, Sender, nth_port};
use crate::traffic::rate::{Gap, LoadSpec, RateSpec};
use crate::traffic::size::{SizeOf, SizeSpec, Sizes};
use crate::traffic::spec::{CommonKeys, Protocol};
use crate::traffic::{
    CbrSpec, CustomTrafficSpec, Generator, MarkovianSpec, Mistake, OnOffSpec, PoissonSpec, Process,
    SourceEntry, ThinStreamsSpec, TrafficSpec, TransportSpec, UDP,
};
use crate::transport::tcp;
use crate::units::Time;
pub(crate) use names::entry_name;
use pace::{Pace, overload, overloads};
use parties::{Parties, PartyKeys};
use paths::{Paths, destinations, off_path};
use place::Place;

/// The maximum number of flows of a pair of hosts: the number of source ports above the well-known ones.
const MOST_FLOWS: u32 = 64_512;

/// The highest VLAN id; 4095 is reserved (IEEE 802.1Q).
const MOST_VLAN: u16 = 4_094;

/// An entry that becomes a [`Generator`].
struct Entry<'a> {
    /// Its position in the file.
    span: Range<usize>,
    kind: &'static str,
    label: String,
    keys: CommonKeys,
    topology: &'a Arc<Topology>,
    seed: u64,
    until: Option<Time>,
    /// The number of flows of the entries before.
    flows_before: u32,
}

impl Entry<'_> {
    fn parties(&self) -> PartyKeys<'_> {
        PartyKeys {
            span: self.span.clone(),
            label: &self.label,
            topology: self.topology,
            seed: self.seed,
            from: self.keys.from.as_ref(),
            to: self.keys.to.as_ref(),
            matrix: self.keys.matrix.as_ref(),
            hosts: self.keys.hosts.as_ref(),
        }
    }
}

/// Marks a failure whose mistake has already been reported.
pub(super) struct Told;

pub(super) type Resolved<T> = Result<T, Told>;

impl Reader<'_> {
    /// Resolves every entry.
    pub(super) fn all_traffic(
        &mut self,
        entries: &[Spanned<TrafficSpec>],
        topology: &Arc<Topology>,
        seed: u64,
        until: Option<Time>,
        transport: &TransportSpec,
    ) -> Vec<Traffic> {
        let mut labels: Vec<String> = Vec::new();
        // A mistake in it is reported once, even if several entries use it.
        let _ = self.transport(transport);
        let mut flows_before = 0u32;
        let mut traffic = Vec::new();
        for (index, spec) in entries.iter().enumerate() {
            let (kind, keys) = match spec.get_ref() {
                TrafficSpec::Replay(replay) => {
                    labels.push(index.to_string());
                    flows_before += 1;
                    traffic.extend(self.replay(replay, spec.span(), topology).ok());
                    continue;
                }
                TrafficSpec::Custom(custom) => {
                    let label = self.label(&custom.name, index, &mut labels);
                    traffic.extend(self.custom(custom, label, spec.span(), topology).ok());
                    continue;
                }
                connections if connections.has_connections() => {
                    let place = Place { span: spec.span(), index, topology, seed, until, transport };
                    let connections = self.connections(spec.get_ref(), &place, &mut labels);
                    traffic.extend(connections.map(Traffic::Connections).ok());
                    continue;
                }
                TrafficSpec::Cbr(spec) => ("cbr", spec.common()),
                TrafficSpec::Poisson(spec) => ("poisson", spec.common()),
                TrafficSpec::OnOff(spec) => ("on-off", spec.common()),
                TrafficSpec::Markovian(spec) => ("markovian", spec.common()),
                TrafficSpec::ThinStreams(spec) => ("thin-streams", spec.common()),
                _ => continue,
            };
            let label = self.label(&keys.name, index, &mut labels);
            let flows = keys.flows.as_ref().map_or(1, |flows| (*flows.get_ref()).min(MOST_FLOWS));
            let span = spec.span();
            let entry = Entry { span, kind, label, keys, topology, seed, until, flows_before };
            flows_before = flows_before.wrapping_add(flows);
            let generator = match spec.get_ref() {
                TrafficSpec::Cbr(spec) => self.cbr(entry, spec),
                TrafficSpec::Poisson(spec) => self.poisson(entry, spec),
                TrafficSpec::OnOff(spec) => self.on_off(entry, spec),
                TrafficSpec::Markovian(spec) => self.markovian(entry, spec),
                TrafficSpec::ThinStreams(spec) => self.thin_streams(entry, spec),
                _ => None,
            };
            traffic.extend(generator.map(Traffic::Generated));
        }
        traffic
    }

    /// The name of an entry, or its index. `labels` are the names of the entries before.
    fn label(&mut self, name: &Option<Spanned<String>>, index: usize, labels: &mut Vec<String>) -> String {
        let label = name.as_ref().map_or(index.to_string(), |name| name.get_ref().clone());
        if let Some(name) = name
            && (labels.contains(&label) || label.is_empty())
        {
            let message = match label.is_empty() {
                true => "the name is empty".to_owned(),
                false => format!("another entry is named `{label}`"),
            };
            let help = "an entry's random numbers depend on its name, or on its index from 0";
            self.wrong(name.span(), message, Some(help.to_owned()));
        }
        labels.push(label.clone());
        label
    }

    /// A source defined by another crate: its place and its parameters.
    fn custom(
        &mut self,
        spec: &CustomTrafficSpec,
        label: String,
        span: Range<usize>,
        topology: &Topology,
    ) -> Resolved<Traffic> {
        let entry = match (&spec.from, &spec.at) {
            (Some(from), None) => self.host(from, topology).map(SourceEntry::Host).ok_or(Told)?,
            (None, Some(at)) => self.vantage(at, topology).map(SourceEntry::Vantage).ok_or(Told)?,
            (from, _) => {
                let message = match from {
                    Some(_) => "packets enter either `from` a host or `at` a vantage",
                    None => "missing key `from` in [[traffic]]",
                };
                let span = from.as_ref().map_or(span, Spanned::span);
                let help = "write from = \"a\" (a host), or at = { port = \"r1:0\", direction = \"egress\" }";
                return Err(self.told(Mistake::new(span, message).with_help(help)));
            }
        };
        let resolved = spec.resolve(label, entry, self.document);
        resolved.map(Traffic::Custom).map_err(|error| {
            self.errors.push(error);
            Told
        })
    }

    fn poisson(&mut self, entry: Entry<'_>, spec: &PoissonSpec) -> Option<Generator> {
        let pace = spec.rate.clone().map_or(Pace::Own, Pace::Rate);
        self.generator(entry, Ok(Process::Poisson), Ok(pace), 1.0).ok()
    }

    fn cbr(&mut self, entry: Entry<'_>, spec: &CbrSpec) -> Option<Generator> {
        let pace = match (&spec.rate, &spec.interval) {
            (Some(rate), Some(interval)) => {
                let message = format!("the `interval` of {} already sets the rate", interval.get_ref());
                Err(Mistake::new(rate.span(), message).with_help("write only one of them"))
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
                let message = "the mean `rate` already sets the peak";
                (Err(Mistake::new(peak.span(), message).with_help("write only one of them")), 1.0)
            }
            (None, Some(peak)) => (Ok(Pace::Rate(peak.clone())), 1.0),
            (rate, None) => (Ok(rate.clone().map_or(Pace::Own, Pace::Rate)), duty),
        };
        let on = spec.on.span();
        let generator = self
            .generator(entry, periods.map(|(on, off)| Process::OnOff(on, off)), pace, mean_over_peak)
            .ok()?;
        self.long_enough(generator, on)
    }

    /// Whether an on period sends enough packets for an on-off process.
    fn long_enough(&mut self, generator: Generator, on: Range<usize>) -> Option<Generator> {
        const LEAST: f64 = 0.001;
        let Process::OnOff(periods, _) = &generator.process else { return None };
        let packets =
            |sender: &Sender| sender.gap.map_or(f64::MAX, |gap| periods.mean_ps() / gap.as_ps_f64());
        let fewest = generator.senders.iter().map(packets).fold(f64::MAX, f64::min);
        if fewest < LEAST {
            let message = format!("an on period sends {fewest:.2e} packets on average");
            let help = "make the periods longer or the rate higher: the minimum is 0.001 packets on average";
            self.wrong(on, message, Some(help.to_owned()));
            return None;
        }
        Some(generator)
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
                let message = format!("the `gap` of {} already sets the rate", gap.get_ref());
                Err(Mistake::new(rate.span(), message).with_help("write only one of them"))
            }
            (_, Some(gap)) if gap.get_ref().as_ps() == 0 => {
                Err(Mistake::new(gap.span(), "the mean gap cannot be zero"))
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

    /// The steps common to all kinds. The mean rate is `mean_over_peak` times the rate of the gaps.
    fn generator(
        &mut self,
        entry: Entry<'_>,
        process: Result<Process, Mistake>,
        pace: Result<Pace, Mistake>,
        mean_over_peak: f64,
    ) -> Resolved<Generator> {
        // Every part is examined before the first mistake returns, so that all mistakes are reported.
        let parties = self.parties(&entry.parties());
        let sizes = self.sizes(&entry.keys.size, SizeOf::Packets);
        let template = self.template(&entry);
        let limits = self.limits(&entry);
        let process = process.map_err(|mistake| self.told(mistake));
        let pace = pace.map_err(|mistake| self.told(mistake));
        let Parties { hosts, rows, warning } = parties?;
        let (sizes, template, limits, process, pace) = (sizes?, template?, limits?, process?, pace?);
        let mut senders = Vec::new();
        let count = rows.len();
        for row in rows {
            let host = hosts[row.from];
            let gap = self.gap(&entry, &process, &pace, &row, (host, count), &sizes)?;
            let gap = gap.map(|gap| gap.of_part(1.0 / mean_over_peak));
            if gap.is_some_and(|gap| gap.as_ps_f64() <= 1.0) {
                let span = if let Pace::Rate(rate) = &pace { rate.span() } else { entry.span.clone() };
                return Err(self.told(Mistake::new(span, "the rate is above one packet per picosecond")));
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
        generator.warnings.extend(warning);
        generator.warnings.append(&mut self.remarks);
        let overloads = overloads(&generator, entry.topology, mean_over_peak);
        generator.warnings.extend(overloads);
        generator.warnings.extend(work::many(&generator, mean_over_peak));
        generator.warnings.extend(mtu::too_long(&generator, entry.topology, entry.seed));
        if let Pace::Rate(rate) = &pace
            && let RateSpec::Load(LoadSpec { load, of: Some(of) }) = rate.get_ref()
        {
            if *load.get_ref() > 1.0 {
                generator.warnings.push(overload(&of.get_ref().to_string(), *load.get_ref()));
            }
            if let Some(port) = self.port(of, entry.topology) {
                let paths = Paths::new(entry.topology, entry.seed);
                let of_sender =
                    |sender: &Sender| (sender.host, destinations(sender.to.as_deref(), &generator.hosts));
                let senders = generator.senders.iter().map(of_sender);
                let off = off_path(&generator.label, port, senders, generator.template.trp, paths);
                generator.warnings.extend(off);
            }
        }
        Ok(generator)
    }

    fn sizes(&mut self, spec: &Spanned<SizeSpec>, of: SizeOf) -> Resolved<Sizes> {
        let mut missing = false;
        let sizes = Sizes::resolve(spec, of, &mut |file| {
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
            let message = format!("{dscp} is not a DSCP");
            result = Err(self.told(Mistake::new(written.span(), message).with_help("write 0 to 63")));
        }
        if let Some(flows) = &keys.flows
            && !(1..=MOST_FLOWS).contains(flows.get_ref())
        {
            let message = format!("a pair of hosts cannot have {} flows", flows.get_ref());
            let help = format!("write 1 to {MOST_FLOWS}: each flow uses one source port");
            result = Err(self.told(Mistake::new(flows.span(), message).with_help(help)));
        }
        let pcp = keys.pcp.as_ref().map_or(0, |pcp| *pcp.get_ref());
        if let Some(written) = keys.pcp.as_ref().filter(|_| pcp > 7) {
            let message = format!("{pcp} is not a priority code point");
            result = Err(self.told(Mistake::new(written.span(), message).with_help("write 0 to 7")));
        }
        let vlan = keys.vlan.as_ref().map_or(0, |vlan| *vlan.get_ref());
        if let Some(written) = keys.vlan.as_ref().filter(|_| vlan > MOST_VLAN) {
            let message = format!("{vlan} is not a VLAN id");
            let help = format!("write 1 to {MOST_VLAN}, or 0 for a priority tag without a VLAN");
            result = Err(self.told(Mistake::new(written.span(), message).with_help(help)));
        }
        let is_tagged = keys.pcp.is_some() || keys.vlan.is_some();
        let tag = VlanTag::new(pcp, vlan).filter(|_| is_tagged).unwrap_or_default();
        let trp = match keys.protocol {
            Protocol::Udp => UDP,
            Protocol::Tcp => tcp::PROTOCOL,
        };
        result.map(|()| Packet { trp, ttl: 64, dscp, ecn: keys.ecn.bits(), tag, ..Packet::default() })
    }

    fn limits(&mut self, entry: &Entry<'_>) -> Resolved<Limits> {
        let (keys, start) = (&entry.keys, Time::ZERO + entry.keys.start);
        let mut result = Ok(());
        let packets = keys.packets.as_ref().map(|packets| *packets.get_ref());
        if let Some(written) = keys.packets.as_ref().filter(|packets| *packets.get_ref() == 0) {
            let mistake = Mistake::new(written.span(), "0 packets send nothing");
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
}
