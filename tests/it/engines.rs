//! Both engines do the same: on random networks with every discipline, circles, impairments and ways to forward.

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
                // Only where links without any delay can be in a circle.
                Err(EngineError::InstantCircle { .. }) => {
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
}
