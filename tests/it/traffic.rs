//! Generated traffic, from the scenario to the packets: rates, independence of entries, replays.

use std::fs;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::Path;

use taunet::capture::Options as CaptureOptions;
use taunet::run::{RunOptions, run};
use taunet::scenario::{Scenario, Traffic};
use taunet::table::Format;
use taunet::traffic::replay::Speed;
use taunet::traffic::{Emission, Replay, Source};

/// A star of `hosts` hosts around one switch, at 100 Mbps with 24 B of overhead.
fn star(hosts: usize) -> String {
    let mut text =
        "name = \"star\"\n[defaults.link]\nbandwidth = \"100 Mbps\"\noverhead = \"24 B\"\n".to_owned();
    text += "[[device]]\nname = \"s\"\nkind = \"switch\"\n";
    for n in 0..hosts {
        text +=
            &format!("[[device]]\nname = \"h{n}\"\nkind = \"host\"\naddresses = [\"10.0.0.{}\"]\n", n + 1);
        text += &format!("[[link]]\nbetween = [\"h{n}:0\", \"s:{n}\"]\n");
    }
    text
}

fn scenario(hosts: usize, entries: &str) -> Scenario {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("star.toml"), star(hosts)).unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, format!("name = \"s\"\ntopology = \"star.toml\"\n{entries}")).unwrap();
    Scenario::load(&path, &[], None).unwrap()
}

/// The source that sends from `host` in the entry named `label`.
fn source(scenario: &Scenario, label: &str, host: &str) -> Box<dyn Source> {
    let topology = &scenario.topology;
    let mut generators = scenario.traffic.iter().filter_map(|traffic| match traffic {
        Traffic::Generated(generator) if generator.label == label => Some(generator),
        _ => None,
    });
    let generator = generators.next().unwrap();
    let id = topology.device_named(host).unwrap();
    let sender = generator.senders.iter().find(|sender| sender.host == id).unwrap();
    let address = |host| Ok::<IpAddr, ()>(topology.device(host).addresses[0].addr());
    generator.source(sender, host, scenario.seed, address).unwrap()
}

fn emissions(mut source: Box<dyn Source>, count: usize) -> Vec<Emission> {
    std::iter::from_fn(|| source.next_emission().unwrap()).take(count).collect()
}

const ENTRY: &str = r#"
[[traffic]]
kind = "poisson"
name = "web"
matrix = "uniform"
hosts = ["h0", "h1", "h2"]
rate = { load = 0.5 }
size = { min = "64 B", max = "1500 B" }
packets = 1000
"#;

#[test]
fn another_entry_changes_no_packet_of_this_one() {
    let alone = scenario(4, ENTRY);
    let before = ENTRY.replace("web", "other");
    let together = scenario(4, &format!("{before}{ENTRY}"));
    for host in ["h0", "h1", "h2"] {
        let of = |scenario: &Scenario, label: &str| emissions(source(scenario, label, host), 1000);
        assert_eq!(of(&alone, "web").len(), 1000);
        assert_eq!(of(&alone, "web"), of(&together, "web"));
        assert_ne!(of(&together, "web"), of(&together, "other"));
    }
}

#[test]
fn another_host_changes_no_instant_and_no_length() {
    let of = |hosts: usize, host: &str| -> Vec<_> {
        let entry = ENTRY.replace("hosts = [\"h0\", \"h1\", \"h2\"]\n", "");
        let emissions = emissions(source(&scenario(hosts, &entry), "web", host), 1000);
        emissions.iter().map(|emission| (emission.tau.timestamp, emission.tau.packet.length)).collect()
    };
    assert_eq!(of(3, "h1"), of(4, "h1"));
    assert_ne!(of(3, "h0"), of(3, "h1"));
}

#[test]
fn another_seed_gives_other_packets() {
    let first = scenario(3, ENTRY);
    let second = scenario(3, &format!("seed = 2\n{ENTRY}"));
    let of = |scenario: &Scenario| emissions(source(scenario, "web", "h0"), 100);
    assert_eq!(of(&first), of(&scenario(3, ENTRY)));
    assert_ne!(of(&first), of(&second));
}

/// Every kind, at the same rate.
const KINDS: [&str; 5] = [
    "kind = \"poisson\"",
    "kind = \"cbr\"",
    "kind = \"on-off\"\non = { mean = \"1 ms\" }\noff = { mean = \"2 ms\" }",
    "kind = \"markovian\"\nmmpp_per_s = { rates = [9e3, 1e3], generator = [[-500, 500], [800, -800]] }",
    "kind = \"thin-streams\"\nvariation = 1.0\nflows = 20",
];

#[test]
fn every_kind_reaches_every_sort_of_rate() {
    const PACKETS: usize = 100_000;
    for kind in KINDS {
        for (rate, packets_per_s) in [
            ("\"50 Mbps\"", 50e6 / 8.0 / 782.0),
            ("\"5000 packets/s\"", 5000.0),
            ("{ load = 0.5 }", 50e6 / 8.0 / (782.0 + 24.0)),
            ("{ load = 0.5, of = \"s:1\" }", 50e6 / 8.0 / (782.0 + 24.0)),
        ] {
            let entry = format!(
                "[[traffic]]\n{kind}\nname = \"a\"\nfrom = \"h0\"\nto = \"h1\"\nrate = {rate}\n\
                 size = {{ min = \"64 B\", max = \"1500 B\" }}\npackets = {PACKETS}\n"
            );
            let emissions = emissions(source(&scenario(2, &entry), "a", "h0"), PACKETS);
            let last = emissions.last().unwrap().tau.timestamp.as_seconds_f64();
            let found = (PACKETS - 1) as f64 / last;
            assert!(
                (found / packets_per_s - 1.0).abs() < 0.03,
                "{kind}, {rate}: {found}, not {packets_per_s}"
            );
            let mean = emissions.iter().map(|emission| f64::from(emission.tau.packet.length)).sum::<f64>();
            assert!((mean / PACKETS as f64 - 782.0).abs() < 5.0);
        }
    }
}

#[test]
fn gravity_shares_out_the_mean_rate() {
    let entry = "[[traffic]]\nkind = \"cbr\"\nname = \"a\"\nmatrix = { gravity = { h0 = 4, h1 = 2, h2 = 1 } }\n\
                 rate = \"1000 packets/s\"\nsize = \"100 B\"\nstop = \"10 s\"\n";
    let scenario = scenario(3, entry);
    let counts = ["h0", "h1", "h2"].map(|host| emissions(source(&scenario, "a", host), usize::MAX).len());
    // In proportion to 4 * 3, 2 * 5, 1 * 6.
    let expected = [12.0, 10.0, 6.0].map(|part| 30_000.0 * part / 28.0);
    assert!(
        counts.iter().zip(expected).all(|(a, b)| (*a as f64 - b).abs() < 2.0),
        "{counts:?}, not {expected:?}"
    );
}

#[test]
fn gravity_over_equal_weights_says_that_it_is_uniform() {
    let warnings = |matrix: &str| {
        let entry = format!(
            "[[traffic]]\nkind = \"cbr\"\nname = \"a\"\nmatrix = {matrix}\nrate = \"10 packets/s\"\n\
             size = \"100 B\"\npackets = 10\n"
        );
        match &scenario(3, &entry).traffic[0] {
            Traffic::Generated(generator) => generator.warnings.clone(),
            _ => panic!("generated traffic"),
        }
    };
    assert_eq!(
        warnings("\"gravity\""),
        [
            "traffic `a`: gravity over hosts of equal bandwidth is uniform; for another matrix write weights, such as \
          matrix = { gravity = { h0 = 1, h1 = 2.5 } }"
        ]
    );
    assert_eq!(
        warnings("{ gravity = { h0 = 2, h1 = 2, h2 = 2 } }"),
        ["traffic `a`: gravity over equal weights is uniform"]
    );
    assert_eq!(warnings("{ gravity = { h0 = 2, h1 = 2, h2 = 3 } }"), [""; 0]);
    assert_eq!(warnings("\"uniform\""), [""; 0]);
}

#[test]
fn an_overload_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let entry = "[[traffic]]\nkind = \"poisson\"\nfrom = \"h0\"\nto = \"h1\"\nrate = { load = 1.25 }\n\
                 size = \"1000 B\"\npackets = 10\n";
    let warnings = |entry: &str| {
        let options = RunOptions {
            out: folder.path().join("run"),
            replace: true,
            format: Format::Csv,
            capture: CaptureOptions::default(),
            overrides: Vec::new(),
            engine: None,
            threads: 0,
        };
        // The scenario's file is hashed at the end: it has to stay.
        fs::write(folder.path().join("star.toml"), star(2)).unwrap();
        let path = folder.path().join("s.toml");
        fs::write(&path, format!("name = \"s\"\ntopology = \"star.toml\"\n{entry}")).unwrap();
        let scenario = Scenario::load(&path, &[], None).unwrap();
        run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap().warnings
    };
    let told = "the link of h0:0 is offered 1.250 times its capacity: its queue grows without bound";
    assert_eq!(warnings(entry), [told]);
    assert_eq!(warnings(&entry.replace("1.25", "1")), [""; 0]);
}

#[test]
fn a_replay_is_sped_up_or_brought_to_a_rate() {
    let capture = Path::new("scenarios/captures/kernel-tbf-70/in1.pcap.xz");
    let instants = |speed: &Speed| -> Vec<u64> {
        let mut replay = Replay::open_at(capture, &CaptureOptions::default(), speed).unwrap();
        let start = replay.recording().recorded_start().unwrap();
        replay.recording().start_at(start);
        emissions(Box::new(replay), usize::MAX)
            .iter()
            .map(|emission| emission.tau.timestamp.as_ps())
            .collect()
    };
    let recorded = instants(&Speed::Recorded);
    assert!(recorded.len() > 1000 && recorded[0] == 0);
    let doubled = instants(&Speed::Times(2.0));
    assert!(recorded.iter().zip(&doubled).all(|(a, b)| a.div_ceil(2) == *b));
    let rate = taunet::traffic::rate::RateSpec::Packets("1000 packets/s".parse().unwrap());
    let brought = instants(&Speed::To(rate, None));
    let seconds = *brought.last().unwrap() as f64 / 1e12;
    assert!((seconds * 1000.0 / (brought.len() - 1) as f64 - 1.0).abs() < 1e-6, "{seconds} s");
}

#[test]
fn a_replay_by_address_keeps_every_packet_and_its_instant() {
    let scenario = Scenario::load(Path::new("scenarios/replay-by-address.toml"), &[], None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions {
        out: folder.path().join("run"),
        replace: false,
        format: Format::Csv,
        capture: CaptureOptions::default(),
        overrides: Vec::new(),
        engine: None,
        threads: 0,
    };
    let summary = run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap();
    let mut replay =
        Replay::open(Path::new("scenarios/captures/kernel-4ports/out.pcap.xz"), &options.capture).unwrap();
    let start = replay.recording().recorded_start().unwrap();
    replay.recording().start_at(start);
    let recorded = emissions(Box::new(replay), usize::MAX);
    assert_eq!(summary.packets.injected, recorded.len() as u64);
    assert_eq!(summary.packets.delivered, recorded.len() as u64);
    let last = recorded.last().unwrap().tau.timestamp.as_seconds_f64() / 2.0;
    assert!((summary.simulated_s - last).abs() < 0.01, "{} s, not {last} s", summary.simulated_s);
}

#[test]
fn a_replay_by_hash_is_by_the_seed() {
    let folder = tempfile::tempdir().unwrap();
    let capture = std::path::absolute("scenarios/captures/kernel-4ports/out.pcap.xz").unwrap();
    let fingerprint = |seed: u64| {
        fs::write(folder.path().join("star.toml"), star(5)).unwrap();
        let path = folder.path().join("s.toml");
        let entry = format!("[[traffic]]\nkind = \"replay\"\ncapture = {capture:?}\nby_address = \"hash\"\n");
        fs::write(&path, format!("name = \"s\"\ntopology = \"star.toml\"\n{entry}")).unwrap();
        let scenario = Scenario::load(&path, &[], Some(seed)).unwrap();
        let options = RunOptions {
            out: folder.path().join("run"),
            replace: true,
            format: Format::Csv,
            capture: CaptureOptions::default(),
            overrides: Vec::new(),
            engine: None,
            threads: 0,
        };
        let summary = run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap();
        (summary.fingerprint, summary.packets.injected)
    };
    assert_eq!(fingerprint(1), fingerprint(1));
    assert_ne!(fingerprint(1).0, fingerprint(2).0);
    assert!(fingerprint(1).1 > 0);
}
