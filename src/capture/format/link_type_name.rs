//! The names of link types, from `pcap-file`.

use pcap_file::DataLink;

/// The registered name of a link type.
pub(in crate::capture) fn link_type_name(number: u16) -> Option<String> {
    match DataLink::from(u32::from(number)) {
        DataLink::Unknown(_) => None,
        known => Some(format!("{known:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_type_numbers_survive_pcap_file() {
        for number in 0..=u16::MAX {
            let through = u32::from(DataLink::from(u32::from(number)));
            assert_eq!(through, u32::from(number), "{number}");
        }
    }
}
