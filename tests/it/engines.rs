//! Both engines agree on random networks with every discipline, cycles, impairments and forwarding rules.

use proptest::prelude::*;

use taunet::engine::{Engine, EngineError, Outcome};

use crate::random_networks::{Log, networks};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn both_engines_do_the_same_on_random_networks(network in networks()) {
        let sorted = |(outcome, mut log): (Outcome, Log)| {
            log.sort();
            (outcome, log)
        };
        let event = sorted(network.run(Engine::Event, 1).unwrap());
        prop_assert_eq!(&network.run_unwatched(Engine::Event, 1).unwrap(), &event.0);
        for threads in [1, 3] {
            let stream = match network.run(Engine::Stream, threads) {
                // Only where links without any delay can be in a cycle.
                Err(EngineError::InstantCycle { .. }) => {
                    let topology = network.topology();
                    prop_assert_eq!(Engine::Auto.for_network(&topology).0, Engine::Event);
                    continue;
                }
                other => sorted(other.unwrap()),
            };
            let differ = stream.1.hops.iter().zip(&event.1.hops).find(|(stream, event)| stream != event);
            prop_assert_eq!(differ, None, "{} threads", threads);
            prop_assert_eq!(&stream.0, &event.0, "{} threads", threads);
            let unwatched = network.run_unwatched(Engine::Stream, threads).unwrap();
            prop_assert_eq!(&unwatched, &event.0, "{} threads, unwatched", threads);
            prop_assert_eq!(&stream.1.flows, &event.1.flows);
            prop_assert_eq!(&stream.1.hops, &event.1.hops);
            prop_assert_eq!(&stream.1.delivered, &event.1.delivered);
            prop_assert_eq!(&stream.1.dropped, &event.1.dropped);
            prop_assert_eq!(&stream.1.waiting, &event.1.waiting);
        }
    }
    /// Where a run pauses, and how often, changes nothing of what happens nor of what is told.
    #[test]
    fn a_run_with_pauses_is_the_same_run(
        network in networks(),
        mut pauses in prop::collection::vec(0..80_000_000_000u64, 0..6),
    ) {
        pauses.sort_unstable();
        let sorted = |(outcome, mut log): (Outcome, Log)| {
            log.sort();
            (outcome, log)
        };
        for (engine, threads) in [(Engine::Event, 1), (Engine::Stream, 1), (Engine::Stream, 3)] {
            let whole = match network.run(engine, threads) {
                Err(EngineError::InstantCycle { .. }) => continue,
                other => sorted(other.unwrap()),
            };
            let paused = sorted(network.run_paused(&pauses, engine, threads).unwrap());
            prop_assert_eq!(&paused.0, &whole.0, "{:?}, {} threads", engine, threads);
            prop_assert_eq!(&paused.1.hops, &whole.1.hops);
            prop_assert_eq!(&paused.1.flows, &whole.1.flows);
            prop_assert_eq!(&paused.1.injected, &whole.1.injected);
            prop_assert_eq!(&paused.1.delivered, &whole.1.delivered);
            prop_assert_eq!(&paused.1.dropped, &whole.1.dropped);
            prop_assert_eq!(&paused.1.waiting, &whole.1.waiting);
        }
    }
}
