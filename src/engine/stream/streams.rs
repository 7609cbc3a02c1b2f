//! The streams between ports: what feeders bring.

use crate::engine::chunks::Chunks;
use crate::engine::network::Network;
use crate::packet::Tau;
use crate::topology::PortId;
use crate::units::Time;

/// What a feeder brings: one sorted stream per egress port of the device that it feeds, each packet with the instant
/// at which it joins the port's PTM.
#[derive(Debug, Default)]
pub(super) struct Streams {
    by_port: Vec<Stream>,
    /// What has arrived at the device, its destination, where statistics are wanted.
    home: Stream,
    /// Before this instant, what has arrived has been taken.
    home_taken: Time,
    first_port: usize,
    /// What joins at this instant or later is far: no visit of this window asks for it.
    horizon: Time,
    /// Packets may be appended that arrive before others: nothing is far.
    is_unordered: bool,
}

/// What goes to one port.
#[derive(Debug, Default)]
struct Stream {
    near: Vec<Tau>,
    /// All later than what is near: what waits long before a slow link.
    far: Chunks<Tau, 256>,
}

impl Streams {
    pub fn new(network: &Network, feeder: usize, is_unordered: bool) -> Self {
        let device = network.feeders[feeder].device;
        let ports = network.topology.device(device).ports.len();
        Streams {
            by_port: (0..ports).map(|_| Stream::default()).collect(),
            home: Stream::default(),
            home_taken: Time::ZERO,
            first_port: network.nodes[device.index()].first_port,
            horizon: Time::ZERO,
            is_unordered,
        }
    }

    /// A window begins: forgets what every port has taken, which is all before `start`, and brings near what joins within
    /// the window, which ends at `end`, or soon after. What arrived before `taken` is taken too.
    pub fn begin(&mut self, start: Time, end: Time, taken: Time) {
        self.horizon = if self.is_unordered { Time::NEVER } else { end + end.since(start) };
        for stream in &mut self.by_port {
            stream.forget_before(start);
            stream.bring_near(self.horizon);
        }
        if self.home_taken < taken {
            self.home.forget_before(taken);
            self.home_taken = taken;
        }
        self.home.bring_near(self.horizon);
    }

    #[inline]
    pub fn to(&self, port: PortId) -> &[Tau] {
        &self.by_port[port.index() - self.first_port].near
    }

    /// A packet for a port. The [`horizon`](Streams::horizon) is handed in, since loops hold it.
    #[inline(always)]
    pub fn push(&mut self, port: PortId, tau: Tau, horizon: Time) {
        self.by_port[port.index() - self.first_port].push(tau, horizon);
    }

    /// What joins before this instant is near.
    pub fn horizon(&self) -> Time {
        self.horizon
    }

    /// A packet is at its destination.
    #[inline]
    pub fn push_home(&mut self, tau: Tau) {
        self.home.push(tau, self.horizon);
        if self.is_unordered {
            self.home.overtake();
        }
    }

    /// What has arrived at its destination.
    pub fn home(&self) -> &[Tau] {
        &self.home.near
    }

    /// What goes to a port within this window.
    #[inline]
    pub fn stream(&mut self, port: PortId) -> &mut Vec<Tau> {
        &mut self.by_port[port.index() - self.first_port].near
    }

    /// The last packet for a port overtakes those that arrive after it.
    pub fn overtake(&mut self, port: PortId) {
        self.by_port[port.index() - self.first_port].overtake();
    }
}

impl Stream {
    fn forget_before(&mut self, start: Time) {
        // What is left is little: it is on its way while the window ends.
        let left = self.near.iter().rev().take_while(|tau| tau.timestamp >= start).count();
        if left < self.near.len() {
            self.near.drain(..self.near.len() - left);
        }
    }

    /// The last packet overtakes those that arrive after it; nothing is far.
    fn overtake(&mut self) {
        let Some(mut place) = self.near.len().checked_sub(1) else { return };
        while place > 0 && self.near[place - 1].timestamp > self.near[place].timestamp {
            self.near.swap(place - 1, place);
            place -= 1;
        }
    }

    fn bring_near(&mut self, horizon: Time) {
        let Stream { near, far } = self;
        far.forget_while(|tau| {
            let comes = tau.timestamp < horizon;
            if comes {
                near.push(*tau);
            }
            comes
        });
    }

    #[inline(always)]
    fn push(&mut self, tau: Tau, horizon: Time) {
        if tau.timestamp < horizon { self.near.push(tau) } else { self.far.push(tau) }
    }
}

/// The streams that the ports on a cycle take from.
pub(super) struct Cycle<'a> {
    /// Those of all ports before it.
    pub before: &'a [Streams],
    /// Those of the ports on it.
    pub own: &'a mut [Streams],
    /// The place of the first of these.
    pub first: usize,
}

impl Cycle<'_> {
    /// The streams at a place.
    #[inline]
    pub fn streams(&self, place: usize) -> &Streams {
        if place < self.first { &self.before[place] } else { &self.own[place - self.first] }
    }
}
