//! Queueing theory as the oracle: generated traffic through both engines against exact results.
//!
//! Each expected value must lie in the confidence interval of independent replications (Student's t at 99.9
//! %, after a warm-up), which must be narrow. The seeds are fixed, so a test passes always or never.
//!
//! There is no Jackson network here: a packet has the same length on its whole path, so its service times at
//! two links are dependent, and the product form holds for none but the first. Exact results for a tandem are
//! Burke's theorem for the output of the first link, and Friedman's reduction for packets of one length.
//!
//! # Source
//! L. Kleinrock, Queueing Systems, volume 1 (1975), sections 3.2 and 5.6, and volume 2 (1976), sections 3.4
//! and 3.6 (the conservation law, and A. Cobham, Priority Assignment in Waiting Line Problems, Operations
//! Research 2 (1954)); P. J. Burke, The Output of a Queuing System, Operations Research 4 (1956); H. D.
//! Friedman, Reduction Methods for Tandem Queuing Systems, Operations Research 13 (1965).

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use taunet::engine::{Dropped, Engine, Hop, Observed, Observer, Settings, simulate};
use taunet::scenario::Scenario;
use taunet::topology::DeviceId;
use taunet::units::Time;

use crate::generated::injections;

const REPLICATIONS: u64 = 20;
/// Two-sided 99.9 % of Student's t with 19 degrees of freedom.
const STUDENT_T: f64 = 3.883;
/// How long packets are sent in a replication, and from when on it counts.
const END: Time = Time::from_ps(14_000_000_000_000);
const WARM_UP: Time = Time::from_ps(1_000_000_000_000);

/// At 8 Mbps, a byte takes a microsecond.
const SERVER: &str = "8 Mbps";

/// Hosts a, b and c with a cable each to switches in a row, which lead to the host that receives; `ptm` is at
/// each switch's port on that way.
fn topology(rates: &[&str], ptm: &str) -> String {
    let mut text =
        "name = \"queue\"\n[defaults.link]\nbandwidth = \"unlimited\"\ndelay = \"1 us\"\n".to_owned();
    for (number, host) in ["a", "b", "c", "sink"].iter().enumerate() {
        let address = format!("10.0.0.{}", number + 1);
        writeln!(text, "[[device]]\nname = \"{host}\"\nkind = \"host\"\naddresses = [\"{address}\"]")
            .unwrap();
    }
    for number in 0..rates.len() {
        writeln!(text, "[[device]]\nname = \"s{number}\"\nkind = \"switch\"").unwrap();
    }
    for (port, host) in ["a", "b", "c"].iter().enumerate() {
        writeln!(text, "[[link]]\nbetween = [\"{host}:0\", \"s0:{}\"]", port + 1).unwrap();
    }
    for (number, rate) in rates.iter().enumerate() {
        let next = if number + 1 == rates.len() { "sink:0".to_owned() } else { format!("s{}:1", number + 1) };
        writeln!(
            text,
            "[[link]]\nbetween = [\"s{number}:0\", \"{next}\"]\nptm = {ptm}\nforward = {{ bandwidth = \"{rate}\" }}"
        )
        .unwrap();
    }
    text
}

/// Poisson traffic from one host to the sink.
fn poisson(from: &str, packets_per_s: f64, size: &str, dscp: u8) -> String {
    format!(
        "[[traffic]]\nkind = \"poisson\"\nname = \"{from}\"\nfrom = \"{from}\"\nto = \"sink\"\ndscp = {dscp}\n\
         rate = \"{packets_per_s:.6} packets/s\"\nsize = {size}\nstop = \"14 s\"\n"
    )
}

/// A distribution of lengths in bytes: its parts with their probabilities.
struct Lengths {
    toml: String,
    parts: Vec<(f64, f64)>,
}

impl Lengths {
    fn constant(bytes: u32) -> Self {
        Lengths { toml: format!("\"{bytes} B\""), parts: vec![(bytes.into(), 1.0)] }
    }

    /// The mixture of an Internet exchange: 7 of 64 B, 4 of 576 B, 1 of 1500 B.
    fn mixture() -> Self {
        let parts = [(64u32, 7u32), (576, 4), (1500, 1)];
        let toml = parts.map(|(bytes, weight)| format!("{{ size = \"{bytes} B\", weight = {weight} }}"));
        Lengths {
            toml: format!("{{ mixture = [{}] }}", toml.join(", ")),
            parts: parts.map(|(bytes, weight)| (bytes.into(), f64::from(weight) / 12.0)).to_vec(),
        }
    }

    /// Exponential lengths, rounded up to whole bytes.
    fn exponential(mean: f64) -> Self {
        let cumulative = |bytes: u32| 1.0 - libm::exp(-f64::from(bytes) / mean);
        let longest = (mean * 20.0) as u32;
        let part = |bytes: u32| (f64::from(bytes), cumulative(bytes) - cumulative(bytes - 1));
        Lengths { toml: "{ cdf = \"lengths.csv\" }".to_owned(), parts: (1..=longest).map(part).collect() }
    }

    /// `bytes,cumulative_probability`, ending in 1.
    fn csv(&self) -> String {
        let mut text = "bytes,cumulative_probability\n".to_owned();
        let mut cumulative = 0.0;
        for (place, (bytes, probability)) in self.parts.iter().enumerate() {
            cumulative += probability;
            let step = if place + 1 == self.parts.len() { 1.0 } else { cumulative };
            writeln!(text, "{bytes},{step}").unwrap();
        }
        text
    }

    /// The mean of the service time's `power` in seconds, where a byte takes a microsecond.
    fn moment(&self, power: i32) -> f64 {
        self.parts
            .iter()
            .map(|(bytes, probability)| probability * libm::pow(bytes * 1e-6, power.into()))
            .sum()
    }
}

/// A network and its traffic, to be run with many seeds.
struct Experiment(Scenario);

impl Experiment {
    fn new(topology: &str, traffic: &str, lengths: &Lengths) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("queue.toml"), topology).unwrap();
        fs::write(folder.path().join("lengths.csv"), lengths.csv()).unwrap();
        let path = folder.path().join("scenario.toml");
        fs::write(&path, format!("name = \"queue\"\ntopology = \"queue.toml\"\n{traffic}")).unwrap();
        Experiment(Scenario::load(&path, &[], None).unwrap_or_else(|error| panic!("{error:#?}")))
    }

    /// The passages through switches in one replication, each port's in order.
    fn run(&self, engine: Engine, seed: u64) -> Passages {
        let topology = &self.0.topology;
        let settings = Settings { engine, threads: 1, seed, ..Settings::default() };
        let mut passages = Passages {
            first_switch: topology.device_named("s0").unwrap(),
            switches: vec![Vec::new(); topology.devices().len() - 4],
        };
        simulate(Arc::clone(topology), injections(&self.0, seed), settings, &mut passages).unwrap();
        passages
    }

    /// `statistics` of each replication of both engines, each held to what theory expects.
    fn expect<const N: usize>(&self, expected: [(&str, f64); N], statistics: impl Fn(&Passages) -> [f64; N]) {
        for engine in [Engine::Event, Engine::Stream] {
            let samples: Vec<[f64; N]> =
                (1..=REPLICATIONS).map(|seed| statistics(&self.run(engine, seed))).collect();
            for (place, (name, expected)) in expected.into_iter().enumerate() {
                let samples: Vec<f64> = samples.iter().map(|sample| sample[place]).collect();
                let mean = mean(samples.iter().copied());
                let variance = samples.iter().map(|sample| (sample - mean) * (sample - mean)).sum::<f64>()
                    / (REPLICATIONS - 1) as f64;
                let half_width = STUDENT_T * (variance / REPLICATIONS as f64).sqrt();
                println!("{engine:?} {name}: {mean:.4e} +- {half_width:.1e}, expected {expected:.4e}");
                assert!(half_width < 0.05 * expected, "{name}: {half_width:e} is too wide around {mean:e}");
                let error = (mean - expected).abs();
                assert!(error < half_width, "{name}: {mean:e} +- {half_width:e} instead of {expected:e}");
            }
        }
    }
}

/// The hops at the switches' ports towards the sink, in order.
struct Passages {
    first_switch: DeviceId,
    switches: Vec<Vec<Hop>>,
}

impl Observer for Passages {
    fn hop(&mut self, hop: &Hop) -> Observed {
        if hop.device >= self.first_switch {
            self.switches[hop.device.index() - self.first_switch.index()].push(*hop);
        }
        Ok(())
    }
    fn dropped(&mut self, drop: &Dropped) -> Observed {
        panic!("a packet is lost: {}", drop.reason)
    }
}

impl Passages {
    /// The hops at a switch after the warm-up.
    fn steady(&self, switch: usize) -> impl Iterator<Item = &Hop> + Clone {
        self.switches[switch].iter().filter(|hop| (WARM_UP..END).contains(&hop.joined))
    }

    /// The waiting times at a switch, in seconds.
    fn waits(&self, switch: usize) -> impl Iterator<Item = f64> + Clone {
        self.steady(switch).map(wait)
    }

    /// The same, of one code point.
    fn waits_of(&self, dscp: u8) -> impl Iterator<Item = f64> {
        self.steady(0).filter(move |hop| hop.packet.dscp == dscp).map(wait)
    }

    /// The time average of the number of packets that wait at the first switch.
    fn mean_queue(&self) -> f64 {
        let mut changes: Vec<(Time, i64)> = Vec::new();
        for hop in &self.switches[0] {
            changes.extend([(hop.joined, 1), (hop.egress, -1)]);
        }
        changes.push((END, 0));
        changes.sort_unstable_by_key(|(time, _)| *time);
        let (mut area, mut waiting, mut before) = (0i128, 0i64, WARM_UP);
        for (time, change) in changes.into_iter().take_while(|(time, _)| *time <= END) {
            if time > before {
                area += i128::from(time.since(before).as_ps()) * i128::from(waiting);
                before = time;
            }
            waiting += change;
        }
        area as f64 / END.since(WARM_UP).as_ps() as f64
    }
}

fn wait(hop: &Hop) -> f64 {
    hop.egress.since(hop.joined).as_ps() as f64 / 1e12
}

fn mean(samples: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = samples.fold((0.0, 0u64), |(sum, count), sample| (sum + sample, count + 1));
    sum / count as f64
}

/// The part of the samples that are above `bound`.
fn above(samples: impl Iterator<Item = f64>, bound: f64) -> f64 {
    mean(samples.map(|sample| f64::from(u8::from(sample > bound))))
}

/// The mean waiting time of M/G/1 (Pollaczek-Khinchine).
fn pollaczek_khinchine(packets_per_s: f64, lengths: &Lengths) -> f64 {
    packets_per_s * lengths.moment(2) / (2.0 * (1.0 - packets_per_s * lengths.moment(1)))
}

#[test]
fn m_m_1() {
    // Utilization 0.6; rounding up to whole bytes adds 0.25 % to the mean length of 200 B.
    let lengths = Lengths::exponential(199.5);
    let (arrivals, service) = (3_000.0f64, 1.0 / 200e-6);
    let utilization = arrivals / service;
    let wait = utilization / (service - arrivals);
    let bound = 2.0 * wait;
    let tail = utilization * libm::exp(-(service - arrivals) * bound);
    let traffic = poisson("a", arrivals, &lengths.toml, 0);
    let experiment = Experiment::new(&topology(&[SERVER], "{ kind = \"fifo\" }"), &traffic, &lengths);
    let expected = [
        ("mean wait", wait),
        ("part that waits", utilization),
        ("part that waits twice the mean", tail),
        ("mean queue by Little's law", arrivals * wait),
    ];
    experiment.expect(expected, |passages| {
        let waits = passages.waits(0);
        [mean(waits.clone()), above(waits.clone(), 0.0), above(waits, bound), passages.mean_queue()]
    });
}

#[test]
fn what_leaves_m_m_1_is_poisson() {
    // Burke: the gaps between departures are exponential, with the rate of the arrivals, and independent.
    let lengths = Lengths::exponential(199.5);
    let arrivals = 3_000.0;
    let traffic = poisson("a", arrivals, &lengths.toml, 0);
    let experiment = Experiment::new(&topology(&[SERVER], "{ kind = \"fifo\" }"), &traffic, &lengths);
    let expected = [
        ("mean gap", 1.0 / arrivals),
        ("mean square of gaps", 2.0 / (arrivals * arrivals)),
        ("gaps above the mean", libm::exp(-1.0)),
        ("mean product of neighbouring gaps", 1.0 / (arrivals * arrivals)),
    ];
    experiment.expect(expected, |passages| {
        let ends: Vec<f64> = passages
            .steady(0)
            .map(|hop| hop.egress.as_seconds_f64() + f64::from(hop.packet.length) * 1e-6)
            .collect();
        let gaps: Vec<f64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
        [
            mean(gaps.iter().copied()),
            mean(gaps.iter().map(|gap| gap * gap)),
            above(gaps.iter().copied(), 1.0 / arrivals),
            mean(gaps.windows(2).map(|pair| pair[0] * pair[1])),
        ]
    });
}

#[test]
fn m_d_1() {
    let lengths = Lengths::constant(500);
    let arrivals = 1_400.0;
    let traffic = poisson("a", arrivals, &lengths.toml, 0);
    let experiment = Experiment::new(&topology(&[SERVER], "{ kind = \"fifo\" }"), &traffic, &lengths);
    let wait = pollaczek_khinchine(arrivals, &lengths);
    assert!((wait - 0.7 * 500e-6 / (2.0 * 0.3)).abs() < 1e-12);
    let expected =
        [("mean wait", wait), ("part that waits", 0.7), ("mean queue by Little's law", arrivals * wait)];
    experiment.expect(expected, |passages| {
        [mean(passages.waits(0)), above(passages.waits(0), 0.0), passages.mean_queue()]
    });
}

#[test]
fn m_g_1() {
    let lengths = Lengths::mixture();
    let arrivals = 0.6 / lengths.moment(1);
    let traffic = poisson("a", arrivals, &lengths.toml, 0);
    let experiment = Experiment::new(&topology(&[SERVER], "{ kind = \"fifo\" }"), &traffic, &lengths);
    let wait = pollaczek_khinchine(arrivals, &lengths);
    let expected =
        [("mean wait", wait), ("part that waits", 0.6), ("mean queue by Little's law", arrivals * wait)];
    experiment.expect(expected, |passages| {
        [mean(passages.waits(0)), above(passages.waits(0), 0.0), passages.mean_queue()]
    });
}

#[test]
fn priorities() {
    // Cobham: the packet in service is finished; then the first class goes before the second.
    let (first, second) = (Lengths::constant(200), Lengths::mixture());
    let rates = [0.25 / first.moment(1), 0.4 / second.moment(1)];
    let residual = (rates[0] * first.moment(2) + rates[1] * second.moment(2)) / 2.0;
    let traffic = poisson("a", rates[0], &first.toml, 46) + &poisson("b", rates[1], &second.toml, 0);
    let ptm = "{ kind = \"priority\", class = [{ match = { dscp = [46] } }, {}] }";
    let experiment = Experiment::new(&topology(&[SERVER], ptm), &traffic, &first);
    let expected = [
        ("first class", residual / (1.0 - 0.25)),
        ("second class", residual / ((1.0 - 0.25) * (1.0 - 0.65))),
    ];
    experiment.expect(expected, |passages| [mean(passages.waits_of(46)), mean(passages.waits_of(0))]);
}

#[test]
fn no_discipline_changes_the_wait_of_all_classes_together() {
    // Kleinrock's conservation law: the waits, weighed by utilization, add up to that of the FIFO. It holds where the choice
    // of a class says nothing about the service times in it: each class has one length.
    let lengths = [200, 500, 1000].map(Lengths::constant);
    let utilizations = [0.2, 0.2, 0.25];
    let (mut traffic, mut residual) = (String::new(), 0.0);
    for (place, (lengths, utilization)) in lengths.iter().zip(utilizations).enumerate() {
        let rate = utilization / lengths.moment(1);
        traffic += &poisson(["a", "b", "c"][place], rate, &lengths.toml, place as u8);
        residual += rate * lengths.moment(2) / 2.0;
    }
    let together = utilizations.iter().sum::<f64>();
    let expected = [("weighed wait", together * residual / (1.0 - together))];
    let classes = |second: &str| {
        format!("[{{ match = {{ dscp = [0] }} }}, {{ match = {{ dscp = [1] }}{second} }}, {{}}]")
    };
    for ptm in [
        "{ kind = \"fifo\" }".to_owned(),
        format!("{{ kind = \"priority\", class = {} }}", classes("")),
        format!("{{ kind = \"drr\", class = {} }}", classes(", quantum = \"2000 B\"")),
        format!("{{ kind = \"wrr\", class = {} }}", classes(", weight = 3")),
        format!("{{ kind = \"wfq\", class = {} }}", classes(", weight = 5")),
    ] {
        println!("{ptm}");
        let experiment = Experiment::new(&topology(&[SERVER], &ptm), &traffic, &lengths[0]);
        experiment.expect(expected, |passages| {
            let class = |place: usize| utilizations[place] * mean(passages.waits_of(place as u8));
            [class(0) + class(1) + class(2)]
        });
    }
}

/// When each packet joins the first switch, and its waits at all switches together.
fn waits_on_the_way(passages: &Passages) -> Vec<(Time, f64)> {
    let mut waits: Vec<(Time, f64)> = Vec::new();
    for (place, hop) in passages.switches[0].iter().enumerate() {
        let own = passages.switches.iter().map(|hops| {
            assert_eq!(hops[place].packet.pid, hop.packet.pid, "the switches keep the order");
            wait(&hops[place])
        });
        waits.push((hop.joined, own.sum()));
    }
    waits
}

#[test]
fn a_tandem_of_constant_service_waits_as_at_its_slowest_link() {
    // Friedman: with packets of one length, the waits on the way add up to the wait at the slowest link alone, in whichever
    // order the links stand; a link behind a slower one adds none.
    let lengths = Lengths::constant(500);
    let arrivals = 1_400.0;
    let traffic = poisson("a", arrivals, &lengths.toml, 0);
    let tandem =
        |rates: &[&str]| Experiment::new(&topology(rates, "{ kind = \"fifo\" }"), &traffic, &lengths);
    let expected = [("wait on the way", pollaczek_khinchine(arrivals, &lengths))];
    tandem(&["16 Mbps", SERVER, "12 Mbps"]).expect(expected, |passages| {
        assert!(passages.switches[2].iter().all(|hop| hop.joined == hop.egress));
        let waits = waits_on_the_way(passages);
        let kept = waits.partition_point(|(at, _)| *at < WARM_UP);
        [mean(waits[kept..].iter().map(|(_, wait)| *wait))]
    });
    // Not on average alone: for each packet.
    let alone = waits_on_the_way(&tandem(&[SERVER]).run(Engine::Stream, 1));
    for rates in
        [["16 Mbps", SERVER, "12 Mbps"], [SERVER, "12 Mbps", "16 Mbps"], ["12 Mbps", "16 Mbps", SERVER]]
    {
        let way = waits_on_the_way(&tandem(&rates).run(Engine::Stream, 1));
        for ((at, wait), (at_alone, wait_alone)) in way.iter().zip(&alone) {
            assert_eq!(at, at_alone);
            assert!((wait - wait_alone).abs() < 1e-11, "{rates:?}: {wait} instead of {wait_alone}");
        }
    }
}
