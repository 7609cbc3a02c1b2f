//! The network of two routers, and captures that are replayed through it.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taunet::capture::{LinkType, Resolution, Writer};
use taunet::units::Timestamp;

pub const TOPOLOGY: &str = r#"
name = "two-routers"
[defaults.link]
bandwidth = "unlimited"
delay = "0 s"
[[device]]
name = "client"
kind = "host"
addresses = ["10.9.1.0/24"]
[[device]]
name = "r1"
kind = "router"
processing = "2 us"
[[device]]
name = "r2"
kind = "router"
processing = "2 us"
[[device]]
name = "server"
kind = "host"
addresses = ["10.9.200.0/24"]
[[link]]
between = ["client:0", "r1:0"]
[[link]]
between = ["r1:1", "r2:0"]
ptm = { kind = "token-bucket", rate = "700 Mbps", burst = "3000 B", buffer = "10 MB", release_slack = "5 us" }
[[link]]
between = ["r2:1", "server:0"]
ptm = { kind = "token-bucket", rate = "600 Mbps", burst = "3000 B", buffer = "10 MB", release_slack = "5 us" }
"#;

/// Poisson arrivals of UDP packets at 87 % of 600 Mbps, each flow in one of the `ingress` captures, and their
/// departures from a FIFO of that rate.
pub fn write_replay(ingress: &[PathBuf], egress: &Path, packets: u64) -> Result<(), Box<dyn Error>> {
    const START_NS: i128 = 1_700_000_000_000_000_000;
    const FLOWS: u64 = 200;
    const MEAN_GAP_NS: f64 = 10_000.0;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let create = |path: &Path| -> Result<_, Box<dyn Error>> {
        let file = BufWriter::new(File::create(path)?);
        Ok(Writer::new(file, Resolution::Nanoseconds, LinkType::ETHERNET, 96)?)
    };
    let mut sent = ingress.iter().map(|path| create(path)).collect::<Result<Vec<_>, _>>()?;
    let mut received = create(egress)?;
    let (mut now, mut free) = (0.0f64, 0.0f64);
    for number in 0..packets {
        now += -libm::log(1.0 - random.random::<f64>()) * MEAN_GAP_NS;
        let length = [64u32, 64, 576, 576, 1_514][random.random_range(0..5)];
        free = free.max(now) + f64::from(length) * 8.0 / 0.6;
        let flow = random.random_range(0..FLOWS);
        let frame = frame(length, number, flow);
        let place = flow as usize % sent.len();
        sent[place].write(Timestamp::from_ns(START_NS + now as i128), length, &frame)?;
        received.write(Timestamp::from_ns(START_NS + free as i128), length, &frame)?;
    }
    for capture in sent {
        capture.finish()?;
    }
    received.finish()?;
    Ok(())
}

/// Ethernet, IPv4 and UDP headers, and a payload that starts with the packet's number.
fn frame(length: u32, number: u64, flow: u64) -> [u8; 50] {
    let mut frame = [0; 50];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&(length as u16 - 14).to_be_bytes());
    frame[18..20].copy_from_slice(&(number as u16).to_be_bytes());
    frame[22] = 64;
    frame[23] = 17;
    frame[26..30].copy_from_slice(&[10, 9, 1, 1]);
    frame[30..34].copy_from_slice(&[10, 9, 200, 2]);
    frame[34..36].copy_from_slice(&(10_000 + flow as u16).to_be_bytes());
    frame[36..38].copy_from_slice(&5_120u16.to_be_bytes());
    frame[38..40].copy_from_slice(&(length as u16 - 34).to_be_bytes());
    frame[42..50].copy_from_slice(&number.to_be_bytes());
    frame
}
