//! taunet: a discrete-event network simulator, validated against measurements.
//!
//! A network is described in TOML. A recorded capture is replayed through it, or traffic is generated. The
//! result gives, for each packet, when it leaves each device, and how far that is from what a second capture
//! measured.
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
//! The programs in [`examples/`](https://github.com/taunet/taunet/tree/main/examples) show one thing each:
//! running a scenario in memory, building a network in code, adding a queueing discipline or a traffic
//! source, an observer, calibration.
//!
//! # Modules, in the order of data flow
//!
//! A module uses only modules above it in this table; a test checks this.
//!
//! | module | what it is |
//! |---|---|
//! | [`units`] | time, rate, size, distance, speed: exact integers inside, text with units outside |
//! | [`limits`] | how much is read of an input file |
//! | [`random`] | one random stream per (seed, purpose, name) |
//! | [`packet`] | `Packet`, `Tau`, the flow key, the reasons for drops |
//! | [`prefix`] | prefixes of IP addresses, and their text form |
//! | [`flow`] | the flows of a run |
//! | [`link`] | transmission and propagation on a link: `link_forward` |
//! | [`impairment`] | random loss and random delay on a link |
//! | [`write`](mod@write) | files and directories that appear whole or not at all |
//! | [`table`] | tables as Parquet or CSV |
//! | [`config`] | TOML, with the position of every error |
//! | [`capture`] | pcap and pcapng: reading, frame parsing, statistics, packet tables |
//! | [`ptm`] | traffic management at an egress port: one file per discipline |
//! | [`topology`] | the graph of devices and links, its TOML form; generators, import, export |
//! | [`pfm`] | forwarding: the choice of the egress port |
//! | [`transport`] | endpoints that respond to packets: TCP, congestion control |
//! | [`application`] | processes that use connections, and the hosts that run them |
//! | [`traffic`] | sources of Tau: replay of a capture, Poisson, on-off, Markovian, ... |
//! | [`scenario`] | topology, traffic and measured captures, from TOML |
//! | [`statistics`] | statistics of ports, flows and packets during a run |
//! | [`engine`] | the event engine and the stream engine, which give the same result |
//! | [`record`] | the tables of a run and its directory |
//! | [`compare`] | matching packets across vantages; clocks; the metrics |
//! | [`report`] | the HTML report of a run |
//! | [`run`] | one simulation end to end |
//! | [`sweep`] | many runs of one scenario, with other values and seeds |
//! | [`tune`] | the values of parameters that make a metric best |
//! | [`calibrate`] | fitting a device model to captures |
//! | [`learn`] | training a learned PTM |
//! | [`cli`] | the command line: one file per subcommand |
//!
//! # Glossary
//!
//! - **Tau**: a timestamped packet. An *ingress Tau* is a packet whose last bit has arrived at a device; an
//!   *egress Tau* is a packet whose first bit starts onto a link.
//! - **PFM**, packet forwarding model: chooses the egress port of a packet.
//! - **PTM**, packet traffic-management model: decides how long a packet waits at the egress port, or that it
//!   is dropped.
//! - **Vantage**: the port and direction where a capture is taken.
//! - **Waiting time**: from joining the PTM to the start of transmission. **Sojourn time**: from ingress to
//!   the start of transmission. **One-way delay**: from injection to arrival (RFC 7679).
//! - **Fingerprint**: a 128-bit hash over all events of a run. The same scenario has the same fingerprint on
//!   every machine.
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod foreign;

pub mod units;
pub mod limits;
pub mod random;
pub mod packet;
pub mod flow;
pub mod prefix;
pub mod link;
pub mod impairment;
pub mod write;
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
pub mod sweep;
pub mod tune;
pub mod calibrate;
pub mod learn;
#[cfg(feature = "cli")]
pub mod cli;
