//! The queue and alpha of DCTCP against the steady state in its paper.
//!
//! # Source
//! M. Alizadeh et al., "Data Center TCP (DCTCP)", SIGCOMM 2010, section 3.3: N flows with synchronized
//! windows, at a link of C packets per second that marks above K waiting packets.

use std::fmt::Write as _;
use std::fs;

use taunet::engine::{Hop, Observed, Observer, Settings};
use taunet::scenario::Scenario;
use taunet::topology::DeviceId;
use taunet::transport::{ConnectionRecord, Sampling, TransportSample};
use taunet::units::{Span, Time};

/// Full frames, in bytes.
const FRAME: u32 = 1_514;
/// Frames per second of a link of 20 Mbit/s.
const RATE: f64 = 20e6 / 8.0 / FRAME as f64;
/// The round trip without a queue, in seconds.
const ROUND_TRIP: f64 = 0.04;
/// Waiting packets from which on the queue marks.
const THRESHOLD: u32 = 20;
const WARM_UP: Time = Time::from_ps(20_000_000_000_000);
const END: &str = "120 s";

/// Hosts that send through a switch to a sink.
fn scenario(flows: usize) -> Scenario {
    let mut topology = "name = \"dumbbell\"\n[[device]]\nname = \"s\"\nkind = \"switch\"\n\
         [[device]]\nname = \"sink\"\nkind = \"host\"\naddresses = [\"10.0.1.0\"]\n"
        .to_owned();
    let mut text = format!("name = \"dctcp\"\ntopology = \"topology.toml\"\nuntil = \"{END}\"\n");
    for flow in 0..flows {
        writeln!(
            topology,
            "[[device]]\nname = \"h{flow}\"\nkind = \"host\"\naddresses = [\"10.0.0.{flow}\"]\n\
             [[link]]\nbetween = [\"h{flow}:0\", \"s:{}\"]\nbandwidth = \"1 Gbps\"\ndelay = \"{} ms\"",
            flow + 1,
            ROUND_TRIP * 500.0
        )
        .unwrap();
        writeln!(
            text,
            "[[traffic]]\nkind = \"bulk\"\nfrom = \"h{flow}\"\nto = \"sink\"\nstart = \"{} ms\"\n\
             transport = {{ kind = \"tcp\", congestion_control = \"dctcp\" }}",
            700 * flow
        )
        .unwrap();
    }
    let threshold = THRESHOLD * FRAME;
    writeln!(
        topology,
        "[[link]]\nbetween = [\"s:0\", \"sink:0\"]\nbandwidth = \"20 Mbps\"\ndelay = \"0 s\"\n\
         forward = {{ ptm = {{ kind = \"red\", min = \"{threshold} B\", max = \"{threshold} B\", max_p = 1.0, weight = 1.0, \
         ecn = true, hard_drop = false, buffer = \"2 MB\" }} }}"
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("topology.toml"), topology).unwrap();
    let path = folder.path().join("scenario.toml");
    fs::write(&path, text).unwrap();
    Scenario::load(&path, &[], None).unwrap_or_else(|error| panic!("{error:#?}"))
}

/// What the bottleneck and the senders show, after a warm-up.
#[derive(Default)]
struct Watch {
    switch: Option<DeviceId>,
    /// How many frames' time each packet waited.
    waits: Vec<f64>,
    alphas: Vec<f64>,
}

impl Observer for &mut Watch {
    fn hop(&mut self, hop: &Hop) -> Observed {
        if Some(hop.device) == self.switch && hop.packet.length == FRAME && hop.joined >= WARM_UP {
            self.waits.push(hop.egress.since(hop.joined).as_seconds_f64() * RATE);
        }
        Ok(())
    }

    fn sampled(&mut self, sample: &TransportSample) -> Observed {
        if sample.time >= WARM_UP {
            self.alphas.extend(sample.alpha.map(|alpha| f64::from(alpha) / 1024.0));
        }
        Ok(())
    }
}

fn run(flows: usize) -> (Watch, Vec<ConnectionRecord>) {
    let scenario = scenario(flows);
    let mut watch = Watch { switch: scenario.topology.device_named("s"), ..Watch::default() };
    let transport = Some(Sampling::Every(Span::from_ns(10_000_000)));
    let mut open = scenario.open(&Default::default()).unwrap();
    open.settings = Settings { transport, ..open.settings };
    let connections = open.simulation(&mut watch).unwrap().finish().unwrap().connections;
    (watch, connections)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The steady state where each sender reduces its window so many times per cycle.
///
/// Windows grow by one segment per round trip up to W + 1. Then what one round trip holds is marked, and each reduction takes off
/// alpha / 2. So alpha is the part of the segments of a cycle that are sent while the window grows from W to W + 1 (equation 6).
struct Steady {
    alpha: f64,
    /// How far the queue falls below its highest.
    amplitude: f64,
}

impl Steady {
    fn new(flows: f64, reductions: i32) -> Steady {
        let window = (RATE * ROUND_TRIP + f64::from(THRESHOLD)) / flows;
        let highest = (window + 1.0) * (window + 1.0);
        let left = |alpha: f64| libm::pow(1.0 - alpha / 2.0, reductions.into());
        let part = |alpha: f64| (highest - window * window) / (highest * (1.0 - left(alpha) * left(alpha)));
        let (mut low, mut high) = (1e-6, 1.0);
        for _ in 0..60 {
            let alpha = (low + high) / 2.0;
            if alpha < part(alpha) { low = alpha } else { high = alpha }
        }
        Steady { alpha: low, amplitude: flows * (window + 1.0) * (1.0 - left(low)) }
    }
}

/// The queue is the paper's. Alpha is smaller: the paper has one reduction per cycle, which shortens the queue at once. Linux spreads it
/// over a round trip (proportional rate reduction), so that segments sent after the first mark are marked as well, and their echoes
/// reduce the window once more.
#[test]
fn queue_and_alpha_are_those_of_the_steady_state() {
    for flows in [1usize, 2, 4] {
        let (watch, connections) = run(flows);
        let [paper, twice] = [1, 2].map(|reductions| Steady::new(flows as f64, reductions));
        let (alpha, highest) = (mean(&watch.alphas), f64::from(THRESHOLD) + flows as f64);
        let mut waits = watch.waits;
        waits.sort_by(f64::total_cmp);
        let [low, high] = [0.005, 0.995].map(|part| waits[(part * waits.len() as f64) as usize]);
        let found = format!(
            "{flows} flows: alpha {alpha:.3} (one reduction {:.3}, two {:.3}), queue {low:.1} to {high:.1} ({:.1} or {:.1} to {highest})",
            paper.alpha,
            twice.alpha,
            highest - paper.amplitude,
            highest - twice.amplitude
        );
        println!("{found}");
        assert!((alpha / twice.alpha - 1.0).abs() < 0.1, "{found}");
        assert!((high - highest).abs() < 2.0, "{found}");
        assert!((highest - twice.amplitude - 1.0..highest - paper.amplitude + 1.0).contains(&low), "{found}");
        // The link is never idle, and nothing is lost.
        assert!(waits[0] > 0.0 && connections.iter().all(|connection| connection.retransmissions == 0));
    }
}
