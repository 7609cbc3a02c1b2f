//! Records out of order: sorted within the reorder window, rejected beyond it.

use std::io::Cursor;

use proptest::prelude::*;
use taunet::capture::{CaptureError, LinkType, Options, Reader, Resolution, Sorted, Writer};
use taunet::units::{Span, Timestamp};

fn pcap(times_ns: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, Resolution::Nanoseconds, LinkType::ETHERNET, 96).unwrap();
    for &time in times_ns {
        writer.write(Timestamp::from_ns(time.into()), 60, &[0; 14]).unwrap();
    }
    bytes
}

fn sorted(bytes: Vec<u8>, lenient: bool, window_ns: u64) -> Sorted {
    let reorder_window = Span::from_ps(1_000 * window_ns);
    let options = Options { lenient, reorder_window, ..Options::default() };
    Sorted::new(Reader::from_source(Cursor::new(bytes), "test".as_ref(), &options).unwrap(), &options)
}

/// (record, time in ns) of what comes before the end or the error.
fn read(sorted: &mut Sorted) -> (Vec<(u64, i64)>, Option<CaptureError>) {
    let mut seen = Vec::new();
    loop {
        match sorted.next_observation() {
            Ok(Some(observation)) => {
                seen.push((observation.record, observation.timestamp.as_ns().unwrap()));
            }
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        }
    }
}

#[test]
fn records_are_sorted_inside_the_window() {
    let mut sorted = sorted(pcap(&[10, 30, 20, 20, 40, 30]), false, 10);
    let (seen, error) = read(&mut sorted);
    assert_eq!(seen, [(0, 10), (2, 20), (3, 20), (1, 30), (5, 30), (4, 40)]);
    assert!(error.is_none());
    assert_eq!((sorted.reordered(), sorted.largest_step_back()), (3, Span::from_ps(10_000).into()));
}

#[test]
fn a_record_beyond_the_window_is_refused_after_the_packets_before_it() {
    let mut sorted = sorted(pcap(&[10, 30, 19, 40]), false, 10);
    let (seen, error) = read(&mut sorted);
    assert_eq!(seen, [(0, 10), (1, 30)]);
    assert_eq!(
        error.unwrap().to_string(),
        "record 2 of test is out of order: its time is 1970-01-01 00:00:00.000000019 UTC, \
         after a record at 1970-01-01 00:00:00.000000030 UTC; the reorder window is 10 ns (and 262144 packets); \
         give a longer --reorder-window (in a scenario `reorder_window`), sort the file with `reordercap IN OUT`, \
         leave out a record with a wrong time with `editcap IN OUT NUMBER` (from 1), or take late records at the \
         latest time with --lenient"
    );
    assert!(matches!(sorted.next_observation(), Ok(None)));
}

#[test]
fn lenient_sorting_takes_it_at_the_latest_time() {
    let mut sorted = sorted(pcap(&[10, 30, 19, 18, 40]), true, 10);
    let (seen, error) = read(&mut sorted);
    assert_eq!(seen, [(0, 10), (1, 30), (2, 30), (3, 30), (4, 40)]);
    assert!(error.is_none());
    assert_eq!((sorted.warnings().count(), sorted.beyond_window()), (1, 2));
}

#[test]
fn damage_comes_after_the_packets_held() {
    let mut bytes = pcap(&[10, 30, 20]);
    bytes.pop();
    let (seen, error) = read(&mut sorted(bytes, false, 1_000));
    assert_eq!(seen, [(0, 10), (1, 30)]);
    assert!(matches!(error, Some(CaptureError::CutOff { .. })));
}

#[test]
fn no_more_than_so_many_packets_are_held() {
    // the first packets are given when 262,144 are held; after that, their time has passed
    let mut times: Vec<u64> = (10..10 + 262_146).collect();
    times.push(10);
    let (seen, error) = read(&mut sorted(pcap(&times), false, 1_000_000_000));
    assert_eq!(seen.len(), 262_146);
    assert!(matches!(error, Some(CaptureError::OutOfOrder { record: 262_146, limit: 262_144, .. })));
}

#[test]
fn captures_read_at_once_share_the_memory_and_say_when_it_is_short() {
    let held = |captures_at_once: usize, packets: u64| {
        let mut times: Vec<u64> = (10..10 + packets).collect();
        times.push(10);
        let options = Options { captures_at_once, lenient: true, ..Options::default() };
        let reader = Reader::from_source(Cursor::new(pcap(&times)), "test".as_ref(), &options).unwrap();
        let mut sorted = Sorted::new(reader, &options);
        read(&mut sorted);
        (sorted.beyond_window(), sorted.remarks().join("\n"))
    };
    // 32 captures: some 40,000 packets each; a million captures: 1,024.
    for (captures, few, many) in [(32, 30_000, 60_000), (1_000_000, 1_000, 1_100), (1, 200_000, 270_000)] {
        let (beyond, remarks) = held(captures, few);
        assert!(beyond == 0 && !remarks.contains("as many as are held"), "{captures} {remarks}");
        let (beyond, remarks) = held(captures, many);
        assert!(
            beyond == 1 && remarks.contains("test: the reorder window of 1 s has more than"),
            "{captures} {remarks}"
        );
    }
}

proptest! {
    #[test]
    fn sorting_is_a_stable_sort(times in prop::collection::vec(0..1_000u64, 0..200)) {
        let (seen, error) = read(&mut sorted(pcap(&times), false, 1_000));
        prop_assert!(error.is_none());
        let mut expected: Vec<_> = (0..).zip(times.iter().map(|&time| time as i64)).collect();
        expected.sort_by_key(|&(record, time)| (time, record));
        prop_assert_eq!(seen, expected);
    }
}
