//! `pfifo`, `bfifo` and `tbf`.

use super::TcOptions;
use super::error::{Refusal, TcError};
use super::script::Qdisc;
use super::table::Table;
use super::units::{above_zero, count, rate, signed, size, time};
use crate::ptm::Buffer;
use crate::units::{ByteCount, Rate};

/// The limit of a `pfifo` or `bfifo`.
///
/// # Source
/// Linux 6.1 `net/sched/sch_fifo.c` (`__fifo_init`): without `limit`, as many packets as the device's
/// `txqueuelen`, or that many of the longest frames.
pub(super) fn limit(qdisc: &Qdisc<'_>, options: &TcOptions) -> Result<Buffer, Refusal> {
    let by_packets = qdisc.kind.text == "pfifo";
    let mut words = qdisc.options.clone();
    let mut limit = match by_packets {
        true => Buffer::Packets(options.txqueuelen.into()),
        false => Buffer::Bytes(ByteCount::new(u64::from(options.txqueuelen) * options.frame())),
    };
    while let Some(word) = words.next() {
        if word.text != "limit" {
            return Err(word.unknown(qdisc.kind.text, &["limit"]));
        }
        let value = words.value("a limit")?;
        let number = size(value)?;
        limit = if by_packets { Buffer::Packets(number.get()) } else { Buffer::Bytes(number) };
    }
    Ok(limit)
}

/// A token bucket. Its queue is that of its class, if there is one.
///
/// # Source
/// iproute2 6.1 `tc/q_tbf.c` (`tbf_parse_opt`).
pub(super) fn tbf(qdisc: &Qdisc<'_>, with_limit: bool) -> Result<Table, Refusal> {
    const WORDS: &[&str] = &["rate", "burst", "buffer", "maxburst", "limit", "latency"];
    let (mut speed, mut burst, mut limit, mut latency) = (None::<Rate>, None::<ByteCount>, None, None);
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "rate" => speed = Some(rate(words.value("a rate")?)?),
            "burst" | "buffer" | "maxburst" => {
                let value = words.value("a size")?;
                burst = Some(above_zero(value, size(value)?, "a bucket above 0 bytes", "2000")?);
            }
            "limit" => limit = Some((word, size(words.value("a size")?)?)),
            "latency" => latency = Some((word, time(words.value("a time")?)?)),
            "peakrate" | "mtu" | "minburst" => {
                return Err(word.no_counterpart("a second bucket for the peak rate", "leave it out"));
            }
            "overhead" | "mpu" | "linklayer" => rate_table_word(word.text, words.value("a value")?)?,
            _ => return Err(word.unknown("tbf", WORDS)),
        }
    }
    let required = |key| qdisc.kind.refuse(TcError::Required { kind: "tbf", key });
    let speed = speed.ok_or_else(|| required("rate"))?;
    let burst = burst.ok_or_else(|| required("burst"))?;
    let bytes = match (limit, latency) {
        (Some(_), Some((word, _))) => {
            let what = "`limit` and `latency` both set the queue size".to_owned();
            return Err(word.refuse(TcError::Refused { what, help: "keep one of them" }));
        }
        (Some((_, limit)), None) => limit.get(),
        (None, Some((_, latency))) => {
            let us = (latency.as_ps() / 1_000_000) as f64;
            ((speed.as_bps() / 8) as f64 * us / 1e6 + burst.get() as f64) as u64
        }
        (None, None) => return Err(required("limit` or `latency")),
    };
    let table = Table::of_kind("token-bucket").with("rate", &speed).with_size("burst", burst);
    Ok(if with_limit { table.with_size("buffer", ByteCount::new(bytes)) } else { table })
}

/// `overhead`, `mpu` and `linklayer` of a rate: they change the time that a packet takes, but not the queue.
pub(super) fn rate_table_word(name: &str, value: super::words::Word<'_>) -> Result<(), Refusal> {
    let changes_nothing = match name {
        "linklayer" => value.text == "ethernet",
        "mpu" => size(value)? == ByteCount::ZERO,
        _ => signed(value)? == 0,
    };
    if changes_nothing {
        return Ok(());
    }
    let what = format!("`{name}` of a rate has no counterpart in taunet");
    let help = "use `stab` at the root: it also counts in queues";
    Err(value.refuse(TcError::Refused { what, help }))
}

/// The number of packets after a word.
pub(super) fn packets(words: &mut super::words::Words<'_>) -> Result<u32, Refusal> {
    count(words.value("a number of packets")?)
}
