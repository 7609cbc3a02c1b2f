//! Every format and compression gives the same records, with exact times. This also tests the release
//! candidate of `pcap-file` that taunet uses.

use std::io::{Cursor, Read, Write};

use taunet::capture::{CaptureDirection, LinkType, Options, Reader, Resolution, Writer};
use taunet::units::Timestamp;

use crate::pcapng::PcapNgFile;

/// (time in ps, original length, captured bytes, interface) of every record.
pub type Packets = Vec<(i128, u32, Vec<u8>, u32)>;

pub fn packets(bytes: Vec<u8>) -> Packets {
    let mut reader = Reader::from_source(Cursor::new(bytes), "test".as_ref(), &Options::default()).unwrap();
    let mut packets = Packets::new();
    while let Some(record) = reader.next_record().unwrap() {
        assert_eq!(record.index, packets.len() as u64);
        let (time, original) = (record.timestamp.as_ps(), record.original_length);
        packets.push((time, original, record.bytes.to_vec(), record.interface));
    }
    packets
}

fn pcap(is_nano: bool, is_big_endian: bool, link_type: u32, records: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
    let u32 = |number: u32| if is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
    let u16 = |number: u16| if is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
    let magic = if is_nano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut bytes =
        [u32(magic).as_slice(), &u16(2), &u16(4), &u32(0), &u32(0), &u32(96), &u32(link_type)].concat();
    for (seconds, fraction, original, captured) in records {
        bytes.extend([u32(*seconds), u32(*fraction), u32(captured.len() as u32), u32(*original)].concat());
        bytes.extend(*captured);
    }
    bytes
}

#[test]
fn classic_pcap_in_both_byte_orders_and_resolutions() {
    for is_big_endian in [false, true] {
        for (is_nano, unit) in [(false, 1_000_000), (true, 1_000)] {
            let bytes = pcap(is_nano, is_big_endian, 1, &[(7, 123, 1514, &[1, 2]), (8, 0, 60, &[])]);
            let expected = vec![
                (7_000_000_000_000 + 123 * unit, 1514, vec![1, 2], 0),
                (8_000_000_000_000, 60, vec![], 0),
            ];
            assert_eq!(packets(bytes), expected);
        }
    }
}

#[test]
fn what_real_pcap_files_hold_is_accepted() {
    // more captured than the file's snap length and than the original length, which is then the captured one;
    // microseconds beyond 999,999; a frame check sequence of 4 bytes and reserved bits in the link type; the last second
    let frame = [3; 200];
    let bytes = pcap(false, false, 0x3000_0001, &[(u32::MAX, 2_000_000, 100, &frame)]);
    let expected = (i128::from(u32::MAX) + 2) * 1_000_000_000_000;
    assert_eq!(packets(bytes), vec![(expected, 200, frame.to_vec(), 0)]);
}

#[test]
fn an_original_length_below_the_captured_one_lies() {
    let records: [(u32, u32, u32, &[u8]); 4] =
        [(1, 0, 0, &[1; 60]), (2, 0, 59, &[2; 60]), (3, 0, 60, &[3; 60]), (4, 0, 1514, &[4; 60])];
    let mut file = PcapNgFile::new(true);
    file.interface(1, 0, &[]);
    for (second, _, original, captured) in records {
        file.enhanced_packet(0, u64::from(second) * 1_000_000, original, captured);
    }
    file.packet(0, 5_000_000, 1, &[5; 60]);
    file.simple_packet(0, &[6; 60]);
    for (bytes, count, lie) in [(pcap(false, false, 1, &records), 4, 2), (file.bytes, 6, 4)] {
        let mut reader =
            Reader::from_source(Cursor::new(bytes), "test".as_ref(), &Options::default()).unwrap();
        let mut lengths = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            lengths.push((record.original_length, record.bytes.len()));
        }
        let expected = [(60, 60), (60, 60), (60, 60), (1514, 60), (60, 60), (60, 60)];
        assert_eq!((lengths.as_slice(), reader.understated()), (&expected[..count], lie));
        let told = format!(
            "test: {lie} packets have an original length of 0 or below the captured length: the captured length is used"
        );
        assert_eq!(reader.remarks(), [told]);
    }
}

/// A record of modified pcap: interface index, protocol, packet type, padding.
pub fn modified_pcap(is_big_endian: bool, records: &[(u32, u32, u8, &[u8])]) -> Vec<u8> {
    let u32 = |number: u32| if is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
    let mut bytes = pcap(false, is_big_endian, 1, &[]);
    bytes[..4].copy_from_slice(&u32(0xa1b2_cd34));
    for (second, interface, packet_type, captured) in records {
        let length = u32(captured.len() as u32);
        bytes.extend([u32(*second), u32(0), length, length, u32(*interface)].concat());
        bytes.extend([8, 0, *packet_type, 0]);
        bytes.extend(*captured);
    }
    bytes
}

#[test]
fn modified_pcap_in_both_byte_orders() {
    for is_big_endian in [false, true] {
        let bytes = modified_pcap(is_big_endian, &[(7, 3, 0, &[1; 60]), (8, 4, 4, &[2; 61]), (9, 4, 5, &[])]);
        let expected = vec![
            (7_000_000_000_000, 60, vec![1; 60], 3),
            (8_000_000_000_000, 61, vec![2; 61], 4),
            (9_000_000_000_000, 0, vec![], 4),
        ];
        assert_eq!(packets(bytes.clone()), expected);
        let source = Cursor::new(bytes[..bytes.len() - 8].to_vec());
        let mut reader = Reader::from_source(source, "cut".as_ref(), &Options::default()).unwrap();
        let mut directions = Vec::new();
        let error = loop {
            match reader.next_record() {
                Ok(record) => directions.push(record.unwrap().direction),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(directions, [Some(CaptureDirection::In), Some(CaptureDirection::Out)]);
        assert!(
            error.starts_with("cut is cut off: the record header at byte 193 needs 24 bytes, but only 16"),
            "{error}"
        );
    }
}

#[test]
fn captures_of_ixia_in_both_byte_orders() {
    for is_big_endian in [false, true] {
        let u32 = |number: u32| if is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        for (magic, is_nano, unit) in [(0x1c00_01ac_u32, true, 1_000), (0x1c00_01ab, false, 1_000_000)] {
            let mut bytes = pcap(is_nano, is_big_endian, 1, &[(7, 123, 60, &[1; 60])]);
            bytes[..4].copy_from_slice(&u32(magic));
            bytes.splice(24..24, u32(76));
            assert_eq!(packets(bytes), vec![(7_000_000_000_000 + 123 * unit, 60, vec![1; 60], 0)]);
        }
    }
}

#[test]
fn every_time_resolution_of_pcapng() {
    for is_big_endian in [false, true] {
        for resolution in (0..=12u8).chain(0x80..=0xa8) {
            let mut file = PcapNgFile::new(is_big_endian);
            file.interface(1, 0, &[(9, vec![resolution])]);
            let (expected, count) = if resolution < 0x80 {
                (5_000_000_000_000, 5 * 10u64.pow(u32::from(resolution)))
            } else {
                (5_500_000_000_000, 11 << (resolution - 0x80) >> 1)
            };
            file.enhanced_packet(0, count, 60, &[9; 5]);
            let expected = if resolution == 0x80 { 5_000_000_000_000 } else { expected };
            assert_eq!(packets(file.bytes), vec![(expected, 60, vec![9; 5], 0)], "{resolution:#x}");
        }
    }
}

#[test]
fn pcapng_times_default_to_microseconds_and_may_have_an_offset() {
    for is_big_endian in [false, true] {
        let mut file = PcapNgFile::new(is_big_endian);
        file.interface(1, 0, &[]);
        let offset = |seconds: i64| if is_big_endian { seconds.to_be_bytes() } else { seconds.to_le_bytes() };
        // a name that is not UTF-8 comes before
        file.interface(1, 0, &[(2, vec![0xff]), (14, offset(-3).to_vec()), (9, vec![9])]);
        file.enhanced_packet(0, 1_700_000_000_123_456, 60, &[]);
        file.enhanced_packet(1, 5_000_000_001, 60, &[]);
        file.packet(1, 6_000_000_001, 61, &[4]);
        let expected = vec![
            (1_700_000_000_123_456_000_000, 60, vec![], 0),
            (2_000_000_001_000, 60, vec![], 1),
            (3_000_000_001_000, 61, vec![4], 1),
        ];
        assert_eq!(packets(file.bytes), expected);
    }
}

#[test]
fn sections_simple_packets_and_unknown_blocks() {
    let mut file = PcapNgFile::new(false);
    file.block(0x1234_5678, &[1; 1000]);
    file.interface(1, 4, &[]);
    file.enhanced_packet(0, 7, 60, &[1]);
    file.simple_packet(60, &[2; 4]);
    file.block(5, &[0; 12]);
    file.swap();
    file.interface(101, 0, &[(9, vec![9])]);
    file.block(0x4000_0bad, &[1; 7]);
    file.enhanced_packet(0, 7, 60, &[3]);
    file.simple_packet(3, &[4; 3]);
    let expected = vec![
        (7_000_000, 60, vec![1], 0),
        // no time: that of the record before
        (7_000_000, 60, vec![2; 4], 0),
        (7_000, 60, vec![3], 1),
        (7_000, 3, vec![4; 3], 1),
    ];
    assert_eq!(packets(file.bytes), expected);
}

#[test]
fn large_unknown_blocks_are_skipped_and_large_records_read() {
    let mut file = PcapNgFile::new(false);
    file.block(0x1234_5678, &vec![1; 40 << 20]);
    file.interface(1, 0, &[]);
    file.enhanced_packet(0, 1, 262_144, &vec![7; 262_144]);
    let read = packets(file.bytes);
    assert_eq!((read.len(), read[0].2.len()), (1, 262_144));
}

#[test]
fn compressed_captures_give_the_same() {
    let mut plain = Vec::new();
    let mut writer = Writer::new(&mut plain, Resolution::Nanoseconds, LinkType::ETHERNET, 200).unwrap();
    for number in 0..5_000u32 {
        let time = Timestamp::from_ns(1_700_000_000_000_000_000 + i128::from(number));
        writer.write(time, 1514, &[number as u8; 100]).unwrap();
    }
    let (first, second) = plain.split_at(100_001);
    let gzip = |part: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap()
    };
    let xz = |part: &[u8]| {
        let mut bytes = Vec::new();
        liblzma::read::XzEncoder::new(part, 1).read_to_end(&mut bytes).unwrap();
        bytes
    };
    let zst = |part: &[u8]| zstd::stream::encode_all(part, 1).unwrap();
    let expected = packets(plain.clone());
    assert_eq!(expected.len(), 5_000);
    assert!(packets([gzip(first), gzip(second)].concat()) == expected);
    assert!(packets([xz(first), xz(second)].concat()) == expected);
    assert!(packets([zst(first), zst(second)].concat()) == expected);
}

#[test]
fn progress_counts_the_bytes_of_the_file() {
    let path = "tests/captures/eth_micro_full.pcap";
    let mut reader = Reader::open(path.as_ref(), &Options::default()).unwrap();
    while reader.next_record().unwrap().is_some() {}
    assert_eq!(Some(reader.bytes_read()), reader.file_size());
}

#[test]
fn at_most_so_many_packets() {
    let options = Options { max_packets: Some(3), ..Options::default() };
    let mut reader = Reader::open("tests/captures/eth_micro_full.pcap".as_ref(), &options).unwrap();
    let mut count = 0;
    while reader.next_record().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
}
