//! The published network with untrained weights.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::card::{Architecture, Card, FORMAT, TrainingCard};
use super::super::{Model, ModelError, ModelFile, sha256};
use super::*;
use crate::ptm::testing::{flows, link};
use crate::ptm::{Departure, Ptm, PtmSpec};

const CLASSES: usize = 2;

fn card(classes: usize) -> DeepQueueNetCard {
    let features = features::count(PORTS, classes);
    let scale = Scale {
        least: vec![0.0; features],
        greatest: vec![1_500.0; features],
        least_waiting_s: 0.0,
        greatest_waiting_s: 0.005,
    };
    DeepQueueNetCard { ports: PORTS, rate: None, scale }
}

/// Initial weights, and errors of -2 to 2 ms.
fn tensors(classes: usize) -> Tensors {
    let mut tensors = network::initial(features::count(PORTS, classes), 1);
    let pairs = (0..2_000).map(|index| ((index % 7) as f32 * 1e-3, (index % 5) as f32 * 1e-3)).collect();
    Correction::of(&vec![pairs; classes]).insert(&mut tensors);
    tensors
}

/// The class of a packet is its DSCP, if there are two.
fn model_of(card: DeepQueueNetCard, classes: usize, tensors: &Tensors) -> Result<Model, ModelError> {
    let bytes = tensors.to_bytes();
    let class = |toml: &str| {
        let document = crate::config::Document::parse("class.toml", toml).unwrap();
        document.deserialize::<NeuralClass>().unwrap()
    };
    let class = if classes == 1 { Vec::new() } else { vec![class("match = { dscp = 0 }"), class("")] };
    let card = Card {
        format: FORMAT,
        taunet: "0.1.0".to_owned(),
        command: "test".to_owned(),
        seed: 1,
        weights_sha256: sha256(&bytes),
        architecture: Architecture::DeepQueueNet(card),
        class,
        training: TrainingCard::default(),
        data: Vec::new(),
        scores: Default::default(),
    };
    Model::from_bytes(card, &bytes)
}

fn model(classes: usize) -> Arc<Model> {
    Arc::new(model_of(card(classes), classes, &tensors(classes)).unwrap())
}

fn spec(model: &Arc<Model>, output: Output) -> NeuralSpec {
    NeuralSpec {
        model: ModelFile::of(Arc::clone(model)),
        output,
        rate: None,
        context: None,
        class: Vec::new(),
    }
}

fn ptm(model: &Arc<Model>, output: Output, seed: u64) -> Box<dyn Ptm> {
    let spec = PtmSpec::Neural(spec(model, output));
    let link = link("10 Mbps");
    spec.check(&link).unwrap();
    spec.build(&Place { link, seed, port: "r1:0", start: crate::units::Timestamp::default() })
}

fn forward(mut ptm: Box<dyn Ptm>, ingress: &[Tau]) -> Vec<Departure> {
    let (mut departures, mut losses) = (Vec::new(), Vec::new());
    ptm.forward_trace(ingress, &flows(), Time::NEVER, &mut departures, &mut losses);
    assert_eq!(losses, []);
    departures
}

fn one_by_one(mut ptm: Box<dyn Ptm>, ingress: &[Tau]) -> Vec<Departure> {
    let mut departures = Vec::new();
    for (index, tau) in ingress.iter().enumerate() {
        while ptm.next_departure().is_some_and(|next| next <= tau.timestamp) {
            departures.extend(ptm.depart());
        }
        ptm.arrive(tau, &flows());
        assert_eq!(ptm.waiting().len() + departures.len(), index + 1, "packets are conserved");
    }
    while ptm.next_departure().is_some() {
        departures.extend(ptm.depart());
    }
    departures
}

fn taus() -> impl Strategy<Value = Vec<Tau>> {
    let gap = prop_oneof![Just(0u64), 0..3_000_000_000u64];
    prop::collection::vec((gap, 40..1_514u32, 0..CLASSES as u8, 0..6u16), 0..60).prop_map(|packets| {
        let mut timestamp = Time::ZERO;
        let tau = |(pid, (gap, length, dscp, in_port)): (usize, (u64, u32, u8, u16))| {
            timestamp = timestamp + Span::from_ps(gap);
            Tau { timestamp, packet: Packet { pid: pid as u64, length, dscp, in_port, ..Packet::default() } }
        };
        packets.into_iter().enumerate().map(tau).collect()
    })
}

fn outputs() -> impl Strategy<Value = Output> {
    prop_oneof![Just(Output::Sample), Just(Output::Median), Just(Output::Mean)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn both_forms_agree_and_nothing_leaves_early_or_out_of_order(taus in taus(), output in outputs()) {
        let model = model(CLASSES);
        let departures = forward(ptm(&model, output, 1), &taus);
        prop_assert_eq!(&departures, &one_by_one(ptm(&model, output, 1), &taus));
        prop_assert_eq!(departures.len(), taus.len());
        let (mut free, mut last) = (Time::ZERO, [None; CLASSES]);
        for departure in &departures {
            let packet = departure.tau.packet;
            prop_assert!(departure.start >= departure.tau.timestamp);
            prop_assert!(departure.start >= free, "two packets on the link at once");
            free = departure.start + link("10 Mbps").transmission_time(packet.byte_count());
            let last = &mut last[usize::from(packet.dscp)];
            prop_assert!(*last < Some(packet.pid), "out of order in the class");
            *last = Some(packet.pid);
        }
    }
}

fn every_ms(packets: u64) -> Vec<Tau> {
    let packet = |pid| Packet { pid, length: 1_000, ..Packet::default() };
    let tau = |pid| Tau { timestamp: Time::from_ps(pid * 1_000_000_000), packet: packet(pid) };
    (0..packets).map(tau).collect()
}

#[test]
fn a_seed_decides_what_a_sample_is() {
    let model = model(1);
    let taus = every_ms(50);
    let starts = |output, seed| {
        forward(ptm(&model, output, seed), &taus).iter().map(|departure| departure.start).collect::<Vec<_>>()
    };
    assert_eq!(starts(Output::Sample, 1), starts(Output::Sample, 1));
    assert_ne!(starts(Output::Sample, 1), starts(Output::Sample, 2));
    assert_eq!(starts(Output::Mean, 1), starts(Output::Mean, 2));
    assert_ne!(starts(Output::Mean, 1), starts(Output::Sample, 1));
}

/// The window slides: the cached part gives the same result as a new window.
#[test]
fn a_packet_looks_the_same_from_every_place_in_the_window() {
    let model = model(1);
    let super::super::Network::DeepQueueNet(network) = &model.network else { panic!("of this architecture") };
    let mut predictor = network.predictor("10 Mbps".parse().unwrap());
    let mut rows = Vec::new();
    for tau in every_ms(100) {
        let got = predictor.waiting_s(tau.timestamp, &tau.packet, 0);
        rows.push(predictor.values.clone());
        let mut scratch = Scratch::default();
        for (place, gates) in scratch.gates.chunks_exact_mut(GATES).enumerate() {
            let row = (rows.len() + place).saturating_sub(WINDOW);
            network.trained.weights.project(&rows[row], gates);
        }
        let whole = network.trained.weights.forward(&mut scratch);
        assert_eq!(got, network.trained.card.scale.waiting_s(whole));
    }
}

/// The same numbers on every machine; a changed value changes the results of all models.
#[test]
fn results_are_portable() {
    let model = model(1);
    let super::super::Network::DeepQueueNet(network) = &model.network else { panic!("of this architecture") };
    let mut predictor = network.predictor("10 Mbps".parse().unwrap());
    let last = every_ms(50).into_iter().map(|tau| predictor.waiting_s(tau.timestamp, &tau.packet, 0)).last();
    assert_eq!(last.map(f32::to_bits), Some(3_080_399_129));
}

#[test]
fn values_out_of_range_do_no_harm() {
    let mut tensors = tensors(1);
    tensors.insert("last.bias", [1], vec![f32::MAX]);
    let mut never = card(1);
    never.scale.greatest_waiting_s = f32::MAX;
    let model = Arc::new(model_of(never, 1, &tensors).unwrap());
    let departures = forward(ptm(&model, Output::Sample, 1), &every_ms(3));
    assert!(departures.iter().all(|departure| departure.start == Time::NEVER));
    let long = Tau { packet: Packet { length: u32::MAX, ..Packet::default() }, ..Tau::default() };
    assert_eq!(forward(ptm(&super::tests::model(1), Output::Mean, 1), &[long; 50]).len(), 50);
}

#[test]
fn damaged_models_are_told() {
    let told =
        |card: DeepQueueNetCard, tensors: &Tensors| model_of(card, 1, tensors).unwrap_err().to_string();
    let mut none = card(1);
    none.ports = 0;
    let text = told(none, &tensors(1));
    assert!(text.ends_with("0 ingress ports, but 1 to 1024 are possible"), "{text}");
    let mut short = card(1);
    short.scale.least.pop();
    let text = told(short, &tensors(1));
    assert!(text.ends_with("in `scale`, `least` has 11 values for 12 features"), "{text}");
    let mut reversed = card(1);
    reversed.scale.least_waiting_s = 2.0;
    let text = told(reversed, &tensors(1));
    assert!(text.ends_with("in `scale`, its values go from 2 to 0.005"), "{text}");
    let mut nan = card(1);
    nan.scale.greatest[3] = f32::NAN;
    let text = told(nan, &tensors(1));
    assert!(text.ends_with("in `scale`, its values go from 0 to NaN"), "{text}");
    let fewer = DeepQueueNetCard { ports: 3, ..card(1) };
    let text = told(fewer, &tensors(1));
    assert!(text.contains("`least` has 12 values for 10 features"), "{text}");

    for (name, shape) in network::shapes(12) {
        let mut missing = tensors(1);
        missing.take(&name, &shape).unwrap();
        assert_eq!(told(card(1), &missing), format!("the array `{name}` is missing"));
        missing.insert(&name, [1, 1, 1], vec![0.0]);
        assert!(told(card(1), &missing).starts_with(&format!("the array `{name}` has the shape [1, 1, 1]")));
    }
    let mut more = tensors(1);
    more.insert("more", [1], vec![0.0]);
    assert_eq!(told(card(1), &more), "the array `more` is not part of this architecture");
}

#[test]
fn what_does_not_fit_a_port_is_told() {
    let told = |spec: NeuralSpec, bandwidth: &str| {
        let error = PtmSpec::Neural(spec).check(&link(bandwidth)).unwrap_err();
        (error.to_string(), error.help())
    };
    let (one, two) = (model(1), model(CLASSES));
    let plain = |model| spec(model, Output::Sample);
    let (text, _) = told(plain(&one), "unlimited");
    assert!(text.contains("the link needs a `bandwidth`, or the model the `rate` of its shaper"), "{text}");
    let shaped = NeuralSpec { rate: "5 Mbps".parse().ok(), ..plain(&one) };
    assert_eq!(PtmSpec::Neural(shaped.clone()).check(&link("unlimited")), Ok(()));
    assert_eq!(PtmSpec::Neural(shaped).capacity_bps(&link("unlimited")), Some(5_000_000));
    let (text, help) = told(NeuralSpec { context: Some("a".to_owned()), ..plain(&one) }, "1 Mbps");
    assert_eq!(text, "`context` has no effect for a model of the architecture `deepqueuenet`");
    assert!(help.starts_with("leave it out"), "{help}");
    for (class, key) in [
        (NeuralClass { share: Some(1.0), ..Default::default() }, "share"),
        (NeuralClass { turn_bytes: Some(1.0), ..Default::default() }, "turn_bytes"),
        (NeuralClass { turn_packets: Some(1.0), ..Default::default() }, "turn_packets"),
    ] {
        let (text, _) = told(NeuralSpec { class: vec![class], ..plain(&one) }, "1 Mbps");
        assert!(text.starts_with(&format!("`{key}` has no effect")), "{text}");
    }
    let (text, _) = told(NeuralSpec { class: vec![NeuralClass::default()], ..plain(&two) }, "1 Mbps");
    assert_eq!(text, "the model distinguishes 2 classes, but there are 1 here");
    let (text, _) = told(NeuralSpec { class: vec![NeuralClass::default(); 2], ..plain(&two) }, "1 Mbps");
    assert!(text.starts_with("no packet reaches the class 2"), "{text}");
}

#[test]
fn a_model_is_loaded_from_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let model = model(CLASSES);
    std::fs::write(&path, tensors(CLASSES).to_bytes()).unwrap();
    std::fs::write(path.with_extension("toml"), toml::to_string(&model.card).unwrap()).unwrap();
    assert_eq!(Model::load(&path).as_ref(), Ok(&*model));
    std::fs::write(&path, tensors(1).to_bytes()).unwrap();
    let told = Model::load(&path).unwrap_err().to_string();
    assert!(told.contains("x.safetensors: the weights do not match the card"), "{told}");
}

/// Packets per second of CPU: `cargo test --release --lib -- --ignored deepqueuenet --nocapture`.
#[test]
#[ignore = "a measurement"]
fn inference_takes_time() {
    let model = model(1);
    let super::super::Network::DeepQueueNet(network) = &model.network else { panic!("of this architecture") };
    let mut predictor = network.predictor("10 Mbps".parse().unwrap());
    let taus = every_ms(2_000);
    let start = std::time::Instant::now();
    let sum: f32 = taus.iter().map(|tau| predictor.waiting_s(tau.timestamp, &tau.packet, 0)).sum();
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.0} packets per second (sum {sum})", taus.len() as f64 / seconds);
}
