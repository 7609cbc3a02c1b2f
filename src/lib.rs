//! taunet: a discrete-event network simulator that is checked against reality.
//!
//! A network is described in TOML; a recorded capture is replayed through it (or traffic is
//! generated); the result says, packet by packet, when each packet leaves each device, and how far that is
//! from what a second capture measured.
//!
//! ```
//! use taunet::engine::{Injection, InjectionPoint, Observed, Observer, Settings, simulate};
//! use taunet::packet::{FlowKey, Tau};
//! use taunet::topology::{DeviceId, Topology};
//! use taunet::traffic::Cbr;
//! use taunet::units::Time;
//!
//! /// Prints when packets arrive.
//! struct Arrivals;
//! impl Observer for Arrivals {
//!     fn delivered(&mut self, tau: &Tau, _host: DeviceId) -> Observed {
//!         println!("packet {} at {}", tau.packet.pid, tau.timestamp);
//!         Ok(())
//!     }
//! }
//!
//! let topology = Topology::from_toml("line.toml", r#"
//!     name = "line"
//!     device = [
//!         { name = "a", kind = "host", addresses = ["10.0.0.1"] },
//!         { name = "b", kind = "host", addresses = ["10.0.0.2"] },
//!     ]
//!     link = [{ between = ["a:0", "b:0"], bandwidth = "100 B/s", length = "1 m", propagation_speed = "2 m/s" }]
//! "#)?;
//! let flow = FlowKey::Ip { source: "10.0.0.1".parse()?, destination: "10.0.0.2".parse()?, protocol: 17, ports: None };
//! let source = Cbr::new(flow, "50 B".parse()?, "500 ms".parse()?, 3, Time::ZERO);
//! let at = InjectionPoint::Host(topology.device_named("a").unwrap());
//! let injections = vec![Injection { source: Box::new(source), at }];
//! let outcome = simulate(topology, injections, Settings::default(), Arrivals)?;
//! assert_eq!(outcome.end.as_seconds_f64(), 2.0); // sent at 1 s, half a second on each half of the way
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The programs in [`examples/`](https://github.com/taunet/taunet/tree/main/examples) show more, one thing each: running a scenario
//! in memory, a network built in code, a queueing discipline and a source of one's own, an observer, calibration.
//!
//! # The house, in the order in which data flows
//!
//! A module uses only what stands above it; a test holds that.
//!
//! | module | what it is |
//! |---|---|
//! | [`units`] | time, rate, size, distance, speed: exact integers inside, text with units outside |
//! | [`random`] | one random stream per (seed, purpose, name) |
//! | [`packet`] | `Packet`, `Tau`, the key of a flow, the reasons to drop |
//! | [`prefix`] | a prefix of IP addresses, as files write it |
//! | [`flow`] | the flows of a run |
//! | [`link`] | a link adds transmission and propagation: `link_forward` |
//! | [`impairment`] | a link loses packets and holds them up, at random |
//! | [`table`] | tables as Parquet or CSV |
//! | [`config`] | TOML with the place of every mistake |
//! | [`capture`] | pcap and pcapng: read, parse frames, statistics, a table of packets |
//! | [`ptm`] | traffic management at an egress port: one file per discipline |
//! | [`topology`] | the graph of devices and links, its TOML; generators, import, export |
//! | [`pfm`] | forwarding: which egress port |
//! | [`transport`] | endpoints that answer what arrives: TCP, congestion control |
//! | [`application`] | processes that use connections, and the hosts where they run |
//! | [`traffic`] | sources of Tau: replay of a capture, Poisson, on-off, Markovian, ... |
//! | [`scenario`] | topology, traffic and measured captures, from TOML |
//! | [`statistics`] | what a run keeps of its ports, flows and packets |
//! | [`engine`] | the event engine and the stream engine: two ways to the same answer |
//! | [`record`] | the tables of a run and its directory |
//! | [`compare`] | matching packets across vantages; clocks; the metrics |
//! | [`report`] | a run as a page to look at |
//! | [`run`] | one simulation end to end |
//! | [`calibrate`] | from captures alone to a device that reproduces them |
//! | [`learn`] | training a learned PTM |
//! | [`cli`] | the command line: one file per verb |
//!
//! # Glossary
//!
//! - **Tau**: a timestamped packet. An *ingress Tau* has arrived at a device with its last bit; an *egress Tau*
//!   starts onto a link with its first bit.
//! - **PFM**, packet forwarding model: which egress port a packet takes.
//! - **PTM**, packet traffic-management model: how long it waits there, or that it is dropped.
//! - **Vantage**: the port and direction where a capture is taken.
//! - **Waiting time**: from joining the PTM to the start of transmission. **Sojourn time**: from ingress to the
//!   start of transmission. **One-way delay**: from injection to arrival (RFC 7679).
//! - **Fingerprint**: 128 bits over all that happened in a run; the same for the same scenario everywhere.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod units;
pub mod random;
pub mod packet;
pub mod flow;
pub mod prefix;
pub mod link;
pub mod impairment;
pub mod table;
pub mod config;
pub mod capture;
pub mod ptm;
pub mod topology;
pub mod pfm;
pub mod transport;
pub mod application;
pub mod traffic;
pub mod scenario;
pub mod statistics;
pub mod engine;
pub mod record;
pub mod compare;
pub mod report;
pub mod run;
pub mod calibrate;
pub mod learn;
#[cfg(feature = "cli")]
pub mod cli;
