//! Linux's own queueing code in virtual time, packet by packet. `TAUNET_LAB=FOLDER` names a folder with
//! `manifest.toml` and the captures that it names; `TAUNET_LAB_CASES=a,b` selects some of them.
//!
//! `TAUNET_LAB=... cargo test --release --test it lab -- --nocapture` prints the tables of
//! `docs/verifying-disciplines.md`. Every PTM is created by [`taunet::topology::tc`] from the commands of the
//! recording, and nothing is fitted. If a recording requires it, the flows that the kernel hashes into one
//! queue are found by trial; if random numbers are drawn as well, the order of packets shows it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use taunet::capture::{Options as CaptureOptions, Sorted};
use taunet::flow::Flows;
use taunet::link::Link;
use taunet::packet::{FlowKey, Tau};
use taunet::ptm::{FlowName, Place, PtmSpec, SameQueue};
use taunet::topology::tc::{TcOptions, convert};
use taunet::traffic::{Replay, Source};
use taunet::units::{Span, Time, Timestamp};
use toml::Table;

/// Seeds of disciplines that draw numbers.
const SEEDS: u64 = 40;

/// Packets on which pairs of flows are tried.
const TRIED: usize = 6_000;

/// A packet of a recording: what reached the device, and what became of it there.
struct Passage {
    tau: Tau,
    /// When it left, and its ECN field then; `None` where it was lost.
    left: Option<(Time, u8)>,
}

/// One recorded device.
struct Case {
    name: String,
    commands: String,
    start: Timestamp,
    passages: Vec<Passage>,
    flows: Flows,
}

/// What a simulation makes of each packet: as in [`Passage::left`].
type Fates = Vec<Option<(Time, u8)>>;

impl Case {
    fn read(folder: &Path, case: &Table) -> Case {
        let name = case["name"].as_str().unwrap().to_owned();
        let file = |point: &str| folder.join(&name).join(format!("{point}.pcap.xz"));
        let options = CaptureOptions::default();
        let mut source = Replay::open(&file("in1"), &options).unwrap();
        let mut out = Sorted::open(&file("out"), &options).unwrap();
        let fields = source.recording().match_fields().and(out.match_fields());
        source.recording().match_over(fields);
        let start = source.recording().recorded_start().unwrap();
        source.recording().start_at(start);
        let mut departures: HashMap<u64, VecDeque<(Time, u8)>> = HashMap::new();
        while let Some(seen) = out.next_observation().unwrap() {
            let key = seen.frame.match_key_over(&fields).expect("a packet with a key");
            let at = seen.timestamp.relative_to(start).unwrap();
            departures.entry(key).or_default().push_back((at, seen.frame.ecn.unwrap_or(0)));
        }
        let (mut passages, mut flows) = (Vec::new(), Flows::default());
        while let Some(emission) = source.next_emission().unwrap() {
            let mut tau = emission.tau;
            tau.packet.pid = passages.len() as u64;
            tau.packet.fid = flows.add(source.flow(tau.packet.fid)).0;
            let key = emission.match_key.expect("a packet with a key");
            let left = departures.get_mut(&key).and_then(VecDeque::pop_front);
            passages.push(Passage { tau, left });
        }
        let commands = case["qdisc_r1"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
        Case { commands: commands.collect::<Vec<_>>().join("\n"), name, start, passages, flows }
    }

    /// The PTM that its commands mean; the refusal where taunet has none.
    fn ptm(&self) -> Result<PtmSpec, String> {
        #[derive(serde::Deserialize)]
        struct Holder {
            ptm: PtmSpec,
        }
        let options = TcOptions { hz: 1_000.try_into().unwrap(), ..TcOptions::default() };
        let converted =
            convert(&self.name, &self.commands, &options).map_err(|error| error.message().to_owned())?;
        let document = taunet::config::Document::parse("ptm.toml", &converted.to_toml()).unwrap();
        Ok(document.deserialize::<Holder>().unwrap_or_else(|error| panic!("{error}")).ptm)
    }

    /// The first `count` packets through a PTM.
    fn simulate(&self, ptm: &PtmSpec, seed: u64, count: usize) -> Fates {
        let link = Link::with_delay("unlimited".parse().unwrap(), Span::ZERO);
        let mut ptm = ptm.build(&Place { link, seed, port: "r1:0", start: self.start });
        let taus: Vec<Tau> = self.passages[..count].iter().map(|passage| passage.tau).collect();
        let (mut departures, mut losses) = (Vec::new(), Vec::new());
        ptm.forward_trace(&taus, &self.flows, Time::NEVER, &mut departures, &mut losses);
        assert_eq!(departures.len() + losses.len(), count, "packets are conserved");
        let mut fates = vec![None; count];
        for departure in departures {
            fates[departure.tau.packet.pid as usize] = Some((departure.start, departure.tau.packet.ecn));
        }
        fates
    }

    fn kernel(&self) -> Fates {
        self.passages.iter().map(|passage| passage.left).collect()
    }

    /// How a simulation differs from the kernel.
    fn difference(&self, fates: &Fates) -> Difference {
        let mut difference = Difference::default();
        // What is still inside as the tried packets end is not known to leave as it would.
        let horizon = match fates.len() < self.passages.len() {
            true => self.passages[fates.len()].tau.timestamp,
            false => Time::NEVER,
        };
        for (passage, fate) in self.passages.iter().zip(fates) {
            match (passage.left, fate) {
                (None, None) => {}
                (Some((kernel, marked)), Some((simulated, ecn))) => {
                    if kernel >= horizon || *simulated >= horizon {
                        continue;
                    }
                    let error = kernel.since(*simulated).max(simulated.since(kernel));
                    difference.longest = difference.longest.max(error);
                    difference.late += usize::from(error > MICROSECOND);
                    difference.marks += usize::from(marked != *ecn);
                }
                _ if horizon < Time::NEVER => {}
                _ => difference.drops += 1,
            }
        }
        difference
    }
}

const MICROSECOND: Span = Span::from_ns(1_000);

/// Where a simulation and the kernel differ.
#[derive(Debug, Default)]
struct Difference {
    /// Packets that one of them lost.
    drops: usize,
    /// Packets that one of them marked.
    marks: usize,
    /// Packets that left more than 1 us apart.
    late: usize,
    /// The largest difference of the sojourn times.
    longest: Span,
}

impl Difference {
    fn is_exact(&self, within: Span) -> bool {
        self.drops + self.marks == 0 && self.longest <= within
    }

    fn packets(&self) -> usize {
        self.drops + self.marks + self.late
    }
}

/// Whether numbers are drawn, other than to hash flows.
fn draws(ptm: &PtmSpec) -> bool {
    let mut draws = false;
    ptm.each(&mut |ptm| {
        draws |= match ptm {
            PtmSpec::Red(_) | PtmSpec::Pie(_) | PtmSpec::FqPie(_) | PtmSpec::Cake(_) => true,
            PtmSpec::Netem(spec) => spec.draws(),
            PtmSpec::Sfq(spec) => spec.perturb.is_some(),
            _ => false,
        };
    });
    draws
}

/// Whether flows are hashed into queues.
fn hashes(ptm: &PtmSpec) -> bool {
    let mut hashes = false;
    ptm.each(&mut |ptm| {
        hashes |= matches!(ptm, PtmSpec::FqCodel(_) | PtmSpec::FqPie(_) | PtmSpec::Fq(_) | PtmSpec::Sfq(_));
    });
    hashes
}

/// Whether flows meet in one of 1024 queues with every fourth seed or more: else seeds say nothing of a recording in
/// which they did.
fn meets_often(case: &Case) -> bool {
    let flows = case.flows.len() as f64;
    flows * (flows - 1.0) / 2.0 / 1_024.0 > 0.25
}

/// Whether a packet's time goes by CoDel's clock or by hashes: 1 us is then asked for, else 2 ns.
fn bound(ptm: &PtmSpec) -> Span {
    let mut codel = false;
    ptm.each(&mut |ptm| {
        codel |= matches!(ptm, PtmSpec::Codel(_));
        // Each slot is set from the last one, whose timer was late.
        codel |= matches!(ptm, PtmSpec::Netem(spec) if spec.slot.is_some());
    });
    if codel || hashes(ptm) { MICROSECOND } else { Span::from_ns(2) }
}

/// The same PTM with these groups of flows sharing a queue, and all others alone.
fn with_queues(ptm: &PtmSpec, groups: &[Vec<FlowKey>]) -> PtmSpec {
    let groups = groups.iter().map(|group| group.iter().map(|flow| FlowName(*flow)).collect());
    let same_queue = Some(SameQueue(groups.collect()));
    let mut ptm = ptm.clone();
    ptm.each_mut(&mut |ptm| match ptm {
        PtmSpec::FqCodel(spec) => spec.same_queue = same_queue.clone(),
        PtmSpec::FqPie(spec) => spec.same_queue = same_queue.clone(),
        PtmSpec::Fq(spec) => spec.same_queue = same_queue.clone(),
        PtmSpec::Sfq(spec) => spec.same_queue = same_queue.clone(),
        _ => {}
    });
    ptm
}

/// Groups of flows with which the recording is exact: none, or pairs found one after the other as those that leave the
/// fewest packets different. A true pair makes all packets right; a wrong one does not.
fn groups(case: &Case, ptm: &PtmSpec, within: Span) -> (Vec<Vec<FlowKey>>, Difference) {
    let whole = case.passages.len();
    let differ = |groups: &[Vec<FlowKey>], count: usize| {
        case.difference(&case.simulate(&with_queues(ptm, groups), 1, count))
    };
    let mut groups: Vec<Vec<FlowKey>> = Vec::new();
    let mut best = differ(&groups, whole);
    let flows: Vec<FlowKey> = (0..case.flows.len() as u32).filter_map(|fid| case.flows.key(fid)).collect();
    for _ in 0..3 {
        if best.is_exact(within) {
            break;
        }
        let free = |flow: &FlowKey| !groups.iter().flatten().any(|member| member == flow);
        let free: Vec<FlowKey> = flows.iter().copied().filter(free).collect();
        let pairs =
            free.iter().enumerate().flat_map(|(first, a)| free[first + 1..].iter().map(|b| vec![*a, *b]));
        let tried = pairs.map(|pair| {
            let with = groups.iter().cloned().chain([pair.clone()]).collect::<Vec<_>>();
            (differ(&with, whole.min(TRIED)).packets(), pair)
        });
        let Some((_, pair)) = tried.min_by_key(|(packets, _)| *packets) else { break };
        groups.push(pair);
        best = differ(&groups, whole);
    }
    (groups, best)
}

/// How many packets must find one of another flow waiting before their order says that both are in one queue.
const MEETINGS: u32 = 1_000;

/// Groups of flows that share a queue, as their order shows: no packet of one overtakes a packet of another, though many find
/// one waiting. Flows with few packets may share a queue without being found.
fn groups_by_order(case: &Case) -> Vec<Vec<FlowKey>> {
    let mut pairs: BTreeMap<(u32, u32), (u32, bool)> = BTreeMap::new();
    let mut waiting: Vec<(u32, Time)> = Vec::new();
    for Passage { tau, left } in &case.passages {
        let Some((left, _)) = *left else { continue };
        let flow = tau.packet.fid;
        waiting.retain(|(_, leaves)| *leaves > tau.timestamp);
        for &(other, leaves) in waiting.iter().filter(|(other, _)| *other != flow) {
            let (meetings, overtaken) = pairs.entry((flow.min(other), flow.max(other))).or_default();
            *meetings += 1;
            *overtaken |= left < leaves;
        }
        waiting.push((flow, left));
    }
    let together = pairs.iter().filter(|(_, (meetings, overtaken))| *meetings >= MEETINGS && !overtaken);
    let mut groups: Vec<Vec<FlowKey>> = Vec::new();
    for (&(a, b), _) in together {
        let [a, b] = [a, b].map(|fid| case.flows.key(fid).expect("a flow of the case"));
        match groups.iter_mut().find(|group| group.contains(&a) || group.contains(&b)) {
            Some(group) if !group.contains(&a) => group.push(a),
            Some(group) if !group.contains(&b) => group.push(b),
            Some(_) => {}
            None => groups.push(vec![a, b]),
        }
    }
    groups
}

fn names(groups: &[Vec<FlowKey>]) -> String {
    let group =
        |group: &Vec<FlowKey>| group.iter().map(ToString::to_string).collect::<Vec<_>>().join(" with ");
    groups.iter().map(group).collect::<Vec<_>>().join(", ")
}

/// What is compared of a simulation: losses, marks, mean and 99th percentile of the sojourn time, lengths of runs of losses, and
/// how many packets were overtaken and by how much.
struct Figures {
    values: [f64; FIGURES.len()],
    /// Sojourn times [us], sorted.
    sojourns: Vec<f64>,
}

const FIGURES: [&str; 7] = ["lost", "marked", "mean_us", "p99_us", "loss_run", "overtaken", "overtaken_by"];

/// Times [us] that agree to this count as equal, and all figures that agree to a thousandth.
const EQUAL_US: f64 = 1.0;

/// Which figures are times.
const TIMES: [usize; 3] = [2, 3, 6];

impl Figures {
    fn new(case: &Case, fates: &Fates) -> Figures {
        let mut sojourns = Vec::new();
        let (mut lost, mut runs, mut marked) = (0u32, 0u32, 0u32);
        let mut in_run = false;
        let (mut latest, mut overtaken, mut extent) = (Time::ZERO, 0u32, 0.0);
        for (passage, fate) in case.passages.iter().zip(fates) {
            let Some((at, ecn)) = fate else {
                lost += 1;
                runs += u32::from(!in_run);
                in_run = true;
                continue;
            };
            in_run = false;
            marked += u32::from(*ecn == 3 && passage.tau.packet.ecn != 3);
            sojourns.push(at.since(passage.tau.timestamp).as_ps() as f64 / 1e6);
            if *at < latest {
                overtaken += 1;
                extent += latest.since(*at).as_ps() as f64 / 1e6;
            }
            latest = latest.max(*at);
        }
        sojourns.sort_by(f64::total_cmp);
        let mean = sojourns.iter().sum::<f64>() / sojourns.len() as f64;
        let p99 = sojourns[(sojourns.len() as f64 * 0.99) as usize];
        let values = [
            lost.into(),
            marked.into(),
            mean,
            p99,
            f64::from(lost) / f64::from(runs.max(1)),
            overtaken.into(),
            extent / f64::from(overtaken.max(1)),
        ];
        Figures { values, sojourns }
    }
}

/// The 1-Wasserstein distance of two sorted samples, by their quantiles.
fn w1(a: &[f64], b: &[f64]) -> f64 {
    const QUANTILES: usize = 4_000;
    let at = |sample: &[f64], index: usize| {
        sample[((index as f64 + 0.5) / QUANTILES as f64 * sample.len() as f64) as usize]
    };
    (0..QUANTILES).map(|index| (at(a, index) - at(b, index)).abs()).sum::<f64>() / QUANTILES as f64
}

/// Where the kernel's figure lies among those of seeds.
#[derive(Clone, Copy)]
enum Standing {
    /// The seeds agree, and the kernel with them.
    Equal,
    /// Its distance from the mean of the seeds in standard deviations, and whether it is in their range.
    Away(f64, bool),
}

/// How the kernel's run lies among those of seeds.
struct Band {
    figures: Vec<Standing>,
    /// The distance of sojourn times between the kernel and seeds, over that between seeds.
    w1: f64,
}

fn band(case: &Case, ptm: &PtmSpec) -> Band {
    let kernel = Figures::new(case, &case.kernel());
    let whole = case.passages.len();
    let seeds: Vec<Figures> =
        (1..=SEEDS).map(|seed| Figures::new(case, &case.simulate(ptm, seed, whole))).collect();
    let figures = (0..FIGURES.len()).map(|index| {
        let values: Vec<f64> = seeds.iter().map(|seed| seed.values[index]).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>()
            / (values.len() - 1) as f64;
        let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        let found = kernel.values[index];
        let equal = (mean.abs() / 1_000.0).max(if TIMES.contains(&index) { EQUAL_US } else { 0.0 });
        if most - least <= equal && (found - mean).abs() <= equal {
            return Standing::Equal;
        }
        let away = (found - mean) / variance.sqrt().max(f64::MIN_POSITIVE);
        Standing::Away(away, (least..=most).contains(&found))
    });
    let average = |distances: Vec<f64>| distances.iter().sum::<f64>() / distances.len() as f64;
    let to_seeds = average(seeds.iter().map(|seed| w1(&kernel.sojourns, &seed.sojourns)).collect());
    let pairs = (0..seeds.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
    let among = average(pairs.map(|(a, b)| w1(&seeds[a].sojourns, &seeds[b].sojourns)).collect());
    // Distances below a nanosecond are those of the timers.
    Band { figures: figures.collect(), w1: to_seeds.max(0.001) / among.max(0.001) }
}

/// Of a netem that delays all alike: how many packets of the kernel are neither delayed by that, within 2 ns, nor
/// reordered, if there are any.
fn late_of_constant_delay(case: &Case, ptm: &PtmSpec) -> Option<usize> {
    let PtmSpec::Netem(spec) = ptm else { return None };
    if spec.jitter > Span::ZERO || spec.rate.is_some() || spec.slot.is_some() || spec.ptm.is_some() {
        return None;
    }
    let is_late = |passage: &&Passage| {
        passage.left.is_some_and(|(left, _)| {
            let sojourn = left.since(passage.tau.timestamp);
            let off = (sojourn - spec.delay).max(spec.delay - sojourn);
            off > Span::from_ns(2) && (spec.reorder.get() == 0.0 || sojourn > Span::from_ns(2))
        })
    };
    Some(case.passages.iter().filter(is_late).count()).filter(|late| *late > 0)
}

fn cases() -> Option<Vec<Case>> {
    let folder = PathBuf::from(std::env::var_os("TAUNET_LAB")?);
    let wanted = std::env::var("TAUNET_LAB_CASES").ok();
    let wanted: Option<Vec<&str>> = wanted.as_deref().map(|names| names.split(',').collect());
    let manifest: Table = fs::read_to_string(folder.join("manifest.toml")).unwrap().parse().unwrap();
    let cases = manifest["case"].as_array().unwrap().iter().map(|case| case.as_table().unwrap());
    let chosen = cases.filter(|case| {
        let name = case["name"].as_str().unwrap();
        !case["tcp"].as_bool().unwrap() && wanted.as_ref().is_none_or(|wanted| wanted.contains(&name))
    });
    Some(chosen.map(|case| Case::read(&folder, case)).collect())
}

/// Whether an `fq` paces: that adds up the nanoseconds by which the lab's timers are late, until two flows change places.
fn paces(ptm: &PtmSpec) -> bool {
    let mut paces = false;
    ptm.each(&mut |ptm| {
        paces |= matches!(ptm, PtmSpec::Fq(spec) if spec.max_rate.is_some());
    });
    paces
}

/// The share of packets that must be within 1 us where an `fq` paces.
const PACED: f64 = 0.85;

/// What has been found so far.
#[derive(Default)]
struct Findings {
    exact: String,
    bands: String,
    refused: String,
    failed: Vec<String>,
    ratios: Vec<f64>,
    inside: u32,
    all: u32,
}

impl Findings {
    /// Compares packet by packet; whether flows share a queue.
    fn compare(&mut self, case: &Case, ptm: &PtmSpec) -> bool {
        let within = bound(ptm);
        let (groups, difference) = match (hashes(ptm), paces(ptm)) {
            (true, false) => groups(case, ptm, within),
            _ => {
                let alone = with_queues(ptm, &[]);
                (Vec::new(), case.difference(&case.simulate(&alone, 1, case.passages.len())))
            }
        };
        let shared = names(&groups);
        self.tell(case, &difference, within, &shared);
        let is_right = match paces(ptm) {
            true => (difference.packets() as f64) < (1.0 - PACED) * case.passages.len() as f64,
            false => difference.is_exact(within),
        };
        if !is_right {
            self.failed.push(format!("{}: {difference:?}", case.name));
        }
        !groups.is_empty()
    }

    /// A line of the packets that were compared one by one.
    fn tell(&mut self, case: &Case, difference: &Difference, within: Span, shared: &str) {
        let figures = Figures::new(case, &case.kernel()).values;
        let Difference { drops, marks, longest, .. } = difference;
        writeln!(
            self.exact,
            "| {} | {} | {} | {} | {drops} | {marks} | {longest} | {within} | {shared} |",
            case.name,
            case.passages.len(),
            figures[0],
            figures[1],
        )
        .unwrap();
    }

    /// Whether a `cake` is right packet by packet, since its numbers decide nothing here: one queue in each tin, or lengths in which
    /// a byte of a turn makes no difference.
    fn agrees(&mut self, case: &Case, ptm: &PtmSpec) -> bool {
        let mut cake = false;
        ptm.each(&mut |ptm| cake |= matches!(ptm, PtmSpec::Cake(_)));
        if !cake {
            return false;
        }
        let difference = case.difference(&case.simulate(ptm, 1, case.passages.len()));
        let agrees = difference.is_exact(MICROSECOND);
        if agrees {
            self.tell(case, &difference, MICROSECOND, "");
        }
        agrees
    }

    /// Compares with seeds; where the order of packets shows that flows share a queue, they do with every seed.
    fn place(&mut self, case: &Case, ptm: &PtmSpec) {
        let groups = if hashes(ptm) && draws(ptm) { groups_by_order(case) } else { Vec::new() };
        let shared = names(&groups);
        let known = (!groups.is_empty()).then(|| with_queues(ptm, &groups));
        let ptm = known.as_ref().unwrap_or(ptm);
        let band = band(case, ptm);
        let cell = |standing: &Standing| match standing {
            Standing::Equal => "=".to_owned(),
            Standing::Away(away, true) => format!("{away:+.1}"),
            Standing::Away(away, false) => format!("{away:+.1} out"),
        };
        let cells: Vec<String> = band.figures.iter().map(cell).collect();
        writeln!(self.bands, "| {} | {} | {:.2} | {shared} |", case.name, cells.join(" | "), band.w1)
            .unwrap();
        for (standing, figure) in band.figures.iter().zip(FIGURES) {
            // Those on which all agree would only make the share look better.
            let Standing::Away(away, within) = *standing else { continue };
            self.inside += u32::from(within);
            self.all += 1;
            if away.abs() > 4.0 {
                self.failed.push(format!("{}: {figure} is {away:.1} standard deviations away", case.name));
            }
        }
        if let Some(late) = late_of_constant_delay(case, ptm) {
            self.failed.push(format!("{}: {late} packets are not delayed as netem says", case.name));
        }
        if band.w1 > 2.0 {
            self.failed.push(format!("{}: w1 is {:.2} times that among seeds", case.name, band.w1));
        }
        self.ratios.push(band.w1);
    }
}

#[test]
fn recordings_of_linux_in_virtual_time() {
    let Some(cases) = cases() else { return };
    let mut findings = Findings::default();
    for case in &cases {
        match case.ptm() {
            Err(message) => writeln!(findings.refused, "| {} | {message} |", case.name).unwrap(),
            Ok(ptm) if draws(&ptm) => {
                if !findings.agrees(case, &ptm) {
                    findings.place(case, &ptm);
                }
            }
            Ok(ptm) => {
                // Where hashes decide and flows have met, seeds have to say the same.
                if findings.compare(case, &ptm) && meets_often(case) {
                    findings.place(case, &ptm);
                }
            }
        }
    }
    let Findings { exact, bands, refused, mut failed, mut ratios, inside, all } = findings;
    println!(
        "| recording | packets | lost | marked | other drops | other marks | largest difference | bound | queues shared |\n\
         |---|---|---|---|---|---|---|---|---|\n{exact}\n\
         | recording | {} | w1 | queues shared |\n|---{}|---|---|\n{bands}\n\
         {inside} of {all} figures that differ among seeds are in their range\n\n{refused}",
        FIGURES.join(" | "),
        "|---".repeat(FIGURES.len()),
    );
    ratios.sort_by(f64::total_cmp);
    if let Some(median) = ratios.get(ratios.len() / 2) {
        println!("w1 in the median: {median:.2}");
        if *median > 1.3 {
            failed.push(format!("w1 in the median: {median}"));
        }
        if f64::from(inside) < 0.85 * f64::from(all) {
            failed.push(format!("{inside} of {all} figures in the range of the seeds"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
