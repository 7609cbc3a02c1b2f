//! NeXosim on the shared workload: packet transmissions per CPU-second.
//!
//! `nexosim-bench line1|ft4|ft8 PACKETS`
//!
//! One model per node, with an input, and an output per port. A packet that reaches a node is scheduled to be sent on when its
//! last bit has reached the other end of the link: by the port's Lindley recursion, one event per transmission.

// The program for taunet uses more of it.
#[allow(dead_code)]
#[path = "../../../workload.rs"]
mod workload;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use nexosim::model::{Context, Model, schedulable};
use nexosim::ports::Output;
use nexosim::simulation::{Mailbox, SimInit};
use nexosim::time::MonotonicTime;
use serde::{Deserialize, Serialize};

use workload::{HOP_NS, Random, TRANSMISSION_NS, Workload};

static DELIVERED: AtomicU64 = AtomicU64::new(0);
static DELAY_NS: AtomicU64 = AtomicU64::new(0);
static HOPS: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Packet {
    sent_ns: u64,
    destination: u32,
}

/// A host or a switch.
#[derive(Default, Serialize, Deserialize)]
struct Node {
    number: u32,
    /// What the host sends.
    #[serde(skip)]
    sender: Option<Sender>,
    /// Per destination: the port.
    route: Vec<usize>,
    /// Per port: when it is through with its packets.
    free_ns: Vec<u64>,
    outputs: Vec<Output<Packet>>,
    counts: Counts,
}

/// A sending host: per packet one gap, then one destination.
struct Sender {
    random: Random,
    mean_gap_ns: f64,
    hosts: u64,
    only_destination: Option<u32>,
    time_ns: u64,
    left: u32,
}

impl Sender {
    /// The gap to the next packet; `None` after the last.
    fn next_gap_ns(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        let gap = self.random.gap(self.mean_gap_ns);
        self.time_ns += gap;
        Some(gap)
    }

    fn packet(&mut self, host: u32) -> Packet {
        let destination = self.only_destination.unwrap_or_else(|| self.random.other_host(host, self.hosts));
        Packet { sent_ns: self.time_ns, destination }
    }
}

/// Of one node; added to those of all when the simulation ends.
#[derive(Default, Serialize, Deserialize)]
struct Counts {
    delivered: u64,
    delay_ns: u64,
    hops: u64,
}

impl Drop for Counts {
    fn drop(&mut self) {
        DELIVERED.fetch_add(self.delivered, Relaxed);
        DELAY_NS.fetch_add(self.delay_ns, Relaxed);
        HOPS.fetch_add(self.hops, Relaxed);
    }
}

#[Model]
impl Node {
    #[nexosim(init)]
    async fn init(&mut self, context: &Context<Self>) {
        self.send_from(None, context).await;
    }

    #[nexosim(schedulable)]
    async fn send(&mut self, _: (), context: &Context<Self>) {
        let packet = self.sender.as_mut().map(|sender| sender.packet(self.number));
        self.send_from(packet, context).await;
    }

    /// Sends a packet and schedules the next. A gap of 0 ns cannot be scheduled: that packet follows at once.
    async fn send_from(&mut self, mut packet: Option<Packet>, context: &Context<Self>) {
        loop {
            if let Some(packet) = packet {
                self.receive(packet, context).await;
            }
            let Some(sender) = &mut self.sender else { return };
            match sender.next_gap_ns() {
                None => return,
                Some(0) => packet = Some(sender.packet(self.number)),
                Some(gap) => {
                    let gap = Duration::from_nanos(gap);
                    context.schedule_event(gap, schedulable!(Self::send), ()).expect("a later instant");
                    return;
                }
            }
        }
    }

    async fn receive(&mut self, packet: Packet, context: &Context<Self>) {
        let now = context.time().duration_since(MonotonicTime::EPOCH).as_nanos() as u64;
        if packet.destination == self.number {
            self.counts.delivered += 1;
            self.counts.delay_ns += now - packet.sent_ns;
            return;
        }
        let port = self.route[packet.destination as usize];
        let departure = now.max(self.free_ns[port]) + TRANSMISSION_NS;
        self.free_ns[port] = departure;
        self.counts.hops += 1;
        let until_arrival = Duration::from_nanos(departure + HOP_NS - now);
        context
            .schedule_event(until_arrival, schedulable!(Self::arrive), (port, packet))
            .expect("a later instant");
    }

    #[nexosim(schedulable)]
    async fn arrive(&mut self, (port, packet): (usize, Packet)) {
        self.outputs[port].send(packet).await;
    }
}

/// The nodes, connected.
fn nodes(workload: &Workload, packets: u32, mailboxes: &[Mailbox<Node>]) -> Vec<Node> {
    let node = |number: usize| Node { number: number as u32, ..Node::default() };
    let mut nodes: Vec<Node> = (0..workload.nodes).map(node).collect();
    for &host in &workload.senders {
        nodes[host as usize].sender = Some(Sender {
            random: Random::new(host),
            mean_gap_ns: workload.mean_gap_ns,
            hosts: workload.hosts as u64,
            only_destination: workload.only_destination,
            time_ns: 0,
            left: packets / workload.senders.len() as u32,
        });
    }
    // Per port of the workload: its number at its node.
    let mut numbers = Vec::new();
    for (&from, &to) in workload.from.iter().zip(&workload.to) {
        let node = &mut nodes[from as usize];
        numbers.push(node.outputs.len());
        let mut output = Output::default();
        output.connect(Node::receive, &mailboxes[to as usize]);
        node.outputs.push(output);
        node.free_ns.push(0);
    }
    for (node, ports) in nodes.iter_mut().zip(workload.route.chunks(workload.hosts)) {
        node.route =
            ports.iter().map(|port| numbers.get(*port as usize).copied().unwrap_or(usize::MAX)).collect();
    }
    nodes
}

fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of our own.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, name, packets] = &arguments[..] else { panic!("nexosim-bench line1|ft4|ft8 PACKETS") };
    let workload = Workload::named(name, true);
    let mailboxes: Vec<Mailbox<Node>> = (0..workload.nodes).map(|_| Mailbox::new()).collect();
    let nodes = nodes(&workload, packets.parse().expect("a number of packets"), &mailboxes);
    let mut init = SimInit::with_num_threads(1);
    for (number, (node, mailbox)) in nodes.into_iter().zip(mailboxes).enumerate() {
        init = init.add_model(node, mailbox, &format!("n{number}"));
    }
    let mut simulation = init.init(MonotonicTime::EPOCH).expect("the models start");
    let start = cpu_seconds();
    simulation.run().expect("the simulation runs");
    let cpu = cpu_seconds() - start;
    drop(simulation);
    let [delivered, delay_ns, hops] = [&DELIVERED, &DELAY_NS, &HOPS].map(|count| count.load(Relaxed));
    println!(
        "engine=nexosim workload={name} packets={delivered} hops={hops} cpu_s={cpu:.4} mhops_per_cpu_s={:.4} \
         mean_delay_us={:.4}",
        hops as f64 / cpu / 1e6,
        delay_ns as f64 / delivered as f64 / 1e3,
    );
}
