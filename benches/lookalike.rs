//! Writes a seeded look-alike of the trace `anarchy-online-server-side-packet-trace-1hr.pcap`, whose terms
//! do not allow distribution, for the speed bench and the tests of `taunet inspect`.
//!
//! ```sh
//! cargo run --release --example lookalike -- lookalike.pcap
//! ```
//!
//! It has the same characteristics: 964,842 packets over 3918.465169 s; 120 IP sources; 180 thin TCP
//! connections to one game server, with log-normal gaps between packets with a median of 449 ms; payloads of
//! about 98 B on average; 54 captured bytes of each packet, headers only; classic microsecond pcap.
//!
//! The published start, 2005-09-14 13:21:52.803170944 UTC, is the floating-point form of 13:21:52.803171. A
//! microsecond file can hold the latter, and it is written here.
//!
//! With another number of packets, the rate stays the same, and the span changes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Parser;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taunet::capture::{LinkType, Resolution, Writer};
use taunet::units::Timestamp;

/// Packets of the original.
pub const PACKETS: u64 = 964_842;
/// Duration of the original, in microseconds.
const SPAN_US: u64 = 3_918_465_169;
/// 2005-09-14 13:21:52.803171 UTC, in nanoseconds since 1970.
const START_NS: i128 = 1_126_704_112_803_171_000;

const CLIENTS: u32 = 119;
const CONNECTIONS: usize = 180;
const SERVER: [u8; 4] = [192, 0, 2, 1];
const SERVER_PORT: u16 = 7_500;
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

const GAP_MEDIAN_US: f64 = 449_000.0;
/// Results in a mean gap of 731 ms, at which 180 connections send the original's 246 packets per second.
const GAP_SIGMA: f64 = 0.987;
const PAYLOAD_MEDIAN: f64 = 60.0;
/// Results in a mean payload of about 98 B.
const PAYLOAD_SIGMA: f64 = 0.99;
const LARGEST_PAYLOAD: f64 = 1_448.0;
/// Ethernet, IPv4 and TCP headers: the captured part of each packet.
const CAPTURED: u32 = 54;

#[derive(Parser)]
struct Args {
    /// The file to write
    out: PathBuf,
    /// Packets; the span follows
    #[arg(long, default_value_t = PACKETS)]
    packets: u64,
    /// Another seed gives another trace of the same kind
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[allow(dead_code, reason = "the tests include this file as a module")]
fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let mut file = BufWriter::new(File::create(&args.out)?);
    write(&mut file, args.packets, args.seed)?;
    file.flush()?;
    Ok(())
}

/// A packet under construction.
struct Planned {
    time_us: u64,
    connection: usize,
    is_from_server: bool,
    payload: u16,
}

/// Writes the look-alike with this number of packets.
pub fn write(sink: impl Write, packets: u64, seed: u64) -> Result<(), Box<dyn Error>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let plan = plan(packets, &mut random);
    let (Some(first), Some(last)) = (plan.first(), plan.last()) else { return Ok(()) };
    let (start, span) = (first.time_us, (last.time_us - first.time_us).max(1));
    let wanted_span = u128::from(SPAN_US) * u128::from(packets) / u128::from(PACKETS);
    let mut connections: Vec<_> = (0..CONNECTIONS).map(Connection::new).collect();
    let mut writer = Writer::new(sink, Resolution::Microseconds, LinkType::ETHERNET, CAPTURED)?;
    let mut server_identification = 0u16;
    for packet in &plan {
        let time_us = u128::from(packet.time_us - start) * wanted_span / u128::from(span);
        let timestamp = Timestamp::from_ns(START_NS + time_us as i128 * 1_000);
        let frame = connections[packet.connection].frame(packet, &mut server_identification);
        writer.write(timestamp, CAPTURED + u32::from(packet.payload), &frame)?;
    }
    writer.finish()?;
    Ok(())
}

/// The packets in time order: always the next one of the connection with the earliest packet.
fn plan(packets: u64, random: &mut ChaCha8Rng) -> Vec<Planned> {
    let mut turns: BinaryHeap<_> = (0..CONNECTIONS)
        .map(|connection| Reverse((log_normal(random, GAP_MEDIAN_US, GAP_SIGMA) as u64, connection)))
        .collect();
    let mut plan = Vec::new();
    while (plan.len() as u64) < packets {
        let Some(Reverse((time_us, connection))) = turns.pop() else { break };
        let payload = log_normal(random, PAYLOAD_MEDIAN, PAYLOAD_SIGMA).clamp(1.0, LARGEST_PAYLOAD) as u16;
        plan.push(Planned { time_us, connection, is_from_server: random.random(), payload });
        let gap = log_normal(random, GAP_MEDIAN_US, GAP_SIGMA).max(1.0) as u64;
        turns.push(Reverse((time_us + gap, connection)));
    }
    plan
}

/// Box and Muller's method.
fn log_normal(random: &mut ChaCha8Rng, median: f64, sigma: f64) -> f64 {
    let (u, v): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
    let normal = (-2.0 * libm::log(u)).sqrt() * libm::cos(std::f64::consts::TAU * v);
    median * libm::exp(sigma * normal)
}

/// A TCP connection between a client and the server.
struct Connection {
    client: [u8; 4],
    client_port: u16,
    client_identification: u16,
    /// Next sequence numbers: of the client, of the server.
    sequence: [u32; 2],
}

impl Connection {
    fn new(number: usize) -> Self {
        let client = number as u32 % CLIENTS;
        Connection {
            client: [10, 0, (client / 100) as u8, (client % 100 + 1) as u8],
            client_port: 40_000 + number as u16,
            client_identification: 0,
            sequence: [1_000 * number as u32, 2_000 * number as u32],
        }
    }

    /// The 54 bytes of headers; both sides acknowledge all that the other has sent.
    fn frame(&mut self, packet: &Planned, server_identification: &mut u16) -> [u8; 54] {
        let (from, to) = if packet.is_from_server { (1, 0) } else { (0, 1) };
        let addresses = [(self.client, self.client_port), (SERVER, SERVER_PORT)];
        let macs = [ROUTER_MAC, SERVER_MAC];
        let identification =
            if packet.is_from_server { server_identification } else { &mut self.client_identification };
        *identification = identification.wrapping_add(1);

        let mut frame = [0; 54];
        frame[..6].copy_from_slice(&macs[to]);
        frame[6..12].copy_from_slice(&macs[from]);
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&(40 + packet.payload).to_be_bytes());
        frame[18..20].copy_from_slice(&identification.to_be_bytes());
        frame[20] = 0x40;
        frame[22] = if packet.is_from_server { 64 } else { 113 };
        frame[23] = 6;
        frame[26..30].copy_from_slice(&addresses[from].0);
        frame[30..34].copy_from_slice(&addresses[to].0);
        let checksum = internet_checksum(&frame[14..34]);
        frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        frame[34..36].copy_from_slice(&addresses[from].1.to_be_bytes());
        frame[36..38].copy_from_slice(&addresses[to].1.to_be_bytes());
        frame[38..42].copy_from_slice(&self.sequence[from].to_be_bytes());
        frame[42..46].copy_from_slice(&self.sequence[to].to_be_bytes());
        // data offset of 5 words; PSH and ACK; a window. The payload is unknown, and so its checksum.
        frame[46..50].copy_from_slice(&[0x50, 0x18, 0xff, 0xff]);
        self.sequence[from] = self.sequence[from].wrapping_add(packet.payload.into());
        frame
    }
}

/// RFC 1071.
fn internet_checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
