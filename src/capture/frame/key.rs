//! The match key, which identifies a packet at another vantage, and the fields that it covers.

use std::net::IpAddr;

use twox_hash::XxHash3_64;

use super::Frame;

/// The whole body was captured.
const WHOLE: u8 = u8::MAX;
/// Maximum number of body bytes that a key covers.
const DEEPEST: u8 = 32;
/// A depth without a limit by any capture.
const UNLIMITED: u8 = DEEPEST + 1;
/// Number of captured bytes before the body, by class: Ethernet, IP without options, and UDP or TCP without
/// options.
const BEFORE_BODY: [u32; 4] = [42, 54, 62, 74];
/// Distance between the end of the TCP fields and the body, in bytes.
const AFTER_TCP_FIELDS: u32 = 6;

/// The fields that the match keys of several captures cover, chosen so that keys are equal for the same
/// packet although the captures have different snap lengths.
///
/// For each class of frames (IPv4 and IPv6, TCP and others), a depth gives how much of the transport header
/// and of the body is present in all captures.
///
/// # Examples
///
/// ```
/// use taunet::capture::{Frame, LinkType, MatchFields};
///
/// let mut bytes = vec![0x45, 0, 0, 48, 0, 7, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
/// bytes.extend([0x1f, 0x90, 0, 80, 0, 28, 0, 0]);
/// bytes.extend([7; 20]);
/// let whole = Frame::parse(LinkType::RAW, &bytes, 48);
/// let truncated = Frame::parse(LinkType::RAW, &bytes[..40], 48);
/// let fields = MatchFields::of([&whole], None).and(MatchFields::of([&truncated], None));
/// assert!(whole.match_key_over(&fields).is_some());
/// assert_eq!(whole.match_key_over(&fields), truncated.match_key_over(&fields));
/// assert_eq!(truncated.match_key_over(&MatchFields::ALL), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchFields {
    /// Whether the key covers the IP identification.
    pub identification: bool,
    /// By class: 0 without the TCP fields, otherwise 1 more than the number of body bytes.
    depth: [u8; 4],
}

impl Default for MatchFields {
    fn default() -> Self {
        MatchFields::ALL
    }
}

impl MatchFields {
    /// All fields, for captures with at least 32 bytes of every body.
    pub const ALL: MatchFields = MatchFields { identification: true, depth: [UNLIMITED; 4] };

    /// The fields that a capture holds, from a sample of its frames and its snap length in bytes. If all IPv4
    /// identifications in the sample are 0, the identification is not used.
    pub fn of<'a>(sample: impl IntoIterator<Item = &'a Frame>, snap_length: Option<u32>) -> Self {
        let mut fields = MatchFields::ALL;
        let (mut snap, mut deepest) = (None, 0);
        let (mut with_identification, mut with_zero) = (false, false);
        for frame in sample {
            match (frame.ip_version, frame.identification) {
                (Some(4), Some(0)) => with_zero = true,
                (_, Some(_)) => with_identification = true,
                _ => {}
            }
            let Some((class, depth)) = frame.depth() else { continue };
            deepest = deepest.max(u32::from(frame.beyond_ethernet));
            fields.depth[class] = fields.depth[class].min(depth);
            // A body that was not captured completely reveals the snap length.
            if frame.body_captured != WHOLE && depth > 0 {
                let shown = BEFORE_BODY[class] + u32::from(frame.body_captured);
                snap = Some(snap.map_or(shown, |snap: u32| snap.min(shown)));
            }
        }
        fields.identification = with_identification || !with_zero;
        // A link-layer header longer than Ethernet's leaves fewer bytes of the packet.
        let at_file = snap_length.map(|length| length.saturating_sub(deepest));
        let snap = [snap, at_file].into_iter().flatten().min();
        if let Some(snap) = snap {
            for (depth, before) in fields.depth.iter_mut().zip(BEFORE_BODY) {
                let at_snap = match snap.checked_sub(before) {
                    Some(body) => 1 + body.min(u32::from(DEEPEST)) as u8,
                    None => u8::from(snap + AFTER_TCP_FIELDS >= before),
                };
                *depth = (*depth).min(at_snap);
            }
        }
        fields
    }

    /// The fields that both hold.
    pub fn and(self, other: MatchFields) -> MatchFields {
        let mut depth = self.depth;
        for (depth, other) in depth.iter_mut().zip(other.depth) {
            *depth = (*depth).min(other);
        }
        MatchFields { identification: self.identification && other.identification, depth }
    }

    /// These fields without the IP identification.
    pub fn without_identification(self) -> MatchFields {
        MatchFields { identification: false, ..self }
    }
}

impl Frame {
    /// Stores the body of the packet, of which `body` was captured.
    #[inline]
    pub(super) fn set_body(&mut self, body: &[u8], is_whole: bool) {
        let length = body.len().min(8);
        self.prefix[..length].copy_from_slice(&body[..length]);
        self.prefix_length = length as u8;
        self.body_captured = if is_whole { WHOLE } else { body.len().min(usize::from(WHOLE) - 1) as u8 };
        if body.len() > 8 {
            let hash = |end: usize| XxHash3_64::oneshot(&body[..body.len().min(end)]) as u32;
            self.body_hashes[0] = hash(16);
            self.body_hashes[1] = if body.len() > 16 { hash(32) } else { self.body_hashes[0] };
        }
    }

    /// The class of the frame, and the depth that its captured bytes reach.
    fn depth(&self) -> Option<(usize, u8)> {
        let is_v6 = usize::from(self.ip_version? == 6);
        let is_tcp = self.protocol? == 6 && !self.is_later_fragment();
        let depth = match self.body_captured {
            _ if is_tcp && self.tcp_flags.is_none() => 0,
            WHOLE => UNLIMITED,
            captured => 1 + captured.min(DEEPEST),
        };
        Some((2 * is_v6 + usize::from(is_tcp), depth))
    }

    /// The [`Frame::match_key_over`] all captured fields. It is equal at another vantage only if that capture
    /// holds as much of the frame.
    pub fn match_key(&self) -> Option<u64> {
        let (_, depth) = self.depth()?;
        self.match_key_over(&MatchFields { identification: true, depth: [depth; 4] })
    }

    /// A key that identifies a packet at every point of its path. `None` for a frame without IP, and for a
    /// frame of which less was captured than `fields` cover.
    ///
    /// It is a hash over the addresses, the protocol, the ports, the length of the IP packet, the fragment
    /// offset and the more-fragments flag, the IP identification, the TCP sequence and acknowledgement
    /// numbers and flags, and the first bytes of the body (see [`Frame::prefix`]): up to 8, 16 or 32, as
    /// `fields` say. It leaves out the fields that change on a path: MAC addresses, VLAN tags, TTL, DSCP,
    /// ECN, checksums.
    pub fn match_key_over(&self, fields: &MatchFields) -> Option<u64> {
        let key = self.own_key(fields)?;
        match self.fragment {
            // The outer packet was fragmented, and the inner one does not show it.
            Some(fragment) if !self.is_fragment() => Some(key ^ fragment.key()),
            _ => Some(key),
        }
    }

    #[inline]
    fn own_key(&self, fields: &MatchFields) -> Option<u64> {
        let mut bytes = Bytes::default();
        bytes.add_address(self.source?);
        bytes.add_address(self.destination?);
        // The tag has a bit per field, so that a present field never looks like a missing one.
        bytes.add(&[u8::from(self.source_port.is_some())]);
        bytes.add(&self.source_port.unwrap_or(0).to_be_bytes());
        bytes.add(&self.destination_port.unwrap_or(0).to_be_bytes());
        let body = self.add_common(fields, &mut bytes)?;
        if body.is_some() {
            bytes.add(&self.tcp_sequence.unwrap_or(0).to_be_bytes());
            bytes.add(&self.tcp_acknowledgement.unwrap_or(0).to_be_bytes());
        }
        Some(bytes.hash())
    }

    /// A key that survives network address translation (RFC 3022), including changed ports and TCP numbers.
    /// It covers the protocol, length, fragment, flags, body, and the IP identification if `fields` have it.
    /// `None` if the key would cover fewer than 8 bytes of the body.
    pub fn translated_key(&self, fields: &MatchFields) -> Option<u64> {
        let mut bytes = Bytes::default();
        let body = self.add_common(fields, &mut bytes)??;
        (body >= 8 && self.prefix_length >= 8).then(|| bytes.hash())
    }

    /// Adds the fields that address translation leaves unchanged. Returns the depth of the body that is
    /// covered, or `None` if nothing after the ports is covered.
    #[inline]
    fn add_common(&self, fields: &MatchFields, bytes: &mut Bytes) -> Option<Option<u8>> {
        let (class, depth) = self.depth()?;
        let wanted = fields.depth[class];
        if depth < wanted {
            return None;
        }
        bytes.add(&[self.protocol?]);
        bytes.add(&self.total_length.unwrap_or(0).to_be_bytes());
        bytes.add(&self.fragment_offset.unwrap_or(0).to_be_bytes());
        bytes.add(&[u8::from(self.more_fragments == Some(true))]);
        if fields.identification {
            bytes.add(&self.identification.unwrap_or(0).to_be_bytes());
        }
        let Some(body) = wanted.checked_sub(1) else { return Some(None) };
        bytes.add(&[self.tcp_flags.unwrap_or(0)]);
        let prefix = usize::from(body.min(self.prefix_length));
        let mut first = [0; 8];
        let prefix = prefix.min(8);
        first[..prefix].copy_from_slice(&self.prefix[..prefix]);
        bytes.add(&first);
        match body {
            0..16 => {}
            16..32 => bytes.add(&self.body_hashes[0].to_be_bytes()),
            _ => bytes.add(&self.body_hashes[1].to_be_bytes()),
        }
        Some(Some(body))
    }
}

/// The bytes that a key is computed from.
pub(super) struct Bytes {
    bytes: [u8; 80],
    length: usize,
}

impl Default for Bytes {
    fn default() -> Self {
        Bytes { bytes: [0; 80], length: 0 }
    }
}

impl Bytes {
    #[inline]
    pub(super) fn add(&mut self, field: &[u8]) {
        self.bytes[self.length..self.length + field.len()].copy_from_slice(field);
        self.length += field.len();
    }

    #[inline]
    pub(super) fn add_address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.add(&address.octets()),
            IpAddr::V6(address) => self.add(&address.octets()),
        }
    }

    pub(super) fn hash(&self) -> u64 {
        XxHash3_64::oneshot(&self.bytes[..self.length])
    }
}
