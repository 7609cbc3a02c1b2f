//! The charts on the page of a run.

use super::page::Chart;

pub(super) const CUMULATED: Chart = Chart {
    kind: "cumulated",
    title: "Delay distribution",
    note: "Fraction of packets whose delay does not exceed the value below.",
    wide: false,
};
pub(super) const CCDF: Chart = Chart {
    kind: "ccdf",
    title: "Delay distribution, CCDF",
    note: "Fraction of packets whose delay exceeds the value below, on logarithmic axes.",
    wide: false,
};
pub(super) const OVER_TIME: Chart = Chart {
    kind: "delays",
    title: "Delay over time",
    note: "Each packet at the time it was sent. Where packets are closer than pixels, from the minimum to the maximum. Drag to zoom.",
    wide: true,
};
pub(super) const QUANTILES: Chart = Chart {
    kind: "quantiles",
    title: "Quantile against quantile",
    note: "On the diagonal, both distributions have the same quantile. Above it, the simulation is slower.",
    wide: false,
};
pub(super) const ERRORS: Chart = Chart {
    kind: "errors",
    title: "Error per packet",
    note: "Simulated minus measured delay. The outermost bars include the 0.5 % of packets beyond them.",
    wide: false,
};
pub(super) const RATE: Chart =
    Chart { kind: "rate", title: "Packet rate over time", note: "In windows of equal length.", wide: false };
pub(super) const BIT_RATE: Chart = Chart {
    kind: "bits",
    title: "Bit rate over time",
    note: "Lengths on the wire, in the same windows.",
    wide: false,
};
pub(super) const MEASURED_GOODPUT: Chart = Chart {
    kind: "goodput",
    title: "Goodput over time",
    note: "TCP payload that passes for the first time; acknowledged bytes for flows without payload here.",
    wide: false,
};
pub(super) const LOSSES: Chart = Chart {
    kind: "losses",
    title: "Loss over time",
    note: "Packets lost in percent of the packets sent, by the time they were sent.",
    wide: false,
};
pub(super) const DROPS: Chart = Chart {
    kind: "drops",
    title: "Loss over time",
    note: "Packets dropped anywhere in the network, in percent of the packets dropped or delivered in the window.",
    wide: false,
};
pub(super) const CWND: Chart = Chart {
    kind: "cwnd",
    title: "Congestion window over time",
    note: "Where it changes faster than pixels, from the minimum to the maximum. Drag to zoom.",
    wide: true,
};
pub(super) const GOODPUT: Chart = Chart {
    kind: "goodput",
    title: "Goodput over time",
    note: "Bytes of the stream that the receiver acknowledges, in windows of equal length.",
    wide: false,
};
pub(super) const RTT: Chart = Chart {
    kind: "rtt",
    title: "Round-trip time over time",
    note: "As smoothed by the sender.",
    wide: false,
};
pub(super) const ARRIVED: Chart = Chart {
    kind: "goodput",
    title: "Throughput over time",
    note: "Lengths on the wire of packets that arrive, in windows of equal length.",
    wide: true,
};
