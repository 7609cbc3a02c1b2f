//! The recorded network: sources, a router with the recorded discipline, a server, and the devices that drop
//! and delay packets beside it.

use std::collections::VecDeque;

use taunet::config::Registry;
use taunet::flow::Flows;
use taunet::packet::{DropReason, Tau};
use taunet::ptm::{Backlog, Discipline, Loss, Next, Place, PtmSpec};
use taunet::topology::Topology;
use taunet::topology::tc::{TcOptions, convert};
use taunet::units::{Span, Time};

use super::machine::{self, Processor};
use super::recording::{Case, Way};

/// The round trip is the delay of the way back.
pub fn topology(case: &Case, processor: &Processor) -> Topology {
    let mut text = "name = \"lab\"\n[[device]]\nname = \"r\"\nkind = \"switch\"\n\
         [[device]]\nname = \"server\"\nkind = \"host\"\naddresses = [\"10.9.200.2\"]\n"
        .to_owned();
    for source in 1..=case.delays.len() {
        text += &format!(
            "[[device]]\nname = \"s{source}\"\nkind = \"host\"\naddresses = [\"10.9.{source}.1\"]\n"
        );
    }
    let lossy = |way: &Way, name: &str| match way.is_plain() {
        true => String::new(),
        false => format!("ptm = {{ kind = \"lab-way\", way = \"{name}\" }}\n"),
    };
    let acks = lossy(&case.acks_way, "acks");
    let link = format!("bandwidth = \"unlimited\"\ndelay = \"0 s\"\nmtu = \"{} B\"\n", case.mtu);
    text += &format!(
        "[[link]]\nbetween = [\"r:0\", \"server:0\"]\n{link}forward.ptm = {{ kind = \"lab-watched\", is_router = true }}\nbackward.{}",
        if acks.is_empty() { "ptm = { kind = \"lab-softirq\" }\n" } else { &acks }
    );
    let host_queue = match case.host_commands.as_str() {
        "" => "",
        _ => "forward.ptm = { kind = \"lab-watched\", is_router = false }\n",
    };
    let data = lossy(&case.data_way, "data");
    let at_way = format!("forward.{data}");
    for (source, delay) in case.delays.iter().enumerate() {
        let source = source + 1;
        // What is lost or held on the way is so behind the source.
        let mut before_router = format!("s{source}:0");
        if !data.is_empty() {
            text += &format!(
                "[[device]]\nname = \"w{source}\"\nkind = \"switch\"\n\
                 [[link]]\nbetween = [\"s{source}:0\", \"w{source}:0\"]\n{link}{host_queue}"
            );
            before_router = format!("w{source}:1");
        }
        text += &format!(
            "[[link]]\nbetween = [\"{before_router}\", \"r:{source}\"]\n{link}\
             backward = {{ delay = \"1 ns\", ptm = {{ kind = \"lab-netem\", delay = \"{delay} ns\" }} }}\n{}",
            if data.is_empty() { host_queue } else { &at_way }
        );
    }
    let topology = Topology::from_toml_with("lab.toml", &text, &registry(case, processor));
    topology.unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// The flows of `t_cubic_fq_codel` that shared a queue.
const SHARED_QUEUE: &str =
    r#"[["10.9.1.1:20003 > 10.9.200.2:5123 UDP", "10.9.1.1:20006 > 10.9.200.2:5126 UDP"]]"#;

/// Recordings of many flows, whose queues are drawn.
const HASHED: [&str; 2] = ["t_short_fq_codel", "cf_short_fq_codel"];

/// The discipline of `tc` commands; without any packets go on at once.
fn converted(name: &str, commands: &str) -> toml::Value {
    if commands.is_empty() {
        return "{ kind = \"fifo\" }".parse().unwrap();
    }
    let options = TcOptions { hz: 1_000.try_into().unwrap(), ..TcOptions::default() };
    let converted = convert(name, commands, &options).unwrap();
    let mut table: toml::Table = converted.to_toml().parse().unwrap();
    table.remove("ptm").unwrap()
}

/// The discipline of `tc` commands, as those of the router or of a host.
fn discipline(case: &Case, commands: &str) -> PtmSpec {
    let mut ptm = converted(&case.name, commands);
    // The kernel's hash has a seed of its own. Where it decides little, only the recording shows who shares a queue: these two alone.
    if !case.datagrams.is_empty()
        && !HASHED.contains(&case.name.as_str())
        && let Some(leaf) = ptm.get_mut("class").and_then(|class| class[0].get_mut("ptm"))
        && leaf["kind"].as_str() == Some("fq-codel")
    {
        leaf.as_table_mut().unwrap().insert("same_queue".into(), SHARED_QUEUE.parse().unwrap());
    }
    let text = format!(
        "name = \"alone\"\ndevice = [{{ name = \"r\", kind = \"host\" }}, {{ name = \"d\", kind = \"host\" }}]\n\
         link = [{{ between = [\"r:0\", \"d:0\"], bandwidth = \"unlimited\", delay = \"0 s\", ptm = {ptm} }}]"
    );
    let alone = Topology::from_toml("alone.toml", &text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let port = alone.device(alone.device_named("r").unwrap()).ports[0];
    alone.port(port).ptm.clone()
}

fn registry(case: &Case, processor: &Processor) -> Registry {
    let ways = [case.acks_way.clone(), case.data_way.clone()];
    let mut registry = machine::registry(
        processor,
        discipline(case, &case.commands),
        discipline(case, &case.host_commands),
        &case.acks_way.delay,
    );
    registry.discipline("lab-way", move |which: &Which, _place: &Place<'_>| Gate {
        way: ways[usize::from(which.way == "data")].clone(),
        syns: 0,
        others: 0,
        passed: 0,
        ready: VecDeque::new(),
        held: VecDeque::new(),
        backlog: Backlog::default(),
    });
    registry
}

#[derive(serde::Deserialize)]
struct Which {
    way: String,
}

/// What drops and holds packets on a way, by rules that count them.
struct Gate {
    way: Way,
    syns: u64,
    others: u64,
    passed: u64,
    ready: VecDeque<Tau>,
    /// With the instants at which they go on.
    held: VecDeque<(Time, Tau)>,
    backlog: Backlog,
}

/// The length of a SYN's frame, and of that of the answer to it.
const SYN: u32 = 74;

fn is_every(n: u64, count: u64) -> bool {
    n > 0 && count.is_multiple_of(n)
}

impl Gate {
    fn drops(&mut self, tau: &Tau) -> bool {
        let at = tau.timestamp;
        if self.way.silent.iter().any(|(since, until)| *since <= at && at < *until) {
            return true;
        }
        if self.way.syn > 0 && tau.packet.length == SYN {
            self.syns += 1;
            return !is_every(self.way.syn, self.syns);
        }
        self.others += 1;
        is_every(self.way.drop, self.others)
    }
}

impl Discipline for Gate {
    fn enqueue(&mut self, tau: Tau, _flows: &Flows, losses: &mut Vec<Loss>) {
        if self.drops(&tau) {
            losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::LostOnLink });
            return;
        }
        self.backlog.add(tau.packet.length);
        self.passed += 1;
        match self.way.hold {
            // The lab's timers fire a nanosecond late.
            Some((every, span)) if is_every(every, self.passed) => {
                self.held.push_back((tau.timestamp + span + Span::from_ns(1), tau));
            }
            _ => self.ready.push_back(tau),
        }
    }

    fn next(&mut self, now: Time, _losses: &mut Vec<Loss>) -> Next {
        let held = self.held.front();
        match self.ready.front().or(held.filter(|(at, _)| *at <= now).map(|(_, tau)| tau)) {
            Some(tau) => Next::Ready(tau.packet.length),
            None => held.map_or(Next::Nothing, |(at, _)| Next::Throttled(*at)),
        }
    }

    fn dequeue(&mut self, now: Time, _losses: &mut Vec<Loss>) -> Option<Tau> {
        let held = |(_, tau)| tau;
        let tau =
            self.ready.pop_front().or_else(|| self.held.pop_front_if(|(at, _)| *at <= now).map(held))?;
        self.backlog.remove(tau.packet.length);
        Some(tau)
    }

    fn backlog(&self) -> Backlog {
        self.backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(self.ready.iter().chain(self.held.iter().map(|(_, tau)| tau)));
    }
}
