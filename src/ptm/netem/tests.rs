use super::*;
use crate::config::Document;
use crate::packet::Packet;
use crate::ptm::testing::{MS, departures, flows, forward, link, place, ptm, spec, taus, told};
use crate::ptm::{Arrival, Discipline, Held, PtmSpec};

/// The model of a spec in TOML, alone.
fn netem(toml: &str) -> Held<Netem> {
    let PtmSpec::Netem(spec) = spec(&format!("kind = \"netem\"\n{toml}")) else { panic!("a netem") };
    spec.check().unwrap();
    Held::new(Netem::new(&spec, &place("unlimited")))
}

/// Packet id and departure [ps] on a link with zero transmission time.
fn left(toml: &str, arrivals: &[(u64, u32, u8)]) -> Vec<(u64, u64)> {
    departures(&format!("kind = \"netem\"\n{toml}"), "unlimited", arrivals)
}

/// The dropped packets, with reason and time [ps].
fn lost(toml: &str, bandwidth: &str, arrivals: &[(u64, u32, u8)]) -> Vec<(u64, &'static str, u64)> {
    let (_, losses) = forward(&format!("kind = \"netem\"\n{toml}"), bandwidth, &taus(arrivals));
    losses.iter().map(|loss| (loss.tau.packet.pid, loss.reason.name(), loss.at.as_ps())).collect()
}

fn packets(count: u64, gap: u64) -> Vec<(u64, u32, u8)> {
    (0..count).map(|pid| (pid * gap, 125, 0)).collect()
}

fn sojourns(toml: &str, count: u64, gap: u64) -> Vec<i64> {
    let (departures, _) =
        forward(&format!("kind = \"netem\"\n{toml}"), "unlimited", &taus(&packets(count, gap)));
    let mut sojourns = vec![0; count as usize];
    for departure in departures {
        let sojourn = departure.start.since(departure.tau.timestamp).as_ps() as i64;
        sojourns[departure.tau.packet.pid as usize] = sojourn;
    }
    sojourns
}

#[test]
fn without_parameters_packets_pass() {
    assert_eq!(left("", &[(0, 125, 0), (7, 125, 0)]), [(0, 0), (1, 7)]);
}

#[test]
fn every_packet_is_delayed_for_itself() {
    let got = left("delay = \"10 ms\"", &[(0, 125, 0), (0, 1514, 0), (3 * MS, 125, 0)]);
    assert_eq!(got, [(0, 10 * MS), (1, 10 * MS), (2, 13 * MS)]);
}

#[test]
fn the_present_is_rounded_down_to_a_nanosecond_but_nothing_leaves_before_it_came() {
    assert_eq!(left("delay = \"10 ns\"", &[(1_999, 125, 0)]), [(0, 11_000)]);
    assert_eq!(left("", &[(1_999, 125, 0)]), [(0, 1_999)]);
}

#[test]
fn the_limit_counts_all_that_is_inside() {
    let arrivals = [(0, 125, 0), (MS, 125, 0), (2 * MS, 125, 0), (10 * MS, 125, 0)];
    let drops = lost("delay = \"10 ms\"\nlimit = 2", "unlimited", &arrivals);
    assert_eq!(drops, [(2, "buffer-full", 2 * MS)]);
    assert_eq!(lost("limit = 0", "unlimited", &[(5, 125, 0)]), [(0, "buffer-full", 5)]);
}

#[test]
fn the_packet_that_was_named_is_held_and_counts() {
    let mut netem = netem("limit = 1");
    let (mut losses, now) = (Vec::new(), Time::from_ps(5));
    let tau = |pid| Tau { timestamp: now, packet: Packet { pid, length: 125, ..Packet::default() } };
    netem.enqueue(tau(0), &Flows::default(), &mut losses);
    assert_eq!(netem.next(now, &mut losses), Next::Ready(125));
    assert_eq!((netem.backlog().packets(), netem.backlog().bytes()), (1, 125));
    netem.enqueue(tau(1), &Flows::default(), &mut losses);
    assert_eq!(losses.iter().map(|loss| loss.tau.packet.pid).collect::<Vec<_>>(), [1]);
    assert_eq!(netem.dequeue(now, &mut losses).map(|tau| tau.packet.pid), Some(0));
    assert_eq!((netem.next(now, &mut losses), netem.backlog().packets()), (Next::Nothing, 0));
}

#[test]
fn a_rate_sends_one_packet_after_the_other() {
    // 125 bytes take 1 ms, and a packet leaves at the end of its transmission time.
    let got = left("rate = \"1 Mbps\"", &[(0, 125, 0), (0, 250, 0), (10 * MS, 125, 0)]);
    assert_eq!(got, [(0, MS), (1, 3 * MS), (2, 11 * MS)]);
}

#[test]
fn the_time_until_the_last_packet_leaves_is_credited_against_the_delay() {
    let arrivals = [(0, 125, 0), (0, 125, 0), (4 * MS, 125, 0)];
    let got = left("delay = \"5 ms\"\nrate = \"1 Mbps\"", &arrivals);
    // 5 + 1; 5 - 6 leaves nothing, so 6 + 1; 5 - (7 - 4) = 2, so 7 + 2 + 1.
    assert_eq!(got, [(0, 6 * MS), (1, 7 * MS), (2, 10 * MS)]);
}

#[test]
fn one_packet_of_a_gap_goes_before_those_that_wait() {
    let got = left("delay = \"10 ms\"\nreorder = 1\ngap = 3", &packets(7, MS));
    let at_once = [(2, 2 * MS), (5, 5 * MS)];
    let delayed = [(0, 10 * MS), (1, 11 * MS), (3, 13 * MS), (4, 14 * MS), (6, 16 * MS)];
    assert_eq!(got, [at_once.as_slice(), delayed.as_slice()].concat());
}

#[test]
fn the_gap_begins_anew_after_a_reordered_packet_only() {
    // After a gap of 5, each packet is reordered with probability 1/4 until one is: one of 4 + 4 on average.
    let sojourns = sojourns("delay = \"10 ms\"\nreorder = 0.25\ngap = 5", 80_000, MS);
    assert!(sojourns.iter().all(|&sojourn| sojourn == 0 || sojourn == 10 * MS as i64));
    let ahead: Vec<usize> = (0..sojourns.len()).filter(|&index| sojourns[index] == 0).collect();
    assert!(ahead.windows(2).all(|pair| pair[1] - pair[0] >= 5));
    let share = ahead.len() as f64 / sojourns.len() as f64;
    assert!((share * 8.0 - 1.0).abs() < 0.02, "{share}");
}

#[test]
fn without_a_gap_every_packet_may_go_ahead() {
    let sojourns = sojourns("delay = \"10 ms\"\nreorder = 0.25", 40_000, MS);
    let share = sojourns.iter().filter(|&&sojourn| sojourn == 0).count() as f64 / 40_000.0;
    assert!((share * 4.0 - 1.0).abs() < 0.03, "{share}");
}

#[test]
fn of_two_reordered_packets_the_last_goes_first() {
    let toml = "kind = \"netem\"\ndelay = \"10 ms\"\nreorder = 1";
    let got = departures(toml, "1 Mbps", &[(0, 125, 0), (MS / 4, 125, 0), (MS / 2, 125, 0)]);
    assert_eq!(got, [(0, 0), (2, MS), (1, 2 * MS)]);
}

#[test]
fn a_uniform_jitter_lies_around_the_delay_and_reorders() {
    let toml = "delay = \"20 ms\"\njitter = \"5 ms\"\nlimit = 100000";
    let sojourns = sojourns(toml, 50_000, MS);
    let (least, most) = (*sojourns.iter().min().unwrap(), *sojourns.iter().max().unwrap());
    assert!((15 * MS as i64..15 * MS as i64 + 10_000_000).contains(&least), "{least}");
    assert!((25 * MS as i64 - 10_000_000..25 * MS as i64).contains(&most), "{most}");
    assert!(sojourns.iter().all(|sojourn| sojourn % 1_000 == 0), "whole nanoseconds");
    let order = left(toml, &packets(1_000, MS));
    assert!(order.windows(2).all(|pair| pair[0].1 <= pair[1].1));
    assert!(order.windows(2).any(|pair| pair[0].0 > pair[1].0), "5 ms of jitter on a gap of 1 ms");
}

#[test]
fn a_normal_jitter_has_its_moments() {
    let toml = "delay = \"20 ms\"\njitter = \"5 ms\"\ndistribution = \"normal\"\nlimit = 100000";
    let sojourns: Vec<f64> = sojourns(toml, 50_000, MS).iter().map(|&ps| ps as f64 / MS as f64).collect();
    let mean = sojourns.iter().sum::<f64>() / sojourns.len() as f64;
    let variance = sojourns.iter().map(|sojourn| (sojourn - mean) * (sojourn - mean)).sum::<f64>()
        / sojourns.len() as f64;
    assert!((mean - 20.0).abs() < 0.1, "{mean}");
    assert!((variance.sqrt() - 5.0).abs() < 0.1, "{}", variance.sqrt());
}

#[test]
fn a_jitter_longer_than_the_delay_delays_by_nothing_at_times() {
    let sojourns = sojourns("delay = \"1 ms\"\njitter = \"3 ms\"", 10_000, MS);
    // From -2 to 4 ms: a third is below zero.
    let at_once = sojourns.iter().filter(|&&sojourn| sojourn == 0).count();
    assert!((3_200..3_460).contains(&at_once), "{at_once}");
}

#[test]
fn a_correlation_shows_only_where_the_jitter_is_nearly_as_wide_as_the_random_number() {
    // The kernel takes the remainder of a 32-bit number divided by twice the jitter [ns].
    let correlation = |jitter: &str| {
        let toml = format!("delay = \"3 s\"\njitter = \"{jitter}\"\ncorrelation = 0.9\nlimit = 100000");
        let delays: Vec<f64> = sojourns(&toml, 50_000, MS).iter().map(|&ps| ps as f64 / MS as f64).collect();
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        let product = |lag: usize| {
            let pairs = delays.iter().zip(&delays[lag..]);
            pairs.map(|(one, other)| (one - mean) * (other - mean)).sum::<f64>()
        };
        product(1) / product(0)
    };
    let (wide, narrow) = (correlation("2 s"), correlation("5 ms"));
    assert!((wide - 0.9).abs() < 0.02, "{wide}");
    assert!(narrow.abs() < 0.02, "{narrow}");
}

#[test]
fn a_lost_packet_takes_no_room() {
    assert_eq!(lost("loss = 1\nlimit = 0", "unlimited", &[(5, 125, 0)]), [(0, "random-loss", 5)]);
}

#[test]
fn with_ecn_a_capable_packet_is_marked_instead() {
    let mut ingress = taus(&packets(4, MS));
    for (tau, ecn) in ingress.iter_mut().zip([0, 1, 2, 3]) {
        tau.packet.ecn = ecn;
    }
    let (departures, losses) = forward("kind = \"netem\"\nloss = 1\necn = true", "unlimited", &ingress);
    assert_eq!(losses.iter().map(|loss| loss.tau.packet.pid).collect::<Vec<_>>(), [0]);
    assert_eq!(departures.iter().map(|departure| departure.tau.packet.ecn).collect::<Vec<_>>(), [3, 3, 3]);
}

#[test]
fn a_slot_lets_so_many_packets_pass() {
    // The slot at 0 has passed: the first packet opens one 10 ms later.
    let slot = "slot = { min_delay = \"10 ms\", packets = 2 }";
    let arrivals: Vec<_> = packets(5, 0).iter().map(|&(_, length, class)| (MS, length, class)).collect();
    let got = left(slot, &arrivals);
    assert_eq!(got, [(0, 11 * MS), (1, 11 * MS), (2, 21 * MS), (3, 21 * MS), (4, 31 * MS)]);
    let got = left("slot = { min_delay = \"10 ms\", bytes = \"126 B\" }", &arrivals);
    assert_eq!(got, [(0, 11 * MS), (1, 11 * MS), (2, 21 * MS), (3, 21 * MS), (4, 31 * MS)]);
}

#[test]
fn the_first_slot_is_open_at_the_start() {
    assert_eq!(left("slot = { min_delay = \"10 ms\", packets = 1 }", &packets(2, 0)), [(0, 0), (1, 10 * MS)]);
}

#[test]
fn a_slot_that_opens_before_the_packet_is_due_is_skipped() {
    let toml = "delay = \"100 ms\"\nslot = { min_delay = \"10 ms\" }";
    assert_eq!(left(toml, &[(0, 125, 0)]), [(0, 110 * MS)]);
}

#[test]
fn slots_lie_between_their_bounds_or_are_distributed() {
    // One packet per slot: the gaps between departures are those between slots.
    let gaps = |slot: &str| {
        let arrivals = packets(20_000, 0);
        let got = left(&format!("limit = 100000\nslot = {{ {slot}, packets = 1 }}"), &arrivals);
        got.windows(2).map(|pair| (pair[1].1 - pair[0].1) as f64 / MS as f64).collect::<Vec<_>>()
    };
    let mean = |gaps: &[f64]| gaps.iter().sum::<f64>() / gaps.len() as f64;
    let uniform = gaps("min_delay = \"2 ms\", max_delay = \"6 ms\"");
    assert!(uniform.iter().all(|gap| (2.0..6.0).contains(gap)));
    assert!((mean(&uniform) - 4.0).abs() < 0.05, "{}", mean(&uniform));
    let normal = gaps("distribution = \"normal\", delay = \"10 ms\", jitter = \"1 ms\"");
    assert!((mean(&normal) - 10.0).abs() < 0.05, "{}", mean(&normal));
    assert!(normal.iter().any(|&gap| gap > 12.0), "two standard deviations");
}

#[test]
fn asked_twice_at_one_instant_nothing_is_drawn_anew() {
    let mut netem = netem("delay = \"100 ms\"\nslot = { min_delay = \"10 ms\", max_delay = \"90 ms\" }");
    let (now, mut losses) = (Time::ZERO, Vec::new());
    netem.enqueue(taus(&[(0, 125, 0)])[0], &Flows::default(), &mut losses);
    let answer = netem.next(now, &mut losses);
    assert_eq!(answer, Next::Throttled(Time::from_ps(100 * MS)));
    let drawn = netem.queue.random.get_word_pos();
    assert_eq!(netem.dequeue(now, &mut losses), None);
    assert_eq!(netem.next(now, &mut losses), answer);
    assert_eq!(netem.queue.random.get_word_pos(), drawn);
    netem.next(Time::from_ps(MS), &mut losses);
    assert_eq!(netem.queue.random.get_word_pos(), drawn + 1, "the slot before the packet is due is skipped");
}

#[test]
fn packets_join_the_inner_discipline_when_they_are_due_and_leave_by_its_rule() {
    let toml = "kind = \"netem\"\ndelay = \"1 ms\"\n\
                ptm = { kind = \"priority\", class = [{ match = { dscp = 46 } }, {}] }";
    let got = departures(toml, "1 Mbps", &[(0, 125, 0), (0, 125, 0), (MS / 2, 125, 46)]);
    assert_eq!(got, [(0, MS), (2, 2 * MS), (1, 3 * MS)]);
}

#[test]
fn the_inner_discipline_knows_the_flows() {
    let toml = "kind = \"netem\"\ndelay = \"1 ms\"\n\
                ptm = { kind = \"priority\", class = [{ match = { destination_ports = 7 } }, {}] }";
    let got = departures(toml, "1 Mbps", &[(0, 125, 3), (0, 125, 3), (0, 125, 7)]);
    assert_eq!(got.iter().map(|(pid, _)| *pid).collect::<Vec<_>>(), [2, 0, 1]);
}

#[test]
fn what_the_inner_discipline_drops_has_its_own_time_of_arrival() {
    let toml = "kind = \"netem\"\ndelay = \"10 ms\"\n\
                ptm = { kind = \"token-bucket\", rate = \"1 Mbps\", burst = \"125 B\", buffer = \"1 packet\" }";
    let (departures, losses) = forward(toml, "unlimited", &taus(&packets(3, 10_000)));
    assert_eq!(departures.len(), 2, "one passes, one waits for tokens");
    let [loss] = losses[..] else { panic!("{losses:?}") };
    assert_eq!((loss.tau.packet.pid, loss.tau.timestamp.as_ps()), (2, 20_000));
    assert_eq!((loss.at.as_ps(), loss.reason), (10 * MS + 20_000, DropReason::BufferFull));
    assert!(departures.iter().all(|departure| departure.tau.timestamp.as_ps() <= 10_000));
}

#[test]
fn the_limit_counts_what_waits_in_the_inner_discipline() {
    // Tokens for one packet accumulate in 1 ms; two more packets wait for their tokens.
    let toml = "limit = 2\nptm = { kind = \"token-bucket\", rate = \"1 Mbps\", burst = \"125 B\" }";
    assert_eq!(lost(toml, "unlimited", &packets(4, 10)), [(3, "buffer-full", 30)]);
}

#[test]
fn the_sojourn_in_the_inner_discipline_begins_when_packets_join_it() {
    let toml = "kind = \"netem\"\ndelay = \"500 ms\"\nptm = { kind = \"codel\" }";
    let (departures, losses) = forward(toml, "10 Mbps", &taus(&packets(2_000, MS)));
    assert_eq!((departures.len(), losses.len()), (2_000, 0));
}

#[test]
fn the_timers_of_both_are_kept() {
    let toml = "delay = \"10 ms\"\nptm = { kind = \"token-bucket\", rate = \"1 Mbps\", burst = \"125 B\" }";
    // The second waits for tokens until 11 ms, the third is due at 10.5 ms and waits behind it.
    let got = left(toml, &[(0, 125, 0), (0, 125, 0), (MS / 2, 125, 0), (30 * MS, 125, 0)]);
    assert_eq!(got, [(0, 10 * MS), (1, 11 * MS), (2, 12 * MS), (3, 40 * MS)]);
}

#[test]
fn everything_inside_is_told_with_its_time_of_arrival() {
    let toml = "kind = \"netem\"\ndelay = \"1 ms\"\nreorder = 1\ngap = 2\n\
                ptm = { kind = \"token-bucket\", rate = \"1 kbps\", burst = \"125 B\" }";
    let mut ptm = ptm(toml, "unlimited");
    // 0 leaves and uses the tokens; 1 and 3 are reordered to the front; 2 waits for tokens in the bucket; 4
    // is delayed.
    for tau in taus(&[(0, 125, 0), (2 * MS, 125, 0), (2 * MS, 125, 0), (3 * MS, 125, 0), (4 * MS, 125, 0)]) {
        while ptm.next_departure().is_some_and(|next| next <= tau.timestamp) {
            ptm.depart();
        }
        assert_eq!(ptm.arrive(&tau, &flows()), Arrival::Queued);
    }
    let mut waiting: Vec<_> =
        ptm.waiting().iter().map(|tau| (tau.packet.pid, tau.timestamp.as_ps())).collect();
    waiting.sort_unstable();
    assert_eq!(waiting, [(2, 2 * MS), (4, 4 * MS)]);
}

#[test]
fn a_time_beyond_the_run_is_never_and_ends() {
    let arrivals = packets(20, MS);
    for toml in [
        "delay = \"5000 h\"\njitter = \"2 s\"\ndistribution = \"pareto\"",
        "delay = \"5000 h\"\nrate = \"8 bps\"\npacket_overhead = \"2048 B\"",
        "delay = \"5000 h\"\nreorder = 0.5\nslot = { min_delay = \"5000 h\", packets = 1 }",
        "rate = \"8 bps\"\ncell_size = \"1 B\"\ncell_overhead = \"2048 B\"\nptm = { kind = \"fq-codel\" }",
        "slot = { distribution = \"normal\", delay = \"5000 h\", jitter = \"2 s\", packets = 1 }",
    ] {
        let (departures, losses) = forward(&format!("kind = \"netem\"\n{toml}"), "1 Mbps", &taus(&arrivals));
        assert_eq!(departures.len() + losses.len(), 20, "{toml}");
    }
}

#[test]
fn parameters_that_contradict_each_other_are_told() {
    for (toml, message, help) in [
        ("delay = \"1.5 ns\"", "`delay` is 1.5 ns, and netem counts whole nanoseconds", "\"1 ns\""),
        (
            "delay = \"1 ms\"\njitter = \"3 s\"",
            "`jitter` is 3 s, and no jitter may be longer than 2.147483647 s",
            "at most \"2.147483647 s\"",
        ),
        ("correlation = 0.5", "`correlation` has no effect without a `jitter`", "add a `jitter`"),
        ("distribution = \"normal\"", "`distribution` has no effect without a `jitter`", "add a `jitter`"),
        ("loss_correlation = 0.5", "`loss_correlation` has no effect without a random `loss`", "above 0"),
        (
            "loss = { model = \"gemodel\", p = 0.1 }\nloss_correlation = 0.5",
            "`loss_correlation` has no effect without a random `loss`",
            "above 0",
        ),
        ("ecn = true", "`ecn` has no effect without a `loss`", "add a `loss`"),
        (
            "loss = { model = \"state\", p13 = 0.6, p14 = 0.5 }",
            "the sum of `p13` and `p14` of `loss` is more than 1",
            "at most 1",
        ),
        (
            "loss = { model = \"state\", p13 = 0.1, p32 = 0.2 }",
            "the sum of `p31` and `p32` of `loss` is more than 1",
            "1 - `p13`",
        ),
        ("reorder = 0.5", "`reorder` is not possible without a `delay`", "\"10 ms\""),
        ("gap = 5", "`gap` has no effect without a `reorder`", "add a `reorder`"),
        ("reorder_correlation = 0.5", "`reorder_correlation` has no effect without a `reorder`", "add"),
        ("rate = \"7 bps\"", "`rate` is 7 bps, and netem counts whole bytes per second", "8 bps"),
        ("packet_overhead = \"-14 B\"", "`packet_overhead` has no effect without a `rate`", "add a `rate`"),
        ("cell_size = \"48 B\"", "`cell_size` has no effect without a `rate`", "add a `rate`"),
        (
            "rate = \"1 Mbps\"\ncell_overhead = \"5 B\"",
            "`cell_overhead` has no effect without a `cell_size`",
            "\"48 B\"",
        ),
        (
            "rate = \"1 Mbps\"\ncell_size = \"48 B\"\ncell_overhead = \"-48 B\"",
            "`cell_overhead` leaves no bytes in a cell",
            "less than `cell_size`",
        ),
        ("slot = {}", "`slot` has no time to the next slot", "`min_delay`"),
        ("slot = { min_delay = \"0 s\" }", "`slot` has no time", "above 0 s"),
        (
            "slot = { min_delay = \"2 ms\", max_delay = \"1 ms\" }",
            "`slot.min_delay` (2 ms) is more than `slot.max_delay` (1 ms)",
            "exchange",
        ),
        (
            "slot = { min_delay = \"1 ms\", jitter = \"1 ms\" }",
            "`slot.jitter` has no effect without `slot.distribution`",
            "`distribution`",
        ),
        (
            "slot = { distribution = \"normal\", min_delay = \"1 ms\", jitter = \"1 ms\" }",
            "`slot.min_delay` has no effect beside `slot.distribution`",
            "keep one",
        ),
        ("slot = { distribution = \"uniform\" }", "cannot be \"uniform\"", "`max_delay`"),
        ("slot = { distribution = \"normal\", delay = \"1 ms\" }", "has no `jitter`", "above 0 s"),
        (
            "slot = { distribution = \"normal\", jitter = \"1.5 ns\" }",
            "`slot.jitter` is 1.5 ns",
            "whole nanoseconds",
        ),
        ("slot = { min_delay = \"1 ms\", bytes = \"0 B\" }", "`slot.bytes` is 0 B", "leave it out"),
        ("ptm = { kind = \"priority\" }", "`priority` has no classes", "class"),
    ] {
        let (told, helped) = told(&format!("kind = \"netem\"\n{toml}"), "1 Gbps");
        assert!(told.contains(message), "{toml}: {told}");
        assert!(helped.contains(help), "{toml}: {helped}");
    }
}

#[test]
fn what_cannot_be_read_is_told() {
    #[derive(Debug, serde::Deserialize)]
    struct Holder {
        #[allow(dead_code, reason = "reading it is the test")]
        ptm: PtmSpec,
    }
    for (toml, message) in [
        ("duplicate = 0.01", "netem does not duplicate packets here: each packet exists once"),
        ("corrupt = 0.01", "netem does not corrupt packets here: packets have no contents"),
        ("distribution = \"experimental\"", "the distribution `experimental` is a table of measured values"),
        ("distribution = \"gauss\"", "unknown distribution `gauss`"),
        ("slot = { distribution = \"experimental\" }", "the distribution `experimental`"),
        ("loss = 2", "2 is not a probability"),
        ("loss = \"2%\"", "expected a probability such as 0.01, or a table"),
        ("loss = { model = \"gemodel\", p = 0.1, h = 0.3 }", "unknown key `h`"),
        ("loss = { model = \"gilbert\", p = 0.1 }", "unknown model `gilbert`"),
        ("gap = 0", "expected"),
        ("packet_overhead = -14", "bytes as text"),
        ("delai = \"1 ms\"", "unknown key `delai`"),
    ] {
        let text = format!("[ptm]\nkind = \"netem\"\n{toml}");
        let error = Document::parse("ptm.toml", &text).unwrap().deserialize::<Holder>().unwrap_err();
        assert!(error.to_string().contains(message), "{toml}: {error}");
    }
}

#[test]
fn a_spec_is_written_as_it_is_read() {
    let text = "kind = \"netem\"\ndelay = \"1 ms\"\nloss = { model = \"gemodel\", p = 0.01, 1-h = 0.7 }\n\
                rate = \"1 Mbps\"\npacket_overhead = \"-14 B\"\nslot = { min_delay = \"1 ms\", packets = 3 }";
    let written = crate::config::to_text(&spec(text));
    let inside = written.replace("[netem]", "[ptm]\nkind = \"netem\"").replace("[netem.", "[ptm.");
    let again = Document::parse("ptm.toml", &inside).unwrap();
    #[derive(serde::Deserialize)]
    struct Holder {
        ptm: PtmSpec,
    }
    assert_eq!(again.deserialize::<Holder>().unwrap().ptm, spec(text), "{written}");
}

#[test]
fn a_spec_says_whether_it_draws_numbers() {
    let of = |toml: &str| match spec(&format!("kind = \"netem\"\n{toml}")) {
        PtmSpec::Netem(spec) => spec.draws(),
        _ => unreachable!("a netem"),
    };
    let fixed = "delay = \"1 ms\"\nrate = \"1 Mbps\"\nreorder = 1\ngap = 5\nslot = { min_delay = \"1 ms\" }";
    assert!(!of(fixed));
    for toml in [
        "jitter = \"1 ms\"",
        "loss = 0.1",
        "loss = { model = \"state\", p13 = 0.1 }",
        "reorder = 0.5",
        "slot = { min_delay = \"1 ms\", max_delay = \"2 ms\" }",
        "slot = { distribution = \"normal\", delay = \"1 ms\", jitter = \"1 ms\" }",
    ] {
        assert!(of(toml), "{toml}");
    }
}

#[test]
fn the_capacity_is_the_least_of_rate_link_and_inner_discipline() {
    let of = |toml: &str| spec(&format!("kind = \"netem\"\n{toml}")).capacity_bps(&link("9 Mbps"));
    assert_eq!(of("rate = \"5 Mbps\""), Some(5_000_000));
    assert_eq!(of("delay = \"1 ms\""), Some(9_000_000));
    let bucket = "rate = \"5 Mbps\"\nptm = { kind = \"token-bucket\", rate = \"2 Mbps\", burst = \"2 kB\" }";
    assert_eq!(of(bucket), Some(2_000_000));
}

#[test]
fn a_seed_gives_the_same_departures_for_ever() {
    let toml = "delay = \"5 ms\"\njitter = \"2 ms\"\ncorrelation = 0.25\ndistribution = \"paretonormal\"\n\
                loss = { model = \"state\", p13 = 0.05, p31 = 0.5, p14 = 0.1 }\nreorder = 0.25\ngap = 2\n\
                reorder_correlation = 0.5\nrate = \"1 Mbps\"\nslot = { min_delay = \"1 ms\", max_delay = \"3 ms\" }";
    insta::assert_snapshot!(format!("{:?}", left(toml, &packets(12, MS))), @"[(0, 7788975000), (1, 10727468000), (2, 10727468000), (4, 10727468000), (5, 13065244000), (6, 13065244000), (7, 16037750000), (8, 16037750000), (9, 16037750000), (10, 18848367000), (11, 18848367000)]");
}
