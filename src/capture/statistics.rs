//! [`Statistics`] of a capture, gathered packet by packet, and their [`Summary`].

mod summary;

pub use summary::{FlowSummary, GapSummary, ProtocolSummary, SizeSummary, Summary, TimeOrderSummary};

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use super::selector::Interfaces;
use super::twice::Twice;
use super::{Encapsulations, FlowTable, Frame, Histogram, Record, UnreadCounts};
use crate::packet::MacAddress;
use crate::units::{Elapsed, Span, Timestamp};

/// Sizes are exact below 128 KiB.
const SIZE_PRECISION: u32 = 16;
/// Quantiles of gaps have a relative error of at most 1/8192, enough for the four digits printed.
const GAP_PRECISION: u32 = 12;

/// Statistics of a capture.
///
/// Memory grows with the number of distinct flows and IP sources, not with the number of packets.
///
/// # Examples
///
/// ```
/// use taunet::capture::{Frame, Options, Reader, Statistics};
///
/// let options = Options::default();
/// let mut reader = Reader::open("tests/captures/eth_micro_full.pcap".as_ref(), &options)?;
/// let mut statistics = Statistics::new(&options);
/// while let Some(record) = reader.next_record()? {
///     statistics.add(&record, &Frame::parse(record.link_type, record.bytes, record.original_length));
/// }
/// assert_eq!(statistics.summary(10).devices, 8);
/// # Ok::<(), taunet::capture::CaptureError>(())
/// ```
#[derive(Debug)]
pub struct Statistics {
    reorder_window: Span,
    packets: u64,
    captured_bytes: u64,
    truncated: u64,
    first: Option<Timestamp>,
    latest: Option<Timestamp>,
    out_of_order: u64,
    beyond_window: u64,
    largest_step_back: Elapsed,
    sizes: Histogram,
    /// Picoseconds between a packet and the latest one before it. Packets out of order have none.
    gaps: Histogram,
    flows: FlowTable,
    /// Indexed by `fid`.
    flow_counts: Vec<FlowCount>,
    devices: FxHashMap<IpAddr, u32>,
    /// Number of distinct MAC addresses, by the index in `devices`.
    device_ports: Vec<u32>,
    ports_seen: FxHashSet<(u32, MacAddress)>,
    protocols: Vec<Count>,
    ipv4: u64,
    ipv6: u64,
    fragments: u64,
    without_ip: BTreeMap<Option<u16>, u64>,
    vlans: BTreeMap<u16, u64>,
    double_tagged: u64,
    /// Packets by their encapsulations, if any.
    encapsulations: FxHashMap<Encapsulations, u64>,
    unread: UnreadCounts,
    interfaces: Interfaces,
    twice: Twice,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    packets: u64,
    bytes: u64,
}

impl Count {
    #[inline]
    fn add(&mut self, bytes: u32) {
        self.packets += 1;
        self.bytes += u64::from(bytes);
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct FlowCount {
    count: Count,
    /// Number of the source, and the MAC address last seen: nearly always that of the next packet.
    last_port: Option<(u32, MacAddress)>,
}

impl Statistics {
    /// Creates empty statistics. Of the options, only [`super::Options::reorder_window`] matters.
    pub fn new(options: &super::Options) -> Self {
        Statistics {
            reorder_window: options.reorder_window,
            packets: 0,
            captured_bytes: 0,
            truncated: 0,
            first: None,
            latest: None,
            out_of_order: 0,
            beyond_window: 0,
            largest_step_back: Elapsed::default(),
            sizes: Histogram::new(SIZE_PRECISION),
            gaps: Histogram::new(GAP_PRECISION),
            flows: FlowTable::new(),
            flow_counts: Vec::new(),
            devices: FxHashMap::default(),
            device_ports: Vec::new(),
            ports_seen: FxHashSet::default(),
            protocols: vec![Count::default(); 256],
            ipv4: 0,
            ipv6: 0,
            fragments: 0,
            without_ip: BTreeMap::new(),
            vlans: BTreeMap::new(),
            double_tagged: 0,
            encapsulations: FxHashMap::default(),
            unread: UnreadCounts::default(),
            interfaces: Interfaces::default(),
            twice: Twice::default(),
        }
    }

    /// Counts a packet, in file order. Returns its flow id.
    #[inline]
    pub fn add(&mut self, record: &Record<'_>, frame: &Frame) -> u32 {
        let length = record.original_length;
        self.packets += 1;
        self.captured_bytes += record.bytes.len() as u64;
        self.truncated += u64::from(record.bytes.len() < length as usize);
        self.sizes.record(length.into());
        self.add_time(record.timestamp);
        self.interfaces.add(record);
        self.twice.add(record, frame);
        if let Some(vlan) = frame.outer_vlan {
            *self.vlans.entry(vlan).or_default() += 1;
            self.double_tagged += u64::from(frame.inner_vlan.is_some());
        }
        if !frame.encapsulations.is_empty() {
            *self.encapsulations.entry(frame.encapsulations).or_default() += 1;
        }
        self.unread.add(frame);
        let fid = self.flows.fid(frame);
        if fid as usize >= self.flow_counts.len() {
            self.flow_counts.resize(fid as usize + 1, FlowCount::default());
        }
        self.flow_counts[fid as usize].count.add(length);
        match (frame.source, frame.protocol) {
            (Some(source), Some(protocol)) => {
                self.protocols[usize::from(protocol)].add(length);
                self.ipv4 += u64::from(source.is_ipv4());
                self.ipv6 += u64::from(source.is_ipv6());
                self.fragments += u64::from(frame.fragment.is_some());
                self.add_device(fid, source, frame.source_mac);
            }
            _ => *self.without_ip.entry(frame.ether_type).or_default() += 1,
        }
        fid
    }

    #[inline]
    fn add_time(&mut self, timestamp: Timestamp) {
        let Some(latest) = self.latest else {
            self.first = Some(timestamp);
            self.latest = Some(timestamp);
            return;
        };
        if timestamp >= latest {
            self.gaps.record(timestamp.as_ps().abs_diff(latest.as_ps()));
            self.latest = Some(timestamp);
            return;
        }
        let step_back = latest.since(timestamp);
        self.out_of_order += 1;
        self.beyond_window += u64::from(step_back > self.reorder_window.into());
        self.largest_step_back = self.largest_step_back.max(step_back);
        self.first = self.first.min(Some(timestamp));
    }

    #[inline]
    fn add_device(&mut self, fid: u32, source: IpAddr, mac: Option<MacAddress>) {
        let flow = &mut self.flow_counts[fid as usize];
        if let (Some((_, last)), Some(mac)) = (flow.last_port, mac)
            && last == mac
        {
            return;
        }
        let next = self.device_ports.len() as u32;
        let device = *self.devices.entry(source).or_insert(next);
        if device == next {
            self.device_ports.push(0);
        }
        let Some(mac) = mac else { return };
        flow.last_port = Some((device, mac));
        if self.ports_seen.insert((device, mac)) {
            self.device_ports[device as usize] += 1;
        }
    }

    /// Warnings about packets that were not read completely or that appear twice.
    pub fn remarks(&self, path: &Path) -> Vec<String> {
        self.unread.remarks(path).chain(self.twice.remark(path)).collect()
    }

    /// The flows so far.
    pub fn flows(&self) -> &FlowTable {
        &self.flows
    }
}
