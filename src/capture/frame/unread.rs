//! [`Unread`]: why the innermost packet of a frame was not read.

use std::collections::BTreeMap;
use std::path::Path;

use super::Frame;

/// Why the innermost packet of a frame was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Unread {
    /// Encrypted MACsec.
    MacSecEncrypted,
    /// The mesh protocol batman-adv.
    BatmanAdv,
    /// The tag of a Realtek switch chip.
    RealtekTag,
    /// A pseudowire without recognizable IP.
    Pseudowire,
    /// Compressed or encrypted PPP.
    PppCompressed,
    /// IPsec Encapsulating Security Payload.
    Esp,
    /// L2TP version 3, whose header has no fixed length.
    L2tpV3,
    /// WireGuard.
    WireGuard,
    /// CAPWAP data between an access point and its controller.
    Capwap,
    /// An encrypted IEEE 802.11 data frame.
    WirelessEncrypted,
    /// An IEEE 802.11 data frame with several packets (A-MSDU), each with its own header.
    WirelessAggregated,
    /// A fragment of IEEE 802.11 other than the first.
    WirelessFragment,
    /// More than [`Encapsulations::DEEPEST`](super::Encapsulations::DEEPEST) headers around it.
    TooDeep,
}

impl Unread {
    /// The name, for example `IPsec ESP`.
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
            Unread::WirelessAggregated => "802.11 with several packets per frame (A-MSDU)",
            Unread::WirelessFragment => "802.11 fragments after the first",
            Unread::TooDeep => "IP behind more than 8 headers",
        }
    }

    /// A remedy for the user.
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
                "capture before these headers are added, or after they are removed"
            }
            Unread::TooDeep => "capture at an inner interface",
        }
    }
}

/// Counts of frames whose innermost packet was not read.
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

    /// The count of each kind.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Unread, u64)> {
        self.0.iter().map(|(unread, count)| (*unread, *count))
    }

    /// One warning per kind.
    pub(crate) fn remarks(&self, path: &Path) -> impl Iterator<Item = String> {
        self.iter().map(|(unread, count)| {
            let packets = if count == 1 { "packet" } else { "packets" };
            format!(
                "{}: {count} {packets} of {} may carry inner packets that were not read: {}",
                path.display(),
                unread.name(),
                unread.remedy()
            )
        })
    }
}
