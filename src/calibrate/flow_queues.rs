//! Disciplines with a queue per flow: candidates with the defaults of Linux, whose parameters are then
//! refined by simulation.

use std::num::NonZeroU32;

use super::CalibrateError;
use super::aqm::span;
use super::model::{DisciplineKind, Model};
use super::sample::{Sample, roundest};
use crate::ptm::{
    CakeLinkLayer, CakeSpec, Diffserv, FqCodelSpec, FqPieSpec, FqSpec, Framing, Isolation, LinkLayer,
    Overhead, PtmSpec, SameQueue, SfqSpec,
};
use crate::units::{ByteCount, Span};

/// Minimum decrease of the cost for moving a parameter away from its default.
const WORTH_IT: f64 = 0.01;

/// The maximum number of packets that waited at once, in total and of one flow.
fn most_waiting(sample: &Sample) -> (u64, u64) {
    let mut leaving = sample.departures().map(|(crossing, at)| (at, crossing.fid)).peekable();
    let flows = sample.crossings.iter().map(|crossing| crossing.fid as usize + 1).max().unwrap_or(0);
    let mut of_flow = vec![0i64; flows];
    let (mut all, mut most, mut most_of_flow) = (0i64, 0, 0);
    for crossing in sample.crossings.iter().filter(|crossing| crossing.departure.is_some()) {
        while let Some((_, fid)) = leaving.next_if(|(at, _)| *at <= crossing.arrival) {
            all -= 1;
            of_flow[fid as usize] -= 1;
        }
        all += 1;
        of_flow[crossing.fid as usize] += 1;
        most = most.max(all);
        most_of_flow = most_of_flow.max(of_flow[crossing.fid as usize]);
    }
    (most.max(1) as u64, most_of_flow.max(1) as u64)
}

/// No two flows share a queue, as far as is known.
fn alone() -> Option<SameQueue> {
    Some(SameQueue(Vec::new()))
}

/// RFC 8290, section 5.2.4, for slow links.
const SLOW_QUANTUM: ByteCount = ByteCount::new(300);

/// Timer ticks of a millisecond: the period of a timer is then estimated to a millisecond.
const HZ: NonZeroU32 = NonZeroU32::new(1_000).expect("1000 is not 0");

/// Bytes of an Ethernet header, which CAKE's overhead does not include.
const ETHERNET_HEADER: i32 = 14;

/// CAKE, with the rate of the bottleneck if CAKE itself is the bottleneck.
fn cake(plain: &Model) -> CakeSpec {
    let framing = plain.framing;
    // In this case CAKE has the rate: packets are observed at the start of their transmission.
    let shapes = plain.shows_start();
    CakeSpec {
        bandwidth: shapes.then(|| plain.rate()),
        diffserv: Diffserv::Besteffort,
        isolation: Isolation::Flows,
        overhead: Some(framing.overhead.bytes() + ETHERNET_HEADER)
            .filter(|_| shapes && framing != Framing::default())
            .and_then(Overhead::new),
        linklayer: match framing.link_layer {
            LinkLayer::Atm if shapes => CakeLinkLayer::Atm,
            _ => CakeLinkLayer::Ethernet,
        },
        ..CakeSpec::default()
    }
}

/// The same discipline in its other modes.
fn other_modes(spec: &PtmSpec) -> Vec<PtmSpec> {
    let spec = match spec {
        PtmSpec::Cake(spec) => spec,
        PtmSpec::FqCodel(spec) => {
            let with = |(target, interval): (u64, u64)| FqCodelSpec {
                target: Span::from_ns(target * 1_000_000),
                interval: Span::from_ns(interval * 1_000_000),
                ..spec.clone()
            };
            let usual = [(5, 100), (10, 50), (10, 200), (20, 100), (20, 400), (2, 20), (50, 500)];
            return usual.into_iter().map(with).map(PtmSpec::FqCodel).collect();
        }
        _ => return Vec::new(),
    };
    let tins = [
        Diffserv::Besteffort,
        Diffserv::Diffserv3,
        Diffserv::Diffserv4,
        Diffserv::Diffserv8,
        Diffserv::Precedence,
    ];
    let isolations = [
        Isolation::Flows,
        Isolation::TripleIsolate,
        Isolation::DualSrchost,
        Isolation::DualDsthost,
        Isolation::Hosts,
        Isolation::Flowblind,
    ];
    let by_tin = tins.into_iter().map(|diffserv| CakeSpec { diffserv, ..spec.clone() });
    let by_host = isolations.into_iter().map(|isolation| CakeSpec { isolation, ..spec.clone() });
    by_tin.chain(by_host).filter(|other| other != spec).map(PtmSpec::Cake).collect()
}

/// The candidate disciplines, with the bottleneck of `plain`.
pub(super) fn candidates(plain: &Model, sample: &Sample) -> Vec<Model> {
    let (most, most_of_flow) = most_waiting(sample);
    let with = |discipline: DisciplineKind, queue: PtmSpec| Model {
        discipline,
        aqm: None,
        buffer: None,
        queue: Some(queue),
        ..plain.clone()
    };
    let depth = most_of_flow.clamp(1, 127) as u32;
    vec![
        with(
            DisciplineKind::FqCodel,
            PtmSpec::FqCodel(FqCodelSpec { same_queue: alone(), ..FqCodelSpec::default() }),
        ),
        with(
            DisciplineKind::FqCodel,
            PtmSpec::FqCodel(FqCodelSpec { limit: most, same_queue: alone(), ..FqCodelSpec::default() }),
        ),
        with(
            DisciplineKind::FqCodel,
            PtmSpec::FqCodel(FqCodelSpec {
                limit: most,
                quantum: SLOW_QUANTUM,
                same_queue: alone(),
                ..FqCodelSpec::default()
            }),
        ),
        with(
            DisciplineKind::Sfq,
            PtmSpec::Sfq(SfqSpec {
                limit: u32::try_from(most).unwrap_or(u32::MAX).clamp(2, depth * 127),
                depth: 127,
                same_queue: alone(),
                ..SfqSpec::default()
            }),
        ),
        with(
            DisciplineKind::FqPie,
            PtmSpec::FqPie(FqPieSpec { same_queue: alone(), hz: HZ, ..FqPieSpec::default() }),
        ),
        with(DisciplineKind::Cake, PtmSpec::Cake(cake(plain))),
        with(
            DisciplineKind::Fq,
            PtmSpec::Fq(FqSpec { flow_limit: most_of_flow, same_queue: alone(), ..FqSpec::default() }),
        ),
    ]
}

/// The same classes, each with a queue per flow and the defaults of Linux: FQ-CoDel.
pub(super) fn in_classes(model: &Model) -> Model {
    let mut model = model.clone();
    model.buffer = None;
    for class in &mut model.classes {
        class.buffer = None;
        class.queue = Some(PtmSpec::FqCodel(FqCodelSpec { same_queue: alone(), ..FqCodelSpec::default() }));
    }
    model
}

/// A numeric parameter of a discipline.
struct Knob {
    get: fn(&PtmSpec) -> Option<f64>,
    set: fn(&mut PtmSpec, f64),
    /// Minimum and maximum.
    range: (f64, f64),
}

fn us(span: Span) -> f64 {
    span.as_ps() as f64 / 1e6
}

fn bytes(bytes: f64) -> ByteCount {
    ByteCount::new(bytes.round() as u64)
}

/// The parameters that can be varied.
const KNOBS: [Knob; 7] = [
    Knob {
        get: |spec| match spec {
            PtmSpec::FqCodel(spec) => Some(us(spec.target)),
            PtmSpec::FqPie(spec) => Some(us(spec.target)),
            _ => None,
        },
        set: |spec, value| match spec {
            PtmSpec::FqCodel(spec) => spec.target = span(value),
            PtmSpec::FqPie(spec) => spec.target = span(value),
            _ => {}
        },
        range: (100.0, 1e6),
    },
    Knob {
        get: |spec| match spec {
            PtmSpec::FqCodel(spec) => Some(us(spec.interval)),
            PtmSpec::FqPie(spec) => Some(us(spec.t_update)),
            PtmSpec::Cake(spec) => Some(us(spec.rtt)),
            _ => None,
        },
        set: |spec, value| match spec {
            PtmSpec::FqCodel(spec) => spec.interval = span(value),
            PtmSpec::FqPie(spec) => spec.t_update = span(value),
            PtmSpec::Cake(spec) => spec.rtt = span(value),
            _ => {}
        },
        range: (1e3, 1e7),
    },
    Knob {
        get: |spec| match spec {
            PtmSpec::FqCodel(spec) => Some(spec.quantum.get() as f64),
            PtmSpec::Sfq(spec) => Some(spec.quantum.get() as f64),
            PtmSpec::Fq(spec) => Some(spec.quantum.get() as f64),
            PtmSpec::FqPie(spec) => Some(spec.quantum.get() as f64),
            _ => None,
        },
        set: |spec, value| match spec {
            PtmSpec::FqCodel(spec) => spec.quantum = bytes(value),
            PtmSpec::Sfq(spec) => spec.quantum = bytes(value),
            PtmSpec::Fq(spec) => spec.quantum = bytes(value),
            PtmSpec::FqPie(spec) => spec.quantum = bytes(value),
            _ => {}
        },
        range: (256.0, 65_536.0),
    },
    Knob {
        get: |spec| match spec {
            PtmSpec::Fq(spec) => Some(spec.initial_quantum.get() as f64),
            _ => None,
        },
        set: |spec, value| {
            if let PtmSpec::Fq(spec) = spec {
                spec.initial_quantum = bytes(value);
            }
        },
        range: (256.0, 1e6),
    },
    Knob {
        get: |spec| match spec {
            PtmSpec::Fq(spec) => Some(spec.flow_limit as f64),
            _ => None,
        },
        set: |spec, value| {
            if let PtmSpec::Fq(spec) = spec {
                spec.flow_limit = value.round() as u64;
            }
        },
        range: (1.0, 1e6),
    },
    Knob {
        get: |spec| match spec {
            PtmSpec::FqCodel(spec) => Some(spec.limit as f64),
            PtmSpec::Sfq(spec) => Some(spec.limit.into()),
            _ => None,
        },
        set: |spec, value| match spec {
            PtmSpec::FqCodel(spec) => spec.limit = value.round() as u64,
            PtmSpec::Sfq(spec) => spec.limit = value.round() as u32,
            _ => {}
        },
        range: (2.0, 65_535.0),
    },
    Knob {
        get: |spec| match spec {
            PtmSpec::Sfq(spec) => Some(spec.depth.into()),
            _ => None,
        },
        set: |spec, value| {
            if let PtmSpec::Sfq(spec) = spec {
                spec.depth = value.round() as u32;
            }
        },
        range: (1.0, 127.0),
    },
];

/// Factors for varying a parameter, ever finer.
const FACTORS: [&[f64]; 4] = [&[0.25, 0.5, 2.0, 4.0], &[0.7, 1.4], &[0.85, 1.18], &[0.95, 1.05]];

/// Varies each parameter while the simulation improves: coordinate descent.
pub(super) fn refine(
    model: Model,
    cost: &impl Fn(&Model) -> Result<f64, CalibrateError>,
) -> Result<Model, CalibrateError> {
    let mut best = (cost(&model)?, model);
    // Tins first, then hosts: each mode is tried with the best so far.
    for _ in 0..2 {
        for spec in best.1.queue.iter().flat_map(other_modes).collect::<Vec<_>>() {
            let tried = Model { queue: Some(spec), ..best.1.clone() };
            let found = cost(&tried)?;
            if found < (1.0 - WORTH_IT) * best.0 {
                best = (found, tried);
            }
        }
    }
    for factors in FACTORS {
        for knob in &KNOBS {
            let Some(value) = best.1.queue.as_ref().and_then(knob.get) else { continue };
            for factor in factors {
                let mut tried = best.1.clone();
                let moved = roundest(value * factor, 0.02 * value * factor).clamp(knob.range.0, knob.range.1);
                if let Some(spec) = &mut tried.queue {
                    (knob.set)(spec, moved);
                }
                let found = cost(&tried)?;
                if found < (1.0 - WORTH_IT) * best.0 {
                    best = (found, tried);
                }
            }
        }
    }
    Ok(best.1)
}
