//! Properties of the classful disciplines, over random classes, links and packets.

use proptest::prelude::*;

use super::testing::{flows, forward, link, ptm};
use super::{Departure, Loss};
use crate::packet::{Packet, Tau};
use crate::units::{ByteCount, Span, Time};

/// The number of classes of a discipline in these tests; the packet's DSCP selects one.
const CLASSES: usize = 3;

fn taus(longest_gap: u64) -> impl Strategy<Value = Vec<Tau>> {
    let gap = prop_oneof![Just(0u64), 0..=longest_gap];
    prop::collection::vec((gap, 40..1514u32, 0..=CLASSES as u8), 0..200).prop_map(|packets| {
        let mut timestamp = Time::ZERO;
        let tau = |(pid, (gap, length, class)): (usize, (u64, u32, u8))| {
            timestamp = timestamp + Span::from_ps(gap);
            let packet =
                Packet { pid: pid as u64, length, dscp: class, fid: class.into(), ..Packet::default() };
            Tau { timestamp, packet }
        };
        packets.into_iter().enumerate().map(tau).collect()
    })
}

/// `class = [...]` with these keys in each class. The last takes the DSCPs from `CLASSES - 1`.
fn classes(keys: &[String]) -> String {
    format!("class = [{}]", class_tables(keys).join(", "))
}

fn class_tables(keys: &[String]) -> Vec<String> {
    let class = |(index, keys): (usize, &String)| match index + 1 < CLASSES {
        true => format!("{{ match = {{ dscp = {index} }}, {keys} }}"),
        false => format!("{{ {keys} }}"),
    };
    keys.iter().enumerate().map(class).collect()
}

/// The classes of `htb` side by side, in a class, or two of them in a class inside that one.
fn tree(keys: &[String], shape: usize) -> String {
    let tables = class_tables(keys);
    let inner = "rate = \"3 Mbps\", ceil = \"8 Mbps\", burst = \"2000 B\"";
    match shape {
        0 => classes(keys),
        1 => format!("class = [{{ rate = \"8 Mbps\", class = [{}] }}]", tables.join(", ")),
        _ => format!(
            "class = [{{ rate = \"8 Mbps\", class = [{{ {inner}, class = [{}] }}, {}] }}]",
            tables[..2].join(", "),
            tables[2]
        ),
    }
}

/// The keys that a discipline requires in each class, and a buffer or a discipline of its own.
fn keys(kind: &'static str, nested: bool) -> impl Strategy<Value = String> {
    let own = match kind {
        "drr" => (40..4_000u64).prop_map(|quantum| format!("quantum = \"{quantum} B\", ")).boxed(),
        "ets" => (256..4_000u64).prop_map(|quantum| format!("quantum = \"{quantum} B\", ")).boxed(),
        "wrr" | "wfq" => (1..9u64).prop_map(|weight| format!("weight = {weight}, ")).boxed(),
        "htb" => (100..9_000u64, 1_600..4_000u64, 0..3u8, 1..4_000u64)
            .prop_map(|(rate, burst, prio, quantum)| {
                format!(
                    "rate = \"{rate} kbps\", ceil = \"10 Mbps\", burst = \"{burst} B\", prio = {prio}, quantum = \"{quantum} B\", "
                )
            })
            .boxed(),
        _ => Just(String::new()).boxed(),
    };
    let plain = prop_oneof![
        Just(String::new()),
        (0..9_000u64).prop_map(|bytes| format!("buffer = \"{bytes} B\"")),
        (0..20u64).prop_map(|packets| format!("ptm = {{ kind = \"fifo\", buffer = \"{packets} packets\" }}")),
    ];
    let shaped = (500..9_000u64).prop_map(|rate| {
        format!("ptm = {{ kind = \"token-bucket\", rate = \"{rate} kbps\", burst = \"2000 B\", release_slack = \"30 us\" }}")
    });
    let drr = Just("ptm = { kind = \"drr\", classes = \"per-flow\" }".to_owned());
    let inside = if nested { prop_oneof![2 => plain, 1 => shaped, 1 => drr].boxed() } else { plain.boxed() };
    (own, inside).prop_map(|(own, inside)| own + &inside)
}

/// A discipline with three classes, and its kind.
fn disciplines(
    kinds: &'static [&'static str],
    nested: bool,
) -> impl Strategy<Value = (&'static str, String)> {
    prop::sample::select(kinds).prop_flat_map(move |kind| {
        let shared = prop_oneof![
            Just(String::new()),
            (1..40u64).prop_map(|most| format!("buffer = \"{most} packets\"\n"))
        ];
        (prop::collection::vec(keys(kind, nested), CLASSES), shared, 0..3usize).prop_map(
            move |(mut keys, shared, shape)| {
                if kind == "ets" {
                    // The first classes are strict: without a quantum.
                    for keys in &mut keys[..shape] {
                        *keys =
                            keys.split_once(", ").map(|(_, others)| others.to_owned()).unwrap_or_default();
                    }
                }
                let classes = if kind == "htb" { tree(&keys, shape) } else { classes(&keys) };
                (kind, format!("kind = \"{kind}\"\n{shared}{classes}"))
            },
        )
    })
}

const ALL: &[&str] = &["priority", BY_CLASS, "wrr", "drr", "ets", "wfq", "htb"];
const WORK_CONSERVING: &[&str] = &["priority", BY_CLASS, "wrr", "drr", "ets", "wfq"];

/// `priority` in which the arrivals of one instant are ordered by class.
const BY_CLASS: &str = "priority\"\nat_one_instant = \"class";

fn class_of(tau: &Tau) -> usize {
    usize::from(tau.packet.dscp).min(CLASSES - 1)
}

fn transmission(departure: &Departure) -> Span {
    link("10 Mbps").transmission_time(departure.tau.packet.byte_count())
}

/// One event at a time, as `Ptm` documents it.
fn one_by_one(toml: &str, bandwidth: &str, ingress: &[Tau]) -> (Vec<Departure>, Vec<Loss>) {
    let (mut departures, mut losses) = (Vec::new(), Vec::new());
    let (mut ptm, flows) = (ptm(toml, bandwidth), flows());
    for (index, tau) in ingress.iter().enumerate() {
        let at_once = !ptm.decides_last();
        let is_due = |next| next < tau.timestamp || (at_once && next == tau.timestamp);
        while ptm.next_departure().is_some_and(is_due) {
            departures.extend(ptm.depart());
            losses.extend(std::iter::from_fn(|| ptm.lost()));
        }
        ptm.arrive(tau, &flows);
        losses.extend(std::iter::from_fn(|| ptm.lost()));
        assert_eq!(ptm.waiting().len() + departures.len() + losses.len(), index + 1, "packets are conserved");
    }
    while ptm.next_departure().is_some() {
        departures.extend(ptm.depart());
        losses.extend(std::iter::from_fn(|| ptm.lost()));
    }
    (departures, losses)
}

proptest! {
    #[test]
    fn both_forms_agree((_, toml) in disciplines(ALL, true), taus in taus(3_000_000_000), slow in any::<bool>()) {
        let bandwidth = if slow { "3 Mbps" } else { "10 Mbps" };
        prop_assert_eq!(forward(&toml, bandwidth, &taus), one_by_one(&toml, bandwidth, &taus));
    }

    #[test]
    fn packets_are_conserved_and_in_order_within_a_class(
        (_, toml) in disciplines(ALL, false),
        taus in taus(1_000_000_000),
    ) {
        let (departures, losses) = forward(&toml, "10 Mbps", &taus);
        prop_assert_eq!(departures.len() + losses.len(), taus.len());
        let (mut free, mut last) = (Time::ZERO, [None; CLASSES]);
        for departure in &departures {
            prop_assert!(departure.start >= departure.tau.timestamp);
            prop_assert!(departure.start >= free, "two packets on the link at once");
            free = departure.start + transmission(departure);
            let last = &mut last[class_of(&departure.tau)];
            prop_assert!(*last < Some(departure.tau.packet.pid));
            *last = Some(departure.tau.packet.pid);
        }
    }

    #[test]
    fn the_link_never_idles_while_a_packet_waits(
        (_, toml) in disciplines(WORK_CONSERVING, false),
        taus in taus(1_000_000_000),
    ) {
        let (departures, _) = forward(&toml, "10 Mbps", &taus);
        let mut earliest = vec![Time::NEVER; departures.len()];
        for index in (0..departures.len()).rev() {
            let later = earliest.get(index + 1).copied().unwrap_or(Time::NEVER);
            earliest[index] = departures[index].tau.timestamp.min(later);
        }
        let mut free = Time::ZERO;
        for (departure, earliest) in departures.iter().zip(earliest) {
            prop_assert_eq!(departure.start, free.max(earliest));
            free = departure.start + transmission(departure);
        }
    }

    /// Classes created on demand and released, or present from the start, give the same result.
    #[test]
    fn a_class_per_flow_is_a_class_for_each_flow(
        kind in prop::sample::select(&["wrr", "drr", "wfq"][..]),
        shared in 1..40u64,
        own in prop_oneof![
            (0..12u64).prop_map(|most| format!("{most} packets")),
            (0..3_000u64).prop_map(|most| format!("{most} B")),
        ],
        taus in taus(2_000_000_000),
    ) {
        let shared = format!("kind = \"{kind}\"\nbuffer = \"{shared} packets\"");
        let class = |dscp: usize| format!("{{ match = {{ dscp = {dscp} }}, buffer = \"{own}\" }}");
        let classes = (0..=CLASSES).map(class).collect::<Vec<_>>().join(", ");
        let each = forward(&format!("{shared}\nclass = [{classes}]"), "10 Mbps", &taus);
        let made = format!("{shared}\nclasses = \"per-flow\"\nflow_buffer = \"{own}\"");
        prop_assert_eq!(forward(&made, "10 Mbps", &taus), each);
    }

    #[test]
    fn a_less_urgent_packet_never_starts_before_a_more_urgent_one_that_waits(
        (_, toml) in disciplines(&["priority"], false),
        taus in taus(1_000_000_000),
    ) {
        let (departures, _) = forward(&toml, "10 Mbps", &taus);
        for (index, departure) in departures.iter().enumerate() {
            let inverted = departures[index..].iter().any(|later| {
                later.tau.timestamp < departure.start && class_of(&later.tau) < class_of(&departure.tau)
            });
            prop_assert!(!inverted);
        }
    }

    #[test]
    fn by_class_also_those_that_arrive_at_the_instant_at_which_a_packet_starts_are_considered(
        (_, toml) in disciplines(&[BY_CLASS], false),
        mut taus in taus(1_000_000_000),
        step in prop::sample::select(&[1u64, 100_000_000, 800_000_000][..]),
    ) {
        // In steps, so that many arrive at once, and at the instant when the link becomes free.
        for tau in &mut taus {
            tau.timestamp = Time::from_ps(tau.timestamp.as_ps() / step * step);
            tau.packet.length = if step > 1 { 1_000 } else { tau.packet.length };
        }
        let (departures, losses) = forward(&toml, "10 Mbps", &taus);
        prop_assert_eq!(departures.len() + losses.len(), taus.len());
        for (index, departure) in departures.iter().enumerate() {
            let inverted = departures[index..].iter().any(|later| {
                later.tau.timestamp <= departure.start && class_of(&later.tau) < class_of(&departure.tau)
            });
            prop_assert!(!inverted);
        }
        prop_assert!(losses.iter().all(|loss| loss.at == loss.tau.timestamp));
    }

    /// Shreedhar and Varghese 1996, theorem 4.2: over any interval in which two classes are backlogged, the
    /// amounts they sent per quantum differ by at most Q + 2 Max, for a smallest quantum of Q.
    #[test]
    fn drr_is_fair(
        quanta in prop::collection::vec(1_514..6_000u64, CLASSES),
        lengths in prop::collection::vec((40..1514u32, 0..CLASSES as u8), 1..200),
    ) {
        let keys = quanta.iter().map(|quantum| format!("quantum = \"{quantum} B\"")).collect::<Vec<_>>();
        let toml = format!("kind = \"drr\"\n{}", classes(&keys));
        let tau = |(pid, &(length, class)): (usize, &(u32, u8))| {
            Tau { timestamp: Time::ZERO, packet: Packet { pid: pid as u64, length, dscp: class, ..Packet::default() } }
        };
        let taus = lengths.iter().enumerate().map(tau).collect::<Vec<_>>();
        let (departures, _) = forward(&toml, "10 Mbps", &taus);
        let smallest = *quanta.iter().min().unwrap() as f64;
        let bound = smallest + 2.0 * 1_513.0;
        for (first, second) in [(0, 1), (0, 2), (1, 2)] {
            // Both are backlogged from the second departure until one of them has sent its last packet.
            let last_of = |class| departures.iter().rposition(|departure| class_of(&departure.tau) == class);
            let (Some(a), Some(b)) = (last_of(first), last_of(second)) else { continue };
            let mut difference = vec![0.0];
            for departure in &departures[1.min(a.min(b))..a.min(b)] {
                let class = class_of(&departure.tau);
                let sent = f64::from(departure.tau.packet.length) * smallest / quanta[class] as f64;
                let signed = if class == first { sent } else if class == second { -sent } else { 0.0 };
                difference.push(difference.last().unwrap() + signed);
            }
            let (least, most) = difference.iter().fold((0.0f64, 0.0f64), |(least, most), &now| (least.min(now), most.max(now)));
            prop_assert!(most - least <= bound, "{} > {bound}", most - least);
        }
    }

    /// Parekh and Gallager 1993, theorem 1: a packet finishes at most L_max / C after it finishes in GPS.
    #[test]
    fn wfq_is_at_most_one_packet_behind_the_fluid_server(
        weights in prop::collection::vec(1..9u64, CLASSES),
        taus in taus(2_000_000_000),
    ) {
        let keys = weights.iter().map(|weight| format!("weight = {weight}")).collect::<Vec<_>>();
        let toml = format!("kind = \"wfq\"\n{}", classes(&keys));
        let (departures, _) = forward(&toml, "10 Mbps", &taus);
        let fluid = fluid(&weights, &taus);
        let longest = link("10 Mbps").transmission_time(ByteCount::new(1_513)).as_ps() as f64;
        for departure in &departures {
            let through = (departure.start + transmission(departure)).as_ps() as f64;
            let pid = departure.tau.packet.pid as usize;
            prop_assert!(through <= fluid[pid] + longest + 1.0, "{through} > {} + {longest}", fluid[pid]);
        }
    }
}

/// When each packet finishes [ps] if the link serves all backlogged classes at once: the fluid itself, class
/// by class, without virtual time.
fn fluid(weights: &[u64], taus: &[Tau]) -> Vec<f64> {
    let mut through = vec![f64::NAN; taus.len()];
    let mut queues = vec![std::collections::VecDeque::<(usize, f64)>::new(); weights.len()];
    let (mut now, mut next) = (0.0, 0);
    loop {
        let active = (0..weights.len()).filter(|&class| !queues[class].is_empty()).collect::<Vec<_>>();
        let total: f64 = active.iter().map(|&class| weights[class] as f64).sum();
        let arrival = taus.get(next).map_or(f64::INFINITY, |tau| tau.timestamp.as_ps() as f64);
        // The class that finishes first, if no packet arrives before.
        let wait = |class: usize| queues[class][0].1 * total / weights[class] as f64;
        let first = active.iter().copied().min_by(|&a, &b| wait(a).total_cmp(&wait(b)));
        let done = first.map_or(f64::INFINITY, |class| now + wait(class));
        if done.is_infinite() && arrival.is_infinite() {
            return through;
        }
        let until = done.min(arrival);
        for &class in &active {
            queues[class][0].1 -= (until - now) * weights[class] as f64 / total;
        }
        now = until;
        match first {
            Some(class) if done <= arrival => through[queues[class].pop_front().unwrap().0] = now,
            _ => {
                let work = link("10 Mbps").transmission_time(taus[next].packet.byte_count());
                queues[class_of(&taus[next])].push_back((next, work.as_ps() as f64));
                next += 1;
            }
        }
    }
}
