//! The parameters of netem in files.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::check::{idle, whole_nanoseconds};
use super::distribution::{DelayDistribution, modelled};
use super::error::NetemError;
use super::loss::LossSpec;
use super::slot::SlotSpec;
use crate::link::Link;
use crate::ptm::{Overhead, PtmError, PtmSpec};
use crate::units::{ByteCount, Probability, Rate, Span};

/// The parameters of a `netem`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetemSpec {
    /// The maximum number of packets inside, including delayed ones (default: 1000).
    #[serde(default = "default_limit")]
    pub limit: u64,
    /// The delay of each packet, in whole nanoseconds (default: 0 s).
    #[serde(default)]
    pub delay: Span,
    /// The variation of the delay, at most 2.147483647 s (default: 0 s).
    #[serde(default)]
    pub jitter: Span,
    /// The correlation between the random numbers of successive delays (default: 0).
    #[serde(default)]
    pub correlation: Probability,
    /// The distribution of the jitter (default: uniform).
    #[serde(default, deserialize_with = "modelled")]
    pub distribution: DelayDistribution,
    /// The loss of packets: a probability, or a table with a `model` (default: 0).
    #[serde(default)]
    pub loss: LossSpec,
    /// The correlation between the random numbers of successive packets, for a `loss` that is a number
    /// (default: 0).
    #[serde(default)]
    pub loss_correlation: Probability,
    /// Whether to mark ECN-capable packets instead of losing them (default: false).
    #[serde(default)]
    pub ecn: bool,
    /// The probability that a packet leaves at once, if the gap allows it (default: 0).
    #[serde(default)]
    pub reorder: Probability,
    /// The correlation between the random numbers of successive reorderings (default: 0).
    #[serde(default)]
    pub reorder_correlation: Probability,
    /// One packet in this many may be reordered (default: 1, every packet).
    #[serde(default)]
    pub gap: Option<NonZeroU32>,
    /// The rate at which packets are sent one after the other; without it, each packet is delayed
    /// independently.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// The bytes that lower layers add to a packet at that rate; negative to subtract (default: 0 B).
    #[serde(default)]
    pub packet_overhead: Overhead,
    /// The size of the cells into which a packet is divided at that rate; 0 B for no cells (default: 0 B).
    #[serde(default)]
    pub cell_size: ByteCount,
    /// The bytes added to each cell (default: 0 B).
    #[serde(default)]
    pub cell_overhead: Overhead,
    /// Slots in which delayed packets leave; without this key, each packet leaves when it is due.
    #[serde(default)]
    pub slot: Option<SlotSpec>,
    /// The discipline that packets join when they are due; without this key, they leave.
    #[serde(default)]
    pub ptm: Option<Box<PtmSpec>>,
    /// Not supported: reading it is an error.
    #[doc(hidden)]
    #[serde(default, skip_serializing, deserialize_with = "no_duplicates")]
    #[schemars(skip)]
    pub duplicate: (),
    /// Not supported: reading it is an error.
    #[doc(hidden)]
    #[serde(default, skip_serializing, deserialize_with = "no_corruption")]
    #[schemars(skip)]
    pub corrupt: (),
}

fn default_limit() -> u64 {
    1_000
}

fn no_duplicates<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(de::Error::custom(
        "netem does not duplicate packets here: each packet exists once; remove `duplicate`",
    ))
}

fn no_corruption<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(de::Error::custom(
        "netem does not corrupt packets here: packets have no contents; remove `corrupt`, or write it as a `loss`, if \
         receivers drop what is corrupted",
    ))
}

impl Default for NetemSpec {
    fn default() -> Self {
        NetemSpec {
            limit: default_limit(),
            delay: Span::ZERO,
            jitter: Span::ZERO,
            correlation: Probability::ZERO,
            distribution: DelayDistribution::default(),
            loss: LossSpec::default(),
            loss_correlation: Probability::ZERO,
            ecn: false,
            reorder: Probability::ZERO,
            reorder_correlation: Probability::ZERO,
            gap: None,
            rate: None,
            packet_overhead: Overhead::default(),
            cell_size: ByteCount::ZERO,
            cell_overhead: Overhead::default(),
            slot: None,
            ptm: None,
            duplicate: (),
            corrupt: (),
        }
    }
}

/// The bytes per second of `rate`, rounded down, as in the kernel.
pub(super) fn bytes_per_second(rate: Rate) -> u64 {
    rate.as_bps() / 8
}

impl NetemSpec {
    /// Whether random numbers affect the result; the inner discipline is not considered.
    pub fn draws(&self) -> bool {
        let reorders_some = self.reorder.get() > 0.0 && self.reorder.get() < 1.0;
        let slots_vary = self.slot.as_ref().is_some_and(SlotSpec::draws);
        self.jitter != Span::ZERO || !self.loss.is_none() || reorders_some || slots_vary
    }

    /// Checks that the parameters are consistent; those of the inner discipline are not checked.
    pub(in crate::ptm) fn check(&self) -> Result<(), PtmError> {
        self.check_delay()?;
        self.check_loss()?;
        self.check_reorder()?;
        self.check_rate()?;
        self.slot.as_ref().map_or(Ok(()), SlotSpec::check)
    }

    /// The long-term maximum rate in bits per second; `None` without a bound.
    pub(in crate::ptm) fn most_bps(&self, link: &Link) -> Option<u64> {
        let rate = self.rate.map(|rate| rate.as_bps());
        let inside = self.ptm.as_ref().and_then(|ptm| ptm.capacity_bps(link));
        rate.into_iter().chain(inside).min()
    }

    fn check_delay(&self) -> Result<(), PtmError> {
        whole_nanoseconds("delay", self.delay)?;
        whole_nanoseconds("jitter", self.jitter)?;
        NetemError::check_jitter("jitter", self.jitter)?;
        let help = "add a `jitter`, such as \"1 ms\"";
        if self.jitter != Span::ZERO {
            Ok(())
        } else if self.correlation != Probability::ZERO {
            Err(idle("correlation", "without a `jitter`", help))
        } else if self.distribution != DelayDistribution::Uniform {
            Err(idle("distribution", "without a `jitter`", help))
        } else {
            Ok(())
        }
    }

    fn check_loss(&self) -> Result<(), PtmError> {
        self.loss.check()?;
        let random = matches!(self.loss, LossSpec::Random(_)) && !self.loss.is_none();
        if self.loss_correlation != Probability::ZERO && !random {
            let help = "write a `loss` that is a number above 0, such as 0.01; models have their own bursts";
            return Err(idle("loss_correlation", "without a random `loss`", help));
        }
        if self.ecn && self.loss.is_none() {
            return Err(idle("ecn", "without a `loss`", "add a `loss`: packets are marked instead of lost"));
        }
        Ok(())
    }

    fn check_reorder(&self) -> Result<(), PtmError> {
        let help = "add a `reorder` above 0, such as 0.25";
        if self.reorder != Probability::ZERO {
            if self.delay == Span::ZERO {
                return Err(NetemError::ReorderWithoutDelay.into());
            }
        } else if self.gap.is_some() {
            return Err(idle("gap", "without a `reorder`", help));
        } else if self.reorder_correlation != Probability::ZERO {
            return Err(idle("reorder_correlation", "without a `reorder`", help));
        }
        Ok(())
    }

    fn check_rate(&self) -> Result<(), PtmError> {
        let Some(rate) = self.rate else {
            let keys = [
                ("packet_overhead", self.packet_overhead.bytes() != 0),
                ("cell_size", self.cell_size != ByteCount::ZERO),
                ("cell_overhead", self.cell_overhead.bytes() != 0),
            ];
            return match keys.into_iter().find(|&(_, given)| given) {
                Some((key, _)) => Err(idle(key, "without a `rate`", "add a `rate`, such as \"10 Mbps\"")),
                None => Ok(()),
            };
        };
        if bytes_per_second(rate) == 0 {
            return Err(NetemError::RateTooLow { rate }.into());
        }
        let overhead = i128::from(self.cell_overhead.bytes());
        if self.cell_size == ByteCount::ZERO {
            if overhead != 0 {
                return Err(idle(
                    "cell_overhead",
                    "without a `cell_size`",
                    "add a `cell_size`, such as \"48 B\"",
                ));
            }
        } else if i128::from(self.cell_size.get()) + overhead <= 0 {
            return Err(NetemError::CellWithoutBytes.into());
        }
        Ok(())
    }
}
