//! `netem`: delay, loss and reordering.

use super::error::{Refusal, TcError};
use super::script::Qdisc;
use super::table::Table;
use super::units::{above_zero, count, percent, rate, signed, size, time, time_ns};
use super::words::{Word, Words};
use crate::ptm::psched::{NS_PER_TICK, whole_ticks};
use crate::units::{ByteCount, Span};

const WORDS: &[&str] =
    &["limit", "delay", "latency", "distribution", "loss", "drop", "ecn", "reorder", "gap", "rate", "slot"];

/// The distribution tables of tc that netem supports; without one the delay is uniform.
const DISTRIBUTIONS: &[&str] = &["normal", "pareto", "paretonormal"];

/// The given parameters of `netem`.
#[derive(Default)]
struct Netem<'a> {
    limit: Option<u64>,
    delay: Option<Span>,
    jitter: Option<Span>,
    correlation: Option<f64>,
    distribution: Option<Word<'a>>,
    /// The value of `loss`, as TOML.
    loss: Option<String>,
    loss_correlation: Option<f64>,
    ecn: Option<Word<'a>>,
    reorder: Option<f64>,
    reorder_correlation: Option<f64>,
    gap: Option<(Word<'a>, u32)>,
    rate: Option<Table>,
    slot: Option<Table>,
}

/// # Source
/// iproute2 6.1 `tc/q_netem.c` (`netem_parse_opt`).
pub(super) fn netem(qdisc: &Qdisc<'_>, remarks: &mut Vec<String>) -> Result<Table, Refusal> {
    let mut netem = Netem::default();
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "limit" => netem.limit = Some(size(words.value("a number of packets")?)?.get()),
            "delay" | "latency" => netem.read_delay(&mut words, remarks)?,
            "distribution" => netem.distribution = Some(words.value("a distribution, such as `normal`")?),
            "loss" | "drop" => netem.read_loss(&mut words)?,
            "ecn" => netem.ecn = Some(word),
            "reorder" => {
                netem.reorder = Some(percent(words.value("a percentage")?)?);
                netem.reorder_correlation = words.number().map(percent).transpose()?;
            }
            "gap" => netem.gap = Some((word, count(words.value("a number of packets")?)?)),
            "rate" => netem.rate = Some(pace(&mut words)?),
            "slot" => netem.slot = Some(slot(&mut words)?),
            "duplicate" => return Err(word.no_counterpart("a packet leaves a port once", "leave it out")),
            "corrupt" => return Err(word.no_counterpart("packets have no content", "leave it out")),
            "seed" => return Err(word.no_counterpart("a run has a seed", "write `seed` in the scenario")),
            _ => return Err(word.unknown("netem", WORDS)),
        }
    }
    netem.check(qdisc)?;
    Ok(netem.into_table())
}

/// A delay as tc passes it to the kernel: whole microseconds, in whole ticks of 64 ns.
///
/// # Source
/// iproute2 6.1 `tc/q_netem.c` (`get_ticks`).
fn in_ticks(word: Word<'_>, remarks: &mut Vec<String>) -> Result<Span, Refusal> {
    let whole_us = time(word)?;
    let ticks = whole_ticks((whole_us.as_ps() / 1_000_000).into());
    let told = Span::from_ns(ticks * NS_PER_TICK);
    if told != whole_us {
        remarks.push(format!("tc passes {told} to the kernel for `{}`: whole ticks of 64 ns", word.text));
    }
    Ok(told)
}

impl<'a> Netem<'a> {
    fn read_delay(&mut self, words: &mut Words<'a>, remarks: &mut Vec<String>) -> Result<(), Refusal> {
        self.delay = Some(in_ticks(words.value("a time")?, remarks)?);
        self.jitter = words.number().map(|word| in_ticks(word, remarks)).transpose()?;
        if self.jitter.is_some() {
            self.correlation = words.number().map(percent).transpose()?;
        }
        Ok(())
    }

    fn read_loss(&mut self, words: &mut Words<'a>) -> Result<(), Refusal> {
        let model = words.value("a percentage, `random`, `state` or `gemodel`")?;
        let chance = match model.text {
            "state" => {
                let p13 = percent(words.value("a percentage")?)?;
                // Defaults: return from loss in the remaining cases, no bursts of reception, no single
                // losses.
                let mut table = Table::default().with("model", &"state").with("p13", &p13);
                for (key, otherwise) in [("p31", 1.0 - p13), ("p32", 0.0), ("p23", 1.0), ("p14", 0.0)] {
                    table.set(key, &words.number().map(percent).transpose()?.unwrap_or(otherwise));
                }
                self.loss = Some(table.inline());
                return Ok(());
            }
            "gemodel" => {
                let p = percent(words.value("a percentage")?)?;
                let r = words.number().map(percent).transpose()?.unwrap_or(1.0 - p);
                let loss_in_bad = words.number().map(percent).transpose()?.unwrap_or(1.0);
                let loss_in_good = words.number().map(percent).transpose()?.unwrap_or(0.0);
                let table = Table::default().with("model", &"gemodel").with("p", &p).with("r", &r);
                let table = table.with("1-h", &loss_in_bad).with("1-k", &loss_in_good);
                self.loss = Some(table.inline());
                return Ok(());
            }
            "random" => words.value("a percentage")?,
            _ => model,
        };
        self.loss = Some(crate::config::toml_value(&percent(chance)?));
        self.loss_correlation = words.number().map(percent).transpose()?;
        Ok(())
    }

    /// Checks the conditions of tc.
    fn check(&mut self, qdisc: &Qdisc<'a>) -> Result<(), Refusal> {
        let refuse =
            |at: Word<'_>, what: &str, help| Err(at.refuse(TcError::Refused { what: what.to_owned(), help }));
        let is_some_time = |time: Option<Span>| time.is_some_and(|time| time != Span::ZERO);
        let reorders = self.reorder.is_some_and(|chance| chance > 0.0);
        if reorders && !is_some_time(self.delay) {
            return refuse(
                qdisc.kind,
                "`reorder` needs a delay, which a reordered packet does not have",
                "add `delay`",
            );
        }
        match self.gap {
            Some((at, gap)) if !reorders && gap > 0 => {
                return refuse(at, "`gap` needs `reorder`", "add `reorder` with a percentage");
            }
            Some((_, 0)) | None => self.gap = reorders.then_some((qdisc.kind, 1)),
            _ => {}
        }
        if let (Some(at), None) = (self.ecn, &self.loss) {
            return refuse(
                at,
                "`ecn` marks instead of losing: it needs `loss`",
                "add `loss` with a percentage",
            );
        }
        if let Some(name) = self.distribution {
            if !is_some_time(self.delay) || !is_some_time(self.jitter) {
                return refuse(
                    name,
                    "`distribution` needs a delay and a jitter",
                    "write `delay 20ms 5ms distribution normal`",
                );
            }
            distribution(name)?;
        }
        Ok(())
    }

    fn into_table(self) -> Table {
        let mut table = Table::of_kind("netem").with("limit", &self.limit.unwrap_or(1_000));
        if let Some(delay) = self.delay {
            table = table.with_span("delay", delay);
        }
        if let Some(jitter) = self.jitter {
            table = table.with_span("jitter", jitter);
            let distribution = self.distribution.map_or("uniform", |name| name.text);
            table =
                table.with_some("correlation", self.correlation.as_ref()).with("distribution", &distribution);
        }
        if let Some(loss) = self.loss {
            table.set_text("loss", loss);
        }
        table = table.with_some("loss_correlation", self.loss_correlation.as_ref());
        if self.ecn.is_some() {
            table.set("ecn", &true);
        }
        table = table
            .with_some("reorder", self.reorder.as_ref())
            .with_some("reorder_correlation", self.reorder_correlation.as_ref());
        if let Some((_, gap)) = self.gap {
            table.set("gap", &gap);
        }
        if let Some(rate) = self.rate {
            table.append(rate);
        }
        if let Some(slot) = self.slot {
            table.set_text("slot", slot.inline());
        }
        table
    }
}

/// `rate RATE [PACKETOVERHEAD [CELLSIZE [CELLOVERHEAD]]]`
fn pace(words: &mut Words<'_>) -> Result<Table, Refusal> {
    let mut table = Table::default().with("rate", &rate(words.value("a rate")?)?);
    let Some(overhead) = words.number() else { return Ok(table) };
    table.set("packet_overhead", &format!("{} B", signed(overhead)?));
    let Some(cell) = words.number() else { return Ok(table) };
    table.set_size("cell_size", ByteCount::new(count(cell)?.into()));
    let Some(overhead) = words.number() else { return Ok(table) };
    table.set("cell_overhead", &format!("{} B", signed(overhead)?));
    Ok(table)
}

/// The name of a distribution.
fn distribution<'a>(name: Word<'a>) -> Result<&'a str, Refusal> {
    match DISTRIBUTIONS.contains(&name.text) {
        true => Ok(name.text),
        false => Err(name.unknown("distribution", DISTRIBUTIONS)),
    }
}

/// `slot MIN [MAX] [packets N] [bytes N]`, or `slot distribution NAME DELAY JITTER [packets N] [bytes N]`
fn slot(words: &mut Words<'_>) -> Result<Table, Refusal> {
    let first = words.value("a time, or `distribution`")?;
    let mut table = if first.text == "distribution" {
        let name = distribution(words.value("a distribution, such as `normal`")?)?;
        let delay = time_ns(words.value("a time")?)?;
        let jitter = time_ns(words.value("a time")?)?;
        let table = Table::default().with("distribution", &name);
        table.with_span("delay", delay).with_span("jitter", jitter)
    } else {
        let min = time_ns(first)?;
        // A maximum below the minimum is replaced by the minimum.
        let max = words.number().map(time_ns).transpose()?.unwrap_or(min).max(min);
        Table::default().with_span("min_delay", min).with_span("max_delay", max)
    };
    while let Some(word) = words.peek() {
        match word.text {
            "packets" => {
                words.next();
                let value = words.value("a number of packets")?;
                table.set("packets", &above_zero(value, count(value)?, "a number above 0", "16")?);
            }
            "bytes" => {
                words.next();
                let value = words.value("a number of bytes")?;
                table.set_size(
                    "bytes",
                    ByteCount::new(above_zero(value, count(value)?, "a number above 0", "1514")?.into()),
                );
            }
            _ => break,
        }
    }
    Ok(table)
}
