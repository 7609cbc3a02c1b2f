//! Packets that appear twice in a capture: at two interfaces, or in both directions.

use std::path::Path;

use super::selection::numbered;
use super::{CaptureDirection, Frame, Record};
use crate::units::Timestamp;

/// Number of slots. Each remembers its latest key.
const SLOTS: usize = 1 << 16;
/// Maximum time between two appearances of the same packet: 1 s.
const WITHIN_PS: i128 = 1_000_000_000_000;

/// A packet and the place where it was captured.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    key: u64,
    at: Timestamp,
    interface: u32,
    direction: Option<CaptureDirection>,
}

/// Counts the packets that a file contains at more than one interface, or in both directions.
///
/// A capture of both sides of a router contains each packet twice, as does `tcpdump -i any`. Files with one
/// interface and direction cost nothing.
///
/// # Complexity
/// O(1) per packet; 3 MB once there are two places.
#[derive(Debug, Default)]
pub(super) struct Twice {
    slots: Vec<Seen>,
    /// Number of IP packets.
    packets: u64,
    /// IP packets seen before at another place.
    again: u64,
    /// The places of the first of them.
    example: Option<String>,
}

impl Twice {
    /// Checks a packet, in file order.
    #[inline]
    pub(super) fn add(&mut self, record: &Record<'_>, frame: &Frame) {
        if record.has_other_places || record.direction.is_some() {
            self.look(record, frame);
        }
    }

    #[inline(never)]
    fn look(&mut self, record: &Record<'_>, frame: &Frame) {
        let Some(key) = frame.match_key() else { return };
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Seen::default());
        }
        self.packets += 1;
        let (interface, direction) = (record.interface, record.direction);
        let seen = Seen { key, at: record.timestamp, interface, direction };
        let before = std::mem::replace(&mut self.slots[key as usize % SLOTS], seen);
        let is_elsewhere = (before.interface, before.direction) != (interface, direction);
        let apart_ps = record.timestamp.as_ps().saturating_sub(before.at.as_ps());
        if before.key == key && is_elsewhere && apart_ps.saturating_abs() <= WITHIN_PS {
            self.again += 1;
            self.example.get_or_insert_with(|| {
                let place = |interface: String, direction: Option<CaptureDirection>| {
                    direction
                        .map_or(interface.clone(), |direction| format!("{interface}, {}", direction.name()))
                };
                let name = record.interface_name;
                let first = place(before.interface.to_string(), before.direction);
                format!(
                    "interface {first}, and then interface {}",
                    place(numbered(interface, name), direction)
                )
            });
        }
    }

    /// A warning if packets appear twice.
    pub(super) fn remark(&self, path: &Path) -> Option<String> {
        let example = self.example.as_ref()?;
        Some(format!(
            "{}: {} of {} IP packets appear twice within 1 s, the first at {example}: each is counted twice; select one \
             place with --interface or --direction (compare: --interface-first ..., calibrate: --ingress-interface ...), or \
             with `interface` or `direction` beside `capture` in a scenario",
            path.display(),
            self.again,
            self.packets,
        ))
    }
}
