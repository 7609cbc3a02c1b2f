//! The parameters of CAKE in files.

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
    /// The rate at which packets are sent, in whole bytes per second (default: the rate of the link).
    #[serde(default)]
    pub bandwidth: Option<Rate>,
    /// The round-trip time of the flows; a packet may wait for a twentieth of it (default: 100 ms).
    #[serde(default = "default_rtt", deserialize_with = "span_above_zero")]
    pub rtt: Span,
    /// How code points are mapped to tins (default: diffserv3).
    #[serde(default)]
    pub diffserv: Diffserv,
    /// How a tin is shared between flows and hosts (default: triple-isolate).
    #[serde(default)]
    pub isolation: Isolation,
    /// The bytes that the link adds to each IP packet. Without this key, a packet counts as long as its
    /// frame.
    #[serde(default)]
    pub overhead: Option<Overhead>,
    /// The minimum packet size: shorter packets count as this long (default: 0 B).
    #[serde(default)]
    pub mpu: ByteCount,
    /// How the link carries packets (default: ethernet).
    #[serde(default)]
    pub linklayer: CakeLinkLayer,
    /// The maximum kernel memory of waiting packets (default: what `bandwidth` carries in four times `rtt`,
    /// at least 4 MiB).
    #[serde(default, deserialize_with = "memory_limit")]
    #[schemars(with = "Option<ByteCount>")]
    pub memory_limit: Option<ByteCount>,
    /// Whether dropped packets count as sent, for a shaper behind the bottleneck (default: false).
    #[serde(default)]
    pub ingress: bool,
    /// Whether the code point of each packet is reset to 0 (default: false).
    #[serde(default)]
    pub wash: bool,
    /// The longest packet (default: 1514 B).
    #[serde(default = "default_mtu")]
    pub mtu: ByteCount,
    /// The lateness of the timer that releases a packet: 20 to 45 us in the Linux kernel (default: 0 s).
    #[serde(default)]
    pub release_slack: Span,
    /// Not supported: reading it is an error.
    #[doc(hidden)]
    #[serde(default, skip_serializing, deserialize_with = "no_ack_filter")]
    #[schemars(skip)]
    pub ack_filter: (),
    /// Not supported: reading it is an error.
    #[doc(hidden)]
    #[serde(default, skip_serializing, deserialize_with = "no_autorate")]
    #[schemars(skip)]
    pub autorate_ingress: (),
    /// Not supported: reading it is an error.
    #[doc(hidden)]
    #[serde(default, skip_serializing, deserialize_with = "no_nat")]
    #[schemars(skip)]
    pub nat: (),
}

/// The kernel's default, for the Internet.
const RTT: Span = Span::from_ns(100_000_000);

fn default_rtt() -> Span {
    RTT
}

fn memory_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteCount>, D::Error> {
    bytes_above_zero(deserializer).map(Some)
}

fn no_ack_filter<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(de::Error::custom(
        "cake does not filter acknowledgements here: packets have no contents; remove `ack_filter`",
    ))
}

fn no_autorate<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(de::Error::custom(
        "cake does not measure the rate here; remove `autorate_ingress` and write the rate as `bandwidth`",
    ))
}

fn no_nat<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(de::Error::custom(
        "cake knows the addresses of the packet here, not those before a NAT; remove `nat`",
    ))
}

/// How a link carries packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CakeLinkLayer {
    /// Without cells.
    #[default]
    Ethernet,
    /// In cells of 48 bytes, each with a 5-byte header.
    Atm,
    /// With one added byte for each 64 bytes.
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

/// How code points are mapped to tins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Diffserv {
    /// One tin for all code points.
    Besteffort,
    /// Eight tins, by the three bits of the IP precedence.
    Precedence,
    /// Three tins: bulk, best effort, voice.
    #[default]
    Diffserv3,
    /// Four tins: bulk, best effort, video, voice.
    Diffserv4,
    /// Eight tins.
    Diffserv8,
}

/// How a tin is shared between flows and hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// All packets share one queue.
    Flowblind,
    /// One queue for each source address.
    Srchost,
    /// One queue for each destination address.
    Dsthost,
    /// One queue for each pair of addresses.
    Hosts,
    /// One queue for each flow.
    Flows,
    /// One queue for each flow; source addresses get equal shares.
    DualSrchost,
    /// One queue for each flow; destination addresses get equal shares.
    DualDsthost,
    /// One queue for each flow; the share of a flow depends on its address with the most flows.
    #[default]
    TripleIsolate,
}

impl Isolation {
    /// Whether the share of a flow depends on the number of flows of its source address.
    pub(super) fn by_source(self) -> bool {
        matches!(self, Isolation::DualSrchost | Isolation::TripleIsolate)
    }

    /// Whether the share of a flow depends on the number of flows of its destination address.
    pub(super) fn by_destination(self) -> bool {
        matches!(self, Isolation::DualDsthost | Isolation::TripleIsolate)
    }
}
