//! [`Unread`]: why a frame was not read to its innermost packet.

use std::collections::BTreeMap;
use std::path::Path;

use super::Frame;

/// Why a frame was not read to its innermost packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Unread {
    /// MACsec with encryption.
    MacSecEncrypted,
    /// The mesh protocol batman-adv.
    BatmanAdv,
    /// The tag of a Realtek switch chip.
    RealtekTag,
    /// A pseudowire whose frames hold no IP that is recognized.
    Pseudowire,
    /// PPP that is compressed or encrypted.
    PppCompressed,
    /// IPsec: an encapsulating security payload.
    Esp,
    /// L2TP version 3, whose header has no fixed length.
    L2tpV3,
    /// WireGuard.
    WireGuard,
    /// CAPWAP data between an access point and its controller.
    Capwap,
    /// A data frame of IEEE 802.11 with encryption.
    WirelessEncrypted,
    /// A data frame of IEEE 802.11 with several packets (A-MSDU), each with a header of its own.
    WirelessAggregated,
    /// A later fragment of IEEE 802.11.
    WirelessFragment,
    /// More than [`Encapsulations::DEEPEST`](super::Encapsulations::DEEPEST) headers around it.
    TooDeep,
}

impl Unread {
    /// What it is: `IPsec ESP`.
    pub fn name(self) -> &'static str {
        match self {
            Unread::MacSecEncrypted => "encrypted MACsec",
            Unread::BatmanAdv => "batman-adv",
            Unread::RealtekTag => "Realtek switch tags",
            Unread::Pseudowire => "a pseudowire without readable IP",
            Unread::PppCompressed => "compressed or encrypted PPP",
            Unread::Esp => "IPsec ESP",
            Unread::L2tpV3 => "L2TPv3",
            Unread::WireGuard => "WireGuard",
            Unread::Capwap => "CAPWAP",
            Unread::WirelessEncrypted => "encrypted 802.11",
            Unread::WirelessAggregated => "802.11 with several packets to the frame (A-MSDU)",
            Unread::WirelessFragment => "802.11 fragments after the first",
            Unread::TooDeep => "IP behind more than 8 headers",
        }
    }

    /// What would help.
    fn remedy(self) -> &'static str {
        match self {
            Unread::MacSecEncrypted | Unread::Esp | Unread::WireGuard => "capture where they are decrypted",
            Unread::WirelessEncrypted => {
                "decrypt the capture first (`airdecap-ng`), or capture at the IP interface"
            }
            Unread::WirelessAggregated => "capture at the IP interface, or turn A-MSDU off",
            Unread::WirelessFragment => "capture at the IP interface",
            Unread::PppCompressed => "capture at the IP interface, or turn compression off",
            Unread::BatmanAdv | Unread::RealtekTag | Unread::Pseudowire | Unread::L2tpV3 | Unread::Capwap => {
                "capture before these headers are put on, or behind where they are taken off"
            }
            Unread::TooDeep => "capture at an inner interface",
        }
    }
}

/// The frames of a capture that were not read to their innermost packet.
#[derive(Debug, Default)]
pub(crate) struct UnreadCounts(BTreeMap<Unread, u64>);

impl UnreadCounts {
    /// Counts a frame.
    #[inline]
    pub(crate) fn add(&mut self, frame: &Frame) {
        if let Some(unread) = frame.unread {
            *self.0.entry(unread).or_default() += 1;
        }
    }

    /// How many there are of each kind.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Unread, u64)> {
        self.0.iter().map(|(unread, count)| (*unread, *count))
    }

    /// A warning for each kind.
    pub(crate) fn remarks(&self, path: &Path) -> impl Iterator<Item = String> {
        self.iter().map(|(unread, count)| {
            let packets = if count == 1 { "packet" } else { "packets" };
            format!(
                "{}: {count} {packets} of {} may hold others, which are not read: {}",
                path.display(),
                unread.name(),
                unread.remedy()
            )
        })
    }
}
