//! What a port did with its packets: the data of training, wherever it comes from.

use crate::link::Link;
use crate::packet::Packet;
use crate::units::Time;

/// A packet's way through an egress port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// When it joined the port.
    pub arrival: Time,
    /// Its length, ingress port and header fields.
    pub packet: Packet,
    /// Its class, from 0.
    pub class: u16,
    /// When its first bit started onto the link; `None` for a lost one.
    pub start: Option<Time>,
}

/// Every packet of an egress port for a while, by arrival.
#[derive(Debug, Clone)]
pub struct Trace {
    /// What it is called in messages.
    pub name: String,
    /// Which of several devices a model learns it belongs to; 0 where there is one.
    pub context: usize,
    /// The link behind the port.
    pub link: Link,
    /// The packets.
    pub passages: Vec<Passage>,
}
