//! The disciplines against ns.py 0.4.3, packet by packet, on one egress port of a 4-port switch at 90 % load.
//!
//! `tests/peers/nspy-*.csv.xz` were written by `benches/peers/nspy/disciplines.py --make 5000 1`. Where ns.py
//! deviates from the textbook, a model of it in this file has the deviations as switches: with them it gives
//! ns.py's departures, without them taunet's.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;

use liblzma::read::XzDecoder;
use taunet::flow::Flows;
use taunet::packet::{Packet, Tau};
use taunet::ptm::Place;
use taunet::topology::{PortName, Topology};
use taunet::units::Time;

const RATE: f64 = 20e6;
const WEIGHTS: [f64; 4] = [1.0, 2.0, 3.0, 4.0];
const NS: f64 = 1_000.0;

/// A packet of the schedule: arrival [ps], length [B], class.
#[derive(Clone, Copy)]
struct Arrival {
    at: f64,
    length: f64,
    class: usize,
}

impl Arrival {
    /// Its transmission time [ps].
    fn work(&self) -> f64 {
        self.length * 8.0 / RATE * 1e12
    }
}

fn table(name: &str) -> Vec<Vec<u64>> {
    let mut text = String::new();
    XzDecoder::new(File::open(format!("tests/peers/{name}.csv.xz")).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect()
}

fn schedule() -> Vec<Arrival> {
    let arrival =
        |row: &Vec<u64>| Arrival { at: row[0] as f64, length: row[1] as f64, class: row[2] as usize };
    table("nspy-schedule").iter().map(arrival).collect()
}

/// When ns.py is through with each packet [ps], by the column of its scheduler.
fn nspy(column: usize) -> Vec<f64> {
    table("nspy-departures").iter().map(|row| row[column] as f64).collect()
}

/// When taunet is through with each packet [ps].
fn taunet(ptm: &str) -> Vec<f64> {
    let text = format!(
        r#"
        name = "switch"
        device = [
            {{ name = "r1", kind = "switch", ptm = {{ {ptm} }} }},
            {{ name = "a", kind = "host" }}, {{ name = "b", kind = "host" }}, {{ name = "c", kind = "host" }},
            {{ name = "d", kind = "host" }}, {{ name = "server", kind = "host" }},
        ]
        link = [
            {{ between = ["a:0", "r1:0"] }}, {{ between = ["b:0", "r1:1"] }}, {{ between = ["c:0", "r1:2"] }},
            {{ between = ["d:0", "r1:3"] }}, {{ between = ["r1:4", "server:0"] }},
        ]
        [defaults.link]
        bandwidth = "20 Mbps"
        "#
    );
    let topology = Topology::from_toml("switch.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let port = topology.port(topology.port_named(&PortName::new("r1", 4)).unwrap());
    let link = topology.link(port.egress).link;
    let mut ptm =
        port.ptm.build(&Place { link, seed: 1, port: "r1:4", start: taunet::units::Timestamp::default() });
    let ingress: Vec<Tau> = schedule()
        .iter()
        .zip(0..)
        .map(|(arrival, pid)| {
            let packet = Packet {
                pid,
                length: arrival.length as u32,
                in_port: arrival.class as u16,
                ..Packet::default()
            };
            Tau { timestamp: Time::from_ps(arrival.at as u64), packet }
        })
        .collect();
    let (mut departures, mut losses) = (Vec::new(), Vec::new());
    ptm.forward_trace(&ingress, &Flows::default(), Time::NEVER, &mut departures, &mut losses);
    assert!(losses.is_empty());
    let mut through = vec![f64::NAN; ingress.len()];
    for departure in departures {
        let length = departure.tau.packet.byte_count();
        let end = departure.start + link.transmission_time(length);
        through[departure.tau.packet.pid as usize] = end.as_ps() as f64;
    }
    through
}

/// How many packets are through more than 1 ns apart.
fn differing(a: &[f64], b: &[f64]) -> usize {
    assert_eq!(a.len(), 5_000);
    a.iter().zip(b).filter(|(a, b)| (**a - **b).abs() > NS || a.is_nan() || b.is_nan()).count()
}

/// `class = [...]`, one per ingress port.
fn classes(keys: [&str; 4]) -> String {
    let class = |(port, keys): (usize, &str)| format!("{{ match = {{ ingress_ports = {port} }}, {keys} }}");
    format!("class = [{}]", keys.into_iter().enumerate().map(class).collect::<Vec<_>>().join(", "))
}

#[test]
fn fifo_agrees_with_nspy() {
    assert_eq!(differing(&taunet("kind = \"fifo\""), &nspy(1)), 0);
}

#[test]
fn priority_agrees_with_nspy() {
    let ptm = format!("kind = \"priority\", {}", classes([""; 4]));
    assert_eq!(differing(&taunet(&ptm), &nspy(2)), 0);
    assert!(differing(&nspy(1), &nspy(2)) > 1_000, "the schedule tells the two apart");
}

/// What ns.py's `DRRServer` does other than the paper.
#[derive(Clone, Copy)]
struct DrrDeviations {
    /// It visits the classes in the order of their numbers, idle ones included, and starts with the first when a packet
    /// ends an idle time; the paper's list has them in the order in which they became active.
    fixed_order: bool,
    /// A class whose last packet is being sent still counts as backlogged: what comes meanwhile finds the deficit and the
    /// turn that are left. In the paper's list it has left.
    empty_when_sent: bool,
}

/// Deficit round robin, with or without what ns.py does differently.
fn drr(schedule: &[Arrival], deviations: DrrDeviations) -> Vec<f64> {
    let mut through = vec![f64::NAN; schedule.len()];
    let mut queues: [VecDeque<usize>; 4] = Default::default();
    let (mut deficits, mut active) = ([0.0; 4], VecDeque::<usize>::new());
    let (mut now, mut next, mut visit) = (0.0, 0, 0);
    loop {
        if queues.iter().all(VecDeque::is_empty) {
            let Some(arrival) = schedule.get(next) else { return through };
            now = f64::max(now, arrival.at);
            visit = 0;
        }
        let mut arrive = |now: f64, queues: &mut [VecDeque<usize>; 4], active: &mut VecDeque<usize>| {
            while let Some(arrival) = schedule.get(next).filter(|arrival| arrival.at <= now) {
                queues[arrival.class].push_back(next);
                if !active.contains(&arrival.class) {
                    active.push_back(arrival.class);
                }
                next += 1;
            }
        };
        arrive(now, &mut queues, &mut active);
        let class = if deviations.fixed_order {
            let class = visit;
            visit = (visit + 1) % 4;
            class
        } else {
            active[0]
        };
        if queues[class].is_empty() {
            continue;
        }
        deficits[class] += 1_500.0 * WEIGHTS[class];
        let mut left = false;
        while let Some(&packet) =
            queues[class].front().filter(|&&packet| schedule[packet].length <= deficits[class])
        {
            deficits[class] -= schedule[packet].length;
            let leave =
                |queues: &mut [VecDeque<usize>; 4], deficits: &mut [f64; 4], active: &mut VecDeque<usize>| {
                    queues[class].pop_front();
                    let emptied = queues[class].is_empty();
                    if emptied {
                        deficits[class] = 0.0;
                        active.retain(|&other| other != class);
                    }
                    emptied
                };
            now += schedule[packet].work();
            through[packet] = now;
            let emptied = if deviations.empty_when_sent {
                arrive(now, &mut queues, &mut active);
                leave(&mut queues, &mut deficits, &mut active)
            } else {
                let emptied = leave(&mut queues, &mut deficits, &mut active);
                arrive(now, &mut queues, &mut active);
                emptied
            };
            if emptied {
                left = true;
                break;
            }
        }
        if !left {
            active.rotate_left(1);
        }
    }
}

#[test]
fn drr_agrees_with_nspy_but_for_its_two_deviations() {
    let ptm = format!(
        "kind = \"drr\", {}",
        classes([
            "quantum = \"1500 B\"",
            "quantum = \"3000 B\"",
            "quantum = \"4500 B\"",
            "quantum = \"6000 B\""
        ])
    );
    let (taunet, nspy, schedule) = (taunet(&ptm), nspy(3), schedule());
    let model = |fixed_order, empty_when_sent| drr(&schedule, DrrDeviations { fixed_order, empty_when_sent });
    assert_eq!(differing(&model(true, true), &nspy), 0, "the model of ns.py");
    assert_eq!(differing(&model(false, false), &taunet), 0, "the model of the paper");
    let affected = [(true, false), (false, true), (true, true)]
        .map(|(order, sent)| differing(&model(order, sent), &taunet));
    assert_eq!(affected, [2_086, 1_626, 2_502]);
}

/// What ns.py's `WFQServer` does other than the papers.
#[derive(Clone, Copy)]
struct WfqDeviations {
    /// The first packet of a busy period gets the virtual finish 0, whatever its length.
    free_first: bool,
    /// Virtual time follows the classes that the packet server has something of, not those that GPS has.
    packet_server_active: bool,
}

/// Weighted fair queueing, with or without what ns.py does differently. Virtual time is in ps of a class alone.
fn wfq(schedule: &[Arrival], deviations: WfqDeviations) -> Vec<f64> {
    let mut through = vec![f64::NAN; schedule.len()];
    let mut waiting: Vec<(f64, usize)> = Vec::new();
    let mut counts = [0usize; 4]; // in the packet server
    let (mut finishes, mut fluid) = ([0.0f64; 4], [false; 4]);
    let (mut virtual_now, mut updated) = (0.0, 0.0);
    let mut sending: Option<(f64, usize)> = None;
    let mut next = 0;
    loop {
        let arrival = schedule.get(next).map_or(f64::INFINITY, |arrival| arrival.at);
        let end = sending.map_or(f64::INFINITY, |(end, _)| end);
        let now = arrival.min(end);
        if now.is_infinite() {
            return through;
        }
        // Virtual time goes on to now.
        if deviations.packet_server_active {
            let weights: f64 = (0..4).filter(|&class| counts[class] > 0).map(|class| WEIGHTS[class]).sum();
            if weights > 0.0 {
                virtual_now += (now - updated) / weights;
            }
        } else {
            let mut left = now - updated;
            loop {
                let active = (0..4).filter(|&class| fluid[class]).collect::<Vec<_>>();
                let weights: f64 = active.iter().map(|&class| WEIGHTS[class]).sum();
                let Some(first) = active.into_iter().min_by(|&a, &b| finishes[a].total_cmp(&finishes[b]))
                else {
                    break;
                };
                let work = (finishes[first] - virtual_now) * weights;
                if work > left {
                    virtual_now += left / weights;
                    break;
                }
                left -= work;
                virtual_now = finishes[first];
                fluid[first] = false;
            }
        }
        updated = now;
        if end <= arrival {
            let (_, packet) = sending.take().unwrap();
            counts[schedule[packet].class] -= 1;
            if deviations.packet_server_active && counts.iter().all(|&count| count == 0) {
                (virtual_now, finishes) = (0.0, [0.0; 4]);
            }
        } else {
            let Arrival { class, .. } = schedule[next];
            let idle = counts.iter().all(|&count| count == 0);
            if !(idle && deviations.free_first) {
                let backlogged = if deviations.packet_server_active { true } else { fluid[class] };
                let start = if backlogged { finishes[class].max(virtual_now) } else { virtual_now };
                finishes[class] = start + schedule[next].work() / WEIGHTS[class];
            } else {
                finishes[class] = virtual_now;
            }
            fluid[class] = true;
            counts[class] += 1;
            waiting.push((finishes[class], next));
            next += 1;
        }
        if sending.is_none() {
            let first = (0..waiting.len())
                .min_by(|&a, &b| waiting[a].0.total_cmp(&waiting[b].0).then(waiting[a].1.cmp(&waiting[b].1)));
            if let Some(place) = first {
                let (_, packet) = waiting.remove(place);
                through[packet] = now + schedule[packet].work();
                sending = Some((through[packet], packet));
            }
        }
    }
}

#[test]
fn wfq_agrees_with_nspy_but_for_its_two_deviations() {
    let ptm =
        format!("kind = \"wfq\", {}", classes(["weight = 1", "weight = 2", "weight = 3", "weight = 4"]));
    let (taunet, nspy, schedule) = (taunet(&ptm), nspy(4), schedule());
    let model =
        |free_first, packet_server_active| wfq(&schedule, WfqDeviations { free_first, packet_server_active });
    assert_eq!(differing(&model(true, true), &nspy), 0, "the model of ns.py");
    assert_eq!(differing(&model(false, false), &taunet), 0, "the model of the papers");
    let affected = [(true, false), (false, true), (true, true)]
        .map(|(first, active)| differing(&model(first, active), &taunet));
    assert_eq!(affected, [1_177, 964, 1_147]);
}
