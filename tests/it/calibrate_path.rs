//! Calibration behind a path and with framing: the estimates stay correct with constant delay, jitter and
//! overhead.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::calibrate::{Known, find, poisson, within};
use taunet::calibrate::{AqmKind, Bottleneck, Calibration, DisciplineKind, JitterBehind, LossFinding, Model};
use taunet::ptm::LinkLayer;

/// A shipped recording: its ingress captures and its egress capture.
fn recording(name: &str) -> (Vec<PathBuf>, PathBuf) {
    let folder = Path::new("scenarios/captures").join(name);
    let mut ingress: Vec<PathBuf> = (1..=4)
        .map(|number| folder.join(format!("in{number}.pcap.xz")))
        .filter(|path| path.exists())
        .collect();
    if ingress.is_empty() {
        ingress.push(folder.join("in.pcap.xz"));
    }
    (ingress, folder.join("out.pcap.xz"))
}

/// The packets of a capture, each so much later as `delay` says of its number [us], in order, as a file.
fn later(capture: &Path, place: &Path, delay: impl Fn(u64) -> u64) {
    let mut bytes = Vec::new();
    liblzma::read::XzDecoder::new(fs::File::open(capture).unwrap()).read_to_end(&mut bytes).unwrap();
    let word = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    let second: u64 = if bytes[..4] == [0x4d, 0x3c, 0xb2, 0xa1] { 1_000_000_000 } else { 1_000_000 };
    let mut records = Vec::new();
    let mut at = 24;
    while at < bytes.len() {
        let length = word(at + 8) as usize;
        let stamp = word(at) * second + word(at + 4) + delay(records.len() as u64) * (second / 1_000_000);
        records.push((stamp, at + 8..at + 16 + length));
        at += 16 + length;
    }
    records.sort_by_key(|(stamp, _)| *stamp);
    let mut written = bytes[..24].to_vec();
    for (stamp, rest) in records {
        written.extend(((stamp / second) as u32).to_le_bytes());
        written.extend(((stamp % second) as u32).to_le_bytes());
        written.extend(&bytes[rest]);
    }
    fs::write(place, written).unwrap();
}

/// A number from 0 to 1, the same for each packet every time.
fn part(number: u64) -> f64 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1u64 << 53) as f64
}

fn behind(name: &str, delay: impl Fn(u64) -> u64) -> Calibration {
    let (ingress, egress) = recording(name);
    let folder = tempfile::tempdir().unwrap();
    let moved = folder.path().join("out.pcap");
    later(&egress, &moved, delay);
    find(&ingress, &moved).unwrap()
}

#[test]
fn a_constant_delay_changes_nothing_of_the_device() {
    for name in ["kernel-tbf-70", "kernel-drops"] {
        let (ingress, egress) = recording(name);
        let without = find(&ingress, &egress).unwrap();
        assert_eq!(without.path.delay_us, 0.0, "{name}");
        for delay in [1_000, 5_000, 25_000, 100_000] {
            let found = behind(name, |_| delay);
            assert!((found.path.delay_us - delay as f64).abs() <= 10.0, "{name}: {:?}", found.path);
            assert_eq!(found.model, without.model, "{name} with {delay} us");
            assert_eq!(found.held_out, without.held_out);
        }
    }
}

#[test]
fn beneath_jitter_the_rate_and_the_buffer_come_back() {
    let found = behind("kernel-drops", |number| 25_000 + (3_000.0 * part(number)) as u64);
    let jitter = found.path.jitter.expect("jitter");
    assert!(matches!(jitter.behind, JitterBehind::Fifo { .. }), "{jitter:?}");
    within(jitter.mean_us, 1_500.0, 0.05);
    within(jitter.std_us, 3_000.0 / 12f64.sqrt(), 0.05);
    assert!((found.path.delay_us - 25_000.0).abs() <= 100.0, "{:?}", found.path);
    let Model { discipline, bottleneck, rate_bps, buffer, .. } = &found.model;
    assert_eq!((*discipline, *bottleneck), (DisciplineKind::Fifo, Bottleneck::TokenBucket));
    within(*rate_bps as f64, 20e6, 5e-3);
    within(buffer.expect("a buffer").limit, 9_000.0, 0.05);
    let burst = found.estimates.burst.as_ref().and_then(|burst| burst.bytes).expect("a burst");
    assert!((burst.value - 2_000.0).abs() <= burst.uncertainty, "{burst:?}");
    assert!(
        found.not_identified.iter().any(|text| text.contains("jitter hides")),
        "{:?}",
        found.not_identified
    );
}

#[test]
fn queues_beneath_jitter_are_not_told() {
    // Two classes, the longer queue of the second, and a link that delays each packet for itself.
    let link = "bandwidth = \"10 Mbps\"\nforward = { delay = \"25 ms\", \
                jitter = { distribution = \"uniform\", max = \"3 ms\", order = \"break\" } }\n\
                [link.ptm]\nkind = \"priority\"\n\
                [[link.ptm.class]]\nmatch = { destination_ports = \"5120-5183\" }\n[[link.ptm.class]]\n";
    let traffic =
        [poisson("4 Mbps", "first", 5_121, 12_000), poisson("5.7 Mbps", "second", 5_190, 17_000)].concat();
    let known = Known::new("processing = \"3 us\"", link, &traffic, "b:0 ingress");
    let found = known.find();
    let jitter = found.path.jitter.expect("jitter");
    assert_eq!(jitter.behind, JitterBehind::Queues);
    assert!(
        found.not_identified.iter().any(|text| text.contains("several queues")),
        "{:?}",
        found.not_identified
    );
}

#[test]
fn the_delay_is_written_as_that_of_a_link() {
    let known = Known::new(
        "processing = \"3 us\"",
        "bandwidth = \"10 Mbps\"\nforward = { delay = \"5 ms\" }\nptm = { kind = \"fifo\", buffer = \"20 packets\" }",
        &poisson("9.5 Mbps", "main", 5_000, 20_000),
        "b:0 ingress",
    );
    let found = known.find();
    assert!((found.path.delay_us - 5_000.0).abs() <= 10.0, "{:?}", found.path);
    assert!(found.model.at_far_end);
    assert!(matches!(found.estimates.losses, LossFinding::TailDrop(_)));
    let again = known.written(&found);
    let delays = again.measured[0].delays.as_ref().unwrap();
    assert!(delays.agreement.w1_normalized.unwrap() < 1e-3, "{:?}", delays.agreement);
    let topology = fs::read_to_string(known.folder.path().join("found/topology.toml")).unwrap();
    assert!(topology.contains("delay = \"5 ms\""), "{topology}");
}

#[test]
fn a_path_before_one_port_is_that_ports() {
    let (ingress, egress) = recording("kernel-4ports");
    let folder = tempfile::tempdir().unwrap();
    // Later at the egress, and later at all ingress ports but the second: the second's path is longer.
    let moved: Vec<PathBuf> = ingress
        .iter()
        .enumerate()
        .map(|(index, capture)| {
            let place = folder.path().join(format!("in{index}.pcap"));
            later(capture, &place, |_| if index == 1 { 0 } else { 8_000 });
            place
        })
        .collect();
    let out = folder.path().join("out.pcap");
    later(&egress, &out, |_| 8_000);
    let found = find(&moved, &out).unwrap();
    let before = &found.path.before_us;
    assert!((before[1] - 8_000.0).abs() <= 30.0, "{:?}", found.path);
    assert_eq!((before[0], before[2], before[3], found.path.delay_us), (0.0, 0.0, 0.0, 0.0));
    within(found.model.rate_bps as f64, 20e6, 5e-4);
    assert_eq!(found.model.bottleneck, Bottleneck::TokenBucket);
}

/// A device whose bucket counts framing.
fn framed(keys: &str) -> Known {
    let ptm = format!(
        "ptm = {{ kind = \"token-bucket\", rate = \"10 Mbps\", burst = \"2 kB\", {keys} }}\nbandwidth = \"unlimited\""
    );
    Known::new("processing = \"3 us\"", &ptm, &poisson("8.5 Mbps", "main", 5_000, 20_000), "r1:0 egress")
}

#[test]
fn the_framing_of_a_bucket_comes_back_and_is_written() {
    for bytes in [-14, 4, 24, 38] {
        let known = framed(&format!("overhead = \"{bytes} B\""));
        let found = known.find();
        within(found.model.rate_bps as f64, 10e6, 2e-4);
        assert_eq!(found.model.framing.overhead.bytes(), bytes, "{:?}", found.estimates.rate);
        let rate = found.estimates.rate.expect("a rate");
        assert!(
            (rate.overhead_measured_bytes - f64::from(bytes)).abs() <= rate.overhead_uncertainty_bytes,
            "{rate:?}"
        );
        let again = known.written(&found);
        assert!(again.measured[0].delays.as_ref().unwrap().agreement.w1_normalized.unwrap() < 2e-3);
    }
}

#[test]
fn cells_and_shortest_lengths_are_told_from_an_overhead() {
    let cells = framed("overhead = \"10 B\", linklayer = \"atm\"").find();
    assert_eq!(cells.model.framing.link_layer, LinkLayer::Atm, "{:?}", cells.estimates.rate);
    within(cells.model.rate_bps as f64, 10e6, 5e-4);
    let shortest = framed("overhead = \"4 B\", mpu = \"128 B\"").find();
    assert_eq!(shortest.model.framing.mpu, 128, "{:?}", shortest.estimates.rate);
    within(shortest.model.rate_bps as f64, 10e6, 5e-4);
}

/// `netem delay` with a `limit` below the rate: the limit counts the packets that are delayed, too.
#[test]
fn netems_limit_counts_the_path() {
    let known = Known::new(
        "processing = \"0 s\"",
        "bandwidth = \"unlimited\"\nptm = { kind = \"netem\", delay = \"20 ms\", rate = \"10 Mbps\", limit = 80 }",
        &poisson("10.5 Mbps", "main", 5_000, 20_000),
        "r1:0 egress",
    );
    let found = known.find();
    assert_eq!(found.model.aqm, Some(AqmKind::PathLimit), "{:?}", found.aqms);
    within(found.model.path_limit.expect("a limit").packets as f64, 80.0, 0.02);
    within(found.model.rate_bps as f64, 10e6, 2e-4);
    let again = known.written(&found);
    assert!(again.measured[0].delays.as_ref().unwrap().agreement.w1_normalized.unwrap() < 0.01);
}
