//! `sfq` and `fq`: per-flow queues.

use super::TcOptions;
use super::error::{Refusal, TcError};
use super::fifo::packets;
use super::script::Qdisc;
use super::table::Table;
use super::units::{count, rate, size, time, time_ns};
use crate::units::{ByteCount, Rate, Span};

/// # Source
/// iproute2 6.1 `tc/q_sfq.c`; Linux 6.1 `net/sched/sch_sfq.c` (`sfq_init`, `sfq_change`), which limits the
/// given values.
pub(super) fn sfq(qdisc: &Qdisc<'_>, options: &TcOptions) -> Result<Table, Refusal> {
    const WORDS: &[&str] = &["limit", "depth", "flows", "divisor", "quantum", "perturb", "headdrop"];
    const MOST_DEPTH: u32 = 127;
    const MOST_FLOWS: u32 = 65_408;
    let (mut limit, mut depth, mut flows, mut divisor) = (127, MOST_DEPTH, 127, 1_024);
    let (mut quantum, mut perturb, mut head_drop) = (options.frame().clamp(256, 1 << 20), 0, false);
    let (mut given_limit, mut given_divisor) = (None, None);
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "limit" => given_limit = Some(packets(&mut words)?).filter(|limit| *limit != 0),
            "depth" => {
                depth = match packets(&mut words)? {
                    0 => depth,
                    given => given.min(MOST_DEPTH),
                }
            }
            "flows" => {
                flows = match count(words.value("a number")?)? {
                    0 => flows,
                    given => given.min(MOST_FLOWS),
                }
            }
            "divisor" => {
                let value = words.value("a number")?;
                divisor = count(value)?;
                if !divisor.is_power_of_two() || divisor > 65_536 {
                    return Err(value.bad("a power of two up to 65536", "1024"));
                }
                given_divisor = Some(divisor);
            }
            "quantum" => match size(words.value("a size")?)?.get() {
                0 => {}
                bytes => quantum = bytes.max(256),
            },
            "perturb" => perturb = count(words.value("a number of seconds")?)?,
            "headdrop" => head_drop = true,
            "min" | "max" | "avpkt" | "burst" | "probability" | "ecn" | "harddrop" | "redflowlimit" => {
                return Err(word.no_counterpart("`sfq` with `red` in each queue", "leave it out"));
            }
            _ => return Err(word.unknown("sfq", WORDS)),
        }
    }
    if given_divisor.is_some() {
        flows = flows.min(divisor);
    }
    if let Some(given) = given_limit {
        limit = given.min(depth.saturating_mul(flows));
        flows = flows.min(limit);
    }
    if limit == 1 {
        let what = "the kernel does not accept an `sfq` of 1 packet".to_owned();
        return Err(qdisc.kind.refuse(TcError::Refused { what, help: "write a `limit` of 2 or more" }));
    }
    let table = Table::of_kind("sfq")
        .with("limit", &limit)
        .with("depth", &depth)
        .with("flows", &flows)
        .with("divisor", &divisor)
        .with_size("quantum", ByteCount::new(quantum));
    let table = match perturb {
        0 => table,
        seconds => table.with("perturb", &format!("{seconds} s")),
    };
    Ok(table.with("head_drop", &head_drop))
}

/// # Source
/// iproute2 6.1 `tc/q_fq.c`; Linux 6.1 `net/sched/sch_fq.c` (`fq_init`, `fq_change`). A forwarded packet has
/// no departure time, so `horizon` has no effect; `buckets` affects only the speed of the kernel.
pub(super) fn fq(
    qdisc: &Qdisc<'_>,
    options: &TcOptions,
    remarks: &mut Vec<String>,
) -> Result<Table, Refusal> {
    const WORDS: &[&str] = &[
        "limit",
        "flow_limit",
        "quantum",
        "initial_quantum",
        "maxrate",
        "low_rate_threshold",
        "refill_delay",
        "timer_slack",
        "buckets",
        "orphan_mask",
        "ce_threshold",
        "horizon",
        "pacing",
        "nopacing",
    ];
    let (mut limit, mut flow_limit, mut orphan_mask) = (10_000, 100, 1_023);
    let (mut quantum, mut initial) = (2 * options.frame(), 10 * options.frame());
    let (mut max_rate, mut paced, mut ce_threshold) = (None::<Rate>, true, None);
    let mut low_rate = const { Rate::from_bps(550_000).expect("above zero") };
    let (mut refill, mut slack) = (Span::from_ns(40_000_000), Span::from_ns(10_000));
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "limit" => limit = packets(&mut words)?,
            "flow_limit" => flow_limit = packets(&mut words)?,
            "quantum" => {
                let value = words.value("a number of bytes")?;
                quantum = u64::from(count(value)?);
                if quantum == 0 || quantum > 1 << 20 {
                    return Err(value.bad("a quantum from 1 to 1048576 bytes", "3028"));
                }
            }
            "initial_quantum" => initial = u64::from(count(words.value("a number of bytes")?)?),
            "maxrate" => max_rate = Some(rate(words.value("a rate")?)?),
            "low_rate_threshold" => low_rate = rate(words.value("a rate")?)?,
            "refill_delay" => refill = time(words.value("a time")?)?,
            "timer_slack" => slack = time_ns(words.value("a time")?)?,
            "ce_threshold" => ce_threshold = Some(time(words.value("a time")?)?),
            "buckets" => {
                let value = words.value("a number")?;
                if !(2..=262_144).contains(&count(value)?) {
                    return Err(value.bad("a number of buckets from 2 to 262144", "1024"));
                }
            }
            "orphan_mask" => {
                let value = words.value("a number")?;
                orphan_mask = count(value)?;
                if orphan_mask >= 65_536 || !(orphan_mask + 1).is_power_of_two() {
                    return Err(value.bad("a mask of trailing ones, 65535 at most", "1023"));
                }
            }
            "horizon" => {
                time(words.value("a time")?)?;
            }
            "pacing" => paced = true,
            "nopacing" => paced = false,
            "horizon_drop" | "horizon_cap" => {}
            "defrate" => return Err(word.no_counterpart("the kernel ignores it", "leave it out")),
            _ => return Err(word.unknown("fq", WORDS)),
        }
    }
    if max_rate.is_some() && !paced {
        remarks.push("`nopacing` of fq makes the kernel ignore `maxrate`: the table has none".to_owned());
    }
    Ok(Table::of_kind("fq")
        .with("limit", &limit)
        .with("flow_limit", &flow_limit)
        .with("flows", &(orphan_mask + 1))
        .with_size("quantum", ByteCount::new(quantum))
        .with_size("initial_quantum", ByteCount::new(initial))
        .with_some("max_rate", max_rate.filter(|_| paced).as_ref())
        .with("low_rate_threshold", &low_rate)
        .with_span("refill_delay", refill)
        .with_span("timer_slack", slack)
        .with("hz", &options.hz)
        .with_some("ce_threshold", ce_threshold.as_ref()))
}
