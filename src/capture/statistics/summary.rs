//! [`Summary`]: the result of [`Statistics`], as printed by `taunet inspect --json`.

use serde::{Serialize, Serializer};

use std::collections::BTreeMap;

use super::{Histogram, Statistics};
use crate::capture::{InterfaceCount, LinkType};
use crate::packet::protocol_name;
use crate::units::{Elapsed, PS_PER_S, Span, Timestamp};

/// The summary of a capture. In serialized form, every name includes its unit; times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Packets.
    pub packets: u64,
    /// Time of the earliest packet.
    #[serde(serialize_with = "text_or_null")]
    pub start: Option<Timestamp>,
    /// From the earliest to the latest packet, in picoseconds.
    #[serde(rename = "span_s", serialize_with = "seconds")]
    pub span_ps: u128,
    /// Distinct IP sources.
    pub devices: usize,
    /// The maximum number of source MAC addresses of one IP source.
    pub most_ports_on_one_device: u32,
    /// Sum of the lengths on the wire.
    pub original_bytes: u64,
    /// Sum of the captured lengths.
    pub captured_bytes: u64,
    /// Packets captured with fewer bytes than they had on the wire.
    pub truncated_packets: u64,
    /// Packets divided by the span; `None` without a span.
    pub packets_per_s: Option<f64>,
    /// Bits on the wire divided by the span; `None` without a span.
    pub bits_per_s: Option<f64>,
    /// Lengths on the wire; `None` without packets.
    pub size: Option<SizeSummary>,
    /// Times between packets; `None` with fewer than two packets in order.
    pub interarrival: Option<GapSummary>,
    /// Distinct flows.
    pub flows: usize,
    /// The flows with the most bytes, in descending order.
    pub largest_flows: Vec<FlowSummary>,
    /// IP protocols, in descending order of packets.
    pub protocols: Vec<ProtocolSummary>,
    /// Packets of IPv4.
    pub ipv4_packets: u64,
    /// Packets of IPv6.
    pub ipv6_packets: u64,
    /// Fragments of IP packets.
    pub fragments: u64,
    /// Packets without IP or with an unreadable IP header.
    pub packets_without_ip: u64,
    /// Packets without IP by EtherType (`0x0806`), or `none` for frames without one.
    #[serde(serialize_with = "pairs")]
    pub ether_types_without_ip: Vec<(String, u64)>,
    /// Packets by VLAN id of the outermost tag.
    #[serde(serialize_with = "pairs")]
    pub vlans: Vec<(String, u64)>,
    /// Packets with more than one VLAN tag.
    pub double_tagged_packets: u64,
    /// Packets by the headers around their innermost IP packet, outermost first (`IPv4 > VXLAN`).
    #[serde(serialize_with = "pairs")]
    pub encapsulations: Vec<(String, u64)>,
    /// The maximum number of headers around an IP packet.
    pub deepest_encapsulation: usize,
    /// Packets whose content could not be read, by kind (`IPsec ESP`).
    #[serde(serialize_with = "pairs")]
    pub unread: Vec<(String, u64)>,
    /// Packets by link type.
    #[serde(serialize_with = "pairs")]
    pub link_types: Vec<(String, u64)>,
    /// Number of interfaces that captured a packet.
    pub interfaces: usize,
    /// These interfaces, in order of first appearance.
    pub by_interface: Vec<InterfaceCount>,
    /// Packets out of time order.
    pub time_order: TimeOrderSummary,
}

/// Packets out of time order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TimeOrderSummary {
    /// Packets with a time before the latest one.
    pub out_of_order_packets: u64,
    /// The maximum of this difference.
    #[serde(rename = "largest_step_back_s", serialize_with = "elapsed_seconds")]
    pub largest_step_back: Elapsed,
    /// The reorder window, which replay accepts.
    #[serde(rename = "reorder_window_s", serialize_with = "span_seconds")]
    pub reorder_window: Span,
    /// Packets out of order by more than the window.
    pub beyond_window_packets: u64,
}

/// Lengths of packets on the wire, in bytes; exact below 128 KiB.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[allow(missing_docs)]
pub struct SizeSummary {
    pub min_bytes: u64,
    pub mean_bytes: f64,
    pub p50_bytes: u64,
    pub p90_bytes: u64,
    pub p99_bytes: u64,
    pub max_bytes: u64,
}

/// Times between packets in picoseconds. Quantiles are within 1/8192 (0.012 %), the other fields exact.
///
/// The mean is the span divided by one less than the number of packets. The other values are over the times
/// from the latest packet to each packet in order, without those out of order
/// ([`TimeOrderSummary::out_of_order_packets`]).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[allow(missing_docs)]
pub struct GapSummary {
    #[serde(rename = "min_s", serialize_with = "seconds")]
    pub min_ps: u128,
    #[serde(rename = "mean_s", serialize_with = "seconds")]
    pub mean_ps: u128,
    #[serde(rename = "p05_s", serialize_with = "seconds")]
    pub p05_ps: u128,
    #[serde(rename = "p50_s", serialize_with = "seconds")]
    pub p50_ps: u128,
    #[serde(rename = "p95_s", serialize_with = "seconds")]
    pub p95_ps: u128,
    #[serde(rename = "p99_s", serialize_with = "seconds")]
    pub p99_ps: u128,
    #[serde(rename = "p999_s", serialize_with = "seconds")]
    pub p999_ps: u128,
    #[serde(rename = "max_s", serialize_with = "seconds")]
    pub max_ps: u128,
}

/// A flow.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FlowSummary {
    /// Flow id, in order of first appearance.
    pub fid: u32,
    /// The 5-tuple, or the MAC addresses and the EtherType.
    pub flow: String,
    /// Packets.
    pub packets: u64,
    /// Sum of the lengths on the wire.
    pub original_bytes: u64,
}

/// An IP protocol.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProtocolSummary {
    /// IP protocol number.
    pub protocol: u8,
    /// Its name.
    pub name: String,
    /// Packets.
    pub packets: u64,
    /// Sum of the lengths on the wire.
    pub original_bytes: u64,
}

impl Statistics {
    /// The statistics so far, with the `largest_flows` flows of the most bytes.
    ///
    /// # Complexity
    ///
    /// Linear in the number of flows.
    pub fn summary(&self, largest_flows: usize) -> Summary {
        let span_ps = match (self.first, self.latest) {
            (Some(first), Some(latest)) => latest.as_ps().abs_diff(first.as_ps()),
            _ => 0,
        };
        let original_bytes = u64::try_from(self.sizes.sum()).unwrap_or(u64::MAX);
        let per_second = |count: f64| (span_ps > 0).then(|| count / (span_ps as f64 / PS_PER_S as f64));
        Summary {
            packets: self.packets,
            start: self.first,
            span_ps,
            devices: self.devices.len(),
            most_ports_on_one_device: self.device_ports.iter().copied().max().unwrap_or(0),
            original_bytes,
            captured_bytes: self.captured_bytes,
            truncated_packets: self.truncated,
            packets_per_s: per_second(self.packets as f64),
            bits_per_s: per_second(8.0 * original_bytes as f64),
            size: size_summary(&self.sizes),
            interarrival: gap_summary(
                &self.gaps,
                span_ps / u128::from(self.packets.saturating_sub(1).max(1)),
            ),
            flows: self.flows.len(),
            largest_flows: self.largest_flows(largest_flows),
            protocols: self.protocol_summaries(),
            ipv4_packets: self.ipv4,
            ipv6_packets: self.ipv6,
            fragments: self.fragments,
            packets_without_ip: self.without_ip.values().sum(),
            ether_types_without_ip: self
                .without_ip
                .iter()
                .map(|(number, &count)| {
                    (number.map_or("none".to_owned(), |number| format!("{number:#06x}")), count)
                })
                .collect(),
            vlans: self.vlans.iter().map(|(id, &count)| (id.to_string(), count)).collect(),
            double_tagged_packets: self.double_tagged,
            encapsulations: self.encapsulations(),
            deepest_encapsulation: self.encapsulations.keys().map(|around| around.depth()).max().unwrap_or(0),
            unread: self.unread.iter().map(|(it, count)| (it.name().to_owned(), count)).collect(),
            link_types: self.link_types(),
            interfaces: self.interfaces.counts().len(),
            by_interface: self.interfaces.counts().to_vec(),
            time_order: TimeOrderSummary {
                out_of_order_packets: self.out_of_order,
                largest_step_back: self.largest_step_back,
                reorder_window: self.reorder_window,
                beyond_window_packets: self.beyond_window,
            },
        }
    }

    fn encapsulations(&self) -> Vec<(String, u64)> {
        let mut counts: Vec<_> =
            self.encapsulations.iter().map(|(around, &count)| (*around, count)).collect();
        counts.sort_unstable_by_key(|(around, count)| (std::cmp::Reverse(*count), *around));
        counts.into_iter().map(|(around, count)| (around.to_string(), count)).collect()
    }

    fn link_types(&self) -> Vec<(String, u64)> {
        let mut packets: BTreeMap<LinkType, u64> = BTreeMap::new();
        for interface in self.interfaces.counts() {
            *packets.entry(interface.link_type).or_default() += interface.packets;
        }
        packets.into_iter().map(|(link_type, packets)| (link_type.to_string(), packets)).collect()
    }

    fn largest_flows(&self, number: usize) -> Vec<FlowSummary> {
        let mut fids: Vec<u32> = (0..self.flow_counts.len() as u32).collect();
        // in descending order; equal ones by first appearance
        let rank = |&fid: &u32| (std::cmp::Reverse(self.flow_counts[fid as usize].count.bytes), fid);
        if number > 0 && number < fids.len() {
            fids.select_nth_unstable_by_key(number - 1, rank);
        }
        fids.truncate(number);
        fids.sort_unstable_by_key(rank);
        let summary = |fid: u32| {
            let count = self.flow_counts[fid as usize].count;
            let flow = self.flows.key(fid)?.to_string();
            Some(FlowSummary { fid, flow, packets: count.packets, original_bytes: count.bytes })
        };
        fids.into_iter().filter_map(summary).collect()
    }

    fn protocol_summaries(&self) -> Vec<ProtocolSummary> {
        let mut protocols: Vec<_> = (0..=u8::MAX)
            .zip(&self.protocols)
            .filter(|(_, count)| count.packets > 0)
            .map(|(protocol, count)| ProtocolSummary {
                protocol,
                name: protocol_name(protocol),
                packets: count.packets,
                original_bytes: count.bytes,
            })
            .collect();
        protocols.sort_by_key(|it| std::cmp::Reverse(it.packets));
        protocols
    }
}

fn size_summary(sizes: &Histogram) -> Option<SizeSummary> {
    let bytes = |value: u128| u64::try_from(value).ok();
    let quantile = |q| sizes.quantile(q).and_then(bytes);
    Some(SizeSummary {
        min_bytes: bytes(sizes.min()?)?,
        mean_bytes: sizes.mean()?,
        p50_bytes: quantile(0.5)?,
        p90_bytes: quantile(0.9)?,
        p99_bytes: quantile(0.99)?,
        max_bytes: bytes(sizes.max()?)?,
    })
}

fn gap_summary(gaps: &Histogram, mean_ps: u128) -> Option<GapSummary> {
    Some(GapSummary {
        min_ps: gaps.min()?,
        mean_ps,
        p05_ps: gaps.quantile(0.05)?,
        p50_ps: gaps.quantile(0.5)?,
        p95_ps: gaps.quantile(0.95)?,
        p99_ps: gaps.quantile(0.99)?,
        p999_ps: gaps.quantile(0.999)?,
        max_ps: gaps.max()?,
    })
}

fn seconds<S: Serializer>(picoseconds: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*picoseconds as f64 / PS_PER_S as f64)
}

fn elapsed_seconds<S: Serializer>(elapsed: &Elapsed, serializer: S) -> Result<S::Ok, S::Error> {
    seconds(&elapsed.as_ps(), serializer)
}

fn span_seconds<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
    seconds(&span.as_ps().into(), serializer)
}

fn text_or_null<S: Serializer>(timestamp: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    timestamp.map(|timestamp| timestamp.to_string()).serialize(serializer)
}

fn pairs<S: Serializer>(pairs: &[(String, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, count)| (name, count)))
}
