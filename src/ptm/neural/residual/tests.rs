use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::packet::Packet;
use crate::ptm::neural::card::{FORMAT, TrainingCard};
use crate::ptm::neural::{Architecture, Model, ModelFile, NeuralClass, sha256};
use crate::ptm::{Departure, PtmSpec};
use crate::random::stream;
use crate::units::ByteCount;

/// A card of three classes by DSCP, and random weights that fit it.
pub(crate) fn parts(pace: Pace, drops: bool, contexts: usize) -> (Card, Tensors) {
    const CLASSES: usize = 3;
    let class = |dscp: usize| NeuralClass { matched: Some(toml_match(dscp)), ..NeuralClass::default() };
    let share =
        ClassShare { share: 1.0 / 3.0, turn_packets: 2.0, turn_bytes: 1500.0, kept_turn_bytes: 1500.0 };
    let context = |number: usize| Context { name: format!("device {number}"), class: vec![share; CLASSES] };
    let card = ResidualCard {
        pace,
        mean_length: 700.0,
        lateness_unit: 0.1,
        lateness_range: [-1e4, 1e4],
        hidden: 20,
        recurrent: 5,
        limits: drops.then(|| Limits { port: 6_000.0, class: vec![3_000.0; CLASSES] }),
        context: (0..contexts).map(context).collect(),
    };
    let mut tensors = Tensors::default();
    let mut random = stream(1, "test", "weights");
    let mut layer = |name: &str, inputs: usize, outputs: usize| {
        for (part, shape) in [("weight", vec![inputs, outputs]), ("bias", vec![outputs])] {
            let values = (0..shape.iter().product()).map(|_| unit(&mut random) as f32 - 0.5).collect();
            tensors.insert(format!("{name}.{part}"), shape, values);
        }
    };
    let carried = card.recurrent + card.contexts();
    layer("gru.input", SENT_FEATURES + CLASSES, 3 * card.recurrent);
    layer("gru.state", card.recurrent, 3 * card.recurrent);
    let mut perceptron = |name: &str, inputs, outputs| {
        layer(&format!("{name}.1"), inputs, 20);
        layer(&format!("{name}.2"), 20, 20);
        layer(&format!("{name}.3"), 20, outputs);
    };
    perceptron("lateness", LATENESS_FEATURES + CLASSES + carried, LEVELS.len());
    perceptron("choice", CHOICE_FEATURES * CLASSES + carried, CLASSES);
    if drops {
        perceptron("drop", DROP_FEATURES + CLASSES, 1);
    }
    wide(CLASSES).insert(CLASSES, &mut tensors);
    let card = Card {
        format: FORMAT,
        taunet: "0.1.0".to_owned(),
        command: "a test".to_owned(),
        seed: 1,
        weights_sha256: sha256(&tensors.to_bytes()),
        architecture: Architecture::Residual(card),
        class: (0..CLASSES).map(class).collect(),
        training: TrainingCard::default(),
        data: Vec::new(),
        scores: Default::default(),
    };
    (card, tensors)
}

/// Ranges that clamp nothing.
pub(crate) fn wide(classes: usize) -> Ranges {
    let mut ranges = Ranges::new(classes);
    let ends = |size: usize| [vec![-1e9; size], vec![1e9; size]].concat();
    ranges.sent.see(&ends(SENT_FEATURES + classes));
    ranges.lateness.see(&ends(LATENESS_FEATURES + classes));
    ranges.choice.see(&ends(CHOICE_FEATURES * classes));
    ranges.drop.see(&ends(DROP_FEATURES + classes));
    ranges
}

fn toml_match(dscp: usize) -> crate::ptm::Match {
    let text = format!("dscp = {dscp}");
    crate::config::Document::parse("match", &text).and_then(|document| document.deserialize()).unwrap()
}

fn model(pace: Pace, drops: bool) -> Arc<Model> {
    let (card, tensors) = parts(pace, drops, 1);
    Arc::new(Model::from_bytes(card, &tensors.to_bytes()).unwrap())
}

fn spec(model: &Arc<Model>, output: Output) -> PtmSpec {
    PtmSpec::Neural(NeuralSpec {
        model: ModelFile::of(Arc::clone(model)),
        output,
        rate: None,
        context: None,
        class: Vec::new(),
    })
}

fn link() -> Link {
    Link::with_delay("3 Mbps".parse().unwrap(), Span::ZERO)
}

fn paces() -> impl Strategy<Value = Pace> {
    let (rate, burst, overhead) =
        ("2 Mbps".parse().unwrap(), "2000 B".parse().unwrap(), "4 B".parse().unwrap());
    prop_oneof![
        Just(Pace::Link),
        Just(Pace::TokenBucket { rate, burst, overhead }),
        Just(Pace::DebtBucket { rate, burst, overhead }),
    ]
}

fn outputs() -> impl Strategy<Value = Output> {
    prop_oneof![Just(Output::Sample), Just(Output::Median), Just(Output::Mean)]
}

fn taus() -> impl Strategy<Value = Vec<Tau>> {
    let gap = prop_oneof![Just(0u64), 0..5_000_000_000u64];
    prop::collection::vec((gap, 40..1514u32, 0..4u8), 0..120).prop_map(|packets| {
        let mut timestamp = Time::ZERO;
        let taus = packets.into_iter().enumerate().map(|(index, (gap, length, dscp))| {
            timestamp = timestamp + Span::from_ps(gap);
            let packet = Packet { pid: index as u64, length, dscp, ..Packet::default() };
            Tau { timestamp, packet }
        });
        taus.collect()
    })
}

fn forward(spec: &PtmSpec, parts: &[&[Tau]]) -> (Vec<Departure>, Vec<Loss>) {
    let mut ptm =
        spec.build(&Place { link: link(), seed: 1, port: "r1:0", start: crate::units::Timestamp::default() });
    let (mut departures, mut losses) = (Vec::new(), Vec::new());
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        let until = part.last().filter(|_| !last).map_or(Time::NEVER, |tau| tau.timestamp);
        ptm.forward_trace(part, &Flows::default(), until, &mut departures, &mut losses);
    }
    (departures, losses)
}

proptest! {
    #[test]
    fn packets_are_conserved_in_order_and_never_early(
        pace in paces(),
        drops in any::<bool>(),
        output in outputs(),
        taus in taus(),
        cut in 0..120usize,
    ) {
        let spec = spec(&model(pace, drops), output);
        spec.check(&link()).unwrap();
        let (departures, losses) = forward(&spec, &[&taus]);
        prop_assert_eq!(departures.len() + losses.len(), taus.len());
        let (first, second) = taus.split_at(cut.min(taus.len()));
        if !first.is_empty() {
            prop_assert_eq!(&forward(&spec, &[first, second]), &(departures.clone(), losses.clone()));
        }
        let mut free = Time::ZERO;
        for departure in &departures {
            prop_assert!(departure.start >= departure.tau.timestamp);
            prop_assert!(departure.start >= free, "two packets on the link at once");
            free = departure.start + link().transmission_time(departure.tau.packet.byte_count());
        }
        for class in 0..3 {
            // Packets that match no class belong to the last one.
            let of_class = departures.iter().filter(|departure| departure.tau.packet.dscp.min(2) == class);
            let pids: Vec<u64> = of_class.map(|departure| departure.tau.packet.pid).collect();
            prop_assert!(pids.is_sorted(), "a packet overtakes another of its class");
        }
        if let Pace::TokenBucket { rate, burst, .. } | Pace::DebtBucket { rate, burst, .. } = pace {
            // At most the bucket and the tokens since then, plus one packet of debt.
            for (index, first) in departures.iter().enumerate() {
                let mut sent = 0.0;
                for departure in &departures[index..] {
                    sent += f64::from(departure.tau.packet.length + 4);
                    let filled = departure.start.since(first.start).as_seconds_f64() * rate.as_bps() as f64 / 8.0;
                    prop_assert!(sent <= burst.get() as f64 + filled + 1_518.0 + 1.0);
                }
            }
        }
    }
}

#[test]
fn a_model_is_refused_where_it_does_not_fit() {
    let bucket = Pace::DebtBucket {
        rate: "2 Mbps".parse().unwrap(),
        burst: "2000 B".parse().unwrap(),
        overhead: "0 B".parse().unwrap(),
    };
    let told = |model: &Arc<Model>, change: fn(&mut NeuralSpec), link: &Link| {
        let PtmSpec::Neural(mut spec) = spec(model, Output::Sample) else { unreachable!() };
        change(&mut spec);
        PtmSpec::Neural(spec).check(link).unwrap_err().to_string()
    };
    let link_model = model(Pace::Link, false);
    let unlimited = Link::with_delay(Bandwidth::Unlimited, Span::ZERO);
    assert!(told(&link_model, |_| (), &unlimited).contains("limited bandwidth"));
    let rate = |spec: &mut NeuralSpec| spec.rate = Some("1 Mbps".parse().unwrap());
    assert!(told(&link_model, rate, &link()).contains("`rate` has no effect"));
    let classes = |spec: &mut NeuralSpec| spec.class = vec![NeuralClass::default()];
    assert_eq!(
        told(&model(bucket, false), classes, &link()),
        "the port has 1 classes, but the model was trained on 3"
    );
    let context = |spec: &mut NeuralSpec| spec.context = Some("divice".to_owned());
    assert!(told(&link_model, context, &link()).contains("it has `device 0`"));
    let (card, tensors) = parts(Pace::Link, false, 2);
    let two = Arc::new(Model::from_bytes(card, &tensors.to_bytes()).unwrap());
    assert!(told(&two, |_| (), &link()).contains("write `context`, one of `device 0`, `device 1`"));
}

#[test]
fn damaged_and_foreign_files_are_told() {
    let (card, tensors) = parts(Pace::Link, false, 1);
    let bytes = tensors.to_bytes();
    let told = |card: &Card, bytes: &[u8]| Model::from_bytes(card.clone(), bytes).unwrap_err().to_string();
    assert!(told(&card, &bytes[..bytes.len() - 4]).contains("not a safetensors file, or a damaged one"));
    assert!(told(&card, b"PK\x03\x04 something else").contains("not a safetensors file, or a damaged one"));
    let mut flipped = bytes.clone();
    let last = flipped.len() - 2;
    flipped[last] ^= 1;
    assert!(told(&card, &flipped).contains("the weights do not match the card"));
    assert!(told(&Card { format: 2, ..card.clone() }, &bytes).contains("has format 2"));
    let (_, with_drops) = parts(Pace::Link, true, 1);
    let other = Card { weights_sha256: sha256(&with_drops.to_bytes()), ..card.clone() };
    assert!(told(&other, &with_drops.to_bytes()).contains("not part of this architecture"));
    let Architecture::Residual(residual) = &card.architecture else { unreachable!() };
    let wider = ResidualCard { hidden: 21, ..residual.clone() };
    let wider = Card { architecture: Architecture::Residual(wider), ..card.clone() };
    assert!(told(&wider, &bytes).contains("has the shape [17, 20], but the card requires [17, 21]"));
    let none = ResidualCard { context: Vec::new(), ..residual.clone() };
    let none = Card { architecture: Architecture::Residual(none), ..card };
    assert!(told(&none, &bytes).contains("every `context` must have a `class`"));
}

#[test]
fn quantiles_are_put_in_order_and_between() {
    let mut quantiles = [0.0; LEVELS.len()];
    quantiles[7] = 1.0; // the median
    assert_eq!(at_level(&mut quantiles.clone(), 0.5), 1.0);
    assert!((at_level(&mut quantiles.clone(), 0.45) - 0.5).abs() < 1e-5);
    assert_eq!(at_level(&mut quantiles.clone(), 0.0), 0.0);
    // All quantiles above the median are at least the median.
    assert_eq!(at_level(&mut quantiles.clone(), 0.9999), 1.0);
    let late = mean(&mut quantiles);
    assert!((libm::sinh(late.into()) - 0.55 * libm::sinh(1.0)).abs() < 1e-3, "{late}");
}

#[test]
fn a_network_is_held_to_what_it_was_shown() {
    let (mut card, mut tensors) = parts(Pace::Link, false, 1);
    let Architecture::Residual(residual) = &mut card.architecture else { unreachable!() };
    // The port was never late.
    residual.lateness_range = [0.0, 0.0];
    let prompt = Arc::new(Model::from_bytes(card.clone(), &tensors.to_bytes()).unwrap());
    let taus: Vec<Tau> = (0..50)
        .map(|pid| Tau { timestamp: Time::ZERO, packet: Packet { pid, length: 700, ..Packet::default() } })
        .collect();
    for output in Output::ALL {
        let (departures, _) = forward(&spec(&prompt, output), &[&taus]);
        let last = departures.last().unwrap().start;
        assert_eq!(last.as_ps(), 49 * link().transmission_time(ByteCount::new(700)).as_ps());
    }

    let mut ranges = wide(3);
    ranges.lateness = Ranges::new(3).lateness;
    ranges.lateness.see(&[0.25; LATENESS_FEATURES + 3]);
    ranges.insert(3, &mut tensors);
    card.weights_sha256 = sha256(&tensors.to_bytes());
    let Architecture::Residual(residual) = &card.architecture else { unreachable!() };
    let network = Network::from_tensors(residual, 3, tensors).unwrap();
    let said = |x: f32| {
        let mut y = [0.0; LEVELS.len()];
        network.lateness(&[x; LATENESS_FEATURES + 3], &[0.0; 5], &[], &mut network.scratch(), &mut y);
        y
    };
    assert_eq!(said(1e6), said(-3.0));
    assert_eq!(said(1e6), said(0.25));
}
