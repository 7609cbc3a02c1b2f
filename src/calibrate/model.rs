//! A device as calibration knows it: parameters, and the topology that they make.

use std::str::FromStr;

use serde::Serialize;

use super::CalibrateError;
use super::aqm::AqmKind;
use super::buffer::{BufferEstimate, Counts};
use super::classes::{ClassRange, Field};
use crate::link::Link;
use crate::prefix::Prefix;
use crate::ptm::{
    AnyOf, Buffer, DrrClass, DrrSpec, FifoSpec, Framing, HtbClass, HtbSpec, Interval, LinkLayer, Match,
    NetemSpec, Overhead, PriorityClass, PrioritySpec, PtmSpec, TokenBucketSpec,
};
use crate::topology::{DeviceKind, DeviceSpec, LinkSpec, PortName, Topology};
use crate::units::{Bandwidth, ByteCount, Rate, Span};

/// The name of the device in the topology.
pub(super) const DEVICE: &str = "r1";
/// The name of the host behind its egress port.
pub(super) const SINK: &str = "sink";
/// The number of its egress port; that of the ingress port of a capture is one more than the capture's.
pub(super) const EGRESS_PORT: u16 = 0;

/// How the device decides who goes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DisciplineKind {
    /// Packets pass without a bottleneck that shows.
    Unlimited,
    /// First in, first out.
    Fifo,
    /// Strict priority between classes.
    Priority,
    /// Classes share by their quanta.
    Sharing,
    /// Priorities, and sharing within each.
    PriorityAndSharing,
    /// A queue per flow, each with CoDel.
    FqCodel,
    /// A queue per flow, served in turns of bytes.
    Sfq,
    /// A queue per flow, served by credit.
    Fq,
    /// A queue per flow, each with PIE.
    FqPie,
    /// A queue per flow and host in tins, with a shaper.
    Cake,
}

impl DisciplineKind {
    /// Whether there is one queue for all.
    pub fn is_single(self) -> bool {
        matches!(self, DisciplineKind::Unlimited | DisciplineKind::Fifo)
    }

    /// Whether each flow has a queue of its own.
    pub fn is_per_flow(self) -> bool {
        matches!(self, DisciplineKind::FqCodel | DisciplineKind::Sfq | DisciplineKind::Fq) || self.draws()
    }

    /// Whether its packets depend on random numbers.
    pub fn draws(self) -> bool {
        matches!(self, DisciplineKind::FqPie | DisciplineKind::Cake)
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            DisciplineKind::Unlimited => "no bottleneck seen",
            DisciplineKind::Fifo => "fifo",
            DisciplineKind::Priority => "strict priority",
            DisciplineKind::Sharing => "sharing by quanta",
            DisciplineKind::PriorityAndSharing => "priorities, and sharing within",
            DisciplineKind::FqCodel => "fq-codel",
            DisciplineKind::Sfq => "sfq",
            DisciplineKind::Fq => "fq",
            DisciplineKind::FqPie => "fq-pie",
            DisciplineKind::Cake => "cake",
        }
    }
}

/// What sets the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bottleneck {
    /// Nothing that shows.
    None,
    /// The link: a packet waits until the one before is out.
    Link,
    /// A token bucket that must hold the whole packet: Linux `tbf`.
    TokenBucket,
    /// A token bucket that may go below zero: Linux `htb`.
    DebtBucket,
}

impl Bottleneck {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Bottleneck::None => "none seen",
            Bottleneck::Link => "link",
            Bottleneck::TokenBucket => "token bucket",
            Bottleneck::DebtBucket => "bucket with debt",
        }
    }
}

/// A class of the device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassModel {
    /// What it takes.
    pub range: ClassRange,
    /// Its priority: 0 goes first.
    pub prio: u8,
    /// What it sends in its turn, in bytes.
    pub quantum_bytes: Option<u64>,
    /// What it is sure of, in bits per second: bounds how long it can be kept waiting.
    pub own_rate_bps: u64,
    /// Its buffer.
    pub buffer: Option<BufferEstimate>,
    /// The discipline of what waits in it, where it is more than a FIFO.
    pub queue: Option<PtmSpec>,
}

/// A limit on the packets that wait and those that are delayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PathLimit {
    /// How many packets there may be.
    pub packets: u64,
    /// How long each is delayed, in picoseconds.
    pub delay_ps: u64,
}

/// A device: what calibration writes into the topology.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Who goes next.
    pub discipline: DisciplineKind,
    /// What sets the pace.
    pub bottleneck: Bottleneck,
    /// From ingress to joining the queue, in picoseconds.
    pub processing_ps: u64,
    /// The bottleneck's rate, in bits per second.
    pub rate_bps: u64,
    /// What a packet takes at the bottleneck beyond its recorded length.
    pub framing: Framing,
    /// How much leaves at once after idleness, in bytes.
    pub burst_bytes: u64,
    /// How late the head leaves that waited for tokens, in picoseconds.
    pub release_slack_ps: u64,
    /// What may wait in all classes together.
    pub buffer: Option<BufferEstimate>,
    /// Why packets are lost, or marked; none where none are, or their classes have rules of their own.
    pub aqm: Option<AqmKind>,
    /// The discipline of what waits, where it is more than a FIFO.
    pub queue: Option<PtmSpec>,
    /// A limit that counts the packets on the path, too: the device delays them itself, as `netem` does.
    pub path_limit: Option<PathLimit>,
    /// The field that tells the classes apart.
    pub field: Option<Field>,
    /// The classes; none for a single queue.
    pub classes: Vec<ClassModel>,
    /// Whether the egress capture was taken behind the link, where the last bit has arrived.
    pub at_far_end: bool,
    /// Whether the device takes one from the time to live.
    pub routes: bool,
}

/// The limit that the topology has.
pub(super) fn rounded(buffer: &BufferEstimate) -> Buffer {
    match buffer.counts {
        Counts::Bytes => {
            let limit = super::sample::roundest(buffer.limit, buffer.uncertainty);
            Buffer::Bytes(ByteCount::new(limit.round() as u64))
        }
        // From this many on, below the next.
        Counts::Packets => Buffer::Packets(buffer.limit.floor().max(1.0) as u64),
    }
}

fn any<T: FromStr>(texts: impl IntoIterator<Item = String>) -> Option<AnyOf<T>> {
    let values = texts.into_iter().map(|text| text.parse().ok()).collect::<Option<Vec<T>>>()?;
    Some(AnyOf(values))
}

impl ClassModel {
    fn matched(&self, field: Field) -> Match {
        let ClassRange { first, last, protocol, values } = &self.range;
        let interval = || [format!("{first}-{last}")];
        let mut matched = Match::default();
        match field {
            Field::Dscp => matched.dscp = any(interval()),
            Field::DestinationPort => matched.destination_ports = any(interval()),
            Field::SourcePort => matched.source_ports = any(interval()),
            Field::IngressPort => matched.ingress_ports = any::<Interval<65_535>>(values.clone()),
            Field::Protocol => matched.protocol = any(values.clone()),
            Field::Destination => matched.destination = any::<Prefix>(values.clone()),
            Field::Source => matched.source = any::<Prefix>(values.clone()),
        }
        if let Some(protocol) = protocol {
            matched.protocol = any([protocol.clone()]);
        }
        matched
    }
}

impl Model {
    /// Who goes next, and who is lost, in words.
    pub fn words(&self) -> String {
        words(self.discipline, self.aqm, self.has_flow_queues())
    }

    /// The values that a class takes, in words: the last one takes what fits no other, too.
    pub fn takes(&self, class: usize) -> String {
        let ClassRange { first, last, .. } = &self.classes[class].range;
        let others = if class + 1 == self.classes.len() { " and all others" } else { "" };
        format!("{first} to {last}{others}")
    }

    /// Whether each flow has a queue of its own within its class.
    pub fn has_flow_queues(&self) -> bool {
        self.classes.iter().any(|class| class.queue.is_some())
    }

    /// Whether the first of its classes is sure of most of the rate.
    pub fn top_owns_rate(&self) -> bool {
        self.classes.iter().any(|class| class.own_rate_bps > self.rate_bps / 2)
    }

    /// The bottleneck's rate.
    pub fn rate(&self) -> Rate {
        rate(self.rate_bps)
    }

    /// What is added to each packet; none where the framing is more than that.
    pub fn overhead(&self) -> Option<ByteCount> {
        Model::link_overhead(&self.framing)
    }

    /// Whether the egress capture shows how packets start onto the link that sets the pace.
    pub(super) fn shows_start(&self) -> bool {
        self.bottleneck == Bottleneck::Link && !self.at_far_end
    }

    /// Whether a `netem` sends at the rate of the bottleneck: each packet is through when it leaves.
    pub(super) fn has_netem_rate(&self) -> bool {
        self.path_limit.is_some() && self.bottleneck == Bottleneck::Link && self.at_far_end
    }

    /// Whether the egress capture is taken where the link ends.
    pub(super) fn is_seen_at_far_end(&self) -> bool {
        self.at_far_end && !self.has_netem_rate()
    }

    /// The `netem` that delays packets.
    fn netem(&self, limit: PathLimit) -> PtmSpec {
        let rate = self.has_netem_rate().then(|| self.rate());
        PtmSpec::Netem(Box::new(NetemSpec {
            limit: limit.packets,
            // Whole nanoseconds, as the kernel has them.
            delay: Span::from_ns(limit.delay_ps / 1_000),
            rate,
            packet_overhead: if rate.is_some() { self.framing.overhead } else { Overhead::default() },
            ..NetemSpec::default()
        }))
    }

    /// The discipline of what waits.
    fn inner(&self) -> Option<PtmSpec> {
        self.path_limit.map(|limit| self.netem(limit)).or_else(|| self.queue.clone())
    }

    /// The link behind the egress port.
    pub(super) fn link(&self) -> Link {
        let bandwidth = match self.bottleneck {
            Bottleneck::Link
                if self.has_netem_rate()
                    || (self.discipline == DisciplineKind::Cake && self.shows_start()) =>
            {
                return Link::with_delay(Bandwidth::Unlimited, Span::ZERO);
            }
            Bottleneck::Link => Bandwidth::Limited(self.rate()),
            _ => Bandwidth::Unlimited,
        };
        let overhead = self.overhead().filter(|_| self.bottleneck == Bottleneck::Link);
        let overhead = overhead.unwrap_or(ByteCount::ZERO);
        Link { overhead, ..Link::with_delay(bandwidth, Span::ZERO) }
    }

    /// The framing as the overhead of a link; none where a link has no such framing.
    pub(super) fn link_overhead(framing: &Framing) -> Option<ByteCount> {
        let bytes = u64::try_from(framing.overhead.bytes()).ok()?;
        let plain = framing.mpu == 0 && framing.link_layer == LinkLayer::Ethernet;
        plain.then_some(ByteCount::new(bytes))
    }

    /// The traffic management of the egress port.
    pub(super) fn ptm(&self) -> PtmSpec {
        let buffer = self.buffer.as_ref().map(rounded);
        let classful = !self.classes.is_empty();
        match (self.bottleneck, self.discipline) {
            (Bottleneck::None, _) => self.queue.clone().unwrap_or_default(),
            (Bottleneck::Link, DisciplineKind::Priority | DisciplineKind::PriorityAndSharing) if classful => {
                let class = self.priority_classes();
                PtmSpec::Priority(PrioritySpec { buffer, class, ..PrioritySpec::default() })
            }
            (Bottleneck::Link, DisciplineKind::Sharing) if classful => {
                PtmSpec::Drr(DrrSpec { buffer, class: self.drr_classes(), ..DrrSpec::default() })
            }
            (Bottleneck::Link, _) => self.inner().unwrap_or(PtmSpec::Fifo(FifoSpec { buffer })),
            (Bottleneck::TokenBucket, _) if !classful => PtmSpec::TokenBucket(TokenBucketSpec {
                ptm: self.inner().map(Box::new),
                release_slack: Span::from_ps(self.release_slack_ps),
                overhead: self.framing.overhead,
                mpu: ByteCount::new(self.framing.mpu.into()),
                linklayer: self.framing.link_layer,
                ..TokenBucketSpec::new(self.rate(), ByteCount::new(self.burst_bytes.max(1)), buffer)
            }),
            _ => PtmSpec::Htb(self.htb(buffer)),
        }
    }

    /// The classes with what each takes: the last takes what no other does.
    fn matches(&self) -> impl Iterator<Item = (String, Option<Match>, &ClassModel)> {
        let last = self.classes.len().saturating_sub(1);
        let field = self.field;
        self.classes.iter().enumerate().map(move |(index, class)| {
            let matched = field.filter(|_| index < last).map(|field| class.matched(field));
            (format!("{}", 10 * (index + 1)), matched, class)
        })
    }

    fn priority_classes(&self) -> Vec<PriorityClass> {
        let mut classes: Vec<(u8, PriorityClass)> = self
            .classes
            .iter()
            .enumerate()
            .map(|(index, class)| {
                let matched = self.field.map(|field| class.matched(field));
                let name = Some(format!("{}", 10 * (index + 1)));
                let buffer = class.buffer.as_ref().map(rounded);
                let ptm = class.queue.clone().map(Box::new);
                (class.prio, PriorityClass { name, matched, buffer, ptm })
            })
            .collect();
        classes.sort_by_key(|(prio, _)| *prio);
        classes.into_iter().map(|(_, class)| class).collect()
    }

    fn drr_classes(&self) -> Vec<DrrClass> {
        self.matches()
            .map(|(name, matched, class)| DrrClass {
                name: Some(name),
                matched,
                quantum: class.quantum_bytes.map(ByteCount::new),
                buffer: class.buffer.as_ref().map(rounded),
                ptm: class.queue.clone().map(Box::new),
            })
            .collect()
    }

    fn htb(&self, buffer: Option<Buffer>) -> HtbSpec {
        let burst = Some(ByteCount::new(self.burst_bytes));
        let class = |name: String, own: Rate| HtbClass {
            name: Some(name),
            rate: own,
            ceil: None,
            burst,
            cburst: burst,
            prio: None,
            quantum: None,
            matched: None,
            buffer: None,
            ptm: None,
            class: Vec::new(),
        };
        let leaves: Vec<HtbClass> = self
            .matches()
            .map(|(name, matched, leaf)| HtbClass {
                matched,
                ceil: Some(self.rate()),
                prio: Some(leaf.prio),
                quantum: leaf.quantum_bytes.map(ByteCount::new),
                buffer: leaf.buffer.as_ref().map(rounded),
                ptm: leaf.queue.clone().map(Box::new),
                ..class(name, rate(leaf.own_rate_bps))
            })
            .collect();
        HtbSpec {
            buffer,
            release_slack: Span::from_ps(self.release_slack_ps),
            overhead: self.framing.overhead,
            mpu: ByteCount::new(self.framing.mpu.into()),
            linklayer: self.framing.link_layer,
            class: vec![HtbClass {
                ptm: self.inner().filter(|_| leaves.is_empty()).map(Box::new),
                class: leaves,
                ..class("1".to_owned(), self.rate())
            }],
            ..HtbSpec::default()
        }
    }

    /// The device between as many hosts as there are ingress captures, and the sink.
    ///
    /// # Errors
    /// The parameters do not hold together.
    pub(super) fn topology(&self, captures: usize) -> Result<Topology, CalibrateError> {
        let everything = ["0.0.0.0/0", "::/0"].map(|text| text.parse::<Prefix>().map(|prefix| prefix.0));
        let addresses = everything.into_iter().flatten().collect();
        let device = DeviceSpec {
            processing: Span::from_ps(self.processing_ps),
            ..DeviceSpec::new(DEVICE, self.device_kind())
        };
        let sink = DeviceSpec { addresses, ..DeviceSpec::new(SINK, DeviceKind::Host) };
        let cable = Link::with_delay(Bandwidth::Unlimited, Span::ZERO);
        let hosts = (1..=captures).map(|number| DeviceSpec::new(host(number), DeviceKind::Host));
        let devices = hosts.chain([device, sink]).collect();
        let ports = (1..=captures).map(|number| {
            LinkSpec::new(PortName::new(host(number), 0), PortName::new(DEVICE, number as u16), cable)
        });
        let egress = LinkSpec {
            backward: cable,
            ptm: [Some(self.ptm()), None],
            ..LinkSpec::new(PortName::new(DEVICE, EGRESS_PORT), PortName::new(SINK, 0), self.link())
        };
        let links = ports.chain([egress]).collect();
        Topology::new("calibrated", devices, links).map_err(|error| CalibrateError::Model(error.to_string()))
    }

    /// A router where it takes from the time to live, else a switch.
    pub(super) fn device_kind(&self) -> DeviceKind {
        if self.routes { DeviceKind::Router } else { DeviceKind::Switch }
    }
}

/// Who goes next, and who is lost, in words.
pub(super) fn words(discipline: DisciplineKind, aqm: Option<AqmKind>, flow_queues: bool) -> String {
    if flow_queues {
        return format!("{}, fq-codel in each class", discipline.words());
    }
    match aqm.filter(|aqm| *aqm != AqmKind::TailDrop) {
        Some(aqm) => format!("{} with {}", discipline.words(), aqm.words()),
        None => discipline.words().to_owned(),
    }
}

/// A framing in words: `24 B`, `24 B, 64 B at least, in ATM cells`.
pub(crate) fn framing_text(framing: &Framing) -> String {
    let mut text = format!("{} B", framing.overhead.bytes());
    if framing.mpu > 0 {
        text.push_str(&format!(", {} B at least", framing.mpu));
    }
    if framing.link_layer == LinkLayer::Atm {
        text.push_str(", in ATM cells");
    }
    text
}

/// The name of the host at the ingress port `number`.
pub(super) fn host(number: usize) -> String {
    format!("source{number}")
}

fn rate(bps: u64) -> Rate {
    Rate::from_bps(bps.max(1)).expect("one or more")
}
