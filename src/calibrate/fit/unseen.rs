//! What a recording does not show, as text.

use super::{Estimates, Fitting, LEAST_IDLE};
use crate::calibrate::aqm::AqmKind;
use crate::calibrate::bucket::loses_tokens;
use crate::calibrate::buffer::LossFinding;
use crate::calibrate::model::{Bottleneck, DisciplineKind, Model};
use crate::calibrate::path::{JitterBehind, PathEstimate};
use crate::ptm::Framing;

/// An overhead that is not observed and cannot exceed this [B] counts as none.
const WELL_KNOWN_OVERHEAD: f64 = 4.0;

/// Whether the device has a drop rule. A buffer that does not fit the losses does not count.
fn explains_losses(model: &Model) -> bool {
    let has_rule = model.aqm.is_some_and(|aqm| aqm != AqmKind::TailDrop);
    let has_buffer = model.classes.iter().any(|class| class.buffer.is_some());
    has_rule || has_buffer || model.discipline.is_per_flow() || model.has_flow_queues()
}

impl Fitting {
    /// What this part of the recording does not show, as text.
    pub fn not_identified(&self, model: &Model, path: &PathEstimate) -> Vec<String> {
        let Estimates { processing, rate, burst, losses, classes, quanta, .. } = &self.estimates;
        let mut unknown = Vec::new();
        let mut say = |text: String| unknown.push(text);
        match processing {
            None => say("the processing delay: the device was never idle".to_owned()),
            Some(processing) if (processing.packets as usize) < LEAST_IDLE => {
                say(format!(
                    "the usual processing delay: only {} packets found the device idle",
                    processing.packets
                ));
            }
            Some(_) => {}
        }
        if path.jitter.is_some_and(|jitter| jitter.behind == JitterBehind::Queues) {
            say(
                "the device: it has several queues, and the path's jitter hides which packet waited in which"
                    .to_owned(),
            );
        } else if rate.is_none() {
            say("the rate, the burst, the discipline: too few packets waited for another".to_owned());
        }
        if let Some(jitter) = &path.jitter {
            say(format!(
                "burst, release slack and framing, and the order of packets less than {:.1} ms apart: the path's jitter \
                 hides them",
                (jitter.most_us - jitter.p50_us).max(jitter.p50_us) / 1e3
            ));
        }
        if path.jitter.is_some() && model.shows_start() {
            say("where the jitter occurs: the topology has none, because the egress capture shows packets at the start of \
                 their transmission"
                .to_owned());
        }
        if path.delay_us > 0.0 {
            say("whether the constant delay is before or behind the device, and how long the device takes to forward a \
                 packet in addition"
                .to_owned());
        }
        match burst {
            Some(burst) if burst.bytes.is_none() && model.bottleneck != Bottleneck::Link => say(format!(
                "burst and release slack separately: only burst minus slack is seen, {:.1} us at the rate",
                burst.head_start_us
            )),
            _ => {}
        }
        let slack_us = 1e-6 * model.release_slack_ps as f64;
        if model.bottleneck == Bottleneck::TokenBucket
            && loses_tokens(model.burst_bytes as f64, slack_us, self.longest, model.rate_bps as f64)
        {
            say("the rate of the tokens: the bucket is so shallow that a late timer loses some of them, and the rate is \
                 that of the packets that get through"
                .to_owned());
        }
        match losses {
            LossFinding::TailDrop(_) | LossFinding::Unexplained { .. }
                if model.buffer.is_none() && model.classes.iter().any(|class| class.buffer.is_some()) =>
            {
                for (index, _) in model.classes.iter().enumerate().filter(|(_, class)| class.buffer.is_none())
                {
                    say(format!("the buffer of class {}: nothing of it was lost", 10 * (index + 1)));
                }
            }
            LossFinding::NoneLost { waiting_bytes } if rate.is_some() => {
                say(format!("the buffer: nothing was lost, with up to {waiting_bytes:.0} B waiting"));
            }
            LossFinding::NoneLost { .. } => say("the buffer: nothing was lost".to_owned()),
            LossFinding::Unexplained { lost, .. } if !explains_losses(model) => {
                say(format!("why {lost} packets were lost: no buffer limit separates them from the others"));
            }
            _ => {}
        }
        if rate.is_some() && classes.is_none() {
            say("classes: no packet overtook another; there may be classes without an effect".to_owned());
        }
        if let Some(rate) = rate {
            let unseen = rate.overhead_uncertainty_bytes;
            if unseen.is_infinite() {
                say("the framing overhead: packets of one length do not show it; the rate is that of recorded lengths"
                    .to_owned());
            } else if unseen > WELL_KNOWN_OVERHEAD && model.framing == Framing::default() {
                say(format!(
                    "a framing overhead below {unseen:.1} B per packet: the rate is that of recorded lengths"
                ));
            }
        }
        if model.bottleneck == Bottleneck::Link && Model::link_overhead(&model.framing).is_none() {
            say("a link with this framing: a link adds bytes per packet, but has no cells".to_owned());
        }
        if !model.classes.is_empty() && model.bottleneck == Bottleneck::DebtBucket {
            say("the guaranteed rate of each class: a small fraction of the rate is assumed".to_owned());
        }
        if matches!(model.discipline, DisciplineKind::Sharing | DisciplineKind::PriorityAndSharing) {
            for quantum in quanta.iter().filter(|quantum| quantum.bytes.is_none()) {
                say(format!(
                    "the quantum of class {}: it rarely waited with others",
                    10 * (quantum.class + 1)
                ));
            }
        }
        unknown
    }
}
