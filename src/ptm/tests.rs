//! Every discipline alone and inside others: the same departures by event and by batch.

use super::*;
use crate::packet::Packet;
use crate::units::{ByteCount, Probability, Rate, Span};
use proptest::prelude::*;

fn taus() -> impl Strategy<Value = Vec<Tau>> {
    prop::collection::vec((prop_oneof![Just(0u64), 0..5_000_000_000u64], 40..1514u32), 0..200).prop_map(
        |gaps| {
            let mut timestamp = Time::ZERO;
            gaps.into_iter()
                .enumerate()
                .map(|(index, (gap, length))| {
                    timestamp = timestamp + Span::from_ps(gap);
                    Tau {
                        timestamp,
                        packet: Packet {
                            pid: index as u64,
                            length,
                            ecn: index as u8 % 4,
                            ..Packet::default()
                        },
                    }
                })
                .collect()
        },
    )
}

fn buffers() -> impl Strategy<Value = Option<Buffer>> {
    prop_oneof![
        Just(None),
        (0..10_000u64).prop_map(|bytes| Some(Buffer::Bytes(ByteCount::new(bytes)))),
        (0..20u64).prop_map(|packets| Some(Buffer::Packets(packets))),
    ]
}

fn specs() -> impl Strategy<Value = PtmSpec> {
    let fifo = buffers().prop_map(|buffer| PtmSpec::Fifo(FifoSpec { buffer }));
    let rate = (1_000_000..50_000_000u64).prop_map(|bps| Rate::from_bps(bps).unwrap());
    let slack = prop_oneof![Just(0u64), 0..100_000_000u64].prop_map(Span::from_ps);
    let inside = prop::option::of(prop_oneof![codel(), sfq(), pie()].prop_map(Box::new));
    let bucket = (rate, 500..4_000u64, buffers(), slack, inside).prop_map(
        |(rate, burst, buffer, release_slack, ptm)| {
            PtmSpec::TokenBucket(TokenBucketSpec {
                overhead: Overhead::new(burst as i32 % 50 - 20).unwrap(),
                linklayer: if burst % 3 == 0 { LinkLayer::Atm } else { LinkLayer::Ethernet },
                ptm,
                release_slack,
                ..TokenBucketSpec::new(rate, ByteCount::new(burst), buffer)
            })
        },
    );
    prop_oneof![fifo, bucket, red(), codel(), fq_codel(), cake(), pie(), fq_pie(), sfq(), fq()]
}

fn sfq() -> impl Strategy<Value = PtmSpec> {
    (2..30u32, 1..20u32, 1..9u32, any::<(bool, bool)>(), 1..20_000u64).prop_map(
        |(limit, depth, flows, (head_drop, perturbs), period)| {
            PtmSpec::Sfq(SfqSpec {
                limit,
                depth,
                flows,
                divisor: 8,
                head_drop,
                perturb: perturbs.then(|| Span::from_ns(period * 1_000)),
                ..SfqSpec::default()
            })
        },
    )
}

fn fq() -> impl Strategy<Value = PtmSpec> {
    (1..30u64, 1..20u64, 1..6_000u64, prop::option::of(300_000..20_000_000u64), any::<bool>()).prop_map(
        |(limit, flow_limit, quantum, rate, stated)| {
            PtmSpec::Fq(FqSpec {
                limit,
                flow_limit,
                quantum: ByteCount::new(quantum),
                initial_quantum: ByteCount::new(2 * quantum),
                max_rate: rate.and_then(Rate::from_bps),
                ce_threshold: Some(Span::from_ns(quantum)),
                same_queue: stated.then(SameQueue::default),
                ..FqSpec::default()
            })
        },
    )
}

fn red() -> impl Strategy<Value = PtmSpec> {
    (1..6u64, 1..6u64, 0.01..1.0f64, any::<[bool; 5]>(), buffers()).prop_map(
        |(min, range, probability, [gentle, wait, ecn, hard_drop, bytes], buffer)| {
            let threshold = |packets| match bytes {
                true => Buffer::Bytes(ByteCount::new(packets * 500)),
                false => Buffer::Packets(packets),
            };
            PtmSpec::Red(RedSpec {
                min: threshold(min),
                max: threshold(min + range),
                max_p: Probability::new(probability).unwrap(),
                weight: Probability::new(probability).unwrap(),
                gentle,
                wait,
                ecn,
                hard_drop,
                mean_packet: ByteCount::new(500),
                bandwidth: None,
                buffer,
                adaptive: ecn,
                hz: psched::DEFAULT_HZ,
            })
        },
    )
}

fn codel() -> impl Strategy<Value = PtmSpec> {
    (0..5_000u64, 1..20_000u64, 0..3_000u64, any::<bool>(), buffers()).prop_map(
        |(target, interval, mtu, ecn, buffer)| {
            let (target, interval) = (Span::from_ns(target * 1_000), Span::from_ns(interval * 1_000));
            PtmSpec::Codel(CodelSpec {
                buffer,
                target,
                interval,
                mtu: ByteCount::new(mtu),
                ecn,
                ce_threshold: Some(target),
            })
        },
    )
}

fn fq_codel() -> impl Strategy<Value = PtmSpec> {
    (0..30u64, 0..30_000u64, 1..5u64, 0..5_000u64, 1..20_000u64).prop_map(
        |(limit, memory, drop_batch, target, interval)| {
            PtmSpec::FqCodel(FqCodelSpec {
                limit,
                memory_limit: ByteCount::new(memory),
                drop_batch,
                target: Span::from_ns(target * 1_000),
                interval: Span::from_ns(interval * 1_000),
                ..FqCodelSpec::default()
            })
        },
    )
}

fn cake() -> impl Strategy<Value = PtmSpec> {
    let rate = prop::option::of((1_000_000..50_000_000u64).prop_map(|bps| Rate::from_bps(bps).unwrap()));
    let link_layer =
        prop::sample::select(vec![CakeLinkLayer::Ethernet, CakeLinkLayer::Atm, CakeLinkLayer::Ptm]);
    let diffserv = prop::sample::select(vec![
        Diffserv::Besteffort,
        Diffserv::Precedence,
        Diffserv::Diffserv3,
        Diffserv::Diffserv4,
        Diffserv::Diffserv8,
    ]);
    let isolation = prop::sample::select(vec![
        Isolation::Flowblind,
        Isolation::Hosts,
        Isolation::Flows,
        Isolation::DualSrchost,
        Isolation::TripleIsolate,
    ]);
    let memory = prop::option::of((1..60_000u64).prop_map(ByteCount::new));
    (rate, 1..50_000u64, -64..64i32, link_layer, diffserv, isolation, memory, any::<bool>()).prop_map(
        |(bandwidth, rtt, overhead, linklayer, diffserv, isolation, memory_limit, ingress)| {
            PtmSpec::Cake(CakeSpec {
                bandwidth,
                rtt: Span::from_ns(rtt * 1_000),
                diffserv,
                isolation,
                overhead: Overhead::new(overhead),
                linklayer,
                memory_limit,
                ingress,
                ..CakeSpec::default()
            })
        },
    )
}

fn pie() -> impl Strategy<Value = PtmSpec> {
    (0..5_000u64, 1..20_000u64, 0..30_000u64, 0.0..20.0f64, any::<bool>(), buffers()).prop_map(
        |(target, t_update, max_burst, gain, ecn, buffer)| {
            PtmSpec::Pie(PieSpec {
                buffer,
                target: Span::from_ns(target * 1_000),
                t_update: Span::from_ns(t_update * 1_000),
                max_burst: Span::from_ns(max_burst * 1_000),
                alpha: gain,
                beta: gain * 10.0,
                ecn,
                ..PieSpec::default()
            })
        },
    )
}

fn fq_pie() -> impl Strategy<Value = PtmSpec> {
    (1..30u64, 0..5_000u64, 1..20_000u64, 0..30_000u64, 0.0..20.0f64, any::<bool>()).prop_map(
        |(limit, target, t_update, max_burst, gain, ecn)| {
            PtmSpec::FqPie(FqPieSpec {
                limit,
                flows: 4_097,
                target: Span::from_ns(target * 1_000),
                t_update: Span::from_ns(t_update * 1_000),
                max_burst: Span::from_ns(max_burst * 1_000),
                alpha: gain,
                beta: gain * 10.0,
                ecn,
                ..FqPieSpec::default()
            })
        },
    )
}

fn probability() -> impl Strategy<Value = Probability> {
    (0.0..=1.0f64).prop_map(|value| Probability::new(value).unwrap())
}

fn loss() -> impl Strategy<Value = LossSpec> {
    prop_oneof![
        probability().prop_map(LossSpec::Random),
        (probability(), probability(), probability(), probability()).prop_map(
            |(p, r, loss_in_bad, loss_in_good)| {
                LossSpec::Model(LossModel::Gemodel(GilbertElliottLoss {
                    p,
                    r: Some(r),
                    loss_in_bad,
                    loss_in_good,
                }))
            }
        ),
    ]
}

fn slot() -> impl Strategy<Value = Option<SlotSpec>> {
    let spaced =
        (0..5_000u64, 1..5_000u64, 1..5u32, 40..5_000u64).prop_map(|(min, range, packets, bytes)| SlotSpec {
            min_delay: Some(Span::from_ns(min * 1_000)),
            max_delay: Some(Span::from_ns((min + range) * 1_000)),
            packets: packets.try_into().ok(),
            bytes: Some(ByteCount::new(bytes)),
            ..SlotSpec::default()
        });
    prop::option::of(spaced)
}

/// The only discipline here that may reorder packets.
fn netem() -> impl Strategy<Value = PtmSpec> {
    let distribution = prop::sample::select(vec![
        DelayDistribution::Uniform,
        DelayDistribution::Normal,
        DelayDistribution::Pareto,
        DelayDistribution::ParetoNormal,
    ]);
    let delay = (0..20_000u64, 0..20_000u64, probability(), distribution);
    let rate = prop::option::of((1_000_000..50_000_000u64).prop_map(|bps| Rate::from_bps(bps).unwrap()));
    let inside = prop::option::of(prop_oneof![codel(), fq_codel(), red()].prop_map(Box::new));
    let reorder = (probability(), 1..5u32);
    (0..60u64, delay, loss(), any::<bool>(), reorder, rate, slot(), inside).prop_map(
        |(limit, (delay, jitter, correlation, distribution), loss, ecn, (reorder, gap), rate, slot, ptm)| {
            PtmSpec::Netem(Box::new(NetemSpec {
                limit,
                delay: Span::from_ns(delay * 1_000),
                jitter: Span::from_ns(jitter * 1_000),
                correlation,
                distribution,
                loss,
                ecn,
                reorder,
                reorder_correlation: correlation,
                gap: gap.try_into().ok(),
                rate,
                slot,
                ptm,
                ..NetemSpec::default()
            }))
        },
    )
}

fn links() -> impl Strategy<Value = Link> {
    prop_oneof![Just("unlimited"), Just("10 Mbps"), Just("3 Mbps")]
        .prop_map(|bandwidth| Link::with_delay(bandwidth.parse().unwrap(), Span::ZERO))
}

fn build(spec: &PtmSpec, link: Link) -> Box<dyn Ptm> {
    spec.build(&Place { link, seed: 1, port: "r1:0", start: Timestamp::default() })
}

/// The event form, exactly as the trait documents it.
fn one_by_one(ptm: &mut dyn Ptm, ingress: &[Tau]) -> (Vec<Departure>, Vec<Loss>) {
    let (mut departures, mut losses) = (Vec::new(), Vec::new());
    let flows = Flows::default();
    for tau in ingress {
        while ptm.next_departure().is_some_and(|next| next <= tau.timestamp) {
            departures.extend(ptm.depart());
            losses.extend(std::iter::from_fn(|| ptm.lost()));
        }
        match ptm.arrive(tau, &flows) {
            Arrival::Departs(start) => departures.push(Departure { tau: *tau, start }),
            Arrival::Marked(start) => departures.push(Departure { tau: tau.marked(), start }),
            Arrival::Queued => losses.extend(std::iter::from_fn(|| ptm.lost())),
            Arrival::Dropped(reason) => losses.push(Loss { tau: *tau, at: tau.timestamp, reason }),
        }
    }
    while ptm.next_departure().is_some() {
        departures.extend(ptm.depart());
        losses.extend(std::iter::from_fn(|| ptm.lost()));
    }
    (departures, losses)
}

proptest! {
    /// A port with `red` knows departures at arrivals, and gives the same ones as the discipline behind a
    /// server.
    #[test]
    fn red_leaves_as_it_does_behind_a_server(spec in red(), link in links(), taus in taus()) {
        let mut server = Server::new(spec.discipline(&Place { link, seed: 1, port: "r1:0", start: Timestamp::default() }), link);
        let (mut departures, mut losses) = one_by_one(&mut *build(&spec, link), &taus);
        let (expected, lost) = one_by_one(&mut server, &taus);
        prop_assert_eq!(&departures, &expected);
        prop_assert_eq!(&losses, &lost);
        // And in pieces, none of which waits for the next.
        let mut ptm = build(&spec, link);
        departures.clear();
        losses.clear();
        for tau in &taus {
            ptm.forward_trace(&[*tau], &Flows::default(), tau.timestamp, &mut departures, &mut losses);
        }
        prop_assert_eq!((departures, losses), (expected, lost));
    }

    #[test]
    fn both_forms_agree(spec in prop_oneof![6 => specs(), 2 => netem()], link in links(), taus in taus(), cut in 0..200usize) {
        let expected = one_by_one(&mut *build(&spec, link), &taus);
        let mut ptm = build(&spec, link);
        let flows = Flows::default();
        let (mut departures, mut losses) = (Vec::new(), Vec::new());
        let (first, second) = taus.split_at(cut.min(taus.len()));
        let until = first.last().map_or(Time::ZERO, |tau| tau.timestamp);
        ptm.forward_trace(first, &flows, until, &mut departures, &mut losses);
        ptm.forward_trace(second, &flows, Time::NEVER, &mut departures, &mut losses);
        prop_assert_eq!((departures, losses), expected);
    }

    #[test]
    fn packets_are_conserved_and_never_early(
        spec in prop_oneof![6 => specs(), 2 => netem()], link in links(), taus in taus(),
    ) {
        let (departures, losses) = one_by_one(&mut *build(&spec, link), &taus);
        prop_assert_eq!(departures.len() + losses.len(), taus.len());
        let mut free = Time::ZERO;
        for departure in &departures {
            prop_assert!(departure.start >= departure.tau.timestamp);
            prop_assert!(departure.start >= free, "two packets on the link at once");
            free = departure.start + link.transmission_time(departure.tau.packet.byte_count());
        }
        for loss in &losses {
            prop_assert!(loss.at >= loss.tau.timestamp);
        }
    }

    #[test]
    fn packets_keep_their_order(spec in specs(), link in links(), taus in taus()) {
        let (departures, _) = one_by_one(&mut *build(&spec, link), &taus);
        prop_assert!(departures.windows(2).all(|pair| pair[0].tau.packet.pid < pair[1].tau.packet.pid));
    }
}
