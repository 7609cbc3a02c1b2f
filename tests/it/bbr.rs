//! BBR on a small network: it takes the bottleneck's rate with a short queue, and looks for the round-trip time every ten seconds.

use std::fs;

use taunet::scenario::Scenario;
use taunet::transport::{Sampling, TransportSample};
use taunet::units::{Span, Time};

use crate::transport::Samples;

/// The round trip without a queue, in ms.
const ROUND_TRIP: u64 = 40;
const SEGMENT: u64 = 1_448;
const FRAME: u64 = 1_514;

/// One flow through a bottleneck of so many Mbps with room for `buffer` bytes.
fn run(mbps: u64, buffer: u64, seconds: u64, seed: u64) -> Vec<TransportSample> {
    let folder = tempfile::tempdir().unwrap();
    let topology = format!(
        "name = \"dumbbell\"\n\
         device = [{{ name = \"s\", kind = \"host\" }}, {{ name = \"r\", kind = \"switch\" }}, {{ name = \"d\", kind = \"host\" }}]\n\
         [[link]]\nbetween = [\"s:0\", \"r:0\"]\nbandwidth = \"1 Gbps\"\ndelay = \"0 s\"\n\
         [[link]]\nbetween = [\"r:1\", \"d:0\"]\nbandwidth = \"{mbps} Mbps\"\ndelay = \"{} ms\"\n\
         forward.ptm = {{ kind = \"fifo\", buffer = \"{buffer} B\" }}\n",
        ROUND_TRIP / 2
    );
    let scenario = format!(
        "name = \"bbr\"\ntopology = \"topology.toml\"\nseed = {seed}\nuntil = \"{seconds} s\"\n\
         [[traffic]]\nkind = \"bulk\"\nfrom = \"s\"\nto = \"d\"\n\
         transport = {{ kind = \"tcp\", congestion_control = \"bbr\" }}\n"
    );
    fs::write(folder.path().join("topology.toml"), topology).unwrap();
    let path = folder.path().join("scenario.toml");
    fs::write(&path, scenario).unwrap();
    let scenario = Scenario::load(&path, &[], None).unwrap_or_else(|error| panic!("{error}"));
    let mut samples = Samples::default();
    let mut open = scenario.open(&Default::default()).unwrap();
    open.settings.transport = Some(Sampling::Every(Span::from_ns(1_000_000)));
    open.simulation(&mut samples).unwrap().finish().unwrap();
    samples.0
}

/// Goodput from one instant to another beside the bottleneck's, less headers.
fn share(samples: &[TransportSample], mbps: u64) -> f64 {
    let [first, .., last] = samples else { panic!("{samples:?}") };
    let bits = 8.0 * (last.acknowledged - first.acknowledged) as f64;
    let seconds = last.time.since(first.time).as_ps() as f64 * 1e-12;
    bits / seconds / (mbps as f64 * 1e6 * SEGMENT as f64 / FRAME as f64)
}

/// From one second to another.
fn between(samples: &[TransportSample], from: u64, to: u64) -> &[TransportSample] {
    let place = |seconds: u64| {
        let instant = Time::ZERO + Span::from_ns(seconds * 1_000_000_000);
        samples.partition_point(|sample| sample.time < instant)
    };
    &samples[place(from)..place(to)]
}

#[test]
fn bbr_alone_takes_the_bottleneck_with_a_short_queue() {
    for mbps in [10, 100] {
        // Room for ten times what the path holds.
        let samples = run(mbps, mbps * 125 * ROUND_TRIP * 10, 22, 1);
        // In the probes of the round-trip time, at 10 s and 20 s, it sends little: they take 2 % more.
        let steady = between(&samples, 2, 10);
        let (cycle, all) = (share(steady, mbps), share(between(&samples, 2, 22), mbps));
        let round_trips = steady.iter().map(|sample| sample.srtt.unwrap().as_ps() as f64 * 1e-9);
        let round_trip = round_trips.sum::<f64>() / steady.len() as f64;
        println!("{mbps} Mbps: {cycle:.4} of the bottleneck, {all:.4} with probes, {round_trip:.2} ms");
        assert!((0.98..=1.001).contains(&cycle), "{mbps} Mbps: {cycle}");
        assert!((0.96..=1.001).contains(&all), "{mbps} Mbps: {all}");
        assert!(round_trip < 1.5 * ROUND_TRIP as f64, "{mbps} Mbps: {round_trip} ms");
    }
}

#[test]
fn bbr_looks_for_the_round_trip_time_every_ten_seconds() {
    let samples = run(10, 100_000, 22, 1);
    let is_small = |sample: &TransportSample| sample.cwnd == 4;
    let begins: Vec<f64> = samples
        .windows(2)
        .filter(|pair| !is_small(&pair[0]) && is_small(&pair[1]))
        .map(|pair| pair[1].time.as_ps() as f64 * 1e-12)
        .collect();
    let small = samples.iter().filter(|sample| is_small(sample)).count() / begins.len();
    println!("{begins:?}, {small} ms each");
    assert_eq!(begins.len(), 2, "{begins:?}");
    assert!((10.0..10.5).contains(&(begins[1] - begins[0])), "{begins:?}");
    // 200 ms and what it takes to drain, and a round.
    assert!((200..300).contains(&small), "{small} ms");
}

#[test]
fn the_seed_decides_the_phases() {
    let (one, again, other) = (run(10, 100_000, 5, 1), run(10, 100_000, 5, 1), run(10, 100_000, 5, 2));
    assert!(one == again);
    assert!(one != other);
}
