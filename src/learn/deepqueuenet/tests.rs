use super::samples::Batch;
use super::*;
use crate::learn::LearnError;
use crate::learn::passes::{Bookmark, Passes, Progress, Trained, train};
use crate::learn::trace::Visit;
use crate::link::Link;
use crate::packet::Packet;
use crate::ptm::neural::deepqueuenet::Network;
use crate::ptm::neural::deepqueuenet::network::{GATES, Scratch, WINDOW, Weights};
use crate::random;
use crate::units::{Span, Time};

const FEATURES: usize = 12;

/// A FIFO of 10 Mbps, 80% busy, with packets of 100 to 1,400 bytes from four ports.
fn queue(packets: usize, seed: u64) -> Trace {
    let link = Link::with_delay("10 Mbps".parse().unwrap(), Span::ZERO);
    let mut random = stream(seed, "test", "queue");
    let (mut arrival, mut free) = (Time::ZERO, Time::ZERO);
    let visits = (0..packets).map(|pid| {
        let mut draw = |below: f64| random::unit(&mut random) * below;
        let gap = -libm::log(1.0 - draw(1.0)) * 750e-6;
        arrival = arrival + Span::from_ps((gap * 1e12) as u64);
        let (length, in_port) = (100 + draw(1_300.0) as u32, draw(4.0) as u16);
        let packet = Packet { pid: pid as u64, length, in_port, ..Packet::default() };
        let start = arrival.max(free);
        free = start + link.transmission_time(packet.byte_count());
        Visit { arrival, packet, class: 0, start: Some(start) }
    });
    Trace { name: "queue".to_owned(), context: 0, link, flows: Default::default(), visits: visits.collect() }
}

fn training(part: Trace, validation: Trace, classes: usize, seed: u64, windows: usize) -> Training {
    Training::new(&[part], &[validation], classes, None, seed, windows, Device::flex()).unwrap()
}

fn passes(most: u32) -> Passes {
    Passes { most, patience: most, most_falls: 0, learning_rate: 1e-3 }
}

/// The result of two passes over 16 windows.
fn briefly(training: &mut Training) -> Trained {
    train(training, &passes(2), None, |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn inference_gives_what_the_framework_does() {
    let mut random = stream(1, "test", "inputs");
    let mut uniform =
        |count: usize| (0..count).map(|_| random::unit(&mut random) as f32 * 2.0 - 1.0).collect();
    let mut weights = network::initial(FEATURES, 7);
    for (name, shape) in network::shapes(FEATURES) {
        if let [size] = shape[..] {
            weights.insert(name, shape, uniform(size));
        }
    }
    let windows = 9;
    let steps: Vec<Vec<f32>> = (0..WINDOW).map(|_| uniform(windows * FEATURES)).collect();
    let batch = Batch { steps, targets: vec![0.0; windows] };
    let mut outputs = Vec::new();
    let training = Framework::new(weights.clone(), FEATURES, Device::flex());
    training.predict(&batch, &mut outputs);
    assert_eq!(training.weights(), weights);

    let own = Weights::take(&mut weights, FEATURES).unwrap();
    let mut scratch = Scratch::default();
    for (window, output) in outputs.iter().enumerate() {
        for (step, gates) in batch.steps.iter().zip(scratch.gates.chunks_exact_mut(GATES)) {
            own.project(&step[window * FEATURES..(window + 1) * FEATURES], gates);
        }
        let inferred = own.forward(&mut scratch);
        assert!((inferred - output).abs() < 1e-5, "{inferred} and {output}");
    }
    assert!(outputs.windows(2).any(|two| (two[0] - two[1]).abs() > 1e-3), "{outputs:?}");
}

#[test]
fn a_training_is_reproducible_and_what_it_gives_can_be_used() {
    let whole = |seed: u64| {
        let mut training = training(queue(200, 1), queue(60, 2), 1, seed, 16);
        let trained = briefly(&mut training);
        let (card, tensors) = training.corrected(trained.tensors);
        (card, tensors, trained.epochs)
    };
    let (card, tensors, epochs) = whole(3);
    assert_eq!(epochs.iter().map(|epoch| epoch.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(whole(3), (card.clone(), tensors.clone(), epochs));
    assert_ne!(whole(4).1, tensors);

    let (mut initial, mut moved) = (network::initial(FEATURES, 3), tensors.clone());
    for (name, shape) in network::shapes(FEATURES) {
        assert_ne!(initial.take(&name, &shape), moved.take(&name, &shape), "`{name}` has no gradient");
    }
    assert_eq!(card.ports, PORTS);
    let network = Network::from_tensors(&card, 1, tensors).unwrap();
    let mut predictor = network.predictor("10 Mbps".parse().unwrap());
    let predicted = queue(200, 1)
        .visits
        .into_iter()
        .map(|visit| predictor.waiting_s(visit.arrival, &visit.packet, visit.class.into()))
        .collect::<Vec<_>>();
    assert!(predicted.into_iter().all(f32::is_finite));
}

#[test]
fn a_broken_training_goes_on_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.checkpoint");
    let run = |resume: bool, stop: u32| {
        let bookmark = Bookmark { path: &path, key: "key", resume };
        let mut training = training(queue(40, 1), queue(60, 2), 1, 3, 16);
        train(&mut training, &passes(5), Some(bookmark), |progress| match progress {
            Progress::Epoch(epoch) if epoch.number == stop => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    };
    let whole = run(false, 0).unwrap();
    assert!(matches!(run(false, 3), Err(LearnError::Interrupted)));
    let resumed = run(true, 0).unwrap();
    assert_eq!((resumed.epochs, resumed.tensors), (whole.epochs, whole.tensors));
}

#[test]
fn classes_are_told_apart() {
    let mut part = queue(60, 1);
    part.visits.iter_mut().step_by(2).for_each(|visit| visit.class = 1);
    let mut training = training(part, queue(60, 2), 2, 3, 16);
    let trained = briefly(&mut training);
    let (card, tensors) = training.corrected(trained.tensors);
    assert_eq!(card.scale.greatest[..3], [card.scale.greatest[0], 1.0, 3.0]);
    assert!(Network::from_tensors(&card, 2, tensors.clone()).is_ok());
    assert!(Network::from_tensors(&card, 1, tensors).is_err());
}

#[test]
fn traces_that_do_not_fit_are_told() {
    let told = |part: Trace, validation: Trace, classes: usize| {
        let training = Training::new(&[part], &[validation], classes, None, 1, 16, Device::flex());
        training.err().unwrap().to_string()
    };
    let mut lost = queue(10, 1);
    lost.visits.iter_mut().for_each(|visit| visit.start = None);
    let empty = "part has no packets that left: give it more of the traces";
    assert_eq!(told(lost.clone(), queue(10, 2), 1), format!("the training {empty}"));
    assert_eq!(told(queue(10, 2), lost, 1), format!("the validation {empty}"));
    let mut unlimited = queue(10, 1);
    unlimited.link = Link::with_delay("unlimited".parse().unwrap(), Span::ZERO);
    let text = told(unlimited, queue(10, 2), 1);
    assert_eq!(text, "`queue` has a link of unlimited bandwidth: give the rate at which its port serves");
    let mut second = queue(10, 1);
    second.visits[3].class = 2;
    let text = told(queue(10, 2), second, 2);
    assert_eq!(text, "`queue` has a packet of class 2, but there are 2 classes, numbered from 0");
    let mut many = queue(PORTS_AT_MOST + 1, 1);
    many.visits.iter_mut().zip(0..).for_each(|(visit, port)| visit.packet.in_port = port);
    let text = told(many, queue(10, 1), 1);
    assert_eq!(text, "`queue` has packets from 1025 ingress ports; the maximum is 1024");
}

/// Seconds of training, and the result: `cargo test --release --features train --lib -- --ignored --nocapture
/// training_takes_time`.
#[test]
#[ignore = "a measurement"]
fn training_takes_time() {
    let mut training = training(queue(60_000, 1), queue(10_000, 2), 1, 3, 2_560);
    let clock = std::time::Instant::now();
    let note = |progress| {
        if let Progress::Epoch(epoch) = progress {
            println!("{epoch:?} {:.1} s", clock.elapsed().as_secs_f64());
        }
        ControlFlow::Continue(())
    };
    train(&mut training, &passes(4), None, note).unwrap();
}
