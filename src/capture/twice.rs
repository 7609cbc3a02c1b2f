//! Packets that pass a capture twice: at two of its interfaces, or in both directions.

use std::path::Path;

use super::selection::numbered;
use super::{CaptureDirection, Frame, Record};
use crate::units::Timestamp;

/// Keys that are remembered: the latest of each slot.
const SLOTS: usize = 1 << 16;
/// A packet is the same one only within this time: 1 s.
const WITHIN_PS: i128 = 1_000_000_000_000;

/// A packet with its place.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    key: u64,
    at: Timestamp,
    interface: u32,
    direction: Option<CaptureDirection>,
}

/// Counts the packets that a file has at more than one interface, or in both directions.
///
/// A router's capture of both its sides has each packet twice, and so has `tcpdump -i any`. It costs nothing in files
/// that have one place only.
///
/// # Complexity
/// O(1) for a packet; 3 MB once there are two places.
#[derive(Debug, Default)]
pub(super) struct Twice {
    slots: Vec<Seen>,
    /// Packets of IP.
    packets: u64,
    /// Those that were there before, at another place.
    again: u64,
    /// The places of the first of them.
    example: Option<String>,
}

impl Twice {
    /// Looks at a packet, in order of the file.
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

    /// A warning, where packets pass twice.
    pub(super) fn remark(&self, path: &Path) -> Option<String> {
        let example = self.example.as_ref()?;
        Some(format!(
            "{}: {} of {} IP packets pass twice within 1 s, the first at {example}: each counts as two; choose one place \
             with --interface or --direction (compare: --interface-first ..., calibrate: --ingress-interface ...), or \
             with `interface` or `direction` beside `capture` in a scenario",
            path.display(),
            self.again,
            self.packets,
        ))
    }
}
