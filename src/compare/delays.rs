//! All metrics of the delays of the same packets, simulated and measured.

use serde::{Deserialize, Serialize};

use super::bootstrap::{Confidence, Sample, confidence};
use super::distribution::DelaySummary;
use super::metrics::{Agreement, ByOrigin, Delays, Ordered, RelativeError};
use super::variation::{Ipdv, Pdv, Predecessors};

/// All metrics of the delays of the same packets, simulated and measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DelayComparison {
    /// The two distributions, in seconds.
    pub delay_s: ByOrigin<DelaySummary>,
    /// Relative errors of the statistics of the distributions.
    pub relative_error: RelativeError,
    /// Agreement of simulated and measured delays.
    #[serde(flatten)]
    pub agreement: Agreement,
    /// Mean |IPDV| within flows (RFC 3393), in seconds; `None` if no flow has two packets.
    pub jitter_s: ByOrigin<Option<f64>>,
    /// Inter-packet delay variation.
    pub ipdv_s: ByOrigin<Option<Ipdv>>,
    /// Packet delay variation.
    pub pdv_s: ByOrigin<Pdv>,
    /// Confidence intervals; `None` for few packets.
    pub confidence: Option<Confidence>,
}

/// All metrics of delays `[packets]` in order of sending, with their flows `fids` `[packets]`; `None` if no
/// packet was matched.
///
/// # Complexity
/// O(packets x log packets).
pub fn compare_delays(delays: &Delays, fids: &[u32]) -> Option<DelayComparison> {
    let ordered = Ordered::new(delays);
    let (simulated, measured, agreement) = ordered.agreement(delays)?;
    let predecessors = Predecessors::new(fids.iter().copied());
    let variation = [&delays.simulated, &delays.measured].map(|delays| predecessors.variation(delays));
    let jitter_s = variation.map(|found| found.map(|(jitter, _)| jitter));
    let ipdv_s = variation.map(|found| found.map(|(_, ipdv)| ipdv));
    let Ordered { simulated: x, measured: y, errors } = &ordered;
    let sample = Sample {
        delays,
        ranks: [&x.ranks, &y.ranks],
        sorted: [&x.sorted, &y.sorted, errors],
        predecessors: &predecessors,
    };
    Some(DelayComparison {
        delay_s: ByOrigin { simulated, measured },
        relative_error: RelativeError::new(&simulated, &measured),
        agreement,
        jitter_s: ByOrigin { simulated: jitter_s[0], measured: jitter_s[1] },
        ipdv_s: ByOrigin { simulated: ipdv_s[0], measured: ipdv_s[1] },
        pdv_s: ByOrigin { simulated: Pdv::of(&simulated), measured: Pdv::of(&measured) },
        confidence: confidence(&sample, [&simulated, &measured], &agreement, jitter_s),
    })
}
