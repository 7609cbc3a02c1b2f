//! Recordings in which the kernel drew random numbers, compared with 40 seeds.
//!
//! Each metric of a recording lies within 4 standard deviations of the seeds, and 85 % of them lie between
//! the minimum and the maximum. If the seeds agree within 1 %, the recording may also differ by 1 %.

use super::recording::RecordedFlow;
use super::*;
use taunet::packet::CE;

const NAMES: [&str; 7] = [
    "t_bbr1",
    "t_bbr_cubic",
    "t_dctcp_red",
    "t_cubic_pie",
    "t_cubic_red",
    "t_short_fq_codel",
    "cf_short_fq_codel",
];
const COUNT: u64 = 40;
/// Flows that are compared one by one, at most; the completion times of more are.
const FEW: usize = 10;
/// What counts as equal.
const EQUAL: f64 = 0.01;

/// The metrics of a recording or a simulation, with their names.
fn metrics(
    case: &Case,
    (entering, leaving): (&Seen, &Seen),
    done: impl Fn(&RecordedFlow) -> Option<i64>,
) -> Vec<(String, f64)> {
    let mut metrics = Vec::new();
    let mut again = 0;
    for (number, flow) in case.flows.iter().enumerate() {
        let (bytes, retransmissions) = sent(entering, flow.name);
        again += retransmissions;
        if case.flows.len() <= FEW {
            metrics.push((format!("bytes of flow {number}"), bytes as f64));
            metrics.push((format!("retransmissions of flow {number}"), retransmissions as f64));
        }
    }
    metrics.push(("retransmissions".to_owned(), again as f64));
    if case.ecn {
        metrics.push(("marks".to_owned(), marks(leaving) as f64));
    }
    let waits = waits(entering, leaving);
    metrics.push(("mean wait, ns".to_owned(), waits.iter().sum::<i64>() as f64 / waits.len() as f64));
    metrics.push(("p99 wait, ns".to_owned(), percentile(&waits, 99)));
    if case.flows.len() > FEW {
        let mut times: Vec<i64> = case.flows.iter().filter_map(|flow| Some(done(flow)? - flow.syn)).collect();
        times.sort_unstable();
        metrics.push(("flows finished".to_owned(), times.len() as f64));
        metrics.push(("p50 completion, ns".to_owned(), percentile(&times, 50)));
        metrics.push(("p99 completion, ns".to_owned(), percentile(&times, 99)));
    }
    metrics
}

/// Packets that left with CE.
fn marks(leaving: &Seen) -> usize {
    let is_marked = |shape: &Shape| matches!(shape, Shape::Data { ecn, .. } if ecn.field == CE);
    leaving.iter().filter(|(_, _, shape)| is_marked(shape)).count()
}

fn percentile(sorted: &[i64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)] as f64
}

/// Where a recording lies beside the seeds: standard deviations from their mean, and whether between the least and the largest.
fn place(theirs: f64, ours: &[f64]) -> (f64, bool) {
    let mean = ours.iter().sum::<f64>() / ours.len() as f64;
    let squares = ours.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
    let deviation = (squares / (ours.len() - 1) as f64).sqrt();
    let (least, largest) = ours
        .iter()
        .fold((f64::MAX, f64::MIN), |(least, largest), value| (least.min(*value), largest.max(*value)));
    if (theirs - mean).abs() <= EQUAL * mean && largest - least <= EQUAL * mean {
        return (0.0, true);
    }
    let off = if theirs == mean { 0.0 } else { (theirs - mean) / deviation };
    (off, least <= theirs && theirs <= largest)
}

/// Compares a recording with its simulations, prints a row for each metric, and gives what is missed, the metrics inside, and all.
fn compare_seeds(folder: &Path, name: &str) -> (Vec<String>, usize, usize) {
    let case = Case::read(folder, name);
    let theirs = metrics(&case, (&case.entering, &case.leaving), |flow| flow.done);
    let ours: Vec<Vec<(String, f64)>> = (1..=COUNT)
        .map(|seed| {
            let points = simulate(&case, None, seed);
            let closings = closings(&points);
            metrics(&case, (&points.entering, &points.leaving), |flow| closings.get(&flow.name).copied())
        })
        .collect();
    let (mut missed, mut inside) = (Vec::new(), 0);
    for (number, (metric, theirs)) in theirs.iter().enumerate() {
        let mut ours: Vec<f64> = ours.iter().map(|metrics| metrics[number].1).collect();
        let (off, is_inside) = place(*theirs, &ours);
        ours.sort_by(f64::total_cmp);
        let row = format!(
            "| {name} | {metric} | {theirs:.0} | {:.0} to {:.0} | {off:+.2} |{}",
            ours[0],
            ours[ours.len() - 1],
            if is_inside { "" } else { " outside" }
        );
        println!("{row}");
        inside += usize::from(is_inside);
        if off.abs() > 4.0 {
            missed.push(row);
        }
    }
    (missed, inside, theirs.len())
}

#[test]
fn recordings_with_random_numbers_lie_among_seeds() {
    let Some(folder) = std::env::var_os("TAUNET_LAB").map(PathBuf::from) else {
        println!("skipped: TAUNET_LAB names no folder of recordings");
        return;
    };
    println!("| recording | metric | recorded | {COUNT} seeds | standard deviations |");
    let (mut missed, mut inside, mut all) = (Vec::new(), 0, 0);
    for name in NAMES {
        let compared = compare_seeds(&folder, name);
        missed.extend(compared.0);
        inside += compared.1;
        all += compared.2;
    }
    println!("{inside} of {all} metrics inside");
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(inside as f64 >= 0.85 * all as f64, "{inside} of {all}");
}
