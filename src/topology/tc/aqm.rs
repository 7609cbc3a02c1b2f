//! `codel`, `fq_codel`, `pie`, `fq_pie` and `red`: active queue management.

use super::TcOptions;
use super::error::{Refusal, TcError};
use super::fifo::packets;
use super::script::Qdisc;
use super::table::Table;
use super::units::{above_zero, count, rate, size, time};
use super::words::{Word, Words};
use crate::ptm::Buffer;
use crate::units::{ByteCount, Rate, Span};

const MILLISECOND: u64 = 1_000_000;

/// # Source
/// iproute2 6.1 `tc/q_codel.c`; Linux 6.1 `net/sched/sch_codel.c` (`codel_init`).
pub(super) fn codel(qdisc: &Qdisc<'_>, options: &TcOptions) -> Result<Table, Refusal> {
    const WORDS: &[&str] = &["limit", "target", "interval", "ecn", "noecn", "ce_threshold"];
    let mut limit = 1_000;
    let (mut target, mut interval) = (Span::from_ns(5 * MILLISECOND), Span::from_ns(100 * MILLISECOND));
    let (mut ecn, mut ce_threshold) = (false, None);
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "limit" => limit = packets(&mut words)?,
            "target" => target = time(words.value("a time")?)?,
            "interval" => {
                let value = words.value("a time")?;
                interval = above_zero(value, time(value)?, "a time above 0", "100ms")?;
            }
            "ce_threshold" => ce_threshold = Some(time(words.value("a time")?)?),
            "ecn" => ecn = true,
            "noecn" => ecn = false,
            _ => return Err(word.unknown("codel", WORDS)),
        }
    }
    Ok(Table::of_kind("codel")
        .with("buffer", &Buffer::Packets(limit.into()))
        .with_span("target", target)
        .with_span("interval", interval)
        .with_size("mtu", ByteCount::new(options.frame()))
        .with("ecn", &ecn)
        .with_some("ce_threshold", ce_threshold.as_ref()))
}

/// # Source
/// iproute2 6.1 `tc/q_fq_codel.c`; Linux 6.1 `net/sched/sch_fq_codel.c` (`fq_codel_init`, `fq_codel_change`).
pub(super) fn fq_codel(qdisc: &Qdisc<'_>, options: &TcOptions) -> Result<Table, Refusal> {
    const WORDS: &[&str] = &[
        "limit",
        "flows",
        "quantum",
        "target",
        "interval",
        "ecn",
        "noecn",
        "ce_threshold",
        "memory_limit",
        "drop_batch",
    ];
    let (mut limit, mut flows, mut quantum, mut batch) = (10_240, 1_024, options.frame(), 64);
    let (mut target, mut interval) = (Span::from_ns(5 * MILLISECOND), Span::from_ns(100 * MILLISECOND));
    let (mut memory, mut ecn, mut ce_threshold) = (ByteCount::new(32 << 20), true, None);
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "limit" => limit = packets(&mut words)?,
            "flows" => flows = count(words.value("a number")?)?,
            // The kernel uses 256 for smaller values.
            "quantum" => quantum = u64::from(count(words.value("a number of bytes")?)?.max(256)),
            "target" => target = time(words.value("a time")?)?,
            "interval" => {
                let value = words.value("a time")?;
                interval = above_zero(value, time(value)?, "a time above 0", "100ms")?;
            }
            "ce_threshold" => ce_threshold = Some(time(words.value("a time")?)?),
            "memory_limit" => memory = size(words.value("a size")?)?.min(ByteCount::new(1 << 31)),
            "drop_batch" => batch = packets(&mut words)?.max(1),
            "ecn" => ecn = true,
            "noecn" => ecn = false,
            "ce_threshold_selector" => {
                return Err(word.no_counterpart("a threshold for some packets only", "leave it out"));
            }
            _ => return Err(word.unknown("fq_codel", WORDS)),
        }
    }
    Ok(Table::of_kind("fq-codel")
        .with("limit", &limit)
        .with_size("memory_limit", memory)
        .with("flows", &flows)
        .with_size("quantum", ByteCount::new(quantum))
        .with("drop_batch", &batch)
        .with_span("target", target)
        .with_span("interval", interval)
        .with_size("mtu", ByteCount::new(options.frame()))
        .with("ecn", &ecn)
        .with_some("ce_threshold", ce_threshold.as_ref()))
}

/// The words common to `pie` and `fq_pie`. tc does not pass a 0, so the kernel's default stays.
struct Pie {
    limit: u32,
    target: Span,
    update: Span,
    alpha: u32,
    beta: u32,
    ecn: bool,
}

impl Pie {
    /// The kernel's defaults, except for the limit [packets].
    fn new(limit: u32) -> Self {
        let target = Span::from_ns(15 * MILLISECOND);
        Pie { limit, target, update: target, alpha: 2, beta: 20, ecn: false }
    }

    /// Reads a word. Returns whether it is one of these.
    fn read(&mut self, word: Word<'_>, words: &mut Words<'_>) -> Result<bool, Refusal> {
        match word.text {
            "limit" => unless_zero(&mut self.limit, packets(words)?),
            "target" => unless_zero(&mut self.target, time(words.value("a time")?)?),
            "tupdate" => unless_zero(&mut self.update, time(words.value("a time")?)?),
            "alpha" => unless_zero(&mut self.alpha, weight(words.value("a number")?)?),
            "beta" => unless_zero(&mut self.beta, weight(words.value("a number")?)?),
            "ecn" => self.ecn = true,
            "noecn" => self.ecn = false,
            "nobytemode" | "no_dq_rate_estimator" => {}
            "bytemode" => {
                return Err(word.no_counterpart("a drop probability by the packet's length", "leave it out"));
            }
            "dq_rate_estimator" => {
                return Err(word.no_counterpart("a waiting time from the rate of departures", "leave it out"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Adds its keys, but for the limit.
    fn add_to(&self, table: Table, options: &TcOptions) -> Table {
        table
            .with_span("target", self.target)
            .with_span("t_update", self.update)
            .with_span("max_burst", Span::from_ns(150 * MILLISECOND))
            .with("alpha", &(f64::from(self.alpha) / 16.0))
            .with("beta", &(f64::from(self.beta) / 16.0))
            .with_size("mtu", ByteCount::new(options.frame()))
            .with("ecn", &self.ecn)
    }
}

fn unless_zero<T: PartialEq + Default>(parameter: &mut T, given: T) {
    if given != T::default() {
        *parameter = given;
    }
}

/// A weight of PIE, in sixteenths.
fn weight(word: Word<'_>) -> Result<u32, Refusal> {
    Some(count(word)?).filter(|weight| *weight <= 32).ok_or_else(|| word.bad("a number up to 32", "2"))
}

/// # Source
/// iproute2 6.1 `tc/q_pie.c`; Linux 6.1 `net/sched/sch_pie.c` (`pie_change`, `pie_drop_early`) and
/// `include/net/pie.h` (`pie_params_init`): alpha and beta count sixteenths, and with less than two of the
/// longest frames waiting nothing is dropped.
pub(super) fn pie(qdisc: &Qdisc<'_>, options: &TcOptions) -> Result<Table, Refusal> {
    const WORDS: &[&str] = &["limit", "target", "tupdate", "alpha", "beta", "ecn", "noecn"];
    let mut pie = Pie::new(1_000);
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        if !pie.read(word, &mut words)? {
            return Err(word.unknown("pie", WORDS));
        }
    }
    let table = Table::of_kind("pie").with("buffer", &Buffer::Packets(pie.limit.into()));
    Ok(pie.add_to(table, options).with("hz", &options.hz))
}

/// # Source
/// iproute2 6.1 `tc/q_fq_pie.c`; Linux 6.1 `net/sched/sch_fq_pie.c` (`fq_pie_init`, `fq_pie_change`).
pub(super) fn fq_pie(
    qdisc: &Qdisc<'_>,
    options: &TcOptions,
    remarks: &mut Vec<String>,
) -> Result<Table, Refusal> {
    const WORDS: &[&str] = &[
        "limit",
        "flows",
        "target",
        "tupdate",
        "alpha",
        "beta",
        "quantum",
        "memory_limit",
        "ecn_prob",
        "ecn",
        "noecn",
    ];
    const MOST_FLOWS: u32 = 65_536;
    const MOST_QUANTUM: u64 = 1 << 20;
    let mut pie = Pie::new(10_240);
    let (mut flows, mut quantum, mut ecn_percent) = (1_024, options.frame().clamp(256, MOST_QUANTUM), 10);
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "flows" => {
                let value = words.value("a number")?;
                let given = Some(count(value)?).filter(|flows| *flows <= MOST_FLOWS);
                unless_zero(&mut flows, given.ok_or_else(|| value.bad("a number up to 65536", "1024"))?);
            }
            "quantum" => {
                let value = words.value("a size")?;
                let bytes = size(value)?.get();
                if bytes > MOST_QUANTUM {
                    return Err(value.bad("a quantum up to 1 MiB", "1514"));
                }
                // The kernel uses 256 for smaller values.
                unless_zero(&mut quantum, if bytes == 0 { 0 } else { bytes.max(256) });
            }
            "memory_limit" => {
                if size(words.value("a size")?)? > ByteCount::ZERO {
                    remarks.push(MEMORY_LIMIT.to_owned());
                }
            }
            "ecn_prob" => {
                let value = words.value("a percentage")?;
                let percent = Some(count(value)?).filter(|percent| *percent < 100);
                unless_zero(&mut ecn_percent, percent.ok_or_else(|| value.bad("a number up to 99", "10"))?);
            }
            _ if pie.read(word, &mut words)? => {}
            _ => return Err(word.unknown("fq_pie", WORDS)),
        }
    }
    let table = Table::of_kind("fq-pie")
        .with("limit", &pie.limit)
        .with("flows", &flows)
        .with_size("quantum", ByteCount::new(quantum));
    Ok(pie
        .add_to(table, options)
        .with("mark_ecnth", &(f64::from(ecn_percent) / 100.0))
        .with("hz", &options.hz))
}

const MEMORY_LIMIT: &str =
    "`memory_limit` of `fq_pie` is left out: the kernel counts packets above it, but does not drop them";

/// The parameters of `red` as tc calculates them.
struct Red {
    limit: u64,
    min: u64,
    max: u64,
    mean: u64,
    burst: u32,
    probability: f64,
}

/// # Source
/// iproute2 6.1 `tc/q_red.c` (`red_parse_opt`): without `max` a quarter of the limit, or three times `min`;
/// without `min` a third of `max`; without `burst` (2 min + max) / (3 avpkt).
pub(super) fn red(qdisc: &Qdisc<'_>, remarks: &mut Vec<String>) -> Result<Table, Refusal> {
    const WORDS: &[&str] =
        &["limit", "min", "max", "avpkt", "burst", "probability", "bandwidth", "ecn", "harddrop", "adaptive"];
    let mut red = Red { limit: 0, min: 0, max: 0, mean: 0, burst: 0, probability: 0.02 };
    let mut bandwidth = const { Rate::from_bps(10_000_000).expect("above zero") };
    let (mut ecn, mut hard_drop, mut adaptive) = (false, false, false);
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "limit" => red.limit = size(words.value("a size")?)?.get(),
            "min" => red.min = size(words.value("a size")?)?.get(),
            "max" => red.max = size(words.value("a size")?)?.get(),
            "avpkt" => red.mean = size(words.value("a size")?)?.get(),
            "burst" => red.burst = packets(&mut words)?,
            "probability" => red.probability = probability(words.value("a probability")?)?,
            "bandwidth" => bandwidth = rate(words.value("a rate")?)?,
            "ecn" => ecn = true,
            "harddrop" => hard_drop = true,
            "adaptive" | "adaptative" => adaptive = true,
            "nodrop" => {
                return Err(
                    word.no_counterpart("packets that cannot be marked are not dropped", "leave it out")
                );
            }
            "qevent" => return Err(word.no_counterpart("an action at a drop", "leave it out")),
            _ => return Err(word.unknown("red", WORDS)),
        }
    }
    let required = |key| qdisc.kind.refuse(TcError::Required { kind: "red", key });
    if red.limit == 0 {
        return Err(required("limit"));
    }
    if red.mean == 0 {
        return Err(required("avpkt"));
    }
    red.fill();
    if red.min > red.max {
        let what = format!("`min` of `red`, {} bytes, is above `max`, {} bytes", red.min, red.max);
        return Err(qdisc
            .kind
            .refuse(TcError::Refused { what, help: "write a `max` above `min`: 3 times is usual" }));
    }
    let refused = |what: &str, help| qdisc.kind.refuse(TcError::Refused { what: what.to_owned(), help });
    let weight = red.weight_log().ok_or_else(|| {
        refused("tc finds no averaging weight for this `burst`", "write a `burst` above min / avpkt")
    })?;
    let max_p = red.max_p().ok_or_else(|| {
        refused("tc finds no logarithm of this `probability`", "write a larger one, such as 0.02")
    })?;
    if adaptive {
        remarks.push(ADAPTIVE.to_owned());
    }
    Ok(Table::of_kind("red")
        .with_size("min", ByteCount::new(red.min))
        .with_size("max", ByteCount::new(red.max))
        .with("max_p", &max_p)
        .with("weight", &libm::ldexp(1.0, -weight))
        .with("ecn", &ecn)
        .with("hard_drop", &hard_drop)
        .with_size("mean_packet", ByteCount::new(red.mean))
        .with("bandwidth", &bandwidth)
        .with_size("buffer", ByteCount::new(red.limit)))
}

/// tc passes the flag in an attribute since iproute2 5.7; the kernel stores it, and starts the timer only
/// if the flag is set in the older structure (`net/sched/sch_red.c`, `__red_change`).
const ADAPTIVE: &str = "`adaptive` of `red` has no effect with iproute2 5.7 and later: the kernel does not start its timer; \
    write adaptive = true for the rule";

fn probability(word: Word<'_>) -> Result<f64, Refusal> {
    let number = word.text.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| word.bad("a probability from 0 to 1", "0.02"))
}

impl Red {
    /// Sets missing parameters.
    fn fill(&mut self) {
        if self.max == 0 {
            self.max = if self.min > 0 { self.min * 3 } else { self.limit / 4 };
        }
        if self.min == 0 {
            self.min = self.max / 3;
        }
        if self.burst == 0 {
            self.burst = u32::try_from((2 * self.min + self.max) / (3 * self.mean)).unwrap_or(u32::MAX);
        }
    }

    /// The logarithm of one over the weight: the minimum with which a burst after an empty queue stays below
    /// `min`.
    ///
    /// # Source
    /// iproute2 6.1 `tc/tc_red.c` (`tc_red_eval_ewma`).
    fn weight_log(&self) -> Option<i32> {
        let above = f64::from(self.burst) + 1.0 - self.min as f64 / self.mean as f64;
        let fits = |log: &i32| {
            let weight = libm::ldexp(1.0, -log);
            above <= (1.0 - libm::pow(1.0 - weight, self.burst.into())) / weight
        };
        (1..32).find(fits).filter(|_| above >= 1.0)
    }

    /// The probability at `max`. tc passes it in units of 2^-32 in 32 bits, where 1 does not fit and becomes
    /// 0 (on x86); the kernel then takes the power of two that tc passes as well.
    ///
    /// # Source
    /// iproute2 6.1 `tc/q_red.c` and `tc/tc_red.c` (`tc_red_eval_P`); Linux 6.1 `include/net/red.h`
    /// (`red_set_parms`).
    fn max_p(&self) -> Option<f64> {
        let width = (self.max - self.min) as f64;
        if width == 0.0 {
            return Some(self.probability).filter(|probability| *probability > 0.0);
        }
        let log = (0..32).find(|log| libm::ldexp(self.probability / width, *log) > 1.0)?;
        Some(if self.probability == 1.0 { libm::ldexp(width, -log) } else { self.probability })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn red_is_worked_out_as_tc_does() {
        let red =
            |min, max, mean, burst, probability| Red { limit: 400_000, min, max, mean, burst, probability };
        assert_eq!(red(30_000, 90_000, 1_000, 55, 0.02).weight_log(), Some(5));
        assert_eq!(red(5_000, 30_000, 1_000, 30, 0.1).weight_log(), Some(7));
        let dctcp = red(30_000, 30_100, 1_500, 21, 1.0);
        assert_eq!((dctcp.weight_log(), dctcp.max_p()), (Some(2), Some(0.78125)));
        assert_eq!(red(30_000, 90_000, 1_000, 20, 0.02).weight_log(), None, "a burst below min / avpkt");
        assert_eq!(red(30_000, 90_000, 1_000, 55, 0.0).max_p(), None);
        let mut unsaid = red(0, 0, 1_000, 0, 0.02);
        unsaid.fill();
        assert_eq!((unsaid.min, unsaid.max, unsaid.burst), (33_333, 100_000, 55));
    }
}
