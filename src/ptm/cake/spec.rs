//! The parameters of CAKE as a file writes them.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::ptm::Overhead;
use crate::ptm::codel::default_mtu;
use crate::ptm::parameter::{bytes_above_zero, span_above_zero};
use crate::units::{ByteCount, Rate, Span};

/// The parameters of a `cake`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CakeSpec {
    /// The rate at which packets are sent, in whole bytes per second; without it, as fast as the link takes
    /// them.
    #[serde(default)]
    pub bandwidth: Option<Rate>,
    /// The round-trip time of the flows; a packet may wait for a twentieth of it (default: 100 ms).
    #[serde(default = "default_rtt", deserialize_with = "span_above_zero")]
    pub rtt: Span,
    /// By which code points packets are divided into tins (default: diffserv3).
    #[serde(default)]
    pub diffserv: Diffserv,
    /// Among whom a tin is shared fairly (default: triple-isolate).
    #[serde(default)]
    pub isolation: Isolation,
    /// What the link adds to each IP packet. Without it, a packet counts as long as its frame.
    #[serde(default)]
    pub overhead: Option<Overhead>,
    /// No packet counts less than this (default: 0 B).
    #[serde(default)]
    pub mpu: ByteCount,
    /// How the link carries packets (default: ethernet).
    #[serde(default)]
    pub linklayer: CakeLinkLayer,
    /// How much of the kernel's memory waiting packets may take (default: what `bandwidth` carries in four times
    /// `rtt`, 4 MiB at least).
    #[serde(default, deserialize_with = "memory_limit")]
    #[schemars(with = "Option<ByteCount>")]
    pub memory_limit: Option<ByteCount>,
    /// Whether dropped packets count as sent: for a shaper behind the bottleneck (default: false).
    #[serde(default)]
    pub ingress: bool,
    /// Whether the code point of each packet is set to 0 (default: false).
    #[serde(default)]
    pub wash: bool,
    /// The longest packet (default: 1514 B).
    #[serde(default = "default_mtu")]
    pub mtu: ByteCount,
    /// How late the timer fires that releases a packet: 20 to 45 us in the Linux kernel (default: 0 s).
    #[serde(default)]
    pub release_slack: Span,
    /// Not here: reading it is an error.
    #[doc(hidden)]
    #[serde(default, skip_serializing, deserialize_with = "no_ack_filter")]
    #[schemars(skip)]
    pub ack_filter: (),
    /// Not here: reading it is an error.
    #[doc(hidden)]
    #[serde(default, skip_serializing, deserialize_with = "no_autorate")]
    #[schemars(skip)]
    pub autorate_ingress: (),
    /// Not here: reading it is an error.
    #[doc(hidden)]
    #[serde(default, skip_serializing, deserialize_with = "no_nat")]
    #[schemars(skip)]
    pub nat: (),
}

/// The kernel's: the Internet.
const RTT: Span = Span::from_ns(100_000_000);

fn default_rtt() -> Span {
    RTT
}

fn memory_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteCount>, D::Error> {
    bytes_above_zero(deserializer).map(Some)
}

fn no_ack_filter<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(de::Error::custom(
        "cake does not filter acknowledgements here: a packet has no contents; remove `ack_filter`",
    ))
}

fn no_autorate<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(de::Error::custom(
        "cake does not measure the rate here; remove `autorate_ingress` and write the rate as `bandwidth`",
    ))
}

fn no_nat<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(de::Error::custom("cake has the addresses of the packet here, not those before a NAT; remove `nat`"))
}

/// How a link carries packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CakeLinkLayer {
    /// As they are.
    #[default]
    Ethernet,
    /// In cells of 48 bytes, each with a header of 5.
    Atm,
    /// With a byte for each 64 bytes.
    Ptm,
}

impl Default for CakeSpec {
    fn default() -> Self {
        CakeSpec {
            bandwidth: None,
            rtt: RTT,
            diffserv: Diffserv::default(),
            isolation: Isolation::default(),
            overhead: None,
            mpu: ByteCount::ZERO,
            linklayer: CakeLinkLayer::default(),
            memory_limit: None,
            ingress: false,
            wash: false,
            mtu: default_mtu(),
            release_slack: Span::ZERO,
            ack_filter: (),
            autorate_ingress: (),
            nat: (),
        }
    }
}

/// By which code points packets are divided into tins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Diffserv {
    /// Not at all: one tin.
    Besteffort,
    /// By the three bits of the IP precedence: eight tins.
    Precedence,
    /// Bulk, best effort, voice.
    #[default]
    Diffserv3,
    /// Bulk, best effort, video, voice.
    Diffserv4,
    /// Eight tins.
    Diffserv8,
}

/// Among whom a tin is shared fairly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// All packets share one queue.
    Flowblind,
    /// A queue for each source address.
    Srchost,
    /// A queue for each destination address.
    Dsthost,
    /// A queue for each pair of addresses.
    Hosts,
    /// A queue for each flow.
    Flows,
    /// A queue for each flow; source addresses get equal shares.
    DualSrchost,
    /// A queue for each flow; destination addresses get equal shares.
    DualDsthost,
    /// A queue for each flow; a flow's share goes by its address with the most flows.
    #[default]
    TripleIsolate,
}

impl Isolation {
    /// Whether a flow's share goes by the number of flows of its source address.
    pub(super) fn by_source(self) -> bool {
        matches!(self, Isolation::DualSrchost | Isolation::TripleIsolate)
    }

    /// Whether a flow's share goes by the number of flows of its destination address.
    pub(super) fn by_destination(self) -> bool {
        matches!(self, Isolation::DualDsthost | Isolation::TripleIsolate)
    }
}
