//! The cost of a generated packet: nanoseconds per emission for each kind of source, and per logarithm.
//!
//! ```sh
//! cargo bench --bench traffic [WORD]     # only the kinds with this word
//! ```

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use taunet::scenario::{Scenario, Traffic};
use taunet::traffic::Batch;
use taunet::units::Time;

const PACKETS: u32 = 5_000_000;

const KINDS: [(&str, &str); 9] = [
    ("poisson", "kind = \"poisson\"\nfrom = \"a\"\nto = \"b\"\nsize = \"1000 B\""),
    ("poisson, uniform matrix", "kind = \"poisson\"\nmatrix = \"uniform\"\nsize = \"1000 B\""),
    ("poisson, 8 flows", "kind = \"poisson\"\nfrom = \"a\"\nto = \"b\"\nflows = 8\nsize = \"1000 B\""),
    (
        "poisson, mixture of 3 sizes",
        "kind = \"poisson\"\nfrom = \"a\"\nto = \"b\"\nsize = { mixture = [{ size = \"40 B\", weight = 5 }, \
         { size = \"576 B\", weight = 2 }, { size = \"1500 B\", weight = 3 }] }",
    ),
    ("cbr", "kind = \"cbr\"\nfrom = \"a\"\nto = \"b\"\nsize = \"1000 B\""),
    (
        "on-off, 10 packets a burst",
        "kind = \"on-off\"\nfrom = \"a\"\nto = \"b\"\nsize = \"1000 B\"\non = { mean = \"1 ms\" }\noff = { mean = \"1 ms\" }",
    ),
    (
        "on-off, pareto",
        "kind = \"on-off\"\nfrom = \"a\"\nto = \"b\"\nsize = \"1000 B\"\non = { mean = \"1 ms\", distribution = \"pareto\" }\n\
         off = { mean = \"1 ms\", distribution = \"pareto\" }",
    ),
    (
        "markovian, 2 states",
        "kind = \"markovian\"\nfrom = \"a\"\nto = \"b\"\nsize = \"1000 B\"\n\
         mmpp_per_s = { rates = [9000, 1000], generator = [[-50, 50], [50, -50]] }",
    ),
    (
        "thin-streams, 1000 flows",
        "kind = \"thin-streams\"\nfrom = \"a\"\nto = \"b\"\nsize = \"100 B\"\nvariation = 0.5\nflows = 1000",
    ),
];

fn main() {
    let logarithms = |name: &str, logarithm: fn(f64) -> f64| {
        let clock = Instant::now();
        let sum: f64 = (1..=PACKETS).map(|n| logarithm(black_box(f64::from(n) / 5e6))).sum();
        black_box(sum);
        println!("{name:<32} {:>6.1} ns", clock.elapsed().as_secs_f64() * 1e9 / f64::from(PACKETS));
    };
    #[expect(clippy::disallowed_methods, reason = "measured beside that of libm")]
    logarithms("ln of the platform", f64::ln);
    logarithms("ln of libm", libm::log);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let topology = "name = \"pair\"\ndevice = [{ name = \"a\", kind = \"host\", addresses = [\"10.0.0.1\"] }, \
                    { name = \"b\", kind = \"host\", addresses = [\"10.0.0.2\"] }]\n\
                    link = [{ between = [\"a:0\", \"b:0\"], bandwidth = \"1 Gbps\" }]\n";
    std::fs::write(folder.path().join("pair.toml"), topology).expect("a topology");
    let only = std::env::args().nth(1).filter(|word| !word.starts_with('-'));
    let chosen = |name: &str| only.as_ref().is_none_or(|word| name.contains(word.as_str()));
    for (name, entry) in KINDS.into_iter().filter(|(name, _)| chosen(name)) {
        let path = folder.path().join("s.toml");
        let text = format!(
            "name = \"s\"\ntopology = \"pair.toml\"\n[[traffic]]\n{entry}\nrate = \"10000 packets/s\"\npackets = {PACKETS}\n"
        );
        std::fs::write(&path, text).expect("a scenario");
        let scenario = Scenario::load(&path, &[], None).expect("a good scenario");
        let Some(Traffic::Generated(generator)) = scenario.traffic.first() else { continue };
        let address = |host| Ok::<IpAddr, ()>(scenario.topology.device(host).addresses[0].addr());
        let mut source = generator.source(&generator.senders[0], "a", 1, address).expect("addresses");
        let mut batch = Batch::default();
        let clock = Instant::now();
        while source.read(Time::NEVER, 1024, &mut batch).expect("no file to fail") {
            black_box(&batch);
            batch.taus.clear();
        }
        println!("{name:<32} {:>6.1} ns", clock.elapsed().as_secs_f64() * 1e9 / f64::from(PACKETS));
    }
}
