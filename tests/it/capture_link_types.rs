//! Link layers other than Ethernet: each leads to the same IP packet, and gives its direction if available.

use std::io::Cursor;

use taunet::capture::{CaptureDirection, Frame, LinkType, Options, Reader, Resolution, Sorted, Writer};
use taunet::packet::MacAddress;
use taunet::units::Timestamp;

/// A UDP datagram over IPv4 from 192.0.2.1 port 5000 to 198.51.100.2 port 9, or over IPv6.
fn datagram(is_v6: bool) -> Vec<u8> {
    let udp = [&[0x13, 0x88, 0, 9, 0, 28, 0, 0][..], &[7; 20]].concat();
    if is_v6 {
        let addresses = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]; 2].concat();
        return [&[0x60, 0, 0, 0, 0, 28, 17, 64][..], &addresses, &udp].concat();
    }
    let header = [0x45, 0, 0, 48, 0, 7, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2];
    [&header[..], &udp].concat()
}

/// What precedes IPv4, with its length; the same before IPv6, where the header names the protocol.
fn parse(link_type: LinkType, header: &[u8], payload: &[u8]) -> Frame {
    let bytes = [header, payload].concat();
    // Nothing of it may panic where it is cut off.
    for length in 0..bytes.len() {
        Frame::parse(link_type, &bytes[..length], bytes.len() as u32);
    }
    Frame::parse(link_type, &bytes, bytes.len() as u32)
}

#[track_caller]
fn leads_to_ip(link_type: LinkType, header: &[u8]) {
    let frame = parse(link_type, header, &datagram(false));
    assert_eq!((frame.ip_version, frame.destination_port), (Some(4), Some(9)), "{link_type}");
    assert_eq!(frame.total_length, Some(48));
}

#[track_caller]
fn leads_to_ipv6(link_type: LinkType, header: &[u8]) {
    let frame = parse(link_type, header, &datagram(true));
    assert_eq!((frame.ip_version, frame.destination_port), (Some(6), Some(9)), "{link_type}");
}

#[track_caller]
fn leads_nowhere(link_type: LinkType, header: &[u8]) {
    let frame = parse(link_type, header, &datagram(false));
    assert_eq!((frame.ip_version, frame.source), (None, None), "{link_type}");
}

#[test]
fn point_to_point_protocols() {
    for (link_type, before) in [
        (LinkType::PPP, &[][..]),
        (LinkType::PPP, &[0xff, 0x03]),
        (LinkType::PPP_HDLC, &[0xff, 0x03]),
        (LinkType::C_HDLC, &[0xff, 0x03]),
        (LinkType::PPP_ETHER, &[0x11, 0, 0, 1, 0, 50]),
        (LinkType::PPP_PPPD, &[0, 0x03]),
        (LinkType::PPP_WITH_DIR, &[1, 0xff, 0x03]),
        (LinkType::PPP_WITH_DIR, &[0]),
    ] {
        let with = |protocol: &[u8]| [before, protocol].concat();
        leads_to_ip(link_type, &with(&[0, 0x21]));
        leads_to_ip(link_type, &with(&[0x21]));
        leads_to_ipv6(link_type, &with(&[0, 0x57]));
        leads_to_ipv6(link_type, &with(&[0x57]));
        leads_to_ip(link_type, &with(&[2, 0x81, 0, 0, 0x11, 64]));
        leads_nowhere(link_type, &with(&[0xc0, 0x21]));
        // compressed TCP (RFC 1144)
        leads_nowhere(link_type, &with(&[0, 0x2d]));
    }
}

#[test]
fn cisco_hdlc_and_frame_relay() {
    for (link_type, before) in
        [(LinkType::C_HDLC, &[][..]), (LinkType::PPP_HDLC, &[]), (LinkType::C_HDLC_WITH_DIR, &[1])]
    {
        leads_to_ip(link_type, &[before, &[0x0f, 0, 8, 0]].concat());
        leads_to_ip(link_type, &[before, &[0x8f, 0, 8, 0]].concat());
        leads_to_ipv6(link_type, &[before, &[0x0f, 0, 0x86, 0xdd]].concat());
        leads_to_ip(link_type, &[before, &[0x0f, 0, 0x88, 0x47, 0, 0, 0x11, 64]].concat());
        leads_nowhere(link_type, &[before, &[0x8f, 0, 0x80, 0x35]].concat());
    }
    for (link_type, before) in [(LinkType::FRELAY, &[][..]), (LinkType::FRELAY_WITH_DIR, &[0])] {
        leads_to_ip(link_type, &[before, &[0x18, 0x41, 0x03, 0xcc]].concat());
        leads_to_ip(link_type, &[before, &[0x18, 0x40, 0x00, 0x41, 0x03, 0xcc]].concat());
        leads_to_ipv6(link_type, &[before, &[0x18, 0x41, 0x03, 0x8e]].concat());
        leads_to_ip(link_type, &[before, &[0x18, 0x41, 0x03, 0, 0x80, 0, 0, 0, 8, 0]].concat());
        // Cisco's
        leads_to_ip(link_type, &[before, &[0x18, 0x41, 8, 0]].concat());
        leads_nowhere(link_type, &[before, &[0, 1, 0x03, 8, 0]].concat());
    }
}

#[test]
fn logs_of_packet_filters_and_other_pseudo_headers() {
    leads_to_ip(LinkType::SLIP, &[[1].as_slice(), &[0x40; 15]].concat());
    leads_to_ip(LinkType::ATM_RFC1483, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
    leads_to_ip(LinkType::ENC, &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    leads_to_ipv6(LinkType::ENC, &[24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let pflog = |family| [&[61, family][..], &[0; 58], &[2, 0, 0, 0]].concat();
    leads_to_ip(LinkType::PFLOG, &pflog(2));
    leads_to_ipv6(LinkType::PFLOG, &pflog(24));
    leads_nowhere(LinkType::PFLOG, &pflog(99));
    // family, version, group; a prefix of 5 bytes, padded; the payload with its length
    leads_to_ip(LinkType::NFLOG, &[2, 0, 0, 1, 9, 0, 10, 0, b'a', b'b', b'c', b'd', 0, 0, 0, 0, 52, 0, 9, 0]);
    leads_to_ip(LinkType::NFLOG, &[2, 0, 0, 1, 0, 9, 0, 10, b'a', b'b', b'c', b'd', 0, 0, 0, 0, 0, 52, 0, 9]);
    leads_to_ipv6(LinkType::NFLOG, &[10, 0, 0, 1, 72, 0, 9, 0]);
    leads_to_ip(LinkType::IPNET, &[1, 2].iter().chain(&[0; 22]).copied().collect::<Vec<u8>>());
    leads_to_ip(LinkType::IPOIB, &[[0; 40].as_slice(), &[8, 0, 0, 0]].concat());
    let ethernet = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], &[8, 0]].concat();
    let tagged = |tag: &[u8]| [&ethernet[..12], tag, &[8, 0]].concat();
    leads_to_ip(LinkType::DSA_TAG_BRCM, &tagged(&[0x20, 0, 0, 1]));
    leads_to_ip(LinkType::DSA_TAG_DSA, &tagged(&[0xc0, 0, 0, 0]));
    leads_to_ip(LinkType::DSA_TAG_EDSA, &tagged(&[0xda, 0xda, 0, 0, 0xc0, 0, 0, 0]));
    leads_to_ip(LinkType::DSA_TAG_BRCM_PREPEND, &[&[0x20, 0, 0, 1][..], &ethernet].concat());
    let pktap = |link_type: u32| {
        let mut header = [108u32.to_le_bytes(), [0; 4], link_type.to_le_bytes()].concat();
        header.resize(108, 0);
        header
    };
    leads_to_ip(LinkType::PKTAP, &[pktap(1), ethernet].concat());
    leads_to_ip(LinkType::PKTAP, &pktap(12));
    leads_nowhere(LinkType::PKTAP, &pktap(258));
}

/// A header of 802.11: control, flags, four addresses as they are wanted.
fn wireless(subtype: u8, flags: u8) -> Vec<u8> {
    let mut header = vec![subtype << 4 | 0x08, flags, 0, 0];
    for last in [1, 2, 3] {
        header.extend([2, 0, 0, 0, 0, last]);
    }
    header.extend([0x10, 0]);
    if flags & 3 == 3 {
        header.extend([2, 0, 0, 0, 0, 4]);
    }
    if subtype & 8 != 0 {
        header.extend([0, 0]);
        if flags & 0x80 != 0 {
            header.extend([0; 4]);
        }
    }
    header
}

const LLC: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];

#[test]
fn data_frames_of_wireless_networks() {
    let mac = |last| Some(MacAddress([2, 0, 0, 0, 0, last]));
    for subtype in [0, 8] {
        for (flags, source, destination) in [(0, 2, 1), (1, 2, 3), (2, 3, 1), (3, 4, 3), (0x80, 2, 1)] {
            let header = [wireless(subtype, flags).as_slice(), &LLC].concat();
            leads_to_ip(LinkType::IEEE802_11, &header);
            let frame = Frame::parse(LinkType::IEEE802_11, &header, 100);
            assert_eq!((frame.source_mac, frame.destination_mac), (mac(source), mac(destination)), "{flags}");
            assert_eq!(frame.ether_type, Some(0x0800));
        }
    }
    let header = [wireless(0, 1).as_slice(), &LLC].concat();
    let little = |length: usize| [length as u8, 0];
    let radiotap = |present: &[u8], fields: &[u8]| {
        let length = little(4 + present.len() + fields.len());
        [&[0, 0][..], &length, present, fields, &header].concat()
    };
    leads_to_ip(LinkType::IEEE802_11_RADIOTAP, &radiotap(&[0; 4], &[]));
    leads_to_ip(LinkType::IEEE802_11_RADIOTAP, &radiotap(&[3, 0, 0, 0], &[9, 9, 9, 9, 9, 9, 9, 9, 0x10]));
    leads_to_ip(LinkType::IEEE802_11_RADIOTAP, &radiotap(&[2, 0, 0, 0x80, 0, 0, 0, 0], &[0]));
    leads_to_ip(LinkType::IEEE802_11_PRISM, &[[0; 144].as_slice(), &header].concat());
    let avs = [&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64][..], &[0; 56], &header].concat();
    leads_to_ip(LinkType::IEEE802_11_AVS, &avs);
    leads_to_ip(LinkType::IEEE802_11_PRISM, &avs);
    leads_to_ip(LinkType::PPI, &[&[0, 0, 8, 0, 105, 0, 0, 0][..], &header].concat());
    leads_to_ip(LinkType::PPI, &[0, 0, 8, 0, 12, 0, 0, 0]);
}

#[test]
fn headers_padded_by_the_driver() {
    // QoS makes 26 bytes of the header, which the driver pads to 28: radiotap's flags say so, behind the timer or not.
    let padded = [wireless(8, 1).as_slice(), &[0, 0], &LLC].concat();
    let timer = [&[0, 0, 17, 0, 3, 0, 0, 0][..], &[0; 8], &[0x20], &padded].concat();
    leads_to_ip(LinkType::IEEE802_11_RADIOTAP, &timer);
    leads_to_ip(LinkType::IEEE802_11_RADIOTAP, &[&[0, 0, 9, 0, 2, 0, 0, 0, 0x20][..], &padded].concat());
    // the second word makes the timer start at 16
    let two_words =
        [&[0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0][..], &[0; 8], &[0x20], &padded].concat();
    leads_to_ip(LinkType::IEEE802_11_RADIOTAP, &two_words);
    leads_nowhere(LinkType::IEEE802_11_RADIOTAP, &[&[0, 0, 9, 0, 2, 0, 0, 0, 0][..], &padded].concat());
}

/// A capture of one link type.
pub fn pcap(link_type: LinkType, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, Resolution::Nanoseconds, link_type, 65_535).unwrap();
    for (number, frame) in (1..).zip(frames) {
        writer.write(Timestamp::from_ns(number * 1_000_000), frame.len() as u32, frame).unwrap();
    }
    file
}

#[test]
fn wireless_frames_that_cannot_be_read_are_told() {
    let body = [LLC.as_slice(), &datagram(false)].concat();
    let frame = |header: Vec<u8>| [header.as_slice(), &body].concat();
    let mut later = wireless(0, 1);
    later[22] = 0x11;
    let mut aggregated = wireless(8, 1);
    aggregated[24] = 0x80;
    let mut beacon = wireless(8, 0);
    beacon[0] = 0x80;
    let frames: Vec<Vec<u8>> = [
        wireless(0, 0x41),
        wireless(8, 0x42),
        later,
        aggregated,
        // not data, and data without a body
        beacon,
        wireless(4, 1),
        wireless(0, 1),
    ]
    .into_iter()
    .map(frame)
    .collect();
    let bytes = pcap(LinkType::IEEE802_11, &frames);
    let options = Options::default();
    let reader = Reader::from_source(Cursor::new(bytes), "air".as_ref(), &options).unwrap();
    let mut sorted = Sorted::new(reader, &options);
    let mut with_ip = Vec::new();
    while let Some(observation) = sorted.next_observation().unwrap() {
        with_ip.push(observation.frame.ip_version.is_some());
    }
    assert_eq!(with_ip, [false, false, false, false, false, false, true]);
    let remarks = sorted.remarks();
    let starts = [
        "air: 2 packets of encrypted 802.11 may carry inner packets that were not read: decrypt the capture first (`airdecap-ng`)",
        "air: 1 packet of 802.11 with several packets per frame (A-MSDU) may carry inner packets",
        "air: 1 packet of 802.11 fragments after the first may carry inner packets",
    ];
    assert_eq!(remarks.len(), 3, "{remarks:?}");
    assert!(remarks.iter().zip(starts).all(|(remark, start)| remark.starts_with(start)), "{remarks:?}");
}

#[test]
fn headers_say_which_way_a_packet_went() {
    use CaptureDirection::{In, Out};
    let directions = |link_type: LinkType, frames: &[&[u8]]| -> Vec<Option<CaptureDirection>> {
        let frames: Vec<Vec<u8>> = frames.iter().map(|frame| frame.to_vec()).collect();
        let source = Cursor::new(pcap(link_type, &frames));
        let mut reader = Reader::from_source(source, "a".as_ref(), &Options::default()).unwrap();
        let mut found = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            found.push(record.direction);
        }
        found
    };
    for number in [8, 166, 204, 205, 206] {
        assert_eq!(directions(LinkType(number), &[&[0], &[1], &[2], &[]]), [Some(In), Some(Out), None, None]);
    }
    let sll = [[0, 0], [0, 1], [0, 2], [0, 3], [0, 4], [0, 5], [1, 0]];
    let sll: Vec<&[u8]> = sll.iter().map(|start| start.as_slice()).collect();
    let expected = [Some(In), Some(In), Some(In), Some(In), Some(Out), None, None];
    assert_eq!(directions(LinkType::LINUX_SLL, &sll), expected);
    let pflog: Vec<Vec<u8>> = (0..3).map(|way| [[0; 60].as_slice(), &[way]].concat()).collect();
    let pflog: Vec<&[u8]> = pflog.iter().map(Vec::as_slice).collect();
    assert_eq!(directions(LinkType::PFLOG, &pflog), [None, Some(In), Some(Out)]);
    assert_eq!(directions(LinkType::ETHERNET, &[&[0; 60]]), [None]);
}

/// Link types that tshark reads as well as taunet: PPP, Cisco HDLC, Frame Relay, radiotap, IPNET, NFLOG, IPoIB.
const BESIDE_TSHARK: [u16; 7] = [9, 104, 107, 127, 226, 239, 242];

/// Where tshark is installed: every capture below the folder that `TAUNET_PUBLIC_CAPTURES` names has as many packets as
/// tshark finds, and of some link types as many with IP.
#[test]
fn public_captures_have_the_packets_that_tshark_finds() {
    let Ok(folders) = std::env::var("TAUNET_PUBLIC_CAPTURES") else {
        eprintln!("skipped: TAUNET_PUBLIC_CAPTURES names no folder of captures");
        return;
    };
    let (mut compared, mut with_ip) = (0, 0);
    let folders = std::fs::read_dir(folders).unwrap().map(|entry| entry.unwrap().path());
    for folder in folders.filter(|path| path.is_dir()) {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let Some((packets, of_ip)) = counted(&path) else { continue };
            let arguments = ["-n", "-T", "fields", "-e", "ip.version", "-e", "ipv6.version", "-r"];
            let tshark = std::process::Command::new("tshark").args(arguments).arg(&path).output();
            let Ok(output) = tshark else {
                eprintln!("skipped: tshark is not installed");
                return;
            };
            // It does not know every link type, and takes a custom block for a packet.
            if !output.status.success() || path.ends_with("two_interfaces.pcapng") {
                continue;
            }
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(packets, text.lines().count(), "{}", path.display());
            if let Some(of_ip) = of_ip {
                let theirs = text.lines().filter(|line| !line.trim().is_empty()).count();
                assert_eq!(of_ip, theirs, "{}", path.display());
                with_ip += of_ip;
            }
            compared += 1;
        }
    }
    assert!(compared > 50 && with_ip > 100, "{compared} {with_ip}");
}

/// The packets of a capture that can be read to its end, and those with IP, where its link type is one of
/// [`BESIDE_TSHARK`].
fn counted(path: &std::path::Path) -> Option<(usize, Option<usize>)> {
    let mut reader = Reader::open(path, &Options::default()).ok()?;
    let (mut packets, mut of_ip) = (0, Some(0));
    while let Some(record) = reader.next_record().ok()? {
        packets += 1;
        let frame = Frame::parse(record.link_type, record.bytes, record.original_length);
        of_ip = of_ip
            .filter(|_| BESIDE_TSHARK.contains(&record.link_type.0))
            .map(|count| count + usize::from(frame.ip_version.is_some()));
    }
    Some((packets, of_ip.filter(|_| packets > 0)))
}
