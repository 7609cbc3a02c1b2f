//! The model of a device: its parameters, and the topology that they form.

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
/// The number of its egress port. The ingress port of a capture has the number of the capture plus one.
pub(super) const EGRESS_PORT: u16 = 0;

/// The scheduling discipline of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DisciplineKind {
    /// No bottleneck observed.
    Unlimited,
    /// First in, first out.
    Fifo,
    /// Strict priority between classes.
    Priority,
    /// Classes share the rate by their quanta.
    Sharing,
    /// Priorities, with sharing within each.
    PriorityAndSharing,
    /// A queue per flow, each with CoDel.
    FqCodel,
    /// A queue per flow, served in rounds of bytes.
    Sfq,
    /// A queue per flow, served by credit.
    Fq,
    /// A queue per flow, each with PIE.
    FqPie,
    /// A queue per flow and host in tins, with a shaper.
    Cake,
}

impl DisciplineKind {
    /// Whether there is a single queue.
    pub fn is_single(self) -> bool {
        matches!(self, DisciplineKind::Unlimited | DisciplineKind::Fifo)
    }

    /// Whether each flow has a queue of its own.
    pub fn is_per_flow(self) -> bool {
        matches!(self, DisciplineKind::FqCodel | DisciplineKind::Sfq | DisciplineKind::Fq) || self.draws()
    }

    /// Whether it draws random numbers.
    pub fn draws(self) -> bool {
        matches!(self, DisciplineKind::FqPie | DisciplineKind::Cake)
    }

    /// The name, as text.
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

/// The kind of bottleneck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bottleneck {
    /// None observed.
    None,
    /// The link: a packet waits until the previous one is transmitted.
    Link,
    /// A token bucket that must hold the whole packet: Linux `tbf`.
    TokenBucket,
    /// A token bucket that may go below zero: Linux `htb`.
    DebtBucket,
}

impl Bottleneck {
    /// The name, as text.
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
    /// The packets that it takes.
    pub range: ClassRange,
    /// Its priority: 0 goes first.
    pub prio: u8,
    /// Its quantum, in bytes.
    pub quantum_bytes: Option<u64>,
    /// Its guaranteed rate, in bits per second, which bounds how long it can be kept waiting.
    pub own_rate_bps: u64,
    /// Its buffer.
    pub buffer: Option<BufferEstimate>,
    /// The discipline of the packets waiting in it, if it is not a FIFO.
    pub queue: Option<PtmSpec>,
}

/// A limit on the sum of waiting and delayed packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PathLimit {
    /// Maximum number of packets.
    pub packets: u64,
    /// Delay of each packet, in picoseconds.
    pub delay_ps: u64,
}

/// The model of a device, which calibration writes into the topology.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// The scheduling discipline.
    pub discipline: DisciplineKind,
    /// The kind of bottleneck.
    pub bottleneck: Bottleneck,
    /// Time from ingress to joining the queue, in picoseconds.
    pub processing_ps: u64,
    /// The rate of the bottleneck, in bits per second.
    pub rate_bps: u64,
    /// What a packet takes at the bottleneck in addition to its recorded length.
    pub framing: Framing,
    /// Bytes that leave at once after idleness.
    pub burst_bytes: u64,
    /// Delay of a head that waited for tokens, in picoseconds.
    pub release_slack_ps: u64,
    /// The buffer shared by all classes.
    pub buffer: Option<BufferEstimate>,
    /// The rule for losing or marking packets; `None` if there are no losses or marks, or the classes have
    /// their own rules.
    pub aqm: Option<AqmKind>,
    /// The discipline of the waiting packets, if it is not a FIFO.
    pub queue: Option<PtmSpec>,
    /// A limit that includes the packets on the path: the device delays them itself, as `netem` does.
    pub path_limit: Option<PathLimit>,
    /// The field that distinguishes the classes.
    pub field: Option<Field>,
    /// The classes; empty for a single queue.
    pub classes: Vec<ClassModel>,
    /// Whether the egress capture was taken behind the link, at the arrival of the last bit.
    pub at_far_end: bool,
    /// Whether the device decrements the time to live.
    pub routes: bool,
}

/// The limit for the topology.
pub(super) fn rounded(buffer: &BufferEstimate) -> Buffer {
    match buffer.counts {
        Counts::Bytes => {
            let limit = super::sample::roundest(buffer.limit, buffer.uncertainty);
            Buffer::Bytes(ByteCount::new(limit.round() as u64))
        }
        // At least this many, and less than the next integer.
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
    /// Discipline and drop rule, as text.
    pub fn words(&self) -> String {
        words(self.discipline, self.aqm, self.has_flow_queues())
    }

    /// The values of a class, as text. The last class also takes everything that matches no other.
    pub fn takes(&self, class: usize) -> String {
        let ClassRange { first, last, .. } = &self.classes[class].range;
        let others = if class + 1 == self.classes.len() { " and all others" } else { "" };
        format!("{first} to {last}{others}")
    }

    /// Whether each flow has a queue of its own within its class.
    pub fn has_flow_queues(&self) -> bool {
        self.classes.iter().any(|class| class.queue.is_some())
    }

    /// Whether the first class is guaranteed most of the rate.
    pub fn top_owns_rate(&self) -> bool {
        self.classes.iter().any(|class| class.own_rate_bps > self.rate_bps / 2)
    }

    /// The rate of the bottleneck.
    pub fn rate(&self) -> Rate {
        rate(self.rate_bps)
    }

    /// The bytes added to each packet; `None` if the framing is not a constant.
    pub fn overhead(&self) -> Option<ByteCount> {
        Model::link_overhead(&self.framing)
    }

    /// Whether the egress capture shows packets at the start of their transmission on the bottleneck link.
    pub(super) fn shows_start(&self) -> bool {
        self.bottleneck == Bottleneck::Link && !self.at_far_end
    }

    /// Whether a `netem` sends at the rate of the bottleneck: a packet leaves it completely transmitted.
    pub(super) fn has_netem_rate(&self) -> bool {
        self.path_limit.is_some() && self.bottleneck == Bottleneck::Link && self.at_far_end
    }

    /// Whether the egress capture was taken at the far end of the link.
    pub(super) fn is_seen_at_far_end(&self) -> bool {
        self.at_far_end && !self.has_netem_rate()
    }

    /// The `netem` that delays packets.
    fn netem(&self, limit: PathLimit) -> PtmSpec {
        let rate = self.has_netem_rate().then(|| self.rate());
        PtmSpec::Netem(Box::new(NetemSpec {
            limit: limit.packets,
            // Whole nanoseconds, as in the kernel.
            delay: Span::from_ns(limit.delay_ps / 1_000),
            rate,
            packet_overhead: if rate.is_some() { self.framing.overhead } else { Overhead::default() },
            ..NetemSpec::default()
        }))
    }

    /// The discipline of the waiting packets.
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

    /// The framing as the overhead of a link; `None` if a link does not support it.
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

    /// The classes with their matches. The last one takes everything that matches no other.
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

    /// The device, with one host per ingress capture and the sink.
    ///
    /// # Errors
    /// The parameters are inconsistent.
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

    /// A router if it decrements the time to live, otherwise a switch.
    pub(super) fn device_kind(&self) -> DeviceKind {
        if self.routes { DeviceKind::Router } else { DeviceKind::Switch }
    }
}

/// Discipline and drop rule, as text.
pub(super) fn words(discipline: DisciplineKind, aqm: Option<AqmKind>, flow_queues: bool) -> String {
    if flow_queues {
        return format!("{}, fq-codel in each class", discipline.words());
    }
    match aqm.filter(|aqm| *aqm != AqmKind::TailDrop) {
        Some(aqm) => format!("{} with {}", discipline.words(), aqm.words()),
        None => discipline.words().to_owned(),
    }
}

/// A framing as text: `24 B`, `24 B, 64 B at least, in ATM cells`.
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
