//! The metrics of a comparison, each with its meaning.

use super::model::Measured;
use super::text::{percent, seconds, seconds_between};
use crate::compare::{Confidence, Interval};

/// A metric as the page shows it.
pub(super) struct Metric {
    pub name: &'static str,
    pub value: String,
    /// Its confidence interval, if there is one.
    pub interval: Option<String>,
    pub meaning: &'static str,
}

/// A row of delays: name, simulated, measured, error, and the interval of the error.
pub(super) struct Statistic {
    pub name: &'static str,
    pub simulated: String,
    pub measured: String,
    pub error: String,
    pub interval: String,
    pub meaning: &'static str,
}

const UNDEFINED: &str = "undefined";

fn number(value: Option<f64>) -> String {
    value.map_or(UNDEFINED.to_owned(), |value| format!("{value:.4}"))
}

/// The metrics of the agreement of both sides.
pub(super) fn agreement(measured: &Measured) -> Vec<Metric> {
    let Some(delays) = &measured.delays else { return Vec::new() };
    let agreement = &delays.agreement;
    let confidence = delays.confidence.as_ref();
    let plain = |of: fn(&Confidence) -> Option<Interval>| {
        confidence.and_then(of).map(|Interval { low, high }| format!("{low:.4} to {high:.4}"))
    };
    let of_time = |of: fn(&Confidence) -> Option<Interval>| {
        confidence.and_then(of).map(|Interval { low, high }| seconds_between(low, high))
    };
    let mut metrics = vec![
        Metric {
            name: "w1_normalized",
            value: number(agreement.w1_normalized),
            interval: plain(|found| found.w1_normalized),
            meaning: "Wasserstein-1 distance of the two distributions as a fraction of the mean measured delay: how \
                      far delays must move to turn one into the other; 0 is perfect.",
        },
        Metric {
            name: "pearson",
            value: number(agreement.pearson),
            interval: plain(|found| found.pearson),
            meaning: "Correlation of simulated and measured delays over packets; 1 is perfect, 0 is no linear relation.",
        },
        Metric {
            name: "spearman",
            value: number(agreement.spearman),
            interval: plain(|found| found.spearman),
            meaning: "Correlation of the ranks of delays: whether the order of packets from fast to slow is right, \
                      whatever the size of the delays.",
        },
        Metric {
            name: "ks",
            value: number(Some(agreement.ks)),
            interval: plain(|found| found.ks),
            meaning: "Maximum difference of the two cumulative distributions (Kolmogorov-Smirnov distance). It \
                      detects small shifts of many packets that hardly change w1_normalized.",
        },
        Metric {
            name: "mean absolute error",
            value: seconds(agreement.mae_s),
            interval: of_time(|found| found.mae_s),
            meaning: "Mean absolute difference of the simulated and the measured delay of a packet.",
        },
        Metric {
            name: "median absolute error",
            value: seconds(agreement.median_abs_error_s),
            interval: of_time(|found| found.median_abs_error_s),
            meaning: "Half of the packets have a smaller error.",
        },
        Metric {
            name: "p99 absolute error",
            value: seconds(agreement.p99_abs_error_s),
            interval: of_time(|found| found.p99_abs_error_s),
            meaning: "99 % of the packets have a smaller error.",
        },
    ];
    if let Some(over_time) = &measured.over_time {
        let time = |value: Option<f64>| value.map_or(UNDEFINED.to_owned(), seconds);
        metrics.extend([
            Metric {
                name: "delay over time",
                value: number(over_time.delay_pearson),
                interval: None,
                meaning: "Correlation of the mean delays in windows of time: whether busy times are busy on both sides.",
            },
            Metric {
                name: "delay error over time",
                value: time(over_time.delay_mae_s),
                interval: None,
                meaning: "Mean absolute difference of the mean delays in windows of time.",
            },
            Metric {
                name: "rate over time",
                value: number(over_time.rate_pearson),
                interval: None,
                meaning: "Correlation of the packets per window of time.",
            },
            Metric {
                name: "bit rate over time",
                value: number(over_time.bit_rate_pearson),
                interval: None,
                meaning: "Correlation of the bits per window of time.",
            },
        ]);
    }
    metrics
}

/// The statistics of delays on both sides.
pub(super) fn statistics(measured: &Measured) -> Vec<Statistic> {
    let Some(delays) = &measured.delays else { return Vec::new() };
    let (x, y, error) = (&delays.delay_s.simulated, &delays.delay_s.measured, &delays.relative_error);
    let of = |found: Option<Interval>| {
        found.map_or(String::new(), |Interval { low, high }| format!("{} to {}", percent(low), percent(high)))
    };
    let intervals = delays.confidence.as_ref().map(|found| found.relative_error);
    let row = |name, simulated, measured, error: Option<f64>, interval, meaning| Statistic {
        name,
        simulated: seconds(simulated),
        measured: seconds(measured),
        error: error.map_or(UNDEFINED.to_owned(), percent),
        interval,
        meaning,
    };
    let mut rows = vec![
        row(
            "mean",
            x.mean,
            y.mean,
            error.mean,
            of(intervals.and_then(|found| found.mean)),
            "Mean one-way delay (RFC 7679).",
        ),
        row(
            "p50",
            x.p50,
            y.p50,
            error.p50,
            of(intervals.and_then(|found| found.p50)),
            "Half of the packets take no longer.",
        ),
        row(
            "p90",
            x.p90,
            y.p90,
            error.p90,
            of(intervals.and_then(|found| found.p90)),
            "90 % of the packets take no longer.",
        ),
        row(
            "p99",
            x.p99,
            y.p99,
            error.p99,
            of(intervals.and_then(|found| found.p99)),
            "99 % of the packets take no longer.",
        ),
        row(
            "p99.9",
            x.p999,
            y.p999,
            error.p999,
            of(intervals.and_then(|found| found.p999)),
            "99.9 % of the packets take no longer.",
        ),
        row("max", x.max, y.max, relative(x.max, y.max), String::new(), "The slowest packet."),
    ];
    if let (Some(simulated), Some(measured)) = (delays.jitter_s.simulated, delays.jitter_s.measured) {
        let meaning = "Mean absolute difference of the delays of consecutive packets of a flow.";
        rows.push(row("jitter", simulated, measured, relative(simulated, measured), String::new(), meaning));
    }
    if let (Some(x), Some(y)) = (&delays.ipdv_s.simulated, &delays.ipdv_s.measured) {
        let least =
            "IPDV (RFC 3393): 1st percentile of the delay minus that of the previous packet of the flow.";
        let most =
            "IPDV (RFC 3393): 99th percentile of the delay minus that of the previous packet of the flow.";
        rows.push(row("IPDV p1", x.p1, y.p1, relative(x.p1, y.p1), String::new(), least));
        rows.push(row("IPDV p99", x.p99, y.p99, relative(x.p99, y.p99), String::new(), most));
    }
    let (x, y) = (&delays.pdv_s.simulated, &delays.pdv_s.measured);
    let meaning = "PDV (RFC 5481): 99th percentile of the delay minus the minimum delay.";
    rows.push(row("PDV p99", x.p99, y.p99, relative(x.p99, y.p99), String::new(), meaning));
    rows
}

fn relative(simulated: f64, measured: f64) -> Option<f64> {
    (measured != 0.0).then(|| (simulated - measured) / measured)
}
