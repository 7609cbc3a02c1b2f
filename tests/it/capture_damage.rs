//! Damaged files: the packets before the damage, then an error with the byte offset; never a panic, a hang or
//! a large allocation. One test per error variant.

use std::io::{Cursor, Read, Write};

use proptest::prelude::*;
use taunet::capture::{CaptureError, Frame, LinkType, Options, Reader, Resolution, Sorted, Writer};
use taunet::units::Timestamp;

use crate::pcapng::PcapNgFile;

const LENIENT: Options = Options {
    lenient: true,
    max_packets: None,
    reorder_window: taunet::units::Span::from_ps(0),
    captures_at_once: 1,
    interface: None,
    direction: None,
};

/// Packets read before the end, and the error.
fn read(bytes: &[u8]) -> (usize, Option<CaptureError>) {
    let source = Cursor::new(bytes.to_vec());
    let mut reader = match Reader::from_source(source, "test.pcap".as_ref(), &Options::default()) {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error)),
    };
    let mut count = 0;
    loop {
        match reader.next_record() {
            Ok(Some(record)) => {
                count += 1;
                Frame::parse(record.link_type, record.bytes, record.original_length);
            }
            Ok(None) => return (count, None),
            Err(error) => {
                assert!(matches!(reader.next_record(), Ok(None)), "nothing follows an error");
                return (count, Some(error));
            }
        }
    }
}

fn message(bytes: &[u8]) -> (usize, String) {
    let (count, error) = read(bytes);
    (count, error.map_or(String::new(), |error| error.to_string()))
}

fn pcap(link_type: LinkType, count: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, Resolution::Microseconds, link_type, 96).unwrap();
    for number in 0..count {
        writer.write(Timestamp::from_ns(i128::from(number)), 60, &[number as u8; 20]).unwrap();
    }
    bytes
}

fn pcapng() -> PcapNgFile {
    let mut file = PcapNgFile::new(false);
    file.interface(1, 0, &[]);
    file.enhanced_packet(0, 1, 60, &[1; 20]);
    file
}

#[test]
fn a_file_that_is_not_there() {
    let error = Reader::open("no/such.pcap".as_ref(), &Options::default()).unwrap_err();
    assert!(matches!(error, CaptureError::Open { .. }));
    assert!(error.to_string().starts_with("cannot open no/such.pcap: "));
}

#[test]
fn a_directory() {
    let error = Reader::open("tests".as_ref(), &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "tests is a directory, not a capture: name a file in it");
}

#[test]
fn an_empty_file() {
    assert_eq!(message(b"").1, "test.pcap is empty; a capture starts with a pcap or pcapng header");
}

#[test]
fn another_kind_of_file() {
    assert_eq!(
        message(b"snoop\0\0\0and more").1,
        "test.pcap is not a capture: it starts with the bytes 73 6e 6f 6f 70 00 00 00; \
         expected pcap or pcapng, plain or compressed with gzip, zstd or xz; \
         `editcap -F pcap IN OUT` converts other formats of captures"
    );
}

#[test]
fn an_unknown_version() {
    let mut bytes = pcap(LinkType::ETHERNET, 1);
    bytes[6] = 2;
    assert_eq!(
        message(&bytes),
        (
            0,
            "test.pcap is pcap version 2.2 at byte 0; expected 2.3 or 2.4; `editcap -F pcap IN OUT` may convert it"
                .into()
        )
    );
    let mut file = pcapng();
    file.bytes[12] = 2;
    assert_eq!(
        message(&file.bytes),
        (
            0,
            "test.pcap is pcapng version 2.0 at byte 0; expected 1.0 or 1.2; `editcap -F pcapng IN OUT` may convert it"
                .into()
        )
    );
}

#[test]
fn an_unsupported_link_type() {
    let (count, error) = message(&pcap(LinkType(195), 1));
    assert_eq!(count, 0);
    assert!(error.starts_with("test.pcap has link type 195 (IEEE802_15_4"), "{error}");
    assert!(error.ends_with("(6LoWPAN): capture at the IP interface of the border router"), "{error}");
    for (number, remedy) in
        [(249, "not network packets"), (227, "not network packets"), (178, "editcap -C N -T ether")]
    {
        let (_, error) = message(&pcap(LinkType(number), 1));
        assert!(error.contains(remedy) && error.contains(&format!("link type {number} ")), "{error}");
    }
    // in pcapng at the first such packet, not at a mere interface
    let mut file = pcapng();
    file.interface(195, 0, &[]);
    assert_eq!(read(&file.bytes).0, 1);
    assert!(read(&file.bytes).1.is_none());
    let offset = file.bytes.len();
    file.enhanced_packet(1, 2, 60, &[1]);
    file.enhanced_packet(0, 3, 60, &[1]);
    let (count, error) = message(&file.bytes);
    assert_eq!(count, 1);
    assert!(error.contains(&format!("(at byte {offset})")), "{error}");
    assert!(error.ends_with("; --lenient skips such packets"), "{error}");
    // and in a file that can have no other packets
    let mut unusable = PcapNgFile::new(false);
    unusable.interface(195, 0, &[]);
    assert_eq!(read(&unusable.bytes).0, 0);
    assert!(message(&unusable.bytes).1.contains("(at byte 40), which is not supported"));
    // lenient: left out
    let mut reader = Reader::from_source(Cursor::new(file.bytes), "a".as_ref(), &LENIENT).unwrap();
    let mut indices = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        indices.push(record.index);
    }
    assert_eq!((indices, reader.warnings().len()), (vec![0, 2], 1));
    assert!(!reader.remarks()[0].contains("--lenient"), "{:?}", reader.remarks());
}

#[test]
fn a_file_that_is_cut_off() {
    let bytes = pcap(LinkType::ETHERNET, 3);
    assert_eq!(
        message(&bytes[..bytes.len() - 1]),
        (2, "test.pcap is cut off: the record at byte 96 needs 36 bytes, but only 35 follow; --lenient reads the packets before it".into())
    );
    assert_eq!(
        message(&bytes[..100]),
        (2, "test.pcap is cut off: the record header at byte 96 needs 16 bytes, but only 4 follow; --lenient reads the packets before it".into())
    );
    assert_eq!(
        message(&bytes[..10]),
        (0, "test.pcap is cut off: the file header at byte 0 needs 24 bytes, but only 10 follow".into())
    );
    let mut file = pcapng();
    let length = file.bytes.len();
    assert_eq!(
        message(&file.bytes[..length - 1]),
        (0, "test.pcap is cut off: the block at byte 60 needs 52 bytes, but only 51 follow; --lenient reads the packets before it".into())
    );
    file.block(0xbad, &[0; 100]);
    assert_eq!(
        message(&file.bytes[..length + 50]),
        (1, "test.pcap is cut off: the block at byte 112 needs 112 bytes, but only 50 follow; --lenient reads the packets before it".into())
    );
}

#[test]
fn an_absurd_length() {
    let mut bytes = pcap(LinkType::ETHERNET, 3);
    bytes[60 + 8..60 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        message(&bytes),
        (
            1,
            "test.pcap is damaged: the record at byte 60 claims 4294967295 bytes; \
             the maximum is 262144; --lenient reads the packets before it"
                .into()
        )
    );
    let mut file = pcapng();
    file.bytes[60 + 4..60 + 8].copy_from_slice(&(u32::MAX - 3).to_le_bytes());
    assert_eq!(
        message(&file.bytes),
        (
            0,
            "test.pcap is damaged: the block at byte 60 claims 4294967292 bytes; \
             the maximum is 16777216; --lenient reads the packets before it"
                .into()
        )
    );
}

#[test]
fn a_contradiction() {
    let damaged = |at: usize, byte: u8| {
        let mut file = pcapng();
        file.bytes[at] = byte;
        message(&file.bytes).1
    };
    assert!(damaged(64, 50).contains("byte 60: a block claims 50 bytes; expected a multiple of 4"));
    assert!(damaged(68, 1).contains("interface 1, but the section describes only 1 interfaces"));
    assert!(damaged(80, 30).contains("claims 30 captured bytes, but its block has room for 20"));
    assert!(damaged(108, 9).contains("test.pcap is damaged at byte 60: "));
    assert!(damaged(8, 0).contains("byte-order magic"));
    let mut file = pcapng();
    let offset = file.bytes.len();
    file.block(0xbad, &[0; 8]);
    *file.bytes.last_mut().unwrap() = 1;
    let (count, error) = message(&file.bytes);
    assert_eq!(count, 1);
    assert!(error.contains(&format!("byte {offset}: a block starts with the length 20 and ends with")));
}

#[test]
fn a_damaged_compressed_file() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&pcap(LinkType::ETHERNET, 3)).unwrap();
    let mut bytes = encoder.finish().unwrap();
    bytes.pop();
    let (count, error) = message(&bytes);
    assert_eq!(count, 3);
    assert!(error.starts_with("cannot read test.pcap after byte 132 of the capture: "), "{error}");
}

#[test]
fn lenient_reading_warns_and_ends() {
    let bytes = pcap(LinkType::ETHERNET, 3);
    let source = Cursor::new(bytes[..100].to_vec());
    let mut reader = Reader::from_source(source, "test.pcap".as_ref(), &LENIENT).unwrap();
    let mut count = 0;
    while reader.next_record().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 2);
    assert!(matches!(reader.warnings(), [CaptureError::CutOff { offset: 96, .. }]));
    assert_eq!(
        reader.remarks(),
        ["test.pcap is cut off: the record header at byte 96 needs 16 bytes, but only 4 follow"]
    );
}

/// A valid file of every format.
fn valid_files() -> Vec<Vec<u8>> {
    let captures = ["eth_micro_full.pcap", "any_sll2_nano.pcap", "rawip_nano.pcap", "two_interfaces.pcapng"];
    let mut files: Vec<_> =
        captures.iter().map(|name| std::fs::read(format!("tests/captures/{name}")).unwrap()).collect();
    let mut file = pcapng();
    file.simple_packet(60, &[2; 30]);
    file.swap();
    file.interface(0, 0, &[(9, vec![0x8a])]);
    file.enhanced_packet(0, u64::MAX, 60, &[2, 0, 0, 0, 0x45]);
    files.push(file.bytes);
    let mut xz = Vec::new();
    liblzma::read::XzEncoder::new(files[0].as_slice(), 1).read_to_end(&mut xz).unwrap();
    files.push(zstd::stream::encode_all(files[0].as_slice(), 1).unwrap());
    files.push(xz);
    files
}

/// Reads everything that can be read in every way; gives up on nothing but the end.
fn exercise(bytes: &[u8]) {
    let (count, _) = read(bytes);
    assert!(count <= bytes.len() * 200, "a packet needs bytes");
    if let Ok(reader) = Reader::from_source(Cursor::new(bytes.to_vec()), "test".as_ref(), &LENIENT) {
        let mut sorted = Sorted::new(reader, &LENIENT);
        let mut seen = 0;
        let mut latest = Timestamp::from_ps(i128::MIN);
        while let Some(observation) = sorted.next_observation().unwrap() {
            assert!(observation.timestamp >= latest);
            latest = observation.timestamp;
            observation.frame.match_key();
            seen += 1;
        }
        assert!(seen >= count);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_bytes_never_panic(
        start in prop::sample::select(vec![
            vec![], vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0], vec![0x0a, 0x0d, 0x0d, 0x0a],
            vec![0x1f, 0x8b, 8], vec![0x28, 0xb5, 0x2f, 0xfd], vec![0xfd, b'7', b'z', b'X', b'Z', 0],
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        exercise(&[start, rest].concat());
    }

    #[test]
    fn mutated_files_never_panic(
        file in prop::sample::select(valid_files()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut file = file;
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if is_cut {
            file.truncate(cut.index(file.len()));
        }
        exercise(&file);
    }

    #[test]
    fn arbitrary_frames_never_panic(
        link_type in prop::sample::select(vec![0u16, 1, 12, 101, 108, 113, 228, 229, 276, 999]),
        start in prop::sample::select(vec![
            vec![], vec![0; 12], vec![0x45], vec![0x60], [vec![0; 12], vec![8, 0, 0x45]].concat(),
            [vec![0; 12], vec![0x86, 0xdd, 0x60]].concat(), [vec![0; 12], vec![0x88, 0x47]].concat(),
            [vec![0; 12], vec![0x81, 0]].concat(), vec![2, 0, 0, 0, 0x46],
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..120),
        original_length in any::<u32>(),
    ) {
        let bytes = [start, rest].concat();
        let frame = Frame::parse(LinkType(link_type), &bytes, original_length);
        frame.match_key();
        frame.flow_key();
    }
}
