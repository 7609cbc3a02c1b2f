//! A program of another crate: a discipline and a source of its own, named in TOML, on the engine that it is told.
//!
//! `program SCENARIO event|stream`; the last line of its output is the fingerprint.

use std::collections::VecDeque;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

use serde::Deserialize;
use taunet::config::Registry;
use taunet::engine::{Engine, Unwatched};
use taunet::flow::Flows;
use taunet::packet::{DropReason, FlowKey, Packet, Tau, Way};
use taunet::ptm::{Backlog, Discipline, Loss, Next, Place};
use taunet::scenario::Scenario;
use taunet::table::MemoryTables;
use taunet::traffic::{Emission, Source, SourcePlace, TrafficError};
use taunet::units::{Span, Time};

/// A queue from whose head the packets go that have waited for too long.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deadline {
    patience: Span,
    /// Breaks the contract of a discipline: what it loses stays in the queue.
    #[serde(default)]
    keeps_what_it_loses: bool,
}

struct DeadlineQueue {
    patience: Span,
    keeps_what_it_loses: bool,
    packets: VecDeque<Tau>,
    backlog: Backlog,
}

impl DeadlineQueue {
    fn forget_the_late(&mut self, now: Time, losses: &mut Vec<Loss>) {
        while let Some(tau) = self.packets.front().filter(|tau| now.since(tau.timestamp) > self.patience) {
            losses.push(Loss { tau: *tau, at: now, reason: DropReason::SojournAboveTarget });
            if self.keeps_what_it_loses {
                break;
            }
            self.backlog.remove(tau.packet.length);
            self.packets.pop_front();
        }
    }
}

impl Discipline for DeadlineQueue {
    fn enqueue(&mut self, tau: Tau, _flows: &Flows, _losses: &mut Vec<Loss>) {
        self.backlog.add(tau.packet.length);
        // Whoever makes a packet anew cannot know its way.
        let packet = Packet { way: Way::default(), ..tau.packet };
        self.packets.push_back(Tau { packet, ..tau });
    }

    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        self.forget_the_late(now, losses);
        self.packets.front().map_or(Next::Nothing, |tau| Next::Ready(tau.packet.length))
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        self.forget_the_late(now, losses);
        let tau = self.packets.pop_front()?;
        self.backlog.remove(tau.packet.length);
        Some(tau)
    }

    fn backlog(&self) -> Backlog {
        self.backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(&self.packets);
    }
}

/// Bursts of packets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bursts {
    to: String,
    every: Span,
    length: u64,
    bursts: u64,
    /// Breaks the contract of a source: every burst lies before the one before it.
    #[serde(default)]
    backwards: bool,
}

struct BurstSource {
    flow: FlowKey,
    every: Span,
    length: u64,
    packets: u64,
    backwards: bool,
    sent: u64,
}

impl Source for BurstSource {
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        if self.sent == self.packets {
            return Ok(None);
        }
        let mut burst = self.sent / self.length;
        if self.backwards {
            burst = self.packets / self.length - burst;
        }
        let timestamp = Time::from_ps(burst * self.every.as_ps());
        let packet = Packet { length: 1000, trp: 17, ttl: 64, ..Packet::default() };
        let emission = Emission { tau: Tau { timestamp, packet }, record: self.sent, match_key: None };
        self.sent += 1;
        Ok(Some(emission))
    }

    fn flow(&self, _fid: u32) -> FlowKey {
        self.flow
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut registry = Registry::default();
    registry.discipline("deadline", |keys: &Deadline, _: &Place<'_>| DeadlineQueue {
        patience: keys.patience,
        keeps_what_it_loses: keys.keeps_what_it_loses,
        packets: VecDeque::new(),
        backlog: Backlog::default(),
    });
    registry.source("bursts", |keys: &Bursts, place: &mut SourcePlace<'_>| {
        let (source, destination) = (place.own_address()?, place.address_of(&keys.to)?);
        Ok(BurstSource {
            flow: FlowKey::Ip { source, destination, protocol: 17, ports: Some((1, 2)) },
            every: keys.every,
            length: keys.length,
            packets: keys.length * keys.bursts,
            backwards: keys.backwards,
            sent: 0,
        })
    });
    let arguments: Vec<String> = std::env::args().collect();
    let scenario = Scenario::load_with(Path::new(&arguments[1]), &[], None, &registry)?;
    let mut open = scenario.open(&Default::default())?;
    open.settings.engine = if arguments[2] == "event" { Engine::Event } else { Engine::Stream };
    let tables = MemoryTables::default();
    let results = open.run(&tables, Unwatched, |_| ControlFlow::Continue(()))?;
    println!("{} rows of packets", tables.take()["packets"].rows());
    println!("{} delivered, {} dropped", results.outcome.packets.delivered, results.outcome.packets.dropped);
    println!("{}", results.outcome.fingerprint);
    Ok(())
}
