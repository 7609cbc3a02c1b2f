//! Selects the packets of a capture, and counts those of each interface.

use std::path::Path;

use rustc_hash::FxHashMap;

use super::selection::{CaptureDirection, InterfaceCount, InterfaceName, numbered};
use super::{CaptureError, LinkType, Options, Record};

/// The interfaces of a capture, in order of first appearance.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    counts: Vec<InterfaceCount>,
    places: FxHashMap<(u32, LinkType), usize>,
    /// Index of the interface counted last.
    last: usize,
}

impl Interfaces {
    /// Counts a packet.
    #[inline]
    pub(super) fn add(&mut self, record: &Record<'_>) {
        let at = self.place(record.interface, record.interface_name, record.link_type);
        self.counts[at].add(record.direction);
    }

    #[inline]
    fn place(&mut self, number: u32, name: Option<&str>, link_type: LinkType) -> usize {
        match self.counts.get(self.last) {
            Some(it) if (it.number, it.link_type) == (number, link_type) => self.last,
            _ => self.another_place(number, name, link_type),
        }
    }

    #[inline(never)]
    fn another_place(&mut self, number: u32, name: Option<&str>, link_type: LinkType) -> usize {
        self.last = *self.places.entry((number, link_type)).or_insert_with(|| {
            self.counts.push(InterfaceCount::new(number, name, link_type));
            self.counts.len() - 1
        });
        self.last
    }

    pub(super) fn counts(&self) -> &[InterfaceCount] {
        &self.counts
    }
}

/// Selects the packets of one interface or direction.
#[derive(Debug)]
pub(super) struct Selector {
    interface: Option<InterfaceName>,
    direction: Option<CaptureDirection>,
    /// Counts of all packets, selected or not.
    interfaces: Interfaces,
    taken: u64,
    /// Packets of the interface without a direction.
    undirected: u64,
}

impl Selector {
    /// `None` if every packet is selected.
    pub(super) fn new(options: &Options) -> Option<Self> {
        (options.interface.is_some() || options.direction.is_some()).then(|| Selector {
            interface: options.interface.clone(),
            direction: options.direction,
            interfaces: Interfaces::default(),
            taken: 0,
            undirected: 0,
        })
    }

    /// Whether a packet is selected.
    pub(super) fn takes(&mut self, record: &Record<'_>) -> bool {
        self.interfaces.add(record);
        if self.interface.as_ref().is_some_and(|it| !it.is(record.interface, record.interface_name)) {
            return false;
        }
        self.undirected += u64::from(record.direction.is_none());
        let takes = self.direction.is_none() || self.direction == record.direction;
        self.taken += u64::from(takes);
        takes
    }

    /// Checks at the end of the file that a packet was selected. `described` are the interfaces that the file
    /// announces.
    ///
    /// # Errors
    /// No packet was selected, though the file has packets.
    pub(super) fn check<'n>(
        &mut self,
        path: &Path,
        described: impl Iterator<Item = (u32, Option<&'n str>, LinkType)>,
    ) -> Result<(), CaptureError> {
        if self.taken > 0 {
            return Ok(());
        }
        described.for_each(|(number, name, link_type)| {
            self.interfaces.place(number, name, link_type);
        });
        let counts = self.interfaces.counts();
        let is_meant = |it: &&InterfaceCount| {
            self.interface.as_ref().is_none_or(|name| name.is(it.number, it.name.as_deref()))
        };
        let meant: Vec<&InterfaceCount> = counts.iter().filter(is_meant).collect();
        let of_interface = self.interface.as_ref().map(|name| format!("interface `{name}`"));
        let wanted = match (of_interface, self.direction) {
            (Some(interface), _) if meant.is_empty() && !counts.is_empty() => interface,
            (interface, Some(direction)) if meant.iter().any(|it| it.packets > 0) => {
                let of = interface.map_or(String::new(), |interface| format!(" of {interface}"));
                format!("packet{of} with the direction `{}`", direction.name())
            }
            // An empty file cannot lack a packet.
            _ => return Ok(()),
        };
        Err(CaptureError::NotInCapture { path: path.to_owned(), wanted, found: listed(counts) })
    }

    /// A warning about packets that were left out for lack of a direction.
    pub(super) fn remark(&self, path: &Path) -> Option<String> {
        let undirected = self.undirected;
        (self.direction.is_some() && undirected > 0).then(|| {
            format!("{}: {undirected} packets have no direction in the file and are left out", path.display())
        })
    }
}

/// The interfaces and directions of a file, for an error.
fn listed(counts: &[InterfaceCount]) -> String {
    /// Maximum number of interfaces listed.
    const LISTED: usize = 16;
    let one = |it: &InterfaceCount| {
        let unsaid = it.packets - it.packets_in - it.packets_out;
        let parts = [(it.packets_in, "in"), (it.packets_out, "out"), (unsaid, "without a direction")];
        let parts: Vec<_> = parts.iter().filter(|(packets, _)| *packets > 0).collect();
        let text: Vec<_> = parts.iter().map(|(packets, what)| format!("{packets} {what}")).collect();
        let packets =
            if text.is_empty() { "no packets".to_owned() } else { format!("packets: {}", text.join(", ")) };
        format!("interface {} with {packets}", numbered(it.number, it.name.as_deref()))
    };
    let mut texts: Vec<String> = counts.iter().take(LISTED).map(one).collect();
    if counts.len() > LISTED {
        texts.push(format!("{} more interfaces", counts.len() - LISTED));
    }
    texts.join("; ")
}
