//! The columns of a table of packets: the one list that both formats follow.

use std::net::IpAddr;

use crate::capture::{Frame, Record};
use crate::packet::MacAddress;
use crate::units::Timestamp;

/// What a row is made of.
pub(super) struct Row<'a> {
    pub(super) record: &'a Record<'a>,
    pub(super) frame: &'a Frame,
    pub(super) fid: u32,
}

/// The type of a column.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Time,
    Mac,
    Address,
    Flag,
    U8,
    U16,
    U32,
    U64,
}

/// A value of a column; its variant is that of the column's kind.
#[derive(Clone, Copy)]
pub(super) enum Cell {
    Null,
    Time(Timestamp),
    Mac(MacAddress),
    Address(IpAddr),
    Flag(bool),
    Number(u64),
}

pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) value: fn(&Row<'_>) -> Cell,
}

const fn column(name: &'static str, kind: Kind, value: fn(&Row<'_>) -> Cell) -> Column {
    Column { name, kind, value }
}

fn number<N: Into<u64>>(number: Option<N>) -> Cell {
    number.map_or(Cell::Null, |number| Cell::Number(number.into()))
}

fn flag(flag: Option<bool>) -> Cell {
    flag.map_or(Cell::Null, Cell::Flag)
}

fn mac(address: Option<MacAddress>) -> Cell {
    address.map_or(Cell::Null, Cell::Mac)
}

fn address(address: Option<IpAddr>) -> Cell {
    address.map_or(Cell::Null, Cell::Address)
}

/// The transport protocol where there is no IP, as in [`crate::packet::Packet::trp`].
const NO_PROTOCOL: u64 = 255;

/// The notebook's 13 columns, then what a capture also has.
pub(super) const COLUMNS: [Column; 31] = [
    column("timestamp", Kind::Time, |row| Cell::Time(row.record.timestamp)),
    column("i_port", Kind::Mac, |row| mac(row.frame.source_mac)),
    column("e_port", Kind::Mac, |row| mac(row.frame.destination_mac)),
    column("eth_type", Kind::U16, |row| number(row.frame.ether_type)),
    column("src", Kind::Address, |row| address(row.frame.source)),
    column("dst", Kind::Address, |row| address(row.frame.destination)),
    column("id", Kind::U32, |row| number(row.frame.identification)),
    column("pkt_len", Kind::U32, |row| number(row.frame.total_length)),
    column("ttl", Kind::U8, |row| number(row.frame.ttl)),
    column("df", Kind::Flag, |row| flag(row.frame.dont_fragment)),
    column("mf", Kind::Flag, |row| flag(row.frame.more_fragments)),
    column("offset", Kind::U16, |row| number(row.frame.fragment_offset)),
    column("protocol", Kind::U8, |row| number(row.frame.protocol)),
    column("source_port", Kind::U16, |row| number(row.frame.source_port)),
    column("destination_port", Kind::U16, |row| number(row.frame.destination_port)),
    column("fid", Kind::U32, |row| Cell::Number(row.fid.into())),
    column("trp", Kind::U8, |row| Cell::Number(row.frame.protocol.map_or(NO_PROTOCOL, u64::from))),
    column("record", Kind::U64, |row| Cell::Number(row.record.index)),
    column("original_length_bytes", Kind::U32, |row| Cell::Number(row.record.original_length.into())),
    column("captured_length_bytes", Kind::U32, |row| Cell::Number(row.record.bytes.len() as u64)),
    column("interface", Kind::U32, |row| Cell::Number(row.record.interface.into())),
    column("outer_vlan", Kind::U16, |row| number(row.frame.outer_vlan)),
    column("inner_vlan", Kind::U16, |row| number(row.frame.inner_vlan)),
    column("ip_version", Kind::U8, |row| number(row.frame.ip_version)),
    column("dscp", Kind::U8, |row| number(row.frame.dscp)),
    column("ecn", Kind::U8, |row| number(row.frame.ecn)),
    column("ipv6_flow_label", Kind::U32, |row| number(row.frame.ipv6_flow_label)),
    column("ipv6_payload_length_bytes", Kind::U16, |row| number(row.frame.ipv6_payload_length)),
    column("tcp_sequence", Kind::U32, |row| number(row.frame.tcp_sequence)),
    column("tcp_acknowledgement", Kind::U32, |row| number(row.frame.tcp_acknowledgement)),
    column("tcp_flags", Kind::U8, |row| number(row.frame.tcp_flags)),
];
